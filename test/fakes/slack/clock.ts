/** The workspace's clock: it runs with the base clock and can be moved forward, firing what has become due. */

/** Time as the workspace sees it; all its limits and lifetimes are measured with this. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs once, `delayMs` from now on this clock. Returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Jumps forward by `ms` and fires at once what became due, earliest first. */
  advance(ms: number): void;
  /** Cancels everything that is still to come. */
  stop(): void;
}

interface Alarm {
  readonly dueAtMs: number;
  readonly run: () => void;
  timer: NodeJS.Timeout | undefined;
}

/** Node fires timers longer than this at once; an alarm further away re-arms itself on the way. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Makes a clock on top of `base` (milliseconds since 1970). */
export function createClock(base: () => number): Clock {
  let offsetMs = 0;
  const pending = new Set<Alarm>();
  const now = (): number => base() + offsetMs;

  function arm(alarm: Alarm): void {
    clearTimeout(alarm.timer);
    const waitMs = Math.min(Math.max(1, alarm.dueAtMs - now()), LONGEST_TIMER_MS);
    alarm.timer = setTimeout(() => ring(alarm), waitMs);
  }

  function ring(alarm: Alarm): void {
    if (!pending.has(alarm)) return;
    if (alarm.dueAtMs > now()) {
      arm(alarm);
      return;
    }
    cancel(alarm);
    alarm.run();
  }

  function cancel(alarm: Alarm): void {
    pending.delete(alarm);
    clearTimeout(alarm.timer);
  }

  return {
    now,
    after(delayMs, run) {
      const alarm: Alarm = { dueAtMs: now() + delayMs, run, timer: undefined };
      pending.add(alarm);
      arm(alarm);
      return () => cancel(alarm);
    },
    advance(ms) {
      offsetMs += ms;
      for (const alarm of [...pending].sort((a, b) => a.dueAtMs - b.dueAtMs)) {
        if (alarm.dueAtMs <= now()) ring(alarm);
        else if (pending.has(alarm)) arm(alarm);
      }
    },
    stop() {
      for (const alarm of [...pending]) cancel(alarm);
    },
  };
}
