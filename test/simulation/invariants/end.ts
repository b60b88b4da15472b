/** The promises that hold at the end of a run, long after the last fault. */
import { isLive, type State } from "../../../src/core/rollout/state.ts";
import type { History } from "./history.ts";

/** I5: every command that was accepted has been answered, by the one who waited for it and in the journal. */
export function commandsAreAnswered(
  history: History,
  answered: ReadonlyMap<string, boolean>,
): readonly string[] {
  const unanswered = [...answered].filter(([, isDone]) => !isDone);
  const open = [...history.disk.intakes.values()].filter((one) => !one.answered);
  return [
    ...unanswered.map(([key]) => `${key} was accepted and never answered`),
    ...open.map(({ intake }) => `${intake.key} (${intake.text}) is still open in the journal`),
  ];
}

/** I9: nothing is owed any more: no flip, no rollback under way, no run in quarantine. */
export function runHasSettled(_: History, state: State): readonly string[] {
  const broken: string[] = [];
  const owed = Object.values(state.flips).filter(
    (flip) => flip.verifiedAt === undefined && flip.asked !== true,
  );
  if (isLive(state) && owed.length > 0) {
    const flags = owed.map((flip) => flip.flip.flag).join(",");
    broken.push(`${state.run} (${state.phase}) still owes ${flags} long after the last fault`);
  }
  if (state.phase === "rolling_back")
    broken.push(`${state.run} is still rolling back long after the last fault`);
  if (state.phase === "stuck") broken.push(`${state.run} is quarantined`);
  return broken;
}

/** I10: what the only run says to be rolled back is off, unless a person turned it on. */
export function rolledBackIsOff(history: History, state: State): readonly string[] {
  if (state.phase !== "rolled_back" || history.disk.runs.size !== 1) return [];
  return Object.keys(state.flips)
    .filter((flag) => !history.isPersons(flag) && !history.isOff(flag))
    .map((flag) => `${state.run} says rolled back, ${flag} is on`);
}

/** Told: every message that was queued has been delivered. */
export function messagesAreDelivered(history: History): readonly string[] {
  return [...history.disk.outbox.values()]
    .filter((item) => !item.done)
    .map((item) => `${item.key} was never delivered`);
}
