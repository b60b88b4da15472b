/** A deploy while a review in the middle of a plan is open: the soak before it begins anew, and the next stage waits for it. */
import { expect, it } from "vitest";
import { hasHold } from "../../src/core/rollout/state.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { planOf, review, stage } from "../support/plans.ts";
import { Walk } from "./walk.ts";

function reviewed(): Walk {
  const plan = planOf({
    stages: [stage("a", 0), review(10 * MINUTE), stage("b", 12 * MINUTE)],
    deploys: { version: "v", label: "version", started: "s" },
  });
  const walk = new Walk(plan);
  walk.service = { versions: ["1"], startedWall: undefined, at: walk.steady };
  walk.start();
  walk.until("review_opened");
  walk.service = { versions: ["2"], startedWall: undefined, at: walk.steady };
  walk.pass(5 * SECOND);
  expect(hasHold(walk.state, "unattributed")).toBe(true);
  expect(walk.ask({ kind: "resume" }).kind).toBe("events");
  return walk;
}

it("a deploy while a review is open: the soak begins anew, whatever the review says", () => {
  const walk = reviewed();
  const from = walk.steady;
  walk.ask({ kind: "signoff", decision: "go" });
  const next = walk.until("stage_started");
  expect(next.at - from).toBeGreaterThanOrEqual(9 * MINUTE);
});

it("a soak that a review has outlived can be advanced early like any other", () => {
  const walk = reviewed();
  const from = walk.steady;
  walk.ask({ kind: "signoff", decision: "go" });
  walk.pass(SECOND);
  expect(walk.ask({ kind: "advance" }).kind).toBe("events");
  const next = walk.until("stage_started");
  expect(next.at - from).toBeLessThan(5 * MINUTE);
});
