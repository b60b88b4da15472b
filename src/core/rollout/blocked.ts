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

/** The button that takes one stage back, and those begun after it. */
export function rollbackStage(state: State, name: string): Offer {
  return {
    label: `Roll back ${name}`.slice(0, 70),
    command: `rollout rollback ${name} run=${state.run}`,
    style: "danger",
    confirm: `Take back ${name} now?`,
  };
}

/** The button that ends the holds which wait for a person. */
export function resumeOffer(state: State): Offer {
  return { label: "Resume", command: `rollout resume run=${state.run}` };
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
  const offers = reason === "blind" ? [] : [resumeOffer(state)];
  return refuse(code, `${state.rollout} is held (${reason}): ${detail}.`, offers);
}
