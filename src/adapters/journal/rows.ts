/** Reading the journal's rows: columns by type, and JSON that this journal wrote itself. */
import type { RecordedOf } from "../../core/event.ts";
import type { Plan } from "../../core/plan.ts";
import type { State } from "../../core/rollout/state.ts";
import { OutsideFault, type StoredRun } from "../../engine/ports.ts";
import type { SubjectKind, Subjects } from "../../engine/watch-ports.ts";

/** A row as node:sqlite gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** The schema of `State` that this code reads. */
const STATE_SCHEMA: State["schema"] = 1;

/** The schema of every subject's state that this code reads. */
const SUBJECT_SCHEMA: Subjects[SubjectKind]["state"]["schema"] = 1;

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw unreadable(`column ${column} holds no text`);
  return value;
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw unreadable(`column ${column} holds no number`);
  return value;
}

/** Text, or undefined for NULL. */
export function optionalTextOf(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : textOf(row, column);
}

/** A number, or undefined for NULL. */
export function optionalNumberOf(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : numberOf(row, column);
}

/** JSON written by this journal. Its shape is trusted: the file is private to Belay, and the hash chain shows edited events. */
export function decode<T>(text: string): T {
  try {
    const value: T = JSON.parse(text);
    return value;
  } catch (error) {
    throw unreadable("a row holds text that is not JSON", error);
  }
}

/** An event from the columns `seq`, `at`, `wall`, `was` and `event`. */
export function recordedOf<E>(row: Row): RecordedOf<E> {
  const was = optionalNumberOf(row, "was");
  return {
    seq: numberOf(row, "seq"),
    at: numberOf(row, "at"),
    wall: numberOf(row, "wall"),
    event: decode<E>(textOf(row, "event")),
    ...(was === undefined ? {} : { was }),
  };
}

/** A run from the columns `id`, `state` and `body` (its plan). Throws an `OutsideFault` for a state written by a newer Belay. */
export function storedRun(row: Row): StoredRun {
  const state = decode<State>(textOf(row, "state"));
  checkSchema(state?.schema, STATE_SCHEMA, `run ${textOf(row, "id")}`);
  return { plan: decode<Plan>(textOf(row, "body")), state };
}

/** A subject's state from the columns `id` and `state`. Throws an `OutsideFault` for one written by a newer Belay. */
export function storedSubject<K extends SubjectKind>(kind: K, row: Row): Subjects[K]["state"] {
  const state = decode<Subjects[K]["state"]>(textOf(row, "state"));
  checkSchema(state?.schema, SUBJECT_SCHEMA, `${kind} ${textOf(row, "id")}`);
  return state;
}

function checkSchema(schema: unknown, known: number, whose: string): void {
  if (schema === known) return;
  const newer = typeof schema === "number" && schema > known;
  const why = newer ? "was written by a newer Belay" : "cannot be read";
  throw unreadable(`the state of ${whose} ${why} (its schema is ${String(schema)}, this one knows ${known})`);
}

export function unreadable(why: string, cause?: unknown): OutsideFault {
  return new OutsideFault(`the journal cannot be read: ${why}`, { recoverable: false, cause });
}
