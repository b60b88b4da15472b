/** Probes in words: the message of a failure as it develops, the notice to users, the pages, and the lines of status and history. */
import { formatActor } from "../event.ts";
import type { Offer } from "../refusal.ts";
import { formatClock, formatDuration, type Now } from "../time.ts";
import type { Probe, WatchPlan } from "../watch/plan.ts";
import type { Episode, EpisodeRestart, PageAbout, ProbeEvent, ProbeState } from "../watch/probe.ts";
import type { Checked } from "../watch/probe-row.ts";
import { spentOf } from "../watch/restart.ts";
import type { ProbeFact } from "./health-post.ts";
import { type Alert, type AlertLine, line } from "./told.ts";

/** A probe with all that its messages are made of. */
export interface ToldProbe {
  readonly plan: WatchPlan;
  readonly probe: Probe;
  readonly state: ProbeState;
}

/** The message to the operators' channel about the newest failure, as it stands; undefined before the first. */
export function failurePost(told: ToldProbe): Alert | undefined {
  const { plan, probe, state } = told;
  const { episode } = state;
  if (episode === undefined) return undefined;
  const where = `${plan.service} · ${plan.environment}`;
  const { recovered } = episode;
  const title =
    episode.retired === true
      ? `${probe.name} is not watched any more · ${where}`
      : recovered === undefined
        ? `${probe.name} fails · ${where}`
        : `${probe.name} is well again · ${where}`;
  return {
    title: state.flapping ? `${title} · flapping` : title,
    lines: [
      line("Why", episode.detail),
      line("Since", { wall: episode.wall }),
      ...episode.restarts.map((one) => restartLine(one)),
      ...(recovered === undefined
        ? []
        : [line("Recovered", `${recoveryInWords(recovered.tookMs, recovered.withinMs)} `, recovered)]),
      ...nextLines(told),
      ...runbookLines(probe),
    ],
    offers: recovered === undefined && episode.retired !== true ? offersOf(told) : [],
    summary: summaryOf(told, episode),
  };
}

function summaryOf({ plan, probe }: ToldProbe, episode: Episode): string {
  const { recovered } = episode;
  const what = `${probe.name} of ${plan.service} in ${plan.environment}`;
  if (episode.retired === true) return `${what} is not watched any more.`;
  return recovered === undefined
    ? `${what} fails: ${episode.detail}.`
    : `${what} ${recoveryInWords(recovered.tookMs, recovered.withinMs)}.`;
}

/** `recovered in 3 min 12 s (within 5 min)`, or how late that is. */
export function recoveryInWords(tookMs: number, withinMs: number): string {
  const took = `recovered in ${formatDuration(tookMs)}`;
  return tookMs <= withinMs
    ? `${took} (within ${formatDuration(withinMs)})`
    : `${took} (late: it should take at most ${formatDuration(withinMs)})`;
}

function restartLine(one: EpisodeRestart): AlertLine {
  const replica = one.of > 1 ? `${one.target}, replica ${one.replica + 1} of ${one.of}` : one.target;
  const by = one.by.kind === "belay" ? "" : ` by ${formatActor(one.by)}`;
  const came =
    one.result === undefined
      ? "under way"
      : one.result === "done"
        ? `done in ${formatDuration(one.tookMs ?? 0)}`
        : `failed: ${one.detail ?? "no reason given"}`;
  return line("Restart", { wall: one.wall }, ` ${replica}${by}: ${came}`);
}

