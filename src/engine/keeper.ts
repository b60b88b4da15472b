/** Keeps one run's state: every decision is journaled before it counts; going back counts even when the journal is gone. */
import type { Recorded, RolloutEvent } from "../core/event.ts";
import { claimsOf } from "../core/gate.ts";
import type { Plan } from "../core/plan.ts";
import { evolve } from "../core/rollout/evolve.ts";
import { rebase, stillOwed } from "../core/rollout/rebase.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import type { OutboxDraft } from "./messages.ts";
import { hurried } from "./patience.ts";
import { type Clock, type Commit, type Journal, type Log, messageOfFault, type Spool } from "./ports.ts";

const MOST_RECENT = 200;

/** Events that only go forward or end things well; they are never applied without the journal. */
const FORWARD: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "rollout_started",
  "end_set",
  "stage_started",
  "stage_enabled",
  "soak_passed",
  "resumed",
  "approval_requested",
  "approved",
  "baseline_asked",
  "baseline_confirmed",
  "review_opened",
  "signed_off",
  "extended",
  "advance_asked",
  "unlatched",
  "completed",
  "stopped",
]);

/** Whether it counts only with the journal. To leave flipping to people does not wait for it; to let Belay flip does. */
function isForward(event: RolloutEvent): boolean {
  return FORWARD.has(event.kind) || (event.kind === "mode_set" && event.mode === "act");
}

export interface KeeperDeps {
  /** Sends messages that the journal could not take; they are queued as well, under the same keys. */
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: State;
  readonly announce: Announce;
}

export type Announce = (
  plan: Plan,
  before: State,
  after: State,
  events: readonly Recorded[],
) => readonly OutboxDraft[];

/** `counted`: the events hold. `moved`: the state was another than thought and nothing was recorded; decide again. `failed`: no journal. */
export type Kept = "counted" | "moved" | "failed";

/** One decision that counts already but is not in the journal yet: its events with their messages, and the commands it answers. */
interface Owed {
  readonly events: readonly Recorded[];
  readonly told: readonly OutboxDraft[];
  readonly answers: readonly OutboxDraft[];
  readonly intakes: readonly string[];
}

export class Keeper {
  readonly #deps: KeeperDeps;
  readonly #onCommitted: (events: readonly Recorded[]) => void;
  #state: State;
  #owed: readonly Owed[] = [];
  #recent: readonly Recorded[] = [];

  constructor(deps: KeeperDeps, onCommitted: (events: readonly Recorded[]) => void) {
    this.#deps = deps;
    this.#onCommitted = onCommitted;
    this.#state = deps.state;
  }

  readonly state = (): State => this.#state;

  /** The newest events that this process recorded, oldest first; for messages while the journal is gone. */
  recent(): readonly Recorded[] {
    return this.#recent;
  }

  /** Whether everything that counts is in the journal. */
  isFlushed(): boolean {
    return this.#owed.length === 0;
  }

