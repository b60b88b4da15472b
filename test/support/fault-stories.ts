/** What Belay does while something outside is broken, each story on one lane, told as what went wrong and with figures for people. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Told } from "../../demo/world/loopback.ts";
import type { FakeSlack } from "../fakes/slack/server.ts";
import { until } from "./eventually.ts";
import type { Ground } from "./ground.ts";
import { type Lane, POLL_MS, type Walk } from "./lanes.ts";
import { flagsIn } from "./short-world.ts";

const QUERY_TIMEOUT_MS = 2_000;
/** From the fault to the hold: one poll, its deadline, and the machine. */
const HELD_WITHIN_MS = POLL_MS + QUERY_TIMEOUT_MS + 1_500;
const BACK_WITHIN_MS = 15_000;
/** What a rollback may take longer without Slack, for the machine's sake. */
const SAME_TIME_MS = 500;
/** A blind stretch is bordered by polls: this much around each one is nobody's soak. */
const OFF_BY_MS = 150;

/** One way in which Prometheus gives no evidence. */
export interface Blindness {
  readonly name: string;
  readonly begin: () => unknown;
  readonly end: () => unknown;
  /** What hold, status and card say of it, with the guard. */
  readonly says: RegExp;
}

/** What stories collect. */
export class Notes {
  readonly wrong: string[] = [];
  readonly lines: string[] = [];

  expect(holds: boolean, wrong: string): void {
    if (!holds) this.wrong.push(wrong);
  }
}

/** One blindness after the other in mid-soak; at the end the soak must have been covered without any of them. */
export async function blindStory(
  lane: Lane,
  faults: readonly Blindness[],
  soakMs: number,
  told: (name: string) => Notes,
): Promise<void> {
  const enabled = await lane.begin();
  let from = enabled.seq;
  let blindMs = 0;
  for (const fault of faults) {
    const notes = told(fault.name);
    try {
      const ended = await blindOnce(lane, fault, from, notes);
      from = ended.resumed.seq;
      blindMs += ended.resumed.at - ended.held.at;
    } catch (error) {
      notes.wrong.push(String(error));
      await fault.end();
      return;
    }
  }
  if (lane.announced) await lane.cardSays("SOAKING");
  const last = told(faults.at(-1)?.name ?? "");
  const passed = await lane.event("soak_passed", { after: from, withinMs: soakMs + BACK_WITHIN_MS });
  await lane.event("stage_started", { after: passed.seq });
  const took = passed.at - enabled.at;
  last.expect(
    took >= soakMs + blindMs - OFF_BY_MS,
    `the soak of ${soakMs} ms passed after ${Math.round(took)} ms, ${Math.round(blindMs)} ms of which were blind`,
  );
  last.lines.push(
    `${lane.name}: soak of ${soakMs} ms passed after ${Math.round(took)} ms, blind for ${Math.round(blindMs)} ms of them`,
  );
}

async function blindOnce(
  lane: Lane,
  fault: Blindness,
  from: number,
  notes: Notes,
): Promise<{ readonly held: Told; readonly resumed: Told }> {
  // In the midst of a soak: after a poll that passed.
  await lane.morePolls(1);
  const began = Date.now();
  await fault.begin();
  const held = await lane.event("held", { after: from, withinMs: HELD_WITHIN_MS + 2_000 });
  notes.expect(held.event["reason"] === "blind", `held as ${String(held.event["reason"])}`);
  notes.expect(
    held.wall - began <= HELD_WITHIN_MS,
    `held only ${held.wall - began} ms after the fault began`,
  );
  const detail = String(held.event["detail"]);
  notes.expect(fault.says.test(detail), `the hold says: ${detail}`);
  const status = await lane.status();
  notes.expect(status.includes("HELD, BLIND") && fault.says.test(status), `status says: ${status}`);
  if (lane.announced) await lane.cardSays("HELD, BLIND", "so nothing advances", fault.says);
  await lane.morePolls(2);
  notes.expect(lane.flags().join() === "true,false", `flags while blind: ${lane.flags().join()}`);
  const cleared = Date.now();
  await fault.end();
  const resumed = await lane.event("resumed", { after: held.seq, withinMs: BACK_WITHIN_MS });
  notes.expect(resumed.wall >= cleared, "resumed before there was evidence");
  const between = (await lane.events()).filter(({ seq }) => seq > from && seq <= resumed.seq);
  const moved = between.filter(({ event }) =>
    ["stage_started", "soak_passed", "rollback_started", "quarantined"].includes(event.kind),
  );
  notes.expect(moved.length === 0, `while blind: ${moved.map(({ event }) => event.kind).join(", ")}`);
  notes.lines.push(
    `${fault.name}: held after ${held.wall - began} ms (${detail}), resumed ${resumed.wall - cleared} ms after it ended, blind ${Math.round(resumed.at - held.at)} ms`,
  );
  return { held, resumed };
}

