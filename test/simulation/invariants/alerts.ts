/** The promises about alerts: only a firing of ours from after the flip takes it back, each flip once, none in a storm, and none is lost. */
import type { Cause, Recorded, RolloutEvent } from "../../../src/core/event.ts";
import type { Plan } from "../../../src/core/plan.ts";
import { alertEffect } from "../../../src/core/rollout/on-alert.ts";
import { hasHold, isLive, type State } from "../../../src/core/rollout/state.ts";
import { type Firing, OUR_ALERT } from "../alert-play.ts";
import type { Begun } from "../outside/alertmanager.ts";
import type { History } from "./history.ts";
import { Lasting, type SecondCheck } from "./seconds.ts";

const STORM_MS = 60_000;
/** A firing that goes on is told again after a minute at most; then it must be acted on within moments. */
const ACTED_ON_WITHIN_MS = 90_000;

/** Whether an alert may take the rollout back at all; worked out apart from what Belay makes of labels. */
function isOurs(plan: Plan, { firing }: Begun): boolean {
  return isOfOurKind(plan, firing) && firing.service === plan.service;
}

function isOfOurKind(plan: Plan, firing: Firing): boolean {
  return firing.name === OUR_ALERT && firing.environment === plan.environment;
}

interface ByAlert {
  readonly event: Extract<RolloutEvent, { kind: "rollback_started" | "would_roll_back" }>;
  readonly cause: Extract<Cause, { kind: "alert" }>;
}

/** A rollback that an alert caused, or would have caused; undefined for anything else. */
function byAlert(event: RolloutEvent): ByAlert | undefined {
  if (event.kind !== "rollback_started" && event.kind !== "would_roll_back") return undefined;
  if (event.cause.kind !== "alert" || ("byHand" in event && event.byHand === true)) return undefined;
  return { event, cause: event.cause };
}

/** Events of the run from before this one that the journal has. */
function before(history: History, { run }: State, recorded: Recorded): readonly Recorded[] {
  return (history.disk.events.get(run) ?? []).filter((one) => one.seq < recorded.seq);
}

/** The instants at which the flips of a stage were decided. */
function flipsOf(earlier: readonly Recorded[], stage: number | undefined): readonly Recorded[] {
  return earlier.filter(({ event }) => event.kind === "stage_started" && event.stage === stage);
}

/** A1: the alert is one that fired for this service and environment, began after the newest flip of the one stage that goes back, and after the last look. */
export function alertWasOurs(history: History, state: State, recorded: Recorded): readonly string[] {
  const found = byAlert(recorded.event);
  if (found === undefined) return [];
  const { event, cause } = found;
  const begun = history.outside.alertmanager?.firing(cause.alert);
  const earlier = before(history, state, recorded);
  const flip = flipsOf(earlier, event.stages[0]).at(-1);
  const look = earlier.findLast((one) => one.event.kind === "recovered" || one.event.kind === "look_failed");
  const broken: string[] = [];
  if (begun === undefined || !isOurs(history.plan, begun))
    broken.push(`rolled back for ${cause.alert}, which is not ours`);
  if (event.stages.length !== 1) broken.push(`an alert took ${event.stages.length} stages back`);
  if (flip === undefined || cause.startsAt <= flip.wall)
    broken.push(`rolled back for ${cause.alert}, which began before the flip at ${flip?.wall}`);
  if (look !== undefined && cause.startsAt <= look.wall)
    broken.push(`rolled back for ${cause.alert}, which began before the look ended at ${look.wall}`);
  return broken;
}

/** A2: no firing takes back two stages, and no flip goes back by alerts twice. */
export function alertTookBackOnce(history: History, state: State, recorded: Recorded): readonly string[] {
  const found = byAlert(recorded.event);
  if (found === undefined) return [];
  const earlier = before(history, state, recorded);
  const flip = flipsOf(earlier, found.event.stages[0]).at(-1)?.seq ?? 0;
  return earlier.flatMap(({ event, seq }) => {
    const other = byAlert(event);
    if (other === undefined) return [];
    if (other.cause.alert === found.cause.alert) return [`${other.cause.alert} took two stages back`];
    const isSame = other.event.stages[0] === found.event.stages[0] && seq > flip;
    return isSame ? [`stage ${found.event.stages[0]} was taken back twice by alerts`] : [];
  });
}

/** A3: while alerts of two services were first heard of within a minute, no alert takes anything back. */
export function stormTookNothingBack(history: History, state: State, recorded: Recorded): readonly string[] {
  const { alertmanager } = history.outside;
  if (byAlert(recorded.event) === undefined || alertmanager === undefined) return [];
  const recent = alertmanager.heard().filter(({ key, at }) => {
    const begun = alertmanager.firing(key);
    const isNew = at < recorded.wall && at > recorded.wall - STORM_MS && at > state.startedWall;
    return isNew && begun !== undefined && isOfOurKind(history.plan, begun.firing);
  });
  const services = new Set(recent.map(({ service }) => service));
  return services.size < 2 ? [] : [`an alert rolled back in a storm of ${[...services].join(", ")}`];
}

/** A4: a firing that Belay has stored, that goes on and that may take a stage back, does so, whatever died in between. */
export class AlertIsActedOn implements SecondCheck {
  readonly #left = new Lasting();

  check(history: History, isCapable: boolean): readonly string[] {
    const { alertmanager } = history.outside;
    if (alertmanager === undefined || alertmanager.isStormy) return [];
    const now = { steady: history.now(), wall: history.now() };
    return history
      .states()
      .filter((state) => isLive(state) && !hasHold(state, "undo_by_hand"))
      .flatMap((state) =>
        alertmanager.takenAndFiring().flatMap((begun) => {
          const { alert } = begun;
          const effect = alertEffect(history.plan, state, alert, now);
          const isLeft = isOurs(history.plan, begun) && effect.kind === "undoes";
          const ms = this.#left.count(`${state.run} ${alert.key}`, isLeft, isCapable);
          return ms === ACTED_ON_WITHIN_MS ? [`${alert.key} should have taken a stage back long ago`] : [];
        }),
      );
  }
}
