/** One lane of flag writes: what is owed in one direction, sent at once, and each flag retried at its own distance. */
import type { Write } from "../core/rollout/desired.ts";
import { type Bell, backoffMs, createBell } from "./concurrency.ts";
import { type Clock, messageOfFault, OutsideFault, type WriteResult } from "./ports.ts";

/** Retries: from a quarter of a second to five, for ever. */
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5_000;
/** A store that asks to wait longer than this is asked again all the same. */
const RETRY_AFTER_MOST_MS = 30_000;

export interface LaneDeps {
  readonly clock: Clock;
  /** The writes that are owed as things stand. */
  readonly owed: () => readonly Write[];
  /** Steady ms at which the newest read of this flag began that succeeded. */
  readonly readAt: (flag: string) => number | undefined;
  /** Sends them; rejects with an `OutsideFault` when all failed for one cause. */
  readonly send: (writes: readonly Write[]) => Promise<Readonly<Record<string, WriteResult>>>;
  /** Called after each try with what failed, and with all that was sent. */
  readonly onSent: (failed: ReadonlyMap<Write, OutsideFault>, sent: readonly Write[]) => void;
  /** A write whose outcome is unknown waits for a read that tells, instead of being sent again. */
  readonly waitsForRead: boolean;
}

/** What became of the newest write of a flag. */
interface Sent {
  readonly intent: string;
  /** Steady ms at which it was sent, when it counts as sent until a later read says otherwise. */
  readonly at: number | undefined;
  readonly failures: number;
  readonly notBefore: number;
}

export class WriteLane {
  readonly #deps: LaneDeps;
  readonly #sent = new Map<string, Sent>();
  readonly #bell: Bell;
  /** Intents on their way, by flag. */
  readonly #underWay = new Map<string, string>();
  #stopped = false;

  constructor(deps: LaneDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Something may be owed now. */
  ring(): void {
    this.#bell.ring();
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Sends until stopped. A failing write keeps its distance; a new intent waits neither for it nor for one that hangs. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      const writes = this.#due();
      if (writes.length > 0) void this.#send(writes);
      await this.#bell.wait(this.#nextInMs());
    }
  }

  #due(): readonly Write[] {
    const { clock, owed, readAt } = this.#deps;
    const { steady } = clock.now();
    return owed().filter(({ flag, intent }) => {
      const last = this.#sent.get(flag);
      if (this.#underWay.get(flag) === intent) return false;
      if (last === undefined || last.intent !== intent) return true;
      if (steady < last.notBefore) return false;
      if (last.at === undefined) return true;
      const read = readAt(flag);
      return read !== undefined && read > last.at;
    });
  }

  async #send(writes: readonly Write[]): Promise<void> {
    const failed = new Map<Write, OutsideFault>();
    for (const { flag, intent } of writes) this.#underWay.set(flag, intent);
    try {
      const results = await this.#deps.send(writes);
      for (const write of writes) {
        const result = results[write.flag];
        if (result instanceof OutsideFault) failed.set(write, result);
      }
    } catch (error) {
      const fault =
        error instanceof OutsideFault
          ? error
          : new OutsideFault(messageOfFault(error), { recoverable: true });
      for (const write of writes) failed.set(write, fault);
    }
    const at = this.#deps.clock.now().steady;
    for (const write of writes) {
      // A newer intent has been sent meanwhile: what became of this one does not matter any more.
      if (this.#underWay.get(write.flag) !== write.intent) continue;
      this.#underWay.delete(write.flag);
      this.#sent.set(write.flag, this.#after(write, failed.get(write), at));
    }
    if (this.#stopped) return;
    this.#deps.onSent(failed, writes);
    this.#bell.ring();
  }

  #after({ flag, intent }: Write, fault: OutsideFault | undefined, at: number): Sent {
    const last = this.#sent.get(flag);
    const failures = last?.intent === intent ? last.failures : 0;
    if (fault === undefined) return { intent, at, failures: 0, notBefore: at + RETRY_FIRST_MS };
    const backoff = backoffMs(this.#deps.clock, failures, RETRY_FIRST_MS, RETRY_MOST_MS);
    const wait = Math.max(backoff, Math.min(fault.retryAfterMs ?? 0, RETRY_AFTER_MOST_MS));
    const sentAt = this.#deps.waitsForRead ? at : undefined;
    return { intent, at: sentAt, failures: failures + 1, notBefore: at + wait };
  }

  /** When the next one that is owed may be sent; rings come earlier. */
  #nextInMs(): number {
    const { clock, owed } = this.#deps;
    const { steady } = clock.now();
    const waits = owed().map(({ flag, intent }) => {
      if (this.#underWay.has(flag)) return RETRY_MOST_MS;
      const last = this.#sent.get(flag);
      return last === undefined || last.intent !== intent
        ? 0
        : Math.max(RETRY_FIRST_MS, last.notBefore - steady);
    });
    return Math.max(1, Math.min(RETRY_MOST_MS, ...waits));
  }
}
