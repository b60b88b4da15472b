/** What a flag system's own history is told of a flip: who, what and why, in one line. */
import { formatActor } from "../event.ts";
import { flagsOfStage, type Plan, settingInWords } from "../plan.ts";
import type { Write } from "../rollout/desired.ts";
import { isBegun, type State } from "../rollout/state.ts";
import { causeInWords } from "./words.ts";

const LONGEST = 300;

/** `Belay r-12 ingestion: parallel ON, stage parallel, asked by @ana`. */
export function flipNote(plan: Plan, state: State, { flag, setting, direction }: Write): string {
  const what = `Belay ${state.run} ${plan.rollout}: ${flag} ${settingInWords(plan, flag, setting)}`;
  return `${what}, ${direction === "forward" ? forwardWhy(plan, state, flag) : backwardWhy(state)}`.slice(
    0,
    LONGEST,
  );
}

function forwardWhy(plan: Plan, state: State, flag: string): string {
  const stage = plan.stages.findLast(
    (one, index) => isBegun(state.stages[index]) && flagsOfStage(one).includes(flag),
  );
  return `stage ${stage?.name ?? "?"}, asked by ${formatActor(state.requester)}`;
}

function backwardWhy({ rollback }: State): string {
  return rollback === undefined
    ? "set back by Belay"
    : `rolled back by ${formatActor(rollback.by)}: ${causeInWords(rollback.cause)}`;
}
