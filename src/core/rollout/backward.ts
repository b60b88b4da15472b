/** Decisions that go back: breaches, rollbacks, the look afterwards, and flags that come back on by themselves. */
import { type Actor, BELAY, type Cause, type Flip, type RolloutEvent, type Severity } from "../event.ts";
import { type Consequence, flagsOfStage, type Guard, type Plan } from "../plan.ts";
import { formatSetting, sameSetting } from "../setting.ts";
import { formatDuration, type Now, SECOND } from "../time.ts";
import type { Judgement } from "../verdict.ts";
import {
  epochOf,
  type FlipState,
  hasHold,
  isBegun,
  isUndoable,
  newestFlagStage,
  newestUndoable,
  pendingBackward,
  type State,
  settingUpTo,
  stageAt,
} from "./state.ts";
import { isBlind, judgementOf, serviceShows, storeShows, type World, watchedGuards } from "./world.ts";

/** An ON seen this soon after our OFF was read back is taken for a late duplicate of a write, not for a person's decision. */
export const QUARANTINE_MS = 12 * SECOND;

/** An OFF that is not read back, or not seen by the service, after this long pages with the step to do by hand. */
export const UNVERIFIED_PAGE_MS = 60 * SECOND;

/** After the store's OFF the service's own word is waited for this long (and a restart's time); then the look goes on without it. */
export const VIEW_PATIENCE_MS = 10 * SECOND;

const NONE: readonly RolloutEvent[] = [];

/** A page event, once per key; nothing when this key was paged before. */
export function page(
  state: State,
  key: string,
  severity: Severity,
  summary: string,
): readonly RolloutEvent[] {
  return state.paged.includes(key) ? NONE : [{ kind: "paged", key, severity, summary }];
}

/** The rollback of every begun stage above `to`, newest first; undefined when there is none. */
export function planRollback(
  plan: Plan,
  state: State,
  world: World,
  to: number,
  cause: Cause,
  by: Actor,
): RolloutEvent | undefined {
  const stages: number[] = [];
  for (let index = plan.stages.length - 1; index > to; index--) {
    if (isBegun(state.stages[index]) && isUndoable(stageAt(plan, index))) stages.push(index);
  }
  if (stages.length === 0) return undefined;
  const flags = [...new Set(stages.flatMap((index) => [...flagsOfStage(stageAt(plan, index))].reverse()))];
  const flips = flags.map((flag): Flip => {
    const from = world.readings[flag]?.setting ?? state.flips[flag]?.flip.to ?? { kind: "on" as const };
    return {
      flag,
      from,
      to: settingUpTo(plan, state, flag, to),
      intent: `${state.run}.${state.revision + 1}.${flag}`,
    };
  });
  return { kind: "rollback_started", to, stages, flips, cause, by };
}

/** Flags of the newest stage that only people may take back. */
export function byHandFlags(plan: Plan, stage: number): readonly string[] {
  return flagsOfStage(stageAt(plan, stage)).filter(
    (flag) => plan.flags[flag]?.undo === "data" || plan.flags[flag]?.undo === "none",
  );
}

interface Breached {
  readonly guard: Guard;
  readonly judgement: Judgement;
}

const RANK: Readonly<Record<Consequence, number>> = { emergency: 3, rollback: 2, hold: 1, page: 0 };

/** The breaching guard with the strongest consequence. */
function worstBreach(plan: Plan, state: State, world: World): Breached | undefined {
  let worst: Breached | undefined;
  const restarting =
    plan.provider.restartMs > 0 && state.stages[newestFlagStage(plan, state)]?.status === "enabling";
  for (const guard of watchedGuards(plan, state)) {
    if (guard.kind === "alive" && restarting) continue;
    const judgement = judgementOf(plan, state, world, guard);
    if (judgement.verdict !== "breach") continue;
    if (worst === undefined || RANK[guard.consequence] > RANK[worst.guard.consequence])
      worst = { guard, judgement };
  }
  return worst;
}

function breachCause({ guard, judgement }: Breached): Cause {
  const { reason, detail } = judgement;
  return {
    kind: "breach",
    guard: guard.name,
    reason,
    detail: detail ?? "",
    breachAt: judgement.badSince ?? judgement.at,
  };
}

/** What a breach while walking leads to. */
export function onBreach(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  const worst = worstBreach(plan, state, world);
  if (worst === undefined) return NONE;
  const detail = `${worst.guard.name}: ${worst.judgement.detail ?? "breach"}`;
  switch (worst.guard.consequence) {
    case "rollback":
      return takeBack(plan, state, world, worst, newestUndoable(plan, state) - 1);
    case "emergency":
      return takeBack(plan, state, world, worst, -1);
    case "hold":
      return hasHold(state, "guard") ? NONE : [{ kind: "held", reason: "guard", detail, by: BELAY }];
    case "page": {
      const key = `${state.run}.guard.${worst.guard.name}.${epochOf(plan, state, worst.guard)}`;
      return page(state, key, "P2", `${plan.rollout}: ${detail}`);
    }
  }
}

