/** Delivers what was announced: each lane and each queue in it on its own, so that no message holds up one elsewhere, and nothing here holds up a rollback. */
import { type Bell, createBell, sleep } from "./concurrency.ts";
import type { Lane, MessageRef, OutboxDraft, OutboxItem } from "./messages.ts";
import { plainly } from "./plain.ts";
import {
  type Chat,
  type Clock,
  type Journal,
  type Log,
  messageOfFault,
  OutsideFault,
  type RunView,
} from "./ports.ts";
import { queueOf, RETRY_FIRST_MS, Tries } from "./tries.ts";
import { Unjournaled } from "./unjournaled.ts";

/** With nothing pending, a lane sleeps until it is rung, or this long. */
const IDLE_MS = 30_000;
const ANSWERS_AT_ONCE = 8;

export interface OutboxDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly chat: Chat;
  readonly log: Log;
  /** A run as it is now; with its events from the number `fromSeq` on, or none. */
  readonly view: (run: string, withEvents: boolean, fromSeq?: number) => Promise<RunView | undefined>;
  /** The same from memory alone, with its newest events. */
  readonly liveView: (run: string) => RunView | undefined;
  /** Runs whose card shows moving figures. */
  readonly openRuns: () => readonly string[];
  /** How often a card's figures are brought up to date when nothing else changes, ms. */
  readonly refreshMs: number;
}

const LANES: readonly Lane[] = ["page", "urgent", "answer", "normal"];

/** A delivery under way; its promise never rejects. */
interface Delivery {
  readonly item: OutboxItem;
  readonly done: Promise<void>;
}

