/** The Metrics port on a real Prometheus that scrapes a real exporter: values, and every way in which there is none. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { inspect, literal } from "../../src/adapters/files/promql.ts";
import { createPrometheus, freshOnly } from "../../src/adapters/prometheus.ts";
import { measure } from "../../src/core/analysis.ts";
import { defaultAlive, type GuardContext, guardFrom } from "../../src/core/files/guard-entry.ts";
import { type Answer, type Measurement, numbersOf } from "../../src/core/measurement.ts";
import type { Guard } from "../../src/core/plan.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { type Exporter, startExporter } from "../support/exporter.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";

const SCRAPE_MS = 1_000;
const TIMEOUT_MS = 2_000;
const POLLING = { timeout: 15_000, interval: 100 };

let service: Exporter;
let other: Exporter;
let prometheus: RunningPrometheus;
let metrics: Metrics & { close(): void };

/** The last sample of a process that ended without a word; Unix ms. */
const GONE_AT = Date.now() - 10_000;

/** Counters that rise with every scrape; 1 of 50 files fails; nobody asks for `idle`. */
function serviceText(scrape: number): string {
  return [
    `files_total{worker="a"} ${scrape * 100}`,
    `files_total{worker="b"} ${scrape * 300}`,
    `failures_total ${scrape * 8}`,
    "idle_requests_total 7",
    "idle_failures_total 0",
    'memory_bytes{worker="a"} 1000',
    'memory_bytes{worker="b"} 2000',
    `gone_info{version="1"} 1 ${GONE_AT}`,
    "",
  ].join("\n");
}

beforeAll(async () => {
  service = await startExporter(serviceText);
  other = await startExporter(() => "one 1\n");
  prometheus = await startPrometheus({
    targets: [
      { job: "ingestion", addresses: [service.address] },
      { job: "other", addresses: [other.address] },
    ],
    scrapeMs: SCRAPE_MS,
  });
  metrics = createPrometheus({ url: prometheus.url, timeoutMs: TIMEOUT_MS });
});

afterAll(async () => {
  metrics.close();
  await prometheus.stop();
  await Promise.allSettled([service.close(), other.close()]);
});

const CONTEXT: GuardContext = { service: "ingestion", defaultIntervalMs: 1_000, inspect };

function threshold(
  query: string,
  change: { readonly worst?: "max" | "min"; readonly min_total?: number; readonly min_samples?: number } = {},
): Guard {
  const { guard, mistakes } = guardFrom(
    "guard",
    { kind: "threshold", query, max: { value: 1, unit: "none" }, ...change },
    CONTEXT,
  );
  expect(mistakes).toEqual([]);
  if (guard === undefined) throw new Error("no guard");
  return guard;
}

/** One poll of a guard now, as the engine does it. */
async function measured(guard: Guard): Promise<Measurement> {
  const evaluatedAt = Date.now();
  const ask = (query: string | undefined) =>
    query === undefined ? undefined : metrics.query(query, evaluatedAt);
  const extra =
    guard.kind === "alive"
      ? { total: guard.others }
      : guard.kind === "threshold"
        ? { samples: guard.samples?.query, total: guard.total?.query }
        : {};
  const [main, freshness, samples, total] = await Promise.all([
    metrics.query(guard.query, evaluatedAt),
    metrics.query(guard.freshness, evaluatedAt),
    ask("samples" in extra ? extra.samples : undefined),
    ask(extra.total),
  ]);
  return measure(guard, { at: 0, evaluatedAt, main, freshness, samples, total }, SCRAPE_MS);
}

const failures = (): Guard => threshold("sum(rate(failures_total[5s])) / sum(rate(files_total[5s]))");

