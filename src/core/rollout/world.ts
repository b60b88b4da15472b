/** The world as the engine last saw it, handed to `decide` with every tick; and what the core reads out of it. */
import type { AlertView } from "../alerts/view.ts";
import { longestGapMs } from "../analysis.ts";
import type { RolloutEvent } from "../event.ts";
import { type Guard, isWaitedFor, type Plan } from "../plan.ts";
import { type Setting, sameSetting, toWire } from "../setting.ts";
import { type Judgement, unjudged } from "../verdict.ts";
import type { Reading, ServiceView } from "./desired.ts";
import { epochOf, type FlipState, guardsFor, newestFlagStage, type State } from "./state.ts";

export interface World {
  /** By guard name. */
  readonly judgements: Readonly<Record<string, Judgement | undefined>>;
  /** The flag store, by flag name. */
  readonly readings: Readonly<Record<string, Reading | undefined>>;
  /** The service's own view, by flag name. */
  readonly views: Readonly<Record<string, ServiceView | undefined>>;
  /** Since when (steady ms) this process has watched the run; silence from before means nothing. */
  readonly since: number;
  /** Forward writes that the store refused for good, by intent, with its words. */
  readonly refusals: Readonly<Record<string, string | undefined>>;
  /** Steady ms at which the newest read of the store that succeeded began; a flag without a reading was not in it. */
  readonly readAt?: number;
  /** Why the flag store cannot be read or written at present. */
  readonly storeFault?: string;
  /** Why the flag system refuses for good to be read: trying again cannot help. */
  readonly readRefused?: string;
  /** What is known of alerts; undefined where no alert concerns this rollout. */
  readonly alerts?: AlertView;
  /** Who made the newest unexpected change of a flag, by flag name, where the flag system says so. */
  readonly changedBy?: Readonly<Record<string, string | undefined>>;
  /** Why the flag system refused OFFs for good (a token without rights, an approval that it wants), in its words. */
  readonly backwardRefused?: string;
  /** Since when (steady ms) OFFs have been failing without a break. */
  readonly backwardFailingSince?: number;
  /** The flags that the second lever holds off now, as last read; undefined where there is no lever or it was not asked. */
  readonly leverHolds?: readonly string[];
  /** The service's versions and the start of its newest process (Unix ms), as its metrics tell them; `at`: steady ms of asking. */
  readonly service?: {
    readonly versions: readonly string[];
    readonly startedWall: number | undefined;
    readonly at: number;
  };
  /** Why a rollback would fail, as clauses, and since when (steady ms) rehearsals say so; undefined while they do not. */
  readonly rehearsal?: { readonly problems: readonly string[]; readonly since: number };
  /** How far the work is that the rollout lets through, in the unit of the plan's `progress`, as last measured; undefined where nothing tells. Never judged. */
  readonly progress?: number;
  /** What of the service is being restarted now, as a clause; undefined when nothing is. */
  readonly restarting?: string;
}

/** The progress as last measured, for an event; nothing where nothing tells. */
export function progressIn({ progress }: World): { readonly progress?: number } {
  return progress === undefined ? {} : { progress };
}

export const EMPTY_WORLD: World = { judgements: {}, readings: {}, views: {}, refusals: {}, since: 0 };

const watchedIn = new WeakMap<State, { readonly plan: Plan; readonly guards: readonly Guard[] }>();

/**
 * Guards that are judged now: those of the newest flag stage, and during a look also the one that caused the rollback; a look takes minutes, in
 * which no trend can be seen. Remembered until the state changes: it is asked many times on every tick.
 */
export function watchedGuards(plan: Plan, state: State): readonly Guard[] {
  const known = watchedIn.get(state);
  if (known?.plan === plan) return known.guards;
  const guards = findWatched(plan, state);
  watchedIn.set(state, { plan, guards });
  return guards;
}

