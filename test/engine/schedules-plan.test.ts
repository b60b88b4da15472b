/** Jobs whose file is edited: new times hold from the edit on, whether Belay was up for it or not, and what stood in no file was not missed. */
import { describe, expect, it } from "vitest";
import { DAY, HOUR, MINUTE } from "../../src/core/time.ts";
import type { JobState } from "../../src/core/watch/job.ts";
import type { Job, WatchPlan } from "../../src/core/watch/plan.ts";
import { aJob, aWatch } from "../support/jobs.ts";
import { atRest, ManualClock } from "../support/manual-clock.ts";
import { SchedulesWorld, wall } from "../support/schedules-world.ts";

/** One minute before 03:00 in Helsinki. */
const BEFORE_THREE = "2026-11-26T00:59:00Z";
/** 10:00 in Helsinki, of the same day. */
const TEN = wall("2026-11-26T08:00:00Z");

function watchOf(...jobs: readonly Partial<Job>[]): WatchPlan {
  return aWatch({ jobs: jobs.map((job) => aJob(job)) });
}

async function started(job: Partial<Job>, at = BEFORE_THREE): Promise<SchedulesWorld> {
  const world = new SchedulesWorld(new ManualClock(wall(at)), watchOf(job));
  await world.start();
  return world;
}

async function until(world: SchedulesWorld, at: number): Promise<void> {
  await world.clock.advance(at - world.clock.now().wall);
}

async function stateOf(world: SchedulesWorld): Promise<JobState> {
  const state = await world.memory.subject("job", "bots/nightly");
  if (state === undefined) throw new Error("the job is not known");
  return state;
}

/** The two ways in which Belay gets to see an edited file. */
const EDITS = {
  "and is reloaded": async (world: SchedulesWorld, at: number, plan: WatchPlan) => {
    await until(world, at);
    world.reload(plan);
    await world.clock.advance(MINUTE);
  },
  "while Belay is down": async (world: SchedulesWorld, at: number, plan: WatchPlan) => {
    world.kill();
    await until(world, at);
    world.plan = plan;
    await world.start();
    await world.clock.advance(MINUTE);
  },
} as const;

describe.each(Object.entries(EDITS))("a job whose file is edited %s", (_, edit) => {
  it.each([
    ["to another time", { cron: "30 9 * * *" }, "11-27T07:30:00 restart bots/bots"],
    // 03:00 there was nine hours after 03:00 in Helsinki at first and two hours ago now.
    [
      "to another zone",
      { zone: "America/Sao_Paulo", graceMs: 12 * HOUR },
      "11-27T06:00:00 restart bots/bots",
    ],
  ])("%s fires at times to come, and not at those of before", async (_what, change, next) => {
    const world = await started({});
    await until(world, wall("2026-11-26T01:05:00Z"));
    expect(world.acts).toHaveLength(1);
    await edit(world, TEN, watchOf(change));
    expect(world.acts).toHaveLength(1);
    expect(world.commands.missed().lines).toEqual([]);
    await world.clock.advance(DAY);
    expect(world.acts.slice(1)).toEqual([next]);
    expect(world.posts()).toHaveLength(2);
  });

  it("to a later last day, after the last one, fires from then on", async () => {
    const last = wall("2026-11-26T21:59:59.999Z");
    const world = await started({ cron: "0 * * * *", until: last, missed: "report" });
    await until(world, last + 30 * MINUTE);
    const before = world.acts.length;
    await edit(
      world,
      last + 12 * HOUR + 30 * MINUTE,
      watchOf({ cron: "0 * * * *", until: last + 3 * DAY, missed: "report" }),
    );
    expect(world.acts).toHaveLength(before);
    expect(world.posts().filter((title) => title.includes("MISSED"))).toEqual([]);
    await world.clock.advance(HOUR);
    expect(world.acts).toHaveLength(before + 1);
  });

  it("in nothing that plans it keeps what it waits for", async () => {
    const last = wall("2026-11-30T21:59:59.999Z");
    const world = await started({ cron: "0 3 * * *", until: last, jitterMs: 50 * MINUTE });
    await until(world, wall("2026-11-26T01:01:00Z"));
    expect(world.acts).toEqual([]);
    const due = world.schedules.jobs()[0]?.desk.nextDue() ?? 0;
    expect(due).toBeGreaterThan(wall("2026-11-26T01:03:00Z"));
    await edit(
      world,
      wall("2026-11-26T01:02:00Z"),
      watchOf({ until: last + DAY, jitterMs: 50 * MINUTE, graceMs: HOUR }),
    );
    await world.clock.advance(HOUR);
    expect(world.acts).toHaveLength(1);
  });
});

