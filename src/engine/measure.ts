/** Measuring: asks each due guard at its own interval, shares identical queries, and folds the answers into judgements. */
import { judge, longestGapMs, measure } from "../core/analysis.ts";
import { formatTrend } from "../core/guards/trend.ts";
import type { Answer, Measurement, Poll } from "../core/measurement.ts";
import { type Guard, isWaitedFor, type Plan } from "../core/plan.ts";
import type { CardMeasured } from "../core/report/card.ts";
import { epochOf, isOpenRun, type State } from "../core/rollout/state.ts";
import { watchedGuards } from "../core/rollout/world.ts";
import { sameSetting } from "../core/setting.ts";
import type { Now } from "../core/time.ts";
import {
  type Measured,
  TREND_STEP_MS,
  type TrendAsked,
  type TrendPoll,
  trendMeasured,
  trendSpan,
  WARM_UP_MS,
  warmingUp,
} from "../core/trend.ts";
import { type Judgement, unjudged } from "../core/verdict.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Clock, EvidenceRow, Journal, Log, Metrics } from "./ports.ts";

const MINUTE_MS = 60_000;
const SAVE_EVIDENCE_MS = 10_000;
/** A range answer has at most this many steps per guard; longer gaps are judged at wider steps. */
const BACKFILL_STEPS = 4_000;

export interface MeasureDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly journal: Pick<Journal, "saveEvidence">;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  /** Called after each answer that was judged. */
  readonly onJudged: () => void;
}

/**
 * History to fetch after a restart, steady ms. From `creditFrom` passes count towards the soak again; a breach counts only if nobody was
 * watching when it happened, which is from `unwatchedFrom` on.
 */
export interface Missed {
  readonly creditFrom: number;
  readonly unwatchedFrom: number;
}

export class Measure {
  readonly #deps: MeasureDeps;
  readonly #judgements: Record<string, Judgement | undefined> = {};
  readonly #figures: Record<string, CardMeasured | undefined> = {};
  readonly #due = new Map<string, number>();
  /** The epoch in which a trend was last asked. */
  readonly #trendEpochs = new Map<string, number>();
  readonly #inFlight = new Map<string, Promise<void>>();
  readonly #evidence: Evidence;
  readonly #bell: Bell;
  #stopped = false;

  constructor(deps: MeasureDeps) {
    this.#deps = deps;
    this.#evidence = new Evidence(deps);
    this.#bell = createBell(deps.clock);
  }

  judgements(): Readonly<Record<string, Judgement | undefined>> {
    return this.#judgements;
  }

  figures(): Readonly<Record<string, CardMeasured | undefined>> {
    return this.#figures;
  }

