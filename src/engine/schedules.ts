/** Jobs by the wall clock: each minute, and when a fire is due, every job is asked what is to be done now. */
import { MINUTE } from "../core/time.ts";
import { jobId } from "../core/watch/job-words.ts";
import type { WatchPlan } from "../core/watch/plan.ts";
import { type Clock, type Log, messageOfFault, OutsideFault } from "./ports.ts";
import { JobDesk, type JobDeskDeps, type Scheduled } from "./schedules-job.ts";
import type { JobActions, JobStanding } from "./schedules-run.ts";
import type { Calendar, SubjectJournal } from "./watch-ports.ts";

export interface SchedulesDeps {
  readonly clock: Clock;
  /** Each call must have an end. */
  readonly journal: SubjectJournal;
  readonly log: Log;
  readonly calendar: Calendar;
  readonly actions: JobActions;
}

/** A job with where it stands. */
export interface ListedJob {
  readonly plan: WatchPlan;
  readonly desk: JobDesk;
  readonly standing: JobStanding;
}

/** `setWatches` may be called before `start` and at every reload. */
export class Schedules {
  readonly #deps: SchedulesDeps;
  readonly #desks = new Map<string, JobDesk>();
  #ends: (() => void) | undefined;
  #cancelDue: (() => void) | undefined;
  readonly #stuck = new Set<string>();
  #isAdopted = false;
  /** Whether a job without a plan certainly stands in no file. */
  #isWhole = false;
  #isAway = false;

  constructor(deps: SchedulesDeps) {
    this.#deps = deps;
  }

  /**
   * The jobs of these watches are planned from now on, and no others; a run under way ends all the same. A job that is not among them stands in no
   * file, and comes back as a new one; unless `isWhole` is false, because a file could not be read: then it is as if Belay were away for it.
   */
  setWatches(
    plans: ReadonlyMap<string, WatchPlan>,
    { isWhole }: { readonly isWhole: boolean } = { isWhole: true },
  ): void {
    this.#isWhole = isWhole;
    const planned = new Map<string, Scheduled>();
    for (const plan of plans.values())
      for (const job of plan.jobs) planned.set(jobId(plan.watch, job.name), { plan, job });
    for (const [id, desk] of this.#desks) if (!planned.has(id)) desk.set(undefined, isWhole);
    for (const [id, scheduled] of planned) this.#deskOf(id).set(scheduled);
    if (this.#ends !== undefined) void this.tick();
  }

  /** Looks at every job, then again each minute. Rejects never: without the journal nothing begins until it is back. */
  async start(): Promise<void> {
    this.#ends ??= this.#deps.calendar.everyMinute(() => void this.tick());
    await this.tick();
  }

  /** No fire begins any more; resolves when nothing is being decided. A run under way is found by the next start. */
  async stop(): Promise<void> {
    this.#ends?.();
    this.#ends = undefined;
    this.#cancelDue?.();
    await Promise.allSettled([...this.#desks.values()].map((desk) => desk.settled()));
  }

  /** Decides what is due now; may be called at any time. */
  async tick(): Promise<void> {
    if (this.#ends === undefined) return;
    await this.#adopt();
    const away: unknown[] = [];
    const step = async (desk: JobDesk): Promise<void> => {
      try {
        await desk.step();
        this.#stuck.delete(desk.id);
      } catch (error) {
        if (error instanceof OutsideFault) away.push(error);
        else this.#tellStuck(desk.id, error);
      }
    };
    await Promise.all([...this.#desks.values()].map(step));
    this.#tellAway(away[0]);
    this.#armDue();
  }

  /** The jobs of all watches, in the order of the files. */
  jobs(): readonly ListedJob[] {
    return [...this.#desks.values()].flatMap((desk) => {
      const scheduled = desk.scheduled();
      if (scheduled === undefined) return [];
      const { plan, job } = scheduled;
      const standing = { job, state: desk.state(), nextWall: this.#nextWall(desk) };
      return [{ plan, desk, standing }];
    });
  }

  #deskOf(id: string): JobDesk {
    const known = this.#desks.get(id);
    if (known !== undefined) return known;
    const deps: JobDeskDeps = {
      ...this.#deps,
      jobsOf: (watch) =>
        this.jobs()
          .filter(({ plan }) => plan.watch === watch)
          .map(({ standing }) => standing),
    };
    const desk = new JobDesk(id, deps);
    this.#desks.set(id, desk);
    return desk;
  }

  /** Jobs that stand in no file any more are looked after too, until their runs have ended. */
  async #adopt(): Promise<void> {
    if (this.#isAdopted) return;
    try {
      for (const { id } of await this.#deps.journal.openSubjects("job")) {
        const desk = this.#deskOf(id);
        if (desk.scheduled() === undefined) desk.set(undefined, this.#isWhole);
      }
      this.#isAdopted = true;
    } catch (error) {
      this.#tellAway(error);
    }
  }

  /** Once when it begins and once when it ends. */
  #tellAway(error: unknown): void {
    const isAway = error !== undefined;
    if (isAway === this.#isAway) return;
    this.#isAway = isAway;
    if (isAway) this.#deps.log.error("jobs wait", { error: messageOfFault(error) });
    else this.#deps.log.info("jobs are looked after again");
  }

  /** A bug stops one job, and is told once. */
  #tellStuck(id: string, error: unknown): void {
    if (this.#stuck.has(id)) return;
    this.#stuck.add(id);
    this.#deps.log.error("a job cannot be decided", { job: id, error: messageOfFault(error) });
  }

  /** What the calendar says of a job; undefined when it cannot read it. */
  #asked(desk: JobDesk, ask: () => number | undefined): number | undefined {
    try {
      return ask();
    } catch (error) {
      this.#tellStuck(desk.id, error);
      return undefined;
    }
  }

  /** A fire that is due before the next minute's tick gets a timer of its own, because jitter need not end at a full minute. */
  #armDue(): void {
    this.#cancelDue?.();
    this.#cancelDue = undefined;
    if (this.#ends === undefined) return;
    const { clock } = this.#deps;
    const { wall } = clock.now();
    // One that is due already and still there could not be claimed: the next minute tries again.
    const due = [...this.#desks.values()]
      .flatMap((desk) => this.#asked(desk, () => desk.nextDue()) ?? [])
      .filter((one) => one > wall);
    const waitMs = due.reduce((least, one) => Math.min(least, one - wall), MINUTE);
    if (waitMs < MINUTE) this.#cancelDue = clock.after(waitMs, () => void this.tick());
  }

  /** Wall ms of the next fire that will run as far as people have decided; blackouts are not looked at. */
  #nextWall(desk: JobDesk): number | undefined {
    const scheduled = desk.scheduled();
    const state = desk.state();
    if (scheduled === undefined || state?.paused !== undefined) return undefined;
    const { cron, zone, until } = scheduled.job;
    const after = Math.max(this.#deps.clock.now().wall, state?.claimedUpTo ?? 0, state?.skip?.instant ?? 0);
    const next = this.#asked(desk, () => this.#deps.calendar.next(cron, zone, after));
    return next !== undefined && until !== undefined && next > until ? undefined : next;
  }
}
