/** What became of the tries of each message: when it may be tried again, whether later ones may pass it, and when it is made plainer or set aside. */
import { DAY } from "../core/time.ts";
import { backoffMs } from "./concurrency.ts";
import type { Lane, OutboxItem } from "./messages.ts";
import { type Clock, OutsideFault } from "./ports.ts";

/** Waits between tries, ms: the first one, and the longest one. */
export const RETRY_FIRST_MS = 500;
export const RETRY_MOST_MS = 15_000;
/** For an urgent message where trying again cannot help unless a person does something, such as inviting the bot. */
const RETRY_SLOW_MS = 60_000;
/** The longest wait that a chat may ask for. */
const WAIT_MOST_MS: Readonly<Record<Lane, number>> = {
  urgent: 15_000,
  answer: 15_000,
  normal: 300_000,
  page: 15_000,
};
/** After so many tries that cannot succeed a message is given up; an urgent one only lets later ones pass. */
const MOST_FINAL = 3;
/** After so many tries that might have succeeded, later urgent messages may pass it as well. */
const MOST_IN_FRONT = 10;
/** After so many errors that are no fault of the outside, a message is sent in its plainest form, and then once more it is set aside. */
export const MOST_ODD = 3;
/** A queue that moves again is tried this soon after the last try of what could not be delivered in it. */
const AGAIN_AFTER_MS = 5_000;

interface Tried {
  readonly queue: string;
  tries: number;
  /** Tries whose fault says that the same call cannot succeed. */
  finals: number;
  /** Tries that ended in an error that is no fault of the outside. */
  odd: number;
  /** Steady ms. */
  lastAt: number;
  notBefore: number;
  mayBePassed: boolean;
  /** The generation that is not sent any more. */
  aside: number | undefined;
}

export class Tries {
  readonly #clock: Clock;
  readonly #byId = new Map<number, Tried>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Of these items, oldest first, those that are to be tried now: at most one of each queue, none of a busy one. Later ones wait for an earlier
   * one of their queue, unless that may be passed. `inMs`: when to look again, if nothing else happens before.
   */
  due(items: readonly OutboxItem[], busy: ReadonlySet<string>, idleMs: number) {
    const now = this.#clock.now().steady;
    const closed = new Set(busy);
    const due: OutboxItem[] = [];
    let inMs = idleMs;
    for (const item of items) {
      const queue = queueOf(item);
      if (closed.has(queue)) continue;
      const tried = this.#byId.get(item.id);
      const leftMs = tried === undefined ? 0 : tried.notBefore - now;
      if (leftMs <= 0) due.push(item);
      else inMs = Math.min(inMs, leftMs);
      if (leftMs <= 0 || tried?.mayBePassed !== true) closed.add(queue);
    }
    return { due, inMs };
  }

  /** Takes note of a failed try. True: it is not to be sent any more, only marked in the journal. */
  failed(item: OutboxItem, error: unknown): boolean {
    const tried = this.#of(item);
    const fault = error instanceof OutsideFault ? error : undefined;
    if (fault === undefined) tried.odd += 1;
    else if (!fault.recoverable) tried.finals += 1;
    const isUrgent = item.lane === "urgent" || item.lane === "page";
    const isHopeless = tried.finals >= MOST_FINAL;
    const old = this.#clock.now().wall - item.wall >= DAY;
    if (tried.odd > MOST_ODD || (isHopeless && (!isUrgent || old))) {
      tried.aside = item.generation;
      tried.mayBePassed = true;
      return true;
    }
    tried.mayBePassed = isUrgent && (isHopeless || tried.tries >= MOST_IN_FRONT);
    const most = isHopeless ? RETRY_SLOW_MS : RETRY_MOST_MS;
    this.#wait(tried, waitMs(this.#clock, error, tried.tries, most, WAIT_MOST_MS[item.lane]));
    return false;
  }

  /** The journal could not be told of a delivery. */
  unrecorded(item: OutboxItem): void {
    const tried = this.#of(item);
    this.#wait(tried, backoffMs(this.#clock, tried.tries, RETRY_FIRST_MS, RETRY_MOST_MS));
  }

  /** It is delivered: its tries are forgotten. True when its queue moves again, so that what waits for it may be tried soon. */
  delivered(item: OutboxItem): boolean {
    const wasAside = this.isAside(item);
    this.#byId.delete(item.id);
    if (wasAside) return false;
    const queue = queueOf(item);
    let isWaitedFor = false;
    for (const tried of this.#byId.values()) {
      if (tried.queue !== queue || !tried.mayBePassed) continue;
      tried.notBefore = Math.min(tried.notBefore, tried.lastAt + AGAIN_AFTER_MS);
      isWaitedFor = true;
    }
    return isWaitedFor;
  }

  isAside(item: OutboxItem): boolean {
    return this.#byId.get(item.id)?.aside === item.generation;
  }

  /** Whether showing it in full failed too often for a reason that is not outside. */
  isToBePlain({ id }: OutboxItem): boolean {
    return (this.#byId.get(id)?.odd ?? 0) >= MOST_ODD;
  }

  /** Whether one more fault that cannot pass shows that its edit is hopeless. */
  isLastEdit({ id }: OutboxItem): boolean {
    return (this.#byId.get(id)?.finals ?? 0) >= MOST_FINAL - 1;
  }

  #wait(tried: Tried, ms: number): void {
    const now = this.#clock.now().steady;
    tried.tries += 1;
    tried.lastAt = now;
    tried.notBefore = now + ms;
  }

  #of(item: OutboxItem): Tried {
    const known = this.#byId.get(item.id);
    if (known !== undefined) return known;
    const made: Tried = {
      queue: queueOf(item),
      tries: 0,
      finals: 0,
      odd: 0,
      lastAt: 0,
      notBefore: 0,
      mayBePassed: false,
      aside: undefined,
    };
    this.#byId.set(item.id, made);
    return made;
  }
}

/** Ms until the next try after so many failed ones before this: as long as the chat asks for, within `askedMostMs`, else a backoff up to `mostMs`. */
export function waitMs(
  clock: Clock,
  error: unknown,
  tries: number,
  mostMs: number,
  askedMostMs: number,
): number {
  const asked = error instanceof OutsideFault ? error.retryAfterMs : undefined;
  if (asked !== undefined && asked > 0) return Math.min(asked, askedMostMs);
  return backoffMs(clock, tries, RETRY_FIRST_MS, mostMs);
}

/**
 * The queue in which an item keeps its order: urgent messages their channel, cards and notes their run within it, so that a new card does not wait for the
 * last edits of an older one. Answers, pages and posts are independent of each other.
 */
export function queueOf({ body, key, lane }: OutboxItem): string {
  if (body.kind === "answer" || body.kind === "page") return key;
  if (body.kind === "change") return "changes";
  if (body.kind === "post") return `${body.channel} ${key}`;
  return lane === "urgent" ? body.channel : `${body.channel} ${body.run}`;
}
