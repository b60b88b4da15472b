/** A chat that is away at times, refuses messages, and takes some of those that it refuses. */
import { sleep } from "../../src/engine/concurrency.ts";
import type { MessageRef, OutboxItem } from "../../src/engine/messages.ts";
import { type Chat, type Clock, OutsideFault } from "../../src/engine/ports.ts";
import { isWithin, type Scenario } from "./scenario.ts";
import type { Random, Timeline } from "./timeline.ts";

/** Makes one call of a process, which may die on it. */
export type Call = <T>(act: () => Promise<T>) => Promise<T>;

export class Channel {
  readonly #scenario: Scenario;
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #onPosted: (key: string) => void;
  /** Keys of the messages that people see. */
  readonly #shown = new Set<string>();

  /** `onPosted` is told the key of every message that appears. */
  constructor(scenario: Scenario, timeline: Timeline, random: Random, onPosted: (key: string) => void) {
    this.#scenario = scenario;
    this.#timeline = timeline;
    this.#random = random;
    this.#onPosted = onPosted;
  }

  /** The chat as one process reaches it. */
  port(call: Call, clock: Clock): Chat {
    return {
      post: (item) => call(() => this.#post(item, clock)),
      update: () => call(() => this.#update(clock)),
    };
  }

  async #post(item: OutboxItem, clock: Clock): Promise<MessageRef | undefined> {
    if (item.attempts > 0 && this.#shown.has(item.key)) return { channel: "C1", ts: item.key };
    const fails = this.#isInTrouble();
    const appears = !fails || this.#random.chance(0.4);
    if (appears) {
      this.#shown.add(item.key);
      this.#onPosted(item.key);
    }
    await sleep(clock, this.#random.between(1, 300));
    if (fails) throw unavailable();
    return item.body.kind === "answer" ? undefined : { channel: "C1", ts: item.key };
  }

  async #update(clock: Clock): Promise<void> {
    const fails = this.#isInTrouble();
    await sleep(clock, this.#random.between(1, 200));
    if (fails) throw unavailable();
  }

  #isInTrouble(): boolean {
    const { chatOutages, chatFaults, calmAt } = this.#scenario;
    const now = this.#timeline.now();
    return isWithin(chatOutages, now) || (now < calmAt && this.#random.chance(chatFaults));
  }
}

function unavailable(): OutsideFault {
  return new OutsideFault("chat: unavailable", { recoverable: true });
}
