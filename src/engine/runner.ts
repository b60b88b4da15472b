/** One live rollout run: a mailbox around its state, the loops that watch its world, and the commit of every decision. */
import type { Recorded, RolloutEvent } from "../core/event.ts";
import type { Plan } from "../core/plan.ts";
import type { CardMeasured } from "../core/report/card.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { planRollback } from "../core/rollout/backward.ts";
import { guardsBefore, nextForward, upcomingStage } from "../core/rollout/forward.ts";
import { type Ask, type Asker, onAsk, type Outcome } from "../core/rollout/people.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import { onTick } from "../core/rollout/tick.ts";
import type { World } from "../core/rollout/world.ts";
import { refuse } from "../core/refusal.ts";
import { createBell, createMailbox, messageOf } from "./concurrency.ts";
import { createKeeper, type Kept } from "./keeper.ts";
import { createMeasure } from "./measure.ts";
import type { Clock, Journal, Log, OutboxDraft, Service, Spool } from "./ports.ts";
import { createReconcile } from "./reconcile.ts";

/** A quiet rollout is looked at this often, so that planned times and deadlines are met. */
const TICK_MS = 1_000;
/** More transitions in one step than this are a bug; the run is quarantined. */
const MOST_TRANSITIONS = 100;
/** An ask that loses the race for the journal this often is refused. */
const MOST_RACES = 5;

export interface RunnerDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly log: Log;
  readonly service: Service;
  readonly plan: Plan;
  readonly state: State;
  /** Flags as read just before the run began; empty after a restart. */
  readonly readings: Readonly<Record<string, Reading | undefined>>;
  /** What these events say to people, given the state after them. */
  readonly announce: (plan: Plan, state: State, events: readonly Recorded[]) => readonly OutboxDraft[];
  /** Called after every commit, with what it recorded. */
  readonly onCommitted: (runner: Runner, events: readonly Recorded[]) => void;
}

export interface Runner {
  readonly id: string;
  readonly plan: Plan;
  state(): State;
  world(): World;
  figures(): Readonly<Record<string, CardMeasured | undefined>>;
  /** Decides one ask of a person, in turn with everything else; `answer` makes the outbox drafts that the commit carries. */
  ask(ask: Ask, asker: Asker, intake: string | undefined, answer: (outcome: Outcome) => readonly OutboxDraft[]): Promise<Outcome>;
  /** Journals that an ask was refused before it reached the run. */
  note(events: readonly RolloutEvent[], intake: string | undefined, drafts: readonly OutboxDraft[]): Promise<void>;
  /** Watches until the run ends. `missedFrom` (steady ms): judge what happened since then first. */
  run(missedFrom?: number): Promise<void>;
  stop(): void;
}

