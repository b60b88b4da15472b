/** Observing: Belay flips nothing, asks people to, judges what they did, and says what it would have taken back. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import { modeAtStart } from "../../src/core/mode.ts";
import type { Plan } from "../../src/core/plan.ts";
import { nextForward } from "../../src/core/rollout/forward.ts";
import { openWould } from "../../src/core/rollout/observe.ts";
import { OFF, ON, percentSetting } from "../../src/core/setting.ts";
import { type Known, type Resolution, resolve } from "../../src/core/target.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
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
  planOf,
  stage,
  viewer,
} from "../support/plans.ts";
import { Walk } from "./walk.ts";

function observing(extra: Partial<Plan> = {}, before = {}): Walk {
  return new Walk(planOf(extra), before).start({ mode: "observe" });
}

function waitsFor(walk: Walk): string {
  const next = nextForward(walk.plan, walk.state, walk.world(), walk.now());
  return next.kind === "wait" ? `${next.code}: ${next.detail}` : next.kind;
}

/** Both a and b are on, set by people, and b soaks. */
function twoOn(extra: Partial<Plan> = {}): Walk {
  const walk = observing(extra);
  walk.edit("a", ON);
  walk.until("stage_enabled");
  while (walk.state.stages[1]?.status !== "enabling") walk.until("stage_started");
  walk.edit("b", ON);
  walk.until("stage_enabled");
  return walk;
}

function breach(walk: Walk): Walk {
  walk.says.set("failures", 0.5);
  walk.until("would_roll_back");
  return walk;
}

describe("going forward", () => {
  it("asks for the first stage and waits for as long as people take", () => {
    const walk = observing();
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started"]);
    // So that whoever reads of it later knows who flipped, whatever the mode is then.
    expect(walk.last("stage_started")).toMatchObject({ asked: true });
    expect(new Walk(planOf()).start().last("stage_started")).not.toHaveProperty("asked");
    walk.pass(5 * HOUR, 30 * SECOND);
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started"]);
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.state.holds).toEqual([]);
    expect(waitsFor(walk)).toBe(
      "asked: a waits for FEATURE_A to be set ON in Belay's own flags.json (in BELAY_STATE) by people",
    );
  });

  it("soaks once the store and the service show what people did, and judges from then on", () => {
    const walk = observing();
    walk.pass(HOUR, 30 * SECOND);
    walk.edit("a", ON);
    const seen = walk.until("stage_enabled");
    expect(walk.state.stages[0]).toMatchObject({ status: "soaking", flippedWall: seen.wall });
    expect(walk.state.epoch.at).toBe(seen.at);
    const next = walk.until("stage_started");
    expect(next.at - seen.at).toBeGreaterThanOrEqual(10 * MINUTE);
    expect(walk.last("soak_passed")?.stage).toBe(0);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("does not believe the store alone", () => {
    const walk = observing();
    walk.view = "silent";
    walk.edit("a", ON);
    walk.pass(10 * MINUTE);
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started"]);
    walk.view = "follows";
    walk.until("stage_enabled");
  });

  it("moves the plan by the time that people took", () => {
    const walk = observing({
      stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR), stage("c", 2 * HOUR)],
    });
    const began = walk.steady;
    walk.pass(3 * HOUR, 30 * SECOND);
    walk.edit("a", ON);
    walk.until("stage_enabled");
    while (walk.state.stages[1]?.status !== "enabling") walk.until("stage_started", 3 * HOUR);
    expect(walk.steady - began).toBeGreaterThanOrEqual(4 * HOUR);
  });

  it("a baseline asks people to turn off what is on, without asking first whether it may", () => {
    const walk = observing(
      { stages: [baseline(0, ["a", "b", "c"]), stage("a", HOUR), stage("b", 2 * HOUR)] },
      { b: ON },
    );
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started"]);
    walk.pass(10 * MINUTE);
    expect(waitsFor(walk)).toBe(
      "asked: baseline waits for FEATURE_B to be set OFF in Belay's own flags.json (in BELAY_STATE) by people",
    );
    expect(walk.kinds()).not.toContain("paged");
    walk.edit("b", OFF);
    walk.until("stage_enabled");
  });

  it("asks for each percentage in turn", () => {
    const walk = observing({ stages: [percents("a", 0, [25, 100])] });
    walk.pass(MINUTE);
    expect(waitsFor(walk)).toBe(
      "asked: a waits for FEATURE_A to be set 25 % in Belay's own flags.json (in BELAY_STATE) by people",
    );
    walk.edit("a", percentSetting(25));
    walk.until("stage_started");
    expect(waitsFor(walk)).toBe(
      "asked: a waits for FEATURE_A to be set ON in Belay's own flags.json (in BELAY_STATE) by people",
    );
  });

  it("what people set otherwise is drift, and the ask is void", () => {
    const walk = observing();
    walk.pass(MINUTE);
    walk.edit("a", percentSetting(50));
    walk.until("held");
    expect(walk.last("held")).toMatchObject({ reason: "drift" });
    expect(walk.last("drift_found")).toMatchObject({ flag: "a", found: percentSetting(50) });
    expect(walk.state.stages[0]?.status).toBe("pending");
  });

  it("set and set back between two reads: it still waits", () => {
    const walk = observing();
    walk.edit("a", ON);
    walk.edit("a", OFF);
    walk.pass(MINUTE);
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started"]);
  });

  it("a breach while people are asked takes the ask back, and what was on before would have gone", () => {
    const walk = observing();
    walk.edit("a", ON);
    walk.until("stage_started");
    breach(walk);
    expect(walk.last("stage_withdrawn")).toMatchObject({ stage: 1 });
    expect(walk.last("would_roll_back")).toMatchObject({ to: -1, flips: [{ flag: "a", to: OFF }] });
    expect(walk.setting("a")).toEqual(ON);
  });

  it("a breach while the first ask is open has nothing to take back", () => {
    const walk = observing();
    walk.says.set("failures", 0.5);
    walk.until("held");
    expect(walk.last("held")).toMatchObject({ reason: "breach_not_ours" });
    expect(walk.kinds()).toContain("stage_withdrawn");
    expect(walk.kinds()).not.toContain("would_roll_back");
  });

  it("an ask that was withdrawn and is followed all the same is a change ahead of plan", () => {
    const walk = observing();
    walk.says.set("failures", 0.5);
    walk.until("held");
    walk.edit("a", ON);
    walk.until("drift_found");
    expect(walk.last("drift_found")).toMatchObject({ direction: "ahead" });
  });
});

