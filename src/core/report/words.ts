/** Each event in words, as threads, histories and terminals show it: who, what, why. */
import { type Cause, type Flip, formatActor, type RolloutEvent } from "../event.ts";
import { type Plan, settingInWords } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import { sameSetting } from "../setting.ts";
import { formatDuration, SECOND } from "../time.ts";
import { workInWords } from "./work.ts";

function stageName(plan: Plan, index: number): string {
  return plan.stages[index]?.name ?? `stage ${index}`;
}

export function flipsInWords(plan: Plan, flips: readonly Flip[]): string {
  return flips.map((flip) => `${flip.flag} ${settingInWords(plan, flip.flag, flip.to)}`).join(", ");
}

/** Why a rollback happened, in one clause; and what else happened, where the service changed too. */
export function causeInWords(cause: Cause): string {
  const also = cause.kind === "person" ? undefined : cause.also;
  return also === undefined ? plainCause(cause) : `${plainCause(cause)}; ${also}`;
}

function plainCause(cause: Cause): string {
  switch (cause.kind) {
    case "breach":
      return cause.reason === "target_down"
        ? `the service is down (${cause.guard}: ${cause.detail})`
        : `guard ${cause.guard}: ${cause.detail}`;
    case "still_breaching":
      return `guard ${cause.guard} still breaches: ${cause.detail}`;
    case "person":
      return cause.because ?? "asked for";
    case "blind":
      return `blind too long: ${cause.detail}`;
    case "alert":
      return `alert ${cause.name} fired ${cause.detail}`;
  }
}

/** What a hold means to the person who reads of it. */
export function holdInWords(reason: string): string {
  const words: Readonly<Record<string, string>> = {
    person: "held",
    blind: "blind: no trustworthy data, so nothing advances",
    expectation: "an expectation is not met",
    guard: "a guard asks to hold",
    breach_not_ours: "production is worse, but nothing of this rollout is on",
    not_the_cause: "the flag was not the cause",
    rolled_back: "rolled back and locked",
    undo_by_hand: "only a person can take this back",
    drift: "somebody changed a flag",
    flag_store: "the flag store did not confirm a flip",
    approval_expired: "the approval lapsed",
    no_go: "signed off no-go",
    alert_storm: "alerts of several services at once",
    unattributed: "the service was deployed or restarted inside the soak",
    flag_replaced: "a flag is not the one it was",
    would_roll_back: "Belay observes and would have rolled back",
  };
  return words[reason] ?? reason;
}

/** One event as one sentence; undefined for bookkeeping that people need not read. */
export function eventInWords(plan: Plan, event: RolloutEvent): string | undefined {
  switch (event.kind) {
    case "rollout_started":
      return `${formatActor(event.by)} started the rollout, ${stageName(plan, event.first)} to ${stageName(plan, event.end)}${rehearsedInWords(event)}`;
    case "end_set":
      return `${formatActor(event.by)} set the end to ${stageName(plan, event.end)}`;
    case "stage_started":
      return `${stageName(plan, event.stage)} begins: ${beginsWith(plan, event)}`;
    case "stage_enabled":
      return `${stageName(plan, event.stage)} read back; the soak starts`;
    case "stage_withdrawn":
      return `${stageName(plan, event.stage)} withdrawn: ${event.why}`;
    case "soak_passed":
      return `${stageName(plan, event.stage)} soaked ${formatDuration(event.soakedMs)} with every guard passing`;
    case "flip_verified":
      return event.afterLever === true
        ? `the flag system has taken the OFF of ${event.flag} at last, which was owed since the second lever was pulled`
        : undefined;
    case "soak_progress":
      return undefined;
    case "extended":
      return `${formatActor(event.by)} extended ${stageName(plan, event.stage)} by ${formatDuration(event.ms)}`;
    case "advance_asked":
      return `${formatActor(event.by)} advances early from ${stageName(plan, event.stage)}`;
    case "held":
      return event.reason === "person"
        ? `${formatActor(event.by)} holds: ${event.detail}`
        : `${formatActor(event.by)} holds (${holdInWords(event.reason)}): ${event.detail}`;
    case "resumed":
      return event.by.kind === "belay"
        ? `evidence is fresh again; resumed (${event.reasons.join(", ")})`
        : `${formatActor(event.by)} ${event.reasons.includes("would_roll_back") ? "lets it stand" : "resumed"} (${event.reasons.join(", ")})${because(event)}`;
    case "verdict_changed":
      return verdictInWords(plan, event);
    default:
      return gateOrBackInWords(plan, event);
  }
}

/** What a step sets, and who is to set it. */
function beginsWith(plan: Plan, { flips, asked }: Extract<RolloutEvent, { kind: "stage_started" }>): string {
  if (flips.length === 0) return "nothing to change";
  if (asked !== true) return flipsInWords(plan, flips);
  const missing = flips.filter((flip) => !sameSetting(flip.from, flip.to));
  return missing.length === 0
    ? `${flipsInWords(plan, flips)}, set already`
    : `people are asked to set ${flipsInWords(plan, missing)}`;
}

