/** An ask that is taken back when people have done a part of it: what is on stays within reach of `rollback all`. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { OFF, ON, percentSetting } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { planOf, set, stage, step } from "../support/plans.ts";
import { Walk } from "./walk.ts";

const BOTH: Partial<Plan> = {
  stages: [stage("a", 0), stage("both", 10 * MINUTE, { substages: [step(10 * MINUTE, set("b"), set("c"))] })],
};

/** a is on, people were asked for b and c and have set b. */
function half(): Walk {
  const walk = new Walk(planOf(BOTH)).start({ mode: "observe" });
  walk.edit("a", ON);
  walk.until("stage_enabled");
  walk.until("stage_started");
  walk.edit("b", ON);
  walk.pass(5 * SECOND);
  expect(walk.state.flips["b"]?.verifiedAt).toBeDefined();
  return walk;
}

describe("what people have set of an ask that is taken back", () => {
  it("goes back with `rollback all` after Belay was let flip again", () => {
    const walk = half();
    walk.says.set("failures", "silent");
    walk.ask({ kind: "hold" });
    walk.ask({ kind: "mode", mode: "act" });
    expect(walk.last("stage_withdrawn")).toBeDefined();
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(10 * SECOND);
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("goes back with `rollback all` after somebody set the other flag otherwise", () => {
    const walk = half();
    walk.edit("c", percentSetting(5));
    walk.pass(5 * SECOND);
    expect(walk.last("stage_withdrawn")).toBeDefined();
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(10 * SECOND);
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.setting("c")).toEqual(OFF);
  });
});
