/** The look after a rollback: whether production recovered now that the flags are off, and what follows when it did not. */
import { BELAY, type Cause, type RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import type { Now } from "../time.ts";
import type { Judgement } from "../verdict.ts";
import { leftOn, peopleOn } from "./ahead.ts";
import {
  type Breached,
  breaches,
  byHandFlags,
  lookUntil,
  page,
  QUARANTINE_MS,
  takeBackOurselves,
  UNVERIFIED_PAGE_MS,
  unseenFlags,
} from "./backward.ts";
import { leverHeld } from "./lever.ts";
import { hasHold, isUndoable, newestUndoable, pendingBackward, type State, takenBack } from "./state.ts";
import {
  isBlind,
  judgementOf,
  progressIn,
  serviceShows,
  storeShows,
  type World,
  watchedGuards,
} from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** While looking: recovered, or still breaching and on to what `unwind` says. */
export function onLooking(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const worst = breaches(plan, state, world)[0];
  if (worst !== undefined && undoes(worst.guard)) return afterFailedLook(plan, state, world, worst);
  const unseen = onUnseen(plan, state, world, now);
  if (unseen.length > 0) return unseen;
  const cause = state.rollback?.cause;
  const causeGuard = cause?.kind === "breach" || cause?.kind === "still_breaching" ? cause.guard : undefined;
  const deciding = watchedGuards(plan, state).filter((guard) =>
    causeGuard === undefined ? undoes(guard) : guard.name === causeGuard,
  );
  const verdicts = deciding.map((guard) => judgementOf(plan, state, world, guard));
  const passes = verdicts.every((judgement) => judgement.verdict === "pass");
  if (
    passes &&
    now.steady >= lookUntil(plan, state) &&
    pendingBackward(state).length === 0 &&
    staysOff(plan, state, world)
  )
    return recovered(plan, state, world, causeGuard, verdicts[0]);
  const blind = deciding.find((guard) =>
    isBlind(plan, world, guard, judgementOf(plan, state, world, guard), now.steady),
  );
  if (blind === undefined || now.steady - (state.rollback?.confirmedAt ?? now.steady) < plan.blindAfterMs)
    return NONE;
  const summary = `${plan.rollout}: flags are off, but guard ${blind.name} gives no evidence that production recovered. Look yourself.`;
  return page(state, `${state.run}.look_blind.${state.epoch.at}`, "P1", summary);
}

/**
 * Whether the run may end: nobody watches it then, so a read from after the quarantine must show that nothing came back. A run of which something
 * is on stays watched anyway.
 */
function staysOff(plan: Plan, state: State, world: World): boolean {
  if (newestUndoable(plan, state) >= 0 || peopleOn(plan, state).length > 0) return true;
  const since = (state.rollback?.confirmedAt ?? state.epoch.at) + QUARANTINE_MS;
  if (world.readAt === undefined || world.readAt < since) return false;
  return takenBack(state).every(({ flip }) => {
    const reading = world.readings[flip.flag];
    if (reading === undefined || state.overridden[flip.flag] !== undefined) return true;
    return sameSetting(reading.setting, flip.to);
  });
}

/** Whether a breach of the guard takes flags back; only such guards decide whether production recovered. */
function undoes(guard: Breached["guard"]): boolean {
  return guard.consequence === "rollback" || guard.consequence === "emergency";
}

/** While looking on the store's word alone: the look starts anew when the service confirms, and pages when it does not. */
function onUnseen(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { rollback } = state;
  if (rollback === undefined || rollback.seenBy !== "store" || !plan.hasView) return NONE;
  const unseen = unseenFlags(plan, state, world);
  if (unseen.length === 0) return [{ kind: "rollback_confirmed", seenBy: "service" }];
  if (now.steady - rollback.decidedAt < UNVERIFIED_PAGE_MS) return NONE;
  const summary = `${plan.rollout}: ${unseen.join(", ")} off in the flag store, but ${plan.service} does not say so. Look at the service itself.`;
  return page(state, `${state.run}.unseen.${rollback.seq}`, "P1", summary);
}

function recovered(
  plan: Plan,
  state: State,
  world: World,
  guard: string | undefined,
  shown: Judgement | undefined,
): readonly RolloutEvent[] {
  const done: RolloutEvent = {
    kind: "recovered",
    ...(guard === undefined ? {} : { guard }),
    ...(shown?.value === undefined ? {} : { detail: String(Number(shown.value.toPrecision(4))) }),
    ...progressIn(world),
  };
  const flags = state.rollback?.flags.join(", ") ?? "";
  const people = peopleOn(plan, state);
  const isBack =
    state.rollback?.stages.length !== 0 || state.stages.some(({ status }) => status === "undone");
  if (isBack && people.length === 0 && newestUndoable(plan, state) < 0)
    return [done, { kind: "rolled_back" }];
  if (state.rollback?.stages.length === 0) {
    // What somebody had changed ahead of plan was set back: no rollback of the rollout, but its plan would turn it on again.
    if (hasHold(state, "drift")) return [done];
    const detail = `${flags} set back before its stage; resume lets the plan go on`;
    return [done, { kind: "held", reason: "drift", detail, by: BELAY }];
  }
  const on = people.length === 0 ? "" : `; ON, turned on by people: ${people.join(", ")}`;
  const detail = `${flags} rolled back${on}; unlock and enable to try again`;
  const held: RolloutEvent = { kind: "held", reason: "rolled_back", detail, by: BELAY };
  if (people.length === 0 || hasHold(state, "drift")) return [done, held];
  const drift = `${people.join(", ")} ON, turned on by people; a rollback takes it back`;
  return [done, held, { kind: "held", reason: "drift", detail: drift, by: BELAY }];
}

/** After a rollback that left on only what people had turned on: the run ends once they have set that back themselves. */
export function onSetBackByPeople(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  if (!hasHold(state, "rolled_back") || state.rollback?.recoveredAt === undefined) return NONE;
  const isUndone = plan.stages.every((stage, index) => {
    const at = state.stages[index];
    return !isUndoable(stage) || at?.startedAt === undefined || at.status === "undone";
  });
  const on = leftOn(plan, state).length > 0 || newestUndoable(plan, state) >= 0;
  if (!isUndone || on || pendingBackward(state).length > 0) return NONE;
  const isSeen = takenBack(state).every(
    ({ flip: { flag, to }, at }) =>
      storeShows(world, flag, to, at) && serviceShows(plan, world, flag, to, at),
  );
  return isSeen ? [{ kind: "rolled_back" }] : NONE;
}

function afterFailedLook(plan: Plan, state: State, world: World, worst: Breached): readonly RolloutEvent[] {
  const detail = worst.judgement.detail ?? "breach";
  const failed: RolloutEvent = {
    kind: "look_failed",
    guard: worst.guard.name,
    detail,
    ...progressIn(world),
  };
  const newest = newestUndoable(plan, state);
  const cause: Cause = { kind: "still_breaching", guard: worst.guard.name, detail };
  const all = plan.unwind === "all" || worst.guard.consequence === "emergency";
  if (newest >= 0 && (plan.unwind !== "newest" || all) && byHandFlags(plan, newest).length === 0) {
    const why = `${plan.rollout}: ${worst.guard.name}: ${detail}`;
    return [failed, ...takeBackOurselves(plan, state, world, all ? -1 : newest - 1, cause, why)];
  }
  const flags = state.rollback?.flags.join(", ") ?? "the flag";
  const held = leverHeld(plan, state, world);
  const owed = held === undefined ? "" : ` Mind: ${held}.`;
  const on = leftOn(plan, state);
  const left =
    on.length === 0 ? "Nothing that this rollout turned on is left on." : `Still on: ${on.join(", ")}.`;
  const summary = `${plan.rollout}: ${flags} off and ${worst.guard.name} still breaches (${detail}): this flag was not the cause. ${left}${owed}`;
  return [
    failed,
    { kind: "held", reason: "not_the_cause", detail: summary, by: BELAY },
    ...page(state, `${state.run}.not_the_cause.${state.epoch.at}`, "P1", summary),
  ];
}
