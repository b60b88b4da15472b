/** Runs: their commits by compare-and-set, their claims, and their frozen plans. */
import { createHash } from "node:crypto";
import type { Plan } from "../../core/plan.ts";
import type { Commit, CommitResult, StoredRun } from "../../engine/ports.ts";
import { appendEvents } from "./chain.ts";
import type { Statements } from "./connection.ts";
import { markAnswered } from "./intake.ts";
import { addDrafts } from "./outbox.ts";
import { numberOf, storedRun, textOf } from "./rows.ts";
import { checkSequence } from "./sequence.ts";

const RUNS = "SELECT runs.id, runs.state, plans.body FROM runs JOIN plans ON plans.hash = runs.plan";

/** Hears of a run that is left out because its row cannot be read, and why. */
export type TellUnreadable = (run: string, why: unknown) => void;

/** Inside one transaction. A result other than `ok` has changed nothing. */
export function commitChange(db: Statements, change: Commit): CommitResult {
  const { run, expected, events, state } = change;
  checkSequence({ id: run, expected, events, stateOf: state.run, revision: state.revision });
  const stored = db.get("SELECT revision FROM runs WHERE id = ?", change.run);
  const revision = stored === undefined ? 0 : numberOf(stored, "revision");
  const isNew = change.begin !== undefined;
  if (isNew !== (stored === undefined) || revision !== change.expected) return { kind: "conflict" };
  for (const claim of change.begin?.claims ?? []) {
    const owner = db.get("SELECT run FROM claims WHERE claim = ?", claim);
    if (owner !== undefined) return { kind: "claimed", claim, run: textOf(owner, "run") };
  }
  saveRun(db, change);
  appendEvents(db, change.run, change.events);
  // Answers are forgotten with the newest command of their commit.
  addDrafts(db, change.outbox, change.intakes.at(-1));
  for (const key of change.intakes) markAnswered(db, key);
  return { kind: "ok" };
}

function saveRun(db: Statements, { run, state, ended, begin }: Commit): void {
  const text = JSON.stringify(state);
  const open = !ended || Object.keys(state.latched).length > 0 ? 1 : 0;
  if (begin === undefined) {
    db.run("UPDATE runs SET revision = ?, state = ?, open = ? WHERE id = ?", state.revision, text, open, run);
  } else {
    const plan = savePlan(db, begin.plan);
    db.run(
      "INSERT INTO runs (id, rollout, plan, revision, state, open) VALUES (?, ?, ?, ?, ?, ?)",
      run,
      state.rollout,
      plan,
      state.revision,
      text,
      open,
    );
    for (const claim of new Set(begin.claims))
      db.run("INSERT INTO claims (claim, run) VALUES (?, ?)", claim, run);
  }
  if (ended) db.run("DELETE FROM claims WHERE run = ?", run);
}

/** Many runs of one plan share it. */
function savePlan(db: Statements, plan: Plan): string {
  const body = JSON.stringify(plan);
  const hash = createHash("sha256").update(body, "utf8").digest("hex");
  db.run("INSERT INTO plans (hash, body) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", hash, body);
  return hash;
}

/** A run that cannot be read is told and left out: the others must be watched all the same. */
export function openRuns(db: Statements, tellUnreadable: TellUnreadable): readonly StoredRun[] {
  return db.all(`${RUNS} WHERE runs.open = 1 ORDER BY runs.ord`).flatMap((row) => {
    try {
      return [storedRun(row)];
    } catch (error) {
      tellUnreadable(textOf(row, "id"), error);
      return [];
    }
  });
}

export function findRun(db: Statements, id: string): StoredRun | undefined {
  const row = db.get(`${RUNS} WHERE runs.id = ?`, id);
  return row === undefined ? undefined : storedRun(row);
}

export function newestRunOf(db: Statements, rollout: string): StoredRun | undefined {
  const row = db.get(`${RUNS} WHERE runs.rollout = ? ORDER BY runs.ord DESC LIMIT 1`, rollout);
  return row === undefined ? undefined : storedRun(row);
}
