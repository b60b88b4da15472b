/** Opening the journal's file: made private, held alone, set to survive a power cut, and brought up to the present tables. */
import { closeSync, openSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { isBusy, isDamaged } from "./faults.ts";
import { describeHolder } from "./holder.ts";
import { migrate } from "./schema.ts";

/** Long enough for a predecessor that is just closing its file. */
const OPEN_BUSY_MS = 250;
/** After a checkpoint the write-ahead log is cut down to this. */
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Opens the file, makes it when there is none, and holds it alone until it is closed. Throws an `OutsideFault` with one sentence for people.
 * Within this process nothing else may open and close the same file: that would drop the lock (POSIX locks belong to the process).
 */
export function openFile(path: string, holderPath: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    makePrivate(path);
    db = new DatabaseSync(path, { timeout: OPEN_BUSY_MS });
    prepare(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw refusal(error, path, holderPath);
  }
}

/** SQLite gives its log the same permissions as the file. An existing file must not be opened here: closing it would drop our own lock. */
function makePrivate(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  closeSync(openSync(path, "wx", 0o600));
}

function prepare(db: DatabaseSync, path: string): void {
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY");
  const mode = Object.values(db.prepare("PRAGMA journal_mode = WAL").get() ?? {})[0];
  if (mode !== "wal") {
    throw new OutsideFault(
      `the journal ${path} lies where SQLite cannot keep a write-ahead log (it offers "${String(mode)}"); use a local disk`,
      { recoverable: false },
    );
  }
  db.exec(
    `PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = ${LOG_LIMIT_BYTES}`,
  );
  db.exec("BEGIN EXCLUSIVE");
  migrate(db, path);
  db.exec("COMMIT");
}

function refusal(error: unknown, path: string, holderPath: string): OutsideFault {
  if (error instanceof OutsideFault) return error;
  const because = (sentence: string): OutsideFault =>
    new OutsideFault(sentence, { recoverable: false, cause: error });
  if (isBusy(error)) {
    return because(
      `the journal ${path} is in use by ${describeHolder(holderPath)}; stop that Belay first, or give this one a state folder of its own`,
    );
  }
  if (isDamaged(error)) {
    return because(
      `the journal ${path} is damaged or is no SQLite file (${messageOfFault(error)}); put a sound copy in its place, or move it away to begin anew`,
    );
  }
  return because(`the journal ${path} cannot be opened: ${messageOfFault(error)}`);
}
