/** The database that is imported into: a real SQLite file. Records and the offset behind them are written in one transaction, so that a killed import goes on where it was. */
import { DatabaseSync } from "node:sqlite";
import { type ImportRecord, recordOf } from "./source.ts";

export interface ImportStore {
  /** How many records of the source are in, and so where the import goes on. */
  readonly offset: () => number;
  /** Stores records in one transaction; the last one is the new offset. */
  readonly add: (records: readonly ImportRecord[]) => void;
  /** How many of the records from `from` to `to` (both included) are not as in the source. */
  readonly mismatches: (from: number, to: number) => number;
  /** Writes these records anew from the source. */
  readonly repair: (from: number, to: number) => void;
  /** What a reader asks for: one record by its number. */
  readonly find: (id: number) => string | undefined;
  readonly close: () => void;
}

/** A count of what is in, beside the import itself, waits for it this long, and the other way round. */
const BUSY_MS = 5_000;

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), done INTEGER NOT NULL);
  INSERT OR IGNORE INTO progress VALUES (1, 0);
`;

/** Opens the database at `path`, or creates it. */
export function openImportStore(path: string): ImportStore {
  const db = new DatabaseSync(path, { timeout: BUSY_MS });
  db.exec(SCHEMA);
  // Without `OR REPLACE`: a record that came twice would be an error, not a silent second try.
  const insert = db.prepare("INSERT INTO record VALUES (?, ?, ?)");
  const rewrite = db.prepare("UPDATE record SET name = ?, amount = ? WHERE id = ?");
  const advance = db.prepare("UPDATE progress SET done = ?");
  const done = db.prepare("SELECT done FROM progress");
  const range = db.prepare("SELECT id, name, amount FROM record WHERE id BETWEEN ? AND ?");
  const one = db.prepare("SELECT name FROM record WHERE id = ?");
  const whole = (work: () => void): void => {
    db.exec("BEGIN IMMEDIATE");
    try {
      work();
      db.exec("COMMIT");
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  };
  return {
    offset: () => Number(done.get()?.["done"]),
    add: (records) =>
      whole(() => {
        for (const { id, name, amount } of records) insert.run(id, name, amount);
        advance.run(records.at(-1)?.id ?? 0);
      }),
    mismatches: (from, to) => {
      const found = range.all(from, to);
      const wrong = found.filter((row) => {
        const { name, amount } = recordOf(Number(row["id"]));
        return row["name"] !== name || row["amount"] !== amount;
      });
      return wrong.length + (to - from + 1 - found.length);
    },
    repair: (from, to) =>
      whole(() => {
        for (let id = from; id <= to; id++) {
          const { name, amount } = recordOf(id);
          rewrite.run(name, amount, id);
        }
      }),
    find: (id) => {
      const name = one.get(id)?.["name"];
      return typeof name === "string" ? name : undefined;
    },
    close: () => db.close(),
  };
}

/** What an import left behind, counted in the file itself: every record once, and none that differs from its source. */
export function auditOf(path: string): { readonly records: number; readonly mismatches: number } {
  const store = openImportStore(path);
  try {
    const records = store.offset();
    return { records, mismatches: records === 0 ? 0 : store.mismatches(1, records) };
  } finally {
    store.close();
  }
}
