/** The card: how a rollout stands in each situation, what its rows and figures say, and buttons that do what they say. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Offer } from "../../src/core/refusal.ts";
import { type Card, type CardMeasured, cardOf } from "../../src/core/report/card.ts";
import { plannedName, whatOf } from "../../src/core/report/stage-words.ts";
import type { Ask } from "../../src/core/rollout/ask.ts";
import { onAsk } from "../../src/core/rollout/people.ts";
import { ON } from "../../src/core/setting.ts";
import { resolve } from "../../src/core/target.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import {
  ANA,
  BEN,
  baseline,
  failures,
  GUARDS,
  hits,
  operator,
  percents,
  planOf,
  review,
  set,
  stage,
  step,
} from "../support/plans.ts";
import { SITUATIONS, type Situation } from "./situations.ts";
import { Walk } from "./walk.ts";

function card(walk: Walk, figures: Readonly<Record<string, CardMeasured>> = {}): Card {
  return cardOf({ plan: walk.plan, state: walk.state, world: walk.world(), figures, now: walk.now() });
}

/** What a button's command asks of the run. */
function askOf(walk: Walk, offer: Offer): Ask | "show" {
  const parsed = parseCommand(offer.command);
  if ("kind" in parsed) throw new Error(`${offer.command}: ${parsed.message}`);
  const run = { plan: walk.plan, state: walk.state };
  const found = resolve(
    parsed,
    { catalogue: new Map([[walk.plan.rollout, walk.plan]]), runs: [run], zone: "UTC" },
    walk.now(),
  );
  if (found.kind === "show") return "show";
  if (found.kind !== "ask") throw new Error(`${offer.command}: ${found.kind}`);
  expect(found.run).toBe(walk.state.run);
  return found.ask;
}

