/** Sends what the journal could not take, as long as it is gone, and remembers where messages are, so that none is posted twice. */
import { type Bell, createBell } from "./concurrency.ts";
import type { MessageRef, OutboxDraft, OutboxItem } from "./messages.ts";
import { plainly } from "./plain.ts";
import { type Chat, type Clock, type Log, messageOfFault, OutsideFault, type RunView } from "./ports.ts";
import { MOST_ODD, RETRY_MOST_MS, waitMs } from "./tries.ts";

const MOST_TRIES = 20;
/** Messages whose place is remembered. */
const PLACES_KEPT = 500;

export interface UnjournaledDeps {
  readonly clock: Clock;
  readonly chat: Chat;
  readonly log: Log;
  /** A run as it is now, from memory alone. */
  readonly liveView: (run: string) => RunView | undefined;
}

/** Where a message is. `nowhere`: it was sent and has no place to edit it at. `unknown`: it may have been sent. */
export type Place = MessageRef | "nowhere" | "unknown";

/** A message that is being sent without the journal. */
interface Sending {
  readonly draft: OutboxDraft;
  readonly bell: Bell;
  readonly done: PromiseWithResolvers<void>;
  /** The journal has it now. */
  isTaken: boolean;
  /** Things changed since its text was made. */
  isOld: boolean;
}

export class Unjournaled {
  readonly #deps: UnjournaledDeps;
  /** By key. */
  readonly #sending = new Map<string, Sending>();
  /** By key, those used last at the end. */
  readonly #places = new Map<string, Place>();
  #stopped = false;

  constructor(deps: UnjournaledDeps) {
    this.#deps = deps;
  }

  /** Sends it, or brings what was sent up to date; `underWay` is a delivery of the same message that goes first. Never rejects. */
  send(draft: OutboxDraft, underWay: Promise<void> | undefined): void {
    const known = this.#sending.get(draft.key);
    if (known !== undefined) {
      known.isOld = true;
      return;
    }
    const sending: Sending = {
      draft,
      bell: createBell(this.#deps.clock),
      done: Promise.withResolvers<void>(),
      isTaken: false,
      isOld: false,
    };
    this.#sending.set(draft.key, sending);
    void this.#insist(sending, underWay);
  }

  /** Ends the tries of this key, because the journal has it now, and says what is known of the message. */
  async takeOver(key: string): Promise<Place | undefined> {
    const sending = this.#sending.get(key);
    if (sending !== undefined) {
      sending.isTaken = true;
      sending.bell.ring();
      await sending.done.promise;
    }
    return this.#places.get(key);
  }

  /** It was sent, but the journal does not know. Of an alert that has no place nothing was to be shown as yet. */
  remember({ key, lane }: Pick<OutboxItem, "key" | "lane">, ref: MessageRef | undefined): void {
    if (ref !== undefined) this.#keep(key, ref);
    else if (lane === "answer") this.#keep(key, "nowhere");
  }

  /** The journal knows of its delivery. The place of an urgent message is kept, for when the journal is gone again. */
  delivered({ key, lane }: OutboxItem, ref: MessageRef | undefined): void {
    if (lane === "urgent" && ref !== undefined) this.#keep(key, ref);
    else this.#places.delete(key);
  }

  /** Wall ms at which the oldest urgent message was queued that is still being tried. */
  oldestUrgent(): number | undefined {
    const drafts = [...this.#sending.values()].map(({ draft }) => draft);
    const walls = drafts.filter(({ lane }) => lane === "urgent").map(({ wall }) => wall);
    return walls.length === 0 ? undefined : Math.min(...walls);
  }

  stop(): void {
    this.#stopped = true;
    for (const { bell } of this.#sending.values()) bell.ring();
  }

  #keep(key: string, place: Place): void {
    this.#places.delete(key);
    this.#places.set(key, place);
    for (const oldest of this.#places.keys()) {
      if (this.#places.size <= PLACES_KEPT) break;
      this.#places.delete(oldest);
    }
  }

  /** Tries until it is sent, the journal has it, or it was tried often enough. Never rejects. */
  async #insist(sending: Sending, underWay: Promise<void> | undefined): Promise<void> {
    await underWay;
    const { draft, bell } = sending;
    const isOver = (): boolean => sending.isTaken || this.#stopped;
    let odd = 0;
    for (let tries = 1; tries <= MOST_TRIES && !isOver(); tries += 1) {
      sending.isOld = false;
      const fault = await this.#try(draft, tries, odd >= MOST_ODD);
      if (fault === undefined && !sending.isOld) break;
      if (fault === undefined) continue;
      if (!(fault.error instanceof OutsideFault)) odd += 1;
      if (tries < MOST_TRIES && !isOver())
        await bell.wait(waitMs(this.#deps.clock, fault.error, tries - 1, RETRY_MOST_MS, RETRY_MOST_MS));
    }
    this.#sending.delete(draft.key);
    sending.done.resolve();
  }

  /** One try; what failed it, if anything. */
  async #try(
    draft: OutboxDraft,
    tries: number,
    isPlain: boolean,
  ): Promise<{ readonly error: unknown } | undefined> {
    const { key } = draft;
    try {
      this.remember(draft, await this.#once(draft, tries, isPlain));
      return undefined;
    } catch (error) {
      if (!this.#places.has(key)) this.#keep(key, "unknown");
      this.#deps.log.warn("a message was not delivered while the journal is gone", {
        key,
        tries,
        error: messageOfFault(error),
      });
      if (tries === MOST_TRIES) this.#deps.log.error("a message waits for the journal", { key });
      return { error };
    }
  }

  /** From the first try on, an earlier one may have been applied: the chat looks for the message before it posts. */
  async #once(draft: OutboxDraft, attempts: number, isPlain: boolean): Promise<MessageRef | undefined> {
    const { chat, liveView } = this.#deps;
    const item: OutboxItem = { ...draft, id: -1, generation: 1, attempts };
    const view = "run" in draft.body ? liveView(draft.body.run) : undefined;
    const place = this.#places.get(draft.key);
    if (place === "nowhere") return undefined;
    const ref = place === "unknown" ? undefined : place;
    if (isPlain) return ref ?? chat.post(plainly(item, view) ?? item, view, undefined);
    if (ref === undefined || (view === undefined && draft.body.kind !== "post"))
      return chat.post(item, view, undefined);
    await chat.update(ref, item, view);
    return ref;
  }
}
