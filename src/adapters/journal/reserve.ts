/** The reserve: 1 MiB of disk held by a file, given up when the disk is full so that going back can still be recorded. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { writeAll } from "./disk.ts";

export const RESERVE_BYTES = 1024 * 1024;
/** With less free than this, taking the reserve again would only fill the disk anew. */
const ROOMY_BYTES = 16 * RESERVE_BYTES;

export interface Reserve {
  /** Gives the space up; false when it was given up before. */
  free(): boolean;
  /** Takes the space again when the disk has plenty; true when the reserve is held afterwards. */
  refill(): boolean;
  held(): boolean;
}

/** Takes the reserve at `path`. A disk that has no room for it leaves it not held; nothing throws. */
export function openReserve(path: string): Reserve {
  let held = isWhole(path) || take(path);
  return {
    held: () => held,
    free() {
      if (!held) return false;
      try {
        rmSync(path, { force: true });
      } catch {
        return false;
      }
      held = false;
      return true;
    },
    refill() {
      if (!held && freeBytes(path) >= ROOMY_BYTES) held = take(path);
      return held;
    },
  };
}

/** A process killed while it took the reserve leaves a part of it. */
function isWhole(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === RESERVE_BYTES;
}

/** Random bytes, because a file system may store zeros in no space at all. */
function take(path: string): boolean {
  try {
    const file = openSync(path, "w", 0o600);
    try {
      writeAll(file, randomBytes(RESERVE_BYTES));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return true;
  } catch {
    drop(path);
    return false;
  }
}

/** A half-written reserve would only waste the space it has. */
function drop(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Nothing depends on it.
  }
}

function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize;
  } catch {
    return 0;
  }
}
