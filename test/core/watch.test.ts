/** Standing still: holds and resumes, blindness, flags that people or late writes change, locks, and the way back forward. */
import { describe, expect, it } from "vitest";
import type { HoldReason } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { QUARANTINE_MS } from "../../src/core/rollout/backward.ts";
import { desired } from "../../src/core/rollout/desired.ts";
import { nextForward } from "../../src/core/rollout/forward.ts";
import { formatSetting, OFF, ON, type Setting } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import {
  ANA,
  alive,
  BEN,
  baseline,
  failures,
  flag,
  flags,
  hits,
  operator,
  percents,
  planOf,
  stage,
  viewer,
} from "../support/plans.ts";
import { type Says, Walk } from "./walk.ts";

const free: Partial<Plan> = { flags: flags(flag("a"), flag("b"), flag("c")) };

function on(name: string, extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf(extra)).start();
  const index = walk.plan.stages.findIndex((one) => one.name === name);
  while (walk.state.stages[index]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

function holds(walk: Walk): readonly HoldReason[] {
  return walk.state.holds.map((hold) => hold.reason);
}

function startOf(walk: Walk, name: string): number | undefined {
  const index = walk.plan.stages.findIndex((one) => one.name === name);
  const found = walk.log.find(({ event }) => event.kind === "stage_started" && event.stage === index);
  return found === undefined ? undefined : Math.round((found.at - (walk.log[0]?.at ?? 0)) / MINUTE);
}

describe("a person's hold", () => {
  it("stops the clock and nothing else; resume moves the whole plan by the time held", () => {
    const walk = on("a");
    walk.pass(5 * MINUTE);
    walk.ask({ kind: "hold", because: "lunch" }, viewer(BEN));
    expect(walk.state.holds).toMatchObject([{ reason: "person", detail: "lunch", by: BEN }]);
    walk.pass(3 * HOUR, 10 * SECOND);
    expect(walk.setting("b")).toEqual(OFF);
    walk.ask({ kind: "resume" });
    walk.until("completed");
    expect([startOf(walk, "b"), startOf(walk, "c")]).toEqual([190, 200]);
  });

  it("twice is one hold, by whoever was first", () => {
    const walk = on("a");
    walk.ask({ kind: "hold", because: "lunch" }, viewer(BEN));
    expect(walk.ask({ kind: "hold" })).toMatchObject({
      kind: "already",
      note: "demo is already held by @ben: lunch.",
    });
    expect(walk.kinds().filter((kind) => kind === "held")).toHaveLength(1);
  });

  it("before the first stage keeps it from starting", () => {
    const walk = new Walk(planOf()).start({ delayMs: MINUTE });
    walk.ask({ kind: "hold" });
    walk.pass(10 * MINUTE);
    expect(startOf(walk, "a")).toBeUndefined();
    walk.ask({ kind: "resume" });
    walk.pass(2 * MINUTE);
    expect(startOf(walk, "a")).toBe(11);
  });

  it("stops an ON that was decided and not written yet: nothing goes on while it is held", () => {
    const walk = new Walk(planOf());
    walk.shop.takes = false;
    walk.start();
    walk.pass(2 * SECOND);
    walk.ask({ kind: "hold" });
    walk.shop.takes = true;
    walk.pass(MINUTE);
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.kinds()).toContain("stage_withdrawn");
  });

  it("while a stage is being enabled lets what was written be read back, and then stands", () => {
    const walk = new Walk(planOf());
    walk.view = "silent";
    walk.start();
    walk.pass(SECOND);
    walk.ask({ kind: "hold" });
    walk.view = "follows";
    walk.until("stage_enabled");
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.state.stages[0]).toMatchObject({ status: "soaking", soakedMs: 0 });
  });
});

