/** A stage in words: what it sets, when it is planned, which of its steps it is at, and what its flags went back to. */
import { flagsOfStage, type Plan, type Stage, settingInWords } from "../plan.ts";
import { peopleOn } from "../rollout/ahead.ts";
import type { State } from "../rollout/state.ts";
import { isNumeric, type Setting } from "../setting.ts";
import { formatDuration } from "../time.ts";

/** What a stage does: `parse-cache ON`, `all OFF`, `sign-off`. */
export function whatOf(plan: Plan, stage: Stage): string {
  if (stage.review !== undefined) return "review, sign-off";
  const first = stage.substages[0]?.set ?? [];
  if (stage.baseline)
    return first.length > 2
      ? "all OFF"
      : first.map((item) => `${item.flag} ${settingInWords(plan, item.flag, item.setting)}`).join(", ");
  return flagsOfStage(stage)
    .map((flag) => {
      const steps = stage.substages.flatMap((sub) =>
        sub.set.filter((item) => item.flag === flag).map((item) => settingInWords(plan, flag, item.setting)),
      );
      return `${flag} ${steps.join(" > ")}`;
    })
    .join(", ");
}

/** `Hour 3`, `Day 2`, `+20 min`: the planned time as the timeline names it. */
export function plannedName(atMs: number): string {
  const minutes = Math.round(atMs / 60_000);
  if (minutes % 60 !== 0 || atMs % 60_000 !== 0) return `+${formatDuration(atMs)}`;
  const hours = minutes / 60;
  return hours >= 24 && hours % 24 === 0 ? `Day ${hours / 24}` : `Hour ${hours}`;
}

/** `at 25 %, `: the step of a stage that has several; nothing for others. */
export function stepOf(plan: Plan, stage: Stage, substage: number): string {
  if (stage.substages.length < 2) return "";
  const item = stage.substages[substage]?.set[0];
  return item === undefined ? "" : `at ${settingInWords(plan, item.flag, item.setting)}, `;
}

/** `, search ON by people`: what people turned on of a stage that is not on; nothing for others. */
export function byPeople(plan: Plan, state: State, stage: Stage): string {
  const on = new Set(peopleOn(plan, state));
  const told = flagsOfStage(stage).flatMap((flag) => {
    const found = state.overridden[flag];
    return found === undefined || !on.has(flag) ? [] : [`${flag} ${settingInWords(plan, flag, found)}`];
  });
  return told.length === 0 ? "" : `, ${told.join(", ")} by people`;
}

/** The flags of the rollback that is under way, as they are taken back: `b off`, `batch-limit back at 1,000`. */
export function backInWords(plan: Plan, state: State): string {
  const { rollback, flips } = state;
  const { overridden } = state;
  const flags = (rollback?.flags ?? []).filter((flag) => overridden[flag] === undefined);
  const on = peopleOn(plan, state);
  if (on.length > 0) {
    const back = flags.length === 0 ? "" : `${flags.join(", ")} back; `;
    return `${back}ON, turned on by people: ${on.join(", ")}`;
  }
  if (!flags.some((flag) => isBackAtValue(plan, flips, flag))) return `${flags.join(", ")} off`;
  const told = flags.map((flag) => {
    const to = flips[flag]?.flip.to;
    return to === undefined ? flag : `${flag} back at ${settingInWords(plan, flag, to)}`;
  });
  return told.join(", ");
}

/** Whether the rollback that is under way takes the flag to a value: then it is not off. */
export function isBackAtValue(plan: Plan, flips: State["flips"], flag: string): boolean {
  const to = flips[flag]?.flip.to;
  return to !== undefined && isValue(plan, flag, to);
}

/** Whether a setting of the flag is a value rather than on or off. */
export function isValue(plan: Plan, flag: string, setting: Setting): boolean {
  const def = plan.flags[flag];
  return setting.kind === "value" || (def !== undefined && isNumeric(def));
}
