/** The state of one rollout run: a fold of its events, and the questions that the rest of the core asks of it. */
import type { Actor, Cause, Flip, HoldReason } from "../event.ts";
import type { FlagSetting, Guard, Plan, Stage, Substage } from "../plan.ts";
import { leastSoakMs } from "../plan.ts";
import { OFF, type Setting, sameSetting } from "../setting.ts";
import type { Verdict, VerdictReason } from "../verdict.ts";

/** `walking`, `rolling_back` and `looking` are live; `stuck` is a quarantined run that still honours a rollback. */
export type Phase =
  | "walking"
  | "rolling_back"
  | "looking"
  | "completed"
  | "stopped"
  | "rolled_back"
  | "stuck";

export type StageStatus = "pending" | "enabling" | "soaking" | "passed" | "undone";

/** `soakedMs` is soak covered by fresh `pass` up to the steady instant `creditedTo`; `cut` means a person advanced early. */
export interface StageState {
  readonly status: StageStatus;
  readonly substage: number;
  readonly soakedMs: number;
  readonly creditedTo: number;
  readonly extraMs: number;
  readonly cut: boolean;
  readonly startedAt?: number;
  readonly startedWall?: number;
  /** Wall ms of the newest flip; of its first substage `startedWall` says it too. */
  readonly flippedWall?: number;
  readonly enabledAt?: number;
  /** How far the work was when the stage began, in the unit of the plan's `progress`. */
  readonly progress?: number;
}

export interface Hold {
  readonly reason: HoldReason;
  readonly detail: string;
  readonly by: Actor;
  readonly since: number;
  readonly wall: number;
}

/** The newest write decided for a flag and whether it has been read back. */
export interface FlipState {
  readonly flip: Flip;
  readonly direction: "forward" | "backward";
  readonly at: number;
  readonly verifiedAt?: number;
  readonly writeBy?: number;
  readonly verifyBy?: number;
  /** Back to a setting that is not off: written only over what a later read shows, and never over a person's OFF. */
  readonly careful?: true;
  /** People were asked to make it; Belay writes nothing. */
  readonly asked?: true;
}

export interface Approval {
  /** Sequence number of the event that asked for it. */
  readonly seq: number;
  readonly stage: number;
  readonly from: string;
  readonly requester: Actor;
  readonly expiresAt: number;
  readonly approvedBy?: Actor;
}

/** A rollback, while it runs and afterwards. `At` instants are steady ms, `Wall` instants Unix ms. */
export interface Rollback {
  /** The number that messages know the event by that started it. */
  readonly seq: number;
  readonly to: number;
  readonly stages: readonly number[];
  readonly flags: readonly string[];
  readonly cause: Cause;
  readonly by: Actor;
  readonly decidedAt: number;
  readonly decidedWall: number;
  readonly breachAt?: number;
  readonly offAt?: number;
  readonly offWall?: number;
  readonly confirmedAt?: number;
  readonly confirmedWall?: number;
  readonly seenBy?: "service" | "store" | "lever";
  readonly recoveredAt?: number;
}

/** What alerts have led to so far. `Wall` instants are Unix ms. */
export interface AlertMemory {
  /** Alerts that began by then change nothing any more: a look has ended since, or a person has decided. */
  readonly settledWall?: number;
  /** Firings that took a stage back, each with the flip that it was attributed to. */
  readonly tookBack?: readonly { readonly alert: string; readonly flippedWall: number }[];
  /** Steady ms at which a storm last held the run. */
  readonly stormAt?: number;
}

export interface Would {
  readonly seq: number;
  readonly to: number;
  readonly stages: readonly number[];
  readonly flips: readonly Flip[];
  readonly cause: Cause;
  /** Steady ms and Unix ms. */
  readonly at: number;
  readonly wall: number;
  /** A person called it a false alarm (steady ms); the guard counts again once it has passed. */
  readonly dismissedAt?: number;
}

