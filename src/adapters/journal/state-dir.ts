/** The folder of Belay's own files: private to its user, and in use by one process at a time. */
import { lstatSync, mkdirSync, realpathSync, type Stats } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { isBusy } from "./faults.ts";
import { describeHolder, removeHolder, writeHolder } from "./holder.ts";

const LOCK_FILE = "belay.lock";
/** Long enough for a predecessor that is just stopping. */
const LOCK_BUSY_MS = 250;
const OTHERS_MAY_WRITE = 0o022;

/** A lock that nobody refers to would be collected as garbage and so let go. */
const HELD = new Set<DatabaseSync>();

export interface StateDir {
  /** Absolute, with links resolved. */
  readonly path: string;
  /** Gives the folder up to the next process; a killed process gives it up too. */
  release(): void;
}

/**
 * Makes the folder (mode 0700) when there is none and locks it. Throws an `OutsideFault` with one sentence for people when the folder belongs
 * to another user, when others may write to it, or when another process has it.
 */
export function prepareStateDir(path: string): StateDir {
  const folder = makeFolder(resolve(path));
  checkOwner(folder);
  return lockFolder(folder);
}

function makeFolder(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (error) {
    throw refused(`the state folder ${path} cannot be made or reached: ${messageOfFault(error)}`, error);
  }
}

function checkOwner(path: string): void {
  const stats: Stats = lstatSync(path);
  if (!stats.isDirectory()) throw refused(`the state folder ${path} is not a folder`);
  const user = process.geteuid?.();
  if (user !== undefined && stats.uid !== user) {
    throw refused(
      `the state folder ${path} belongs to user ${stats.uid} and Belay runs as user ${user}; give it a folder of its own`,
    );
  }
  if ((stats.mode & OTHERS_MAY_WRITE) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, "0");
    throw refused(
      `other users may write to the state folder ${path} (its mode is ${mode}); run: chmod 700 ${path}`,
    );
  }
}

/**
 * The lock is SQLite's: an exclusive lock of the operating system, which ends with the process however that ends. A file that only names a
 * process would survive a kill, and its number may be another process by then.
 */
function lockFolder(path: string): StateDir {
  const lockPath = join(path, LOCK_FILE);
  const holderPath = join(path, "belay.pid");
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(lockPath, { timeout: LOCK_BUSY_MS });
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    lock?.close();
    if (!isBusy(error))
      throw refused(`the state folder ${path} cannot be locked: ${messageOfFault(error)}`, error);
    throw refused(
      `the state folder ${path} is in use by ${describeHolder(holderPath)}; stop that Belay first, or give this one a state folder of its own`,
      error,
    );
  }
  const held = lock;
  HELD.add(held);
  writeHolder(holderPath);
  return {
    path,
    release() {
      if (!HELD.delete(held)) return;
      removeHolder(holderPath);
      held.close();
    },
  };
}

function refused(sentence: string, cause?: unknown): OutsideFault {
  return new OutsideFault(sentence, { recoverable: false, cause });
}
