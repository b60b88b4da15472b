/** The identity of flags: a key that was deleted and made anew is another flag, and turning that on would wake what nobody reviewed. */
import { BELAY, type RolloutEvent } from "../event.ts";
import { flagsOfStage, type Plan } from "../plan.ts";
import { page } from "./backward.ts";
import { bankProgress } from "./soak.ts";
import type { State } from "./state.ts";
import type { World } from "./world.ts";

/**
 * Holds and pages when a flag of this rollout is not the one that it was at the start. Nothing goes forward until a person resumes, which accepts the
 * new flag; going back writes the safe value to whatever has the key now, because the service reads that.
 */
export function onReplaced(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  if (state.ids === undefined) return [];
  const replaced: Record<string, string> = {};
  for (const flag of new Set(plan.stages.flatMap(flagsOfStage))) {
    const known = state.ids[flag];
    const found = world.readings[flag]?.id;
    if (known !== undefined && found !== undefined && known !== found) replaced[flag] = found;
  }
  const flags = Object.keys(replaced);
  if (flags.length === 0) return [];
  const keys = flags.map((flag) => plan.flags[flag]?.key ?? flag).join(", ");
  const detail = `${keys} was deleted and made anew since this rollout began: it is another flag under the same key. Look at what it controls now; resume accepts it`;
  return [
    ...bankProgress(plan, state, world),
    { kind: "held", reason: "flag_replaced", detail, by: BELAY, ids: replaced },
    ...page(
      state,
      `${state.run}.replaced.${Object.values(replaced).join(".")}`,
      "P1",
      `${plan.rollout}: ${detail}`,
    ),
  ];
}