  /** Asks these guards now, besides their intervals; resolves when all have answered. */
  async askNow(guards: readonly Guard[]): Promise<void> {
    await Promise.all(guards.map((guard) => this.#ask(guard)));
  }

  /** Judges the history that this process did not see, before any live measurement. A trend looks back by itself. */
  async backfill(missed: Missed): Promise<void> {
    const { plan, state } = this.#deps;
    const take = (guard: Guard) => (measured: Measurement) => this.#take(guard, measured);
    await Promise.all(
      watchedGuards(plan, state())
        .filter(isWaitedFor)
        .map((guard) => backfillGuard(this.#deps, guard, missed, take(guard))),
    );
  }

  /** Asks every watched guard at its own interval until stopped or the run has ended. */
  async run(): Promise<void> {
    const { log, state } = this.#deps;
    while (!this.#stopped && isOpenRun(state())) {
      for (const guard of this.#takeDue()) {
        this.#ask(guard).catch((error: unknown) =>
          log.error("a guard could not be judged", { guard: guard.name, error: String(error) }),
        );
      }
      void this.#evidence.flush();
      await this.#bell.wait(this.#nextDueIn());
    }
    void this.#evidence.flush(true);
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  #take(guard: Guard, measured: Measured): Judgement {
    const { plan, state } = this.#deps;
    const epoch = epochOf(plan, state(), guard);
    const known = this.#judgements[guard.name];
    const before = known === undefined || known.epoch !== epoch ? unjudged(epoch) : known;
    const after = judge(guard, before, measured, longestGapMs(guard, plan.queryTimeoutMs));
    this.#judgements[guard.name] = after;
    this.#figures[guard.name] = figureOf(guard, measured);
    this.#evidence.add(guard.name, measured, after);
    return after;
  }

  /** One poll of a guard; a poll already under way is shared. */
  #ask(guard: Guard): Promise<void> {
    const running = this.#inFlight.get(guard.name);
    if (running !== undefined) return running;
    const poll = this.#poll(guard).finally(() => this.#inFlight.delete(guard.name));
    this.#inFlight.set(guard.name, poll);
    return poll;
  }

  async #poll(guard: Guard): Promise<void> {
    const { clock, metrics, plan, onJudged } = this.#deps;
    const now = clock.now();
    const since = guard.kind === "trend" ? warmSince(this.#deps.state()) : undefined;
    const measured =
      since !== undefined && since > now.steady
        ? warmingUp(now.steady, since - now.steady)
        : measure(guard, await pollGuard(metrics, guard, now, since), plan.scrapeMs);
    if (this.#stopped) return;
    this.#take(guard, measured);
    onJudged();
  }

  /** The guards due now; each is next due at the following multiple of its interval, so that equal intervals ask together. */
  #takeDue(): readonly Guard[] {
    const { clock, plan, state } = this.#deps;
    const { steady } = clock.now();
    return watchedGuards(plan, state()).filter((guard) => {
      const at = this.#due.get(guard.name) ?? steady;
      if (at > steady && !this.#isNewEpoch(guard, steady)) return false;
      if (guard.kind === "trend") this.#trendEpochs.set(guard.name, epochOf(plan, state(), guard));
      this.#due.set(guard.name, (Math.floor(steady / guard.intervalMs) + 1) * guard.intervalMs);
      return true;
    });
  }

  /** A trend is asked anew when an epoch begins: what it said of the one before is not to stand for minutes. */
  #isNewEpoch(guard: Guard, steady: number): boolean {
    if (guard.kind !== "trend") return false;
    const epoch = epochOf(this.#deps.plan, this.#deps.state(), guard);
    return epoch <= steady && epoch !== this.#trendEpochs.get(guard.name);
  }

  #nextDueIn(): number {
    const { clock, plan, state } = this.#deps;
    const { steady } = clock.now();
    const waits = watchedGuards(plan, state()).map((guard) => (this.#due.get(guard.name) ?? steady) - steady);
    return Math.max(1, Math.min(MINUTE_MS, ...waits));
  }
}

function figureOf(guard: Guard, measured: Measured): CardMeasured {
  const { at, trend } = measured;
  if (measured.kind !== "value") return { trouble: measured.detail, at };
  if (guard.kind !== "trend" || trend === undefined) return { value: measured.value, at };
  return { value: measured.value, words: formatTrend(trend, guard.unit), at };
}

/** Steady ms from which a trend is a trend: an hour after the newest flip that changed anything; undefined when nothing was flipped. */
function warmSince({ flips }: State): number | undefined {
  const flipped = Object.values(flips)
    .filter(({ flip }) => !sameSetting(flip.from, flip.to))
    .map(({ at, verifiedAt }) => verifiedAt ?? at);
  return flipped.length === 0 ? undefined : Math.max(...flipped) + WARM_UP_MS;
}

/** One look at a trend outside any rollout, for jobs: whether the limit is near enough to act on, in words, or why nobody knows. Never rejects. */
export async function askTrend(
  metrics: Metrics,
  asked: TrendAsked,
  now: Now,
  scrapeMs: number,
): Promise<{ readonly asks: boolean; readonly words: string } | { readonly unknown: string }> {
  const { trend, ...measured } = trendMeasured(asked, await pollTrend(metrics, asked, now), scrapeMs);
  if (trend !== undefined) return { asks: trend.fires, words: formatTrend(trend, asked.unit) };
  return { unknown: measured.kind === "value" ? "no trend" : measured.detail };
}

/** Three hours of the query, or what there is from wall ms `since` on, and how fresh the newest point is. */
async function pollTrend(
  metrics: Metrics,
  asked: Pick<TrendAsked, "query" | "freshness">,
  now: Now,
  since?: number,
): Promise<TrendPoll> {
  const { from, to } = trendSpan(now.wall, since) ?? { from: now.wall, to: now.wall };
  const [range, freshness] = await Promise.all([
    metrics.queryRange(asked.query, from, to, TREND_STEP_MS),
    metrics.query(asked.freshness, now.wall),
  ]);
  const poll = { at: now.steady, evaluatedAt: now.wall, freshness };
  if (range.kind === "down") return { ...poll, main: range };
  const main = range.points.at(-1)?.answer ?? EMPTY;
  return { ...poll, main, history: range.points };
}

const EMPTY: Answer = {
  kind: "body",
  body: { status: "success", data: { resultType: "vector", result: [] } },
};

/** All queries of one guard, evaluated at the same instant; `since` (steady ms) is the first that a trend may look at. */
async function pollGuard(metrics: Metrics, guard: Guard, now: Now, since?: number): Promise<TrendPoll> {
  const { steady: at, wall } = now;
  if (guard.kind === "trend")
    return pollTrend(metrics, guard, now, since === undefined ? undefined : wall - (at - since));
  const extra = extraQueries(guard);
  const [main, freshness, samples, total] = await Promise.all([
    metrics.query(guard.query, wall),
    metrics.query(guard.freshness, wall),
    extra.samples === undefined ? undefined : metrics.query(extra.samples, wall),
    extra.total === undefined ? undefined : metrics.query(extra.total, wall),
  ]);
  return { at, evaluatedAt: wall, main, freshness, samples, total };
}

function extraQueries(guard: Guard): {
  readonly samples?: string | undefined;
  readonly total?: string | undefined;
} {
  switch (guard.kind) {
    case "threshold":
      return { samples: guard.samples?.query, total: guard.total?.query };
    case "alive":
      return { total: guard.others };
    case "expect":
    case "trend":
      return {};
  }
}

/** Fetches the missed window of one guard and judges it step by step; stops at a breach that nobody saw, which stands until it is acted on. */
async function backfillGuard(
  deps: MeasureDeps,
  guard: Guard,
  missed: Missed,
  take: (measured: Measurement) => Judgement,
): Promise<void> {
  const now = deps.clock.now();
  const from = Math.max(missed.creditFrom, epochOf(deps.plan, deps.state(), guard));
  const spanMs = now.steady - from;
  if (spanMs < guard.intervalMs) return;
  const stepMs = Math.max(guard.intervalMs, Math.ceil(spanMs / BACKFILL_STEPS));
  const toWall = (steady: number): number => now.wall - (now.steady - steady);
  const extra = extraQueries(guard);
  const ask = (query: string | undefined) =>
    query === undefined ? undefined : deps.metrics.queryRange(query, toWall(from), now.wall, stepMs);
  const [main, freshness, samples, total] = await Promise.all([
    ask(guard.query),
    ask(guard.freshness),
    ask(extra.samples),
    ask(extra.total),
  ]);
  for (const answer of [main, freshness, samples, total]) {
    if (answer?.kind === "down") {
      deps.log.warn("the missed window could not be fetched; it counts as blind", {
        guard: guard.name,
        reason: answer.detail,
      });
      return;
    }
  }
  const pointAt = (answer: typeof main, index: number): Answer | undefined =>
    answer?.kind === "points" ? answer.points[index]?.answer : undefined;
  const points = main?.kind === "points" ? main.points : [];
  for (const [index, point] of points.entries()) {
    const fresh = pointAt(freshness, index);
    if (fresh === undefined) continue;
    const at = now.steady - (now.wall - point.wall);
    const poll: Poll = {
      at,
      evaluatedAt: point.wall,
      main: point.answer,
      freshness: fresh,
      samples: pointAt(samples, index),
      total: pointAt(total, index),
    };
    const judged = take(measure(guard, poll, deps.plan.scrapeMs));
    if (judged.verdict === "breach" && at >= missed.unwatchedFrom) return;
  }
}

/** Collects measurements into one row per guard and minute, and saves what changed every few seconds. */
class Evidence {
  readonly #deps: MeasureDeps;
  readonly #open = new Map<string, { row: EvidenceRow; dirty: boolean }>();
  #savedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: MeasureDeps) {
    this.#deps = deps;
  }

  add(guard: string, measured: Measurement, after: Judgement): void {
    const { clock, state } = this.#deps;
    const now = clock.now();
    const wall = now.wall - (now.steady - measured.at);
    const minute = Math.floor(wall / MINUTE_MS) * MINUTE_MS;
    const key = `${guard}@${minute}`;
    const row = this.#open.get(key)?.row ?? emptyRow(state().run, guard, minute);
    const value = measured.kind === "value" ? measured.value : undefined;
    // Right after a flip the samples still hold what came before it: measured, but not judged.
    const word = after.reason === "not_asked" ? "settling" : after.verdict;
    this.#open.set(key, {
      dirty: true,
      row: {
        ...row,
        polls: row.polls + 1,
        values: row.values + (value === undefined ? 0 : 1),
        min: value === undefined ? row.min : Math.min(row.min ?? value, value),
        max: value === undefined ? row.max : Math.max(row.max ?? value, value),
        last: value ?? row.last,
        verdicts: { ...row.verdicts, [word]: (row.verdicts[word] ?? 0) + 1 },
      },
    });
  }

  async flush(all = false): Promise<void> {
    const { clock, journal, log } = this.#deps;
    const { steady, wall } = clock.now();
    if (!all && steady - this.#savedAt < SAVE_EVIDENCE_MS) return;
    this.#savedAt = steady;
    const rows = [...this.#open.values()].filter((one) => one.dirty).map((one) => one.row);
    for (const [key, one] of this.#open) {
      if (one.row.minute < Math.floor(wall / MINUTE_MS) * MINUTE_MS) this.#open.delete(key);
      else one.dirty = false;
    }
    if (rows.length === 0) return;
    try {
      await journal.saveEvidence(rows);
    } catch (error) {
      log.warn("evidence could not be saved", { error: String(error) });
    }
  }
}

function emptyRow(run: string, guard: string, minute: number): EvidenceRow {
  return {
    run,
    guard,
    minute,
    polls: 0,
    values: 0,
    min: undefined,
    max: undefined,
    last: undefined,
    verdicts: {},
  };
}