describe("a healthy service", () => {
  it("yields a fresh value", async () => {
    await expect
      .poll(() => measured(failures()), POLLING)
      .toMatchObject({ kind: "value", value: expect.closeTo(0.02, 4) });
  });

  it("is alive, and so is another target", async () => {
    expect(await measured(defaultAlive(CONTEXT))).toMatchObject({ kind: "value", value: 1 });
  });

  it.each<readonly [string, Guard, Partial<Measurement>]>([
    [
      "no traffic is NaN",
      threshold("sum(rate(idle_failures_total[5s])) / sum(rate(idle_requests_total[5s]))"),
      { kind: "no_evidence", reason: "nan" },
    ],
    [
      "no traffic is named where a minimum is asked for",
      threshold("sum(rate(idle_failures_total[5s])) / sum(rate(idle_requests_total[5s]))", { min_total: 1 }),
      { kind: "no_evidence", reason: "zero_traffic" },
    ],
    [
      "too little traffic",
      threshold("sum(rate(failures_total[5s])) / sum(rate(files_total[5s]))", { min_total: 1e6 }),
      { kind: "no_evidence", reason: "low_total" },
    ],
    [
      "too few samples",
      threshold("max(memory_bytes)", { min_samples: 1_000 }),
      { kind: "no_evidence", reason: "few_samples" },
    ],
    [
      "a series that does not exist",
      threshold("max(no_such_metric)"),
      { kind: "no_evidence", reason: "stale" },
    ],
    [
      "one of two series that does not exist",
      threshold("max(memory_bytes) + max(no_such_metric)"),
      { kind: "no_evidence", reason: "stale" },
    ],
    [
      "division by nothing",
      threshold("sum(rate(files_total[5s])) / sum(rate(idle_failures_total[5s]))"),
      { kind: "no_evidence", reason: "infinite" },
    ],
    ["several series", threshold("memory_bytes"), { kind: "no_evidence", reason: "many_series" }],
    [
      "several series, the largest",
      threshold("memory_bytes", { worst: "max" }),
      { kind: "value", value: 2_000 },
    ],
    [
      "several series, the smallest",
      threshold("memory_bytes", { worst: "min" }),
      { kind: "value", value: 1_000 },
    ],
  ])("%s", async (_, guard, expected) => {
    await expect.poll(() => measured(guard), POLLING).toMatchObject(expected);
  });

  it("says what Prometheus says of a query it refuses", async () => {
    expect(await metrics.query("sum(", Date.now())).toMatchObject({
      kind: "down",
      reason: "http_status",
      detail: expect.stringMatching(/^Prometheus answers 400: .*parse error/),
    });
  });
});

describe("a process that is gone", () => {
  it.each([
    ["a", "(a and timestamp(a) >= time() - 5.000)"],
    ['min(a{x="1"})', 'min((a{x="1"} and timestamp(a{x="1"}) >= time() - 5.000))'],
    [
      "a / on (x) b",
      "(a and timestamp(a) >= time() - 5.000) / on (x) (b and timestamp(b) >= time() - 5.000)",
    ],
    ["rate(a[5m])", "rate(a[5m])"],
    ["a offset 1h", "a offset 1h"],
    ["max_over_time(a[5m:1m])", "max_over_time(a[5m:1m])"],
    ["timestamp(a)", "timestamp(a)"],
    ['{job="a"}', '{job="a"}'],
    ["sum(", "sum("],
  ])("is left out of %s by its own words", (query, fresh) => {
    expect(freshOnly(query, 5_000)).toBe(fresh);
  });

  it("is shown for as long as Prometheus looks back, and no longer than it is asked to", async () => {
    const seen = async (query: string, lookbackMs?: number): Promise<number> =>
      seriesIn(await metrics.query(query, Date.now(), lookbackMs));
    await vi.waitFor(async () => expect(await seen("gone_info")).toBe(1), POLLING);
    await vi.waitFor(async () => expect(await seen("memory_bytes", 5_000)).toBe(2), POLLING);
    for (const query of [
      "gone_info",
      'gone_info{version!=""}',
      "count by (version) (gone_info)",
      "-(gone_info)",
    ]) {
      expect(await seen(query, 5_000)).toBe(0);
      const now = Date.now();
      const range = await metrics.queryRange(query, now - 4_000, now, 1_000, 3_000);
      if (range.kind !== "points") throw new Error(range.detail);
      expect(range.points.map(({ answer }) => seriesIn(answer))).toEqual([0, 0, 0, 0, 0]);
    }
  });
});

