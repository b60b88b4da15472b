/** Alerts as they came in: each firing once with its first body, judged or not, and forgotten a week after it was last told. */
import type { IncomingAlert } from "../../core/alerts/incoming.ts";
import { DAY, HOUR } from "../../core/time.ts";
import { OutsideFault } from "../../engine/ports.ts";
import type { Connection, Statements } from "./connection.ts";
import { decode, numberOf, type Row, textOf } from "./rows.ts";

/** A judged firing is kept this long after it was last told (wall ms): forgotten while it still fires, it would come in as a new one. */
const KEEP_JUDGED_MS = 7 * DAY;
/** How exactly `seen_wall` is kept, ms: in a storm the same firings are told again and again, and that must write nothing. */
const SEEN_EXACT_MS = HOUR;
/** At most so many old firings are removed for one new one, so that no webhook waits for a long clean-up. */
const PRUNED_FOR_ONE = 2;

/** Of the keys in a JSON array, those that are not known, and those not marked as seen for a while. */
const DUE = `
  SELECT wanted.value AS key, alerts.key IS NOT NULL AS known
  FROM json_each(?) AS wanted LEFT JOIN alerts ON alerts.key = wanted.value
  WHERE alerts.key IS NULL OR alerts.seen_wall < ?`;

const INSERT = `
  INSERT INTO alerts (key, first_wall, seen_wall, judged, body) VALUES (?, ?, ?, 0, ?) ON CONFLICT (key) DO NOTHING`;

const PRUNE = `
  DELETE FROM alerts WHERE ord IN (SELECT ord FROM alerts WHERE judged = 1 AND seen_wall < ? ORDER BY seen_wall LIMIT ?)`;

/** Returns the keys that were not known. Firings that are all known cost one statement that reads, and about once an hour one that writes. */
export function takeAlerts(
  db: Connection,
  alerts: readonly IncomingAlert[],
  wall: number,
): readonly string[] {
  if (alerts.length === 0) return [];
  const keys = JSON.stringify(alerts.map(({ key }) => key));
  const due = db.reading(() => db.all(DUE, keys, wall - SEEN_EXACT_MS));
  const unknown = new Set(due.filter((row) => numberOf(row, "known") === 0).map(keyOf));
  const unmarked = due.filter((row) => numberOf(row, "known") === 1).map(keyOf);
  if (unknown.size === 0) {
    if (unmarked.length > 0) tryToMark(db, unmarked, wall);
    return [];
  }
  // Nothing can come between the reading and this: the file has one process, and that does both in one go.
  return db.writing(() => {
    const fresh = alerts.filter((alert) => unknown.has(alert.key) && isAdded(db, alert, wall));
    markSeen(db, unmarked, wall);
    db.run(PRUNE, wall - KEEP_JUDGED_MS, PRUNED_FOR_ONE * fresh.length);
    return fresh.map(({ key }) => key);
  });
}

/** False for the second of two with the same key. */
function isAdded(db: Statements, alert: IncomingAlert, wall: number): boolean {
  return db.run(INSERT, alert.key, wall, wall, JSON.stringify(alert)) === 1;
}

/** That these firings are known stays true when the disk is full; only how long they are kept is at stake. */
function tryToMark(db: Connection, keys: readonly string[], wall: number): void {
  try {
    db.writing(() => markSeen(db, keys, wall));
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
  }
}

function markSeen(db: Statements, keys: readonly string[], wall: number): void {
  db.run(
    "UPDATE alerts SET seen_wall = ? WHERE key IN (SELECT value FROM json_each(?)) AND seen_wall < ?",
    wall,
    JSON.stringify(keys),
    wall,
  );
}

export function unjudgedAlerts(db: Statements): readonly IncomingAlert[] {
  return db
    .all("SELECT body FROM alerts WHERE judged = 0 ORDER BY ord")
    .map((row) => decode<IncomingAlert>(textOf(row, "body")));
}

/** A key that was never stored, because the journal was away then, is no mistake. */
export function markJudged(db: Statements, keys: readonly string[]): void {
  db.run(
    "UPDATE alerts SET judged = 1 WHERE key IN (SELECT value FROM json_each(?)) AND judged = 0",
    JSON.stringify(keys),
  );
}

export function alertKeysSince(db: Statements, sinceWall: number): readonly string[] {
  return db
    .all("SELECT key FROM alerts WHERE judged IN (0, 1) AND seen_wall >= ? ORDER BY ord", sinceWall)
    .map(keyOf);
}

function keyOf(row: Row): string {
  return textOf(row, "key");
}
