/** The rollout on its timeline in planned time, Hour 0 to Day 2, and where on it we are. */
import { formatActor } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { plannedName, whatOf } from "../../src/core/report/stage-words.ts";
import { holdInWords } from "../../src/core/report/words.ts";
import {
  isBegun,
  isLive,
  newestFlagStage,
  plannedAt,
  type State,
  soakNeededMs,
} from "../../src/core/rollout/state.ts";
import { EMPTY_WORLD } from "../../src/core/rollout/world.ts";
import { DAY, HOUR, type Now } from "../../src/core/time.ts";

/** The same schedule twice: as it is written, and as the demo walks it. */
export interface Plans {
  readonly written: Plan;
  readonly paced: Plan;
}

export interface Stop {
  readonly name: string;
  /** `Hour 3`, `Day 2`. */
  readonly planned: string;
  readonly what: string;
  readonly mark: "done" | "now" | "next" | "undone" | "skipped";
}

export interface Timeline {
  readonly rollout: string;
  /** `SOAKING`, `HELD` and so on, as on the card; `NOT STARTED` before. */
  readonly status: string;
  /** Why it stands where it stands, or what the newest feature does. */
  readonly says: string;
  readonly stops: readonly Stop[];
  /** Where we are: 2.5 is half-way between the third stop and the fourth. */
  readonly at: number;
  /** The same in planned time: `Hour 3.4`. */
  readonly atName: string;
  readonly moves: boolean;
}

const BEFORE = "Each stage is watched; the next one begins only when every guard passed all that time.";

/** Before the first run everything is still to come. */
export function timelineOf(plans: Plans, state: State | undefined, wall: number): Timeline {
  const { written, paced } = plans;
  const stops = written.stages.map((stage): Stop => {
    return { name: stage.name, planned: plannedName(stage.atMs), what: whatOf(written, stage), mark: "next" };
  });
  const rollout = written.rollout;
  if (state === undefined)
    return { rollout, status: "NOT STARTED", says: BEFORE, stops, at: 0, atName: "", moves: false };
  const now: Now = { wall, steady: state.lastAt + Math.max(0, wall - state.lastWall) };
  const card = cardOf({ plan: paced, state, world: EMPTY_WORLD, figures: {}, now });
  const at = placeOf(paced, state, now);
  return {
    rollout,
    status: card.status,
    says: state.phase === "walking" ? saysOf(written, state) : card.says,
    stops: stops.map((stop, index) => ({ ...stop, mark: card.rows[index]?.mark ?? "next" })),
    at,
    atName: inPlannedTime(written, at),
    moves: isLive(state) && state.stoppedSince === undefined,
  };
}

function saysOf(plan: Plan, state: State): string {
  const locked = Object.keys(state.latched);
  const holds = state.holds.map(({ reason, detail, by }) => {
    if (reason === "person") return `held by ${formatActor(by)}: ${detail}`;
    if (reason !== "rolled_back") return `${holdInWords(reason)}: ${detail}`;
    return locked.length === 0 ? "unlocked; nothing is turned on by itself" : `locked: ${locked.join(", ")}`;
  });
  if (holds.length > 0) return holds.join(" · ");
  if (state.baselineAsk?.confirmed === false)
    return `Turning off ${state.baselineAsk.flags.join(", ")} waits for an answer in the channel.`;
  if (state.review !== undefined) return "Everything stays on and watched until somebody signs off.";
  const newest = plan.stages[newestFlagStage(plan, state)];
  if (newest === undefined) return BEFORE;
  if (newest.baseline) return "Everything is off: this is how the service does without the features.";
  return `${newest.name} is watched: a breach of any guard takes it back, and nothing else advances meanwhile.`;
}

/** From the newest begun stage towards the next one, as far as its planned time and its soak allow. */
function placeOf(plan: Plan, state: State, now: Now): number {
  const newest = state.stages.findLastIndex(isBegun);
  const stage = state.stages[newest];
  if (stage === undefined) return state.first;
  const next = newest + 1;
  if (next > state.end || next >= plan.stages.length || stage.startedAt === undefined) return newest;
  const soaked = stage.creditedTo + Math.max(0, soakNeededMs(plan, state, newest) - stage.soakedMs);
  const planned = plannedAt(plan, state, next, now.steady);
  const due = stage.status === "passed" ? planned : Math.max(planned, soaked);
  const clock = state.stoppedSince ?? (isLive(state) ? now.steady : state.lastAt);
  const share = (clock - stage.startedAt) / Math.max(1, due - stage.startedAt);
  return newest + Math.min(1, Math.max(0, share));
}

/** `Hour 3.4`, `Day 1.6`. */
function inPlannedTime(plan: Plan, at: number): string {
  const index = Math.floor(at);
  const from = plan.stages[index]?.atMs ?? 0;
  const to = plan.stages[index + 1]?.atMs ?? from;
  const ms = from + (to - from) * (at - index);
  const short = (value: number): string => value.toFixed(1).replace(/\.0$/, "");
  return ms < DAY ? `Hour ${short(ms / HOUR)}` : `Day ${short(ms / DAY)}`;
}
