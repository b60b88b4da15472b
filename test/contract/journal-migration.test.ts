/** A journal of the first version, opened by this Belay: nothing is lost, the chain goes on where it was, and a step that fails leaves the file alone. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import type { Recorded } from "../../src/core/event.ts";
import {
  cardDraft,
  HELD,
  intakeOf,
  jobStory,
  PAUSED,
  RESUMED,
  type Story,
  samplePlan,
  story,
} from "../support/journal-contract.ts";
import { folder, openJournal, path } from "../support/journal-file.ts";

const GENESIS = "0".repeat(64);

/** The tables as the first release made them. They stand here once more, so that a change to that step is noticed. */
const VERSION_1 = `
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
  PRAGMA application_id = 0x42656c79;
  PRAGMA user_version = 1;
`;

function open(file = path): SqliteJournal {
  return openJournal({ path: file });
}

/** Works on a closed file as SQLite alone sees it. */
function raw<T>(work: (db: DatabaseSync) => T, file = path): T {
  const db = new DatabaseSync(file);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** Two runs in turn, as the first release wrote them: their states, and seven events on one chain, one of which was told under another number. */
function writeVersion1(): readonly Story[] {
  const runs = [story("r-1"), story("r-2")] as const;
  const [first, second] = runs;
  const commits = [
    first.begin(),
    second.begin(),
    first.next([HELD, RESUMED]),
    second.next([HELD]),
    first.next([HELD, RESUMED]),
  ];
  raw((db) => {
    db.exec(`PRAGMA journal_mode = WAL; ${VERSION_1}`);
    const plan = JSON.stringify(samplePlan());
    db.prepare("INSERT INTO plans VALUES (?, ?)").run("p", plan);
    for (const run of runs)
      db.prepare(
        "INSERT INTO runs (id, rollout, plan, revision, state, open) VALUES (?, ?, 'p', ?, ?, 1)",
      ).run(run.run, "ingestion", run.state().revision, JSON.stringify(run.state()));
    db.prepare("INSERT INTO claims VALUES ('production/a/X', 'r-1')").run();
    db.prepare("INSERT INTO run_ids VALUES ('r-1')").run();
    db.prepare("INSERT INTO meta VALUES ('clock', '1')").run();
    const intake = intakeOf("k1", 1);
    db.prepare("INSERT INTO intake (key, body, at) VALUES (?, ?, 1)").run(intake.key, JSON.stringify(intake));
    const card = cardDraft("r-1");
    db.prepare(
      "INSERT INTO outbox (key, run, lane, generation, delivered, attempts, tries, body, wall) VALUES (?, 'r-1', 'normal', 1, 0, 0, 0, ?, ?)",
    ).run(card.key, JSON.stringify(card.body), card.wall);
    chainUp(
      db,
      commits.flatMap((commit) => commit.events.map((recorded) => ({ run: commit.run, recorded }))),
    );
  });
  return runs;
}

function chainUp(
  db: DatabaseSync,
  rows: readonly { readonly run: string; readonly recorded: Recorded }[],
): void {
  let head = GENESIS;
  for (const [index, { run, recorded }] of rows.entries()) {
    const { seq, at, wall, event } = recorded;
    const was = index === 3 ? 9 : null;
    const text = JSON.stringify(event);
    head = createHash("sha256")
      .update(JSON.stringify([head, run, seq, at, wall, was, text]))
      .digest("hex");
    db.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)").run(
      index + 1,
      run,
      seq,
      at,
      wall,
      was,
      text,
      head,
    );
  }
  db.prepare("UPDATE chain SET length = ?, head = ?").run(rows.length, head);
}

const EVENTS = "SELECT pos, run, seq, at, wall, was, event, hash FROM events ORDER BY pos";

describe("a journal of the first version", () => {
  it("keeps every row and hash, and its chain verifies and goes on with subjects", async () => {
    const [first, second] = writeVersion1();
    const before = raw((db) => db.prepare(EVENTS).all());
    expect(before).toHaveLength(7);
    const journal = open();
    expect(journal.verifyChain()).toEqual({ ok: true });
    expect(journal.chainHead()).toEqual({ length: 7, head: before.at(-1)?.["hash"] });
    expect((await journal.openRuns()).map(({ state }) => state)).toEqual([first?.state(), second?.state()]);
    expect((await journal.events("r-2")).map(({ event }) => event)).toEqual(
      second?.events().map(({ event }) => event),
    );
    expect((await journal.events("r-1"))[2]?.was).toBe(9);
    expect((await journal.unanswered()).map(({ key }) => key)).toEqual(["k1"]);
    expect((await journal.pending()).map(({ key }) => key)).toEqual(["r-1.card"]);
    expect(await journal.meta("clock")).toBe("1");
    expect(await journal.commit(story("r-3").begin(["production/a/X"]))).toMatchObject({ kind: "claimed" });

    expect(await journal.commitSubject(jobStory("bots/daily").next([PAUSED], { fires: [1] }))).toBe("ok");
    if (second === undefined) throw new Error("two runs were written");
    expect(await journal.commit(second.next([RESUMED]))).toEqual({ kind: "ok" });
    expect(journal.verifyChain()).toEqual({ ok: true });
    expect(journal.chainHead().length).toBe(9);
    journal.close();
    expect(raw((db) => db.prepare(EVENTS).all()).slice(0, 7)).toEqual(before);
    expect(open().verifyChain()).toEqual({ ok: true });
  });

  it("shows afterwards what was edited before", () => {
    writeVersion1();
    raw((db) => db.exec("UPDATE events SET event = replace(event, 'odd', 'fine') WHERE pos = 3"));
    expect(open().verifyChain()).toEqual({ ok: false, row: 3 });
  });

  it("ends up with the very tables of a new journal, and needs no second try", () => {
    writeVersion1();
    open().close();
    open().close();
    const fresh = join(folder, "fresh.db");
    open(fresh).close();
    const tables = (file: string): unknown =>
      raw(
        (db) => [
          db.prepare("PRAGMA user_version").get(),
          db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").all(),
          db.prepare("PRAGMA foreign_key_list(events)").all(),
          db.prepare("PRAGMA integrity_check").all(),
        ],
        file,
      );
    expect(tables(path)).toEqual(tables(fresh));
    expect(tables(path)).toMatchObject([{ user_version: 3 }, {}, [], [{ integrity_check: "ok" }]]);
  });

  it("is left as it was by a step that cannot be made, and opens when the cause is gone", () => {
    writeVersion1();
    const before = raw((db) => db.prepare(EVENTS).all());
    raw((db) => db.exec("CREATE TABLE checks (mine TEXT)"));
    expect(() => open()).toThrow("cannot be opened: table checks already exists");
    expect(raw((db) => db.prepare(EVENTS).all())).toEqual(before);
    expect(raw((db) => db.prepare("PRAGMA user_version").get())).toEqual({ user_version: 1 });
    expect(raw((db) => db.prepare("PRAGMA foreign_key_list(events)").all())).toHaveLength(1);
    raw((db) => db.exec("DROP TABLE checks"));
    expect(open().verifyChain()).toEqual({ ok: true });
  });
});
