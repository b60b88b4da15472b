/** Carries out what a job does: a restart if it is asked for, a post, a drill; and says what it came to. */
import type { Actor } from "../core/event.ts";
import type { Alert } from "../core/report/told.ts";
import { formatDuration } from "../core/time.ts";
import type { JobOutcome, JobState } from "../core/watch/job.ts";
import { actionInWords, jobId, outcomePost, type Ran, whenLine } from "../core/watch/job-words.ts";
import type { Job, JobAction, TrendQuestion, WatchPlan } from "../core/watch/plan.ts";
import { postDraft } from "./drafts.ts";
import type { Lane, OutboxDraft } from "./messages.ts";
import { type Clock, messageOfFault } from "./ports.ts";

/** What a trend says: whether it asks for a restart, in words; or why nobody can tell. */
export type TrendWord = { readonly asks: boolean; readonly words: string } | { readonly unknown: string };

export type PostName = Extract<JobAction, { kind: "post" }>["post"];

/** A job of the watch as it stands, for a post about all of them. */
export interface JobStanding {
  readonly job: Job;
  /** Undefined as long as it has never been looked at. */
  readonly state: JobState | undefined;
  /** Wall ms of its next fire that is not skipped; undefined when there is none or it is paused. */
  readonly nextWall: number | undefined;
}

/** What the jobs act on; whatever rejects makes the run fail. */
export interface JobActions {
  /** Restarts all replicas, one after the other; planned, so that it does not count as downtime. */
  restartTarget(
    watch: string,
    target: string,
    how: { readonly planned: true; readonly by: Actor },
  ): Promise<{ readonly ok: boolean; readonly detail: string; readonly tookMs: number }>;
  askTrend(plan: WatchPlan, question: TrendQuestion): Promise<TrendWord>;
  /** A page that is known to be a drill. */
  drill(plan: WatchPlan): Promise<{ readonly ok: boolean; readonly detail: string }>;
  /** `wall`: now. */
  buildPost(plan: WatchPlan, post: PostName, wall: number, jobs: readonly JobStanding[]): Promise<Alert>;
  /** Where messages of this watch go; undefined when there is no such channel. */
  channelOf(plan: WatchPlan): string | undefined;
}

export interface Fire {
  readonly instant: number;
  readonly how: Ran["how"];
  readonly by: Actor;
}

/** What a run came to, with the message that tells of it. */
export interface RunResult {
  readonly outcome: JobOutcome;
  readonly detail: string;
  readonly outbox: readonly OutboxDraft[];
}

/** Never rejects. */
export async function runJob(
  actions: JobActions,
  clock: Clock,
  plan: WatchPlan,
  job: Job,
  fire: Fire,
  jobs: () => readonly JobStanding[],
): Promise<RunResult> {
  const beganWall = clock.now().wall;
  const { outcome, detail, post } = await attempt(actions, plan, job, fire, beganWall, jobs);
  const ran: Ran = { ...fire, beganWall, endedWall: clock.now().wall, outcome, detail };
  return resultOf(actions, plan, job, ran, post);
}

/** The result of a run with its message; `post` is the message itself where the job is to post one. */
export function resultOf(
  { channelOf }: Pick<JobActions, "channelOf">,
  plan: WatchPlan,
  job: Job,
  ran: Ran,
  post?: Alert,
): RunResult {
  const { outcome, detail } = ran;
  const channel = channelOf(plan);
  if (channel === undefined) return { outcome, detail, outbox: [] };
  const isFailed = outcome === "failed";
  const lane: Lane = isFailed || outcome === "no_evidence" ? "urgent" : "normal";
  const key = `post:job:${jobId(plan.watch, job.name)}:${ran.instant}`;
  const told = post ?? outcomePost(plan.watch, job, ran);
  return { outcome, detail, outbox: [postDraft(key, lane, channel, told, isFailed, ran.endedWall)] };
}

interface Attempt {
  readonly outcome: JobOutcome;
  readonly detail: string;
  readonly post?: Alert;
}

async function attempt(
  actions: JobActions,
  plan: WatchPlan,
  job: Job,
  fire: Fire,
  beganWall: number,
  jobs: () => readonly JobStanding[],
): Promise<Attempt> {
  const { action } = job;
  try {
    switch (action.kind) {
      case "restart":
        return await restart(actions, plan, action, fire.by);
      case "drill": {
        const { ok, detail } = await actions.drill(plan);
        return { outcome: ok ? "done" : "failed", detail };
      }
      case "post":
        return await post(actions, plan, job, action.post, fire, beganWall, jobs());
    }
  } catch (error) {
    return { outcome: "failed", detail: messageOfFault(error) };
  }
}

/** Blind, it does not restart: a restart nobody needs is an outage of its own, and the message tells people to look. */
async function restart(
  actions: JobActions,
  plan: WatchPlan,
  { target, onlyIf }: Extract<JobAction, { kind: "restart" }>,
  by: Actor,
): Promise<Attempt> {
  const why = onlyIf === undefined ? undefined : await trendOf(actions, plan, onlyIf);
  if (why !== undefined && "unknown" in why)
    return { outcome: "no_evidence", detail: `not restarted (${onlyIf}: ${why.unknown})` };
  const words = why === undefined ? "" : `${onlyIf}: ${why.words}; `;
  if (why?.asks === false) return { outcome: "not_needed", detail: `${onlyIf}: ${why.words}` };
  const { ok, detail, tookMs } = await actions.restartTarget(plan.watch, target, { planned: true, by });
  return ok
    ? { outcome: "done", detail: `${words}restarted in ${formatDuration(tookMs)}` }
    : { outcome: "failed", detail: `${words}${detail}` };
}

async function trendOf(actions: JobActions, plan: WatchPlan, name: string): Promise<TrendWord> {
  const question = plan.trends.find((trend) => trend.name === name);
  if (question === undefined) return { unknown: "the flags file has no such trend guard" };
  try {
    return await actions.askTrend(plan, question);
  } catch (error) {
    return { unknown: messageOfFault(error) };
  }
}

async function post(
  actions: JobActions,
  plan: WatchPlan,
  job: Job,
  name: PostName,
  fire: Fire,
  beganWall: number,
  jobs: readonly JobStanding[],
): Promise<Attempt> {
  if (actions.channelOf(plan) === undefined)
    return { outcome: "failed", detail: "the watch has no channel to post to" };
  const built = await actions.buildPost(plan, name, beganWall, jobs);
  const lines =
    fire.how === "on_time" ? built.lines : [...built.lines, whenLine(job, { ...fire, beganWall })];
  return { outcome: "done", detail: actionInWords(job.action), post: { ...built, lines } };
}
