/** Puts firings into the journal before they are answered: those that wait go together in one transaction, and no queue grows without end. */
import type { IncomingAlert } from "../core/alerts/incoming.ts";
import { soonOn } from "./patience.ts";
import { type Clock, type Log, messageOfFault, OutsideFault } from "./ports.ts";
import type { SubjectJournal } from "./watch-ports.ts";

/** Keys remembered, so that what is told again and again costs no transaction. */
const MOST_KNOWN = 50_000;
/** Firings that may wait for the journal; more are turned away, to be sent again. */
const MOST_WAITING = 10_000;
/** Firings in one transaction. */
const MOST_AT_ONCE = 1_000;

/** What the journal remembers of alerts. */
export type AlertJournal = Pick<
  SubjectJournal,
  "takeAlerts" | "unjudgedAlerts" | "judgedAlerts" | "knownAlertKeys"
>;

interface Waiting {
  readonly alerts: readonly IncomingAlert[];
  readonly done: PromiseWithResolvers<readonly string[]>;
}

export class AlertStore {
  readonly #clock: Clock;
  readonly #journal: AlertJournal;
  readonly #log: Log;
  readonly #soon: ReturnType<typeof soonOn>;
  /** Keys that were told, and whether the journal has them; the least recently added first. */
  readonly #known = new Map<string, "told" | "stored">();
  readonly #waiting: Waiting[] = [];
  readonly #judged = new Set<string>();
  #waitingCount = 0;
  #isWriting = false;

  constructor(clock: Clock, journal: AlertJournal, log: Log) {
    this.#clock = clock;
    this.#journal = journal;
    this.#log = log;
    this.#soon = soonOn(clock);
  }

  /** Whether this firing was told before; from now on it was. */
  isFirstTold(key: string): boolean {
    if (this.#known.has(key)) return false;
    this.#note(key, "told");
    return true;
  }

  /** Takes over keys that the journal has. */
  load(keys: readonly string[]): void {
    for (const key of keys.slice(-MOST_KNOWN)) this.#note(key, "stored");
  }

  /**
   * Stores the firings among the alerts. Resolves when the journal has all of them, with the keys that went there now; rejects with an
   * `OutsideFault` when it does not take them. Of what is waited for, only firings that are not known are held on to.
   */
  store(alerts: readonly IncomingAlert[]): Promise<readonly string[]> {
    const unknown = alerts.filter(
      ({ key, status }) => status === "firing" && this.#known.get(key) !== "stored",
    );
    if (unknown.length === 0) return Promise.resolve([]);
    if (this.#waitingCount + unknown.length > MOST_WAITING)
      return Promise.reject(new OutsideFault("too many alerts wait for the journal", { recoverable: true }));
    const waiting: Waiting = { alerts: unknown, done: Promise.withResolvers<readonly string[]>() };
    this.#waiting.push(waiting);
    this.#waitingCount += unknown.length;
    if (!this.#isWriting) void this.#write();
    return waiting.done.promise;
  }

  /** Marks firings as judged, with the next transactions. One that is never marked is judged once more after a restart, which changes nothing. */
  judged(keys: readonly string[]): void {
    for (const key of keys) if (this.#judged.size < MOST_WAITING) this.#judged.add(key);
    if (!this.#isWriting) void this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0 || this.#judged.size > 0) {
      if (this.#waiting.length > 0) await this.#writeBatch();
      await this.#markJudged();
    }
    this.#isWriting = false;
  }

  async #writeBatch(): Promise<void> {
    const batch: Waiting[] = [];
    let count = 0;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (batch.length > 0 && count + next.alerts.length > MOST_AT_ONCE) break;
      batch.push(next);
      count += next.alerts.length;
      this.#waiting.shift();
    }
    const alerts = batch.flatMap((one) => one.alerts);
    try {
      await this.#soon(this.#journal.takeAlerts(alerts, this.#clock.now().wall));
      for (const { key } of alerts) this.#note(key, "stored");
      for (const { alerts: mine, done } of batch) done.resolve(mine.map(({ key }) => key));
    } catch (error) {
      for (const { done } of batch) done.reject(error);
    } finally {
      this.#waitingCount -= count;
    }
  }

  async #markJudged(): Promise<void> {
    if (this.#judged.size === 0) return;
    const keys = [...this.#judged];
    this.#judged.clear();
    try {
      await this.#soon(this.#journal.judgedAlerts(keys));
    } catch (error) {
      this.#log.warn("alerts could not be marked as judged; they are judged again after a restart", {
        count: keys.length,
        error: messageOfFault(error),
      });
    }
  }

  #note(key: string, how: "told" | "stored"): void {
    if (this.#known.get(key) === how) return;
    this.#known.delete(key);
    this.#known.set(key, how);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) return;
      this.#known.delete(oldest);
    }
  }
}
