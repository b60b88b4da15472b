/** The outbox: messages by key, each with its generation, its tries and where it arrived. */
import type { Lane, MessageRef, Notice, OutboxDraft, OutboxItem } from "../../engine/messages.ts";
import type { Statements } from "./connection.ts";
import { decode, numberOf, optionalTextOf, type Row, textOf, unreadable } from "./rows.ts";

/** A known key keeps its id, its tries and where it arrived, and becomes undelivered in a new generation. */
const UPSERT = `
  INSERT INTO outbox (key, run, lane, generation, delivered, attempts, tries, body, wall, intake) VALUES (?, ?, ?, 1, 0, 0, ?, ?, ?, ?)
  ON CONFLICT (key) DO UPDATE SET run = excluded.run, lane = excluded.lane, generation = generation + 1, attempts = 0, tries = tries + excluded.tries,
    body = excluded.body, wall = excluded.wall, intake = coalesce(excluded.intake, intake)`;

/**
 * An earlier try under a key may have been applied as long as it is not known where: then even a fresh generation counts as tried once,
 * so that its sender looks for the message before it sends another.
 */
const PENDING = `
  SELECT id, run, key, lane, generation, body, wall, CASE WHEN ref_ts IS NULL THEN max(attempts, min(tries, 1)) ELSE attempts END AS attempts
  FROM outbox WHERE delivered < generation ORDER BY id`;

/** Adds drafts, inside a transaction. `intake` names the command that they answer, if any. */
export function addDrafts(db: Statements, drafts: readonly OutboxDraft[], intake: string | undefined): void {
  for (const { key, run, lane, body, wall, maybeSent } of drafts) {
    db.run(
      UPSERT,
      key,
      run ?? null,
      lane,
      maybeSent === true ? 1 : 0,
      JSON.stringify(body),
      wall,
      lane === "answer" ? (intake ?? null) : null,
    );
  }
}

export function pendingItems(db: Statements): readonly OutboxItem[] {
  return db.all(PENDING).map(itemOf);
}

function itemOf(row: Row): OutboxItem {
  return {
    id: numberOf(row, "id"),
    run: optionalTextOf(row, "run"),
    key: textOf(row, "key"),
    lane: laneOf(textOf(row, "lane")),
    generation: numberOf(row, "generation"),
    attempts: numberOf(row, "attempts"),
    body: decode<Notice>(textOf(row, "body")),
    wall: numberOf(row, "wall"),
  };
}

function laneOf(text: string): Lane {
  if (text === "urgent" || text === "answer" || text === "normal" || text === "page") return text;
  throw unreadable(`"${text.slice(0, 40)}" is no lane`);
}

export function countAttempt(db: Statements, id: number): void {
  db.run("UPDATE outbox SET attempts = attempts + 1, tries = tries + 1 WHERE id = ?", id);
}

export function markDelivered(
  db: Statements,
  { id, generation, key }: Pick<OutboxItem, "id" | "generation" | "key">,
  ref: MessageRef | undefined,
): void {
  db.run(
    "UPDATE outbox SET delivered = max(delivered, ?), ref_channel = coalesce(?, ref_channel), ref_ts = coalesce(?, ref_ts) WHERE id = ? AND key = ?",
    generation,
    ref?.channel ?? null,
    ref?.ts ?? null,
    id,
    key,
  );
}

export function refOfKey(db: Statements, key: string): MessageRef | undefined {
  const row = db.get("SELECT ref_channel, ref_ts FROM outbox WHERE key = ?", key);
  if (row === undefined) return undefined;
  const channel = optionalTextOf(row, "ref_channel");
  const ts = optionalTextOf(row, "ref_ts");
  return channel === undefined || ts === undefined ? undefined : { channel, ts };
}
