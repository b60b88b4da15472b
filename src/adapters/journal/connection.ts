/** The one connection to the journal's file: prepared statements, transactions, and every error told apart. */
import { statSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { OutsideFault } from "../../engine/ports.ts";
import { mayBeFull, toFault } from "./faults.ts";
import { removeHolder, writeHolder } from "./holder.ts";
import { openFile } from "./open-file.ts";
import type { Row } from "./rows.ts";
import { createSpace, type Space } from "./space.ts";

export interface ConnectionOptions {
  readonly path: string;
  /** Where the reserve lies; beside the journal by default. It must be on the same file system. */
  readonly reservePath?: string | undefined;
  /** The journal grows to this and no further, bytes; 4 GiB by default. */
  readonly maxBytes?: number | undefined;
}

/** Statements, to be used inside `reading` or one of the writing methods. */
export interface Statements {
  /** The first row, or undefined. */
  get(sql: string, ...values: SQLInputValue[]): Row | undefined;
  all(sql: string, ...values: SQLInputValue[]): readonly Row[];
  /** Rows one by one; nothing else may change the database meanwhile. */
  each(sql: string): Iterable<Row>;
  /** The number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number;
}

export interface Connection extends Statements {
  reading<T>(work: () => T): T;
  /** Runs `work` in one transaction: when this returns it is on the disk, and when this throws nothing of it is, as far as anyone knows. */
  writing<T>(work: () => T): T;
  /** Like `writing`, for what goes forward; refused while the reserve is given up and there is not plenty of room again. */
  writingWithRoom<T>(work: () => T): T;
  /** Like `writing`; when the disk is full, gives up the reserve and tries once more. */
  writingWithReserve<T>(work: () => T): T;
  isShortOfSpace(): boolean;
  close(): void;
}

/** Opens the journal's file; see `openFile` for what may be refused. Statements throw an `OutsideFault` when the store is at fault. */
export function openConnection(options: ConnectionOptions): Connection {
  const { path, maxBytes } = options;
  const holderPath = `${path}.pid`;
  const db = openFile(path, holderPath);
  writeHolder(holderPath);
  const space = createSpace(db, { reservePath: options.reservePath ?? `${path}.reserve`, maxBytes });
  const inode = statSync(path).ino;
  let open = true;
  const statements = createStatements(db);
  const transaction = createTransaction(db, statements);

  function checkFile(): void {
    if (!open) throw new OutsideFault("the journal is closed", { recoverable: false });
    if (statSync(path, { throwIfNoEntry: false })?.ino === inode) return;
    throw new OutsideFault(`the journal's file ${path} was removed or replaced while Belay was running`, {
      recoverable: false,
    });
  }

  return {
    ...statements,
    reading: (work) =>
      orFault("the journal cannot be read", () => {
        checkFile();
        return work();
      }),
    writing: (work) =>
      orFault("the journal cannot be written", () => {
        checkFile();
        return transaction(work);
      }),
    writingWithRoom: (work) =>
      orFault("the journal cannot be written", () => {
        checkFile();
        space.retake();
        if (space.isShort()) throw shortOfSpace(path);
        return transaction(work);
      }),
    writingWithReserve: (work) =>
      orFault("the journal cannot be written", () => {
        checkFile();
        return transactionWithReserve(() => transaction(work), space);
      }),
    isShortOfSpace: space.isShort,
    close() {
      if (!open) return;
      open = false;
      db.close();
      removeHolder(holderPath);
    },
  };
}

function shortOfSpace(path: string): OutsideFault {
  return new OutsideFault(
    `there is too little room for the journal ${path}: what is left is kept for going back, and nothing goes forward until there is more`,
    { recoverable: true },
  );
}

function orFault<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toFault(error, doing);
  }
}

function createStatements(db: DatabaseSync): Statements {
  const known = new Map<string, StatementSync>();
  function prepared(sql: string): StatementSync {
    const statement = known.get(sql) ?? db.prepare(sql);
    known.set(sql, statement);
    return statement;
  }
  return {
    get: (sql, ...values) => prepared(sql).get(...values),
    all: (sql, ...values) => prepared(sql).all(...values),
    each: (sql) => prepared(sql).iterate(),
    run: (sql, ...values) => Number(prepared(sql).run(...values).changes),
  };
}

function createTransaction(db: DatabaseSync, statements: Statements): <T>(work: () => T) => T {
  return (work) => {
    statements.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      statements.run("COMMIT");
      return result;
    } catch (error) {
      rollBack(db);
      throw error;
    }
  };
}

/** SQLite ends some failed transactions by itself. A failed undo must not hide the error that led to it. */
function rollBack(db: DatabaseSync): void {
  try {
    if (db.isTransaction) db.exec("ROLLBACK");
  } catch {
    // The next BEGIN fails, and says so.
  }
}

function transactionWithReserve<T>(attempt: () => T, space: Space): T {
  let result: T;
  try {
    result = attempt();
  } catch (error) {
    if (!mayBeFull(error) || !space.giveUp()) throw error;
    return attempt();
  }
  space.retake();
  return result;
}
