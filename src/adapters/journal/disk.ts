/** Small acts on files that must be complete on the disk when they return. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/** Writes all bytes; `writeSync` alone may write a part. */
export function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}

/** Makes a file's creation, renaming or removal in `directory` survive a power cut. */
export function syncDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
