/** Asks Alertmanager itself, so that an alert whose delivery was lost is found, and a silence of alerting is noticed. */
import { alertName, type IncomingAlert } from "../core/alerts/incoming.ts";
import type { AlertView } from "../core/alerts/view.ts";
import type { AlertmanagerEntry } from "../core/files/flags-file.ts";
import type { Plan } from "../core/plan.ts";
import { formatDuration, MINUTE, SECOND } from "../core/time.ts";
import { type Bell, createBell, withDeadline } from "./concurrency.ts";
import { type Clock, type Log, messageOfFault } from "./ports.ts";
import type { AlertSource } from "./watch-ports.ts";

const DEFAULT_EVERY_MS = 10 * SECOND;
const LOOK_EVERY_MS = SECOND;
const DEADLINE_MS = 5 * SECOND;
/** A source that fails for longer leaves us blind. */
const PATIENCE_MS = MINUTE;

export interface AlertSourcesDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The plans of live rollouts. */
  readonly plans: () => readonly Plan[];
  /** The alerts of an Alertmanager. Called once while any live rollout names it. */
  readonly connect: (entry: AlertmanagerEntry) => AlertSource;
  readonly take: (alerts: readonly IncomingAlert[]) => void;
}

/** One Alertmanager as it has answered so far. Instants are steady ms. */
/** The least distance between two questions, ms. */
const LEAST_MS = 1_000;

interface Polled {
  readonly source: AlertSource;
  readonly everyMs: number;
  askedAt: number;
  isAsking: boolean;
  hasAnswered: boolean;
  failingSince: number | undefined;
  fault: string;
  /** Names of the alerts that fired at the last answer. */
  firing: ReadonlySet<string>;
}

export class AlertSources {
  readonly #deps: AlertSourcesDeps;
  readonly #polled = new Map<string, Polled>();
  readonly #bell: Bell;
  #stopped = false;

  constructor(deps: AlertSourcesDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Asks each source at its interval until stopped. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      this.#askDue();
      await this.#bell.wait(LOOK_EVERY_MS);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Asks every source at once; how many there are. */
  askNow(): number {
    this.#askDue();
    const { steady } = this.#deps.clock.now();
    // In a flood of truncated webhooks once a second is as good as after each.
    for (const polled of this.#polled.values())
      if (steady - polled.askedAt >= LEAST_MS) void this.#ask(polled);
    return this.#polled.size;
  }

  /** Whether the alerts of a plan can be known; nothing to say where it names no Alertmanager or asks for no alerts. */
  sightOf(plan: Plan): Pick<AlertView, "blind" | "isUnasked"> {
    const entry = entryOf(plan);
    if (entry === undefined) return {};
    const polled = this.#polled.get(keyOf(entry));
    if (polled === undefined) return { isUnasked: true };
    const { failingSince, fault, hasAnswered, firing } = polled;
    if (failingSince !== undefined && this.#deps.clock.now().steady - failingSince > PATIENCE_MS)
      return { blind: `Alertmanager has not answered for ${formatDuration(PATIENCE_MS)}: ${fault}` };
    if (!hasAnswered) return { isUnasked: true };
    if (entry.watchdog === undefined || firing.has(entry.watchdog)) return {};
    return { blind: `the alert ${entry.watchdog}, which always fires, does not: alerting itself is broken` };
  }

  /** Adds the sources of new live rollouts, drops those that no live rollout names any more, and asks those that are due. */
  #askDue(): void {
    const { clock, connect, plans } = this.#deps;
    const entries = new Map(
      plans()
        .map(entryOf)
        .filter((entry) => entry !== undefined)
        .map((entry) => [keyOf(entry), entry]),
    );
    for (const key of this.#polled.keys()) if (!entries.has(key)) this.#polled.delete(key);
    for (const [key, entry] of entries)
      if (!this.#polled.has(key)) this.#polled.set(key, newlyNamed(connect(entry), entry));
    const { steady } = clock.now();
    for (const polled of this.#polled.values())
      if (steady - polled.askedAt >= polled.everyMs) void this.#ask(polled);
  }

  async #ask(polled: Polled): Promise<void> {
    if (polled.isAsking || this.#stopped) return;
    const { clock, log, take } = this.#deps;
    polled.isAsking = true;
    polled.askedAt = clock.now().steady;
    try {
      const alerts = await withDeadline(clock, DEADLINE_MS, "Alertmanager", polled.source.firing());
      polled.hasAnswered = true;
      polled.failingSince = undefined;
      polled.firing = new Set(alerts.filter((one) => one.status === "firing").map(alertName));
      take(alerts);
    } catch (error) {
      polled.fault = messageOfFault(error);
      if (polled.failingSince === undefined)
        log.warn("Alertmanager does not answer", { error: polled.fault });
      polled.failingSince ??= polled.askedAt;
    } finally {
      polled.isAsking = false;
    }
  }
}

function newlyNamed(source: AlertSource, entry: AlertmanagerEntry): Polled {
  return {
    source,
    everyMs: entry.interval ?? DEFAULT_EVERY_MS,
    askedAt: Number.NEGATIVE_INFINITY,
    isAsking: false,
    hasAnswered: false,
    failingSince: undefined,
    fault: "",
    firing: new Set(),
  };
}

function entryOf(plan: Plan): AlertmanagerEntry | undefined {
  return plan.rollbackOn === undefined ? undefined : plan.outside.alertmanager;
}

function keyOf({ url, interval }: AlertmanagerEntry): string {
  return `${url} ${interval ?? ""}`;
}
