/** Runs: their commits by compare-and-set, their claims, their frozen plans, and their names. */
import { createHash, randomInt } from "node:crypto";
import type { Recorded, RolloutEvent } from "../../core/event.ts";
import type { Plan } from "../../core/plan.ts";
import type { Commit, CommitResult, StoredRun } from "../../engine/ports.ts";
import { appendEvents } from "./chain.ts";
import type { Statements } from "./connection.ts";
import { markAnswered } from "./intake.ts";
import { addDrafts } from "./outbox.ts";
import { decode, numberOf, optionalNumberOf, storedRun, textOf } from "./rows.ts";

const RUNS = "SELECT runs.id, runs.state, plans.body FROM runs JOIN plans ON plans.hash = runs.plan";

/** Hears of a run that is left out because its row cannot be read, and why. */
export type TellUnreadable = (run: string, why: unknown) => void;

/** Digits and letters that are not taken for one another (Crockford's base 32). */
const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SHORTEST_NAME = 3;
const TRIES_PER_LENGTH = 8;

/** Inside one transaction. A result other than `ok` has changed nothing. */
export function commitChange(db: Statements, change: Commit): CommitResult {
  checkSequence(change);
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

/** A gap in the numbers would be a bug that no later reader could put right. */
function checkSequence({ run, expected, events, state }: Commit): void {
  const gap = events.findIndex((recorded, index) => recorded.seq !== expected + 1 + index);
  if (gap >= 0)
    throw new Error(
      `event ${gap} of a commit to ${run} has number ${events[gap]?.seq}, expected ${expected + 1 + gap}`,
    );
  if (state.run !== run) throw new Error(`a commit to ${run} carries the state of ${state.run}`);
  if (state.revision !== expected + events.length)
    throw new Error(
      `a commit to ${run} carries the state of revision ${state.revision}, expected ${expected + events.length}`,
    );
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

/** Events from number `fromSeq` on, that one included. */
export function eventsOf(db: Statements, run: string, fromSeq: number): readonly Recorded[] {
  return db
    .all("SELECT seq, at, wall, was, event FROM events WHERE run = ? AND seq >= ? ORDER BY seq", run, fromSeq)
    .map((row) => {
      const was = optionalNumberOf(row, "was");
      return {
        seq: numberOf(row, "seq"),
        at: numberOf(row, "at"),
        wall: numberOf(row, "wall"),
        event: decode<RolloutEvent>(textOf(row, "event")),
        ...(was === undefined ? {} : { was }),
      };
    });
}

/**
 * Takes a name such as `r-7Q2`, inside a transaction. Names are random, so that after the loss of a journal the next one does not give out
 * the same names again; one given out is kept, so that it is never given out twice.
 */
export function takeRunId(db: Statements): string {
  for (let tries = 0; ; tries++) {
    const length = SHORTEST_NAME + Math.floor(tries / TRIES_PER_LENGTH);
    const letters = Array.from({ length }, () => LETTERS.charAt(randomInt(LETTERS.length)));
    const id = `r-${letters.join("")}`;
    if (db.run("INSERT INTO run_ids (id) VALUES (?) ON CONFLICT (id) DO NOTHING", id) === 1) return id;
  }
}
