/** Jobs as lines of text: when each fires next, which fires ahead a clock change moves or a blackout swallows, and what did not run. */
import { DAY, formatDuration, MINUTE } from "../core/time.ts";
import { blackoutAt } from "../core/watch/blackout.ts";
import type { RecentFire } from "../core/watch/job.ts";
import {
  type ClockChange,
  formatDay,
  formatDayTime,
  formatTime,
  nextChange,
} from "../core/watch/job-clock.ts";
import { actionInWords, fireInWords, jobId, standsInWords } from "../core/watch/job-words.ts";
import type { Job, WatchPlan } from "../core/watch/plan.ts";
import type { JobStanding } from "./schedules-run.ts";
import type { Calendar } from "./watch-ports.ts";

/** How far ahead gaps are looked for. */
const GAPS_WITHIN_MS = 60 * DAY;
const MOST_AHEAD = 1_000;
/** A job that fires more often a day has no time of day that a change of clocks could move. */
const OFTEN_A_DAY = 12;
const MOST_NAMED = 3;

/** One job in a list: what it does, its next fire, the newest one, and the gaps ahead. */
export function jobLines(
  calendar: Calendar,
  plan: WatchPlan,
  { job, state, nextWall }: JobStanding,
  wall: number,
): readonly string[] {
  const only =
    job.action.kind === "restart" && job.action.onlyIf !== undefined
      ? ` if ${job.action.onlyIf} asks for it`
      : "";
  const next =
    nextWall === undefined
      ? state?.paused === undefined
        ? "never again"
        : "not while it is paused"
      : `${formatDayTime(nextWall, job.zone)} ${job.zone}`;
  const last = state?.recent.at(-1);
  const stands = state === undefined ? "" : standsInWords(state, job.zone);
  return [
    `${jobId(plan.watch, job.name)}: ${actionInWords(job.action)}${only}, ${job.cron}; next ${next}`,
    ...(stands === "" ? [] : [`  ${stands}`]),
    ...(last === undefined ? [] : [`  last: ${fireInWords(last, job.zone)}${byHand(plan.watch, job, last)}`]),
    ...(state !== undefined && state.claimedUpTo > wall + 2 * MINUTE
      ? [`  the clock was set back: fires up to ${formatDayTime(state.claimedUpTo, job.zone)} are claimed`]
      : []),
    ...gapLines(calendar, plan, job, wall).map((gap) => `  gap: ${gap}`),
    ...(job.until === undefined || job.until > wall + GAPS_WITHIN_MS
      ? []
      : [`  ends: its last day is ${formatDay(job.until, job.zone)}`]),
  ];
}

/** The next fires, each with what would keep it from running. */
export function nextLines(
  calendar: Calendar,
  plan: WatchPlan,
  { job, state }: JobStanding,
  wall: number,
  count: number,
): readonly string[] {
  const after = Math.max(wall, state?.claimedUpTo ?? wall);
  const instants = calendar.fires(job.cron, job.zone, after, after + 366 * DAY, count);
  return instants.map((instant) => {
    const blackout = blackoutAt(plan.blackouts, instant);
    const against = [
      ...(state?.paused === undefined ? [] : [`paused by ${state.paused.by}`]),
      ...(state?.skip?.instant === instant ? [`skipped by ${state.skip.by}`] : []),
      ...(blackout === undefined ? [] : [`blackout: ${blackout.because}`]),
      ...(job.until !== undefined && instant > job.until ? ["after its last day"] : []),
    ];
    const utc = job.zone === "UTC" ? "" : ` (${formatTime(instant, "UTC")} UTC)`;
    const note = against.length === 0 ? "" : `: does not run (${against.join(", ")})`;
    return `${formatDayTime(instant, job.zone)} ${job.zone}${utc}${note}`;
  });
}

