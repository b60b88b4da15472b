/** Rehearsals in the whole engine, on virtual time: what refuses a start, what of a live rollout is paged, and what the list warns of. */
import { beforeEach, expect, it } from "vitest";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { CommandAnswer } from "../../src/engine/messages.ts";
import type { FlagRehearsal, Log } from "../../src/engine/ports.ts";
import { MONDAY } from "../core/walk.ts";
import { createDisk, journalOn } from "../simulation/journal.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SMALL_PLAN, SmallWorld } from "../support/slack-engine.ts";

const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const WELL: FlagRehearsal = { readMs: 1, writeMs: 1, problems: [], warnings: [] };
const DENIED: FlagRehearsal = { ...WELL, writeMs: undefined, problems: ["403: the token may not write"] };
/** Polled seldom enough to let hours pass. */
const PLAN: Plan = {
  ...SMALL_PLAN,
  guards: SMALL_PLAN.guards.map((guard) => ({ ...guard, intervalMs: 10 * SECOND, windowMs: 10 * SECOND })),
  stages: SMALL_PLAN.stages.map((stage) => ({
    ...stage,
    atMs: stage.atMs === 0 ? 0 : 12 * HOUR,
    substages: stage.substages.map((sub) => ({ ...sub, soakMs: 12 * HOUR })),
  })),
  scrapeMs: 10 * SECOND,
};

let clock: ManualClock;
let disk = createDisk();
let world: SmallWorld;
let rehearsed = 0;
let rehearse: () => Promise<FlagRehearsal>;
let engine: Engine;
let keys = 0;
/** Writes are never answered. */
let isDeaf = false;
let warnings: readonly string[] = [];

beforeEach(async () => {
  clock = new ManualClock(MONDAY);
  disk = createDisk();
  world = new SmallWorld();
  rehearsed = 0;
  rehearse = async () => WELL;
  warnings = [];
  isDeaf = false;
  await boot();
});

/** Starts Belay, again or for the first time, on what is on the disk. */
async function boot(): Promise<void> {
  const { service } = world;
  engine = new Engine({
    clock,
    ids: { hash: (text) => `h${text.length}` },
    log: SILENT,
    journal: journalOn(disk, async (_name, transaction) => transaction()),
    spool: { append: () => undefined, read: () => [], clear: () => undefined },
    chat: { post: async () => undefined, update: async () => undefined },
    plans: () => new Map([[PLAN.rollout, PLAN]]),
    warnings: () => warnings,
    connect: () => ({
      ...service,
      readEveryMs: 20 * SECOND,
      flags: {
        ...service.flags,
        write: (writes) => (isDeaf ? new Promise(() => undefined) : service.flags.write(writes)),
        rehearse: () => {
          rehearsed++;
          return rehearse();
        },
      },
    }),
    mayOf: () => ({ operator: true, groups: [] }),
    defaultChannel: undefined,
    refreshMs: MINUTE,
    zone: "UTC",
  });
  await engine.start();
}

/** A command is typed; its answer comes when time goes on. */
async function typed(text: string): Promise<{ readonly answer: Promise<CommandAnswer> }> {
  keys++;
  const accepted = await engine.submit({
    key: `k${keys}`,
    text,
    actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
    replyTo: { kind: "none" },
  });
  if (accepted.kind !== "accepted") throw new Error(accepted.kind);
  return { answer: accepted.answer };
}

async function command(text: string, withinMs = SECOND): Promise<CommandAnswer> {
  const { answer } = await typed(text);
  await clock.advance(withinMs);
  return answer;
}

function events<K extends RolloutEvent["kind"]>(kind: K): readonly Extract<RolloutEvent, { kind: K }>[] {
  const all = [...disk.events.values()].flat().map(({ event }) => event);
  return all.filter((event): event is Extract<RolloutEvent, { kind: K }> => event.kind === kind);
}

