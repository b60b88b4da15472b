/** Puts decisions that counted without the journal on top of what the journal turned out to hold. */
import { type Recorded, type RolloutEvent, tellingOf } from "../event.ts";
import type { Plan } from "../plan.ts";
import { planRollback } from "./backward.ts";
import { evolve } from "./evolve.ts";
import type { State } from "./state.ts";
import { EMPTY_WORLD } from "./world.ts";

/** Events of `owed` that are not among those that `arrived` already, whatever number they have there. */
export function stillOwed(owed: readonly Recorded[], arrived: readonly Recorded[]): readonly Recorded[] {
  const known = new Set(arrived.map(substance));
  return owed.filter((one) => !known.has(substance(one)));
}

/** What makes an event itself: its instant and content. A rollback may have been widened on its way, so its stages and flips do not count. */
function substance({ at, wall, event }: Recorded): string {
  if (event.kind !== "rollback_started") return JSON.stringify([at, wall, event]);
  return JSON.stringify([at, wall, { ...event, stages: [], flips: [] }]);
}

/**
 * The same decisions, numbered to follow `state`; each keeps the number under which it was told. A step forward may have arrived that the
 * decisions did not know of: a rollback then takes back what that step began as well.
 */
export function rebase(
  plan: Plan,
  state: State,
  owed: readonly Recorded[],
): { readonly events: readonly Recorded[]; readonly state: State } {
  const events: Recorded[] = [];
  let folded = state;
  for (const one of owed) {
    const seq = folded.revision + 1;
    const event =
      one.event.kind === "rollback_started" && one.event.byHand !== true
        ? widened(plan, folded, one.event)
        : one.event;
    const { at, wall } = one;
    const was = tellingOf(one);
    const next: Recorded = { seq, at, wall, event, ...(was === seq ? {} : { was }) };
    events.push(next);
    folded = evolve(plan, folded, next);
  }
  return { events, state: folded };
}

type Started = Extract<RolloutEvent, { kind: "rollback_started" }>;

/** The rollback with every stage and flag above its goal that has begun meanwhile; its own flips keep their intents. */
function widened(plan: Plan, state: State, event: Started): Started {
  const now = planRollback(plan, state, EMPTY_WORLD, event.to, event.cause, event.by);
  if (now?.kind !== "rollback_started") return event;
  const own = new Set(event.flips.map((flip) => flip.flag));
  const more = now.flips.filter((flip) => !own.has(flip.flag));
  const stages = [...new Set([...now.stages, ...event.stages])].sort((a, b) => b - a);
  return { ...event, stages, flips: [...more, ...event.flips] };
}
