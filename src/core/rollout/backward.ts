/** Going back: what is taken back and how far, its reading back, and flags that come back on by themselves. */
import { type Actor, BELAY, type Cause, type Flip, type RolloutEvent, type Severity } from "../event.ts";
import { type Consequence, flagsOfStage, type Guard, type Plan } from "../plan.ts";
import { formatSetting, sameSetting, typedSetting } from "../setting.ts";
import { formatDuration, type Now, SECOND } from "../time.ts";
import type { Judgement } from "../verdict.ts";
import { aheadOfPlan } from "./ahead.ts";
import { attribute } from "./deploys.ts";
import type { Reading } from "./desired.ts";
import { isHeldByLever, isPulled, onLever } from "./lever.ts";
import { isAskedBack, wouldInstead } from "./observe.ts";
import { placeOf } from "./place.ts";
import {
  type FlipState,
  hasHold,
  isBegun,
  isUndoable,
  newestFlagStage,
  newestUndoable,
  pendingAsked,
  pendingBackward,
  type State,
  settingUpTo,
  stageAt,
  takenBack,
} from "./state.ts";
import {
  changer,
  changerOf,
  judgementOf,
  progressIn,
  serviceShows,
  storeShows,
  type World,
  watchedGuards,
} from "./world.ts";

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

/** The rollback of every begun stage above `to`, newest first, and of the flags in `also`; undefined when there is nothing to take back. */
export function planRollback(
  plan: Plan,
  state: State,
  world: World,
  to: number,
  cause: Cause,
  by: Actor,
  also: readonly string[] = [],
): Extract<RolloutEvent, { kind: "rollback_started" }> | undefined {
  const stages: number[] = [];
  for (let index = plan.stages.length - 1; index > to; index--) {
    if (isBegun(state.stages[index]) && isUndoable(stageAt(plan, index))) stages.push(index);
  }
  if (stages.length === 0 && also.length === 0) return undefined;
  const begun = stages.flatMap((index) => [...flagsOfStage(stageAt(plan, index))].reverse());
  const flags = [...new Set([...also, ...begun])];
  const flips = flags.map((flag): Flip => {
    const from = world.readings[flag]?.setting ?? state.flips[flag]?.flip.to ?? { kind: "on" as const };
    return {
      flag,
      from,
      to: settingUpTo(plan, state, flag, to),
      intent: `${state.run}.${state.revision + 1}.${flag}`,
    };
  });
  const began = state.stages[stages.at(-1) ?? -1]?.progress;
  return {
    kind: "rollback_started",
    to,
    stages,
    flips,
    cause,
    by,
    ...(began === undefined ? {} : { began }),
    ...progressIn(world),
  };
}

/** Whether only people may take this flag back. */
export function isByHand(plan: Plan, flag: string): boolean {
  const undo = plan.flags[flag]?.undo;
  return undo === "data" || undo === "none";
}

/** Flags of a stage that only people may take back. */
export function byHandFlags(plan: Plan, stage: number): readonly string[] {
  return flagsOfStage(stageAt(plan, stage)).filter((flag) => isByHand(plan, flag));
}

/** What a rollback down to `to` meets first that only people may take back: it stops above that stage. */
export function reachOf(
  plan: Plan,
  state: State,
  to: number,
): { readonly to: number; readonly spared: readonly string[] } {
  for (let index = newestUndoable(plan, state); index > to; index--) {
    if (!isBegun(state.stages[index])) continue;
    const spared = byHandFlags(plan, index);
    if (spared.length > 0) return { to: index, spared };
  }
  return { to, spared: [] };
}

/** What Belay takes back by itself, down to `to`; it holds and pages, once, where only a person may go on. `why` opens the page. */
export function takeBackOurselves(
  plan: Plan,
  state: State,
  world: World,
  to: number,
  because: Cause,
  why: string,
): readonly RolloutEvent[] {
  const reach = reachOf(plan, state, to);
  const isTakenBack = state.mode !== "observe";
  const { cause, news } = attribute(plan, state, world, because, isTakenBack);
  // Where people flip, what they turned on ahead of plan is of this rollout too.
  const ahead = state.mode === "observe" ? aheadOfPlan(plan, state, reach.to) : [];
  const also = ahead.map(({ flag }) => flag).filter((flag) => !isByHand(plan, flag));
  const started = planRollback(plan, state, world, reach.to, cause, BELAY, also);
  const decided = started === undefined || isTakenBack ? started : wouldInstead(plan, state, started);
  const events: RolloutEvent[] = decided === undefined ? [] : [...news, ...[decided].flat()];
  if (reach.spared.length === 0 || hasHold(state, "undo_by_hand")) return events;
  const runbook = plan.runbook === undefined ? "" : `; runbook ${plan.runbook}`;
  const summary = `${why}. ${reach.spared.join(", ")} can only be taken back by a person${runbook}`;
  return [
    ...events,
    { kind: "held", reason: "undo_by_hand", detail: summary, by: BELAY },
    ...page(state, `${state.run}.by_hand.${state.revision}`, "P1", summary),
  ];
}

