/** An incident: one page from the moment it is asked for until it is resolved, as a fold of its events. */
import { type Actor, formatActor, type RecordedOf } from "../event.ts";
import type { PageRequest } from "./page.ts";

/** Where a word about an incident came from. */
export type Through = "slack" | "cli" | "pagerduty" | "belay";

/** Who acted: a person, Belay, or somebody in the pager service, by the name it gives. */
export type Who = Actor | { readonly kind: "pagerduty"; readonly name: string };

export type PagerAction = "trigger" | "acknowledge" | "resolve";

/** How an incident went to the next person: `policy` by the pager's own policy, `rest` by Belay, `second_channel` where nothing else was there. */
export type EscalatedHow = "policy" | "rest" | "second_channel";

export type IncidentEvent =
  /** `ackWithinMs` undefined: there is nobody further to ask. */
  | {
      readonly hasPager?: true;
      readonly kind: "triggered";
      readonly name: string;
      readonly page: PageRequest;
      readonly ackWithinMs?: number;
    }
  /** The pager service took an event. */
  | { readonly kind: "accepted"; readonly action: PagerAction }
  /** The pager service shows the incident itself. */
  | {
      readonly kind: "confirmed";
      readonly pagerId: string;
      readonly url: string;
      readonly assigned: readonly string[];
    }
  /** Paging does not work: on-call is to be told by the second channel. */
  | { readonly kind: "paging_failed"; readonly why: string }
  /** The second channel took these words; or there is none (`nobody`), and only the chat can tell them. */
  | { readonly kind: "second_told"; readonly why: string; readonly to: "channel" | "nobody" }
  /** `occurredAt`: wall ms. */
  | {
      readonly kind: "acknowledged";
      readonly by: Who;
      readonly through: Through;
      readonly occurredAt: number;
    }
  /** `level` in the pager's policy, which only `policy` and `rest` raise. `ackBy`: steady ms of the next deadline; undefined when nothing more is done by itself. */
  | {
      readonly kind: "escalated";
      readonly level: number;
      readonly by: Who;
      readonly how: EscalatedHow;
      readonly why: string;
      readonly assigned: readonly string[];
      readonly ackBy?: number;
    }
  | {
      readonly kind: "resolved";
      readonly by: Who;
      readonly through: Through;
      readonly because?: string;
      readonly occurredAt: number;
    };

/** Somebody's word that ended a phase. */
export interface Said {
  readonly by: string;
  readonly through: Through;
  readonly wall: number;
  readonly because?: string;
}

export interface Incident {
  readonly schema: 1;
  /** The page's key. */
  readonly id: string;
  /** A short name for people, such as `i-7Q2`. */
  readonly name: string;
  readonly revision: number;
  readonly phase: "open" | "acknowledged" | "resolved";
  readonly page: PageRequest;
  /** Steady ms. */
  readonly openedAt: number;
  readonly openedWall: number;
  /** How long each person asked has to acknowledge; undefined where there is nobody further to ask. */
  readonly ackWithinMs?: number;
  /** Steady ms of the next escalation. */
  readonly ackBy?: number;
  /** Of the pager's policy; 1 is the first person asked. */
  readonly level: number;
  /** How often the second channel was told because nobody acknowledged. */
  readonly reminders: number;
  /** Whether a pager service is asked at all. */
  readonly hasPager: boolean;
  readonly escalatedWall?: number;
  readonly escalatedHow?: EscalatedHow;
  /** Who had it go further, and why. */
  readonly escalatedBy?: string;
  readonly escalatedWhy?: string;
  /** What the pager service has taken, each with the steady ms. */
  readonly accepted: Readonly<Partial<Record<PagerAction, number>>>;
  readonly pager?: { readonly id: string; readonly url: string };
  readonly assigned: readonly string[];
  /** Why paging counts as failed; told by the second channel. */
  readonly pagingFailed?: string;
  /** What the second channel has still to tell, and why. */
  readonly secondOwed?: string;
  /** What became of the newest words for the second channel. */
  readonly secondTold?: "channel" | "nobody";
  readonly acknowledged?: Said;
  readonly resolved?: Said;
}

