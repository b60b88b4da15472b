/** What a rollback saved, from the service's own counters: from the first moment of the trouble to the flag off. */
import { costLine } from "../story.ts";
import type { History, Sample } from "./history.ts";
import type { Rollback } from "./rollbacks.ts";

const FIVE_MINUTES_S = 300;
/** How long before the trouble the usual throughput is taken. */
const USUAL_MS = 5_000;
/** Below this share of the usual throughput, files are late. */
const LATE_SHARE = 0.8;
/** An honest 0.1 % of the files is malformed: this few failures say nothing. */
const HONEST_SHARE = 0.01;
/** From this share on, files are slow. */
const SLOW_SHARE = 0.1;
const LEAK_BYTES = 20_000_000;
const MEGABYTE = 1_000_000;

/** What the service's counters said over the trouble. */
export interface Harm {
  /** From its begin to the flags read back off. */
  readonly offMs: number;
  /** From its begin until the service itself showed the flags off; the sums below are over this time. */
  readonly seenMs: number;
  readonly files: number;
  readonly failures: number;
  /** Files whose parsing took longer than 250 ms. */
  readonly slow: number;
  /** How many files the service would usually have done. */
  readonly usualFiles: number;
  readonly grownBytes: number;
}

/** Undefined while the flags are not off yet, or where nothing was wrong: then a person just took something back. */
export function harmOf(history: History, rollback: Rollback): Harm | undefined {
  if (rollback.offWall === undefined) return undefined;
  const from = history.brokenSince(rollback.decidedWall) ?? rollback.breachWall;
  const isOff = (sample: Sample): boolean =>
    sample.up && rollback.keys.every((key) => sample.flags[key] === "false");
  const end = history.firstFrom(rollback.offWall, isOff);
  const begin = from === undefined ? undefined : history.at(from);
  if (from === undefined || begin === undefined || end === undefined) return undefined;
  const seenMs = Math.max(1, end.t - from);
  const worst = history.at(rollback.offWall);
  return {
    offMs: rollback.offWall - from,
    seenMs,
    files: end.files - begin.files,
    failures: end.failures - begin.failures,
    slow: end.slow - begin.slow,
    usualFiles: (history.rateBefore(from, USUAL_MS) * seenMs) / 1_000,
    grownBytes: (worst ?? end).memoryBytes - begin.memoryBytes,
  };
}

/** The line that closes a rollback, in the unit of what went wrong: failed, slow or late files, or memory. */
export function harmLine(harm: Harm): string {
  const perSecond = (amount: number): number => (amount / harm.seenMs) * 1_000;
  const late = harm.usualFiles - harm.files;
  if (harm.failures > harm.files * HONEST_SHARE)
    return costLine(harm.offMs, harm.failures, perSecond(harm.failures) * FIVE_MINUTES_S);
  if (harm.grownBytes > LEAK_BYTES) {
    const grown = harm.grownBytes / MEGABYTE;
    return line(
      harm.offMs,
      `${inWords(grown)} MB leaked`,
      `${inWords(perSecond(grown) * FIVE_MINUTES_S)} MB`,
    );
  }
  if (harm.slow > harm.files * SLOW_SHARE)
    return line(
      harm.offMs,
      `${inWords(harm.slow)} files slower than 250 ms`,
      inWords(perSecond(harm.slow) * FIVE_MINUTES_S),
    );
  if (harm.files < harm.usualFiles * LATE_SHARE)
    return line(harm.offMs, `${inWords(late)} files late`, inWords(perSecond(late) * FIVE_MINUTES_S));
  return costLine(harm.offMs, harm.failures, perSecond(harm.failures) * FIVE_MINUTES_S);
}

function line(offMs: number, what: string, fiveMinutes: string): string {
  return `OFF in ${(offMs / 1_000).toFixed(1)} s: ${what}; a five-minute rule would have cost ${fiveMinutes}`;
}

function inWords(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
