/** What the SQLite journal does beyond the contract: one process alone, a chain that shows tampering, clean refusals, a full disk. */

import { spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { type Log, OutsideFault } from "../../src/engine/ports.ts";
import {
  answerDraft,
  cardDraft,
  HELD,
  intakeOf,
  RESUMED,
  STOPPED,
  story,
} from "../support/journal-contract.ts";
import { folder, openJournal, path } from "../support/journal-file.ts";

const MODULE = new URL("../../src/adapters/journal/sqlite.ts", import.meta.url).href;

function open(maxBytes?: number, log?: Log): SqliteJournal {
  return openJournal({ path, maxBytes, log });
}

/** What opening the journal is refused with. */
function refusal(at = path): string {
  try {
    openJournal({ path: at });
  } catch (error) {
    expect(error).toBeInstanceOf(OutsideFault);
    if (error instanceof OutsideFault) {
      expect(error.recoverable).toBe(false);
      return error.message;
    }
  }
  throw new Error("the journal was opened, expected a refusal");
}

/** Changes the closed file behind Belay's back. */
function raw(...statements: readonly string[]): void {
  const db = new DatabaseSync(path);
  for (const statement of statements) db.exec(statement);
  db.close();
}

/** Two runs with six events in all, committed in turn. */
async function twoRuns(journal: SqliteJournal): Promise<void> {
  const first = story("r-1");
  const second = story("r-2");
  for (const commit of [
    first.begin(),
    second.begin(),
    first.next([HELD, RESUMED]),
    second.next([HELD]),
    first.next([STOPPED]),
  ]) {
    expect(await journal.commit(commit)).toEqual({ kind: "ok" });
  }
}

describe("one process", () => {
  it("refuses a second opening in the same process, and the first goes on", async () => {
    const journal = open();
    const sentence = refusal();
    expect(sentence).toContain(`${path} is in use by process ${process.pid}, since 20`);
    await journal.setMeta("a", "1");
    expect(await journal.meta("a")).toBe("1");
  });

  it("refuses a second process in one sentence, from the first moment on, and lets it in after a kill", async () => {
    open().close();
    // This one opens an existing file and writes nothing: the lock must hold all the same.
    const holder = spawn(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `(await import(${JSON.stringify(MODULE)})).openSqliteJournal({ path: process.argv[1] }); console.log("open"); setInterval(() => {}, 1000);`,
        path,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    try {
      await new Promise((resolve) => createInterface({ input: holder.stdout }).once("line", resolve));
      const sentence = refusal();
      expect(sentence).toContain(`is in use by process ${holder.pid}, since 20`);
      expect(sentence).not.toContain("\n");
    } finally {
      const ended = new Promise((resolve) => holder.once("close", resolve));
      holder.kill("SIGKILL");
      await ended;
    }
    await open().setMeta("a", "1");
  });

  it("refuses everything after close, and closing twice is harmless", async () => {
    const journal = open();
    journal.close();
    journal.close();
    await expect(journal.commit(story("r-1").begin())).rejects.toThrow("the journal is closed");
    await expect(journal.openRuns()).rejects.toBeInstanceOf(OutsideFault);
    expect(() => journal.verifyChain()).toThrow("the journal is closed");
    expect(existsSync(`${path}.pid`)).toBe(false);
  });

  it("keeps its files from other users", () => {
    open();
    for (const name of [path, `${path}-wal`, `${path}.reserve`, `${path}.pid`])
      expect(statSync(name).mode & 0o077).toBe(0);
  });
});

describe("the hash chain", () => {
  it("is whole after commits of several runs, over restarts", async () => {
    const journal = open();
    expect(journal.verifyChain()).toEqual({ ok: true });
    await twoRuns(journal);
    const head = journal.chainHead();
    expect(head.length).toBe(6);
    journal.close();
    const again = open();
    expect(again.verifyChain()).toEqual({ ok: true });
    expect(again.chainHead()).toEqual(head);
    await again.commit(story("r-3").begin());
    expect(again.verifyChain()).toEqual({ ok: true });
    expect(again.chainHead().length).toBe(7);
  });

  const SWAP = (column: string): string =>
    `UPDATE events SET ${column} = (SELECT ${column} FROM events AS other WHERE other.pos = 7 - events.pos) WHERE pos IN (3, 4)`;
  const tampering: readonly (readonly [string, number, readonly string[]])[] = [
    ["an edited event", 3, [`UPDATE events SET event = replace(event, 'odd', 'fine') WHERE pos = 3`]],
    ["an edited wall time", 2, ["UPDATE events SET wall = wall + 1 WHERE pos = 2"]],
    ["an edited steady time", 2, ["UPDATE events SET at = at - 0.5 WHERE pos = 2"]],
    ["an event given to another run", 1, ["UPDATE events SET run = 'r-2', seq = 90 WHERE pos = 1"]],
    ["an edited number", 6, ["UPDATE events SET seq = 90 WHERE pos = 6"]],
    ["an edited hash", 4, ["UPDATE events SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE pos = 4"]],
    ["a dropped first row", 1, ["DELETE FROM events WHERE pos = 1"]],
    ["a dropped row", 3, ["DELETE FROM events WHERE pos = 3"]],
    [
      "a dropped row, the rest moved up",
      3,
      ["DELETE FROM events WHERE pos = 3", "UPDATE events SET pos = pos - 1 WHERE pos > 3"],
    ],
    ["a dropped last row", 6, ["DELETE FROM events WHERE pos = 6"]],
    [
      "a dropped last row with a shortened head",
      5,
      ["DELETE FROM events WHERE pos = 6", "UPDATE chain SET length = 5"],
    ],
    ["a row moved away", 6, ["UPDATE events SET pos = 9 WHERE pos = 6"]],
    ["all rows dropped", 1, ["DELETE FROM events"]],
    [
      "two rows in each other's place",
      3,
      [
        "UPDATE events SET pos = 99 WHERE pos = 3",
        "UPDATE events SET pos = 3 WHERE pos = 4",
        "UPDATE events SET pos = 4 WHERE pos = 99",
      ],
    ],
    ["two events exchanged", 3, [SWAP("event")]],
    [
      "a row put in at the end",
      7,
      [`INSERT INTO events SELECT 7, run, seq + 1, at, wall, was, event, hash FROM events WHERE pos = 6`],
    ],
  ];

  it.each(tampering)("shows %s at row %i", async (_what, row, statements) => {
    const journal = open();
    await twoRuns(journal);
    journal.close();
    raw("PRAGMA foreign_keys = OFF", ...statements);
    expect(open().verifyChain()).toEqual({ ok: false, row });
  });
});

describe("a file that cannot be used", () => {
  it("is refused when a newer Belay wrote it", () => {
    open().close();
    raw("PRAGMA user_version = 99");
    const before = readFileSync(path);
    expect(refusal()).toContain("was written by a newer Belay (its version is 99, this one knows 3)");
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("is refused when it is an SQLite file of something else", () => {
    raw("CREATE TABLE songs (name TEXT)");
    expect(refusal()).toContain("not a journal of Belay");
    raw("SELECT name FROM songs");
  });

  it("is refused when it is no SQLite file, or damaged", async () => {
    writeFileSync(path, "not a database, whatever its name says ".repeat(200));
    expect(refusal()).toContain("is damaged or is no SQLite file");
  });

  it("is refused when its folder does not exist", () => {
    expect(refusal(join(folder, "missing", "journal.db"))).toContain("cannot be opened");
  });

  it("names the run whose state a newer Belay wrote, and gives the others", async () => {
    const journal = open();
    await twoRuns(journal);
    journal.close();
    raw("UPDATE runs SET state = json_set(state, '$.schema', 2) WHERE id = 'r-2'");
    const said: string[] = [];
    const note = (message: string, fields: unknown): void =>
      void said.push(`${message} ${JSON.stringify(fields)}`);
    const again = open(undefined, { info: note, warn: note, error: note });
    await expect(again.run("r-2")).rejects.toThrow(
      "the state of run r-2 was written by a newer Belay (its schema is 2, this one knows 1)",
    );
    expect(said).toEqual([]);
    expect((await again.openRuns()).map(({ state }) => state.run)).toEqual(["r-1"]);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("an open run cannot be read and is not watched");
    expect(said[0]).toContain("r-2");
    expect((await again.run("r-1"))?.state.run).toBe("r-1");
  });

  it("is refused from the moment it is taken away under a running Belay", async () => {
    const journal = open();
    await journal.setMeta("a", "1");
    renameSync(path, `${path}.away`);
    await expect(journal.setMeta("a", "2")).rejects.toThrow("was removed or replaced");
    renameSync(`${path}.away`, path);
    await journal.setMeta("a", "3");
    expect(await journal.meta("a")).toBe("3");
  });
});

describe("commits", () => {
  it("changes nothing at all with a commit that fails in its midst", async () => {
    const journal = open();
    const run = story("r-1");
    const broken = { ...cardDraft("r-1", "second"), wall: Number.NaN };
    await journal.accept(intakeOf("k1", 1));
    await expect(
      journal.commit(run.begin(["c"], { outbox: [cardDraft("r-1", "first"), broken], intakes: ["k1"] })),
    ).rejects.toThrow();
    expect(await journal.run("r-1")).toBeUndefined();
    expect(await journal.events("r-1")).toEqual([]);
    expect(await journal.pending()).toEqual([]);
    expect((await journal.unanswered()).length).toBe(1);
    expect((await journal.commit(story("r-2").begin(["c"]))).kind).toBe("ok");
  });

  it("refuses a commit whose events leave a gap, or do not lead to its state", async () => {
    const journal = open();
    const run = story("r-1");
    await journal.commit(run.begin());
    const good = run.next([HELD, RESUMED]);
    await expect(journal.commit({ ...good, events: good.events.slice(1) })).rejects.toThrow(
      "number 3, expected 2",
    );
    await expect(journal.commit({ ...good, events: good.events.slice(0, 1) })).rejects.toThrow(
      "revision 3, expected 2",
    );
    await expect(journal.commit({ ...good, run: "r-2" })).rejects.toThrow("the state of r-1");
    expect(await journal.commit(good)).toEqual({ kind: "ok" });
  });

  it("remembers answered keys for more than 24 hours, open ones for ever, and forgets the rest", async () => {
    const hourMs = 3_600_000;
    const journal = open();
    for (const key of ["answered", "open", "undelivered"]) await journal.accept(intakeOf(key, 0));
    await journal.answer("answered", [answerDraft("answered.answer", "done")]);
    await journal.answer("undelivered", [answerDraft("undelivered.answer", "done")]);
    const [item] = await journal.pending();
    if (item === undefined) throw new Error("nothing is pending");
    await journal.delivered(item, { channel: "C", ts: "1" });
    await journal.accept(intakeOf("a day later", 25 * hourMs));
    expect(await journal.accept(intakeOf("answered", 25 * hourMs))).toBe(false);
    expect(await journal.refOf("answered.answer")).toEqual({ channel: "C", ts: "1" });
    await journal.accept(intakeOf("a week later", 7 * 24 * hourMs));
    expect(await journal.accept(intakeOf("open", 7 * 24 * hourMs))).toBe(false);
    expect((await journal.pending()).map(({ key }) => key)).toEqual(["undelivered.answer"]);
    expect(await journal.refOf("answered.answer")).toBeUndefined();
    expect(await journal.accept(intakeOf("answered", 7 * 24 * hourMs))).toBe(true);
  });

  it("tell the latest instant of all, for the clock", async () => {
    const journal = open();
    expect(journal.newestInstant()).toBeUndefined();
    await twoRuns(journal);
    expect(journal.newestInstant()).toEqual({ steady: 1_400.5, wall: 1_760_000_000_400 });
  });

  it("store a plan once, however many runs it has", async () => {
    const journal = open();
    await twoRuns(journal);
    journal.close();
    const db = new DatabaseSync(path);
    expect(db.prepare("SELECT count(*) AS plans FROM plans").get()).toEqual({ plans: 1 });
    db.close();
  });
});
