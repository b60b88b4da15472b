/** Probes in words: the message of a failure as it develops, the notice to users, the pages, and the lines of history. */
import { formatActor } from "../event.ts";
import type { Offer } from "../refusal.ts";
import { formatClock, formatDuration } from "../time.ts";
import type { Probe, WatchPlan } from "../watch/plan.ts";
import type { Episode, EpisodeRestart, PageAbout, ProbeEvent, ProbeState } from "../watch/probe.ts";
import { type RestartOutlook, restartOutlook, type TargetFacts, targetFacts } from "../watch/restart.ts";
import { type Alert, type AlertLine, line } from "./told.ts";

/** What messages need to know of a probe's file. */
export type NamedProbe = Pick<Probe, "name" | "restart" | "degraded" | "page" | "runbook">;

/** A probe with all that its messages are made of. */
export interface ToldProbe {
  readonly plan: WatchPlan;
  readonly probe: NamedProbe;
  readonly state: ProbeState;
  /** Its target as all probes that share it know it; without it, as this one does. */
  readonly target?: TargetFacts | undefined;
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
      ...muteLines(state),
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
  if (episode.retired === true) return `${what} is not watched any more${lastSeen(episode)}.`;
  return recovered === undefined
    ? `${what} fails: ${episode.detail}.`
    : `${what} ${recoveryInWords(recovered.tookMs, recovered.withinMs)}.`;
}

function lastSeen({ recovered }: Episode): string {
  return recovered === undefined ? "; it was failing when last seen" : "";
}

/** Until when it is muted, and by whom. */
function muteLines({ mute }: ProbeState): readonly AlertLine[] {
  return mute === undefined ? [] : [line("Muted", `by ${formatActor(mute.by)} until `, { wall: mute.wall })];
}

/** `recovered in 3 min 12 s (within 5 min)`, or how late that is. */
export function recoveryInWords(tookMs: number, withinMs: number): string {
  const took = `recovered in ${formatDuration(tookMs)}`;
  return tookMs <= withinMs
    ? `${took} (within ${formatDuration(withinMs)})`
    : `${took} (late: it should take at most ${formatDuration(withinMs)})`;
}

function restartLine(one: EpisodeRestart): AlertLine {
  const by = one.by.kind === "belay" ? "" : ` by ${formatActor(one.by)}`;
  return line("Restart", { wall: one.wall }, ` ${one.target}${replicaOf(one)}${by}: ${outcomeOf(one)}`);
}

/** A restart that went well only means that a process runs. */
function outcomeOf({ result, tookMs, detail }: EpisodeRestart): string {
  if (result === undefined) return "under way";
  switch (result) {
    case "done":
      return `runs again after ${formatDuration(tookMs ?? 0)}; the probe decides`;
    case "failed":
      return `failed: ${detail ?? "no reason given"}`;
    case "unknown":
      return "what came of it is not known";
  }
}

/** The short message about a restart that a person asked for while nothing failed. */
export function askedPost({ plan }: ToldProbe, asked: EpisodeRestart): Alert {
  const what = `${formatActor(asked.by)} restarts ${asked.target}${replicaOf(asked)}`;
  return {
    title: `${what} · ${plan.service} · ${plan.environment}`,
    lines: [restartLine(asked)],
    offers: [],
    summary: `${what} of ${plan.service} in ${plan.environment}: ${outcomeOf(asked)}.`,
  };
}

/** The short message that a probe is muted, or heard again. */
export function mutePost(
  { plan, probe, state }: ToldProbe,
  event: Extract<ProbeEvent, { kind: "muted" | "unmuted" }>,
): Alert {
  const what = `${probe.name} of ${plan.service} in ${plan.environment}`;
  const { mute } = state;
  if (event.kind === "muted" && mute !== undefined) {
    const because = mute.because === undefined ? "" : `: ${mute.because}`;
    const title = `${probe.name} is muted · ${plan.service} · ${plan.environment}`;
    return {
      title,
      lines: [
        line("Who", `${formatActor(mute.by)}${because}`),
        line("Until", mute),
        line("Next", "it is still checked; nobody is paged anew and nothing is restarted meanwhile"),
      ],
      offers: [{ label: "Unmute", command: `health unmute ${state.id}` }],
      summary: `${formatActor(mute.by)} muted ${what}${because}.`,
    };
  }
  const how = event.by.kind === "belay" ? "its time is over" : `${formatActor(event.by)} unmuted it`;
  const stands = state.phase === "failing" ? "it FAILS at present" : "no failure is known at present";
  return {
    title: `${probe.name} is not muted any more · ${plan.service} · ${plan.environment}`,
    lines: [line("Why", `${how}; ${stands}`)],
    offers: [],
    summary: `${what} is not muted any more: ${how}; ${stands}.`,
  };
}

