/** A house with jobs only, on virtual time: processes come and go, the journal stays, and every outward act is recorded. */

import type { JobEvent, RecordedJob } from "../../src/core/watch/job.ts";
import type { WatchPlan } from "../../src/core/watch/plan.ts";
import type { Clock, Log } from "../../src/engine/ports.ts";
import { Schedules } from "../../src/engine/schedules.ts";
import { createScheduleCommands, type ScheduleCommands } from "../../src/engine/schedules-commands.ts";
import type { JobActions } from "../../src/engine/schedules-run.ts";
import type { SubjectJournal } from "../../src/engine/watch-ports.ts";
import { calendarOn } from "./jobs.ts";
import type { ManualClock } from "./manual-clock.ts";
import { createSubjectMemory, type SubjectMemory } from "./subject-memory.ts";

/** A promise that nothing settles: what a dead process waits for. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

export class SchedulesWorld {
  readonly clock: ManualClock;
  readonly memory: SubjectMemory = createSubjectMemory();
  readonly acts: string[] = [];
  readonly logged: string[] = [];
  plan: WatchPlan;
  actions: Partial<JobActions> = {};
  schedules: Schedules;
  commands: ScheduleCommands;
  #alive = { isAlive: true };

  constructor(clock: ManualClock, plan: WatchPlan) {
    this.clock = clock;
    this.plan = plan;
    [this.schedules, this.commands] = this.#process();
  }

  async start(): Promise<void> {
    this.schedules.setWatches(new Map([[this.plan.watch, this.plan]]));
    // Not waited for: it may die in it.
    void this.schedules.start();
    await this.clock.advance(0);
  }

  reload(plan: WatchPlan): void {
    this.plan = plan;
    this.schedules.setWatches(new Map([[plan.watch, plan]]));
  }

  /** The process is gone between two calls: nothing it waited for comes, and nothing it planned happens. */
  kill(): void {
    this.#alive.isAlive = false;
    this.#alive = { isAlive: true };
    [this.schedules, this.commands] = this.#process();
  }

  async events(job = "nightly"): Promise<readonly RecordedJob[]> {
    return this.memory.subjectEvents("job", `${this.plan.watch}/${job}`);
  }

  async kinds(job = "nightly"): Promise<readonly string[]> {
    return (await this.events(job)).map(({ event }) => event.kind);
  }

  /** Titles of the messages owed, with lane. */
  posts(): readonly string[] {
    return [...this.memory.owed.values()].map(({ draft: { body, lane } }) =>
      body.kind === "post" ? `${lane}${body.mention ? "!" : ""}: ${body.post.title}` : body.kind,
    );
  }

  #process(): [Schedules, ScheduleCommands] {
    const alive = this.#alive;
    const { memory } = this;
    const clock: Clock = {
      now: () => this.clock.now(),
      random: () => this.clock.random(),
      after: (ms, act) => this.clock.after(ms, () => (alive.isAlive ? act() : undefined)),
    };
    const journal = new Proxy<SubjectJournal>(memory, {
      get: (target, name, self) => {
        const found: unknown = Reflect.get(target, name, self);
        if (typeof found !== "function") return found;
        return (...args: readonly unknown[]) =>
          alive.isAlive
            ? Promise.resolve(Reflect.apply(found, target, args)).then((one) =>
                alive.isAlive ? one : never(),
              )
            : never();
      },
    });
    const say = (message: string): number => this.logged.push(message);
    const log: Log = { info: say, warn: say, error: say };
    const calendar = calendarOn(clock);
    const schedules = new Schedules({ clock, journal, log, calendar, actions: this.#actions() });
    return [schedules, createScheduleCommands({ schedules, calendar, clock })];
  }

  #actions(): JobActions {
    const note = (text: string): void => {
      this.acts.push(`${new Date(this.clock.now().wall).toISOString().slice(5, 19)} ${text}`);
    };
    return {
      restartTarget: async (watch, target, how) => {
        note(`restart ${watch}/${target}`);
        return this.actions.restartTarget?.(watch, target, how) ?? { ok: true, detail: "up", tookMs: 9_000 };
      },
      askTrend: async (plan, question) =>
        this.actions.askTrend?.(plan, question) ?? { asks: true, words: "+38 MB/h, limit in 31 h" },
      drill: async (plan) => {
        note("drill");
        return this.actions.drill?.(plan) ?? { ok: true, detail: "paged and acknowledged" };
      },
      buildPost: async (plan, post, wall, jobs) => {
        note(`post ${post}`);
        return (
          this.actions.buildPost?.(plan, post, wall, jobs) ?? {
            title: `${post} post`,
            lines: [],
            offers: [],
            summary: ".",
          }
        );
      },
      channelOf: (plan) => plan.channel,
    };
  }
}

/** Instants that events of these kinds claim, with the spans of those only counted. */
export function claimed(events: readonly RecordedJob[]): {
  readonly instants: readonly number[];
  readonly spans: readonly { readonly first: number; readonly last: number }[];
} {
  const instants: number[] = [];
  const spans: { readonly first: number; readonly last: number }[] = [];
  const queued = new Set<number>();
  for (const { event } of events) {
    const mine = claimedBy(event).filter((instant) => !queued.delete(instant));
    instants.push(...mine);
    if (event.kind === "queued") queued.add(event.instant);
    if (event.kind === "passed_over" && event.older !== undefined) spans.push(event.older);
  }
  return { instants, spans };
}

function claimedBy(event: JobEvent): readonly number[] {
  if (event.kind === "fired") return event.how === "asked" ? [] : [event.instant];
  if (event.kind === "queued") return [event.instant];
  return event.kind === "passed_over" ? event.instants : [];
}

/** A wall instant written as `2026-11-26T00:59:00Z`. */
export function wall(text: string): number {
  return Date.parse(text);
}