describe.each([
  ["reloads", false],
  ["restarts that see it come and go", true],
])("a job that is taken out and put back weeks later, over %s", (_, restarts) => {
  it("missed nothing meanwhile, and fires again", async () => {
    const world = await started({ missed: "report" });
    const load = async (plan: WatchPlan): Promise<void> => {
      if (!restarts) return world.reload(plan);
      world.kill();
      world.plan = plan;
      await world.start();
    };
    await world.clock.advance(5 * MINUTE);
    await load(watchOf());
    await world.clock.advance(3 * 7 * DAY);
    expect(world.acts).toHaveLength(1);
    expect(await world.memory.openSubjects("job")).toEqual([]);
    await load(watchOf({ missed: "report" }));
    await world.clock.advance(MINUTE);
    expect(world.commands.missed().lines).toEqual([]);
    expect(world.acts).toHaveLength(1);
    await world.clock.advance(DAY);
    expect(world.acts).toHaveLength(2);
    expect(world.posts().filter((title) => title.includes("MISSED"))).toEqual([]);
    expect(await world.kinds()).toEqual([
      "added",
      "fired",
      "finished",
      "unplanned",
      "planned",
      "fired",
      "finished",
    ]);
  });
});

describe("a job that is taken out", () => {
  it("while one of its fires waits for another: that one has ended", async () => {
    const world = await started({ cron: "0,1 3 * * *", overlap: "queue" });
    let settle: (value: { ok: boolean; detail: string; tookMs: number }) => void = () => undefined;
    world.actions = {
      restartTarget: () =>
        new Promise((resolve) => {
          settle = resolve;
        }),
    };
    await world.clock.advance(3 * MINUTE);
    world.reload(watchOf());
    await world.clock.advance(MINUTE);
    settle({ ok: true, detail: "up", tookMs: 9_000 });
    await world.clock.advance(MINUTE);
    expect(await world.kinds()).toEqual(["added", "fired", "queued", "passed_over", "unplanned", "finished"]);
    expect(await world.memory.openSubjects("job")).toEqual([]);
    world.reload(watchOf({ cron: "0,1 3 * * *", overlap: "queue" }));
    await world.clock.advance(MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(world.commands.missed().lines).toEqual([
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 03:01 ended: it was taken out of the files",
    ]);
  });

  it("stays paused until somebody resumes it, though it comes back", async () => {
    const world = await started({});
    const ana = {
      actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
      operator: true,
      groups: [],
    } as const;
    await world.commands.pause("nightly", ana, "audit");
    world.reload(watchOf());
    await world.clock.advance(2 * DAY);
    world.reload(watchOf({}));
    await world.clock.advance(DAY);
    expect(world.acts).toEqual([]);
    expect(world.commands.list().lines.join("\n")).toContain("paused by @ana: audit");
  });

  it("only because its file could not be read has missed what it missed", async () => {
    const world = await started({ missed: "report" });
    await world.clock.advance(5 * MINUTE);
    world.kill();
    world.schedules.setWatches(new Map(), { isWhole: false });
    void world.schedules.start();
    await world.clock.advance(DAY);
    expect(await world.kinds()).toEqual(["added", "fired", "finished"]);
    world.reload(watchOf({ missed: "report" }));
    await world.clock.advance(MINUTE);
    expect(world.posts()).toContain("urgent!: MISSED bots: nightly");
  });
});

describe("new times", () => {
  it("hold from the reload on, even if the journal is away until later", async () => {
    const world = await started({ cron: "0 3 * * *", missed: "report" });
    await world.clock.advance(5 * MINUTE);
    world.memory.mood("away");
    await until(world, TEN);
    world.reload(watchOf({ cron: "30 9,10 * * *", missed: "report" }));
    await until(world, TEN + HOUR);
    world.memory.mood("well");
    await world.clock.advance(2 * MINUTE);
    expect(world.acts).toHaveLength(1);
    expect(world.commands.missed().lines).toEqual([
      "bots/nightly (Europe/Helsinki): Thu 26 Nov 10:30 missed: 31 min late",
    ]);
  });

  it("are taken over once, whatever reply is lost and wherever Belay dies", async () => {
    for (const mood of ["reply_lost", "dies"] as const) {
      const world = await started({});
      await world.clock.advance(5 * MINUTE);
      if (mood === "reply_lost") world.memory.mood("reply_lost");
      else
        world.memory.beforeCommit(() => {
          world.memory.beforeCommit(undefined);
          world.kill();
        });
      await until(world, TEN);
      world.reload(watchOf({ cron: "30 9 * * *" }));
      await world.clock.advance(5 * MINUTE);
      if (mood === "dies") await world.start();
      await world.clock.advance(5 * MINUTE);
      expect(await world.kinds()).toEqual(["added", "fired", "finished", "planned"]);
      expect(world.acts).toHaveLength(1);
    }
  });

  it("do not take claims back that a clock ahead of its time has made", async () => {
    const world = await started({ cron: "0 * * * *" });
    await world.clock.advance(5 * MINUTE);
    world.clock.jump(3 * HOUR);
    await world.clock.advance(2 * MINUTE);
    const ahead = (await stateOf(world)).claimedUpTo;
    world.clock.jump(-3 * HOUR);
    world.reload(watchOf({ cron: "0,30 * * * *" }));
    await world.clock.advance(2 * MINUTE);
    expect((await stateOf(world)).claimedUpTo).toBe(ahead);
  });
});

describe("a job journaled before its times were remembered", () => {
  it("takes the present ones and is still asked what it missed", async () => {
    const world = await started({ missed: "report" });
    await world.clock.advance(5 * MINUTE);
    world.kill();
    const { plan: _, ...old } = await stateOf(world);
    const event = { kind: "clock_back", claimedUpTo: old.claimedUpTo, upTo: old.claimedUpTo } as const;
    await world.memory.commitSubject({
      kind: "job",
      id: old.id,
      expected: old.revision,
      events: [{ seq: old.revision + 1, at: 0, wall: world.clock.now().wall, event }],
      state: { ...old, revision: old.revision + 1 },
      open: false,
      fires: [],
      outbox: [],
      intakes: [],
    });
    await world.clock.advance(DAY);
    await world.start();
    await atRest();
    expect(world.posts()).toContain("urgent!: MISSED bots: nightly");
    expect((await stateOf(world)).plan).toEqual({ times: "0 3 * * * Europe/Helsinki" });
    expect((await stateOf(world)).claimedUpTo).toBe(wall("2026-11-27T01:00:00Z"));
  });
});

describe("a mere restart", () => {
  it("with the same times still decides what was missed", async () => {
    const world = await started({ missed: "run-once" });
    world.kill();
    await world.clock.advance(91 * MINUTE);
    world.plan = watchOf({ missed: "run-once", graceMs: 3 * HOUR });
    await world.start();
    await atRest();
    expect(world.acts).toEqual(["11-26T02:30:00 restart bots/bots"]);
  });
});
