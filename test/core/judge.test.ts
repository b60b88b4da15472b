/** Judging: k of the last n values, what missing evidence does, runs of passes and their gaps, epochs, expectations, liveness. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge, longestGapMs } from "../../src/core/analysis.ts";
import type { TrendFigures } from "../../src/core/guards/trend.ts";
import type { Measurement } from "../../src/core/measurement.ts";
import type { Guard } from "../../src/core/plan.ts";
import { type Judgement, unjudged } from "../../src/core/verdict.ts";
import { alive, failures, hits, memory } from "../support/plans.ts";

const GAP_MS = 25_000;

/** `.` good, `x` bad, `?` no evidence, `!` provider down, `-` not asked; one poll every 10 s, the first 10 s after the epoch. */
function measured(sign: string, at: number, guard: Guard): Measurement | undefined {
  const value = (number: number): Measurement => ({ kind: "value", at, value: number });
  switch (sign) {
    case ".":
      return value(guard.kind === "alive" ? 1 : guard.kind === "expect" ? 0.5 : 0.01);
    case "x":
      return value(guard.kind === "threshold" ? 0.5 : 0);
    case "?":
      return { kind: "no_evidence", at, reason: "empty", detail: "nothing" };
    case "!":
      return { kind: "provider_down", at, reason: "timeout", detail: "slow" };
    default:
      return undefined;
  }
}

/** All judgements along the signs. */
function along(guard: Guard, signs: string, from: Judgement = unjudged(0)): readonly Judgement[] {
  const seen: Judgement[] = [];
  let now = from;
  for (const [index, sign] of [...signs].entries()) {
    const one = measured(sign, (index + 1) * 10_000, guard);
    if (one !== undefined) now = judge(guard, now, one, GAP_MS);
    seen.push(now);
  }
  return seen;
}

const LETTER: Readonly<Record<string, string>> = {
  pass: "p",
  breach: "B",
  inconclusive: "i",
  no_evidence: "n",
  provider_down: "d",
};

function verdicts(guard: Guard, signs: string): string {
  return along(guard, signs)
    .map((one) => LETTER[one.verdict] ?? "?")
    .join("");
}

function end(guard: Guard, signs: string): Judgement {
  const last = along(guard, signs).at(-1);
  if (last === undefined) throw new Error("no signs");
  return last;
}

