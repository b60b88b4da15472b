/** Jobs by the clock: what becomes of each fire, local times when clocks change, and blackouts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BELAY } from "../../src/core/event.ts";
import { DAY, HOUR, MINUTE, type Now, SECOND } from "../../src/core/time.ts";
import { blackoutAt, parseBlackoutHours } from "../../src/core/watch/blackout.ts";
import { evolveJob, type JobEvent, type JobState } from "../../src/core/watch/job.ts";
import {
  formatDayTime,
  instantOf,
  nextChange,
  offsetAt,
  startOfDay,
} from "../../src/core/watch/job-clock.ts";
import { claimsOf, decideJob, type Fires, jitterOf } from "../../src/core/watch/job-decide.ts";
import { decidePlan, decideUnplanned, planOf } from "../../src/core/watch/job-plan.ts";
import type { Blackout, Job } from "../../src/core/watch/plan.ts";
import { aJob } from "../support/jobs.ts";

const T = Date.UTC(2026, 10, 26, 1, 0);
const ANA = { kind: "person", id: "U1", name: "ana", via: "slack" } as const;

function at(wall: number): Now {
  return { steady: wall - T + DAY, wall };
}

/** A job that has been known since `T - HOUR`, after some events. */
function stateAfter(...events: readonly JobEvent[]): JobState {
  const all: readonly JobEvent[] = [{ kind: "added", job: "bots/nightly", upTo: T - HOUR }, ...events];
  let state: JobState | undefined;
  all.forEach((event, index) => {
    state = evolveJob(state, { seq: index + 1, at: index, wall: T - HOUR + index, event });
  });
  if (state === undefined) throw new Error("no events");
  return state;
}

function decide(
  options: {
    job?: Partial<Job>;
    state?: JobState;
    fires?: readonly number[];
    older?: Fires["older"];
    blackouts?: readonly Blackout[];
  },
  wall: number,
): readonly JobEvent[] {
  const { job = {}, state = stateAfter(), fires = [T], older, blackouts = [] } = options;
  const all: Fires = older === undefined ? { instants: fires } : { instants: fires, older };
  return decideJob(aJob(job), state, all, blackouts, at(wall));
}

function fired(instant: number, how: "on_time" | "late" | "queued"): JobEvent {
  return { kind: "fired", instant, how, by: BELAY };
}

