/** The second lever in every phase, and in a later rollback: pulled for each OFF that is owed, on record, and for nothing else. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { percents, planOf } from "../support/plans.ts";
import { allOn, Walk } from "./walk.ts";

const BASE = planOf();
const LEVER: Partial<Plan> = {
  outside: { ...BASE.outside, lever: { kind: "file", path: "/etc/kill-switch.json" } },
};

function gone(walk: Walk): void {
  walk.shop.reads = false;
  walk.shop.takes = false;
  walk.more = { backwardFailingSince: walk.steady };
}

function back(walk: Walk): void {
  walk.shop.reads = true;
  walk.shop.takes = true;
  walk.more = { leverHolds: [] };
}

describe("the second lever", () => {
  it("is pulled for a quarantined run too", () => {
    const walk = allOn(LEVER);
    walk.commit([{ kind: "quarantined", error: "a bug" }]);
    gone(walk);
    walk.ask({ kind: "rollback", to: -1 });
    // A run that goes back is not stuck any more; one that is quarantined meanwhile is.
    walk.commit([{ kind: "quarantined", error: "another bug" }]);
    walk.pass(15 * SECOND);
    expect(walk.state.phase).toBe("stuck");
    expect(walk.last("lever_pulled")?.flags).toEqual(["c", "b", "a"]);
  });

  it("is pulled for an OFF that comes after the look has begun", () => {
    const walk = allOn(LEVER);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_confirmed");
    walk.pass(SECOND);
    walk.edit("c", ON, "r-1.0.c");
    gone(walk);
    walk.shop.reads = true;
    walk.pass(2 * SECOND);
    expect(walk.last("flip_corrected")).toBeDefined();
    walk.pass(15 * SECOND);
    expect(walk.state.phase).toBe("looking");
    expect(walk.last("lever_pulled")?.flags).toEqual(["c"]);
  });

  it("is pulled for a stage that is withdrawn while the flag system is gone", () => {
    const walk = new Walk(planOf(LEVER)).start();
    walk.until("stage_enabled");
    walk.deaf.add("b");
    walk.until("stage_started");
    walk.shop.reads = false;
    walk.shop.takes = false;
    walk.until("stage_withdrawn");
    walk.more = { backwardFailingSince: walk.steady };
    walk.pass(15 * SECOND);
    expect(walk.last("lever_pulled")?.flags).toEqual(["b"]);
  });

  it("is not pulled for what a withdrawal sets on: a person may have turned that off meanwhile", () => {
    const walk = new Walk(planOf({ ...LEVER, stages: [percents("a", 0, [5, 50])] })).start();
    walk.until("stage_enabled");
    walk.deaf.add("a");
    walk.until("stage_started");
    walk.shop.reads = false;
    walk.shop.takes = false;
    walk.until("stage_withdrawn");
    walk.more = { backwardFailingSince: walk.steady };
    walk.pass(2 * MINUTE);
    expect(walk.last("lever_pulled")).toBeUndefined();
    expect(walk.last("paged")?.summary).toContain("not read back after");
  });

  it("has the patience of the file again in a later rollback: a moment's fault does not pull it", () => {
    const walk = allOn(LEVER);
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("lever_pulled");
    back(walk);
    walk.until("recovered");
    const before = walk.log.filter(({ event }) => event.kind === "lever_pulled").length;
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(3 * SECOND);
    expect(walk.log.filter(({ event }) => event.kind === "lever_pulled")).toHaveLength(before);
    walk.pass(10 * SECOND);
    expect(walk.last("lever_pulled")?.flags).toEqual(["b"]);
  });

  it("is pulled anew, on record, for the same flag in a later rollback", () => {
    const walk = allOn(LEVER);
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("lever_pulled");
    back(walk);
    walk.until("recovered");
    walk.ask({ kind: "unlock", flags: ["c"], because: "mended" });
    walk.ask({ kind: "set_end", end: 2 });
    walk.until("stage_enabled");
    expect(walk.setting("c")).toEqual(ON);
    const before = walk.log.filter(({ event }) => event.kind === "lever_pulled").length;
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(MINUTE);
    expect(walk.log.filter(({ event }) => event.kind === "lever_pulled")).toHaveLength(before + 1);
    expect(walk.setting("c")).not.toEqual(OFF);
  });
});
