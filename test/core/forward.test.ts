/** Going forward step by step: planned times, soaks, percentages, values, baselines, approvals, reviews, forward hours, expectations. */
import { describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { nextForward } from "../../src/core/rollout/forward.ts";
import { plannedAt, type State } from "../../src/core/rollout/state.ts";
import { formatSetting, OFF, ON } from "../../src/core/setting.ts";
import { DAY, HOUR, MINUTE, parseForwardWindow, SECOND } from "../../src/core/time.ts";
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
  person,
  plainFlag,
  planOf,
  review,
  set,
  stage,
  step,
  viewer,
} from "../support/plans.ts";
import { Walk } from "./walk.ts";

function waits(walk: Walk): string {
  const next = nextForward(walk.plan, walk.state, walk.world(), walk.now());
  return next.kind === "wait" ? next.code : next.kind;
}

/** Minutes from the start at which stages began, by name. */
function begun(walk: Walk): Readonly<Record<string, number>> {
  const from = walk.log[0]?.at ?? 0;
  return Object.fromEntries(
    walk.log.flatMap(({ at, event }) =>
      event.kind === "stage_started" && event.substage === 0
        ? [[walk.plan.stages[event.stage]?.name ?? "", Math.round((at - from) / MINUTE)]]
        : [],
    ),
  );
}

describe("the timeline", () => {
  it("starts each stage at its planned time, once its predecessor soaked, and completes", () => {
    const walk = new Walk(planOf()).start();
    walk.until("completed");
    expect(begun(walk)).toEqual({ a: 0, b: 10, c: 20 });
    expect(walk.kinds()).toEqual([
      "rollout_started",
      ...["a", "b", "c"].flatMap(() => ["stage_started", "stage_enabled", "soak_passed"]),
      "completed",
    ]);
    expect(walk.state).toMatchObject({ phase: "completed", endedAt: walk.steady });
  });

  it("waits for the planned time after a short soak, and says so", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR)] })).start();
    walk.until("soak_passed");
    expect(waits(walk)).toBe("planned_time");
    walk.until("stage_started");
    expect(begun(walk)).toEqual({ a: 0, b: 60 });
  });

  it("waits for a soak longer than the plan's gap", () => {
    const walk = new Walk(
      planOf({ stages: [stage("a", 0, {}, 30 * MINUTE), stage("b", 10 * MINUTE)] }),
    ).start();
    walk.until("soak_passed");
    expect(begun(walk)).toEqual({ a: 0, b: 30 });
  });

  it("a delayed start begins at its time and not before", () => {
    const walk = new Walk(planOf()).start({ delayMs: 30 * MINUTE });
    walk.pass(29 * MINUTE);
    expect(walk.kinds()).toEqual(["rollout_started"]);
    walk.pass(MINUTE);
    expect(begun(walk)).toEqual({ a: 30 });
  });

  it("enable of one stage runs that stage alone, counted from now", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ stage: 1 });
    walk.until("completed");
    expect(begun(walk)).toEqual({ b: 0 });
    expect(walk.setting("c")).toEqual(OFF);
  });

  it("enable of a stage whose requirements are off runs everything up to it", () => {
    const walk = new Walk(planOf()).start({ stage: 1 });
    walk.until("completed");
    expect(begun(walk)).toEqual({ a: 0, b: 10 });
  });

  it("a requirement that somebody turned off stops the next stage, which says which", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ stage: 1, delayMs: MINUTE });
    walk.edit("a", OFF);
    walk.pass(2 * MINUTE);
    expect(nextForward(walk.plan, walk.state, walk.world(), walk.now())).toMatchObject({
      code: "requires",
      detail: "b requires a, which is OFF",
    });
  });

  it("a requirement at a percentage is not on", () => {
    const walk = new Walk(planOf(), { a: { kind: "percent", percent: 50 } }).start({ stage: 1 });
    expect(walk.state).toMatchObject({ first: 0, end: 1 });
  });

  it("nothing starts while a guard has not passed just now", () => {
    const walk = new Walk(planOf());
    walk.says.set("failures", "empty");
    walk.start();
    walk.pass(10 * MINUTE);
    expect(begun(walk)).toEqual({});
    walk.says.set("failures", 0);
    walk.until("stage_started", MINUTE);
  });

  it("a flip carries the version it was decided on, a deadline, and a key of its own", () => {
    const walk = new Walk(planOf(), { b: ON }).start();
    const started = walk.last("stage_started");
    const seq = walk.log.find((one) => one.event.kind === "stage_started")?.seq;
    expect(started?.flips).toEqual([{ flag: "a", from: OFF, to: ON, intent: `r-1.${seq}.a`, version: "1" }]);
    expect(started).toMatchObject({ writeBy: walk.steady + 5 * SECOND, verifyBy: walk.steady + 15 * SECOND });
  });
});