export interface LastVerdict {
  readonly verdict: Verdict;
  readonly reason?: VerdictReason;
  readonly detail?: string;
  readonly value?: number;
  readonly since: number;
}

export interface State {
  readonly schema: 1;
  readonly run: string;
  readonly rollout: string;
  readonly planHash: string;
  /** Number of events so far. */
  readonly revision: number;
  /** Revision at the last event that changes what a button would do; buttons carry it, so that a stale one is noticed. */
  readonly face: number;
  readonly phase: Phase;
  readonly startedBy: Actor;
  /** Who last asked to go forward; may not approve. */
  readonly requester: Actor;
  readonly startAt: number;
  readonly startedWall: number;
  readonly first: number;
  readonly end: number;
  readonly stages: readonly StageState[];
  readonly recorded: Readonly<Record<string, Setting>>;
  readonly flips: Readonly<Record<string, FlipState>>;
  /** Flags as people set them; Belay has no opinion on these until it takes them back or starts their stage anew. */
  readonly overridden: Readonly<Record<string, Setting>>;
  /** Flags that a rollback took back; forward is refused until a person unlocks them. */
  readonly latched: Readonly<Record<string, { readonly because: string; readonly at: number }>>;
  readonly holds: readonly Hold[];
  readonly verdicts: Readonly<Record<string, LastVerdict>>;
  readonly approval?: Approval;
  readonly baselineAsk?: {
    readonly seq: number;
    readonly stage: number;
    readonly flags: readonly string[];
    readonly confirmed: boolean;
  };
  readonly review?: { readonly seq: number; readonly stage: number; readonly since: number };
  readonly rollback?: Rollback;
  readonly alerts?: AlertMemory;
  /** Absent: Belay flips. */
  readonly mode?: "observe";
  /** Handed to people for good: it observes whatever the installation's mode. */
  readonly released?: true;
  /** The step that people were last asked to make; `seq` is the number that messages know it by. */
  readonly asking?: { readonly seq: number; readonly stage: number; readonly substage: number };
  /** Guards whose breach a person called a false alarm (steady ms), by name, until they pass again. */
  readonly dismissed?: Readonly<Record<string, number>>;
  /** Identities of the flags when the run began, where the store has them. */
  readonly ids?: Readonly<Record<string, string>>;
  /** The service as it was last seen: its versions, and up to when (Unix ms) the starts of its processes are known, told or resumed from. */
  readonly service?: { readonly versions: readonly string[]; readonly startedWall?: number };
  /** The newest deploy or restart inside a soak since the newest step forward: what happened, and when (steady ms). */
  readonly unattributed?: { readonly detail: string; readonly at: number };
  /** What Belay would have taken back while it flips nothing; `seq` is the number that messages know it by. */
  readonly would?: Would;
  /** Flags whose OFF is also in the second lever. */
  readonly lever?: { readonly flags: readonly string[]; readonly at: number };
  /** Everything that is held, blind, waiting or rolled back moves the plan: total ms so far, and since when it stands still. */
  readonly shiftMs: number;
  readonly stoppedSince?: number;
  /** Samples count from here (steady ms); after a rollback a guard's window must have passed too. */
  readonly epoch: { readonly at: number; readonly settle: boolean };
  readonly paged: readonly string[];
  readonly endedAt?: number;
  readonly lastAt: number;
  readonly lastWall: number;
}

export function isLive(state: State): boolean {
  return state.phase === "walking" || state.phase === "rolling_back" || state.phase === "looking";
}

/** Live, or quarantined and able to go back. */
export function isOpenRun(state: State): boolean {
  return isLive(state) || state.phase === "stuck";
}

export function isBegun(stage: StageState | undefined): boolean {
  return (
    stage !== undefined &&
    (stage.status === "enabling" || stage.status === "soaking" || stage.status === "passed")
  );
}

export function stageAt(plan: Plan, index: number): Stage {
  const stage = plan.stages[index];
  if (stage === undefined) throw new Error(`the plan of ${plan.rollout} has no stage ${index}`);
  return stage;
}

