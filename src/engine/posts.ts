/** Gathers what the daily health post, the handover post and the first-week review tell, and builds them. */
import type { Incident } from "../core/oncall/incident.ts";
import type { Guard } from "../core/plan.ts";
import { firstWeekReview, type ReviewSeries } from "../core/report/first-week-review.ts";
import { handoverPost } from "../core/report/handover.ts";
import {
  type HealthFacts,
  healthPost,
  type JobTrouble,
  type OnCallFact,
  type PagedFact,
  type ProbeFact,
  type RestartFact,
  type RolloutFact,
  type TrendFact,
} from "../core/report/health-post.ts";
import { incidentLine } from "../core/report/incident-post.ts";
import type { Alert } from "../core/report/told.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../core/time.ts";
import { fireInWords, jobId } from "../core/watch/job-words.ts";
import type { Probe, TrendQuestion, WatchPlan } from "../core/watch/plan.ts";
import type { ProbeState, RecordedProbe } from "../core/watch/probe.ts";
import { withDeadline } from "./concurrency.ts";
import { type Clock, type Log, type Metrics, messageOfFault } from "./ports.ts";
import { byHand } from "./schedules-answers.ts";
import { reviewSeries } from "./schedules-review.ts";
import type { JobStanding, PostName, TrendWord } from "./schedules-run.ts";
import type { SubjectJournal } from "./watch-ports.ts";

/** Each source by itself: one that is away leaves a gap in the post and does not keep it from being posted. */
const SOURCE_DEADLINE_MS = 30 * SECOND;
const REVIEW_DEADLINE_MS = 2 * MINUTE;
const MOST_EVENTS = 5_000;
/** By then what was counted is in the journal, though nobody asks for it. */
const COUNTED_WITHIN_MS = MINUTE;

export interface PostSources {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  /** Puts the checks counted so far into the journal. Without it, an hour that has only just ended is left to the next post. */
  flushChecks?(): Promise<void>;
  askTrend(plan: WatchPlan, question: TrendQuestion): Promise<TrendWord>;
  /** Live rollouts, each with its next forward step. */
  rollouts(): Promise<readonly RolloutFact[]>;
  /** Locked flags, of all rollouts. */
  locks(): Promise<number>;
  /** Who is on call now and next; undefined when nobody here knows. */
  onCall(plan: WatchPlan): Promise<OnCallFact | undefined>;
  metrics(plan: WatchPlan): Metrics;
  /** Guards of the watch's flags file. */
  guards(plan: WatchPlan): readonly Guard[];
}

/** The post as things stand at `wall` (Unix ms). Rejects only when something is wrong inside. */
export async function buildPost(
  sources: PostSources,
  plan: WatchPlan,
  post: PostName,
  wall: number,
  jobs: readonly JobStanding[],
): Promise<Alert> {
  switch (post) {
    case "health":
      return healthPost(await healthFacts(sources, plan, wall, jobs));
    case "handover":
      return handover(sources, plan, wall);
    case "first-week-review":
      return review(sources, plan, wall);
  }
}

async function healthFacts(
  sources: PostSources,
  plan: WatchPlan,
  wall: number,
  jobs: readonly JobStanding[],
): Promise<HealthFacts> {
  const { journal } = sources;
  const learn = learning(sources);
  // What it takes is put into the journal before it is read; what it does not take is missing there as well.
  await learn("newest checks", async () => sources.flushChecks?.());
  const [probes, trends, checks, restarts, rollouts, open, paged, locks, onCall] = await Promise.all([
    probeFacts(sources, plan, wall, jobs),
    Promise.all(plan.trends.map((question) => trendFact(sources, plan, question, jobs))),
    learn("checks", () => checksOf(sources, plan, wall, jobs)),
    learn("restarts", () => restartFacts(journal, plan, wall)),
    learn("rollouts", () => sources.rollouts()),
    learn("open pages", () => openPages(journal)),
    learn("pages", () => pagedOf(journal, plan, wall)),
    learn("locks", () => sources.locks()),
    learn("on-call", () => sources.onCall(plan)),
  ]);
  return {
    watch: plan.watch,
    wall,
    zone: plan.zone,
    probes,
    trends,
    checks,
    restarts,
    missedJobs: missedOf(jobs, wall),
    troubles: jobTroubles(plan, jobs, wall),
    rollouts,
    incidents: open
      ?.filter(({ page }) => page.service === plan.service)
      .map(({ name, phase }) => ({ name, acknowledged: phase === "acknowledged" })),
    paged,
    locks,
    onCall,
  };
}

