/** How a call ends that a simulated process makes: after some virtual time, or never once the process has died. */
import type { Timeline } from "./timeline.ts";

/** What a dead process, or a call that hangs for ever, waits for. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

/** One process as the outside sees it. */
export class Caller {
  readonly #timeline: Timeline;
  readonly #isAlive: () => boolean;

  constructor(timeline: Timeline, isAlive: () => boolean) {
    this.#timeline = timeline;
    this.#isAlive = isAlive;
  }

  /** Does `act` after `ms`, dead or alive: the outside has the request already. Its outcome reaches only a living caller. */
  later<T>(ms: number, act: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#timeline.after(ms, () => {
        try {
          const result = act();
          if (this.#isAlive()) resolve(result);
        } catch (error) {
          if (this.#isAlive()) reject(error);
        }
      });
    });
  }

  /** Rejects with `fault` after `ms`, and nothing else happens. */
  failsLater<T>(ms: number, fault: Error): Promise<T> {
    return this.later(ms, (): T => {
      throw fault;
    });
  }
}
