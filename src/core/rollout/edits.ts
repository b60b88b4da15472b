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

/** The flips of a step that is withdrawn: nothing is worse for it, so what is not off is set with care. */
export function withdrawn(flips: readonly Flip[], at: number): Record<string, FlipState> {
  return Object.fromEntries(
    flips.map((flip): [string, FlipState] => [
      flip.flag,
      { flip, direction: "backward", at, ...(flip.to.kind === "off" ? {} : { careful: true }) },
    ]),
  );
}

/** The same flips, for people to make. */
export function asked(flips: Readonly<Record<string, FlipState>>): Record<string, FlipState> {
  return Object.fromEntries(
    Object.entries(flips).map(([flag, { writeBy: _soon, verifyBy: _late, ...flip }]) => [
      flag,
      { ...flip, asked: true as const },
    ]),
  );
}

/** Flips toward the safe value that people have made already, as the store shows. */
export function madeByPeople(flips: readonly Flip[], at: number): Record<string, FlipState> {
  return Object.fromEntries(
    flips.map((flip) => [
      flip.flag,
      { flip, direction: "backward" as const, at, verifiedAt: at, asked: true as const },
    ]),
  );
}