/** What a source says, or undefined when it does not say it in time. */
function learning({
  clock,
  log,
}: PostSources): <T>(what: string, ask: () => Promise<T>) => Promise<T | undefined> {
  return async (what, ask) => {
    try {
      return await withDeadline(clock, SOURCE_DEADLINE_MS, what, ask());
    } catch (error) {
      log.warn("a post goes out with a gap", { missing: what, error: messageOfFault(error) });
      return undefined;
    }
  };
}

async function probeFacts(
  sources: PostSources,
  plan: WatchPlan,
  wall: number,
  jobs: readonly JobStanding[],
): Promise<readonly ProbeFact[]> {
  const { journal, clock } = sources;
  const learn = learning(sources);
  const counted = await learn("checks", () => journal.checksSince(countedUpTo(sources, wall) - DAY));
  const isOld = knownSince(jobs, wall) < wall - 10 * MINUTE;
  return Promise.all(
    plan.probes.map(async (probe): Promise<ProbeFact> => {
      const id = jobId(plan.watch, probe.name);
      const read = await learn("probes", async () => ({ state: await journal.subject("probe", id) }));
      if (read === undefined) return { name: probe.name, state: "unknown", detail: "the journal is away" };
      const ran = counted?.find((one) => one.id === id)?.ran ?? 0;
      if (ran === 0 && counted !== undefined && isOld && isQuiet(read.state))
        return { name: probe.name, state: "unchecked", detail: "no check ran in 24 h" };
      return probeFact(probe, read.state, clock.now().steady, wall);
    }),
  );
}

function isQuiet(state: ProbeState | undefined): boolean {
  return state === undefined || (state.phase === "well" && !state.flapping && state.unknown === undefined);
}

/** Nothing is journaled of a probe that was always well. */
function probeFact({ name }: Probe, state: ProbeState | undefined, steady: number, wall: number): ProbeFact {
  if (state === undefined) return { name, state: "well" };
  const muted = state.mutedUntil !== undefined && state.mutedUntil > steady ? { muted: true } : {};
  const circuit = state.circuitOpen ? { circuitOpen: true } : {};
  const about = { name, ...muted, ...circuit };
  const detail = state.detail === undefined ? {} : { detail: state.detail };
  if (state.flapping) return { ...about, state: "flapping", ...detail };
  if (state.phase === "failing")
    return { ...about, state: "failing", ...detail, sinceWall: wall - (steady - state.since) };
  if (state.unknown !== undefined)
    return { ...about, state: "unknown", detail: state.unknown.detail, sinceWall: state.unknown.wall };
  return { ...about, state: "well" };
}

async function trendFact(
  sources: PostSources,
  plan: WatchPlan,
  question: TrendQuestion,
  jobs: readonly JobStanding[],
): Promise<TrendFact> {
  const { name } = question;
  const [restarted] = jobs.flatMap(({ job, nextWall }) =>
    job.action.kind === "restart" && job.action.onlyIf === name
      ? [
          {
            job: jobId(plan.watch, job.name),
            target: jobId(plan.watch, job.action.target),
            ...(nextWall === undefined ? {} : { nextWall }),
          },
        ]
      : [],
  );
  const restart = restarted === undefined ? {} : { restart: restarted };
  const word = await learning(sources)(name, () => sources.askTrend(plan, question));
  if (word === undefined) return { name, answer: { kind: "unknown", why: "no answer" }, ...restart };
  return "unknown" in word
    ? { name, answer: { kind: "unknown", why: word.unknown }, ...restart }
    : { name, answer: { kind: "known", ...word }, ...restart };
}

