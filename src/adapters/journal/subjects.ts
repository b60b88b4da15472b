/** Subjects: incidents, probes and jobs, each a state by compare-and-set and a stream of events on the one chain; and the fires of jobs. */
import type { RecordedOf } from "../../core/event.ts";
import type { SubjectCommit, SubjectKind, SubjectResult, Subjects } from "../../engine/watch-ports.ts";
import { appendEvents, eventsOf } from "./chain.ts";
import type { Statements } from "./connection.ts";
import { markAnswered } from "./intake.ts";
import { addDrafts } from "./outbox.ts";
import { numberOf, recordedOf, storedSubject, textOf } from "./rows.ts";
import { checkSequence } from "./sequence.ts";

const UPSERT = `
  INSERT INTO subjects (kind, id, revision, state, open) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (kind, id) DO UPDATE SET revision = excluded.revision, state = excluded.state, open = excluded.open`;

/** Hears of a subject that is left out because its row cannot be read, and why. */
export type TellUnreadableSubject = (kind: SubjectKind, id: string, why: unknown) => void;

/** The name of a subject's events in the column that holds the run for those of a rollout. No run's name has a colon. */
function streamOf(kind: SubjectKind, id: string): string {
  return `${kind}:${id}`;
}

/** Inside one transaction. A result other than `ok` has changed nothing. */
export function commitSubject<K extends SubjectKind>(
  db: Statements,
  change: SubjectCommit<K>,
): SubjectResult {
  const { kind, id, expected, events, state, fires = [] } = change;
  checkSequence({ id, expected, events, stateOf: state.id, revision: state.revision });
  if (kind !== "job" && fires.length > 0)
    throw new Error(`a commit to ${streamOf(kind, id)} claims fires, and only jobs have those`);
  const stored = db.get("SELECT revision FROM subjects WHERE kind = ? AND id = ?", kind, id);
  if ((stored === undefined ? 0 : numberOf(stored, "revision")) !== expected) return "conflict";
  if (new Set(fires).size < fires.length || fires.some((instant) => isClaimed(db, id, instant)))
    return "claimed";
  db.run(UPSERT, kind, id, state.revision, JSON.stringify(state), change.open ? 1 : 0);
  for (const instant of fires) db.run("INSERT INTO fires (job, instant) VALUES (?, ?)", id, instant);
  appendEvents(db, streamOf(kind, id), events);
  addDrafts(db, change.outbox, change.intakes.at(-1));
  for (const key of change.intakes) markAnswered(db, key);
  return "ok";
}

function isClaimed(db: Statements, job: string, instant: number): boolean {
  return db.get("SELECT 1 FROM fires WHERE job = ? AND instant = ?", job, instant) !== undefined;
}

/** A subject that cannot be read is told and left out: the others must be looked after all the same. */
export function openSubjects<K extends SubjectKind>(
  db: Statements,
  kind: K,
  tellUnreadable: TellUnreadableSubject,
): readonly Subjects[K]["state"][] {
  const rows = db.all("SELECT id, state FROM subjects WHERE kind = ? AND open = 1 ORDER BY ord", kind);
  return rows.flatMap((row) => {
    try {
      return [storedSubject(kind, row)];
    } catch (error) {
      tellUnreadable(kind, textOf(row, "id"), error);
      return [];
    }
  });
}

export function findSubject<K extends SubjectKind>(
  db: Statements,
  kind: K,
  id: string,
): Subjects[K]["state"] | undefined {
  const row = db.get("SELECT id, state FROM subjects WHERE kind = ? AND id = ?", kind, id);
  return row === undefined ? undefined : storedSubject(kind, row);
}

export function subjectEventsOf<K extends SubjectKind>(
  db: Statements,
  kind: K,
  id: string,
): readonly RecordedOf<Subjects[K]["event"]>[] {
  return eventsOf<Subjects[K]["event"]>(db, streamOf(kind, id), 1);
}

/** By wall time; those of one instant in the order in which they were committed. */
export function subjectEventsSince<K extends SubjectKind>(
  db: Statements,
  kind: K,
  wall: number,
  most: number,
): readonly { readonly id: string; readonly recorded: RecordedOf<Subjects[K]["event"]> }[] {
  return db
    .all(
      "SELECT run, seq, at, wall, was, event FROM events WHERE kind = ? AND wall >= ? ORDER BY wall, pos LIMIT ?",
      kind,
      wall,
      most,
    )
    .map((row) => ({
      id: textOf(row, "run").slice(streamOf(kind, "").length),
      recorded: recordedOf<Subjects[K]["event"]>(row),
    }));
}