describe("the soak", () => {
  it("counts only time covered by passes of every guard", () => {
    const walk = new Walk(planOf()).start();
    const from = walk.until("stage_enabled").at;
    walk.pass(4 * MINUTE);
    walk.says.set("failures", "nan");
    walk.pass(20 * MINUTE);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["blind"]);
    walk.says.set("failures", 0);
    const passed = walk.until("soak_passed");
    expect(passed.at - from).toBeGreaterThanOrEqual(30 * MINUTE);
    expect(passed.at - from).toBeLessThanOrEqual(31 * MINUTE);
  });

  it("does not count a gap in which nobody answered", () => {
    const walk = new Walk(planOf()).start();
    const from = walk.until("stage_enabled").at;
    walk.pass(4 * MINUTE);
    walk.says.set("alive", "silent");
    walk.pass(45 * SECOND);
    walk.says.set("alive", 1);
    const passed = walk.until("soak_passed");
    expect(passed.at - from).toBeGreaterThanOrEqual(10 * MINUTE + 35 * SECOND);
  });

  it("is never shorter than the longest guard window, two polls and a scrape, even advanced early", () => {
    const walk = new Walk(planOf()).start();
    const from = walk.until("stage_enabled").at;
    walk.ask({ kind: "advance" });
    const passed = walk.until("soak_passed");
    expect(passed.at - from).toBeGreaterThanOrEqual(55 * SECOND);
    expect(passed.at - from).toBeLessThanOrEqual(70 * SECOND);
    expect(begun(walk)).toEqual({ a: 0, b: 1 });
  });

  it("is prolonged by extend, which moves what follows", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.ask({ kind: "extend", ms: 30 * MINUTE });
    expect(walk.until("soak_passed", HOUR).event).toMatchObject({ stage: 0 });
    walk.until("completed");
    expect(begun(walk)).toEqual({ a: 0, b: 40, c: 50 });
  });

  it("extend of a stage that has passed makes it soak again", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR)] })).start();
    walk.until("soak_passed");
    walk.ask({ kind: "extend", ms: 2 * HOUR });
    walk.pass(HOUR + 30 * MINUTE, 10 * SECOND);
    expect(walk.state.stages[0]?.status).toBe("soaking");
    walk.until("stage_started");
    expect(begun(walk)["b"]).toBe(180);
  });

  it("is remembered across a stop of the clock, minute by minute at least", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.pass(5 * MINUTE);
    walk.ask({ kind: "hold" });
    expect(walk.state.stages[0]?.soakedMs).toBeGreaterThanOrEqual(4 * MINUTE + 50 * SECOND);
  });
});

describe("percentages and values", () => {
  it("raises share by share, each with its own soak", () => {
    const walk = new Walk(planOf({ stages: [percents("a", 0, [5, 25, 50, 100])] })).start();
    const seen: string[] = [];
    while (walk.state.phase === "walking") {
      walk.pass(MINUTE);
      const now = formatSetting(walk.setting("a"));
      if (seen.at(-1) !== now) seen.push(now);
    }
    expect(seen).toEqual(["5 %", "25 %", "50 %", "ON"]);
    expect(walk.steady - (walk.log[0]?.at ?? 0)).toBeGreaterThanOrEqual(40 * MINUTE);
  });

  it("raises a value stage by stage", () => {
    const limit = (name: string, at: number, value: string) =>
      stage(name, at, { substages: [step(10 * MINUTE, set("a", { kind: "value", value }))] });
    const plan = planOf({ stages: [limit("ten", 0, "10"), limit("hundred", 10 * MINUTE, "100")] });
    const walk = new Walk(plan).start();
    walk.until("stage_enabled");
    expect(walk.setting("a")).toEqual({ kind: "value", value: "10" });
    walk.until("completed");
    expect(walk.setting("a")).toEqual({ kind: "value", value: "100" });
  });

  it("a stage may turn an old path off; a rollback turns it on again", () => {
    const plan = planOf({
      flags: flags(flag("a"), plainFlag("old")),
      stages: [
        stage("a", 0),
        stage("retire", 10 * MINUTE, { substages: [step(10 * MINUTE, set("old", OFF))] }),
      ],
    });
    const walk = new Walk(plan, { old: ON }).start();
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    expect(walk.setting("old")).toEqual(OFF);
    walk.says.set("failures", 0.5);
    walk.until("rollback_off");
    expect(walk.setting("old")).toEqual(ON);
  });
});

