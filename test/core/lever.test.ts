/** The second lever, OFFs that are refused, and flags that are not what they were: the way back when the flag system itself is the trouble. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { ANA, operator, planOf } from "../support/plans.ts";
import { allOn, Walk } from "./walk.ts";

const BASE = planOf();
const LEVER: Partial<Plan> = {
  outside: { ...BASE.outside, lever: { kind: "file", path: "/etc/kill-switch.json" } },
};

/** The flag system takes nothing any more. */
function gone(walk: Walk): void {
  walk.shop.reads = false;
  walk.shop.takes = false;
  walk.more = { backwardFailingSince: walk.steady };
}

describe("the second lever", () => {
  it("is pulled when the flag system has not taken an OFF for ten seconds, and not before", () => {
    const walk = allOn(LEVER);
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(9 * SECOND);
    expect(walk.last("lever_pulled")).toBeUndefined();
    walk.pass(2 * SECOND);
    expect(walk.last("lever_pulled")).toMatchObject({
      flags: ["c"],
      why: expect.stringContaining("not taken for 10 s"),
    });
    expect(walk.state.lever?.flags).toEqual(["c"]);
  });

  it("is pulled as soon as the file says", () => {
    const lever = { kind: "file", path: "/k", after: 2 * SECOND };
    const walk = allOn({ outside: { ...BASE.outside, lever } });
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(3 * SECOND);
    expect(walk.last("lever_pulled")?.flags).toEqual(["c"]);
  });

  it("is pulled at once when the flag system refuses for good", () => {
    const walk = allOn(LEVER);
    walk.deaf.add("c");
    walk.more = { backwardRefused: "403: the token may not change production" };
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(SECOND);
    expect(walk.last("lever_pulled")).toMatchObject({
      flags: ["c"],
      why: "403: the token may not change production",
    });
  });

  it("is never pulled while the flag system works, nor where there is none", () => {
    const walk = allOn(LEVER);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(MINUTE);
    expect(walk.last("lever_pulled")).toBeUndefined();
    const without = allOn();
    gone(without);
    without.ask({ kind: "rollback", to: "newest" });
    without.pass(2 * MINUTE);
    expect(without.last("lever_pulled")).toBeUndefined();
    expect(without.last("paged")?.summary).toContain("not read back after");
  });

  it("lets the look begin when it holds and the service works with it; the flag system is still owed the OFF", () => {
    const walk = allOn(LEVER);
    gone(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("lever_pulled");
    walk.pass(5 * SECOND);
    expect(walk.state.phase).toBe("rolling_back");
    // The service reads the lever.
    walk.store.set("c", { setting: OFF, version: 9 });
    walk.more = { ...walk.more, leverHolds: ["c"] };
    walk.pass(2 * SECOND);
    expect(walk.last("rollback_off")).toEqual({ kind: "rollback_off", by: "lever" });
    expect(walk.last("rollback_confirmed")).toMatchObject({ seenBy: "lever" });
    expect(walk.state.phase).toBe("looking");
    // Nothing is said to be over while the flag system has not taken it.
    walk.pass(10 * MINUTE);
    expect(walk.state.phase).toBe("looking");
    walk.store.set("c", { setting: ON, version: 10 });
    walk.shop.reads = true;
    walk.shop.takes = true;
    walk.more = { leverHolds: ["c"] };
    walk.until("recovered");
    expect(walk.setting("c")).toEqual(OFF);
  });

  it("stands in the way of going forward until it is released where it is", () => {
    const walk = allOn(LEVER);
    walk.deaf.add("c");
    walk.more = { backwardRefused: "403" };
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.state.lever?.flags).toEqual(["c"]);
    walk.deaf.delete("c");
    walk.more = { leverHolds: ["c"] };
    walk.until("recovered");
    walk.ask({ kind: "unlock", flags: ["c"], because: "mended" });
    walk.ask({ kind: "set_end", end: 2 });
    walk.pass(5 * MINUTE);
    expect(walk.setting("c")).toEqual(OFF);
    expect(walk.ask({ kind: "advance" })).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("the second lever (/etc/kill-switch.json) still holds FEATURE_C off"),
    });
    walk.more = { leverHolds: [] };
    walk.until("stage_started");
    expect(walk.setting("c")).toEqual(ON);
  });
});

describe("an OFF that is refused for good", () => {
  it("pages at once, with the step to do by hand and the place, and once", () => {
    const walk = allOn();
    walk.deaf.add("c");
    walk.more = { backwardRefused: "401: the token is not valid any more" };
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(2 * SECOND);
    expect(walk.last("paged")?.summary).toMatch(
      /an OFF is refused \(401: the token is not valid any more\)\. By hand, in Belay's own flags\.json.*: set FEATURE_C to OFF/,
    );
    walk.pass(5 * MINUTE);
    expect(walk.log.filter(({ event }) => event.kind === "paged")).toHaveLength(1);
  });
});

describe("a flag that was deleted and made anew", () => {
  function known(): Walk {
    const walk = new Walk(planOf());
    for (const name of ["a", "b", "c"]) walk.ids.set(name, `made-${name}-1`);
    return walk.start();
  }

  it("holds and pages before its stage, and never turns it on", () => {
    const walk = known();
    walk.until("stage_enabled");
    walk.ids.set("b", "made-b-2");
    walk.pass(3 * SECOND);
    expect(hasHold(walk.state, "flag_replaced")).toBe(true);
    expect(walk.last("paged")?.summary).toContain("FEATURE_B was deleted and made anew");
    walk.pass(3 * 60 * MINUTE, 10 * SECOND);
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.log.filter(({ event }) => event.kind === "held")).toHaveLength(1);
  });

  it("goes on when a person has looked and resumes", () => {
    const walk = known();
    walk.until("stage_enabled");
    walk.ids.set("b", "made-b-2");
    walk.pass(3 * SECOND);
    expect(walk.ask({ kind: "resume" }).kind).toBe("events");
    walk.until("stage_enabled", 3 * 60 * MINUTE);
    expect(walk.setting("b")).toEqual(ON);
  });

  it("never stops a rollback", () => {
    const walk = known();
    walk.until("stage_enabled");
    walk.ids.set("a", "made-a-2");
    walk.pass(3 * SECOND);
    walk.ask({ kind: "rollback", to: -1 }, operator(ANA));
    walk.until("rollback_off");
    expect(walk.setting("a")).toEqual(OFF);
  });
});

describe("a change by somebody", () => {
  it("is told with the name that the flag system gives", () => {
    const walk = allOn();
    walk.edit("c", OFF);
    walk.more = { changedBy: { c: "carol@example.org" } };
    walk.pass(2 * SECOND);
    expect(walk.last("drift_found")).toMatchObject({ flag: "c", by: "carol@example.org" });
    expect(walk.last("held")?.detail).toContain("c was set OFF by carol@example.org");
  });
});

describe("a flag system that does not let itself be read any more", () => {
  it("is paged at once, once for each stage, and named as what the next step waits for", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.shop.reads = false;
    walk.more = { readRefused: "401: the token is not valid any more" };
    walk.pass(3 * SECOND);
    expect(walk.last("paged")?.summary).toContain(
      "the flag system refuses Belay (401: the token is not valid any more)",
    );
    walk.pass(3 * 60 * MINUTE, 10 * SECOND);
    expect(walk.log.filter(({ event }) => event.kind === "paged")).toHaveLength(1);
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.ask({ kind: "advance" })).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("connection refused"),
    });
  });
});
