/** What is due for an incident: what its pager is still to be sent, when paging counts as failed, and how it escalates. */
import { type Actor, BELAY } from "../event.ts";
import { formatDuration, MINUTE, type Now, SECOND } from "../time.ts";
import {
  type Incident,
  type IncidentEvent,
  mayWait,
  type PagerAction,
  type Through,
  type Who,
} from "./incident.ts";

/** Every page that may not wait is acknowledged in this time, unless configured otherwise, or goes to the next person. */
export const ACK_WITHIN_MS = 5 * MINUTE;
/** A page that the pager service has not taken by then is told by the second channel. */
export const TAKEN_WITHIN_MS = 50 * SECOND;
/** A page that was taken must be seen as an incident by then. */
export const CONFIRMED_WITHIN_MS = 2 * MINUTE;
/** So long after the deadline a pager service that does not answer is left for the second channel. */
export const ESCALATION_PATIENCE_MS = 20 * SECOND;

/** So often the second channel is told that nobody acknowledges, once for each deadline. */
export const MOST_REMINDERS = 6;

type Escalated = Extract<IncidentEvent, { kind: "escalated" }>;

/** What the world says of an incident. */
export interface PagerFacts {
  /** Whether there is a pager service at all, and whether its incidents can be read and moved. */
  readonly hasPager: boolean;
  readonly hasRest: boolean;
  /** The newest words with which the pager service failed. */
  readonly fault?: string;
}

function ackWithin({ ackWithinMs = ACK_WITHIN_MS }: Incident): number {
  return ackWithinMs;
}

/** What the pager service has still to be told, in order. What it said itself is not repeated to it. */
export function owedToPager({ phase, accepted, acknowledged, resolved }: Incident): PagerAction | undefined {
  if (phase === "resolved") {
    const isOurs = resolved?.through !== "pagerduty";
    return isOurs && accepted.resolve === undefined ? "resolve" : undefined;
  }
  if (accepted.trigger === undefined) return "trigger";
  const isOurs = phase === "acknowledged" && acknowledged?.through !== "pagerduty";
  return isOurs && accepted.acknowledge === undefined ? "acknowledge" : undefined;
}

/** Whether nothing is left to be done about it. */
export function isClosed(incident: Incident, hasPager: boolean): boolean {
  return incident.phase === "resolved" && (!hasPager || owedToPager(incident) === undefined);
}

/** What time alone makes due. Pure; nothing when nothing is. */
export function dueOf(incident: Incident, facts: PagerFacts, now: Now): readonly IncidentEvent[] {
  const drill = drillOver(incident, now);
  if (drill.length > 0) return drill;
  if (incident.phase !== "open") return [];
  const failed = incident.pagingFailed === undefined ? pagingFault(incident, facts, now) : undefined;
  if (failed !== undefined) return [{ kind: "paging_failed", why: failed }];
  if (incident.ackBy === undefined || now.steady < incident.ackBy) return [];
  const canMove = facts.hasRest && incident.pager !== undefined;
  if (canMove && now.steady < incident.ackBy + ESCALATION_PATIENCE_MS) return [];
  const fault = facts.fault === undefined ? "" : `; ${facts.fault}`;
  return [remindedBy(incident, now, `${notAcknowledged(incident, now)}${fault}`)];
}

function pagingFault(incident: Incident, facts: PagerFacts, now: Now): string | undefined {
  if (!facts.hasPager) return undefined;
  const taken = incident.accepted.trigger;
  if (taken === undefined) {
    if (now.steady - incident.openedAt < TAKEN_WITHIN_MS) return undefined;
    return `PagerDuty has not taken the page: ${facts.fault ?? "no answer"}`;
  }
  if (!facts.hasRest || incident.pager !== undefined) return undefined;
  if (now.steady - taken < CONFIRMED_WITHIN_MS) return undefined;
  return `PagerDuty took the page, but shows no incident${facts.fault === undefined ? "" : ` (${facts.fault})`}`;
}

