/** The `alive` guard: our target is down while others are up; a flag that kills the service must not look like missing data. */

import type { AliveGuard } from "../plan.ts";
import { badCount, type Finding } from "../verdict.ts";

const PASS: Finding = { verdict: "pass", reason: undefined, detail: undefined, met: false };

/** `bits` is the ring of the last n polls including the newest (lowest bit); 1 is down. */
export function judgeAlive(guard: AliveGuard, bits: number): Finding {
  const down = badCount(bits);
  if (down >= guard.breach.k) {
    return {
      verdict: "breach",
      reason: "target_down",
      detail: `target down in ${down} of the last ${guard.breach.n} polls`,
      met: false,
    };
  }
  if ((bits & 1) === 0) return PASS;
  return {
    verdict: "inconclusive",
    reason: "not_yet_k_of_n",
    detail: `target down, ${down} of ${guard.breach.k} needed`,
    met: false,
  };
}