function findWatched(plan: Plan, state: State): readonly Guard[] {
  const all = guardsFor(plan, newestFlagStage(plan, state));
  const guards = state.phase === "looking" ? all.filter(isWaitedFor) : all;
  const cause = state.phase === "looking" ? state.rollback?.cause : undefined;
  if (cause === undefined || (cause.kind !== "breach" && cause.kind !== "still_breaching")) return guards;
  if (guards.some((guard) => guard.name === cause.guard)) return guards;
  return [...guards, ...plan.guards.filter((guard) => guard.name === cause.guard)];
}

/** The judgement of a guard for the present epoch; one from before a flip says nothing about what came after it. */
export function judgementOf(plan: Plan, state: State, world: World, guard: Guard): Judgement {
  const epoch = epochOf(plan, state, guard);
  const known = world.judgements[guard.name];
  return known === undefined || known.epoch < epoch ? unjudged(epoch) : known;
}

/** Whether this judgement leaves us blind: asked without evidence, or not answered for longer than a run of polls may gap. */
export function isBlind(plan: Plan, world: World, guard: Guard, judgement: Judgement, now: number): boolean {
  if (!isWaitedFor(guard)) return false;
  const asked = judgement.reason !== "not_asked";
  // What an expectation waits for may not exist before anybody uses the flag.
  if (
    judgement.verdict === "no_evidence" &&
    guard.kind === "expect" &&
    now - judgement.epoch < guard.withinMs
  )
    return false;
  if (asked && (judgement.verdict === "no_evidence" || judgement.verdict === "provider_down")) return true;
  const last = asked ? judgement.at : Math.max(judgement.epoch, world.since);
  return now - last > 2 * longestGapMs(guard, plan.queryTimeoutMs);
}

/** Whether the service works with this setting. For a percentage its single literal proves nothing, and any is taken. */
export function viewAgrees(plan: Plan, flag: string, setting: Setting, view: ServiceView): boolean {
  const def = plan.flags[flag];
  if (def === undefined || setting.kind === "percent") return true;
  const literal = view.literal.trim().toLowerCase();
  if (literal === toWire(def, setting).value.trim().toLowerCase()) return true;
  if (setting.kind === "on") return literal === "1" || literal === "true" || literal === "on";
  if (setting.kind === "off") return literal === "0" || literal === "false" || literal === "off";
  return false;
}

/** How the store should show a flag of a stage: as people set it, as Belay set it, or as it was at the start; undefined when nothing is known. */
export function expectedOf(state: State, flag: string): Setting | undefined {
  return state.overridden[flag] ?? state.flips[flag]?.flip.to ?? state.recorded[flag];
}

/** Who made the newest unexpected change of a flag; "somebody" where the flag system does not say. */
export function changerOf(world: World, flag: string): string {
  return world.changedBy?.[flag] ?? "somebody";
}

/** The same, for an event; nothing where the flag system does not say. */
export function changer(world: World, flag: string): { readonly by?: string } {
  const by = world.changedBy?.[flag];
  return by === undefined ? {} : { by };
}

/** Whether a read that began after `since` shows the flag so in the store and takes effect. */
export function storeShows(world: World, flag: string, setting: Setting, since: number): boolean {
  const reading = world.readings[flag];
  return (
    reading !== undefined && reading.at >= since && reading.effective && sameSetting(reading.setting, setting)
  );
}

/** Marks those of these flips that both the store and the service show, each in a read that began after its decision. */
export function verifiedNow(plan: Plan, world: World, flips: readonly FlipState[]): readonly RolloutEvent[] {
  return flips
    .filter(
      ({ flip, at }) =>
        storeShows(world, flip.flag, flip.to, at) && serviceShows(plan, world, flip.flag, flip.to, at),
    )
    .map(({ flip }) => ({ kind: "flip_verified", flag: flip.flag, intent: flip.intent }));
}

/** Whether the service's own view, asked after `since`, agrees; true where the service has no view. */
export function serviceShows(
  plan: Plan,
  world: World,
  flag: string,
  setting: Setting,
  since: number,
): boolean {
  if (!plan.hasView) return true;
  const view = world.views[flag];
  return view !== undefined && view.at >= since && viewAgrees(plan, flag, setting, view);
}
