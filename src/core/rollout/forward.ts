/** Decisions that go forward: when the next step may start, what it waits for, and whether an enabled stage has taken effect. */
import type { Flip, RolloutEvent } from "../event.ts";
import { flagsOfStage, type Guard, isWaitedFor, type Plan, settingInWords } from "../plan.ts";
import { OFF, sameSetting } from "../setting.ts";
import {
  allOpenAt,
  type ForwardWindow,
  formatDay,
  formatDuration,
  MINUTE,
  type Now,
  SECOND,
} from "../time.ts";
import type { Judgement } from "../verdict.ts";
import { leverInTheWay } from "./lever.ts";
import { askedInWords } from "./observe.ts";
import {
  epochOf,
  guardsFor,
  isUndoable,
  newestFlagStage,
  newestStage,
  pendingBackward,
  plannedAt,
  type State,
  soakNeededMs,
  stageAt,
  substageAt,
} from "./state.ts";
import { judgementOf, progressIn, type World, watchedGuards } from "./world.ts";

/** A forward write must begin within this time of its decision. */
export const WRITE_BY_MS = 5 * SECOND;
/** An approval serves one stage and lapses after this time. */
export const APPROVAL_MS = 15 * MINUTE;

/** Why the next forward step does not start now; stable codes shown by status, refusals and the card. */
export type WaitCode =
  | "held"
  | "rolling_back"
  | "looking"
  | "soaking"
  | "enabling"
  | "asked"
  | "planned_time"
  | "forward_hours"
  | "window"
  | "latched"
  | "requires"
  | "baseline_ask"
  | "approval"
  | "review"
  | "guard"
  | "blind"
  | "flag_store"
  | "restarting"
  | "second_lever"
  | "ended";

/** The next forward step: its events, what it waits for, or that only fresh evidence is lacking (`ask`). */
export type Next =
  | { readonly kind: "go"; readonly events: readonly RolloutEvent[] }
  | { readonly kind: "ask" }
  | { readonly kind: "wait"; readonly code: WaitCode; readonly detail: string; readonly until?: number };

function wait(code: WaitCode, detail: string, until?: number): Next {
  return until === undefined ? { kind: "wait", code, detail } : { kind: "wait", code, detail, until };
}

type Step =
  | { readonly kind: "complete" }
  | { readonly kind: "stage"; readonly stage: number; readonly substage: number };

/** What may start next when it becomes due. Total over live states; the engine calls it on every tick through `decide`. */
export function nextForward(plan: Plan, state: State, world: World, now: Now): Next {
  if (state.phase === "rolling_back" || state.phase === "looking")
    return wait(state.phase, "going back comes first");
  if (state.phase !== "walking") return wait("ended", `the rollout is ${state.phase}`);
  const [hold] = state.holds;
  if (hold !== undefined) return wait("held", `${hold.reason}: ${hold.detail}`);
  const alarm = falseAlarm(plan, state, world);
  if (alarm !== undefined) return wait("guard", alarm);
  if (state.review !== undefined)
    return wait("review", `${stageAt(plan, state.review.stage).name} waits for its sign-off`);
  const step = nextStep(plan, state, now);
  if (step.kind === "wait") return step;
  if (pendingBackward(state).length > 0) return wait("flag_store", "flags are still being taken back");
  if (step.kind === "complete") return { kind: "go", events: [{ kind: "completed" }] };
  const due = isDue(plan, state, step, now);
  if (due !== undefined) return due;
  if (stageAt(plan, step.stage).review !== undefined)
    return { kind: "go", events: [{ kind: "review_opened", stage: step.stage }] };
  return throughGates(plan, state, world, now, step);
}

/** A breach that a person called a false alarm still lets nothing go forward. */
function falseAlarm(plan: Plan, state: State, world: World): string | undefined {
  if (state.dismissed === undefined) return undefined;
  const guard = watchedGuards(plan, state).find(
    (one) =>
      state.dismissed?.[one.name] !== undefined && judgementOf(plan, state, world, one).verdict === "breach",
  );
  if (guard === undefined) return undefined;
  return `${guard.name} is in breach, called a false alarm; nothing goes forward before it passes`;
}

/** The stage that the next step waits for: the newest one, or the one before a review when a deploy made it soak anew meanwhile. */
export function waitedFor(plan: Plan, state: State): number {
  const newest = newestStage(state);
  const flags = newestFlagStage(plan, state);
  return newest < state.end && state.stages[flags]?.status === "soaking" ? flags : newest;
}

