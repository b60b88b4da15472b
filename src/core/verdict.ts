/** Verdicts: the five answers a guard can have, and what is remembered of one guard between two measurements. */
import type { DownReason, NoEvidenceReason } from "./measurement.ts";

/** Only fresh `pass` lets a stage advance, only `breach` rolls back, everything else holds. */
export type Verdict = "pass" | "breach" | "no_evidence" | "provider_down" | "inconclusive";

/** Why a verdict is what it is; a stable code for people and tests. */
export type VerdictReason =
  | NoEvidenceReason
  | DownReason
  | "over_limit"
  | "not_yet_k_of_n"
  | "target_down"
  | "awaiting"
  | "expectation_unmet"
  | "not_asked";

/**
 * What is known of one guard. `bits` is the ring of the last n values (1 = bad, newest lowest) and `count` how many are in it;
 * `passSince` to `passUntil` is the last unbroken run of `pass`; `badSince` is the first bad value since the ring last held none. All instants are steady ms.
 */
export interface Judgement {
  readonly epoch: number;
  readonly bits: number;
  readonly count: number;
  readonly verdict: Verdict;
  readonly reason: VerdictReason | undefined;
  readonly detail: string | undefined;
  readonly value: number | undefined;
  readonly at: number;
  readonly passSince: number | undefined;
  readonly passUntil: number | undefined;
  readonly badSince: number | undefined;
  readonly met: boolean;
}

/** A judgement before any measurement. Only samples taken at or after `epoch` count. */
export function unjudged(epoch: number): Judgement {
  return {
    epoch,
    bits: 0,
    count: 0,
    verdict: "no_evidence",
    reason: "not_asked",
    detail: undefined,
    value: undefined,
    at: Number.NEGATIVE_INFINITY,
    passSince: undefined,
    passUntil: undefined,
    badSince: undefined,
    met: false,
  };
}

/** What a guard kind says of one new value, given the ring that includes it. */
export interface Finding {
  readonly verdict: Verdict;
  readonly reason: VerdictReason | undefined;
  readonly detail: string | undefined;
  readonly met: boolean;
}

/** How many of the last n values were bad. */
export function badCount(bits: number): number {
  let left = bits;
  let count = 0;
  for (; left !== 0; count++) left &= left - 1;
  return count;
}
