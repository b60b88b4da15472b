/** From a guard as written to a guard as judged: defaults, companion queries, and the checks that keep blindness from passing as health. */
import type { AliveGuard, Breach, ExpectGuard, Guard, ThresholdGuard, TrendGuard } from "../plan.ts";
import type { Quantity, Unit } from "../quantity.ts";
import { MINUTE, SECOND } from "../time.ts";
import type { GuardEntry } from "./flags-file.ts";
import { type Mistake, mistake } from "./mistake.ts";

/** What the PromQL grammar says about one query. */
export interface QueryFacts {
  /** Each fault with its place in the query, in characters. */
  readonly faults: readonly { readonly message: string; readonly offset: number }[];
  /** The longest range looked back over, ms; 0 when none. */
  readonly windowMs: number;
  /** The vector selectors, without range, offset or `@`. */
  readonly selectors: readonly string[];
  /** The right side of a division at the top of the query. */
  readonly denominator?: string;
}

/** Reads a query by the official grammar; an adapter provides it. */
export type Inspect = (query: string) => QueryFacts;

export interface GuardContext {
  readonly service: string;
  readonly defaultIntervalMs: number;
  readonly inspect: Inspect;
}

const DEFAULT_BREACH: Breach = { k: 2, n: 3 };
const DEFAULT_TREND_INTERVAL_MS = 10 * MINUTE;
/** Each poll of a trend reads three hours; the short polls of a demo are not for it. */
const LEAST_TREND_INTERVAL_MS = MINUTE;

/** One guard, or its mistakes (paths relative to the guard). */
export function guardFrom(
  name: string,
  entry: GuardEntry,
  context: GuardContext,
): { readonly guard?: Guard; readonly mistakes: readonly Mistake[] } {
  switch (entry.kind) {
    case "alive":
      return aliveFrom(name, entry, context);
    case "threshold":
    case "expect":
      return limitFrom(name, entry, context);
    case "trend":
      return trendFrom(name, entry, context);
  }
}

/** The liveness guard that every service has: `up` of the job named like the service. */
export function defaultAlive(context: GuardContext): Guard {
  return alive("alive", `up{job="${context.service}"}`, context, {});
}

function alive(
  name: string,
  up: string,
  context: GuardContext,
  entry: {
    readonly interval?: number | undefined;
    readonly breach?: Breach | undefined;
    readonly stages?: string[] | undefined;
    readonly consequence?: AliveGuard["consequence"] | undefined;
  },
): AliveGuard {
  return {
    kind: "alive",
    name,
    query: `min(${up})`,
    freshness: `min(timestamp(${up}))`,
    others: `max(up unless ${up})`,
    intervalMs: entry.interval ?? context.defaultIntervalMs,
    windowMs: 0,
    breach: entry.breach ?? { k: 3, n: 3 },
    consequence: entry.consequence ?? "rollback",
    ...(entry.stages === undefined ? {} : { stages: entry.stages }),
  };
}

function aliveFrom(
  name: string,
  entry: Extract<GuardEntry, { kind: "alive" }>,
  context: GuardContext,
): { readonly guard?: Guard; readonly mistakes: readonly Mistake[] } {
  const up = entry.up ?? `up{job="${context.service}"}`;
  const facts = context.inspect(up);
  const mistakes = faultsAt("up", facts);
  if (mistakes.length === 0 && facts.selectors.join() !== up.trim())
    mistakes.push(mistake(["up"], 'expected one selector such as up{job="ingestion"}'));
  const { interval, breach, stages } = entry;
  return {
    guard: alive(name, up.trim(), context, { interval, breach, stages, consequence: entry.then }),
    mistakes,
  };
}

