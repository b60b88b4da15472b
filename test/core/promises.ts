/** The promises of the core, checked after every event of a walk; each throws with the rule's name when it is broken. */
import { isDeepStrictEqual } from "node:util";
import type { Flip, Recorded, RolloutEvent } from "../../src/core/event.ts";
import type { Measurement } from "../../src/core/measurement.ts";
import { flagsOfStage, type Guard, isWaitedFor, type Plan } from "../../src/core/plan.ts";
import { peopleOn } from "../../src/core/rollout/ahead.ts";
import { desired } from "../../src/core/rollout/desired.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { guardsBefore } from "../../src/core/rollout/forward.ts";
import { onAsk } from "../../src/core/rollout/people.ts";
import { isBegun, isLive, isOpenRun, isUndoable, type State, stageAt } from "../../src/core/rollout/state.ts";
import { judgementOf, type World, watchedGuards } from "../../src/core/rollout/world.ts";
import { formatSetting, OFF, type Setting, sameSetting } from "../../src/core/setting.ts";
import type { Now } from "../../src/core/time.ts";
import type { Judgement } from "../../src/core/verdict.ts";
import { ANA, operator } from "../support/plans.ts";

/** One event with what was true when it was decided. */
export interface Step {
  readonly plan: Plan;
  readonly before: State | undefined;
  readonly after: State;
  readonly recorded: Recorded;
  readonly world: World;
  readonly now: Now;
}

export interface Promises {
  onMeasured(guard: Guard, measured: Measurement, before: Judgement, after: Judgement, gapMs: number): void;
  onEvent(step: Step): void;
  afterCommit(plan: Plan, state: State, log: readonly Recorded[]): void;
}

type Span = readonly [number, number];

export function createPromises(): Promises {
  const passes = new Map<string, [number, number][]>();
  const newest = new Map<string, Flip>();
  const taken = new Map<string, Setting>();
  const own = createOwnWrites();
  return {
    onMeasured(guard, measured, before, after, gapMs) {
      const spans = passes.get(guard.name) ?? [];
      passes.set(guard.name, spans);
      if (after.verdict !== "pass" || measured.kind !== "value" || after.at !== measured.at) return;
      const continued = before.verdict === "pass" && measured.at - before.at <= gapMs;
      const first = before.reason === "not_asked" && measured.at - before.epoch <= 2 * guard.intervalMs;
      if (continued) cover(spans, before.at, measured.at);
      else if (first) cover(spans, before.epoch, measured.at);
    },
    onEvent(step) {
      countsOne(step);
      goesForwardOnlyWhenAllIsWell(step);
      soakIsCovered(step, passes);
      leavesToPeopleWhatIsTheirs(step);
      isOffWhenItSaysSo(step);
      isNotEndedOverPeople(step);
      foldFlips(step, newest, taken);
      own.onEvent(step);
    },
    afterCommit(plan, state) {
      isPrefix(plan, state);
      wishesAreTheNewestFlips(plan, state, newest, taken);
      own.afterCommit(plan, state);
      survivesJson(state);
      rollbackIsReachable(plan, state);
    },
  };
}

function broken(rule: string, detail: string): never {
  throw new Error(`${rule}: ${detail}`);
}

function countsOne({ before, after, recorded }: Step): void {
  if (after.revision !== recorded.seq || after.revision !== (before?.revision ?? 0) + 1)
    broken("revision", `${recorded.event.kind} took it from ${before?.revision} to ${after.revision}`);
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(recorded)), recorded))
    broken("journal", `${recorded.event.kind} does not survive JSON: ${JSON.stringify(recorded)}`);
}

const FORWARD: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "stage_started",
  "review_opened",
  "approval_requested",
  "baseline_asked",
  "completed",
]);

