/** What the SQLite journal does for incidents, probes and jobs beyond the contract: rows of a newer Belay, a chain that shows tampering, a full disk, and no patience. */

import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { impatientSubjects } from "../../src/engine/patience.ts";
import { type Clock, type Log, OutsideFault } from "../../src/engine/ports.ts";
import type { SubjectJournal } from "../../src/engine/watch-ports.ts";
import {
  answerDraft,
  firing,
  HELD,
  incidentStory,
  intakeOf,
  jobStory,
  MUTED,
  PAGE,
  PAUSED,
  pageDraft,
  probeStory,
  SUBJECT_WALL,
  story,
  TRIGGERED,
} from "../support/journal-contract.ts";
import { openJournal, path } from "../support/journal-file.ts";

function open(maxBytes?: number, log?: Log): SqliteJournal {
  return openJournal({ path, maxBytes, log });
}

/** Changes the closed file behind Belay's back. */
function raw(...statements: readonly string[]): void {
  const db = new DatabaseSync(path);
  for (const statement of statements) db.exec(statement);
  db.close();
}

describe("a subject that cannot be read", () => {
  it.each([
    [
      "a newer Belay",
      "json_set(state, '$.schema', 2)",
      "was written by a newer Belay (its schema is 2, this one knows 1)",
    ],
    ["nobody knows whom", "json_remove(state, '$.schema')", "cannot be read (its schema is undefined"],
    ["chance", "'{'", "a row holds text that is not JSON"],
  ])(
    "is told and left out when its state was written by %s, and the others are given",
    async (_who, state, why) => {
      const journal = open();
      for (const id of ["bots/api", "bots/web"]) await journal.commitSubject(probeStory(id).next([MUTED]));
      await journal.commitSubject(jobStory("bots/web").next([PAUSED]));
      journal.close();
      raw(`UPDATE subjects SET state = ${state} WHERE kind = 'probe' AND id = 'bots/web'`);
      const said: string[] = [];
      const note = (message: string, fields: unknown): void =>
        void said.push(`${message} ${JSON.stringify(fields)}`);
      const again = open(undefined, { info: note, warn: note, error: note });
      expect((await again.openSubjects("probe")).map(({ id }) => id)).toEqual(["bots/api"]);
      expect((await again.openSubjects("job")).map(({ id }) => id)).toEqual(["bots/web"]);
      expect(said).toHaveLength(1);
      expect(said[0]).toContain("an open probe cannot be read and is not looked after");
      expect(said[0]).toContain("bots/web");
      await expect(again.subject("probe", "bots/web")).rejects.toThrow(why);
      // It is not begun anew over what is there.
      expect(await again.commitSubject(probeStory("bots/web").next([MUTED]))).toBe("conflict");
    },
  );
});

describe("the hash chain", () => {
  it.each([
    ["an edited event of a job", 3, "UPDATE events SET event = replace(event, 'odd', 'fine') WHERE pos = 3"],
    ["an event given to another job", 3, "UPDATE events SET run = 'job:bots/other' WHERE pos = 3"],
    ["an event given to another kind", 3, "UPDATE events SET run = 'probe:bots/daily' WHERE pos = 3"],
    ["a dropped page", 4, "DELETE FROM events WHERE pos = 4"],
  ])("shows %s at row %i", async (_what, row, statement) => {
    const journal = open();
    const run = story("r-1");
    await journal.commit(run.begin());
    const job = jobStory("bots/daily");
    await journal.commitSubject(job.next([PAUSED, PAUSED]));
    await journal.commitSubject(incidentStory("page 1").next([TRIGGERED]));
    await journal.commit(run.next([HELD]));
    expect(journal.chainHead().length).toBe(5);
    expect(journal.verifyChain()).toEqual({ ok: true });
    journal.close();
    raw(statement);
    expect(open().verifyChain()).toEqual({ ok: false, row });
  });

  it("tells the latest instant of subjects too, for the clock", async () => {
    const journal = open();
    await journal.commit(story("r-1").begin());
    await journal.commitSubject(probeStory("bots/api").next([MUTED]));
    expect(journal.newestInstant()).toEqual({ steady: 2_100.5, wall: SUBJECT_WALL + 100 });
  });
});

