/** What people turned on of a rollout, beside what its begun stages set: it counts as on, a rollback reaches it, and no run ends over it. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { wouldOffers } from "../../src/core/report/would-offers.ts";
import { leftOn } from "../../src/core/rollout/ahead.ts";
import { openWould } from "../../src/core/rollout/observe.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { OFF, ON, percentSetting } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { alive, failures, flag, flags, percents, planOf, stage } from "../support/plans.ts";
import { Walk } from "./walk.ts";

const TWO: Partial<Plan> = { stages: [stage("a", 0), stage("b", 10 * MINUTE)] };

function card(walk: Walk) {
  const { plan, state } = walk;
  return cardOf({ plan, state, world: walk.world(), figures: {}, now: walk.now() });
}

function commands(walk: Walk): readonly string[] {
  return card(walk).offers.map(({ command }) => command);
}

/** a and b are on, everything is taken back, and people turn both on: b while the OFF of a is still owed, a once it is off too. */
function turnedOnAgain(): Walk {
  const walk = new Walk(planOf(TWO)).start();
  while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
  walk.shop.keepsIntent = false;
  walk.deaf.add("a");
  walk.ask({ kind: "rollback", to: -1 });
  walk.pass(15 * SECOND);
  walk.edit("b", ON);
  walk.pass(2 * SECOND);
  expect(walk.last("drift_found")).toMatchObject({ flag: "b", found: ON });
  walk.deaf.delete("a");
  walk.until("rollback_confirmed");
  walk.pass(13 * SECOND);
  walk.edit("a", ON);
  walk.pass(2 * SECOND);
  expect(walk.last("drift_found")).toMatchObject({ flag: "a", found: ON });
  return walk;
}

describe("a run of which people turn everything on again while it goes back", () => {
  it("recovers, says what is on, and stays live and held", () => {
    const walk = turnedOnAgain();
    expect(card(walk).says).toContain("ON, turned on by people: a, b");
    walk.until("recovered");
    walk.pass(5 * MINUTE);
    expect(walk.kinds()).not.toContain("rolled_back");
    expect(walk.state.phase).toBe("walking");
    expect(hasHold(walk.state, "drift")).toBe(true);
    expect(leftOn(walk.plan, walk.state)).toEqual(["a (turned on by people)", "b (turned on by people)"]);
    const { status, says, rows } = card(walk);
    expect(status).toBe("ROLLED BACK, HELD");
    expect(says).toContain("a, b");
    expect(says).toContain("ON, turned on by people: a, b");
    expect(rows.map((row) => row.detail)).toEqual([
      "rolled back, a ON by people",
      "rolled back, b ON by people",
    ]);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(2);
  });

  it("offers to undo each, and no resume before it is unlocked", () => {
    const walk = turnedOnAgain();
    walk.until("recovered");
    const offered = commands(walk);
    expect(offered).toContain("rollout rollback a run=r-1");
    expect(offered).toContain("rollout rollback b run=r-1");
    expect(offered).toContain("rollout rollback all run=r-1");
    expect(offered.filter((command) => command.startsWith("rollout resume"))).toEqual([]);
  });

  it("ends as rolled back once a rollback has taken back the last of them", () => {
    const walk = turnedOnAgain();
    walk.until("recovered");
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("recovered");
    expect([walk.setting("a"), walk.setting("b")]).toEqual([ON, OFF]);
    expect(walk.state.phase).toBe("walking");
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    expect([walk.setting("a"), walk.setting("b")]).toEqual([OFF, OFF]);
  });

  it("ends as rolled back once people have set back the last of them, and no page asks why", () => {
    const walk = turnedOnAgain();
    walk.until("recovered");
    const pages = walk.kinds().filter((kind) => kind === "paged").length;
    walk.edit("b", OFF);
    walk.pass(MINUTE);
    expect(walk.state.phase).toBe("walking");
    walk.edit("a", OFF);
    walk.until("rolled_back", 10 * SECOND);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(pages);
    expect(walk.last("held")?.detail).toBe(
      "a was set OFF again by somebody, as it was before people changed it",
    );
  });

  it("an unlock does not end it: somebody is about to enable", () => {
    const walk = turnedOnAgain();
    walk.until("recovered");
    walk.ask({ kind: "unlock", flags: ["a", "b"], because: "fixed" });
    walk.edit("a", OFF);
    walk.edit("b", OFF);
    walk.pass(5 * MINUTE);
    expect(walk.kinds()).not.toContain("rolled_back");
  });

  it("a stop says that they would stay on", () => {
    const walk = turnedOnAgain();
    walk.until("recovered");
    const outcome = walk.ask({ kind: "stop", confirmed: false });
    expect(JSON.stringify(outcome)).toContain(
      "a (turned on by people), b (turned on by people) would stay ON",
    );
    walk.ask({ kind: "stop", confirmed: true });
    expect(card(walk).says).toContain("a (turned on by people), b (turned on by people) stay ON");
  });
});

it("what people turned on ahead of plan keeps a run alive that goes back", () => {
  const walk = new Walk(planOf()).start();
  walk.until("stage_enabled");
  walk.edit("c", ON);
  walk.until("drift_found");
  walk.says.set("failures", 0.5);
  walk.until("rollback_started");
  walk.says.set("failures", 0);
  walk.until("recovered");
  expect(walk.kinds()).not.toContain("rolled_back");
  expect(leftOn(walk.plan, walk.state)).toEqual(["c (turned on by people)"]);
  expect(walk.setting("c")).toEqual(ON);
  walk.says.set("failures", 0.5);
  walk.until("paged");
  expect(walk.last("paged")?.summary).toContain("only c is on, turned on by people: `rollout rollback all`");
});

