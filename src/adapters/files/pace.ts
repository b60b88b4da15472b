/** How planned time passes in a demo: hours become seconds, and the empty stretch before the last day is cut short. */
import type { Pace } from "../../core/files/stages.ts";
import { HOUR, SECOND } from "../../core/time.ts";

const LONGEST_PACED_MS = 6 * HOUR;
const CUT_SHORT_MS = 10 * SECOND;

/** A gap of up to 6 planned hours takes `secondsPerHour` real seconds for each; a longer one takes 10 s. */
export function demoPace(secondsPerHour: number): Pace {
  return (gapMs) =>
    gapMs <= LONGEST_PACED_MS ? Math.round((gapMs / HOUR) * secondsPerHour * SECOND) : CUT_SHORT_MS;
}
