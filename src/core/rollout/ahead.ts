/** What people turned on of a rollout, beside what its begun stages set: before its stage, in place of what was asked, or after a rollback. */
import { flagsOfStage, type Plan } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { isBegun, isUndoable, type State, settingUpTo, stagesOn } from "./state.ts";

/** A flag that somebody set ahead of plan, and the stage that is to set it. */
export interface Ahead {
  readonly flag: string;
  readonly stage: number;
}

/** Flags that people set before their stage, above stage `to`, and that a rollback could take back. */
export function aheadOfPlan(plan: Plan, state: State, to: number): readonly Ahead[] {
  return plan.stages.flatMap((stage, index) =>
    index <= to || !isUndoable(stage) || isBegun(state.stages[index])
      ? []
      : flagsOfStage(stage)
          .filter((flag) => {
            const found = state.overridden[flag];
            // A person's OFF is never fought, not even when it came ahead of plan.
            return (
              found !== undefined &&
              found.kind !== "off" &&
              !sameSetting(found, settingUpTo(plan, state, flag, to))
            );
          })
          .map((flag) => ({ flag, stage: index })),
  );
}

/** The same flags, without those that a begun stage sets too. */
export function peopleOn(plan: Plan, state: State): readonly string[] {
  const ahead = aheadOfPlan(plan, state, -1);
  if (ahead.length === 0) return [];
  const begun = plan.stages.filter((stage, index) => isUndoable(stage) && isBegun(state.stages[index]));
  const own = new Set(begun.flatMap(flagsOfStage));
  return [...new Set(ahead.map(({ flag }) => flag))].filter((flag) => !own.has(flag));
}

/** Everything of the rollout that is on: its stages, oldest first, then `search (turned on by people)`. */
export function leftOn(plan: Plan, state: State): readonly string[] {
  return [...stagesOn(plan, state), ...peopleOn(plan, state).map((flag) => `${flag} (turned on by people)`)];
}