/** The end of the last hour that is counted whole. */
function countedUpTo({ flushChecks }: PostSources, wall: number): number {
  const known = flushChecks === undefined ? wall - COUNTED_WITHIN_MS : wall;
  return Math.floor(known / HOUR) * HOUR;
}

/** Wall ms since when this watch is known; now when none of its jobs has been looked at. */
function knownSince(jobs: readonly JobStanding[], wall: number): number {
  return jobs.reduce((least, { state }) => Math.min(least, state?.since ?? wall), wall);
}

async function checksOf(
  sources: PostSources,
  plan: WatchPlan,
  wall: number,
  jobs: readonly JobStanding[],
): Promise<HealthFacts["checks"]> {
  const { journal } = sources;
  const upTo = countedUpTo(sources, wall);
  const from = upTo - DAY;
  const [both, later] = await Promise.all([journal.checksSince(from), journal.checksSince(upTo)]);
  const lengthMs = Math.max(0, upTo - Math.max(from, knownSince(jobs, wall)));
  let ran = 0;
  let expected = 0;
  for (const { name, intervalMs } of plan.probes) {
    const id = jobId(plan.watch, name);
    const of = (counts: typeof both): number => counts.find((one) => one.id === id)?.ran ?? 0;
    const planned = Math.floor(lengthMs / intervalMs);
    // One more at either end of the 24 h is no check too many.
    ran += Math.min(of(both) - of(later), planned);
    expected += planned;
  }
  return { ran, expected, upTo };
}

/** Failures of the last 24 h after which Belay restarted something by itself; planned restarts are none. */
async function restartFacts(
  journal: SubjectJournal,
  plan: WatchPlan,
  wall: number,
): Promise<readonly RestartFact[]> {
  const events = await journal.subjectEventsSince("probe", wall - DAY, MOST_EVENTS);
  return events.flatMap(({ id, recorded }, index): readonly RestartFact[] => {
    const { event } = recorded;
    const probe = plan.probes.find(({ name }) => jobId(plan.watch, name) === id);
    if (probe === undefined || event.kind !== "restart_started") return [];
    // Replicas of one target are one restart.
    if (event.planned || event.by.kind !== "belay" || event.replica > 0) return [];
    const later = events.slice(index + 1).flatMap((one) => (one.id === id ? [one.recorded] : []));
    const next = later.findIndex((one) => isFirstOfRestart(one.event));
    return [
      {
        probe: probe.name,
        wall: recorded.wall,
        ...outcomeIn(recorded.wall, later.slice(0, next < 0 ? undefined : next)),
      },
    ];
  });
}

function isFirstOfRestart(event: RecordedProbe["event"]): boolean {
  return event.kind === "restart_started" && event.replica === 0;
}

/** What became of a restart that began at `wall`, from what happened to its probe until the next one. */
function outcomeIn(
  wall: number,
  later: readonly RecordedProbe[],
): Pick<RestartFact, "failed" | "recoveredMs"> {
  if (later.some(({ event }) => event.kind === "restart_failed")) return { failed: true };
  const recovered = later.find(({ event }) => event.kind === "recovered");
  return recovered === undefined ? {} : { recoveredMs: recovered.wall - wall };
}

async function openPages(journal: SubjectJournal): Promise<readonly Incident[]> {
  const incidents = await journal.openSubjects("incident");
  return incidents.filter(({ phase }) => phase !== "resolved");
}

/** Pages of the last 24 h about this service; a drill is none. */
async function pagedOf(journal: SubjectJournal, plan: WatchPlan, wall: number): Promise<PagedFact> {
  const events = await journal.subjectEventsSince("incident", wall - DAY, MOST_EVENTS);
  const pages = events.flatMap(({ recorded: { event } }) =>
    event.kind === "triggered" && event.page.service === plan.service && event.page.source !== "drill"
      ? [event.page]
      : [],
  );
  const rollbacks = pages.filter(({ source, tells }) => source === "rollout" && tells?.about === "rollback");
  return { pages: pages.length, rollbacks: rollbacks.length };
}