describe("a baseline", () => {
  const plan = (extra: Partial<Plan> = {}) =>
    planOf({ stages: [baseline(0, ["a", "b", "c"]), stage("a", 10 * MINUTE)], ...extra });

  it("with everything off already is verified and soaked without a question", () => {
    const walk = new Walk(plan()).start();
    walk.until("stage_enabled");
    expect(walk.kinds()).toEqual(["rollout_started", "stage_started", "stage_enabled"]);
  });

  it("that would turn a live flag off asks first, names it, and changes nothing until told", () => {
    const walk = new Walk(plan(), { b: ON }).start();
    walk.pass(HOUR, 10 * SECOND);
    expect(walk.kinds()).toEqual(["rollout_started", "baseline_asked"]);
    expect(walk.last("baseline_asked")?.flags).toEqual(["b"]);
    expect(walk.setting("b")).toEqual(ON);
    expect(walk.ask({ kind: "advance" }, viewer(BEN))).toMatchObject({ code: "not_authorised" });
    expect(walk.ask({ kind: "advance" }, operator(BEN))).toMatchObject({
      note: "The baseline will turn off b.",
    });
    walk.until("stage_enabled");
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("goes on by itself when people turned the flag off meanwhile and said so", () => {
    const walk = new Walk(plan(), { b: ON }).start();
    walk.edit("b", OFF);
    walk.pass(10 * SECOND);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["drift"]);
    walk.ask({ kind: "resume" });
    walk.until("stage_enabled");
  });

  it("the waiting for an answer moves the plan", () => {
    const walk = new Walk(plan(), { b: ON }).start();
    walk.pass(HOUR, 10 * SECOND);
    walk.ask({ kind: "advance" });
    walk.until("completed");
    expect(begun(walk)).toEqual({ baseline: 60, a: 70 });
  });

  it("is not done before every flag is read back and the service says so", () => {
    const walk = new Walk(plan(), { b: ON });
    walk.view = "stuck";
    walk.start();
    walk.view = "silent";
    walk.ask({ kind: "advance" });
    walk.pass(30 * SECOND);
    expect(walk.state.stages[0]?.status).toBe("enabling");
    const paged = walk.until("paged");
    expect(paged.event).toMatchObject({
      severity: "P2",
      summary: "demo: baseline not confirmed after 1 min: a, b, c",
    });
    walk.view = "follows";
    walk.until("stage_enabled");
  });

  it("turns a flag off whose safe value is on, as it says, and that is what is wished", () => {
    const walk = new Walk(plan({ flags: flags(flag("a"), flag("b"), flag("c", { safe: ON })) }), {
      c: ON,
    }).start();
    walk.ask({ kind: "advance" });
    walk.until("stage_enabled");
    expect(walk.setting("c")).toEqual(OFF);
  });

  it("is not held up by a lock: turning off is going back", () => {
    const before = new Walk(plan()).start();
    while (before.state.stages[1]?.status !== "soaking") before.until("stage_enabled");
    before.ask({ kind: "rollback", to: -1 });
    before.until("rolled_back");
    const flagsLater = planOf({
      stages: [baseline(0, ["a", "b", "c"]), stage("b", 10 * MINUTE)],
      rollout: "later",
    });
    const free = { ...flagsLater, flags: flags(flag("a"), flag("b"), flag("c")) };
    const walk = new Walk(free).start({ runs: [{ plan: before.plan, state: before.state }], run: "r-2" });
    walk.until("completed");
    expect(begun(walk)).toEqual({ baseline: 0, b: 10 });
  });
});

describe("an approval", () => {
  const KIM = person("kim");
  const plan = planOf({ stages: [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } })] });

  function asked(): Walk {
    const walk = new Walk(plan).start();
    walk.until("approval_requested");
    return walk;
  }

  it("is asked for when the stage is due, and nothing starts without it", () => {
    const walk = asked();
    expect(walk.last("approval_requested")).toEqual({
      kind: "approval_requested",
      stage: 1,
      from: "leads",
      requester: ANA,
      expiresAt: walk.steady + 15 * MINUTE,
    });
    walk.pass(14 * MINUTE);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("is not given by the one who asked, nor by anybody outside the group", () => {
    const walk = asked();
    expect(walk.ask({ kind: "approve" }, operator(ANA, "leads"))).toMatchObject({ code: "own_request" });
    expect(walk.ask({ kind: "approve" }, operator(BEN))).toMatchObject({ code: "not_authorised" });
    expect(walk.ask({ kind: "approve" }, viewer(KIM, "leads")).kind).toBe("events");
    expect(walk.ask({ kind: "approve" }, viewer(KIM, "leads")).kind).not.toBe("events");
    walk.until("stage_enabled");
    expect(walk.state.approval).toBeUndefined();
  });

  it("whoever advanced or set the end last is the one who asked", () => {
    const walk = new Walk(plan).start();
    walk.until("stage_enabled");
    walk.ask({ kind: "advance" }, operator(BEN, "leads"));
    walk.until("approval_requested");
    expect(walk.ask({ kind: "approve" }, operator(BEN, "leads"))).toMatchObject({ code: "own_request" });
    expect(walk.ask({ kind: "approve" }, operator(ANA, "leads")).kind).toBe("events");
  });

  it("lapses after fifteen minutes and holds; resume asks again, for one more approval", () => {
    const walk = asked();
    walk.pass(15 * MINUTE);
    expect(walk.kinds().slice(-2)).toEqual(["approval_expired", "held"]);
    expect(walk.ask({ kind: "approve" }, operator(BEN, "leads"))).toMatchObject({
      code: "nothing_to_approve",
    });
    walk.ask({ kind: "resume" });
    expect(walk.kinds().at(-1)).toBe("approval_requested");
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    walk.until("stage_enabled", MINUTE);
  });

  it("given but not used in time lapses as well", () => {
    const walk = asked();
    walk.says.set("failures", 0.5 / 25);
    walk.ask({ kind: "hold" });
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    walk.pass(16 * MINUTE);
    expect(walk.kinds()).toContain("approval_expired");
    walk.ask({ kind: "resume" });
    walk.pass(MINUTE);
    expect(walk.setting("b")).toEqual(OFF);
  });

  it("is void after a rollback", () => {
    const walk = asked();
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    const held = asked();
    held.ask({ kind: "rollback", to: "newest" });
    expect(held.state.approval).toBeUndefined();
    expect(held.ask({ kind: "approve" }, operator(BEN, "leads"))).toMatchObject({
      code: "nothing_to_approve",
    });
  });

  it("is void after somebody changed a flag", () => {
    const walk = asked();
    walk.edit("a", OFF);
    walk.pass(2 * SECOND);
    expect(walk.kinds().slice(-2)).toEqual(["drift_found", "held"]);
    expect(walk.state.approval).toBeUndefined();
  });

  it("the waiting moves the plan", () => {
    const walk = new Walk(
      planOf({
        stages: [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } }), stage("c", HOUR)],
      }),
    ).start();
    walk.until("approval_requested");
    const before = plannedAt(walk.plan, walk.state, 2, walk.steady);
    walk.pass(10 * MINUTE);
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    expect(plannedAt(walk.plan, walk.state, 2, walk.steady) - before).toBe(10 * MINUTE);
  });

  it("serves all substages of its stage and no other stage", () => {
    const walk = new Walk(
      planOf({
        flags: flags(flag("a"), flag("b"), flag("c")),
        stages: [
          { ...percents("a", 0, [50, 100]), approval: { from: "leads" } },
          stage("b", 20 * MINUTE, { approval: { from: "leads" } }),
        ],
      }),
    ).start();
    walk.ask({ kind: "approve" }, operator(BEN, "leads"));
    walk.until("approval_requested", HOUR);
    expect(walk.setting("a")).toEqual(ON);
    expect(walk.setting("b")).toEqual(OFF);
  });
});

