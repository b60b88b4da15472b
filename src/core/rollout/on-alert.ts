/** What an alert does to a rollout that walks: it may take the newest stage back, once for each flip; alerts of several services hold everything. */
import { alertName, type IncomingAlert } from "../alerts/incoming.ts";
import type { AlertStorm } from "../alerts/view.ts";
import { BELAY, type Cause, type RolloutEvent } from "../event.ts";
import { inOneLine } from "../one-line.ts";
import type { Plan } from "../plan.ts";
import { formatDuration, MINUTE, type Now } from "../time.ts";
import { takeBackOurselves } from "./backward.ts";
import { bankProgress } from "./soak.ts";
import {
  flippedWallOf,
  hasHold,
  isLive,
  isOnlyAsked,
  newestFlagStage,
  newestUndoable,
  type State,
  stageAt,
} from "./state.ts";
import type { World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];
const MOST_NAME_CHARS = 100;
const MOST_SUMMARY_CHARS = 200;

/** An alert that begins further ahead of our own clock than this has not begun yet. */
const MOST_AHEAD_MS = MINUTE;

/** `none`: the alert changes nothing, with the reason for the log. `undoes`: it takes `stage` back, whose newest flip was so old when it began. */
export type AlertEffect =
  | { readonly kind: "undoes"; readonly stage: number; readonly sinceFlipMs: number }
  | { readonly kind: "none"; readonly why: string };

/**
 * What a firing that matches does to the run: it must have begun after the newest flip and after the look of the last rollback, and neither it nor
 * another one may have taken that flip back already.
 */
export function alertEffect(plan: Plan, state: State, firing: IncomingAlert, now: Now): AlertEffect {
  const none = (why: string): AlertEffect => ({ kind: "none", why });
  if (!isLive(state)) return none("the rollout is not live");
  if (state.phase !== "walking") return none("its newest stage is going back already");
  const stage = newestUndoable(plan, state);
  const flippedWall = flippedWallOf(state, stage);
  if (stage < 0 || newestFlagStage(plan, state) !== stage || flippedWall === undefined)
    return none("nothing that it could take back is on");
  if (isOnlyAsked(plan, state, stage)) return none("people have not set it yet");
  if (firing.startsAt <= flippedWall) return none(`it began before ${stageAt(plan, stage).name} went live`);
  const { settledWall, tookBack = [] } = state.alerts ?? {};
  if (settledWall !== undefined && firing.startsAt <= settledWall)
    return none("it began before what was done last was settled");
  if (tookBack.some((one) => one.alert === firing.key || one.flippedWall === flippedWall))
    return none("a stage was taken back for it already");
  if (hasHold(state, "would_roll_back")) return none("people decide about what Belay would take back");
  if (hasHold(state, "not_the_cause")) return none("people decide after a look that failed");
  if (firing.startsAt > now.wall + MOST_AHEAD_MS) return none("it has not begun yet by our clock");
  return { kind: "undoes", stage, sinceFlipMs: firing.startsAt - flippedWall };
}

/** While walking: a storm holds, once; else the first alert that may do so takes the newest stage back. */
export function onAlerts(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { alerts } = world;
  if (alerts === undefined) return NONE;
  if (alerts.storm !== undefined) return onStorm(plan, state, world, alerts.storm);
  let first: { readonly firing: IncomingAlert; readonly sinceFlipMs: number } | undefined;
  for (const firing of alerts.firings) {
    const effect = alertEffect(plan, state, firing, now);
    if (effect.kind === "none") continue;
    if (first === undefined || comesBefore(firing, first.firing))
      first = { firing, sinceFlipMs: effect.sinceFlipMs };
  }
  if (first === undefined) return NONE;
  const to = newestUndoable(plan, state) - 1;
  const cause = causeOf(plan, to + 1, first.firing, first.sinceFlipMs);
  return takeBackOurselves(
    plan,
    state,
    world,
    to,
    cause,
    `${plan.rollout}: alert ${cause.name} fired ${cause.detail}`,
  );
}

function comesBefore(a: IncomingAlert, b: IncomingAlert): boolean {
  return a.startsAt < b.startsAt || (a.startsAt === b.startsAt && a.key < b.key);
}

function causeOf(
  plan: Plan,
  stage: number,
  firing: IncomingAlert,
  sinceFlipMs: number,
): Extract<Cause, { kind: "alert" }> {
  const said = firing.annotations["summary"];
  const summary = said === undefined ? "" : `: ${inOneLine(said, MOST_SUMMARY_CHARS)}`;
  const detail = `${formatDuration(roughly(sinceFlipMs))} after ${stageAt(plan, stage).name} went live${summary}`;
  const { key, startsAt } = firing;
  return { kind: "alert", alert: key, name: nameInWords(firing), detail, startsAt, sinceFlipMs };
}

/** Whole minutes, from two minutes on: people ask what went live shortly before, not to the second. */
function roughly(ms: number): number {
  return ms < 2 * MINUTE ? ms : Math.round(ms / MINUTE) * MINUTE;
}

/** The alert's name as people read it: one line, of bounded length. */
export function nameInWords(firing: IncomingAlert): string {
  return inOneLine(alertName(firing), MOST_NAME_CHARS);
}

/** One storm holds a run once: after a person has resumed it, it goes on under the same storm. */
function onStorm(plan: Plan, state: State, world: World, storm: AlertStorm): readonly RolloutEvent[] {
  const heldAt = state.alerts?.stormAt;
  if (hasHold(state, "alert_storm") || (heldAt !== undefined && heldAt >= storm.since)) return NONE;
  const detail = `alerts of ${servicesInWords(storm)} within a minute: look for a common cause; no alert rolls back meanwhile, guards still do`;
  return [...bankProgress(plan, state, world), { kind: "held", reason: "alert_storm", detail, by: BELAY }];
}

const MOST_SERVICES_NAMED = 4;

/** `checkout and search`, `a, b, c, d and 3 more`. */
export function servicesInWords({ services }: AlertStorm): string {
  const named = services.slice(0, MOST_SERVICES_NAMED).map((one) => inOneLine(one, MOST_NAME_CHARS));
  const more = services.length - named.length;
  const last = more > 0 ? `${more} more` : named.pop();
  return `${named.join(", ")} and ${last}`;
}

/** Names of the matching alerts that fire now, apart from one; for messages. */
export function alsoFiring(world: World, key: string): readonly string[] {
  const others = (world.alerts?.firings ?? []).filter((one) => one.status === "firing" && one.key !== key);
  return [...new Set(others.map(nameInWords))];
}

/** Whether this firing is known to go on. */
export function isFiring(world: World, key: string): boolean {
  return world.alerts?.firings.some((one) => one.key === key && one.status === "firing") === true;
}