/** A drill ends with its acknowledgement, or when its time is over. */
function drillOver(incident: Incident, now: Now): readonly IncidentEvent[] {
  const { page, phase, acknowledged, openedWall } = incident;
  if (page.source !== "drill" || phase === "resolved") return [];
  const end = (because: string): readonly IncidentEvent[] => [
    { kind: "resolved", by: BELAY, through: "belay", because, occurredAt: now.wall },
  ];
  if (phase === "acknowledged" && acknowledged !== undefined)
    return end(
      `the drill was acknowledged after ${formatDuration(Math.max(0, acknowledged.wall - openedWall))}`,
    );
  if (now.steady - incident.openedAt < ackWithin(incident)) return [];
  const why = `nobody acknowledged the drill in ${formatDuration(ackWithin(incident))}`;
  if (incident.pagingFailed === undefined) return [{ kind: "paging_failed", why }];
  return incident.secondOwed === undefined ? end(why) : [];
}

/** The escalation by the pager service to the next person of its policy, which has `levels`. */
export function movedTo(
  incident: Incident,
  how: "policy" | "rest",
  assigned: readonly string[],
  next: { readonly now: Now; readonly levels: number },
  by: Who = how === "policy" ? { kind: "pagerduty", name: "escalation policy" } : BELAY,
): Escalated {
  const level = incident.level + 1;
  const { steady } = next.now;
  return {
    kind: "escalated",
    level,
    by,
    how,
    why: notAcknowledged(incident, next.now),
    assigned,
    ...(mayWait(incident.page) ? {} : { ackBy: steady + ackWithin(incident) }),
  };
}

/** The second channel is told, and told again while nobody acknowledges; the pager's own level stays as it is. */
export function remindedBy(incident: Incident, now: Now, why: string, by: Who = BELAY): Escalated {
  const isAsked = by.kind === "person";
  const goesOn = incident.ackBy !== undefined && (isAsked || incident.reminders + 1 < MOST_REMINDERS);
  const ackBy = isAsked ? incident.ackBy : now.steady + ackWithin(incident);
  const isLast = incident.ackBy !== undefined && !goesOn;
  return {
    kind: "escalated",
    level: incident.level,
    by,
    how: "second_channel",
    why: isLast ? `${why}; this is the last reminder` : why,
    assigned: [],
    ...(goesOn && ackBy !== undefined ? { ackBy } : {}),
  };
}

/** `not acknowledged for 5 min`. */
export function notAcknowledged(incident: Incident, now: Now): string {
  return `not acknowledged for ${formatDuration(Math.max(0, now.steady - incident.openedAt))}`;
}

/** Somebody's acknowledgement or resolution; nothing when it is so already, or when a newer word has passed it. */
export function wordOf(
  incident: Incident,
  said: "acknowledged" | "resolved",
  by: Who,
  through: Through,
  occurredAt: number,
  because?: string,
): readonly IncidentEvent[] {
  if (incident.phase === "resolved") return [];
  if (said === "acknowledged" && isBeforeNextPerson(incident, occurredAt)) return [];
  if (said === "acknowledged")
    return incident.phase === "acknowledged" ? [] : [{ kind: "acknowledged", by, through, occurredAt }];
  return [{ kind: "resolved", by, through, occurredAt, ...(because === undefined ? {} : { because }) }];
}

/** Whether a word is from before somebody else was asked; what it acknowledged is open again since. */
function isBeforeNextPerson({ escalatedHow, escalatedWall }: Incident, occurredAt: number): boolean {
  return escalatedWall !== undefined && escalatedHow !== "second_channel" && occurredAt < escalatedWall;
}

/** `slack`, `cli` or `pagerduty`, as the actor came. */
export function throughOf(actor: Actor): Through {
  return actor.kind === "belay" ? "belay" : actor.via;
}
