/** The engine: one runner per live rollout, commands in, messages out, and recovery of everything at start. */
import type { Actor, Recorded } from "../core/event.ts";
import type { Plan } from "../core/plan.ts";
import type { Asker } from "../core/rollout/people.ts";
import { evolve } from "../core/rollout/evolve.ts";
import type { Reading } from "../core/rollout/desired.ts";
import { isLive, isOpenRun, newestFlagStage, type State } from "../core/rollout/state.ts";
import { EMPTY_WORLD } from "../core/rollout/world.ts";
import { DAY, MINUTE } from "../core/time.ts";
import { announce } from "./announce.ts";
import { createCommands } from "./commands.ts";
import { createBell, messageOf } from "./concurrency.ts";
import { createOutbox } from "./outbox.ts";
import { impatient } from "./patience.ts";
import type { Chat, Clock, CommandAnswer, Ids, Intake, Journal, Log, OutboxDraft, RunView, Service, Spool, StoredRun } from "./ports.ts";
import { createRunner, type Runner } from "./runner.ts";

/** How often the last instant at which Belay watched is saved. */
const HEARTBEAT_MS = 5_000;
const HEARTBEAT_KEY = "watched";
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
  /** The outside of a plan's flags file. Called once per run. */
  readonly connect: (plan: Plan) => Service;
  readonly mayOf: (actor: Actor) => Omit<Asker, "actor">;
  /** Channel of rollouts that name none; undefined: they are not announced. */
  readonly defaultChannel: string | undefined;
  /** Zone in which texts show clock times. */
  readonly zone: string;
  /** Called with every commit, for counters and tests. */
  readonly onEvents?: (run: State, events: readonly Recorded[]) => void;
}

/** `duplicate`: this key was accepted before and has been or will be answered. `unavailable`: not accepted, nothing changed. */
export type Accepted =
  | { readonly kind: "accepted"; readonly answer: Promise<CommandAnswer> }
  | { readonly kind: "duplicate" }
  | { readonly kind: "unavailable"; readonly text: string };

export interface Engine {
  /** Takes over every open run, then watches. Resolves when the first look at each is done. */
  start(): Promise<void>;
  /** Accepts a command durably; the work goes on after this resolves. */
  submit(intake: Omit<Intake, "at" | "wall">): Promise<Accepted>;
  view(run: string): Promise<RunView | undefined>;
  runs(): readonly State[];
  /** Ms for which urgent messages have been waiting. */
  darkForMs(): number;
  stop(): void;
}