/** The command that restarts although there is no evidence, which running the job again would only ask for again; else empty. */
export function byHand(watch: string, { action }: Job, { result }: Pick<RecentFire, "result">): string {
  if (result !== "no_evidence" || action.kind !== "restart") return "";
  return `; without evidence: /belay health restart ${watch}/${action.target}`;
}

/** What was missed or passed over, and what failed, newest first. */
export function missedLines(
  standings: readonly { readonly watch: string; readonly standing: JobStanding }[],
  most = 40,
): readonly string[] {
  const all = standings.flatMap(({ watch, standing: { job, state } }) =>
    (state?.troubles ?? []).map((fire): readonly [RecentFire, string] => [
      fire,
      `${jobId(watch, job.name)} (${job.zone}): ${fireInWords(fire, job.zone)}${byHand(watch, job, fire)}`,
    ]),
  );
  return all
    .sort(([a], [b]) => b.wall - a.wall)
    .slice(0, most)
    .map(([, text]) => text);
}

/** Fires of the next 60 days that do not run at the time that is written. */
export function gapLines(calendar: Calendar, plan: WatchPlan, job: Job, wall: number): readonly string[] {
  const to = Math.min(wall + GAPS_WITHIN_MS, job.until ?? Number.POSITIVE_INFINITY);
  if (to <= wall) return [];
  return [...changeGaps(calendar, job, wall, to), ...blackoutGaps(calendar, plan, job, wall, to)];
}

function changeGaps(calendar: Calendar, job: Job, wall: number, to: number): readonly string[] {
  if (calendar.fires(job.cron, job.zone, wall, wall + DAY, OFTEN_A_DAY + 1).length > OFTEN_A_DAY) return [];
  const gaps: string[] = [];
  let change = nextChange(job.zone, wall, to);
  while (change !== undefined) {
    const gap = changeGap(calendar, job, change);
    if (gap !== undefined) gaps.push(gap);
    change = nextChange(job.zone, change.at, to);
  }
  return gaps;
}

/** What a change of the clock does to a job: local times are asked for as if they were UTC. */
function changeGap(calendar: Calendar, job: Job, { at, before, after }: ClockChange): string | undefined {
  const [from, to] = [at + Math.min(before, after), at + Math.max(before, after)];
  const local = calendar.fires(job.cron, "UTC", from - 1, to - 1, 100);
  if (local.length === 0) return undefined;
  const named = local.slice(0, MOST_NAMED).map((one) => formatTime(one, "UTC"));
  const times = `${named.join(", ")}${local.length > MOST_NAMED ? " and more" : ""}`;
  const day = formatDay(at, job.zone);
  const size = formatDuration(Math.abs(after - before));
  if (after > before) {
    const isMadeUp = calendar.fires(job.cron, job.zone, at - 1, at, 1).length > 0;
    const instead = isMadeUp
      ? `fires once at ${formatTime(at, job.zone)}`
      : "not made up for, it fires every hour";
    return `${day} clocks go forward ${size}: ${times} does not exist, ${instead}`;
  }
  const isAgain = calendar.fires(job.cron, job.zone, at - 1, at + (before - after) - 1, 1).length > 0;
  return `${day} clocks go back ${size}: ${times} comes twice, fires ${isAgain ? "both times" : "the first time only"}`;
}

function blackoutGaps(
  calendar: Calendar,
  plan: WatchPlan,
  job: Job,
  wall: number,
  to: number,
): readonly string[] {
  if (plan.blackouts.length === 0) return [];
  const swallowed = new Map<string, number[]>();
  for (const instant of calendar.fires(job.cron, job.zone, wall, to, MOST_AHEAD)) {
    const because = blackoutAt(plan.blackouts, instant)?.because;
    if (because !== undefined) swallowed.set(because, [...(swallowed.get(because) ?? []), instant]);
  }
  return [...swallowed].map(([because, instants]) => {
    const named = instants.slice(0, MOST_NAMED).map((one) => formatDayTime(one, job.zone));
    const more = instants.length - named.length;
    return `blackout (${because}) swallows ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  });
}
