/** Waiting for something to happen in the workspace: by its events, never by polling. */

/** How long a wait lasts when nothing is said. */
export const WAIT_MS = 5_000;

/**
 * Waits until a check finds something.
 * @param listen starts listening, runs the check it is given at each event, and returns what stops the listening.
 * @param describe says what was there instead, for the error.
 * @throws Error after `timeoutMs` of real time, and whatever the check throws.
 */
export function until<T>(
  listen: (check: (find: () => T | undefined) => void) => readonly (() => void)[],
  timeoutMs: number,
  describe: () => string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer);
      for (const stop of stops) stop();
    };
    const timer = setTimeout(() => {
      finish();
      reject(new Error(`waited ${timeoutMs} ms in vain; ${describe()}`));
    }, timeoutMs);
    const stops = listen((find) => {
      try {
        const found = find();
        if (found === undefined) return;
        finish();
        resolve(found);
      } catch (error) {
        finish();
        reject(error);
      }
    });
  });
}