describe("blind", () => {
  it.each<[Says]>([
    ["empty"],
    ["nan"],
    ["infinite"],
    ["stale"],
    ["many_series"],
    ["partial"],
    ["low_total"],
    ["zero_traffic"],
    ["odd_shape"],
    ["no_other_target"],
    ["down"],
  ])("%s holds at once, says which guard and why, and ends by itself with fresh evidence", (lie) => {
    const walk = on("a");
    walk.pass(MINUTE);
    walk.says.set("failures", lie);
    walk.pass(10 * SECOND);
    expect(holds(walk)).toEqual(["blind"]);
    expect(walk.state.holds[0]?.detail).toContain(
      lie === "down" ? "failures (refused: connection refused)" : `failures (${lie}: `,
    );
    walk.says.set("failures", 0);
    walk.pass(10 * SECOND);
    expect(holds(walk)).toEqual([]);
    expect(walk.last("resumed")).toEqual({ kind: "resumed", reasons: ["blind"], by: { kind: "belay" } });
    walk.until("completed");
  });

  it("a guard that is never answered any more blinds after two gaps", () => {
    const walk = on("a");
    walk.pass(MINUTE);
    walk.says.set("failures", "silent");
    walk.pass(50 * SECOND);
    expect(holds(walk)).toEqual([]);
    walk.pass(11 * SECOND);
    expect(holds(walk)).toEqual(["blind"]);
  });

  it("pages after blind_after, once, and goes on holding", () => {
    const walk = on("a");
    walk.says.set("failures", "nan");
    const held = walk.until("held");
    const paged = walk.until("paged", 10 * MINUTE);
    expect(paged.at - held.at).toBe(5 * MINUTE);
    expect(paged.event).toMatchObject({
      severity: "P1",
      summary: "demo: blind for 5 min: failures (nan: no evidence: nan). Holding; flags stay as they are.",
    });
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    expect(walk.setting("a")).toEqual(ON);
  });

  it("with on_blind: rollback takes the newest stage back after blind_after, and says so in the page", () => {
    const walk = on("b", { onBlind: "rollback" });
    walk.says.set("failures", "nan");
    walk.until("rollback_started");
    expect(walk.last("paged")?.summary).toMatch(/The newest stage goes back/);
    expect(walk.last("rollback_started")).toMatchObject({ stages: [1], cause: { kind: "blind" } });
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect(walk.setting("a")).toEqual(ON);
  });

  it("with nothing on holds without a page", () => {
    const walk = new Walk(planOf());
    walk.says.set("failures", "nan");
    walk.start();
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.kinds()).toEqual(["rollout_started", "held"]);
  });

  it("resume does not end it; a person's hold beside it does end", () => {
    const walk = on("a");
    walk.says.set("failures", "nan");
    walk.until("held");
    expect(walk.ask({ kind: "resume" })).toMatchObject({ kind: "refused", code: "blind" });
    walk.ask({ kind: "hold" });
    const outcome = walk.ask({ kind: "resume" });
    expect(outcome).toMatchObject({ note: "Resumed demo. It stays held until evidence is fresh again." });
    expect(holds(walk)).toEqual(["blind"]);
  });

  it("a breach before the blindness is acted on all the same", () => {
    const walk = on("a");
    walk.says.set("failures", 0.5);
    walk.pass(10 * SECOND);
    walk.says.set("failures", "nan");
    walk.pass(20 * SECOND);
    walk.says.set("failures", 0.5);
    walk.until("rollback_started", 20 * SECOND);
  });

  it("and an expectation unmet are told apart and end apart", () => {
    const walk = on("a", { guards: [failures(), alive(), hits()] });
    walk.says.set("hits", 0.01);
    walk.until("held");
    walk.says.set("failures", "nan");
    walk.until("held");
    expect(holds(walk)).toEqual(["expectation", "blind"]);
    walk.says.set("failures", 0);
    walk.until("resumed");
    expect(holds(walk)).toEqual(["expectation"]);
  });
});

