/** Slack's rate limits: calls per minute by method, and about one post per second in each channel. */

import type { Clock } from "./clock.ts";

/** Posts that a channel takes in a row before the limit of one per second bites. */
export const POST_BURST = 4;
const WINDOW_MS = 60_000;

/** The counters of the limits. */
export interface Limits {
  /**
   * Counts one call. `channel` is given for posts only.
   * @returns 0 when it may go on, else the seconds after which to come again; a refused call is not counted.
   */
  take(method: string, perMinute: number, channel: string | undefined): number;
}

/** Makes counters at zero. */
export function createLimits(clock: Clock): Limits {
  const callsAt = new Map<string, number[]>();
  const buckets = new Map<string, { tokens: number; atMs: number }>();

  function methodWaitMs(recent: readonly number[], perMinute: number): number {
    const oldest = recent[recent.length - perMinute];
    return oldest === undefined ? 0 : oldest + WINDOW_MS - clock.now();
  }

  function refill(channel: string): { tokens: number; atMs: number } {
    const bucket = buckets.get(channel) ?? { tokens: POST_BURST, atMs: clock.now() };
    buckets.set(channel, bucket);
    bucket.tokens = Math.min(POST_BURST, bucket.tokens + (clock.now() - bucket.atMs) / 1000);
    bucket.atMs = clock.now();
    return bucket;
  }

  return {
    take(method, perMinute, channel) {
      const recent = (callsAt.get(method) ?? []).filter((atMs) => clock.now() - atMs < WINDOW_MS);
      callsAt.set(method, recent);
      const waitMs = methodWaitMs(recent, perMinute);
      if (waitMs > 0) return Math.ceil(waitMs / 1000);
      if (channel !== undefined) {
        const bucket = refill(channel);
        if (bucket.tokens < 1) return Math.max(1, Math.ceil(1 - bucket.tokens));
        bucket.tokens -= 1;
      }
      recent.push(clock.now());
      return 0;
    },
  };
}
