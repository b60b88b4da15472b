/** What a trend is asked with and what the answers say: from the last hours of a query to one measurement, for guards and for jobs alike. */
import {
  BLOCK_MS,
  LEAST_BLOCKS,
  MOST_BLOCKS,
  type Trend,
  type TrendFigures,
  type TrendPoint,
  trendOf,
} from "./guards/trend.ts";
import { type Answer, type Measurement, measurementOf, numbersOf, type Poll } from "./measurement.ts";
import type { TrendGuard } from "./plan.ts";
import { formatDuration, MINUTE } from "./time.ts";

/** What must be known of a trend to ask it; a guard is one. */
export type TrendAsked = Pick<TrendGuard, "query" | "freshness" | "limit" | "unit" | "horizonMs" | "worst">;

/** A measurement; that of a trend has its level as value, and its figures. */
export type Measured = Measurement & { readonly trend?: TrendFigures };

/** A poll of a trend: `main` is the newest answer, `history` all of them, oldest first. */
export interface TrendPoll extends Poll {
  readonly history?: readonly { readonly wall: number; readonly answer: Answer }[];
}

export const TREND_STEP_MS = MINUTE;
/** Memory rises while a changed service warms up: what is measured for so long after a flip says nothing about a leak. */
export const WARM_UP_MS = 60 * MINUTE;

/** The wall instants to ask for at `wall`: three hours, ten points a block, nothing from before `since`; undefined when that leaves nothing. */
export function trendSpan(
  wall: number,
  since: number | undefined,
): { readonly from: number; readonly to: number } | undefined {
  const earliest = wall - MOST_BLOCKS * BLOCK_MS + TREND_STEP_MS;
  if (since === undefined || since <= earliest) return { from: earliest, to: wall };
  // Whole steps back from now, so that the newest point is now.
  const steps = Math.floor((wall - since) / TREND_STEP_MS);
  return steps < 0 ? undefined : { from: wall - steps * TREND_STEP_MS, to: wall };
}

/** What is measured in the first hour after a flip. `at`: steady ms; `leftMs` of the warm-up. */
export function warmingUp(at: number, leftMs: number): Measured {
  const left = formatDuration(Math.ceil(leftMs / MINUTE) * MINUTE);
  const needed = formatDuration(LEAST_BLOCKS * BLOCK_MS);
  const detail = `warms up for ${left} more after the flip, then ${needed} is needed`;
  return { kind: "no_evidence", at, reason: "few_samples", detail };
}

/**
 * The measurement that a poll of a trend yields. The newest answer must be as good as that of any guard: one finite, fresh number, or several
 * with `worst`. Only the series that it names are judged; of several the one that reaches the limit first. Earlier answers may have gaps.
 */
export function trendMeasured(asked: TrendAsked, poll: TrendPoll, scrapeMs: number): Measured {
  const newest = measurementOf(poll, { worst: asked.worst, freshWithinMs: 2 * scrapeMs });
  if (newest.kind !== "value") return newest;
  const trends = seriesOf(poll).map((points) => trendOf(points, asked));
  const figures = trends.filter((trend) => trend.kind === "trend").sort(soonestFirst);
  const [soonest] = figures;
  if (soonest !== undefined) return { kind: "value", at: poll.at, value: soonest.level, trend: soonest };
  const most = trends.reduce<Trend | undefined>(
    (best, trend) => (best === undefined || trend.blocks > best.blocks ? trend : best),
    undefined,
  );
  const detail = most?.kind === "no_evidence" ? most.detail : "no history";
  return { kind: "no_evidence", at: poll.at, reason: "few_samples", detail };
}

function soonestFirst(a: TrendFigures, b: TrendFigures): number {
  const never = Number.MAX_VALUE;
  return (
    Number(b.fires) - Number(a.fires) || (a.hoursLeft ?? never) - (b.hoursLeft ?? never) || b.level - a.level
  );
}

/** The points of each series that the newest answer names; those of a series that has gone are nobody's any more. */
function seriesOf({ main, history = [] }: TrendPoll): readonly (readonly TrendPoint[])[] {
  const series = new Map<string, TrendPoint[]>(namedValues(main).map(([name]) => [name, []]));
  for (const { wall, answer } of history)
    for (const [name, value] of namedValues(answer)) series.get(name)?.push({ wall, value });
  return [...series.values()];
}

/** The values of one answer with the labels of their series, in one spelling; none of an answer that cannot be used. */
function namedValues(answer: Answer): readonly (readonly [string, number])[] {
  const numbers = numbersOf(answer);
  if (numbers.kind !== "numbers" || answer.kind !== "body") return [];
  const labels = labelsOf(answer.body);
  return numbers.values.map((value, index) => [labels[index] ?? "", value]);
}

function labelsOf(body: unknown): readonly string[] {
  const result = fieldOf(fieldOf(body, "data"), "result");
  if (!Array.isArray(result)) return [];
  return result.map((series: unknown) => {
    const metric = fieldOf(series, "metric");
    const pairs = typeof metric === "object" && metric !== null ? Object.entries(metric) : [];
    return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
