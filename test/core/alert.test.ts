/** Alerts as things move on: each tells of its own event, and a newer one of the same kind does not speak for it. */
import { describe, expect, it } from "vitest";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import type { Alert, AlertKind } from "../../src/core/report/told.ts";
import { MINUTE } from "../../src/core/time.ts";
import { ANA, BEN, baseline, operator, planOf, review, stage } from "../support/plans.ts";
import { Walk } from "./walk.ts";

function alert(walk: Walk, about: AlertKind, seq: number): Alert {
  const told = {
    plan: walk.plan,
    state: walk.state,
    world: walk.world(),
    figures: {},
    now: walk.now(),
    events: walk.log,
  };
  const found = alertOf(told, about, seq);
  if (found === undefined) throw new Error(`no alert about event ${seq}`);
  return found;
}

const newest = (walk: Walk, kind: RolloutEvent["kind"]): number =>
  walk.log.findLast((one) => one.event.kind === kind)?.seq ?? 0;

const textOf = ({ title, lines }: Alert): string =>
  [
    title,
    ...lines.map((one) => `${one.label}: ${one.parts.filter((part) => typeof part === "string").join("")}`),
  ].join("\n");

const approved: Partial<Plan> = {
  stages: [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } }), stage("c", 40 * MINUTE)],
};

describe("an approval", () => {
  it("that lapsed stays void when a later one for the same stage is given", () => {
    const walk = new Walk(planOf(approved)).start();
    const first = walk.until("approval_requested").seq;
    walk.until("approval_expired");
    walk.ask({ kind: "resume" });
    const second = newest(walk, "approval_requested");
    expect(textOf(alert(walk, "approval", first))).toContain("void: it lapsed");
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    expect(textOf(alert(walk, "approval", second))).toContain("approved by @ben");
    expect(textOf(alert(walk, "approval", first))).toContain("void: it lapsed");
    expect(alert(walk, "approval", first).offers).toEqual([]);
  });
});

describe("a review", () => {
  it("closed by a rollback is not signed by the sign-off of the next", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0), review(20 * MINUTE)] })).start();
    const first = walk.until("review_opened").seq;
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(5 * MINUTE);
    expect(textOf(alert(walk, "review", first))).toContain("closed without a sign-off");
  });
});

describe("a hold", () => {
  it("that was resumed stays closed when a newer one has the same reason", () => {
    const walk = new Walk(planOf({ stages: [baseline(0, ["a"]), stage("a", 20 * MINUTE)] })).start();
    walk.until("stage_enabled");
    walk.ask({ kind: "hold", because: "lunch" }, operator(ANA));
    const first = newest(walk, "held");
    expect(alert(walk, "hold", first).title).toContain("HELD");
    walk.ask({ kind: "resume" });
    walk.pass(MINUTE);
    walk.ask({ kind: "hold", because: "supper" }, operator(ANA));
    const second = newest(walk, "held");
    expect(alert(walk, "hold", second).title).toContain("HELD");
    expect(alert(walk, "hold", first)).toMatchObject({
      title: expect.stringContaining("no longer held"),
      offers: [],
    });
  });
});
