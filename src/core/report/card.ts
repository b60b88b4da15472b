/** A rollout at a glance: one model that the Slack card, the terminal and the demo page all show. */
import { formatActor } from "../event.ts";
import { flagsOfStage, type Plan, type Stage, settingInWords } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import type { Offer } from "../refusal.ts";
import { aheadOfPlan, leftOn } from "../rollout/ahead.ts";
import { resumeOffer, rollbackStage } from "../rollout/blocked.ts";
import { hoursOf, nextForward } from "../rollout/forward.ts";
import { openWould } from "../rollout/observe.ts";
import { placeOf } from "../rollout/place.ts";
import { soakCredit } from "../rollout/soak.ts";
import {
  type Hold,
  hasHold,
  isBegun,
  isLive,
  isOpenRun,
  isUndoable,
  newestFlagStage,
  newestUndoable,
  pendingAsked,
  plannedAt,
  type State,
  settingUpTo,
  soakNeededMs,
  stageAt,
} from "../rollout/state.ts";
import { type World, watchedGuards } from "../rollout/world.ts";
import { allOpenAt, formatDuration, type Now } from "../time.ts";
import { leverClause, stuckInWords, undoneInWords } from "./going-back.ts";
import { backInWords, byPeople, isBackAtValue, plannedName, stepOf, whatOf } from "./stage-words.ts";
import { holdInWords } from "./words.ts";
import { workInWords } from "./work.ts";
import { wouldOffers } from "./would-offers.ts";

export type RowMark = "done" | "now" | "next" | "undone" | "skipped";

/** One stage. `wall` is when it began, or when it is planned (Unix ms). */
export interface CardRow {
  readonly mark: RowMark;
  readonly name: string;
  readonly what: string;
  readonly planned: string;
  readonly wall: number | undefined;
  readonly detail: string;
}

export interface CardFigure {
  readonly guard: string;
  readonly text: string;
}

export interface Card {
  readonly run: string;
  readonly rollout: string;
  readonly service: string;
  readonly environment: string;
  /** One or two words in capitals: SOAKING, HELD, ROLLING BACK ... */
  readonly status: string;
  /** Why it stands where it stands and what comes next, in a sentence. */
  readonly says: string;
  readonly startedBy: string;
  readonly startedWall: number;
  readonly stage: { readonly at: number; readonly of: number };
  /** Share of the planned soaks that is covered, 0 to 1. */
  readonly progress: number;
  /** How far the work is that it lets through: `41,200 of 500,000 records (8 %)`; absent where nothing tells. */
  readonly work?: string;
  /** Wall ms of the next forward step, where it is a matter of time alone. */
  readonly nextWall: number | undefined;
  readonly rows: readonly CardRow[];
  readonly figures: readonly CardFigure[];
  readonly locked: readonly { readonly flag: string; readonly because: string }[];
  readonly offers: readonly Offer[];
  readonly face: number;
  readonly open: boolean;
}

/** What was last measured of a guard. */
export interface CardMeasured {
  readonly value?: number;
  /** What a trend says beside its level. */
  readonly words?: string;
  readonly trouble?: string;
  readonly at: number;
}

/** A run as it is now, with all that a view may show of it. */
export interface Shown {
  readonly plan: Plan;
  readonly state: State;
  readonly world: World;
  /** The newest measurement of each guard, by name. */
  readonly figures: Readonly<Record<string, CardMeasured | undefined>>;
  readonly now: Now;
}

