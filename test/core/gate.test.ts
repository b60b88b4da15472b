/** The gate at the start of a rollout: how far it goes, whose flags they are, and what is locked. */
import { describe, expect, it } from "vitest";
import { claimsOf, decideFurther, decideStart, type Start, type StartAsk } from "../../src/core/gate.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import { OFF, ON, percentSetting, type Setting } from "../../src/core/setting.ts";
import type { Run } from "../../src/core/target.ts";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import {
  ANA,
  BEN,
  baseline,
  flag,
  flags,
  operator,
  planOf,
  review,
  set,
  stage,
  step,
} from "../support/plans.ts";
import { MONDAY, Walk } from "./walk.ts";

const NOW = { steady: 7 * HOUR, wall: MONDAY };
const PLAN = planOf({
  stages: [
    baseline(0, ["a", "b", "c"]),
    stage("a", HOUR),
    stage("b", 2 * HOUR),
    stage("c", 3 * HOUR),
    review(4 * HOUR),
  ],
});

function readings(
  settings: Readonly<Record<string, Setting | undefined>>,
): Record<string, Reading | undefined> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => [
      name,
      setting === undefined ? undefined : { setting, version: "1", effective: true, at: NOW.steady },
    ]),
  );
}

const ALL_OFF = { a: OFF, b: OFF, c: OFF };

function start(
  settings: Readonly<Record<string, Setting | undefined>> = ALL_OFF,
  { plan = PLAN, runs = [], ...extra }: Partial<StartAsk> & { plan?: Plan; runs?: readonly Run[] } = {},
): Start {
  const ask = { run: "r-7", planHash: "h", by: ANA, delayMs: 0, ...extra };
  return decideStart(plan, ask, readings(settings), runs, NOW);
}

/** `1 to 3`, or the refusal's code. */
function reach(found: Start): string {
  return found.kind === "started" ? `${found.event.first} to ${found.event.end}` : found.code;
}

function runOf(walk: Walk): Run {
  return { plan: walk.plan, state: walk.state };
}

describe("how far a start goes", () => {
  it.each<[string, number | undefined, Readonly<Record<string, Setting>>, string]>([
    ["the whole rollout", undefined, ALL_OFF, "0 to 4"],
    ["a stage that requires nothing goes alone", 1, ALL_OFF, "1 to 1"],
    ["a stage whose requirements are on goes alone", 3, { a: ON, b: ON, c: OFF }, "3 to 3"],
    ["a value counts as on", 2, { a: { kind: "value", value: "7" }, b: OFF, c: OFF }, "2 to 2"],
    ["one requirement off: from the beginning up to it", 3, { a: ON, b: OFF, c: OFF }, "0 to 3"],
    ["a requirement at a percentage is not on", 2, { a: percentSetting(99), b: OFF, c: OFF }, "0 to 2"],
    ["a baseline goes alone, whatever is on", 0, { a: ON, b: ON, c: ON }, "0 to 0"],
    ["a review goes alone", 4, ALL_OFF, "4 to 4"],
    ["a stage that is on already goes alone", 1, { a: ON, b: OFF, c: OFF }, "1 to 1"],
  ])("%s", (_, only, settings, expected) => {
    expect(reach(start(settings, only === undefined ? {} : { stage: only }))).toBe(expected);
  });

  it("is said, with what is missing and what comes first", () => {
    expect(start()).toMatchObject({ note: "demo starts at baseline." });
    expect(start({ a: ON, b: ON, c: OFF }, { stage: 3 })).toMatchObject({ note: "c starts alone, now." });
    expect(start({ a: percentSetting(25), b: OFF, c: OFF }, { stage: 3 })).toMatchObject({
      note: "c requires what is not on yet (a is 25 %, b is OFF). First: baseline, a, b; then c.",
    });
  });

  it("a flag that the stage itself turns on is not missing", () => {
    const plan = planOf({
      stages: [stage("a", 0), stage("pair", HOUR, { substages: [step(MINUTE, set("b"), set("c"))] })],
    });
    expect(reach(start({ a: ON, b: OFF, c: OFF }, { plan, stage: 1 }))).toBe("1 to 1");
    expect(reach(start({ a: OFF, b: OFF, c: OFF }, { plan, stage: 1 }))).toBe("0 to 1");
  });

  it("a first stage that requires a flag outside the rollout waits for it and says so", () => {
    const plan = planOf({
      flags: flags(flag("a", { requires: ["outside"] }), flag("outside")),
      stages: [stage("a", 0)],
    });
    const found = start({ a: OFF, outside: OFF }, { plan, stage: 0 });
    expect(reach(found)).toBe("0 to 0");
    expect(found).toMatchObject({
      note: "a requires what is not on yet (outside is OFF). It starts when that is on.",
    });
    expect(start({ a: OFF }, { plan, stage: 0 })).toMatchObject({
      note: expect.stringContaining("outside is unreadable"),
    });
  });
});

describe("what a start records", () => {
  it("is every flag as it was read, who started it, and when it begins", () => {
    const found = start({ a: ON, b: percentSetting(5), c: OFF }, { by: BEN, delayMs: HOUR });
    expect(found).toMatchObject({
      kind: "started",
      event: {
        kind: "rollout_started",
        run: "r-7",
        rollout: "demo",
        planHash: "h",
        by: BEN,
        first: 0,
        end: 4,
        startAt: 8 * HOUR,
        recorded: { a: ON, b: { kind: "percent", percent: 5 }, c: OFF },
      },
      claims: ["production/svc/FEATURE_A", "production/svc/FEATURE_B", "production/svc/FEATURE_C"],
    });
  });

  it("without one of its flags it does not begin, and names the flag as the store knows it", () => {
    const found = start({ a: OFF, b: undefined, c: OFF }, { stage: 1 });
    expect(found).toMatchObject({ kind: "refused", code: "flag_store" });
    expect(found).toMatchObject({
      message: expect.stringMatching(/^the flag FEATURE_B is not in the flag store.*`key` of b in/),
    });
  });
});

