/** Composes the desks besides the rollouts: on call, alerts, health and schedules, with their outsides; started after the engine and stopped before it. */
import { createCalendar } from "./adapters/calendar.ts";
import { createHeartbeat, type Heartbeat } from "./adapters/heartbeat.ts";
import { createPagerDuty } from "./adapters/pagerduty/events.ts";
import { createSecondChannel } from "./adapters/second-channel.ts";
import type { Config } from "./config.ts";
import type { Connections } from "./connections.ts";
import type { Actor } from "./core/event.ts";
import type { PageRequest } from "./core/oncall/page.ts";
import type { Guard, Plan } from "./core/plan.ts";
import { isStepUnderWay, rolloutFact } from "./core/report/rollout-fact.ts";
import { isLive, isOpenRun, type State } from "./core/rollout/state.ts";
import { MINUTE, SECOND } from "./core/time.ts";
import type { WatchPlan } from "./core/watch/plan.ts";
import { Darkness } from "./darkness.ts";
import type { Door } from "./door.ts";
import { Alerts } from "./engine/alerts.ts";
import type { Desks as CommandDesks } from "./engine/commands.ts";
import { withDeadline } from "./engine/concurrency.ts";
import type { Engine } from "./engine/engine.ts";
import { Health } from "./engine/health.ts";
import { HealthCommands } from "./engine/health-commands.ts";
import { healthDesk } from "./engine/health-desk.ts";
import { askTrend } from "./engine/measure.ts";
import { OnCall } from "./engine/oncall.ts";
import { onCallCommands, onCallFact } from "./engine/oncall-commands.ts";
import { rollbackPageKey, wouldIsOver, wouldPageKey } from "./engine/pages.ts";
import { impatientSubjects, soonOn } from "./engine/patience.ts";
import { type Clock, type Journal, type Log, messageOfFault, OutsideFault } from "./engine/ports.ts";
import { buildPost, type PostSources } from "./engine/posts.ts";
import { Schedules } from "./engine/schedules.ts";
import { createScheduleCommands, scheduleDesk } from "./engine/schedules-commands.ts";
import type { JobActions } from "./engine/schedules-run.ts";
import type { Calendar, Pager, SecondChannel, SubjectJournal } from "./engine/watch-ports.ts";
import { hooksDoor } from "./hooks.ts";

const HEARTBEAT_MS = MINUTE;
/** What alerts there were before may take this long to be judged; then the webhooks are opened all the same, ms. */
const ALERTS_WITHIN_MS = 5 * SECOND;

export interface DesksOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: Journal & SubjectJournal;
  /** Names this installation of Belay for good. */
  readonly installation: string;
  readonly connections: Connections;
  /** The engine, once there is one; asked only after `start`. */
  readonly engine: () => Engine;
  readonly plans: () => ReadonlyMap<string, Plan>;
  /** Guards of a flags file, by its stem. */
  readonly guardsOf: (source: string) => readonly Guard[];
  /** Undefined while Belay is well. */
  readonly unwell: () => string | undefined;
}

type Closing = { close(): void };

export class Desks {
  readonly onCall: OnCall;
  readonly alerts: Alerts;
  readonly commands: CommandDesks;
  /** Pages when Slack takes no urgent message. */
  readonly darkness: Darkness;
  readonly #options: DesksOptions;
  readonly #journal: SubjectJournal;
  readonly #health: Health;
  readonly #schedules: Schedules;
  readonly #calendar: Calendar;
  readonly #pager: (Pager & Closing) | undefined;
  readonly #second: (SecondChannel & Closing) | undefined;
  #watches: ReadonlyMap<string, WatchPlan> = new Map();
  #hooks: Door | undefined;
  #heartbeat: Heartbeat | undefined;

