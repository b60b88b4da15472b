/** Evidence: one row per run, guard and minute; a later row of the same minute replaces the earlier. */
import type { EvidenceRow } from "../../engine/ports.ts";
import type { Statements } from "./connection.ts";
import { decode, numberOf, optionalNumberOf, textOf } from "./rows.ts";

const UPSERT = `
  INSERT INTO evidence (run, guard, minute, polls, measured, min, max, last, verdicts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (run, guard, minute) DO UPDATE SET polls = excluded.polls, measured = excluded.measured,
    min = excluded.min, max = excluded.max, last = excluded.last, verdicts = excluded.verdicts`;

export function upsertEvidence(db: Statements, rows: readonly EvidenceRow[]): void {
  for (const { run, guard, minute, polls, values, min, max, last, verdicts } of rows) {
    db.run(
      UPSERT,
      run,
      guard,
      minute,
      polls,
      values,
      min ?? null,
      max ?? null,
      last ?? null,
      JSON.stringify(verdicts),
    );
  }
}

/** By minute, then by guard. */
export function evidenceOf(db: Statements, run: string): readonly EvidenceRow[] {
  return db.all("SELECT * FROM evidence WHERE run = ? ORDER BY minute, guard", run).map((row) => ({
    run: textOf(row, "run"),
    guard: textOf(row, "guard"),
    minute: numberOf(row, "minute"),
    polls: numberOf(row, "polls"),
    values: numberOf(row, "measured"),
    min: optionalNumberOf(row, "min"),
    max: optionalNumberOf(row, "max"),
    last: optionalNumberOf(row, "last"),
    verdicts: decode<EvidenceRow["verdicts"]>(textOf(row, "verdicts")),
  }));
}