describe("a review", () => {
  const plan = planOf({ stages: [stage("a", 0), review(HOUR)] });

  function inReview(): Walk {
    const walk = new Walk(plan).start();
    walk.until("review_opened");
    return walk;
  }

  it("opens at its time, keeps watching, and completes when signed off go", () => {
    const walk = inReview();
    expect((walk.steady - (walk.log[0]?.at ?? 0)) / MINUTE).toBe(60);
    walk.pass(2 * DAY, 60 * SECOND);
    expect(walk.state.phase).toBe("walking");
    walk.ask({ kind: "signoff", decision: "go" });
    expect(walk.kinds().slice(-2)).toEqual(["signed_off", "completed"]);
  });

  it("signed off no-go holds with the reason, leaves flags as they are, and opens again on resume", () => {
    const walk = inReview();
    walk.ask({ kind: "signoff", decision: "no-go", because: "p99 doubled" });
    expect(walk.state.holds).toMatchObject([{ reason: "no_go", detail: "p99 doubled" }]);
    walk.pass(MINUTE);
    expect(walk.setting("a")).toEqual(ON);
    walk.ask({ kind: "resume" });
    expect(walk.kinds().at(-1)).toBe("review_opened");
  });

  it("in the middle of a plan is asked again after a rollback behind it, so that nothing is skipped", () => {
    const walk = new Walk(
      planOf({
        flags: flags(flag("a"), flag("b"), flag("c")),
        stages: [
          stage("a", 0),
          stage("b", 10 * MINUTE),
          review(20 * MINUTE, "check"),
          stage("c", 30 * MINUTE),
        ],
      }),
    ).start();
    walk.until("review_opened");
    walk.ask({ kind: "signoff", decision: "go" });
    while (walk.state.stages[3]?.status !== "soaking") walk.until("stage_enabled");
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("recovered");
    expect(walk.state.stages.map((one) => one.status)).toEqual(["passed", "undone", "pending", "undone"]);
    walk.ask({ kind: "unlock", flags: ["b", "c"], because: "fixed" });
    walk.ask({ kind: "resume" });
    walk.until("review_opened");
    expect(walk.setting("b")).toEqual(ON);
    expect(walk.setting("c")).toEqual(OFF);
  });
});