  constructor(options: DesksOptions) {
    this.#options = options;
    const { clock, config, journal, log } = options;
    this.#journal = telling(impatientSubjects(journal, clock), () => options.engine().kick());
    this.#calendar = createCalendar({ clock });
    this.#pager = pagerOf(options);
    const { secondChannelUrl } = config;
    this.#second =
      secondChannelUrl === undefined ? undefined : createSecondChannel({ url: secondChannelUrl });
    this.onCall = this.#createOnCall();
    this.alerts = this.#createAlerts();
    this.darkness = new Darkness({
      log,
      runs: () => options.engine().plansAndStates(),
      page: (page) => this.#page(page),
      openPages: () => this.#openPages(),
      resolvePage: (key, because) => this.onCall.resolvePage(key, because),
    });
    this.#health = this.#createHealth();
    this.#schedules = new Schedules({
      clock,
      log,
      journal: this.#journal,
      calendar: this.#calendar,
      actions: this.#actions(),
    });
    this.commands = this.#commandDesks();
  }

  get hooksPort(): number | undefined {
    return this.#hooks?.port;
  }

  /** The watches as they stand in the files now, all of them unless not `isWhole`; what the journal cannot tell of now is taken up at the next reload. */
  async setWatches(watches: ReadonlyMap<string, WatchPlan>, isWhole: boolean): Promise<void> {
    this.#watches = watches;
    try {
      await this.#health.setWatches(watches);
    } catch (error) {
      this.#options.log.error("the probes could not be taken up", { error: messageOfFault(error) });
    }
    this.#schedules.setWatches(watches, { isWhole });
  }

  /** To be called when the engine has taken over what was live. Rejects when the journal cannot be read or the webhooks' port is taken. */
  async start(): Promise<void> {
    const { config, clock, engine, log, unwell } = this.#options;
    await this.onCall.start();
    const alerts = this.alerts.start();
    await this.#health.start();
    await this.#schedules.start();
    await withDeadline(clock, ALERTS_WITHIN_MS, "the alerts of before", alerts).catch((error: unknown) =>
      log.warn("alerts are taken before those of before are judged", { error: messageOfFault(error) }),
    );
    if (config.hooksPort !== undefined) {
      const { alerts, onCall } = this;
      const live = () =>
        engine()
          .plansAndStates()
          .find(({ state }) => isOpenRun(state))?.plan;
      const page = (asked: PageRequest): void => this.#page(asked);
      this.#hooks = hooksDoor({ config, port: config.hooksPort, clock, log, alerts, onCall, live, page });
      await this.#hooks.open();
    }
    if (config.heartbeatUrl !== undefined)
      this.#heartbeat = createHeartbeat({
        url: config.heartbeatUrl,
        everyMs: HEARTBEAT_MS,
        clock,
        log,
        isWell: () => unwell() === undefined,
      });
  }

  async stop(): Promise<void> {
    await this.#hooks?.close();
    this.#heartbeat?.stop();
    this.alerts.stop();
    await this.#schedules.stop();
    await this.#health.stop();
    this.onCall.stop();
    this.#pager?.close();
    this.#second?.close();
  }

  #createOnCall(): OnCall {
    const { clock, config, engine, log } = this.#options;
    return new OnCall({
      clock,
      log,
      journal: this.#journal,
      pager: this.#pager,
      second: this.#second,
      defaultChannel: config.defaultChannel,
      ackWithinMs: config.ackWithinMs,
      sendNow: (drafts) => engine().sendNow(drafts),
      over: (page) => this.#over(page),
      command: (text, actor, key) => this.#command(text, actor, key),
      ended: (run) => this.#ended(run),
      installation: this.#options.installation,
    });
  }

  /** The page of a rollback ends when production has recovered. */
  #over({ key, run, tells }: PageRequest): string | undefined {
    if (run === undefined || tells === undefined) return undefined;
    const state = this.#options
      .engine()
      .runs()
      .find((one) => one.run === run);
    if (key === wouldPageKey(run, tells.seq)) return wouldIsOver(state, tells.seq);
    if (key !== rollbackPageKey(run, tells.seq)) return undefined;
    const { rollback } = state ?? {};
    const isOver = rollback !== undefined && rollback.seq >= tells.seq && rollback.recoveredAt !== undefined;
    return isOver ? "production has recovered after the rollback" : undefined;
  }

  /** A rollout that has ended leaves no page open behind it. */
  runEnded(state: State): void {
    const { run } = state;
    const because = endedWords(state);
    for (const incident of this.onCall.incidentsOf(run))
      this.onCall
        .resolvePage(incident.id, because)
        .catch((error: unknown) =>
          this.#options.log.error("a page could not be resolved", { run, error: messageOfFault(error) }),
        );
  }

  /** Keys of the pages that nobody has resolved. */
  #openPages(): readonly string[] {
    return this.onCall.open().map(({ id }) => id);
  }

  /** Pages, whether or not the journal has it yet. */
  #page(page: PageRequest): void {
    const { log } = this.#options;
    this.onCall
      .page(page)
      .catch((error: unknown) =>
        log.error("a page counts without the journal", { key: page.key, error: messageOfFault(error) }),
      );
  }

  /** Resolves when the command is accepted; the work goes on by itself. */
  async #command(text: string, actor: Actor, key: string): Promise<void> {
    const accepted = await this.#options.engine().submit({ key, text, actor, replyTo: { kind: "none" } });
    if (accepted.kind === "unavailable") throw new OutsideFault(accepted.text, { recoverable: true });
  }

  async #ended(run: string): Promise<string | undefined> {
    const { clock, journal } = this.#options;
    const stored = await soonOn(clock)(journal.run(run));
    return stored === undefined || isOpenRun(stored.state) ? undefined : endedWords(stored.state);
  }

  #createAlerts(): Alerts {
    const { clock, connections, engine, journal, log } = this.#options;
    return new Alerts({
      clock,
      log,
      journal,
      runs: () => engine().plansAndStates(),
      judge: () => engine().judgeNow(),
      connect: (entry) => connections.alertsAt(entry),
      page: (page) => this.#page(page),
    });
  }

  #createHealth(): Health {
    const { clock, config, connections, log } = this.#options;
    return new Health({
      clock,
      log,
      journal: this.#journal,
      prober: (plan) => connections.prober(plan),
      restarter: connections.restarter,
      stepUnderWay: (service, environment) =>
        this.#runsOf(service, environment).some(({ plan, state }) => isStepUnderWay(plan, state)),
      rolloutLive: (service, environment) => {
        const live = this.#runsOf(service, environment).find(({ state }) => isLive(state));
        return live === undefined ? undefined : `${live.state.rollout} (${live.state.run})`;
      },
      resolvePage: (key, because) => this.onCall.resolvePage(key, because),
      pageOpen: (key) => this.#openPages().includes(key),
      sendNow: (drafts) => this.#options.engine().sendNow(drafts),
      ...(config.defaultChannel === undefined ? {} : { defaultChannel: config.defaultChannel }),
    });
  }

  #runsOf(service: string, environment: string) {
    return this.#options
      .engine()
      .plansAndStates()
      .filter(({ plan }) => plan.service === service && plan.environment === environment);
  }

  /** What of this service is being restarted, in words; a rollout step waits for it. */
  restarting(service: string, environment: string): string | undefined {
    return this.#health.restarting(service, environment);
  }

  #actions(): JobActions {
    const { config } = this.#options;
    const sources = this.#sources();
    return {
      restartTarget: (watch, target, how) => this.#health.restartTarget(watch, target, how),
      askTrend: (plan, question) => sources.askTrend(plan, question),
      drill: (plan) => this.#drill(plan),
      buildPost: (plan, post, wall, jobs) => buildPost(sources, plan, post, wall, jobs),
      channelOf: (plan) => plan.channel ?? config.defaultChannel,
    };
  }

  #sources(): PostSources {
    const { clock, connections, engine, guardsOf, log } = this.#options;
    return {
      clock,
      log,
      journal: this.#journal,
      askTrend: (plan, question) =>
        askTrend(
          connections.metricsAt(plan.prometheus),
          question,
          clock.now(),
          plan.prometheus.scrape_interval,
        ),
      flushChecks: () => this.#health.flushCounts(),
      rollouts: async () =>
        engine()
          .views()
          .filter(({ state }) => isOpenRun(state))
          .map(rolloutFact),
      locks: async () =>
        engine()
          .runs()
          .reduce((sum, state) => sum + Object.keys(state.latched).length, 0),
      onCall: async () => onCallFact(this.#pager?.rest, clock.now().wall),
      metrics: (plan) => connections.metricsAt(plan.prometheus),
      guards: (plan) => guardsOf(plan.source),
    };
  }

  /** A page that is known to be a drill; how it ended is told when it has. */
  async #drill(plan: WatchPlan): Promise<{ readonly ok: boolean; readonly detail: string }> {
    const { wall } = this.#options.clock.now();
    const { watch, service, environment, channel } = plan;
    await this.onCall.page({
      key: `drill.${watch}.${Math.floor(wall / MINUTE)}`,
      severity: "P1",
      summary: "This is a drill of the page path: acknowledge it, nothing else is to be done.",
      service,
      environment,
      source: "drill",
      wall,
      ...(channel === undefined ? {} : { channel }),
    });
    return { ok: true, detail: "the drill is out; its message says when it was acknowledged" };
  }

  #stillWrong({ key, source }: PageRequest): string | undefined {
    if (source !== "probe") return undefined;
    const desk = this.#health.desks().find(({ id }) => key.startsWith(`probe:${id}:`));
    return desk?.state().phase === "failing" ? `${desk.id} still fails` : undefined;
  }

  #commandDesks(): CommandDesks {
    const { clock, plans } = this.#options;
    const services = () => [
      ...[...plans().values()].map(({ service, environment }) => ({ service, environment })),
      ...[...this.#watches.values()].map(({ service, environment }) => ({ service, environment })),
    ];
    return {
      oncall: onCallCommands({
        onCall: this.onCall,
        clock,
        rest: this.#pager?.rest,
        services,
        stillWrong: (page) => this.#stillWrong(page),
      }),
      health: healthDesk(new HealthCommands({ clock, journal: this.#journal, health: this.#health })),
      schedule: scheduleDesk(
        createScheduleCommands({ schedules: this.#schedules, calendar: this.#calendar, clock }),
      ),
    };
  }
}

function endedWords({ phase }: State): string {
  return phase === "rolled_back"
    ? "production has recovered after the rollback"
    : `the rollout has ended: ${phase}`;
}

/** The same journal; whoever commits messages with it has them sent at once. */
function telling(journal: SubjectJournal, kick: () => void): SubjectJournal {
  return {
    ...journal,
    async commitSubject(commit) {
      const result = await journal.commitSubject(commit);
      if (commit.outbox.length > 0) kick();
      return result;
    },
  };
}

function pagerOf({ config, log }: DesksOptions): (Pager & Closing) | undefined {
  const { pager } = config;
  if (pager === undefined) return undefined;
  const { routingKey, eventsServer, apiUrl, rest } = pager;
  return createPagerDuty({
    routingKey,
    server: eventsServer,
    rest: rest === undefined ? undefined : { token: rest.token, fromEmail: rest.from, url: apiUrl },
    log,
  });
}
