/** The ingestion rollout as shipped, walked through virtual time: the documented timeline, and a regression in its last feature. */
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { boundOf, worstBound } from "../../src/core/bound.ts";
import type { Plan } from "../../src/core/plan.ts";
import { planLines } from "../../src/core/report/lines.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { loadFolder } from "../../src/house.ts";
import { BEN, operator } from "../support/plans.ts";
import { replay } from "./promises.ts";
import { Walk } from "./walk.ts";

const FEATURES = ["parse-cache", "batching", "neo4j-batch", "parallel"] as const;
let plan: Plan;

beforeAll(async () => {
  const { plans, problems } = await loadFolder(join(import.meta.dirname, "../.."));
  expect(problems.filter((problem) => problem.level === "error")).toEqual([]);
  const found = plans.get("ingestion");
  if (found === undefined) throw new Error("the shipped files hold no rollout `ingestion`");
  plan = found;
});

function hoursOf(walk: Walk): Readonly<Record<string, number>> {
  const from = walk.log[0]?.at ?? 0;
  return Object.fromEntries(
    walk.log.flatMap(({ at, event }) =>
      event.kind === "stage_started" || event.kind === "review_opened"
        ? [[walk.plan.stages[event.stage]?.name ?? "", Math.round((10 * (at - from)) / HOUR) / 10]]
        : [],
    ),
  );
}

function settings(walk: Walk): string {
  return FEATURES.filter((name) => walk.setting(name).kind === "on").join(" ");
}

function start(): Walk {
  const walk = new Walk(plan, { metrics: ON });
  walk.says.set("cache-hits", 0.3);
  return walk.start();
}

describe("the shipped rollout", () => {
  it("promises at most 132 s from a visible breach to the last flag off", () => {
    const seconds = plan.guards.map((guard) => [guard.name, boundOf(plan, guard).totalMs / SECOND]);
    // failures: 60 s window + 15 s scrape + 2 polls of 10 s + 5 s query + 2 s flip + 30 s restart.
    expect(Object.fromEntries(seconds)).toMatchObject({ failures: 132, latency: 132, memory: 72, alive: 82 });
    expect(worstBound(plan)?.totalMs).toBe(132 * SECOND);
    expect(planLines(plan).at(-1)).toBe(
      "worst case from visible breach to off: 132 s (failures); of it the flip: 2 s, allowed",
    );
  });

  it("goes hour by hour to its review on day 2 and ends with the sign-off", () => {
    const walk = start();
    walk.until("review_opened", 60 * HOUR, 10 * SECOND);
    expect(hoursOf(walk)).toEqual({
      baseline: 0,
      "parse-cache": 1,
      batching: 3,
      "neo4j-batch": 5,
      parallel: 7,
      review: 48,
    });
    expect(settings(walk)).toBe(FEATURES.join(" "));
    walk.ask({ kind: "signoff", decision: "go" });
    expect(walk.state.phase).toBe("completed");
    expect(walk.setting("metrics")).toEqual(ON);
    expect(walk.log.length).toBeLessThan(4_000);
    expect(replay(plan, walk.log)).toEqual(walk.state);
  });

  it("a regression in parallel takes parallel back within its bound, and nothing else", () => {
    const walk = start();
    while (hoursOf(walk)["parallel"] === undefined) walk.pass(10 * MINUTE, 10 * SECOND);
    walk.pass(10 * MINUTE, SECOND);
    walk.says.set("failures", 0.08);
    const from = walk.steady;
    const off = walk.until("rollback_off");
    expect(off.at - from).toBeLessThanOrEqual(132 * SECOND);
    expect(settings(walk)).toBe("parse-cache batching neo4j-batch");
    walk.says.set("failures", 0.002);
    walk.until("recovered");

    walk.ask({ kind: "unlock", flags: ["parallel"], because: "pool size fixed" }, operator(BEN));
    walk.ask({ kind: "set_end", end: 5 }, operator(BEN));
    walk.until("review_opened", 60 * HOUR, 10 * SECOND);
    walk.ask({ kind: "signoff", decision: "go" });
    expect(walk.state.phase).toBe("completed");
    expect(settings(walk)).toBe(FEATURES.join(" "));
  });

  it("an incident that is not the rollout's goes back step by step, looking each time, and says in the end that it was not the cause", () => {
    const walk = start();
    while (hoursOf(walk)["neo4j-batch"] === undefined) walk.pass(10 * MINUTE, 10 * SECOND);
    walk.pass(10 * MINUTE);
    walk.says.set("latency", 2);
    walk.pass(HOUR);
    const back = walk.log.flatMap(({ event }) =>
      event.kind === "rollback_started" ? event.flips.map((flip) => flip.flag) : [],
    );
    expect(back).toEqual(["neo4j-batch", "batching", "parse-cache"]);
    expect(walk.kinds().filter((kind) => kind === "look_failed")).toHaveLength(3);
    expect(settings(walk)).toBe("");
    expect(walk.last("paged")?.summary).toContain(
      "this flag was not the cause. Nothing that this rollout turned on is left on.",
    );
  });

  it("a cache that nobody uses holds after half an hour, before batching", () => {
    const walk = new Walk(plan, { metrics: ON });
    walk.says.set("cache-hits", 0.01);
    walk.start();
    const held = walk.until("held", 3 * HOUR, 10 * SECOND);
    expect(held.event).toMatchObject({ reason: "expectation" });
    expect(Math.round((held.at - (walk.log[0]?.at ?? 0)) / MINUTE)).toBe(90);
    walk.pass(5 * HOUR, 10 * SECOND);
    expect(walk.setting("batching")).toEqual(OFF);
  });
});
