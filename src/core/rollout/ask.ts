/** What a person may ask of a rollout, who asks, and what can come of it. */
import type { Actor, Mode, RolloutEvent } from "../event.ts";
import type { Offer, Refusal } from "../refusal.ts";

/** What one person asks of one rollout run. `to` of a rollback is the index of the newest stage that stays (-1: none). */
export type Ask =
  | { readonly kind: "set_end"; readonly end: number }
  | { readonly kind: "hold"; readonly because?: string }
  | { readonly kind: "resume"; readonly because?: string }
  /** The installation's mode, for one run; `release` hands it to people for good. */
  | { readonly kind: "mode"; readonly mode: Mode; readonly because?: string }
  | { readonly kind: "release"; readonly because?: string }
  | { readonly kind: "advance" }
  | { readonly kind: "extend"; readonly ms: number }
  | { readonly kind: "stop"; readonly confirmed: boolean; readonly because?: string }
  | { readonly kind: "rollback"; readonly to: "newest" | number; readonly because?: string }
  | { readonly kind: "approve" }
  | { readonly kind: "signoff"; readonly decision: "go" | "no-go"; readonly because?: string }
  | { readonly kind: "unlock"; readonly flags: readonly string[]; readonly because: string };

/** Who asks, and what configuration lets them do. */
export interface Asker {
  readonly actor: Actor;
  readonly operator: boolean;
  readonly groups: readonly string[];
}

/** Events to record, a note that it is so already, or a refusal. */
export type Outcome =
  | { readonly kind: "events"; readonly events: readonly RolloutEvent[]; readonly note: string }
  | { readonly kind: "already"; readonly note: string; readonly offers: readonly Offer[] }
  | Refusal;

export function done(events: readonly RolloutEvent[], note: string): Outcome {
  return { kind: "events", events, note };
}

export function already(note: string, offers: readonly Offer[] = []): Outcome {
  return { kind: "already", note, offers };
}
