/** How a probe stands, in one line of `/belay health` and for the daily post. */
import { formatActor } from "../event.ts";
import { formatClock, formatDuration, type Now } from "../time.ts";
import type { Probe } from "../watch/plan.ts";
import type { ProbeState } from "../watch/probe.ts";
import type { Checked } from "../watch/probe-row.ts";
import { spentOf } from "../watch/restart.ts";
import type { ProbeFact } from "./health-post.ts";
import { type ToldProbe, times } from "./health-words.ts";

/** How a probe stands, for the daily post. */
export function probeFact(probe: Probe, state: ProbeState, last: Checked | undefined): ProbeFact {
  const { episode } = state;
  const detail = state.unknown?.detail ?? (last?.kind === "unknown" ? last.detail : state.detail);
  return {
    name: probe.name,
    state: stateOf(state, last),
    ...(detail === undefined ? {} : { detail }),
    ...(state.phase === "failing" && episode !== undefined ? { sinceWall: episode.wall } : {}),
    ...(state.circuitOpen ? { circuitOpen: true } : {}),
    ...(state.mutedUntil === undefined ? {} : { muted: true }),
  };
}

function stateOf(state: ProbeState, last: Checked | undefined): ProbeFact["state"] {
  if (state.unknown !== undefined) return "unknown";
  if (state.flapping) return "flapping";
  if (state.phase === "failing") return "failing";
  if (last?.kind === "unknown") return "unknown";
  return last === undefined ? "unchecked" : "well";
}

/** One line of `/belay health`: how it is, since when, its last figure, and what holds its restarts back. `restarts`: of its target, steady ms. */
export function statusLine(
  { plan, probe, state }: ToldProbe,
  last: Checked | undefined,
  restarts: readonly number[],
  now: Now,
): string {
  // What never changed while anybody watched was so before as well.
  const least = state.changes.length === 0 && state.phase === "well" ? "at least " : "";
  const since = `${least}since ${formatClock(now.wall - (now.steady - state.since), plan.zone).slice(0, 5)} ${plan.zone} (${formatDuration(now.steady - state.since)})`;
  const figure =
    last === undefined
      ? "not checked yet"
      : last.kind === "unknown"
        ? `unknown: ${last.detail}`
        : last.detail;
  const stands = phaseInWords(state, last);
  return [
    `${state.id}: ${stands === UNCHECKED || stands === DOUBTFUL ? stands : `${stands} ${since}`}`,
    ...(stands === UNCHECKED ? [] : [figure]),
    ...restartNotes({ plan, probe, state }, restarts, now),
  ].join(" · ");
}

const UNCHECKED = "no check yet";
const DOUBTFUL = "last check BAD, too few of them yet to fail";

function phaseInWords(state: ProbeState, last: Checked | undefined): string {
  if (state.restarting !== undefined)
    return `${state.restarting.planned ? "planned restart" : "restarting"}, ${state.phase}`;
  if (state.unknown !== undefined) return `blind (last known ${state.phase})`;
  if (state.phase === "failing") return "FAILING";
  if (last?.kind === "bad") return DOUBTFUL;
  return last === undefined && state.revision === 0 ? UNCHECKED : "well";
}

function mutedBy({ mute }: ProbeState): string {
  if (mute === undefined) return "";
  return ` by ${formatActor(mute.by)}${mute.because === undefined ? "" : ` (${mute.because})`}`;
}

function restartNotes(
  { plan, probe, state }: ToldProbe,
  restarts: readonly number[],
  now: Now,
): readonly string[] {
  const notes: string[] = [];
  if (probe.restart !== undefined) {
    const left = Math.max(0, plan.budget.most - spentOf(restarts, plan.budget, now.steady));
    notes.push(
      state.circuitOpen
        ? "circuit open: no restarts"
        : `${left} of ${times(plan.budget.most, "restart")} left`,
    );
  }
  if (state.flapping) notes.push("flapping");
  if (state.mutedUntil !== undefined)
    notes.push(`muted for ${formatDuration(Math.max(0, state.mutedUntil - now.steady))}${mutedBy(state)}`);
  return notes;
}