describe("whose flags they are", () => {
  const other = (extra: Partial<Plan> = {}): Run =>
    runOf(new Walk(planOf({ rollout: "other", stages: [stage("c", 0)], ...extra })).start({ run: "r-3" }));

  it("a rollout is live once", () => {
    const live = runOf(new Walk(PLAN).start({ run: "r-3" }));
    const found = start(ALL_OFF, { runs: [live] });
    expect(found).toMatchObject({ code: "already_live", message: expect.stringContaining("r-3") });
  });

  it("a flag belongs to one live rollout, and its owner is named", () => {
    const found = start(ALL_OFF, { runs: [other()] });
    expect(found).toMatchObject({
      code: "lock_conflict",
      message: "production/svc/FEATURE_C belongs to the live rollout other (r-3).",
    });
    // Also for a stage that does not touch it: `enable` may move the end to any stage.
    expect(reach(start(ALL_OFF, { runs: [other()], stage: 1 }))).toBe("lock_conflict");
  });

  it.each<[string, Run, string]>([
    ["in another environment", other({ environment: "staging" }), "0 to 4"],
    ["of another service", other({ service: "else" }), "0 to 4"],
    ["of a rollout with other flags", other({ flags: flags(flag("x")), stages: [stage("x", 0)] }), "0 to 4"],
    [
      "under another name and the same key",
      other({ flags: flags(flag("x", { key: "FEATURE_C" })), stages: [stage("x", 0)] }),
      "lock_conflict",
    ],
  ])("a flag %s: %s", (_, run, expected) => {
    expect(reach(start(ALL_OFF, { runs: [run] }))).toBe(expected);
  });

  it("an ended rollout owns nothing; a quarantined one does", () => {
    const walk = new Walk(planOf({ rollout: "other", stages: [stage("a", 0)] })).start({ run: "r-3" });
    walk.until("stage_enabled");
    const live = runOf(walk);
    expect(claimsOf(live)).toEqual(["production/svc/FEATURE_A"]);
    walk.commit([{ kind: "quarantined", error: "x" }]);
    expect(reach(start(ALL_OFF, { runs: [runOf(walk)] }))).toBe("lock_conflict");
    walk.ask({ kind: "stop", confirmed: true });
    expect(walk.state.phase).toBe("stopped");
    expect(reach(start(ALL_OFF, { runs: [runOf(walk)] }))).toBe("0 to 4");
  });
});

describe("what is locked", () => {
  function rolledBack(): Walk {
    const walk = new Walk(planOf({ stages: [stage("a", 0), stage("b", 10 * MINUTE)] })).start({ run: "r-3" });
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.ask({ kind: "rollback", to: 0, because: "pool is full" });
    walk.until("recovered");
    walk.ask({ kind: "stop", confirmed: true });
    return walk;
  }

  it("a flag that an ended run rolled back does not go forward until it is unlocked", () => {
    const walk = rolledBack();
    const runs = [runOf(walk)];
    const found = start({ a: ON, b: OFF, c: OFF }, { runs, stage: 2 });
    expect(found).toMatchObject({ code: "latched" });
    expect(found).toMatchObject({
      message: expect.stringContaining("b was rolled back in r-3 (pool is full) and is locked"),
    });
    expect(reach(start(ALL_OFF, { runs }))).toBe("latched");
    expect(reach(start(ALL_OFF, { runs, stage: 1 }))).toBe("1 to 1");
    walk.ask({ kind: "unlock", flags: ["b"], because: "fixed" }, operator(BEN));
    expect(reach(start(ALL_OFF, { runs: [runOf(walk)] }))).toBe("0 to 4");
  });

  it("does not stop a baseline: turning off is going back", () => {
    expect(reach(start(ALL_OFF, { runs: [runOf(rolledBack())], stage: 0 }))).toBe("0 to 0");
  });

  it("is the flag in its place: the same name elsewhere is free", () => {
    const plan = { ...PLAN, environment: "staging" };
    expect(reach(start(ALL_OFF, { plan, runs: [runOf(rolledBack())] }))).toBe("0 to 4");
  });

  it("stops a live run that would go on to it, and only there", () => {
    const walk = rolledBack();
    const live = new Walk(PLAN).start({ run: "r-4", stage: 1 });
    const runs = [runOf(walk), runOf(live)];
    expect(decideFurther(runOf(live), 2, runs)).toMatchObject({
      code: "latched",
      message: expect.stringContaining("b was rolled back in r-3 (pool is full)"),
    });
    expect(decideFurther(runOf(live), 4, runs)?.code).toBe("latched");
    expect(decideFurther(runOf(live), 1, runs)).toBeUndefined();
    // Its own locks are for itself to judge.
    expect(decideFurther(runOf(walk), 1, [runOf(walk)])).toBeUndefined();
    walk.ask({ kind: "unlock", flags: ["b"], because: "fixed" }, operator(BEN));
    expect(decideFurther(runOf(live), 4, [runOf(walk), runOf(live)])).toBeUndefined();
  });

  it("does not stop at a stage that has begun already", () => {
    const begun = new Walk(PLAN, { a: ON }).start({ run: "r-5", stage: 2 });
    begun.until("stage_enabled");
    expect(decideFurther(runOf(begun), 2, [runOf(rolledBack()), runOf(begun)])).toBeUndefined();
  });
});
