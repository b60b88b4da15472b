/** Measuring: asks each due guard at its own interval, shares identical queries, and folds the answers into judgements. */
import { judge, longestGapMs, measure } from "../core/analysis.ts";
import type { Answer, Measurement, Poll } from "../core/measurement.ts";
import type { Guard, Plan } from "../core/plan.ts";
import type { CardMeasured } from "../core/report/card.ts";
import { epochOf, isOpenRun, type State } from "../core/rollout/state.ts";
import { watchedGuards } from "../core/rollout/world.ts";
import { type Judgement, unjudged } from "../core/verdict.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Clock, EvidenceRow, Journal, Log, Metrics } from "./ports.ts";

const MINUTE_MS = 60_000;
/** A range answer has at most this many steps per guard; longer gaps are judged at wider steps. */
const BACKFILL_STEPS = 4_000;

export interface MeasureDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly journal: Journal;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  /** Called after each answer that was judged. */
  readonly onJudged: () => void;
}

export interface Measure {
  judgements(): Readonly<Record<string, Judgement | undefined>>;
  figures(): Readonly<Record<string, CardMeasured | undefined>>;
  /** Asks these guards now, besides their intervals; resolves when all have answered. */
  askNow(guards: readonly Guard[]): Promise<void>;
  /** Judges what happened between two instants (steady ms) while nobody watched; before any live measurement. */
  backfill(fromSteady: number): Promise<void>;
  run(): Promise<void>;
  stop(): void;
}

export function createMeasure(deps: MeasureDeps): Measure {
  const { clock, plan } = deps;
  const judgements: Record<string, Judgement | undefined> = {};
  const figures: Record<string, CardMeasured | undefined> = {};
  const due = new Map<string, number>();
  const inFlight = new Set<string>();
  const evidence = createEvidence(deps);
  const bell: Bell = createBell(clock);
  let stopped = false;

  function take(guard: Guard, measured: Measurement): void {
    const state = deps.state();
    const epoch = epochOf(plan, state, guard);
    const known = judgements[guard.name];
    const before = known === undefined || known.epoch !== epoch ? unjudged(epoch) : known;
    const after = judge(guard, before, measured, longestGapMs(guard, plan.queryTimeoutMs));
    judgements[guard.name] = after;
    figures[guard.name] = measured.kind === "value" ? { value: measured.value, at: measured.at } : { trouble: measured.detail, at: measured.at };
    evidence.add(guard.name, measured, after);
  }

  async function ask(guard: Guard): Promise<void> {
    if (inFlight.has(guard.name)) return;
    inFlight.add(guard.name);
    try {
      const now = clock.now();
      const poll = await pollGuard(deps.metrics, guard, now.steady, now.wall);
      if (stopped) return;
      take(guard, measure(guard, poll, plan.scrapeMs));
      deps.onJudged();
    } finally {
      inFlight.delete(guard.name);
    }
  }

  /** The guards due now; each is next due at the following multiple of its interval, so that equal intervals ask together. */
  function takeDue(): readonly Guard[] {
    const { steady } = clock.now();
    return watchedGuards(plan, deps.state()).filter((guard) => {
      const at = due.get(guard.name) ?? steady;
      if (at > steady) return false;
      due.set(guard.name, (Math.floor(steady / guard.intervalMs) + 1) * guard.intervalMs);
      return true;
    });
  }

  function nextDueIn(): number {
    const { steady } = clock.now();
    const waits = watchedGuards(plan, deps.state()).map((guard) => (due.get(guard.name) ?? steady) - steady);
    return Math.max(1, Math.min(MINUTE_MS, ...waits));
  }

  return {
    judgements: () => judgements,
    figures: () => figures,
    async askNow(guards) {
      await Promise.all(guards.map((guard) => ask(guard)));
    },
    async backfill(fromSteady) {
      await Promise.all(watchedGuards(plan, deps.state()).map((guard) => backfillGuard(deps, guard, fromSteady, (measured) => take(guard, measured), judgements)));
    },
    async run() {
      while (!stopped && isOpenRun(deps.state())) {
        for (const guard of takeDue()) {
          ask(guard).catch((error: unknown) => deps.log.error("a guard could not be judged", { guard: guard.name, error: String(error) }));
        }
        void evidence.flush();
        await bell.wait(nextDueIn());
      }
      void evidence.flush(true);
    },
    stop() {
      stopped = true;
      bell.ring();
    },
  };
}

