/** A live rollout in a few words: a next step is named only where one comes by itself. */
import { describe, expect, it } from "vitest";
import type { RolloutFact } from "../../src/core/report/health-post.ts";
import { rolloutFact } from "../../src/core/report/rollout-fact.ts";
import { SITUATIONS, type Situation } from "./situations.ts";

function factOf(situation: Situation): RolloutFact {
  const walk = SITUATIONS[situation]();
  return rolloutFact({
    plan: walk.plan,
    state: walk.state,
    world: walk.world(),
    figures: {},
    now: walk.now(),
  });
}

describe("a rollout in a post", () => {
  it.each([
    ["held", "HELD"],
    ["blind", "HELD, BLIND"],
    ["locked", "ROLLED BACK, HELD"],
    ["not_cause", "HELD"],
    ["going_back", "ROLLING BACK"],
    ["looking", "OFF, LOOKING"],
    ["stuck", "QUARANTINED"],
  ] as const)("that is %s says %s and has no next step", (situation, trouble) => {
    const fact = factOf(situation);
    expect(fact.trouble).toBe(trouble);
    expect(fact.stands).toMatch(new RegExp(`^${trouble.toLowerCase()}, `));
    expect(fact).not.toHaveProperty("nextWall");
    expect(fact).not.toHaveProperty("nextStep");
  });

  it.each(["scheduled", "soaking", "waiting"] as const)("that is %s has its next step", (situation) => {
    const fact = factOf(situation);
    expect(fact.trouble).toBeUndefined();
    expect(fact.nextStep).toEqual(expect.any(String));
    expect(fact.nextWall).toEqual(expect.any(Number));
  });
});