describe("somebody changes a flag", () => {
  it("OFF after Belay turned it on: hold, keep off, no page; the clock stands", () => {
    const walk = on("a", free);
    walk.pass(MINUTE);
    walk.edit("a", OFF);
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.kinds().slice(-2)).toEqual(["drift_found", "held"]);
    expect(walk.last("drift_found")).toEqual({
      kind: "drift_found",
      flag: "a",
      expected: ON,
      found: OFF,
      direction: "back",
    });
    expect(walk.setting("a")).toEqual(OFF);
    expect(desired(walk.plan, walk.state)).toEqual([]);
  });

  it("OFF is never undone, not even by resume, nor by what comes later", () => {
    const walk = on("a", free);
    walk.edit("a", OFF);
    walk.until("held");
    walk.ask({ kind: "resume" });
    walk.until("completed");
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.setting("c")).toEqual(ON);
  });

  it("OFF stops what requires the flag", () => {
    const walk = on("a");
    walk.edit("a", OFF);
    walk.until("held");
    walk.ask({ kind: "resume" });
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("OFF and ON again by people: noticed both times, and Belay's own again", () => {
    const walk = on("a", free);
    walk.edit("a", OFF);
    walk.until("drift_found");
    walk.edit("a", ON);
    walk.until("drift_found");
    expect(walk.state.overridden).toEqual({});
    expect(desired(walk.plan, walk.state).map((wish) => [wish.flag, formatSetting(wish.setting)])).toEqual([
      ["a", "ON"],
    ]);
  });

  it("OFF of a flag in a rolled back operation: all goes where a rollback sends it", () => {
    const walk = on("b");
    walk.edit("a", OFF);
    walk.until("held");
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    expect([walk.setting("a"), walk.setting("b")]).toEqual([OFF, OFF]);
    expect(walk.state.overridden).toEqual({});
  });

  it("ON before its stage: hold and page; resume adopts it, and the stage soaks like any other", () => {
    const walk = on("a", free);
    walk.edit("b", ON);
    walk.pass(2 * SECOND);
    expect(walk.kinds().slice(-3)).toEqual(["drift_found", "held", "paged"]);
    expect(walk.last("drift_found")).toMatchObject({ flag: "b", direction: "ahead" });
    expect(walk.last("paged")).toMatchObject({
      severity: "P1",
      summary: "demo: b was set ON by somebody before its stage b",
    });
    walk.ask({ kind: "resume" });
    walk.until("completed");
    const soaks = walk.log.filter(({ event }) => event.kind === "soak_passed").length;
    expect(soaks).toBe(3);
  });

  it("ON before its stage, behind a baseline: the same", () => {
    const walk = on("baseline", { ...free, stages: [baseline(0, ["a", "b"]), stage("a", 10 * MINUTE)] });
    walk.pass(20 * SECOND);
    walk.edit("b", ON);
    walk.pass(2 * SECOND);
    expect(walk.kinds().slice(-3)).toEqual(["drift_found", "held", "paged"]);
    expect(walk.last("drift_found")).toMatchObject({
      flag: "b",
      expected: OFF,
      found: ON,
      direction: "ahead",
    });
    expect(walk.setting("b")).toEqual(ON);
  });

  it("just before Belay's own write: the stage is withdrawn and the person's value stays", () => {
    const walk = new Walk(planOf(free)).start({ delayMs: MINUTE });
    walk.shop.takes = false;
    walk.until("stage_started");
    walk.edit("a", { kind: "value", value: "mine" });
    walk.shop.takes = true;
    walk.until("stage_withdrawn", 10 * SECOND);
    expect(walk.last("stage_withdrawn")?.why).toBe("a was set mine by somebody while a was starting");
    walk.pass(MINUTE);
    expect(walk.setting("a")).toEqual({ kind: "value", value: "mine" });
    expect(holds(walk)).toEqual(["drift"]);
  });

  it("is told from Belay's own write of two steps, seen when half of it was done", () => {
    const walk = new Walk(planOf(free)).start({ delayMs: MINUTE });
    walk.shop.takes = false;
    walk.shop.keepsIntent = false;
    walk.until("stage_started");
    // The strategy is set, the flag is not on yet: another version, and off as before.
    walk.edit("a", OFF);
    walk.ownWrites.set("a", true);
    walk.pass(2 * SECOND);
    expect(walk.kinds()).not.toContain("stage_withdrawn");
    walk.edit("a", ON);
    walk.until("stage_enabled", 5 * SECOND);
    expect(holds(walk)).toEqual([]);
  });

  it("with another token than Belay's: the stage is withdrawn", () => {
    const walk = new Walk(planOf(free)).start({ delayMs: MINUTE });
    walk.shop.takes = false;
    walk.shop.keepsIntent = false;
    walk.until("stage_started");
    walk.edit("a", OFF);
    walk.ownWrites.set("a", false);
    walk.until("stage_withdrawn", 2 * SECOND);
    expect(holds(walk)).toEqual(["drift"]);
  });

  it("to another share than Belay's", () => {
    const walk = on("a", { ...free, stages: [percents("a", 0, [25, 50])] });
    walk.edit("a", { kind: "percent", percent: 90 });
    walk.until("drift_found");
    expect(holds(walk)).toEqual(["drift"]);
  });

  it("that belongs to no stage of this run is none of its business", () => {
    const walk = new Walk(planOf(free)).start({ stage: 0 });
    walk.until("stage_enabled");
    walk.edit("c", ON);
    walk.until("completed");
    expect(walk.kinds()).not.toContain("drift_found");
  });
});

