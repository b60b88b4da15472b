/** The `threshold` guard: a number beyond its limit, k times among the last n values, is a breach. */

import type { ThresholdGuard } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import { badCount, type Finding } from "../verdict.ts";

const PASS: Finding = { verdict: "pass", reason: undefined, detail: undefined, met: false };

/** `bits` is the ring of the last n values including `value`, newest lowest; 1 is bad. */
export function judgeThreshold(guard: ThresholdGuard, value: number, bits: number): Finding {
  if (bits === 0) return PASS;
  const bad = badCount(bits);
  if (bad >= guard.breach.k) {
    return {
      verdict: "breach",
      reason: "over_limit",
      detail: `${describe(guard, value)}, ${bad} of ${guard.breach.n} bad`,
      met: false,
    };
  }
  if ((bits & 1) === 0) return PASS;
  return {
    verdict: "inconclusive",
    reason: "not_yet_k_of_n",
    detail: `${describe(guard, value)}, ${bad} of ${guard.breach.k} needed`,
    met: false,
  };
}

function describe(guard: ThresholdGuard, value: number): string {
  const shown = formatQuantity(value, guard.unit);
  if (guard.max !== undefined && value > guard.max)
    return `${shown} > ${formatQuantity(guard.max, guard.unit)}`;
  if (guard.min !== undefined && value < guard.min)
    return `${shown} < ${formatQuantity(guard.min, guard.unit)}`;
  return shown;
}
