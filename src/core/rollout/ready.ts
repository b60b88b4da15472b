/** Whether a live rollout could still go back: what a rehearsal of every hour finds is paged before a rollback needs it. */
import type { RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { page } from "./backward.ts";
import type { State } from "./state.ts";
import type { World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** Pages, once for as long as it stays so, that a rollback would fail. Nothing else changes: a forward flip needs the same rights and fails by itself. */
export function onUnready(plan: Plan, state: State, { rehearsal }: World): readonly RolloutEvent[] {
  if (rehearsal === undefined) return NONE;
  const summary = `${plan.rollout}: ${rehearsal.problems.join("; ")}. Nothing was changed, the guards still judge. Mend it now, and see with \`/rollout rehearse ${plan.rollout}\`.`;
  return page(state, `${state.run}.unready.${Math.round(rehearsal.since)}`, "P1", summary);
}
