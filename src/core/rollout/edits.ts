/** Small edits of a rollout's state that several folds share. */
import type { Flip, RolloutEvent } from "../event.ts";
import type { FlipState, StageState } from "./state.ts";

/** The events of these kinds. */
export type Of<K extends RolloutEvent["kind"]> = Extract<RolloutEvent, { kind: K }>;

export function editStage(
  stages: readonly StageState[],
  index: number,
  edit: (stage: StageState) => StageState,
): readonly StageState[] {
  return stages.map((stage, i) => (i === index ? edit(stage) : stage));
}

export function flipStates(
  flips: readonly Flip[],
  direction: "forward" | "backward",
  at: number,
  limits?: { writeBy: number; verifyBy: number },
): Record<string, FlipState> {
  return Object.fromEntries(flips.map((flip) => [flip.flag, { flip, direction, at, ...(limits ?? {}) }]));
}
