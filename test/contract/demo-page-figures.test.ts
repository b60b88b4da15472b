/** What the demo's page counts and says, as tables: sums over restarts, what a rollback cost, marks, and the next sentence. */
import { describe, expect, test } from "vitest";
import { harmLine, harmOf } from "../../demo/page/cost.ts";
import { startFollower } from "../../demo/page/follower.ts";
import { History, type Reading } from "../../demo/page/history.ts";
import { Marks } from "../../demo/page/marks.ts";
import { nextOf, type Standing } from "../../demo/page/next.ts";
import type { Rollback } from "../../demo/page/rollbacks.ts";
import { type Timeline, timelineOf } from "../../demo/page/timeline.ts";
import { Walk } from "../core/walk.ts";
import { until } from "../support/eventually.ts";
import { planOf } from "../support/plans.ts";

const KEY = "FEATURE_PARALLEL";
const T0 = 1_000_000;
const STEP_MS = 250;

const WELL: Reading = {
  files: 0,
  failures: 0,
  slow: 0,
  memoryBytes: 100e6,
  flags: { [KEY]: "true" },
  optimisations: 4,
  broken: false,
};

const ROLLBACK: Rollback = {
  run: "r-1",
  seq: 9,
  flags: ["parallel"],
  keys: [KEY],
  why: "failures: 20 % > 2 %",
  decidedWall: T0 + 12_000,
  breachWall: T0 + 11_000,
  offWall: T0 + 12_100,
  recoveredWall: undefined,
  failed: undefined,
};

/** Ten good seconds of 100 files/s, then trouble from 10 s to 12 s, off at 12.25 s: what `bad` adds in each second of trouble. */
function story(bad: Partial<Record<"files" | "failures" | "slow" | "memoryBytes", number>>): History {
  const history = new History();
  for (let ms = 0; ms <= 14_000; ms += STEP_MS) {
    const sick = Math.min(2, Math.max(0, (ms - 10_000) / 1_000));
    const well = ms / 1_000 - sick;
    history.add(T0 + ms, {
      files: Math.round(well * 100 + sick * (bad.files ?? 100)),
      failures: Math.round(sick * (bad.failures ?? 0)),
      slow: Math.round(sick * (bad.slow ?? 0)),
      memoryBytes: 100e6 + sick * (bad.memoryBytes ?? 0),
      flags: { [KEY]: ms >= 12_250 ? "false" : "true" },
      optimisations: 4,
      broken: ms >= 10_000 && ms < 12_250,
    });
  }
  return history;
}

function costOf(history: History, rollback = ROLLBACK): string {
  const harm = harmOf(history, rollback);
  return harm === undefined ? "" : harmLine(harm);
}

describe("what a rollback cost", () => {
  test.each([
    ["failures", { failures: 30 }, "OFF in 2.1 s: 60 failed files; a five-minute rule would have cost 8,000"],
    [
      "latency",
      { slow: 40 },
      "OFF in 2.1 s: 80 files slower than 250 ms; a five-minute rule would have cost 10,667",
    ],
    [
      "a leak",
      { memoryBytes: 50e6 },
      "OFF in 2.1 s: 100 MB leaked; a five-minute rule would have cost 13,333 MB",
    ],
    [
      "lost throughput",
      { files: 20 },
      "OFF in 2.1 s: 160 files late; a five-minute rule would have cost 21,333",
    ],
  ] as const)("%s is told in its own unit", (_, bad, line) => {
    expect(costOf(story(bad))).toBe(line);
  });

  test("nothing is told before the flag is off, nor where nothing was wrong", () => {
    expect(costOf(story({ failures: 30 }), { ...ROLLBACK, offWall: undefined })).toBe("");
    const asked = { ...ROLLBACK, breachWall: undefined, decidedWall: T0 + 5_000, offWall: T0 + 5_100 };
    expect(costOf(story({}), asked)).toBe("");
  });

  test("sums go on over a restart of the service, and an outage counts as one", () => {
    const history = new History();
    history.add(T0, { ...WELL, files: 500, failures: 5 });
    history.add(T0 + 300, { ...WELL, files: 530, failures: 6 });
    history.add(T0 + 600, undefined);
    history.add(T0 + 900, { ...WELL, files: 20, failures: 1 });
    expect(history.newest()).toMatchObject({ files: 50, failures: 2, up: true });
    expect(history.pointsAfter(0).map((point) => point[3])).toEqual([true, true, false, true]);
    expect(history.at(T0 + 700)).toMatchObject({ files: 30, up: false });
  });
});