  /** Answers an intake without events; false when the journal did not take it. */
  async answerOnly(intake: string, drafts: readonly OutboxDraft[]): Promise<boolean> {
    try {
      await this.#deps.journal.answer(intake, drafts);
      return true;
    } catch (error) {
      this.#deps.log.error("an answer could not be journaled", {
        run: this.#state.run,
        error: messageOfFault(error),
      });
      return false;
    }
  }

  /** Records events, all or nothing. Without events it tries to journal what counts already. */
  async commit(
    events: readonly RolloutEvent[],
    drafts: readonly OutboxDraft[],
    intake?: string,
  ): Promise<Kept> {
    const { plan, announce, spool } = this.#deps;
    const recorded = this.#record(events);
    const next = recorded.reduce<State>((folded, one) => evolve(plan, folded, one), this.#state);
    const mine: Owed = {
      events: recorded,
      told: announce(plan, this.#state, next, recorded),
      answers: drafts,
      intakes: intake === undefined ? [] : [intake],
    };
    const forward = recorded.some(({ event }) => isForward(event));
    const result = await this.#write([...this.#owed, mine], next, forward);
    if (result === "conflict") {
      await this.#reload();
      return "moved";
    }
    if (result === "failed" && (forward || recorded.length === 0)) return "failed";
    this.#state = next;
    this.#recent = [...this.#recent, ...recorded].slice(-MOST_RECENT);
    if (result === "ok") this.#flushed();
    else {
      this.#owed = [...this.#owed, mine];
      spool.append({ run: next.run, events: recorded, intakes: mine.intakes, answers: drafts });
      this.#deps.sendNow(draftsOf(mine));
    }
    this.#onCommitted(recorded);
    return "counted";
  }

  #record(events: readonly RolloutEvent[]): readonly Recorded[] {
    const { steady, wall } = this.#deps.clock.now();
    return events.map((event, index) => ({ seq: this.#state.revision + 1 + index, at: steady, wall, event }));
  }

  /** Commits everything owed in one transaction, and marks every intake that it answers with it. */
  async #write(owed: readonly Owed[], state: State, forward: boolean): Promise<"ok" | "conflict" | "failed"> {
    const events = owed.flatMap((one) => one.events);
    const commit: Commit = {
      run: state.run,
      expected: (events[0]?.seq ?? state.revision + 1) - 1,
      events,
      state,
      ended: !isOpenRun(state),
      forward,
      outbox: owed.flatMap(draftsOf),
      intakes: owed.flatMap((one) => one.intakes),
    };
    const written = this.#deps.journal.commit(commit);
    try {
      const result = await (forward ? written : hurried(this.#deps.clock, written));
      return result.kind === "ok" ? "ok" : "conflict";
    } catch (error) {
      this.#deps.log.error("the journal did not take a decision", {
        run: commit.run,
        error: messageOfFault(error),
      });
      return "failed";
    }
  }

  #flushed(): void {
    if (this.#owed.length === 0) return;
    this.#deps.spool.clear(this.#state.run);
    this.#owed = [];
  }

  /**
   * The journal has another revision than we thought: an earlier commit did arrive although its reply was lost, or another process decided.
   * What arrived is no longer owed, and its commands were answered with it; what is still owed goes on top of what is there.
   */
  async #reload(): Promise<void> {
    const { journal, log, spool } = this.#deps;
    const { run, revision } = this.#state;
    try {
      const stored = await journal.run(run);
      if (stored === undefined) return;
      const from = this.#owed[0]?.events[0]?.seq ?? revision + 1;
      this.#rebase(stored.state, await journal.events(run, from));
      // What is still owed stays in the spool under its old numbers; a restart puts it on top in the same way.
      if (this.#owed.length === 0) spool.clear(run);
    } catch (error) {
      log.error("the journal could not be read back", { run, error: messageOfFault(error) });
    }
  }

  #rebase(stored: State, arrived: readonly Recorded[]): void {
    const { announce, plan } = this.#deps;
    let state = stored;
    const owed: Owed[] = [];
    for (const one of this.#owed) {
      const left = stillOwed(one.events, arrived);
      if (left.length === 0) continue;
      const rebased = rebase(plan, state, left);
      const told = announce(plan, state, rebased.state, rebased.events);
      owed.push({ ...one, events: rebased.events, told });
      state = rebased.state;
    }
    this.#owed = owed;
    this.#state = state;
  }
}

function draftsOf({ told, answers }: Owed): readonly OutboxDraft[] {
  return [...told, ...answers];
}

/** The first commit of a run. */
export function beginning(plan: Plan, recorded: Recorded, intake: string): Omit<Commit, "outbox"> {
  const state = evolve(plan, undefined, recorded);
  return {
    run: state.run,
    expected: 0,
    events: [recorded],
    state,
    begin: { plan, claims: claimsOf({ plan, state }) },
    ended: false,
    forward: true,
    intakes: [intake],
  };
}