export function substageAt(plan: Plan, stage: number, substage: number): Substage {
  const found = stageAt(plan, stage).substages[substage];
  if (found === undefined) throw new Error(`stage ${stage} of ${plan.rollout} has no substage ${substage}`);
  return found;
}

/** Index of the newest begun stage, reviews included; -1 when none. */
export function newestStage(state: State): number {
  return state.stages.findLastIndex(isBegun);
}

/** The wall instant (Unix ms) of the newest flip of a stage; undefined before its first. */
export function flippedWallOf(state: State, stage: number): number | undefined {
  return state.stages[stage]?.flippedWall ?? state.stages[stage]?.startedWall;
}

/** Index of the newest begun stage that sets flags (baseline included); -1 when none. Guards are judged for this stage. */
export function newestFlagStage(plan: Plan, state: State): number {
  return state.stages.findLastIndex(
    (stage, index) => isBegun(stage) && stageAt(plan, index).substages.length > 0,
  );
}

/** Index of the newest begun stage that a rollback can take back (not a baseline, not a review); -1 when none. */
export function newestUndoable(plan: Plan, state: State): number {
  return state.stages.findLastIndex((stage, index) => isBegun(stage) && isUndoable(stageAt(plan, index)));
}

export function isUndoable(stage: Stage): boolean {
  return stage.substages.length > 0 && !stage.baseline;
}

/** Names of the stages that this run has begun and that a rollback can take back, oldest first. */
export function stagesOn(plan: Plan, state: State): readonly string[] {
  return plan.stages
    .filter(
      (stage, index) => isBegun(state.stages[index]) && isUndoable(stage) && !isOnlyAsked(plan, state, index),
    )
    .map((stage) => stage.name);
}

/** Whether a flag of a stage that begins now, set so, is something that people did: not its setting before this run, nor what the stages before leave. */
export function isPeoples(plan: Plan, state: State, index: number, flag: string, setting: Setting): boolean {
  const before = state.recorded[flag];
  return (
    setting.kind !== "off" &&
    (before === undefined || !sameSetting(before, setting)) &&
    !sameSetting(settingUpTo(plan, state, flag, index - 1), setting)
  );
}

/** Whether people were asked for the first step of this stage, have made none of its flips and had not set one otherwise before: nothing of it is on. */
export function isOnlyAsked(plan: Plan, state: State, index: number): boolean {
  const at = state.stages[index];
  if (at?.status !== "enabling" || at.substage > 0) return false;
  return substageAt(plan, index, at.substage).set.every(({ flag }) => {
    const flip = state.flips[flag];
    return (
      flip?.asked === true &&
      flip.verifiedAt === undefined &&
      !isPeoples(plan, state, index, flag, flip.flip.from)
    );
  });
}

/** The settings a begun stage has reached: its substages so far, later ones winning. */
export function reachedSettings(plan: Plan, state: State, index: number): readonly FlagSetting[] {
  const at = state.stages[index];
  if (at === undefined || !isBegun(at)) return [];
  return stageAt(plan, index)
    .substages.slice(0, at.substage + 1)
    .flatMap((sub) => sub.set);
}

/**
 * How a flag should be when only the begun stages up to `upTo` count. The newest non-baseline stage that sets it wins; then the declared
 * safe value; then what a begun baseline set; then the value recorded before the rollout; then off.
 */
export function settingUpTo(plan: Plan, state: State, flag: string, upTo: number): Setting {
  let fromBaseline: Setting | undefined;
  let fromStage: Setting | undefined;
  for (let index = 0; index <= upTo; index++) {
    for (const item of reachedSettings(plan, state, index)) {
      if (item.flag !== flag) continue;
      if (stageAt(plan, index).baseline) fromBaseline = item.setting;
      else fromStage = item.setting;
    }
  }
  return fromStage ?? plan.flags[flag]?.safe ?? fromBaseline ?? state.recorded[flag] ?? OFF;
}