describe("what becomes of a fire", () => {
  it("runs on time", () => {
    expect(decide({}, T)).toEqual([fired(T, "on_time")]);
    expect(decide({}, T + 90 * SECOND)).toEqual([fired(T, "on_time")]);
  });

  it("does nothing before its time, and nothing twice", () => {
    expect(decide({ fires: [] }, T - 1)).toEqual([]);
    const after = stateAfter(fired(T, "on_time"), {
      kind: "finished",
      instant: T,
      outcome: "done",
      detail: "",
    });
    expect(decide({ state: after }, T + SECOND)).toEqual([]);
    // The clock was set back behind the claim, and the calendar offers the fire again.
    expect(decide({ state: after, fires: [T - MINUTE, T] }, T - SECOND)).toEqual([]);
  });

  it("waits for its jitter, which is the same each time", () => {
    const jitterMs = 10 * MINUTE;
    const delay = jitterOf("bots/nightly", T, jitterMs);
    expect(delay).toBeGreaterThan(0);
    expect(decide({ job: { jitterMs } }, T + delay - 1)).toEqual([]);
    expect(decide({ job: { jitterMs } }, T + delay)).toEqual([fired(T, "on_time")]);
  });

  it.each(["run-once", "skip", "report"] as const)("is missed 91 s late: %s", (missed) => {
    const events = decide({ job: { missed } }, T + 91 * SECOND);
    expect(events).toEqual(
      missed === "run-once"
        ? [fired(T, "late")]
        : [{ kind: "passed_over", instants: [T], why: "missed", detail: "1 min 31 s late" }],
    );
  });

  it("runs late only within its grace", () => {
    expect(decide({}, T + 2 * HOUR)).toEqual([fired(T, "late")]);
    expect(decide({}, T + 2 * HOUR + SECOND)).toEqual([
      {
        kind: "passed_over",
        instants: [T],
        why: "missed",
        detail: "2 h late, more than its grace of 2 h",
      },
    ]);
  });

  it("runs only the newest of several that were missed", () => {
    const fires = [T, T + MINUTE, T + 2 * MINUTE];
    expect(decide({ fires }, T + 10 * MINUTE)).toEqual([
      { kind: "passed_over", instants: [T, T + MINUTE], why: "missed", detail: "a newer one stands for it" },
      fired(T + 2 * MINUTE, "late"),
    ]);
    expect(decide({ fires, job: { missed: "skip" } }, T + 2 * MINUTE)).toEqual([
      { kind: "passed_over", instants: [T, T + MINUTE], why: "missed", detail: "a newer one stands for it" },
      fired(T + 2 * MINUTE, "on_time"),
    ]);
  });

  it("is passed over while another one runs, or waits for it", () => {
    const running = stateAfter(fired(T, "on_time"));
    const next = T + MINUTE;
    expect(decide({ state: running, fires: [next] }, next)).toEqual([
      { kind: "passed_over", instants: [next], why: "overlap", detail: "that of 03:00 is still running" },
    ]);
    const queue = { overlap: "queue" } as const;
    expect(decide({ state: running, fires: [next], job: queue }, next)).toEqual([
      { kind: "queued", instant: next },
    ]);
    const waiting = stateAfter(fired(T, "on_time"), { kind: "queued", instant: next });
    expect(decide({ state: waiting, fires: [], job: queue }, next + SECOND)).toEqual([]);
    const third = next + MINUTE;
    const events = decide({ state: waiting, fires: [third], job: queue }, third);
    expect(events).toEqual([
      { kind: "passed_over", instants: [next], why: "overlap", detail: "a newer one waits in its place" },
      { kind: "queued", instant: third },
    ]);
    expect(claimsOf(waiting, events)).toEqual([third]);
  });

  it("that waited runs when nothing runs any more, unless it has become too late", () => {
    const done: JobEvent = { kind: "finished", instant: T, outcome: "done", detail: "" };
    const waited = stateAfter(fired(T, "on_time"), { kind: "queued", instant: T + MINUTE }, done);
    const job = { overlap: "queue" } as const;
    const events = decide({ state: waited, fires: [], job }, T + 5 * MINUTE);
    expect(events).toEqual([fired(T + MINUTE, "queued")]);
    // Its row was made when it was put in the queue.
    expect(claimsOf(waited, events)).toEqual([]);
    expect(decide({ state: waited, fires: [], job }, T + 3 * HOUR)).toEqual([
      { kind: "passed_over", instants: [T + MINUTE], why: "missed", detail: "2 h 59 min late" },
    ]);
  });

  it("is passed over in a blackout, by its instant and by the moment it would run", () => {
    const blackout: Blackout = { kind: "dates", from: T, to: T + HOUR, because: "maintenance" };
    expect(decide({ blackouts: [blackout] }, T)).toEqual([
      { kind: "passed_over", instants: [T], why: "blackout", detail: "blackout: maintenance" },
    ]);
    const later: Blackout = { ...blackout, from: T + MINUTE };
    expect(decide({ blackouts: [later] }, T + 30 * MINUTE)).toEqual([
      {
        kind: "passed_over",
        instants: [T],
        why: "blackout",
        detail: "it would run now, in blackout: maintenance",
      },
    ]);
    expect(decide({ blackouts: [later] }, T + HOUR + MINUTE)).toEqual([fired(T, "late")]);
  });

  it("is skipped once, paused until resumed, and never after its last day", () => {
    const skipped = stateAfter({ kind: "skip_next", instant: T, by: ANA });
    expect(decide({ state: skipped, fires: [T] }, T)).toEqual([
      { kind: "passed_over", instants: [T], why: "skipped", detail: "skipped by @ana" },
    ]);
    expect(decide({ state: skipped, fires: [T + DAY] }, T + DAY)).toEqual([fired(T + DAY, "on_time")]);
    const paused = stateAfter({ kind: "paused", by: ANA, because: "migration" });
    expect(decide({ state: paused }, T)).toEqual([
      { kind: "passed_over", instants: [T], why: "paused", detail: "paused by @ana: migration" },
    ]);
    const resumed = stateAfter({ kind: "paused", by: ANA }, { kind: "resumed", by: ANA });
    expect(decide({ state: resumed }, T)).toEqual([fired(T, "on_time")]);
  });

  it("ends once when its last day has passed", () => {
    const job = { until: T - 1 };
    const events = decide({ job }, T);
    expect(events).toEqual([
      { kind: "passed_over", instants: [T], why: "expired", detail: "its last day has passed" },
    ]);
    expect(decide({ job, state: stateAfter(...events), fires: [T + DAY] }, T + DAY)).toEqual([]);
    expect(decide({ job: { until: T } }, T)).toEqual([fired(T, "on_time")]);
  });

  it("is told once when the clock is behind the claims, and given up when it is days behind", () => {
    const ahead = stateAfter({ kind: "passed_over", instants: [T + 24 * HOUR], why: "missed", detail: "" });
    const events = decide({ state: ahead, fires: [] }, T);
    expect(events).toEqual([{ kind: "clock_back", claimedUpTo: T + 24 * HOUR, upTo: T + 24 * HOUR }]);
    const told = stateAfter(
      { kind: "passed_over", instants: [T + 24 * HOUR], why: "missed", detail: "" },
      ...events,
    );
    expect(decide({ state: told, fires: [] }, T + MINUTE)).toEqual([]);
    const years = stateAfter({ kind: "passed_over", instants: [T + 3650 * DAY], why: "missed", detail: "" });
    const given = decide({ state: years, fires: [] }, T);
    expect(given).toEqual([{ kind: "clock_back", claimedUpTo: T + 3650 * DAY, upTo: T }]);
    const afterwards = evolveJob(years, {
      seq: 3,
      at: 3,
      wall: T,
      event: given[0] ?? { kind: "resumed", by: ANA },
    });
    expect(decide({ state: afterwards, fires: [T + MINUTE] }, T + MINUTE)).toEqual([
      fired(T + MINUTE, "on_time"),
    ]);
  });

  it("counts those that are too many, and claims up to the newest of them", () => {
    const older = { count: 440, more: false, first: T, last: T + 439 * MINUTE };
    const newest = T + 440 * MINUTE;
    const state = stateAfter();
    const events = decide({ state, fires: [newest], older }, newest);
    expect(events).toEqual([
      {
        kind: "passed_over",
        instants: [],
        older,
        why: "missed",
        detail: "too many to be looked at one by one",
      },
      fired(newest, "on_time"),
    ]);
    expect(claimsOf(state, events)).toEqual([older.last, newest]);
    expect(stateAfter(...events).troubles[0]).toMatchObject({ result: "missed", count: 440 });
  });
});

