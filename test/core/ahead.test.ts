/** Flags that people change under a live rollout: undone on request when they came ahead of plan, and what required a flag that is gone. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import {
  ANA,
  BEN,
  flag,
  flags,
  operator,
  plainFlag,
  planOf,
  review,
  stage,
  viewer,
} from "../support/plans.ts";
import { Walk } from "./walk.ts";

const labels = (walk: Walk): readonly string[] =>
  cardOf({
    plan: walk.plan,
    state: walk.state,
    world: walk.world(),
    figures: {},
    now: walk.now(),
  }).offers.map((offer) => offer.label);

/** a soaks, and somebody turned c on. */
function ahead(extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf(extra)).start();
  walk.until("stage_enabled");
  walk.edit("c", ON);
  walk.until("drift_found", MINUTE);
  return walk;
}

describe("a flag turned on ahead of plan", () => {
  it("holds and offers to adopt or to undo", () => {
    const walk = ahead();
    expect(hasHold(walk.state, "drift")).toBe(true);
    expect(labels(walk)).toEqual(expect.arrayContaining(["Undo c", "Adopt, resume"]));
    expect(walk.setting("c")).toEqual(ON);
  });

  it("undone: it goes back and is looked after, and the rollout goes on as planned", () => {
    const walk = ahead();
    expect(walk.ask({ kind: "rollback", to: 1 }, viewer(BEN))).toMatchObject({ note: "Rolling back c." });
    expect(walk.last("rollback_started")).toMatchObject({
      to: 1,
      stages: [],
      flips: [{ flag: "c", to: OFF }],
    });
    walk.until("recovered", 10 * MINUTE);
    expect([walk.setting("a"), walk.setting("c")]).toEqual([ON, OFF]);
    expect(walk.state.phase).toBe("walking");
    expect(walk.state.latched).toEqual({});
    walk.ask({ kind: "resume" });
    while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
    expect(walk.setting("c")).toEqual(ON);
  });

  it("undone before anything began: the rollout stays live", () => {
    const walk = new Walk(planOf()).start({ delayMs: 30 * MINUTE });
    walk.edit("b", ON);
    walk.until("drift_found", MINUTE);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("recovered", 10 * MINUTE);
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.state.phase).toBe("walking");
  });

  it("adopted: it stays on, and its stage begins in its time", () => {
    const walk = ahead();
    walk.ask({ kind: "resume" });
    while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
    expect(walk.kinds()).not.toContain("rollback_started");
    expect(walk.setting("c")).toEqual(ON);
  });

  it("adopted and then taken back: it is not turned on again before somebody resumes", () => {
    const walk = ahead();
    walk.ask({ kind: "resume" });
    walk.ask({ kind: "rollback", to: 1 });
    walk.until("recovered", 10 * MINUTE);
    walk.pass(60 * MINUTE, 10 * SECOND);
    expect(walk.setting("c")).toEqual(OFF);
    expect(hasHold(walk.state, "drift")).toBe(true);
  });

  it("undone during a review before it: the review stays open", () => {
    const stages = [stage("a", 0), review(20 * MINUTE), stage("b", 40 * MINUTE)];
    const walk = new Walk(planOf({ stages })).start();
    walk.until("review_opened");
    walk.edit("b", ON);
    walk.until("drift_found", MINUTE);
    walk.ask({ kind: "rollback", to: 1 });
    walk.until("recovered", 10 * MINUTE);
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.ask({ kind: "signoff", decision: "go" }).kind).toBe("events");
  });

  it("turned off ahead of plan: nobody is asked to turn it on, and taking everything back leaves it", () => {
    const plan = planOf({ flags: flags(flag("a"), flag("b"), plainFlag("c")) });
    const walk = new Walk(plan, { c: ON }).start();
    walk.until("stage_enabled");
    walk.edit("c", OFF);
    walk.until("drift_found", MINUTE);
    expect(labels(walk)).not.toContain("Undo c");
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(MINUTE);
    expect([walk.setting("a"), walk.setting("c")]).toEqual([OFF, OFF]);
  });

  it("goes with everything a person takes back, and stays when Belay takes a stage back by itself", () => {
    const byPerson = ahead();
    byPerson.ask({ kind: "rollback", to: -1 });
    byPerson.pass(10 * SECOND);
    expect([byPerson.setting("a"), byPerson.setting("c")]).toEqual([OFF, OFF]);
    const byBelay = ahead();
    byBelay.says.set("failures", 0.5);
    byBelay.until("rollback_started", 5 * MINUTE);
    byBelay.pass(10 * SECOND);
    expect([byBelay.setting("a"), byBelay.setting("c")]).toEqual([OFF, ON]);
  });

  it("that only an operator may take back is left to one", () => {
    const plan = { flags: flags(flag("a"), flag("b"), flag("c", { undo: "data" })) };
    const walk = ahead(plan);
    expect(walk.ask({ kind: "rollback", to: 1 }, viewer(BEN))).toMatchObject({ code: "nothing_to_undo" });
    expect(walk.ask({ kind: "rollback", to: 1 }, operator(ANA))).toMatchObject({ note: "Rolling back c." });
  });
});

describe("a flag that somebody turned off", () => {
  it("offers to take back what requires it, and nothing is turned on again", () => {
    const walk = new Walk(planOf()).start();
    while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
    walk.edit("a", OFF);
    walk.until("drift_found", MINUTE);
    expect(labels(walk)).toContain("Roll back b, c");
    walk.ask({ kind: "rollback", to: 0 });
    walk.pass(10 * SECOND);
    expect([walk.setting("a"), walk.setting("b"), walk.setting("c")]).toEqual([OFF, OFF, OFF]);
  });
});
