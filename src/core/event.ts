/** Everything that can happen to a rollout, as it stands in the journal. State is a fold of these; nothing else is remembered. */
import type { Setting } from "./setting.ts";
import type { Verdict, VerdictReason } from "./verdict.ts";

/** Who caused something: a person (by Slack user ID or local account) or Belay itself. */
export type Actor =
  | {
      readonly kind: "person";
      readonly id: string;
      readonly name: string;
      readonly via: "slack" | "cli" | "pagerduty";
    }
  | { readonly kind: "belay" };

export const BELAY: Actor = { kind: "belay" };

/** `@ana`, `ana (cli)` or `Belay`, for people. */
export function formatActor(actor: Actor): string {
  if (actor.kind === "belay") return "Belay";
  return actor.via === "slack"
    ? `@${actor.name}`
    : `${actor.name} (${actor.via === "cli" ? "cli" : "PagerDuty"})`;
}

/** Why the clock of a rollout stands still. */
export type HoldReason =
  | "person"
  | "blind"
  | "expectation"
  | "guard"
  | "breach_not_ours"
  | "not_the_cause"
  | "rolled_back"
  | "undo_by_hand"
  | "drift"
  | "flag_store"
  | "approval_expired"
  | "no_go"
  | "alert_storm";

/** Holds that end by themselves when their cause is gone; all others wait for a person. */
export const SELF_ENDING: ReadonlySet<HoldReason> = new Set<HoldReason>(["blind", "expectation"]);

/** One write to one flag. `intent` is its idempotency key; a forward flip happens only while the flag is still at `version`. */
export interface Flip {
  readonly flag: string;
  readonly from: Setting;
  readonly to: Setting;
  readonly intent: string;
  readonly version?: string;
}

/** Why a rollback happens. `breachAt` (steady ms) is the first bad measurement of the run that led to the verdict. */
export type Cause =
  | {
      readonly kind: "breach";
      readonly guard: string;
      readonly reason: VerdictReason | undefined;
      readonly detail: string;
      readonly breachAt: number;
    }
  | { readonly kind: "still_breaching"; readonly guard: string; readonly detail: string }
  | { readonly kind: "person"; readonly because?: string }
  | { readonly kind: "blind"; readonly detail: string }
  /** `alert` is the key of the firing (see `IncomingAlert`), `startsAt` its start (Unix ms), `sinceFlipMs` how long the newest flip was live then. */
  | {
      readonly kind: "alert";
      readonly alert: string;
      readonly name: string;
      readonly detail: string;
      readonly startsAt: number;
      readonly sinceFlipMs: number;
    };

export type Severity = "P0" | "P1" | "P2";

export type RolloutEvent =
  | {
      readonly kind: "rollout_started";
      readonly run: string;
      readonly rollout: string;
      readonly planHash: string;
      readonly by: Actor;
      readonly first: number;
      readonly end: number;
      readonly startAt: number;
      readonly recorded: Readonly<Record<string, Setting>>;
    }
  | { readonly kind: "end_set"; readonly end: number; readonly by: Actor }
  | {
      readonly kind: "stage_started";
      readonly stage: number;
      readonly substage: number;
      readonly flips: readonly Flip[];
      /** Steady ms: after this no forward write may begin. */
      readonly writeBy: number;
      /** Steady ms: not read back by then, the stage is withdrawn. */
      readonly verifyBy: number;
    }
  | { readonly kind: "flip_verified"; readonly flag: string; readonly intent: string }
  | { readonly kind: "stage_enabled"; readonly stage: number; readonly substage: number }
  | {
      readonly kind: "stage_withdrawn";
      readonly stage: number;
      readonly why: string;
      readonly flips: readonly Flip[];
    }
  | {
      readonly kind: "soak_progress";
      readonly stage: number;
      readonly soakedMs: number;
      readonly creditedTo: number;
    }
  | {
      readonly kind: "soak_passed";
      readonly stage: number;
      readonly substage: number;
      readonly soakedMs: number;
    }
  | { readonly kind: "held"; readonly reason: HoldReason; readonly detail: string; readonly by: Actor }
  | { readonly kind: "resumed"; readonly reasons: readonly HoldReason[]; readonly by: Actor }
  | {
      readonly kind: "verdict_changed";
      readonly guard: string;
      readonly verdict: Verdict;
      readonly reason?: VerdictReason;
      readonly detail?: string;
      readonly value?: number;
    }
  | {
      readonly kind: "approval_requested";
      readonly stage: number;
      readonly from: string;
      readonly requester: Actor;
      readonly expiresAt: number;
    }
  | { readonly kind: "approved"; readonly stage: number; readonly by: Actor }
  | { readonly kind: "approval_expired"; readonly stage: number }
  | { readonly kind: "baseline_asked"; readonly stage: number; readonly flags: readonly string[] }
  | { readonly kind: "baseline_confirmed"; readonly stage: number; readonly by: Actor }
  | { readonly kind: "review_opened"; readonly stage: number }
  | {
      readonly kind: "signed_off";
      readonly stage: number;
      readonly decision: "go" | "no-go";
      readonly by: Actor;
      readonly because?: string;
    }
  | { readonly kind: "extended"; readonly stage: number; readonly ms: number; readonly by: Actor }
  | { readonly kind: "advance_asked"; readonly stage: number; readonly by: Actor }
  | {
      readonly kind: "rollback_started";
      /** Stages above this index are undone; -1 undoes all. */
      readonly to: number;
      readonly stages: readonly number[];
      readonly flips: readonly Flip[];
      readonly cause: Cause;
      readonly by: Actor;
    }
  | { readonly kind: "rollback_off" }
  | { readonly kind: "rollback_confirmed"; readonly seenBy: "service" | "store" }
  | { readonly kind: "recovered"; readonly guard?: string; readonly detail?: string }
  | { readonly kind: "look_failed"; readonly guard: string; readonly detail: string }
  | {
      readonly kind: "drift_found";
      readonly flag: string;
      readonly expected: Setting;
      readonly found: Setting;
      readonly direction: "back" | "ahead";
    }
  | { readonly kind: "flip_corrected"; readonly flip: Flip }
  | { readonly kind: "paged"; readonly key: string; readonly severity: Severity; readonly summary: string }
  | {
      readonly kind: "unlatched";
      readonly flags: readonly string[];
      readonly by: Actor;
      readonly because: string;
    }
  | {
      readonly kind: "refused";
      readonly verb: string;
      readonly code: string;
      readonly by: Actor;
      readonly detail: string;
    }
  | { readonly kind: "completed" }
  | { readonly kind: "stopped"; readonly by: Actor; readonly because?: string }
  | { readonly kind: "rolled_back" }
  | { readonly kind: "quarantined"; readonly error: string };

/** An event with the instant at which it was decided; `seq` counts from 1 within one subject. */
export interface RecordedOf<E> {
  readonly seq: number;
  /** Steady ms. */
  readonly at: number;
  /** Wall ms since the Unix epoch, for people. */
  readonly wall: number;
  readonly event: E;
  /** The number under which it was told already, when the journal turned out to be further along than was known. */
  readonly was?: number;
}

/** An event of a rollout run. */
export type Recorded = RecordedOf<RolloutEvent>;

/** The number that messages know an event by; with its kind it names one event for good. */
export function tellingOf(recorded: Recorded): number {
  return recorded.was ?? recorded.seq;
}