describe("the state of a job", () => {
  it("keeps what ran and what did not, and clears what is over", () => {
    const state = stateAfter(
      { kind: "skip_next", instant: T, by: ANA },
      { kind: "passed_over", instants: [T], why: "skipped", detail: "skipped by @ana" },
      fired(T + DAY, "on_time"),
      { kind: "finished", instant: T + DAY, outcome: "no_evidence", detail: "Prometheus is away" },
    );
    expect(state.skip).toBeUndefined();
    expect(state.running).toBeUndefined();
    expect(state.claimedUpTo).toBe(T + DAY);
    expect(state.recent.map(({ result }) => result)).toEqual(["skipped", "no_evidence"]);
    expect(state.troubles.map(({ result }) => result)).toEqual(["skipped", "no_evidence"]);
  });

  it("has claimed up to the newest fire, in whatever order they are passed over", () => {
    const blackout: Blackout = { kind: "dates", from: T + HOUR, to: T + 3 * HOUR, because: "maintenance" };
    const events = decide({ fires: [T, T + HOUR, T + 2 * HOUR], blackouts: [blackout] }, T + 2 * HOUR);
    expect(events.map((event) => (event.kind === "passed_over" ? event.why : event.kind))).toEqual([
      "blackout",
      "blackout",
    ]);
    const mixed = decide({ fires: [T - MINUTE, T, T + HOUR], blackouts: [blackout] }, T + 4 * HOUR);
    expect(mixed.map((event) => (event.kind === "passed_over" ? event.why : event.kind))).toEqual([
      "blackout",
      "missed",
      "missed",
    ]);
    expect(stateAfter(...mixed).claimedUpTo).toBe(T + HOUR);
  });

  it("does not move on over planned fires when a person runs it", () => {
    const state = stateAfter({ kind: "fired", instant: T + HOUR, how: "asked", by: ANA, key: "c1" });
    expect(state.claimedUpTo).toBe(T - HOUR);
    expect(state.askedBy).toBe("c1");
  });

  it("keeps a long pause as one entry and no more than 20 entries", () => {
    const paused = Array.from(
      { length: 30 },
      (_, index): JobEvent => ({
        kind: "passed_over",
        instants: [T + index * MINUTE],
        why: "paused",
        detail: "paused by @ana",
      }),
    );
    expect(stateAfter(...paused).recent).toEqual([expect.objectContaining({ result: "paused", count: 30 })]);
    const ran = Array.from({ length: 30 }, (_, index) => T + index * MINUTE).flatMap(
      (instant): JobEvent[] => [
        fired(instant, "on_time"),
        { kind: "finished", instant, outcome: "done", detail: "" },
      ],
    );
    expect(stateAfter(...ran).recent).toHaveLength(20);
  });

  it("must begin with being added", () => {
    expect(() => evolveJob(undefined, { seq: 1, at: 0, wall: T, event: fired(T, "on_time") })).toThrow(
      /added/,
    );
  });

  it("claims every planned fire exactly once, however the clock moves", () => {
    const steps = fc.array(
      fc.record({
        wall: fc.integer({ min: -24 * 60, max: 24 * 60 }),
        finish: fc.boolean(),
      }),
      { minLength: 1, maxLength: 40 },
    );
    const jobs = fc.record({
      every: fc.integer({ min: 1, max: 300 }),
      missed: fc.constantFrom("run-once", "skip", "report"),
      overlap: fc.constantFrom("skip", "queue"),
      jitterMs: fc.integer({ min: 0, max: 59 * SECOND }),
    });
    fc.assert(
      fc.property(steps, jobs, (moves, { every, ...rest }) => {
        const job = aJob(rest);
        let state = stateAfter();
        let wall = T;
        const claimed = new Set<number>();
        let highest = Number.NEGATIVE_INFINITY;
        for (const { wall: minutes, finish } of moves) {
          wall += minutes * MINUTE;
          highest = Math.max(highest, wall);
          const first = Math.floor(state.claimedUpTo / (every * MINUTE)) + 1;
          const last = Math.floor(wall / (every * MINUTE));
          const instants = Array.from(
            { length: Math.max(0, last - first + 1) },
            (_, index) => (first + index) * every * MINUTE,
          );
          const events = decideJob(job, state, { instants }, [], at(wall));
          const extra: readonly JobEvent[] =
            finish && state.running !== undefined
              ? [{ kind: "finished", instant: state.running.instant, outcome: "done", detail: "" }]
              : [];
          for (const instant of claimsOf(state, events)) {
            expect(claimed.has(instant)).toBe(false);
            claimed.add(instant);
          }
          for (const event of [...events, ...extra])
            state = evolveJob(state, { seq: state.revision + 1, at: wall, wall, event });
        }
        for (
          let instant = Math.ceil((T - HOUR + 1) / (every * MINUTE)) * every * MINUTE;
          instant <= highest - job.jitterMs;
          instant += every * MINUTE
        )
          expect(claimed.has(instant)).toBe(true);
      }),
    );
  });
});

