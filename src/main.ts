/** The composition root: from configuration to a running Belay, started and stopped in order. */
import { join } from "node:path";
import { restoreClock, type SystemClock } from "./adapters/clock.ts";
import { ofrepRoutes } from "./adapters/flags/ofrep.ts";
import { createRehearsalShelf } from "./adapters/flags/rehearsals.ts";
import { createIds, installationOf } from "./adapters/ids.ts";
import { openSpool } from "./adapters/journal/spool.ts";
import { openSqliteJournal, type SqliteJournal } from "./adapters/journal/sqlite.ts";
import { prepareStateDir, type StateDir } from "./adapters/journal/state-dir.ts";
import { createLog, type SystemLog } from "./adapters/log.ts";
import { createLogChat, NOBODY } from "./adapters/log-chat.ts";
import { createSlack, type Slack } from "./adapters/slack/slack.ts";
import { createTelemetry, type Telemetry } from "./adapters/telemetry.ts";
import { unannounced, usualChannel } from "./channels.ts";
import type { Config } from "./config.ts";
import { type Connections, createConnections } from "./connections.ts";
import type { Actor, Mode, Recorded } from "./core/event.ts";
import type { Pace } from "./core/files/stages.ts";
import type { Plan } from "./core/plan.ts";
import { isOpenRun, type State } from "./core/rollout/state.ts";
import { Desks } from "./desks.ts";
import { type Accepted, Engine } from "./engine/engine.ts";
import type { CommandAnswer, Intake } from "./engine/messages.ts";
import type { Modes } from "./engine/modes.ts";
import { type Chat, messageOfFault, OutsideFault } from "./engine/ports.ts";
import { Reach } from "./engine/reach.ts";
import { Loading } from "./loading.ts";
import { mayOf, secretsOf } from "./may.ts";
import { openModes } from "./mode.ts";
import { OwnDoors } from "./own-doors.ts";

const CLOCK_KEY = "clock";
/** How often the clock is saved, so that time goes on over a restart, ms. */
const SAVE_CLOCK_MS = 5_000;

/** The journal, in the state folder. */
export const JOURNAL_FILE = "journal.db";

export interface StartOptions {
  readonly overlay?: string | undefined;
  readonly pace?: Pace | undefined;
  /** Flips nothing, whatever is set or was said. */
  readonly observe?: boolean;
  /** Without Slack and HTTP: for one command while Belay is stopped. */
  readonly alone?: boolean;
}

export interface Belay {
  readonly engine: Engine;
  readonly httpPort: number | undefined;
  /** Where webhooks are taken; undefined where they are not. */
  readonly hooksPort: number | undefined;
  /** Who flips now. */
  mode(): Mode;
  readonly plans: () => ReadonlyMap<string, Plan>;
  /** Loads the folder again; rollouts whose files have mistakes keep their last good plan. */
  reload(): Promise<void>;
  command(text: string, as: string, key: string): Promise<CommandAnswer>;
  stop(): Promise<void>;
}

/** What is opened so far, so that a failure half-way can close it again. */
interface Opened {
  readonly state: StateDir;
  readonly journal: SqliteJournal;
  readonly connections: Connections;
  readonly clock: SystemClock;
  readonly log: SystemLog;
  readonly telemetry: Telemetry;
  /** Names this installation of Belay for good. */
  readonly installation: string;
  readonly modes: Modes;
}

/**
 * Starts Belay. Throws an `OutsideFault` with one sentence for people when it cannot: state folder, journal, port, or no rollout to load. With a
 * live run in the journal only that counts: mistakes in files and a broken flag store are told, and the run is watched on its frozen plan.
 */
export async function startBelay(config: Config, options: StartOptions = {}): Promise<Belay> {
  const log = createLog({ level: config.logLevel });
  for (const secret of secretsOf(config)) log.registerSecret(secret);
  const state = prepareStateDir(config.stateDir);
  try {
    const journal = openSqliteJournal({
      path: join(state.path, JOURNAL_FILE),
      reservePath: join(state.path, "reserve"),
      log,
    });
    const newest = journal.newestInstant()?.steady;
    const atLeast = newest === undefined ? {} : { notBefore: newest };
    const clock = restoreClock(await journal.meta(CLOCK_KEY), atLeast);
    const connections = createConnections({ ...config, log, stateDir: state.path });
    const belay = new Composition(config, options, {
      state,
      journal,
      connections,
      clock,
      log,
      telemetry: createTelemetry(),
      installation: await installationOf(journal),
      modes: await openModes({ journal, log, isNew: newest === undefined }, config, options),
    });
    return await belay.start().catch(async (error: unknown) => {
      await belay.stop().catch(() => undefined);
      throw error;
    });
  } catch (error) {
    state.release();
    throw error;
  }
}

