/** Small tools for waiting: a bell that wakes a loop, a deadline, and the distance between tries. */
import { type Clock, OutsideFault } from "./ports.ts";

/** Wakes one waiting loop. A ring while nobody waits is kept for the next wait. */
export interface Bell {
  ring(): void;
  /** Resolves when rung or after `ms`, whichever comes first. */
  wait(ms: number): Promise<void>;
}

export function createBell(clock: Clock): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(ms) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const cancel = clock.after(ms, resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
        wake = undefined;
      }
      rung = false;
    },
  };
}

/** Resolves after `ms` of steady time. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise<void>((resolve) => {
    clock.after(ms, resolve);
  });
}

/** The promise's outcome, or a recoverable `OutsideFault` after `ms`; a later outcome is ignored. */
export function withDeadline<T>(clock: Clock, ms: number, what: string, promise: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(ms, () =>
      reject(new OutsideFault(`${what}: no answer in ${ms} ms`, { recoverable: true })),
    );
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Exponential backoff with full jitter over its upper half: attempt 0 waits about `first` ms, later ones up to `most`. */
export function backoffMs(clock: Clock, attempt: number, first: number, most: number): number {
  const ceiling = Math.min(most, first * 2 ** Math.min(attempt, 20));
  return ceiling * (0.5 + clock.random() / 2);
}
