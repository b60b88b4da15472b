/** The second lever: where OFFs go as well when the flag system does not take them. */
import type { RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { formatDuration, type Now, SECOND } from "../time.ts";
import { type FlipState, isStepOfPlan, pendingBackward, type State } from "./state.ts";
import { serviceShows, type World } from "./world.ts";

/** So long the flag system may fail to take an OFF before the second lever is pulled, where the file says nothing. */
const LEVER_AFTER_MS = 10 * SECOND;

const NONE: readonly RolloutEvent[] = [];

/**
 * Pulls the lever for every OFF that the flag system refuses for good, or has not taken for too long, in every phase. As long as an OFF that was pulled
 * is still owed, it is pulled for what follows at once. What a baseline sets is a step forward, and waits; so does what must not be written over a person's OFF.
 */
export function onLever(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const { lever } = plan.outside;
  if (lever === undefined) return NONE;
  const { backwardRefused: refused, backwardFailingSince: failing, storeFault } = world;
  if (refused === undefined && failing === undefined && storeFault === undefined) return NONE;
  const owed = pendingBackward(state).filter(
    (flip) => flip.careful !== true && !isStepOfPlan(plan, state, flip),
  );
  const patience = owed.some((flip) => isPulled(state, flip)) ? 0 : (lever.after ?? LEVER_AFTER_MS);
  const flags = owed
    .filter((flip) => !isPulled(state, flip) && (refused !== undefined || now.steady - flip.at >= patience))
    .map(({ flip }) => flip.flag)
    .reverse();
  if (flags.length === 0) return NONE;
  const why =
    refused ??
    `${patience === 0 ? "at once, as before" : `not taken for ${formatDuration(patience)}`}${storeFault === undefined ? "" : ` (${storeFault})`}`;
  return [{ kind: "lever_pulled", flags, why }];
}

/** Whether the lever was pulled for this very OFF, not for one of the same flag before. */
export function isPulled({ lever }: State, { flip, at }: FlipState): boolean {
  return lever?.flags.includes(flip.flag) === true && at <= lever.at;
}

/** Whether the lever holds this flag where it is to go, and the service works with that. */
export function isHeldByLever(plan: Plan, state: State, world: World, owed: FlipState): boolean {
  const { flip, at } = owed;
  return (
    isPulled(state, owed) &&
    world.leverHolds?.includes(flip.flag) === true &&
    serviceShows(plan, world, flip.flag, flip.to, at)
  );
}

/** What the lever holds off while the flag system has not taken it; undefined when nothing. */
export function leverHeld(plan: Plan, state: State, world: World): string | undefined {
  const held = pendingBackward(state).filter((owed) => isHeldByLever(plan, state, world, owed));
  if (held.length === 0) return undefined;
  const flags = held.map(({ flip }) => flip.flag).join(", ");
  return `the second lever (${leverPlace(plan)}) holds ${flags} off; the flag system still owes the OFF`;
}

/** What of these flags the lever still holds, as a reason not to go forward; undefined when nothing. */
export function leverInTheWay(
  plan: Plan,
  state: State,
  world: World,
  flags: readonly string[],
): string | undefined {
  const pulled = flags.filter((flag) => state.lever?.flags.includes(flag) === true);
  if (pulled.length === 0) return undefined;
  const held =
    world.leverHolds === undefined ? pulled : pulled.filter((flag) => world.leverHolds?.includes(flag));
  if (held.length === 0) return undefined;
  const keys = held.map((flag) => plan.flags[flag]?.key ?? flag).join(", ");
  return `the second lever (${leverPlace(plan)}) still holds ${keys} off; set it on there first`;
}

/** Where the second lever is, for people. */
export function leverPlace(plan: Plan): string {
  const { lever } = plan.outside;
  if (lever === undefined) return "none";
  const path = lever["path"];
  return typeof path === "string" ? path : lever.kind;
}
