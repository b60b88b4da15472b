/** A whole rollout through the pure core, second by second on virtual time: what deciding alone costs, without store, service or network. */
import { judge, longestGapMs } from "../src/core/analysis.ts";
import type { RolloutEvent } from "../src/core/event.ts";
import type { FlagDef, Guard, Plan, Stage } from "../src/core/plan.ts";
import { desired, neededWrites, type Reading, type ServiceView } from "../src/core/rollout/desired.ts";
import { evolve } from "../src/core/rollout/evolve.ts";
import { epochOf, type State } from "../src/core/rollout/state.ts";
import { onTick } from "../src/core/rollout/tick.ts";
import type { World } from "../src/core/rollout/world.ts";
import { OFF, ON, type Setting, toWire } from "../src/core/setting.ts";
import { HOUR, type Now, SECOND } from "../src/core/time.ts";
import { type Judgement, unjudged } from "../src/core/verdict.ts";

const NAMES = ["parse-cache", "batching", "neo4j-batch", "parallel"] as const;
/** Monday 2026-01-05 09:00 UTC. */
const MONDAY = Date.UTC(2026, 0, 5, 9);

const GUARD = {
  intervalMs: SECOND,
  windowMs: 60 * SECOND,
  freshness: "",
  consequence: "rollback" as const,
};

const GUARDS: readonly Guard[] = [
  {
    ...GUARD,
    kind: "threshold",
    name: "failures",
    query: "",
    breach: { k: 2, n: 3 },
    max: 0.02,
    unit: "percent",
  },
  {
    ...GUARD,
    kind: "threshold",
    name: "latency",
    query: "",
    breach: { k: 3, n: 5 },
    max: 0.5,
    unit: "seconds",
  },
  { ...GUARD, kind: "alive", name: "alive", query: "", windowMs: 0, breach: { k: 3, n: 3 }, others: "" },
];

/** Four features, each requiring those before it, and a review at the end of the given hours. */
function planOf(hours: number): Plan {
  const flags = NAMES.map((name, index): FlagDef => {
    const key = `FEATURE_${name.toUpperCase().replaceAll("-", "_")}`;
    return { name, key, on: "true", off: "false", safe: OFF, requires: NAMES.slice(0, index), undo: "flip" };
  });
  const gapMs = (hours * HOUR) / (NAMES.length + 1);
  const stages = NAMES.map((name, index): Stage => {
    const substages = [{ set: [{ flag: name, setting: ON }], soakMs: gapMs / 2 }];
    return { name, atMs: index * gapMs, substages, baseline: false };
  });
  return {
    rollout: "bench",
    service: "bench",
    environment: "production",
    source: "bench",
    flags: Object.fromEntries(flags.map((flag) => [flag.name, flag])),
    stages: [
      ...stages,
      { name: "review", atMs: NAMES.length * gapMs, substages: [], baseline: false, review: "manual" },
    ],
    guards: GUARDS,
    unwind: "newest",
    onBlind: "hold",
    blindAfterMs: 300 * SECOND,
    scrapeMs: 15 * SECOND,
    queryTimeoutMs: 5 * SECOND,
    hasView: true,
    provider: { flipMs: 2 * SECOND, restartMs: 0 },
    outside: {
      provider: { kind: "file" },
      prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 15 * SECOND },
    },
  };
}

interface Stored {
  readonly setting: Setting;
  readonly version: string;
  readonly literal: string;
}

/** A store that does what it is told and a service that follows it at once; every read is of this instant. */
class Outside {
  readonly #plan: Plan;
  readonly #stored = new Map<string, Stored>(
    NAMES.map((name) => [name, { setting: OFF, version: "1", literal: "false" }]),
  );
  readonly #judgements: Record<string, Judgement> = {};

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** One measurement for each guard, and each flag read anew. */
  observe(state: State, at: number): World {
    for (const guard of this.#plan.guards) {
      const epoch = epochOf(this.#plan, state, guard);
      const known = this.#judgements[guard.name];
      const before = known === undefined || known.epoch !== epoch ? unjudged(epoch) : known;
      const value = guard.kind === "alive" ? 1 : ((at / SECOND) % 10) / 1_000;
      const gapMs = longestGapMs(guard, this.#plan.queryTimeoutMs);
      this.#judgements[guard.name] = judge(guard, before, { kind: "value", at, value }, gapMs);
    }
    const readings: Record<string, Reading> = {};
    const views: Record<string, ServiceView> = {};
    for (const [flag, { setting, version, literal }] of this.#stored) {
      readings[flag] = { setting, version, effective: true, at };
      views[flag] = { literal, at };
    }
    return { judgements: this.#judgements, readings, views, refusals: {}, since: 0 };
  }

  write(state: State, { readings }: World, now: number): void {
    for (const { flag, setting } of neededWrites(desired(this.#plan, state), readings, now)) {
      const def = this.#plan.flags[flag];
      const known = this.#stored.get(flag);
      if (def === undefined || known === undefined) throw new Error(`no flag ${flag} in this store`);
      const version = String(Number(known.version) + 1);
      this.#stored.set(flag, { setting, version, literal: toWire(def, setting).value });
    }
  }
}

function begin(plan: Plan, now: Now): State {
  const event: RolloutEvent = {
    kind: "rollout_started",
    run: "r-bench",
    rollout: plan.rollout,
    planHash: "bench",
    by: { kind: "person", id: "UANA", name: "ana", via: "slack" },
    first: 0,
    end: plan.stages.length - 1,
    startAt: now.steady,
    recorded: Object.fromEntries(NAMES.map((name) => [name, OFF])),
  };
  return evolve(plan, undefined, { seq: 1, at: now.steady, wall: now.wall, event });
}

/**
 * Walks a rollout of `hours` hours in ticks of one second up to its review, each with one measurement per guard, and says how many ticks
 * that were and how long (ms) it took. Throws when the rollout did not come to its review: then something else was measured.
 */
export function coreTicks(hours: number): { ticks: number; ms: number } {
  const plan = planOf(hours);
  const outside = new Outside(plan);
  const start: Now = { steady: HOUR, wall: MONDAY };
  let state = begin(plan, start);
  const ticks = (hours * HOUR) / SECOND;
  const from = performance.now();
  for (let tick = 1; tick <= ticks; tick++) {
    const now: Now = { steady: start.steady + tick * SECOND, wall: start.wall + tick * SECOND };
    const world = outside.observe(state, now.steady);
    const events = onTick(plan, state, world, now);
    if (events.length === 0) continue;
    for (const event of events)
      state = evolve(plan, state, { seq: state.revision + 1, at: now.steady, wall: now.wall, event });
    outside.write(state, world, now.steady);
  }
  const ms = performance.now() - from;
  if (state.review === undefined)
    throw new Error(`the rollout did not come to its review: it is ${state.phase}`);
  return { ticks, ms };
}
