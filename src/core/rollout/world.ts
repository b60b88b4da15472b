/** The world as the engine last saw it, handed to `decide` with every tick; and what the core reads out of it. */
import type { AlertView } from "../alerts/view.ts";
import { longestGapMs } from "../analysis.ts";
import { type Guard, isWaitedFor, type Plan } from "../plan.ts";
import { type Setting, sameSetting, toWire } from "../setting.ts";
import { type Judgement, unjudged } from "../verdict.ts";
import type { Reading, ServiceView } from "./desired.ts";
import { epochOf, guardsFor, newestFlagStage, type State } from "./state.ts";

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
  /** What is known of alerts; undefined where no alert concerns this rollout. */
  readonly alerts?: AlertView;
  /** What of the service is being restarted now, as a clause; undefined when nothing is. */
  readonly restarting?: string;
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

/** Whether a read that began after `since` shows the flag so in the store and takes effect. */
export function storeShows(world: World, flag: string, setting: Setting, since: number): boolean {
  const reading = world.readings[flag];
  return (
    reading !== undefined && reading.at >= since && reading.effective && sameSetting(reading.setting, setting)
  );
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
