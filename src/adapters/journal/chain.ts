/** The hash chain over all events: appended to by each commit, read by stream, and walked to find a row that was edited, dropped or moved. */
import { createHash } from "node:crypto";
import type { Recorded, RecordedOf, RolloutEvent } from "../../core/event.ts";
import type { Statements } from "./connection.ts";
import { numberOf, optionalNumberOf, type Row, recordedOf, textOf, unreadable } from "./rows.ts";
import { GENESIS } from "./schema.ts";

/** `row` counts from 1 over all events of all runs and subjects, in the order in which they were committed. */
export type ChainCheck = { readonly ok: true } | { readonly ok: false; readonly row: number };

/** The newest hash and how many events it covers; published elsewhere, it proves later that nothing before it was rewritten. */
export interface ChainHead {
  readonly length: number;
  readonly head: string;
}

export function chainHead(db: Statements): ChainHead {
  const row = db.get("SELECT length, head FROM chain");
  if (row === undefined) throw unreadable("the head of the hash chain is missing");
  return { length: numberOf(row, "length"), head: textOf(row, "head") };
}

/** Appends events of a run, or of a subject's stream, to the chain; inside the transaction of their commit. */
export function appendEvents(db: Statements, run: string, events: readonly RecordedOf<unknown>[]): void {
  if (events.length === 0) return;
  let { length, head } = chainHead(db);
  for (const { seq, at, wall, was = null, event } of events) {
    const text = JSON.stringify(event);
    length += 1;
    head = linkOf(head, [run, seq, at, wall, was, text]);
    db.run(
      "INSERT INTO events (pos, run, seq, at, wall, was, event, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      length,
      run,
      seq,
      at,
      wall,
      was,
      text,
      head,
    );
  }
  db.run("UPDATE chain SET length = ?, head = ?", length, head);
}

/** Events of a run or a subject's stream from number `fromSeq` on, that one included. */
export function eventsOf<E>(db: Statements, run: string, fromSeq: number): readonly RecordedOf<E>[] {
  return db
    .all("SELECT seq, at, wall, was, event FROM events WHERE run = ? AND seq >= ? ORDER BY seq", run, fromSeq)
    .map((row) => recordedOf<E>(row));
}

/** The newest events of all runs since a wall instant, oldest first; subjects are left out. */
export function eventsSince(
  db: Statements,
  wall: number,
  most: number,
  kinds?: readonly RolloutEvent["kind"][],
): readonly { readonly run: string; readonly recorded: Recorded }[] {
  const chosen = kinds === undefined ? null : JSON.stringify(kinds);
  return db
    .all(
      `SELECT run, seq, at, wall, was, event FROM events
       WHERE kind IS NULL AND wall >= ? AND (? IS NULL OR json_extract(event, '$.kind') IN (SELECT value FROM json_each(?)))
       ORDER BY wall DESC, pos DESC LIMIT ?`,
      wall,
      chosen,
      chosen,
      most,
    )
    .map((row) => ({ run: textOf(row, "run"), recorded: recordedOf<RolloutEvent>(row) }))
    .reverse();
}

/** Walks the whole chain and names the first row that does not fit; a missing row is named by the place where it was. */
export function checkChain(db: Statements): ChainCheck {
  let row = 0;
  let hash = GENESIS;
  for (const found of db.each("SELECT pos, run, seq, at, wall, was, event, hash FROM events ORDER BY pos")) {
    row += 1;
    const expected = numberOf(found, "pos") === row ? linkOfRow(hash, found) : undefined;
    hash = textOf(found, "hash");
    if (hash !== expected) return { ok: false, row };
  }
  const { length, head } = chainHead(db);
  if (length !== row) return { ok: false, row: row + 1 };
  return head === hash ? { ok: true } : { ok: false, row };
}

function linkOfRow(previous: string, row: Row): string {
  return linkOf(previous, [
    textOf(row, "run"),
    numberOf(row, "seq"),
    numberOf(row, "at"),
    numberOf(row, "wall"),
    optionalNumberOf(row, "was") ?? null,
    textOf(row, "event"),
  ]);
}

/** JSON keeps the parts apart, so that no two different rows have the same text to hash. */
function linkOf(previous: string, row: readonly (string | number | null)[]): string {
  return createHash("sha256")
    .update(JSON.stringify([previous, ...row]), "utf8")
    .digest("hex");
}
