/** Delivers what was announced: each lane in order and on its own, so that no cosmetic message holds up an urgent one, and nothing here holds up a rollback. */
import { backoffMs, type Bell, createBell, messageOf, sleep } from "./concurrency.ts";
import { type Chat, type Clock, type Journal, type Lane, type Log, OutsideFault, type OutboxItem, type RunView } from "./ports.ts";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
/** A cosmetic lane waits this long at most for more changes before it edits the card. */
const IDLE_MS = 30_000;
/** An item that can never be delivered is given up, with a log record. */
const MOST_ATTEMPTS_UNRECOVERABLE = 3;

export interface OutboxDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly chat: Chat;
  readonly log: Log;
  readonly view: (run: string, withEvents: boolean) => Promise<RunView | undefined>;
}

export interface Outbox {
  /** New items may be pending. */
  kick(): void;
  /** Ms since the oldest undelivered urgent item was queued; 0 when none waits. */
  darkForMs(): number;
  run(): Promise<void>;
  stop(): void;
}

const LANES: readonly Lane[] = ["urgent", "answer", "normal"];

export function createOutbox(deps: OutboxDeps): Outbox {
  const { clock, journal, log } = deps;
  const bells = new Map<Lane, Bell>(LANES.map((lane) => [lane, createBell(clock)]));
  let stopped = false;
  let oldestUrgent: number | undefined;

  async function pendingOf(lane: Lane): Promise<readonly OutboxItem[]> {
    const items = (await journal.pending()).filter((item) => item.lane === lane);
    if (lane === "urgent") oldestUrgent = items[0]?.wall;
    return items;
  }

  /** True when the item is settled: delivered, or given up for good. */
  async function deliver(item: OutboxItem): Promise<boolean> {
    const { body } = item;
    const view = body.kind === "answer" ? undefined : await deps.view(body.run, body.kind === "alert");
    const known = await journal.refOf(item.key);
    try {
      if (body.kind !== "answer" && body.kind !== "note" && known !== undefined && view !== undefined) {
        await deps.chat.update(known, item, view);
        await journal.delivered(item, known);
        return true;
      }
      if (known !== undefined && body.kind === "note") {
        await journal.delivered(item, known);
        return true;
      }
      const thread = body.kind === "note" ? await journal.refOf(`card:${body.run}`) : undefined;
      await journal.attempted(item.id);
      const ref = await deps.chat.post(item, view, thread);
      await journal.delivered(item, ref);
      return true;
    } catch (error) {
      const final = error instanceof OutsideFault && !error.recoverable;
      log.warn("a message was not delivered", { key: item.key, attempts: item.attempts + 1, error: messageOf(error), final });
      if (final && item.attempts + 1 >= MOST_ATTEMPTS_UNRECOVERABLE) {
        log.error("a message is given up", { key: item.key, error: messageOf(error) });
        await journal.delivered(item, undefined);
        return true;
      }
      const wait = error instanceof OutsideFault ? error.retryAfterMs : undefined;
      await sleep(clock, wait ?? backoffMs(clock, item.attempts, RETRY_FIRST_MS, RETRY_MOST_MS));
      return false;
    }
  }

  async function laneLoop(lane: Lane): Promise<void> {
    while (!stopped) {
      try {
        const items = await pendingOf(lane);
        const [first] = items;
        if (first === undefined) {
          await bells.get(lane)?.wait(IDLE_MS);
          continue;
        }
        // Answers are independent of each other; everything else keeps its order.
        if (lane === "answer") await Promise.all(items.slice(0, 8).map(deliver));
        else await deliver(first);
      } catch (error) {
        log.error("the outbox stumbled", { lane, error: messageOf(error) });
        await sleep(clock, RETRY_FIRST_MS);
      }
    }
  }

  return {
    kick() {
      for (const bell of bells.values()) bell.ring();
    },
    darkForMs: () => (oldestUrgent === undefined ? 0 : Math.max(0, clock.now().wall - oldestUrgent)),
    async run() {
      await Promise.all(LANES.map(laneLoop));
    },
    stop() {
      stopped = true;
      for (const bell of bells.values()) bell.ring();
    },
  };
}
