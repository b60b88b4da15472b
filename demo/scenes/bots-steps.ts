/** Steps of the bots' story: the watch is up, a dependency is killed, a page goes unacknowledged, and the daily post. */
import { BEN } from "../../test/fakes/pagerduty/server.ts";
import { answers } from "../bots/managed.ts";
import {
  type Cast,
  firstSaid,
  logged,
  type Measured,
  paged,
  pageNow,
  resolved,
  shown,
  soon,
  TOLD_WITHIN_MS,
  type,
} from "./bots-cast.ts";
import { WATCH } from "./bots-house.ts";
import { ACK_WITHIN_MS, OPS, USERS_CHANNEL } from "./bots-world.ts";

const RECOVERED_WITHIN_MS = 5 * 60_000;
/** From the deadline to the next person asked: the deadlines are looked at every second, and PagerDuty is asked first. */
const ESCALATED_SOON_MS = 4_000;
const COMPLAINT = "a customer reads answers that are not meant for them";

/** Every probe has looked, and all is well; somebody asks and reads so. */
export async function watchIsUp(cast: Cast): Promise<Measured> {
  const { scene, say } = cast;
  const wall = Date.now();
  const lines = await soon("every probe is well", async () => {
    const { lines } = await scene.command("health");
    return lines.length > 0 && lines.every((line) => /: well (?:at least )?since /.test(line))
      ? lines
      : undefined;
  });
  const ready = Date.now() - wall;
  say("watch_up", { watch: WATCH, probes: lines.length });
  await type(cast, "ana", OPS, "/belay health");
  await shown(cast, OPS, ["all well", `${WATCH}/ollama`], "ana");
  return { probes: lines.length, watch_ready_ms: ready };
}

/** `kill -9` to the model server: users are told, on-call is paged, Belay restarts it, and all of that ends by itself. */
export async function dependencyKilled(cast: Cast): Promise<Measured> {
  const { scene, say, expect } = cast;
  const { model } = scene.world;
  const killedWall = Date.now();
  const killed = model.kill();
  say("killed", { what: "the model server", pid: killed, signal: "SIGKILL" }, killedWall);
  const restarting = soon("the model server runs again", async () => {
    const pid = model.pid();
    return pid !== undefined && pid !== killed && (await answers(model.upUrl)) ? Date.now() : undefined;
  });
  const notice = await shown(cast, USERS_CHANNEL, ["bots is degraded"]);
  const degradedWall = firstSaid(notice, "is degraded");
  say("users_told", { channel: USERS_CHANNEL, text: notice.text }, degradedWall);
  const page = await paged(cast, "ollama of bots");
  say("paged", { title: page.title, asked: page.assigned.map(({ name }) => name) }, page.createdAt);
  const restartedWall = await restarting;
  say("restarted", { pid: model.pid() ?? 0 }, restartedWall);
  const over = await shown(cast, USERS_CHANNEL, ["bots is back to normal"]);
  const overWall = firstSaid(over, "back to normal");
  say("users_told", { channel: USERS_CHANNEL, text: over.text }, overWall);
  const resolvedWall = await resolved(cast, page);
  say("page_resolved", { title: page.title, by: "Belay" }, resolvedWall);
  await shown(cast, OPS, ["ollama is well again", "recovered in", "(within 5 min)"]);
  await shown(cast, OPS, ["P0 ollama of bots", "resolved by Belay"]);
  const end = pageNow(cast, page);
  expect(over.ts === notice.ts, "the users' notice was edited in place");
  expect(page.title.startsWith("P0 "), `the page is a P0: ${page.title}`);
  expect(end.level === 1 && end.triggers === 1, "the page was sent once and not escalated");
  expect(
    end.log.find(({ type }) => type === "resolve_log_entry")?.agent === "service",
    "the page was resolved by an event, not by a person",
  );
  expect(overWall - killedWall < RECOVERED_WITHIN_MS, "recovered within 5 minutes");
  return {
    kill_to_users_told_ms: degradedWall - killedWall,
    kill_to_page_ms: page.createdAt - killedWall,
    kill_to_restarted_ms: restartedWall - killedWall,
    kill_to_recovery_told_ms: overWall - killedWall,
    kill_to_page_resolved_ms: resolvedWall - killedWall,
    users_read: [notice.text, over.text],
  };
}