/** What comes next, while there is something to come. */
function nextLines({ plan, probe, state }: ToldProbe): readonly AlertLine[] {
  const { episode } = state;
  if (episode?.retired === true) return [];
  if (state.flapping)
    return [
      line("Next", "it goes up and down; Belay does not restart it until it has been steady for a while"),
    ];
  if (state.circuitOpen)
    return [
      line(
        "Next",
        `Belay restarts it no more: ${plan.budget.most} restarts in ${formatDuration(plan.budget.withinMs)} were not enough. A person's restart, or 30 min without trouble, lets Belay try again`,
      ),
    ];
  if (state.phase === "well") return [];
  if (probe.restart === undefined) return [line("Next", "a person must look: no target is named to restart")];
  return state.restarting === undefined
    ? [
        line(
          "Next",
          `Belay restarts ${probe.restart}, at most ${plan.budget.most} times in ${formatDuration(plan.budget.withinMs)}`,
        ),
      ]
    : [line("Next", "the probe looks again once the restart is done")];
}

function runbookLines({ runbook }: Probe): readonly AlertLine[] {
  return runbook === undefined ? [] : [line("Runbook", runbookPath(runbook))];
}

/** Where a runbook lies, from its name with or without ending. */
export function runbookPath(runbook: string): string {
  return `runbooks/${runbook.replace(/\.md$/, "")}.md`;
}

function offersOf({ probe, state }: ToldProbe): readonly Offer[] {
  const mute: Offer = { label: "Mute 30 min", command: `health mute ${state.id} 30m` };
  if (probe.restart === undefined) return [mute];
  const restart: Offer = {
    label: "Restart now",
    command: `health restart ${state.id}`,
    style: "danger",
    confirm: `Restart ${probe.restart} now?`,
  };
  return [restart, mute];
}

/** The notice to the users' channel; undefined when the probe has none. */
export function degradedPost({ plan, probe, state }: ToldProbe): Alert | undefined {
  const { episode } = state;
  if (probe.degraded === undefined || episode === undefined) return undefined;
  const { recovered } = episode;
  const over = recovered !== undefined || episode.retired === true;
  const title = over ? `${plan.service} is back to normal` : `${plan.service} is degraded`;
  const took = recovered === undefined ? "" : ` It took ${formatDuration(recovered.tookMs)}.`;
  const unsteady = state.flapping && !over ? " It is unsteady at present." : "";
  return {
    title,
    lines: [
      line(over ? "Was" : "What", `${probe.degraded}${unsteady}`),
      line("Since", { wall: episode.wall }),
      ...(recovered === undefined
        ? []
        : [line("Until", recovered, ` (${formatDuration(recovered.tookMs)})`)]),
    ],
    offers: [],
    summary: over ? `${title}.${took}` : `${title}: ${probe.degraded}${unsteady}`,
  };
}

/** The message that nobody can tell how the probe's service is, and that this is over. */
export function unknownPost(
  { plan, probe }: ToldProbe,
  unknown: NonNullable<ProbeState["unknown"]>,
  over: boolean,
): Alert {
  const what = `${probe.name} of ${plan.service} in ${plan.environment}`;
  return {
    title: over
      ? `${probe.name} can be told again · ${plan.service}`
      : `${probe.name} is blind · ${plan.service} · ${plan.environment}`,
    lines: [
      line("Why", unknown.detail),
      line("Since", { wall: unknown.wall }),
      ...(over ? [] : [line("Next", "nothing is restarted and nobody is paged on what is not known")]),
    ],
    offers: [],
    summary: over ? `${what} can be told again.` : `Nobody can tell how ${what} is: ${unknown.detail}.`,
  };
}

/** What a page says: what is wrong, what Belay does about it, and the runbook. */
export function pageSummary({ plan, probe, state }: ToldProbe, about: PageAbout): string {
  const what = `${probe.name} of ${plan.service} in ${plan.environment}`;
  const see = probe.runbook === undefined ? "" : ` See ${runbookPath(probe.runbook)}.`;
  const { budget } = plan;
  switch (about) {
    case "failing": {
      const next =
        probe.restart === undefined ? "Belay has nothing to restart." : `Belay restarts ${probe.restart}.`;
      return `${what} fails: ${state.detail ?? "its checks are bad"}. ${next}${see}`;
    }
    case "circuit":
      return `${what} still fails after ${budget.most} restarts of ${probe.restart ?? "its target"} in ${formatDuration(budget.withinMs)}: ${state.detail ?? "its checks are bad"}. Belay restarts it no more; a person must look.${see}`;
    case "flapping":
      return `${what} goes up and down (flapping). Belay does not restart it meanwhile; a person must look.${see}`;
  }
}

