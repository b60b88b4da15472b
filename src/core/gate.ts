/** The gate at the start of a rollout: one live rollout per flag, no locked flag, and how far an `enable` without a live rollout goes. */
import type { Actor, RolloutEvent } from "./event.ts";
import { claimOf, flagsOfStage, type Plan, settingInWords } from "./plan.ts";
import { type Refusal, refuse } from "./refusal.ts";
import type { Rehearsal } from "./rehearsal.ts";
import type { Reading } from "./rollout/desired.ts";
import {
  isLive,
  isOpenRun,
  isUndoable,
  newestStage,
  pendingBackward,
  pendingForward,
  stageAt,
} from "./rollout/state.ts";
import { type Setting, sameSetting } from "./setting.ts";
import type { Run } from "./target.ts";
import type { Now } from "./time.ts";

export interface StartAsk {
  readonly run: string;
  readonly planHash: string;
  readonly by: Actor;
  /** Undefined: the whole rollout. Otherwise that stage alone if what it requires is on, else everything up to it. */
  readonly stage?: number;
  readonly delayMs: number;
  /** Absent: Belay flips. */
  readonly mode?: "observe";
  /** The rehearsal that the start rests on. */
  readonly rehearsal?: Rehearsal;
}

export type Start =
  | {
      readonly kind: "started";
      readonly event: Extract<RolloutEvent, { kind: "rollout_started" }>;
      readonly claims: readonly string[];
      readonly note: string;
    }
  | Refusal;

/** Decides a start. `readings` are the flags as just read; `runs` every run that may own or lock a flag. */
export function decideStart(
  plan: Plan,
  ask: StartAsk,
  readings: Readonly<Record<string, Reading | undefined>>,
  runs: readonly Run[],
  now: Now,
): Start {
  const { first, end, note } = reach(plan, ask.stage, readings);
  const flags = allFlags(plan);
  const conflict = ownerConflict(plan, flags, runs);
  if (conflict !== undefined) return conflict;
  const locked = lockedElsewhere(plan, first, end, runs);
  if (locked !== undefined) return locked;
  const recorded: Record<string, Setting> = {};
  const ids: Record<string, string> = {};
  for (const flag of flags) {
    const reading = readings[flag];
    if (reading === undefined)
      return refuse(
        "flag_store",
        `the flag ${plan.flags[flag]?.key ?? flag} is not in the flag store, or archived there; a rollout needs to know where it starts from. Create it there, or correct \`key\` of ${flag} in the flags file.`,
      );
    recorded[flag] = reading.setting;
    if (reading.id !== undefined) ids[flag] = reading.id;
  }
  const { run, planHash, by } = ask;
  const startAt = now.steady + ask.delayMs;
  const event = {
    kind: "rollout_started" as const,
    run,
    rollout: plan.rollout,
    planHash,
    by,
    first,
    end,
    startAt,
    recorded,
    ...(ask.mode === undefined ? {} : { mode: ask.mode }),
    ...(Object.keys(ids).length === 0 ? {} : { ids }),
    ...(ask.rehearsal === undefined ? {} : { rehearsed: rehearsedBefore(ask.rehearsal, now) }),
  };
  return { kind: "started", event, claims: flags.map((flag) => claimOf(plan, flag)), note };
}

function rehearsedBefore(
  { at, flipMs }: Rehearsal,
  now: Now,
): { readonly beforeMs: number; readonly flipMs?: number } {
  const beforeMs = Math.max(0, now.steady - at);
  return flipMs === undefined ? { beforeMs } : { beforeMs, flipMs };
}

/** Which stages an ask covers: all, one alone, or everything up to one because something it requires is not on. */
function reach(
  plan: Plan,
  stage: number | undefined,
  readings: Readonly<Record<string, Reading | undefined>>,
): { first: number; end: number; note: string } {
  const last = plan.stages.length - 1;
  if (stage === undefined)
    return { first: 0, end: last, note: `${plan.rollout} starts at ${stageAt(plan, 0).name}.` };
  const { name } = stageAt(plan, stage);
  const own = flagsOfStage(stageAt(plan, stage));
  const missing = own
    .flatMap((flag) => plan.flags[flag]?.requires ?? [])
    .filter((required) => !own.includes(required) && !isOn(readings[required]));
  const skipped = skippedValue(plan, stage, readings);
  if (skipped !== undefined) return { first: 0, end: stage, note: skipped };
  if (missing.length === 0 || !isUndoable(stageAt(plan, stage)))
    return { first: stage, end: stage, note: `${name} starts alone, now.` };
  const before = plan.stages.slice(0, stage).map((one) => one.name);
  const off = [...new Set(missing)].map(
    (flag) =>
      `${flag} is ${readings[flag] === undefined ? "unreadable" : settingInWords(plan, flag, readings[flag].setting)}`,
  );
  return {
    first: 0,
    end: stage,
    note: `${name} requires what is not on yet (${off.join(", ")}). ${before.length === 0 ? `It starts when that is on.` : `First: ${before.join(", ")}; then ${name}.`}`,
  };
}