describe("breach: k of n", () => {
  it.each<[number, number, string, string]>([
    [1, 1, ".x.x", "pBpB"],
    [1, 3, ".x...", "pBBBp"],
    [2, 3, ".x", "pi"],
    [2, 3, ".xx", "piB"],
    [2, 3, "xx", "iB"],
    [2, 3, ".x.x", "pipB"],
    [2, 3, ".x..x..x", "pippippi"],
    [2, 3, "xx...", "iBBpp"],
    [2, 2, "x.x.xx", "ipipiB"],
    [3, 3, "xx.xxx", "iipiiB"],
    [3, 3, "xxx.x", "iiBpi"],
    [3, 5, "x.x.x", "ipipB"],
    [3, 5, "x..x.x", "ippipi"],
    // Missing evidence neither counts nor resets.
    [2, 3, "x?x", "inB"],
    [2, 3, "x!x", "idB"],
    [2, 3, "x????x", "innnnB"],
    [2, 3, "xx?.", "iBnB"],
    [3, 3, "x?x?x", "ininB"],
    [2, 3, "x-x", "iiB"],
    [2, 3, "?", "n"],
    [2, 3, "!.", "dp"],
  ])("%d of %d: %s is %s", (k, n, signs, expected) => {
    expect(verdicts(failures({ breach: { k, n } }), signs)).toBe(expected);
  });

  it("holds at exactly the limit and trips just above; `min` the other way round", () => {
    const at = (guard: Guard, value: number) =>
      judge(guard, unjudged(0), { kind: "value", at: 1, value }, GAP_MS).verdict;
    const most = failures({ breach: { k: 1, n: 1 } });
    expect([at(most, 0.02), at(most, 0.020001)]).toEqual(["pass", "breach"]);
    const { max: _none, ...unlimited } = failures({ breach: { k: 1, n: 1 }, min: 10 });
    expect([at(unlimited, 10), at(unlimited, 9.999)]).toEqual(["pass", "breach"]);
    const both = failures({ breach: { k: 1, n: 1 }, min: 0.01 });
    expect([at(both, 0.005), at(both, 0.015), at(both, 0.05)]).toEqual(["breach", "pass", "breach"]);
  });

  it("says figure, limit and count", () => {
    expect(end(failures(), "x")).toMatchObject({
      reason: "not_yet_k_of_n",
      detail: "50 % > 2 %, 1 of 2 needed",
    });
    expect(end(failures(), "xx")).toMatchObject({ reason: "over_limit", detail: "50 % > 2 %, 2 of 3 bad" });
    expect(end(failures(), "xx.")).toMatchObject({ verdict: "breach", detail: "1 %, 2 of 3 bad" });
  });

  it("remembers thirty values and not one more", () => {
    const guard = failures({ breach: { k: 1, n: 30 } });
    expect(verdicts(guard, `x${".".repeat(29)}`).at(-1)).toBe("B");
    expect(verdicts(guard, `x${".".repeat(30)}`).at(-1)).toBe("p");
  });

  it("agrees with counting, for any k, n and history", () => {
    const signs = fc.string({ unit: fc.constantFrom(".", "x", "?", "!"), maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }), signs, (a, b, text) => {
        const guard = failures({ breach: { k: Math.min(a, b), n: Math.max(a, b) } });
        const history: string[] = [];
        for (const [index, one] of along(guard, text).entries()) {
          const sign = text[index] ?? "";
          if (sign === "." || sign === "x") history.push(sign);
          const bad = history.slice(-guard.breach.n).filter((each) => each === "x").length;
          const expected =
            sign === "?"
              ? "no_evidence"
              : sign === "!"
                ? "provider_down"
                : bad >= guard.breach.k
                  ? "breach"
                  : sign === "x"
                    ? "inconclusive"
                    : "pass";
          expect(one.verdict).toBe(expected);
        }
      }),
    );
  });
});

describe("when the breach began", () => {
  it.each([
    ["xx", 10_000],
    [".x.x", 20_000],
    ["x..xx", 40_000],
    ["x...xx", 50_000],
    ["x.?.xx", 50_000],
    ["x?x", 10_000],
    ["xxxxx", 10_000],
    [".....", undefined],
    ["xx...", undefined],
  ])("%s: %s", (signs, since) => {
    expect(end(failures(), signs).badSince).toBe(since);
  });
});

