/** The clock of the file system: a restart never happens in the same tick of it as the write before. */
import { setTimeout as delay } from "node:timers/promises";

/** File systems date files in steps of up to 10 ms. */
const FILE_CLOCK_MS = 15;

/** Waits until a start that follows is dated later than any file written before, so that dates tell whether a process can have read a file. */
export async function passFileClock(): Promise<void> {
  await delay(FILE_CLOCK_MS);
}
