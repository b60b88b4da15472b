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
  | "alert_storm"
  | "unattributed"
  | "flag_replaced"
  | "would_roll_back";

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

/**
 * Why a rollback happens. `breachAt` (steady ms) is the first bad measurement of the run that led to the verdict; `also` says that the service was
 * deployed or restarted after the newest flip too, and when.
 */
export type Cause =
  | {
      readonly kind: "breach";
      readonly guard: string;
      readonly reason: VerdictReason | undefined;
      readonly detail: string;
      readonly breachAt: number;
      readonly also?: string;
    }
  | {
      readonly kind: "still_breaching";
      readonly guard: string;
      readonly detail: string;
      readonly also?: string;
    }
  | { readonly kind: "person"; readonly because?: string }
  | { readonly kind: "blind"; readonly detail: string; readonly also?: string }
  /** `alert` is the key of the firing (see `IncomingAlert`), `startsAt` its start (Unix ms), `sinceFlipMs` how long the newest flip was live then. */
  | {
      readonly kind: "alert";
      readonly alert: string;
      readonly name: string;
      readonly detail: string;
      readonly startsAt: number;
      readonly sinceFlipMs: number;
      readonly also?: string;
    };

/** `act`: Belay flips. `observe`: it asks people to flip, judges what they did, and says what it would have done. */
export type Mode = "act" | "observe";

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
      /** Identities of the flags, where the store has them. */
      readonly ids?: Readonly<Record<string, string>>;
      /** Belay asks people to flip instead of doing it. */
      readonly mode?: "observe";
      /** The rehearsal that it rests on: how long before (ms), and what its slowest flag took (ms). */
      readonly rehearsed?: { readonly beforeMs: number; readonly flipMs?: number };
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
      /** People are asked to make these flips; Belay writes none of them. */
      readonly asked?: true;
      /** How far the work was that this rollout lets through, in the unit of the plan's `progress`; absent where nothing tells. */
      readonly progress?: number;
    }
  /** `afterLever`: the second lever was pulled for this OFF before the flag system took it. */
  | {
      readonly kind: "flip_verified";
      readonly flag: string;
      readonly intent: string;
      readonly afterLever?: true;
    }
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
  | {
      readonly kind: "held";
      readonly reason: HoldReason;
      readonly detail: string;
      readonly by: Actor;
      /** The identities that were found, when flags turned out to be others. */
      readonly ids?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "resumed";
      readonly reasons: readonly HoldReason[];
      readonly by: Actor;
      readonly because?: string;
    }
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
      /** As in `stage_started`: when the lowest of the stages began, and now. */
      readonly began?: number;
      readonly progress?: number;
      /** People have made these flips themselves, as Belay had said; nothing is written. */
      readonly byHand?: true;
      /** Who made them, by the flag system's names. */
      readonly people?: string;
    }
  /** The flag store shows every flag taken back; `by: lever`: the second lever holds them off, and the store is still to follow. */
  | { readonly kind: "rollback_off"; readonly by?: "lever" }
  | { readonly kind: "rollback_confirmed"; readonly seenBy: "service" | "store" | "lever" }
  | {
      readonly kind: "recovered";
      readonly guard?: string;
      readonly detail?: string;
      /** As in `stage_started`. */
      readonly progress?: number;
    }
  | {
      readonly kind: "look_failed";
      readonly guard: string;
      readonly detail: string;
      /** As in `stage_started`. */
      readonly progress?: number;
    }
  | {
      readonly kind: "drift_found";
      readonly flag: string;
      readonly expected: Setting;
      readonly found: Setting;
      readonly direction: "back" | "ahead";
      /** Who did it, by the flag system's name for them. */
      readonly by?: string;
    }
  /** The service was deployed or restarted, not by this rollout. `startedWall` (Unix ms): when its newest process began, where that is known. */
  | {
      readonly kind: "deploy_found";
      readonly what: "deploy" | "restart";
      readonly detail: string;
      readonly versions: readonly string[];
      readonly startedWall?: number;
      /** It is told with a rollback, so that no soak that people wait for begins anew. */
      readonly withRollback?: true;
    }
  /** The versions of the service when they were first seen, or changed while nothing soaks. */
  | { readonly kind: "versions_seen"; readonly versions: readonly string[] }
  /** Under a mode that flips nothing: what Belay would have done. */
  | {
      readonly kind: "would_roll_back";
      readonly to: number;
      readonly stages: readonly number[];
      readonly flips: readonly Flip[];
      readonly cause: Cause;
    }
  /** `observe`: from here on people flip, and Belay judges. */
  | {
      readonly kind: "mode_set";
      readonly mode: Mode;
      readonly by: Actor;
      readonly because?: string;
      /** This run was handed to people for good: the installation's mode does not change it any more. */
      readonly released?: true;
      /** The step whose flips were still owed: from here on people are asked to make them. */
      readonly asks?: { readonly stage: number; readonly substage: number };
    }
  /** OFFs are also written to the second lever, because the flag system does not take them. */
  | { readonly kind: "lever_pulled"; readonly flags: readonly string[]; readonly why: string }
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
