/** More holes in the wall: pager, alerts, probes, restarts, calendar, and the memory of subjects that are no rollouts. */
import type { IncomingAlert } from "../core/alerts/incoming.ts";
import type { RecordedOf } from "../core/event.ts";
import type { Incident, IncidentEvent } from "../core/oncall/incident.ts";
import type { PagerChange, PagerEvent } from "../core/oncall/page.ts";
import type { JobEvent, JobState } from "../core/watch/job.ts";
import type { ProbeCheck, WatchTarget } from "../core/watch/plan.ts";
import type { ProbeEvent, ProbeState } from "../core/watch/probe.ts";
import type { OutboxDraft } from "./messages.ts";

/** What the journal remembers besides rollouts: for each kind one state and one stream of events per subject. */
export interface Subjects {
  readonly incident: { readonly state: Incident; readonly event: IncidentEvent };
  readonly probe: { readonly state: ProbeState; readonly event: ProbeEvent };
  readonly job: { readonly state: JobState; readonly event: JobEvent };
}

export type SubjectKind = keyof Subjects;

/** One decision about one subject, all or nothing. `expected` 0 makes a new subject. */
export interface SubjectCommit<K extends SubjectKind> {
  readonly kind: K;
  readonly id: string;
  readonly expected: number;
  readonly events: readonly RecordedOf<Subjects[K]["event"]>[];
  readonly state: Subjects[K]["state"];
  /** Whether `openSubjects` still lists it. */
  readonly open: boolean;
  /** Fires of a job (wall ms) that this decision claims: each is one unique row (job, instant) for good. */
  readonly fires?: readonly number[];
  readonly outbox: readonly OutboxDraft[];
  readonly intakes: readonly string[];
}

/** `claimed`: one of the fires belongs to somebody already. With `conflict` and `claimed` nothing was changed. */
export type SubjectResult = "ok" | "conflict" | "claimed";

/** Part of the journal; each method is one transaction and rejects with an `OutsideFault` when the store is gone. */
export interface SubjectJournal {
  /** A new incident name such as `i-7Q2`, never used before. */
  newIncidentId(): Promise<string>;
  commitSubject<K extends SubjectKind>(commit: SubjectCommit<K>): Promise<SubjectResult>;
  /** Oldest first. */
  openSubjects<K extends SubjectKind>(kind: K): Promise<readonly Subjects[K]["state"][]>;
  subject<K extends SubjectKind>(kind: K, id: string): Promise<Subjects[K]["state"] | undefined>;
  subjectEvents<K extends SubjectKind>(
    kind: K,
    id: string,
  ): Promise<readonly RecordedOf<Subjects[K]["event"]>[]>;
  /** Events of all subjects of a kind since a wall instant, oldest first, at most `most`. */
  subjectEventsSince<K extends SubjectKind>(
    kind: K,
    wall: number,
    most: number,
  ): Promise<readonly { readonly id: string; readonly recorded: RecordedOf<Subjects[K]["event"]> }[]>;
  /** Stores firings not known yet (their keys and the first body per key) and returns their keys. */
  takeAlerts(alerts: readonly IncomingAlert[], wall: number): Promise<readonly string[]>;
  /** Firings stored and not yet judged, oldest first. */
  unjudgedAlerts(): Promise<readonly IncomingAlert[]>;
  judgedAlerts(keys: readonly string[]): Promise<void>;
  /** Keys of firings seen since a wall instant, so that a restart knows them. */
  knownAlertKeys(sinceWall: number): Promise<readonly string[]>;
  /** Counts the checks of a probe, by hour, for the daily post: `ran` and `bad` are added to what is there. */
  countChecks(id: string, hourWall: number, ran: number, bad: number): Promise<void>;
  checksSince(
    wall: number,
  ): Promise<readonly { readonly id: string; readonly ran: number; readonly bad: number }[]>;
}

/** A pager service's events. Resolves only when the event was taken; a rejection (`OutsideFault`) leaves it unknown, and the same event may be sent again. */
export interface Pager {
  send(event: PagerEvent): Promise<void>;
  change(change: PagerChange): Promise<void>;
  /** What only a REST token allows; undefined without one. */
  readonly rest?: PagerRest | undefined;
}

export interface PagerIncident {
  readonly id: string;
  readonly url: string;
  readonly status: "triggered" | "acknowledged" | "resolved";
  /** Who has it now. */
  readonly assigned: readonly string[];
  /** How often it was escalated by the service's own policy or by hand, as far as its log tells. */
  readonly escalations: number;
  /** Levels of its escalation policy; 1 when there is nobody further. */
  readonly levels: number;
}

export interface PagerRest {
  incidentByKey(dedupKey: string): Promise<PagerIncident | undefined>;
  /** Moves it to a level (1 is the first); rejects when the service refuses. */
  escalate(pagerId: string, level: number): Promise<void>;
  onCalls(): Promise<
    readonly {
      readonly name: string;
      readonly email?: string;
      readonly level: number;
      readonly until?: number;
    }[]
  >;
}

/** A word from the pager service about an incident of ours, its signature checked. `occurredAt` is wall ms. */
export type PagerWord =
  | {
      readonly kind: "acknowledged" | "resolved" | "escalated";
      readonly dedupKey: string;
      readonly by: string;
      readonly occurredAt: number;
      readonly id: string;
    }
  /** A custom incident action was pressed. */
  | {
      readonly kind: "action";
      readonly dedupKey: string;
      readonly action: string;
      readonly by: string;
      readonly occurredAt: number;
      readonly id: string;
    };

/** A second channel, for when paging itself fails: a post to a webhook. Rejects with an `OutsideFault`. */
export interface SecondChannel {
  tell(text: string, key: string): Promise<void>;
}

/** Reads the alerts that fire now. Rejects with an `OutsideFault`. */
export interface AlertSource {
  firing(): Promise<readonly IncomingAlert[]>;
}

/** What one check of a probe found. Never rejects: what goes wrong is a bad check, or `unknown` where nobody can tell (Prometheus is away). */
export type CheckResult =
  | { readonly kind: "ok"; readonly detail: string; readonly tookMs: number; readonly value?: number }
  | { readonly kind: "bad"; readonly detail: string; readonly tookMs: number; readonly value?: number }
  | { readonly kind: "unknown"; readonly detail: string; readonly tookMs: number };

export interface Prober {
  check(check: ProbeCheck, timeoutMs: number): Promise<CheckResult>;
}

/** Restarts one replica and waits until it is up; rejects with an `OutsideFault` when it is not up in its time. */
export interface Restarter {
  restart(target: WatchTarget, replica: number): Promise<void>;
}

/** Wall-clock maths in time zones. All instants are wall ms. */
export interface Calendar {
  /** The fires of a cron expression in (after, upTo], oldest first, at most `most`. A time that a clock change skips fires at the first minute after the gap; one that happens twice fires once, except for an expression of every hour (`*`), which is about elapsed time. */
  fires(cron: string, zone: string, after: number, upTo: number, most: number): readonly number[];
  /** The next fire after an instant; undefined when there is none. */
  next(cron: string, zone: string, after: number): number | undefined;
  /** The UTC tick: calls `act` about once a minute, and after a clock jump; the returned function ends it. */
  everyMinute(act: () => void): () => void;
}
