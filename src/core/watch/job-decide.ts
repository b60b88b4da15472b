/** What is to become of a job's fires now: run, wait, or pass over with a reason; each planned fire is claimed exactly once. */
import { BELAY } from "../event.ts";
import { formatDuration, HOUR, type Now, SECOND } from "../time.ts";
import { blackoutAt } from "./blackout.ts";
import type { JobEvent, JobState, OlderFires, PassedWhy } from "./job.ts";
import { formatTime } from "./job-clock.ts";
import type { Blackout, Job } from "./plan.ts";

/** A fire that is claimed this soon after its instant (and its jitter) is on time, ms. */
export const ON_TIME_MS = 90 * SECOND;
/** A fire may wait for the run before it this long, or as long as its grace. */
const QUEUED_MOST_MS = HOUR;
/** Claims this far ahead of the clock come from a clock that was wrong by days: waiting for it would be a silence of days. */
const AHEAD_MOST_MS = 48 * HOUR;

/** The planned fires after `claimedUpTo` up to now, oldest first: the newest ones each, and before them those only counted. */
export interface Fires {
  readonly instants: readonly number[];
  readonly older?: OlderFires;
}

interface Barrier {
  readonly why: PassedWhy;
  readonly detail: string;
}

/** The delay of one fire in [0, jitterMs): the same for the same job and instant, spread over jobs (FNV-1a). */
export function jitterOf(id: string, instant: number, jitterMs: number): number {
  if (jitterMs <= 0) return 0;
  let hash = 0x811c9dc5;
  for (const char of `${id}@${instant}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return Math.floor(((hash >>> 0) / 2 ** 32) * jitterMs);
}

/** Whether its `until` has passed and been recorded: it never fires again. */
export function isOver(job: Job, state: JobState): boolean {
  return job.until !== undefined && state.claimedUpTo > job.until;
}

/**
 * The events that are due. At most one run begins in one decision, and none while one is running. Of several fires that are due at once only the
 * newest is run. An instant at or before `claimedUpTo` never fires, so a clock that is set back repeats nothing.
 */
export function decideJob(
  job: Job,
  state: JobState,
  fires: Fires,
  blackouts: readonly Blackout[],
  now: Now,
): readonly JobEvent[] {
  const queue = decideQueued(job, state, blackouts, now.wall);
  const ahead = decideAhead(job, state, now.wall);
  if (isOver(job, state)) return [...queue.events, ...ahead];
  const due = dueOf(job, state, fires.instants, now.wall);
  const groups = new Groups();
  const open = due.filter((instant) => {
    const barrier = barrierAt(job, state, instant, blackouts);
    if (barrier !== undefined) groups.add(barrier, instant);
    return barrier === undefined;
  });
  const newest = open.pop();
  for (const instant of open) groups.add({ why: "missed", detail: "a newer one stands for it" }, instant);
  const chosen: JobEvent[] = [];
  if (newest !== undefined) {
    const barrier = barrierNow(job, newest, blackouts, now.wall);
    if (barrier !== undefined) groups.add(barrier, newest);
    else chosen.push(...beginOrWait(job, state, newest, queue, groups, now.wall));
  }
  const { older } = fires;
  if (older !== undefined && older.last > state.claimedUpTo)
    groups.addOlder(counted(job, state, older), older);
  return [...queue.events, ...ahead, ...groups.events(), ...chosen];
}

interface Queue {
  readonly events: readonly JobEvent[];
  readonly isBusy: boolean;
  readonly waiting: number | undefined;
}

/** A fire that has waited begins once nothing runs, unless something has come in between. */
function decideQueued(job: Job, state: JobState, blackouts: readonly Blackout[], wall: number): Queue {
  const { queued, running } = state;
  if (running !== undefined || queued === undefined)
    return { events: [], isBusy: running !== undefined, waiting: queued };
  const barrier = state.paused !== undefined ? pausedBy(state) : blackoutBarrier(blackouts, wall, "");
  const tooLate = wall - queued > Math.max(job.graceMs, QUEUED_MOST_MS) + job.jitterMs;
  const against = barrier ?? (tooLate ? late(wall - queued) : undefined);
  const event: JobEvent =
    against === undefined
      ? { kind: "fired", instant: queued, how: "queued", by: BELAY }
      : { kind: "passed_over", instants: [queued], ...against };
  return { events: [event], isBusy: against === undefined, waiting: undefined };
}

/** Told once for each claim that is ahead of the clock; one that is ahead by days is given up, and the rows in the journal alone prevent doubles. */
function decideAhead(job: Job, state: JobState, wall: number): readonly JobEvent[] {
  const { claimedUpTo, aheadTold } = state;
  const ahead = claimedUpTo - wall;
  if (ahead <= ON_TIME_MS + job.jitterMs || aheadTold === claimedUpTo) return [];
  return [{ kind: "clock_back", claimedUpTo, upTo: ahead > AHEAD_MOST_MS ? wall : claimedUpTo }];
}

/** Those whose time has come, jitter included: never one before an older one. */
function dueOf(job: Job, state: JobState, instants: readonly number[], wall: number): readonly number[] {
  const fresh = instants.filter((instant) => instant > state.claimedUpTo);
  const early = fresh.findIndex((instant) => instant + jitterOf(state.id, instant, job.jitterMs) > wall);
  return early < 0 ? fresh : fresh.slice(0, early);
}

/** What speaks against a fire whenever it is looked at. */
function barrierAt(
  job: Job,
  state: JobState,
  instant: number,
  blackouts: readonly Blackout[],
): Barrier | undefined {
  if (job.until !== undefined && instant > job.until) return EXPIRED;
  if (state.skip?.instant === instant) return { why: "skipped", detail: `skipped by ${state.skip.by}` };
  if (state.paused !== undefined) return pausedBy(state);
  return blackoutBarrier(blackouts, instant, "");
}

/** What speaks against running a fire at this moment. */
function barrierNow(
  job: Job,
  instant: number,
  blackouts: readonly Blackout[],
  wall: number,
): Barrier | undefined {
  const lateMs = wall - instant;
  if (lateMs > ON_TIME_MS + job.jitterMs) {
    if (job.missed !== "run-once") return late(lateMs);
    if (lateMs > Math.max(job.graceMs, ON_TIME_MS) + job.jitterMs)
      return {
        why: "missed",
        detail: `${formatDuration(lateMs)} late, more than its grace of ${formatDuration(job.graceMs)}`,
      };
  }
  return blackoutBarrier(blackouts, wall, "it would run now, in ");
}

function late(lateMs: number): Barrier {
  return { why: "missed", detail: `${formatDuration(lateMs)} late` };
}

const EXPIRED: Barrier = { why: "expired", detail: "its last day has passed" };

function pausedBy({ paused }: JobState): Barrier {
  const because = paused?.because === undefined ? "" : `: ${paused.because}`;
  return { why: "paused", detail: `paused by ${paused?.by ?? "somebody"}${because}` };
}

function blackoutBarrier(blackouts: readonly Blackout[], wall: number, before: string): Barrier | undefined {
  const blackout = blackoutAt(blackouts, wall);
  return blackout === undefined
    ? undefined
    : { why: "blackout", detail: `${before}blackout: ${blackout.because}` };
}

/** Fires that are only counted share the reason that stands for all of them. */
function counted(job: Job, state: JobState, older: OlderFires): Barrier {
  if (job.until !== undefined && older.first > job.until) return EXPIRED;
  return state.paused === undefined
    ? { why: "missed", detail: "too many to be looked at one by one" }
    : pausedBy(state);
}

function beginOrWait(
  job: Job,
  state: JobState,
  instant: number,
  { isBusy, waiting }: Queue,
  groups: Groups,
  wall: number,
): readonly JobEvent[] {
  if (!isBusy) {
    const isLate = wall - instant > ON_TIME_MS + job.jitterMs;
    return [{ kind: "fired", instant, how: isLate ? "late" : "on_time", by: BELAY }];
  }
  if (job.overlap === "queue") {
    if (waiting !== undefined)
      groups.add({ why: "overlap", detail: "a newer one waits in its place" }, waiting);
    return [{ kind: "queued", instant }];
  }
  const running = state.running?.instant ?? state.queued;
  const which = running === undefined ? "one" : `that of ${formatTime(running, job.zone)}`;
  groups.add({ why: "overlap", detail: `${which} is still running` }, instant);
  return [];
}

/** Fires that are passed over for the same reason become one event. */
class Groups {
  readonly #groups = new Map<
    string,
    { readonly barrier: Barrier; readonly instants: number[]; older?: OlderFires }
  >();

  add(barrier: Barrier, instant: number): void {
    this.#of(barrier).instants.push(instant);
  }

  /** With those that are passed over for the same reason, though in other words. */
  addOlder(barrier: Barrier, older: OlderFires): void {
    const same = [...this.#groups.values()].find((group) => group.barrier.why === barrier.why);
    (same ?? this.#of(barrier)).older = older;
  }

  events(): readonly JobEvent[] {
    return [...this.#groups.values()].map(({ barrier, instants, older }) => ({
      kind: "passed_over",
      instants,
      ...(older === undefined ? {} : { older }),
      ...barrier,
    }));
  }

  #of(barrier: Barrier): { readonly instants: number[]; older?: OlderFires } {
    const key = `${barrier.why} ${barrier.detail}`;
    const group = this.#groups.get(key) ?? { barrier, instants: [] };
    this.#groups.set(key, group);
    return group;
  }
}

/** The instants (wall ms) that these events claim for good: one row each in the journal. */
export function claimsOf(state: JobState, events: readonly JobEvent[]): readonly number[] {
  const claimed = events.flatMap((event): readonly number[] => {
    switch (event.kind) {
      case "fired":
      case "queued":
        return [event.instant];
      case "passed_over":
        if (event.why === "claimed") return [];
        return event.older === undefined ? event.instants : [event.older.last, ...event.instants];
      default:
        return [];
    }
  });
  // A fire that waited was claimed when it was put in the queue.
  return claimed.filter((instant) => instant !== state.queued);
}