it("a start over a flag system that hangs is refused after ten seconds, without a trace", async () => {
  rehearse = () => new Promise(() => undefined);
  const from = clock.now().steady;
  const answer = await command("rollout start parser", 11 * SECOND);
  expect(answer).toMatchObject({ ok: false, code: "rehearsal" });
  expect(answer.text).toMatch(
    /a rollback of CACHE and PARALLEL would fail: no answer in 10 s\..*Nothing changed\.$/,
  );
  expect(clock.now().steady - from).toBe(11 * SECOND);
  expect(engine.runs()).toEqual([]);
  expect(disk.events.size).toBe(0);
});

it("two starts at once rehearse each flag once", async () => {
  const answers = await Promise.all([command("rollout start parser"), command("rollout start parser")]);
  expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
  expect(rehearsed).toBe(2);
});

it("a token that loses its rights while a rollout is live is paged once, and again only after it was mended", async () => {
  expect(await command("rollout start parser")).toMatchObject({ ok: true });
  await clock.advance(5 * MINUTE);
  expect(world.isOn("cache")).toBe(true);
  const atStart = rehearsed;
  rehearse = async () => DENIED;
  await clock.advance(50 * MINUTE);
  expect(rehearsed).toBe(atStart);
  await clock.advance(10 * MINUTE);
  expect(events("paged")).toEqual([
    expect.objectContaining({
      severity: "P1",
      summary: expect.stringMatching(
        /^parser: a rollback of CACHE and PARALLEL would fail: 403: the token may not write\./,
      ),
    }),
  ]);
  // Neither the hours nor a restart page anew for what is still so.
  await clock.advance(HOUR + MINUTE);
  engine.stop();
  await boot();
  await clock.advance(HOUR + MINUTE);
  expect(events("paged")).toHaveLength(1);
  expect(events("held")).toEqual([]);
  rehearse = async () => WELL;
  expect(await command("rollout rehearse parser")).toMatchObject({ ok: true, code: "rehearsed" });
  rehearse = async () => DENIED;
  await clock.advance(HOUR + MINUTE);
  expect(events("paged")).toHaveLength(2);
}, 30_000);

it("no stage begins beside a rehearsal, and a rollback does not wait for one", async () => {
  const begin = new Date(MONDAY + 5 * MINUTE).toISOString().slice(11, 16);
  expect(await command(`rollout start parser at=${begin}`)).toMatchObject({ ok: true });
  await clock.advance(MONDAY + 5 * MINUTE - 3 * SECOND - clock.now().wall);
  rehearse = () => new Promise(() => undefined);
  const first = await typed("rollout rehearse parser");
  await clock.advance(9 * SECOND);
  expect(events("stage_started")).toEqual([]);
  await clock.advance(20 * SECOND);
  expect(await first.answer).toMatchObject({ ok: false, code: "rehearsal" });
  expect(events("stage_started")).toHaveLength(1);
  await clock.advance(MINUTE);
  expect(world.isOn("cache")).toBe(true);
  const second = await typed("rollout rehearse parser");
  await clock.advance(SECOND);
  expect(await command("rollout rollback all")).toMatchObject({ ok: true });
  expect(world.isOn("cache")).toBe(false);
  await clock.advance(10 * SECOND);
  expect(await second.answer).toMatchObject({ ok: false });
}, 30_000);

it("no rehearsal begins beside flips: it would write what a flag held when it was read", async () => {
  isDeaf = true;
  expect(await command("rollout start parser")).toMatchObject({ ok: true });
  await clock.advance(SECOND);
  expect(events("stage_started")).toHaveLength(1);
  const before = rehearsed;
  const answer = await command("rollout rehearse parser");
  expect(answer).toMatchObject({ ok: false, code: "rehearsal" });
  expect(answer.text).toMatch(/^Flags are being flipped by parser \(.+\); rehearse when they are read back/);
  expect(rehearsed).toBe(before);
});

it("the list tells what the tokens may do that they need not", async () => {
  warnings = ["flags/parser: the token may delete flags"];
  const { lines } = await command("rollout list");
  expect(lines.slice(-2)).toEqual(["Worth knowing:", ...warnings]);
  warnings = [];
  expect((await command("belay list")).lines.join("\n")).not.toContain("Worth knowing");
});
