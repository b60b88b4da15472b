/** What plans a job, and what a change of it means: new times hold from the change on, never for the time before. */
import type { JobEvent, JobPlan, JobState } from "./job.ts";
import type { Job } from "./plan.ts";

export function planOf({ cron, zone, until }: Job): JobPlan {
  return { times: `${cron} ${zone}`, ...(until === undefined ? {} : { until }) };
}

/**
 * The events that are due because its file says something else than when it was last looked at; none when nothing has changed. `sinceWall`: wall
 * ms since when this plan is known to stand. A job from before its plan was remembered takes the present one and keeps what is to be decided.
 */
export function decidePlan(job: Job, state: JobState, sinceWall: number): readonly JobEvent[] {
  const { plan: before, claimedUpTo } = state;
  const plan = planOf(job);
  if (before === undefined) return [{ kind: "planned", plan, upTo: claimedUpTo }];
  if (before === "none") return [{ kind: "planned", plan, upTo: Math.max(claimedUpTo, sinceWall) }];
  if (before.times === plan.times && before.until === plan.until) return [];
  // A last day that is moved before it has come changes none of the fires up to now.
  const isOver = before.until !== undefined && before.until < sinceWall;
  const isNew = before.times !== plan.times || isOver;
  return [{ kind: "planned", plan, upTo: isNew ? Math.max(claimedUpTo, sinceWall) : claimedUpTo }];
}

/** The events that are due because it stands in no file; a fire that waits for another one will not run. */
export function decideUnplanned({ plan, queued }: JobState): readonly JobEvent[] {
  if (plan === "none") return [];
  const waiting: readonly JobEvent[] =
    queued === undefined
      ? []
      : [
          {
            kind: "passed_over",
            instants: [queued],
            why: "expired",
            detail: "it was taken out of the files",
          },
        ];
  return [...waiting, { kind: "unplanned" }];
}
