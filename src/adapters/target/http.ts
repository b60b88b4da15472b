/** A target that is restarted by a POST to a URL, and is up when another URL says so. */
import { setTimeout as delay } from "node:timers/promises";
import { messageOfFault, OutsideFault } from "../../engine/ports.ts";

const LOOK_EVERY_MS = 500;
/** A look with less time than this tells only that it had none. */
const LEAST_LOOK_MS = 50;
const MOST_REQUEST_MS = 10_000;
/** What is going down may answer once more; so many good answers one after the other are no leftovers. */
const GOOD_IN_A_ROW = 2;

/** Sends one request to a checked address and never follows a redirect; rejects when there is no answer in time. */
export type Send = (request: {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly timeoutMs: number;
}) => Promise<{ readonly status: number }>;

export interface HttpTargetOptions {
  readonly post: string;
  /** Answers 2xx when it is up; without it, the answer to the POST is all that is known. */
  readonly up?: string | undefined;
  readonly upWithinMs: number;
  readonly send: Send;
}

/** Restarts it and waits until it is up; rejects with an `OutsideFault` when it refuses, or is not up in its time. */
export async function restartByHttp({ post, up, upWithinMs, send }: HttpTargetOptions): Promise<void> {
  const until = performance.now() + upWithinMs;
  const host = URL.parse(post)?.host ?? "the target";
  let unanswered: string | undefined;
  try {
    const { status } = await send({
      method: "POST",
      url: post,
      timeoutMs: Math.min(MOST_REQUEST_MS, upWithinMs),
    });
    if (status < 200 || status > 299)
      throw new OutsideFault(`${host} refuses the restart with status ${status}`, { recoverable: true });
  } catch (error) {
    if (error instanceof OutsideFault) throw error;
    // What restarts itself may go before it has answered.
    unanswered = messageOfFault(error);
  }
  if (up !== undefined) return waitUntilUp({ up, until, upWithinMs, send, unanswered });
  if (unanswered !== undefined)
    throw new OutsideFault(`nobody knows whether it was restarted: ${unanswered}`, { recoverable: true });
}

export interface UpUrl {
  readonly up: string;
  /** `performance.now()` at which it is given up. */
  readonly until: number;
  readonly upWithinMs: number;
  readonly send: Send;
  /** Why the restart itself was not answered. */
  readonly unanswered?: string | undefined;
}

/** Resolves when `up` has answered 2xx twice one after the other; rejects with an `OutsideFault` at `until`. */
export async function waitUntilUp({ up, until, upWithinMs, send, unanswered }: UpUrl): Promise<void> {
  let good = 0;
  let last = "it was not asked yet";
  for (;;) {
    const leftMs = Math.floor(until - performance.now());
    if (leftMs < LEAST_LOOK_MS) {
      const first = unanswered === undefined ? "" : `; the restart itself was not answered (${unanswered})`;
      throw new OutsideFault(`not up ${upWithinMs} ms after its restart: ${last}${first}`, {
        recoverable: true,
      });
    }
    try {
      const { status } = await send({ method: "GET", url: up, timeoutMs: Math.min(MOST_REQUEST_MS, leftMs) });
      const isGood = status >= 200 && status <= 299;
      good = isGood ? good + 1 : 0;
      last = isGood ? "it answers, but not for long enough" : `it answers with status ${status}`;
    } catch (error) {
      good = 0;
      last = messageOfFault(error);
    }
    if (good >= GOOD_IN_A_ROW) return;
    await delay(Math.min(LOOK_EVERY_MS, Math.max(0, until - performance.now())));
  }
}