export function cardOf(shown: Shown): Card {
  const { plan, state, world, figures, now } = shown;
  const open = isOpenRun(state);
  const soaked =
    (open ? soakCredit(plan, state, world)?.soakedMs : undefined) ??
    state.stages[newestFlagStage(plan, state)]?.soakedMs ??
    0;
  const wallOf = (steady: number): number => now.wall + steady - now.steady;
  const next = nextForward(plan, state, world, now);
  // What waits for an approval has a time too: that at which it lapses.
  const until = next.kind === "wait" && next.code !== "approval" && open ? next.until : undefined;
  const earliest = until ?? now.steady;
  return {
    run: state.run,
    rollout: state.rollout,
    service: plan.service,
    environment: plan.environment,
    status: `${state.mode === "observe" && isLive(state) ? "OBSERVES · " : ""}${statusOf(plan, state)}`,
    says: `${saysOf(shown)}${leverClause(shown)}`,
    startedBy: formatActor(state.startedBy),
    startedWall: state.startedWall,
    stage: { at: state.stages.filter(isBegun).length, of: plan.stages.length },
    progress: progressOf(plan, state, soaked),
    ...workOf(shown),
    nextWall: until === undefined ? undefined : wallOf(until),
    rows: plan.stages.map((stage, index) => rowOf(shown, stage, index, soaked, earliest)),
    figures: open ? figuresOf(plan, state, figures) : [],
    locked: Object.entries(state.latched).map(([flag, latch]) => ({ flag, because: latch.because })),
    offers: offersOf(plan, state),
    face: state.face,
    open,
  };
}

function workOf({ plan, world }: Shown): { readonly work?: string } {
  const work = world.progress === undefined ? undefined : workInWords(plan, world.progress);
  return work === undefined ? {} : { work };
}

function statusOf(plan: Plan, state: State): string {
  switch (state.phase) {
    case "rolling_back":
      return "ROLLING BACK";
    case "looking":
      return state.rollback?.flags.some((flag) => isBackAtValue(plan, state.flips, flag)) === true
        ? "BACK, LOOKING"
        : "OFF, LOOKING";
    case "completed":
      return "COMPLETED";
    case "stopped":
      return "STOPPED";
    case "rolled_back":
      return "ROLLED BACK";
    case "stuck":
      return "QUARANTINED";
    case "walking":
      break;
  }
  if (state.holds.length > 0) {
    const before = hasHold(state, "rolled_back") ? "ROLLED BACK, " : "";
    return `${before}${hasHold(state, "blind") ? "HELD, BLIND" : "HELD"}`;
  }
  if (state.approval !== undefined && state.approval.approvedBy === undefined) return "WAITS FOR APPROVAL";
  if (state.baselineAsk !== undefined && !state.baselineAsk.confirmed) return "ASKS";
  if (state.review !== undefined) return "IN REVIEW";
  const newest = state.stages.findLastIndex(isBegun);
  if (newest < 0) return "SCHEDULED";
  if (state.stages[newest]?.status === "enabling")
    return pendingAsked(state).length > 0 ? "ASKS" : "ENABLING";
  return state.stages[newest]?.status === "passed"
    ? "WAITS"
    : plan.stages[newest]?.review === undefined
      ? "SOAKING"
      : "IN REVIEW";
}

function saysOf({ plan, state, world, now }: Shown): string {
  if (state.phase === "walking" && state.holds.length > 0)
    return state.holds.map((hold) => holdAsItStands(state, hold)).join("; ");
  if (state.phase === "looking" || state.phase === "rolling_back") {
    const flags = state.rollback?.flags.join(", ") ?? "";
    const stuck = stuckInWords({ plan, state, world });
    return state.phase === "looking"
      ? `${backInWords(plan, state)}; looking whether production recovers`
      : `taking back ${flags}${stuck === undefined ? "" : `: ${stuck}`}`;
  }
  if (!isLive(state))
    return state.phase === "stuck" ? "an internal error; only rollback works" : endInWords(plan, state);
  const next = nextForward(plan, state, world, now);
  if (next.kind === "wait") return next.code === "blind" ? "asking for fresh evidence" : next.detail;
  return "the next step is due";
}

function holdAsItStands(state: State, { reason, by, detail }: Hold): string {
  if (reason === "rolled_back" && Object.keys(state.latched).length === 0)
    return `rolled back and unlocked (${formatActor(by)}): enable it to try again`;
  return `${holdInWords(reason)} (${formatActor(by)}): ${detail}`;
}

function endInWords(plan: Plan, state: State): string {
  const on = leftOn(plan, state);
  const names =
    on.length === 0 ? "nothing of it is on" : `${on.join(", ")} ${on.length === 1 ? "stays" : "stay"} ON`;
  if (state.phase === "completed") return `done: every soak passed; ${names}, no longer watched`;
  return state.phase === "stopped"
    ? `stopped by a person: ${names}, no longer watched`
    : `taken back: ${names}`;
}

