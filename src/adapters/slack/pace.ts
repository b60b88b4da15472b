/** Pace: how fast cosmetic messages may go, so that Slack's limits never bite on the urgent ones. */
import { setTimeout as sleepFor } from "node:timers/promises";
import { SlackFault } from "./faults.ts";

/** Waits `ms`; rejects with a recoverable fault when the adapter is stopped meanwhile. */
export async function sleep(ms: number, stopped: AbortSignal): Promise<void> {
  try {
    await sleepFor(ms, undefined, { signal: stopped });
  } catch {
    throw new SlackFault("Slack is being stopped", { recoverable: true });
  }
}

/** A bucket of tokens that fills with time. It may be overdrawn, and then takes longer to fill. */
export class Bucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #at = performance.now();

  constructor(options: { readonly capacity: number; readonly perSecond: number }) {
    this.#capacity = options.capacity;
    this.#perMs = options.perSecond / 1_000;
    this.#tokens = options.capacity;
  }

  /** Takes one without asking. */
  take(): void {
    this.#fill();
    this.#tokens -= 1;
  }

  /** Ms until one can be taken that leaves `reserve` behind; 0 when now. */
  waitMs(reserve = 0): number {
    this.#fill();
    const missing = 1 + reserve - this.#tokens;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perMs);
  }

  #fill(): void {
    const now = performance.now();
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
  }
}

/** Slack takes about one post a second in a channel, with small bursts; so much of a burst is left to urgent ones. */
const BURST = 4;
const LEFT_TO_URGENT = 2;
const POSTS_PER_SECOND = 0.95;
const CHANNELS_KEPT = 500;

/** The pace of new messages, channel by channel. */
export class PostPace {
  readonly #buckets = new Map<string, Bucket>();

  /** An urgent message goes now; the next cosmetic one waits for it. */
  urgent(channel: string): void {
    this.#bucket(channel).take();
  }

  /** Waits for a cosmetic message's turn. A new card is what somebody who typed a command waits for: it may use what is left to urgent ones. */
  async cosmetic(channel: string, isCard: boolean, stopped: AbortSignal): Promise<void> {
    const bucket = this.#bucket(channel);
    const left = isCard ? 0 : LEFT_TO_URGENT;
    for (let wait = bucket.waitMs(left); wait > 0; wait = bucket.waitMs(left)) await sleep(wait, stopped);
    bucket.take();
  }

  #bucket(channel: string): Bucket {
    const known = this.#buckets.get(channel);
    if (known !== undefined) return known;
    if (this.#buckets.size >= CHANNELS_KEPT) this.#buckets.clear();
    const made = new Bucket({ capacity: BURST, perSecond: POSTS_PER_SECOND });
    this.#buckets.set(channel, made);
    return made;
  }
}

/** Limits that Slack told: until then, the same call is not even tried. */
export class Quiet {
  readonly #until = new Map<string, number>();

  /** Throws a recoverable fault while the limit holds. */
  check(key: string, method: string): void {
    const until = this.#until.get(key);
    if (until === undefined) return;
    const left = Math.ceil(until - performance.now());
    if (left <= 0) {
      this.#until.delete(key);
      return;
    }
    throw new SlackFault(`Slack asked to wait before the next ${method}`, {
      recoverable: true,
      retryAfterMs: left,
      code: "ratelimited",
    });
  }

  set(key: string, ms: number): void {
    if (this.#until.size >= CHANNELS_KEPT) this.#until.clear();
    this.#until.set(key, performance.now() + ms);
  }
}
