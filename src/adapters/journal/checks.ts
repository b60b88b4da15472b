/** Counts of the checks of probes: one row for each probe and day, for 40 days. */
import { DAY } from "../../core/time.ts";
import type { Statements } from "./connection.ts";
import { numberOf, textOf } from "./rows.ts";

const KEEP_MS = 40 * DAY;
/** At most so many old rows are removed with one count. */
const PRUNED_AT_ONCE = 20;

const ADD = `
  INSERT INTO checks (day, id, ran, bad) VALUES (?, ?, ?, ?)
  ON CONFLICT (day, id) DO UPDATE SET ran = ran + excluded.ran, bad = bad + excluded.bad`;

const PRUNE = `
  DELETE FROM checks WHERE (day, id) IN (SELECT day, id FROM checks WHERE day < ? ORDER BY day LIMIT ?)`;

export interface CheckCount {
  readonly id: string;
  readonly ran: number;
  readonly bad: number;
}

/** `hourWall` is the start of the hour, wall ms. */
export function addChecks(db: Statements, { id, ran, bad }: CheckCount, hourWall: number): void {
  db.run(ADD, hourWall, id, ran, bad);
  db.run(PRUNE, hourWall - KEEP_MS, PRUNED_AT_ONCE);
}

/** Sums by probe over the days that began at `wall` or later. */
export function checksSince(db: Statements, wall: number): readonly CheckCount[] {
  return db
    .all(
      "SELECT id, sum(ran) AS ran, sum(bad) AS bad FROM checks WHERE day >= ? GROUP BY id ORDER BY id",
      wall,
    )
    .map((row) => ({ id: textOf(row, "id"), ran: numberOf(row, "ran"), bad: numberOf(row, "bad") }));
}