/** Situation, status, what it says, and its buttons. */
const STANDS: readonly (readonly [Situation, string, RegExp, string])[] = [
  ["scheduled", "SCHEDULED", /^a is planned in 1 h$/, "Hold, Evidence"],
  ["enabling", "ENABLING", /^a is being read back$/, "Roll back a, Hold, Evidence"],
  [
    "soaking",
    "SOAKING",
    /^b soaks, 10 min left$/,
    "Roll back b, Roll back all, Hold, Advance early, Evidence",
  ],
  ["waiting", "WAITS", /^b is planned in /, "Roll back a, Hold, Evidence"],
  ["held", "HELD", /^held \(@ana\): lunch$/, "Roll back b, Roll back all, Resume, Evidence"],
  [
    "blind",
    "HELD, BLIND",
    /^blind: no trustworthy data.*failures \(nan/,
    "Roll back b, Roll back all, Hold, Evidence",
  ],
  ["approval", "WAITS FOR APPROVAL", /^waits for approval by leads$/, "Roll back a, Hold, Evidence"],
  ["asking", "ASKS", /^the baseline would turn off b/, "Hold, Evidence"],
  ["review", "IN REVIEW", /^review waits for its sign-off$/, "Roll back a, Hold, Evidence"],
  ["going_back", "ROLLING BACK", /^taking back b$/, "Roll back all"],
  ["looking", "OFF, LOOKING", /^b off; looking whether production recovers$/, "Roll back a"],
  ["locked", "ROLLED BACK, HELD", /^rolled back and locked \(Belay\): b /, "Roll back a, Hold, Evidence"],
  ["not_cause", "HELD", /^the flag was not the cause \(Belay\): /, "Roll back a, Hold, Resume, Evidence"],
  ["completed", "COMPLETED", /^done: every soak passed; a, b, c stay ON, no longer watched$/, ""],
  ["stopped", "STOPPED", /^stopped by a person: a, b stay ON, no longer watched$/, ""],
  ["rolled_back", "ROLLED BACK", /^taken back: nothing of it is on$/, ""],
  ["stuck", "QUARANTINED", /^an internal error; only rollback works$/, "Roll back b, Roll back all"],
];

describe("in each situation", () => {
  it("is in the table exactly once", () => {
    expect(STANDS.map(([name]) => name)).toEqual(Object.keys(SITUATIONS));
  });

  it.each(STANDS)("%s: %s", (name, status, says, offers) => {
    const walk = SITUATIONS[name]();
    const found = card(walk);
    expect(found.status).toBe(status);
    expect(found.says).toMatch(says);
    expect(found.offers.map((offer) => offer.label).join(", ")).toBe(offers);
    expect(found.open).toBe(!["completed", "stopped", "rolled_back"].includes(name));
    expect(found.figures.length > 0).toBe(found.open);
    expect(found).toMatchObject({
      run: "r-1",
      rollout: "demo",
      service: "svc",
      environment: "production",
      startedBy: "@ana",
      face: walk.state.face,
    });
    expect(found.progress).toBeGreaterThanOrEqual(0);
    expect(found.progress).toBeLessThanOrEqual(1);
  });

  it.each(STANDS.map(([name]) => name))(
    "%s: every button does something, and asks first where it must",
    (name) => {
      const walk = SITUATIONS[name]();
      for (const offer of card(walk).offers) {
        expect(offer.label.length).toBeLessThanOrEqual(75);
        const ask = askOf(walk, offer);
        if (ask === "show") continue;
        const outcome = onAsk(walk.plan, walk.state, ask, operator(BEN), walk.world(), walk.now());
        // A breach that is still there speaks against going on; that is for the answer to say.
        if (outcome.kind === "refused") expect([name, outcome.code]).toEqual(["not_cause", "guard"]);
        else expect(outcome.kind).toBe("events");
        if (offer.style === "danger" || ask.kind === "advance") expect(offer.confirm).toBeDefined();
      }
    },
  );
});

describe("the rows", () => {
  function marks(walk: Walk): string {
    return card(walk)
      .rows.map((row) => `${row.name} ${row.mark}`)
      .join(", ");
  }

  it.each<[Situation, string]>([
    ["scheduled", "a next, b next, c next"],
    ["enabling", "a now, b next, c next"],
    ["soaking", "a done, b now, c next"],
    ["waiting", "a done, b next, c next"],
    ["approval", "a done, b next, c next"],
    ["review", "a done, review now, b next"],
    ["going_back", "a done, b undone, c next"],
    ["locked", "a done, b undone, c next"],
    ["completed", "a done, b done, c done"],
    ["stopped", "a done, b done, c next"],
    ["rolled_back", "a undone, b undone, c next"],
    ["stuck", "a done, b now, c next"],
  ])("%s: %s", (name, expected) => {
    expect(marks(SITUATIONS[name]())).toBe(expected);
  });

  it("of stages outside the run are skipped", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ stage: 1 });
    expect(marks(walk)).toBe("a skipped, b now, c skipped");
    expect(card(walk).rows[0]).toMatchObject({ wall: undefined, detail: "not part of this run" });
  });

  it("say when a stage began, when it is planned, and how far its soak is", () => {
    const walk = new Walk(planOf()).start();
    const from = walk.wall;
    walk.pass(4 * MINUTE);
    const [a, b, c] = card(walk).rows;
    expect(a).toMatchObject({ wall: from, planned: "Hour 0", detail: "soaked 3 min 50 s of 10 min" });
    expect(b?.wall).toBeGreaterThanOrEqual(from + 10 * MINUTE);
    expect(c).toMatchObject({ wall: from + 20 * MINUTE, planned: "+20 min", detail: "" });
  });

  it("never plan a stage for a time that has gone by", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0, {}, HOUR), stage("b", 10 * MINUTE)] })).start();
    walk.pass(30 * MINUTE);
    const found = card(walk);
    expect(found.nextWall).toBeGreaterThan(walk.wall + 29 * MINUTE);
    expect(found.rows[1]?.wall).toBe(found.nextWall);
    walk.ask({ kind: "hold" });
    walk.pass(HOUR);
    expect(card(walk).rows[1]?.wall).toBeGreaterThanOrEqual(walk.wall);
  });

  it("name the share that is being soaked", () => {
    const walk = new Walk(planOf({ stages: [percents("a", 0, [25, 100])] })).start();
    walk.until("stage_enabled");
    expect(card(walk).rows[0]).toMatchObject({
      what: "a 25 % > ON",
      detail: expect.stringMatching(/^at 25 %, soaked/),
    });
    walk.until("soak_passed");
    walk.until("stage_enabled");
    expect(card(walk).rows[0]?.detail).toMatch(/^at ON, soaked/);
  });

  it.each<[string, Plan["stages"][number], string]>([
    ["a stage", stage("a", 0), "a ON"],
    ["two flags", stage("pair", 0, { substages: [step(1, set("a"), set("b"))] }), "a ON, b ON"],
    ["a value", stage("x", 0, { substages: [step(1, set("a", { kind: "value", value: "100" }))] }), "a 100"],
    ["shares", percents("a", 0, [5, 25, 100]), "a 5 % > 25 % > ON"],
    ["a small baseline", baseline(0, ["a", "b"]), "a OFF, b OFF"],
    ["a baseline", baseline(0, ["a", "b", "c"]), "all OFF"],
    ["a review", review(0), "review, sign-off"],
  ])("say what %s does: %s", (_, one, expected) => {
    expect(whatOf(planOf(), one)).toBe(expected);
  });

  it.each<[number, string]>([
    [0, "Hour 0"],
    [HOUR, "Hour 1"],
    [23 * HOUR, "Hour 23"],
    [DAY, "Day 1"],
    [2 * DAY, "Day 2"],
    [26 * HOUR, "Hour 26"],
    [20 * MINUTE, "+20 min"],
    [20 * SECOND, "+20 s"],
    [HOUR + SECOND, "+1 h"],
    [DAY + 20 * SECOND, "+1 d"],
    [90 * MINUTE, "+1 h 30 min"],
  ])("name %d ms %s", (ms, expected) => {
    expect(plannedName(ms)).toBe(expected);
  });
});

