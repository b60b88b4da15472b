/** Waiting for a condition, with what was waited for in the error. */
import { setTimeout as delay } from "node:timers/promises";

const EVERY_MS = 25;
const WITHIN_MS = 15_000;

export interface Patience {
  /** 15 s when not given. */
  readonly withinMs?: number;
  readonly everyMs?: number;
  /** What there was instead, for the error. */
  readonly instead?: () => string | Promise<string>;
}

/** The first answer of `look` that is not undefined; one that throws has no answer yet. Rejects, saying `what`, when none comes in time. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  { withinMs = WITHIN_MS, everyMs = EVERY_MS, instead }: Patience = {},
): Promise<T> {
  const until = performance.now() + withinMs;
  let trouble = "";
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      trouble = error instanceof Error ? `; last: ${error.message}` : "";
    }
    if (performance.now() > until) {
      const there = instead === undefined ? "" : `; there was: ${await instead()}`;
      throw new Error(`not within ${withinMs} ms: ${what}${trouble}${there}`);
    }
    await delay(everyMs);
  }
}

/** Resolves when `holds` is true. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patience: Patience = {},
): Promise<void> {
  await eventually(what, async () => ((await holds()) ? true : undefined), patience);
}