function takeBack(
  plan: Plan,
  state: State,
  world: World,
  worst: Breached,
  to: number,
): readonly RolloutEvent[] {
  const detail = `${worst.guard.name}: ${worst.judgement.detail ?? "breach"}`;
  const newest = newestUndoable(plan, state);
  if (newest < 0) {
    if (hasHold(state, "breach_not_ours")) return NONE;
    const summary = `${plan.rollout}: ${detail}, but this rollout has nothing on to take back`;
    return [
      { kind: "held", reason: "breach_not_ours", detail, by: BELAY },
      ...page(state, `${state.run}.not_ours.${state.revision}`, "P1", summary),
    ];
  }
  const byHand = byHandFlags(plan, newest);
  if (byHand.length > 0) {
    if (hasHold(state, "undo_by_hand")) return NONE;
    const runbook = plan.runbook === undefined ? "" : `; runbook ${plan.runbook}`;
    const summary = `${plan.rollout}: ${detail}. ${byHand.join(", ")} can only be taken back by a person${runbook}`;
    return [
      { kind: "held", reason: "undo_by_hand", detail: summary, by: BELAY },
      ...page(state, `${state.run}.by_hand.${state.revision}`, "P1", summary),
    ];
  }
  const started = planRollback(plan, state, world, to, breachCause(worst), BELAY);
  return started === undefined ? NONE : [started];
}

/** Marks backward flips that a read begun after their decision shows as done; in every live phase. */
export function verifyBackward(state: State, world: World): readonly RolloutEvent[] {
  const events: RolloutEvent[] = [];
  for (const { flip, at } of pendingBackward(state)) {
    if (storeShows(world, flip.flag, flip.to, at))
      events.push({ kind: "flip_verified", flag: flip.flag, intent: flip.intent });
  }
  return events.length === 0 ? NONE : events;
}

/** While flags are being taken back: off when all are read back, confirmed when the service sees it too; pages when either takes too long. */
export function onRollingBack(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { rollback } = state;
  if (rollback === undefined) return NONE;
  const worst = worstBreach(plan, state, world);
  if (worst?.guard.consequence === "emergency") {
    const deeper = planRollback(plan, state, world, -1, breachCause(worst), BELAY);
    if (deeper !== undefined) return [deeper];
  }
  const pending = pendingBackward(state);
  const late = now.steady - rollback.decidedAt >= UNVERIFIED_PAGE_MS;
  if (pending.length > 0) {
    if (!late) return NONE;
    const todo = pending
      .map(({ flip }) => `set ${plan.flags[flip.flag]?.key ?? flip.flag} to ${formatSetting(flip.to)}`)
      .join(", ");
    const fault = world.storeFault === undefined ? "" : ` (${world.storeFault})`;
    const summary = `${plan.rollout}: not read back after ${formatDuration(UNVERIFIED_PAGE_MS)}${fault}. By hand: ${todo}. Belay keeps trying.`;
    return page(state, `${state.run}.unverified.${rollback.seq}`, "P1", summary);
  }
  if (rollback.offAt === undefined) return [{ kind: "rollback_off" }];
  const unseen = unseenFlags(plan, state, world);
  if (unseen.length === 0)
    return [{ kind: "rollback_confirmed", seenBy: plan.hasView ? "service" : "store" }];
  const patience = VIEW_PATIENCE_MS + plan.provider.restartMs;
  return now.steady - rollback.offAt < patience ? NONE : [{ kind: "rollback_confirmed", seenBy: "store" }];
}

