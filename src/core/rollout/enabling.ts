/** Whether a stage that is being enabled has taken effect: read back it soaks, late or disturbed it is withdrawn. */
import { BELAY, type Flip, type RolloutEvent } from "../event.ts";
import { flagsOfStage, type Plan, settingInWords } from "../plan.ts";
import { OFF, sameSetting } from "../setting.ts";
import { formatDuration, type Now } from "../time.ts";
import { page, UNVERIFIED_PAGE_MS } from "./backward.ts";
import { onAsked } from "./observe.ts";
import {
  newestFlagStage,
  pendingAsked,
  pendingBackward,
  pendingForward,
  type State,
  settingUpTo,
  stageAt,
  substageAt,
} from "./state.ts";
import { changer, changerOf, serviceShows, verifiedNow, type World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** While a stage is being enabled: marks flips read back, starts the soak when all are, withdraws the stage when they do not come or somebody interferes. */
export function onEnabling(plan: Plan, state: State, world: World, now: Now): readonly RolloutEvent[] {
  const index = newestFlagStage(plan, state);
  const stage = state.stages[index];
  if (stage?.status !== "enabling") return NONE;
  if (pendingAsked(state).length > 0) return onAsked(plan, state, world);
  const pending = pendingForward(state);
  const seen = verifiedNow(plan, world, pending);
  if (seen.length > 0) return seen;
  if (pending.length === 0) return baselineOrSoak(plan, state, world, now, index);
  const refused = pending.find(({ flip }) => world.refusals[flip.intent] !== undefined);
  if (refused !== undefined) {
    const detail = world.refusals[refused.flip.intent] ?? "";
    return [
      withdrawal(plan, state, world, index, detail),
      { kind: "held", reason: "flag_store", detail, by: BELAY },
      ...page(
        state,
        `${state.run}.refused.${refused.flip.intent}`,
        "P1",
        `${plan.rollout}: ${stageAt(plan, index).name} could not be turned on: ${detail}`,
      ),
    ];
  }
  const taken = pending.find(({ flip, at }) => {
    const reading = world.readings[flip.flag];
    return (
      reading !== undefined &&
      reading.at > at &&
      reading.version !== flip.version &&
      // A store that took our own write back says why itself, in a moment.
      reading.intent !== flip.intent &&
      // Nor is a write of ours that takes two steps, seen after the first, anybody's doing: it ends on, or is late.
      reading.by?.own !== true &&
      !sameSetting(reading.setting, flip.to)
    );
  });
  if (taken !== undefined) {
    const found = world.readings[taken.flip.flag]?.setting ?? OFF;
    const detail = `${taken.flip.flag} was set ${settingInWords(plan, taken.flip.flag, found)} by ${changerOf(world, taken.flip.flag)} while ${stageAt(plan, index).name} was starting`;
    return [
      withdrawal(plan, state, world, index, detail, taken.flip.flag),
      {
        kind: "drift_found",
        flag: taken.flip.flag,
        expected: taken.flip.to,
        found,
        direction: "back",
        ...changer(world, taken.flip.flag),
      },
      { kind: "held", reason: "drift", detail, by: BELAY },
    ];
  }
  const late = pending.find(({ verifyBy }) => verifyBy !== undefined && now.steady > verifyBy);
  if (late === undefined) return NONE;
  const detail = `${late.flip.flag} was not read back as ${settingInWords(plan, late.flip.flag, late.flip.to)} in time${world.storeFault === undefined ? "" : ` (${world.storeFault})`}`;
  return [
    withdrawal(plan, state, world, index, detail),
    { kind: "held", reason: "flag_store", detail, by: BELAY },
  ];
}

function baselineOrSoak(
  plan: Plan,
  state: State,
  world: World,
  now: Now,
  index: number,
): readonly RolloutEvent[] {
  const pending = pendingBackward(state);
  const unseen = flagsOfStage(stageAt(plan, index)).filter((flag) => {
    const flip = state.flips[flag];
    return flip?.direction === "backward" && !serviceShows(plan, world, flag, flip.flip.to, flip.at);
  });
  const substage = state.stages[index]?.substage ?? 0;
  if (pending.length === 0 && unseen.length === 0) return [{ kind: "stage_enabled", stage: index, substage }];
  const startedAt = state.epoch.at;
  if (now.steady - startedAt < UNVERIFIED_PAGE_MS) return NONE;
  const flags = [...new Set([...pending.map(({ flip }) => flip.flag), ...unseen])].join(", ");
  const summary = `${plan.rollout}: baseline not confirmed after ${formatDuration(UNVERIFIED_PAGE_MS)}: ${flags}`;
  return page(state, `${state.run}.baseline.${startedAt}`, "P2", summary);
}

/** Takes the flips of a stage that is being enabled back to where its substages before left them; a flag that a person took over is left to them. */
function withdrawal(
  plan: Plan,
  state: State,
  world: World,
  index: number,
  why: string,
  taken?: string,
): RolloutEvent {
  const substage = state.stages[index]?.substage ?? 0;
  const before = substage === 0 ? undefined : substageAt(plan, index, substage - 1);
  const ours = substageAt(plan, index, substage).set.filter((item) => item.flag !== taken);
  const flips = ours.map(({ flag, setting }): Flip => {
    const to =
      before?.set.find((item) => item.flag === flag)?.setting ?? settingUpTo(plan, state, flag, index - 1);
    return {
      flag,
      from: world.readings[flag]?.setting ?? setting,
      to,
      intent: `${state.run}.${state.revision + 1}.${flag}`,
    };
  });
  return { kind: "stage_withdrawn", stage: index, why, flips };
}
