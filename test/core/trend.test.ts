/** Trends: slopes and their bound against figures worked out by hand, noise that is no leak, restarts, gaps, several series, and words. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge, measure } from "../../src/core/analysis.ts";
import {
  formatTrend,
  type Trend,
  type TrendFigures,
  type TrendPoint,
  trendOf,
} from "../../src/core/guards/trend.ts";
import type { Answer } from "../../src/core/measurement.ts";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import { type TrendPoll, trendSpan, warmingUp } from "../../src/core/trend.ts";
import { unjudged } from "../../src/core/verdict.ts";
import { createRandom } from "../simulation/timeline.ts";
import { memory } from "../support/plans.ts";

const START = Date.UTC(2026, 0, 5, 9);
const FAR = { limit: 1e9, horizonMs: 4 * HOUR };

/** A point a minute, from the first minute on. */
function minutes(count: number, valueAt: (minute: number) => number): readonly TrendPoint[] {
  return Array.from({ length: count }, (_, minute) => ({
    wall: START + minute * MINUTE,
    value: valueAt(minute),
  }));
}

/** Ten points for each of the blocks, whose minimum is as given and whose median is 2 above it. */
function blocks(minima: readonly number[]): readonly TrendPoint[] {
  return minutes(minima.length * 10, (minute) => (minima[Math.floor(minute / 10)] ?? 0) + (minute % 5));
}

function figures(trend: Trend): TrendFigures {
  if (trend.kind !== "trend") throw new Error(trend.detail);
  return trend;
}

/** A rise of so much per hour. */
const rise = (from: number, perHour: number) => (minute: number) => from + (perHour * minute) / 60;

describe("slopes", () => {
  it("of six blocks, by hand: 15 pairs, the bound is the first and the last of them", () => {
    // Slopes a block: -1 -1 1/3 1/2 1/2 3/4 3/4 1 1 1 4/3 4/3 2 2 3; residuals 0 1 -1 1 -1 0, so r1 is clipped to 0; (15 - 2.326 * 5.32) / 2 = 1.3.
    const trend = figures(trendOf(blocks([1, 3, 2, 5, 4, 6]), FAR));
    expect(trend).toMatchObject({ blocks: 6, level: 8, hoursLeft: undefined, fires: false });
    expect(trend.perHour).toBeCloseTo(6, 9);
    expect(trend.lowerPerHour).toBeCloseTo(-6, 9);
    expect(trend.upperPerHour).toBeCloseTo(18, 9);
  });

  it("of twelve blocks whose residuals follow each other: r1 is 0.264, the bound is the 10th of 66 from either end", () => {
    const minima = [10, 11.5, 13.2, 13.1, 14, 16.5, 18.9, 20, 20.2, 21.1, 22.9, 25.4];
    const trend = figures(trendOf(blocks(minima), { limit: 1_000, horizonMs: 4 * HOUR }));
    expect(trend.perHour).toBeCloseTo(8.1, 9);
    expect(trend.lowerPerHour).toBeCloseTo(5.4, 9);
    expect(trend.upperPerHour).toBeCloseTo(10.4, 9);
    expect(trend.level).toBeCloseTo(27.4, 9);
    expect(trend.hoursLeft).toBeCloseTo((1_000 - 27.4) / 8.1, 9);
  });

  it("a line is found exactly, and no rounding is taken for dependence", () => {
    const trend = figures(trendOf(minutes(180, rise(0.1, 38)), FAR));
    expect(trend.blocks).toBe(18);
    for (const slope of [trend.perHour, trend.lowerPerHour, trend.upperPerHour])
      expect(slope).toBeCloseTo(38, 6);
  });

  it("six jagged blocks that follow each other bound nothing", () => {
    const trend = figures(trendOf(blocks([100, 100, 101, 103, 106, 110]), FAR));
    expect(trend).toMatchObject({ lowerPerHour: undefined, upperPerHour: undefined, hoursLeft: undefined });
  });
});