describe("commits of subjects", () => {
  it("change nothing at all when they fail in their midst", async () => {
    const journal = open();
    const good = jobStory("bots/daily").next([PAUSED], { fires: [1], outbox: [pageDraft()] });
    const broken = { ...good, outbox: [pageDraft("first"), { ...pageDraft("second"), wall: Number.NaN }] };
    await expect(journal.commitSubject(broken)).rejects.toThrow();
    await expect(journal.commitSubject({ ...good, fires: [1, Number.NaN] })).rejects.toThrow();
    expect(await journal.subject("job", "bots/daily")).toBeUndefined();
    expect(await journal.subjectEvents("job", "bots/daily")).toEqual([]);
    expect(await journal.pending()).toEqual([]);
    expect(journal.chainHead().length).toBe(0);
    expect(await journal.commitSubject(good)).toBe("ok");
  });
});

describe("answers to commands about subjects", () => {
  it("are forgotten with their command", async () => {
    const weekMs = 7 * 24 * 3_600_000;
    const journal = open();
    await journal.accept(intakeOf("k1", 0));
    const outbox = [answerDraft("k1.answer", "acknowledged")];
    await journal.commitSubject(incidentStory(PAGE.key).next([TRIGGERED], { outbox, intakes: ["k1"] }));
    const [item] = await journal.pending();
    if (item === undefined) throw new Error("nothing is pending");
    await journal.delivered(item, { channel: "C", ts: "1" });
    expect(await journal.refOf("k1.answer")).toEqual({ channel: "C", ts: "1" });
    await journal.accept(intakeOf("a week later", weekMs));
    expect(await journal.refOf("k1.answer")).toBeUndefined();
  });
});

describe("a journal at its limit", () => {
  it("still names incidents, from the room kept for going back", async () => {
    const journal = open(2 * 1024 * 1024);
    const filled = (async () => {
      for (let count = 0; ; count++) await journal.takeAlerts([firing(`f${count}`, 1, "x".repeat(8_000))], 1);
    })();
    await expect(filled).rejects.toThrow("full");
    let names = 0;
    for (; names < 5_000 && !journal.isShortOfSpace(); names++) await journal.newIncidentId();
    expect(journal.isShortOfSpace()).toBe(true);
    expect(names).toBeGreaterThan(0);
  });

  it("still takes pages and health, from the room kept for going back; alerts and counts never take that room", async () => {
    const journal = open(3 * 1024 * 1024);
    const filled = (async () => {
      for (let count = 0; ; count++) await journal.takeAlerts([firing(`f${count}`, 1, "x".repeat(8_000))], 1);
    })();
    await expect(filled).rejects.toMatchObject({ name: "OutsideFault", recoverable: true });
    expect(journal.isShortOfSpace()).toBe(false);
    const probe = probeStory("bots/api");
    for (let count = 0; count < 20 && !journal.isShortOfSpace(); count++)
      expect(
        await journal.commitSubject(
          probe.next([{ kind: "failing", since: 1, detail: "z".repeat(2_000) }], { outbox: [pageDraft()] }),
        ),
      ).toBe("ok");
    expect(journal.isShortOfSpace()).toBe(true);
    expect(await journal.newIncidentId()).toMatch(/^i-/);
    expect(await journal.commitSubject(incidentStory(PAGE.key).next([TRIGGERED]))).toBe("ok");
    expect((await journal.pending()).map(({ key }) => key)).toEqual(["page:probe:bots/api"]);
    expect(journal.verifyChain()).toEqual({ ok: true });
  });

  it("knows a firing that is told again, when there is no room to note when", async () => {
    const journal = open(2 * 1024 * 1024);
    const known: string[] = [];
    const filled = (async () => {
      for (let count = 0; ; count++)
        known.push(...(await journal.takeAlerts([firing(`f${count}`, 1, "x".repeat(400))], 1)));
    })();
    await expect(filled).rejects.toThrow("full");
    journal.close();
    // To mark so many takes more room than there is.
    const later = 90 * 24 * 3_600_000;
    const again = open(2 * 1024 * 1024);
    const alerts = known.map((key) => firing(key.split("@")[0] ?? "", 1));
    expect(await again.takeAlerts(alerts, later)).toEqual([]);
  });
});