describe("WOULD have rolled back", () => {
  it("is said once per breach, with a hold, and nothing is written", () => {
    const walk = breach(twoOn());
    expect(walk.last("would_roll_back")).toMatchObject({
      to: 0,
      stages: [1],
      flips: [{ flag: "b", to: OFF }],
    });
    expect(walk.last("held")).toMatchObject({ reason: "would_roll_back" });
    walk.pass(30 * MINUTE, 10 * SECOND);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(1);
    expect([walk.setting("a"), walk.setting("b")]).toEqual([ON, ON]);
  });

  it.each([
    ["emergency", { guards: [failures({ consequence: "emergency" }), alive()] }, -1],
    ["rollback", {}, 0],
  ] as const)("a guard with then: %s", (_, extra, to) => {
    expect(breach(twoOn(extra)).last("would_roll_back")?.to).toBe(to);
  });

  it.each([
    ["hold", "held"],
    ["page", "paged"],
  ] as const)("a guard with then: %s does that and no more", (consequence, kind) => {
    const walk = twoOn({ guards: [failures({ consequence }), alive()] });
    walk.says.set("failures", 0.5);
    walk.until(kind);
    walk.pass(5 * MINUTE);
    expect(walk.kinds()).not.toContain("would_roll_back");
  });

  it("blind too long with on_blind: rollback is said too", () => {
    const walk = twoOn({ onBlind: "rollback", blindAfterMs: MINUTE });
    walk.says.set("failures", "nan");
    walk.until("would_roll_back");
    expect(walk.last("would_roll_back")?.cause.kind).toBe("blind");
    walk.pass(10 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(1);
  });

  it("an alert is said once", () => {
    const walk = twoOn({ rollbackOn: [{ labels: { alertname: ["HighErrorRate"] } }] });
    walk.pass(MINUTE);
    const labels = { alertname: "HighErrorRate", service: "svc", environment: "production" };
    const firing = {
      key: "k1",
      fingerprint: "f",
      status: "firing" as const,
      startsAt: walk.wall - SECOND,
      labels,
      annotations: {},
    };
    walk.alerts = { firings: [firing] };
    walk.until("would_roll_back");
    walk.ask({ kind: "resume", because: "false alarm" });
    walk.pass(10 * MINUTE);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(1);
  });

  it("flags that only people may take back are held and paged as ever", () => {
    const walk = twoOn({ flags: flags(flag("a"), flag("b", { undo: "data" }), flag("c")) });
    walk.says.set("failures", 0.5);
    walk.until("paged");
    expect(walk.last("held")).toMatchObject({ reason: "undo_by_hand" });
    expect(walk.kinds()).not.toContain("would_roll_back");
  });

  it("a deeper consequence is said on top", () => {
    const walk = twoOn({
      guards: [failures(), failures({ name: "heap", consequence: "emergency" }), alive()],
    });
    breach(walk);
    walk.says.set("heap", 0.5);
    walk.until("would_roll_back");
    expect(walk.last("would_roll_back")).toMatchObject({ to: -1 });
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["would_roll_back"]);
  });
});