/** A person sets the flag of the soaking stage off by hand: Belay holds, says so, and never turns it on again, not even when it is resumed. */
export async function handOffStory(lane: Lane, notes: Notes): Promise<void> {
  const enabled = await lane.begin();
  lane.edit((text) => text.replace('"value": "true"', '"value": "false"'));
  const edited = Date.now();
  const held = await lane.event("held", { after: enabled.seq });
  notes.lines.push(`a person's OFF: held after ${held.wall - edited} ms: ${String(held.event["detail"])}`);
  notes.expect(held.event["reason"] === "drift", `held as ${String(held.event["reason"])}`);
  await lane.cardSays("HELD", "one was set OFF by somebody");
  await lane.messageSays("alert:", "somebody changed a flag", "one was set OFF by somebody");
  await lane.morePolls(3);
  notes.expect(lane.flags().join() === "false,false", `flags after a person's OFF: ${lane.flags().join()}`);
  const resumed = await lane.world.command(`rollout resume ${lane.name}`);
  notes.expect(resumed.ok, `resume: ${resumed.text}`);
  await lane.morePolls(3);
  notes.expect(lane.flags().join() === "false,false", `flags after the resume: ${lane.flags().join()}`);
  const started = (await lane.events()).filter(({ event }) => event.kind === "stage_started");
  notes.expect(started.length === 1, `${started.length} stages were started`);
}

/** A person turns the next stage's flag on by hand: Belay holds and leaves it. */
export async function handOnStory(lane: Lane, notes: Notes): Promise<void> {
  const enabled = await lane.begin();
  lane.edit((text) => text.replace('"value": "false"', '"value": "true"'));
  const edited = Date.now();
  const held = await lane.event("held", { after: enabled.seq });
  notes.lines.push(
    `a person's ON ahead of plan: held after ${held.wall - edited} ms: ${String(held.event["detail"])}`,
  );
  notes.expect(held.event["reason"] === "drift", `held as ${String(held.event["reason"])}`);
  const status = await lane.status();
  notes.expect(
    status.includes("HELD") && status.includes("two was set ON by somebody before its stage"),
    `status says: ${status}`,
  );
  await lane.morePolls(3);
  notes.expect(lane.flags().join() === "true,true", `flags after a person's ON: ${lane.flags().join()}`);
  const started = (await lane.events()).filter(({ event }) => event.kind === "stage_started");
  notes.expect(started.length === 1, `${started.length} stages were started`);
}

/** Somebody breaks the file's text just before the rollback: the OFF is written over it, and what was there is kept beside. */
export async function brokenFileStory(lane: Lane, notes: Notes): Promise<void> {
  const enabled = await lane.begin();
  const broken = "{ this is no JSON";
  lane.edit(() => broken);
  lane.relay.tell("bad");
  const decided = await lane.event("rollback_started", { after: enabled.seq });
  const off = await lane.event("rollback_off", { after: decided.seq });
  lane.relay.honest();
  notes.lines.push(`a broken file: off ${Math.round(off.at - decided.at)} ms after the decision`);
  notes.expect(off.at - decided.at <= 2_000, `off only ${Math.round(off.at - decided.at)} ms later`);
  notes.expect(lane.flags()[0] === "false", `flags after the rollback: ${lane.flags().join()}`);
  const folder = dirname(lane.flagsPath);
  const kept = readdirSync(folder).filter((name) => name.startsWith(`${basename(lane.flagsPath)}.broken-`));
  const texts = kept.map((name) => readFileSync(join(folder, name), "utf8"));
  notes.expect(texts.includes(broken), `what somebody broke was not kept: ${kept.join(", ")}`);
}

/** The file cannot be written at all in mid-rollback: Belay says so, goes on trying, and ends the rollback as soon as it can. */
export async function unwritableStory(lane: Lane, notes: Notes): Promise<void> {
  const enabled = await lane.begin();
  const text = readFileSync(lane.flagsPath, "utf8");
  // A folder in its place, which nothing can replace while something is in it, not even for root.
  rmSync(lane.flagsPath);
  mkdirSync(join(lane.flagsPath, "in-the-way"), { recursive: true });
  lane.relay.tell("bad");
  const decided = await lane.event("rollback_started", { after: enabled.seq });
  const status = await lane.status();
  notes.expect(status.includes("ROLLING BACK"), `status says: ${status}`);
  await lane.messageSays("alert:", "ROLLING BACK");
  await lane.morePolls(2);
  const meanwhile = (await lane.events()).filter(({ seq }) => seq > decided.seq);
  notes.expect(
    !meanwhile.some(({ event }) => event.kind === "rollback_off" || event.kind === "flip_verified"),
    "it says off although nothing could be written",
  );
  rmSync(lane.flagsPath, { recursive: true });
  writeFileSync(lane.flagsPath, text);
  const mended = Date.now();
  const off = await lane.event("rollback_off", { after: decided.seq });
  lane.relay.honest();
  notes.lines.push(
    `a file that cannot be written: decided, then off ${off.wall - mended} ms after somebody mended it`,
  );
  notes.expect(
    off.wall - mended <= 6_000,
    `off only ${off.wall - mended} ms after the file could be written`,
  );
  notes.expect(lane.flags()[0] === "false", `flags after the rollback: ${lane.flags().join()}`);
  await until("no left-overs", () => existsSync(lane.flagsPath));
  await lane.messageSays("alert:", "ROLLED BACK", "one OFF");
}

