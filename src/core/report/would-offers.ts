/** The two answers to what Belay would have taken back, as buttons of every message that tells of it. */
import type { Plan } from "../plan.ts";
import type { Offer } from "../refusal.ts";
import { type State, stageAt, type Would } from "../rollout/state.ts";

/** [Do it] and [False alarm]. */
export function wouldOffers(plan: Plan, { run }: State, { stages }: Pick<Would, "stages">): readonly Offer[] {
  const names = stages.map((index) => stageAt(plan, index).name);
  const lowest = stageAt(plan, Math.min(...stages)).name;
  return [
    {
      label: "Do it",
      command: `rollout rollback ${lowest} run=${run}`,
      style: "danger",
      confirm: `Take back ${names.join(", ")} now? Belay writes it.`,
    },
    {
      label: "False alarm",
      command: `rollout resume run=${run} because "false alarm"`,
      confirm: `Leave ${names.join(", ")} as it is? The guard counts again once it has passed.`,
    },
  ];
}
