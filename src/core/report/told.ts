/** A run with its story, and the shape of a message that tells of one of its events. */
import { type Recorded, type RolloutEvent, tellingOf } from "../event.ts";
import type { Incident } from "../oncall/incident.ts";
import type { Offer } from "../refusal.ts";
import type { Shown } from "./card.ts";

/** Text with instants in it (Unix ms), which each medium writes in its reader's own time. */
export type Part = string | { readonly wall: number };

export interface AlertLine {
  readonly label: string;
  readonly parts: readonly Part[];
}

export type AlertKind = "rollback" | "approval" | "review" | "baseline" | "page" | "hold" | "ask" | "would";

export interface Alert {
  readonly title: string;
  readonly lines: readonly AlertLine[];
  readonly offers: readonly Offer[];
  /** One sentence that says it all, for notifications and screen readers. */
  readonly summary: string;
}

/** A run with its events, oldest first. */
export interface Told extends Shown {
  readonly events: readonly Recorded[];
  /** What on-call has of it; none when not given. */
  readonly incidents?: readonly Incident[];
}

/** The events of these kinds. */
export type Of<K extends RolloutEvent["kind"]> = Extract<RolloutEvent, { kind: K }>;

/** The event of this kind that messages know by the number `seq`. */
export function eventAt<K extends RolloutEvent["kind"]>(
  told: Told,
  seq: number,
  kind: K,
): (Recorded & { readonly event: Of<K> }) | undefined {
  for (const one of told.events) if (tellingOf(one) === seq && isKind(one, kind)) return one;
  return undefined;
}

function isKind<K extends RolloutEvent["kind"]>(
  one: Recorded,
  kind: K,
): one is Recorded & { readonly event: Of<K> } {
  return one.event.kind === kind;
}

/** The first event of this kind after `earlier`. */
export function firstAfter<K extends RolloutEvent["kind"]>(
  told: Told,
  earlier: Recorded,
  kind: K,
): (Recorded & { readonly event: Of<K> }) | undefined {
  for (const one of told.events) if (one.seq > earlier.seq && isKind(one, kind)) return one;
  return undefined;
}

export function line(label: string, ...parts: readonly Part[]): AlertLine {
  return { label, parts };
}