/** The service dies of its own flag: rolled back because the target is down, although its metrics say nothing any more. */
export async function crashStory(walk: Walk, ground: Ground, notes: Notes): Promise<void> {
  await ground.probe.misbehave("crash");
  await walk.begin();
  const on = await walk.event("stage_enabled", { holds: (event) => event["stage"] === 1 });
  const decided = await walk.event("rollback_started", { after: on.seq });
  const cause = JSON.stringify(decided.event["cause"]);
  notes.expect(cause.includes('"target_down"'), `rolled back because of ${cause}`);
  const off = await walk.event("rollback_off", { after: decided.seq });
  await walk.event("recovered", { after: off.seq, withinMs: 30_000 });
  await walk.messageSays("alert:", "the service is down (alive: ", "parallel OFF");
  const values = flagsIn(ground.flagsPath);
  notes.expect(values["FEATURE_PARALLEL"] === "false", `parallel is ${values["FEATURE_PARALLEL"]}`);
  notes.expect(values["FEATURE_PARSE_CACHE"] === "true", "the harmless flag did not stay on");
  notes.lines.push(
    `the service killed by its flag: off ${Math.round(off.at - on.at)} ms after it was on, ${ground.service.crashes()} deaths, cause ${cause}`,
  );
}

/** Rollbacks with Slack and, at the same time and beside them, without it take the same time; afterwards the channels are brought up to date. */
export async function slackDownStory(
  withSlack: readonly Lane[],
  without: readonly Lane[],
  slack: FakeSlack,
  notes: Notes,
): Promise<void> {
  await Promise.all([...withSlack, ...without].map((lane) => lane.begin()));
  await Promise.all([...withSlack, ...without].map((lane) => lane.cardSays("SOAKING")));
  await slack.down();
  const [timesWith, timesWithout] = await Promise.all(
    [withSlack, without].map((lanes) => Promise.all(lanes.map((lane) => timeOfRollback(lane)))),
  );
  for (const lane of without) {
    notes.expect(lane.flags()[0] === "false", `${lane.name}: flags without Slack: ${lane.flags().join()}`);
    const status = await lane.status();
    notes.expect(status.includes("OFF, LOOKING"), `status without Slack: ${status}`);
    const told = lane.messages().filter(({ key }) => key.startsWith("alert:"));
    notes.expect(told.length === 0, `${lane.name}: the channel has an alert although Slack is gone`);
  }
  await slack.up();
  const back = Date.now();
  for (const lane of without) await lane.messageSays("alert:", "ROLLED BACK", "one OFF");
  const toldMs = Date.now() - back;
  for (const lane of without) {
    await lane.cardSays(/OFF, LOOKING|ROLLED BACK/);
    await lane.messageSays("note:", "rolls back one OFF");
    const keys = lane.messages().map(({ key }) => key);
    const kinds = keys.map((key) => key.split(":")[0]).filter((kind) => kind !== "note");
    notes.expect(kinds.join() === "card,alert", `${lane.name}: the channel has, in order, ${kinds.join()}`);
    notes.expect(new Set(keys).size === keys.length, `${lane.name}: told twice: ${keys.join()}`);
  }
  const [usual, alone] = [median(timesWith ?? []), median(timesWithout ?? [])];
  notes.lines.push(
    `bad data to OFF with Slack ${timesWith?.join(", ")} ms, without ${timesWithout?.join(", ")} ms; told ${toldMs} ms after Slack was back, cards right after ${Date.now() - back} ms`,
  );
  notes.expect(
    alone <= usual + SAME_TIME_MS,
    `a rollback took ${alone} ms without Slack, ${usual} ms with it`,
  );
}

/** From the first bad answer to the flag read back as off, ms. */
async function timeOfRollback(lane: Lane): Promise<number> {
  await lane.morePolls(1);
  const began = Date.now();
  lane.relay.tell("bad");
  const off = await lane.event("rollback_off");
  lane.relay.honest();
  return off.wall - began;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
