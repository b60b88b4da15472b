/** One tick: given the world as last seen, the first transition of a rollout that is due now, or none. The engine repeats it until none is left. */
import { BELAY, type HoldReason, type RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { flagsOfStage, isWaitedFor, settingInWords } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { formatDuration, type Now } from "../time.ts";
import {
  onComeback,
  onRollingBack,
  onUnverified,
  page,
  takeBackOurselves,
  verifyBackward,
} from "./backward.ts";
import { onBreach } from "./breach.ts";
import { onTakenBackByHand } from "./by-hand.ts";
import { onDeploys, onLateDeploy } from "./deploys.ts";
import { isOverruled, type Reading } from "./desired.ts";
import { onEnabling } from "./enabling.ts";
import { nextForward } from "./forward.ts";
import { onReplaced } from "./identity.ts";
import { onLever } from "./lever.ts";
import { onLooking, onSetBackByPeople } from "./look.ts";
import { isAskedBack } from "./observe.ts";
import { onAlerts } from "./on-alert.ts";
import { placeOf } from "./place.ts";
import { onUnready } from "./ready.ts";
import { bankProgress, onSoaking } from "./soak.ts";
import {
  type FlipState,
  hasHold,
  isBegun,
  isLive,
  newestUndoable,
  pendingBackward,
  type State,
  stageAt,
  verifiedFlips,
} from "./state.ts";
import { changer, changerOf, expectedOf, isBlind, judgementOf, type World, watchedGuards } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** The events of the first due transition. Pure; returns one shared empty array when nothing changes, so that a quiet tick costs nothing. */
export function onTick(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  if (state.phase === "stuck") return onStuck(plan, state, world, now);
  if (!isLive(state)) return NONE;
  const first = firstOf(verdictChanges(plan, state, world), () => verifyBackward(state, world));
  if (first.length > 0) return first;
  switch (state.phase) {
    case "rolling_back":
      return firstOf(onComeback(state, world), () =>
        firstOf(onRollingBack(plan, state, world, now), () => onLateDeploy(plan, state, world, now)),
      );
    case "looking":
      return firstOf(onComeback(state, world), () =>
        firstOf(onLooking(plan, state, world, now), () =>
          firstOf(onOwed(plan, state, world, now), () =>
            firstOf(onDrift(plan, state, world), () => onLateDeploy(plan, state, world, now)),
          ),
        ),
      );
    default:
      return onWalking(plan, state, world, now);
  }
}

/** An OFF that the flag system does not take, whatever it is owed for: the second lever, and a page with the step to do by hand. */
function onOwed(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  return firstOf(onLever(plan, state, world, now), () => onUnverified(plan, state, world, now));
}

/** A quarantined run decides nothing, but an OFF that is owed is read back, and told when it does not come. */
function onStuck(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  if (pendingBackward(state).length > 0)
    return firstOf(verifyBackward(state, world), () => onOwed(plan, state, world, now));
  const isUntold = state.rollback !== undefined && state.rollback.offAt === undefined;
  return firstOf(onComeback(state, world), () => (isUntold ? [{ kind: "rollback_off" }] : NONE));
}

function onWalking(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  let events = onBreach(plan, state, world);
  if (events.length > 0) return events;
  events = onAlerts(plan, state, world, now);
  if (events.length > 0) return events;
  events = onDeploys(plan, state, world, now);
  if (events.length > 0) return events;
  events = onTakenBackByHand(plan, state, world);
  if (events.length > 0) return events;
  events = onComeback(state, world);
  if (events.length > 0) return events;
  events = onOwed(plan, state, world, now);
  if (events.length > 0) return events;
  events = onReplaced(plan, state, world);
  if (events.length > 0) return events;
  events = onDrift(plan, state, world);
  if (events.length > 0) return events;
  events = onSetBackByPeople(plan, state, world);
  if (events.length > 0) return events;
  events = onVanished(plan, state, world);
  if (events.length > 0) return events;
  events = onReadRefused(plan, state, world);
  if (events.length > 0) return events;
  events = onUnready(plan, state, world);
  if (events.length > 0) return events;
  events = onEnabling(plan, state, world, now);
  if (events.length > 0) return events;
  events = onBlind(plan, state, world, now);
  if (events.length > 0) return events;
  events = onExpectation(plan, state, world);
  if (events.length > 0) return events;
  events = onApprovalExpiry(state, now);
  if (events.length > 0) return events;
  events = onSoaking(plan, state, world);
  if (events.length > 0) return events;
  const next = nextForward(plan, state, world, now);
  return next.kind === "go" ? next.events : NONE;
}

function firstOf(
  events: readonly RolloutEvent[],
  otherwise: () => readonly RolloutEvent[],
): readonly RolloutEvent[] {
  return events.length > 0 ? events : otherwise();
}

/** Each guard whose verdict or reason is not the journaled one; soak so far is banked first, so that it is not lost with the run of passes. */
function verdictChanges(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  let changes: RolloutEvent[] | undefined;
  for (const guard of watchedGuards(plan, state)) {
    const judgement = judgementOf(plan, state, world, guard);
    if (judgement.reason === "not_asked") continue;
    const last = state.verdicts[guard.name];
    if (last !== undefined && last.verdict === judgement.verdict && last.reason === judgement.reason)
      continue;
    changes ??= [...bankProgress(plan, state, world)];
    const { verdict, reason, detail, value } = judgement;
    changes.push({
      kind: "verdict_changed",
      guard: guard.name,
      verdict,
      ...(reason === undefined ? {} : { reason }),
      ...(detail === undefined ? {} : { detail }),
      ...(value === undefined ? {} : { value }),
    });
  }
  return changes ?? NONE;
}

/** A flag that Belay set and read back, and that the store does not hold any more: nobody can say how the service works then. */
function onVanished(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  if (world.readAt === undefined || hasHold(state, "flag_store")) return NONE;
  for (const { flip, verifiedAt } of verifiedFlips(state)) {
    const { flag } = flip;
    if (verifiedAt === undefined || world.readAt <= verifiedAt || world.readings[flag] !== undefined)
      continue;
    const detail = `${plan.flags[flag]?.key ?? flag} is not in the flag store any more; put it back, or roll back`;
    return [
      ...bankProgress(plan, state, world),
      { kind: "held", reason: "flag_store", detail, by: BELAY },
      ...page(state, `${state.run}.vanished.${flag}.${verifiedAt}`, "P1", `${plan.rollout}: ${detail}`),
    ];
  }
  return NONE;
}

/** Whether this reading can tell of a person's change: of a flip that was read back before, or of one that is to be written with care. */
function isJudged(known: FlipState, reading: Reading): boolean {
  if (known.verifiedAt !== undefined) return reading.at > known.verifiedAt;
  const { intent, to: setting } = known.flip;
  return known.careful === true && reading.at >= known.at && isOverruled({ intent, setting }, reading);
}

/** A flag system that does not let Belay read any more would not let it go back either: told at once, while somebody can still mend it. */
function onReadRefused(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  if (world.readRefused === undefined) return NONE;
  const summary = `${plan.rollout}: the flag system refuses Belay (${world.readRefused}), so it could not roll back either. Mend the token or its rights; until then flags are set by hand, in ${placeOf(plan)}.`;
  return page(state, `${state.run}.read_refused.${state.epoch.at}`, "P1", summary);
}

/** Flags that people changed: one that Belay turned on and read back, or one of a stage that has not begun. */
function onDrift(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  for (let index = state.first; index <= state.end; index++) {
    const stage = stageAt(plan, index);
    for (const flag of flagsOfStage(stage)) {
      const reading = world.readings[flag];
      if (reading === undefined) continue;
      const known = state.flips[flag];
      if (known !== undefined && !isJudged(known, reading)) continue;
      const expected = expectedOf(state, flag);
      if (expected === undefined || sameSetting(reading.setting, expected)) continue;
      if (isAskedBack(state, flag, reading.setting)) continue;
      const begun = isBegun(state.stages[index]);
      const direction = begun ? "back" : "ahead";
      const found = settingInWords(plan, flag, reading.setting);
      const who = changerOf(world, flag);
      const isBack =
        !begun && sameSetting(reading.setting, known?.flip.to ?? state.recorded[flag] ?? expected);
      const detail = begun
        ? `${flag} was set ${found} by ${who}; ${known?.asked === true ? `it was ${settingInWords(plan, flag, expected)}, and Belay` : `Belay had set it ${settingInWords(plan, flag, expected)} and`} will not fight that`
        : isBack
          ? `${flag} was set ${found} again by ${who}, as it was before people changed it`
          : `${flag} was set ${found} by ${who} before its stage ${stage.name}`;
      const warn =
        begun || isBack
          ? NONE
          : page(state, `${state.run}.drift.${flag}.${reading.version}`, "P1", `${plan.rollout}: ${detail}`);
      return [
        ...bankProgress(plan, state, world),
        { kind: "drift_found", flag, expected, found: reading.setting, direction, ...changer(world, flag) },
        { kind: "held", reason: "drift", detail, by: BELAY },
        ...warn,
      ];
    }
  }
  return NONE;
}

/** Blind at once when any watched guard has no evidence or nobody can say whether alerts fire; pages and applies `on_blind` after `blind_after`; ends by itself with fresh evidence. */
function onBlind(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  let detail: string | undefined;
  for (const guard of watchedGuards(plan, state)) {
    const judgement = judgementOf(plan, state, world, guard);
    if (!isBlind(plan, world, guard, judgement, now.steady)) continue;
    const why =
      judgement.reason === "not_asked"
        ? "not answered"
        : `${judgement.reason ?? "late"}: ${judgement.detail ?? "no answer in time"}`;
    detail = `${guard.name} (${why})`;
    break;
  }
  if (world.alerts?.blind !== undefined) detail ??= `alerts (${world.alerts.blind})`;
  const hold = state.holds.find((one) => one.reason === "blind");
  if (detail !== undefined && hold === undefined) {
    return [...bankProgress(plan, state, world), { kind: "held", reason: "blind", detail, by: BELAY }];
  }
  if (hold === undefined) return NONE;
  if (detail === undefined) {
    const waiting =
      world.alerts?.isUnasked === true ||
      watchedGuards(plan, state).some(
        (guard) => isWaitedFor(guard) && judgementOf(plan, state, world, guard).reason === "not_asked",
      );
    return waiting ? NONE : [{ kind: "resumed", reasons: ["blind"], by: BELAY }];
  }
  if (now.steady - hold.since < plan.blindAfterMs || newestUndoable(plan, state) < 0) return NONE;
  const why = `${plan.rollout}: blind for ${formatDuration(plan.blindAfterMs)}: ${detail}`;
  const next =
    plan.onBlind === "hold"
      ? "Holding; flags stay as they are."
      : "The newest stage goes back, as on_blind says.";
  const paged = page(state, `${state.run}.blind.${hold.since}`, "P1", `${why}. ${next}`);
  if (paged.length === 0 || plan.onBlind === "hold") return paged;
  const to = newestUndoable(plan, state) - 1;
  return [...paged, ...takeBackOurselves(plan, state, world, to, { kind: "blind", detail }, why)];
}

/** Holds while an expectation is overdue; ends by itself when it is met. */
function onExpectation(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  let unmet: string | undefined;
  for (const guard of watchedGuards(plan, state)) {
    const judgement = judgementOf(plan, state, world, guard);
    if (judgement.reason === "expectation_unmet") unmet ??= `${guard.name}: ${judgement.detail ?? ""}`;
  }
  const reason: HoldReason = "expectation";
  const held = hasHold(state, reason);
  if (unmet !== undefined && !held)
    return [...bankProgress(plan, state, world), { kind: "held", reason, detail: unmet, by: BELAY }];
  if (unmet === undefined && held) return [{ kind: "resumed", reasons: [reason], by: BELAY }];
  return NONE;
}

function onApprovalExpiry(state: State, now: Now): readonly RolloutEvent[] {
  const { approval } = state;
  if (approval === undefined || now.steady < approval.expiresAt) return NONE;
  return [
    { kind: "approval_expired", stage: approval.stage },
    { kind: "held", reason: "approval_expired", detail: "the approval lapsed; resume asks again", by: BELAY },
  ];
}
