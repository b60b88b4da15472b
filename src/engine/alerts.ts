/** Alerts as they come in: known ones change nothing, new ones are decided on by every live rollout at once and then kept, and storms are recognised. */
import type { IncomingAlert } from "../core/alerts/incoming.ts";
import { concerns, labelOf, resembles } from "../core/alerts/matcher.ts";
import {
  isOfStorm,
  NO_STORM,
  type SeenStorm,
  STORM_MS,
  type StormWatch,
  sighted,
  stormNow,
  stormText,
  watchFrom,
} from "../core/alerts/storm.ts";
import type { AlertView } from "../core/alerts/view.ts";
import type { AlertmanagerEntry } from "../core/files/flags-file.ts";
import type { PageRequest } from "../core/oncall/page.ts";
import type { Plan } from "../core/plan.ts";
import { alertEffect, nameInWords, servicesInWords } from "../core/rollout/on-alert.ts";
import { isLive, type State } from "../core/rollout/state.ts";
import { DAY, MINUTE, type Now, SECOND } from "../core/time.ts";
import { FiringMemory } from "./alert-memory.ts";
import { AlertSources } from "./alert-sources.ts";
import { type AlertJournal, AlertStore } from "./alert-store.ts";
import { withDeadline } from "./concurrency.ts";
import { type Clock, type Journal, type Log, messageOfFault } from "./ports.ts";
import type { AlertSource } from "./watch-ports.ts";

const STORM_KEY = "alerts.storm";
const START_DEADLINE_MS = 5 * SECOND;
/** A storm that goes on is saved this often. */
const SAVE_STORM_MS = 10 * SECOND;

/** At most so many alerts that change nothing are logged in a minute. */
const MOST_TOLD_A_MINUTE = 60;

export interface LiveRun {
  readonly plan: Plan;
  readonly state: State;
}

export interface AlertsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly journal: AlertJournal & Pick<Journal, "meta" | "setMeta">;
  /** Every run that the engine keeps. */
  readonly runs: () => readonly LiveRun[];
  /** Has every live run decide now; resolves when all have, and never rejects. */
  readonly judge: () => Promise<void>;
  /** The alerts of an Alertmanager, to be asked for besides the webhook. */
  readonly connect: (entry: AlertmanagerEntry) => AlertSource;
  /** Asks on-call. */
  readonly page: (page: PageRequest) => void;
}

/** Counts since the start, for metrics. */
export interface AlertCounts {
  /** Firings told, repeats included. */
  readonly told: number;
  /** Firings told for the first time. */
  readonly fresh: number;
  /** Alerts that a webhook left out. */
  readonly truncated: number;
  readonly storms: number;
}

export class Alerts {
  readonly #deps: AlertsDeps;
  readonly #memory = new FiringMemory();
  readonly #store: AlertStore;
  readonly #sources: AlertSources;
  #watch: StormWatch = NO_STORM;
  #stormSavedAt = Number.NEGATIVE_INFINITY;
  #toldSince = Number.NEGATIVE_INFINITY;
  #toldCount = 0;
  readonly #counts = { told: 0, fresh: 0, truncated: 0, storms: 0 };

