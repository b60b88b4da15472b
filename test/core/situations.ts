/** One walk for each situation that a rollout can be in, for tables over all of them. */
import type { Plan } from "../../src/core/plan.ts";
import { ON } from "../../src/core/setting.ts";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import { baseline, planOf, review, stage } from "../support/plans.ts";
import { Walk } from "./walk.ts";

function until(walk: Walk, index: number): Walk {
  while (walk.state.stages[index]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

const approved: Partial<Plan> = {
  stages: [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } }), stage("c", HOUR)],
};

/** Fresh walks, by situation. */
export const SITUATIONS = {
  scheduled: () => new Walk(planOf()).start({ delayMs: HOUR }),
  enabling: () => {
    const walk = new Walk(planOf());
    walk.view = "silent";
    return walk.start();
  },
  soaking: () => until(new Walk(planOf()).start(), 1),
  waiting: () => {
    const walk = new Walk(
      planOf({ stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR), stage("c", 2 * HOUR)] }),
    ).start();
    walk.until("soak_passed");
    return walk;
  },
  held: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.ask({ kind: "hold", because: "lunch" });
    return walk;
  },
  blind: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.says.set("failures", "nan");
    walk.until("held");
    return walk;
  },
  approval: () => {
    const walk = new Walk(planOf(approved)).start();
    walk.until("approval_requested");
    return walk;
  },
  asking: () =>
    new Walk(planOf({ stages: [baseline(0, ["a", "b", "c"]), stage("a", HOUR), stage("b", 2 * HOUR)] }), {
      b: ON,
    }).start(),
  review: () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0), review(20 * MINUTE), stage("b", HOUR)] })).start();
    walk.until("review_opened");
    return walk;
  },
  going_back: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.shop.takes = false;
    walk.ask({ kind: "rollback", to: "newest" });
    return walk;
  },
  looking: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_confirmed");
    return walk;
  },
  locked: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("recovered");
    return walk;
  },
  not_cause: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    return walk;
  },
  completed: () => {
    const walk = new Walk(planOf()).start();
    walk.until("completed");
    return walk;
  },
  stopped: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.ask({ kind: "stop", confirmed: true });
    return walk;
  },
  rolled_back: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    return walk;
  },
  stuck: () => {
    const walk = until(new Walk(planOf()).start(), 1);
    walk.commit([{ kind: "quarantined", error: "x" }]);
    return walk;
  },
} as const satisfies Record<string, () => Walk>;

export type Situation = keyof typeof SITUATIONS;
