/** The `trend` guard: a level that rises towards its limit, judged by the slope of ten-minute minima over the last hours. */
import type { TrendGuard } from "../plan.ts";
import { formatQuantity, type Unit } from "../quantity.ts";
import { formatDuration, HOUR, MINUTE } from "../time.ts";
import type { Finding } from "../verdict.ts";

/** A block gives one figure, its minimum: what a garbage collector leaves behind, without the waves above it. */
export const BLOCK_MS = 10 * MINUTE;
/** The newest blocks that are judged: three hours. */
export const MOST_BLOCKS = 18;
/** With fewer blocks no slope can be told from noise. */
export const LEAST_BLOCKS = 6;
/** A block with fewer points than half of its ten minutes is a gap. */
const LEAST_POINTS = 5;
/** One-sided 99 % quantile of the normal distribution. */
const Z99 = 2.326;
/** Residuals are never taken for more dependent than this. */
const MOST_CORRELATION = 0.8;
/** A fall between two blocks is a restart when it is larger than so many usual steps, and than this share of the level. */
const RESTART_STEPS = 5;
const RESTART_SHARE = 0.05;

export interface TrendPoint {
  /** Unix ms. */
  readonly wall: number;
  readonly value: number;
}

/** `limit` in the unit of the points; `horizonMs` is how far ahead the trend looks. */
export interface TrendLimit {
  readonly limit: number;
  readonly horizonMs: number;
}

/** A trend in figures: slopes per hour, in the unit of the points. */
export interface TrendFigures {
  readonly kind: "trend";
  /** Theil–Sen: the median slope of all pairs of blocks. */
  readonly perHour: number;
  /** With 99 % the slope is not below `lowerPerHour`, and with 99 % not above `upperPerHour`; undefined when the blocks do not bound it. */
  readonly lowerPerHour: number | undefined;
  readonly upperPerHour: number | undefined;
  /** The median of the newest block. */
  readonly level: number;
  /** Hours to the limit at the median slope; undefined when the level does not surely rise. */
  readonly hoursLeft: number | undefined;
  /** Whether at the lower slope the limit is reached within the horizon, by the newest block and by the one before. */
  readonly fires: boolean;
  /** Blocks that were judged. */
  readonly blocks: number;
}

export type Trend =
  | TrendFigures
  | {
      readonly kind: "no_evidence";
      readonly reason: "few_samples";
      readonly detail: string;
      readonly blocks: number;
    };

interface Block {
  /** Hours before the newest point, negative. */
  readonly hours: number;
  readonly min: number;
  readonly median: number;
}

/**
 * The trend of one series, given its points of the last three hours a minute apart, in any order; points that are no finite numbers are gaps.
 * Blocks end at the newest point. A heuristic, calibrated by simulation: the bound is that of Sen (1968) with the variance of Kendall's
 * statistic, widened for residuals that follow each other; it has no guarantee for few blocks.
 */
export function trendOf(points: readonly TrendPoint[], question: TrendLimit): Trend {
  const all = blocksOf(points);
  const since = all.slice(afterRestart(all));
  if (all.at(-1)?.hours !== 0) return lacking(0, "the last 10 min hold too few points");
  if (since.length < LEAST_BLOCKS) {
    const after = since.length < all.length ? " since the level fell, as after a restart" : "";
    const held = `${since.length} ${since.length === 1 ? "block" : "blocks"} of 10 min`;
    return lacking(since.length, `${held}${after}; a trend needs ${LEAST_BLOCKS}`);
  }
  const { perHour, lower, upper } = slopesOf(since);
  const level = since.at(-1)?.median ?? 0;
  const isRising = lower !== undefined && lower > 0;
  return {
    kind: "trend",
    perHour,
    lowerPerHour: lower,
    upperPerHour: upper,
    level,
    hoursLeft: isRising ? Math.max(0, question.limit - level) / perHour : undefined,
    fires: reaches(since, question) && reaches(since.slice(0, -1), question),
    blocks: since.length,
  };
}

/** `+38 MiB/h, limit in 31 h`, `flat (+0.2 MiB/h)`, or why there is no trend. */
export function formatTrend(trend: Trend, unit: Unit): string {
  if (trend.kind === "no_evidence") return trend.detail;
  const { perHour, hoursLeft, upperPerHour } = trend;
  const sign = perHour > 0 ? "+" : "";
  const slope = `${sign}${formatQuantity(perHour, unit)}/h`;
  if (hoursLeft !== undefined)
    return `${slope}, ${hoursLeft === 0 ? "limit reached" : `limit in ${formatHours(hoursLeft)}`}`;
  return `${upperPerHour !== undefined && upperPerHour < 0 ? "falling" : "flat"} (${slope})`;
}

