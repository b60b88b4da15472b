/** The daily health post: one line when all is well, and otherwise what is not, what comes next, and how the last day went. */
import type { Offer } from "../refusal.ts";
import { formatDuration, HOUR } from "../time.ts";
import { formatDay, formatTime } from "../watch/job-clock.ts";
import { type Alert, type AlertLine, line } from "./told.ts";

/** How a probe stands. `unknown`: nobody can tell. `unchecked`: it was never asked in the time that the post covers. */
export interface ProbeFact {
  readonly name: string;
  readonly state: "well" | "failing" | "flapping" | "unknown" | "unchecked";
  readonly detail?: string;
  /** Wall ms since when it fails. */
  readonly sinceWall?: number;
  /** No restart any more until a person says so. */
  readonly circuitOpen?: boolean;
  readonly muted?: boolean;
}

/** What a trend guard says. `restart`: the planned job that acts on it. */
export interface TrendFact {
  readonly name: string;
  readonly answer: { readonly kind: "known"; readonly asks: boolean; readonly words: string } | Unknown;
  readonly restart?: { readonly job: string; readonly nextWall?: number };
}

export interface Unknown {
  readonly kind: "unknown";
  readonly why: string;
}

/** A restart by Belay itself because a probe failed; `recoveredMs` from the first bad check. */
export interface RestartFact {
  readonly probe: string;
  readonly wall: number;
  readonly recoveredMs?: number;
}

/** A job that did not do what it should: `what` says it whole. */
export interface JobTrouble {
  readonly job: string;
  readonly what: string;
}

export interface RolloutFact {
  readonly name: string;
  /** `stage batching, soaking`. */
  readonly stands: string;
  /** Wall ms of the next forward step. */
  readonly nextWall?: number;
  readonly nextStep?: string;
}

export interface OnCallFact {
  readonly now: string;
  readonly next?: { readonly who: string; readonly wall: number };
}

/** Everything the post tells. What could not be learned is undefined and is said to be unknown. */
export interface HealthFacts {
  readonly watch: string;
  readonly wall: number;
  readonly zone: string;
  readonly probes: readonly ProbeFact[];
  readonly trends: readonly TrendFact[];
  /** Checks of the 24 h up to `upTo` (wall ms). */
  readonly checks: { readonly ran: number; readonly expected: number; readonly upTo: number } | undefined;
  readonly restarts: readonly RestartFact[] | undefined;
  /** Of the last 24 h. */
  readonly missedJobs: number | undefined;
  readonly troubles: readonly JobTrouble[];
  readonly rollouts: readonly RolloutFact[] | undefined;
  readonly locks: number | undefined;
  readonly onCall: OnCallFact | undefined;
}

/** More troubles than these are counted. */
const MOST_LINES = 12;

export function healthPost(facts: HealthFacts): Alert {
  const items = facts.probes.length + facts.trends.length;
  const troubles = [
    ...facts.probes.filter((probe) => !isFine(probe)).map((probe) => probeLine(probe, facts)),
    ...facts.trends.filter((trend) => !isCalm(trend)).map((trend) => trendLine(trend, facts)),
  ];
  const fine = items - troubles.length;
  const jobs = facts.troubles.map(({ job, what }) => line(job, what));
  const head = `Health ${formatDay(facts.wall, facts.zone)}`;
  const title =
    items === 0
      ? `${head}: nothing is watched`
      : fine === items
        ? `${head}: all ${items} fine`
        : `${head}: ${fine} of ${items} fine`;
  const day = dayWords(facts);
  const now = nowWords(facts);
  const all = [...troubles, ...jobs];
  const more = all.length - MOST_LINES;
  const lines: readonly AlertLine[] =
    all.length === 0
      ? [line("24 h", `${day} · ${now}`)]
      : [
          ...all.slice(0, MOST_LINES),
          ...(more > 0 ? [line("More", `${more} more; /belay health shows all`)] : []),
          line("24 h", day),
          line("Now", now),
        ];
  return { title, lines, offers: skipOffers(facts), summary: summaryOf(title, facts, troubles, jobs) };
}

function isFine({ state, circuitOpen }: ProbeFact): boolean {
  return state === "well" && circuitOpen !== true;
}

function isCalm({ answer }: TrendFact): boolean {
  return answer.kind === "known" && !answer.asks;
}

function probeLine(probe: ProbeFact, { wall }: HealthFacts): AlertLine {
  const since =
    probe.sinceWall === undefined ? "" : ` for ${formatDuration(Math.max(0, wall - probe.sinceWall))}`;
  const detail = probe.detail === undefined ? "" : `: ${probe.detail}`;
  const circuit = probe.circuitOpen === true ? "; restarts are used up, a person must look" : "";
  const muted = probe.muted === true ? " (muted)" : "";
  return line(probe.name, `${STATES[probe.state]}${since}${detail}${circuit}${muted}`);
}

