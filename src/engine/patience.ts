/** A journal whose every call has an end: one that hangs is treated like one that is gone, and no loop ever waits for it for good. */
import { MINUTE } from "../core/time.ts";
import { withDeadline } from "./concurrency.ts";
import type { Clock, Journal } from "./ports.ts";
import type { SubjectJournal } from "./watch-ports.ts";

/** A journal that takes longer is treated as gone; the outcome of a commit is then read back later. */
const JOURNAL_DEADLINE_MS = 1_500;

/** Going back waits this long for the journal, then counts without it. */
const BACKWARD_DEADLINE_MS = 200;

/** A forward command that waited longer than this (Belay or its journal was down) changes nothing any more. */
export const FORWARD_EXPIRES_MS = 2 * MINUTE;

/** A call of the journal on the way back. */
export function hurried<T>(clock: Clock, call: Promise<T>): Promise<T> {
  return withDeadline(clock, BACKWARD_DEADLINE_MS, "journal", call);
}

type Soon = <T>(call: Promise<T>) => Promise<T>;

/** Gives a call of the journal its end. */
export function soonOn(clock: Clock): Soon {
  return (call) => withDeadline(clock, JOURNAL_DEADLINE_MS, "journal", call);
}

/** The same journal; each call rejects with a recoverable `OutsideFault` after the deadline. */
export function impatient(journal: Journal, clock: Clock): Journal {
  const soon = soonOn(clock);
  return {
    accept: (intake) => soon(journal.accept(intake)),
    unanswered: () => soon(journal.unanswered()),
    answer: (key, outbox) => soon(journal.answer(key, outbox)),
    newRunId: () => soon(journal.newRunId()),
    commit: (commit) => soon(journal.commit(commit)),
    openRuns: () => soon(journal.openRuns()),
    run: (id) => soon(journal.run(id)),
    lastRunOf: (rollout) => soon(journal.lastRunOf(rollout)),
    events: (run, fromSeq) => soon(journal.events(run, fromSeq)),
    eventsSince: (wall, most, kinds) => soon(journal.eventsSince(wall, most, kinds)),
    pending: () => soon(journal.pending()),
    attempted: (id) => soon(journal.attempted(id)),
    delivered: (item, ref) => soon(journal.delivered(item, ref)),
    refOf: (key) => soon(journal.refOf(key)),
    saveEvidence: (rows) => soon(journal.saveEvidence(rows)),
    evidence: (run) => soon(journal.evidence(run)),
    setMeta: (key, value) => soon(journal.setMeta(key, value)),
    meta: (key) => soon(journal.meta(key)),
  };
}

/** The same memory of subjects; each call rejects with a recoverable `OutsideFault` after the deadline. */
export function impatientSubjects(journal: SubjectJournal, clock: Clock): SubjectJournal {
  const soon = soonOn(clock);
  return {
    newIncidentId: () => soon(journal.newIncidentId()),
    commitSubject: (commit) => soon(journal.commitSubject(commit)),
    openSubjects: (kind) => soon(journal.openSubjects(kind)),
    subject: (kind, id) => soon(journal.subject(kind, id)),
    subjectEvents: (kind, id) => soon(journal.subjectEvents(kind, id)),
    subjectEventsSince: (kind, wall, most) => soon(journal.subjectEventsSince(kind, wall, most)),
    takeAlerts: (alerts, wall) => soon(journal.takeAlerts(alerts, wall)),
    unjudgedAlerts: () => soon(journal.unjudgedAlerts()),
    judgedAlerts: (keys) => soon(journal.judgedAlerts(keys)),
    knownAlertKeys: (sinceWall) => soon(journal.knownAlertKeys(sinceWall)),
    countChecks: (id, hourWall, ran, bad) => soon(journal.countChecks(id, hourWall, ran, bad)),
    checksSince: (wall) => soon(journal.checksSince(wall)),
  };
}
