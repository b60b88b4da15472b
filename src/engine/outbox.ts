/** Delivers what was announced: each lane in order and on its own, so that no cosmetic message holds up an urgent one, and nothing here holds up a rollback. */
import { type Bell, backoffMs, createBell, sleep } from "./concurrency.ts";
import {
  type Chat,
  type Clock,
  type Journal,
  type Lane,
  type Log,
  type MessageRef,
  messageOfFault,
  type OutboxDraft,
  type OutboxItem,
  OutsideFault,
  type RunView,
} from "./ports.ts";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
/** With nothing pending, a lane sleeps until it is rung, or this long. */
const IDLE_MS = 30_000;
const ANSWERS_AT_ONCE = 8;
/** Stands for a message that was sent and has no place to edit it at. */
const SENT: MessageRef = { channel: "", ts: "" };
/** An item that can never be delivered is given up, with a log record. */
const MOST_ATTEMPTS_UNRECOVERABLE = 3;

export interface OutboxDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly chat: Chat;
  readonly log: Log;
  readonly view: (run: string, withEvents: boolean) => Promise<RunView | undefined>;
  /** The same from memory alone, with its newest events. */
  readonly liveView: (run: string) => RunView | undefined;
  /** Runs whose card shows moving figures. */
  readonly openRuns: () => readonly string[];
  /** How often a card's figures are brought up to date when nothing else changes, ms. */
  readonly refreshMs: number;
}

const LANES: readonly Lane[] = ["urgent", "answer", "normal"];

