/** The daily health post: one line when all is well, and otherwise what is not, what comes next, and how the last day went. */
import type { Offer } from "../refusal.ts";
import { formatDuration, HOUR, MINUTE } from "../time.ts";
import { formatDay, formatDayTime, formatTime } from "../watch/job-clock.ts";
import {
  clip,
  counted,
  linesWithin,
  lineWeight,
  MOST_LINES,
  offersWithin,
  roomBeside,
  shortLine,
} from "./room.ts";
import { type Alert, type AlertLine, line, type Part } from "./told.ts";

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

/** What a trend guard says. `restart`: the planned job that acts on it, and the `WATCH/TARGET` that it restarts. */
export interface TrendFact {
  readonly name: string;
  readonly answer: { readonly kind: "known"; readonly asks: boolean; readonly words: string } | Unknown;
  readonly restart?: { readonly job: string; readonly target: string; readonly nextWall?: number };
}

export interface Unknown {
  readonly kind: "unknown";
  readonly why: string;
}

/** A restart by Belay itself because a probe failed; `recoveredMs` from its begin. */
export interface RestartFact {
  readonly probe: string;
  readonly wall: number;
  readonly recoveredMs?: number;
  /** It did not work, or did not help. */
  readonly failed?: true;
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
  /** In capitals what it is instead of going forward by itself: `HELD`, `ROLLING BACK`. */
  readonly trouble?: string;
}

/** A page that is not resolved. */
export interface OpenPageFact {
  readonly name: string;
  readonly acknowledged: boolean;
}

/** Pages, without drills; `rollbacks` of them are about one by Belay. */
export interface PagedFact {
  readonly pages: number;
  readonly rollbacks: number;
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
  readonly incidents: readonly OpenPageFact[] | undefined;
  /** Of the last 24 h. */
  readonly paged: PagedFact | undefined;
  readonly locks: number | undefined;
  readonly onCall: OnCallFact | undefined;
}

/** Besides them a post has two lines about the day and now. */
const MOST_TROUBLES = MOST_LINES - 2;
/** Most weight of what is said of one trouble, and of one person. */
const TROUBLE_ROOM = 400;
const PERSON_ROOM = 80;
const NAME_ROOM = 48;
const MOST_STEPS = 4;
const MOST_PAGES = 8;
const OFFERS_ROOM = 2_500;
/** In the sentence for notifications. */
const MOST_NAMED = 3;
const NAMED_ROOM = 300;

/** What is not as it should be: what people are asked to look at now, then the rest, the worst probes first. */
interface Troubles {
  readonly pages: readonly AlertLine[];
  readonly rollouts: readonly AlertLine[];
  readonly probes: readonly AlertLine[];
  readonly trends: readonly AlertLine[];
  readonly jobs: readonly AlertLine[];
}

export function healthPost(facts: HealthFacts): Alert {
  const found = troublesOf(facts);
  const title = titleOf(facts, found);
  const all = allOf(found);
  const offers = offersWithin(skipOffers(facts), OFFERS_ROOM);
  const day = dayParts(facts);
  const now = nowParts(facts);
  const lines: readonly AlertLine[] =
    all.length === 0
      ? [line("24 h", ...day, " · ", ...now)]
      : withTroubles(found, [line("24 h", ...day), line("Now", ...now)], roomBeside(offers));
  return { title, lines, offers, summary: summaryOf(title, facts, all) };
}

function troublesOf(facts: HealthFacts): Troubles {
  return {
    pages: openPages(facts.incidents ?? []),
    rollouts: (facts.rollouts ?? [])
      .filter(({ trouble }) => trouble !== undefined)
      .map(({ name, stands }) => shortLine(name, stands, TROUBLE_ROOM)),
    probes: [...facts.probes.filter((probe) => !isFine(probe))]
      .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state))
      .map((probe) => probeLine(probe, facts)),
    trends: facts.trends.filter((trend) => !isCalm(trend)).map((trend) => trendLine(trend, facts)),
    jobs: facts.troubles.map(({ job, what }) => shortLine(job, what, TROUBLE_ROOM)),
  };
}

function allOf({ pages, rollouts, probes, trends, jobs }: Troubles): readonly AlertLine[] {
  return [...pages, ...rollouts, ...probes, ...trends, ...jobs];
}

function titleOf({ wall, zone, probes, trends, incidents, rollouts }: HealthFacts, found: Troubles): string {
  const items = probes.length + trends.length;
  const fine = items - found.probes.length - found.trends.length;
  const open = incidents?.length ?? 0;
  const [first, ...others] = (rollouts ?? []).filter(({ trouble }) => trouble !== undefined);
  const but = [
    ...(open === 0 ? [] : [`${counted(open, "page")} open`]),
    ...(first === undefined
      ? []
      : others.length === 0
        ? [`${clip(first.name, NAME_ROOM)} ${first.trouble ?? ""}`]
        : [`${1 + others.length} rollouts held or going back`]),
  ];
  const checked =
    items === 0
      ? "nothing is watched"
      : fine === items && but.length === 0
        ? `all ${items} fine`
        : `${fine} of ${items} fine`;
  const words = but.length === 0 ? "" : `, but ${but.join(", ")}`;
  return `Health ${formatDay(wall, zone)}: ${checked}${words}`;
}