function nextStep(plan: Plan, state: State, now: Now): Step | Extract<Next, { kind: "wait" }> {
  const newest = newestStage(state);
  if (newest < 0) return { kind: "stage", stage: state.first, substage: 0 };
  const waited = waitedFor(plan, state);
  const stage = state.stages[waited];
  const name = stageAt(plan, waited).name;
  if (stage?.status === "enabling") {
    const asked = askedInWords(plan, state);
    if (asked !== "") return { kind: "wait", code: "asked", detail: `${name} waits for ${asked} by people` };
    return { kind: "wait", code: "enabling", detail: `${name} is being read back` };
  }
  if (stage?.status !== "passed") {
    const left = Math.max(0, soakNeededMs(plan, state, waited) - (stage?.soakedMs ?? 0));
    const until = (stage?.creditedTo ?? now.steady) + left;
    return {
      kind: "wait",
      code: "soaking",
      detail: `${name} soaks, ${formatDuration(Math.max(0, until - now.steady))} left`,
      until,
    };
  }
  if (stage.substage + 1 < stageAt(plan, newest).substages.length)
    return { kind: "stage", stage: newest, substage: stage.substage + 1 };
  return newest >= state.end ? { kind: "complete" } : { kind: "stage", stage: newest + 1, substage: 0 };
}

/** Undefined when the step is due; otherwise what it waits for. */
function isDue(plan: Plan, state: State, step: Extract<Step, { kind: "stage" }>, now: Now): Next | undefined {
  const { name } = stageAt(plan, step.stage);
  if (state.stages[step.stage]?.status === "undone")
    return wait("latched", `${name} was rolled back and is locked`);
  const early = state.stages[newestStage(state)]?.cut === true;
  const planned = plannedAt(plan, state, step.stage, now.steady);
  if (step.substage === 0 && !early && now.steady < planned) {
    return wait("planned_time", `${name} is planned in ${formatDuration(planned - now.steady)}`, planned);
  }
  return untilOpen(plan, step.stage, now);
}

/** The hours that a step into this stage obeys: those of the rollout, and its own. */
export function hoursOf(plan: Plan, index: number): readonly ForwardWindow[] {
  return [plan.forward, stageAt(plan, index).window].filter((one) => one !== undefined);
}

/** Undefined when forward steps of this stage are allowed now; otherwise until when they wait, told in the zone of the hours. */
function untilOpen(plan: Plan, index: number, now: Now): Next | undefined {
  const hours = hoursOf(plan, index);
  if (hours.length === 0) return undefined;
  const opens = allOpenAt(hours, now.wall);
  if (opens === now.wall) return undefined;
  const { name, window } = stageAt(plan, index);
  const next = opens === undefined ? "" : `, next ${formatDay(opens, hours.at(-1)?.zone ?? "UTC")}`;
  const until = opens === undefined ? undefined : now.steady + opens - now.wall;
  const said = hours.map(({ text, zone }) => `${text} ${zone}`).join(" and ");
  return window === undefined
    ? wait("forward_hours", `forward steps only ${said}${next}`, until)
    : wait("window", `${name} waits for its window: only ${said}${next}`, until);
}

function throughGates(
  plan: Plan,
  state: State,
  world: World,
  now: Now,
  step: Extract<Step, { kind: "stage" }>,
): Next {
  const stage = stageAt(plan, step.stage);
  const flags = flagsOfStage(stage);
  const latched = flags.find((flag) => state.latched[flag] !== undefined);
  if (latched !== undefined)
    return wait("latched", `${latched} is locked: ${state.latched[latched]?.because ?? ""}`);
  const lever = leverInTheWay(plan, state, world, flags);
  if (lever !== undefined) return wait("second_lever", lever);
  const missing = missingRequirement(plan, state, world, step.stage);
  if (missing !== undefined) return wait("requires", missing);
  const asked = baselineGate(plan, state, world, step.stage);
  if (asked !== undefined) return asked;
  if (step.substage === 0 && stage.approval !== undefined) {
    const gate = approvalGate(state, step.stage, stage.approval.from, now);
    if (gate !== undefined) return gate;
  }
  // What is measured now would tell of the restart, and what fails after the step could be either's doing.
  if (world.restarting !== undefined) return wait("restarting", world.restarting);
  const evidence = freshEvidence(plan, state, world, now, step.stage);
  return evidence ?? { kind: "go", events: [startOf(plan, state, world, now, step)] };
}

/** The first required flag that is not on, as the store shows it; a percentage counts as not on. */
function missingRequirement(plan: Plan, state: State, world: World, index: number): string | undefined {
  for (const flag of flagsOfStage(stageAt(plan, index))) {
    if (!isUndoable(stageAt(plan, index))) continue;
    for (const required of plan.flags[flag]?.requires ?? []) {
      if (flagsOfStage(stageAt(plan, index)).includes(required)) continue;
      const reading = world.readings[required];
      if (reading === undefined) return `${flag} requires ${required}, which cannot be read`;
      if (reading.setting.kind === "off" || reading.setting.kind === "percent") {
        return `${flag} requires ${required}, which is ${settingInWords(plan, required, reading.setting)}`;
      }
      if (state.latched[required] !== undefined) return `${flag} requires ${required}, which was rolled back`;
    }
  }
  return undefined;
}