class Composition implements Belay {
  readonly engine: Engine;
  readonly #config: Config;
  readonly #options: StartOptions;
  readonly #opened: Opened;
  readonly #slack: Slack | undefined;
  readonly #desks: Desks;
  readonly #loading: Loading;
  readonly #reach: Reach;
  #doors: OwnDoors | undefined;
  readonly #desksReady = Promise.withResolvers<void>();
  #ticker: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(given: Config, options: StartOptions, opened: Opened) {
    // What a command beside a stopped Belay owes waits for a start that may well have Slack.
    const config = options.alone === true ? given : { ...given, defaultChannel: usualChannel(given) };
    this.#config = config;
    this.#options = options;
    this.#opened = opened;
    const { clock, journal, log, state, connections } = opened;
    this.#loading = new Loading({
      ...options,
      dir: config.dir,
      log,
      connections,
      observes: () => opened.modes.current() === "observe",
    });
    this.#reach = new Reach({ clock, log, connect: (plan) => connections.connect(plan) });
    this.#slack = this.#createSlack();
    this.#desks = new Desks({
      config,
      clock,
      log,
      journal,
      installation: opened.installation,
      connections,
      engine: () => this.engine,
      plans: this.plans,
      guardsOf: (source) => this.#loading.catalogues.get(source)?.guards ?? [],
      unwell: this.#unwell,
    });
    this.engine = new Engine({
      clock,
      journal,
      log,
      ids: createIds(),
      spool: openSpool(join(state.path, "spool.jsonl"), log),
      chat: this.#chat(),
      plans: this.plans,
      mistakes: () => this.#loading.mistakes,
      warnings: () => [...this.#reach.warnings(), ...unannounced(this.plans().values(), config)],
      rehearsalShelf: createRehearsalShelf(state.path),
      connect: (plan) => connections.connect(plan),
      mayOf: (actor) => mayOf(config, actor),
      onCall: options.alone === true ? NOBODY : this.#desks.onCall,
      desks: this.#desks.commands,
      desksReady: this.#desksReady.promise,
      alertsOf: (plan) => this.#desks.alerts.forRun(plan),
      modes: opened.modes,
      restartingOf: (plan) => this.#desks.restarting(plan.service, plan.environment),
      probeEventsSince: (wall, most) => journal.subjectEventsSince("probe", wall, most),
      defaultChannel: config.defaultChannel,
      refreshMs: config.refreshMs,
      zone: config.zone,
      onEvents: (run, events) => this.#count(run, events),
    });
  }

  readonly plans = (): ReadonlyMap<string, Plan> => this.#loading.plans();

  readonly mode = (): Mode => this.#opened.modes.current();

  get httpPort(): number | undefined {
    return this.#doors?.port;
  }

  get hooksPort(): number | undefined {
    return this.#desks.hooksPort;
  }

  readonly #unwell = (): string | undefined =>
    this.#opened.journal.isShortOfSpace() ? "the disk is full" : undefined;

  async start(): Promise<Belay> {
    const { log } = this.#opened;
    if (this.#options.alone !== true) for (const warning of this.#config.warnings) log.warn(warning);
    // Before anything is journaled: a first start that is killed within seconds must not lose the time it was away.
    await this.#saveClock();
    await this.#loading.load();
    this.#warnUnannounced();
    await this.#refuseIdleness();
    if (this.#options.alone !== true) await this.#openDoors();
    await this.engine.start();
    this.#ticker = setInterval(() => this.#tick(), SAVE_CLOCK_MS);
    // Alone it is no desk: what is for them, and every message, waits for the next start.
    if (this.#options.alone !== true) {
      await this.#desks.setWatches(this.#loading.watches, this.#loading.isSound);
      await this.#desks.start();
      this.#desksReady.resolve();
      this.#slack?.start().catch((error: unknown) =>
        log.error("Slack could not be started; commands by `belay do` work", {
          error: messageOfFault(error),
        }),
      );
      void this.#reach.ask(this.plans().values());
      log.info("Belay runs", {
        rollouts: [...this.plans().keys()].join(","),
        watches: [...this.#loading.watches.keys()].join(","),
        port: this.httpPort ?? 0,
        hooks: this.hooksPort ?? 0,
        slack: this.#config.slack?.mode ?? "none",
      });
    }
    return this;
  }

  #warnUnannounced(): void {
    if (this.#options.alone === true) return;
    for (const warning of unannounced(this.plans().values(), this.#config)) this.#opened.log.warn(warning);
  }

  async reload(): Promise<void> {
    await this.#loading.load();
    this.#warnUnannounced();
    void this.#reach.ask(this.plans().values());
    await this.#desks.setWatches(this.#loading.watches, this.#loading.isSound);
    if (this.#loading.isSound) this.#opened.log.info("the files are read anew");
    else this.#opened.log.warn("some files have mistakes: their last good version counts");
  }

  async command(text: string, as: string, key: string): Promise<CommandAnswer> {
    const actor: Actor = { kind: "person", id: `cli:${as}`, name: as, via: "cli" };
    const accepted = await this.submit({ key, text, actor, replyTo: { kind: "none" } });
    switch (accepted.kind) {
      case "accepted":
        return accepted.answer;
      case "duplicate":
        return {
          ok: true,
          code: "duplicate",
          text: "This command was taken already.",
          lines: [],
          offers: [],
        };
      case "unavailable":
        return { ok: false, code: "journal_unavailable", text: accepted.text, lines: [], offers: [] };
    }
  }

  async submit(request: Omit<Intake, "at" | "wall">): Promise<Accepted> {
    const accepted = await this.engine.submit(request);
    if (accepted.kind === "accepted")
      void accepted.answer.then((answer) => this.#opened.telemetry.answered(answer.ok));
    return accepted;
  }

  /** No new commands first, then no new decisions, then the journal. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const { journal, log, connections, state } = this.#opened;
    clearInterval(this.#ticker);
    await this.#slack
      ?.stop()
      .catch((error: unknown) => log.warn("Slack did not stop cleanly", { error: messageOfFault(error) }));
    await this.#doors?.close();
    await this.#desks.stop();
    this.engine.stop();
    await this.#saveClock();
    await connections.close();
    journal.close();
    state.release();
  }

  #createSlack(): Slack | undefined {
    const { slack, slackApiUrl, channels, pageMention, zone } = this.#config;
    if (slack === undefined || this.#options.alone === true) return undefined;
    const { log, telemetry } = this.#opened;
    return createSlack({
      ...slack,
      ...(slackApiUrl === undefined ? {} : { apiUrl: slackApiUrl }),
      ...(channels === undefined ? {} : { allowedChannels: channels }),
      ...(pageMention === undefined ? {} : { pageMention }),
      zone,
      log,
      submit: (request) => this.submit(request),
      onAck: (ms) => telemetry.acknowledged(ms),
    });
  }

  #chat(): Chat {
    if (this.#options.alone === true) return NOBODY;
    return this.#slack?.chat ?? createLogChat(this.#opened.log);
  }

  async #openDoors(): Promise<void> {
    const { clock, journal, log, connections, state, telemetry } = this.#opened;
    const doors = new OwnDoors(
      {
        port: this.#config.httpPort,
        socketPath: join(state.path, "belay.sock"),
        token: this.#config.token,
        log,
        command: ({ text, as, key }) => this.command(text, as, key),
        runs: () => this.engine.runs(),
        events: (run, from) => journal.events(run, from),
        metrics: async () => ({ text: await telemetry.scrape(), contentType: telemetry.contentType }),
        unwell: this.#unwell,
        ofrep: ofrepRoutes(() => connections.embedded.current()),
      },
      clock,
      () => this.#isLive(),
    );
    this.#doors = doors;
    await doors.open();
  }

  /** Without a rollout and a watch there is nothing to do, unless a live run has its frozen plan in the journal and must be watched. */
  async #refuseIdleness(): Promise<void> {
    if (!this.#loading.isIdle || this.#options.alone === true) return;
    const nothing = this.#loading.nothingLoaded();
    if (!(await this.#isLive())) throw new OutsideFault(nothing, { recoverable: false });
    this.#opened.log.error(`${nothing}; what is live is watched all the same`);
  }

  /** Whether a rollout is live or a page is open. */
  async #isLive(): Promise<boolean> {
    const { journal } = this.#opened;
    const [runs, incidents] = [await journal.openRuns(), await journal.openSubjects("incident")];
    return runs.some(({ state }) => isOpenRun(state)) || incidents.some(({ phase }) => phase !== "resolved");
  }

  #count(run: State, events: readonly Recorded[]): void {
    const { telemetry } = this.#opened;
    if (!isOpenRun(run)) this.#desks.runEnded(run);
    if (events.some(({ event }) => event.kind === "recovered")) this.#desks.onCall.lookNow();
    for (const { event } of events) {
      telemetry.event(event.kind);
      if (event.kind === "verdict_changed") telemetry.verdict(event.verdict);
      const { rollback } = run;
      if (event.kind === "rollback_off" && rollback?.offAt !== undefined)
        telemetry.rolledBack(rollback.offAt - (rollback.breachAt ?? rollback.decidedAt));
    }
    const counts: Partial<Record<State["phase"], number>> = {};
    for (const { phase } of this.engine.runs()) counts[phase] = (counts[phase] ?? 0) + 1;
    telemetry.runs(counts);
  }

  #tick(): void {
    const { clock, telemetry } = this.#opened;
    telemetry.beat(clock.now().wall);
    void this.#saveClock();
    if (this.#options.alone !== true) this.#desks.darkness.look(this.engine.darkSince(), clock.now().wall);
  }

  async #saveClock(): Promise<void> {
    const { clock, journal, log } = this.#opened;
    try {
      await journal.setMeta(CLOCK_KEY, clock.snapshot());
    } catch (error) {
      log.warn("the clock could not be saved", { error: messageOfFault(error) });
    }
  }
}
