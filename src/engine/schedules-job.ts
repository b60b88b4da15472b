/** The desk of one job: claims its fires in the journal before they run, runs them one at a time, and journals what they came to. */
import { HOUR } from "../core/time.ts";
import { evolveJob, type JobEvent, type JobState, type RecordedJob } from "../core/watch/job.ts";
import { claimsOf, decideJob, type Fires, isOver, jitterOf } from "../core/watch/job-decide.ts";
import { decidePlan, decideUnplanned, planOf } from "../core/watch/job-plan.ts";
import { changedPost, clockBackPost, jobId, missedPost } from "../core/watch/job-words.ts";
import type { Job, WatchPlan } from "../core/watch/plan.ts";
import { withDeadline } from "./concurrency.ts";
import { postDraft } from "./drafts.ts";
import type { OutboxDraft } from "./messages.ts";
import { type Clock, createTurns, type Log, messageOfFault } from "./ports.ts";
import { collectFires } from "./schedules-fires.ts";
import {
  type Fire,
  type JobActions,
  type JobStanding,
  type RunResult,
  resultOf,
  runJob,
} from "./schedules-run.ts";
import type { Calendar, SubjectJournal, SubjectResult } from "./watch-ports.ts";

/** A run without an end by then has failed; restarts and posts have deadlines of their own that are far shorter. */
const RUN_MOST_MS = HOUR;
/** A post that was cut short is made again within this time, or within its grace. */
const REPEAT_WITHIN_MS = HOUR;
/** Decisions that may be made anew in one turn because somebody else had decided. */
const MOST_ROUNDS = 6;

export interface JobDeskDeps {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  readonly calendar: Calendar;
  readonly actions: JobActions;
  /** All jobs of a watch, for posts about them. */
  readonly jobsOf: (watch: string) => readonly JobStanding[];
}

/** A job with the watch that it stands in. */
export interface Scheduled {
  readonly plan: WatchPlan;
  readonly job: Job;
}

/** Events to record, or none, with what to tell whoever asked. */
export interface Asked<T> {
  readonly events: readonly JobEvent[];
  readonly fires?: readonly number[];
  readonly answer: T;
}

/** Every call may be made at any time and rejects with an `OutsideFault` while the journal is away; then nothing begins. */
export class JobDesk {
  readonly id: string;
  readonly #deps: JobDeskDeps;
  readonly #turn = createTurns();
  #scheduled: Scheduled | undefined;
  /** Wall ms since when this process knows it to be planned as it is. */
  #plannedSince: number;
  /** Whether it certainly stands in no file. */
  #isOut = false;
  #state: JobState | undefined;
  #isRead = false;
  /** Revision of a commit whose reply was lost. */
  #unsure: number | undefined;
  /** The instant of the fire that this process runs or has run and not journaled yet. */
  #running: number | undefined;
  #result: RunResult | undefined;
  /** Instants after `claimedUpTo` that have a row already. */
  #taken: ReadonlySet<number> = new Set();
  #stepping: Promise<void> | undefined;

  constructor(id: string, deps: JobDeskDeps) {
    this.id = id;
    this.#deps = deps;
    this.#plannedSince = deps.clock.now().wall;
  }

  /** What is planned from now on; undefined when nothing is: `isOut` tells whether the job stands in no file, or one cannot be read. */
  set(scheduled: Scheduled | undefined, isOut = scheduled === undefined): void {
    const before = this.#scheduled?.job;
    const job = scheduled?.job;
    const isSame = before?.cron === job?.cron && before?.zone === job?.zone && before?.until === job?.until;
    if (!isSame) this.#plannedSince = this.#deps.clock.now().wall;
    this.#scheduled = scheduled;
    this.#isOut = isOut;
  }

  scheduled(): Scheduled | undefined {
    return this.#scheduled;
  }

  /** As last read or decided; undefined before. */
  state(): JobState | undefined {
    return this.#state;
  }

