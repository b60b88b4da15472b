/** A rollout beside a trend: nothing waits for it, whatever it says; what it finds is paged, or holds. */
import { describe, expect, it } from "vitest";
import { worstBound } from "../../src/core/bound.ts";
import { leastSoakMs, type Plan, type TrendGuard } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { planLines } from "../../src/core/report/lines.ts";
import { lookUntil } from "../../src/core/rollout/backward.ts";
import { guardsBefore, nextForward } from "../../src/core/rollout/forward.ts";
import { watchedGuards } from "../../src/core/rollout/world.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { GUARDS, memory, planOf, SCRAPE_MS } from "../support/plans.ts";
import { bad, good, type Says, Walk } from "./walk.ts";

function withTrend(extra: Partial<TrendGuard> = {}): Plan {
  return planOf({ guards: [...GUARDS, memory(extra)] });
}

/** What happens from start to end and when, without bookkeeping; the trend says the same all the time. */
function course(plan: Plan, says?: Says): readonly string[] {
  const walk = new Walk(plan);
  if (says !== undefined) walk.says.set("memory", says);
  walk.start();
  const begin = walk.steady;
  walk.until("completed", 60 * MINUTE);
  const told = new Set(walk.kinds().filter((kind) => kind !== "paged"));
  return walk.log
    .filter(({ event }) => told.has(event.kind))
    .map(({ at, event }) => `${event.kind} ${at - begin}`);
}

describe("a rollout advances beside a trend as without one", () => {
  const alone = course(planOf());
  const level = memory().limit;

  it.each<[string, Says]>([
    ["passes", good(memory())],
    ["has no evidence yet", "few_samples"],
    ["has several series", "many_series"],
    ["is stale", "stale"],
    ["cannot be asked", "down"],
    ["is never answered", "silent"],
    ["rises, and only pages", bad(memory())],
    ["is above its limit without rising", level * 0.7],
  ])("that %s", (_name, says) => {
    expect(course(withTrend(), says)).toEqual(alone);
  });

  it.each<[string, Says]>([
    ["passes", good(memory())],
    ["has no evidence yet", "few_samples"],
    ["cannot be asked", "down"],
    ["is never answered", "silent"],
  ])("that would hold, and %s", (_name, says) => {
    expect(course(withTrend({ consequence: "hold" }), says)).toEqual(alone);
  });

  it("by a soak, a look and a worst case of the same length, and without asking it before a stage", () => {
    const plan = withTrend();
    expect(leastSoakMs(plan.guards, SCRAPE_MS)).toBe(leastSoakMs(GUARDS, SCRAPE_MS));
    expect(worstBound(plan)).toEqual(worstBound(planOf()));
    const walk = new Walk(plan).start().pass(2 * MINUTE);
    expect(watchedGuards(plan, walk.state).map((guard) => guard.name)).toContain("memory");
    expect(guardsBefore(plan, walk.state, 1).map((guard) => guard.name)).toEqual(["failures", "alive"]);
    walk.says.set("failures", 0.5);
    walk.until("rollback_confirmed");
    expect(walk.state.phase).toBe("looking");
    expect(lookUntil(plan, walk.state)).toBe(lookUntil(planOf(), walk.state));
    walk.says.set("failures", 0);
    walk.until("recovered", 3 * MINUTE);
  });
});

describe("a trend that rises towards its limit", () => {
  it("pages once in an epoch, in words, and the rollout goes on", () => {
    const walk = new Walk(withTrend());
    walk.says.set("memory", bad(memory()));
    walk.start().pass(9 * MINUTE);
    const pages = walk.log.filter(({ event }) => event.kind === "paged");
    expect(pages.map(({ event }) => event)).toEqual([
      {
        kind: "paged",
        key: `r-1.guard.memory.${walk.state.epoch.at}`,
        severity: "P2",
        summary: "demo: memory: +256 MiB/h, limit in 24 min: reaches 1 GiB within 4 h",
      },
    ]);
    expect(walk.state.holds).toEqual([]);
    walk.until("stage_started", 5 * MINUTE);
  });

  it("holds where the file says so, until it has gone and a person resumes", () => {
    const walk = new Walk(withTrend({ consequence: "hold", intervalMs: MINUTE }));
    walk.start().pass(5 * MINUTE);
    walk.says.set("memory", bad(memory()));
    walk.until("held", 2 * MINUTE);
    expect(walk.state.holds).toMatchObject([
      { reason: "guard", detail: "memory: +256 MiB/h, limit in 24 min: reaches 1 GiB within 4 h" },
    ]);
    walk.pass(15 * MINUTE);
    expect(nextForward(walk.plan, walk.state, walk.world(), walk.now())).toMatchObject({ code: "held" });
    expect(walk.ask({ kind: "resume" })).toMatchObject({ kind: "refused", code: "guard" });
    // The process was restarted: for an hour there is nothing to judge, and nothing to hold for.
    walk.says.set("memory", "few_samples");
    walk.pass(2 * MINUTE);
    expect(walk.ask({ kind: "resume" }).kind).toBe("events");
    walk.until("completed", 60 * MINUTE);
  });

  it("takes nothing back, also while others do", () => {
    const walk = new Walk(withTrend());
    walk.says.set("memory", bad(memory()));
    walk.start().pass(3 * MINUTE);
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.cause).toMatchObject({ kind: "breach", guard: "failures" });
    walk.says.set("failures", 0);
    walk.until("recovered", 3 * MINUTE);
  });

  it("does not keep a blind rollout blind", () => {
    const walk = new Walk(withTrend());
    walk.says.set("memory", "down");
    walk.start().pass(2 * MINUTE);
    walk.says.set("failures", "empty");
    walk.until("held", MINUTE);
    walk.says.set("failures", 0);
    expect(walk.until("resumed", MINUTE).event).toMatchObject({ reasons: ["blind"] });
  });
});

describe("what people see", () => {
  it("in the plan", () => {
    const lines = planLines(withTrend({ stages: ["b"] }));
    expect(lines).toContain(
      "guard memory: must not rise to 1 GiB within 4 h, every 10 min, then page; nothing waits for it in b",
    );
  });

  it("on the card", () => {
    const walk = new Walk(withTrend()).start().pass(20 * SECOND);
    const shown = (figure: { readonly value?: number; readonly words?: string; readonly trouble?: string }) =>
      cardOf({
        plan: walk.plan,
        state: walk.state,
        world: walk.world(),
        figures: { memory: { ...figure, at: walk.steady } },
        now: walk.now(),
      }).figures.find((one) => one.guard === "memory")?.text;
    expect(shown({ value: 812 * 1024 ** 2, words: "+38 MiB/h, limit in 5.6 h" })).toBe(
      "812 MiB (+38 MiB/h, limit in 5.6 h)",
    );
    expect(shown({ trouble: "2 blocks of 10 min; a trend needs 6" })).toBe(
      "no evidence: 2 blocks of 10 min; a trend needs 6",
    );
  });
});
