/** The real outbox on virtual time, with a journal in memory that can go away and a chat that fails as it is told. */
import { sleep } from "../../src/engine/concurrency.ts";
import type { Lane, MessageRef, Notice, OutboxDraft, OutboxItem } from "../../src/engine/messages.ts";
import { Outbox } from "../../src/engine/outbox.ts";
import { type Chat, type Clock, type Journal, OutsideFault, type RunView } from "../../src/engine/ports.ts";
import { createDisk, journalOn } from "../simulation/journal.ts";
import { createRandom, createTimeline } from "../simulation/timeline.ts";
import { type KeptLog, keepLog } from "./slack-bot.ts";

const CALL_MS = 20;

/** One call of the chat that was applied. */
export interface Said {
  readonly how: "posted" | "edited";
  readonly at: number;
  readonly key: string;
  readonly body: Notice;
  readonly thread: MessageRef | undefined;
}

/** A chat in which each message appears once per post; `fault` says what a call is answered with instead. */
export class Room implements Chat {
  readonly said: Said[] = [];
  /** Every call, answered or not: when, for which key. */
  readonly calls: { readonly at: number; readonly key: string; readonly attempts: number }[] = [];
  /** What the call throws; `lost` has it applied all the same. */
  fault: (
    item: OutboxItem,
    how: Said["how"],
    at: number,
  ) => { readonly error: unknown; readonly lost?: boolean } | undefined = () => undefined;
  /** While true, a new message has nothing to show and does not appear. */
  isBlank = false;
  readonly #clock: Clock;
  readonly #refs = new Map<string, MessageRef>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Messages that people see, in the order in which they came. */
  posted(): readonly string[] {
    return this.said.filter((one) => one.how === "posted").map((one) => one.key);
  }

  /** When this message appeared; undefined: not yet. */
  postedAt(key: string): number | undefined {
    return this.said.find((one) => one.how === "posted" && one.key === key)?.at;
  }

  triesOf(key: string): number {
    return this.calls.filter((one) => one.key === key).length;
  }

  async post(item: OutboxItem, _view: RunView | undefined, thread: MessageRef | undefined) {
    const at = this.#called(item);
    if (this.isBlank) return undefined;
    const known = item.attempts > 0 ? this.#refs.get(item.key) : undefined;
    const trouble = this.fault(item, "posted", at);
    if (known === undefined && (trouble === undefined || trouble.lost === true)) {
      this.said.push({ how: "posted", at, key: item.key, body: item.body, thread });
      this.#refs.set(item.key, { channel: "C1", ts: `${item.key}@${at}` });
    }
    await sleep(this.#clock, CALL_MS);
    if (trouble !== undefined) throw trouble.error;
    return item.body.kind === "answer" ? undefined : this.#refs.get(item.key);
  }

  async update(ref: MessageRef, item: OutboxItem): Promise<void> {
    const at = this.#called(item);
    const trouble = this.fault(item, "edited", at);
    await sleep(this.#clock, CALL_MS);
    if (trouble !== undefined) throw trouble.error;
    this.said.push({ how: "edited", at, key: item.key, body: item.body, thread: ref });
  }

  #called(item: OutboxItem): number {
    const at = this.#clock.now().steady;
    this.calls.push({ at, key: item.key, attempts: item.attempts });
    return at;
  }
}

export interface OutboxBench {
  readonly outbox: Outbox;
  readonly room: Room;
  readonly journal: Journal;
  readonly log: KeptLog;
  /** Which events of which run were asked of the journal for a message: from this number on; undefined: from the first. */
  readonly read: { readonly run: string; readonly from: number | undefined }[];
  /** While true, every call of the journal fails. */
  away: boolean;
  readonly now: () => number;
  /** Queues messages in the journal and says so. */
  queue(...drafts: readonly OutboxDraft[]): Promise<void>;
  /** Lets virtual time pass, ms. */
  pass(ms: number): Promise<void>;
}

/** Starts the outbox; `view` is every run as it is now. */
export function startOutbox(view: RunView): OutboxBench {
  const timeline = createTimeline(0);
  const random = createRandom(7);
  const clock: Clock = {
    now: () => ({ steady: timeline.now(), wall: timeline.now() }),
    random: random.next,
    after: (ms, act) => {
      let isOn = true;
      timeline.after(ms, () => isOn && act());
      return () => {
        isOn = false;
      };
    },
  };
  const log = keepLog();
  const room = new Room(clock);
  const read: { readonly run: string; readonly from: number | undefined }[] = [];
  const journal = journalOn(createDisk(), async (_name, transaction) => {
    if (bench.away) throw new OutsideFault("journal: gone", { recoverable: true });
    return transaction();
  });
  const outbox = new Outbox({
    clock,
    journal,
    chat: room,
    log,
    view: async (run, withEvents, from) => {
      if (withEvents) read.push({ run, from });
      return view;
    },
    liveView: () => view,
    openRuns: () => [],
    refreshMs: 3_600_000,
  });
  const bench: OutboxBench = {
    outbox,
    room,
    journal,
    log,
    read,
    away: false,
    now: () => timeline.now(),
    async queue(...drafts) {
      await journal.answer("queue", drafts);
      outbox.kick();
    },
    async pass(ms) {
      // What was just begun sets its timers first.
      await new Promise<void>((resolve) => setImmediate(resolve));
      const until = timeline.now() + ms;
      let isOver = false;
      timeline.after(ms, () => {
        isOver = true;
      });
      await timeline.run(until, () => isOver);
    },
  };
  void outbox.run();
  return bench;
}

const draft = (key: string, lane: Lane, body: Notice, wall: number): OutboxDraft => ({
  run: "r-7",
  key,
  lane,
  body,
  wall,
});

export const alertDraft = (seq: number, channel = "#ops", wall = 0): OutboxDraft =>
  draft(
    `alert:r-7:rollback:${seq}`,
    "urgent",
    { kind: "alert", run: "r-7", channel, seq, about: "rollback" },
    wall,
  );

export const cardDraft = (wall = 0): OutboxDraft =>
  draft("card:r-7", "normal", { kind: "card", run: "r-7", channel: "#ops" }, wall);

export const noteDraft = (seq: number, channel = "#ops", wall = 0): OutboxDraft =>
  draft(`note:r-7:held:${seq}`, "normal", { kind: "note", run: "r-7", channel, seq, text: "held" }, wall);

export const answerDraft = (name: string, wall = 0): OutboxDraft =>
  draft(
    `answer:${name}`,
    "answer",
    {
      kind: "answer",
      replyTo: { kind: "slack_mention", user: "U1", channel: "C1" },
      answer: { ok: true, code: "shown", text: `the answer ${name}`, lines: ["a line"], offers: [] },
    },
    wall,
  );

/** Faults of a chat, as an adapter tells them. */
export const FAULTS = {
  down: new OutsideFault("Slack does not answer", { recoverable: true }),
  notInChannel: new OutsideFault("Belay is not in #ops", { recoverable: false }),
  limited: (ms: number) => new OutsideFault("Slack asks to wait", { recoverable: true, retryAfterMs: ms }),
} as const;
