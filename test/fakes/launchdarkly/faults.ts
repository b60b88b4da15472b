/** Faults that a test asks for: each strikes the next requests that fit, as often as it says, and is gone then. */
import type { Answer } from "./model.ts";

export type FaultKind =
  /** Answered with this status and nothing done; `body` in place of the usual words. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  /** A gateway's HTML page; nothing done. */
  | { readonly kind: "html"; readonly status: number }
  /** No answer; nothing done. */
  | { readonly kind: "hang" }
  /** Done, and the connection cut before the answer. */
  | { readonly kind: "applied_reply_lost" }
  /** Answered after `ms`. */
  | { readonly kind: "slow"; readonly ms: number };

/** `on`: the beginning of a path such as `/api/v2/flags`, or `*`. `method`: any when not given. `times`: requests, 1 when not given. */
export type Fault = { readonly on: string; readonly method?: string; readonly times?: number } & FaultKind;

export interface Faults {
  inject(fault: Fault): void;
  /** The oldest fault that fits. */
  take(method: string, path: string): FaultKind | undefined;
  clear(): void;
}

export function createFaults(): Faults {
  const waiting: { readonly fault: Fault; left: number }[] = [];
  return {
    inject(fault) {
      waiting.push({ fault, left: fault.times ?? 1 });
    },
    take(method, path) {
      const index = waiting.findIndex(
        ({ fault }) =>
          (fault.on === "*" || path === fault.on || path.startsWith(`${fault.on}/`)) &&
          (fault.method === undefined || fault.method === method),
      );
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

const CODES: Readonly<Record<number, readonly [code: string, message: string]>> = {
  400: ["invalid_request", "Invalid request body"],
  401: ["unauthorized", "Invalid key"],
  403: ["forbidden", "Access to the requested resource was denied"],
  404: ["not_found", "Unknown feature flag key"],
  405: ["method_not_allowed", "Method not allowed"],
  409: ["optimistic_locking_error", "Conflict. Optimistic lock error. Try again later."],
  429: ["rate_limited", "You've exceeded the API rate limit. Try again later."],
};

/** LaunchDarkly's words for a status. */
export function refusal(
  status: number,
  message?: string,
  headers?: Readonly<Record<string, string>>,
): Answer {
  const [code, words] = CODES[status] ?? ["internal_error", "Internal server error"];
  return {
    status,
    body: { code, message: message ?? words },
    ...(headers === undefined ? {} : { headers }),
  };
}
