/** What a guard in breach leads to while a rollout walks: a rollback, a hold or a page, each within what Belay may do by itself. */
import { BELAY, type RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { peopleOn } from "./ahead.ts";
import { type Breached, breachCause, breaches, page, takeBackOurselves } from "./backward.ts";
import { onBreachWhileAsking } from "./observe.ts";
import { epochOf, hasHold, newestUndoable, type State } from "./state.ts";
import type { World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** What the guards in breach lead to, the strongest consequence first; one that is dealt with already leaves the turn to the next. */
export function onBreach(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  for (const breached of breaches(plan, state, world)) {
    const events = actOn(plan, state, world, breached);
    if (events.length > 0) return events;
  }
  return NONE;
}

function actOn(plan: Plan, state: State, world: World, breached: Breached): readonly RolloutEvent[] {
  const { guard, judgement } = breached;
  const detail = `${guard.name}: ${judgement.detail ?? "breach"}`;
  switch (guard.consequence) {
    case "rollback":
    case "emergency":
      return takeBack(plan, state, world, breached);
    case "hold":
      return hasHold(state, "guard") ? NONE : [{ kind: "held", reason: "guard", detail, by: BELAY }];
    case "page": {
      const key = `${state.run}.guard.${guard.name}.${epochOf(plan, state, guard)}`;
      return page(state, key, "P2", `${plan.rollout}: ${detail}`);
    }
  }
}

function takeBack(plan: Plan, state: State, world: World, breached: Breached): readonly RolloutEvent[] {
  const { guard, judgement } = breached;
  const detail = `${guard.name}: ${judgement.detail ?? "breach"}`;
  const emergency = guard.consequence === "emergency";
  const newest = newestUndoable(plan, state);
  if (isDismissed(state, breached)) return NONE;
  const asking = onBreachWhileAsking(plan, state, world, detail);
  if (asking.length > 0) return asking;
  if (isLeftToPeople(state, breached) && (newest < 0 || !emergency)) return NONE;
  const people = peopleOn(plan, state);
  const isTheirs = state.mode === "observe" && people.length > 0;
  // Nothing has gone forward since a drift that nobody has answered: what people turned on is the newest.
  const above = isTheirs && (newest < 0 || hasHold(state, "drift")) ? newest : newest - 1;
  if (newest >= 0 || isTheirs) {
    const why = `${plan.rollout}: ${detail}`;
    return takeBackOurselves(plan, state, world, emergency ? -1 : above, breachCause(breached), why);
  }
  if (hasHold(state, "breach_not_ours")) return NONE;
  const summary = `${plan.rollout}: ${detail}, but ${leftToPeople(people)}`;
  return [
    { kind: "held", reason: "breach_not_ours", detail, by: BELAY },
    ...page(state, `${state.run}.not_ours.${state.revision}`, "P1", summary),
  ];
}

function leftToPeople(people: readonly string[]): string {
  if (people.length === 0) return "this rollout has nothing on to take back";
  return `of this rollout only ${people.join(", ")} is on, turned on by people: \`rollout rollback all\` takes it back`;
}

/** A person called this breach a false alarm; what must go back at once goes back all the same where Belay flips. */
function isDismissed(state: State, { guard }: Breached): boolean {
  const isSaid = state.dismissed?.[guard.name] !== undefined;
  return isSaid && (state.mode === "observe" || guard.consequence !== "emergency");
}

/** After a failed look people decide about the breach that outlived the flag; one that began after the guard had passed again is new. */
function isLeftToPeople(state: State, { judgement }: Breached): boolean {
  const hold = state.holds.find((one) => one.reason === "not_the_cause");
  return hold !== undefined && (judgement.passUntil === undefined || judgement.passUntil <= hold.since);
}
