/** Keeps one run's state: every decision is journaled before it counts; going back counts even when the journal is gone. */
import type { Recorded, RolloutEvent } from "../core/event.ts";
import { claimsOf } from "../core/gate.ts";
import type { Plan } from "../core/plan.ts";
import { evolve } from "../core/rollout/evolve.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import { messageOf, withDeadline } from "./concurrency.ts";
import { JOURNAL_DEADLINE_MS } from "./patience.ts";
import type { Clock, Commit, Journal, Log, OutboxDraft, Spool } from "./ports.ts";

/** Going back waits this long for the journal, then counts without it. */
const BACKWARD_DEADLINE_MS = 200;

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

export interface KeeperDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: State;
  readonly announce: (plan: Plan, state: State, events: readonly Recorded[]) => readonly OutboxDraft[];
}

/** `counted`: the events hold. `moved`: the state was another than thought and nothing was recorded; decide again. `failed`: no journal. */
export type Kept = "counted" | "moved" | "failed";

export interface Keeper {
  state(): State;
  /** Records events, all or nothing. Without events it tries to journal what counts already. */
  commit(events: readonly RolloutEvent[], drafts: readonly OutboxDraft[], intake?: string): Promise<Kept>;
  /** Answers an intake without events. */
  answerOnly(intake: string | undefined, drafts: readonly OutboxDraft[]): Promise<boolean>;
  /** Whether everything that counts is in the journal. */
  isFlushed(): boolean;
}

export function createKeeper(deps: KeeperDeps, onCommitted: (events: readonly Recorded[]) => void): Keeper {
  const { clock, journal, plan, log } = deps;
  let state = deps.state;
  /** Events that count already but are not in the journal yet, with their messages. */
  let owedEvents: readonly Recorded[] = [];
  let owedDrafts: readonly OutboxDraft[] = [];
  let owedIntakes: readonly string[] = [];

  function record(events: readonly RolloutEvent[]): readonly Recorded[] {
    const { steady, wall } = clock.now();
    return events.map((event, index) => ({ seq: state.revision + 1 + index, at: steady, wall, event }));
  }

  async function write(commit: Commit, deadlineMs: number): Promise<"ok" | "conflict" | "failed"> {
    try {
      const result = await withDeadline(clock, deadlineMs, "journal", journal.commit(commit));
      return result.kind === "ok" ? "ok" : "conflict";
    } catch (error) {
      log.error("the journal did not take a decision", { run: commit.run, error: messageOf(error) });
      return "failed";
    }
  }

  /** The journal has another revision than we thought: an earlier commit did arrive, or somebody else decided. */
  async function reload(): Promise<void> {
    try {
      const stored = await journal.run(state.run);
      if (stored === undefined) return;
      const arrived = await journal.events(state.run, owedEvents[0]?.seq ?? state.revision + 1);
      const ours = owedEvents.slice(0, arrived.length);
      const same = JSON.stringify(arrived.slice(0, ours.length)) === JSON.stringify(ours);
      owedEvents = same ? owedEvents.slice(ours.length) : [];
      state = owedEvents.reduce<State>((folded, one) => evolve(plan, folded, one), stored.state);
      if (owedEvents.length === 0) deps.spool.clear(state.run);
    } catch (error) {
      log.error("the journal could not be read back", { run: state.run, error: messageOf(error) });
    }
  }

  return {
    state: () => state,
    isFlushed: () => owedEvents.length === 0,
    async answerOnly(intake, drafts) {
      if (intake === undefined) return true;
      try {
        await journal.answer(intake, drafts);
        return true;
      } catch (error) {
        log.error("an answer could not be journaled", { run: state.run, error: messageOf(error) });
        return false;
      }
    },
    async commit(events, drafts, intake) {
      const recorded = record(events);
      const next = recorded.reduce<State>((folded, one) => evolve(plan, folded, one), state);
      const outbox = [...owedDrafts, ...deps.announce(plan, next, recorded), ...drafts];
      const all = [...owedEvents, ...recorded];
      const forward = recorded.some((one) => FORWARD.has(one.event.kind));
      const commit: Commit = {
        run: state.run,
        expected: (all[0]?.seq ?? 1) - 1,
        events: all,
        state: next,
        ended: !isOpenRun(next),
        outbox,
        ...(intake === undefined ? {} : { intake }),
      };
      const result = await write(commit, forward ? JOURNAL_DEADLINE_MS : BACKWARD_DEADLINE_MS);
      if (result === "ok") {
        state = next;
        if (owedEvents.length > 0) deps.spool.clear(state.run);
        owedEvents = [];
        owedDrafts = [];
        for (const key of owedIntakes) journal.answer(key, []).catch((error: unknown) => log.error("an intake stays open", { key, error: messageOf(error) }));
        owedIntakes = [];
        onCommitted(recorded);
        return "counted";
      }
      if (result === "conflict") {
        await reload();
        return "moved";
      }
      if (forward || recorded.length === 0) return "failed";
      state = next;
      owedEvents = all;
      owedDrafts = outbox;
      if (intake !== undefined) owedIntakes = [...owedIntakes, intake];
      deps.spool.append(state.run, recorded);
      onCommitted(recorded);
      return "counted";
    },
  };
}

/** The first commit of a run. */
export function beginning(plan: Plan, recorded: Recorded, drafts: readonly OutboxDraft[], intake: string | undefined): Commit {
  const state = evolve(plan, undefined, recorded);
  return {
    run: state.run,
    expected: 0,
    events: [recorded],
    state,
    begin: { plan, claims: claimsOf({ plan, state }) },
    ended: false,
    outbox: drafts,
    ...(intake === undefined ? {} : { intake }),
  };
}
