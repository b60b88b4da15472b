/** The graph store and its neighbours, simulated by a local SQLite file: the work is real, and each call waits one round trip. */
import { rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import type { Catalogue } from "./corpus.ts";
import type { Edge } from "./lineage.ts";

/** The calls a worker makes: `claim` and `settle` frame a unit of work, `describe` looks a table up, `write` stores edges. */
export const STORE_CALLS = ["claim", "settle", "describe", "write"] as const;
export type StoreCall = (typeof STORE_CALLS)[number];

/** What one call waits for the network, in milliseconds. */
export const ROUND_TRIP_MS: Readonly<Record<StoreCall, number>> = {
  claim: 5,
  settle: 5,
  describe: 5,
  write: 3,
};

export interface GraphStore {
  /** Records a unit of work with the files in it; returns its number. One call. */
  readonly claim: (fileNames: readonly string[]) => Promise<number>;
  /** Ends a unit of work. One call. */
  readonly settle: (unit: number) => Promise<void>;
  /** A table's columns, or undefined when there is no such table. One call; `slowdown` multiplies its wait. */
  readonly describe: (table: string, slowdown: number) => Promise<readonly string[] | undefined>;
  /** Stores edges and their nodes in one transaction. One call, however many edges. */
  readonly write: (edges: readonly Edge[]) => Promise<void>;
  readonly close: () => void;
}

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  CREATE TABLE catalogue (name TEXT PRIMARY KEY, columns TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE unit (id INTEGER PRIMARY KEY, files TEXT NOT NULL);
  CREATE TABLE node (name TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE edge (target TEXT, source TEXT, columns TEXT NOT NULL, PRIMARY KEY (target, source)) WITHOUT ROWID;
`;

/** Opens a fresh store at `path`; `onCall` is told of every call. The graph stays small: tables repeat, units are deleted. */
export function openGraphStore(
  path: string,
  catalogue: Catalogue,
  onCall: (call: StoreCall) => void,
): GraphStore {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  const db = new DatabaseSync(path);
  db.exec(SCHEMA);
  fillCatalogue(db, catalogue);
  const addUnit = db.prepare("INSERT INTO unit (files) VALUES (?)");
  const dropUnit = db.prepare("DELETE FROM unit WHERE id = ?");
  const findTable = db.prepare("SELECT columns FROM catalogue WHERE name = ?");
  const addNode = db.prepare("INSERT OR IGNORE INTO node VALUES (?)");
  const addEdge = db.prepare("INSERT OR REPLACE INTO edge VALUES (?, ?, ?)");

  async function roundTrip(call: StoreCall, slowdown = 1): Promise<void> {
    onCall(call);
    await delay(ROUND_TRIP_MS[call] * slowdown);
  }
  return {
    claim: async (fileNames) => {
      await roundTrip("claim");
      return Number(addUnit.run(fileNames.join("\n")).lastInsertRowid);
    },
    settle: async (unit) => {
      await roundTrip("settle");
      dropUnit.run(unit);
    },
    describe: async (table, slowdown) => {
      await roundTrip("describe", slowdown);
      return columnsFrom(findTable, table);
    },
    write: async (edges) => {
      await roundTrip("write");
      transaction(db, () => {
        for (const edge of edges) {
          addNode.run(edge.target);
          addNode.run(edge.source);
          addEdge.run(edge.target, edge.source, edge.columns.join(";"));
        }
      });
    },
    close: () => db.close(),
  };
}

function fillCatalogue(db: DatabaseSync, catalogue: Catalogue): void {
  const add = db.prepare("INSERT INTO catalogue VALUES (?, ?)");
  transaction(db, () => {
    for (const [name, columns] of catalogue) add.run(name, columns.join(","));
  });
}

function columnsFrom(findTable: StatementSync, table: string): readonly string[] | undefined {
  const columns = findTable.get(table)?.columns;
  return typeof columns === "string" ? columns.split(",") : undefined;
}

function transaction(db: DatabaseSync, work: () => void): void {
  db.exec("BEGIN");
  try {
    work();
    db.exec("COMMIT");
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}
