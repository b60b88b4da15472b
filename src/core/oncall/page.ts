/** A page: what on-call is asked to look at, and the events that a pager service takes. */
import type { Severity } from "../event.ts";

/** What is asked of on-call. `key` names the trouble for good: the same key never makes a second incident. At most 255 characters. */
export interface PageRequest {
  readonly key: string;
  readonly severity: Severity;
  /** One or two sentences: what happened, and what to do. */
  readonly summary: string;
  readonly service: string;
  readonly environment: string;
  readonly source: "rollout" | "probe" | "alert" | "job" | "person" | "drill";
  /** The rollout run that it is about, and the stage that a phone may take back. */
  readonly run?: string;
  readonly stage?: string;
  /** The alert of the run that already tells of it, so that no second message is posted: it is edited as the incident moves. */
  readonly tells?: { readonly about: "page" | "rollback" | "would"; readonly seq: number };
  /** Channel in which it is told; undefined: nobody listens in a chat. */
  readonly channel?: string;
  readonly runbook?: string;
  /** Wall ms. */
  readonly wall: number;
}

/** What goes to a pager service. `dedupKey` makes a second delivery harmless. */
export type PagerEvent =
  | {
      readonly kind: "trigger";
      readonly dedupKey: string;
      readonly severity: "critical" | "error" | "warning" | "info";
      readonly summary: string;
      /** What is affected: `SERVICE/ENVIRONMENT`. */
      readonly source: string;
      readonly component?: string;
      readonly details: Readonly<Record<string, string>>;
      readonly links: readonly { readonly href: string; readonly text: string }[];
      readonly wall: number;
    }
  | { readonly kind: "acknowledge" | "resolve"; readonly dedupKey: string };

/** A change for the pager's timeline: one for each flip that was read back. `key` is our own; the service does not deduplicate changes. */
export interface PagerChange {
  readonly key: string;
  readonly summary: string;
  readonly source: string;
  readonly details: Readonly<Record<string, string>>;
  readonly wall: number;
}

/** A page's key as the pager service knows it: another installation, or this one after the loss of its journal, may have used the same key. */
export function pagerKeyOf(installation: string, key: string): string {
  return installation === "" ? key : `${installation}.${key}`;
}

/** The page's key behind a pager key; undefined for one of another installation. */
export function keyOfPager(installation: string, pagerKey: string): string | undefined {
  if (installation === "") return pagerKey;
  return pagerKey.startsWith(`${installation}.`) ? pagerKey.slice(installation.length + 1) : undefined;
}

/** PagerDuty's word for how bad it is. */
export function pagerSeverity(severity: Severity): "critical" | "error" | "warning" {
  switch (severity) {
    case "P0":
      return "critical";
    case "P1":
      return "error";
    case "P2":
      return "warning";
  }
}