function goesForwardOnlyWhenAllIsWell({ plan, before, recorded, world, now }: Step): void {
  const { event } = recorded;
  if (before === undefined) return;
  if (event.kind === "soak_passed" && before.stoppedSince !== undefined)
    broken("forward", "a soak passed while the clock stood still");
  if (!FORWARD.has(event.kind)) return;
  if (before.phase !== "walking") broken("forward", `${event.kind} while ${before.phase}`);
  if (before.holds.length > 0) broken("forward", `${event.kind} while held (${before.holds[0]?.reason})`);
  for (const guard of watchedGuards(plan, before)) {
    const { verdict } = judgementOf(plan, before, world, guard);
    if (verdict === "breach" && guard.consequence !== "page")
      broken("forward", `${event.kind} while ${guard.name} is in breach`);
  }
  if (event.kind !== "stage_started") return;
  for (const guard of guardsBefore(plan, before, event.stage)) {
    const { verdict, at, met } = judgementOf(plan, before, world, guard);
    if (guard.kind === "expect" && met) continue;
    if (verdict !== "pass" || now.steady - at > plan.queryTimeoutMs)
      broken(
        "forward",
        `stage ${event.stage} started with ${guard.name} ${verdict}, ${now.steady - at} ms old`,
      );
  }
  for (const name of flagsOfStage(stageAt(plan, event.stage)))
    if (before.latched[name] !== undefined) broken("forward", `${name} is locked and was started`);
}

/** Belay itself never takes back a flag whose `undo` says that only people may. */
function leavesToPeopleWhatIsTheirs({ plan, recorded }: Step): void {
  const { event } = recorded;
  if (event.kind !== "rollback_started" || event.by.kind === "person") return;
  const theirs = event.flips.find(({ flag }) => ["data", "none"].includes(plan.flags[flag]?.undo ?? "flip"));
  if (theirs !== undefined)
    broken("undo", `Belay took ${theirs.flag} back (undo: ${plan.flags[theirs.flag]?.undo})`);
}

/** A run that says "off", "recovered" or ends owes no flag, and the store, as last read, agrees. */
function isOffWhenItSaysSo({ before, recorded, world }: Step): void {
  const { event } = recorded;
  const { kind } = event;
  const byLever = event.kind === "rollback_off" && event.by === "lever";
  if (
    before === undefined ||
    !["rollback_off", "recovered", "rolled_back", "completed", "stopped"].includes(kind)
  )
    return;
  for (const [name, { asked, flip, direction, verifiedAt }] of Object.entries(before.flips)) {
    if (direction === "forward" || before.overridden[name] !== undefined) continue;
    // What people were asked for is theirs to do.
    if (asked === true && verifiedAt === undefined) continue;
    const reading = world.readings[name];
    if (byLever && verifiedAt === undefined) {
      if (before.lever?.flags.includes(name) !== true || world.leverHolds?.includes(name) !== true)
        broken("off", `${kind} by the lever, which does not hold ${name}`);
      continue;
    }
    if (verifiedAt === undefined && before.phase !== "stuck")
      broken("off", `${kind}, but ${name} has not been read back`);
    if (kind !== "stopped" && reading !== undefined && !sameSetting(reading.setting, flip.to))
      broken("off", `${kind}, but ${name} reads ${formatSetting(reading.setting)}`);
  }
}

/** No run ends as rolled back while people have something of it on: nobody would watch that. */
function isNotEndedOverPeople({ plan, before, recorded: { event } }: Step): void {
  if (before === undefined || event.kind !== "rolled_back") return;
  const on = peopleOn(plan, before);
  if (on.length > 0) broken("off", `rolled_back, but people have ${on.join(", ")} on`);
}

/** Soak that was counted never exceeds the time since the stage was enabled that every guard's passes cover. */
function soakIsCovered({ plan, after, recorded }: Step, passes: ReadonlyMap<string, readonly Span[]>): void {
  const { event } = recorded;
  if (event.kind !== "soak_passed" && event.kind !== "soak_progress") return;
  const since = after.stages[event.stage]?.enabledAt ?? Number.POSITIVE_INFINITY;
  let common: readonly Span[] = [[since, Number.POSITIVE_INFINITY]];
  for (const guard of watchedGuards(plan, after))
    if (guard.kind !== "expect" && isWaitedFor(guard))
      common = intersect(common, passes.get(guard.name) ?? []);
  const covered = common.reduce((sum, [from, to]) => sum + to - from, 0);
  if (event.soakedMs > covered + 1)
    broken("soak", `${event.soakedMs} ms counted, ${covered} ms covered by passes`);
}

/** Adds a span behind the others; one that goes on from the last makes that longer. */
function cover(spans: [number, number][], from: number, to: number): void {
  const last = spans.at(-1);
  if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
  else spans.push([from, to]);
}

