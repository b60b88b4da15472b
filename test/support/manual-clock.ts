/** A clock that a test moves by hand: steady time goes on only when told to, and the wall clock may be set in between. */
import type { Now } from "../../src/core/time.ts";
import type { Clock } from "../../src/engine/ports.ts";

interface Timer {
  readonly due: number;
  readonly act: () => void;
}

export class ManualClock implements Clock {
  #steady = 0;
  #wallAhead: number;
  #timers: Timer[] = [];

  /** `wall`: Unix ms at steady 0. */
  constructor(wall: number) {
    this.#wallAhead = wall;
  }

  now(): Now {
    return { steady: this.#steady, wall: this.#steady + this.#wallAhead };
  }

  after(ms: number, act: () => void): () => void {
    const timer: Timer = { due: this.#steady + Math.max(0, ms), act };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  random(): number {
    return 0.5;
  }

  /** Sets the wall clock forward or back. */
  jump(ms: number): void {
    this.#wallAhead += ms;
  }

  /** Lets time go by: timers fire in order, and after each everything that it set off comes to rest. */
  async advance(ms: number): Promise<void> {
    const end = this.#steady + ms;
    for (;;) {
      await atRest();
      const [next] = [...this.#timers].sort((a, b) => a.due - b.due);
      if (next === undefined || next.due > end) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#steady = Math.max(this.#steady, next.due);
      next.act();
    }
    this.#steady = end;
  }
}

/** Resolves after every promise that can be settled now; nothing in these tests waits for the outside. */
export function atRest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