/** The soak (ms) that the present substage of a stage needs, never less than the least evidence; after an early advance only that. */
export function soakNeededMs(plan: Plan, state: State, index: number): number {
  const at = state.stages[index];
  if (at === undefined || stageAt(plan, index).substages.length === 0) return 0;
  const least = leastSoakMs(guardsFor(plan, index), plan.scrapeMs);
  if (at.cut) return least;
  return Math.max(substageAt(plan, index, at.substage).soakMs, least) + at.extraMs;
}

/** Guards that are judged while stage `index` is the newest flag stage (-1: before the first). */
export function guardsFor(plan: Plan, index: number): readonly Guard[] {
  const name = plan.stages[index]?.name;
  return plan.guards.filter(
    (guard) => guard.stages === undefined || (name !== undefined && guard.stages.includes(name)),
  );
}

/** The steady instant from which samples of this guard count. */
export function epochOf(plan: Plan, state: State, guard: Guard): number {
  return state.epoch.settle ? state.epoch.at + guard.windowMs + plan.scrapeMs : state.epoch.at;
}

/** The planned start (steady ms) of a stage, moved by everything that stood still so far. */
export function plannedAt(plan: Plan, state: State, index: number, now: number): number {
  const open = state.stoppedSince === undefined ? 0 : now - state.stoppedSince;
  return state.startAt + stageAt(plan, index).atMs - stageAt(plan, state.first).atMs + state.shiftMs + open;
}

interface FlipLists {
  readonly forward: readonly FlipState[];
  readonly backward: readonly FlipState[];
  readonly takenBack: readonly FlipState[];
  readonly verified: readonly FlipState[];
  readonly asked: readonly FlipState[];
}

const listsOf = new WeakMap<State["flips"], FlipLists>();

/** The flips by how far they are. Remembered until one changes: they are asked for on every tick. */
function flipLists({ flips }: State): FlipLists {
  const known = listsOf.get(flips);
  if (known !== undefined) return known;
  const all = Object.values(flips);
  const unread = all.filter((flip) => flip.verifiedAt === undefined);
  const pending = unread.filter((flip) => flip.asked !== true);
  const found = {
    asked: unread.filter((flip) => flip.asked === true),
    forward: pending.filter((flip) => flip.direction === "forward"),
    backward: pending.filter((flip) => flip.direction === "backward"),
    verified: all.filter((flip) => flip.verifiedAt !== undefined),
    takenBack: all.filter((flip) => flip.direction === "backward" && flip.verifiedAt !== undefined),
  };
  listsOf.set(flips, found);
  return found;
}

/** The flips that people were asked to make and have not made yet, of either direction. */
export function pendingAsked(state: State): readonly FlipState[] {
  return flipLists(state).asked;
}

/** Whether a flip belongs to the step forward that is under way: one that Belay turns on, or one that a baseline sets. */
export function isStepOfPlan(plan: Plan, state: State, { direction, flip }: FlipState): boolean {
  if (direction === "forward") return true;
  const index = newestFlagStage(plan, state);
  const at = state.stages[index];
  if (state.phase !== "walking" || at?.status !== "enabling" || !stageAt(plan, index).baseline) return false;
  return substageAt(plan, index, at.substage).set.some((item) => item.flag === flip.flag);
}

/** The forward flips of Belay's own that have not been read back yet. */
export function pendingForward(state: State): readonly FlipState[] {
  return flipLists(state).forward;
}

/** The backward flips of Belay's own that have not been read back yet. */
export function pendingBackward(state: State): readonly FlipState[] {
  return flipLists(state).backward;
}

/** The backward flips that have been read back, whoever made them. */
export function takenBack(state: State): readonly FlipState[] {
  return flipLists(state).takenBack;
}

/** The flips of either direction that have been read back. */
export function verifiedFlips(state: State): readonly FlipState[] {
  return flipLists(state).verified;
}

export function hasHold(state: State, reason: HoldReason): boolean {
  return state.holds.some((hold) => hold.reason === reason);
}