describe("forward hours", () => {
  const forward = parseForwardWindow("Mon-Thu 09:00-16:00", "Europe/Berlin");

  it("a step that falls into the night waits for the morning; going back does not", () => {
    const walk = new Walk(
      planOf({
        ...(forward === undefined ? {} : { forward }),
        stages: [stage("a", 0), stage("b", 8 * HOUR, {}, DAY)],
      }),
    );
    walk.start();
    walk.until("stage_enabled");
    walk.pass(9 * HOUR, 10 * SECOND);
    expect(waits(walk)).toBe("forward_hours");
    const next = nextForward(walk.plan, walk.state, walk.world(), walk.now());
    expect(
      next.kind === "wait" && next.until !== undefined
        ? new Date(walk.wall + next.until - walk.steady).toISOString()
        : "",
    ).toBe("2026-01-06T08:00:00.000Z");
    walk.until("stage_started", DAY, 10 * SECOND);
    expect(new Date(walk.wall).toISOString()).toMatch(/^2026-01-06T08:00:0/);
    walk.pass(12 * HOUR, 10 * SECOND);
    walk.says.set("failures", 0.5);
    walk.until("rollback_off", MINUTE);
  });
});

describe("a restart of the service under way", () => {
  const UNDER_WAY = "bots/ollama is being restarted";

  it("keeps the next step back, which says so to whoever asks, and starts once it is over", () => {
    const walk = new Walk(planOf()).start();
    walk.until("stage_enabled");
    walk.restarting = UNDER_WAY;
    walk.until("soak_passed");
    walk.pass(15 * MINUTE);
    expect(waits(walk)).toBe("restarting");
    expect(walk.setting("b")).toEqual(OFF);
    const { plan, state } = walk;
    expect(cardOf({ plan, state, world: walk.world(), figures: {}, now: walk.now() }).says).toBe(UNDER_WAY);
    expect(walk.ask({ kind: "advance" })).toMatchObject({
      kind: "refused",
      code: "nothing_to_advance",
      message: `demo cannot advance now: ${UNDER_WAY}.`,
    });
    walk.restarting = undefined;
    walk.pass(5 * SECOND);
    expect(walk.setting("b")).toEqual(ON);
  });

  it("keeps a percentage where it is", () => {
    const walk = new Walk(planOf({ stages: [percents("a", 0, [10, 50])] })).start();
    walk.until("stage_enabled");
    walk.restarting = UNDER_WAY;
    walk.until("soak_passed");
    walk.pass(5 * MINUTE);
    expect(waits(walk)).toBe("restarting");
    expect(walk.setting("a")).toEqual({ kind: "percent", percent: 10 });
    walk.restarting = undefined;
    walk.until("stage_started", MINUTE);
  });

  it("keeps back neither the end of a step that has begun, nor a rollback, nor completion", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0)] })).start();
    expect(walk.state.stages[0]?.status).toBe("enabling");
    walk.restarting = UNDER_WAY;
    walk.until("stage_enabled", MINUTE);
    walk.until("completed");
    const other = new Walk(planOf()).start();
    other.until("stage_enabled");
    other.restarting = UNDER_WAY;
    other.says.set("failures", 0.5);
    other.until("rollback_off", 2 * MINUTE);
    expect(other.setting("a")).toEqual(OFF);
  });
});

