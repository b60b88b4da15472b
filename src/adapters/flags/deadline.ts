/** Not for ever: the deadline that every store in this room uses. */

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
