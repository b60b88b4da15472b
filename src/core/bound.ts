/** The worst case from a visible breach to the last flag read back as off, computed from the plan before anything starts. */
import type { Guard, Plan } from "./plan.ts";
import type { Measured } from "./rehearsal.ts";
import { formatDuration } from "./time.ts";

/** No plan may need longer than this (ms) unless its file accepts more, with a reason. */
export const BOUND_LIMIT_MS = 300_000;

/** A flip that was measured in a rehearsal may take this many times as long when it counts. */
const MARGIN = 2;

export interface Bound {
  readonly guard: string;
  readonly totalMs: number;
  /** The parts, in order: the window's crossing, a scrape, the polls, one query's deadline, the flip with its read-back, a restart. */
  readonly parts: {
    readonly windowMs: number;
    readonly scrapeMs: number;
    readonly pollsMs: number;
    readonly queryMs: number;
    readonly flipMs: number;
    readonly restartMs: number;
  };
}

/**
 * Worst case of one guard: a step to just over the limit crosses it after the whole window, is scraped at most one interval later, must be seen
 * at k polls (the first up to one interval late), the last poll may use its whole deadline, and then the flip is written and read back.
 * What a rehearsal measured takes the place of what the flag system is allowed.
 */
export function boundOf(plan: Plan, guard: Guard, measured?: Measured): Bound {
  const parts = {
    windowMs: guard.windowMs,
    scrapeMs: plan.scrapeMs,
    pollsMs: guard.intervalMs * guard.breach.k,
    queryMs: plan.queryTimeoutMs,
    flipMs: flipBoundMs(plan, measured),
    restartMs: plan.provider.restartMs,
  };
  const totalMs = Object.values(parts).reduce((sum, ms) => sum + ms, 0);
  return { guard: guard.name, totalMs, parts };
}

/** How long a flip with its reading back may take, ms: twice what was measured, and never more than the flag system is allowed. */
function flipBoundMs({ provider }: Plan, measured: Measured | undefined): number {
  return measured === undefined ? provider.flipMs : Math.min(provider.flipMs, MARGIN * measured.flipMs);
}

/** Where the figure for a flip comes from: `allowed`, or `measured 3 h ago, counted double`. `nowWall`: Unix ms. */
export function flipSource(measured: Measured | undefined, nowWall: number): string {
  if (measured === undefined) return "allowed";
  const ageMs = nowWall - measured.wall;
  return `measured ${ageMs < 1_000 ? "just now" : `${formatDuration(ageMs)} ago`}, counted double`;
}

/** The slowest of the guards that roll back by themselves; undefined when none does. */
export function worstBound(plan: Plan, measured?: Measured): Bound | undefined {
  return plan.guards
    .filter((guard) => guard.consequence === "rollback" || guard.consequence === "emergency")
    .map((guard) => boundOf(plan, guard, measured))
    .reduce<Bound | undefined>(
      (worst, bound) => (worst === undefined || bound.totalMs > worst.totalMs ? bound : worst),
      undefined,
    );
}
