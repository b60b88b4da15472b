/** An independent eye on the world: asks Prometheus and the service itself every 50 ms, so that Belay's times are measured from outside. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { World } from "./world.ts";

const POLL_MS = 50;
const LIMIT = 0.02;
const QUERY = "sum(rate(ingestion_failures_total[5s])) / sum(rate(ingestion_files_total[5s]))";
const PATIENCE_MS = 30_000;

const answerSchema = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }),
});

export interface Seen {
  /** Wall ms at which a poll of Prometheus first showed the breach. */
  readonly wall: number;
  /** Wall ms at which the eye began to look. */
  readonly brokenSince: number;
}

export interface Eye {
  readonly breachVisible: Promise<Seen>;
  /** Wall ms at which the service itself first said that the flag is off. */
  serviceOff(key: string): Promise<number>;
}

/** What the eye looks at. */
type Watched = Pick<World, "prometheusUrl" | "probe">;

/** Begins to look at once. */
export function createEye(world: Watched): Eye {
  return { breachVisible: watchBreach(world), serviceOff: (key) => watchService(world, key) };
}

async function watchBreach(world: Watched): Promise<Seen> {
  const brokenSince = Date.now();
  while (Date.now() - brokenSince < PATIENCE_MS) {
    const share = await failureShare(world.prometheusUrl);
    if (share !== undefined && share > LIMIT) return { wall: Date.now(), brokenSince };
    await delay(POLL_MS);
  }
  throw new Error("Prometheus never showed the breach");
}

async function failureShare(url: string): Promise<number | undefined> {
  try {
    const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(QUERY)}`, {
      signal: AbortSignal.timeout(1_000),
    });
    const parsed = answerSchema.safeParse(await response.json());
    return Number(parsed.data?.data.result[0]?.value[1]);
  } catch {
    return undefined;
  }
}

async function watchService(world: Watched, key: string): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    try {
      if ((await world.probe.features()).flags[key] === "false") return Date.now();
    } catch {
      // A service that is just being started says nothing; it is asked again.
    }
    await delay(POLL_MS);
  }
  throw new Error(`the service never said that ${key} is off`);
}