describe("a range", () => {
  beforeAll(async () => {
    // The steps end a little before now, and the last of them must have a rate already.
    const rate = () => metrics.query("sum(rate(files_total[5s]))", Date.now() - 4_000);
    await vi.waitFor(async () => expect(seriesIn(await rate())).toBe(1), POLLING);
  });

  it.each([
    ["sum(rate(failures_total[5s])) / sum(rate(files_total[5s]))", 1],
    ["max(memory_bytes)", 1],
    ["sum by (worker) (rate(files_total[5s]))", 2],
    ["min(timestamp(files_total))", 1],
    ["no_such_metric", 0],
  ])("of %s has at each step what an instant query answers", async (query, series) => {
    // Some steps lie before the first scrape, so that empty answers are among them; the last is old enough to be complete.
    const toWall = Date.now() - 1_500;
    const fromWall = toWall - 60_000;
    const range = await metrics.queryRange(query, fromWall, toWall, 2_500);
    if (range.kind !== "points") throw new Error(range.detail);
    expect(range.points.map((point) => point.wall)).toEqual(
      Array.from({ length: 25 }, (_, i) => fromWall + i * 2_500),
    );
    const lengths = range.points.map(({ answer }) => seriesIn(answer));
    expect(new Set(lengths)).toEqual(new Set([0, series]));
    for (const point of range.points)
      expect(sorted(point.answer)).toEqual(sorted(await metrics.query(query, point.wall)));
  });

  it("of a scalar has the numbers that an instant query answers", async () => {
    const toWall = Date.now() - 1_500;
    const range = await metrics.queryRange("scalar(failures_total)", toWall - 10_000, toWall, 2_500);
    if (range.kind !== "points") throw new Error(range.detail);
    expect(range.points).toHaveLength(5);
    for (const { wall, answer } of range.points) {
      expect(numbersOf(answer)).toEqual(numbersOf(await metrics.query("scalar(failures_total)", wall)));
    }
  });

  it("of more steps than Prometheus allows in one request is whole", async () => {
    const toWall = Date.now();
    const range = await metrics.queryRange("vector(1)", toWall - 25_000_000, toWall, 1_000);
    expect(range.kind === "points" && range.points.length).toBe(25_001);
    expect(
      range.kind === "points" && range.points.every((point) => JSON.stringify(point.answer).includes('"1"')),
    ).toBe(true);
  });
});

describe("label values from outside", () => {
  it.each([
    '"} or vector(0) #',
    "a\\b",
    "line\nbreak",
    "tab\t nul\u0000 del\u007F",
    "\uFFFD",
    "Zürich 😀",
    "'`$",
    "$1",
    "",
  ])("%j arrive as they are", async (text) => {
    const dollars = literal(text.replaceAll("$", "$$$$"));
    const answer = await metrics.query(`label_replace(vector(1), "x", ${dollars}, "", "")`, Date.now());
    expect(answer).toMatchObject({
      kind: "body",
      body: { data: { result: [{ metric: text === "" ? {} : { x: text } }] } },
    });
  });
});

describe("when things stop", () => {
  it("a stopped target is stale although its rate is still a number, and alive says that it is down", async () => {
    await service.close();
    const rate = threshold("sum(rate(files_total[30s]))");
    await expect.poll(() => measured(rate), POLLING).toMatchObject({ kind: "no_evidence", reason: "stale" });
    expect(await metrics.query(rate.query, Date.now())).toMatchObject({
      kind: "body",
      body: { data: { result: [{ value: [expect.any(Number), expect.stringMatching(/^\d/)] }] } },
    });
    expect(await measured(defaultAlive(CONTEXT))).toMatchObject({ kind: "value", value: 0 });
  });

  it("when every target is down, nothing is said of ours", async () => {
    await other.close();
    await expect
      .poll(() => measured(defaultAlive(CONTEXT)), POLLING)
      .toMatchObject({ kind: "no_evidence", reason: "no_other_target" });
  });

  it("a target that comes back is measured again", async () => {
    const port = Number(service.address.split(":")[1]);
    service = await startExporter(serviceText, port);
    await expect.poll(() => measured(failures()), POLLING).toMatchObject({ kind: "value" });
  });

  it("a Prometheus that hangs is down in time, and answers again when it wakes", async () => {
    await prometheus.freeze();
    const began = performance.now();
    expect(await measured(failures())).toMatchObject({ kind: "provider_down", reason: "timeout" });
    expect(performance.now() - began).toBeLessThan(TIMEOUT_MS + 1_000);
    prometheus.resume();
    await expect.poll(() => measured(failures()), POLLING).toMatchObject({ kind: "value" });
  });

  it("a Prometheus that is gone is refused at once", async () => {
    await prometheus.kill();
    const began = performance.now();
    expect(await measured(failures())).toMatchObject({ kind: "provider_down", reason: "refused" });
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(await metrics.queryRange("up", Date.now() - 1_000, Date.now(), 1_000)).toMatchObject({
      kind: "down",
      reason: "refused",
    });
  });
});

function seriesIn(answer: Answer): number {
  const numbers = numbersOf(answer);
  return numbers.kind === "numbers" ? numbers.values.length : Number.NaN;
}

/** Prometheus gives the series of a vector in no certain order. */
function sorted(answer: unknown): string {
  return JSON.stringify(answer, (_, value: unknown) =>
    Array.isArray(value)
      ? [...value].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
      : value,
  );
}