const SHARE: Partial<Plan> = {
  flags: flags(flag("base"), flag("search")),
  stages: [stage("base", 0), percents("search", 10 * MINUTE, [10, 50])],
};

/** base is on, people were asked for 10 % of search and have set it for everybody. */
function forEverybody(extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf({ ...SHARE, ...extra })).start({ mode: "observe" });
  walk.edit("base", ON);
  walk.until("stage_enabled");
  walk.until("stage_started");
  walk.edit("search", percentSetting(100));
  walk.until("drift_found");
  return walk;
}

describe("what people set in place of what was asked", () => {
  it("is on of this rollout, and is what a breach would take back", () => {
    const walk = forEverybody();
    expect(leftOn(walk.plan, walk.state)).toEqual(["base", "search (turned on by people)"]);
    expect(card(walk).rows[1]?.detail).toBe("search ON by people");
    walk.says.set("failures", 0.5);
    walk.until("would_roll_back");
    expect(walk.last("would_roll_back")).toMatchObject({
      to: 0,
      stages: [],
      flips: [{ flag: "search", to: OFF }],
    });
    walk.pass(5 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(1);
    const [doIt] = wouldOffers(walk.plan, walk.state, openWould(walk.state) ?? expect.fail("no would"));
    expect(doIt).toMatchObject({ command: "rollout rollback search run=r-1" });
    expect(commands(walk)).toContain("rollout rollback search run=r-1");
    walk.ask({ kind: "rollback", to: 0 });
    walk.pass(10 * SECOND);
    expect([walk.setting("base"), walk.setting("search")]).toEqual([ON, OFF]);
  });

  it("with an emergency everything goes", () => {
    const walk = forEverybody({ guards: [failures({ consequence: "emergency" }), alive()] });
    walk.says.set("failures", 0.5);
    walk.until("would_roll_back");
    expect(walk.last("would_roll_back")?.flips.map(({ flag }) => flag)).toEqual(["search", "base"]);
  });

  it("taken back by hand as Belay said is noticed", () => {
    const walk = forEverybody();
    walk.says.set("failures", 0.5);
    walk.until("would_roll_back");
    walk.edit("search", OFF);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")).toMatchObject({ byHand: true, flips: [{ flag: "search" }] });
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect(leftOn(walk.plan, walk.state)).toEqual(["base"]);
  });

  it("stays on while it is asked for again, and nobody is told not to set it", () => {
    const walk = forEverybody();
    walk.ask({ kind: "resume" });
    walk.pass(SECOND);
    expect(walk.state.stages[1]?.status).toBe("enabling");
    expect(leftOn(walk.plan, walk.state)).toEqual(["base", "search"]);
    walk.says.set("failures", 0.5);
    walk.until("would_roll_back");
    expect(walk.kinds().filter((kind) => kind === "stage_withdrawn")).toHaveLength(1);
    expect(walk.last("would_roll_back")).toMatchObject({ to: 0, flips: [{ flag: "search", to: OFF }] });
    walk.says.set("failures", 0);
    walk.ask({ kind: "rollback", to: -1 });
    walk.until("rolled_back");
    expect([walk.setting("base"), walk.setting("search")]).toEqual([OFF, OFF]);
  });

  it("goes back with `rollback all` after Belay was let flip while it was asked for again", () => {
    const walk = forEverybody();
    walk.ask({ kind: "resume" });
    walk.pass(SECOND);
    expect(walk.state.stages[1]?.status).toBe("enabling");
    walk.says.set("failures", "silent");
    walk.ask({ kind: "hold" });
    walk.ask({ kind: "mode", mode: "act" });
    expect(walk.last("stage_withdrawn")?.why).toContain("search is ON now");
    walk.ask({ kind: "rollback", to: -1 });
    walk.pass(10 * SECOND);
    expect([walk.setting("base"), walk.setting("search")]).toEqual([OFF, OFF]);
  });

  it("set in the same moment as a breach: it is taken for set", () => {
    const asking = (): Walk => {
      const walk = new Walk(planOf(SHARE)).start({ mode: "observe" });
      walk.edit("base", ON);
      walk.until("stage_enabled");
      walk.until("stage_started");
      walk.says.set("failures", 0.5);
      return walk;
    };
    const unset = asking();
    const from = unset.steady;
    const untilBreachMs = unset.until("stage_withdrawn").at - from;
    const walk = asking();
    walk.pass(untilBreachMs - SECOND);
    walk.edit("search", percentSetting(100));
    walk.pass(5 * SECOND);
    const whys = walk.log.flatMap(({ event }) => (event.kind === "stage_withdrawn" ? [event.why] : []));
    expect(whys).toEqual([expect.stringContaining("search was set ON by somebody")]);
    expect(openWould(walk.state)?.flips).toMatchObject([{ flag: "search", to: OFF }]);
  });

  it("what was on before the run is not people's doing", () => {
    const walk = new Walk(planOf(SHARE), { search: ON }).start({ mode: "observe" });
    walk.edit("base", ON);
    walk.until("stage_enabled");
    walk.until("stage_started");
    expect(leftOn(walk.plan, walk.state)).toEqual(["base"]);
    walk.says.set("failures", 0.5);
    walk.until("stage_withdrawn");
    expect(walk.last("stage_withdrawn")?.why).toContain("do not set it now");
    expect(leftOn(walk.plan, walk.state)).toEqual(["base"]);
  });
});