/** Flags taken back that the service itself does not show so yet. */
function unseenFlags(plan: Plan, state: State, world: World): readonly string[] {
  return (state.rollback?.flags ?? []).filter((flag) => {
    const flip = state.flips[flag];
    return flip !== undefined && !serviceShows(plan, world, flag, flip.flip.to, flip.at);
  });
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

/** Steady ms at which a look may end well: the guard's window, one scrape and two polls after the service's OFF. */
export function lookUntil(plan: Plan, state: State): number {
  const from = state.rollback?.confirmedAt ?? state.epoch.at;
  return watchedGuards(plan, state).reduce(
    (most, guard) => Math.max(most, from + guard.windowMs + plan.scrapeMs + 2 * guard.intervalMs),
    from,
  );
}

/** While looking: recovered, or still breaching and on to what `unwind` says. */
export function onLooking(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const worst = worstBreach(plan, state, world);
  if (
    worst !== undefined &&
    (worst.guard.consequence === "rollback" || worst.guard.consequence === "emergency")
  ) {
    return afterFailedLook(plan, state, world, worst);
  }
  const unseen = onUnseen(plan, state, world, now);
  if (unseen.length > 0) return unseen;
  const cause = state.rollback?.cause;
  const judged = watchedGuards(plan, state).filter((guard) => guard.kind !== "expect");
  const causeGuard = cause?.kind === "breach" || cause?.kind === "still_breaching" ? cause.guard : undefined;
  const deciding = causeGuard === undefined ? judged : judged.filter((guard) => guard.name === causeGuard);
  const verdicts = deciding.map((guard) => judgementOf(plan, state, world, guard));
  if (now.steady >= lookUntil(plan, state) && verdicts.every((judgement) => judgement.verdict === "pass")) {
    const shown = deciding[0] === undefined ? undefined : verdicts[0];
    return recovered(plan, state, causeGuard, shown);
  }
  const blind = deciding.find((guard) =>
    isBlind(plan, world, guard, judgementOf(plan, state, world, guard), now.steady),
  );
  if (blind === undefined || now.steady - (state.rollback?.confirmedAt ?? now.steady) < plan.blindAfterMs)
    return NONE;
  const summary = `${plan.rollout}: flags are off, but guard ${blind.name} gives no evidence that production recovered. Look yourself.`;
  return page(state, `${state.run}.look_blind.${state.epoch.at}`, "P1", summary);
}

function recovered(
  plan: Plan,
  state: State,
  guard: string | undefined,
  shown: Judgement | undefined,
): readonly RolloutEvent[] {
  const done: RolloutEvent = {
    kind: "recovered",
    ...(guard === undefined ? {} : { guard }),
    ...(shown?.value === undefined ? {} : { detail: String(Number(shown.value.toPrecision(4))) }),
  };
  if (newestUndoable(plan, state) < 0) return [done, { kind: "rolled_back" }];
  const flags = state.rollback?.flags.join(", ") ?? "";
  return [
    done,
    {
      kind: "held",
      reason: "rolled_back",
      detail: `${flags} rolled back; unlock and enable to try again`,
      by: BELAY,
    },
  ];
}

function afterFailedLook(plan: Plan, state: State, world: World, worst: Breached): readonly RolloutEvent[] {
  const detail = worst.judgement.detail ?? "breach";
  const failed: RolloutEvent = { kind: "look_failed", guard: worst.guard.name, detail };
  const newest = newestUndoable(plan, state);
  const cause: Cause = { kind: "still_breaching", guard: worst.guard.name, detail };
  const all = plan.unwind === "all" || worst.guard.consequence === "emergency";
  if (newest >= 0 && (plan.unwind !== "newest" || all) && byHandFlags(plan, newest).length === 0) {
    const next = planRollback(plan, state, world, all ? -1 : newest - 1, cause, BELAY);
    if (next !== undefined) return [failed, next];
  }
  const flags = state.rollback?.flags.join(", ") ?? "the flag";
  const left =
    newest < 0
      ? "Nothing that this rollout turned on is left on."
      : `Still on: ${stagesOn(plan, state).join(", ")}.`;
  const summary = `${plan.rollout}: ${flags} off and ${worst.guard.name} still breaches (${detail}): this flag was not the cause. ${left}`;
  return [
    failed,
    { kind: "held", reason: "not_the_cause", detail: summary, by: BELAY },
    ...page(state, `${state.run}.not_the_cause.${state.epoch.at}`, "P1", summary),
  ];
}

function stagesOn(plan: Plan, state: State): readonly string[] {
  return plan.stages
    .filter((stage, index) => isBegun(state.stages[index]) && isUndoable(stage))
    .map((stage) => stage.name);
}

/**
 * A flag that Belay took back and read back, and that reads otherwise now. Our own late write, or anything inside the quarantine, is put right
 * at once; later changes are people's decisions and are reported, not fought.
 */
export function onComeback(state: State, world: World): readonly RolloutEvent[] {
  for (const [flag, fs] of Object.entries(state.flips)) {
    if (fs.direction !== "backward" || fs.verifiedAt === undefined || state.overridden[flag] !== undefined)
      continue;
    const reading = world.readings[flag];
    if (reading === undefined || reading.at <= fs.verifiedAt || sameSetting(reading.setting, fs.flip.to))
      continue;
    if (isOwnLateWrite(state, fs, reading.intent, reading.at)) {
      const flip: Flip = {
        flag,
        from: reading.setting,
        to: fs.flip.to,
        intent: `${state.run}.${state.revision + 1}.${flag}`,
      };
      return [{ kind: "flip_corrected", flip }];
    }
    const found = `${flag} is ${formatSetting(reading.setting)}, Belay had set it ${formatSetting(fs.flip.to)}`;
    return [
      { kind: "drift_found", flag, expected: fs.flip.to, found: reading.setting, direction: "ahead" },
      { kind: "held", reason: "drift", detail: `${found}; somebody turned it on`, by: BELAY },
      ...page(
        state,
        `${state.run}.drift.${flag}.${reading.version}`,
        "P1",
        `${state.rollout}: ${found}; somebody turned it on`,
      ),
    ];
  }
  return NONE;
}

function isOwnLateWrite(state: State, fs: FlipState, intent: string | undefined, readAt: number): boolean {
  if (intent !== undefined) return intent.startsWith(`${state.run}.`);
  return readAt - (fs.verifiedAt ?? 0) <= QUARANTINE_MS;
}