function limitFrom(
  name: string,
  entry: Extract<GuardEntry, { kind: "threshold" | "expect" }>,
  context: GuardContext,
): { readonly guard?: Guard; readonly mistakes: readonly Mistake[] } {
  const facts = context.inspect(entry.query);
  const mistakes = faultsAt("query", facts);
  if (entry.max === undefined && entry.min === undefined)
    mistakes.push(mistake([], "expected max, min or both"));
  if (entry.max !== undefined && entry.min !== undefined && entry.max.value < entry.min.value)
    mistakes.push(mistake(["max"], "max is below min: nothing could pass"));
  mistakes.push(...unprovable(facts, mistakes));
  const base = {
    name,
    query: entry.query,
    freshness: freshnessOf(facts.selectors),
    intervalMs: entry.interval ?? context.defaultIntervalMs,
    windowMs: facts.windowMs,
    unit: unitOf(entry.max, entry.min),
    ...(entry.stages === undefined ? {} : { stages: entry.stages }),
    ...(entry.max === undefined ? {} : { max: entry.max.value }),
    ...(entry.min === undefined ? {} : { min: entry.min.value }),
    ...(entry.worst === undefined ? {} : { worst: entry.worst }),
  };
  if (entry.kind === "expect") {
    const guard: ExpectGuard = {
      ...base,
      kind: "expect",
      withinMs: entry.within,
      breach: { k: 1, n: 1 },
      consequence: "hold",
    };
    return { guard, mistakes };
  }
  const guard: ThresholdGuard = {
    ...base,
    kind: "threshold",
    breach: entry.breach ?? DEFAULT_BREACH,
    consequence: entry.then ?? "rollback",
    ...floorsOf(entry, facts, context, mistakes),
  };
  return { guard, mistakes };
}

function trendFrom(
  name: string,
  entry: Extract<GuardEntry, { kind: "trend" }>,
  context: GuardContext,
): { readonly guard?: Guard; readonly mistakes: readonly Mistake[] } {
  const facts = context.inspect(entry.query);
  const mistakes = faultsAt("query", facts);
  mistakes.push(...unprovable(facts, mistakes));
  const guard: TrendGuard = {
    kind: "trend",
    name,
    query: entry.query,
    freshness: freshnessOf(facts.selectors),
    intervalMs: Math.max(LEAST_TREND_INTERVAL_MS, entry.interval ?? DEFAULT_TREND_INTERVAL_MS),
    windowMs: facts.windowMs,
    breach: { k: 1, n: 1 },
    consequence: entry.then ?? "page",
    limit: entry.limit.value,
    unit: entry.limit.unit,
    horizonMs: entry.horizon,
    ...(entry.worst === undefined ? {} : { worst: entry.worst }),
    ...(entry.stages === undefined ? {} : { stages: entry.stages }),
  };
  return { guard, mistakes };
}

/** A query that is PromQL and reads nothing. */
function unprovable(facts: QueryFacts, mistakes: readonly Mistake[]): readonly Mistake[] {
  if (mistakes.length > 0 || facts.selectors.length > 0) return [];
  return [mistake(["query"], "the query reads no series, so its freshness cannot be proved")];
}

function floorsOf(
  entry: Extract<GuardEntry, { kind: "threshold" }>,
  facts: QueryFacts,
  context: GuardContext,
  mistakes: Mistake[],
): Pick<ThresholdGuard, "samples" | "total"> {
  const total = entry.total ?? facts.denominator;
  const totalFacts = entry.total === undefined ? undefined : context.inspect(entry.total);
  if (totalFacts !== undefined) mistakes.push(...faultsAt("total", totalFacts));
  if (entry.min_total !== undefined && total === undefined)
    mistakes.push(
      mistake(["min_total"], "expected `total`, a query for the denominator: the query is no division"),
    );
  const [selector] = facts.selectors;
  return {
    ...(entry.min_samples === undefined || selector === undefined
      ? {}
      : {
          samples: {
            query: `min(count_over_time(${selector}[${Math.max(facts.windowMs, 60 * SECOND)}ms]))`,
            min: entry.min_samples,
          },
        }),
    ...(entry.min_total === undefined || total === undefined
      ? {}
      : { total: { query: total, min: entry.min_total } }),
  };
}

/** The time stamp of the oldest newest sample over all selectors; empty or NaN when any selector has no fresh series. */
export function freshnessOf(selectors: readonly string[]): string {
  const [first = "up", ...rest] = [...new Set(selectors)];
  return rest.reduce(
    (query, selector) => `clamp_max(${query}, scalar(min(timestamp(${selector}))))`,
    `min(timestamp(${first}))`,
  );
}

export function faultsAt(key: string, facts: QueryFacts): Mistake[] {
  return facts.faults.map((fault) => ({
    path: [key],
    message: fault.message,
    offset: fault.offset,
    level: "error" as const,
  }));
}

function unitOf(max: Quantity | undefined, min: Quantity | undefined): Unit {
  return max?.unit ?? min?.unit ?? "none";
}
