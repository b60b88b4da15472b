/** Signatures seen lately, so that a recorded request has no effect when it is sent again. */

/** Longer than a signature is accepted at all: 5 minutes back and 1 ahead. */
const REMEMBERED_MS = 10 * 60_000;
/** More than Slack sends in that time to one app; when full, the oldest are forgotten. */
const MOST = 50_000;

export class Replays {
  readonly #seenAt = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Remembers a signature; false when it was seen before. */
  admit(signature: string): boolean {
    const now = this.#now();
    // The map keeps the order of arrival, so the oldest are first.
    for (const [old, at] of this.#seenAt) {
      if (now - at < REMEMBERED_MS && this.#seenAt.size < MOST) break;
      this.#seenAt.delete(old);
    }
    if (this.#seenAt.has(signature)) return false;
    this.#seenAt.set(signature, now);
    return true;
  }

  /** A request that could not be served may be sent again as it was. */
  forget(signature: string): void {
    this.#seenAt.delete(signature);
  }
}
