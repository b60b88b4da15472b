/** One thing that Slack delivered, and its acknowledgement: sent once, when the command is safe in the journal. */
import type { App, ReceiverEvent } from "@slack/bolt";
import { type Log, messageOfFault } from "../../engine/ports.ts";

/** Under this name Bolt hands the delivery on to the listeners. */
export const DELIVERY = "belayDelivery";

/** What may be said in an acknowledgement; Slack shows it to the person alone. */
export type AckBody = Readonly<Record<string, unknown>>;

export class Delivery {
  readonly #arrivedAt = performance.now();
  readonly #send: (body: AckBody | undefined) => Promise<void>;
  readonly #onAck: ((ms: number) => void) | undefined;
  readonly #log: Log;
  #isAcked = false;

  constructor(options: {
    readonly send: (body: AckBody | undefined) => Promise<void>;
    readonly log: Log;
    readonly onAck: ((ms: number) => void) | undefined;
  }) {
    this.#send = options.send;
    this.#log = options.log;
    this.#onAck = options.onAck;
  }

  get isAcked(): boolean {
    return this.#isAcked;
  }

  /** Acknowledges; a second time does nothing. Never rejects: what was decided stands, even when Slack no longer hears of it. */
  async ack(body?: AckBody): Promise<void> {
    if (this.#isAcked) return;
    this.#isAcked = true;
    try {
      await this.#send(body);
      this.#onAck?.(performance.now() - this.#arrivedAt);
    } catch (error) {
      this.#log.info("an acknowledgement could not be sent", { error: messageOfFault(error) });
    }
  }
}

/**
 * Passes a delivery through Bolt to the listeners. Bolt acknowledges events before any listener runs, which would be before the journal knows
 * of them; so Bolt's own acknowledgement does nothing, and the listeners use the delivery's.
 */
export async function passThrough(
  app: App,
  delivery: Delivery,
  body: ReceiverEvent["body"],
  log: Log,
): Promise<void> {
  try {
    await app.processEvent({
      body,
      ack: async () => undefined,
      customProperties: { [DELIVERY]: delivery },
    });
  } catch (error) {
    log.error("a delivery from Slack failed inside", { error: messageOfFault(error) });
    return;
  }
  // Nobody listens to this kind: Slack need not send it again.
  await delivery.ack();
}
