/** Gathers the figures of the first-week review: each threshold and trend guard over the last days, from Prometheus. */
import { numbersOf } from "../core/measurement.ts";
import type { Guard, ThresholdGuard, TrendGuard } from "../core/plan.ts";
import type { DayFigures, ReviewSeries } from "../core/report/first-week-review.ts";
import { DAY, MINUTE } from "../core/time.ts";
import { startOfDay } from "../core/watch/job-clock.ts";
import type { Metrics } from "./ports.ts";

const DAYS = 7;
/** Seven days are 1,008 points: one question. */
const STEP_MS = 10 * MINUTE;

/** Days of the zone's calendar, the newest one as far as it has come. Never rejects: what cannot be asked says why. */
export async function reviewSeries(
  metrics: Metrics,
  guard: Guard,
  wall: number,
  zone: string,
): Promise<ReviewSeries | undefined> {
  if (guard.kind !== "threshold" && guard.kind !== "trend") return undefined;
  const starts = dayStarts(wall, zone);
  const from = Math.ceil((starts[0] ?? wall) / STEP_MS) * STEP_MS;
  const range = await metrics.queryRange(guard.query, from, wall, STEP_MS);
  const about = { name: guard.name, unit: guard.unit, ...limitsOf(guard) };
  if (range.kind === "down")
    return {
      ...about,
      days: starts.map((start) => ({ wall: start, figures: undefined })),
      why: range.detail,
    };
  const points = range.points.flatMap(({ wall: at, answer }) => {
    const value = worstOf(numbersOf(answer), guard);
    return value === undefined ? [] : [{ at, value }];
  });
  const days = starts.map((start, index): DayFigures => {
    const end = starts[index + 1] ?? Number.POSITIVE_INFINITY;
    return { wall: start, figures: figuresOf(points.filter(({ at }) => at >= start && at < end)) };
  });
  return points.length === 0 ? { ...about, days, why: "the query returned nothing" } : { ...about, days };
}

function limitsOf(guard: ThresholdGuard | TrendGuard): { readonly max?: number; readonly min?: number } {
  if (guard.kind === "trend") return { max: guard.limit };
  const { max, min } = guard;
  return { ...(max === undefined ? {} : { max }), ...(min === undefined ? {} : { min }) };
}

/** The starts of the last days, oldest first, today's last. */
function dayStarts(wall: number, zone: string): readonly number[] {
  const starts = [startOfDay(wall, zone)];
  while (starts.length < DAYS) {
    // Noon of the day before, whatever clocks did in the night.
    const noon = (starts[0] ?? wall) - DAY / 2;
    starts.unshift(startOfDay(noon, zone));
  }
  return starts;
}

/** Of several series the worst one; a point that is no number is left out. */
function worstOf(
  numbers: ReturnType<typeof numbersOf>,
  guard: ThresholdGuard | TrendGuard,
): number | undefined {
  if (numbers.kind !== "numbers") return undefined;
  const finite = numbers.values.filter((value) => Number.isFinite(value));
  const isLowWorst =
    guard.kind === "threshold" &&
    (guard.worst === "min" || (guard.worst === undefined && guard.max === undefined));
  return finite.length === 0 ? undefined : isLowWorst ? Math.min(...finite) : Math.max(...finite);
}

function figuresOf(points: readonly { readonly value: number }[]): DayFigures["figures"] {
  const [first] = points;
  if (first === undefined) return undefined;
  let { value: min, value: max } = first;
  let sum = 0;
  for (const { value } of points) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { min, max, avg: sum / points.length };
}