describe("[Do it]", () => {
  it("a person's rollback writes, is read back and looked at", () => {
    const walk = breach(twoOn());
    const outcome = walk.ask({ kind: "rollback", to: 0 }, viewer(BEN));
    expect(outcome.kind).toBe("events");
    expect(openWould(walk.state)).toBeUndefined();
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect([walk.setting("a"), walk.setting("b")]).toEqual([ON, OFF]);
    expect(Object.keys(walk.state.latched)).toEqual(["b"]);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["rolled_back"]);
  });

  it("a look that fails would go deeper, and says so instead", () => {
    const walk = breach(twoOn({ unwind: "gradual" }));
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("look_failed");
    walk.pass(MINUTE);
    expect(walk.last("would_roll_back")).toMatchObject({ to: -1, cause: { kind: "still_breaching" } });
    expect([walk.setting("a"), walk.setting("b")]).toEqual([ON, OFF]);
  });

  it("a flag of ours that comes back by a late write of ours is set off again", () => {
    const walk = breach(twoOn());
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("rollback_off");
    walk.edit("b", ON, "r-1.3.b");
    walk.until("flip_corrected");
    walk.pass(5 * SECOND);
    expect(walk.setting("b")).toEqual(OFF);
  });
});

describe("[False alarm]", () => {
  it("ends the hold and stays silent about that breach until the guard has passed again", () => {
    const walk = breach(twoOn());
    const outcome = walk.ask({ kind: "resume", because: "false alarm" });
    expect(outcome).toMatchObject({ kind: "events" });
    expect(walk.last("resumed")).toMatchObject({ reasons: ["would_roll_back"], because: "false alarm" });
    walk.pass(20 * MINUTE, 10 * SECOND);
    expect(walk.state.holds).toEqual([]);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(1);
    expect(walk.state.stages[2]?.status).toBe("pending");
    walk.says.set("failures", 0);
    walk.pass(2 * MINUTE);
    expect(walk.state.dismissed).toEqual({});
    breach(walk);
    expect(walk.kinds().filter((kind) => kind === "would_roll_back")).toHaveLength(2);
  });

  it("of a guard that passes already silences nothing", () => {
    const walk = breach(twoOn());
    walk.says.set("failures", 0);
    walk.pass(2 * MINUTE);
    walk.ask({ kind: "resume", because: "false alarm" });
    expect(walk.state.dismissed).toBeUndefined();
    breach(walk);
  });

  it("leaves other holds", () => {
    const walk = breach(twoOn());
    walk.ask({ kind: "hold", because: "lunch" });
    walk.ask({ kind: "resume", because: "false alarm" });
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["person"]);
  });

  it("needs an operator", () => {
    const walk = breach(twoOn());
    expect(walk.ask({ kind: "resume" }, viewer(BEN))).toMatchObject({
      kind: "refused",
      code: "not_authorised",
    });
  });
});

