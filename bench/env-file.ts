/** Measures rollbacks whose flags are kept in an environment file: one write and one restart of the real service, which Belay itself stops and starts. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createEye } from "../demo/world/eye.ts";
import { type EnvGround, startEnvGround } from "../test/support/env-ground.ts";
import { type ShortWorld, startShortWorld } from "../test/support/short-world.ts";

const ROLLOUT = "bench";
const KEY = "FEATURE_PARALLEL";
/** The guards' window is 5 s: after that nothing of the last round is left in it. */
const CLEAR_MS = 6_000;

export interface EnvFileRounds {
  /** From the first poll of Prometheus that showed the breach to OFF read back, the restart included, ms. */
  readonly visibleToOff: readonly number[];
}

/** The ground's files with polls every second, windows of 5 s and the limit of the other figures. */
function houseOf({ house }: EnvGround): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(house).map(([path, text]) => [
      path,
      text
        .replaceAll("interval: 500ms", "interval: 1s")
        .replaceAll("[3s]", "[5s]")
        .replace("max: 10%", "max: 2%"),
    ]),
  );
}

async function round(ground: EnvGround, world: ShortWorld): Promise<number> {
  await world.command(`rollout start ${ROLLOUT}`);
  await world.event("stage_enabled", { withinMs: 60_000 });
  // A random instant between two polls: the phase of the breach is not ours to choose.
  await delay(CLEAR_MS + Math.random() * 1_000);
  const eye = createEye({ prometheusUrl: ground.prometheus.url, probe: ground.probe });
  await ground.probe.misbehave("errors");
  const visible = await eye.breachVisible;
  const off = await world.event("rollback_off", { withinMs: 60_000 });
  await eye.serviceOff(KEY);
  await ground.probe.misbehave("none");
  await world.event("rolled_back", { withinMs: 60_000 });
  await world.command('rollout unlock workers because "bench"');
  await delay(CLEAR_MS);
  return off.wall - visible.wall;
}

/** Plays `rounds` rounds on a ground of its own. */
export async function measureEnvFile(rounds: number, tell: (line: string) => void): Promise<EnvFileRounds> {
  const ground = await startEnvGround(ROLLOUT);
  try {
    const world = await startShortWorld({ dir: join(ground.dir, "world"), house: houseOf(ground) });
    const visibleToOff: number[] = [];
    try {
      for (let index = 0; index < rounds; index++) {
        const ms = await round(ground, world);
        visibleToOff.push(ms);
        tell(
          `env-file round ${index + 1} of ${rounds}: off ${Math.round(ms)} ms after the breach was visible`,
        );
      }
    } finally {
      await world.stop();
    }
    return { visibleToOff };
  } finally {
    await ground.stop();
  }
}