export interface Breached {
  readonly guard: Guard;
  readonly judgement: Judgement;
}

const RANK: Readonly<Record<Consequence, number>> = { emergency: 3, rollback: 2, hold: 1, page: 0 };

const QUIET: readonly Breached[] = [];

/** The guards in breach, those with the strongest consequence first. */
export function breaches(plan: Plan, state: State, world: World): readonly Breached[] {
  let found: Breached[] | undefined;
  const restarting = plan.provider.restartMs > 0 && isRestarting(plan, state);
  for (const guard of watchedGuards(plan, state)) {
    const judgement = judgementOf(plan, state, world, guard);
    if (judgement.verdict !== "breach") continue;
    if (guard.kind === "alive" && restarting && !outlastsRestart(plan, state, judgement)) continue;
    found ??= [];
    found.push({ guard, judgement });
  }
  return found?.sort((a, b) => RANK[b.guard.consequence] - RANK[a.guard.consequence]) ?? QUIET;
}

/** Whether a flip that needs a restart is under way: the service is away because of us. */
function isRestarting(plan: Plan, state: State): boolean {
  return (
    state.stages[newestFlagStage(plan, state)]?.status === "enabling" || pendingBackward(state).length > 0
  );
}

/** People who are asked for a flip may take hours, and no restart of theirs takes so long: a service that stays down meanwhile is down. */
function outlastsRestart(plan: Plan, state: State, { at, badSince = at }: Judgement): boolean {
  const { restartMs, restartsInTurn = 1 } = plan.provider;
  return pendingAsked(state).length > 0 && at - badSince > restartsInTurn * restartMs + plan.scrapeMs;
}

export function breachCause({ guard, judgement }: Breached): Cause {
  const { reason, detail } = judgement;
  return {
    kind: "breach",
    guard: guard.name,
    reason,
    detail: detail ?? "",
    breachAt: judgement.badSince ?? judgement.at,
  };
}

/** Marks backward flips that a read begun after their decision shows as done; in every live phase. */
export function verifyBackward(state: State, world: World): readonly RolloutEvent[] {
  const events: RolloutEvent[] = [];
  for (const owed of pendingBackward(state)) {
    const { flip, at } = owed;
    if (!storeShows(world, flip.flag, flip.to, at)) continue;
    const late = isPulled(state, owed) ? { afterLever: true as const } : {};
    events.push({ kind: "flip_verified", flag: flip.flag, intent: flip.intent, ...late });
  }
  return events.length === 0 ? NONE : events;
}

/** While flags are being taken back: off when all are read back, confirmed when the service sees it too; pages when either takes too long. */
export function onRollingBack(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { rollback } = state;
  if (rollback === undefined) return NONE;
  const [worst] = breaches(plan, state, world);
  if (worst?.guard.consequence === "emergency") {
    const why = `${plan.rollout}: ${worst.guard.name}: ${worst.judgement.detail ?? "breach"}`;
    const deeper = takeBackOurselves(plan, state, world, -1, breachCause(worst), why);
    if (deeper.length > 0) return deeper;
  }
  const pending = pendingBackward(state);
  if (pending.length > 0) {
    const events = onLever(plan, state, world, now);
    if (events.length > 0) return events;
    if (!pending.every((flip) => isHeldByLever(plan, state, world, flip)))
      return onUnverified(plan, state, world, now);
    return [
      ...(rollback.offAt === undefined ? [{ kind: "rollback_off", by: "lever" } as const] : []),
      { kind: "rollback_confirmed", seenBy: "lever" },
    ];
  }
  if (rollback.offAt === undefined) return [{ kind: "rollback_off" }];
  const unseen = unseenFlags(plan, state, world);
  if (unseen.length === 0)
    return [{ kind: "rollback_confirmed", seenBy: plan.hasView ? "service" : "store" }];
  const patience = VIEW_PATIENCE_MS + plan.provider.restartMs;
  return now.steady - rollback.offAt < patience ? NONE : [{ kind: "rollback_confirmed", seenBy: "store" }];
}

/**
 * Pages, once, when flags that are to go back have not been read back for too long or are refused for good, with the step to do by hand for
 * every OFF that is owed. An OFF decided after that page is paged for anew.
 */