/** One line for all of them: each has a message of its own. */
function openPages(incidents: readonly OpenPageFact[]): readonly AlertLine[] {
  if (incidents.length === 0) return [];
  const waiting = incidents.filter(({ acknowledged }) => !acknowledged).map(({ name }) => name);
  const more = waiting.length > MOST_PAGES ? ` and ${waiting.length - MOST_PAGES} more` : "";
  const words =
    waiting.length === 0
      ? "all acknowledged"
      : `${waiting.length} not acknowledged (${waiting.slice(0, MOST_PAGES).join(", ")}${more})`;
  return [line("Pages", `${incidents.length} open, ${words}`)];
}

/** As many of the troubles as there is room for, how many more there are, and the lines that are always there. */
function withTroubles(found: Troubles, always: readonly AlertLine[], room: number): readonly AlertLine[] {
  const all = allOf(found);
  const left = always.reduce((rest, one) => rest - lineWeight(one), room);
  const shown = linesWithin(all, { most: MOST_TROUBLES, room: left });
  if (shown.length === all.length) return [...shown, ...always];
  const most = linesWithin(all, { most: MOST_TROUBLES - 1, room: left - MORE_ROOM });
  const beyond = (lines: readonly AlertLine[]): number => lines.filter((one) => !most.includes(one)).length;
  const kinds = [
    { count: beyond(found.rollouts), noun: "rollout", see: "" },
    { count: beyond(found.probes), noun: "probe", see: " (/belay health)" },
    { count: beyond(found.trends), noun: "trend", see: "" },
    { count: beyond(found.jobs), noun: "job", see: " (/belay schedule missed)" },
  ].filter(({ count }) => count > 0);
  const words = kinds.map(({ count, noun, see }) => `${counted(count, noun)}${see}`).join(", ");
  return [...most, line("More", `${all.length - most.length} more: ${words}`), ...always];
}

const MORE_ROOM = 150;

/** Of a muted one nobody would hear, so it is told. */
function isFine({ state, circuitOpen, muted }: ProbeFact): boolean {
  return state === "well" && circuitOpen !== true && muted !== true;
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
  const rest = `${circuit}${muted}`;
  return line(probe.name, `${clip(`${STATES[probe.state]}${since}${detail}`, TROUBLE_ROOM)}${rest}`);
}

/** What needs people first comes first. */
const ORDER: readonly ProbeFact["state"][] = ["failing", "flapping", "unknown", "unchecked", "well"];

const STATES = {
  well: "well",
  failing: "FAILING",
  flapping: "flapping",
  unknown: "unknown, nobody can tell",
  unchecked: "not checked",
} as const satisfies Readonly<Record<ProbeFact["state"], string>>;

function trendLine({ name, answer, restart }: TrendFact, { zone, wall }: HealthFacts): AlertLine {
  if (answer.kind === "unknown") {
    const meanwhile =
      restart === undefined
        ? ""
        : `; without evidence ${restart.job} does not restart, /belay health restart ${restart.target} does`;
    return line(name, `${clip(`no evidence: ${answer.why}`, TROUBLE_ROOM)}${meanwhile}`);
  }
  const due = restart === undefined ? [] : restartParts(restart.nextWall, wall, zone);
  return line(name, clip(answer.words, TROUBLE_ROOM), ...due);
}

function restartParts(nextWall: number | undefined, wall: number, zone: string): readonly Part[] {
  if (nextWall === undefined) return [];
  if (nextWall - wall < 24 * HOUR) return [" → restart due ", { wall: nextWall }];
  return [` → restart due ${formatDayTime(nextWall, zone)} ${zone}`];
}

function skipOffers({ trends }: HealthFacts): readonly Offer[] {
  const jobs = trends.flatMap((trend) =>
    trend.answer.kind === "known" && trend.answer.asks && trend.restart?.nextWall !== undefined
      ? [trend.restart.job]
      : [],
  );
  const different = [...new Set(jobs)];
  return different.slice(0, 5).map((job) => ({
    label: different.length === 1 ? "Skip" : `Skip ${job.slice(job.indexOf("/") + 1)}`,
    command: `schedule skip-next ${job}`,
    confirm: `Skip the next run of ${job}?`,
  }));
}