describe("taken back by hand", () => {
  it("is noticed, looked at, and told; nothing was written", () => {
    const walk = breach(twoOn());
    const version = walk.store.get("b")?.version;
    walk.edit("b", OFF);
    walk.until("rollback_confirmed");
    expect(walk.last("rollback_started")).toMatchObject({ byHand: true, to: 0 });
    expect(walk.kinds()).not.toContain("drift_found");
    walk.says.set("failures", 0);
    walk.until("recovered");
    expect(walk.store.get("b")?.version).toBe((version ?? 0) + 1);
    expect(Object.keys(walk.state.latched)).toEqual(["b"]);
  });

  it("waits for the other flags of an emergency", () => {
    const walk = breach(twoOn({ guards: [failures({ consequence: "emergency" }), alive()] }));
    walk.edit("b", OFF);
    walk.pass(MINUTE);
    expect(walk.kinds()).not.toContain("rollback_started");
    expect(walk.kinds()).not.toContain("drift_found");
    walk.edit("a", OFF);
    walk.says.set("failures", 0);
    walk.until("rolled_back");
  });

  it("and production stays bad: the flag was not the cause", () => {
    const walk = breach(twoOn());
    walk.edit("b", OFF);
    walk.until("look_failed");
    expect(walk.last("held")).toMatchObject({ reason: "not_the_cause" });
  });

  it("without a WOULD it is a decision as ever", () => {
    const walk = twoOn();
    walk.edit("b", OFF);
    walk.until("held");
    expect(walk.last("held")).toMatchObject({ reason: "drift" });
  });
});

describe("who flips changes while it is live", () => {
  it("to people: a flip that is owed is theirs from then on", () => {
    const walk = new Walk(planOf());
    walk.shop.takes = false;
    walk.start();
    expect(walk.ask({ kind: "mode", mode: "observe", because: "careful" })).toMatchObject({ kind: "events" });
    walk.shop.takes = true;
    walk.pass(5 * MINUTE);
    expect(walk.setting("a")).toEqual(OFF);
    expect(walk.kinds()).not.toContain("stage_withdrawn");
    expect(walk.last("mode_set")).toMatchObject({ mode: "observe", asks: { stage: 0, substage: 0 } });
    walk.edit("a", ON);
    walk.until("stage_enabled");
  });

  it("to people: an OFF that is owed goes on", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.shop.takes = false;
    walk.ask({ kind: "rollback", to: -1 });
    walk.ask({ kind: "mode", mode: "observe" });
    walk.shop.takes = true;
    walk.until("rolled_back");
    expect(walk.setting("a")).toEqual(OFF);
  });

  it("to people: anyone may; back to Belay it is the installation's operators who ask", () => {
    const walk = new Walk(planOf()).start();
    expect(walk.ask({ kind: "mode", mode: "observe" }, viewer(BEN))).toMatchObject({ kind: "events" });
  });

  it("to Belay: an open ask is void, and the step comes through its gates on fresh evidence", () => {
    const walk = observing();
    walk.pass(10 * MINUTE);
    const from = walk.log.length;
    walk.ask({ kind: "mode", mode: "act", because: "we trust it" });
    expect(walk.kinds(from).slice(0, 3)).toEqual(["stage_withdrawn", "mode_set", "stage_started"]);
    walk.until("stage_enabled");
    expect(walk.setting("a")).toEqual(ON);
    expect(walk.kinds()).not.toContain("drift_found");
  });

  it("to Belay: an open baseline asks before it turns off what is on", () => {
    const walk = observing({ stages: [baseline(0, ["a", "b"]), stage("a", HOUR)] }, { b: ON });
    walk.ask({ kind: "mode", mode: "act" });
    walk.pass(MINUTE);
    expect(walk.state.baselineAsk?.flags).toEqual(["b"]);
    expect(walk.setting("b")).toEqual(ON);
    expect(walk.kinds()).not.toContain("drift_found");
  });

  it("to Belay: what it would have taken back, it takes back", () => {
    const walk = breach(twoOn());
    walk.ask({ kind: "mode", mode: "act" });
    walk.until("rollback_off");
    expect(walk.setting("b")).toEqual(OFF);
    expect(openWould(walk.state)).toBeUndefined();
  });

  it.each(["observe", "act"] as const)("said twice (%s), it is so already", (mode) => {
    const walk = mode === "observe" ? observing() : new Walk(planOf()).start();
    expect(walk.ask({ kind: "mode", mode }).kind).toBe("already");
  });
});

