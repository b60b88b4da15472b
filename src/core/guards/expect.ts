/** The `expect` guard: a number that must be reached within a time after the flip, or the stage holds: the flag is on but nothing seems to read it. */

import type { ExpectGuard } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import type { Finding, Judgement } from "../verdict.ts";

/** `bits & 1` says whether the newest value misses the expectation; once met it stays met until the next epoch. Never a breach. */
export function judgeExpect(
  guard: ExpectGuard,
  before: Judgement,
  value: number,
  at: number,
  bits: number,
): Finding {
  if (before.met || (bits & 1) === 0)
    return { verdict: "pass", reason: undefined, detail: undefined, met: true };
  const shown = `${formatQuantity(value, guard.unit)}, expected ${expectation(guard)}`;
  const overdue = at - before.epoch >= guard.withinMs;
  return overdue
    ? {
        verdict: "inconclusive",
        reason: "expectation_unmet",
        detail: `${shown}: ON, but nothing seems to read it`,
        met: false,
      }
    : { verdict: "inconclusive", reason: "awaiting", detail: shown, met: false };
}

function expectation(guard: ExpectGuard): string {
  if (guard.min !== undefined) return `at least ${formatQuantity(guard.min, guard.unit)}`;
  return `at most ${formatQuantity(guard.max ?? 0, guard.unit)}`;
}
