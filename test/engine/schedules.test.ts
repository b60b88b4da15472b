/** The desk of scheduled jobs on virtual time: claims before acts, crashes, an absent journal, people's words, and any jump of the clock. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Asker } from "../../src/core/rollout/ask.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { nextChange } from "../../src/core/watch/job-clock.ts";
import type { Job } from "../../src/core/watch/plan.ts";
import { aJob, aWatch, calendarOn } from "../support/jobs.ts";
import { atRest, ManualClock } from "../support/manual-clock.ts";
import { claimed, SchedulesWorld, wall } from "../support/schedules-world.ts";

const ANA: Asker = {
  actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
  operator: true,
  groups: [],
};
const VIEWER: Asker = { ...ANA, operator: false };
/** One minute before 03:00 in Helsinki. */
const BEFORE_THREE = "2026-11-26T00:59:00Z";

async function started(job: Partial<Job> = {}, at = BEFORE_THREE, watch = aWatch()): Promise<SchedulesWorld> {
  const world = new SchedulesWorld(new ManualClock(wall(at)), { ...watch, jobs: [aJob(job)] });
  await world.start();
  return world;
}

/** Settles a promise of an act from outside. */
function held<T>(): { readonly promise: Promise<T>; readonly settle: (value: T) => void } {
  let settle: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
}

const UP = { ok: true, detail: "up", tookMs: 9_000 };

describe("a job that is due", () => {
  it("is claimed, run and told, once", async () => {
    const world = await started(
      { action: { kind: "restart", target: "bots", onlyIf: "memory" } },
      BEFORE_THREE,
      withTrend(),
    );
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toEqual(["11-26T01:00:00 restart bots/bots"]);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
    expect(world.posts()).toEqual(["normal: Planned restart of bots: done"]);
    const [owed] = world.memory.drafts;
    expect(owed?.key).toBe(`post:job:bots/nightly:${wall("2026-11-26T01:00:00Z")}`);
    expect(JSON.stringify(owed?.body)).toContain("memory: +38 MB/h, limit in 31 h; restarted in 9 s");
    await world.clock.advance(DAY);
    expect(world.acts).toHaveLength(2);
  });

  it("does not restart what needs none, and says so", async () => {
    const world = await started(
      { action: { kind: "restart", target: "bots", onlyIf: "memory" } },
      BEFORE_THREE,
      withTrend(),
    );
    world.actions = { askTrend: async () => ({ asks: false, words: "flat (+0.2 MB/h)" }) };
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toEqual([]);
    expect(world.posts()).toEqual(["normal: Planned restart of bots: not needed"]);
    expect(JSON.stringify(world.memory.drafts)).toContain("memory: flat (+0.2 MB/h)");
  });

  it.each([
    ["blind", async () => ({ unknown: "Prometheus refuses" })],
    ["with a question that fails", () => Promise.reject(new Error("Prometheus refuses"))],
  ])("is not taken for unneeded when it is %s", async (_, askTrend) => {
    const world = await started(
      { action: { kind: "restart", target: "bots", onlyIf: "memory" } },
      BEFORE_THREE,
      withTrend(),
    );
    world.actions = { askTrend };
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toEqual([]);
    expect(world.posts()).toEqual(["urgent: Planned restart of bots: NOT done, no evidence"]);
    expect(JSON.stringify(world.memory.drafts)).toContain("not restarted (memory: Prometheus refuses)");
    expect(world.commands.missed().lines).toEqual([
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 03:00 not done: no evidence: not restarted (memory: Prometheus refuses); without evidence: /belay health restart bots/bots",
    ]);
    expect(world.commands.list().lines.join()).toContain(
      "; without evidence: /belay health restart bots/bots",
    );
    expect((await world.commands.run("nightly", ANA, "c9")).text).toBe(
      "bots/nightly runs now: restart of bots if memory asks for it; without evidence it does not, `/belay health restart bots/bots` does in any case. What it came to is posted.",
    );
  });

  it.each([
    ["says so", async () => ({ ok: false, detail: "replica 1 is not up", tookMs: 1 })],
    ["throws", () => Promise.reject(new Error("replica 1 is not up"))],
  ])("that fails because its target %s is told loudly", async (_, restartTarget) => {
    const world = await started();
    world.actions = { restartTarget };
    await world.clock.advance(5 * MINUTE);
    expect(world.posts()).toEqual(["urgent!: Planned restart of bots: FAILED"]);
    expect(JSON.stringify(world.memory.drafts)).toContain("replica 1 is not up");
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
  });

  it("that never ends has failed after an hour", async () => {
    const world = await started();
    world.actions = { restartTarget: () => held<typeof UP>().promise };
    await world.clock.advance(HOUR);
    expect(await world.kinds()).toEqual(["added", "fired"]);
    await world.clock.advance(2 * MINUTE);
    expect(world.posts()).toEqual(["urgent!: Planned restart of bots: FAILED"]);
  });

  it("posts what was built, in the same decision as its end", async () => {
    const world = await started({ action: { kind: "post", post: "health" } });
    await world.clock.advance(2 * MINUTE);
    expect(world.posts()).toEqual(["normal: health post"]);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
  });

  it("waits for its jitter to the second", async () => {
    const world = await started({ jitterMs: 2 * MINUTE });
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(world.acts[0]).not.toContain("01:00:00");
    expect(world.acts[0]).not.toMatch(/:00 restart/);
  });

  it("is not asked of fires from before it was known", async () => {
    const world = await started({ cron: "* * * * *" }, "2026-11-26T01:00:30Z");
    await world.clock.advance(29 * SECOND);
    expect(world.acts).toEqual([]);
    expect(await world.kinds()).toEqual(["added"]);
  });

  it("keeps its claims when its times change", async () => {
    const world = await started();
    await world.clock.advance(5 * MINUTE);
    world.reload({ ...world.plan, jobs: [aJob({ cron: "30 2 * * *" })] });
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toHaveLength(1);
    world.reload({ ...world.plan, jobs: [] });
    await world.clock.advance(2 * DAY);
    expect(world.acts).toHaveLength(1);
    expect(world.commands.list().text).toBe("No jobs are planned.");
  });
});