function intersect(a: readonly Span[], b: readonly Span[]): readonly Span[] {
  return a.flatMap(([from, to]) =>
    b.flatMap(([start, end]): readonly Span[] => {
      const low = Math.max(from, start);
      const high = Math.min(to, end);
      return low < high ? [[low, high]] : [];
    }),
  );
}

/** Whether a step forward for this flag was decided and not read back yet. */
function isUnreadOn(state: State, flag: string): boolean {
  const flip = state.flips[flag];
  return flip?.direction === "forward" && flip.verifiedAt === undefined;
}

/** Remembers, apart from the state, the newest write of each flag and which flags people took over. */
function foldFlips(
  { plan, before, recorded }: Step,
  newest: Map<string, Flip>,
  taken: Map<string, Setting>,
): void {
  const { event } = recorded;
  switch (event.kind) {
    case "stage_started":
    case "rollback_started":
      for (const flip of event.flips) {
        newest.set(flip.flag, flip);
        taken.delete(flip.flag);
      }
      return;
    case "stage_withdrawn": {
      const substage = stageAt(plan, event.stage).substages[before?.stages[event.stage]?.substage ?? 0];
      for (const item of substage?.set ?? []) newest.delete(item.flag);
      for (const flip of event.flips) newest.set(flip.flag, flip);
      return;
    }
    case "flip_corrected":
      newest.set(event.flip.flag, event.flip);
      return;
    case "drift_found": {
      const ours = newest.get(event.flag)?.to;
      if (ours !== undefined && sameSetting(ours, event.found)) taken.delete(event.flag);
      else taken.set(event.flag, event.found);
      return;
    }
    default:
      return;
  }
}

/** While a run observes, nothing is to be written but what a person's rollback asked for, and OFFs that were owed when it began to observe. */
function createOwnWrites() {
  let observes = false;
  const allowed = new Set<string>();
  const allow = (flips: readonly Flip[]): void => {
    for (const flip of flips) allowed.add(flip.intent);
  };
  return {
    onEvent({ recorded: { event } }: Step): void {
      switch (event.kind) {
        case "rollout_started":
          observes = event.mode === "observe";
          return;
        case "mode_set":
          observes = event.mode === "observe";
          return;
        case "rollback_started":
          if (observes && event.by.kind === "belay" && event.byHand !== true)
            broken(
              "observe",
              `Belay rolls back ${event.flips.map((flip) => flip.flag).join(", ")} by itself`,
            );
          if (event.byHand !== true) allow(event.flips);
          return;
        case "stage_withdrawn":
          if (!observes) allow(event.flips);
          return;
        case "flip_corrected":
          allow([event.flip]);
          return;
        case "would_roll_back":
          if (!observes) broken("observe", "says what it would do, although it acts");
          return;
        default:
          return;
      }
    },
    afterCommit(plan: Plan, state: State): void {
      if ((state.mode === "observe") !== observes) broken("observe", `the state says ${state.mode}`);
      const odd = desired(plan, state).find((wish) => !wish.verified && !allowed.has(wish.intent));
      if (observes && odd !== undefined)
        broken(
          "observe",
          `${odd.flag} ${formatSetting(odd.setting)} is to be written, and no person asked for it`,
        );
    },
  };
}

function wishesAreTheNewestFlips(
  plan: Plan,
  state: State,
  newest: ReadonlyMap<string, Flip>,
  taken: ReadonlyMap<string, Setting>,
): void {
  const wishes = new Map(desired(plan, state).map((wish) => [wish.flag, wish]));
  const standsStill = state.phase !== "walking" || state.holds.length > 0;
  for (const [name, flip] of newest) {
    const wish = wishes.get(name);
    if (taken.has(name)) {
      if (wish !== undefined)
        broken(
          "desired",
          `${name} was taken over by people and is still wished ${formatSetting(wish.setting)}`,
        );
      continue;
    }
    if (state.flips[name]?.asked === true) {
      if (wish !== undefined) broken("desired", `people were asked to set ${name}, and it is wished`);
      continue;
    }
    if (standsStill && isUnreadOn(state, name)) {
      if (wish !== undefined)
        broken("desired", `${name} is not on yet, the rollout stands still, and it is wished`);
      continue;
    }
    if (wish === undefined || !sameSetting(wish.setting, flip.to) || wish.intent !== flip.intent)
      broken(
        "desired",
        `${name} should be ${formatSetting(flip.to)}, wished ${wish === undefined ? "nothing" : formatSetting(wish.setting)}`,
      );
  }
  for (const name of wishes.keys())
    if (!newest.has(name)) broken("desired", `${name} is wished and was never decided`);
}

