/** Trends of a real Prometheus that holds three hours of memory: a leak, a level that stands, a restart, several replicas, one that is gone. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { inspect } from "../../src/adapters/files/promql.ts";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import { guardFrom } from "../../src/core/files/guard-entry.ts";
import type { TrendGuard } from "../../src/core/plan.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { askTrend } from "../../src/engine/measure.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";

const SCRAPE_MS = 15 * SECOND;
const MIB = 1024 ** 2;
/** What the samples are as old as; they are asked for at this instant, however long the test takes to begin. */
const NOW = Date.now();

/** MiB so many minutes ago; undefined where there is no sample. */
type Level = (minutesAgo: number) => number | undefined;

/** A wave of garbage collections, three minutes long. */
const wave = (minutesAgo: number): number => 10 * (minutesAgo % 3);

const SERIES: Readonly<Record<string, Level>> = {
  'memory_bytes{job="leaks"}': (ago) => 900 - ago + wave(ago),
  'memory_bytes{job="stands"}': (ago) => 900 + wave(ago),
  'memory_bytes{job="restarted"}': (ago) => (ago > 95 ? 1_000 : 300 - ago + wave(ago)),
  'memory_bytes{job="young"}': (ago) => (ago < 30 ? 100 : undefined),
  'memory_bytes{job="gone"}': (ago) => (ago > 2 ? 900 : undefined),
  'memory_bytes{job="pair",replica="1"}': () => 990,
  'memory_bytes{job="pair",replica="2"}': (ago) => 900 - 2 * ago,
};

/** The samples as OpenMetrics, each series by itself and in the order of time. */
function history(): string {
  const lines = ["# TYPE memory_bytes gauge"];
  for (const [name, level] of Object.entries(SERIES)) {
    for (let wall = NOW - 4 * HOUR; wall <= NOW; wall += SCRAPE_MS) {
      const value = level((NOW - wall) / MINUTE);
      if (value !== undefined) lines.push(`${name} ${Math.round(value * MIB)} ${wall / 1_000}`);
    }
  }
  return [...lines, "# EOF", ""].join("\n");
}

let dir: string;
let prometheus: RunningPrometheus;
let metrics: Metrics & { close(): void };

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "belay-trend-"));
  await writeFile(join(dir, "history.txt"), history());
  // It comes with Prometheus and stands beside it.
  const promtool = join(dirname(findProgram("prometheus") ?? ""), "promtool");
  const blocks = ["tsdb", "create-blocks-from", "openmetrics", join(dir, "history.txt"), join(dir, "tsdb")];
  const { status, stderr } = spawnSync(promtool, blocks, { encoding: "utf8" });
  if (status !== 0) throw new Error(`promtool made no blocks: ${stderr}`);
  prometheus = await startPrometheus({ targets: [], scrapeMs: SCRAPE_MS, dir });
  metrics = createPrometheus({ url: prometheus.url, timeoutMs: 5_000 });
});

afterAll(async () => {
  metrics?.close();
  await prometheus?.stop();
  await rm(dir, { recursive: true, force: true });
});

function trend(job: string, change: { readonly worst?: "max" } = {}): TrendGuard {
  const { guard, mistakes } = guardFrom(
    "memory",
    {
      kind: "trend",
      query: `memory_bytes{job="${job}"}`,
      limit: { value: 1_024 * MIB, unit: "bytes" },
      horizon: 4 * HOUR,
      ...change,
    },
    { service: "bots", defaultIntervalMs: 10 * SECOND, inspect },
  );
  expect(mistakes).toEqual([]);
  if (guard?.kind !== "trend") throw new Error("no trend");
  return guard;
}

function ask(guard: TrendGuard): Promise<unknown> {
  return askTrend(metrics, guard, { steady: 1, wall: NOW }, SCRAPE_MS);
}

describe("the memory of", () => {
  it.each<[string, object]>([
    [
      "leaks",
      { asks: true, words: expect.stringMatching(/^\+(59|60)(\.\d)? MiB\/h, limit in [12](\.\d)? h$/) },
    ],
    ["stands", { asks: false, words: "flat (0 B/h)" }],
    ["restarted", { asks: false, words: expect.stringMatching(/^\+(59|60)(\.\d)? MiB\/h, limit in 12 h$/) }],
    ["young", { unknown: "3 blocks of 10 min; a trend needs 6" }],
    ["gone", { unknown: expect.stringMatching(/^the newest sample is \d+ s old; at most 30 s is fresh$/) }],
    ["nobody", { unknown: "no fresh sample: the series is gone or its target is down" }],
    ["pair", { unknown: "the query returns 2 series and the guard declares no `worst`" }],
  ])("%s", async (job, expected) => {
    expect(await ask(trend(job))).toEqual(expected);
  });

  it("a pair, where the one that rises counts, not the one that is larger", async () => {
    expect(await ask(trend("pair", { worst: "max" }))).toEqual({
      asks: true,
      words: expect.stringMatching(/^\+120 MiB\/h, limit in 1(\.\d)? h$/),
    });
  });
});

describe("a Prometheus that is away", () => {
  it("says so, and nobody knows", async () => {
    const away = createPrometheus({ url: "http://127.0.0.1:9", timeoutMs: 1_000 });
    const answer = await askTrend(away, trend("leaks"), { steady: 1, wall: NOW }, SCRAPE_MS);
    expect(answer).toEqual({ unknown: expect.stringContaining("Prometheus") });
    away.close();
  });
});
