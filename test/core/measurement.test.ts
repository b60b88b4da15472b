/** From an answer to a measurement: every row of the table of GUARDS part A, and bodies that nobody should send. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { measure } from "../../src/core/analysis.ts";
import {
  type Answer,
  type Demands,
  type DownReason,
  measurementOf,
  numbersOf,
  type Poll,
} from "../../src/core/measurement.ts";
import { alive, failures, hits } from "../support/plans.ts";

const AT = 5_000_000;
const WALL = 1_760_000_000_000;
const FRESH_MS = 30_000;

function body(data: unknown, extra: Readonly<Record<string, unknown>> = {}): Answer {
  return { kind: "body", body: { status: "success", data, ...extra } };
}

/** An instant vector with these sample values, as Prometheus writes them. */
function vector(...values: readonly string[]): Answer {
  return body({
    resultType: "vector",
    result: values.map((value) => ({ metric: {}, value: [WALL / 1000, value] })),
  });
}

/** The companion's answer: the oldest sample is this old. */
function aged(ageMs: number): Answer {
  return vector(String((WALL - ageMs) / 1000));
}

function poll(main: Answer, extra: Partial<Poll> = {}): Poll {
  return { at: AT, evaluatedAt: WALL, main, freshness: aged(5_000), ...extra };
}

const DEMANDS: Demands = { freshWithinMs: FRESH_MS };

function reason(one: Poll, demands: Partial<Demands> = {}): string {
  const measured = measurementOf(one, { ...DEMANDS, ...demands });
  expect(measured.at).toBe(AT);
  return measured.kind === "value" ? `value ${measured.value}` : `${measured.kind}: ${measured.reason}`;
}

describe("one finite number, fresh, with enough behind it", () => {
  it.each([
    ["0.5", 0.5],
    ["0", 0],
    ["-1", -1],
    ["1e-9", 1e-9],
    ["1.5E+3", 1500],
    [".5", 0.5],
    ["5.", 5],
    ["+7", 7],
  ])("%s is a value", (text, value) => {
    expect(reason(poll(vector(text)))).toBe(`value ${value}`);
  });

  it("as a scalar as well as a vector of one", () => {
    expect(reason(poll(body({ resultType: "scalar", result: [WALL / 1000, "3"] })))).toBe("value 3");
  });

  it.each([
    [0, "value 1"],
    [29_999, "value 1"],
    [30_000, "value 1"],
    [30_001, "no_evidence: stale"],
    [-2_000, "value 1"],
  ])("the oldest sample %d ms old: %s", (ageMs, expected) => {
    expect(reason(poll(vector("1"), { freshness: aged(ageMs) }))).toBe(expected);
  });

  it("the oldest of several companions counts", () => {
    const two = vector(String((WALL - 1_000) / 1000), String((WALL - 60_000) / 1000));
    expect(reason(poll(vector("1"), { freshness: two }))).toBe("no_evidence: stale");
  });

  it.each([
    ["max", "value 9"],
    ["min", "value -2"],
  ] as const)("the worst (%s) of several when the guard says which is worst", (worst, expected) => {
    expect(reason(poll(vector("3", "9", "-2")), { worst })).toBe(expected);
  });
});

