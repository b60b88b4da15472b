/** The envelopes that were sent through sockets, and how each was acknowledged. */

import { randomUUID } from "node:crypto";
import { remember } from "./bounded.ts";
import type { Context } from "./context.ts";
import { ACK_LIMIT_MS, type Delivery, type Envelope } from "./delivery.ts";
import { isObject, parseJson, stringAt } from "./json.ts";

/** An envelope on its way. */
export interface Sent {
  readonly envelopeId: string;
  readonly delivery: Promise<Delivery>;
}

/** The book of envelopes. */
export interface AckBook {
  /**
   * Enters an envelope that is sent now, `sends` times. `isOpen` tells whether its socket is still connected: only
   * then is a missing acknowledgement the bot's fault.
   */
  enter(envelope: Envelope, sends: number, isOpen: () => boolean): Sent;
  /** Takes a frame from the bot. */
  take(frame: string): void;
  /** Ends the waiting for what is still on its way. */
  close(): void;
}

interface Entry {
  readonly envelope: Envelope;
  readonly sends: number;
  readonly sentAtMs: number;
  readonly settle: (delivery: Delivery) => void;
  acks: number;
  settled: boolean;
}

/** Envelopes remembered for late acknowledgements. */
const KEPT = 10_000;

/** Makes an empty book. */
export function createAckBook(context: Context): AckBook {
  const { record, clock } = context;
  const entries = new Map<string, Entry>();

  function giveUp(envelopeId: string, entry: Entry, isOpen: () => boolean): void {
    const { type, what } = entry.envelope;
    entry.settled = true;
    record.ack({ envelopeId, type, what, ackMs: undefined, result: "timeout" });
    if (isOpen()) record.violate("ack_late", `${what} was not acknowledged in ${ACK_LIMIT_MS} ms`);
    entry.settle({ kind: "timeout" });
  }

  return {
    enter(envelope, sends, isOpen) {
      const envelopeId = randomUUID();
      const delivery = new Promise<Delivery>((resolve) => {
        const settle = (result: Delivery): void => {
          cancel();
          resolve(result);
        };
        const entry: Entry = {
          envelope,
          sends,
          sentAtMs: performance.now(),
          settle,
          acks: 0,
          settled: false,
        };
        const cancel = clock.after(ACK_LIMIT_MS, () => giveUp(envelopeId, entry, isOpen));
        remember(entries, envelopeId, entry, KEPT);
      });
      return { envelopeId, delivery };
    },
    take(text) {
      const frame = parseJson(text);
      const envelopeId = stringAt(frame, "envelope_id") ?? "";
      const entry = entries.get(envelopeId);
      if (entry === undefined) {
        record.violate("ack_unknown_envelope", `no such envelope: ${envelopeId || text.slice(0, 80)}`);
        return;
      }
      const { type, what } = entry.envelope;
      entry.acks += 1;
      if (entry.acks > entry.sends)
        record.violate("ack_twice", `${what} was acknowledged more often than sent`);
      if (entry.acks > 1) return;
      const ackMs = performance.now() - entry.sentAtMs;
      record.ack({ envelopeId, type, what, ackMs, result: entry.settled ? "late" : "acked" });
      if (entry.settled) return;
      entry.settled = true;
      entry.settle({ kind: "acked", ackMs, body: isObject(frame) ? frame.payload : undefined });
    },
    close() {
      for (const entry of entries.values()) {
        if (!entry.settled) entry.settle({ kind: "undeliverable", why: "the workspace has stopped" });
        entry.settled = true;
      }
    },
  };
}
