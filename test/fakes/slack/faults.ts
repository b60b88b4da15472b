/** Faults that a test asks for: they strike the next calls or deliveries that match, then are gone. */

import type { EnvelopeType } from "./model.ts";

/** What shall go wrong, where, and how often (`times`, 1 unless said otherwise). */
export type Fault = {
  /** A Web API method, `response_url`, or `*` for every Web API method. */
  readonly on: string;
  readonly times?: number;
} & FaultKind;

/** The kinds of fault. */
export type FaultKind =
  /** 429 with `Retry-After: retryAfterS`. */
  | { readonly kind: "ratelimited"; readonly retryAfterS: number }
  /** A 500 with an HTML page; nothing is applied. */
  | { readonly kind: "http500" }
  /** No answer at all; nothing is applied. */
  | { readonly kind: "hang" }
  /** Applied, then the connection is cut before the answer. */
  | { readonly kind: "applied_reply_lost" }
  /** Applied and answered, `ms` late (real time). */
  | { readonly kind: "slow"; readonly ms: number }
  /** Refused with this error code of Slack's. */
  | { readonly kind: "error"; readonly code: string };

/** The faults that are still to strike. */
export interface Faults {
  inject(fault: Fault): void;
  /** Takes the oldest fault that matches the method. */
  take(method: string): FaultKind | undefined;
  /** The next delivery of this type is sent twice, byte for byte. */
  duplicateNext(type: EnvelopeType): void;
  takeDuplicate(type: EnvelopeType): boolean;
  clear(): void;
}

/** Makes a list without faults. */
export function createFaults(): Faults {
  const faults: { readonly fault: Fault; left: number }[] = [];
  const duplicates: EnvelopeType[] = [];
  return {
    inject(fault) {
      faults.push({ fault, left: fault.times ?? 1 });
    },
    take(method) {
      const index = faults.findIndex(
        ({ fault }) => fault.on === method || (fault.on === "*" && method !== "response_url"),
      );
      const found = faults[index];
      if (found === undefined) return undefined;
      found.left -= 1;
      if (found.left <= 0) faults.splice(index, 1);
      return found.fault;
    },
    duplicateNext(type) {
      duplicates.push(type);
    },
    takeDuplicate(type) {
      const index = duplicates.indexOf(type);
      if (index < 0) return false;
      duplicates.splice(index, 1);
      return true;
    },
    clear() {
      faults.length = 0;
      duplicates.length = 0;
    },
  };
}
