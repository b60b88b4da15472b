/** Going back: breaches and what each consequence does, the look afterwards, every unwind, and people's rollbacks from every state. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import {
  ANA,
  alive,
  BEN,
  baseline,
  failures,
  flag,
  flags,
  operator,
  percents,
  plainFlag,
  planOf,
  set,
  stage,
  step,
  viewer,
} from "../support/plans.ts";
import { allOn, Walk } from "./walk.ts";

function settings(walk: Walk): string {
  return ["a", "b", "c"].map((name) => `${name} ${walk.setting(name).kind}`).join(", ");
}

describe("a breach", () => {
  it("takes the newest stage back on the second of three bad values, and not on the first", () => {
    const walk = allOn();
    walk.pass(MINUTE);
    walk.says.set("failures", 0.5);
    walk.pass(10 * SECOND);
    expect(walk.state.phase).toBe("walking");
    walk.pass(10 * SECOND);
    expect(walk.last("rollback_started")).toMatchObject({ to: 1, stages: [2], by: { kind: "belay" } });
    expect(settings(walk)).toBe("a on, b on, c off");
  });

  it("names the guard, the figure, and the first bad measurement", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    const from = walk.steady;
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.cause).toMatchObject({
      kind: "breach",
      guard: "failures",
      reason: "over_limit",
      detail: "50 % > 2 %, 2 of 3 bad",
    });
    expect(walk.state.rollback?.breachAt).toBeGreaterThan(from);
    expect(walk.state.rollback?.breachAt).toBeLessThanOrEqual(from + 10 * SECOND);
  });

  it("locks what was taken back, and holds after the look has passed", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect(walk.state.phase).toBe("walking");
    expect(hasHold(walk.state, "rolled_back")).toBe(true);
    expect(Object.keys(walk.state.latched)).toEqual(["c"]);
    expect(walk.kinds().slice(-5)).toEqual([
      "rollback_started",
      "rollback_off",
      "rollback_confirmed",
      "recovered",
      "held",
    ]);
  });

  it("takes all substages of a stage of percentages back at once", () => {
    const walk = new Walk(
      planOf({ stages: [stage("a", 0), percents("b", 10 * MINUTE, [5, 50, 100])] }),
    ).start();
    while (walk.state.stages[1]?.substage !== 1 || walk.state.stages[1]?.status !== "soaking")
      walk.until("stage_enabled");
    expect(walk.setting("b")).toEqual({ kind: "percent", percent: 50 });
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(walk.setting("b")).toEqual(OFF);
    expect(walk.state.stages[1]).toMatchObject({ status: "undone", substage: 0 });
  });

  it("takes all flags of a stage back, the last one first", () => {
    const both = stage("pair", 0, { substages: [step(10 * MINUTE, set("a"), set("b"))] });
    const walk = new Walk(planOf({ stages: [both] })).start();
    walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.flips.map((flip) => flip.flag)).toEqual(["b", "a"]);
  });

  it("writes the declared safe value, else the recorded one, never nothing", () => {
    const plan = planOf({
      flags: flags(
        flag("a", { safe: ON }),
        plainFlag("b"),
        plainFlag("c", { safe: { kind: "value", value: "10" } }),
      ),
      stages: [
        stage("limits", 0, {
          substages: [step(10 * MINUTE, set("a", { kind: "value", value: "7" }), set("b"), set("c"))],
        }),
      ],
    });
    const walk = new Walk(plan, { b: { kind: "value", value: "old" } }).start();
    walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(walk.setting("a")).toEqual(ON);
    expect(walk.setting("b")).toEqual({ kind: "value", value: "old" });
    expect(walk.setting("c")).toEqual({ kind: "value", value: "10" });
  });

  it("takes a value back to what an earlier stage set, not to nothing", () => {
    const limit = (name: string, at: number, value: string) =>
      stage(name, at, { substages: [step(10 * MINUTE, set("a", { kind: "value", value }))] });
    const walk = new Walk(
      planOf({ stages: [limit("ten", 0, "10"), limit("hundred", 10 * MINUTE, "100")] }),
    ).start();
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(walk.setting("a")).toEqual({ kind: "value", value: "10" });
  });

  it("of a dead service counts when another target is up: target_down", () => {
    const walk = allOn();
    walk.says.set("alive", 0);
    walk.says.set("failures", "stale");
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.cause).toMatchObject({
      kind: "breach",
      guard: "alive",
      reason: "target_down",
    });
  });

  it("rolls back while a person holds, and while blind in another guard", () => {
    const walk = allOn({ guards: [failures(), failures({ name: "other" }), alive()] });
    walk.ask({ kind: "hold" });
    walk.says.set("other", "empty");
    walk.pass(20 * SECOND);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["person", "blind"]);
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.stages).toEqual([2]);
  });

  it("rolls back while an approval is waited for, and voids it", () => {
    const stages = [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } })];
    const walk = new Walk(planOf({ stages })).start();
    walk.until("approval_requested");
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.stages).toEqual([0]);
    expect(walk.state.approval).toBeUndefined();
  });

  it("after the last stage passed, in review, still rolls back and closes the review", () => {
    const stages = [stage("a", 0), stage("review", 20 * MINUTE, { substages: [], review: "manual" })];
    const walk = new Walk(planOf({ stages })).start();
    walk.until("review_opened");
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.state.review).toBeUndefined();
    expect(walk.state.stages.map((one) => one.status)).toEqual(["undone", "pending"]);
  });

  it("with nothing on holds, pages once, and changes nothing", () => {
    const walk = new Walk(planOf(), {});
    walk.says.set("failures", 0.5);
    walk.start();
    walk.pass(10 * MINUTE);
    expect(walk.kinds()).toEqual(["rollout_started", "held", "paged"]);
    expect(walk.state.holds[0]?.reason).toBe("breach_not_ours");
  });
});

describe("then: of a guard in breach", () => {
  it("emergency takes everything back at once, newest first", () => {
    const walk = allOn({ guards: [failures({ consequence: "emergency" }), alive()] });
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")).toMatchObject({ to: -1, stages: [2, 1, 0] });
    expect(walk.last("rollback_started")?.flips.map((flip) => flip.flag)).toEqual(["c", "b", "a"]);
  });

  it("emergency while a smaller rollback runs takes the rest as well", () => {
    const walk = allOn({
      guards: [failures(), failures({ name: "heap", consequence: "emergency" }), alive()],
    });
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    walk.says.set("heap", 0.5);
    walk.until("rollback_started");
    expect(walk.state.rollback?.flags).toEqual(["c", "b", "a"]);
    expect(walk.state.rollback?.stages).toEqual([2, 1, 0]);
    expect(walk.state.rollback?.breachAt).toBeDefined();
  });

  it("hold only holds, once, and waits for a person", () => {
    const walk = allOn({ guards: [failures({ consequence: "hold" }), alive()] });
    const from = walk.log.length;
    walk.says.set("failures", 0.5);
    walk.pass(10 * MINUTE);
    expect(walk.kinds(from)).toEqual(["held"]);
    expect(walk.ask({ kind: "resume" })).toMatchObject({ kind: "refused", code: "guard" });
    walk.says.set("failures", 0);
    walk.pass(2 * MINUTE);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["guard"]);
    expect(walk.ask({ kind: "resume" }).kind).toBe("events");
    expect(walk.until("completed", 30 * MINUTE).event.kind).toBe("completed");
  });

  it("page only pages, once per stage, and nothing advances meanwhile", () => {
    const walk = allOn({ guards: [failures({ consequence: "page" }), alive()] });
    const from = walk.log.length;
    walk.says.set("failures", 0.5);
    walk.pass(30 * MINUTE);
    expect(walk.kinds(from)).toEqual(["paged"]);
    expect(walk.state.stages[2]?.status).toBe("soaking");
  });

  it("the strongest consequence wins, whatever the order in the file", () => {
    for (const guards of [
      [failures({ name: "page", consequence: "page" }), failures({ name: "roll" })],
      [failures({ name: "roll" }), failures({ name: "page", consequence: "page" })],
    ]) {
      const walk = allOn({ guards: [...guards, alive()] });
      walk.says.set("page", 0.5).set("roll", 0.5);
      walk.until("rollback_started");
      expect(walk.last("rollback_started")?.cause).toMatchObject({ guard: "roll" });
    }
  });

  it("a guard that only pages is heard although another one holds already", () => {
    const walk = allOn({
      guards: [
        failures({ name: "holds", consequence: "hold" }),
        failures({ name: "pages", consequence: "page" }),
        alive(),
      ],
    });
    walk.says.set("holds", 0.5);
    walk.until("held");
    walk.says.set("pages", 0.5);
    expect(walk.until("paged", 10 * MINUTE).event).toMatchObject({ severity: "P2" });
  });
});

describe("the look after a rollback", () => {
  it("waits for the window, a scrape and two polls, and takes only samples after the service's OFF", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    const confirmed = walk.until("rollback_confirmed");
    walk.pass(20 * SECOND);
    walk.says.set("failures", 0);
    const recovered = walk.until("recovered");
    expect(recovered.at - confirmed.at).toBeGreaterThanOrEqual((30 + 5 + 20) * SECOND);
    expect(recovered.at - confirmed.at).toBeLessThanOrEqual((30 + 5 + 30) * SECOND);
  });

  it("ignores what the window still shows of the time before", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    walk.until("rollback_confirmed");
    walk.pass(34 * SECOND);
    expect(walk.state.phase).toBe("looking");
    walk.says.set("failures", 0);
    expect(walk.until("recovered", 5 * MINUTE).event.kind).toBe("recovered");
    expect(walk.kinds()).not.toContain("look_failed");
  });

  it("that gives no evidence pages after blind_after, does not claim recovery, and ends well with fresh evidence", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    walk.until("rollback_confirmed");
    walk.says.set("failures", "empty");
    const paged = walk.until("paged", 10 * MINUTE);
    expect(paged.event).toMatchObject({ severity: "P1" });
    expect(walk.state.phase).toBe("looking");
    walk.pass(30 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    walk.says.set("failures", 0);
    expect(walk.until("recovered", MINUTE).event.kind).toBe("recovered");
  });

  it("after a person's rollback does not wait for a guard that only pages", () => {
    const walk = allOn({ guards: [failures(), failures({ name: "heap", consequence: "page" }), alive()] });
    walk.says.set("heap", 0.5);
    walk.pass(MINUTE);
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.until("recovered", 10 * MINUTE).event.kind).toBe("recovered");
  });

  it("starts anew when the service says so later than the store, and says who saw it", () => {
    const walk = allOn();
    walk.view = "stuck";
    walk.says.set("failures", 0.5);
    expect(walk.until("rollback_confirmed").event).toMatchObject({ seenBy: "store" });
    walk.pass(5 * SECOND);
    walk.view = "follows";
    expect(walk.until("rollback_confirmed").event).toMatchObject({ seenBy: "service" });
    expect(walk.state.epoch).toEqual({ at: walk.steady, settle: true });
  });

  it("waits ten seconds for the service's word and pages after a minute without it", () => {
    const walk = allOn();
    walk.view = "stuck";
    walk.says.set("failures", 0.5);
    const off = walk.until("rollback_off");
    walk.says.set("failures", 0);
    const confirmed = walk.until("rollback_confirmed");
    expect(confirmed.at - off.at).toBe(10 * SECOND);
    const paged = walk.until("paged");
    expect(paged.at - off.at).toBeGreaterThan(55 * SECOND);
    expect(paged.event).toMatchObject({ summary: expect.stringContaining("svc does not say so") });
  });

  it("does not end while a flag that came back is being set right", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    const started = walk.until("rollback_started");
    walk.says.set("failures", 0);
    walk.until("rollback_confirmed");
    walk.pass(54 * SECOND);
    walk.shop.takes = false;
    walk.edit("c", ON, `r-1.${started.seq}.c`);
    walk.pass(2 * MINUTE);
    expect(walk.state.phase).toBe("looking");
    walk.shop.takes = true;
    walk.until("recovered");
    expect(walk.setting("c")).toEqual(OFF);
  });

  it("of everything goes on until no late write can bring a flag back unseen", () => {
    const quick = {
      guards: [failures({ windowMs: SECOND, intervalMs: SECOND }), alive({ intervalMs: SECOND })],
      scrapeMs: SECOND,
    };
    const walk = allOn(quick);
    walk.ask({ kind: "rollback", to: -1 });
    const off = walk.until("rollback_off");
    walk.pass(9 * SECOND);
    walk.edit("b", ON);
    walk.until("rolled_back");
    expect(settings(walk)).toBe("a off, b off, c off");
    expect(walk.steady - off.at).toBeGreaterThanOrEqual(12 * SECOND);
  });
});

describe("a look that fails", () => {
  it("unwind newest: holds and pages that this flag was not the cause, and leaves the rest to people", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    walk.pass(30 * MINUTE);
    expect(walk.kinds().slice(-3)).toEqual(["look_failed", "held", "paged"]);
    expect(walk.last("paged")).toMatchObject({
      severity: "P1",
      summary:
        "demo: c off and failures still breaches (50 % > 2 %, 2 of 3 bad): this flag was not the cause. Still on: a, b.",
    });
    expect(settings(walk)).toBe("a on, b on, c off");
    expect(walk.state.phase).toBe("walking");
  });

  it("unwind newest: a breach that begins anew after the guard has passed again is acted on", () => {
    const walk = allOn();
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    walk.says.set("failures", "empty");
    walk.pass(2 * MINUTE);
    walk.says.set("failures", 0.5);
    walk.pass(2 * MINUTE);
    expect(settings(walk)).toBe("a on, b on, c off");
    walk.says.set("failures", 0);
    walk.pass(2 * MINUTE);
    walk.says.set("failures", 0.5);
    walk.until("rollback_started", 2 * MINUTE);
    expect(walk.last("rollback_started")?.stages).toEqual([1]);
  });

  it("unwind newest: another guard that begins to breach is acted on", () => {
    const walk = allOn({ guards: [failures(), failures({ name: "latency" }), alive()] });
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    walk.pass(MINUTE);
    walk.says.set("latency", 0.5);
    walk.until("rollback_started", MINUTE);
    expect(walk.last("rollback_started")).toMatchObject({ stages: [1], cause: { guard: "latency" } });
  });

  it("unwind gradual: takes the next newest, looks again, and stops when one helps", () => {
    const walk = allOn({ unwind: "gradual" });
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    expect(walk.last("rollback_started")).toMatchObject({
      stages: [1],
      cause: { kind: "still_breaching", guard: "failures" },
    });
    walk.until("rollback_confirmed");
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect(settings(walk)).toBe("a on, b off, c off");
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["rolled_back"]);
    expect(Object.keys(walk.state.latched).sort()).toEqual(["b", "c"]);
  });

  it("unwind gradual: with nothing left says so once", () => {
    const walk = allOn({ unwind: "gradual" });
    walk.says.set("failures", 0.5);
    walk.pass(30 * MINUTE);
    expect(settings(walk)).toBe("a off, b off, c off");
    expect(walk.kinds().filter((kind) => kind === "rollback_started")).toHaveLength(3);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    expect(walk.last("paged")?.summary).toContain("Nothing that this rollout turned on is left on.");
  });

  it("unwind all: takes the rest at once", () => {
    const walk = allOn({ unwind: "all" });
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    expect(walk.last("rollback_started")).toMatchObject({ to: -1, stages: [1, 0] });
    walk.until("rollback_confirmed");
    walk.says.set("failures", 0);
    walk.until("rolled_back");
    expect(walk.state.phase).toBe("rolled_back");
  });

  it("an emergency guard takes the rest whatever `unwind` says", () => {
    const walk = allOn({
      guards: [failures(), failures({ name: "heap", consequence: "emergency" }), alive()],
    });
    walk.says.set("failures", 0.5);
    walk.until("rollback_confirmed");
    walk.says.set("heap", 0.5);
    walk.until("look_failed");
    expect(walk.last("rollback_started")).toMatchObject({ to: -1, stages: [1, 0] });
  });
});

describe("flags that only people may take back", () => {
  const plan = (undo: "data" | "none", extra: Partial<Plan> = {}) => ({
    flags: flags(flag("a", { undo }), flag("b"), flag("c")),
    runbook: "emergency-rollback",
    ...extra,
  });

  it.each(["data", "none"] as const)("undo: %s of the newest stage: hold, page, name the runbook", (undo) => {
    const walk = allOn({
      flags: flags(flag("a"), flag("b"), flag("c", { undo })),
      runbook: "emergency-rollback",
    });
    const from = walk.log.length;
    walk.says.set("failures", 0.5);
    walk.pass(30 * MINUTE);
    expect(walk.kinds(from)).toEqual(["held", "paged"]);
    expect(walk.last("paged")).toMatchObject({
      severity: "P1",
      summary:
        "demo: failures: 50 % > 2 %, 2 of 3 bad. c can only be taken back by a person; runbook emergency-rollback",
    });
    expect(settings(walk)).toBe("a on, b on, c on");
  });

  it.each(["data", "none"] as const)(
    "undo: %s of an older stage is spared by an emergency, which pages",
    (undo) => {
      const walk = allOn(plan(undo, { guards: [failures({ consequence: "emergency" }), alive()] }));
      walk.says.set("failures", 0.5);
      walk.until("rollback_off");
      expect(settings(walk)).toBe("a on, b off, c off");
      expect(walk.last("paged")?.summary).toContain(
        "a can only be taken back by a person; runbook emergency-rollback",
      );
    },
  );

  it("is spared by unwind: all after a failed look", () => {
    const walk = allOn(plan("data", { unwind: "all" }));
    walk.says.set("failures", 0.5);
    walk.pass(30 * MINUTE);
    expect(settings(walk)).toBe("a on, b off, c off");
  });

  it("is spared by an emergency during a smaller rollback", () => {
    const walk = allOn(
      plan("data", { guards: [failures(), failures({ name: "heap", consequence: "emergency" }), alive()] }),
    );
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    walk.says.set("heap", 0.5);
    walk.until("rollback_started");
    expect(walk.state.rollback?.flags).toEqual(["c", "b"]);
  });

  it("is spared by on_blind: rollback", () => {
    const walk = allOn({
      flags: flags(flag("a"), flag("b"), flag("c", { undo: "data" })),
      onBlind: "rollback",
    });
    walk.says.set("failures", "empty");
    walk.pass(30 * MINUTE);
    expect(settings(walk)).toBe("a on, b on, c on");
    expect(walk.kinds()).not.toContain("rollback_started");
    expect(walk.last("paged")?.summary).toContain("c can only be taken back by a person");
  });

  it("an operator takes it back, locked like any other", () => {
    const walk = allOn({ flags: flags(flag("a"), flag("b"), flag("c", { undo: "data" })) });
    expect(walk.ask({ kind: "rollback", to: "newest" }, operator(BEN)).kind).toBe("events");
    walk.until("rollback_off");
    expect(settings(walk)).toBe("a on, b on, c off");
  });

  it("anybody else's press changes nothing and pages on-call, once", () => {
    const walk = allOn({ flags: flags(flag("a"), flag("b"), flag("c", { undo: "data" })) });
    const from = walk.log.length;
    const outcome = walk.ask({ kind: "rollback", to: "newest" }, viewer(BEN));
    expect("note" in outcome ? outcome.note : outcome.message).toContain("On-call is paged.");
    expect(walk.last("paged")).toMatchObject({ severity: "P1" });
    walk.ask({ kind: "rollback", to: "newest" }, viewer(BEN));
    expect(walk.kinds(from).filter((kind) => kind === "paged")).toHaveLength(1);
    expect(walk.kinds(from)).not.toContain("rollback_started");
  });
});

describe("a person's rollback", () => {
  it.each([
    ["newest", "newest" as const, "a on, b on, c off", [2]],
    ["to a", 0, "a on, b off, c off", [2, 1]],
    ["all", -1, "a off, b off, c off", [2, 1, 0]],
  ])("%s", (_name, to, expected, stages) => {
    const walk = allOn();
    walk.ask({ kind: "rollback", to, because: "slow" }, viewer(BEN));
    expect(walk.last("rollback_started")).toMatchObject({
      stages,
      by: BEN,
      cause: { kind: "person", because: "slow" },
    });
    walk.until("rollback_off");
    expect(settings(walk)).toBe(expected);
  });

  it("of everything ends the run as rolled back, once production looks well", () => {
    const walk = allOn();
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    expect(walk.kinds().slice(-5)).toEqual([
      "rollback_started",
      "rollback_off",
      "rollback_confirmed",
      "recovered",
      "rolled_back",
    ]);
    expect(walk.state.endedAt).toBe(walk.steady);
  });

  it("repeated while it runs is the same operation; all goes deeper", () => {
    const walk = allOn();
    walk.shop.takes = false;
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.ask({ kind: "rollback", to: "newest" }, viewer(BEN))).toMatchObject({
      kind: "already",
      note: "c is already being taken back.",
    });
    const first = walk.state.rollback?.seq;
    expect(walk.ask({ kind: "rollback", to: -1 }, viewer(BEN)).kind).toBe("events");
    expect(walk.state.rollback).toMatchObject({ seq: first, flags: ["c", "b", "a"], stages: [2, 1, 0] });
    expect(walk.ask({ kind: "rollback", to: -1 }, viewer(BEN)).kind).toBe("already");
  });

  it("of a stage that is not on says which one is, and that is true", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    const outcome = walk.ask({ kind: "rollback", to: 0 });
    expect(outcome).toMatchObject({
      kind: "refused",
      code: "nothing_to_undo",
      message: "Nothing of demo after a is on.",
    });
  });

  it("while the stage is only being enabled takes it back all the same", () => {
    const walk = new Walk(planOf()).start();
    walk.shop.takes = false;
    expect(walk.state.stages[0]?.status).toBe("enabling");
    expect(walk.ask({ kind: "rollback", to: "newest" }).kind).toBe("events");
    walk.shop.takes = true;
    walk.until("rollback_off");
    expect(settings(walk)).toBe("a off, b off, c off");
  });

  it("leaves a baseline as it is: off", () => {
    const plan = planOf({ stages: [baseline(0, ["a", "b", "c"]), stage("a", 10 * MINUTE)] });
    const walk = new Walk(plan).start();
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.ask({ kind: "rollback", to: -1 });
    expect(walk.last("rollback_started")?.stages).toEqual([1]);
    walk.until("rolled_back");
    expect(walk.state.stages.map((one) => one.status)).toEqual(["passed", "undone"]);
  });

  it("works on a quarantined run, which then goes its way to rolled_back", () => {
    const walk = allOn();
    walk.commit([{ kind: "quarantined", error: "x" }]);
    walk.pass(MINUTE);
    expect(walk.state.phase).toBe("stuck");
    expect(walk.ask({ kind: "advance" })).toMatchObject({ kind: "refused", code: "stuck" });
    expect(walk.ask({ kind: "rollback", to: -1 }, viewer(BEN)).kind).toBe("events");
    walk.until("rolled_back");
    expect(settings(walk)).toBe("a off, b off, c off");
  });

  it("of a quarantined run speaks only of what is taken back now", () => {
    const walk = allOn();
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("recovered");
    walk.commit([{ kind: "quarantined", error: "x" }]);
    walk.ask({ kind: "rollback", to: -1 });
    expect(walk.state.rollback?.flags).toEqual(["b", "a"]);
    expect(walk.state.rollback?.stages).toEqual([1, 0]);
  });

  it("of an ended run says that it has ended", () => {
    const walk = allOn();
    walk.until("completed");
    expect(walk.ask({ kind: "rollback", to: -1 })).toMatchObject({ kind: "refused", code: "not_live" });
  });

  it("a quarantined run with nothing on can be stopped, so that its flags are free again", () => {
    const walk = new Walk(planOf()).start({ delayMs: MINUTE });
    walk.commit([{ kind: "quarantined", error: "x" }]);
    expect(walk.ask({ kind: "rollback", to: -1 })).toMatchObject({
      kind: "refused",
      code: "nothing_to_undo",
    });
    expect(walk.ask({ kind: "stop", confirmed: false }).kind).toBe("events");
    expect(walk.state.phase).toBe("stopped");
  });
});

describe("a repeat of `rollback` while Belay looks whether the first one helped", () => {
  it("takes nothing more, and offers what could be taken", () => {
    const walk = allOn();
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_confirmed");
    expect(walk.ask({ kind: "rollback", to: "newest" })).toMatchObject({
      kind: "already",
      note: expect.stringContaining("c is off; Belay looks"),
      offers: [{ label: "Roll back b" }, { label: "Roll back all" }],
    });
    expect(settings(walk)).toBe("a on, b on, c off");
    expect(walk.ask({ kind: "rollback", to: 0 }).kind).toBe("events");
    walk.pass(5 * SECOND);
    expect(settings(walk)).toBe("a on, b off, c off");
  });
});

describe("a run that would end with its rollback", () => {
  it("is watched until a read from after the quarantine shows that nothing came back", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    const intent = walk.last("stage_started")?.flips[0]?.intent;
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rollback_confirmed");
    walk.shop.reads = false;
    walk.edit("a", ON, intent);
    walk.pass(10 * MINUTE);
    expect(walk.state.phase).toBe("looking");
    walk.shop.reads = true;
    walk.until("flip_corrected", MINUTE);
    walk.until("rolled_back", 10 * MINUTE);
    expect(walk.setting("a")).toEqual(OFF);
  });
});

describe("an OFF that does not arrive", () => {
  it("is written although the last reading, from before the decision, shows OFF already", () => {
    const walk = new Walk(planOf()).start();
    walk.pass(SECOND);
    walk.shop.reads = false;
    const before = walk.setting("a");
    walk.edit("a", ON);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(5 * SECOND);
    expect([before, walk.setting("a")]).toEqual([before, OFF]);
  });

  it("of a quarantined run is read back and told like any other, and a stop does not leave it behind", () => {
    const walk = allOn();
    walk.commit([{ kind: "quarantined", error: "boom" }]);
    walk.shop.takes = false;
    walk.shop.reads = false;
    walk.ask({ kind: "rollback", to: -1 });
    walk.commit([{ kind: "quarantined", error: "boom" }]);
    expect(walk.state.phase).toBe("stuck");
    expect(walk.ask({ kind: "stop", confirmed: true })).toMatchObject({ code: "rolling_back" });
    expect(walk.until("paged", 2 * MINUTE).event).toMatchObject({
      summary: expect.stringContaining("By hand"),
    });
    walk.shop.takes = true;
    walk.shop.reads = true;
    walk.until("rollback_off", MINUTE);
    expect(settings(walk)).toBe("a off, b off, c off");
    expect(walk.ask({ kind: "stop", confirmed: true }).kind).toBe("events");
  });

  it("is written again until it does, pages after a minute with the step to do by hand, once", () => {
    const walk = allOn();
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    const started = walk.until("rollback_started");
    const paged = walk.until("paged");
    expect(paged.at - started.at).toBe(60 * SECOND);
    expect(paged.event).toMatchObject({
      summary:
        "demo: not read back after 1 min. By hand, in Belay's own flags.json (in BELAY_STATE): set FEATURE_C to OFF. Belay keeps trying.",
    });
    walk.pass(30 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    walk.shop.takes = true;
    walk.pass(2 * SECOND);
    expect(walk.kinds()).toContain("rollback_off");
  });

  it("that was widened meanwhile is paged once, and the page names every OFF that is owed", () => {
    const walk = allOn();
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    walk.pass(10 * SECOND);
    walk.ask({ kind: "rollback", to: -1 });
    const paged = walk.until("paged");
    for (const step of ["set FEATURE_A to OFF", "set FEATURE_B to OFF", "set FEATURE_C to OFF"])
      expect(paged.event).toMatchObject({ summary: expect.stringContaining(step) });
    walk.pass(5 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
  });

  it("that is widened after the page is paged for once more", () => {
    const walk = allOn();
    walk.shop.takes = false;
    walk.says.set("failures", 0.5);
    walk.until("paged");
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(5 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(2);
    expect(walk.last("paged")?.summary).toContain("set FEATURE_A to OFF");
  });

  it("because the store is gone says so in the page", () => {
    const walk = allOn();
    walk.shop.reads = false;
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.until("paged").event).toMatchObject({
      summary: expect.stringContaining("(connection refused)"),
    });
  });

  it("of a stage that was withdrawn pages as well", () => {
    const walk = new Walk(planOf()).start();
    walk.shop.reads = false;
    walk.until("stage_withdrawn");
    const paged = walk.until("paged", 5 * MINUTE);
    expect(paged.event).toMatchObject({
      severity: "P1",
      summary: expect.stringContaining(
        "By hand, in Belay's own flags.json (in BELAY_STATE): set FEATURE_A to OFF",
      ),
    });
  });

  it("is not left behind by a stop", () => {
    const walk = new Walk(planOf()).start();
    walk.shop.reads = false;
    walk.until("stage_withdrawn");
    expect(walk.ask({ kind: "stop", confirmed: true })).toMatchObject({
      kind: "refused",
      code: "rolling_back",
    });
    walk.shop.reads = true;
    walk.pass(5 * SECOND);
    expect(walk.ask({ kind: "stop", confirmed: true }).kind).toBe("events");
  });
});

describe("an env-file, where every flip restarts the service", () => {
  const restarts = { provider: { flipMs: 2 * SECOND, restartMs: 30 * SECOND } };

  it("a target that is down while it restarts for a flip is no breach", () => {
    const walk = new Walk(planOf(restarts));
    walk.shop.takes = false;
    walk.start();
    walk.says.set("alive", 0);
    walk.pass(40 * SECOND);
    expect(walk.kinds()).not.toContain("rollback_started");
  });

  it("counts samples only from after the restart", () => {
    const walk = new Walk(planOf(restarts)).start();
    walk.pass(SECOND);
    const enabled = walk.log.find((one) => one.event.kind === "stage_enabled");
    expect(walk.state.epoch).toEqual({ at: enabled?.at, settle: false });
  });

  it("the restart of a rollback is not taken for an emergency of the liveness guard", () => {
    const walk = allOn({ ...restarts, guards: [failures(), alive({ consequence: "emergency" })] });
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    walk.shop.takes = false;
    walk.ask({ kind: "rollback", to: "newest" });
    walk.says.set("alive", 0);
    walk.pass(MINUTE);
    expect(settings(walk)).toMatch(/^a on, b on/);
  });

  it("a service that stays down after the look is still taken for dead", () => {
    const walk = allOn({ ...restarts, guards: [failures(), alive({ consequence: "emergency" })] });
    walk.ask({ kind: "rollback", to: "newest" });
    walk.says.set("alive", 0);
    walk.until("look_failed");
    expect(walk.last("rollback_started")).toMatchObject({ stages: [1, 0] });
  });
});

it("the one who rolled back is named, and it is not asked twice who holds", () => {
  const walk = allOn();
  walk.ask({ kind: "rollback", to: "newest" }, viewer(BEN));
  expect(walk.state.rollback?.by).toEqual(BEN);
  expect(walk.state.startedBy).toEqual(ANA);
});