describe("no evidence, and which", () => {
  it.each<[string, Poll, Partial<Demands>, string]>([
    ["an empty vector", poll(vector()), {}, "empty"],
    ["0/0", poll(vector("NaN")), {}, "nan"],
    ["one NaN among several", poll(vector("1", "NaN")), { worst: "max" }, "nan"],
    ["+Inf", poll(vector("+Inf")), {}, "infinite"],
    ["-Inf", poll(vector("-Inf")), {}, "infinite"],
    ["several series", poll(vector("1", "2")), {}, "many_series"],
    ["no companion series", poll(vector("1"), { freshness: vector() }), {}, "stale"],
    ["a companion of NaN", poll(vector("1"), { freshness: vector("NaN") }), {}, "stale"],
    ["a companion of -Inf", poll(vector("1"), { freshness: vector("-Inf") }), {}, "stale"],
    ["too few samples", poll(vector("1"), { samples: vector("2") }), { minSamples: 3 }, "few_samples"],
    ["no count of samples", poll(vector("1"), { samples: vector() }), { minSamples: 3 }, "few_samples"],
    ["a count that was not asked", poll(vector("1")), { minSamples: 3 }, "few_samples"],
    ["a small denominator", poll(vector("1"), { total: vector("0.4") }), { minTotal: 1 }, "low_total"],
    ["no traffic", poll(vector("1"), { total: vector("0") }), { minTotal: 1 }, "zero_traffic"],
    ["no denominator", poll(vector("1"), { total: vector() }), { minTotal: 1 }, "low_total"],
    ["a denominator of NaN", poll(vector("1"), { total: vector("NaN") }), { minTotal: 1 }, "low_total"],
    ["a denominator that was not asked", poll(vector("1")), { minTotal: 1 }, "low_total"],
    [
      "a warning",
      poll(body({ resultType: "vector", result: [] }, { warnings: ["remote read failed"] })),
      {},
      "partial",
    ],
    [
      "an info about data",
      poll(body({ resultType: "vector", result: [] }, { infos: ["PromQL info: truncated"] })),
      {},
      "partial",
    ],
    [
      "a warning that is no text",
      poll(body({ resultType: "vector", result: [] }, { warnings: [7] })),
      {},
      "partial",
    ],
    [
      "a companion with a warning",
      poll(vector("1"), { freshness: body({ resultType: "vector", result: [] }, { warnings: ["x"] }) }),
      {},
      "partial",
    ],
    ["a matrix", poll(body({ resultType: "matrix", result: [] })), {}, "odd_shape"],
    ["a string", poll(body({ resultType: "string", result: [1, "x"] })), {}, "odd_shape"],
    ["no data", poll(body(undefined)), {}, "odd_shape"],
    ["data that is a list", poll(body([])), {}, "odd_shape"],
    ["a result that is no list", poll(body({ resultType: "vector", result: {} })), {}, "odd_shape"],
    [
      "a series without a value",
      poll(body({ resultType: "vector", result: [{ metric: {} }] })),
      {},
      "odd_shape",
    ],
    [
      "a histogram",
      poll(body({ resultType: "vector", result: [{ metric: {}, histogram: [1, {}] }] })),
      {},
      "odd_shape",
    ],
    ["a series that is null", poll(body({ resultType: "vector", result: [null] })), {}, "odd_shape"],
    [
      "a value that is a number, not text",
      poll(body({ resultType: "vector", result: [{ value: [1, 0.5] }] })),
      {},
      "odd_shape",
    ],
    [
      "a value of three parts",
      poll(body({ resultType: "vector", result: [{ value: [1, "1", "2"] }] })),
      {},
      "odd_shape",
    ],
    ["a hexadecimal value", poll(vector("0x10")), {}, "odd_shape"],
    ["an empty value", poll(vector("")), {}, "odd_shape"],
    ["`Infinity` as JavaScript writes it", poll(vector("Infinity")), {}, "odd_shape"],
    ["a number too large for a double", poll(vector("1e999")), {}, "infinite"],
  ])("%s", (_name, one, demands, expected) => {
    expect(reason(one, demands)).toBe(`no_evidence: ${expected}`);
  });

  it("an info that only speaks of how the query is written is no fault", () => {
    const info =
      "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
    const data = { resultType: "vector", result: [{ metric: {}, value: [1, "1"] }] };
    expect(reason(poll(body(data, { infos: [info] })))).toBe("value 1");
  });

  it("says what was found, for people", () => {
    const stale = measurementOf(poll(vector("1"), { freshness: aged(90_000) }), DEMANDS);
    expect(stale).toMatchObject({ detail: "the newest sample is 90 s old; at most 30 s is fresh" });
    const few = measurementOf(poll(vector("1"), { samples: vector("2.345") }), { ...DEMANDS, minSamples: 3 });
    expect(few).toMatchObject({ detail: "2.35 is below the minimum of 3" });
  });
});

describe("the provider is down, and how", () => {
  const REASONS: readonly DownReason[] = [
    "refused",
    "timeout",
    "http_status",
    "rate_limited",
    "not_json",
    "error_status",
    "too_large",
    "network",
  ];

  it.each(REASONS)("%s of the main query, of any companion, of any floor", (why) => {
    const down: Answer = { kind: "down", reason: why, detail: "x" };
    expect(reason(poll(down))).toBe(`provider_down: ${why}`);
    expect(reason(poll(vector("1"), { freshness: down }))).toBe(`provider_down: ${why}`);
    expect(reason(poll(vector("1"), { samples: down }), { minSamples: 3 })).toBe(`provider_down: ${why}`);
    expect(reason(poll(vector("1"), { total: down }), { minTotal: 3 })).toBe(`provider_down: ${why}`);
  });

  it.each<[string, unknown, DownReason]>([
    ["null", null, "not_json"],
    ["text", "<html>502</html>", "not_json"],
    ["a list", [], "not_json"],
    ["a number", 7, "not_json"],
    ["an empty object", {}, "error_status"],
    ["status: error", { status: "error", errorType: "timeout", error: "query timed out" }, "error_status"],
    ["status: Success", { status: "Success", data: {} }, "error_status"],
    ["status through the prototype", Object.create({ status: "error" }), "error_status"],
  ])("a body that is %s", (_name, content, why) => {
    expect(reason(poll({ kind: "body", body: content }))).toBe(`provider_down: ${why}`);
  });

  it("keeps the words of Prometheus, at most 200 characters", () => {
    const answer: Answer = { kind: "body", body: { status: "error", error: "x".repeat(5_000) } };
    const found = numbersOf(answer);
    expect(found.kind === "down" ? found.detail : "").toBe("x".repeat(200));
  });
});

