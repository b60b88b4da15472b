/** The tables of the journal, and the steps that bring an older file up to them. */
import type { DatabaseSync } from "node:sqlite";
import { OutsideFault } from "../../engine/ports.ts";

/** Marks an SQLite file as a journal of Belay: the letters `Bely`. */
export const APPLICATION_ID = 0x42656c79;

/** The hash before the first event. */
export const GENESIS = "0".repeat(64);

/**
 * Step n brings a file from version n to n + 1. A released step is never changed; a new one is added.
 * `events.pos` counts from 1 without gaps over all runs and subjects, which is what the hash chain runs along; `was` is set where an event had
 * another number before; `run` holds the name of a run, or of a subject's stream: `incident:ID`, `probe:WATCH/PROBE`, `job:WATCH/JOB`.
 * `outbox.delivered` is the newest generation that arrived, `tries` counts every try under the key, `attempts` those of the present generation.
 * `alerts.seen_wall` is when a firing was last told, about; `checks.day` is the start of a day, and both are wall ms like `fires.instant`.
 */
const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE run_ids (id TEXT PRIMARY KEY) STRICT;
  CREATE TABLE plans (hash TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;

  CREATE TABLE runs (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    rollout TEXT NOT NULL,
    plan TEXT NOT NULL REFERENCES plans (hash),
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1))
  ) STRICT;
  CREATE INDEX runs_open ON runs (ord) WHERE open = 1;
  CREATE INDEX runs_rollout ON runs (rollout, ord);

  CREATE TABLE claims (claim TEXT PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id)) STRICT;
  CREATE INDEX claims_run ON claims (run);

  CREATE TABLE events (
    pos INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id),
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    wall REAL NOT NULL,
    was INTEGER,
    event TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (run, seq)
  ) STRICT;
  CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), length INTEGER NOT NULL, head TEXT NOT NULL) STRICT;
  INSERT INTO chain VALUES (1, 0, '${GENESIS}');

  CREATE TABLE intake (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    at REAL NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0 CHECK (answered IN (0, 1))
  ) STRICT;
  CREATE INDEX intake_open ON intake (ord) WHERE answered = 0;
  CREATE INDEX intake_old ON intake (at) WHERE answered = 1;

  CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    run TEXT,
    lane TEXT NOT NULL,
    generation INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    body TEXT NOT NULL,
    wall REAL NOT NULL,
    ref_channel TEXT,
    ref_ts TEXT,
    intake TEXT
  ) STRICT;
  CREATE INDEX outbox_pending ON outbox (id) WHERE delivered < generation;
  CREATE INDEX outbox_intake ON outbox (intake) WHERE intake IS NOT NULL;

  CREATE TABLE evidence (
    run TEXT NOT NULL,
    guard TEXT NOT NULL,
    minute REAL NOT NULL,
    polls INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    min REAL,
    max REAL,
    last REAL,
    verdicts TEXT NOT NULL,
    PRIMARY KEY (run, guard, minute)
  ) STRICT, WITHOUT ROWID;
  `,
  // SQLite takes no constraint off a table: the events are copied, with their places and hashes, to one in which a stream need not be a run.
  `
  CREATE TABLE events_copy (
    pos INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    wall REAL NOT NULL,
    was INTEGER,
    event TEXT NOT NULL,
    hash TEXT NOT NULL,
    kind TEXT GENERATED ALWAYS AS (nullif(substr(run, 1, instr(run, ':') - 1), '')) VIRTUAL,
    UNIQUE (run, seq)
  ) STRICT;
  INSERT INTO events_copy (pos, run, seq, at, wall, was, event, hash)
    SELECT pos, run, seq, at, wall, was, event, hash FROM events ORDER BY pos;
  DROP TABLE events;
  ALTER TABLE events_copy RENAME TO events;
  CREATE INDEX events_kind ON events (kind, wall) WHERE kind IS NOT NULL;

  CREATE TABLE subjects (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    UNIQUE (kind, id)
  ) STRICT;
  CREATE INDEX subjects_open ON subjects (kind, ord) WHERE open = 1;

  CREATE TABLE fires (
    job TEXT NOT NULL,
    instant REAL NOT NULL,
    PRIMARY KEY (job, instant)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE alerts (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    first_wall REAL NOT NULL,
    seen_wall REAL NOT NULL,
    judged INTEGER NOT NULL CHECK (judged IN (0, 1)),
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX alerts_seen ON alerts (judged, seen_wall);

  CREATE TABLE checks (
    day REAL NOT NULL,
    id TEXT NOT NULL,
    ran INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    PRIMARY KEY (day, id)
  ) STRICT, WITHOUT ROWID;
  `,
  "CREATE INDEX events_runs ON events (wall) WHERE kind IS NULL;",
];

/** The version that this code writes. */
export const SCHEMA_VERSION = STEPS.length;

/**
 * Brings the file to `SCHEMA_VERSION`; to be called inside one exclusive transaction.
 * Throws an `OutsideFault` for a file that is newer, or that is no journal.
 */
export function migrate(db: DatabaseSync, path: string): void {
  const version = pragma(db, "user_version");
  if (version > SCHEMA_VERSION) {
    throw refused(
      `the journal ${path} was written by a newer Belay (its version is ${version}, this one knows ${SCHEMA_VERSION}); run that version, or give this one another state folder`,
    );
  }
  const application = pragma(db, "application_id");
  if (application !== APPLICATION_ID && !(application === 0 && version === 0 && isEmpty(db))) {
    throw refused(
      `${path} is an SQLite file of something else, not a journal of Belay; nothing in it was changed`,
    );
  }
  for (const step of STEPS.slice(version)) db.exec(step);
  if (version < SCHEMA_VERSION)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
}

function refused(sentence: string): OutsideFault {
  return new OutsideFault(sentence, { recoverable: false });
}

function isEmpty(db: DatabaseSync): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined;
}

/** The value of a pragma that is one whole number. */
export function pragma(
  db: DatabaseSync,
  name: "user_version" | "application_id" | "page_count" | "freelist_count" | "page_size",
): number {
  const value = Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  if (typeof value !== "number") throw new Error(`PRAGMA ${name} gave no number`);
  return value;
}