/** A value is raised step by step: why this stage does not start alone, when its flag is not at the value of the stage before. */
function skippedValue(
  plan: Plan,
  stage: number,
  readings: Readonly<Record<string, Reading | undefined>>,
): string | undefined {
  for (const flag of flagsOfStage(stageAt(plan, stage))) {
    const index = plan.stages.findLastIndex((one, at) => at < stage && flagsOfStage(one).includes(flag));
    const last = plan.stages[index]?.substages.at(-1)?.set.find((item) => item.flag === flag)?.setting;
    const reading = readings[flag];
    if (last?.kind !== "value" || reading === undefined || sameSetting(reading.setting, last)) continue;
    const names = plan.stages.slice(0, stage).map((one) => one.name);
    const [is, was] = [reading.setting, last].map((setting) => settingInWords(plan, flag, setting));
    return `${stageAt(plan, stage).name} comes after ${flag} ${was ?? ""}, and it is ${is ?? ""} now. First: ${names.join(", ")}; then ${stageAt(plan, stage).name}.`;
  }
  return undefined;
}

function isOn(reading: Reading | undefined): boolean {
  return reading !== undefined && (reading.setting.kind === "on" || reading.setting.kind === "value");
}

function ownerConflict(plan: Plan, flags: readonly string[], runs: readonly Run[]): Refusal | undefined {
  const wanted = new Set(flags.map((flag) => claimOf(plan, flag)));
  for (const other of runs) {
    if (!isLive(other.state) && other.state.phase !== "stuck") continue;
    const owned = claimsOf(other).find((claim) => wanted.has(claim));
    if (owned === undefined) continue;
    const { rollout, run } = other.state;
    if (rollout === plan.rollout)
      return refuse("already_live", `${rollout} is already live as ${run}. \`/rollout status\` shows it.`);
    return refuse("lock_conflict", `${owned} belongs to the live rollout ${rollout} (${run}).`);
  }
  return undefined;
}

function allFlags(plan: Plan): readonly string[] {
  return [...new Set(plan.stages.flatMap(flagsOfStage))];
}

/** The claims of a run: every flag of its plan, since `enable` may move its end to any stage. */
export function claimsOf({ plan }: Run): readonly string[] {
  return allFlags(plan).map((flag) => claimOf(plan, flag));
}

/** Refuses a rehearsal while flags of the plan are being flipped: it writes what a flag held when it was read. */
export function movingOver(plan: Plan, runs: readonly Run[]): Refusal | undefined {
  const wanted = new Set(allFlags(plan).map((flag) => claimOf(plan, flag)));
  const moving = runs.find(
    (run) =>
      isOpenRun(run.state) &&
      pendingForward(run.state).length + pendingBackward(run.state).length > 0 &&
      claimsOf(run).some((claim) => wanted.has(claim)),
  );
  if (moving === undefined) return undefined;
  const { rollout, run } = moving.state;
  return refuse(
    "rehearsal",
    `flags are being flipped by ${rollout} (${run}); rehearse when they are read back, in a moment.`,
  );
}

/** Refuses a live run a further end when a stage that it has not begun sets a flag that another run locked. */
export function decideFurther({ plan, state }: Run, end: number, runs: readonly Run[]): Refusal | undefined {
  const others = runs.filter((other) => other.state.run !== state.run);
  return lockedElsewhere(plan, Math.max(state.first, newestStage(state) + 1), end, others);
}

/** The first flag that a stage from `first` to `end` would turn on although a run's rollback locked it. */
function lockedElsewhere(plan: Plan, first: number, end: number, runs: readonly Run[]): Refusal | undefined {
  const stages = plan.stages.slice(first, end + 1).filter(isUndoable);
  for (const flag of new Set(stages.flatMap(flagsOfStage))) {
    const claim = claimOf(plan, flag);
    for (const { plan: other, state } of runs) {
      const latch = Object.entries(state.latched).find(([name]) => claimOf(other, name) === claim);
      if (latch === undefined) continue;
      return refuse(
        "latched",
        `${flag} was rolled back in ${state.run} (${latch[1].because}) and is locked. When the cause is fixed: \`/rollout unlock ${flag} because "..."\``,
      );
    }
  }
  return undefined;
}
