/** A live rollout in a few words, for posts that tell of everything at once. */
import type { Plan } from "../plan.ts";
import { isBegun, isLive, pendingAsked, pendingBackward, type State } from "../rollout/state.ts";
import { cardOf, type Shown } from "./card.ts";
import type { RolloutFact } from "./health-post.ts";

/** Where it stands, and its next forward step if one is planned; one that is held or going back has none, whatever its plan said. */
export function rolloutFact(shown: Shown): RolloutFact {
  const card = cardOf(shown);
  const about = { name: card.rollout, stands: `${card.status.toLowerCase()}, ${card.says}` };
  if (!goesForward(shown.state)) return { ...about, trouble: card.status };
  const next = card.rows.find((row) => row.mark === "next");
  return {
    ...about,
    ...(next === undefined ? {} : { nextStep: next.name }),
    ...(next?.wall === undefined ? {} : { nextWall: next.wall }),
  };
}

function goesForward({ phase, holds }: State): boolean {
  return phase === "walking" && holds.length === 0;
}

/** Whether flags of this run are on their way, forward or back: nothing of its service is to be restarted meanwhile. */
export function isStepUnderWay(plan: Plan, state: State): boolean {
  if (!isLive(state)) return pendingBackward(state).length > 0;
  // People who were asked to flip may take days; what they need a restart for is theirs to know.
  const isEnabling =
    pendingAsked(state).length === 0 &&
    plan.stages.some(
      (_, index) => isBegun(state.stages[index]) && state.stages[index]?.status === "enabling",
    );
  return state.phase === "rolling_back" || isEnabling || pendingBackward(state).length > 0;
}
