/** Commands as accepted: each key once, answered or not, and forgotten long after their last possible repeat. */
import { HOUR } from "../../core/time.ts";
import type { Intake } from "../../engine/messages.ts";
import type { Statements } from "./connection.ts";
import { decode, textOf } from "./rows.ts";

/** Slack repeats a delivery for minutes and a person may press a button of yesterday; answered keys are kept this long (steady ms). */
export const KEEP_ANSWERED_MS = 48 * HOUR;
/** At most so many old keys are removed with one new one, so that no acknowledgement waits for a long clean-up. */
const PRUNED_AT_ONCE = 20;

/** Stores a command; false when its key is known. */
export function acceptIntake(db: Statements, intake: Intake): boolean {
  const added = db.run(
    "INSERT INTO intake (key, body, at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
    intake.key,
    JSON.stringify(intake),
    intake.at,
  );
  if (added === 0) return false;
  prune(db, intake.at - KEEP_ANSWERED_MS);
  return true;
}

/** An answer that has been delivered goes with its command; one still under way stays. */
function prune(db: Statements, before: number): void {
  const old = db.all(
    "SELECT key FROM intake WHERE answered = 1 AND at < ? ORDER BY at LIMIT ?",
    before,
    PRUNED_AT_ONCE,
  );
  for (const row of old) {
    const key = textOf(row, "key");
    db.run("DELETE FROM outbox WHERE intake = ? AND delivered >= generation", key);
    db.run("DELETE FROM intake WHERE key = ?", key);
  }
}

export function unansweredIntakes(db: Statements): readonly Intake[] {
  return db
    .all("SELECT body FROM intake WHERE answered = 0 ORDER BY ord")
    .map((row) => decode<Intake>(textOf(row, "body")));
}

/** A key that was never accepted, because the journal was away then, is no mistake. */
export function markAnswered(db: Statements, key: string): void {
  db.run("UPDATE intake SET answered = 1 WHERE key = ?", key);
}