const STATES = {
  well: "well",
  failing: "FAILING",
  flapping: "flapping",
  unknown: "unknown, nobody can tell",
  unchecked: "not checked",
} as const satisfies Readonly<Record<ProbeFact["state"], string>>;

function trendLine({ name, answer, restart }: TrendFact, { zone, wall }: HealthFacts): AlertLine {
  if (answer.kind === "unknown") {
    const meanwhile = restart === undefined ? "" : `; without evidence ${restart.job} does not restart`;
    return line(name, `no evidence: ${answer.why}${meanwhile}`);
  }
  return line(
    name,
    `${answer.words}${restart === undefined ? "" : restartWords(restart.nextWall, wall, zone)}`,
  );
}

function restartWords(nextWall: number | undefined, wall: number, zone: string): string {
  if (nextWall === undefined) return "";
  const day = nextWall - wall < 24 * HOUR ? "" : `${formatDay(nextWall, zone)} `;
  return ` → restart due ${day}${formatTime(nextWall, zone)}`;
}

function skipOffers({ trends }: HealthFacts): readonly Offer[] {
  const jobs = trends.flatMap((trend) =>
    trend.answer.kind === "known" && trend.answer.asks && trend.restart?.nextWall !== undefined
      ? [trend.restart.job]
      : [],
  );
  return [...new Set(jobs)].slice(0, 5).map((job) => ({
    label: "Skip",
    command: `schedule skip-next ${job}`,
    confirm: `Skip the next run of ${job}?`,
  }));
}

function dayWords({ checks, restarts, wall, zone }: HealthFacts): string {
  return [checksWords(checks, wall), restartsWords(restarts, zone)].join(" · ");
}

function checksWords(checks: HealthFacts["checks"], wall: number): string {
  if (checks === undefined || checks.expected === 0) return "checks not counted yet";
  const { ran, expected, upTo } = checks;
  const span = wall - upTo < HOUR ? "" : ` (24 h to ${formatTime(upTo, "UTC")} UTC)`;
  return `${number(ran)} of ${number(expected)} checks ran${span}`;
}

function restartsWords(restarts: HealthFacts["restarts"], zone: string): string {
  if (restarts === undefined) return "auto-restarts unknown";
  if (restarts.length === 0) return "no auto-restarts";
  const each = restarts.slice(0, 5).map(({ probe, wall, recoveredMs }) => {
    const took = recoveredMs === undefined ? "not recovered" : `ok after ${formatDuration(recoveredMs)}`;
    return `${probe} ${formatTime(wall, zone)}, ${took}`;
  });
  const more = restarts.length > each.length ? ` and ${restarts.length - each.length} more` : "";
  return `${restarts.length} auto-restart${restarts.length === 1 ? "" : "s"} (${each.join("; ")}${more})`;
}

function nowWords({ missedJobs, rollouts, locks, onCall, zone }: HealthFacts): string {
  const live = rollouts === undefined ? "unknown" : `${rollouts.length} live`;
  const steps = (rollouts ?? []).flatMap(({ name, nextWall }) =>
    nextWall === undefined ? [] : [`${name} next ${formatTime(nextWall, zone)}`],
  );
  const next = steps.length === 0 ? "" : ` (${steps.slice(0, 3).join(", ")})`;
  return [
    `missed jobs ${missedJobs ?? "unknown"}`,
    `rollouts ${live}${next}`,
    `locks ${locks ?? "unknown"}`,
    onCallInWords(onCall, zone),
  ].join(" · ");
}

/** `on-call @ben → @eve 18:00`. */
export function onCallInWords(onCall: OnCallFact | undefined, zone: string): string {
  if (onCall === undefined) return "on-call unknown";
  const { now, next } = onCall;
  return `on-call ${now}${next === undefined ? "" : ` → ${next.who} ${formatTime(next.wall, zone)}`}`;
}

function summaryOf(
  title: string,
  { watch }: HealthFacts,
  troubles: readonly AlertLine[],
  jobs: readonly AlertLine[],
): string {
  const named = [...troubles, ...jobs].map(({ label, parts }) => `${label}: ${parts.join("")}`);
  return `${title} (${watch}).${named.length === 0 ? "" : ` ${named.slice(0, 3).join("; ")}.`}`;
}

function number(value: number): string {
  return value.toLocaleString("en");
}
