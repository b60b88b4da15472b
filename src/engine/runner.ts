/** One live rollout run: a mailbox around its state, the loops that watch its world, and the commit of every decision. */
import type { AlertView } from "../core/alerts/view.ts";
import type { Recorded, RolloutEvent } from "../core/event.ts";
import type { Plan } from "../core/plan.ts";
import { refuse } from "../core/refusal.ts";
import type { CardMeasured } from "../core/report/card.ts";
import type { Ask, Asker, Outcome } from "../core/rollout/ask.ts";
import { planRollback } from "../core/rollout/backward.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { guardsBefore, nextForward, upcomingStage } from "../core/rollout/forward.ts";
import { onAsk } from "../core/rollout/people.ts";
import { isOpenRun, type State } from "../core/rollout/state.ts";
import { onTick } from "../core/rollout/tick.ts";
import type { World } from "../core/rollout/world.ts";
import { type Bell, createBell } from "./concurrency.ts";
import { Deploys } from "./deploys.ts";
import { type Announce, Keeper, type Kept } from "./keeper.ts";
import { Measure, type Missed } from "./measure.ts";
import type { OutboxDraft } from "./messages.ts";
import {
  type Clock,
  createTurns,
  type Journal,
  type Log,
  messageOfFault,
  type Service,
  type Spool,
} from "./ports.ts";
import { Progress } from "./progress.ts";
import { ReadinessProbe } from "./readiness-probe.ts";
import { Reconcile } from "./reconcile.ts";
import type { Rehearsals } from "./rehearse.ts";

/** A quiet rollout is looked at this often, so that planned times and deadlines are met. */
const TICK_MS = 1_000;
/** Fresh evidence for a forward step is asked for at most this often; what is still lacking then comes with the next tick. */
const ASK_EVERY_MS = 250;
/** A forward step that is due this soon is not to meet a rehearsal of its flags. */
const SOON_MS = 15_000;
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
  /** What these events say to people, given the states before and after them. */
  readonly announce: Announce;
  /** Tries the way back. */
  readonly rehearsals: Rehearsals;
  /** Sends messages that the journal could not take. */
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
  /** What is known of alerts that concern this plan; without it there are none. */
  readonly alertsOf?: (plan: Plan) => AlertView | undefined;
  /** What of this plan's service is being restarted, as a clause; without it nothing ever is. */
  readonly restartingOf?: (plan: Plan) => string | undefined;
  /** Called after every commit, with what it recorded. */
  readonly onCommitted: (runner: Runner, events: readonly Recorded[]) => void;
}

export class Runner {
  readonly id: string;
  readonly plan: Plan;
  readonly #deps: RunnerDeps;
  readonly #mailbox = createTurns();
  readonly #keeper: Keeper;
  readonly #measure: Measure;
  readonly #reconcile: Reconcile;
  readonly #deploys: Deploys;
  readonly #probe: ReadinessProbe;
  readonly #progress: Progress;
  readonly #bell: Bell;
  readonly #since: number;
  #stopped = false;
  /** The step that is to come next, while it has not begun. */
  #queued: Promise<void> | undefined;
  #asking = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** What was missed is still being fetched: nothing is decided on half of it, but a rollback goes on. */
  #isCatchingUp = false;
  readonly #caughtUp = Promise.withResolvers<void>();