describe("whether our target is alive", () => {
  const up = (value: string, total?: Answer): string => {
    const one = poll(vector(value), total === undefined ? {} : { total });
    const measured = measure(alive(), one, 15_000);
    return measured.kind === "value" ? `value ${measured.value}` : `${measured.kind}: ${measured.reason}`;
  };

  it.each<[string, Answer | undefined, string]>([
    ["1", undefined, "value 1"],
    ["1", vector(), "value 1"],
    ["0", vector("1"), "value 0"],
    ["0", vector("0"), "no_evidence: no_other_target"],
    ["0", vector(), "no_evidence: no_other_target"],
    ["0", vector("NaN"), "no_evidence: no_other_target"],
    ["0", undefined, "no_evidence: no_other_target"],
    ["0", { kind: "down", reason: "timeout", detail: "x" }, "provider_down: timeout"],
  ])("up is %s and the others answer %j: %s", (value, others, expected) => {
    expect(up(value, others)).toBe(expected);
  });

  it("several of ours: the one that is down counts; several others: one alive is enough", () => {
    const ours = measure(alive(), poll(vector("1", "0"), { total: vector("0", "1") }), 15_000);
    expect(ours).toMatchObject({ kind: "value", value: 0 });
  });

  it("a target that is not there at all is missing, not dead", () => {
    const gone = measure(alive(), poll(vector(), { freshness: vector(), total: vector("1") }), 15_000);
    expect(gone).toMatchObject({ kind: "no_evidence", reason: "stale" });
  });
});

describe("what a guard demands", () => {
  it("samples up to two scrapes old", () => {
    expect(measure(failures(), poll(vector("0"), { freshness: aged(29_000) }), 15_000).kind).toBe("value");
    expect(measure(failures(), poll(vector("0"), { freshness: aged(31_000) }), 15_000).kind).toBe(
      "no_evidence",
    );
    expect(measure(hits(), poll(vector("0"), { freshness: aged(31_000) }), 15_000).kind).toBe("no_evidence");
  });

  it("its floors, and its choice among several series", () => {
    const guard = failures({ total: { query: "t", min: 10 }, samples: { query: "s", min: 4 }, worst: "max" });
    const enough = { total: vector("10"), samples: vector("4") };
    expect(measure(guard, poll(vector("1", "2"), enough), 15_000)).toMatchObject({ kind: "value", value: 2 });
    expect(measure(guard, poll(vector("1"), { ...enough, total: vector("9") }), 15_000)).toMatchObject({
      reason: "low_total",
    });
    expect(measure(guard, poll(vector("1"), { ...enough, samples: vector("3") }), 15_000)).toMatchObject({
      reason: "few_samples",
    });
  });
});

describe("any body at all", () => {
  const sample = fc.constantFrom<unknown>("0.5", "NaN", "+Inf", "-Inf", "", "x", 1, null);
  const result = fc.oneof(
    fc.array(
      fc.oneof(fc.record({ metric: fc.constant({}), value: fc.tuple(fc.double(), sample) }), fc.anything()),
      { maxLength: 3 },
    ),
    fc.anything(),
  );
  const anyBody = fc.oneof(
    fc.anything(),
    fc.record({
      status: fc.constantFrom<unknown>("success", "success", "error", 1),
      data: fc.oneof(
        fc.record({ resultType: fc.constantFrom<unknown>("vector", "scalar", "matrix", 7), result }),
        fc.anything(),
      ),
      warnings: fc.constantFrom<unknown>(undefined, [], ["x"], {}, "x"),
    }),
  );

  it("gives a measurement, and a value only when it is one finite number proven fresh", () => {
    fc.assert(
      fc.property(anyBody, anyBody, (main, freshness) => {
        const one = poll({ kind: "body", body: main }, { freshness: { kind: "body", body: freshness } });
        const measured = measurementOf(one, DEMANDS);
        expect(["value", "no_evidence", "provider_down"]).toContain(measured.kind);
        if (measured.kind !== "value") return;
        expect(Number.isFinite(measured.value)).toBe(true);
        const found = numbersOf(one.freshness);
        expect(found.kind === "numbers" ? found.values.length : 0).toBeGreaterThan(0);
      }),
      { numRuns: 2_000 },
    );
  });
});
