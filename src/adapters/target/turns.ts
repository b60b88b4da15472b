/** When restarts of one target happen: never two at once, and never in the same tick of the file clock as the write before them. */
import { setTimeout as delay } from "node:timers/promises";

/** File systems date files in steps of up to 10 ms. */
const FILE_CLOCK_MS = 15;

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

/** Waits until a start that follows is dated later than any file written before, so that dates tell whether a process can have read a file. */
export async function passFileClock(): Promise<void> {
  await delay(FILE_CLOCK_MS);
}
