/** Flags in an environment file, with the real service as Belay's own process: one write and one restart each way, failing starts, and Belay killed in between. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Told } from "../../demo/world/loopback.ts";
import { type EnvGround, startEnvGround } from "../support/env-ground.ts";
import { until } from "../support/eventually.ts";
import { Walk } from "../support/lanes.ts";
import { CHANNEL, readJournal, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const NAMES = ["breach", "no-start", "killed"] as const;
type Name = (typeof NAMES)[number];

/** Window 3 s, scrape 1 s, two polls, a query's 2 s, a flip's 2 s, a restart's 10 s. */
const PROMISED_MS = 20_000;

interface Stage {
  readonly ground: EnvGround;
  readonly world: ShortWorld;
  readonly walk: Walk;
}

const stages = new Map<Name, Stage>();

function stageOf(name: Name): Stage {
  const found = stages.get(name);
  if (found === undefined) throw new Error(`no stage ${name}`);
  return found;
}

beforeAll(async () => {
  await Promise.all(
    NAMES.map(async (name) => {
      const ground = await startEnvGround(name, name === "no-start");
      const world = await startShortWorld({ dir: join(ground.dir, "world"), house: ground.house });
      stages.set(name, { ground, world, walk: new Walk(name, world, CHANNEL) });
    }),
  );
}, 90_000);

afterAll(async () => {
  for (const { ground, world } of stages.values()) {
    await world.stop();
    await ground.stop();
  }
});

/** Values of both flags in each version of the file. */
function valuesOf({ versions }: EnvGround): readonly string[] {
  return versions.map(({ text }) =>
    [...text.matchAll(/^FEATURE_\w+=(\w+)$/gm)].map((match) => match[1]).join("+"),
  );
}

async function seenByService({ probe }: EnvGround): Promise<readonly (string | undefined)[]> {
  const { flags } = await probe.features();
  return [flags["FEATURE_BATCHING"], flags["FEATURE_PARALLEL"]];
}

/** Resolves when the file says this, and kills Belay at that very moment, before the restart is through. */
async function killWhenWritten({ ground, world }: Stage, values: string): Promise<string> {
  const { starts } = ground;
  await until(`the file says ${values}`, () => valuesOf(ground).at(-1) === values, { everyMs: 1 });
  world.belay.kill();
  const killed = Date.now();
  const before = starts();
  await until("the death of Belay", () => !world.belay.isUp(), { everyMs: 1 });
  await world.belay.waitUp();
  return `after ${before} starts, for ${Date.now() - killed} ms`;
}

test.concurrent("a breach: one write and one restart for both flags, each way", {
  timeout: 60_000,
}, async () => {
  const { ground, world, walk } = stageOf("breach");
  await ground.probe.misbehave("errors");
  const enabled = await walk.begin();
  expect(await seenByService(ground)).toEqual(["true", "true"]);
  expect(ground.starts()).toBe(2);
  const decided = await walk.event("rollback_started");
  const off = await walk.event("rollback_off");
  const { written, started } = ground.times();
  expect(started).toBeGreaterThan(written);
  const confirmed = await walk.event("rollback_confirmed", {
    holds: (event) => event["seenBy"] === "service",
  });
  expect(await seenByService(ground)).toEqual(["false", "false"]);
  const recovered = await walk.event("recovered", { withinMs: 30_000 });
  const alert = await walk.messageSays("alert:", "ROLLED BACK", /restart alone may have cured it/i);
  expect(alert).toMatch(/parallel OFF, batching OFF|batching OFF, parallel OFF/);
  expect(valuesOf(ground)).toEqual(["false+false", "true+true", "false+false"]);
  expect(ground.starts()).toBe(3);
  const [breach] = (await walk.events()).filter(
    ({ seq, event }) =>
      seq > enabled.seq && event.kind === "verdict_changed" && event["verdict"] === "breach",
  );
  const ms = (from: { at: number } | undefined, to: { at: number }) =>
    Math.round(to.at - (from?.at ?? Number.NaN));
  console.log(
    `on to breach ${ms(enabled, decided)} ms; breach to decided ${ms(breach, decided)} ms, to off (file, restart, read back) ${ms(breach, off)} ms, to the service's word ${ms(breach, confirmed)} ms, to recovered ${ms(breach, recovered)} ms`,
  );
  expect(ms(breach, off)).toBeLessThanOrEqual(PROMISED_MS);
  expect(world.slack.violations()).toEqual([]);
});

test.concurrent("a start that fails: the last working file comes back, and nothing is left on", {
  timeout: 60_000,
}, async () => {
  const { ground, world, walk } = stageOf("no-start");
  expect((await world.command("rollout start no-start")).ok).toBe(true);
  const held = await world.event("held", { holds: (event) => event["reason"] === "flag_store" });
  const text = await walk.messageSays("alert:", "workers", /the last working file is back/);
  expect(valuesOf(ground)).toEqual(["false+false", "true+true", "false+false"]);
  await until("the service up again", () => ground.probe.healthy());
  expect(await seenByService(ground)).toEqual(["false", "false"]);
  const run = await world.run();
  expect(run.stages.map(({ status }) => status)).not.toContain("soaking");
  const kinds = (await world.events(run.run)).map(({ event }) => event.kind);
  expect(kinds).toContain("paged");
  expect(kinds).not.toContain("stage_enabled");
  console.log(`${String(held.event["detail"])}\n${text}`);
  expect(world.slack.violations()).toEqual([]);
});

test.concurrent("Belay killed between the write and the restart, forward and back: put right after its start", {
  timeout: 60_000,
}, async () => {
  const stage = stageOf("killed");
  const { ground, world, walk } = stage;
  await ground.probe.misbehave("errors");
  expect((await world.command("rollout start killed")).ok).toBe(true);
  const first = await killWhenWritten(stage, "true+true");
  // Then production breaches and it is rolled back; or Belay was away for longer than an ON may take, and it withdraws the stage.
  const second = await killWhenWritten(stage, "false+false");
  const { run } = await world.run();
  const verified = async () =>
    (await world.events(run)).filter(({ event }) => event.kind === "flip_verified");
  const isOff = ({ event }: Told) => /\.(batching|parallel)$/.test(String(event["intent"]));
  await until("both read back as off", async () => {
    const decided = (await world.events(run)).find(({ event }) =>
      ["rollback_started", "stage_withdrawn"].includes(event.kind),
    );
    return (await verified()).filter((one) => isOff(one) && one.seq > (decided?.seq ?? Infinity)).length >= 2;
  });
  await until("the service up", () => ground.probe.healthy());
  expect(await seenByService(ground)).toEqual(["false", "false"]);
  const { written, started } = ground.times();
  expect(started).toBeGreaterThan(written);
  expect(valuesOf(ground)).toEqual(["false+false", "true+true", "false+false"]);
  const kinds = (await world.events(run)).map(({ event }) => event.kind);
  const isRollback = kinds.includes("rollback_started");
  const told = isRollback
    ? await walk.messageSays("alert:", "ROLLED BACK", "OFF")
    : await walk.messageSays("alert:", "the flag store did not confirm a flip");
  console.log(
    `Belay died ${first}, and ${second}; the service started ${ground.starts()} times in all; ${isRollback ? "rolled back" : "withdrawn"}: ${told.split("\n")[0]}`,
  );
  await world.belay.stop();
  const journal = await readJournal(world.state);
  expect(journal.chain.ok).toBe(true);
  expect(world.slack.violations()).toEqual([]);
});