export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #bells: ReadonlyMap<Lane, Bell>;
  readonly #refreshBell: Bell;
  readonly #tries: Tries;
  readonly #unjournaled: Unjournaled;
  /** By key. */
  readonly #underWay = new Map<string, Delivery>();
  /** What was pending when this process began: an earlier one may have sent it. */
  #inherited: ReadonlySet<number> | undefined;
  #stopped = false;
  /** When each urgent message that waits was queued first, wall ms, by key. */
  #waiting = new Map<string, number>();

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
    this.#bells = new Map<Lane, Bell>(LANES.map((lane) => [lane, createBell(deps.clock)]));
    this.#refreshBell = createBell(deps.clock);
    this.#tries = new Tries(deps.clock);
    this.#unjournaled = new Unjournaled(deps);
  }

  /** New items may be pending. */
  kick(): void {
    for (const bell of this.#bells.values()) bell.ring();
  }

  /** Since when (wall ms) the oldest undelivered urgent item has been queued; undefined when none waits. */
  darkSince(): number | undefined {
    const unjournaled = this.#unjournaled.oldestUrgent();
    const walls = [...this.#waiting.values(), ...(unjournaled === undefined ? [] : [unjournaled])];
    return walls.length === 0 ? undefined : Math.min(...walls);
  }

  async run(): Promise<void> {
    await Promise.all([...LANES.map((lane) => this.#laneLoop(lane)), this.#refreshLoop()]);
  }

  stop(): void {
    this.#stopped = true;
    this.kick();
    this.#refreshBell.ring();
    this.#unjournaled.stop();
  }

  /**
   * Sends urgent messages and answers that the journal could not take. They are queued as well and come again under the same keys when the journal
   * is back; what was sent here is remembered, so that they are then edited and not posted a second time.
   */
  sendNow(drafts: readonly OutboxDraft[]): void {
    for (const draft of drafts)
      if (draft.lane !== "normal") this.#unjournaled.send(draft, this.#underWay.get(draft.key)?.done);
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
        const waitMs = await this.#round(lane);
        await this.#bells.get(lane)?.wait(waitMs);
      } catch (error) {
        log.error("the outbox stumbled", { lane, error: messageOfFault(error) });
        await sleep(clock, RETRY_FIRST_MS);
      }
    }
  }

  /** Begins every delivery of a lane that is due; ms until the next one is, unless the lane is rung before. */
  async #round(lane: Lane): Promise<number> {
    // Taken before the journal is asked: what is delivered meanwhile may still look pending.
    const busy = new Set(
      [...this.#underWay.values()].filter(({ item }) => item.lane === lane).map(({ item }) => queueOf(item)),
    );
    const { due, inMs } = this.#tries.due(await this.#pendingOf(lane), busy, IDLE_MS);
    if (this.#stopped) return 0;
    for (const item of lane === "answer" ? due.slice(0, ANSWERS_AT_ONCE - busy.size) : due) this.#begin(item);
    return inMs;
  }

  #begin(item: OutboxItem): void {
    const done = this.#deliver(item).then((isWaitedFor) => {
      this.#underWay.delete(item.key);
      if (isWaitedFor) this.kick();
      else this.#bells.get(item.lane)?.ring();
    });
    this.#underWay.set(item.key, { item, done });
  }

  async #pendingOf(lane: Lane): Promise<readonly OutboxItem[]> {
    const all = await this.#deps.journal.pending();
    this.#inherited ??= new Set(all.map((item) => item.id));
    const items = all.filter((item) => item.lane === lane);
    if (lane === "urgent")
      this.#waiting = new Map(
        items.map(({ key, wall }) => [key, Math.min(wall, this.#waiting.get(key) ?? wall)]),
      );
    return items;
  }

  /** One try of one item; what fails stays pending. True when messages that could not be delivered may be tried again. Never rejects. */
  async #deliver(item: OutboxItem): Promise<boolean> {
    const { journal, log } = this.#deps;
    let ref: MessageRef | undefined;
    try {
      if (!this.#tries.isAside(item)) ref = await this.#send(item);
    } catch (error) {
      const fields = { key: item.key, attempts: item.attempts + 1, error: messageOfFault(error) };
      log.warn("a message was not delivered", fields);
      if (this.#tries.failed(item, error)) log.error("a message is given up", fields);
      return false;
    }
    try {
      await journal.delivered(item, ref);
    } catch (error) {
      log.warn("a delivery could not be recorded", { key: item.key, error: messageOfFault(error) });
      if (!this.#tries.isAside(item)) this.#unjournaled.remember(item, ref);
      this.#tries.unrecorded(item);
      return false;
    }
    this.#waiting.delete(item.key);
    this.#unjournaled.delivered(item, ref);
    return this.#tries.delivered(item);
  }

  /** Edits the message that this key has already, or posts it; the attempt is journaled first, so that it can be looked for after a crash. */
  async #send(item: OutboxItem): Promise<MessageRef | undefined> {
    const { journal } = this.#deps;
    const { body } = item;
    const earlier = await this.#unjournaled.takeOver(item.key);
    if (earlier === "nowhere") return undefined;
    // What this process remembers is newer than what it could record.
    const remembered = earlier === "unknown" ? undefined : earlier;
    const known = remembered ?? (await journal.refOf(item.key));
    if (known !== undefined && (body.kind === "note" || body.kind === "answer")) return known;
    // Where a message is known, only an edit that is impossible leads to a post, and that is a new one.
    const maybeSent =
      known === undefined && (earlier === "unknown" || this.#inherited?.has(item.id) === true);
    if (this.#tries.isToBePlain(item)) return this.#sendPlainly(item, known);
    const view = await this.#viewFor(item);
    const canEdit = known !== undefined && (view !== undefined || body.kind === "post");
    if (canEdit && (await this.#edited(known, item, view))) return known;
    const thread = body.kind === "note" ? await journal.refOf(`card:${body.run}`) : undefined;
    return this.#post(item, view, thread, maybeSent);
  }

  #viewFor({ body }: OutboxItem): Promise<RunView | undefined> {
    if (!("run" in body)) return Promise.resolve(undefined);
    // Nothing that came before the event of an alert is shown in it.
    return body.kind === "alert"
      ? this.#deps.view(body.run, true, body.seq)
      : this.#deps.view(body.run, false);
  }

  /** False when the message cannot be edited any more: it was deleted, or is not ours. */
  async #edited(ref: MessageRef, item: OutboxItem, view: RunView | undefined): Promise<boolean> {
    try {
      await this.#deps.chat.update(ref, item, view);
      return true;
    } catch (error) {
      const isFinal = error instanceof OutsideFault && !error.recoverable;
      if (!isFinal || !this.#tries.isLastEdit(item)) throw error;
      this.#deps.log.warn("a message cannot be edited and is posted anew", {
        key: item.key,
        error: messageOfFault(error),
      });
      return false;
    }
  }

  async #post(
    item: OutboxItem,
    view: RunView | undefined,
    thread: MessageRef | undefined,
    maybeSent: boolean,
  ): Promise<MessageRef | undefined> {
    const { chat, journal } = this.#deps;
    await journal.attempted(item.id);
    const attempts = maybeSent ? Math.max(1, item.attempts) : item.attempts;
    return chat.post({ ...item, attempts }, view, thread);
  }

  /** For a message that cannot be shown in full: its text alone. Where it stands already, that follows in its thread; a card just stays as it is. */
  async #sendPlainly(item: OutboxItem, known: MessageRef | undefined): Promise<MessageRef | undefined> {
    const { log } = this.#deps;
    const plain = plainly(item, await this.#viewFor(item).catch(() => undefined));
    if (plain === undefined || (known !== undefined && item.body.kind === "card")) {
      log.error("a message could not be shown and is left as it is", { key: item.key });
      return known;
    }
    log.error("a message could not be shown in full and is sent as text", { key: item.key });
    if (known === undefined) return this.#post(plain, undefined, undefined, true);
    await this.#post({ ...plain, key: `${item.key}:plain` }, undefined, known, true);
    return known;
  }
}