/** The short message that Belay has given up, where a page about the same failure is open already. */
export function gaveUpPost(told: ToldProbe): Alert {
  const { plan, probe, state } = told;
  return {
    title: `${probe.name} still fails, Belay restarts it no more · ${plan.service} · ${plan.environment}`,
    lines: [
      line("Why", state.detail ?? "its checks are bad"),
      line(
        "Next",
        `${spentInWords(plan)}; a person must look. The page that is open stays the one to answer`,
      ),
    ],
    offers: offersOf(told),
    summary: pageSummary(told, "circuit"),
  };
}

function spentInWords({ budget }: WatchPlan): string {
  const were = budget.most === 1 ? "was" : "were";
  return `${times(budget.most, "restart")} in ${formatDuration(budget.withinMs)} ${were} not enough`;
}

function outlookOf({ plan, probe, state, target }: ToldProbe): RestartOutlook {
  const found = plan.targets.find(({ name }) => name === probe.restart);
  const alone = found === undefined ? undefined : targetFacts(found, [state], false);
  return restartOutlook(plan, state, target ?? alone, state.lastAt);
}

/** What comes next, while there is something to come. */
function nextLines(told: ToldProbe): readonly AlertLine[] {
  const { plan, state } = told;
  const { episode } = state;
  if (episode?.retired === true)
    return episode.recovered === undefined
      ? [line("Next", "nobody looks any more whether it is well; a page about it stays open for a person")]
      : [];
  const lines = state.phase === "failing" ? [nextLine(told)] : [];
  const flapping = line(
    "Flapping",
    `it goes up and down; Belay goes on within its budget, ${times(plan.budget.most, "restart")} in ${formatDuration(plan.budget.withinMs)}`,
  );
  return state.flapping ? [flapping, ...lines] : lines;
}

function nextLine(told: ToldProbe): AlertLine {
  const { plan, probe, state } = told;
  const outlook = outlookOf(told);
  const tried = state.restartEndedAt !== undefined && state.restartEndedAt >= state.since;
  const first = tried ? "the probe looks next; if it still fails, " : "";
  switch (outlook.kind) {
    case "no_target":
      return line("Next", "a person must look: no target is named to restart");
    case "circuit_open":
      return line(
        "Next",
        `Belay restarts it no more: ${spentInWords(plan)}. A person's restart, or 30 min without trouble, lets Belay try again`,
      );
    case "muted":
      return line("Next", "nothing is restarted while it is muted");
    case "under_way":
      return line("Next", "the probe looks again once the restart is done");
    case "spent":
      return line("Next", `${first}Belay restarts it no more, and a person must look`);
    case "due": {
      const which = `${first}restart ${outlook.nth} of ${plan.budget.most} of ${probe.restart ?? "its target"}`;
      if (outlook.due <= state.lastAt) return line("Next", which);
      return line("Next", `${which} at `, { wall: wallOf(state, outlook.due) }, " at the soonest");
    }
  }
}

/** While it fails, `since` and its story begin at one instant, on the one clock and on the other. */
function wallOf({ episode, since }: ProbeState, steady: number): number {
  return (episode?.wall ?? 0) + (steady - since);
}

function runbookLines({ runbook }: NamedProbe): readonly AlertLine[] {
  return runbook === undefined ? [] : [line("Runbook", runbookPath(runbook))];
}

/** Where a runbook lies, from its name with or without ending. */
export function runbookPath(runbook: string): string {
  return `runbooks/${runbook.replace(/\.md$/, "")}.md`;
}

function offersOf({ probe, state }: ToldProbe): readonly Offer[] {
  const mute: Offer =
    state.mutedUntil === undefined
      ? { label: "Mute 30 min", command: `health mute ${state.id} 30m` }
      : { label: "Unmute", command: `health unmute ${state.id}` };
  if (probe.restart === undefined) return [mute];
  const restart: Offer = {
    label: "Restart now",
    command: `health restart ${state.id}`,
    style: "danger",
    confirm: `Restart ${probe.restart} now?`,
  };
  return [restart, mute];
}