  constructor(deps: RunnerDeps) {
    this.id = deps.state.run;
    this.plan = deps.plan;
    this.#deps = deps;
    this.#since = deps.clock.now().steady;
    this.#bell = createBell(deps.clock);
    this.#keeper = new Keeper(deps, (events) => deps.onCommitted(this, events));
    const poke = (): void => this.#poke();
    this.#measure = new Measure({
      ...deps,
      metrics: deps.service.metrics,
      state: this.#keeper.state,
      onJudged: poke,
    });
    const { metrics } = deps.service;
    this.#progress = new Progress({ ...deps, metrics, state: this.#keeper.state });
    this.#deploys = new Deploys({ ...deps, metrics, state: this.#keeper.state, onSeen: poke });
    this.#reconcile = new Reconcile({ ...deps, state: this.#keeper.state, onSeen: poke });
    const isMoving = (): boolean => this.#isMoving();
    this.#probe = new ReadinessProbe({ ...deps, state: this.#keeper.state, isMoving, onFound: poke });
  }

  state(): State {
    return this.#keeper.state();
  }

  world(): World {
    const fault = this.#reconcile.storeFault();
    const readAt = this.#reconcile.readAt();
    const alerts = this.#deps.alertsOf?.(this.plan);
    const restarting = this.#deps.restartingOf?.(this.plan);
    const service = this.#deploys.service();
    const rehearsal = this.#probe.found();
    return {
      judgements: this.#measure.judgements(),
      readings: this.#reconcile.readings(),
      views: this.#reconcile.views(),
      refusals: this.#reconcile.refusals(),
      ...this.#reconcile.told(),
      ...this.#progress.seen(),
      since: this.#since,
      ...(readAt === undefined ? {} : { readAt }),
      ...(fault === undefined ? {} : { storeFault: fault }),
      ...(alerts === undefined ? {} : { alerts }),
      ...(restarting === undefined ? {} : { restarting }),
      ...(service === undefined ? {} : { service }),
      ...(rehearsal === undefined ? {} : { rehearsal }),
    };
  }

  recent(): readonly Recorded[] {
    return this.#keeper.recent();
  }

  figures(): Readonly<Record<string, CardMeasured | undefined>> {
    return this.#measure.figures();
  }

  /** Decides one ask of a person, in turn with everything else; `answer` makes the outbox drafts that the commit carries. */
  ask(
    ask: Ask,
    asker: Asker,
    intake: string,
    answer: (outcome: Outcome) => readonly OutboxDraft[],
  ): Promise<Outcome> {
    return this.#mailbox(() => this.#settle(ask, asker, intake, answer));
  }

  /** Decides one ask that answers nobody by itself: a part of a larger command. */
  decide(ask: Ask, asker: Asker): Promise<Outcome> {
    return this.#mailbox(() => this.#settle(ask, asker, undefined, () => []));
  }

  /** Watches until the run ends. After a restart it judges what was missed before anything else is decided; flags that are to go back do not wait. */
  async run(missed?: Missed): Promise<void> {
    this.#isCatchingUp = missed !== undefined;
    await Promise.all([this.#reconcile.run(), this.#watch(missed)]);
  }

  async #watch(missed: Missed | undefined): Promise<void> {
    if (missed !== undefined) {
      try {
        await Promise.all([
          this.#measure.backfill(missed),
          this.#reconcile.readNow(),
          this.#deploys.askNow(),
          this.#progress.askNow(),
        ]);
      } finally {
        this.#isCatchingUp = false;
        this.#caughtUp.resolve();
      }
      await this.#mailbox(() => this.#step());
    }
    this.#caughtUp.resolve();
    if (this.#stopped) return;
    this.#poke();
    await Promise.all([
      this.#measure.run(),
      this.#deploys.run(),
      this.#progress.run(),
      this.#probe.run(),
      this.#tickLoop(),
    ]);
  }

  stop(): void {
    this.#stopped = true;
    this.#caughtUp.resolve();
    this.#measure.stop();
    this.#deploys.stop();
    this.#progress.stop();
    this.#probe.stop();
    this.#reconcile.stop();
    this.#bell.ring();
  }

  /** Decides on the world as it is now, in turn with everything else; resolves when that is done, and never rejects. */
  async judge(): Promise<void> {
    await this.#caughtUp.promise;
    await this.#nextStep();
  }

  #poke(): void {
    void this.#nextStep();
  }

  #nextStep(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    const failed = (error: unknown): void =>
      this.#deps.log.error("a step failed", { run: this.id, error: messageOfFault(error) });
    this.#queued ??= this.#mailbox(() => this.#step()).catch(failed);
    return this.#queued;
  }

  /** Decides and commits until nothing is due; then lets the reconciler act and asks for evidence if a forward step lacks only that. */
  async #step(): Promise<void> {
    this.#queued = undefined;
    const before = this.state().revision;
    for (let count = 0; !this.#stopped; count++) {
      const events =
        count > MOST_TRANSITIONS ? this.#quarantine("transitions without end") : this.#decideTick();
      // What else changed in the service is part of the answer to a breach; the rollback does not wait for it.
      if (events.some(isOfBreach)) void this.#deploys.askNow("urgent");
      if (events.length === 0 || (await this.#record(events)) !== "counted") break;
      this.#reconcile.kick();
    }
    if (!this.#keeper.isFlushed()) await this.#keeper.commit([], []);
    if (this.state().revision !== before) this.#bell.ring();
    if (!isOpenRun(this.state()) && this.#keeper.isFlushed()) this.stop();
    else if (!this.#isCatchingUp) this.#askIfLacking();
  }

  #decideTick(): readonly RolloutEvent[] {
    if (this.#isCatchingUp && this.state().phase !== "rolling_back") return [];
    try {
      const events = onTick(this.plan, this.state(), this.world(), this.#deps.clock.now());
      // A rehearsal writes what a flag held when it read it: no flag goes forward meanwhile. Going back does not wait.
      const isForward = events.some(({ kind }) => kind === "stage_started");
      return isForward && this.#deps.rehearsals.isTrying(this.plan.rollout) ? [] : events;
    } catch (error) {
      this.#deps.log.error("a decision threw; the run is quarantined", {
        run: this.id,
        error: messageOfFault(error),
      });
      return this.#quarantine(messageOfFault(error));
    }
  }

  /** Commits; events that the state cannot take are a bug in this run and quarantine it. */
  async #record(events: readonly RolloutEvent[]): Promise<Kept> {
    try {
      return await this.#keeper.commit(events, []);
    } catch (error) {
      this.#deps.log.error("events could not be applied; the run is quarantined", {
        run: this.id,
        error: messageOfFault(error),
      });
      return this.#keeper.commit(this.#quarantine(messageOfFault(error)), []);
    }
  }

  #quarantine(error: string): readonly RolloutEvent[] {
    const { run, rollout, phase } = this.state();
    if (phase === "stuck") return [];
    const summary = `${rollout} (${run}) is quarantined after an internal error; only rollback works on it: ${error}`;
    return [
      { kind: "quarantined", error },
      { kind: "paged", key: `${run}.stuck`, severity: "P1", summary },
    ];
  }

  /** Asks every guard and the store anew when that is all a forward step lacks. */
  #askIfLacking(): void {
    const state = this.state();
    if (this.#asking || this.#stopped || state.phase !== "walking") return;
    if (nextForward(this.plan, state, this.world(), this.#deps.clock.now()).kind !== "ask") return;
    const { steady } = this.#deps.clock.now();
    if (steady - this.#askedAt < ASK_EVERY_MS) return;
    this.#askedAt = steady;
    this.#asking = true;
    const guards = guardsBefore(this.plan, state, upcomingStage(this.plan, state));
    Promise.all([
      this.#measure.askNow(guards),
      this.#reconcile.readNow(),
      this.#deploys.askNow(),
      this.#progress.askNow(),
    ])
      .catch((error: unknown) =>
        this.#deps.log.error("fresh evidence could not be asked for", { error: messageOfFault(error) }),
      )
      .finally(() => {
        this.#asking = false;
        this.#poke();
      });
  }

  /** One ask, decided and committed; decided anew when the state moved under it. */
  async #settle(
    ask: Ask,
    asker: Asker,
    intake: string | undefined,
    answer: (outcome: Outcome) => readonly OutboxDraft[],
  ): Promise<Outcome> {
    for (let attempt = 0; attempt < MOST_RACES; attempt++) {
      const outcome = this.#decideAsk(ask, asker);
      if (outcome.kind === "already") {
        if (intake === undefined || (await this.#keeper.answerOnly(intake, answer(outcome)))) return outcome;
        break;
      }
      const kept = await this.#keeper.commit(eventsOf(ask, asker, outcome), answer(outcome), intake);
      if (kept === "moved") continue;
      this.#reconcile.kick();
      this.#poke();
      if (kept === "counted") return outcome;
      break;
    }
    this.#poke();
    return refuse(
      "journal_unavailable",
      "the journal cannot be written just now. Try again; going back works without it.",
    );
  }

  #decideAsk(ask: Ask, asker: Asker): Outcome {
    try {
      return onAsk(this.plan, this.state(), ask, asker, this.world(), this.#deps.clock.now());
    } catch (error) {
      this.#deps.log.error("an ask threw", { run: this.id, error: messageOfFault(error) });
      if (ask.kind !== "rollback")
        return refuse(
          "stuck",
          `an internal error: ${messageOfFault(error)}. \`/rollout rollback all\` still works.`,
        );
      const cause = { kind: "person" as const, because: "rollback of a quarantined rollout" };
      const started = planRollback(this.plan, this.state(), this.world(), -1, cause, asker.actor);
      if (started === undefined) return refuse("nothing_to_undo", "nothing is on.");
      return { kind: "events", events: [started], note: "Rolling back everything." };
    }
  }

  /** Whether a forward step may begin within moments. */
  #isMoving(): boolean {
    const now = this.#deps.clock.now();
    const next = nextForward(this.plan, this.state(), this.world(), now);
    return next.kind === "go" || (next.kind === "wait" && (next.until ?? Infinity) < now.steady + SOON_MS);
  }

  async #tickLoop(): Promise<void> {
    const { clock } = this.#deps;
    while (!this.#stopped) {
      const next = nextForward(this.plan, this.state(), this.world(), clock.now());
      const until =
        next.kind === "wait" && next.until !== undefined ? next.until - clock.now().steady : TICK_MS;
      await this.#bell.wait(Math.min(TICK_MS, Math.max(1, until)));
      this.#poke();
    }
  }
}

/** Whether production turned worse, or goes back for it. */
function isOfBreach(event: RolloutEvent): boolean {
  return event.kind === "rollback_started" || (event.kind === "verdict_changed" && event.verdict !== "pass");
}

/** What an outcome journals: its events, or that the ask was refused. */
function eventsOf(
  ask: Ask,
  asker: Asker,
  outcome: Exclude<Outcome, { kind: "already" }>,
): readonly RolloutEvent[] {
  if (outcome.kind === "events") return outcome.events;
  return [{ kind: "refused", verb: ask.kind, code: outcome.code, by: asker.actor, detail: outcome.message }];
}