function missedOf(jobs: readonly JobStanding[], wall: number): number {
  return jobs
    .flatMap(({ state }) => state?.troubles ?? [])
    .filter((fire) => fire.result === "missed" && fire.wall > wall - DAY)
    .reduce((sum, fire) => sum + fire.count, 0);
}

/** Jobs that are paused, and those that failed, could not decide, or were missed in the last 24 h: the newest of each. */
function jobTroubles(plan: WatchPlan, jobs: readonly JobStanding[], wall: number): readonly JobTrouble[] {
  return jobs.flatMap(({ job, state }): readonly JobTrouble[] => {
    const { paused } = state ?? {};
    if (paused !== undefined) {
      const why = paused.because === undefined ? "" : `: ${paused.because}`;
      return [{ job: jobId(plan.watch, job.name), what: `paused by ${paused.by}${why}` }];
    }
    const newest = state?.troubles.findLast(
      ({ result, wall: at }) =>
        at > wall - DAY &&
        (result === "failed" || result === "no_evidence" || result === "missed" || result === "claimed"),
    );
    if (newest === undefined) return [];
    return [
      {
        job: jobId(plan.watch, job.name),
        what: `${fireInWords(newest, job.zone)} (times of ${job.zone})${byHand(plan.watch, job, newest)}`,
      },
    ];
  });
}

async function handover(sources: PostSources, plan: WatchPlan, wall: number): Promise<Alert> {
  const { journal, clock } = sources;
  const learn = learning(sources);
  const [onCall, rollouts, incidents, probes] = await Promise.all([
    learn("on-call", () => sources.onCall(plan)),
    learn("rollouts", () => sources.rollouts()),
    learn("open pages", () => openPages(journal)),
    probeFacts(sources, plan, wall, []),
  ]);
  const now = clock.now();
  const open = incidents?.map((one) => incidentLine(one, now));
  const troubles = probes
    .filter(({ state, muted, circuitOpen }) => state !== "well" || muted === true || circuitOpen === true)
    .map(troubleInWords);
  return handoverPost({
    watch: plan.watch,
    wall,
    zone: plan.zone,
    onCall,
    rollouts,
    incidents: open,
    troubles,
  });
}

function troubleInWords({ name, state, detail, muted, circuitOpen }: ProbeFact): string {
  const about = detail === undefined ? "" : `: ${detail}`;
  const circuit = circuitOpen === true ? "; restarts are used up" : "";
  return `${name} ${state}${about}${circuit}${muted === true ? " (muted)" : ""}`;
}

async function review(sources: PostSources, plan: WatchPlan, wall: number): Promise<Alert> {
  const metrics = sources.metrics(plan);
  const series: ReviewSeries[] = [];
  // One after the other: seven days of several figures at once would be a burden to Prometheus.
  for (const guard of sources.guards(plan)) {
    const asked = reviewSeries(metrics, guard, wall, plan.zone);
    const found = await withDeadline(sources.clock, REVIEW_DEADLINE_MS, guard.name, asked).catch(
      (error: unknown): ReviewSeries => ({
        name: guard.name,
        unit: "none",
        days: [],
        why: messageOfFault(error),
      }),
    );
    if (found === undefined) continue;
    const question = plan.trends.find(({ name }) => name === guard.name);
    const word =
      question === undefined
        ? undefined
        : await learning(sources)(guard.name, () => sources.askTrend(plan, question));
    const trend =
      word === undefined ? {} : { trend: "unknown" in word ? `unknown: ${word.unknown}` : word.words };
    series.push({ ...found, ...trend });
  }
  return firstWeekReview({ watch: plan.watch, wall, zone: plan.zone, series });
}
