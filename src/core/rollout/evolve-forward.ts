/** Folds the events that go forward, and those of the gates, into the state. */
import { type Flip, type Recorded, tellingOf } from "../event.ts";
import type { Plan } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { asked, editStage, flipStates, madeByPeople, type Of, withdrawn } from "./edits.ts";
import { isPeoples, newestFlagStage, type StageState, type State } from "./state.ts";

export type ForwardEvent = Of<
  | "stage_started"
  | "stage_enabled"
  | "stage_withdrawn"
  | "soak_progress"
  | "soak_passed"
  | "extended"
  | "advance_asked"
  | "flip_verified"
>;

export function applyForward(plan: Plan, s: State, event: ForwardEvent, recorded: Recorded): State {
  const { at } = recorded;
  const edit = (index: number, change: (stage: StageState) => StageState): State => ({
    ...s,
    stages: editStage(s.stages, index, change),
  });
  switch (event.kind) {
    case "stage_started":
      return startStage(plan, s, event, recorded);
    case "stage_enabled": {
      const next = edit(event.stage, (stage) => ({
        ...stage,
        status: "soaking",
        enabledAt: at,
        creditedTo: at,
        soakedMs: 0,
      }));
      return plan.provider.restartMs > 0 ? { ...next, epoch: { at, settle: false } } : next;
    }
    case "stage_withdrawn":
      return withdrawStage(plan, s, event, at);
    case "soak_progress":
      return edit(event.stage, (stage) => ({
        ...stage,
        soakedMs: event.soakedMs,
        creditedTo: event.creditedTo,
      }));
    case "soak_passed":
      return edit(event.stage, (stage) => ({
        ...stage,
        status: "passed",
        soakedMs: event.soakedMs,
        creditedTo: at,
      }));
    case "extended":
      return {
        ...edit(event.stage, (stage) => ({ ...stage, status: "soaking", extraMs: stage.extraMs + event.ms })),
        shiftMs: s.shiftMs + event.ms,
      };
    case "advance_asked":
      return { ...edit(event.stage, (stage) => ({ ...stage, cut: true })), requester: event.by };
    case "flip_verified":
      return verifyFlip(plan, s, event, recorded);
  }
}

/** The stage's newest flips are taken back; those of flags that people took over are forgotten. */
function withdrawStage(plan: Plan, s: State, event: Of<"stage_withdrawn">, at: number): State {
  const substage = s.stages[event.stage]?.substage ?? 0;
  const touched = new Set(plan.stages[event.stage]?.substages[substage]?.set.map((item) => item.flag));
  const kept = Object.fromEntries(Object.entries(s.flips).filter(([flag]) => !touched.has(flag)));
  // What people had set of it is on ahead of plan now: no begun stage speaks for it, and `rollback all` must find it.
  const isSet = ({ flag, to }: Flip): boolean => {
    const found = s.flips[flag]?.flip.from;
    if (found !== undefined && !sameSetting(found, to)) return true;
    return isPeoples(plan, s, event.stage, flag, to);
  };
  const ahead = s.mode === "observe" && substage === 0 ? event.flips.filter(isSet) : [];
  return {
    ...s,
    overridden: { ...s.overridden, ...Object.fromEntries(ahead.map(({ flag, to }) => [flag, to])) },
    stages: editStage(s.stages, event.stage, (stage) => ({
      ...stage,
      status: substage === 0 ? "pending" : "soaking",
      substage: Math.max(0, substage - 1),
    })),
    flips: {
      ...kept,
      // Where people flip, the flags stay as they were found: nothing was written and nothing is to be.
      ...(s.mode === "observe" ? madeByPeople(event.flips, at) : withdrawn(event.flips, at)),
    },
  };
}

function verifyFlip(plan: Plan, s: State, event: Of<"flip_verified">, { at, wall }: Recorded): State {
  const { flag, intent } = event;
  const known = s.flips[flag];
  if (known === undefined || known.flip.intent !== intent || known.verifiedAt !== undefined) return s;
  const flips = { ...s.flips, [flag]: { ...known, verifiedAt: at } };
  if (known.asked !== true) return { ...s, flips };
  // People flip when they like: what was measured since they were asked says nothing about the flip.
  return {
    ...s,
    flips,
    epoch: { at, settle: false },
    stages: editStage(s.stages, newestFlagStage(plan, s), (stage) => ({ ...stage, flippedWall: wall })),
  };
}

function workAtStart(progress: number | undefined): Pick<StageState, "progress"> {
  return progress === undefined ? {} : { progress };
}

function startStage(plan: Plan, s: State, event: Of<"stage_started">, recorded: Recorded): State {
  const { at, wall } = recorded;
  const limits = { writeBy: event.writeBy, verifyBy: event.verifyBy };
  const flags = new Set(event.flips.map((flip) => flip.flag));
  const { approval: _used, baselineAsk: _answered, unattributed: _before, ...rest } = s;
  const direction = plan.stages[event.stage]?.baseline === true ? "backward" : "forward";
  const { stage, substage } = event;
  const flips =
    s.mode === "observe"
      ? asked(flipStates(event.flips, direction, at))
      : flipStates(event.flips, direction, at, direction === "forward" ? limits : undefined);
  return {
    ...rest,
    ...(s.mode === "observe" ? { asking: { seq: tellingOf(recorded), stage, substage } } : {}),
    stages: editStage(s.stages, event.stage, ({ progress, ...stage }) => ({
      ...stage,
      ...workAtStart(event.substage === 0 ? event.progress : progress),
      status: "enabling",
      substage: event.substage,
      soakedMs: 0,
      creditedTo: at,
      cut: false,
      extraMs: 0,
      startedAt: event.substage === 0 ? at : (stage.startedAt ?? at),
      startedWall: event.substage === 0 ? wall : (stage.startedWall ?? wall),
      flippedWall: wall,
    })),
    flips: { ...s.flips, ...flips },
    overridden: Object.fromEntries(Object.entries(s.overridden).filter(([flag]) => !flags.has(flag))),
    epoch: { at, settle: false },
  };
}

export type GateEvent = Of<
  | "approval_requested"
  | "approved"
  | "approval_expired"
  | "baseline_asked"
  | "baseline_confirmed"
  | "review_opened"
  | "signed_off"
>;

export function applyGate(s: State, event: GateEvent, { at, seq }: Recorded): State {
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
