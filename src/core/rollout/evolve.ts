/** Folds one recorded event into the state of a rollout run. Total over the event union; never decides anything. */
import type { Flip, Recorded, RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { flagsOfStage } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import type { FlipState, StageState, State } from "./state.ts";
import { isLive, newestStage } from "./state.ts";

type Of<K extends RolloutEvent["kind"]> = Extract<RolloutEvent, { kind: K }>;

/** The state after `recorded`. The first event of a run must be `rollout_started`, and no later one may be. */
export function evolve(plan: Plan, before: State | undefined, recorded: Recorded): State {
  const { event } = recorded;
  if (before === undefined) {
    if (event.kind !== "rollout_started") throw new Error(`a run cannot begin with ${event.kind}`);
    return begin(plan, event, recorded);
  }
  const { seq, at, wall } = recorded;
  const face = FACELESS.has(event.kind) ? before.face : seq;
  return keepClock(before, { ...apply(plan, before, recorded), revision: seq, face, lastAt: at, lastWall: wall }, at);
}

/** Events after which every button still means what it meant. */
const FACELESS: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "verdict_changed",
  "soak_progress",
  "flip_verified",
  "refused",
  "paged",
]);

function begin(plan: Plan, event: Of<"rollout_started">, { at, wall, seq }: Recorded): State {
  const pending: StageState = { status: "pending", substage: 0, soakedMs: 0, creditedTo: at, extraMs: 0, cut: false };
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

/** Whether the plan's clock stands still: held, waiting for people, or going back. */
function isStopped(state: State): boolean {
  return (
    state.holds.length > 0 ||
    (state.approval !== undefined && state.approval.approvedBy === undefined) ||
    (state.baselineAsk !== undefined && !state.baselineAsk.confirmed) ||
    state.phase !== "walking"
  );
}

/** Moves the plan by the time it stood still, and starts the soak's credit anew when it runs again. */
function keepClock(before: State, after: State, at: number): State {
  const stopped = isStopped(after);
  if (stopped === (before.stoppedSince !== undefined)) return after;
  if (stopped) return { ...after, stoppedSince: at };
  const { stoppedSince: since, ...rest } = after;
  const newest = newestStage(after);
  return {
    ...rest,
    shiftMs: after.shiftMs + at - (since ?? at),
    stages: editStage(after.stages, newest, (stage) => ({ ...stage, creditedTo: Math.max(stage.creditedTo, at) })),
  };
}

function editStage(stages: readonly StageState[], index: number, edit: (stage: StageState) => StageState): readonly StageState[] {
  return stages.map((stage, i) => (i === index ? edit(stage) : stage));
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

type ForwardEvent = Of<
  | "stage_started"
  | "stage_enabled"
  | "stage_withdrawn"
  | "soak_progress"
  | "soak_passed"
  | "extended"
  | "advance_asked"
  | "flip_verified"
>;

function applyForward(plan: Plan, s: State, event: ForwardEvent, { at, wall }: Recorded): State {
  const edit = (index: number, change: (stage: StageState) => StageState): State => ({ ...s, stages: editStage(s.stages, index, change) });
  switch (event.kind) {
    case "stage_started":
      return startStage(plan, s, event, at, wall);
    case "stage_enabled": {
      const next = edit(event.stage, (stage) => ({ ...stage, status: "soaking", enabledAt: at, creditedTo: at, soakedMs: 0 }));
      return plan.provider.restartMs > 0 ? { ...next, epoch: { at, settle: false } } : next;
    }
    case "stage_withdrawn": {
      const stages = editStage(s.stages, event.stage, (stage) => ({ ...stage, status: stage.substage === 0 ? "pending" : "soaking", substage: Math.max(0, stage.substage - 1) }));
      return { ...s, stages, flips: { ...s.flips, ...flipStates(event.flips, "backward", at) } };
    }
    case "soak_progress":
      return edit(event.stage, (stage) => ({ ...stage, soakedMs: event.soakedMs, creditedTo: event.creditedTo }));
    case "soak_passed":
      return edit(event.stage, (stage) => ({ ...stage, status: "passed", soakedMs: event.soakedMs, creditedTo: at }));
    case "extended":
      return { ...edit(event.stage, (stage) => ({ ...stage, status: "soaking", extraMs: stage.extraMs + event.ms })), shiftMs: s.shiftMs + event.ms };
    case "advance_asked":
      return { ...edit(event.stage, (stage) => ({ ...stage, cut: true })), requester: event.by };
    case "flip_verified":
      return verifyFlip(s, event.flag, event.intent, at);
  }
}

function verifyFlip(s: State, flag: string, intent: string, at: number): State {
  const known = s.flips[flag];
  if (known === undefined || known.flip.intent !== intent || known.verifiedAt !== undefined) return s;
  return { ...s, flips: { ...s.flips, [flag]: { ...known, verifiedAt: at } } };
}

function flipStates(flips: readonly Flip[], direction: "forward" | "backward", at: number, limits?: { writeBy: number; verifyBy: number }): Record<string, FlipState> {
  return Object.fromEntries(flips.map((flip) => [flip.flag, { flip, direction, at, ...(limits ?? {}) }]));
}

function startStage(plan: Plan, s: State, event: Of<"stage_started">, at: number, wall: number): State {
  const limits = { writeBy: event.writeBy, verifyBy: event.verifyBy };
  const flags = new Set(event.flips.map((flip) => flip.flag));
  const { approval: _used, baselineAsk: _answered, ...rest } = s;
  const direction = plan.stages[event.stage]?.baseline === true ? "backward" : "forward";
  return {
    ...rest,
    stages: editStage(s.stages, event.stage, (stage) => ({
      ...stage,
      status: "enabling",
      substage: event.substage,
      soakedMs: 0,
      creditedTo: at,
      cut: false,
      extraMs: 0,
      startedAt: event.substage === 0 ? at : (stage.startedAt ?? at),
      startedWall: event.substage === 0 ? wall : (stage.startedWall ?? wall),
    })),
    flips: { ...s.flips, ...flipStates(event.flips, direction, at, direction === "forward" ? limits : undefined) },
    overridden: Object.fromEntries(Object.entries(s.overridden).filter(([flag]) => !flags.has(flag))),
    epoch: { at, settle: false },
  };
}

type GateEvent = Of<
  "approval_requested" | "approved" | "approval_expired" | "baseline_asked" | "baseline_confirmed" | "review_opened" | "signed_off"
>;

function applyGate(s: State, event: GateEvent, { at, seq }: Recorded): State {
  switch (event.kind) {
    case "approval_requested": {
      const { stage, from, requester, expiresAt } = event;
      return { ...s, approval: { seq, stage, from, requester, expiresAt } };
    }
    case "approved":
      return s.approval === undefined ? s : { ...s, approval: { ...s.approval, approvedBy: event.by } };
    case "approval_expired": {
      const { approval: _gone, ...rest } = s;
      return rest;
    }
    case "baseline_asked":
      return { ...s, baselineAsk: { seq, stage: event.stage, flags: event.flags, confirmed: false } };
    case "baseline_confirmed":
      return s.baselineAsk === undefined ? s : { ...s, baselineAsk: { ...s.baselineAsk, confirmed: true } };
    case "review_opened":
      return {
        ...s,
        review: { seq, stage: event.stage, since: at },
        stages: editStage(s.stages, event.stage, (stage) => ({ ...stage, status: "soaking", startedAt: at })),
      };
    case "signed_off": {
      const { review: _closed, ...rest } = s;
      const status = event.decision === "go" ? "passed" : "pending";
      return { ...rest, stages: editStage(s.stages, event.stage, (stage) => ({ ...stage, status })) };
    }
  }
}

type BackwardEvent = Of<"rollback_started" | "rollback_off" | "rollback_confirmed" | "recovered" | "look_failed" | "flip_corrected">;

function applyBackward(plan: Plan, s: State, event: BackwardEvent, recorded: Recorded): State {
  const { at, wall } = recorded;
  switch (event.kind) {
    case "rollback_started":
      return startRollback(plan, s, event, recorded);
    case "rollback_off":
      return s.rollback === undefined ? s : { ...s, rollback: { ...s.rollback, offAt: at, offWall: wall } };
    case "rollback_confirmed":
      return {
        ...s,
        phase: "looking",
        epoch: { at, settle: true },
        ...(s.rollback === undefined ? {} : { rollback: { ...s.rollback, confirmedAt: at, confirmedWall: wall, seenBy: event.seenBy } }),
      };
    case "recovered":
      return { ...s, phase: "walking", ...(s.rollback === undefined ? {} : { rollback: { ...s.rollback, recoveredAt: at } }) };
    case "look_failed":
      return { ...s, phase: "walking" };
    case "flip_corrected":
      return { ...s, flips: { ...s.flips, ...flipStates([event.flip], "backward", at) } };
  }
}

function startRollback(plan: Plan, s: State, event: Of<"rollback_started">, { at, wall, seq }: Recorded): State {
  const { approval: _void, baselineAsk: _dropped, review: _closed, ...rest } = s;
  const because = causeInWords(event.cause);
  const flags = event.flips.map((flip) => flip.flag);
  const latchable = event.stages.flatMap((index) => flagsOfStage(plan.stages[index] ?? { name: "", atMs: 0, substages: [], baseline: false }));
  const breachAt = event.cause.kind === "breach" ? event.cause.breachAt : undefined;
  return {
    ...rest,
    phase: "rolling_back",
    stages: s.stages.map((stage, index) =>
      event.stages.includes(index)
        ? { ...stage, status: "undone", substage: 0, soakedMs: 0, cut: false, extraMs: 0 }
        : plan.stages[index]?.review !== undefined && stage.status === "soaking"
          ? { ...stage, status: "pending" }
          : stage,
    ),
    flips: { ...s.flips, ...flipStates(event.flips, "backward", at) },
    overridden: Object.fromEntries(Object.entries(s.overridden).filter(([flag]) => !flags.includes(flag))),
    latched: { ...s.latched, ...Object.fromEntries(latchable.map((flag) => [flag, { because, at }])) },
    rollback: {
      seq: s.phase === "rolling_back" ? (s.rollback?.seq ?? seq) : seq,
      to: event.to,
      stages: [...(s.phase === "walking" ? [] : (s.rollback?.stages ?? [])), ...event.stages],
      flags: [...new Set([...(s.phase === "walking" ? [] : (s.rollback?.flags ?? [])), ...flags])],
      cause: s.phase === "rolling_back" ? (s.rollback?.cause ?? event.cause) : event.cause,
      by: event.by,
      decidedAt: at,
      decidedWall: wall,
      ...(breachAt === undefined ? {} : { breachAt }),
    },
  };
}

function causeInWords(cause: Of<"rollback_started">["cause"]): string {
  switch (cause.kind) {
    case "breach":
    case "still_breaching":
      return `guard ${cause.guard}: ${cause.detail}`;
    case "person":
      return cause.because ?? "rolled back by a person";
    case "blind":
      return `blind: ${cause.detail}`;
  }
}

type WatchEvent = Of<"held" | "resumed" | "drift_found" | "unlatched" | "verdict_changed" | "paged">;

function applyWatch(plan: Plan, s: State, event: WatchEvent, { at, wall }: Recorded): State {
  switch (event.kind) {
    case "held": {
      const { reason, detail, by } = event;
      const others = s.holds.filter((hold) => hold.reason !== reason);
      return { ...s, holds: [...others, { reason, detail, by, since: at, wall }] };
    }
    case "resumed":
      return { ...s, holds: s.holds.filter((hold) => !event.reasons.includes(hold.reason)) };
    case "drift_found": {
      const back = s.flips[event.flag]?.flip.to;
      const { [event.flag]: _was, ...others } = s.overridden;
      const agrees = back !== undefined && sameSetting(back, event.found);
      return { ...dropApproval(s), overridden: agrees ? others : { ...others, [event.flag]: event.found } };
    }
    case "unlatched":
      return {
        ...s,
        latched: Object.fromEntries(Object.entries(s.latched).filter(([flag]) => !event.flags.includes(flag))),
        stages: s.stages.map((stage, index) => {
          const flags = flagsOfStage(plan.stages[index] ?? { name: "", atMs: 0, substages: [], baseline: false });
          return stage.status === "undone" && isLive(s) && flags.some((flag) => event.flags.includes(flag)) ? { ...stage, status: "pending" } : stage;
        }),
      };
    case "verdict_changed": {
      const { kind: _kind, guard, ...rest } = event;
      return { ...s, verdicts: { ...s.verdicts, [guard]: { ...rest, since: at } } };
    }
    case "paged":
      return { ...s, paged: [...s.paged, event.key] };
  }
}

function dropApproval(s: State): State {
  const { approval: _void, ...rest } = s;
  return rest;
}
