/** What alerting does in a simulated run: which alerts begin when, and how badly they are delivered; drawn from the seed alone. */
import type { Plan } from "../../src/core/plan.ts";
import { createRandom, type Random } from "./timeline.ts";

/** One firing of an alert. */
export interface Firing {
  /** ms at which it begins. */
  readonly at: number;
  readonly forMs: number;
  readonly name: string;
  readonly service: string;
  readonly environment: string;
}

export interface AlertPlay {
  /** Alerts that begin whatever Belay does. */
  readonly firings: readonly Firing[];
  /** Chance that an alert of ours begins within moments of a flip. */
  readonly reactive: number;
  /** Times in which Alertmanager neither posts nor answers. */
  readonly outages: readonly { readonly from: number; readonly to: number }[];
  /** Whether the rollout names its Alertmanager, so that Belay asks it. */
  readonly isAsked: boolean;
  /** Whether alerts of other services may fire, and so make a storm. */
  readonly isStormy: boolean;
}

export const OUR_ALERT = "HighErrorRate";

/** Neither the number that draws scenarios nor that of faults; with this one, the seeds of old failures play as they did before there were alerts. */
const ALERT_SEED = 0x736ae249;

/** The play of a seed; undefined in half of them. */
export function alertsFrom(seed: number, calmAt: number): AlertPlay | undefined {
  const random = createRandom(seed ^ ALERT_SEED);
  if (random.chance(0.5)) return undefined;
  const isStormy = random.chance(0.4);
  const count = random.chance(0.5) ? 0 : random.int(1, 6);
  const alone = Array.from({ length: count }, () => firingFrom(random, random.int(0, calmAt), isStormy));
  const bursts = Array.from({ length: isStormy ? random.int(1, 2) : 0 }, () => burst(random, calmAt));
  return {
    firings: [...alone, ...bursts.flat()],
    reactive: random.pick([0, 0.15, 0.4]),
    outages: Array.from({ length: random.int(0, 2) }, () => {
      const from = random.int(0, calmAt - 10);
      return { from, to: Math.min(calmAt, from + random.int(1, 100_000)) };
    }),
    isAsked: random.chance(0.5),
    isStormy,
  };
}

/** Alerts of any services within half a minute. */
function burst(random: Random, calmAt: number): readonly Firing[] {
  const from = random.int(20_000, calmAt - 30_000);
  return Array.from({ length: random.int(2, 5) }, () =>
    firingFrom(random, from + random.int(0, 30_000), true),
  );
}

function firingFrom(random: Random, at: number, isStormy: boolean): Firing {
  return {
    at,
    forMs: random.pick([500, 20_000, 120_000]),
    name: random.chance(0.8) ? OUR_ALERT : "DiskFills",
    service: isStormy ? random.pick(["svc", "other", "third"]) : "svc",
    environment: random.chance(0.9) ? "production" : "staging",
  };
}

/** The plan of a rollout that listens. */
export function listening(plan: Plan, { isAsked }: AlertPlay): Plan {
  const alertmanager = isAsked ? { alertmanager: { url: "http://127.0.0.1:9093" } } : {};
  return {
    ...plan,
    outside: { ...plan.outside, ...alertmanager },
    rollbackOn: [{ labels: { alertname: [OUR_ALERT] } }],
  };
}
