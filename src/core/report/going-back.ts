/** OFFs that are owed, in words: what is still on, why, what holds it off meanwhile, and the step to do by hand. */
import { flagsOfStage, type Plan, type Stage, settingInWords } from "../plan.ts";
import { todoByHand } from "../rollout/backward.ts";
import { isHeldByLever, leverHeld } from "../rollout/lever.ts";
import { placeOf } from "../rollout/place.ts";
import { type FlipState, pendingBackward, type State } from "../rollout/state.ts";
import type { World } from "../rollout/world.ts";
import { sameSetting } from "../setting.ts";

interface Seen {
  readonly plan: Plan;
  readonly state: State;
  readonly world: World;
}

/** `search still ON (connection refused). By hand, in /etc/flags.json: set SEARCH to OFF. Belay keeps trying`; undefined while nothing is in the way. */
export function stuckInWords({ plan, state, world }: Seen): string | undefined {
  const owed = pendingBackward(state).filter((flip) => !isHeldByLever(plan, state, world, flip));
  const why = whyStuck(world);
  if (owed.length === 0 || why === undefined) return undefined;
  const still = owed.map((one) => `${one.flip.flag} ${stillInWords(plan, world, one)}`).join(", ");
  return `${still} (${why}). By hand, in ${placeOf(plan)}: ${todoByHand(plan, owed)}. Belay keeps trying`;
}

/** How a stage that was taken back stands, for its row. */
export function undoneInWords(seen: Seen, stage: Stage): string {
  const { plan, state, world } = seen;
  const flags = flagsOfStage(stage);
  const owed = pendingBackward(state).filter(({ flip }) => flags.includes(flip.flag));
  const [first] = owed.filter((flip) => !isHeldByLever(plan, state, world, flip));
  if (first !== undefined) {
    const why = whyStuck(world);
    return `going back, ${stillInWords(plan, world, first)}${why === undefined ? "" : `: ${why}`}`;
  }
  return owed.length === 0 ? "rolled back" : "held off by the second lever; the flag system owes the OFF";
}

/** `the second lever (/etc/kill.json) holds search off; the flag system still owes the OFF`, as the end of a sentence; nothing without one. */
export function leverClause({ plan, state, world }: Seen): string {
  const held = leverHeld(plan, state, world);
  return held === undefined ? "" : `; ${held}`;
}

function whyStuck({ backwardRefused, backwardFailingSince, storeFault }: World): string | undefined {
  if (backwardRefused !== undefined) return `the OFF is refused: ${backwardRefused}`;
  return storeFault ?? (backwardFailingSince === undefined ? undefined : "the OFF is not taken");
}

function stillInWords(plan: Plan, world: World, { flip }: FlipState): string {
  const read = world.readings[flip.flag]?.setting;
  return read === undefined || sameSetting(read, flip.to)
    ? "not read back yet"
    : `still ${settingInWords(plan, flip.flag, read)}`;
}
