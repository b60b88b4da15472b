/** Asking how far the work is: how often, what counts as an answer, as of when during a look, and its end. */
import { describe, expect, it } from "vitest";
import type { Answer } from "../../src/core/measurement.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { Progress } from "../../src/engine/progress.ts";
import { MONDAY, Walk } from "../core/walk.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { planOf } from "../support/plans.ts";

const PLAN = planOf({ progress: { query: "max(records)", unit: "records", of: 500 } });

function vector(...values: readonly string[]): Answer {
  const result = values.map((value) => ({ metric: {}, value: [0, value] }));
  return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
}

/** A plan's progress over a Prometheus that answers what it is told to; `asked`: the wall ms of evaluation. */
function bench(plan: Plan = PLAN, state?: () => State) {
  const { state: begun } = new Walk(PLAN).start();
  const clock = new ManualClock(MONDAY);
  const asked: number[] = [];
  const world = { answer: vector("41200") };
  const metrics: Metrics = {
    query: async (promql, atWall) => {
      expect(promql).toBe("max(records)");
      asked.push(atWall);
      return world.answer;
    },
    queryRange: () => Promise.reject(new Error("nobody asks for a range")),
  };
  const progress = new Progress({ clock, metrics, plan, state: state ?? (() => begun) });
  return { clock, asked, world, progress };
}

describe("progress", () => {
  it("is asked at each scrape, and at the end no more", async () => {
    const { clock, asked, progress } = bench();
    const running = progress.run();
    await clock.advance(3 * 5 * SECOND - 1);
    expect(asked).toEqual([0, 5, 10].map((s) => MONDAY + s * SECOND));
    expect(progress.seen()).toEqual({ progress: 41_200 });
    progress.stop();
    await running;
    await clock.advance(MINUTE);
    expect(asked).toHaveLength(3);
  });

  it.each([
    [200, SECOND],
    [MINUTE, 15 * SECOND],
  ])("with scrapes every %d ms every %d ms", async (scrapeMs, everyMs) => {
    const { clock, asked, progress } = bench({ ...PLAN, scrapeMs });
    const running = progress.run();
    await clock.advance(everyMs);
    expect(asked).toEqual([MONDAY, MONDAY + everyMs]);
    progress.stop();
    await running;
  });

  it.each<[string, Answer]>([
    ["nothing", vector()],
    ["two series", vector("1", "2")],
    ["NaN", vector("NaN")],
    ["less than nothing", vector("-1")],
    ["a Prometheus that is down", { kind: "down", reason: "refused", detail: "connection refused" }],
    ["no JSON of Prometheus", { kind: "body", body: "hello" }],
  ])("%s is no answer, and the one before is forgotten", async (_name, answer) => {
    const { world, progress } = bench();
    await progress.askNow();
    expect(progress.seen()).toEqual({ progress: 41_200 });
    world.answer = answer;
    await progress.askNow();
    expect(progress.seen()).toEqual({});
  });

  it("nought is an answer", async () => {
    const { world, progress } = bench();
    world.answer = vector("0");
    await progress.askNow();
    expect(progress.seen()).toEqual({ progress: 0 });
  });

  it("is not asked where the plan counts nothing", async () => {
    const { asked, progress } = bench(planOf());
    await progress.run();
    await progress.askNow();
    expect([asked, progress.seen()]).toEqual([[], {}]);
  });

  it("shares a question that is under way", async () => {
    const { asked, progress } = bench();
    await Promise.all([progress.askNow(), progress.askNow()]);
    expect(asked).toHaveLength(1);
  });

  it("during a look is asked as of the first scrape after the service confirmed, however long the look takes", async () => {
    const walk = new Walk(PLAN).start();
    walk.until("soak_passed");
    walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    const confirmed = walk.until("rollback_confirmed").wall;
    const { clock, asked, progress } = bench(PLAN, () => walk.state);
    clock.jump(confirmed - MONDAY);
    await progress.askNow();
    await clock.advance(MINUTE);
    await progress.askNow();
    expect(asked).toEqual([confirmed, confirmed + PLAN.scrapeMs]);
    walk.says.set("failures", 0.001);
    walk.until("recovered");
    await progress.askNow();
    expect(asked.at(-1)).toBe(confirmed + MINUTE);
  });
});