describe("an impatient memory of subjects", () => {
  /** A clock that stands still until it is moved. */
  function standingClock(): Clock & { pass(ms: number): void } {
    let steady = 0;
    const waiting = new Set<{ readonly at: number; readonly act: () => void }>();
    return {
      now: () => ({ steady, wall: SUBJECT_WALL + steady }),
      after(ms, act) {
        const one = { at: steady + ms, act };
        waiting.add(one);
        return () => void waiting.delete(one);
      },
      random: () => 0.5,
      pass(ms) {
        steady += ms;
        for (const one of [...waiting]) if (one.at <= steady && waiting.delete(one)) one.act();
      },
    };
  }

  const CALLS: Readonly<Record<keyof SubjectJournal, (journal: SubjectJournal) => Promise<unknown>>> = {
    newIncidentId: (journal) => journal.newIncidentId(),
    commitSubject: (journal) => journal.commitSubject(jobStory("bots/daily").next([PAUSED], { fires: [1] })),
    openSubjects: (journal) => journal.openSubjects("job"),
    subject: (journal) => journal.subject("job", "bots/daily"),
    subjectEvents: (journal) => journal.subjectEvents("job", "bots/daily"),
    subjectEventsSince: (journal) => journal.subjectEventsSince("job", SUBJECT_WALL, 1),
    takeAlerts: (journal) => journal.takeAlerts([firing("a")], SUBJECT_WALL),
    unjudgedAlerts: (journal) => journal.unjudgedAlerts(),
    judgedAlerts: (journal) => journal.judgedAlerts([firing("a").key]),
    knownAlertKeys: (journal) => journal.knownAlertKeys(SUBJECT_WALL),
    countChecks: (journal) => journal.countChecks("bots/api", SUBJECT_WALL, 3, 1),
    checksSince: (journal) => journal.checksSince(SUBJECT_WALL),
  };

  it("gives up every call after 1.5 s", async () => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const clock = standingClock();
    const journal = impatientSubjects(
      {
        newIncidentId: never,
        commitSubject: never,
        openSubjects: never,
        subject: never,
        subjectEvents: never,
        subjectEventsSince: never,
        takeAlerts: never,
        unjudgedAlerts: never,
        judgedAlerts: never,
        knownAlertKeys: never,
        countChecks: never,
        checksSince: never,
      },
      clock,
    );
    for (const [name, call] of Object.entries(CALLS)) {
      let outcome: unknown = "waiting";
      const ended = call(journal).catch((error: unknown) => {
        outcome = error;
      });
      clock.pass(1_499);
      await Promise.resolve();
      expect({ name, outcome }).toEqual({ name, outcome: "waiting" });
      clock.pass(1);
      await ended;
      expect(outcome).toBeInstanceOf(OutsideFault);
      expect(outcome).toMatchObject({ recoverable: true, message: "journal: no answer in 1500 ms" });
    }
  });

  it("passes everything on and back as it is", async () => {
    const clock = standingClock();
    const answers: Record<string, unknown> = {};
    const journal = impatientSubjects(open(), clock);
    for (const [name, call] of Object.entries(CALLS)) answers[name] = await call(journal);
    const job = jobStory("bots/daily");
    const { events } = job.next([PAUSED]);
    expect(answers).toEqual({
      newIncidentId: expect.stringMatching(/^i-/),
      commitSubject: "ok",
      openSubjects: [job.state()],
      subject: job.state(),
      subjectEvents: events,
      subjectEventsSince: [{ id: "bots/daily", recorded: events[0] }],
      takeAlerts: [firing("a").key],
      unjudgedAlerts: [firing("a")],
      judgedAlerts: undefined,
      knownAlertKeys: [firing("a").key],
      countChecks: undefined,
      checksSince: [{ id: "bots/api", ran: 3, bad: 1 }],
    });
  });
});
