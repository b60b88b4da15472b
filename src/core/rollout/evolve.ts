/** Folds one recorded event into the state of a rollout run. Total over the event union; never decides anything. */
import type { Recorded, RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { editStage, type Of } from "./edits.ts";
import { applyBackward, applyWatch } from "./evolve-backward.ts";
import { applyForward, applyGate } from "./evolve-forward.ts";
import { newestFlagStage, pendingAsked, type StageState, type State } from "./state.ts";

/** The state after `recorded`. The first event of a run must be `rollout_started`, and no later one may be. */
export function evolve(plan: Plan, before: State | undefined, recorded: Recorded): State {
  const { event } = recorded;
  if (before === undefined) {
    if (event.kind !== "rollout_started") throw new Error(`a run cannot begin with ${event.kind}`);
    return begin(plan, event, recorded);
  }
  const { seq, at, wall } = recorded;
  const face = FACELESS.has(event.kind) ? before.face : seq;
  return keepClock(
    plan,
    before,
    { ...apply(plan, before, recorded), revision: seq, face, lastAt: at, lastWall: wall },
    at,
  );
}

/** Events after which every button still means what it meant. */
const FACELESS: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "verdict_changed",
  "soak_progress",
  "flip_verified",
  "refused",
  "paged",
  "versions_seen",
  // The hold that comes with it changes the buttons; more replicas of the same deploy do not.
  "deploy_found",
]);

function begin(plan: Plan, event: Of<"rollout_started">, { at, wall, seq }: Recorded): State {
  const pending: StageState = {
    status: "pending",
    substage: 0,
    soakedMs: 0,
    creditedTo: at,
    extraMs: 0,
    cut: false,
  };
  return {
    schema: 1,
    run: event.run,
    rollout: event.rollout,
    planHash: event.planHash,
    revision: seq,
    face: seq,
    phase: "walking",
    startedBy: event.by,
    requester: event.by,
    startAt: event.startAt,
    startedWall: wall,
    first: event.first,
    end: event.end,
    stages: plan.stages.map(() => pending),
    recorded: event.recorded,
    ...(event.ids === undefined ? {} : { ids: event.ids }),
    ...(event.mode === undefined ? {} : { mode: event.mode }),
    flips: {},
    overridden: {},
    latched: {},
    holds: [],
    verdicts: {},
    shiftMs: 0,
    epoch: { at, settle: false },
    paged: [],
    lastAt: at,
    lastWall: wall,
  };
}

/** Whether the plan's clock stands still: held, waiting for people (an approval, a flip that they were asked for), or going back. */
function isStopped(state: State): boolean {
  return (
    state.holds.length > 0 ||
    (state.approval !== undefined && state.approval.approvedBy === undefined) ||
    (state.baselineAsk !== undefined && !state.baselineAsk.confirmed) ||
    pendingAsked(state).length > 0 ||
    state.phase !== "walking"
  );
}

/** Moves the plan by the time it stood still, and starts the soak's credit anew when it runs again. */
function keepClock(plan: Plan, before: State, after: State, at: number): State {
  const stopped = isStopped(after);
  if (stopped === (before.stoppedSince !== undefined)) return after;
  if (stopped) return { ...after, stoppedSince: at };
  const { stoppedSince: since, ...rest } = after;
  // The stage that soaks, which an open review may have followed.
  const newest = newestFlagStage(plan, after);
  return {
    ...rest,
    shiftMs: after.shiftMs + at - (since ?? at),
    stages: editStage(after.stages, newest, (stage) => ({
      ...stage,
      creditedTo: Math.max(stage.creditedTo, at),
    })),
  };
}

function apply(plan: Plan, s: State, recorded: Recorded): State {
  const { event, at } = recorded;
  switch (event.kind) {
    case "rollout_started":
      throw new Error("a run begins only once");
    case "end_set":
      return { ...s, end: event.end, requester: event.by };
    case "stage_started":
    case "stage_enabled":
    case "stage_withdrawn":
    case "soak_progress":
    case "soak_passed":
    case "extended":
    case "advance_asked":
    case "flip_verified":
      return applyForward(plan, s, event, recorded);
    case "approval_requested":
    case "approved":
    case "approval_expired":
    case "baseline_asked":
    case "baseline_confirmed":
    case "review_opened":
    case "signed_off":
      return applyGate(s, event, recorded);
    case "rollback_started":
    case "rollback_off":
    case "rollback_confirmed":
    case "recovered":
    case "look_failed":
    case "flip_corrected":
      return applyBackward(plan, s, event, recorded);
    case "held":
    case "resumed":
    case "drift_found":
    case "unlatched":
    case "verdict_changed":
    case "paged":
    case "deploy_found":
    case "versions_seen":
    case "would_roll_back":
    case "mode_set":
    case "lever_pulled":
      return applyWatch(plan, s, event, recorded);
    case "refused":
      return s;
    case "completed":
    case "stopped":
    case "rolled_back":
      return { ...s, phase: event.kind, endedAt: at };
    case "quarantined":
      return { ...s, phase: "stuck" };
  }
}