describe("when it fires", () => {
  // At 100 an hour, the newest block's median is 4.5 minutes (7.5) below the line's end; 4 h on it is 392.5 above the end.
  const at = (limit: number, horizonMs = 4 * HOUR, count = 180) =>
    figures(trendOf(minutes(count, rise(1_000, 100)), { limit, horizonMs }));
  const end = 1_000 + (100 * 179) / 60;
  const reach = end - 7.5 + 400;

  it.each<[string, number, boolean]>([
    ["well below", reach + 100, false],
    ["just out of the newest block's reach", reach + 0.1, false],
    ["just out of the reach of the block before", reach - 100 / 6 + 0.1, false],
    ["in reach of both", reach - 100 / 6 - 0.1, true],
    ["reached already", end - 200, true],
  ])("a limit %s", (_name, limit, fires) => {
    expect(at(limit).fires).toBe(fires);
  });

  it("needs a block more than a slope does", () => {
    expect(at(reach - 500, 4 * HOUR, 60)).toMatchObject({ blocks: 6, fires: false });
    expect(at(1_100, 4 * HOUR, 70)).toMatchObject({ blocks: 7, fires: true });
  });

  it("not when the newest block falls back out of reach", () => {
    const back = minutes(180, (minute) => rise(1_000, 100)(minute) - (minute < 170 ? 0 : 60));
    const limit = reach - 100 / 6 - 10;
    expect(figures(trendOf(back.slice(0, 170), { limit: limit - 100 / 6, horizonMs: 4 * HOUR })).fires).toBe(
      true,
    );
    expect(figures(trendOf(back, { limit, horizonMs: 4 * HOUR })).fires).toBe(false);
  });

  it("looks as far as its horizon", () => {
    expect(at(end + 150, HOUR).fires).toBe(false);
    expect(at(end + 150, 2 * HOUR).fires).toBe(true);
  });

  it("a level that is above the limit and does not rise is no trend", () => {
    expect(
      figures(
        trendOf(
          minutes(180, () => 50),
          { limit: 40, horizonMs: HOUR },
        ),
      ).fires,
    ).toBe(false);
  });

  it("finds a leak under noise, and in time", () => {
    const random = createRandom(4);
    const noisy = minutes(180, (minute) => 700 + (60 * minute) / 60 + random.between(0, 40));
    const trend = figures(trendOf(noisy, { limit: 1_024, horizonMs: 4 * HOUR }));
    expect(trend.fires).toBe(true);
    expect(trend.perHour).toBeGreaterThan(50);
    expect(trend.perHour).toBeLessThan(70);
  });
});