/** Never inconclusive: a trend that does not fire is a pass, however near it is. */
export function judgeTrend(guard: TrendGuard, trend: Trend | undefined): Finding {
  if (trend?.kind !== "trend" || !trend.fires)
    return { verdict: "pass", reason: undefined, detail: undefined, met: false };
  const limit = formatQuantity(guard.limit, guard.unit);
  const words = formatTrend(trend, guard.unit);
  const detail = `${words}: reaches ${limit} within ${formatDuration(guard.horizonMs)}`;
  return { verdict: "breach", reason: "over_limit", detail, met: false };
}

function lacking(blocks: number, detail: string): Trend {
  return { kind: "no_evidence", reason: "few_samples", detail, blocks };
}

/** The blocks that have enough points, oldest first. */
function blocksOf(points: readonly TrendPoint[]): readonly Block[] {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  const newest = finite.reduce((most, { wall }) => Math.max(most, wall), Number.NEGATIVE_INFINITY);
  const values: number[][] = Array.from({ length: MOST_BLOCKS }, () => []);
  for (const { wall, value } of finite) values[Math.floor((newest - wall) / BLOCK_MS)]?.push(value);
  return values
    .flatMap((held, index): readonly Block[] => {
      if (held.length < LEAST_POINTS) return [];
      held.sort(ascending);
      return [{ hours: (0 - index * BLOCK_MS) / HOUR, min: held[0] ?? 0, median: medianOf(held) }];
    })
    .reverse();
}

/**
 * Index of the first block after the last restart: what the process held before says nothing about it now. The block of the restart itself holds
 * both and is left out. A fall of up to five usual steps is a wave of the level, not a restart.
 */
function afterRestart(blocks: readonly Block[]): number {
  const falls = blocks.map(({ min }, index) => (blocks[index - 1]?.min ?? min) - min);
  const usual = medianOf(
    falls
      .slice(1)
      .map((fall) => Math.abs(fall))
      .sort(ascending),
  );
  return (
    1 +
    falls.findLastIndex(
      (fall, index) =>
        fall > RESTART_STEPS * usual && fall >= RESTART_SHARE * Math.abs(blocks[index - 1]?.min ?? 0),
    )
  );
}

interface Slopes {
  readonly perHour: number;
  readonly lower: number | undefined;
  readonly upper: number | undefined;
}

function slopesOf(blocks: readonly Block[]): Slopes {
  const slopes = blocks
    .flatMap((later, index) =>
      blocks.slice(0, index).map((one) => (later.min - one.min) / (later.hours - one.hours)),
    )
    .sort(ascending);
  const perHour = medianOf(slopes);
  const n = blocks.length;
  const r1 = correlationOf(blocks, perHour);
  const deviation = Math.sqrt(((n * (n - 1) * (2 * n + 5)) / 18) * ((1 + r1) / (1 - r1)));
  const rank = Math.floor((slopes.length - Z99 * deviation) / 2);
  if (rank < 1) return { perHour, lower: undefined, upper: undefined };
  return { perHour, lower: slopes[rank - 1], upper: slopes[slopes.length - rank] };
}

/** Lag-1 autocorrelation of what the line leaves over, clipped to [0, 0.8]; 0 where nothing but rounding is left over. */
function correlationOf(blocks: readonly Block[], perHour: number): number {
  const left = blocks.map(({ hours, min }) => min - perHour * hours);
  const mean = left.reduce((sum, one) => sum + one, 0) / left.length;
  const residuals = left.map((one) => one - mean);
  const sum = residuals.reduce((total, one) => total + one * one, 0);
  const size = blocks.reduce((most, { min }) => Math.max(most, Math.abs(min)), 0);
  if (sum <= residuals.length * (1e-9 * size) ** 2) return 0;
  const shared = residuals.reduce((total, one, index) => total + one * (residuals[index - 1] ?? 0), 0);
  return Math.min(MOST_CORRELATION, Math.max(0, shared / sum));
}

/** Whether at the lower slope the limit is reached within the horizon, seen from the last of these blocks. */
function reaches(blocks: readonly Block[], { limit, horizonMs }: TrendLimit): boolean {
  const last = blocks.at(-1);
  if (last === undefined || blocks.length < LEAST_BLOCKS) return false;
  const { lower } = slopesOf(blocks);
  return lower !== undefined && lower > 0 && last.median + (lower * horizonMs) / HOUR >= limit;
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Of numbers in order; 0 of none. */
function medianOf(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

/** `40 min`, `3.5 h`, `31 h`, `12 days`. */
function formatHours(hours: number): string {
  if (hours < 1) return `${Math.max(1, Math.round(hours * 60))} min`;
  if (hours < 10) return `${Number(hours.toFixed(1))} h`;
  if (hours < 48) return `${Math.round(hours)} h`;
  return hours < 365 * 24 ? `${Math.round(hours / 24)} days` : "more than a year";
}