describe("a job that cannot be decided", () => {
  it("is told once and keeps no other from running", async () => {
    const world = new SchedulesWorld(
      new ManualClock(wall(BEFORE_THREE)),
      aWatch({ jobs: [aJob({ name: "broken", cron: "61 * * * *" }), aJob()] }),
    );
    await world.start();
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(world.logged.filter((line) => line === "a job cannot be decided")).toHaveLength(1);
  });
});

describe("what was missed", () => {
  it.each([
    ["run-once", ["11-26T02:30:00 restart bots/bots"], "normal: Planned restart of bots: done"],
    ["skip", [], "normal: MISSED bots: nightly"],
    ["report", [], "urgent!: MISSED bots: nightly"],
  ] as const)("while Belay was away: %s", async (missed, acts, post) => {
    const world = await started({ missed });
    world.kill();
    await world.clock.advance(91 * MINUTE);
    await world.start();
    await atRest();
    expect(world.acts).toEqual(acts);
    expect(world.posts()).toEqual([post]);
  });

  it("is run once however many there were, and the others are told", async () => {
    const world = await started({ cron: "0 * * * *", graceMs: HOUR });
    world.kill();
    await world.clock.advance(5 * HOUR + 30 * MINUTE);
    await world.start();
    await atRest();
    expect(world.acts).toHaveLength(1);
    expect(world.posts()).toEqual([
      "normal: MISSED bots: nightly, 5 times",
      "normal: Planned restart of bots: done",
    ]);
    const { lines } = world.commands.missed();
    expect(lines).toEqual([
      "bots/nightly (Europe/Helsinki): 5 fires up to Thu 26 Nov 07:00 missed: a newer one stands for it",
    ]);
  });

  it("for days is counted, the newest thousand each by itself", async () => {
    const world = await started({ cron: "* * * * *", graceMs: 0 });
    world.kill();
    await world.clock.advance(4 * DAY);
    await world.start();
    await atRest();
    const events = await world.events();
    const { instants, spans } = claimed(events);
    expect(instants).toHaveLength(1_000);
    expect(spans).toEqual([expect.objectContaining({ count: 4 * 24 * 60 - 1_000, more: false })]);
    expect(world.acts).toHaveLength(1);
  });

  it("for months is still told, and the job goes on", async () => {
    const world = await started({ cron: "* * * * *" });
    world.kill();
    await world.clock.advance(60 * DAY);
    await world.start();
    await atRest();
    const { spans } = claimed(await world.events());
    expect(spans).toEqual([expect.objectContaining({ more: true })]);
    expect(world.posts()[0]).toMatch(/MISSED bots: nightly, at least 6,\d{3} times/);
    await world.clock.advance(MINUTE);
    expect(world.acts).toHaveLength(2);
  });
});