describe("whatever the series", () => {
  const noise = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 60, maxLength: 180 });
  const rate = fc.integer({ min: -30, max: 30 });
  /** Small beside its level, so that nothing in it is a restart. */
  const series = (jitter: readonly number[], perMinute: number) =>
    minutes(jitter.length, (minute) => 8_000 + perMinute * minute + (jitter[minute] ?? 0));
  const LIMIT = { limit: 12_000, horizonMs: 2 * HOUR };

  function alike(one: Trend, other: Trend, scale: number, shift: number): void {
    expect(other.kind).toBe(one.kind);
    if (one.kind !== "trend" || other.kind !== "trend") return;
    const near = (a: number | undefined, b: number | undefined): void => {
      if (a === undefined || b === undefined) expect(b).toBe(a);
      else expect(Math.abs(b - a)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(a)));
    };
    expect([other.blocks, other.fires]).toEqual([one.blocks, one.fires]);
    near(one.perHour * scale, other.perHour);
    near(one.lowerPerHour === undefined ? undefined : one.lowerPerHour * scale, other.lowerPerHour);
    near(one.upperPerHour === undefined ? undefined : one.upperPerHour * scale, other.upperPerHour);
    near(one.level * scale + shift, other.level);
    near(one.hoursLeft, other.hoursLeft);
  }

  it("a shift in time changes nothing, nor does the order of the points", () => {
    fc.assert(
      fc.property(noise, rate, fc.integer({ min: -1e9, max: 1e9 }), (jitter, perMinute, shiftMs) => {
        const points = series(jitter, perMinute);
        const moved = points.map(({ wall, value }) => ({ wall: wall + shiftMs, value })).reverse();
        alike(trendOf(points, LIMIT), trendOf(moved, LIMIT), 1, 0);
      }),
    );
  });

  it("a shift of level and limit shifts the level alone", () => {
    fc.assert(
      fc.property(noise, rate, fc.integer({ min: 0, max: 100_000 }), (jitter, perMinute, shift) => {
        const points = series(jitter, perMinute);
        const moved = points.map(({ wall, value }) => ({ wall, value: value + shift }));
        alike(trendOf(points, LIMIT), trendOf(moved, { ...LIMIT, limit: LIMIT.limit + shift }), 1, shift);
      }),
    );
  });

  it("another unit changes figures, not findings", () => {
    fc.assert(
      fc.property(
        noise,
        rate,
        fc.constantFrom(1 / 1_048_576, 0.001, 0.5, 8, 1e6),
        (jitter, perMinute, scale) => {
          const points = series(jitter, perMinute);
          const scaled = points.map(({ wall, value }) => ({ wall, value: value * scale }));
          alike(trendOf(points, LIMIT), trendOf(scaled, { ...LIMIT, limit: LIMIT.limit * scale }), scale, 0);
        },
      ),
    );
  });

  it("one that only rises has a slope above 0, and its bound lies below it; one that only falls never fires", () => {
    const steps = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 70, maxLength: 180 });
    fc.assert(
      fc.property(steps, (gains) => {
        let level = 5_000;
        const up = gains.map((gain) => {
          level += gain;
          return level;
        });
        const rising = figures(
          trendOf(
            minutes(up.length, (minute) => up[minute] ?? 0),
            LIMIT,
          ),
        );
        expect(rising.perHour).toBeGreaterThan(0);
        if (rising.lowerPerHour !== undefined) {
          expect(rising.lowerPerHour).toBeGreaterThan(0);
          expect(rising.lowerPerHour).toBeLessThanOrEqual(rising.perHour);
        }
        const down = trendOf(
          minutes(up.length, (minute) => 20_000 - (up[minute] ?? 0)),
          { ...LIMIT, limit: 0 },
        );
        if (down.kind === "trend") expect([down.fires, down.hoursLeft]).toEqual([false, undefined]);
      }),
    );
  });

  it("is answered for any numbers at all", () => {
    const value = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 0, -0));
    const point = fc.record({ wall: fc.integer({ min: START, max: START + 4 * HOUR }), value });
    fc.assert(
      fc.property(fc.array(point, { maxLength: 300 }), (points) => {
        const trend = trendOf(points, LIMIT);
        expect(formatTrend(trend, "bytes").length).toBeGreaterThan(0);
        if (trend.kind === "trend") expect(trend.blocks).toBeGreaterThanOrEqual(6);
      }),
    );
  });
});

describe("noise without a trend", () => {
  const RUNS = 2_000;
  const SPREAD = 20;

  /** Shares of flat windows of three hours that fire, around 1,000 with AR(1) noise (r = 0.5), for limits so far above the level. */
  function falseShare(everyMinutes: number, above: number): number {
    let fired = 0;
    for (let run = 0; run < RUNS; run++) {
      const random = createRandom(run + 1);
      const normal = (): number =>
        Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
      let noise = SPREAD * normal();
      const points = minutes(180, (minute) => {
        if (minute % everyMinutes === 0) noise = 0.5 * noise + Math.sqrt(0.75) * SPREAD * normal();
        return 1_000 + noise + Math.abs(normal());
      });
      const trend = trendOf(points, { limit: 1_000 + above, horizonMs: 4 * HOUR });
      if (trend.kind === "trend" && trend.fires) fired++;
    }
    return fired / RUNS;
  }

  it.each([
    ["from minute to minute, the limit at the level itself", 1, 0],
    ["from minute to minute, the limit 5 % above", 1, 50],
    ["from block to block, the limit 5 % above", 10, 50],
    ["from block to block, the limit 20 % above", 10, 200],
  ])("%s: fires in less than 1 %", (name, everyMinutes, above) => {
    const share = falseShare(everyMinutes, above);
    process.stdout.write(`noise ${name}: ${(100 * share).toFixed(2)} % of ${RUNS} windows fire\n`);
    expect(share).toBeLessThan(0.01);
  });

  it("a process that warms up after a restart is no leak", () => {
    const random = createRandom(7);
    const warm = minutes(300, (minute) =>
      minute < 60
        ? 900 + random.between(0, 10)
        : 100 + 400 * (1 - Math.exp(-(minute - 60) / 20)) + random.between(0, 10),
    );
    for (let end = 60; end <= 300; end += 10) {
      const trend = trendOf(warm.slice(Math.max(0, end - 180), end), { limit: 1_024, horizonMs: 4 * HOUR });
      expect(trend.kind === "trend" && trend.fires).toBe(false);
    }
  });
});