/** The notice to the users' channel; undefined when the probe has none. It promises nothing that nobody does. */
export function degradedPost(told: ToldProbe): Alert | undefined {
  const { plan, probe, state } = told;
  const { episode } = state;
  if (probe.degraded === undefined || episode === undefined) return undefined;
  const { recovered } = episode;
  const since = line("Since", { wall: episode.wall });
  if (recovered !== undefined) {
    const title = `${plan.service} is back to normal`;
    const took = formatDuration(recovered.tookMs);
    return {
      title,
      lines: [line("Was", probe.degraded), since, line("Until", recovered, ` (${took})`)],
      offers: [],
      summary: `${title}. It took ${took}.`,
    };
  }
  if (episode.retired === true) {
    const title = `${probe.name} of ${plan.service} is not watched any more`;
    const what = "It was failing when last seen.";
    return { title, lines: [line("What", what), since], offers: [], summary: `${title}. ${what}` };
  }
  const unsteady = state.flapping ? " It is unsteady at present." : "";
  const what = `${degradedInWords(told, probe.degraded)}${unsteady}`;
  const title = `${plan.service} is degraded`;
  return { title, lines: [line("What", what), since], offers: [], summary: `${title}: ${what}` };
}

/** The file's words are meant for a failure that Belay mends; where it restarts nothing they would promise too much. */
function degradedInWords(told: ToldProbe, degraded: string): string {
  const { plan, probe } = told;
  switch (outlookOf(told).kind) {
    case "due":
    case "under_way":
      return degraded;
    case "no_target":
      return /restart/i.test(degraded) ? `${plan.service} is down: ${probe.name} fails.` : degraded;
    case "circuit_open":
    case "muted":
    case "spent":
      return `${plan.service} is down; people are on it.`;
  }
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
export function pageSummary(told: ToldProbe, about: PageAbout): string {
  const { plan, probe, state } = told;
  const what = `${probe.name} of ${plan.service} in ${plan.environment}`;
  const see = probe.runbook === undefined ? "" : ` See ${runbookPath(probe.runbook)}.`;
  const { budget } = plan;
  const within = formatDuration(budget.withinMs);
  const target = probe.restart ?? "its target";
  switch (about) {
    case "failing":
      return `${what} fails: ${state.detail ?? "its checks are bad"}. ${helpInWords(told)}${see}`;
    case "circuit":
      return `${what} still fails after ${times(budget.most, "restart")} of ${target} in ${within}: ${state.detail ?? "its checks are bad"}. Belay restarts it no more; a person must look.${see}`;
    case "flapping": {
      const belay =
        probe.restart === undefined || state.circuitOpen || state.mutedUntil !== undefined
          ? "Belay does not restart it."
          : `Belay restarts ${target} within its budget (${times(budget.most, "restart")} in ${within}).`;
      return `${what} goes up and down (flapping). ${belay} A person must look.${see}`;
    }
  }
}

/** What Belay does about a failure; true for as long as the page is open. */
function helpInWords(told: ToldProbe): string {
  const { plan, probe, state } = told;
  const outlook = outlookOf(told);
  const { most, withinMs } = plan.budget;
  const target = probe.restart ?? "its target";
  switch (outlook.kind) {
    case "no_target":
      return "Belay has nothing to restart.";
    case "circuit_open":
    case "spent":
      return `Belay restarts ${target} no more: ${spentInWords(plan)}. A person must look.`;
    case "muted":
      return "It is muted, and Belay restarts nothing meanwhile.";
    case "under_way":
      return `${target} is being restarted.`;
    case "due": {
      const at =
        outlook.due <= state.lastAt
          ? ""
          : ` at ${formatClock(wallOf(state, outlook.due), plan.zone)} (${plan.zone}) at the soonest`;
      return `Belay restarts ${target}${at} (restart ${outlook.nth} of the ${most} allowed in ${formatDuration(withinMs)}); if that is not enough, a person must look.`;
    }
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
      return `flapping: ${event.changes} changes in ${formatDuration(event.withinMs)}; Belay goes on within its budget`;
    case "calm":
      return "steady again";
    case "unknown":
      return `nobody can tell how it is: ${event.detail}`;
    case "known":
      return "it can be told again how it is";
    case "restart_started":
      return `${formatActor(event.by)} restarts ${event.target}${replicaOf(event)}${event.planned ? " (planned)" : ""}`;
    case "restart_done":
      return `${event.target} runs again after ${formatDuration(event.tookMs)}; the probe decides`;
    case "restart_failed":
      return `the restart of ${event.target} failed: ${event.detail}`;
    case "circuit_opened":
      return `no more restarts of ${event.target}: ${event.restarts} in ${formatDuration(event.withinMs)} ${event.restarts === 1 ? "was" : "were"} not enough`;
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

/** `1 restart`, `2 restarts`. */
export function times(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