export function createRunner(deps: RunnerDeps): Runner {
  const { clock, plan, log } = deps;
  const mailbox = createMailbox();
  const keeper = createKeeper(deps, (events) => deps.onCommitted(runner, events));
  const bell = createBell(clock);
  const since = clock.now().steady;
  let stopped = false;
  let queued = false;
  let asking = false;
  const measure = createMeasure({ ...deps, metrics: deps.service.metrics, state: keeper.state, onJudged: poke });
  const reconcile = createReconcile({ ...deps, state: keeper.state, onSeen: poke });

  function world(): World {
    const fault = reconcile.storeFault();
    return { judgements: measure.judgements(), readings: reconcile.readings(), views: reconcile.views(), since, ...(fault === undefined ? {} : { storeFault: fault }) };
  }

  function poke(): void {
    if (queued || stopped) return;
    queued = true;
    mailbox.run(step).catch((error: unknown) => log.error("a step failed", { run: keeper.state().run, error: messageOf(error) }));
  }

  /** Decides and commits until nothing is due; then lets the reconciler act and asks for evidence if a forward step lacks only that. */
  async function step(): Promise<void> {
    queued = false;
    const before = keeper.state().revision;
    for (let count = 0; !stopped; count++) {
      const events = count > MOST_TRANSITIONS ? quarantine("transitions without end") : decideTick();
      if (events.length === 0 || (await record(events)) !== "counted") break;
      reconcile.kick();
    }
    if (!keeper.isFlushed()) await keeper.commit([], []);
    if (keeper.state().revision !== before) bell.ring();
    if (!isOpenRun(keeper.state()) && keeper.isFlushed()) stopLoops();
    else askIfLacking();
  }

  /** Commits; events that the state cannot take are a bug in this run and quarantine it. */
  async function record(events: readonly RolloutEvent[]): Promise<Kept> {
    try {
      return await keeper.commit(events, []);
    } catch (error) {
      log.error("events could not be applied; the run is quarantined", { run: keeper.state().run, error: messageOf(error) });
      return keeper.commit(quarantine(messageOf(error)), []);
    }
  }

  function decideTick(): readonly RolloutEvent[] {
    try {
      return onTick(plan, keeper.state(), world(), clock.now());
    } catch (error) {
      log.error("a decision threw; the run is quarantined", { run: keeper.state().run, error: messageOf(error) });
      return quarantine(messageOf(error));
    }
  }

  function quarantine(error: string): readonly RolloutEvent[] {
    const { run, rollout, phase } = keeper.state();
    if (phase === "stuck") return [];
    const summary = `${rollout} (${run}) is quarantined after an internal error; only rollback works on it: ${error}`;
    return [{ kind: "quarantined", error }, { kind: "paged", key: `${run}.stuck`, severity: "P1", summary }];
  }

  function askIfLacking(): void {
    if (asking || stopped || keeper.state().phase !== "walking") return;
    if (nextForward(plan, keeper.state(), world(), clock.now()).kind !== "ask") return;
    asking = true;
    const state = keeper.state();
    Promise.all([measure.askNow(guardsBefore(plan, state, upcomingStage(plan, state))), reconcile.readNow()])
      .catch((error: unknown) => log.error("fresh evidence could not be asked for", { error: messageOf(error) }))
      .finally(() => {
        asking = false;
        poke();
      });
  }

  function decideAsk(ask: Ask, asker: Asker): Outcome {
    try {
      return onAsk(plan, keeper.state(), ask, asker, world(), clock.now());
    } catch (error) {
      log.error("an ask threw", { run: keeper.state().run, error: messageOf(error) });
      if (ask.kind !== "rollback") return refuse("stuck", `an internal error: ${messageOf(error)}. \`/rollout rollback all\` still works.`);
      const cause = { kind: "person" as const, because: "rollback of a quarantined rollout" };
      const started = planRollback(plan, keeper.state(), world(), -1, cause, asker.actor);
      return started === undefined ? refuse("nothing_to_undo", "nothing is on.") : { kind: "events", events: [started], note: "Rolling back everything." };
    }
  }

  async function settle(ask: Ask, asker: Asker, intake: string | undefined, answer: (outcome: Outcome) => readonly OutboxDraft[]): Promise<Outcome> {
    for (let attempt = 0; attempt < MOST_RACES; attempt++) {
      const outcome = decideAsk(ask, asker);
      if (outcome.kind === "already") {
        if (await keeper.answerOnly(intake, answer(outcome))) return outcome;
        break;
      }
      const refused: RolloutEvent | undefined =
        outcome.kind === "refused" ? { kind: "refused", verb: ask.kind, code: outcome.code, by: asker.actor, detail: outcome.message } : undefined;
      const kept = await keeper.commit(outcome.kind === "events" ? outcome.events : refused === undefined ? [] : [refused], answer(outcome), intake);
      if (kept === "moved") continue;
      reconcile.kick();
      poke();
      if (kept === "counted" || refused !== undefined) return outcome;
      break;
    }
    poke();
    return refuse("journal_unavailable", "the journal cannot be written just now. Try again; going back works without it.");
  }

  function stopLoops(): void {
    stopped = true;
    measure.stop();
    reconcile.stop();
    bell.ring();
  }

  async function tickLoop(): Promise<void> {
    while (!stopped) {
      const next = nextForward(plan, keeper.state(), world(), clock.now());
      const until = next.kind === "wait" && next.until !== undefined ? next.until - clock.now().steady : TICK_MS;
      await bell.wait(Math.min(TICK_MS, Math.max(1, until)));
      poke();
    }
  }

  const runner: Runner = {
    id: deps.state.run,
    plan,
    state: keeper.state,
    world,
    figures: measure.figures,
    ask(ask, asker, intake, answer) {
      return mailbox.run(() => settle(ask, asker, intake, answer));
    },
    async note(events, intake, drafts) {
      await mailbox.run(() => keeper.commit(events, drafts, intake));
    },
    async run(missedFrom) {
      if (missedFrom !== undefined) {
        await Promise.all([measure.backfill(missedFrom), reconcile.readNow()]);
        await mailbox.run(step);
      }
      if (stopped) return;
      poke();
      await Promise.all([measure.run(), reconcile.run(), tickLoop()]);
    },
    stop: stopLoops,
  };
  return runner;
}