describe("release", () => {
  it("hands the flags to people for good and says what stays on", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    const outcome = walk.ask({ kind: "release", because: "end of shift" });
    expect(outcome).toMatchObject({ kind: "events" });
    expect("note" in outcome ? outcome.note : "").toMatch(/a stays ON.*Guards still judge/);
    expect(walk.state).toMatchObject({ mode: "observe", released: true });
    expect(walk.ask({ kind: "mode", mode: "act" })).toMatchObject({ kind: "already" });
    expect(walk.state.mode).toBe("observe");
    expect(walk.ask({ kind: "release" }).kind).toBe("already");
    breach(walk);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("rollback_off");
    expect(walk.setting("a")).toEqual(OFF);
  });

  it("of a run that observes makes that lasting", () => {
    const walk = observing();
    walk.ask({ kind: "release" });
    walk.ask({ kind: "mode", mode: "act" });
    expect(walk.state.mode).toBe("observe");
    expect(waitsFor(walk)).toContain("FEATURE_A");
  });

  it("is refused while it goes back, and to who is no operator", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    expect(walk.ask({ kind: "release" }, viewer(BEN))).toMatchObject({ code: "not_authorised" });
    walk.shop.takes = false;
    walk.ask({ kind: "rollback", to: -1 });
    expect(walk.ask({ kind: "release" }, operator(ANA))).toMatchObject({ code: "rolling_back" });
  });

  it("ends with stop", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.ask({ kind: "release" });
    walk.ask({ kind: "stop", confirmed: true });
    expect(walk.state.phase).toBe("stopped");
  });

  it("stop before anybody has flipped names nothing that would stay on", () => {
    const walk = observing();
    expect(walk.ask({ kind: "stop", confirmed: false })).toMatchObject({ kind: "events" });
  });
});

describe("the mode at a start", () => {
  it.each([
    ["a new installation observes", {}, true, "observe"],
    ["a journal that has runs acts", {}, false, "act"],
    ["the flag says observe", { flag: "observe" }, false, "observe"],
    ["the setting says act", { setting: "act" }, true, "act"],
    ["the setting says observe over what was said", { setting: "observe", said: "act" }, false, "observe"],
    ["what a person said last counts", { said: "act" }, true, "act"],
    [
      "and goes on over a setting when it is the careful one",
      { setting: "act", said: "observe" },
      false,
      "observe",
    ],
    ["the flag goes over all", { flag: "observe", setting: "act", said: "act" }, false, "observe"],
    ["a first start is remembered when runs have come", { first: "observe" }, false, "observe"],
    ["but is nobody's word", { first: "observe", setting: "act" }, false, "act"],
  ] as const)("%s", (_, words, isNew, mode) => {
    expect(modeAtStart({ ...words, isNew }).mode).toBe(mode);
  });
});

describe("the words for it", () => {
  const { plan, state } = observing();
  const known: Known = {
    catalogue: new Map([[plan.rollout, plan]]),
    runs: [{ plan, state }],
    zone: "UTC",
  };
  const typed = (text: string): Resolution => {
    const parsed = parseCommand(text);
    return "kind" in parsed ? parsed : resolve(parsed, known, { steady: 0, wall: 0 });
  };

  it.each([
    ["observe", { kind: "mode", mode: undefined }],
    ["belay observe on", { kind: "mode", mode: "observe" }],
    ['observe ON because "night"', { kind: "mode", mode: "observe", because: "night" }],
    ['belay observe off because "trusted"', { kind: "mode", mode: "act", because: "trusted" }],
    ["observe off", { kind: "refused", code: "missing_reason" }],
    ["observe maybe", { kind: "refused", code: "bad_value" }],
    ["rollout release demo", { kind: "ask", run: "r-1", ask: { kind: "release" } }],
    ['release because "end of shift"', { kind: "ask", ask: { kind: "release", because: "end of shift" } }],
    [
      'rollout resume run=r-1 because "false alarm"',
      { kind: "ask", run: "r-1", ask: { kind: "resume", because: "false alarm" } },
    ],
  ])("%s", (text, resolution) => {
    expect(typed(text)).toMatchObject(resolution);
  });
});
