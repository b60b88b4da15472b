/** The engine: one runner per live rollout, commands in, messages out, and recovery of everything at start. */
import type { AlertView } from "../core/alerts/view.ts";
import { type Actor, BELAY, type Recorded } from "../core/event.ts";
import type { Incident } from "../core/oncall/incident.ts";
import { isWaitedFor, type Plan } from "../core/plan.ts";
import type { Asker } from "../core/rollout/ask.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { isLive, isOpenRun, newestFlagStage, type State } from "../core/rollout/state.ts";
import { EMPTY_WORLD } from "../core/rollout/world.ts";
import { DAY } from "../core/time.ts";
import { announce } from "./announce.ts";
import type { ChangesDeps } from "./changes.ts";
import { Commands, type Desks } from "./commands.ts";
import { type Bell, createBell } from "./concurrency.ts";
import type { Announce } from "./keeper.ts";
import type { Missed } from "./measure.ts";
import type { CommandAnswer, Intake, OutboxDraft } from "./messages.ts";
import type { ModeKeeper } from "./modes.ts";
import { Outbox } from "./outbox.ts";
import { pagesOf } from "./pages.ts";
import { hurried, impatient } from "./patience.ts";
import {
  type Chat,
  type Clock,
  type Ids,
  type Journal,
  type Log,
  messageOfFault,
  type RehearsalShelf,
  type RunView,
  type Service,
  type Spool,
  type StoredRun,
} from "./ports.ts";
import { Rehearsals } from "./rehearse.ts";
import { replaySpool } from "./replay.ts";
import { type OnCallDesk, routedChat } from "./routed-chat.ts";
import { Runner } from "./runner.ts";

/** How often the last instant at which Belay watched is saved. */
const HEARTBEAT_MS = 5_000;
const HEARTBEAT_KEY = "watched";
const UNAVAILABLE =
  "The journal is unavailable, so nothing changed. Going back (`rollback`, `hold`) works without it.";
const MOST_ACCEPTED_ANYWAY = 1_000;
/** A missed window is judged at most this far back. */
const MOST_MISSED_MS = DAY;

export interface EngineDeps {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly chat: Chat;
  /** Loaded rollouts by name; may change when files are loaded again. */
  readonly plans: () => ReadonlyMap<string, Plan>;
  /** What is wrong with files that could not be loaded as they stand, each with its place; none when not given. */
  readonly mistakes?: () => readonly string[];
  /** What is worth knowing when rollouts are listed, such as what the flag systems' tokens may do that they need not; none when not given. */
  readonly warnings?: () => readonly string[];
  /** Where rehearsals are kept besides the journal, for `belay check`. */
  readonly rehearsalShelf?: RehearsalShelf;
  /** Who flips; without it Belay always does. */
  readonly modes?: ModeKeeper;
  /** The outside of a plan's flags file. Called once per run. */
  readonly connect: (plan: Plan) => Service;
  readonly mayOf: (actor: Actor) => Omit<Asker, "actor">;
  /** Channel of rollouts that name none; undefined: they are not announced. */
  readonly defaultChannel: string | undefined;
  /** How often a card's figures are brought up to date when nothing else changes, ms. */
  readonly refreshMs: number;
  /** Zone in which texts show clock times. */
  readonly zone: string;
  /** Where pages go; without it they are told in the chat alone. */
  readonly onCall?: OnCallDesk & { incidentsOf(run: string): readonly Incident[] };
  /** Desks besides the rollouts; none when not given. */
  readonly desks?: Desks;
  /** Resolves when they may be asked; at once when not given. */
  readonly desksReady?: Promise<void>;
  /** What is known of alerts that concern a plan; without it no alert is listened to. */
  readonly alertsOf?: (plan: Plan) => AlertView | undefined;
  /** What of a plan's service is being restarted, as a clause: no forward step is begun meanwhile. Without it nothing ever is. */
  readonly restartingOf?: (plan: Plan) => string | undefined;
  /** Events of the watches' probes, for `changes`; none when not given. */
  readonly probeEventsSince?: ChangesDeps["probeEventsSince"];
  /** Called with every commit, for counters and tests. */
  readonly onEvents?: (run: State, events: readonly Recorded[]) => void;
}

