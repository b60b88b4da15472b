/** Waiting until something that was just started really is up: it stays alive for a moment, and says so itself where it can. */
import { setTimeout as delay } from "node:timers/promises";
import { OutsideFault } from "../../engine/ports.ts";

const LOOK_FIRST_MS = 10;
const LOOK_MOST_MS = 250;

/** One look. `run` names the start that was seen; another name means that it was started again meanwhile. */
export type Look =
  | { readonly kind: "running"; readonly run: string }
  | { readonly kind: "coming" }
  | { readonly kind: "gone"; readonly why: string };

export interface UpOptions {
  /** What is waited for, in messages. */
  readonly what: string;
  readonly look: () => Look | Promise<Look>;
  /** Asked once it has stayed alive for the moment; an answer of false, or a rejection, means not yet. */
  readonly isUp?: (() => Promise<boolean>) | undefined;
  /** The moment for which one and the same start must stay alive, ms. */
  readonly settleMs: number;
  readonly upWithinMs: number;
}

/** Resolves when it is up; rejects with an `OutsideFault` when it is gone for good, or not up within `upWithinMs`. */
export async function waitUntilUp(options: UpOptions): Promise<void> {
  const { what, look, isUp, settleMs, upWithinMs } = options;
  const begunAt = performance.now();
  let seen: { readonly run: string; readonly since: number } | undefined;
  let last = "it has not started";
  for (let waitMs = LOOK_FIRST_MS; ; waitMs = Math.min(LOOK_MOST_MS, waitMs * 1.5)) {
    const now = await look();
    const at = performance.now();
    if (now.kind === "gone") throw new OutsideFault(`${what} is not up: ${now.why}`, { recoverable: true });
    if (now.kind === "coming") seen = undefined;
    else if (seen?.run !== now.run) seen = { run: now.run, since: at };
    if (seen !== undefined && at - seen.since >= settleMs) {
      if (isUp === undefined) return;
      if (await answered(isUp, begunAt + upWithinMs - at)) return;
      last = "it runs, but does not say that it is up";
    } else if (seen !== undefined) {
      last = "it runs, but not yet for long enough";
    }
    const leftMs = begunAt + upWithinMs - performance.now();
    if (leftMs <= 0)
      throw new OutsideFault(`${what} is not up ${upWithinMs} ms after its start: ${last}`, {
        recoverable: true,
      });
    await delay(Math.min(waitMs, leftMs));
  }
}

async function answered(isUp: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  const aborter = new AbortController();
  const late = delay(Math.max(0, withinMs), false, { signal: aborter.signal }).catch(() => false);
  try {
    return await Promise.race([isUp().catch(() => false), late]);
  } finally {
    aborter.abort();
  }
}