describe("an expectation", () => {
  const plan = planOf({
    guards: [failures(), alive(), hits({ stages: ["a"] })],
    stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR)],
  });

  it("that is met lets the stage pass, and stays met", () => {
    const walk = new Walk(plan);
    walk.says.set("hits", 0.05);
    walk.start();
    walk.pass(3 * MINUTE);
    expect(walk.state.stages[0]?.status).toBe("soaking");
    walk.says.set("hits", 0.3);
    walk.pass(10 * SECOND);
    walk.says.set("hits", 0.05);
    expect(walk.until("soak_passed", MINUTE).event.kind).toBe("soak_passed");
    walk.until("stage_started");
    expect(begun(walk)).toEqual({ a: 0, b: 60 });
  });

  it("not met in time holds and says that nothing seems to read the flag; met later it goes on by itself", () => {
    const walk = new Walk(plan);
    walk.says.set("hits", 0.05);
    const held = walk.start().until("held");
    expect(held.event).toMatchObject({
      reason: "expectation",
      detail: "hits: 5 %, expected at least 20 %: ON, but nothing seems to read it",
    });
    expect(held.at - (walk.log[0]?.at ?? 0)).toBeGreaterThanOrEqual(5 * MINUTE);
    walk.pass(10 * MINUTE);
    walk.says.set("hits", 0.3);
    expect(walk.until("resumed", MINUTE).event).toMatchObject({
      reasons: ["expectation"],
      by: { kind: "belay" },
    });
    walk.until("soak_passed", MINUTE);
  });

  it("without data within its time neither blinds nor passes; afterwards it blinds", () => {
    const walk = new Walk(plan);
    walk.says.set("hits", "nan");
    walk.start();
    walk.pass(4 * MINUTE + 50 * SECOND);
    expect(walk.state.holds).toEqual([]);
    expect(walk.state.stages[0]?.status).toBe("soaking");
    walk.pass(MINUTE);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["blind"]);
  });
});

describe("a guard that belongs to the next stage only", () => {
  const plan = planOf({ guards: [failures(), alive(), failures({ name: "graph", stages: ["b"] })] });

  it.each(["nan", 0.5, "down"] as const)(
    "and says %s when first asked is asked again until it passes",
    (first) => {
      const walk = new Walk(plan);
      walk.says.set("graph", first);
      walk.start();
      walk.until("soak_passed");
      walk.pass(2 * MINUTE);
      expect(begun(walk)).toEqual({ a: 0 });
      walk.says.set("graph", 0);
      walk.until("stage_started", 2 * MINUTE);
      expect(begun(walk)["b"]).toBeLessThanOrEqual(14);
    },
  );
});