describe("a crash", () => {
  it("between claim and act: the restart is not run again, and people are told to look", async () => {
    const world = await started();
    world.actions = { restartTarget: () => held<typeof UP>().promise };
    await world.clock.advance(2 * MINUTE);
    expect(world.acts).toHaveLength(1);
    world.kill();
    await world.clock.advance(MINUTE);
    await world.start();
    await world.clock.advance(5 * MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(world.posts()).toEqual(["urgent!: Planned restart of bots: FAILED"]);
    expect(JSON.stringify(world.memory.drafts)).toContain("Belay stopped meanwhile");
  });

  it("within a post: it is made again under the same key", async () => {
    const world = await started({ action: { kind: "post", post: "health" } });
    world.actions = { buildPost: () => held<never>().promise };
    await world.clock.advance(2 * MINUTE);
    world.kill();
    world.actions = {};
    await world.start();
    await world.clock.advance(MINUTE);
    expect(world.acts).toHaveLength(2);
    expect([...world.memory.owed.keys()]).toEqual([`post:job:bots/nightly:${wall("2026-11-26T01:00:00Z")}`]);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
  });

  it("within a post of days ago: it has failed", async () => {
    const world = await started({ action: { kind: "post", post: "health" }, graceMs: 0 });
    world.actions = { buildPost: () => held<never>().promise };
    await world.clock.advance(2 * MINUTE);
    world.kill();
    world.actions = {};
    await world.clock.advance(3 * HOUR);
    await world.start();
    await atRest();
    expect(world.acts).toHaveLength(1);
    expect(world.posts()).toEqual(["urgent!: Health post: FAILED"]);
  });

  it("with a job that is gone afterwards: its run is ended all the same", async () => {
    const world = await started();
    world.actions = { restartTarget: () => held<typeof UP>().promise };
    await world.clock.advance(2 * MINUTE);
    world.kill();
    world.plan = { ...world.plan, jobs: [] };
    await world.start();
    await atRest();
    expect(await world.kinds()).toEqual(["added", "fired", "finished", "unplanned"]);
    expect(await world.memory.openSubjects("job")).toEqual([]);
  });

  it("at any commit claims no fire twice and forgets none", async () => {
    for (let death = 1; death <= 6; death++)
      for (const after of [false, true]) {
        const world = new SchedulesWorld(
          new ManualClock(wall(BEFORE_THREE)),
          aWatch({ jobs: [aJob({ cron: "* * * * *" })] }),
        );
        let commits = 0;
        world.memory.beforeCommit(() => {
          if (++commits !== death) return;
          world.kill();
          if (!after) world.memory.mood("away");
        });
        await world.start();
        await world.clock.advance(2 * MINUTE);
        world.memory.mood("well");
        await world.start();
        await world.clock.advance(3 * MINUTE);
        expect(commits).toBeGreaterThanOrEqual(death);
        world.memory.beforeCommit(undefined);
        world.memory.mood("well");
        await world.start();
        await world.clock.advance(MINUTE);
        const events = await world.events();
        const { instants } = claimed(events);
        expect(new Set(instants).size).toBe(instants.length);
        const first = wall("2026-11-26T01:00:00Z");
        const since = events[0]?.event.kind === "added" ? events[0].event.upTo : Number.NaN;
        for (let minute = 0; minute < 4; minute++)
          if (first + minute * MINUTE > since) expect(instants).toContain(first + minute * MINUTE);
        expect(events.filter(({ event }) => event.kind === "fired").length).toBeGreaterThan(0);
      }
  });
});

describe("without the journal", () => {
  it("nothing begins, and what was missed is made up for when it is back", async () => {
    const world = await started();
    world.memory.mood("away");
    await world.clock.advance(10 * MINUTE);
    expect(world.acts).toEqual([]);
    expect(world.logged.filter((line) => line === "jobs wait")).toHaveLength(1);
    expect((await world.commands.run("nightly", ANA, "k")).code).toBe("journal_unavailable");
    world.memory.mood("well");
    await world.clock.advance(2 * MINUTE);
    expect(world.acts).toHaveLength(1);
  });

  it("a run that ends keeps its result until the journal is back", async () => {
    const world = await started();
    const restart = held<typeof UP>();
    world.actions = { restartTarget: () => restart.promise };
    await world.clock.advance(2 * MINUTE);
    world.memory.mood("away");
    restart.settle(UP);
    await world.clock.advance(10 * MINUTE);
    expect(world.posts()).toEqual([]);
    world.memory.mood("well");
    await world.clock.advance(2 * MINUTE);
    expect(world.posts()).toEqual(["normal: Planned restart of bots: done"]);
    expect(world.acts).toHaveLength(1);
  });

  it("a claim whose reply is lost is known again, and its fire is run, once", async () => {
    const world = await started();
    world.memory.mood("reply_lost");
    await world.clock.advance(3 * MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
    expect(world.posts()).toEqual(["normal: Planned restart of bots: done"]);
  });

  it("an end whose reply is lost is not journaled twice", async () => {
    const world = await started();
    const restart = held<typeof UP>();
    world.actions = { restartTarget: () => restart.promise };
    await world.clock.advance(2 * MINUTE);
    world.memory.mood("reply_lost");
    restart.settle(UP);
    await world.clock.advance(5 * MINUTE);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
  });
});

describe("two desks on one journal", () => {
  it("run each fire once between them", async () => {
    const clock = new ManualClock(wall(BEFORE_THREE));
    const one = new SchedulesWorld(clock, aWatch({ jobs: [aJob({ cron: "* * * * *" })] }));
    const acts: string[] = [];
    const { Schedules } = await import("../../src/engine/schedules.ts");
    const other = new Schedules({
      clock,
      journal: one.memory,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      calendar: calendarOn(clock),
      actions: {
        restartTarget: async () => {
          acts.push("restart");
          return UP;
        },
        askTrend: async () => ({ asks: true, words: "" }),
        drill: async () => ({ ok: true, detail: "" }),
        buildPost: () => Promise.reject(new Error("none")),
        channelOf: () => undefined,
      },
    });
    other.setWatches(new Map([["bots", one.plan]]));
    await one.start();
    await other.start();
    await clock.advance(10 * MINUTE);
    const { instants } = claimed(await one.events());
    expect(new Set(instants).size).toBe(instants.length);
    expect(one.acts.length + acts.length).toBe(
      (await one.events()).filter(({ event }) => event.kind === "fired").length,
    );
  });

  it("pass over a fire whose row is there although the state does not tell", async () => {
    const world = await started({ cron: "* * * * *" });
    const { memory } = world;
    const first = wall("2026-11-26T01:00:00Z");
    // A row without the state having come to it, as after a clock that was days ahead and whose claims were given up.
    const state = await memory.subject("job", "bots/nightly");
    if (state === undefined) throw new Error("the job is not known");
    const event = { kind: "clock_back", claimedUpTo: state.claimedUpTo, upTo: state.claimedUpTo } as const;
    await memory.commitSubject({
      kind: "job",
      id: "bots/nightly",
      expected: state.revision,
      events: [{ seq: state.revision + 1, at: 0, wall: first, event }],
      state: { ...state, revision: state.revision + 1 },
      open: false,
      fires: [first + MINUTE],
      outbox: [],
      intakes: [],
    });
    await world.clock.advance(4 * MINUTE);
    const passed = (await world.events()).flatMap(({ event: one }) =>
      one.kind === "passed_over" && one.why === "claimed" ? one.instants : [],
    );
    expect(passed).toEqual([first + MINUTE]);
    expect(world.acts.map((act) => act.slice(6, 14))).toEqual(["01:00:00", "01:02:00", "01:03:00"]);
    expect(world.commands.missed().lines).toEqual([
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 03:01 passed over: it had been claimed before",
    ]);
  });
});

describe("overlap", () => {
  it.each([
    [
      "skip",
      1,
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 03:01 passed over: overlap: that of 03:00 is still running",
    ],
    ["queue", 2, undefined],
  ] as const)("%s", async (overlap, runs, missed) => {
    const world = await started({ cron: "0,1 3 * * *", overlap });
    const restart = held<typeof UP>();
    world.actions = { restartTarget: () => restart.promise };
    await world.clock.advance(3 * MINUTE);
    expect(world.acts).toHaveLength(1);
    restart.settle(UP);
    await world.clock.advance(3 * MINUTE);
    expect(world.acts).toHaveLength(runs);
    expect(world.commands.missed().lines[0]).toBe(missed);
  });
});

describe("what people say", () => {
  it("list shows the next fire, the last one and the gaps ahead", async () => {
    const world = await started({ cron: "30 3 * * *" }, "2026-03-01T12:00:00Z", {
      ...aWatch(),
      blackouts: [
        { kind: "hours", text: "Sun 02:00-03:45", zone: "Europe/Helsinki", because: "maintenance" },
      ],
    });
    await world.clock.advance(DAY);
    expect(world.commands.list().lines).toEqual([
      "bots/nightly: restart of bots, 30 3 * * *; next Tue 3 Mar 03:30 Europe/Helsinki",
      "  last: Mon 2 Mar 03:30 done: restarted in 9 s",
      "  gap: Sun 29 Mar clocks go forward 1 h: 03:30 does not exist, fires once at 04:00",
      "  gap: blackout (maintenance) swallows Sun 8 Mar 03:30, Sun 15 Mar 03:30, Sun 22 Mar 03:30 and 4 more",
    ]);
  });

  it.each([
    [
      "30 3 * * *",
      "2026-10-01T12:00:00Z",
      "Sun 25 Oct clocks go back 1 h: 03:30 comes twice, fires the first time only",
    ],
    ["45 * * * *", "2026-10-01T12:00:00Z", undefined],
    ["30 3 * * *", "2026-11-01T12:00:00Z", undefined],
  ])("gaps of %s from %s", async (cron, at, gap) => {
    const world = await started({ cron }, at);
    expect(world.commands.list().lines.slice(1)).toEqual(gap === undefined ? [] : [`  gap: ${gap}`]);
  });

  it("next shows the next times and what keeps them from running", async () => {
    const world = await started({ until: wall("2026-11-29T21:59:59Z") }, BEFORE_THREE, {
      ...aWatch(),
      blackouts: [
        {
          kind: "dates",
          from: wall("2026-11-27T00:00Z"),
          to: wall("2026-11-28T00:00Z"),
          because: "holidays",
        },
      ],
    });
    await world.commands.skipNext("nightly", ANA);
    expect(world.commands.next("nightly").lines).toEqual([
      "Thu 26 Nov 03:00 Europe/Helsinki (01:00 UTC): does not run (skipped by @ana)",
      "Fri 27 Nov 03:00 Europe/Helsinki (01:00 UTC): does not run (blackout: holidays)",
      "Sat 28 Nov 03:00 Europe/Helsinki (01:00 UTC)",
      "Sun 29 Nov 03:00 Europe/Helsinki (01:00 UTC)",
      "Mon 30 Nov 03:00 Europe/Helsinki (01:00 UTC): does not run (after its last day)",
    ]);
    expect(world.commands.list().lines).toContain("  ends: its last day is Sun 29 Nov");
  });

  it("skip-next leaves out one fire, and resume takes it back", async () => {
    const world = await started();
    expect((await world.commands.skipNext("bots/nightly", ANA)).code).toBe("done");
    expect((await world.commands.skipNext("bots/nightly", ANA)).code).toBe("already");
    await world.clock.advance(2 * MINUTE);
    expect(world.acts).toEqual([]);
    expect(world.commands.missed().lines).toEqual([
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 03:00 passed over: skipped by @ana",
    ]);
    await world.clock.advance(DAY);
    expect(world.acts).toHaveLength(1);
    await world.commands.skipNext("nightly", ANA);
    expect((await world.commands.resume("nightly", ANA)).code).toBe("done");
    await world.clock.advance(DAY);
    expect(world.acts).toHaveLength(2);
  });

  it("pause lets nothing fire until resume, over a restart of Belay too", async () => {
    const world = await started();
    expect((await world.commands.pause("nightly", ANA, "migration")).code).toBe("done");
    expect((await world.commands.pause("nightly", ANA)).text).toContain("paused by @ana");
    await world.clock.advance(DAY);
    world.kill();
    await world.start();
    await world.clock.advance(DAY);
    expect(world.acts).toEqual([]);
    expect(world.posts()).toEqual(["normal: bots/nightly is paused"]);
    expect(world.commands.list().lines[1]).toBe("  paused by @ana: migration");
    expect((await world.commands.resume("nightly", ANA)).code).toBe("done");
    expect(world.posts().at(-1)).toBe("normal: bots/nightly fires again as planned");
    expect((await world.commands.resume("nightly", ANA)).code).toBe("already");
    await world.clock.advance(DAY);
    expect(world.acts).toHaveLength(1);
  });

  it("run runs now, once for each command, and leaves the planned fire alone", async () => {
    const world = await started();
    expect((await world.commands.run("nightly", ANA, "c1")).code).toBe("done");
    await atRest();
    expect((await world.commands.run("nightly", ANA, "c1")).code).toBe("already");
    await world.clock.advance(2 * MINUTE);
    expect(world.acts).toEqual(["11-26T00:59:00 restart bots/bots", "11-26T01:00:00 restart bots/bots"]);
    expect(JSON.stringify(world.memory.drafts[0])).toContain("asked for by @ana");
    const restart = held<typeof UP>();
    world.actions = { restartTarget: () => restart.promise };
    await world.commands.run("nightly", ANA, "c2");
    expect((await world.commands.run("nightly", ANA, "c3")).text).toMatch(
      / is running since \d\d:\d\d Europe\/Helsinki\.$/,
    );
  });

  it("run is refused in a blackout", async () => {
    const world = await started({}, BEFORE_THREE, {
      ...aWatch(),
      blackouts: [{ kind: "dates", from: 0, to: wall("2027-01-01T00:00Z"), because: "holidays" }],
    });
    const answer = await world.commands.run("nightly", ANA, "c1");
    expect(answer.ok).toBe(false);
    expect(answer.text).toContain("blackout (holidays)");
    expect(world.acts).toEqual([]);
  });

  it("is refused to those who may not, and for jobs that are not there", async () => {
    const world = await started();
    for (const ask of [
      world.commands.run("nightly", VIEWER, "c"),
      world.commands.skipNext("nightly", VIEWER),
      world.commands.pause("nightly", VIEWER),
      world.commands.resume("nightly", VIEWER),
    ])
      expect((await ask).code).toBe("not_authorised");
    expect((await world.commands.run("nigthly", ANA, "c")).text).toContain("Did you mean nightly?");
    expect(world.commands.next("nothing").ok).toBe(false);
    expect(await world.kinds()).toEqual(["added"]);
    expect(world.commands.next(undefined).ok).toBe(true);
  });

  it("asks which job when several have the name", async () => {
    const clock = new ManualClock(wall(BEFORE_THREE));
    const world = new SchedulesWorld(clock, aWatch());
    world.schedules.setWatches(
      new Map([
        ["a", aWatch({ watch: "a" })],
        ["b", aWatch({ watch: "b" })],
      ]),
    );
    await world.schedules.start();
    const answer = await world.commands.pause("nightly", ANA);
    expect(answer.code).toBe("ambiguous");
    expect(answer.offers.map(({ command }) => command)).toEqual([
      "schedule pause a/nightly",
      "schedule pause b/nightly",
    ]);
    expect((await world.commands.pause("b/nightly", ANA)).code).toBe("done");
  });
});

describe("a clock that jumps", () => {
  it("back two hours: nothing fires twice, people are told, and the job goes on where it was", async () => {
    const world = await started({ cron: "* * * * *" });
    await world.clock.advance(10 * MINUTE);
    const before = world.acts.length;
    world.clock.jump(-2 * HOUR);
    await world.clock.advance(HOUR);
    expect(world.acts).toHaveLength(before);
    expect(world.posts()).toContain("normal: CLOCK SET BACK bots: nightly");
    expect(world.commands.list().lines.join("\n")).toContain("the clock was set back");
    await world.clock.advance(HOUR + 5 * MINUTE);
    expect(world.acts.length).toBeGreaterThan(before);
    const { instants } = claimed(await world.events());
    expect(new Set(instants).size).toBe(instants.length);
  });

  const ZONES = [
    "Europe/Helsinki",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Nuuk",
  ] as const;
  const CRONS = [
    "*/7 * * * *",
    "* * * * *",
    "30 * * * *",
    "30 1 * * *",
    "30 2 * * *",
    "15,45 0-3 * * *",
    "30 23 * * *",
  ] as const;

  /** Minutes of life, then a jump of the wall clock in ms; in between the process may die and come back. */
  const life = fc.array(
    fc.record({
      minutes: fc.integer({ min: 1, max: 60 }),
      jumpMs: fc.oneof(
        fc.constant(0),
        fc.constantFrom(SECOND, -SECOND, MINUTE, -MINUTE, HOUR, -HOUR, 2 * HOUR, -2 * HOUR, DAY, -DAY),
        fc.integer({ min: -DAY, max: DAY }),
      ),
      dies: fc.boolean(),
    }),
    { minLength: 1, maxLength: 6 },
  );
  const kinds = fc.record({
    cron: fc.constantFrom(...CRONS),
    missed: fc.constantFrom("run-once", "skip", "report"),
    overlap: fc.constantFrom("skip", "queue"),
    jitterMs: fc.constantFrom(0, 30 * SECOND),
    runMs: fc.constantFrom(0, 3 * MINUTE),
  });

  it.each(ZONES)(
    "in %s, around both changes of its clock: no fire is doubled and none is lost",
    { timeout: 60_000 },
    async (zone) => {
      const spring = nextChange(zone, wall("2026-01-01T00:00Z"), wall("2027-01-01T00:00Z"));
      const autumn = nextChange(zone, spring?.at ?? 0, wall("2027-01-01T00:00Z"));
      for (const change of [spring, autumn]) {
        if (change === undefined) throw new Error(`${zone} has no two changes in 2026`);
        await fc.assert(
          fc.asyncProperty(life, kinds, async (moves, { runMs, ...kind }) => {
            const begin = change.at - 2 * HOUR;
            const world = await started({ ...kind, zone }, new Date(begin).toISOString());
            world.actions = {
              restartTarget: () =>
                new Promise((resolve) => {
                  world.clock.after(runMs, () => resolve(UP));
                }),
            };
            let highest = begin;
            for (const { minutes, jumpMs, dies } of moves) {
              await world.clock.advance(minutes * MINUTE);
              highest = Math.max(highest, world.clock.now().wall - MINUTE);
              if (dies) world.kill();
              world.clock.jump(jumpMs);
              if (dies) await world.start();
              await world.clock.advance(MINUTE + SECOND);
              highest = Math.max(highest, world.clock.now().wall - MINUTE);
            }
            const events = await world.events();
            const { instants, spans } = claimed(events);
            expect(new Set(instants).size).toBe(instants.length);
            const planned = calendarOn(world.clock).fires(
              kind.cron,
              zone,
              begin,
              highest - kind.jitterMs,
              100_000,
            );
            const all = new Set(instants);
            for (const instant of planned)
              expect(
                all.has(instant) || spans.some(({ first, last }) => instant >= first && instant <= last),
                `${new Date(instant).toISOString()} is neither run nor passed over`,
              ).toBe(true);
            const runs = events.filter(({ event }) => event.kind === "fired").length;
            expect(world.acts).toHaveLength(runs);
          }),
          { numRuns: 15 },
        );
      }
    },
  );

  it.each(ZONES)("in %s without a jump everything runs on time", async (zone) => {
    const change = nextChange(zone, wall("2026-01-01T00:00Z"), wall("2027-01-01T00:00Z"));
    const begin = (change?.at ?? 0) - 2 * HOUR;
    for (const cron of ["30 * * * *", "30 2 * * *", "30 23 * * *", "15,45 0-3 * * *"]) {
      const world = await started({ cron, zone, action: { kind: "drill" } }, new Date(begin).toISOString());
      await world.clock.advance(5 * HOUR);
      const planned = calendarOn(world.clock).fires(cron, zone, begin, begin + 5 * HOUR, 100);
      expect(world.acts).toHaveLength(planned.length);
      expect((await world.events()).filter(({ event }) => event.kind === "passed_over")).toEqual([]);
    }
  });
});

function withTrend(): ReturnType<typeof aWatch> {
  const trend = {
    name: "memory",
    query: "m",
    freshness: "f",
    limit: 1,
    unit: "bytes",
    horizonMs: HOUR,
  } as const;
  return aWatch({ trends: [trend] });
}
