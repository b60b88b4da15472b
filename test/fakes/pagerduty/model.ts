/** The nouns of the stand-in PagerDuty: people, incidents, requests heard, and what was wrong with them. */
import type { JsonObject } from "../slack/json.ts";

/** Somebody who can be on call. */
export interface Person {
  readonly name: string;
  readonly email: string;
}

/** One line of `GET /oncalls`. `until`: wall ms; undefined for a person who never goes off call. */
export interface OnCall {
  readonly person: Person;
  readonly level: number;
  readonly until?: number;
}

/** Who did something: a person, or the service by itself. */
export type Agent = Person | "service";

export type LogEntryType =
  | "trigger_log_entry"
  | "assign_log_entry"
  | "escalate_log_entry"
  | "acknowledge_log_entry"
  | "resolve_log_entry"
  | "exhaust_escalation_path_log_entry";

export interface LogEntry {
  readonly id: string;
  readonly type: LogEntryType;
  readonly agent: Agent;
  /** Wall ms. */
  readonly at: number;
}

/** An incident as a test looks at it. */
export interface Incident {
  readonly id: string;
  readonly number: number;
  readonly dedupKey: string;
  readonly title: string;
  readonly status: "triggered" | "acknowledged" | "resolved";
  /** Level of the escalation policy, from 1. */
  readonly level: number;
  readonly assigned: readonly Person[];
  /** Wall ms. */
  readonly createdAt: number;
  /** How many triggers it took in. */
  readonly triggers: number;
  readonly details: JsonObject;
  /** Oldest first. */
  readonly log: readonly LogEntry[];
}

/** A change on the service's timeline. */
export interface Change {
  readonly summary: string;
  readonly source: string | undefined;
  readonly details: JsonObject;
}

/** A request as it came in. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The decoded JSON; undefined when there was none. */
  readonly body: unknown;
  /** Wall ms. */
  readonly at: number;
}

/** Something that the real PagerDuty would refuse, or that a careful client never does. */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
}

/** An answer before it is sent. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