describe("the next step", () => {
  it("has a time where it is a matter of time", () => {
    const waiting = SITUATIONS.waiting();
    expect(card(waiting).nextWall).toBe((waiting.log[0]?.wall ?? 0) + HOUR);
    const soaking = SITUATIONS.soaking();
    expect(card(soaking).nextWall).toBe(soaking.wall + 10 * MINUTE);
  });

  it.each<Situation>(["approval", "asking", "review", "held", "blind", "locked", "going_back", "completed"])(
    "has none when %s: it waits for people, not for time",
    (name) => {
      expect(card(SITUATIONS[name]()).nextWall).toBeUndefined();
    },
  );
});

describe("the progress", () => {
  it("is the share of the planned soaks, and only ever grows while the rollout walks", () => {
    const walk = new Walk(planOf()).start();
    let last = 0;
    while (walk.state.phase === "walking") {
      walk.pass(30 * SECOND);
      const { progress } = card(walk);
      expect(progress).toBeGreaterThanOrEqual(last);
      last = progress;
    }
    expect(last).toBe(1);
    expect(card(SITUATIONS.waiting()).progress).toBeCloseTo(1 / 21, 2);
  });

  it("of a run of one stage counts that stage alone", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ stage: 1 });
    walk.pass(5 * MINUTE);
    expect(card(walk).progress).toBeCloseTo(0.5, 1);
  });
});

describe("the figures", () => {
  const plan = planOf({
    guards: [...GUARDS, failures({ name: "latency", max: 0.25, min: 0.1, unit: "seconds" }), hits()],
  });

  it("show value, limit and verdict of each watched guard", () => {
    const walk = new Walk(plan).start();
    walk.says.set("hits", 0.3);
    walk.says.set("latency", 0.2);
    walk.says.set("failures", 0.05);
    walk.pass(2 * SECOND);
    const found = card(walk, {
      failures: { value: 0.05, at: 0 },
      latency: { trouble: "stale", at: 0 },
      alive: { value: 1, at: 0 },
      hits: { value: 0.3, at: 0 },
    });
    expect(found.figures).toEqual([
      { guard: "failures", text: "5 % (<= 2 %) not yet" },
      { guard: "alive", text: "up" },
      { guard: "latency", text: "no evidence: stale" },
      { guard: "hits", text: "30 % (>= 20 %)" },
    ]);
    expect(card(walk).figures.map((one) => one.text)).toEqual(Array(4).fill("not asked yet"));
  });

  it("say so when the service is down or a limit is broken", () => {
    const walk = new Walk(plan).start();
    walk.pass(MINUTE);
    walk.says.set("failures", 0.05);
    walk.until("rollback_started");
    const { figures } = card(walk, {
      failures: { value: 0.05, at: 0 },
      alive: { value: 0, at: 0 },
      latency: { value: 0.3, at: 0 },
    });
    expect(figures[0]).toEqual({ guard: "failures", text: "5 % (<= 2 %) BREACH" });
    expect(figures[1]).toEqual({ guard: "alive", text: "DOWN" });
    expect(figures[2]).toEqual({ guard: "latency", text: "300 ms (>= 100 ms, <= 250 ms)" });
  });
});

describe("the locks", () => {
  it("are named with their reason", () => {
    const walk = SITUATIONS.locked();
    expect(card(walk).locked).toEqual([{ flag: "b", because: "rolled back by a person" }]);
    walk.ask({ kind: "unlock", flags: ["b"], because: "fixed" }, operator(ANA));
    expect(card(walk).locked).toEqual([]);
    expect(card(walk).offers.map((offer) => offer.label)).toContain("Resume");
  });
});
