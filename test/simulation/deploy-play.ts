/** Who else changes the service in a simulated run: deploys and restarts that no flip causes; drawn from the seed alone. */
import type { Plan } from "../../src/core/plan.ts";
import { createRandom } from "./timeline.ts";

/** A new process of the service; `version` where it is also a new version. */
export interface Deploy {
  /** ms at which it begins. */
  readonly at: number;
  readonly version?: string;
}

export const FIRST_VERSION = "v0";
export const VERSION_QUERY = "version";
export const STARTED_QUERY = "started";

/** A number of its own, so that the seeds of old failures play as they did before there were deploys. */
const DEPLOY_SEED = 0x1f3c9a8b;

/** The deploys of a seed, oldest first; undefined in three of five: nobody asks for them there. */
export function deploysFrom(seed: number, calmAt: number): readonly Deploy[] | undefined {
  const random = createRandom(seed ^ DEPLOY_SEED);
  if (random.chance(0.6)) return undefined;
  const instants = Array.from({ length: random.int(0, 4) }, () => random.int(1_000, calmAt));
  return instants
    .sort((a, b) => a - b)
    .map((at, index) => (random.chance(0.5) ? { at, version: `v${index + 1}` } : { at }));
}

/** The plan of a rollout that looks for deploys. */
export function lookingForDeploys(plan: Plan): Plan {
  return { ...plan, deploys: { version: VERSION_QUERY, label: "version", started: STARTED_QUERY } };
}
