/** One process of Belay, from its start to its death: the real engine, whose every port call may be the one at which it dies. */
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { Recorded } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { Alerts } from "../../src/engine/alerts.ts";
import { type Accepted, Engine } from "../../src/engine/engine.ts";
import type { Intake } from "../../src/engine/messages.ts";
import { type ModeKeeper, Modes } from "../../src/engine/modes.ts";
import { impatient } from "../../src/engine/patience.ts";
import {
  type Clock,
  type Journal,
  type Log,
  OutsideFault,
  type Service,
  type Spool,
} from "../../src/engine/ports.ts";
import { plainFlags } from "../support/plain-flags.ts";
import { Caller, never } from "./calls.ts";
import type { Channel } from "./chat.ts";
import { alertJournalOn, type Disk, journalOn } from "./journal.ts";
import type { Outside } from "./outside/outside.ts";
import { type Death, isWithin, type Scenario } from "./scenario.ts";
import type { Random, Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";

/** Everything that outlives a process. */
export interface World {
  readonly scenario: Scenario;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly trace: Trace;
  readonly disk: Disk;
  readonly spool: Spool;
  readonly outside: Outside;
  readonly channel: Channel;
}

/** What a process tells of itself. */
export interface Hooks {
  /** It has died and is gone for `downMs`. */
  readonly onDeath: (downMs: number) => void;
  /** Its engine has decided. */
  readonly onEvents: (state: State, events: readonly Recorded[]) => void;
}

/** A process whose engine could not start is gone this long, ms. */
const RESTART_MS = 1_000;

export class Process {
  readonly #world: World;
  readonly #death: Death | undefined;
  readonly #hooks: Hooks;
  readonly #engine: Engine;
  readonly #alerts: Alerts | undefined;
  #isAlive = true;
  #isReady = false;
  #modes: Modes | undefined;
  #calls = 0;

  /** `death`: the call at which it dies; undefined: it lives to the end. */
  constructor(world: World, death: Death | undefined, hooks: Hooks) {
    this.#world = world;
    this.#death = death;
    this.#hooks = hooks;
    this.#engine = this.#createEngine();
    this.#alerts = world.scenario.alerts === undefined ? undefined : this.#createAlerts();
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Whether it lives and has taken over what was open. */
  get isReady(): boolean {
    return this.#isAlive && this.#isReady;
  }

  /** Port calls made so far, the one at which it died included. */
  get calls(): number {
    return this.#calls;
  }

  /** Starts the engine; one that cannot start takes the process with it. */
  start(): void {
    this.#begin().then(
      async () => {
        await this.#alerts?.start();
        this.#isReady = true;
      },
      (error: unknown) => {
        if (!this.#isAlive) return;
        this.#world.trace.note(`START FAILED ${String(error)}`);
        this.#die(RESTART_MS);
      },
    );
  }

  async #begin(): Promise<void> {
    const { mode } = this.#world.scenario.observe ?? {};
    if (mode !== undefined) {
      const journal = impatient(this.#journal(), this.#clock());
      this.#modes = await Modes.open({ journal, log: this.#log() }, { isNew: mode === "observe" });
    }
    await this.#engine.start();
  }

  submit(command: Omit<Intake, "at" | "wall">): Promise<Accepted> {
    return this.#engine.submit(command);
  }

  /** Alerts come in; resolves when they are stored. */
  take(alerts: readonly IncomingAlert[]): Promise<void> {
    return this.#whileAlive(this.#alerts?.take(alerts) ?? Promise.resolve());
  }

  /** Ends it for good, without a word: the run is over. */
  end(): void {
    this.#isAlive = false;
  }

  #die(downMs: number): void {
    this.#isAlive = false;
    this.#world.trace.note(`CRASH, back in ${downMs} ms`);
    this.#hooks.onDeath(downMs);
  }

  /**
   * The crash switch: every port call goes through here, and the process may die on it, before or after the effect. What it waited for then never
   * comes. After a local call (the journal's) it dies at the end of this instant: what else the engine does at once still happens.
   */
  #call<T>(act: () => Promise<T>, isLocal = false): Promise<T> {
    if (!this.#isAlive) return never();
    this.#calls++;
    const death = this.#death?.call === this.#calls ? this.#death : undefined;
    if (death === undefined) return this.#whileAlive(act());
    if (!death.after) {
      this.#die(death.downMs);
      return never();
    }
    act().catch(() => undefined);
    if (!isLocal) this.#die(death.downMs);
    else this.#world.timeline.after(0, () => this.#isAlive && this.#die(death.downMs));
    return never();
  }

  #whileAlive<T>(result: Promise<T>): Promise<T> {
    return result.then(
      (value) => (this.#isAlive ? value : never<T>()),
      (error: unknown) => {
        if (this.#isAlive) throw error;
        return never<T>();
      },
    );
  }

  #createEngine(): Engine {
    const { scenario, spool, channel } = this.#world;
    const clock = this.#clock();
    return new Engine({
      clock,
      ids: { hash: (text) => `h${text.length}` },
      log: this.#log(),
      journal: this.#journal(),
      spool,
      chat: channel.port((act) => this.#call(act), clock),
      plans: () => new Map([[scenario.plan.rollout, scenario.plan]]),
      connect: () => this.#service(),
      mayOf: (actor) => ({
        operator: true,
        groups: actor.kind === "person" && actor.id !== "kim" ? ["approvers"] : [],
      }),
      defaultChannel: undefined,
      alertsOf: (plan) => this.#alerts?.forRun(plan),
      ...(scenario.observe === undefined ? {} : { modes: this.#modeKeeper() }),
      refreshMs: 30_000,
      zone: "UTC",
      onEvents: this.#hooks.onEvents,
    });
  }

  /** The engine is made before the journal has been asked, and asks nothing of it before. */
  #modeKeeper(): ModeKeeper {
    return {
      current: () => this.#modes?.current() ?? "observe",
      why: () => this.#modes?.why() ?? "",
      say: async (mode, by, because) => this.#modes?.say(mode, by, because),
    };
  }

  #createAlerts(): Alerts {
    const { disk, outside, timeline, trace } = this.#world;
    const caller = new Caller(timeline, () => this.#isAlive);
    const journaled = <T>(name: string, transaction: () => T): Promise<T> =>
      this.#call(() => this.#transact(name, transaction), true);
    return new Alerts({
      clock: this.#clock(),
      log: this.#log(),
      journal: { ...journalOn(disk, journaled), ...alertJournalOn(disk, journaled) },
      runs: () => this.#engine.plansAndStates(),
      judge: () => this.#engine.judgeNow(),
      connect: () => ({
        firing: () => this.#call(async () => (await outside.alertmanager?.asked(caller)) ?? []),
      }),
      page: ({ key, summary }) => trace.note(`PAGE ${key} ${summary}`),
    });
  }

  #clock(): Clock {
    const { timeline, random } = this.#world;
    return {
      now: () => ({ steady: timeline.now(), wall: timeline.now() }),
      random: random.next,
      after: (ms, act) => {
        let isOn = true;
        timeline.after(ms, () => {
          if (isOn && this.#isAlive) act();
        });
        return () => {
          isOn = false;
        };
      },
    };
  }

  #log(): Log {
    return {
      info: () => undefined,
      warn: () => undefined,
      error: (message, fields) => this.#world.trace.note(`LOG ${message} ${JSON.stringify(fields)}`),
    };
  }

  #journal(): Journal {
    return journalOn(this.#world.disk, (name, transaction) =>
      this.#call(() => this.#transact(name, transaction), true),
    );
  }

  /** While the journal is away a transaction fails or hangs, and a commit may have been applied all the same. */
  #transact<T>(name: string, transaction: () => T): Promise<T> {
    const { scenario, timeline, random } = this.#world;
    if (!isWithin(scenario.journalOutages, timeline.now())) return Promise.resolve(transaction());
    if (name === "commit" && random.chance(0.3)) transaction();
    return random.chance(0.5)
      ? Promise.reject(new OutsideFault("journal: gone", { recoverable: true }))
      : never();
  }

  #service(): Service {
    const { outside, timeline } = this.#world;
    const caller = new Caller(timeline, () => this.#isAlive);
    const store = outside.store.port(caller);
    const view = outside.production.view(caller);
    const metrics = outside.prometheus.port(caller);
    return {
      flags: plainFlags({
        read: (defs) => this.#call(() => store.read(defs)),
        write: (writes) => this.#call(() => store.write(writes)),
      }),
      view: { read: (defs) => this.#call(() => view.read(defs)) },
      metrics: {
        query: (query, at) => this.#call(() => metrics.query(query, at)),
        queryRange: (query, from, to, step) => this.#call(() => metrics.queryRange(query, from, to, step)),
      },
      readEveryMs: 5_000,
    };
  }
}