function progressOf(plan: Plan, state: State, soakedMs: number): number {
  let done = 0;
  let all = 0;
  for (const [index, stage] of plan.stages.entries()) {
    if (index < state.first || index > state.end) continue;
    for (const [sub, substage] of stage.substages.entries()) {
      const weight = Math.max(1, substage.soakMs);
      all += weight;
      const at = state.stages[index];
      if (at === undefined || !isBegun(at) || sub > at.substage) continue;
      if (sub < at.substage || at.status === "passed") done += weight;
      else if (at.status === "soaking")
        done += weight * Math.min(1, soakedMs / Math.max(1, soakNeededMs(plan, state, index)));
    }
  }
  if (state.phase === "completed") return 1;
  return all === 0 ? 0 : done / all;
}

function rowOf(shown: Shown, stage: Stage, index: number, soakedMs: number, earliest: number): CardRow {
  const { plan, state, now } = shown;
  const at = state.stages[index];
  const base = { name: stage.name, what: whatOf(plan, stage), planned: plannedName(stage.atMs) };
  if (at === undefined || index < state.first || index > state.end)
    return { ...base, mark: "skipped", wall: undefined, detail: "not part of this run" };
  switch (at.status) {
    case "pending": {
      if (!isLive(state)) return { ...base, mark: "next", wall: undefined, detail: "not reached" };
      const planned = Math.max(plannedAt(plan, state, index, now.steady), earliest);
      const hours = hoursOf(plan, index);
      const wall = allOpenAt(hours, now.wall + planned - now.steady);
      const only = stage.window === undefined ? "" : `only ${stage.window.text} ${stage.window.zone}`;
      return {
        ...base,
        mark: "next",
        wall,
        detail: `${only}${byPeople(plan, state, stage)}`.replace(/^, /, ""),
      };
    }
    case "undone":
      return {
        ...base,
        mark: "undone",
        wall: at.startedWall,
        detail: `${undoneInWords(shown, stage)}${byPeople(plan, state, stage)}`,
      };
    case "passed":
      return {
        ...base,
        mark: "done",
        wall: at.startedWall,
        detail: stage.review === undefined ? `soaked ${formatDuration(at.soakedMs)}` : "signed off",
      };
    case "enabling":
      return {
        ...base,
        mark: "now",
        wall: at.startedWall,
        detail: `${stepOf(plan, stage, at.substage)}${pendingAsked(state).length > 0 ? `people are asked to set it in ${placeOf(plan)}` : "being read back"}`,
      };
    case "soaking": {
      if (stage.review !== undefined)
        return { ...base, mark: "now", wall: at.startedWall, detail: "waits for its sign-off" };
      const soaked = `${formatDuration(Math.round(soakedMs / 1000) * 1000)} of ${formatDuration(soakNeededMs(plan, state, index))}`;
      return {
        ...base,
        mark: isOpenRun(state) ? "now" : "done",
        wall: at.startedWall,
        detail: `${stepOf(plan, stage, at.substage)}soaked ${soaked}`,
      };
    }
  }
}

function figuresOf(
  plan: Plan,
  state: State,
  figures: Readonly<Record<string, CardMeasured | undefined>>,
): readonly CardFigure[] {
  return watchedGuards(plan, state).map((guard) => {
    const figure = figures[guard.name];
    const verdict = state.verdicts[guard.name]?.verdict;
    if (guard.kind === "alive") {
      const text =
        figure?.value === undefined
          ? (figure?.trouble ?? "not asked yet")
          : figure.value >= 1
            ? "up"
            : "DOWN";
      return { guard: guard.name, text };
    }
    if (figure === undefined) return { guard: guard.name, text: "not asked yet" };
    if (figure.value === undefined)
      return {
        guard: guard.name,
        text: `${verdict === "provider_down" ? "provider down" : "no evidence"}: ${figure.trouble ?? "unknown"}`,
      };
    const limits =
      guard.kind === "trend"
        ? [figure.words ?? ""]
        : [
            guard.min === undefined ? "" : `>= ${formatQuantity(guard.min, guard.unit)}`,
            guard.max === undefined ? "" : `<= ${formatQuantity(guard.max, guard.unit)}`,
          ];
    const word = verdict === "breach" ? " BREACH" : verdict === "inconclusive" ? " not yet" : "";
    return {
      guard: guard.name,
      text: `${formatQuantity(figure.value, guard.unit)} (${limits.filter((one) => one !== "").join(", ")})${word}`,
    };
  });
}

