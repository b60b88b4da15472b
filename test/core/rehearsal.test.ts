/** What a rehearsal of the way back says: which findings stop a start, when it is too old, what the bound counts with, and how all of it reads. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundOf, flipSource, worstBound } from "../../src/core/bound.ts";
import { decideStart } from "../../src/core/gate.ts";
import {
  backProblems,
  type Findings,
  FRESH_MS,
  isFresh,
  isGood,
  judgeRehearsal,
  measuredIn,
  parseRehearsal,
  problemsOf,
  type Rehearsal,
  rehearsalLines,
  rehearsalRefusal,
  rehearsalTitle,
  type Tried,
  warningLines,
} from "../../src/core/rehearsal.ts";
import { planLines } from "../../src/core/report/lines.ts";
import { eventInWords } from "../../src/core/report/words.ts";
import { OFF, ON, percentSetting, type Setting } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { ANA, failures, flag, flags, planOf, stage } from "../support/plans.ts";
import { MONDAY, Walk } from "./walk.ts";

const PLAN = planOf({ stages: [stage("a", 0), stage("b", HOUR)] });
const NOW = { steady: 50 * HOUR, wall: MONDAY };
const WELL: Tried = { readMs: 4, writeMs: 8, problems: [], warnings: [] };
const DENIED = "cannot write /f.json: permission denied";

function reading(setting: Setting = OFF, more: { id?: string; effective?: boolean } = {}) {
  return { setting, version: "1", effective: true, ...more };
}

function found(more: Partial<Findings> = {}): Findings {
  return {
    readings: { a: reading(), b: reading() },
    tried: { a: WELL, b: { ...WELL, writeMs: 30 } },
    lever: undefined,
    leverHolds: [],
    view: { ms: 6, literals: { a: "false", b: "false" } },
    metricsFault: undefined,
    observed: false,
    tookMs: 45,
    ...more,
  };
}

function judged(more: Partial<Findings> = {}, before?: Rehearsal, at = NOW): Rehearsal {
  return judgeRehearsal(PLAN, "h", found(more), before, at);
}

const seen = (literals: Readonly<Record<string, string>>): Findings["view"] => ({ ms: 6, literals });

describe("what stops a start", () => {
  it.each<[string, Partial<Findings>, readonly (string | RegExp)[]]>([
    ["nothing, when all is well", {}, []],
    [
      "a flag whose rollback would fail",
      { tried: { a: { ...WELL, problems: [DENIED] }, b: WELL } },
      [`a rollback of FEATURE_A would fail: ${DENIED}`],
    ],
    [
      "the same for several flags, once",
      { tried: { a: { ...WELL, problems: [DENIED] }, b: { ...WELL, problems: [`${DENIED}.`, "gone"] } } },
      [/FEATURE_A would fail/, /FEATURE_B would fail/, "a rollback of FEATURE_B would fail: gone"],
    ],
    [
      "a flag that nobody tried",
      { tried: { a: WELL } },
      ["a rollback of FEATURE_B would fail: it was not tried"],
    ],
    [
      "a flag that is not there",
      { readings: { a: reading() } },
      [
        "a rollback of FEATURE_B would fail: FEATURE_B is not in the flag system: create it there, or correct `key` of b in the flags file",
      ],
    ],
    [
      "a flag that is not there, beside a problem that does not speak of it",
      { readings: { a: reading() }, tried: { a: WELL, b: { ...WELL, problems: ["FEATURE_BATCH: 403"] } } },
      [/FEATURE_B is not in the flag system/, /FEATURE_B would fail: FEATURE_BATCH: 403/],
    ],
    [
      "a flag that is archived, without the contrary that there is none",
      {
        readings: { a: reading() },
        tried: { a: WELL, b: { ...WELL, problems: ["FEATURE_B is archived: restore it."] } },
      },
      ["a rollback of FEATURE_B would fail: FEATURE_B is archived: restore it"],
    ],
    [
      "a flag system that is gone, once however many flags there are",
      {
        readings: "connection refused",
        tried: {
          a: { ...WELL, problems: ["connection refused"] },
          b: { ...WELL, problems: ["connection refused"] },
        },
      },
      ["the flag system cannot be read: connection refused"],
    ],
    [
      "a service that does not answer",
      { view: "connection refused" },
      [/^svc does not say how its flags are, so no flip could be confirmed: connection refused$/],
    ],
    [
      "a service that works with another value",
      { view: seen({ a: "true", b: "false" }) },
      [/the service works with FEATURE_A = true while the flag system says OFF/],
    ],
    [
      "a flag that is on and that the service does not mention",
      { readings: { a: reading(ON), b: reading() }, view: seen({ b: "false" }) },
      [/the service does not mention FEATURE_A, which is ON/],
    ],
    ["a Prometheus that does not answer", { metricsFault: "503" }, [/^Prometheus does not answer.*: 503$/]],
  ])("%s", (_what, more, expected) => {
    const rehearsal = judged(more);
    const problems = problemsOf(rehearsal);
    expect(problems).toHaveLength(expected.length);
    for (const [index, one] of expected.entries())
      if (typeof one === "string") expect(problems[index]).toBe(one);
      else expect(problems[index]).toMatch(one);
    expect(isGood(rehearsal)).toBe(expected.length === 0);
    expect(isFresh(rehearsal, "h", {}, NOW)).toBe(expected.length === 0);
  });

  it.each<[string, Partial<Findings>, RegExp]>([
    ["a service without a view", { view: undefined }, /^$/],
    [
      "a percentage, of which one literal proves nothing",
      { readings: { a: reading(percentSetting(20)), b: reading() }, view: seen({ a: "true", b: "false" }) },
      /^$/,
    ],
    [
      "a service that is silent on a flag that is off",
      { view: seen({ b: "false" }) },
      /does not mention FEATURE_A/,
    ],
    [
      "a service that has not been restarted since somebody wrote",
      { readings: { a: reading(ON, { effective: false }), b: reading() } },
      /FEATURE_A is ON where it is written.*has not been restarted/,
    ],
    [
      "a second lever that would not work",
      { lever: { a: { ...WELL, problems: ["/kill does not exist"] } } },
      /the second lever would not work: \/kill does not exist/,
    ],
    [
      "what the flag system says besides",
      { tried: { a: { ...WELL, warnings: ["the token expires soon"] }, b: WELL } },
      /the token expires soon/,
    ],
  ])("not %s", (_what, more, warned) => {
    const rehearsal = judged(more);
    expect(problemsOf(rehearsal)).toEqual([]);
    expect(warningLines(rehearsal).join("\n")).toMatch(warned);
  });

  it("nor a flag that only people may take back, nor one that was made anew; both are told", () => {
    const plan = planOf({ flags: flags(flag("a", { undo: "data" }), flag("b")), stages: PLAN.stages });
    const before = judgeRehearsal(
      plan,
      "h",
      found({ readings: { a: reading(OFF, { id: "1" }), b: reading() } }),
      undefined,
      NOW,
    );
    const after = judgeRehearsal(
      plan,
      "h",
      found({ readings: { a: reading(OFF, { id: "2" }), b: reading() } }),
      before,
      NOW,
    );
    expect(isGood(after)).toBe(true);
    expect(warningLines(before)).toEqual([
      "worth knowing: FEATURE_A can only be taken back by a person (undo: data)",
    ]);
    expect(warningLines(after)[0]).toContain("FEATURE_A is not the flag it was at the last rehearsal");
  });
});

describe("how long a start may rest on it", () => {
  const now = { a: reading(OFF, { id: "1" }), b: reading(OFF, { id: "2" }) };
  const rehearsal = judged({ readings: now });
  const later = (ms: number) => ({ steady: NOW.steady + ms, wall: NOW.wall });

  it.each<[string, boolean, Parameters<typeof isFresh>]>([
    ["at once", true, [rehearsal, "h", now, NOW]],
    ["for ten minutes", true, [rehearsal, "h", now, later(FRESH_MS)]],
    ["not longer", false, [rehearsal, "h", now, later(FRESH_MS + 1)]],
    ["not one from a later time, whose clock is lost", false, [rehearsal, "h", now, later(-1)]],
    ["not for another plan", false, [rehearsal, "i", now, NOW]],
    [
      "not for a flag that was made anew",
      false,
      [rehearsal, "h", { ...now, a: reading(OFF, { id: "9" }) }, NOW],
    ],
    ["not when nothing was written", false, [{ ...rehearsal, observed: true }, "h", now, NOW]],
    ["unless Belay only observes", true, [{ ...rehearsal, observed: true }, "h", now, NOW, true]],
  ])("%s", (_what, expected, args) => {
    expect(isFresh(...args)).toBe(expected);
  });
});

describe("since when a rollback would fail", () => {
  const bad = { tried: { a: { ...WELL, problems: [DENIED] }, b: WELL } };
  const later = { steady: NOW.steady + HOUR, wall: MONDAY + HOUR };

  it("is kept while it does, and begins anew after it did not", () => {
    const first = judged(bad);
    expect(first.badSince).toBe(NOW.steady);
    const second = judged(bad, first, later);
    expect(second.badSince).toBe(NOW.steady);
    const good = judged({}, second, later);
    expect(good.badSince).toBeUndefined();
    expect(judged(bad, good, later).badSince).toBe(later.steady);
    expect(judgeRehearsal(PLAN, "other", found(bad), first, later).badSince).toBe(later.steady);
  });

  it("is not said of what does not stop a rollback", () => {
    const other = judged({ view: "gone", metricsFault: "gone" });
    expect(other.badSince).toBeUndefined();
    expect(backProblems(other)).toEqual([]);
  });

  it("is paged once, and again only after it was well", () => {
    const walk = new Walk(PLAN).start({});
    const rehearsal = { problems: ["a rollback of FEATURE_A would fail: 403"], since: 7 };
    walk.more = { rehearsal };
    const paged = walk.until("paged");
    expect(paged.event).toMatchObject({
      severity: "P1",
      summary: expect.stringMatching(/^demo: a rollback of FEATURE_A would fail: 403\. Nothing was changed/),
    });
    expect(walk.state.holds).toEqual([]);
    walk.pass(HOUR);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    walk.more = { rehearsal: { ...rehearsal, since: 8 } };
    walk.pass(MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(2);
  });
});

describe("what the bound counts with", () => {
  const guard = failures();

  it("is twice the slowest flag: its write, its reading back, and the service's word", () => {
    const rehearsal = judged();
    expect(rehearsal.flipMs).toBe(4 + 30 + 6);
    const measured = measuredIn(rehearsal, "h");
    expect(measured).toEqual({ flipMs: 40, wall: MONDAY });
    expect(boundOf(PLAN, guard, measured).parts.flipMs).toBe(80);
    expect(boundOf(PLAN, guard).parts.flipMs).toBe(PLAN.provider.flipMs);
    expect(worstBound(PLAN, measured)?.totalMs).toBe(
      (worstBound(PLAN)?.totalMs ?? 0) - PLAN.provider.flipMs + 80,
    );
  });

  it("never exceeds what the flag system is allowed, and nothing else of the bound moves", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 60_000, noNaN: true }), (flipMs) => {
        const { parts } = boundOf(PLAN, guard, { flipMs, wall: 0 });
        const allowed = boundOf(PLAN, guard);
        expect(parts.flipMs).toBeLessThanOrEqual(PLAN.provider.flipMs);
        expect(parts.flipMs).toBe(Math.min(PLAN.provider.flipMs, 2 * flipMs));
        expect({ ...parts, flipMs: 0 }).toEqual({ ...allowed.parts, flipMs: 0 });
      }),
    );
  });

  it.each<[string, Rehearsal | undefined, string]>([
    ["without a rehearsal", undefined, "h"],
    ["of another plan", judged(), "i"],
    ["that was not good", judged({ metricsFault: "503" }), "h"],
    [
      "in which a flag was not written",
      judged({ tried: { a: WELL, b: { ...WELL, writeMs: undefined } } }),
      "h",
    ],
    ["in which nothing was written", judged({ observed: true, tried: {} }), "h"],
  ])("is what is allowed, %s", (_what, rehearsal, planHash) => {
    expect(measuredIn(rehearsal, planHash)).toBeUndefined();
  });

  it("says where it comes from", () => {
    expect(flipSource(undefined, MONDAY)).toBe("allowed");
    expect(flipSource({ flipMs: 40, wall: MONDAY }, MONDAY + 3 * HOUR)).toBe(
      "measured 3 h ago, counted double",
    );
    expect(flipSource({ flipMs: 40, wall: MONDAY }, MONDAY - HOUR)).toBe("measured just now, counted double");
    expect(planLines(PLAN, { flipMs: 40, wall: MONDAY }, MONDAY + 3 * HOUR).at(-1)).toBe(
      "worst case from visible breach to off: 60 s (failures); of it the flip: 80 ms, measured 3 h ago, counted double",
    );
  });
});

describe("in words", () => {
  it("a good one: one line a flag, and that nothing changed", () => {
    const rehearsal = judged({ tried: { a: { ...WELL, readMs: 0.2 }, b: { ...WELL, writeMs: undefined } } });
    expect(rehearsalTitle(rehearsal)).toBe(
      "demo is rehearsed: 2 flags in 45 ms, the way back works. Nothing was changed.",
    );
    expect(rehearsalLines(rehearsal)).toEqual([
      "a: read under 1 ms, write 8 ms, the service agrees",
      "b: read 4 ms, not written, the service agrees",
    ]);
  });

  it("a bad one: problems first, then what to do", () => {
    const rehearsal = judged({ tried: { a: { ...WELL, problems: [DENIED] }, b: WELL }, metricsFault: "503" });
    expect(rehearsalTitle(rehearsal)).toBe(
      "demo cannot go back as things stand: 2 problems. Rehearsing changed nothing. Mend them and `/rollout rehearse demo` again; until then `start` is refused.",
    );
    expect(rehearsalLines(rehearsal)).toEqual([
      `problem: a rollback of FEATURE_A would fail: ${DENIED}`,
      "problem: Prometheus does not answer, so no guard could judge: 503",
      "a: a rollback of it would fail",
      "b: read 4 ms, write 8 ms, the service agrees",
    ]);
    expect(rehearsalRefusal(rehearsal)).toBe(
      `the way back was rehearsed before the start, and a rollback of FEATURE_A would fail: ${DENIED}. Also: Prometheus does not answer, so no guard could judge: 503. Mend that and start again.`,
    );
  });

  it("one whose flags nobody could read does not say that they were read, whether or not Belay may write", () => {
    const denied = { ...WELL, problems: ["401"] };
    for (const more of [{ observed: true, tried: {} }, { tried: { a: denied, b: denied } }]) {
      const rehearsal = judged({ ...more, readings: "401", view: undefined });
      expect(rehearsalLines(rehearsal)).toEqual([
        "problem: the flag system cannot be read: 401",
        "a: could not be read",
        "b: could not be read",
      ]);
      expect(parseRehearsal(JSON.parse(JSON.stringify(rehearsal)))).toEqual(rehearsal);
    }
  });

  it("many problems are cut, and it is said how many more there are", () => {
    const problems = Array.from({ length: 9 }, (_, index) => `reason ${index}`);
    const rehearsal = judged({ tried: { a: { ...WELL, problems }, b: WELL } });
    const lines = rehearsalLines(rehearsal);
    expect(lines.filter((line) => line.startsWith("problem: "))).toHaveLength(6);
    expect(lines).toContain("problem: and 4 more");
    expect(rehearsalRefusal(rehearsal)).toContain("7 more: `/rollout rehearse demo` tells all.");
  });

  it("the history says that a start rests on it, and the flags' identities are recorded", () => {
    const rehearsal = judged();
    const readings = { a: { ...reading(OFF, { id: "1" }), at: 0 }, b: { ...reading(), at: 0 } };
    const ask = { run: "r-1", planHash: "h", by: ANA, delayMs: 0, rehearsal };
    const later = { steady: NOW.steady + 2 * MINUTE, wall: MONDAY };
    const started = decideStart(PLAN, ask, readings, [], later);
    if (started.kind !== "started") throw new Error(started.message);
    expect(started.event).toMatchObject({ ids: { a: "1" }, rehearsed: { beforeMs: 2 * MINUTE, flipMs: 40 } });
    expect(eventInWords(PLAN, started.event)).toBe(
      "@ana started the rollout, a to b; going back was rehearsed 2 min before (slowest flag 40 ms)",
    );
    const { rehearsal: _none, ...bare } = ask;
    const without = decideStart(PLAN, bare, readings, [], { ...later, steady: later.steady + SECOND });
    expect(without).not.toHaveProperty("event.rehearsed");
  });
});

describe("written down", () => {
  it("is read back as it was, and anything else is none", () => {
    const rehearsal = judged({ tried: { a: { ...WELL, problems: [DENIED] }, b: WELL } });
    expect(parseRehearsal(JSON.parse(JSON.stringify(rehearsal)))).toEqual(rehearsal);
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(parseRehearsal(value)).toBeUndefined();
      }),
    );
    expect(parseRehearsal({ ...rehearsal, flags: [{}] })).toBeUndefined();
  });
});
