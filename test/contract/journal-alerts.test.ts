/** What every journal promises of alerts and of the counts of checks; and that a storm of known alerts costs the SQLite journal next to nothing. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { alertKeysSince, markJudged, takeAlerts, unjudgedAlerts } from "../../src/adapters/journal/alerts.ts";
import { addChecks, checksSince } from "../../src/adapters/journal/checks.ts";
import { type Connection, openConnection } from "../../src/adapters/journal/connection.ts";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import {
  commitSubject,
  findSubject,
  openSubjects,
  subjectEventsOf,
  subjectEventsSince,
} from "../../src/adapters/journal/subjects.ts";
import { DAY, HOUR } from "../../src/core/time.ts";
import { eachJournal, firing, jobStory, PAUSED, SUBJECT_WALL } from "../support/journal-contract.ts";

const NOW = SUBJECT_WALL;

eachJournal("alerts", ({ journal, reopen }) => {
  const keys = async (): Promise<readonly string[]> =>
    (await journal().unjudgedAlerts()).map(({ key }) => key);

  it("are new once, and keep their first body", async () => {
    const [b, a] = [firing("b"), firing("a")];
    expect(await journal().takeAlerts([b, a, firing("b", NOW, "9 %")], NOW)).toEqual([b.key, a.key]);
    expect(await journal().takeAlerts([firing("a", NOW, "7 %")], NOW + 1)).toEqual([]);
    expect(await journal().takeAlerts([], NOW)).toEqual([]);
    await reopen();
    const later = firing("a", NOW + 60_000);
    expect(await journal().takeAlerts([a, later, b], NOW + 2)).toEqual([later.key]);
    expect(await journal().unjudgedAlerts()).toEqual([b, a, later]);
  });

  it("wait to be judged, oldest first, over restarts, and stay known afterwards", async () => {
    const [b, a, c] = [firing("b"), firing("a"), firing('c "\u{1F9D7}"')];
    await journal().takeAlerts([b, a], NOW);
    await journal().takeAlerts([c], NOW);
    await journal().judgedAlerts([a.key, "never stored"]);
    await journal().judgedAlerts([]);
    await reopen();
    expect(await keys()).toEqual([b.key, c.key]);
    await journal().judgedAlerts([b.key, c.key]);
    expect(await keys()).toEqual([]);
    expect(await journal().takeAlerts([a, b, c], NOW + 1)).toEqual([]);
    expect(await keys()).toEqual([]);
  });

  it("are known by when they were last told", async () => {
    const [old, new1, told] = [firing("old"), firing("new"), firing("told")];
    await journal().takeAlerts([old, told], NOW);
    await journal().judgedAlerts([told.key]);
    await journal().takeAlerts([new1, told], NOW + DAY);
    await reopen();
    expect(await journal().knownAlertKeys(NOW)).toEqual([old.key, told.key, new1.key]);
    expect(await journal().knownAlertKeys(NOW + 1)).toEqual([told.key, new1.key]);
    expect(await journal().knownAlertKeys(NOW + DAY)).toEqual([told.key, new1.key]);
    expect(await journal().knownAlertKeys(NOW + DAY + 1)).toEqual([]);
  });

  it("are forgotten a week after they were judged and last told, the unjudged never", async () => {
    const [judged, unjudged, lasting] = [firing("judged"), firing("unjudged"), firing("lasting")];
    await journal().takeAlerts([judged, unjudged, lasting], NOW);
    await journal().judgedAlerts([judged.key, lasting.key]);
    expect(await journal().takeAlerts([firing("x"), judged], NOW + 6 * DAY)).toEqual([firing("x").key]);
    await journal().takeAlerts([lasting], NOW + 12 * DAY);
    await journal().takeAlerts([firing("y")], NOW + 14 * DAY);
    expect(await journal().knownAlertKeys(0)).toEqual(
      [unjudged, lasting, firing("x"), firing("y")].map(({ key }) => key),
    );
    expect(await journal().takeAlerts([judged, unjudged, lasting], NOW + 14 * DAY)).toEqual([judged.key]);
  });

  it("are forgotten a few at a time", async () => {
    const old = Array.from({ length: 30 }, (_, index) => firing(`old${index}`));
    await journal().takeAlerts(old, NOW);
    await journal().judgedAlerts(old.map(({ key }) => key));
    const left: number[] = [];
    for (let count = 0; count < 15; count++) {
      await journal().takeAlerts([firing(`new${count}`)], NOW + 8 * DAY);
      left.push((await journal().knownAlertKeys(0)).filter((key) => key.startsWith("old")).length);
    }
    expect(left[0]).toBeGreaterThan(0);
    expect(left[0]).toBeLessThan(30);
    expect(left.at(-1)).toBe(0);
  });
});

eachJournal("counts of checks", ({ journal, reopen }) => {
  it("are added up by probe and day", async () => {
    await journal().countChecks("bots/web", NOW, 10, 1);
    await journal().countChecks("bots/api", NOW, 5, 0);
    await journal().countChecks("bots/web", NOW, 2, 2);
    await journal().countChecks("bots/web", NOW + DAY, 100, 0);
    await reopen();
    expect(await journal().checksSince(NOW)).toEqual([
      { id: "bots/api", ran: 5, bad: 0 },
      { id: "bots/web", ran: 112, bad: 3 },
    ]);
    expect(await journal().checksSince(NOW + 1)).toEqual([{ id: "bots/web", ran: 100, bad: 0 }]);
    expect(await journal().checksSince(NOW + 2 * DAY)).toEqual([]);
  });

  it("are kept for 40 days", async () => {
    for (let day = 0; day <= 100; day++)
      for (const id of ["bots/api", "bots/web"]) await journal().countChecks(id, NOW + day * DAY, 1, 0);
    expect(await journal().checksSince(0)).toEqual([
      { id: "bots/api", ran: 41, bad: 0 },
      { id: "bots/web", ran: 41, bad: 0 },
    ]);
  });
});

describe("a storm of alerts on SQLite", () => {
  const STORM = Array.from({ length: 50 }, (_, index) => firing(`f${index}`));
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "belay-journal-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("writes nothing for what is known: 1,000 posts of 50 alerts leave the files as they were", async () => {
    const path = join(folder, "journal.db");
    const journal = openSqliteJournal({ path });
    try {
      await journal.takeAlerts(STORM, NOW);
      await journal.judgedAlerts(STORM.slice(0, 25).map(({ key }) => key));
      const look = (): readonly unknown[] =>
        [path, `${path}-wal`].map((file) => {
          const { size, mtimeMs } = statSync(file);
          return { size, mtimeMs };
        });
      const before = look();
      for (let post = 0; post < 1_000; post++)
        expect(await journal.takeAlerts(STORM, NOW + post)).toEqual([]);
      expect(look()).toEqual(before);
      expect(await journal.takeAlerts([...STORM, firing("real")], NOW + 1_000)).toEqual([firing("real").key]);
      expect(look()).not.toEqual(before);
    } finally {
      journal.close();
    }
  });

  /** The connection, and the statements that went through it; what begins and ends a writing transaction is counted apart. */
  function watched(db: Connection): {
    readonly db: Connection;
    readonly statements: string[];
    transactions(): number;
  } {
    const statements: string[] = [];
    let transactions = 0;
    const noting: Connection = {
      ...db,
      get: (sql, ...values) => {
        statements.push(sql);
        return db.get(sql, ...values);
      },
      all: (sql, ...values) => {
        statements.push(sql);
        return db.all(sql, ...values);
      },
      run: (sql, ...values) => {
        statements.push(sql);
        return db.run(sql, ...values);
      },
      writing: (work) => {
        transactions++;
        return db.writing(work);
      },
    };
    return { db: noting, statements, transactions: () => transactions };
  }

  it("asks once for a whole post, and marks what is still told once an hour", () => {
    const connection = openConnection({ path: join(folder, "journal.db") });
    try {
      takeAlerts(connection, STORM, NOW);
      const { db, statements, transactions } = watched(connection);
      for (let post = 0; post < 100; post++) takeAlerts(db, STORM, NOW + post * (HOUR / 100));
      expect([statements.length, transactions()]).toEqual([100, 0]);
      for (let post = 0; post < 100; post++) takeAlerts(db, STORM, NOW + HOUR + 1 + post);
      expect([statements.length, transactions()]).toEqual([201, 1]);
      expect(takeAlerts(db, [...STORM, firing("real")], NOW + HOUR + 200)).toEqual([firing("real").key]);
      expect(transactions()).toBe(2);
      expect(statements.length).toBeLessThan(210);
    } finally {
      connection.close();
    }
  });

  it("reads no table from end to end, whatever is asked of it", () => {
    const connection = openConnection({ path: join(folder, "journal.db") });
    try {
      const { db, statements } = watched(connection);
      takeAlerts(db, STORM, NOW);
      takeAlerts(db, [...STORM, firing("real")], NOW + 2 * HOUR);
      markJudged(db, [firing("real").key]);
      unjudgedAlerts(db);
      alertKeysSince(db, NOW);
      addChecks(db, { id: "bots/api", ran: 1, bad: 0 }, NOW);
      checksSince(db, NOW);
      const job = jobStory("bots/daily");
      for (const fires of [[NOW], [NOW + 1]])
        db.writing(() => commitSubject(db, job.next([PAUSED], { fires, intakes: ["k1"] })));
      openSubjects(db, "job", () => undefined);
      findSubject(db, "job", "bots/daily");
      subjectEventsOf(db, "job", "bots/daily");
      subjectEventsSince(db, "job", NOW, 10);
      const asked = [...new Set(statements)];
      const steps = asked.flatMap((sql) =>
        connection.all(`EXPLAIN QUERY PLAN ${sql}`).map((row) => String(row["detail"])),
      );
      expect(asked.length).toBeGreaterThan(15);
      expect(steps).toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^SEARCH alerts USING INDEX sqlite_autoindex_alerts_1 \(key=\?\)/),
          expect.stringMatching(/^SEARCH events USING INDEX events_kind \(kind=\? AND wall>\?\)$/),
          expect.stringMatching(/^SEARCH subjects USING INDEX subjects_open \(kind=\?\)$/),
          expect.stringMatching(/^SEARCH checks USING PRIMARY KEY \(day>\?\)$/),
        ]),
      );
      // The head of the chain is a table of one row; `wanted` and `json_each` are what the caller named.
      expect(steps.filter((step) => /^SCAN (?!chain|wanted|json_each)/.test(step))).toEqual([]);
    } finally {
      connection.close();
    }
  });
});