  constructor(deps: AlertsDeps) {
    this.#deps = deps;
    this.#store = new AlertStore(deps.clock, deps.journal, deps.log);
    this.#sources = new AlertSources({
      ...deps,
      plans: () => this.#live().map(({ plan }) => plan),
      take: (alerts) => this.#takeTold(alerts),
    });
  }

  /** Reads what the journal knows, judges what was stored and not judged before the last end, and asks Alertmanager from here on. */
  async start(): Promise<void> {
    const { clock, journal, log } = this.#deps;
    const soon = <T>(call: Promise<T>): Promise<T> => withDeadline(clock, START_DEADLINE_MS, "journal", call);
    try {
      this.#watch = watchFrom(await soon(journal.meta(STORM_KEY)));
      const unjudged = await soon(journal.unjudgedAlerts());
      const open = new Set(unjudged.map(({ key }) => key));
      const known = await soon(journal.knownAlertKeys(clock.now().wall - DAY));
      this.#store.load(known.filter((key) => !open.has(key)));
      // A run that still catches up on what it missed is not waited for.
      const judged = this.#absorb(unjudged) ? this.#deps.judge() : Promise.resolve();
      void judged.then(() => this.#store.judged([...open]));
    } catch (error) {
      log.error("the alerts of before could not be read; those that still fire are told again", {
        error: messageOfFault(error),
      });
    }
    void this.#sources.run();
  }

  stop(): void {
    this.#sources.stop();
  }

  /**
   * Takes alerts as they were told. Rollouts decide on what is new at once, with or without the journal. Resolves when the journal has every
   * firing; rejects with an `OutsideFault` when it does not, so that the sender tries again. `truncated`: how many the sender left out.
   */
  take(alerts: readonly IncomingAlert[], truncated = 0): Promise<void> {
    if (truncated > 0) this.#onTruncated(truncated);
    const judged = this.#absorb(alerts) ? this.#deps.judge() : Promise.resolve();
    return this.#keep(this.#store.store(alerts), judged);
  }

  async #keep(storing: Promise<readonly string[]>, judged: Promise<void>): Promise<void> {
    const stored = await storing;
    if (stored.length > 0) void judged.then(() => this.#store.judged(stored));
  }

  /** What is known of the alerts that concern a rollout; undefined where there is nothing to say. */
  forRun(plan: Plan): AlertView | undefined {
    const storm = stormNow(this.#watch, this.#deps.clock.now());
    const told = storm === undefined ? {} : { storm: { services: storm.services, since: storm.since } };
    if (plan.rollbackOn === undefined) return storm === undefined ? undefined : { firings: [], ...told };
    return { firings: this.#memory.concerning(plan), ...told, ...this.#sources.sightOf(plan) };
  }

  counts(): AlertCounts {
    return { ...this.#counts };
  }

  #live(): readonly LiveRun[] {
    return this.#deps.runs().filter(({ state }) => isLive(state));
  }

  /** Alerts that a source told; what the journal does not take is told again with the next answer. */
  #takeTold(alerts: readonly IncomingAlert[]): void {
    this.take(alerts).catch((error: unknown) =>
      this.#deps.log.warn("alerts could not be journaled", { error: messageOfFault(error) }),
    );
  }

  #onTruncated(truncated: number): void {
    this.#counts.truncated += truncated;
    const asked = this.#sources.askNow();
    const instead =
      asked > 0
        ? "Alertmanager is asked for all of them"
        : "no Alertmanager is named that could be asked for all of them";
    this.#deps.log.warn(`a webhook left out ${truncated} alerts; ${instead}`);
  }

  /** Remembers what is new; whether any live run has something to decide. */
  #absorb(alerts: readonly IncomingAlert[]): boolean {
    const live = this.#live();
    const now = this.#deps.clock.now();
    let isNews = false;
    for (const alert of alerts) {
      if (alert.status === "resolved") this.#memory.resolve(alert);
      else if (this.#absorbFiring(alert, live, now)) isNews = true;
    }
    return isNews;
  }

  #absorbFiring(alert: IncomingAlert, live: readonly LiveRun[], now: Now): boolean {
    const isFirst = this.#store.isFirstTold(alert.key);
    this.#counts.told++;
    if (isFirst) this.#counts.fresh++;
    const hasStormed = isFirst && this.#sight(alert, live, now);
    if (!live.some(({ plan }) => concerns(plan, alert))) return hasStormed;
    if (!this.#memory.remember(alert, now.steady, isOfStorm(this.#watch, alert, now))) return hasStormed;
    for (const one of live) if (concerns(one.plan, alert)) this.#tellIfNothing(alert, one, now);
    return true;
  }

  /** Says once of each alert why it changes nothing; in a flood only of the first ones. */
  #tellIfNothing(alert: IncomingAlert, { plan, state }: LiveRun, now: Now): void {
    const effect = alertEffect(plan, state, alert, now);
    if (effect.kind !== "none") return;
    if (now.steady - this.#toldSince > MINUTE) {
      this.#toldSince = now.steady;
      this.#toldCount = 0;
    }
    if (++this.#toldCount > MOST_TOLD_A_MINUTE) return;
    const fields = { alert: nameInWords(alert), run: state.run, why: effect.why };
    this.#deps.log.info("an alert changes nothing", fields);
  }

  /** Sees a firing for the first time; true when a storm begins with it. */
  #sight(alert: IncomingAlert, live: readonly LiveRun[], now: Now): boolean {
    const service = labelOf(alert, "service");
    if (service === undefined || !live.some(({ plan }) => resembles(plan, alert))) return false;
    const { log } = this.#deps;
    const before = stormNow(this.#watch, now);
    this.#watch = sighted(this.#watch, alert, service, now);
    const storm = stormNow(this.#watch, now);
    if (storm === undefined) return false;
    if (before !== undefined) {
      if (now.steady - this.#stormSavedAt >= SAVE_STORM_MS) this.#saveStorm(storm);
      return false;
    }
    this.#counts.storms++;
    this.#memory.markStorm(now.steady - STORM_MS);
    this.#saveStorm(storm);
    log.warn("alerts of several services at once: every live rollout is held", {
      services: storm.services.join(", "),
    });
    this.#page(storm);
    return true;
  }

  #page(storm: SeenStorm): void {
    const live = this.#live();
    const first = live[0]?.plan;
    if (first === undefined) return;
    const names = live.map(({ state }) => `${state.rollout} (${state.run})`).join(", ");
    const summary = `Alerts of ${servicesInWords(storm)} within a minute. Held: ${names}. Look for a common cause; meanwhile no alert rolls back, guards still do.`;
    this.#deps.page({
      key: `${STORM_KEY}.${storm.key}`.slice(0, 255),
      severity: "P1",
      summary,
      service: first.service,
      environment: first.environment,
      source: "alert",
      ...(first.channel === undefined ? {} : { channel: first.channel }),
      ...(first.runbook === undefined ? {} : { runbook: first.runbook }),
      wall: this.#deps.clock.now().wall,
    });
  }

  /** So that after a restart the same storm holds nothing twice, and its firings still take nothing back. */
  #saveStorm(storm: SeenStorm): void {
    const { clock, journal, log } = this.#deps;
    this.#stormSavedAt = clock.now().steady;
    journal
      .setMeta(STORM_KEY, stormText({ ...storm, lastWall: storm.lastWall + SAVE_STORM_MS }))
      .catch((error: unknown) =>
        log.warn("a storm of alerts could not be saved", { error: messageOfFault(error) }),
      );
  }
}