/** Somebody pages and nobody acknowledges: Belay asks the next person through PagerDuty's REST API, who acknowledges there. */
export async function pageEscalated(cast: Cast): Promise<Measured> {
  const { scene, say, expect } = cast;
  const { pagerduty } = scene;
  await type(cast, "ana", OPS, `/belay oncall page P1 bots "${COMPLAINT}"`);
  const page = await paged(cast, COMPLAINT);
  say("paged", { title: page.title, asked: page.assigned.map(({ name }) => name) }, page.createdAt);
  const escalatedWall = await soon(
    "the page is escalated",
    () => logged(pageNow(cast, page), "escalate_log_entry"),
    ACK_WITHIN_MS + TOLD_WITHIN_MS,
  );
  const moved = pageNow(cast, page);
  const by = moved.log.find(({ type }) => type === "escalate_log_entry")?.agent;
  say("escalated", { level: moved.level, asked: moved.assigned.map(({ name }) => name) }, escalatedWall);
  await shown(cast, OPS, [COMPLAINT, "to level 2 through PagerDuty, by Belay"]);
  const acknowledgedWall = Date.now();
  pagerduty.acknowledge(page.dedupKey, BEN);
  const event = pagerduty.event("incident.acknowledged", page.dedupKey, { by: BEN });
  const status = await pagerduty.sendWebhook(scene.pagerdutyHook, event);
  say("acknowledged", { by: BEN.name, via: "webhook v3", status }, acknowledgedWall);
  const told = await shown(cast, OPS, [COMPLAINT, `acknowledged by ${BEN.name} (PagerDuty)`]);
  const toldWall = firstSaid(told, "is acknowledged");
  await type(cast, "ana", OPS, '/belay oncall resolve because "it was an old screenshot"');
  const resolvedWall = await resolved(cast, page);
  say("page_resolved", { title: page.title, by: "ana" }, resolvedWall);
  const waited = escalatedWall - page.createdAt;
  expect(
    typeof by === "object" && by.email === pagerduty.fromEmail,
    "it was Belay who asked the next person, by the REST API",
  );
  expect(moved.level === 2 && moved.assigned.some(({ name }) => name === BEN.name), "level 2 was asked");
  expect(pageNow(cast, page).level === 2, "an acknowledged page goes no further");
  expect(status === 202, `the webhook was taken: ${status}`);
  expect(
    // The deadline runs from the moment Belay opened the page, a little before PagerDuty had it.
    waited > ACK_WITHIN_MS - 1_000 && waited < ACK_WITHIN_MS + ESCALATED_SOON_MS,
    `escalated ${ACK_WITHIN_MS} ms after the page, took ${waited}`,
  );
  return {
    ack_within_ms: ACK_WITHIN_MS,
    page_to_escalated_ms: waited,
    acknowledged_to_told_ms: toldWall - acknowledgedWall,
  };
}

/** The daily post, asked for now: it tells of the restart and of the rollout that is live. */
export async function dailyPost(cast: Cast): Promise<Measured> {
  const { scene, say, expect } = cast;
  const askedWall = Date.now();
  await type(cast, "ana", OPS, "/belay schedule run morning");
  const post = await shown(cast, OPS, ["Health ", "checks"]);
  const text = scene.slack.textOf(post);
  say("posted", { text: post.text }, post.history[0]?.at);
  expect(text.includes("1 auto-restart (ollama "), "the post tells of the restart");
  expect(!text.includes("FAILING"), "no probe fails");
  expect(text.includes("rollouts 1 live"), "the post tells of the rollout");
  expect(text.includes("on-call Ana Lima"), "the post names who is on call");
  return { asked_to_posted_ms: (post.history[0]?.at ?? Number.NaN) - askedWall, post: text };
}