/** All queries of one guard, evaluated at the same instant. */
async function pollGuard(metrics: Metrics, guard: Guard, at: number, wall: number): Promise<Poll> {
  const extra = extraQueries(guard);
  const [main, freshness, samples, total] = await Promise.all([
    metrics.query(guard.query, wall),
    metrics.query(guard.freshness, wall),
    extra.samples === undefined ? undefined : metrics.query(extra.samples, wall),
    extra.total === undefined ? undefined : metrics.query(extra.total, wall),
  ]);
  return { at, evaluatedAt: wall, main, freshness, samples, total };
}

function extraQueries(guard: Guard): { readonly samples?: string | undefined; readonly total?: string | undefined } {
  switch (guard.kind) {
    case "threshold":
      return { samples: guard.samples?.query, total: guard.total?.query };
    case "alive":
      return { total: guard.others };
    case "expect":
      return {};
  }
}

/** Fetches the missed window of one guard and judges it step by step; stops at a breach, which stands until it is acted on. */
async function backfillGuard(
  deps: MeasureDeps,
  guard: Guard,
  fromSteady: number,
  take: (measured: Measurement) => void,
  judgements: Readonly<Record<string, Judgement | undefined>>,
): Promise<void> {
  const now = deps.clock.now();
  const from = Math.max(fromSteady, epochOf(deps.plan, deps.state(), guard));
  const spanMs = now.steady - from;
  if (spanMs < guard.intervalMs) return;
  const stepMs = Math.max(guard.intervalMs, Math.ceil(spanMs / BACKFILL_STEPS));
  const toWall = (steady: number): number => now.wall - (now.steady - steady);
  const extra = extraQueries(guard);
  const ask = (query: string | undefined) => (query === undefined ? undefined : deps.metrics.queryRange(query, toWall(from), now.wall, stepMs));
  const [main, freshness, samples, total] = await Promise.all([ask(guard.query), ask(guard.freshness), ask(extra.samples), ask(extra.total)]);
  for (const answer of [main, freshness, samples, total]) {
    if (answer?.kind === "down") {
      deps.log.warn("the missed window could not be fetched; it counts as blind", { guard: guard.name, reason: answer.detail });
      return;
    }
  }
  const pointAt = (answer: typeof main, index: number): Answer | undefined => (answer?.kind === "points" ? answer.points[index]?.answer : undefined);
  const points = main?.kind === "points" ? main.points : [];
  for (const [index, point] of points.entries()) {
    const fresh = pointAt(freshness, index);
    if (fresh === undefined) continue;
    const at = now.steady - (now.wall - point.wall);
    const poll: Poll = { at, evaluatedAt: point.wall, main: point.answer, freshness: fresh, samples: pointAt(samples, index), total: pointAt(total, index) };
    take(measure(guard, poll, deps.plan.scrapeMs));
    if (judgements[guard.name]?.verdict === "breach") return;
  }
}

/** Collects measurements into one row per guard and minute, and saves full minutes. */
function createEvidence(deps: MeasureDeps) {
  const open = new Map<string, { row: EvidenceRow; dirty: boolean }>();
  let savedAt = Number.NEGATIVE_INFINITY;

  return {
    add(guard: string, measured: Measurement, after: Judgement): void {
      const minute = Math.floor(deps.clock.now().wall / MINUTE_MS) * MINUTE_MS;
      const key = `${guard}@${minute}`;
      const row = open.get(key)?.row ?? emptyRow(deps.state().run, guard, minute);
      const value = measured.kind === "value" ? measured.value : undefined;
      const verdicts = { ...row.verdicts, [after.verdict]: (row.verdicts[after.verdict] ?? 0) + 1 };
      const least = (a: number | undefined, pick: (x: number, y: number) => number) => (value === undefined ? a : a === undefined ? value : pick(a, value));
      open.set(key, {
        dirty: true,
        row: {
          ...row,
          polls: row.polls + 1,
          values: row.values + (value === undefined ? 0 : 1),
          min: least(row.min, Math.min),
          max: least(row.max, Math.max),
          last: value ?? row.last,
          verdicts,
        },
      });
    },
    async flush(all = false): Promise<void> {
      const { steady, wall } = deps.clock.now();
      if (!all && steady - savedAt < MINUTE_MS / 6) return;
      savedAt = steady;
      const minute = Math.floor(wall / MINUTE_MS) * MINUTE_MS;
      const rows = [...open.values()].filter((one) => one.dirty).map((one) => one.row);
      for (const [key, one] of open) {
        if (one.row.minute < minute) open.delete(key);
        else one.dirty = false;
      }
      if (rows.length === 0) return;
      try {
        await deps.journal.saveEvidence(rows);
      } catch (error) {
        deps.log.warn("evidence could not be saved", { error: String(error) });
      }
    },
  };
}

function emptyRow(run: string, guard: string, minute: number): EvidenceRow {
  return { run, guard, minute, polls: 0, values: 0, min: undefined, max: undefined, last: undefined, verdicts: {} };
}