describe("after a restart", () => {
  it("what was fetched for the time before is history: every guard is asked anew, however young it is", () => {
    const walk = new Walk(planOf()).start();
    const { seq } = walk.until("stage_started");
    const before = walk.log
      .filter((one) => one.seq < seq)
      .reduce<State | undefined>((folded, one) => evolve(walk.plan, folded, one), undefined);
    const world = walk.world();
    const next = (since: number) =>
      before === undefined ? undefined : nextForward(walk.plan, before, { ...world, since }, walk.now()).kind;
    expect(next(world.since)).toBe("go");
    expect(next(walk.steady + 1)).toBe("ask");
  });
});

describe("what a flip needs to count", () => {
  it("the store's word and the service's own", () => {
    const walk = new Walk(planOf());
    walk.view = "silent";
    walk.start();
    walk.pass(10 * SECOND);
    expect(walk.state.stages[0]?.status).toBe("enabling");
    walk.view = "follows";
    walk.until("stage_enabled", 5 * SECOND);
  });

  it("without a view the store's word alone", () => {
    const walk = new Walk(planOf({ hasView: false }));
    walk.view = "silent";
    walk.start();
    walk.until("stage_enabled", 5 * SECOND);
  });
});

describe("a flip that is not read back in time", () => {
  it("is withdrawn, written back, and held for a person; resume tries again", () => {
    const walk = new Walk(planOf());
    walk.view = "silent";
    walk.start();
    const withdrawn = walk.until("stage_withdrawn", MINUTE);
    expect(withdrawn.event).toMatchObject({
      stage: 0,
      why: "a was not read back as ON in time",
      flips: [{ flag: "a", to: OFF }],
    });
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["flag_store"]);
    walk.pass(5 * SECOND);
    expect(walk.setting("a")).toEqual(OFF);
    walk.view = "follows";
    walk.ask({ kind: "resume" });
    walk.until("stage_enabled", MINUTE);
  });

  it("of a later share goes back to the share before, which soaks anew", () => {
    const walk = new Walk(planOf({ stages: [percents("a", 0, [25, 50])] })).start();
    walk.until("soak_passed");
    walk.view = "silent";
    walk.shop.takes = false;
    walk.until("stage_withdrawn", 2 * MINUTE);
    expect(walk.state.stages[0]).toMatchObject({ status: "soaking", substage: 0, soakedMs: 0 });
    walk.shop.takes = true;
    walk.view = "follows";
    walk.pass(5 * SECOND);
    expect(walk.setting("a")).toEqual({ kind: "percent", percent: 25 });
    walk.ask({ kind: "resume" });
    walk.until("completed");
    expect(walk.setting("a")).toEqual({ kind: "percent", percent: 50 });
  });

  it("that the store itself took back is nobody's edit: its own words are waited for", () => {
    const walk = new Walk(planOf());
    walk.shop.takes = false;
    walk.start();
    const intent = walk.last("stage_started")?.flips[0]?.intent ?? "";
    walk.store.set("a", { setting: OFF, version: 3, intent });
    walk.pass(3 * SECOND);
    expect(walk.state.stages[0]?.status).toBe("enabling");
    expect(walk.kinds()).not.toContain("drift_found");
    walk.refusals[intent] = "the service did not start; the last working file is back";
    walk.pass(SECOND);
    expect(walk.kinds().slice(-3)).toEqual(["stage_withdrawn", "held", "paged"]);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["flag_store"]);
  });

  it("refused by the store for good is withdrawn at once, with the store's words and a page", () => {
    const walk = new Walk(planOf());
    walk.shop.takes = false;
    walk.start();
    walk.refusals[walk.last("stage_started")?.flips[0]?.intent ?? ""] = "403: approval required";
    walk.pass(SECOND);
    expect(walk.kinds().slice(-3)).toEqual(["stage_withdrawn", "held", "paged"]);
    expect(walk.last("paged")?.summary).toBe("demo: a could not be turned on: 403: approval required");
  });
});