describe("what plans a job", () => {
  const NIGHTLY = { times: "0 3 * * * Europe/Helsinki" } as const;
  const known = (plan: JobState["plan"]): JobState => {
    const { plan: _, ...state } = stateAfter(fired(T, "on_time"));
    return plan === undefined ? state : { ...state, plan };
  };

  it.each([
    ["its times", NIGHTLY, { cron: "30 9 * * *" }, T + HOUR],
    ["its zone", NIGHTLY, { zone: "UTC" }, T + HOUR],
    ["a last day that had come", { ...NIGHTLY, until: T }, { until: T + DAY }, T + HOUR],
    ["a last day that had come, and is none now", { ...NIGHTLY, until: T }, {}, T + HOUR],
    ["being out of the files", "none", {}, T + HOUR],
    ["a last day that had not come", { ...NIGHTLY, until: T + DAY }, { until: T + 2 * DAY }, T],
    ["having no last day", NIGHTLY, { until: T + 2 * DAY }, T],
    ["nothing that is remembered", undefined, {}, T],
  ] as const)("is journaled when %s changes, and claims go on from there", (_, plan, change, upTo) => {
    const state = known(plan);
    const job = aJob(change);
    const events = decidePlan(job, state, T + HOUR);
    expect(events).toEqual([{ kind: "planned", plan: planOf(job), upTo }]);
    const after = stateAfter(fired(T, "on_time"), ...events);
    expect(after.claimedUpTo).toBe(upTo);
    expect(decidePlan(job, after, T + 2 * HOUR)).toEqual([]);
  });

  it("is not what it does, nor when it may run", () => {
    const change: Partial<Job> = {
      action: { kind: "drill" },
      missed: "report",
      graceMs: 1,
      overlap: "queue",
      jitterMs: 1,
    };
    expect(decidePlan(aJob(change), known(NIGHTLY), T + HOUR)).toEqual([]);
  });

  it("leaves no skip of a fire that is over with the times it was of", () => {
    const skipped = (instant: number, upTo: number): JobState =>
      stateAfter({ kind: "skip_next", instant, by: ANA }, { kind: "planned", plan: NIGHTLY, upTo });
    expect(skipped(T, T).skip).toBeUndefined();
    expect(skipped(T + 1, T).skip).toBeDefined();
  });

  it("never takes claims back", () => {
    expect(decidePlan(aJob({ cron: "30 9 * * *" }), known(NIGHTLY), T - HOUR)).toEqual([
      expect.objectContaining({ upTo: T }),
    ]);
  });

  it("is forgotten once when it stands in no file, and what waited has ended", () => {
    const state = stateAfter(fired(T, "on_time"), { kind: "queued", instant: T + MINUTE });
    const events = decideUnplanned(state);
    expect(claimsOf(state, events)).toEqual([]);
    const after = stateAfter(fired(T, "on_time"), { kind: "queued", instant: T + MINUTE }, ...events);
    expect(after.queued).toBeUndefined();
    expect(after.plan).toBe("none");
    expect(after.troubles.map(({ result }) => result)).toEqual(["expired"]);
    expect(decideUnplanned(after)).toEqual([]);
  });
});

