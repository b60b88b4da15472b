/** Measures a real rollout over and over: Enter to flag, ack and card; breach visible to OFF. Real service, Prometheus, Belay process, stand-in Slack. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createEye } from "../demo/world/eye.ts";
import type { Told } from "../demo/world/loopback.ts";
import { startWorld, type World } from "../demo/world/world.ts";

const CHANNEL = "ingestion-ops";
const KEY = "FEATURE_PARALLEL";
const PATIENCE_MS = 60_000;
/** The guards' window is 5 s: after that nothing of the last round is left in it. */
const CLEAR_MS = 6_000;

export interface Rounds {
  readonly visibleToOff: readonly number[];
  readonly typedToAck: readonly number[];
  readonly typedToFlag: readonly number[];
  readonly typedToCard: readonly number[];
  readonly offToService: readonly number[];
}

/** A rollout of one stage that soaks for an hour, so that each round starts and ends it. */
function writeHouse(dir: string, flagsFile: string): string {
  const house = join(dir, "house");
  for (const folder of ["flags", "schedules"]) mkdirSync(join(house, folder), { recursive: true });
  writeFileSync(join(house, "flags/ingestion.yaml"), flagsFile);
  const schedule =
    "rollout: bench\nflags: ingestion\nchannel: '#ingestion-ops'\nstages:\n  - { at: 0h, name: parallel, enable: parallel, soak: 1h }\n";
  writeFileSync(join(house, "schedules/bench.yaml"), schedule);
  return house;
}

async function until<T>(what: string, look: () => Promise<T | undefined>, everyMs = 10): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await delay(everyMs);
  }
}

/** The first event of this kind in the newest live or just ended run. */
async function untilEvent(world: World, run: string, kind: string): Promise<Told> {
  return until(kind, async () => (await world.events(run, 1)).find((one) => one.event.kind === kind), 25);
}

async function newestRun(world: World, known: ReadonlySet<string>): Promise<string> {
  return until("a new run", async () => (await world.runs()).find((one) => !known.has(one.run))?.run);
}

/** One round: type, see flag and card, break, see it taken back, mend, unlock. */
async function round(
  world: World,
  known: Set<string>,
  out: { [K in keyof Rounds]: number[] },
): Promise<void> {
  const typed = performance.now();
  const card = world.slack
    .waitFor("message", (message) => JSON.stringify(message).includes('"card:'))
    .then(() => performance.now());
  const flag = until(
    "flag on",
    async () => ((await world.probe.features()).flags[KEY] === "true" ? performance.now() : undefined),
    5,
  );
  const reaction = await world.slack.type("ana", CHANNEL, "/rollout enable parallel");
  out.typedToAck.push(reaction.ackMs ?? Number.NaN);
  out.typedToFlag.push((await flag) - typed);
  out.typedToCard.push((await card) - typed);
  const run = await newestRun(world, known);
  known.add(run);
  // A random instant between two polls: the phase of the breach is not ours to choose.
  await delay(500 + Math.random() * 1_000);
  const eye = createEye(world);
  await world.probe.misbehave("errors");
  const visible = await eye.breachVisible;
  const off = await untilEvent(world, run, "rollback_off");
  out.visibleToOff.push(off.wall - visible.wall);
  out.offToService.push(Math.max(0, (await eye.serviceOff(KEY)) - off.wall));
  await world.probe.misbehave("none");
  await untilEvent(world, run, "rolled_back");
  await world.command('rollout unlock parallel because "bench"');
  await delay(CLEAR_MS);
}

/** Plays `rounds` rounds in a world of its own. */
export async function measureRounds(
  rounds: number,
  dir: string,
  flagsFile: string,
  tell: (line: string) => void,
): Promise<Rounds> {
  const world = await startWorld({ speed: 3_600, house: writeHouse(dir, flagsFile) });
  const out = {
    visibleToOff: [] as number[],
    typedToAck: [] as number[],
    typedToFlag: [] as number[],
    typedToCard: [] as number[],
    offToService: [] as number[],
  };
  try {
    for (const flag of ["parse-cache", "batching", "neo4j-batch"]) await turnOn(world, flag);
    await delay(CLEAR_MS);
    const known = new Set<string>();
    for (let index = 0; index < rounds; index++) {
      await round(world, known, out);
      tell(
        `round ${index + 1} of ${rounds}: off ${Math.round(out.visibleToOff.at(-1) ?? 0)} ms after the breach was visible`,
      );
    }
    for (let index = 0; index < 300; index++)
      out.typedToAck.push((await world.slack.type("ana", CHANNEL, "/rollout list")).ackMs ?? Number.NaN);
    const violations = world.slack.violations();
    if (violations.length > 0) throw new Error(`Slack's rules were broken: ${JSON.stringify(violations[0])}`);
    return out;
  } finally {
    await world.stop();
  }
}

/** Turns a required flag on by hand, as its owner would: by editing the store's file. */
async function turnOn(world: World, flag: string): Promise<void> {
  const { createFileStore } = await import("../src/adapters/flags/file.ts");
  const key = `FEATURE_${flag.replaceAll("-", "_").toUpperCase()}`;
  const store = createFileStore({ path: join(world.dir, "state/flags.json") });
  const def = { name: flag, key, on: "true", off: "false", requires: [], undo: "flip" as const };
  await store.write([{ flag: def, setting: { kind: "on" }, intent: `bench.${flag}` }]);
  await store.close();
}