export function createEngine(outer: EngineDeps): Engine {
  const deps = { ...outer, journal: impatient(outer.journal, outer.clock) };
  const { clock, journal, log } = deps;
  const runners = new Map<string, Runner>();
  const heart = createBell(clock);
  let stopped = false;

  const channelOf = (plan: Plan): string | undefined => plan.channel ?? deps.defaultChannel;
  const outbox = createOutbox({ clock, journal, chat: deps.chat, log, view });

  async function view(run: string, withEvents = true): Promise<RunView | undefined> {
    const runner = runners.get(run);
    const events = withEvents ? await journal.events(run) : [];
    const now = clock.now();
    if (runner !== undefined) {
      return { plan: runner.plan, state: runner.state(), world: runner.world(), figures: runner.figures(), events, now };
    }
    const stored = await journal.run(run);
    return stored === undefined ? undefined : { ...stored, world: EMPTY_WORLD, figures: {}, events, now };
  }

  function adopt(stored: StoredRun, options: { readonly readings?: Readonly<Record<string, Reading | undefined>>; readonly missedFrom?: number }): Runner {
    let before = stored.state;
    const runner = createRunner({
      ...deps,
      service: deps.connect(stored.plan),
      plan: stored.plan,
      state: stored.state,
      readings: options.readings ?? {},
      announce(plan, after, events) {
        return announce(plan, before, after, events, channelOf(plan));
      },
      onCommitted(one, events) {
        before = one.state();
        deps.onEvents?.(one.state(), events);
        outbox.kick();
        if (!isOpenRun(one.state()) && Object.keys(one.state().latched).length === 0) runners.delete(one.id);
      },
    });
    runners.set(runner.id, runner);
    return runner;
  }

  function launch(runner: Runner, missedFrom?: number): void {
    if (!isOpenRun(runner.state())) return;
    runner.run(missedFrom).catch((error: unknown) => log.error("a runner stopped", { run: runner.id, error: messageOf(error) }));
  }

  const commands = createCommands({
    ...deps,
    runners: () => [...runners.values()],
    view,
    adopt(stored, readings) {
      const runner = adopt(stored, { readings });
      deps.onEvents?.(stored.state, []);
      outbox.kick();
      launch(runner);
      return runner;
    },
    announceStart(plan, stored): readonly OutboxDraft[] {
      const channel = channelOf(plan);
      if (channel === undefined) return [];
      const { run } = stored.state;
      return [{ run, key: `card:${run}`, lane: "normal", body: { kind: "card", run, channel }, wall: clock.now().wall }];
    },
  });

  /** Events that counted while the journal was gone and a crash came before it was back. */
  async function replaySpool(): Promise<void> {
    for (const { run, events } of deps.spool.read()) {
      const stored = await journal.run(run);
      if (stored === undefined) continue;
      const owed = events.filter((one) => one.seq > stored.state.revision);
      const contiguous = owed.every((one, index) => one.seq === stored.state.revision + 1 + index);
      if (owed.length > 0 && contiguous) {
        const state = owed.reduce<State>((folded, one) => evolve(stored.plan, folded, one), stored.state);
        const drafts = announce(stored.plan, stored.state, state, owed, channelOf(stored.plan));
        await journal.commit({ run, expected: stored.state.revision, events: owed, state, ended: !isOpenRun(state), outbox: drafts });
      } else if (owed.length > 0) log.error("spooled events do not follow the journal; they are left out", { run, events: owed.length });
      deps.spool.clear(run);
    }
  }

  /** The steady instant from which nobody watched this run. */
  function missedFrom(state: State, plan: Plan, watched: number | undefined): number {
    const credited = state.stages[newestFlagStage(plan, state)]?.creditedTo ?? state.lastAt;
    const seen = Math.min(credited, watched ?? state.lastAt);
    return Math.max(seen - 2 * MINUTE, clock.now().steady - MOST_MISSED_MS);
  }

  async function recover(): Promise<void> {
    await replaySpool();
    const saved = Number(await journal.meta(HEARTBEAT_KEY));
    const watched = Number.isFinite(saved) && saved > 0 ? saved : undefined;
    for (const stored of await journal.openRuns()) {
      const runner = adopt(stored, {});
      if (isOpenRun(stored.state)) launch(runner, missedFrom(stored.state, stored.plan, watched));
      if (isLive(stored.state)) log.info("took over a live rollout", { run: runner.id, rollout: stored.state.rollout, phase: stored.state.phase });
    }
    for (const intake of await journal.unanswered()) void commands.carryOut(intake);
  }

  async function heartbeat(): Promise<void> {
    while (!stopped) {
      try {
        await journal.setMeta(HEARTBEAT_KEY, String(Math.round(clock.now().steady)));
      } catch (error) {
        log.warn("the heartbeat could not be saved", { error: messageOf(error) });
      }
      await heart.wait(HEARTBEAT_MS);
    }
  }

  return {
    async start() {
      await recover();
      void outbox.run();
      void heartbeat();
    },
    async submit(request) {
      const { steady, wall } = clock.now();
      const intake: Intake = { ...request, at: steady, wall };
      try {
        const fresh = await journal.accept(intake);
        if (!fresh) return { kind: "duplicate" };
      } catch (error) {
        log.error("a command could not be journaled", { key: intake.key, error: messageOf(error) });
        if (!commands.isBackward(intake)) return { kind: "unavailable", text: "The journal is unavailable, so nothing changed. Going back (`rollback`, `hold`) works without it." };
      }
      const answer = commands.carryOut(intake);
      void answer.then(() => outbox.kick());
      return { kind: "accepted", answer };
    },
    view,
    runs: () => [...runners.values()].map((runner) => runner.state()),
    darkForMs: outbox.darkForMs,
    stop() {
      stopped = true;
      for (const runner of runners.values()) runner.stop();
      outbox.stop();
      heart.ring();
    },
  };
}
