/** Observing: people make the flips that Belay asks them for, and where it would take something back it says so instead. */
import { BELAY, type Flip, type RolloutEvent } from "../event.ts";
import { type Plan, settingInWords } from "../plan.ts";
import { OFF, type Setting, sameSetting } from "../setting.ts";
import { placeOf } from "./place.ts";
import {
  isOnlyAsked,
  isPeoples,
  newestFlagStage,
  pendingAsked,
  type State,
  stageAt,
  substageAt,
  type Would,
} from "./state.ts";
import { changer, changerOf, verifiedNow, type World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** The guard whose breach led to it, if one did. */
export function guardOf({ cause }: Pick<Would, "cause">): string | undefined {
  return cause.kind === "breach" || cause.kind === "still_breaching" ? cause.guard : undefined;
}

/** What Belay has said it would take back, as long as nobody has answered. */
export function openWould(state: State): Would | undefined {
  return state.holds.some((hold) => hold.reason === "would_roll_back") ? state.would : undefined;
}

/** Instead of a rollback by Belay itself: that it would have, and a hold until people decide. Once, unless it would go deeper now. */
export function wouldInstead(
  plan: Plan,
  state: State,
  started: Extract<RolloutEvent, { kind: "rollback_started" }>,
): readonly RolloutEvent[] {
  const known = openWould(state);
  const { to, stages, flips, cause } = started;
  if (known !== undefined && known.to <= to) return NONE;
  const flags = flips.map((flip) => `${flip.flag} ${settingInWords(plan, flip.flag, flip.to)}`).join(", ");
  const detail = `would have set ${flags}; do it, set it by hand, or call it a false alarm`;
  return [
    { kind: "would_roll_back", to, stages, flips, cause },
    { kind: "held", reason: "would_roll_back", detail, by: BELAY },
  ];
}

/** `FEATURE_X to be set ON and FEATURE_Y to be set 25 % in /etc/flags.json`: what people are asked to set and have not set yet, and where. */
export function askedInWords(plan: Plan, state: State): string {
  const asked = pendingAsked(state).map(
    ({ flip }) =>
      `${plan.flags[flip.flag]?.key ?? flip.flag} to be set ${settingInWords(plan, flip.flag, flip.to)}`,
  );
  return asked.length === 0 ? "" : `${asked.join(" and ")} in ${placeOf(plan)}`;
}

/** While people are asked to flip: marks what they have done, and leaves it to them when they do something else. They may take as long as they like. */
export function onAsked(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  const asked = pendingAsked(state);
  const seen = verifiedNow(plan, world, asked);
  if (seen.length > 0) return seen;
  const other = asked.find(({ flip, at }) => {
    const reading = world.readings[flip.flag];
    return (
      reading !== undefined &&
      reading.at > at &&
      !sameSetting(reading.setting, flip.to) &&
      !sameSetting(reading.setting, flip.from)
    );
  });
  if (other === undefined) return NONE;
  const { flag, to } = other.flip;
  const found = world.readings[flag]?.setting ?? OFF;
  const index = newestFlagStage(plan, state);
  const detail = `${flag} was set ${settingInWords(plan, flag, found)} by ${changerOf(world, flag)}; Belay had asked for ${settingInWords(plan, flag, to)}`;
  return [
    withdrawnAsk(plan, state, world, index, detail, flag),
    { kind: "drift_found", flag, expected: to, found, direction: "back", ...changer(world, flag) },
    { kind: "held", reason: "drift", detail, by: BELAY },
  ];
}

/** Whether people were asked for this stage and, as last read, have set nothing of it, neither as asked nor otherwise. */
export function isUntouched(plan: Plan, state: State, world: World, index: number): boolean {
  if (!isOnlyAsked(plan, state, index)) return false;
  return substageAt(plan, index, 0).set.every(({ flag, setting }) => {
    const found = world.readings[flag]?.setting;
    return (
      found === undefined || (!sameSetting(found, setting) && !isPeoples(plan, state, index, flag, found))
    );
  });
}

/** Takes an ask back. The flags stay as they are, whoever set them so; a flag that a person took over is left out. */
export function withdrawnAsk(
  plan: Plan,
  state: State,
  world: World,
  index: number,
  why: string,
  taken?: string,
): RolloutEvent {
  const substage = state.stages[index]?.substage ?? 0;
  const known = substageAt(plan, index, substage).set.flatMap(({ flag }) => {
    const reading = world.readings[flag];
    return reading === undefined || flag === taken ? [] : [{ flag, setting: reading.setting }];
  });
  const flips = known.map(
    ({ flag, setting }): Flip => ({
      flag,
      from: setting,
      to: setting,
      intent: `${state.run}.${state.revision + 1}.${flag}`,
    }),
  );
  // What people had set of it, before or meanwhile, stays on: whoever reads of the end of the ask must read that too.
  const on = known.filter(({ flag, setting }) => isPeoples(plan, state, index, flag, setting));
  const left = on.map(({ flag, setting }) => `${flag} is ${settingInWords(plan, flag, setting)} now`);
  return { kind: "stage_withdrawn", stage: index, why: [why, ...left].join("; "), flips };
}

/** The ask of a stage that nobody has set yet is taken back when a guard is in breach: nothing more is to be turned on now. */
export function onBreachWhileAsking(
  plan: Plan,
  state: State,
  world: World,
  why: string,
): readonly RolloutEvent[] {
  const index = newestFlagStage(plan, state);
  if (index < 0 || stageAt(plan, index).baseline || !isUntouched(plan, state, world, index)) return NONE;
  return [withdrawnAsk(plan, state, world, index, `do not set it now: ${why}`)];
}

/** Whether somebody has set a flag just as Belay said it would have: that is no drift, it waits for the other flags. */
export function isAskedBack(state: State, flag: string, found: Setting): boolean {
  return openWould(state)?.flips.some((flip) => flip.flag === flag && sameSetting(flip.to, found)) === true;
}
