/** While a rollout is live: rehearses its way back every hour, so that a token that lost its rights is known before a rollback needs it. */
import type { Plan } from "../core/plan.ts";
import { backProblems, type Rehearsal } from "../core/rehearsal.ts";
import { pendingBackward, pendingForward, type State } from "../core/rollout/state.ts";
import type { World } from "../core/rollout/world.ts";
import { HOUR, MINUTE, SECOND } from "../core/time.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Clock } from "./ports.ts";
import type { Rehearsals } from "./rehearse.ts";

const EVERY_MS = HOUR;
/** After a restart of Belay, which may have brought another token, not later than this. */
const FIRST_MS = MINUTE;
/** While flips are under way it waits: a rehearsal must not write beside them. */
const BUSY_MS = 15 * SECOND;
/** A first bad finding may be a moment's trouble of the flag system: it is told when it is found twice. */
const AGAIN_MS = 30 * SECOND;

export interface ReadinessProbeDeps {
  readonly clock: Clock;
  readonly plan: Plan;
  readonly state: () => State;
  readonly rehearsals: Pick<Rehearsals, "rehearse" | "newest" | "hashOf">;
  /** Whether a forward step may begin within moments. */
  readonly isMoving: () => boolean;
  /** Called when it has found something else than before. */
  readonly onFound: () => void;
}

export class ReadinessProbe {
  readonly #deps: ReadinessProbeDeps;
  readonly #bell: Bell;
  #found: World["rehearsal"];
  /** The last one found something for the first time. */
  #isDoubted = false;
  #stopped = false;

  constructor(deps: ReadinessProbeDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Why a rollback would fail, as the newest rehearsal of this probe found it. */
  found(): World["rehearsal"] {
    return this.#found;
  }

  /** Never rejects. */
  async run(): Promise<void> {
    let waitMs = await this.#firstMs();
    while (!this.#stopped) {
      await this.#bell.wait(waitMs);
      if (this.#stopped) return;
      waitMs = this.#isBusy() ? BUSY_MS : await this.#probe();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** An hour after the newest rehearsal of this plan, which for a new run is that of its start. */
  async #firstMs(): Promise<number> {
    const { clock, plan, rehearsals } = this.#deps;
    const newest = await rehearsals.newest(plan.rollout);
    if (newest === undefined || newest.planHash !== rehearsals.hashOf(plan)) return FIRST_MS;
    return Math.min(EVERY_MS, Math.max(FIRST_MS, newest.at + EVERY_MS - clock.now().steady));
  }

  /** Whether flips are under way or about to be: going back, and beginning a stage, come first. */
  #isBusy(): boolean {
    const state = this.#deps.state();
    if (state.phase !== "walking") return true;
    return pendingForward(state).length + pendingBackward(state).length > 0 || this.#deps.isMoving();
  }

  /** ms until the next one. */
  async #probe(): Promise<number> {
    const { plan, rehearsals, state } = this.#deps;
    if (state().mode === "observe") return EVERY_MS;
    const found = foundIn(await rehearsals.rehearse(plan));
    const isFirst = found !== undefined && this.#found === undefined && !this.#isDoubted;
    this.#isDoubted = isFirst;
    if (isFirst) return AGAIN_MS;
    const isNews = found?.since !== this.#found?.since;
    this.#found = found;
    if (isNews) this.#deps.onFound();
    return EVERY_MS;
  }
}

function foundIn(rehearsal: Rehearsal): World["rehearsal"] {
  const problems = backProblems(rehearsal);
  return problems.length === 0 ? undefined : { problems, since: rehearsal.badSince ?? rehearsal.at };
}