describe("a run of passes", () => {
  it.each<[string, number | undefined, number | undefined]>([
    // A first measurement within two intervals speaks for the time since the epoch.
    [".", 0, 10_000],
    ["...", 0, 30_000],
    ["-.", 0, 20_000],
    ["--.", 30_000, 30_000],
    ["?..", 20_000, 30_000],
    ["..?", 0, 20_000],
    ["..?.", 40_000, 40_000],
    ["..x", 0, 20_000],
    ["..x.", 40_000, 40_000],
    ["..!..", 40_000, 50_000],
    [".-.", 0, 30_000],
    [".--.", 40_000, 40_000],
    ["x", undefined, undefined],
    ["?", undefined, undefined],
  ])("%s lasts from %s to %s", (signs, since, until) => {
    expect(end(failures(), signs)).toMatchObject({ passSince: since, passUntil: until });
  });

  it("may have a gap of two intervals and one slow answer", () => {
    expect(longestGapMs(failures(), 5_000)).toBe(25_000);
  });

  it("never covers an instant at which the last answer was no pass", () => {
    const signs = fc.string({
      unit: fc.constantFrom(".", ".", ".", "x", "?", "!", "-"),
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(signs, (text) => {
        const { passSince, passUntil } = end(failures({ breach: { k: 1, n: 1 } }), text);
        if (passSince === undefined || passUntil === undefined) return;
        for (const [index, sign] of [...text].entries()) {
          const at = (index + 1) * 10_000;
          if (at >= passSince && at <= passUntil) expect(["-", "."]).toContain(sign);
        }
      }),
    );
  });
});

describe("time", () => {
  it("measurements from before the epoch, or older than the last, change nothing", () => {
    const start = unjudged(100_000);
    expect(judge(failures(), start, { kind: "value", at: 99_999, value: 0.5 }, GAP_MS)).toBe(start);
    const one = judge(failures(), start, { kind: "value", at: 110_000, value: 0 }, GAP_MS);
    expect(judge(failures(), one, { kind: "value", at: 109_999, value: 0.5 }, GAP_MS)).toBe(one);
  });

  it("before any measurement nothing is known", () => {
    expect(unjudged(7)).toMatchObject({ epoch: 7, verdict: "no_evidence", reason: "not_asked", met: false });
  });
});

describe("expect", () => {
  const guard = hits({ withinMs: 35_000 });

  it.each([
    ["x", "i"],
    ["xx.", "iip"],
    ["x.xx", "ippp"],
    ["?x.?", "nipn"],
    [".?x", "pnp"],
  ])("%s is %s: once met it stays met", (signs, expected) => {
    expect(verdicts(guard, signs)).toBe(expected);
  });

  it("waits within its time, then says that nothing seems to read the flag; never a breach", () => {
    expect(along(guard, "xxxxx").map((one) => one.reason)).toEqual([
      "awaiting",
      "awaiting",
      "awaiting",
      "expectation_unmet",
      "expectation_unmet",
    ]);
    expect(end(guard, "x").detail).toBe("0 %, expected at least 20 %");
    expect(end(guard, "xxxx").detail).toBe("0 %, expected at least 20 %: ON, but nothing seems to read it");
    const { min: _none, ...upper } = hits({ max: 0.2, unit: "seconds" });
    expect(judge(upper, unjudged(0), { kind: "value", at: 1, value: 3 }, GAP_MS).detail).toBe(
      "3 s, expected at most 200 ms",
    );
  });

  it("missing data does not unmeet it, and a new epoch asks anew", () => {
    expect(end(guard, ".?").met).toBe(true);
    expect(unjudged(50_000).met).toBe(false);
  });
});

describe("trend", () => {
  const figures = (fires: boolean): Measurement & { readonly trend: TrendFigures } => ({
    kind: "value",
    at: 1,
    value: 900 * 1024 ** 2,
    trend: {
      kind: "trend",
      perHour: 62 * 1024 ** 2,
      lowerPerHour: fires ? 40 * 1024 ** 2 : 10,
      upperPerHour: 80 * 1024 ** 2,
      level: 900 * 1024 ** 2,
      hoursLeft: 2,
      fires,
      blocks: 18,
    },
  });

  it("fires at once or not at all, and says slope, time left and limit", () => {
    const after = judge(memory(), unjudged(0), figures(true), GAP_MS);
    expect(after).toMatchObject({
      verdict: "breach",
      reason: "over_limit",
      detail: "+62 MiB/h, limit in 2 h: reaches 1 GiB within 4 h",
      value: 900 * 1024 ** 2,
      badSince: 1,
    });
    expect(judge(memory(), after, { ...figures(false), at: 2 }, GAP_MS)).toMatchObject({
      verdict: "pass",
      reason: undefined,
      detail: undefined,
      badSince: undefined,
    });
  });

  it("a value without a trend is none", () => {
    const bare: Measurement = { kind: "value", at: 1, value: 2 * 1024 ** 3 };
    expect(judge(memory(), unjudged(0), bare, GAP_MS).verdict).toBe("pass");
  });

  it.each([
    ["?", "n"],
    ["!", "d"],
  ])("%s is %s", (signs, expected) => {
    expect(verdicts(memory(), signs)).toBe(expected);
  });
});

describe("alive", () => {
  it.each([
    ["...", "ppp"],
    [".x", "pi"],
    ["xx.", "iip"],
    ["xxx", "iiB"],
    ["x?x?x", "ininB"],
    ["xxx.", "iiBp"],
  ])("%s is %s", (signs, expected) => {
    expect(verdicts(alive(), signs)).toBe(expected);
  });

  it("a breach of it is target_down", () => {
    expect(end(alive(), "xxx")).toMatchObject({
      reason: "target_down",
      detail: "target down in 3 of the last 3 polls",
    });
    expect(end(alive(), "x")).toMatchObject({
      reason: "not_yet_k_of_n",
      detail: "target down, 1 of 3 needed",
    });
  });
});