export function onUnverified(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const refused = world.backwardRefused;
  const pending = pendingBackward(state);
  const isDue = pending.some(
    (owed) =>
      !isPagedFor(state, owed) && (refused !== undefined || now.steady - owed.at >= UNVERIFIED_PAGE_MS),
  );
  const newest = pending.reduce<FlipState | undefined>(
    (last, owed) => (last === undefined || owed.at > last.at ? owed : last),
    undefined,
  );
  if (!isDue || newest === undefined) return NONE;
  const fault = world.storeFault === undefined ? "" : ` (${world.storeFault})`;
  const what =
    refused === undefined
      ? `not read back after ${formatDuration(UNVERIFIED_PAGE_MS)}${fault}`
      : `an OFF is refused (${refused})`;
  const summary = `${plan.rollout}: ${what}. By hand, in ${placeOf(plan)}: ${todoByHand(plan, pending)}. Belay keeps trying.`;
  return page(state, `${unverifiedPages(state)}${newest.flip.intent}`, "P1", summary);
}

/** `set FEATURE_A to OFF, set FEATURE_B to 5`: what a person types where Belay cannot write. */
export function todoByHand(plan: Plan, owed: readonly FlipState[]): string {
  return owed
    .map(
      ({ flip }) =>
        `set ${plan.flags[flip.flag]?.key ?? flip.flag} to ${typedSetting(flip.to, plan.flags[flip.flag])}`,
    )
    .join(", ");
}

function unverifiedPages({ run }: State): string {
  return `${run}.unverified.`;
}

/** Whether a page names this OFF: one names all that were owed up to the newest, and intents count up. */
function isPagedFor(state: State, { flip }: FlipState): boolean {
  const prefix = unverifiedPages(state);
  const turn = (intent: string): number => Number(intent.slice(state.run.length + 1).split(".", 1)[0]);
  return state.paged.some(
    (key) => key.startsWith(prefix) && turn(key.slice(prefix.length)) >= turn(flip.intent),
  );
}

/** Flags taken back that the service itself does not show so yet. */
export function unseenFlags(plan: Plan, state: State, world: World): readonly string[] {
  return (state.rollback?.flags ?? []).filter((flag) => {
    const flip = state.flips[flag];
    // What people have set otherwise since is theirs, and no service is to show it off.
    if (flip === undefined || state.overridden[flag] !== undefined) return false;
    return !serviceShows(plan, world, flag, flip.flip.to, flip.at);
  });
}

/** Steady ms at which a look may end well: the guard's window, one scrape and two polls after the service's OFF; when the run ends with it, not before the quarantine is over. */
export function lookUntil(plan: Plan, state: State): number {
  const from = state.rollback?.confirmedAt ?? state.epoch.at;
  const quarantined = newestUndoable(plan, state) < 0 ? from + QUARANTINE_MS : from;
  return watchedGuards(plan, state).reduce(
    (most, guard) => Math.max(most, from + guard.windowMs + plan.scrapeMs + 2 * guard.intervalMs),
    quarantined,
  );
}

/**
 * A flag that Belay took back and read back, and that reads otherwise now. Our own late write, or anything inside the quarantine, is put right
 * at once; later changes are people's decisions and are reported, not fought.
 */
export function onComeback(state: State, world: World): readonly RolloutEvent[] {
  for (const fs of takenBack(state)) {
    const { flag } = fs.flip;
    if (fs.verifiedAt === undefined || state.overridden[flag] !== undefined) continue;
    const reading = world.readings[flag];
    if (reading === undefined || reading.at <= fs.verifiedAt || sameSetting(reading.setting, fs.flip.to))
      continue;
    if (isAskedBack(state, flag, reading.setting)) continue;
    // What people set themselves is theirs to set otherwise.
    if (fs.asked !== true && isOwnLateWrite(state, fs, reading)) {
      const flip: Flip = {
        flag,
        from: reading.setting,
        to: fs.flip.to,
        intent: `${state.run}.${state.revision + 1}.${flag}`,
      };
      return [{ kind: "flip_corrected", flip }];
    }
    const who = changerOf(world, flag);
    const found = `${flag} is ${formatSetting(reading.setting)}, ${fs.asked === true ? "it was" : "Belay had set it"} ${formatSetting(fs.flip.to)}`;
    return [
      {
        kind: "drift_found",
        flag,
        expected: fs.flip.to,
        found: reading.setting,
        direction: "ahead",
        ...changer(world, flag),
      },
      { kind: "held", reason: "drift", detail: `${found}; ${who} turned it on`, by: BELAY },
      ...page(
        state,
        `${state.run}.drift.${flag}.${reading.version}`,
        "P1",
        `${state.rollout}: ${found}; ${who} turned it on`,
      ),
    ];
  }
  return NONE;
}

function isOwnLateWrite(state: State, fs: FlipState, { at, by, intent }: Reading): boolean {
  if (intent !== undefined) return intent.startsWith(`${state.run}.`);
  // Nobody but this run writes its flags with Belay's token.
  if (by !== undefined) return by.own;
  return at - (fs.verifiedAt ?? 0) <= QUARANTINE_MS;
}