/** What a person's change of a flag asks for: to undo it when it came ahead of plan; when it took a flag away, to take back what requires it. */
function driftOffers(plan: Plan, state: State, newest: number): readonly Offer[] {
  const run = `run=${state.run}`;
  const offers = aheadOfPlan(plan, state, -1).map(
    ({ flag, stage }): Offer => ({
      label: `Undo ${flag}`.slice(0, 70),
      command: `rollout rollback ${plan.stages[stage]?.name ?? flag} ${run}`,
      style: "danger",
      confirm: `Set ${flag} back to ${settingInWords(plan, flag, settingUpTo(plan, state, flag, newest))} now?`,
    }),
  );
  const changed = new Set(Object.keys(state.overridden));
  const first = plan.stages.findIndex(
    (stage, index) =>
      isBegun(state.stages[index]) &&
      isUndoable(stage) &&
      flagsOfStage(stage).some((flag) =>
        plan.flags[flag]?.requires.some((required) => changed.has(required)),
      ),
  );
  const name = plan.stages[first]?.name;
  if (name === undefined || first >= newest) return offers;
  const dependants = plan.stages
    .slice(first, newest + 1)
    .map((stage) => stage.name)
    .join(", ");
  const confirm = `Take back ${dependants} now?`;
  const command = `rollout rollback ${name} ${run}`;
  return [...offers, { label: `Roll back ${dependants}`.slice(0, 70), command, style: "danger", confirm }];
}

/** The buttons that make sense now, most urgent first. */
export function offersOf(plan: Plan, state: State): readonly Offer[] {
  if (!isOpenRun(state)) return [];
  const run = `run=${state.run}`;
  const offers: Offer[] = [];
  const newest = newestUndoable(plan, state);
  const names = leftOn(plan, state);
  const would = openWould(state);
  if (would !== undefined) offers.push(...wouldOffers(plan, state, would));
  else if (newest >= 0 && state.phase !== "rolling_back") {
    offers.push(rollbackStage(state, stageAt(plan, newest).name));
  }
  const isGoingBack = state.phase === "rolling_back" || (state.phase === "looking" && newest < 0);
  if (names.length > 1 || (names.length > 0 && isGoingBack)) {
    offers.push({
      label: "Roll back all",
      command: `rollout rollback all ${run}`,
      style: "danger",
      confirm: `Take back ${names.join(", ")} now?`,
    });
  }
  if (state.phase !== "walking") return offers;
  if (hasHold(state, "drift")) offers.push(...driftOffers(plan, state, newest));
  const personal = state.holds.some((hold) => hold.reason === "person");
  if (!personal) offers.push({ label: "Hold", command: `rollout hold ${run}` });
  const resumable = state.holds.some(
    (hold) =>
      hold.reason !== "blind" &&
      hold.reason !== "expectation" &&
      !(hasHold(state, "rolled_back") && Object.keys(state.latched).length > 0),
  );
  const adopts = hasHold(state, "drift") && aheadOfPlan(plan, state, -1).length > 0;
  if (resumable && would === undefined)
    offers.push({ ...resumeOffer(state), ...(adopts ? { label: "Adopt, resume" } : {}) });
  const soaking = state.stages.some((stage) => stage.status === "soaking") && state.review === undefined;
  if (state.holds.length === 0 && soaking) {
    offers.push({
      label: "Advance early",
      command: `rollout advance ${run}`,
      confirm: "Not wait out the soak? Every guard must still pass, and every gate stays.",
    });
  }
  offers.push({ label: "Evidence", command: `rollout evidence ${run}` });
  return offers;
}