function dayParts({ checks, restarts, paged, wall }: HealthFacts): readonly Part[] {
  return [...checksParts(checks, wall), " · ", ...restartsParts(restarts), " · ", pagedWords(paged)];
}

function checksParts(checks: HealthFacts["checks"], wall: number): readonly Part[] {
  if (checks === undefined || checks.expected === 0) return ["checks not counted yet"];
  const { ran, expected, upTo } = checks;
  const words = `${number(ran)} of ${number(expected)} checks ran`;
  return wall - upTo < MINUTE ? [words] : [`${words} (24 h to `, { wall: upTo }, ")"];
}

function restartsParts(restarts: HealthFacts["restarts"]): readonly Part[] {
  if (restarts === undefined) return ["auto-restarts unknown"];
  if (restarts.length === 0) return ["no auto-restarts"];
  const shown = restarts.slice(0, 5);
  const each = shown.flatMap(({ probe, wall, recoveredMs, failed }, index): readonly Part[] => {
    const without = failed === true ? "failed" : "not recovered";
    const took = recoveredMs === undefined ? without : `ok after ${formatDuration(recoveredMs)}`;
    return [`${index === 0 ? "" : "; "}${probe} `, { wall }, `, ${took}`];
  });
  const more = restarts.length > shown.length ? ` and ${restarts.length - shown.length} more` : "";
  return [`${counted(restarts.length, "auto-restart")} (`, ...each, `${more})`];
}

/** Never "no rollbacks": those by people page nobody. */
function pagedWords(paged: PagedFact | undefined): string {
  if (paged === undefined) return "pages unknown";
  const { pages, rollbacks } = paged;
  if (pages === 0) return "no pages";
  return `${counted(pages, "page")}${rollbacks === 0 ? "" : ` (${rollbacks} for ${rollbacks === 1 ? "a rollback" : "rollbacks"})`}`;
}

function nowParts({ missedJobs, rollouts, incidents, locks, onCall }: HealthFacts): readonly Part[] {
  const open = incidents === undefined ? "unknown" : `${incidents.length} open`;
  return [
    `missed jobs ${missedJobs ?? "unknown"} · pages ${open} · `,
    ...rolloutsParts(rollouts),
    ` · locks ${locks ?? "unknown"} · `,
    ...onCallParts(onCall),
  ];
}

/** Those that do not go forward come first. */
function rolloutsParts(rollouts: HealthFacts["rollouts"]): readonly Part[] {
  if (rollouts === undefined) return ["rollouts unknown"];
  const told = [
    ...rollouts.filter(({ trouble }) => trouble !== undefined),
    ...rollouts.filter(({ trouble, nextWall }) => trouble === undefined && nextWall !== undefined),
  ];
  const live = `rollouts ${rollouts.length} live`;
  if (told.length === 0) return [live];
  const shown = told.slice(0, MOST_STEPS);
  const each = shown.flatMap(({ name, trouble, nextWall }, index): readonly Part[] => {
    const head = `${index === 0 ? "" : ", "}${clip(name, NAME_ROOM)}`;
    if (trouble !== undefined) return [`${head} ${trouble}`];
    return nextWall === undefined ? [head] : [`${head} next `, { wall: nextWall }];
  });
  const more = told.length > shown.length ? ` and ${told.length - shown.length} more` : "";
  return [`${live} (`, ...each, `${more})`];
}

/** `on-call @ben → @eve 18:00`, in the reader's own time. */
export function onCallParts(onCall: OnCallFact | undefined): readonly Part[] {
  if (onCall === undefined) return ["on-call unknown"];
  const { now, next } = onCall;
  const who = `on-call ${clip(now, PERSON_ROOM)}`;
  return next === undefined ? [who] : [`${who} → ${clip(next.who, PERSON_ROOM)} `, { wall: next.wall }];
}

/** The same in the clock of `zone`, for a text that names that zone. */
export function onCallInWords(onCall: OnCallFact | undefined, zone: string): string {
  return onCallParts(onCall)
    .map((part) => (typeof part === "string" ? part : formatTime(part.wall, zone)))
    .join("");
}

function summaryOf(title: string, { watch, zone }: HealthFacts, troubles: readonly AlertLine[]): string {
  const named = troubles
    .slice(0, MOST_NAMED)
    .map(({ label, parts }) =>
      clip(`${label}: ${parts.map((part) => inZone(part, zone)).join("")}`, NAMED_ROOM),
    );
  const more = troubles.length - named.length;
  const words = [...named, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  return `${title} (${watch}).${words === "" ? "" : ` ${words}.`}`;
}

/** A sentence for notifications is only text, so the zone of its instants is named. */
function inZone(part: Part, zone: string): string {
  return typeof part === "string" ? part : `${formatTime(part.wall, zone)} ${zone}`;
}

function number(value: number): string {
  return value.toLocaleString("en");
}