export type RecordedIncident = RecordedOf<IncidentEvent>;

export function nameOfWho(who: Who): string {
  return who.kind === "pagerduty" ? `${who.name} (PagerDuty)` : formatActor(who);
}

/** The next state. Throws on a stream that does not begin with `triggered`. */
export function evolveIncident(state: Incident | undefined, recorded: RecordedIncident): Incident {
  const { event, seq, at, wall } = recorded;
  if (event.kind === "triggered") return opened(recorded, event);
  if (state === undefined) throw new Error(`an incident begins with triggered, found ${event.kind}`);
  const next = { ...state, revision: seq };
  switch (event.kind) {
    case "accepted": {
      const { pagingFailed: _, ...works } = next;
      return { ...works, accepted: { ...state.accepted, [event.action]: at } };
    }
    case "confirmed": {
      const { pagingFailed: _, ...works } = next;
      return { ...works, pager: { id: event.pagerId, url: event.url }, assigned: event.assigned };
    }
    case "paging_failed":
      return { ...next, pagingFailed: event.why, secondOwed: event.why };
    case "second_told": {
      const { secondOwed, ...told } = next;
      // Newer words may have come while these were on their way.
      return secondOwed === event.why || secondOwed === undefined
        ? { ...told, secondTold: event.to }
        : { ...next, secondTold: event.to };
    }
    case "acknowledged": {
      const { ackBy: _, ...waiting } = next;
      return { ...waiting, phase: "acknowledged", acknowledged: saidBy(event) };
    }
    case "escalated": {
      const { ackBy: _, ...waiting } = event.how === "second_channel" ? next : asksAnew(next);
      return {
        ...waiting,
        level: event.level,
        reminders: state.reminders + (event.how === "second_channel" ? 1 : 0),
        escalatedWall: wall,
        escalatedHow: event.how,
        escalatedBy: nameOfWho(event.by),
        escalatedWhy: event.why,
        assigned: event.assigned.length > 0 ? event.assigned : state.assigned,
        ...(event.ackBy === undefined ? {} : { ackBy: event.ackBy }),
        ...(event.how === "second_channel" ? { secondOwed: event.why } : {}),
      };
    }
    case "resolved": {
      const { ackBy: _, secondOwed: __, ...waiting } = next;
      return { ...waiting, phase: "resolved", resolved: saidBy(event) };
    }
  }
}

/** Whoever is asked next has acknowledged nothing yet, whatever the one before said. */
function asksAnew(incident: Incident): Incident {
  if (incident.phase !== "acknowledged") return incident;
  const { acknowledged: _, accepted, ...others } = incident;
  const { acknowledge: __, ...taken } = accepted;
  return { ...others, phase: "open", accepted: taken };
}

function opened(
  { seq, at, wall }: RecordedIncident,
  event: Extract<IncidentEvent, { kind: "triggered" }>,
): Incident {
  return {
    schema: 1,
    id: event.page.key,
    name: event.name,
    revision: seq,
    phase: "open",
    page: event.page,
    openedAt: at,
    openedWall: wall,
    level: 1,
    reminders: 0,
    hasPager: event.hasPager === true,
    accepted: {},
    assigned: [],
    ...(event.ackWithinMs === undefined ? {} : { ackWithinMs: event.ackWithinMs }),
    ...(event.ackWithinMs === undefined || mayWait(event.page) ? {} : { ackBy: at + event.ackWithinMs }),
  };
}

/** A P2 may wait for the morning, and a drill wakes nobody else. */
export function mayWait({ severity, source }: PageRequest): boolean {
  return severity === "P2" || source === "drill";
}

function saidBy(event: Extract<IncidentEvent, { kind: "acknowledged" | "resolved" }>): Said {
  return {
    by: nameOfWho(event.by),
    through: event.through,
    wall: event.occurredAt,
    ...("because" in event && event.because !== undefined ? { because: event.because } : {}),
  };
}