/** One event as one clause; who, what, why. */
export function probeEventInWords(event: ProbeEvent): string {
  switch (event.kind) {
    case "failing":
      return `fails: ${event.detail}`;
    case "recovered":
      return `${recoveryInWords(event.tookMs, event.withinMs)}, ${times(event.restarts, "restart")} by Belay`;
    case "flapping":
      return `flapping: ${event.changes} changes in ${formatDuration(event.withinMs)}; no restart until it is steady`;
    case "calm":
      return "steady again";
    case "unknown":
      return `nobody can tell how it is: ${event.detail}`;
    case "known":
      return "it can be told again how it is";
    case "restart_started":
      return `${formatActor(event.by)} restarts ${event.target}${replicaOf(event)}${event.planned ? " (planned)" : ""}`;
    case "restart_done":
      return `${event.target} was restarted in ${formatDuration(event.tookMs)}`;
    case "restart_failed":
      return `the restart of ${event.target} failed: ${event.detail}`;
    case "circuit_opened":
      return `no more restarts of ${event.target}: ${event.restarts} in ${formatDuration(event.withinMs)} were not enough`;
    case "circuit_closed":
      return event.by.kind === "belay"
        ? "restarts are possible again: it has been well for a while"
        : `${formatActor(event.by)} lets Belay restart it again`;
    case "muted":
      return `${formatActor(event.by)} muted it${event.because === undefined ? "" : `: ${event.because}`}`;
    case "unmuted":
      return event.by.kind === "belay"
        ? "no longer muted: its time is over"
        : `${formatActor(event.by)} unmuted it`;
    case "retired":
      return "it stands in no file any more";
  }
}

function replicaOf({ replica, of }: { readonly replica: number; readonly of: number }): string {
  return of > 1 ? `, replica ${replica + 1} of ${of}` : "";
}

function times(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

/** How a probe stands, for the daily post. */
export function probeFact(probe: Probe, state: ProbeState, last: Checked | undefined): ProbeFact {
  const { episode } = state;
  const detail = state.unknown?.detail ?? state.detail;
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
  return last === undefined ? "unchecked" : "well";
}

/** One line of `/belay health`: how it is, since when, its last figure, and what holds its restarts back. `restarts`: of its target, steady ms. */
export function statusLine(
  { plan, probe, state }: ToldProbe,
  last: Checked | undefined,
  restarts: readonly number[],
  now: Now,
): string {
  const since = `since ${formatClock(now.wall - (now.steady - state.since), plan.zone).slice(0, 5)} (${formatDuration(now.steady - state.since)})`;
  const figure =
    last === undefined
      ? "not checked yet"
      : last.kind === "unknown"
        ? `unknown: ${last.detail}`
        : last.detail;
  return [
    `${state.id}: ${phaseInWords(state, last)} ${since}`,
    figure,
    ...restartNotes({ plan, probe, state }, restarts, now),
  ].join(" · ");
}

function phaseInWords(state: ProbeState, last: Checked | undefined): string {
  if (state.restarting !== undefined)
    return `${state.restarting.planned ? "planned restart" : "restarting"}, ${state.phase}`;
  if (state.unknown !== undefined) return `blind (last known ${state.phase})`;
  if (state.phase === "failing") return "FAILING";
  return last === undefined && state.revision === 0 ? "no check yet" : "well";
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
      state.circuitOpen ? "circuit open: no restarts" : `${left} of ${plan.budget.most} restarts left`,
    );
  }
  if (state.flapping) notes.push("flapping: no restarts");
  if (state.mutedUntil !== undefined)
    notes.push(`muted for ${formatDuration(Math.max(0, state.mutedUntil - now.steady))}`);
  return notes;
}