describe("jitter", () => {
  it("stays within its limit and is spread over jobs", () => {
    const delays = Array.from({ length: 200 }, (_, index) => jitterOf(`bots/job-${index}`, T, MINUTE));
    expect(delays.every((delay) => delay >= 0 && delay < MINUTE)).toBe(true);
    const quarters = new Set(delays.map((delay) => Math.floor(delay / (15 * SECOND))));
    expect(quarters.size).toBe(4);
    expect(jitterOf("bots/a", T, 0)).toBe(0);
  });
});

describe("local times", () => {
  it.each([
    ["Europe/Helsinki", "2026-03-29T03:30", "2026-03-29T01:00Z"],
    ["Europe/Helsinki", "2026-10-25T03:30", "2026-10-25T00:30Z"],
    ["Europe/Helsinki", "2026-06-01T12:00", "2026-06-01T09:00Z"],
    ["Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z"],
    ["America/Santiago", "2026-09-06T00:00", "2026-09-06T04:00Z"],
    // The gap ends at midnight, on the next day.
    ["America/Nuuk", "2026-03-28T23:30", "2026-03-29T01:00Z"],
    ["Asia/Kolkata", "2026-03-29T03:30", "2026-03-28T22:00Z"],
  ])("in %s %s is %s", (zone, local, instant) => {
    expect(new Date(instantOf(Date.parse(`${local}Z`), zone)).toISOString()).toBe(
      new Date(instant).toISOString(),
    );
  });

  it("knows offsets, changes and midnights", () => {
    expect(offsetAt(T, "UTC")).toBe(0);
    expect(offsetAt(T, "America/New_York")).toBe(-5 * HOUR);
    expect(offsetAt(T, "Pacific/Chatham")).toBe(13 * HOUR + 45 * MINUTE);
    const change = nextChange("Europe/Helsinki", Date.UTC(2026, 2, 1), Date.UTC(2026, 3, 30));
    expect(change).toEqual({ at: Date.UTC(2026, 2, 29, 1), before: 2 * HOUR, after: 3 * HOUR });
    expect(nextChange("Asia/Kolkata", Date.UTC(2026, 0, 1), Date.UTC(2026, 11, 31))).toBeUndefined();
    expect(startOfDay(T, "Europe/Helsinki")).toBe(Date.UTC(2026, 10, 25, 22));
    // Midnight does not exist there on that day.
    expect(startOfDay(Date.UTC(2026, 8, 6, 12), "America/Santiago")).toBe(Date.UTC(2026, 8, 6, 4));
    expect(formatDayTime(T, "Europe/Helsinki")).toBe("Thu 26 Nov 03:00");
  });

  it("finds the first instant at which the clock shows a local time or has passed it", () => {
    const zones = [
      "Europe/Helsinki",
      "America/New_York",
      "America/Santiago",
      "Australia/Lord_Howe",
      "America/Nuuk",
    ];
    fc.assert(
      fc.property(fc.constantFrom(...zones), fc.integer({ min: 0, max: 365 * 24 * 4 }), (zone, quarters) => {
        const local = Date.UTC(2026, 0, 1) + quarters * 15 * MINUTE;
        const instant = instantOf(local, zone);
        const shown = instant + offsetAt(instant, zone);
        const justBefore = instant - MINUTE + offsetAt(instant - MINUTE, zone);
        expect(shown).toBeGreaterThanOrEqual(local);
        expect(justBefore).toBeLessThan(local);
      }),
    );
  });
});

