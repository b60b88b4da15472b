/** How far the work is that one rollout lets through: asked of its metrics as often as they have something new, shown and journaled, never judged. */
import { numbersOf } from "../core/measurement.ts";
import type { Plan } from "../core/plan.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import { SECOND } from "../core/time.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Clock, Metrics } from "./ports.ts";

const LEAST_PACE_MS = SECOND;
const MOST_PACE_MS = 15 * SECOND;

export interface ProgressDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly plan: Plan;
  readonly state: () => State;
}

export class Progress {
  readonly #deps: ProgressDeps;
  readonly #bell: Bell;
  #seen: number | undefined;
  #underWay: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: ProgressDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** The newest answer, as a part of the world; nothing when it was no single number, or none came. */
  seen(): { readonly progress?: number } {
    return this.#seen === undefined ? {} : { progress: this.#seen };
  }

  /** Asks until stopped or the run has ended; at once resolved where the plan counts nothing. Never rejects. */
  async run(): Promise<void> {
    const { plan, state } = this.#deps;
    if (plan.progress === undefined) return;
    while (!this.#stopped && isOpenRun(state())) {
      await this.askNow();
      await this.#bell.wait(Math.min(MOST_PACE_MS, Math.max(LEAST_PACE_MS, plan.scrapeMs)));
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Asks now; a question already under way is shared. Never rejects. */
  askNow(): Promise<void> {
    this.#underWay ??= this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #ask(): Promise<void> {
    const { clock, metrics, plan, state } = this.#deps;
    if (plan.progress === undefined) return;
    const answer = numbersOf(
      await metrics.query(plan.progress.query, askedAt(plan, state(), clock.now().wall)),
    );
    const [value, ...more] = answer.kind === "numbers" ? answer.values : [];
    const counts = value !== undefined && more.length === 0 && Number.isFinite(value) && value >= 0;
    this.#seen = counts ? value : undefined;
  }
}

/** During a look it is asked as of the first scrape after the service confirmed: what comes in at the value before is not what the stage left. */
function askedAt(plan: Plan, { phase, rollback }: State, wall: number): number {
  const confirmed = phase === "looking" ? rollback?.confirmedWall : undefined;
  return confirmed === undefined ? wall : Math.min(wall, confirmed + plan.scrapeMs);
}
