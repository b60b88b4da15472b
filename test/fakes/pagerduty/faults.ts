/** Faults that a test asks for: each strikes the next requests to its path, as often as it says, and is gone then. */
import type { Answer } from "./model.ts";

export type FaultKind =
  /** Answered with this status and nothing done; `body` in place of the usual words. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly retryAfterS?: number | string;
      readonly body?: unknown;
    }
  /** A gateway's HTML page; nothing done. */
  | { readonly kind: "html"; readonly status: number }
  /** Sent elsewhere; nothing done. */
  | { readonly kind: "redirect"; readonly to: string }
  /** No answer; nothing done. */
  | { readonly kind: "hang" }
  /** The connection is reset; nothing done. */
  | { readonly kind: "reset" }
  /** Done, and answered without an end: one byte after the other. */
  | { readonly kind: "drip" }
  /** Done, and answered with a body without an end, as fast as it goes. */
  | { readonly kind: "flood" }
  /** Done, and the connection cut before the answer. */
  | { readonly kind: "applied_reply_lost" };

/** `on`: a path such as `/v2/enqueue`, the beginning of one (`/incidents`), or `*`. `times`: requests, 1 when not given. */
export type Fault = { readonly on: string; readonly times?: number } & FaultKind;

export interface Faults {
  inject(fault: Fault): void;
  /** The oldest fault that matches the path. */
  take(path: string): FaultKind | undefined;
  clear(): void;
}

export function createFaults(): Faults {
  const waiting: { readonly fault: Fault; left: number }[] = [];
  return {
    inject(fault) {
      waiting.push({ fault, left: fault.times ?? 1 });
    },
    take(path) {
      const index = waiting.findIndex(({ fault }) => fault.on === "*" || isBelow(path, fault.on));
      const found = waiting[index];
      if (found === undefined) return undefined;
      found.left -= 1;
      if (found.left <= 0) waiting.splice(index, 1);
      return found.fault;
    },
    clear() {
      waiting.length = 0;
    },
  };
}

function isBelow(path: string, on: string): boolean {
  return path === on || path.startsWith(`${on}/`);
}

/** PagerDuty's words for a status, in the form of the API that the path belongs to. */
export function refusalFor(path: string, fault: Extract<FaultKind, { kind: "status" }>): Answer {
  const { status, retryAfterS } = fault;
  const words =
    status === 429
      ? "Requests for this service are arriving too quickly.  Please retry later."
      : status >= 500
        ? "Internal Server Error"
        : "Event object is invalid";
  const body = path.startsWith("/v2/")
    ? {
        status: status === 429 ? "throttle exceeded" : "invalid event",
        message: words,
        errors: ["a fault of the test"],
      }
    : { error: { message: words, code: status === 429 ? 2020 : 2000 } };
  return {
    status,
    body: fault.body ?? body,
    ...(retryAfterS === undefined ? {} : { headers: { "retry-after": String(retryAfterS) } }),
  };
}
