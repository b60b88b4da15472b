/** A step of the bots' story: the last flag of a rollout is bad, the real alert fires, and Belay takes the flag back for it. */
import { z } from "zod";
import { Follower } from "../story.ts";
import type { Told } from "../world/loopback.ts";
import {
  type Cast,
  type Measured,
  paged,
  pageNow,
  resolved,
  shown,
  soon,
  TOLD_WITHIN_MS,
  type,
} from "./bots-cast.ts";
import { OPS } from "./bots-world.ts";

const ALERT = "HighErrorRate";
const FLAG = "new-model";
const STAGES = ["baseline", "response-cache", "streaming-replies", FLAG];
const CHANGES = ["response-cache ON", "streaming-replies ON", `${FLAG} ON`, `${FLAG} OFF`];
const LAST = STAGES.length - 1;
const CALM_WITHIN_MS = 30_000;
/** A stage soaks at least as long as its guards look back; four planned hours on top of that. */
const LEAST_WALK_MS = 60_000;
const PLANNED_HOURS = 4;
const ALERT_WITHIN_MS = 30_000;
const OFF_SEEN_WITHIN_MS = 45_000;
const RECOVERED_WITHIN_MS = 60_000;
/** From the webhook to the flag off and read back; the bench measures it closely, the story only that it is of this order. */
const OFF_WITHIN_MS = 2_000;

const firingSchema = z.array(z.object({ labels: z.looseObject({ alertname: z.string() }) }));
const causeSchema = z.object({
  kind: z.string(),
  name: z.string().optional(),
  alert: z.string().optional(),
  detail: z.string().optional(),
  sinceFlipMs: z.number().optional(),
});

/** The rollout walks to its last stage, whose model the model server does not have. */
export async function alertRollsBack(cast: Cast): Promise<Measured> {
  const { scene, began, say, expect, tell } = cast;
  const { probe } = scene.world;
  await calm(cast);
  await probe.control({ misbehave: "errors" });
  say("armed", { flag: FLAG, how: "it asks for a model that is not there" });
  const follower = new Follower(scene, { rollout: "bots", stages: STAGES, began }, tell);
  await type(cast, "ana", OPS, "/rollout start bots");
  const walkWithinMs = LEAST_WALK_MS + PLANNED_HOURS * scene.speed * 1_000;
  const flip = await follower.until("stage_started", walkWithinMs, 0, (event) => event["stage"] === LAST);
  const serviceOff = offAgain(cast);
  const started = await follower.until("rollback_started", ALERT_WITHIN_MS);
  const off = await follower.until("rollback_off", TOLD_WITHIN_MS);
  const serviceOffWall = await serviceOff;
  const cause = causeSchema.parse(started.event["cause"]);
  const received = scene.alerts
    .passed()
    .find(({ alert }) => alert.key === cause.alert && alert.status === "firing");
  say("alert_received", { alert: received?.alert.labels["alertname"] }, received?.wall);
  say("service_saw_off", { flag: FLAG }, serviceOffWall);
  const message = await shown(cast, OPS, [`alert ${ALERT} fired`, `after ${FLAG} went live`, "[Ack]"]);
  const pressed = await scene.slack.click("ana", OPS, message.ts, { text: "Ack" });
  say("pressed", { by: "ana", button: "Ack" });
  const recovered = await follower.until("recovered", RECOVERED_WITHIN_MS);
  await probe.control({ misbehave: "none" });
  const page = await paged(cast, ALERT);
  const resolvedWall = await resolved(cast, page);
  say("page_resolved", { title: page.title, by: "Belay" }, resolvedWall);
  const { flags } = await probe.features();
  const breaches = guardBreaches(follower.seen, started);
  expect(cause.kind === "alert" && cause.name === ALERT, `it was the alert: ${JSON.stringify(cause)}`);
  expect(breaches.length === 0, `no guard was in breach before: ${breaches.join(", ")}`);
  expect(received !== undefined, "the alert came by the webhook");
  const offMs = off.wall - (received?.wall ?? Number.NaN);
  expect(offMs < OFF_WITHIN_MS, `off within ${OFF_WITHIN_MS} ms of the webhook, took ${offMs}`);
  expect(flags[FLAG] === "false" && flags["response-cache"] === "true", "the newest flag is off, no other");
  expect(flags["streaming-replies"] === "true", "streaming-replies stays on");
  expect(pressed.outcome === "ok", `the button: ${pressed.outcome}`);
  expect(pageNow(cast, page).level === 1, "the page of the rollback was acknowledged in time");
  await changesTold(cast);
  return {
    rolled_back_by: { kind: cause.kind, name: cause.name, detail: cause.detail },
    guard_on_errors: `not judged in ${FLAG}, so that the alert on the same figure is first`,
    guards_in_breach_before: breaches,
    flip_to_alert_ms: cause.sinceFlipMs,
    flip_to_off_ms: off.wall - flip.wall,
    alert_received_to_decided_ms: started.wall - (received?.wall ?? Number.NaN),
    alert_received_to_flag_off_ms: offMs,
    alert_received_to_service_off_ms: serviceOffWall - (received?.wall ?? Number.NaN),
    off_to_recovered_ms: recovered.wall - off.wall,
    flags,
  };
}

/** Wall ms at which the bots first said that the flag is off, after they had said that it is on. */
function offAgain({ scene: { world } }: Cast): Promise<number> {
  let wasOn = false;
  return soon(
    `the bots have ${FLAG}, and then have it no more`,
    async () => {
      const now = (await world.probe.features()).flags[FLAG];
      wasOn ||= now === "true";
      return wasOn && now === "false" ? Date.now() : undefined;
    },
    OFF_SEEN_WITHIN_MS,
  );
}

/** What the killed model server had set off is over; else the alert would not begin anew. */
function calm({ scene }: Cast): Promise<true> {
  return soon(
    "no alert fires but the one that always does",
    async () => {
      const response = await fetch(`${scene.world.urls.alertmanager}/api/v2/alerts`);
      const firing = firingSchema.parse(await response.json());
      return firing.every(({ labels }) => labels.alertname === "Watchdog") ? true : undefined;
    },
    CALM_WITHIN_MS,
  );
}

function guardBreaches(seen: readonly Told[], before: Told): readonly string[] {
  return seen
    .filter(
      ({ seq, event }) =>
        seq < before.seq && event.kind === "verdict_changed" && event["verdict"] === "breach",
    )
    .map(({ event }) => String(event["guard"]));
}

/** PagerDuty's timeline has each change of a flag once: three on, the last one off again. */
async function changesTold({ scene: { pagerduty }, expect }: Cast): Promise<void> {
  const changes = () =>
    pagerduty.changes().flatMap(({ summary }) => {
      const [, flag, to, from] = /: (\S+) is (\S+) \(was (\S+)\)/.exec(summary) ?? [];
      return to === from ? [] : [`${flag} ${to}`];
    });
  await soon("four changes at PagerDuty", () => (changes().length >= 4 ? true : undefined));
  expect(
    changes().toSorted().join() === CHANGES.toSorted().join(),
    `the changes at PagerDuty are ${CHANGES.join(", ")}; found ${changes().join(", ")}`,
  );
}