describe("restarts", () => {
  const LEAK = { limit: 1_000, horizonMs: 4 * HOUR };

  it("hide no leak: what was before the last one is not looked at", () => {
    // Rises by 120 an hour; restarted in minute 75 (in its eighth block), then again from 300 on.
    const points = minutes(180, (minute) => (minute < 75 ? 700 + 2 * minute : 300 + 2 * (minute - 75)));
    const trend = figures(trendOf(points, { ...LEAK, limit: 700 }));
    expect(trend).toMatchObject({ blocks: 10, fires: true });
    expect(trend.perHour).toBeCloseTo(120, 6);
  });

  it("leave too little to judge for an hour", () => {
    const points = minutes(180, (minute) => (minute < 150 ? 700 + minute : 300));
    expect(trendOf(points, LEAK)).toMatchObject({
      kind: "no_evidence",
      reason: "few_samples",
      blocks: 2,
      detail: "2 blocks of 10 min since the level fell, as after a restart; a trend needs 6",
    });
  });

  it("of several the last one counts; a process restarted every day is judged on its day", () => {
    const days = minutes(180, (minute) => 300 + 4 * (minute % 60));
    expect(trendOf(days, LEAK)).toMatchObject({ kind: "trend", blocks: 18, fires: false });
    const twice = minutes(180, (minute) =>
      minute < 40 ? 800 : minute < 90 ? 500 + minute : 200 + (minute - 90),
    );
    expect(figures(trendOf(twice, LEAK))).toMatchObject({ blocks: 8 });
    expect(figures(trendOf(twice, LEAK)).perHour).toBeCloseTo(60, 6);
  });

  it("a saw of garbage collections is flat, within a block and over several", () => {
    const within = minutes(180, (minute) => 500 + 30 * (minute % 7));
    const over = minutes(180, (minute) => 500 + 10 * (minute % 40));
    for (const points of [within, over]) {
      const trend = figures(trendOf(points, LEAK));
      expect(trend).toMatchObject({ blocks: 18, fires: false, hoursLeft: undefined });
      expect(formatTrend(trend, "none")).toMatch(/^flat \(/);
    }
  });

  it("a saw that climbs is a leak", () => {
    const climbs = minutes(180, (minute) => 500 + 15 * (minute % 40) + minute);
    const { perHour, lowerPerHour } = figures(
      trendOf(
        minutes(180, (m) => 500 + 30 * (m % 7) + 2 * m),
        LEAK,
      ),
    );
    expect(perHour).toBeGreaterThan(100);
    expect(lowerPerHour).toBeGreaterThan(0);
    expect(figures(trendOf(climbs, LEAK)).perHour).toBeGreaterThan(0);
  });

  it("a small fall of a level that else stands still is none", () => {
    const page = minutes(180, (minute) => (minute < 100 ? 500 : 499.9));
    expect(trendOf(page, LEAK)).toMatchObject({ kind: "trend", blocks: 18 });
  });
});

describe("gaps", () => {
  const line = rise(1_000, 60);

  it("fewer than six blocks are no evidence", () => {
    expect(trendOf([], FAR)).toMatchObject({ blocks: 0, detail: "the last 10 min hold too few points" });
    expect(trendOf(minutes(54, line), FAR)).toMatchObject({
      kind: "no_evidence",
      blocks: 5,
      detail: "5 blocks of 10 min; a trend needs 6",
    });
    expect(trendOf(minutes(55, line), FAR)).toMatchObject({ kind: "trend", blocks: 6 });
  });

  it("points that are no finite numbers are not there; a slope across a gap is the same", () => {
    const holes = minutes(180, (minute) =>
      minute >= 40 && minute < 75 ? Number.NaN : minute % 9 === 0 ? Number.POSITIVE_INFINITY : line(minute),
    );
    const trend = figures(trendOf(holes, FAR));
    expect(trend.blocks).toBe(15);
    expect(trend.perHour).toBeCloseTo(60, 0);
  });

  it("a block with fewer than half of its points is a gap; the newest must not be one", () => {
    const thin = minutes(180, line).filter((_, minute) => minute >= 150 || minute % 10 < 4);
    expect(trendOf(thin, FAR)).toMatchObject({ kind: "no_evidence", blocks: 3 });
    const away = minutes(180, line).filter((_, minute) => minute < 150 || minute >= 177);
    expect(trendOf(away, FAR)).toMatchObject({ detail: "the last 10 min hold too few points" });
  });

  it("nothing older than three hours is looked at", () => {
    const long = minutes(600, (minute) => (minute < 420 ? 5_000 : 1_000 + (minute - 420)));
    expect(figures(trendOf(long, FAR)).perHour).toBeCloseTo(60, 6);
  });
});

describe("in words", () => {
  const MIB = 1024 ** 2;
  const words = (limit: number, from: number, perHour: number): string =>
    formatTrend(trendOf(minutes(180, rise(from, perHour)), { limit, horizonMs: HOUR }), "bytes");

  it.each<[string, number, number, number]>([
    ["+38 MiB/h, limit in 31 h", 2_000 * MIB, 711 * MIB, 38 * MIB],
    ["+38 MiB/h, limit in 2.7 h", 924 * MIB, 711 * MIB, 38 * MIB],
    ["+38 MiB/h, limit in 24 min", 837 * MIB, 711 * MIB, 38 * MIB],
    ["+38 MiB/h, limit reached", 700 * MIB, 711 * MIB, 38 * MIB],
    ["+1 MiB/h, limit in 42 days", 2_000 * MIB, 1_000 * MIB, MIB],
    ["+1 KiB/h, limit in more than a year", 2_000 * MIB, 100 * MIB, 1_024],
    ["falling (-10 MiB/h)", 2_000 * MIB, 1_000 * MIB, -10 * MIB],
    ["flat (0 B/h)", 2_000 * MIB, 711 * MIB, 0],
  ])("%s", (expected, limit, from, perHour) => {
    expect(words(limit, from, perHour)).toBe(expected);
  });

  it("a slope that may be noise is flat", () => {
    const random = createRandom(3);
    const noisy = minutes(
      180,
      (minute) => 711 * MIB + (0.2 * MIB * minute) / 60 + random.between(0, 9) * MIB,
    );
    expect(formatTrend(trendOf(noisy, FAR), "bytes")).toMatch(/^flat \([+-]?[\d.]+ [KM]iB\/h\)$/);
  });

  it("the lack of evidence says itself", () => {
    expect(
      formatTrend(
        trendOf(
          minutes(20, () => 1),
          FAR,
        ),
        "bytes",
      ),
    ).toBe("2 blocks of 10 min; a trend needs 6");
  });
});

describe("a poll", () => {
  const NOW = START + 180 * MINUTE;
  const GUARD = memory({ limit: 1_000, unit: "none" });
  const vector = (...values: readonly (readonly [string, string | number])[]): Answer => ({
    kind: "body",
    body: {
      status: "success",
      data: {
        resultType: "vector",
        result: values.map(([pod, value]) => ({ metric: { pod, job: "x" }, value: [0, String(value)] })),
      },
    },
  });

  /** Three hours of instant answers, the newest now, and a freshness of so many ms. */
  function poll(answerAt: (minute: number) => Answer, ageMs = 0): TrendPoll {
    const history = Array.from({ length: 180 }, (_, minute) => ({
      wall: NOW - (179 - minute) * MINUTE,
      answer: answerAt(minute),
    }));
    return {
      at: 5,
      evaluatedAt: NOW,
      main: history.at(-1)?.answer ?? vector(),
      history,
      freshness: vector(["", (NOW - ageMs) / 1_000]),
    };
  }
  const down: Answer = { kind: "down", reason: "timeout", detail: "slow" };

  it("of one series measures its level and its trend", () => {
    const measured = measure(
      GUARD,
      poll((minute) => vector(["a", 500 + 2 * minute])),
      15_000,
    );
    expect(measured).toMatchObject({ kind: "value", at: 5, value: 849, trend: { blocks: 18, fires: true } });
    const after = judge(GUARD, unjudged(0), measured, 1);
    expect(after).toMatchObject({
      verdict: "breach",
      reason: "over_limit",
      detail: "+120/h, limit in 1.3 h: reaches 1000 within 4 h",
      value: 849,
    });
  });

  it("that does not fire is a pass", () => {
    const measured = measure(
      GUARD,
      poll(() => vector(["a", 500])),
      15_000,
    );
    expect(judge(GUARD, unjudged(0), measured, 1)).toMatchObject({ verdict: "pass", detail: undefined });
  });

  it.each<[string, TrendPoll, object]>([
    ["no series", poll(() => vector()), { kind: "no_evidence", reason: "empty" }],
    [
      "several series",
      poll(() => vector(["a", 1], ["b", 2])),
      { kind: "no_evidence", reason: "many_series" },
    ],
    ["NaN now", poll((m) => vector(["a", m === 179 ? "NaN" : 1])), { kind: "no_evidence", reason: "nan" }],
    ["stale", poll(() => vector(["a", 1]), 31_000), { kind: "no_evidence", reason: "stale" }],
    ["Prometheus away", { ...poll(() => down), main: down }, { kind: "provider_down", reason: "timeout" }],
    [
      "too young",
      poll((m) => (m < 140 ? vector() : vector(["a", 1]))),
      { kind: "no_evidence", reason: "few_samples" },
    ],
    [
      "no history",
      { ...poll(() => vector(["a", 1])), history: [] },
      { kind: "no_evidence", reason: "few_samples" },
    ],
  ])("%s", (_name, one, expected) => {
    expect(measure(GUARD, one, 15_000)).toMatchObject(expected);
  });

  it("answers that are missing or odd in between are gaps", () => {
    const one = poll((m) =>
      m % 11 === 4 ? down : m % 13 === 4 ? vector(["a", "NaN"]) : vector(["a", 500 + m]),
    );
    expect(measure(GUARD, one, 15_000)).toMatchObject({ kind: "value", trend: { blocks: 18 } });
  });

  it("of several series takes the one that reaches the limit first, and none that has gone", () => {
    const worst = memory({ limit: 1_000, unit: "none", worst: "max" });
    const pods = poll((m) =>
      vector(
        ["big", 900],
        ["leaks", 200 + m],
        ["young", 2 * m],
        ...(m < 100 ? [["gone", 300 + 6 * m] as const] : []),
      ),
    );
    expect(measure(worst, pods, 15_000)).toMatchObject({ value: 349 });
    const single = poll((m) => (m < 100 ? vector(["old", 600 + 3 * m]) : vector(["new", 100])));
    expect(measure(GUARD, single, 15_000)).toMatchObject({ kind: "value", value: 100, trend: { blocks: 8 } });
  });

  it("of several series one that fires comes before one that is nearer and does not yet", () => {
    const worst = memory({ limit: 1_000, unit: "none", worst: "max" });
    const pods = poll((m) =>
      vector(["fires", 300 + 2 * m], ...(m < 120 ? [] : [["nearer", 700 + 3 * (m - 120)] as const])),
    );
    const measured = measure(worst, pods, 15_000);
    expect(measured).toMatchObject({ value: 649, trend: { fires: true, blocks: 18 } });
  });

  it("labels in another order are the same series", () => {
    const swap = (answer: Answer): Answer =>
      JSON.parse(JSON.stringify(answer).replace(/"pod":"a","job":"x"/, '"job":"x","pod":"a"'));
    const one = poll((m) => (m % 4 === 3 ? vector(["a", 500]) : swap(vector(["a", 500]))));
    expect(measure(GUARD, one, 15_000)).toMatchObject({ kind: "value", trend: { blocks: 18 } });
  });
});

describe("the span asked for", () => {
  it("is three hours in steps of a minute, the newest now", () => {
    expect(trendSpan(START, undefined)).toEqual({ from: START - 179 * MINUTE, to: START });
    expect(trendSpan(START, START - 5 * HOUR)).toEqual({ from: START - 179 * MINUTE, to: START });
  });

  it("begins after a flip's first hour, in whole steps", () => {
    expect(trendSpan(START, START - 30.5 * MINUTE)).toEqual({ from: START - 30 * MINUTE, to: START });
    expect(trendSpan(START, START)).toEqual({ from: START, to: START });
    expect(trendSpan(START, START + 1)).toBeUndefined();
  });

  it("in that hour says how long it lasts", () => {
    expect(warmingUp(7, 40.5 * MINUTE)).toEqual({
      kind: "no_evidence",
      at: 7,
      reason: "few_samples",
      detail: "warms up for 41 min more after the flip, then 1 h is needed",
    });
  });
});
