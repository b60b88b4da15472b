/** People take back by hand what Belay said it would have taken back: the look whether that helped begins, as after any rollback. */
import { BELAY, type RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { planRollback } from "./backward.ts";
import { openWould } from "./observe.ts";
import type { State } from "./state.ts";
import type { World } from "./world.ts";

const NONE: readonly RolloutEvent[] = [];

/** Once a read since then shows every flag as Belay would have set it. */
export function onTakenBackByHand(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  const would = openWould(state);
  if (would === undefined) return NONE;
  const started = planRollback(
    plan,
    state,
    world,
    would.to,
    would.cause,
    BELAY,
    would.flips.map(({ flag }) => flag),
  );
  if (started?.kind !== "rollback_started") return NONE;
  const done = started.flips.every(({ flag, to }) => {
    const reading = world.readings[flag];
    return (
      reading !== undefined && reading.at > would.at && reading.effective && sameSetting(reading.setting, to)
    );
  });
  if (!done) return NONE;
  const names = new Set(started.flips.flatMap(({ flag }) => world.changedBy?.[flag] ?? []));
  const people = names.size === 0 ? {} : { people: [...names].join(", ") };
  return [{ ...started, byHand: true, ...people }];
}
