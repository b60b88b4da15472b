/** What stands in the way of a forward ask, as refusals with their reason codes and the buttons that help. */
import type { HoldReason } from "../event.ts";
import { flagsOfStage, type Plan } from "../plan.ts";
import { type Offer, type Refusal, refuse } from "../refusal.ts";
import { newestStage, type State, stageAt } from "./state.ts";

/** The button that takes everything back. */
export function rollbackAll(state: State): Offer {
  return {
    label: "Roll back all",
    command: `rollout rollback all run=${state.run}`,
    style: "danger",
    confirm: "Take back everything this rollout turned on?",
  };
}

/** The refusal for the first stage on the way to `end` that was rolled back and not unlocked. */
export function firstLocked(plan: Plan, state: State, end: number): Refusal | undefined {
  for (let index = newestStage(state) + 1; index <= end; index++) {
    const stage = stageAt(plan, index);
    const flag = flagsOfStage(stage).find((one) => state.latched[one] !== undefined);
    if (flag !== undefined) return latchedRefusal(state, flag, stage.name);
  }
  return undefined;
}

/** A stage was rolled back and nobody has unlocked its flag. */
export function latchedRefusal(state: State, flag: string, name: string): Refusal {
  const why = state.latched[flag]?.because ?? "";
  return refuse(
    "latched",
    `${name} was rolled back (${why}) and is locked. When the cause is fixed: \`/rollout unlock ${name} because "..."\`, then enable it again.`,
  );
}

/** A hold stands in the way; one that ends by itself offers no resume. */
export function heldRefusal(state: State, reason: HoldReason, detail: string): Refusal {
  const code = reason === "blind" ? "blind" : "held";
  const resume = { label: "Resume", command: `rollout resume run=${state.run}` };
  return refuse(code, `${state.rollout} is held (${reason}): ${detail}.`, reason === "blind" ? [] : [resume]);
}