export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #bells: ReadonlyMap<Lane, Bell>;
  readonly #refreshBell: Bell;
  /** What was sent while the journal was gone, by key. */
  readonly #sentWithout = new Map<string, Promise<MessageRef | "unknown">>();
  /** What was pending when this process began: an earlier one may have sent it. */
  #inherited: ReadonlySet<number> | undefined;
  #stopped = false;
  #oldestUrgent: number | undefined;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
    this.#bells = new Map<Lane, Bell>(LANES.map((lane) => [lane, createBell(deps.clock)]));
    this.#refreshBell = createBell(deps.clock);
  }

  /** New items may be pending. */
  kick(): void {
    for (const bell of this.#bells.values()) bell.ring();
  }

  /** Ms since the oldest undelivered urgent item was queued; 0 when none waits. */
  darkForMs(): number {
    return this.#oldestUrgent === undefined
      ? 0
      : Math.max(0, this.#deps.clock.now().wall - this.#oldestUrgent);
  }

  async run(): Promise<void> {
    await Promise.all([...LANES.map((lane) => this.#laneLoop(lane)), this.#refreshLoop()]);
  }

  stop(): void {
    this.#stopped = true;
    this.kick();
    this.#refreshBell.ring();
  }

  /** Brings the figures of open cards up to date. Cosmetic: what fails is simply tried at the next round. */
  async #refreshLoop(): Promise<void> {
    const { clock, chat, journal, log, openRuns, refreshMs, view } = this.#deps;
    while (!this.#stopped) {
      await this.#refreshBell.wait(refreshMs);
      for (const run of this.#stopped ? [] : openRuns()) {
        try {
          const key = `card:${run}`;
          const ref = await journal.refOf(key);
          const shown = ref === undefined ? undefined : await view(run, false);
          if (ref === undefined || shown === undefined) continue;
          const body = { kind: "card" as const, run, channel: ref.channel };
          const item: OutboxItem = {
            id: 0,
            run,
            key,
            lane: "normal",
            generation: 0,
            attempts: 0,
            body,
            wall: clock.now().wall,
          };
          await chat.update(ref, item, shown);
        } catch (error) {
          log.info("a card was not refreshed", { run, error: messageOfFault(error) });
        }
      }
    }
  }

  async #laneLoop(lane: Lane): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#stopped) {
      try {
        const items = await this.#pendingOf(lane);
        // Answers are independent of each other; everything else keeps its order within its channel.
        const now = lane === "answer" ? items.slice(0, ANSWERS_AT_ONCE) : firstOfEachChannel(items);
        if (now.length === 0) await this.#bells.get(lane)?.wait(IDLE_MS);
        else await Promise.all(now.map((item) => this.#deliver(item)));
      } catch (error) {
        log.error("the outbox stumbled", { lane, error: messageOfFault(error) });
        await sleep(clock, RETRY_FIRST_MS);
      }
    }
  }

  async #pendingOf(lane: Lane): Promise<readonly OutboxItem[]> {
    const all = await this.#deps.journal.pending();
    this.#inherited ??= new Set(all.map((item) => item.id));
    const items = all.filter((item) => item.lane === lane);
    if (lane === "urgent") this.#oldestUrgent = items[0]?.wall;
    return items;
  }

  /**
   * Sends urgent messages and answers that the journal could not take, once and without it. They are queued as well and come again under the same
   * keys when the journal is back; what was sent here is remembered, so that they are then edited and not posted a second time.
   */
  sendNow(drafts: readonly OutboxDraft[]): void {
    for (const draft of drafts) {
      if (draft.lane === "normal" || this.#sentWithout.has(draft.key)) continue;
      const item: OutboxItem = { ...draft, id: 0, generation: 0, attempts: 1 };
      const sent = this.#sendWithout(item).catch((error: unknown) => {
        this.#deps.log.warn("a message was not delivered while the journal is gone", {
          key: item.key,
          error: messageOfFault(error),
        });
        return "unknown" as const;
      });
      this.#sentWithout.set(draft.key, sent);
    }
  }

  async #sendWithout(item: OutboxItem): Promise<MessageRef> {
    const { body } = item;
    const view = body.kind === "answer" ? undefined : this.#deps.liveView(body.run);
    return (await this.#deps.chat.post(item, view, undefined)) ?? SENT;
  }

  /** One try of one item; what fails stays pending. */
  async #deliver(item: OutboxItem): Promise<void> {
    const { clock, journal, log } = this.#deps;
    try {
      await journal.delivered(item, await this.#send(item));
    } catch (error) {
      const final = error instanceof OutsideFault && !error.recoverable;
      log.warn("a message was not delivered", {
        key: item.key,
        attempts: item.attempts + 1,
        error: messageOfFault(error),
        final,
      });
      if (final && item.attempts + 1 >= MOST_ATTEMPTS_UNRECOVERABLE) {
        log.error("a message is given up", { key: item.key, error: messageOfFault(error) });
        await journal.delivered(item, undefined);
        return;
      }
      const wait = error instanceof OutsideFault ? error.retryAfterMs : undefined;
      await sleep(clock, wait ?? backoffMs(clock, item.attempts, RETRY_FIRST_MS, RETRY_MOST_MS));
    }
  }

  /** Edits the message that this key has already, or posts it; the attempt is journaled first, so that it can be looked for after a crash. */
  async #send(item: OutboxItem): Promise<MessageRef | undefined> {
    const { chat, journal } = this.#deps;
    const { body } = item;
    const earlier = await this.#sentWithout.get(item.key);
    if (earlier === SENT) return undefined;
    const known = (await journal.refOf(item.key)) ?? (earlier === "unknown" ? undefined : earlier);
    if (known !== undefined && (body.kind === "note" || body.kind === "answer")) return known;
    const view = body.kind === "answer" ? undefined : await this.#deps.view(body.run, body.kind === "alert");
    if (known !== undefined && view !== undefined) {
      await chat.update(known, item, view);
      return known;
    }
    const thread = body.kind === "note" ? await journal.refOf(`card:${body.run}`) : undefined;
    await journal.attempted(item.id);
    const maybeSent = this.#sentWithout.has(item.key) || this.#inherited?.has(item.id) === true;
    const attempts = maybeSent ? Math.max(1, item.attempts) : item.attempts;
    return chat.post({ ...item, attempts }, view, thread);
  }
}

/** The oldest item of each channel. */
function firstOfEachChannel(items: readonly OutboxItem[]): readonly OutboxItem[] {
  const firsts = new Map<string, OutboxItem>();
  for (const item of items) {
    const channel = item.body.kind === "answer" ? item.key : item.body.channel;
    if (!firsts.has(channel)) firsts.set(channel, item);
  }
  return [...firsts.values()];
}