/** `duplicate`: this key was accepted before and has been or will be answered. `unavailable`: not accepted, nothing changed. */
export type Accepted =
  | { readonly kind: "accepted"; readonly answer: Promise<CommandAnswer> }
  | { readonly kind: "duplicate" }
  | { readonly kind: "unavailable"; readonly text: string };

export class Engine {
  readonly #deps: EngineDeps;
  readonly #runners = new Map<string, Runner>();
  readonly #outbox: Outbox;
  readonly #commands: Commands;
  readonly #rehearsals: Rehearsals;
  readonly #heart: Bell;
  readonly #recovered = Promise.withResolvers<void>();
  #stopped = false;

  /** Keys of commands that were accepted while the journal was gone. */
  readonly #acceptedAnyway = new Set<string>();

  constructor(deps: EngineDeps) {
    const { chat, clock, journal, onCall } = deps;
    this.#deps = {
      ...deps,
      journal: impatient(journal, clock),
      chat: onCall === undefined ? chat : routedChat(chat, onCall),
    };
    this.#heart = createBell(clock);
    this.#rehearsals = new Rehearsals(this.#deps);
    const view = (run: string, withEvents?: boolean, fromSeq?: number): Promise<RunView | undefined> =>
      this.view(run, withEvents, fromSeq);
    this.#outbox = new Outbox({
      ...this.#deps,
      view,
      liveView: (run) => this.#liveView(run),
      openRuns: () =>
        this.runs()
          .filter(isOpenRun)
          .map((state) => state.run),
    });
    this.#commands = new Commands({
      ...this.#deps,
      observes: () => deps.modes?.current() === "observe",
      mistakes: deps.mistakes ?? (() => []),
      warnings: deps.warnings ?? (() => []),
      rehearsals: this.#rehearsals,
      desks: deps.desks ?? {},
      desksReady: deps.desksReady ?? Promise.resolve(),
      runners: () => [...this.#runners.values()],
      view,
      adopt: (stored, readings) => this.#begin(stored, readings),
      announceStart: (stored) => this.#cardOf(stored),
      sendNow: (drafts) => this.#outbox.sendNow(drafts),
    });
  }

  /** Takes over every open run, then watches. Resolves when the journal has been read; rejects when it cannot be. */
  async start(): Promise<void> {
    try {
      await this.#recover();
    } finally {
      this.#recovered.resolve();
    }
    void this.#outbox.run();
    void this.#beat();
  }

  /**
   * Accepts a command durably; the work goes on after this resolves. One that comes during the take-over waits for its end: before that, live runs
   * are not known, and the command would be found unanswered and carried out a second time.
   */
  async submit(request: Omit<Intake, "at" | "wall">): Promise<Accepted> {
    await this.#recovered.promise;
    const { clock, journal, log } = this.#deps;
    const { steady, wall } = clock.now();
    const intake: Intake = { ...request, at: steady, wall };
    const isBackward = this.#commands.isBackward(intake);
    if (this.#acceptedAnyway.has(intake.key)) return { kind: "duplicate" };
    const accepted = journal.accept(intake);
    try {
      if (!(await (isBackward ? hurried(clock, accepted) : accepted))) return { kind: "duplicate" };
    } catch (error) {
      log.error("a command could not be journaled", { key: intake.key, error: messageOfFault(error) });
      if (!isBackward) return { kind: "unavailable", text: UNAVAILABLE };
      if (this.#acceptedAnyway.has(intake.key)) return { kind: "duplicate" };
      this.#accepted(intake.key);
    }
    const answer = this.#commands.carryOut(intake);
    void answer.then(() => this.#outbox.kick());
    return { kind: "accepted", answer };
  }

  /** Remembers a command that goes back and that the journal could not take: its second delivery must not go back twice. */
  #accepted(key: string): void {
    this.#acceptedAnyway.add(key);
    for (const oldest of this.#acceptedAnyway) {
      if (this.#acceptedAnyway.size <= MOST_ACCEPTED_ANYWAY) break;
      this.#acceptedAnyway.delete(oldest);
    }
  }

  /** A run as it is now, with its events unless they are not wanted; undefined when there is none. */
  async view(run: string, withEvents = true, fromSeq?: number): Promise<RunView | undefined> {
    const { clock, journal } = this.#deps;
    const events = withEvents ? await journal.events(run, fromSeq) : [];
    const live = this.#liveView(run);
    if (live !== undefined) return { ...live, events };
    const stored = await journal.run(run);
    const incidents = this.#deps.onCall?.incidentsOf(run) ?? [];
    return stored === undefined
      ? undefined
      : { ...stored, world: EMPTY_WORLD, figures: {}, events, incidents, now: clock.now() };
  }

  #liveView(run: string): RunView | undefined {
    const runner = this.#runners.get(run);
    if (runner === undefined) return undefined;
    const { plan } = runner;
    const now = this.#deps.clock.now();
    return {
      plan,
      state: runner.state(),
      world: runner.world(),
      figures: runner.figures(),
      events: runner.recent(),
      incidents: this.#deps.onCall?.incidentsOf(run) ?? [],
      now,
    };
  }

  /** Live runs and ended ones that still lock a flag. */
  runs(): readonly State[] {
    return [...this.#runners.values()].map((runner) => runner.state());
  }

  /** The same, each with its plan. */
  plansAndStates(): readonly { readonly plan: Plan; readonly state: State }[] {
    return [...this.#runners.values()].map((runner) => ({ plan: runner.plan, state: runner.state() }));
  }

  /** Every run that the engine keeps, as it is now. */
  views(): readonly RunView[] {
    return [...this.#runners.keys()].flatMap((run) => this.#liveView(run) ?? []);
  }

  /** Has every live run decide on the world as it is now; resolves when all have, and never rejects. */
  async judgeNow(): Promise<void> {
    const live = [...this.#runners.values()].filter((runner) => isLive(runner.state()));
    await Promise.all(live.map((runner) => runner.judge()));
  }

  /** Since when (wall ms) the oldest urgent message has been waiting to be delivered; undefined when none waits. */
  darkSince(): number | undefined {
    return this.#outbox.darkSince();
  }

  stop(): void {
    this.#stopped = true;
    for (const runner of this.#runners.values()) runner.stop();
    this.#outbox.stop();
    this.#heart.ring();
  }

  /** Messages of other desks are in the outbox. */
  kick(): void {
    this.#outbox.kick();
  }

  /** Sends messages that the journal could not take. */
  sendNow(drafts: readonly OutboxDraft[]): void {
    this.#outbox.sendNow(drafts);
  }

  readonly #announce: Announce = (plan, before, after, events) => {
    const channel = this.#channelOf(plan);
    const told = announce(plan, before, after, events, channel);
    return this.#deps.onCall === undefined ? told : [...told, ...pagesOf(plan, after, events, channel)];
  };

  #channelOf(plan: Plan): string | undefined {
    return plan.channel ?? this.#deps.defaultChannel;
  }

  #cardOf({ plan, state }: StoredRun): readonly OutboxDraft[] {
    const channel = this.#channelOf(plan);
    if (channel === undefined) return [];
    const body = { kind: "card" as const, run: state.run, channel };
    return [
      { run: state.run, key: `card:${state.run}`, lane: "normal", body, wall: this.#deps.clock.now().wall },
    ];
  }

  #begin(stored: StoredRun, readings: Readonly<Record<string, Reading | undefined>>): void {
    const runner = this.#adopt(stored, readings);
    this.#deps.onEvents?.(stored.state, []);
    this.#outbox.kick();
    // Who flips may have changed while the start was being journaled, and nobody told this run.
    if (this.#isToObserve(runner.state()))
      void this.#observeWith(runner).then(
        () => this.#launch(runner),
        (error: unknown) =>
          this.#deps.log.error("a run could not be begun", { run: runner.id, error: messageOfFault(error) }),
      );
    else this.#launch(runner);
  }

  #adopt(stored: StoredRun, readings: Readonly<Record<string, Reading | undefined>>): Runner {
    const runner = new Runner({
      ...this.#deps,
      service: this.#deps.connect(stored.plan),
      rehearsals: this.#rehearsals,
      plan: stored.plan,
      state: stored.state,
      readings,
      sendNow: (drafts) => this.#outbox.sendNow(drafts),
      announce: this.#announce,
      onCommitted: (one, events) => {
        const state = one.state();
        this.#deps.onEvents?.(state, events);
        this.#outbox.kick();
        if (!isOpenRun(state) && Object.keys(state.latched).length === 0) this.#runners.delete(one.id);
      },
    });
    this.#runners.set(runner.id, runner);
    return runner;
  }

  #launch(runner: Runner, missed?: Missed): void {
    if (!isOpenRun(runner.state())) return;
    runner
      .run(missed)
      .catch((error: unknown) =>
        this.#deps.log.error("a runner stopped", { run: runner.id, error: messageOfFault(error) }),
      );
  }

  async #recover(): Promise<void> {
    const { journal, log } = this.#deps;
    await replaySpool({ ...this.#deps, announce: this.#announce });
    const saved = Number(await journal.meta(HEARTBEAT_KEY));
    const watched = Number.isFinite(saved) && saved > 0 ? saved : undefined;
    for (const stored of await journal.openRuns()) {
      const runner = this.#adopt(stored, {});
      await this.#observeWith(runner);
      if (isOpenRun(stored.state)) this.#launch(runner, this.#missedOf(stored.state, stored.plan, watched));
      if (isLive(stored.state))
        log.info("took over a live rollout", {
          run: runner.id,
          rollout: stored.state.rollout,
          phase: stored.state.phase,
        });
    }
    for (const intake of await journal.unanswered()) void this.#commands.carryOutAgain(intake);
  }

  /** A Belay that observes flips nothing for runs of before either; one that acts leaves each run as people left it. */
  async #observeWith(runner: Runner): Promise<void> {
    const { modes } = this.#deps;
    if (modes === undefined || !this.#isToObserve(runner.state())) return;
    const ask = { kind: "mode" as const, mode: "observe" as const, because: modes.why() };
    await runner.decide(ask, { actor: BELAY, operator: true, groups: [] });
  }

  #isToObserve(state: State): boolean {
    return this.#deps.modes?.current() === "observe" && state.mode !== "observe" && isLive(state);
  }

  /** What nobody saw of this run: since the last heartbeat, less the polls that lead to a verdict; credit since it was last journaled. */
  #missedOf(state: State, plan: Plan, watched: number | undefined): Missed {
    const earliest = this.#deps.clock.now().steady - MOST_MISSED_MS;
    const longestRun = plan.guards
      .filter(isWaitedFor)
      .reduce((most, guard) => Math.max(most, guard.intervalMs * guard.breach.n), 0);
    const unwatchedFrom = Math.max(earliest, Math.max(watched ?? state.lastAt, state.lastAt) - longestRun);
    const credited = state.stages[newestFlagStage(plan, state)]?.creditedTo ?? state.lastAt;
    const creditFrom =
      state.stoppedSince === undefined
        ? Math.max(earliest, Math.min(credited, unwatchedFrom))
        : unwatchedFrom;
    return { unwatchedFrom, creditFrom };
  }

  /** Saves the last instant at which Belay watched. */
  async #beat(): Promise<void> {
    const { clock, journal, log } = this.#deps;
    while (!this.#stopped) {
      try {
        await journal.setMeta(HEARTBEAT_KEY, String(Math.round(clock.now().steady)));
      } catch (error) {
        log.warn("the heartbeat could not be saved", { error: messageOfFault(error) });
      }
      if (await this.#commands.flush()) this.#outbox.kick();
      await this.#heart.wait(HEARTBEAT_MS);
    }
  }
}
