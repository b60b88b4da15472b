/** The short-lived handles that Slack gives out: trigger_ids (3 s, once) and response_urls (30 min, five times). */

import { randomBytes } from "node:crypto";
import { remember } from "./bounded.ts";
import type { Clock } from "./clock.ts";

/** How long a trigger_id may be exchanged for a view. */
export const TRIGGER_LIFETIME_MS = 3_000;
/** How long a response_url works. */
export const RESPONSE_URL_LIFETIME_MS = 30 * 60_000;
/** How often a response_url works. */
export const RESPONSE_URL_USES = 5;

/** Who caused a trigger, and whether in a view. */
export interface TriggerOrigin {
  readonly user: string;
  readonly fromView: boolean;
}

/** What taking a trigger_id gives: its origin, or Slack's error code. */
export type TriggerTaken =
  | { readonly kind: "ok"; readonly origin: TriggerOrigin }
  | {
      readonly kind: "refused";
      readonly error: "invalid_trigger_id" | "expired_trigger_id" | "exchanged_trigger_id";
    };

/** What a response_url was given out for. */
export interface ResponseTarget {
  readonly channel: string;
  readonly user: string;
  /** The message whose button was pressed; undefined for a slash command. */
  readonly message: { readonly ts: string; readonly threadTs: string | undefined } | undefined;
}

/** What using a response_url gives. */
export type ResponseUse =
  | { readonly kind: "ok"; readonly target: ResponseTarget }
  | { readonly kind: "unknown" }
  | { readonly kind: "expired" }
  | { readonly kind: "used_up" };

/** The handles that were given out. */
export interface Triggers {
  /** A new trigger_id. */
  issue(origin: TriggerOrigin): string;
  take(triggerId: string): TriggerTaken;
  /** A new path for a response_url, beginning with a slash. */
  issueResponsePath(target: ResponseTarget): string;
  useResponsePath(path: string): ResponseUse;
}

const KEPT = 10_000;

/** Makes an empty register. */
export function createTriggers(clock: Clock): Triggers {
  const triggers = new Map<
    string,
    { readonly origin: TriggerOrigin; readonly atMs: number; used: boolean }
  >();
  const responses = new Map<
    string,
    { readonly target: ResponseTarget; readonly atMs: number; uses: number }
  >();
  let count = 0;

  return {
    issue(origin) {
      count += 1;
      const id = `${1_000_000 + count}.${Math.floor(clock.now())}.${randomBytes(16).toString("hex")}`;
      remember(triggers, id, { origin, atMs: clock.now(), used: false }, KEPT);
      return id;
    },
    take(triggerId) {
      const trigger = triggers.get(triggerId);
      if (trigger === undefined) return { kind: "refused", error: "invalid_trigger_id" };
      if (trigger.used) return { kind: "refused", error: "exchanged_trigger_id" };
      if (clock.now() - trigger.atMs > TRIGGER_LIFETIME_MS)
        return { kind: "refused", error: "expired_trigger_id" };
      trigger.used = true;
      return { kind: "ok", origin: trigger.origin };
    },
    issueResponsePath(target) {
      count += 1;
      const path = `/${target.message === undefined ? "commands" : "actions"}/${count}/${randomBytes(12).toString("hex")}`;
      remember(responses, path, { target, atMs: clock.now(), uses: 0 }, KEPT);
      return path;
    },
    useResponsePath(path) {
      const response = responses.get(path);
      if (response === undefined) return { kind: "unknown" };
      if (clock.now() - response.atMs > RESPONSE_URL_LIFETIME_MS) return { kind: "expired" };
      if (response.uses >= RESPONSE_URL_USES) return { kind: "used_up" };
      response.uses += 1;
      return { kind: "ok", target: response.target };
    },
  };
}
