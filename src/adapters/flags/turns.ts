/** One after the other, and not for ever: the queue and the deadline that every store in this room uses. */

/** Runs jobs strictly one after the other, in the order in which they came; a job that fails does not stop the next one. */
export type Turns = <T>(job: () => Promise<T>) => Promise<T>;

export function createTurns(): Turns {
  let tail: Promise<unknown> = Promise.resolve();
  return <T>(job: () => Promise<T>): Promise<T> => {
    const mine = tail.then(job);
    tail = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  };
}

/**
 * Runs `job` for at most `timeoutMs`; then rejects with `late()` and aborts the job's signal. A job that cannot be stopped goes on, but must
 * change nothing once its signal is aborted.
 */
export async function within<T>(
  timeoutMs: number,
  late: () => Error,
  job: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController();
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const fault = late();
    aborter.abort(fault);
    reject(fault);
  }, timeoutMs);
  const work = job(aborter.signal);
  // When the deadline wins, nobody else hears of the job's own failure.
  work.catch(() => {});
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
