/** The journal on node:sqlite: one file, one process, every method one transaction that is on the disk when its promise resolves. */
import type { Now } from "../../core/time.ts";
import { type CommitResult, type Journal, type Log, messageOfFault } from "../../engine/ports.ts";
import type { SubjectJournal } from "../../engine/watch-ports.ts";
import { alertKeysSince, markJudged, takeAlerts, unjudgedAlerts } from "./alerts.ts";
import { type ChainCheck, type ChainHead, chainHead, checkChain, eventsOf, eventsSince } from "./chain.ts";
import { addChecks, checksSince } from "./checks.ts";
import { type Connection, type ConnectionOptions, openConnection } from "./connection.ts";
import { evidenceOf, upsertEvidence } from "./evidence.ts";
import { acceptIntake, markAnswered, unansweredIntakes } from "./intake.ts";
import { takeName } from "./names.ts";
import { addDrafts, countAttempt, markDelivered, pendingItems, refOfKey } from "./outbox.ts";
import { numberOf, textOf } from "./rows.ts";
import { commitChange, findRun, newestRunOf, openRuns, type TellUnreadable } from "./runs.ts";
import {
  commitSubject,
  findSubject,
  openSubjects,
  subjectEventsOf,
  subjectEventsSince,
  type TellUnreadableSubject,
} from "./subjects.ts";

export interface SqliteJournalOptions extends ConnectionOptions {
  /** Hears of rows that cannot be read and are left out. */
  readonly log?: Log | undefined;
}

export interface SqliteJournal extends Journal, SubjectJournal {
  /** Lets the file go; every later call rejects. */
  close(): void;
  /** Reads every event and blocks meanwhile (about 5 s for a million); finds the first row that was edited, dropped or moved. */
  verifyChain(): ChainCheck;
  chainHead(): ChainHead;
  /** The latest instant of any event: the clock must not start below it. */
  newestInstant(): Now | undefined;
  /** Whether the disk was so full that the reserve had to be given up and could not be taken again: nothing should go forward. */
  isShortOfSpace(): boolean;
}

/**
 * Opens the journal, makes it when there is none. Throws an `OutsideFault` with one sentence for people when another process has it, when a
 * newer Belay wrote it, or when it cannot be used. The methods work synchronously: their effect is on the disk before they return.
 */
export function openSqliteJournal(options: SqliteJournalOptions): SqliteJournal {
  const db = openConnection(options);
  const tellUnreadable: TellUnreadable = (run, why) =>
    options.log?.error("an open run cannot be read and is not watched", { run, error: messageOfFault(why) });
  const tellSubject: TellUnreadableSubject = (kind, id, why) =>
    options.log?.error(`an open ${kind} cannot be read and is not looked after`, {
      [kind]: id,
      error: messageOfFault(why),
    });
  return {
    ...intakeAndOutbox(db),
    ...runsAndEvidence(db, tellUnreadable),
    ...subjects(db, tellSubject),
    ...alertsAndChecks(db),
    close: () => db.close(),
    verifyChain: () => db.reading(() => checkChain(db)),
    chainHead: () => db.reading(() => chainHead(db)),
    newestInstant: () => db.reading(() => newestInstant(db)),
    isShortOfSpace: () => db.isShortOfSpace(),
  };
}

type IntakeAndOutbox = "accept" | "unanswered" | "answer" | "pending" | "attempted" | "delivered" | "refOf";

function intakeAndOutbox(db: Connection): Pick<Journal, IntakeAndOutbox> {
  return {
    accept: async (intake) => db.writing(() => acceptIntake(db, intake)),
    unanswered: async () => db.reading(() => unansweredIntakes(db)),
    answer: async (key, outbox) =>
      db.writing(() => {
        markAnswered(db, key);
        addDrafts(db, outbox, key);
      }),
    pending: async () => db.reading(() => pendingItems(db)),
    attempted: async (id) => db.writing(() => countAttempt(db, id)),
    delivered: async (item, ref) => db.writing(() => markDelivered(db, item, ref)),
    refOf: async (key) => db.reading(() => refOfKey(db, key)),
  };
}

function runsAndEvidence(db: Connection, tellUnreadable: TellUnreadable): Omit<Journal, IntakeAndOutbox> {
  return {
    newRunId: async () => db.writing(() => takeName(db, "r")),
    commit: async (commit) => {
      const change = (): CommitResult => commitChange(db, commit);
      return commit.forward ? db.writingWithRoom(change) : db.writingWithReserve(change);
    },
    openRuns: async () => db.reading(() => openRuns(db, tellUnreadable)),
    run: async (id) => db.reading(() => findRun(db, id)),
    lastRunOf: async (rollout) => db.reading(() => newestRunOf(db, rollout)),
    events: async (run, fromSeq = 1) => db.reading(() => eventsOf(db, run, fromSeq)),
    eventsSince: async (wall, most, kinds) => db.reading(() => eventsSince(db, wall, most, kinds)),
    saveEvidence: async (rows) => db.writing(() => upsertEvidence(db, rows)),
    evidence: async (run) => db.reading(() => evidenceOf(db, run)),
    setMeta: async (key, value) =>
      db.writing(() => {
        db.run(
          "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
          key,
          value,
        );
      }),
    meta: async (key) => db.reading(() => metaOf(db, key)),
  };
}

type AlertsAndChecks =
  | "takeAlerts"
  | "unjudgedAlerts"
  | "judgedAlerts"
  | "knownAlertKeys"
  | "countChecks"
  | "checksSince";

/** Paging and health wait for no full disk: their decisions may use the room that is kept for going back. */
function subjects(
  db: Connection,
  tellUnreadable: TellUnreadableSubject,
): Omit<SubjectJournal, AlertsAndChecks> {
  return {
    newIncidentId: async () => db.writingWithReserve(() => takeName(db, "i")),
    commitSubject: async (commit) => db.writingWithReserve(() => commitSubject(db, commit)),
    openSubjects: async (kind) => db.reading(() => openSubjects(db, kind, tellUnreadable)),
    subject: async (kind, id) => db.reading(() => findSubject(db, kind, id)),
    subjectEvents: async (kind, id) => db.reading(() => subjectEventsOf(db, kind, id)),
    subjectEventsSince: async (kind, wall, most) =>
      db.reading(() => subjectEventsSince(db, kind, wall, most)),
  };
}

/** None of these has a right to the reserve: whoever can send alerts could use it up. */
function alertsAndChecks(db: Connection): Pick<SubjectJournal, AlertsAndChecks> {
  return {
    takeAlerts: async (alerts, wall) => takeAlerts(db, alerts, wall),
    unjudgedAlerts: async () => db.reading(() => unjudgedAlerts(db)),
    judgedAlerts: async (keys) => db.writing(() => markJudged(db, keys)),
    knownAlertKeys: async (sinceWall) => db.reading(() => alertKeysSince(db, sinceWall)),
    countChecks: async (id, dayWall, ran, bad) => db.writing(() => addChecks(db, { id, ran, bad }, dayWall)),
    checksSince: async (wall) => db.reading(() => checksSince(db, wall)),
  };
}

function metaOf(db: Connection, key: string): string | undefined {
  const row = db.get("SELECT value FROM meta WHERE key = ?", key);
  return row === undefined ? undefined : textOf(row, "value");
}

function newestInstant(db: Connection): Now | undefined {
  const row = db.get("SELECT at, wall FROM events ORDER BY at DESC LIMIT 1");
  return row === undefined ? undefined : { steady: numberOf(row, "at"), wall: numberOf(row, "wall") };
}