function isPrefix(plan: Plan, state: State): void {
  const begun = plan.stages.map((_, index) => isBegun(state.stages[index]));
  for (let index = 0; index < begun.length; index++) {
    if (begun[index] !== true) continue;
    if (index < state.first) broken("prefix", `stage ${index} began before the first, ${state.first}`);
    for (let earlier = state.first; earlier < index; earlier++)
      if (begun[earlier] !== true)
        broken("prefix", `stage ${index} is begun, ${earlier} is ${state.stages[earlier]?.status}`);
  }
  for (const [name, flip] of Object.entries(state.flips)) {
    if (flip.direction === "backward" || state.overridden[name] !== undefined) continue;
    if (!flagsOn(plan, state).includes(name))
      broken(
        "prefix",
        `${name} is meant to be ${formatSetting(flip.flip.to)}, and no begun stage turns it on`,
      );
  }
}

function survivesJson(state: State): void {
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(state)), state))
    broken("journal", "the state does not survive JSON");
}

const NOWHERE: World = { judgements: {}, readings: {}, views: {}, refusals: {}, since: 0 };

/** Flags that this run turned on, counts as on, and has not been told otherwise of. */
export function flagsOn(plan: Plan, state: State): readonly string[] {
  const names = plan.stages.flatMap((stage, index) =>
    isBegun(state.stages[index]) && isUndoable(stage) ? flagsOfStage(stage) : [],
  );
  return [...new Set(names)];
}

/** As far back as a flag goes: its safe value, what a begun baseline set, or what was recorded. */
function farthestBack(plan: Plan, state: State, name: string): Setting {
  const fromBaseline = plan.stages
    .filter((stage, index) => stage.baseline && isBegun(state.stages[index]))
    .flatMap((stage) => stage.substages.flatMap((sub) => sub.set))
    .findLast((item) => item.flag === name)?.setting;
  return plan.flags[name]?.safe ?? fromBaseline ?? state.recorded[name] ?? OFF;
}

/** `rollback all` by an operator takes back everything that is on, from any open state, without evidence, store or view. */
function rollbackIsReachable(plan: Plan, state: State): void {
  const on = flagsOn(plan, state);
  if (!isOpenRun(state) || on.length === 0) return;
  const now = { steady: state.lastAt + 1, wall: state.lastWall + 1 };
  const stuck = evolve(plan, state, {
    seq: state.revision + 1,
    at: now.steady,
    wall: now.wall,
    event: { kind: "quarantined", error: "x" },
  });
  for (const from of [state, stuck]) {
    const outcome = onAsk(plan, from, { kind: "rollback", to: -1 }, operator(ANA), NOWHERE, now);
    const [event] = outcome.kind === "events" ? outcome.events : [];
    if (event?.kind !== "rollback_started")
      broken("rollback", `from ${from.phase}: ${JSON.stringify(outcome)}`);
    const flips = new Map(event.flips.map((flip) => [flip.flag, flip]));
    for (const name of on) {
      const to = flips.get(name)?.to;
      const back = farthestBack(plan, from, name);
      if (to === undefined || !sameSetting(to, back))
        broken(
          "rollback",
          `${name} would become ${to === undefined ? "nothing" : formatSetting(to)}, safe is ${formatSetting(back)}`,
        );
    }
    const after = evolve(plan, from, { seq: from.revision + 1, at: now.steady, wall: now.wall, event });
    if (after.phase !== "rolling_back" || !isLive(after) || flagsOn(plan, after).length > 0)
      broken("rollback", `afterwards ${after.phase}, on: ${flagsOn(plan, after).join(", ")}`);
    const wishes = new Map(desired(plan, after).map((wish) => [wish.flag, wish]));
    for (const name of on) {
      const wish = wishes.get(name);
      if (
        wish === undefined ||
        wish.direction !== "backward" ||
        !sameSetting(wish.setting, farthestBack(plan, from, name))
      )
        broken("rollback", `${name} is not wished back`);
    }
  }
}

/** The state that the events alone give. */
export function replay(plan: Plan, log: readonly Recorded[]): State | undefined {
  return log.reduce<State | undefined>((state, one) => evolve(plan, state, one), undefined);
}
