/** Editing messages in place: one edit at a time for each message, at most one a second, never an older view over a newer one, and nothing that changes nothing. */
import { Bucket, sleep } from "./pace.ts";

/** One edit. */
export interface Edit {
  readonly key: string;
  /** The message as it will be sent, byte for byte. */
  readonly bytes: string;
  /** When the view was taken (steady ms); a later view wins. */
  readonly takenAt: number;
  /** Only figures moved: left out when there is no room. */
  readonly isRefresh: boolean;
  readonly isUrgent: boolean;
  readonly send: () => Promise<void>;
}

interface Shown {
  bytes: string | undefined;
  takenAt: number;
  sentAt: number;
  /** Edits that are waiting or under way. */
  busy: number;
  turn: Promise<void>;
}

const BETWEEN_EDITS_MS = 1_000;
const MESSAGES_KEPT = 1_000;
/** Slack takes about 50 edits a minute from the whole app; the rest is left to urgent ones. */
const EDITS_PER_SECOND = 0.5;
const EDITS_AT_ONCE = 12;
/** Left over by refreshes for edits that tell something. */
const LEFT_BY_REFRESHES = 6;

export class Edits {
  readonly #stopped: AbortSignal;
  readonly #shown = new Map<string, Shown>();
  readonly #bucket = new Bucket({ capacity: EDITS_AT_ONCE, perSecond: EDITS_PER_SECOND });

  constructor(stopped: AbortSignal) {
    this.#stopped = stopped;
  }

  /** Remembers what a new message shows. */
  posted(key: string, bytes: string, takenAt: number): void {
    const shown = this.#of(key);
    shown.bytes = bytes;
    shown.takenAt = takenAt;
    shown.sentAt = performance.now();
  }

  /** Sends the edit in its turn, or finds that it is not needed. Rejects as `send` does. */
  async edit(edit: Edit): Promise<void> {
    const shown = this.#of(edit.key);
    if (edit.isRefresh && !this.#hasRoomFor(shown)) return;
    shown.busy += 1;
    const mine = shown.turn.then(() => this.#send(shown, edit));
    shown.turn = mine.catch(() => undefined);
    try {
      await mine;
    } finally {
      shown.busy -= 1;
    }
  }

  #hasRoomFor(shown: Shown): boolean {
    return (
      shown.busy === 0 &&
      performance.now() - shown.sentAt >= BETWEEN_EDITS_MS &&
      this.#bucket.waitMs(LEFT_BY_REFRESHES) === 0
    );
  }

  async #send(shown: Shown, edit: Edit): Promise<void> {
    if (edit.takenAt < shown.takenAt && shown.bytes !== undefined) return;
    if (edit.bytes === shown.bytes) {
      shown.takenAt = edit.takenAt;
      return;
    }
    const rest = shown.sentAt + BETWEEN_EDITS_MS - performance.now();
    if (rest > 0) await sleep(rest, this.#stopped);
    if (!edit.isUrgent)
      for (let wait = this.#bucket.waitMs(); wait > 0; wait = this.#bucket.waitMs())
        await sleep(wait, this.#stopped);
    this.#bucket.take();
    // Until the answer is here, nobody knows what the message shows.
    shown.bytes = undefined;
    shown.sentAt = performance.now();
    await edit.send();
    shown.bytes = edit.bytes;
    shown.takenAt = edit.takenAt;
  }

  #of(key: string): Shown {
    const known = this.#shown.get(key);
    if (known !== undefined) return known;
    if (this.#shown.size >= MESSAGES_KEPT) this.#forgetOldest();
    const made: Shown = {
      bytes: undefined,
      takenAt: Number.NEGATIVE_INFINITY,
      sentAt: Number.NEGATIVE_INFINITY,
      busy: 0,
      turn: Promise.resolve(),
    };
    this.#shown.set(key, made);
    return made;
  }

  #forgetOldest(): void {
    for (const [key, shown] of this.#shown) {
      if (shown.busy > 0) continue;
      this.#shown.delete(key);
      return;
    }
  }
}