describe("blackouts", () => {
  const hours = (text: string, zone = "Europe/Helsinki"): Blackout => ({
    kind: "hours",
    text,
    zone,
    because: "b",
  });
  const wall = (text: string): number => Date.parse(text);

  it.each([
    ["Sun 02:00-04:00", "2026-11-29T00:00:00Z", true],
    ["Sun 02:00-04:00", "2026-11-28T23:59:59Z", false],
    ["Sun 02:00-04:00", "2026-11-29T02:00:00Z", false],
    ["Fri 22:00-06:00", "2026-11-27T20:00:00Z", true],
    ["Fri 22:00-06:00", "2026-11-28T03:59:59Z", true],
    ["Fri 22:00-06:00", "2026-11-28T04:00:00Z", false],
    ["Fri 22:00-06:00", "2026-11-27T03:00:00Z", false],
    ["Sun 22:00-01:00", "2026-11-29T22:30:00Z", true],
    ["Mon-Sun 22:00-00:00", "2026-11-27T21:59:59Z", true],
    ["Mon-Sun 22:00-00:00", "2026-11-27T22:00:00Z", false],
    ["22:00-02:00", "2026-11-27T23:30:00Z", true],
  ])("%s at %s: %s", (text, instant, isIn) => {
    expect(blackoutAt([hours(text)], wall(instant)) !== undefined).toBe(isIn);
  });

  it("holds dates from their beginning to just before their end", () => {
    const dates: Blackout = { kind: "dates", from: T, to: T + DAY, because: "holidays" };
    expect(blackoutAt([dates], T - 1)).toBeUndefined();
    expect(blackoutAt([dates], T)).toBe(dates);
    expect(blackoutAt([dates], T + DAY)).toBeUndefined();
  });

  it.each(["", "Sun", "Sun 25:00-26:00", "Sun 02:00-02:00", "Xyz 02:00-04:00", "Sun 02:61-04:00"])(
    "does not understand %j",
    (text) => {
      expect(parseBlackoutHours(text, "Europe/Helsinki")).toBeUndefined();
    },
  );

  it("does not understand an unknown zone", () => {
    expect(parseBlackoutHours("Sun 02:00-04:00", "Mars/Base")).toBeUndefined();
  });
});