describe("a flag that comes back on after Belay took it back", () => {
  function rolledBack(extra: Partial<Plan> = {}): Walk {
    const walk = on("b", { ...free, ...extra });
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("recovered");
    return walk;
  }

  const comeback = (walk: Walk, setting: Setting, intent?: string): readonly string[] => {
    const from = walk.log.length;
    walk.edit("b", setting, intent);
    walk.pass(5 * SECOND);
    return walk.kinds(from);
  };

  it("by our own late write, hours later: is set right at once", () => {
    const walk = rolledBack();
    walk.pass(3 * HOUR, 10 * SECOND);
    expect(comeback(walk, ON, "r-1.7.b")).toEqual(["flip_corrected"]);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("by a person, named by the store: is reported and left", () => {
    const walk = rolledBack();
    expect(comeback(walk, ON, "ui:kim")).toEqual(["drift_found", "held", "paged"]);
    expect(walk.last("paged")?.summary).toBe("demo: b is ON, Belay had set it OFF; somebody turned it on");
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.setting("b")).toEqual(ON);
  });

  it("within twelve seconds, in a store that does not say who wrote: is taken for a late write", () => {
    const walk = on("b", free);
    walk.shop.keepsIntent = false;
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_off");
    walk.pass(8 * SECOND);
    expect(comeback(walk, ON)).toContain("flip_corrected");
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("later, in such a store: is a person's decision", () => {
    const walk = on("b", free);
    walk.shop.keepsIntent = false;
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_off");
    walk.pass(14 * SECOND);
    expect(comeback(walk, ON)).toContain("drift_found");
    expect(walk.setting("b")).toEqual(ON);
  });

  it("while other flags are still being taken back: is set right before anything is called off", () => {
    const walk = on("b", free);
    walk.deaf.add("a");
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(5 * SECOND);
    walk.edit("b", ON, "r-1.7.b");
    walk.pass(SECOND);
    expect(walk.kinds().at(-1)).toBe("flip_corrected");
    walk.deaf.clear();
    walk.until("rolled_back");
    expect([walk.setting("a"), walk.setting("b")]).toEqual([OFF, OFF]);
  });
});

describe("locked", () => {
  function locked(): Walk {
    const walk = on("c");
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    walk.says.set("failures", 0);
    walk.until("recovered");
    return walk;
  }

  it("neither resume nor enable goes on until a person unlocks it, with a reason", () => {
    const walk = locked();
    const why = "guard failures: 50 % > 2 %, 2 of 3 bad";
    expect(walk.ask({ kind: "resume" })).toMatchObject({
      code: "latched",
      message: expect.stringContaining(why),
    });
    expect(walk.ask({ kind: "set_end", end: 2 })).toMatchObject({ code: "latched" });
    expect(walk.ask({ kind: "unlock", flags: ["c"], because: "fixed" }, viewer(BEN))).toMatchObject({
      code: "not_authorised",
    });
    expect(walk.ask({ kind: "unlock", flags: ["b"], because: "fixed" })).toMatchObject({
      code: "not_locked",
    });
    expect(walk.ask({ kind: "unlock", flags: ["c"], because: "fixed" }, operator(BEN))).toMatchObject({
      note: "Unlocked c. Nothing was turned on.",
    });
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.setting("c")).toEqual(OFF);
    expect(walk.ask({ kind: "set_end", end: 2 }, operator(BEN))).toMatchObject({
      note: "demo goes on to c.",
    });
    walk.until("completed");
    expect(walk.setting("c")).toEqual(ON);
    expect(walk.state.requester).toEqual(BEN);
  });

  it("is not unlocked while it is still going back", () => {
    const walk = on("c");
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.ask({ kind: "unlock", flags: ["c"], because: "fixed" })).toMatchObject({
      code: "rolling_back",
    });
  });

  it("after unlocking and resume the stage starts anew with a whole soak", () => {
    const walk = locked();
    walk.ask({ kind: "unlock", flags: ["c"], because: "fixed" });
    walk.ask({ kind: "resume" });
    const started = walk.log.findLast(({ event }) => event.kind === "stage_started");
    const passed = walk.until("soak_passed");
    expect(passed.at - (started?.at ?? 0)).toBeGreaterThanOrEqual(10 * MINUTE);
  });

  it("with two stages rolled back and one unlocked, goes on to that one and stops before the other", () => {
    const walk = on("c");
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("recovered");
    walk.ask({ kind: "unlock", flags: ["b"], because: "fixed" });
    expect(walk.ask({ kind: "set_end", end: 1 })).toMatchObject({
      note: "demo goes on to b, and up to c as planned.",
    });
    walk.until("soak_passed");
    walk.pass(HOUR, 10 * SECOND);
    expect([walk.setting("b"), walk.setting("c")]).toEqual([ON, OFF]);
    expect(nextForward(walk.plan, walk.state, walk.world(), walk.now())).toMatchObject({ code: "latched" });
  });

  it("outlives the run and can be unlocked there", () => {
    const walk = on("a");
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    expect(() => new Walk(walk.plan).start({ runs: [{ plan: walk.plan, state: walk.state }] })).toThrow(
      /^latched/,
    );
    walk.commit([{ kind: "unlatched", flags: ["a"], by: ANA, because: "fixed" }]);
    expect(walk.state.phase).toBe("rolled_back");
    new Walk(walk.plan).start({ runs: [{ plan: walk.plan, state: walk.state }] });
  });
});

describe("a flag that vanishes from the store", () => {
  it("holds and pages: it does not count as on, and the rollout does not end well", () => {
    const walk = on("c");
    walk.store.delete("b");
    walk.until("held", MINUTE);
    expect(walk.last("held")).toMatchObject({
      reason: "flag_store",
      detail: expect.stringContaining("FEATURE_B"),
    });
    expect(walk.last("paged")).toMatchObject({ severity: "P1" });
    walk.pass(10 * HOUR, 10 * SECOND);
    expect(walk.state.phase).toBe("walking");
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
  });

  it("before its stage: the stage does not begin, and says why", () => {
    const walk = on("a");
    walk.store.delete("b");
    walk.pass(15 * MINUTE);
    expect(nextForward(walk.plan, walk.state, walk.world(), walk.now())).toMatchObject({
      kind: "wait",
      code: "flag_store",
      detail: "b is not in the flag store",
    });
  });
});

describe("stop", () => {
  it("asks first while something is on, and offers both ways", () => {
    const walk = on("b");
    const outcome = walk.ask({ kind: "stop", confirmed: false });
    expect(outcome).toMatchObject({
      kind: "already",
      note: "Stopping ends the rollout and its guards. a, b would stay ON and unwatched. Which?",
      offers: [{ label: "Roll back" }, { label: "Stop, leave ON" }],
    });
    expect(walk.state.phase).toBe("walking");
    walk.ask({ kind: "stop", confirmed: true, because: "moving house" });
    expect(walk.state.phase).toBe("stopped");
    walk.pass(HOUR, 10 * SECOND);
    expect([walk.setting("a"), walk.setting("b")]).toEqual([ON, ON]);
  });

  it("with nothing on needs no question", () => {
    const walk = new Walk(planOf()).start({ delayMs: HOUR });
    expect(walk.ask({ kind: "stop", confirmed: false }).kind).toBe("events");
  });

  it("waits until what is going back is off, and no late write of ours can turn it on again", () => {
    const walk = on("b");
    walk.ask({ kind: "rollback", to: "newest" });
    expect(walk.ask({ kind: "stop", confirmed: true })).toMatchObject({ code: "rolling_back" });
    walk.until("rollback_confirmed");
    expect(walk.ask({ kind: "stop", confirmed: true })).toMatchObject({
      code: "rolling_back",
      message: expect.stringMatching(/late write .* for another \d+ s; stop it then/),
    });
    walk.pass(QUARANTINE_MS);
    expect(walk.ask({ kind: "stop", confirmed: true }).kind).toBe("events");
  });
});

describe("wishes", () => {
  it("come newest stage first, whatever order the file or a baseline gave the flags", () => {
    const walk = on("c", {
      stages: [
        baseline(0, ["c", "a", "b"]),
        stage("a", 10 * MINUTE),
        stage("b", 20 * MINUTE),
        stage("c", 30 * MINUTE),
      ],
    });
    walk.ask({ kind: "rollback", to: -1 });
    expect(desired(walk.plan, walk.state).map((wish) => wish.flag)).toEqual(["c", "b", "a"]);
  });
});
