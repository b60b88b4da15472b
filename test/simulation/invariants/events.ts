/** The promises about decisions, checked with every event that the engine announces and with every commit. */
import type { Recorded, RolloutEvent } from "../../../src/core/event.ts";
import { claimsOf } from "../../../src/core/gate.ts";
import { guardsBefore } from "../../../src/core/rollout/forward.ts";
import { isBegun, isLive, type State } from "../../../src/core/rollout/state.ts";
import { OFF } from "../../../src/core/setting.ts";
import { alertTookBackOnce, alertWasOurs, stormTookNothingBack } from "./alerts.ts";
import { holdsForWhatWas, soakBeganAnew } from "./deploys.ts";
import type { History } from "./history.ts";

/** A breach verdict rests on values at most this old: the window, n polls, and one answer's delay, s. */
const BAD_SEEN_S = 35;
/** A late write of Belay that landed this recently may not have been read yet, ms. */
const JUST_WRITTEN_MS = 2_000;

/** Checks one event right after it happened; `state` includes it. Returns what was broken, in words. */
export type EventCheck = (history: History, state: State, recorded: Recorded) => readonly string[];

/** Checks a run right after a commit of it. Returns what was broken, in words. */
export type CommitCheck = (history: History, state: State) => readonly string[];

/** I6: every guard that must pass before a stage was asked again just before its start, and last answered that all is well. */
function stageHadFreshPasses(history: History, state: State, { event, at }: Recorded): readonly string[] {
  const { plan } = history;
  if (event.kind !== "stage_started" || plan.stages[event.stage]?.baseline === true) return [];
  return guardsBefore(plan, state, event.stage).flatMap((guard) => {
    const last = history.lastServed(guard.query);
    if (last?.passing === true && at - last.at <= plan.queryTimeoutMs) return [];
    const answered = last === undefined ? "never" : `${last.passing} at ${last.at}`;
    return [`${plan.stages[event.stage]?.name} started at ${at}; ${guard.name} last answered ${answered}`];
  });
}

/** The breach that a rollback was started for; undefined for any other event and cause. */
function breachBehind(event: RolloutEvent) {
  if (event.kind !== "rollback_started" && event.kind !== "would_roll_back") return undefined;
  // People take their time; what they took back is what was bad when Belay said so.
  if ("byHand" in event && event.byHand === true) return undefined;
  const { cause } = event;
  return cause.kind === "breach" || cause.kind === "still_breaching" ? cause : undefined;
}

/** I11: no rollback for a breach when production was well all the time; lies alone never cause one. */
function breachWasReal(history: History, _: State, { event }: Recorded): readonly string[] {
  const breach = breachBehind(event);
  if (breach === undefined || history.outside.production.wasEverBad()) return [];
  return [`rolled back for ${breach.guard} (${breach.detail}) though nothing was ever bad`];
}

/** I11b: a rollback for failed work rests on what was bad lately, not long ago. */
function breachWasRecent(history: History, _: State, { event }: Recorded): readonly string[] {
  const { production } = history.outside;
  const breach = breachBehind(event);
  if (breach?.guard !== "failures" || !production.wasEverBad() || production.wasBadWithin(BAD_SEEN_S))
    return [];
  return [`rolled back for ${breach.guard} (${breach.detail}), but nothing was bad for ${BAD_SEEN_S} s`];
}

/** I11c: the look after a rollback fails only for what was bad since the flags were off. */
function lookFailedForCause(
  history: History,
  { rollback }: State,
  { event, at }: Recorded,
): readonly string[] {
  if (event.kind !== "look_failed" || rollback?.confirmedAt === undefined) return [];
  const seconds = Math.ceil((at - rollback.confirmedAt) / 1_000) + 1;
  if (history.outside.production.wasBadWithin(seconds)) return [];
  return [`the look after ${rollback.flags.join(",")} failed, but nothing was bad since it was off`];
}

/** I12: when Belay says that flags are off, they are, or somebody else turned them on since. */
function claimedOffIsOff(history: History, state: State, { event }: Recorded): readonly string[] {
  if (event.kind !== "rollback_off") return [];
  return (state.rollback?.flags ?? []).flatMap((flag) => {
    const last = history.changes().findLast((change) => change.flag === flag);
    const isBelays = last?.by === "belay" && history.now() - last.at > JUST_WRITTEN_MS;
    if (history.isAt(flag, state.flips[flag]?.flip.to ?? OFF) || !isBelays) return [];
    return [`${state.run} says ${flag} is off, and it is on`];
  });
}

/** I3b: a stage counts as started only once the journal has it. */
function stageIsJournaled({ disk }: History, state: State, { event }: Recorded): readonly string[] {
  if (event.kind !== "stage_started") return [];
  if (disk.events.get(state.run)?.some((one) => one.event === event)) return [];
  return [`stage ${event.stage} counted without the journal`];
}

/** O1: a run that observes takes nothing back by itself, and one that acts does not only talk. */
function observingDecidesNothing(_: History, state: State, { event }: Recorded): readonly string[] {
  const observes = state.mode === "observe";
  if (event.kind === "would_roll_back" && !observes) return [`${state.run} acts, and says what it would do`];
  if (event.kind !== "rollback_started" || event.by.kind === "person" || event.byHand === true) return [];
  return observes ? [`${state.run} observes, and rolled back by itself`] : [];
}

/** I2: the stages begun are a prefix of the plan, from where the run started. */
function begunStagesArePrefix(_: History, state: State): readonly string[] {
  const begun = state.stages.map((stage, index) => (index >= state.first && isBegun(stage) ? 1 : 0));
  if (!begun.slice(state.first, begun.lastIndexOf(1) + 1).includes(0)) return [];
  return [`begun stages are no prefix: ${begun.join("")} from ${state.first}`];
}

/** I7: never two live rollouts on one flag. */
function isOnlyLiveRun(history: History, state: State): readonly string[] {
  const others = history.states().filter((other) => isLive(other) && other.run !== state.run);
  const hasClaims = others.some((other) => claimsOf({ plan: history.plan, state: other }).length > 0);
  return isLive(state) && hasClaims ? [`${state.run} and ${others[0]?.run} are both live`] : [];
}

/** In the order in which they are checked. */
export const EVENT_CHECKS = {
  I6: stageHadFreshPasses,
  I11: breachWasReal,
  I11b: breachWasRecent,
  I11c: lookFailedForCause,
  I12: claimedOffIsOff,
  I3b: stageIsJournaled,
  O1: observingDecidesNothing,
  A1: alertWasOurs,
  A2: alertTookBackOnce,
  A3: stormTookNothingBack,
  P1: soakBeganAnew,
  P2: holdsForWhatWas,
} as const satisfies Readonly<Record<string, EventCheck>>;

/** In the order in which they are checked. */
export const COMMIT_CHECKS = {
  I2: begunStagesArePrefix,
  I7: isOnlyLiveRun,
} as const satisfies Readonly<Record<string, CommitCheck>>;