function rehearsedInWords({ rehearsed }: Extract<RolloutEvent, { kind: "rollout_started" }>): string {
  if (rehearsed === undefined) return "";
  const { beforeMs, flipMs } = rehearsed;
  const when = beforeMs < SECOND ? "just before" : `${formatDuration(beforeMs)} before`;
  return `; going back was rehearsed ${when}${flipMs === undefined ? "" : ` (slowest flag ${formatDuration(flipMs)})`}`;
}

function verdictInWords(plan: Plan, event: Extract<RolloutEvent, { kind: "verdict_changed" }>): string {
  const guard = plan.guards.find((one) => one.name === event.guard);
  const unit = guard === undefined || guard.kind === "alive" ? "none" : guard.unit;
  const value = event.value === undefined ? "" : ` at ${formatQuantity(event.value, unit)}`;
  return `${event.guard}: ${event.verdict}${value}${event.detail === undefined ? "" : ` (${event.detail})`}`;
}

type Rest = Exclude<
  RolloutEvent,
  {
    kind:
      | "rollout_started"
      | "end_set"
      | "stage_started"
      | "stage_enabled"
      | "stage_withdrawn"
      | "soak_passed"
      | "flip_verified"
      | "soak_progress"
      | "extended"
      | "advance_asked"
      | "held"
      | "resumed"
      | "verdict_changed";
  }
>;

/** How far the work was by then, as the end of a clause. */
function workBy(plan: Plan, done: number | undefined): string {
  const work = done === undefined ? undefined : workInWords(plan, done);
  return work === undefined ? "" : ` at ${work}`;
}

function because(event: { readonly because?: string }): string {
  return event.because === undefined ? "" : ` (${event.because})`;
}

function gateOrBackInWords(plan: Plan, event: Rest): string | undefined {
  switch (event.kind) {
    case "approval_requested":
      return `${stageName(plan, event.stage)} waits for approval by ${event.from}, asked for by ${formatActor(event.requester)}`;
    case "approved":
      return `${formatActor(event.by)} approved ${stageName(plan, event.stage)}`;
    case "approval_expired":
      return `the approval for ${stageName(plan, event.stage)} lapsed`;
    case "baseline_asked":
      return `${stageName(plan, event.stage)} would turn off ${event.flags.join(", ")}, which are on now: asks first`;
    case "baseline_confirmed":
      return `${formatActor(event.by)} confirmed the baseline`;
    case "review_opened":
      return `${stageName(plan, event.stage)} is open and waits for its sign-off`;
    case "signed_off":
      return `${formatActor(event.by)} signed off ${stageName(plan, event.stage)}: ${event.decision}${event.because === undefined ? "" : ` (${event.because})`}`;
    case "rollback_started":
      return `${event.byHand === true ? `${event.people ?? "people"} took back by hand` : `${formatActor(event.by)} rolls back`} ${flipsInWords(plan, event.flips)}${workBy(plan, event.progress)}: ${causeInWords(event.cause)}`;
    case "rollback_off":
      return event.by === "lever" ? "the second lever holds the flags off" : "flags read back from the store";
    case "rollback_confirmed":
      return event.seenBy === "store" ? "confirmed by the store" : "the service itself confirms";
    case "recovered":
      return `recovered${event.guard === undefined ? "" : `: ${event.guard} passes again`}`;
    case "look_failed":
      return `still breaching after the rollback: ${event.guard}, ${event.detail}`;
    case "drift_found":
      return `${event.flag} is ${settingInWords(plan, event.flag, event.found)}, expected ${settingInWords(plan, event.flag, event.expected)}: ${event.by ?? "somebody"} changed it`;
    case "deploy_found":
      return event.withRollback === true
        ? `beside the rollback, not by this rollout: ${event.detail}`
        : `inside the soak, not by this rollout: ${event.detail}; what had soaked so far counts no more`;
    case "versions_seen":
      return undefined;
    case "would_roll_back":
      return `WOULD have rolled back ${flipsInWords(plan, event.flips)}: ${causeInWords(event.cause)}`;
    case "mode_set":
      return event.mode === "observe"
        ? `${formatActor(event.by)} gave the flags to people: Belay judges and flips nothing${because(event)}`
        : `${formatActor(event.by)} lets Belay flip again${because(event)}`;
    case "lever_pulled":
      return `second lever pulled for ${event.flags.join(", ")}: ${event.why}`;
    case "flip_corrected":
      return `${event.flip.flag} had come back ${settingInWords(plan, event.flip.flag, event.flip.from)} by a late write; set ${settingInWords(plan, event.flip.flag, event.flip.to)} again`;
    case "paged":
      return `paged (${event.severity}): ${event.summary}`;
    case "unlatched":
      return `${formatActor(event.by)} unlocked ${event.flags.join(", ")}: ${event.because}`;
    case "refused":
      return `${formatActor(event.by)} asked for ${event.verb.replaceAll("_", " ")}, refused: ${event.detail.replace(/\.$/, "")}`;
    case "completed":
      return "completed";
    case "stopped":
      return `${formatActor(event.by)} stopped the rollout; flags stay as they are${event.because === undefined ? "" : ` (${event.because})`}`;
    case "rolled_back":
      return "ended: rolled back";
    case "quarantined":
      return `quarantined after an internal error: ${event.error}`;
  }
}