  /** Wall ms of the next fire, its jitter included; undefined when there is none. */
  nextDue(): number | undefined {
    const scheduled = this.#scheduled;
    const state = this.#state;
    if (scheduled === undefined || state === undefined) return undefined;
    const { cron, zone, jitterMs } = scheduled.job;
    if (isOver(scheduled.job, state)) return undefined;
    const next = this.#deps.calendar.next(cron, zone, state.claimedUpTo);
    return next === undefined ? undefined : next + jitterOf(this.id, next, jitterMs);
  }

  /** Decides what is due. Calls while one waits for its turn are one. */
  step(): Promise<void> {
    this.#stepping ??= this.#turn(() => {
      this.#stepping = undefined;
      return this.#step();
    });
    return this.#stepping;
  }

  /** Decides what a person asked for, on the state as it is; a fire among the events begins. */
  ask<T>(decide: (state: JobState, scheduled: Scheduled) => Asked<T>): Promise<T | undefined> {
    return this.#turn(async () => {
      for (let round = 0; round < MOST_ROUNDS; round++) {
        const scheduled = this.#scheduled;
        if (scheduled === undefined) return undefined;
        const state = await this.#known();
        if (state === undefined) continue;
        const { events, fires = [], answer } = decide(state, scheduled);
        if (events.length === 0) return answer;
        const told = this.#draftsFor(scheduled, events, this.#deps.clock.now().wall);
        if ((await this.#commit(events, told, fires)) !== "ok") continue;
        this.#beginFired(events, scheduled);
        return answer;
      }
      return undefined;
    });
  }

  /** Resolves when nothing is being decided. */
  settled(): Promise<void> {
    return this.#turn(async () => undefined);
  }

  async #step(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const state = await this.#known();
      if (state === undefined) {
        if (this.#scheduled === undefined) return;
        continue;
      }
      if ((await this.#settle(state)) || (await this.#replan(state))) continue;
      const scheduled = this.#scheduled;
      if (scheduled === undefined || (await this.#decide(state, scheduled))) return;
    }
  }

  /** The state in the journal; a job that is new there is added, and read again in the next round. */
  async #known(): Promise<JobState | undefined> {
    if (!this.#isRead) {
      this.#state = await this.#deps.journal.subject("job", this.id);
      this.#isRead = true;
    }
    const job = this.#scheduled?.job;
    if (this.#state === undefined && job !== undefined)
      await this.#commit([{ kind: "added", job: this.id, upTo: this.#since(), plan: planOf(job) }], []);
    return this.#state;
  }

  /** Never ahead of the clock, which may have been set back since. */
  #since(): number {
    return Math.min(this.#plannedSince, this.#deps.clock.now().wall);
  }

  /** Journals what has changed in the files; false when nothing has. */
  async #replan(state: JobState): Promise<boolean> {
    const job = this.#scheduled?.job;
    const unplanned = (): readonly JobEvent[] => (this.#isOut ? decideUnplanned(state) : []);
    const events = job === undefined ? unplanned() : decidePlan(job, state, this.#since());
    if (events.length === 0) return false;
    if ((await this.#commit(events, [], claimsOf(state, events))) === "ok")
      this.#deps.log.info(job === undefined ? "a job stands in no file any more" : "a job has its times", {
        job: this.id,
        ...(job === undefined ? {} : planOf(job)),
      });
    return true;
  }

  /** Journals a result, or what is to become of a run that nobody here began; false when there is neither. */
  async #settle(state: JobState): Promise<boolean> {
    const { running } = state;
    if (running === undefined) {
      this.#running = undefined;
      this.#result = undefined;
      return false;
    }
    const result = this.#result;
    if (running.instant === this.#running && result === undefined) return false;
    if (running.instant === this.#running && result !== undefined) {
      const { outcome, detail, outbox } = result;
      const event: JobEvent = { kind: "finished", instant: running.instant, outcome, detail };
      if ((await this.#commit([event], outbox)) === "ok") {
        this.#running = undefined;
        this.#result = undefined;
      }
      return true;
    }
    await this.#takeOver(state, running);
    return true;
  }

  /**
   * A run that was claimed and that nobody runs. One whose claim was only just journaled, its reply lost, has not begun: it begins now. A post is
   * built again and goes out under the same key. Anything else may have happened, and is not done twice.
   */
  async #takeOver(state: JobState, running: NonNullable<JobState["running"]>): Promise<void> {
    const scheduled = this.#scheduled;
    const { wall } = this.#deps.clock.now();
    const isOurs = this.#unsure === state.revision;
    if (scheduled !== undefined && (isOurs || isRepeatable(scheduled.job, wall - running.instant))) {
      this.#begin(running, scheduled);
      return;
    }
    const detail = "Belay stopped meanwhile: it is not known whether it was done; look";
    const ran = {
      ...running,
      beganWall: running.instant,
      endedWall: wall,
      outcome: "failed",
      detail,
    } as const;
    const told =
      scheduled === undefined ? [] : resultOf(this.#deps.actions, scheduled.plan, scheduled.job, ran).outbox;
    this.#deps.log.warn("a job was under way when Belay stopped", { job: this.id, instant: running.instant });
    await this.#commit([{ kind: "finished", instant: running.instant, outcome: "failed", detail }], told);
  }

  /** Whether nothing is left to decide. */
  async #decide(state: JobState, scheduled: Scheduled): Promise<boolean> {
    const { plan, job } = scheduled;
    const now = this.#deps.clock.now();
    const all: Fires =
      now.wall > state.claimedUpTo
        ? await collectFires(this.#deps.clock, this.#deps.calendar, job, state.claimedUpTo, now.wall)
        : { instants: [] };
    const ahead = all.instants.findIndex((instant) => this.#taken.has(instant));
    if (ahead === 0) {
      await this.#passOverTaken(all);
      return false;
    }
    const fires: Fires = ahead < 0 ? all : { ...all, instants: all.instants.slice(0, ahead) };
    const events = decideJob(job, state, fires, plan.blackouts, now);
    if (events.length === 0) return true;
    const drafts = this.#draftsFor(scheduled, events, now.wall);
    const result = await this.#commit(events, drafts, claimsOf(state, events));
    if (result === "claimed") await this.#learnTaken(fires);
    if (result === "ok") this.#beginFired(events, scheduled);
    return result === "ok" && ahead < 0;
  }

  /** Those at the front that have a row: they are not run, and no second row is made. */
  async #passOverTaken({ instants, older }: Fires): Promise<void> {
    const end = instants.findIndex((instant) => !this.#taken.has(instant));
    const taken = end < 0 ? instants : instants.slice(0, end);
    this.#deps.log.error("fires were claimed already", { job: this.id, fires: taken.length });
    const rest = older === undefined ? {} : { older };
    await this.#commit([{ kind: "passed_over", instants: taken, ...rest, why: "claimed", detail: "" }], []);
  }

  /** The journal has a row for some of these fires although the state has not come to them: its events tell which; if not, all of them count as claimed. */
  async #learnTaken({ instants }: Fires): Promise<void> {
    const events = await this.#deps.journal.subjectEvents("job", this.id);
    const known = new Set(events.flatMap(({ event }) => instantsOf(event)));
    const taken = instants.filter((instant) => known.has(instant));
    this.#taken = new Set(taken.length > 0 ? taken : instants);
  }

  #draftsFor({ plan, job }: Scheduled, events: readonly JobEvent[], wall: number): readonly OutboxDraft[] {
    const channel = this.#deps.actions.channelOf(plan);
    if (channel === undefined) return [];
    const runsNow = events.some((event) => event.kind === "fired" || event.kind === "queued");
    const isLoud = job.missed === "report";
    return events.flatMap((event): readonly OutboxDraft[] => {
      if (event.kind === "clock_back") {
        const post = clockBackPost(plan.watch, job, event, wall);
        const key = `post:job:${this.id}:clock:${event.claimedUpTo}`;
        return [postDraft(key, "normal", channel, post, false, wall)];
      }
      if (event.kind === "paused" || event.kind === "resumed" || event.kind === "skip_next") {
        const post = changedPost(plan.watch, job, event);
        return [postDraft(`post:job:${this.id}:${event.kind}:${wall}`, "normal", channel, post, false, wall)];
      }
      if (event.kind !== "passed_over" || event.why !== "missed") return [];
      const post = missedPost(plan.watch, job, event, runsNow);
      const key = `post:job:${this.id}:missed:${event.instants.at(-1) ?? event.older?.last}`;
      const lane = isLoud ? "urgent" : "normal";
      return [postDraft(key, lane, channel, post, isLoud, wall)];
    });
  }

  #beginFired(events: readonly JobEvent[], scheduled: Scheduled): void {
    const fired = events.find((event) => event.kind === "fired");
    if (fired !== undefined) this.#begin(fired, scheduled);
  }

  #begin(fire: Fire, scheduled: Scheduled): void {
    this.#running = fire.instant;
    this.#result = undefined;
    void this.#run(fire, scheduled);
  }

  /** Never rejects. What it came to is journaled in a turn of its own, now or when the journal is back. */
  async #run(fire: Fire, { plan, job }: Scheduled): Promise<void> {
    const { clock, actions, jobsOf, log } = this.#deps;
    const { instant, how, by } = fire;
    const beganWall = clock.now().wall;
    const jobs = (): readonly JobStanding[] => jobsOf(plan.watch);
    const run = runJob(actions, clock, plan, job, { instant, how, by }, jobs);
    const result = await withDeadline(clock, RUN_MOST_MS, jobId(plan.watch, job.name), run).catch((error) => {
      const ran = { instant, how, by, beganWall, endedWall: clock.now().wall } as const;
      return resultOf(actions, plan, job, { ...ran, outcome: "failed", detail: messageOfFault(error) });
    });
    if (this.#running !== instant) return;
    this.#result = result;
    log.info("a job has run", { job: this.id, instant, outcome: result.outcome, detail: result.detail });
    await this.step().catch((error: unknown) => {
      log.warn("what a job came to could not be journaled yet", {
        job: this.id,
        error: messageOfFault(error),
      });
    });
  }

  /** A rejected commit may have been applied: the state is read again before anything else is decided. */
  async #commit(
    events: readonly JobEvent[],
    outbox: readonly OutboxDraft[],
    fires: readonly number[] = [],
  ): Promise<SubjectResult> {
    const { steady, wall } = this.#deps.clock.now();
    const expected = this.#state?.revision ?? 0;
    let state = this.#state;
    const recorded = events.map((event, index): RecordedJob => {
      const one = { seq: expected + 1 + index, at: steady, wall, event };
      state = evolveJob(state, one);
      return one;
    });
    if (state === undefined) return "conflict";
    this.#isRead = false;
    this.#unsure = state.revision;
    const isBusy = state.running !== undefined || state.queued !== undefined || state.paused !== undefined;
    // One that is planned is listed too, so that a start finds out that it stands in no file any more.
    const open = isBusy || state.plan !== "none";
    const commit = {
      kind: "job",
      id: this.id,
      expected,
      events: recorded,
      state,
      open,
      fires,
      outbox,
    } as const;
    const result = await this.#deps.journal.commitSubject({ ...commit, intakes: [] });
    this.#unsure = undefined;
    if (result === "ok") {
      this.#state = state;
      this.#isRead = true;
    }
    return result;
  }
}

/** A post is, since its message has one key; yet nobody wants that of days ago. */
function isRepeatable({ action, graceMs }: Job, ageMs: number): boolean {
  return action.kind === "post" && ageMs <= Math.max(graceMs, REPEAT_WITHIN_MS);
}

/** The planned instants that an event claims. */
function instantsOf(event: JobEvent): readonly number[] {
  switch (event.kind) {
    case "fired":
    case "queued":
      return [event.instant];
    case "passed_over":
      return event.instants;
    default:
      return [];
  }
}