/** A baseline that would turn a live flag off asks first. */
function baselineGate(plan: Plan, state: State, world: World, index: number): Next | undefined {
  if (!stageAt(plan, index).baseline || state.baselineAsk?.confirmed === true) return undefined;
  // Where people flip, they are asked once: to set the flags off.
  if (state.mode === "observe") return undefined;
  const first = stageAt(plan, index).substages[0];
  const live = (first?.set ?? []).filter((item) => {
    const reading = world.readings[item.flag];
    return reading !== undefined && !sameSetting(reading.setting, item.setting);
  });
  if (live.length === 0) return undefined;
  const flags = live.map((item) => item.flag);
  if (state.baselineAsk !== undefined)
    return wait("baseline_ask", `the baseline would turn off ${flags.join(", ")}, which people use now`);
  return { kind: "go", events: [{ kind: "baseline_asked", stage: index, flags }] };
}

function approvalGate(state: State, index: number, from: string, now: Now): Next | undefined {
  const { approval } = state;
  if (approval?.stage === index && approval.approvedBy !== undefined) return undefined;
  if (approval?.stage === index) return wait("approval", `waits for approval by ${from}`, approval.expiresAt);
  const expiresAt = now.steady + APPROVAL_MS;
  return {
    kind: "go",
    events: [{ kind: "approval_requested", stage: index, from, requester: state.requester, expiresAt }],
  };
}

/** The stage that a forward step would touch next; the present one while it has substages left. */
export function upcomingStage(plan: Plan, state: State): number {
  const newest = newestStage(state);
  if (newest < 0) return state.first;
  const more = (state.stages[newest]?.substage ?? 0) + 1 < stageAt(plan, newest).substages.length;
  return more ? newest : Math.min(newest + 1, plan.stages.length - 1);
}

/** Guards asked before stage `index` starts: those watched now and those of the stage itself, except trends and expectations of what is not on yet. */
export function guardsBefore(plan: Plan, state: State, index: number): readonly Guard[] {
  const now = watchedGuards(plan, state);
  return [
    ...now,
    ...guardsFor(plan, index).filter((guard) => guard.kind !== "expect" && !now.includes(guard)),
  ].filter(isWaitedFor);
}

/**
 * Undefined when every guard passed just now and every flag of the stage was read just now; otherwise what is lacking. What was fetched for the
 * time before this process is history, however young. A guard of the stage alone is not polled yet: its bad answer stands for one interval, then
 * it is asked again.
 */
function freshEvidence(plan: Plan, state: State, world: World, now: Now, index: number): Next | undefined {
  let stale = false;
  for (const guard of guardsBefore(plan, state, index)) {
    const judgement = judgementOf(plan, state, world, guard);
    if (guard.kind === "expect" && judgement.met) continue;
    const settled = epochOf(plan, state, guard);
    if (settled > now.steady)
      return wait("guard", `${guard.name}: its window still reaches back before the rollback`, settled);
    const outlived = now.steady - judgement.at > guard.intervalMs + plan.queryTimeoutMs;
    if (judgement.reason === "not_asked" || outlived) stale = true;
    else if (judgement.verdict !== "pass")
      return wait(blames(judgement), `${guard.name}: ${judgement.detail ?? judgement.verdict}`);
    const isHistory = judgement.at < world.since;
    if (isHistory || now.steady - judgement.at > plan.queryTimeoutMs) stale = true;
  }
  for (const flag of flagsOfStage(stageAt(plan, index))) {
    const reading = world.readings[flag];
    const isOld = reading === undefined || now.steady - reading.at > plan.queryTimeoutMs;
    if (isOld && world.storeFault !== undefined) return wait("flag_store", world.storeFault);
    if (reading === undefined && isMissing(plan, world, now))
      return wait("flag_store", `${flag} is not in the flag store`);
    if (isOld) stale = true;
  }
  return stale ? { kind: "ask" } : undefined;
}

/** Whether a read of just now succeeded, so that a flag without a reading is not there. */
function isMissing(plan: Plan, world: World, now: Now): boolean {
  return world.readAt !== undefined && now.steady - world.readAt <= plan.queryTimeoutMs;
}

function blames(judgement: Judgement): WaitCode {
  return judgement.verdict === "no_evidence" || judgement.verdict === "provider_down" ? "blind" : "guard";
}

function startOf(
  plan: Plan,
  state: State,
  world: World,
  now: Now,
  step: Extract<Step, { kind: "stage" }>,
): RolloutEvent {
  const flips = substageAt(plan, step.stage, step.substage).set.map(({ flag, setting }): Flip => {
    const reading = world.readings[flag];
    const intent = `${state.run}.${state.revision + 1}.${flag}`;
    return {
      flag,
      from: reading?.setting ?? OFF,
      to: setting,
      intent,
      ...(reading === undefined ? {} : { version: reading.version }),
    };
  });
  const { flipMs, restartMs, restartsInTurn = 1 } = plan.provider;
  const patience = Math.max(15 * SECOND, 2 * flipMs + restartsInTurn * restartMs);
  const { stage, substage } = step;
  return {
    kind: "stage_started",
    stage,
    substage,
    flips,
    writeBy: now.steady + WRITE_BY_MS,
    verifyBy: now.steady + patience,
    ...(state.mode === "observe" ? { asked: true as const } : {}),
    ...progressIn(world),
  };
}
