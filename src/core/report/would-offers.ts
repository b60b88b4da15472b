/** The two answers to what Belay would have taken back, as buttons of every message that tells of it. */
import { flagsOfStage, type Plan } from "../plan.ts";
import type { Offer } from "../refusal.ts";
import { isUndoable, type State, stageAt, type Would } from "../rollout/state.ts";

/** [Do it] and [False alarm]. What people turned on before its stage goes back with the lowest stage that is to set it. */
export function wouldOffers(
  plan: Plan,
  { run }: State,
  { to, stages, flips }: Pick<Would, "to" | "stages" | "flips">,
): readonly Offer[] {
  const own = new Set(stages.flatMap((index) => flagsOfStage(stageAt(plan, index))));
  const ahead = flips.map(({ flag }) => flag).filter((flag) => !own.has(flag));
  const setting = ahead.map((flag) =>
    plan.stages.findIndex(
      (stage, index) => index > to && isUndoable(stage) && flagsOfStage(stage).includes(flag),
    ),
  );
  const names = [...stages.map((index) => stageAt(plan, index).name), ...ahead];
  const lowest = stageAt(plan, Math.min(...stages, ...setting)).name;
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