test("a flag that goes off with a rollback is marked as that rollback, any other as a flip", () => {
  const marks = new Marks((key) => (key === KEY ? "parallel" : key));
  const sample = (t: number, value: string) => ({ ...WELL, t, up: true, flags: { [KEY]: value } });
  for (const [t, value] of [
    [T0, "false"],
    [T0 + 300, "true"],
    [T0 + 600, "true"],
    [ROLLBACK.decidedWall + 100, "false"],
  ] as const)
    marks.look(sample(t, value));
  marks.deed(T0 + 400, "Slack killed");
  const labels = (rollbacks: readonly Rollback[]) => marks.after(0, rollbacks).map((mark) => mark.label);
  expect(labels([ROLLBACK])).toEqual(["parallel ON", "ROLLBACK parallel OFF", "Slack killed"]);
  expect(labels([])).toEqual(["parallel ON", "parallel OFF", "Slack killed"]);
  expect(marks.after(T0 + 500, [])).toHaveLength(1);
});

test("a run that has ended is not listed any more, and is shown as ended all the same", async () => {
  const walk = new Walk(planOf()).start();
  const { plan } = walk;
  const plans = new Map([[plan.rollout, plan]]);
  let listed = [{ ...walk.state }];
  const follower = startFollower(
    { runs: async () => listed, events: async (_run, from) => walk.log.filter((one) => one.seq >= from) },
    plans,
  );
  const shown = () => timelineOf({ written: plan, paced: plan }, follower.run(), walk.wall);
  try {
    expect(shown().status).toBe("NOT STARTED");
    await until("it is seen", () => follower.run() !== undefined);
    expect([shown().status, shown().moves]).not.toContain("COMPLETED");
    walk.until("completed");
    listed = [];
    await until("it has ended", () => follower.run()?.phase === "completed");
    expect(shown()).toMatchObject({ status: "COMPLETED", moves: false, at: plan.stages.length - 1 });
    expect(new Set(shown().stops.map((stop) => stop.mark))).toEqual(new Set(["done"]));
  } finally {
    await follower.stop();
  }
});

describe("what to do next", () => {
  const timeline: Timeline = {
    rollout: "ingestion",
    status: "SOAKING",
    says: "",
    stops: [],
    at: 4.2,
    atName: "Hour 7",
    moves: true,
  };
  const standing: Standing = {
    belayUp: true,
    prometheusUp: true,
    slackUp: true,
    mode: "none",
    parallelOn: true,
    rollbacks: 0,
    timeline,
    live: true,
    locked: [],
    holds: [],
    inReview: false,
  };
  const idle = (status: string): Partial<Standing> => ({ live: false, timeline: { ...timeline, status } });

  test.each<readonly [string, Partial<Standing>, RegExp]>([
    ["nothing was started", { ...idle("NOT STARTED"), parallelOn: false }, /start ingestion$/],
    ["it walks", { parallelOn: false }, /needs nothing from you/],
    ["parallel is on", {}, /\[Break parallel\].* break$/],
    ["parallel is broken", { mode: "errors" }, /two bad measurements of three/],
    [
      "parallel is broken and nobody watches",
      { ...idle("COMPLETED"), mode: "errors" },
      /nobody watches.* mend$/,
    ],
    ["off and locked, still broken", { mode: "errors", parallelOn: false, locked: ["parallel"] }, / mend$/],
    ["off and locked, mended", { parallelOn: false, locked: ["parallel"] }, /unlock parallel because/],
    ["unlocked", { parallelOn: false, holds: ["rolled_back"] }, /enable parallel$/],
    ["held by a person", { holds: ["person"] }, /rollout resume$/],
    ["in review", { inReview: true }, /signoff go/],
    ["completed", idle("COMPLETED"), /Completed/],
    ["Belay is down, and so is Prometheus", { belayUp: false, prometheusUp: false }, /Belay is gone/],
    ["Prometheus is down", { prometheusUp: false }, /notices within seconds.* prometheus$/],
    ["blind", { prometheusUp: false, holds: ["blind"] }, /Belay is blind.* prometheus$/],
    [
      "blind and broken",
      { prometheusUp: false, holds: ["blind"], mode: "errors" },
      /rollout rollback prometheus$/,
    ],
    [
      "Prometheus is down, nothing is watched",
      { ...idle("NOT STARTED"), prometheusUp: false },
      /Nothing is being watched/,
    ],
    ["Slack is down", { slackUp: false }, /rollback happens all the same.* break$/],
    ["Slack is down in a breach", { slackUp: false, mode: "crash" }, /needs no Slack/],
    ["Slack is down, nothing to break", { slackUp: false, parallelOn: false }, /\[Start Slack\].* slack$/],
  ])("when %s", (_, more, says) => {
    const { text, line = "", press = "" } = nextOf({ ...standing, ...more });
    expect([text, line, press].filter((part) => part !== "").join(" ")).toMatch(says);
  });
});
