/** Judging: folds the measurements of one guard into a verdict. Judge states are small, immutable and rebuilt from history after a restart. */
import { judgeAlive } from "./guards/alive.ts";
import { judgeExpect } from "./guards/expect.ts";
import { judgeThreshold } from "./guards/threshold.ts";
import { judgeTrend } from "./guards/trend.ts";
import { type Measurement, measurementOf, type Poll } from "./measurement.ts";
import type { Guard } from "./plan.ts";
import { type Measured, type TrendPoll, trendMeasured } from "./trend.ts";
import type { Finding, Judgement } from "./verdict.ts";

/** A run of `pass` is broken when two measurements are further apart than this: two intervals and a slow answer. */
export function longestGapMs(guard: Guard, queryTimeoutMs: number): number {
  return 2 * guard.intervalMs + queryTimeoutMs;
}

/** The next judgement after one measurement. Measurements before the epoch are shown but not counted. */
export function judge(guard: Guard, before: Judgement, measured: Measured, gapMs: number): Judgement {
  if (measured.at < before.epoch || measured.at < before.at) return before;
  if (measured.kind !== "value") {
    return {
      ...before,
      verdict: measured.kind,
      reason: measured.reason,
      detail: measured.detail,
      value: undefined,
      at: measured.at,
    };
  }
  const bad = isBad(guard, measured.value, measured.trend);
  const count = Math.min(before.count + 1, guard.breach.n);
  const older = (before.bits << 1) & ((1 << guard.breach.n) - 1);
  const bits = older | (bad ? 1 : 0);
  const found = find(guard, before, measured, bits);
  const pass = found.verdict === "pass";
  const unbroken = before.verdict === "pass" && measured.at - before.at <= gapMs;
  const firstAt = startOfRun(guard, before, measured.at);
  return {
    epoch: before.epoch,
    bits,
    count,
    verdict: found.verdict,
    reason: found.reason,
    detail: found.detail,
    value: measured.value,
    at: measured.at,
    passSince: pass && !unbroken ? firstAt : before.passSince,
    passUntil: pass ? measured.at : before.passUntil,
    badSince: bits === 0 ? undefined : older === 0 ? measured.at : before.badSince,
    met: found.met,
  };
}

/** A run of passes begins at its first measurement; the first one of an epoch, if it is prompt, speaks for the time since the epoch began. */
function startOfRun(guard: Guard, before: Judgement, at: number): number {
  return before.reason === "not_asked" && at - before.epoch <= 2 * guard.intervalMs ? before.epoch : at;
}

function isBad(guard: Guard, value: number, trend: Measured["trend"]): boolean {
  if (guard.kind === "alive") return value < 1;
  if (guard.kind === "trend") return trend?.fires === true;
  return (guard.max !== undefined && value > guard.max) || (guard.min !== undefined && value < guard.min);
}

function find(
  guard: Guard,
  before: Judgement,
  { value, at, trend }: Extract<Measured, { kind: "value" }>,
  bits: number,
): Finding {
  switch (guard.kind) {
    case "threshold":
      return judgeThreshold(guard, value, bits);
    case "alive":
      return judgeAlive(guard, bits);
    case "expect":
      return judgeExpect(guard, before, value, at, bits);
    case "trend":
      return judgeTrend(guard, trend);
  }
}

/** The measurement that the answers of one poll of this guard yield (see `measurementOf`). */
export function measure(guard: Guard, poll: TrendPoll, scrapeMs: number): Measured {
  switch (guard.kind) {
    case "threshold":
      return measurementOf(poll, {
        worst: guard.worst,
        freshWithinMs: 2 * scrapeMs,
        minSamples: guard.samples?.min,
        minTotal: guard.total?.min,
      });
    case "expect":
      return measurementOf(poll, { worst: guard.worst, freshWithinMs: 2 * scrapeMs });
    case "alive":
      return aliveMeasurement(poll, scrapeMs);
    case "trend":
      return trendMeasured(guard, poll, scrapeMs);
  }
}

/** `total` carries the answer about other targets: a dead target is only believed when Prometheus still sees a live one. */
function aliveMeasurement(poll: Poll, scrapeMs: number): Measurement {
  const ours = measurementOf({ ...poll, total: undefined }, { worst: "min", freshWithinMs: 2 * scrapeMs });
  if (ours.kind !== "value" || ours.value >= 1) return ours;
  const others =
    poll.total === undefined
      ? undefined
      : measurementOf(
          { ...poll, main: poll.total, total: undefined },
          { worst: "max", freshWithinMs: 2 * scrapeMs },
        );
  if (others?.kind === "value" && others.value >= 1) return ours;
  if (others?.kind === "provider_down") return others;
  const detail = "our target is down, but so is every other: Prometheus may be cut off";
  return { kind: "no_evidence", at: poll.at, reason: "no_other_target", detail };
}
