/** A person asks to roll back: allowed at any time, and also for what somebody turned on ahead of plan. */
import { type Actor, formatActor, type RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { refuse } from "../refusal.ts";
import { aheadOfPlan } from "./ahead.ts";
import { type Ask, type Asker, already, done, type Outcome } from "./ask.ts";
import { isByHand, page, planRollback, reachOf } from "./backward.ts";
import { rollbackAll, rollbackStage } from "./blocked.ts";
import { isLive, newestUndoable, type State, stageAt } from "./state.ts";
import type { World } from "./world.ts";

export function onRollbackAsk(
  plan: Plan,
  state: State,
  ask: Extract<Ask, { kind: "rollback" }>,
  asker: Asker,
  world: World,
): Outcome {
  const newest = newestUndoable(plan, state);
  const to = ask.to === "newest" ? newest - 1 : ask.to;
  const also = ask.to === "newest" && newest >= 0 ? [] : aheadFor(plan, state, to, asker);
  const name = state.rollout;
  if (!isLive(state) && state.phase !== "stuck") {
    return refuse(
      "not_live",
      `${name} (${state.run}) has ended (${state.phase}); there is nothing live to roll back.`,
    );
  }
  if ((newest < 0 || newest <= to) && also.length === 0) {
    if (state.phase === "rolling_back" || state.phase === "looking")
      return already(`${name} is already going back: ${state.rollback?.flags.join(", ") ?? ""}.`);
    const left = newest < 0 ? `that ${name} turned on` : `of ${name} after ${stageAt(plan, to).name}`;
    return refuse("nothing_to_undo", `Nothing ${left} is on.`);
  }
  if (ask.to === "newest" && (state.phase === "rolling_back" || state.phase === "looking")) {
    const flags = state.rollback?.flags.join(", ") ?? name;
    if (state.phase === "rolling_back")
      return already(`${flags} is already being taken back.`, [rollbackAll(state)]);
    const next = newest < 0 ? [] : [rollbackStage(state, stageAt(plan, newest).name)];
    return already(`${flags} is off; Belay looks whether that helped. To take back more, say what:`, [
      ...next,
      rollbackAll(state),
    ]);
  }
  const reach = asker.operator ? { to, spared: [] } : reachOf(plan, state, to);
  const cause = { kind: "person" as const, ...(ask.because === undefined ? {} : { because: ask.because }) };
  const started = planRollback(plan, state, world, reach.to, cause, asker.actor, also);
  const flags = started?.kind === "rollback_started" ? started.flips.map((flip) => flip.flag).join(", ") : "";
  const events = started === undefined ? [] : [started];
  if (reach.spared.length === 0) return done(events, `Rolling back ${flags}.`);
  const spared = `${reach.spared.join(", ")} can only be taken back by an operator`;
  const note = `${flags === "" ? "" : `Rolling back ${flags}. `}${spared}. On-call is paged.`;
  return done([...events, ...operatorNeeded(state, asker.actor, `${name}: ${spared}`)], note);
}

/** What people turned on ahead of plan and this person may take back. */
function aheadFor(plan: Plan, state: State, to: number, asker: Asker): readonly string[] {
  return aheadOfPlan(plan, state, Math.max(to, -1))
    .map(({ flag }) => flag)
    .filter((flag) => asker.operator || !isByHand(plan, flag));
}

/** A press that needs an operator: on record, and on-call is paged, once until the flags change again. */
function operatorNeeded(state: State, by: Actor, detail: string): readonly RolloutEvent[] {
  const summary = `${detail}, and ${formatActor(by)} asks for it`;
  return [
    { kind: "refused", verb: "rollback", code: "not_authorised", by, detail },
    ...page(state, `${state.run}.operator.${state.epoch.at}`, "P1", summary),
  ];
}
