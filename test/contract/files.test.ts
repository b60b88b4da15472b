/** Loading flags/, schedules/ and runbooks/: the shipped folder, overlays, and the pace of a demo. */
import { readFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { demoPace } from "../../src/adapters/files/pace.ts";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import { BOUND_LIMIT_MS, worstBound } from "../../src/core/bound.ts";
import { flagsFileSchema } from "../../src/core/files/flags-file.ts";
import { overlaySchema } from "../../src/core/files/overlay-file.ts";
import { scheduleSchema } from "../../src/core/files/schedule-file.ts";
import { watchSchema } from "../../src/core/files/watch-file.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { loadFolder } from "../../src/house.ts";
import { FLAGS, folder, GOOD, KINDS, load, placeOf } from "../support/folder.ts";
import { startPrometheus } from "../support/prometheus.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

describe("the shipped folder", () => {
  it("loads without a word", async () => {
    const { plans, catalogues, problems } = await loadFolder(ROOT);
    expect(problems).toEqual([]);
    expect([...plans.keys()].sort()).toEqual([
      "bots",
      "bulk-import",
      "ingestion",
      "ingestion-percent",
      "uploads",
    ]);
    expect([...catalogues.keys()].sort()).toEqual([
      "bot-platform",
      "bulk-import",
      "ingestion",
      "ingestion-percent",
      "upload-service",
    ]);
  });

  it("has the timeline of the ingestion pipeline", async () => {
    const plan = (await loadFolder(ROOT)).plans.get("ingestion");
    expect(
      plan?.stages.map((stage) => [
        stage.name,
        stage.atMs / HOUR,
        stage.substages.flatMap((sub) => sub.set.map((one) => `${one.flag} ${one.setting.kind}`)),
      ]),
    ).toEqual([
      ["baseline", 0, ["parse-cache off", "batching off", "neo4j-batch off", "parallel off"]],
      ["parse-cache", 1, ["parse-cache on"]],
      ["batching", 3, ["batching on"]],
      ["neo4j-batch", 5, ["neo4j-batch on"]],
      ["parallel", 7, ["parallel on"]],
      ["review", 48, []],
    ]);
    expect(plan).toMatchObject({
      unwind: "gradual",
      onBlind: "hold",
      blindAfterMs: 5 * MINUTE,
      runbook: "emergency-rollback",
      channel: "#ingestion-ops",
      hasView: true,
    });
    expect(
      Object.values(plan?.flags ?? {}).map((flag) => [
        flag.name,
        flag.key,
        flag.undo,
        flag.pinned?.kind,
        flag.requires.length,
      ]),
    ).toEqual([
      ["parse-cache", "FEATURE_PARSE_CACHE", "restart", undefined, 0],
      ["batching", "FEATURE_BATCHING", "restart", undefined, 0],
      ["neo4j-batch", "FEATURE_NEO4J_BATCH", "restart", undefined, 0],
      ["parallel", "FEATURE_PARALLEL", "restart", undefined, 3],
      ["metrics", "FEATURE_METRICS", "restart", "on", 0],
    ]);
    expect(plan?.guards.map((guard) => [guard.name, guard.kind, guard.consequence])).toEqual([
      ["failures", "threshold", "rollback"],
      ["latency", "threshold", "rollback"],
      ["memory", "threshold", "rollback"],
      ["cache-hits", "expect", "hold"],
      ["alive", "alive", "rollback"],
    ]);
  });

  it("raises parallel by percent in staging", async () => {
    const plan = (await loadFolder(ROOT)).plans.get("ingestion-percent");
    const stage = plan?.stages.find((one) => one.name === "parallel-by-percent");
    expect(stage?.substages).toEqual(
      [5, 25, 50, 100].map((percent) => ({
        set: [{ flag: "parallel", setting: percent === 100 ? { kind: "on" } : { kind: "percent", percent } }],
        soakMs: 15 * MINUTE,
      })),
    );
  });

  it("takes the bots' features back on guards and on alerts", async () => {
    const plan = (await loadFolder(ROOT)).plans.get("bots");
    expect(
      plan?.stages.map((stage) => [
        stage.name,
        stage.atMs / MINUTE,
        stage.baseline,
        stage.substages.flatMap((sub) => sub.set.map((one) => `${one.flag} ${one.setting.kind}`)),
      ]),
    ).toEqual([
      ["baseline", 0, true, ["response-cache off", "streaming-replies off", "new-model off"]],
      ["response-cache", 30, false, ["response-cache on"]],
      ["streaming-replies", 120, false, ["streaming-replies on"]],
      ["new-model", 240, false, ["new-model on"]],
    ]);
    expect(plan).toMatchObject({
      service: "bots",
      environment: "production",
      source: "bot-platform",
      rollbackOn: [
        { labels: { severity: ["critical"] } },
        { labels: { alertname: ["HighErrorRate", "HighLatency"] } },
      ],
      outside: { alertmanager: { url: "http://127.0.0.1:9093", watchdog: "Watchdog" } },
    });
    expect(plan?.guards.map((guard) => [guard.name, guard.kind, guard.consequence])).toEqual([
      ["errors", "threshold", "rollback"],
      ["latency", "threshold", "rollback"],
      ["memory", "trend", "page"],
      ["alive", "alive", "rollback"],
    ]);
  });

  it("can be rolled back in time", async () => {
    for (const plan of (await loadFolder(ROOT)).plans.values())
      expect(worstBound(plan)?.totalMs).toBeLessThan(BOUND_LIMIT_MS);
  });

  it("asks only what Prometheus takes, as written and with the windows of a demo", async () => {
    const prometheus = await startPrometheus({ targets: [], scrapeMs: 1_000 });
    const metrics = createPrometheus({ url: prometheus.url, timeoutMs: 5_000 });
    const dir = await folder({ "overlay.yaml": "window: 5s\n" });
    for (const options of [{}, { overlay: join(dir, "overlay.yaml") }]) {
      for (const plan of (await loadFolder(ROOT, options)).plans.values()) {
        for (const guard of plan.guards) {
          const others = guard.kind === "alive" ? [guard.others] : [];
          for (const query of [guard.query, guard.freshness, ...others])
            expect(await metrics.query(query, Date.now())).toMatchObject({ kind: "body" });
        }
      }
    }
    metrics.close();
    await prometheus.stop();
  });
});

describe("an overlay", () => {
  const OVERLAY = `environment: staging
provider: { kind: file, path: /tmp/flags.json }
view: { http: http://127.0.0.1:9/x, pointer: /y }
prometheus: { url: http://127.0.0.1:9999, scrape_interval: 1s }
interval: 1s
window: 5s
`;
  const GUARDS = FLAGS.replace(
    "max: 2% }",
    "max: 2%, interval: 30s, total: 'sum(rate(all_total[10m]))', min_total: 1 }\n  lives: { kind: alive, interval: 20s }\n  used: { kind: expect, query: 'rate(x[3m])', min: 1, within: 30m }",
  );

  it("replaces what it names, in every flags file", async () => {
    const dir = await folder({ ...GOOD, "flags/main.yaml": GUARDS, "overlay.yaml": OVERLAY });
    const { plans, problems } = await loadFolder(dir, { overlay: join(dir, "overlay.yaml") });
    expect(problems).toEqual([]);
    const plan = plans.get("demo");
    expect(plan).toMatchObject({
      environment: "staging",
      scrapeMs: SECOND,
      outside: {
        provider: { kind: "file", path: "/tmp/flags.json" },
        view: { http: "http://127.0.0.1:9/x", pointer: "/y" },
        prometheus: { url: "http://127.0.0.1:9999", scrape_interval: SECOND },
      },
    });
    expect(plan?.guards.map((guard) => [guard.name, guard.intervalMs, guard.windowMs])).toEqual([
      ["errors", SECOND, 5 * SECOND],
      ["lives", SECOND, 0],
      ["used", SECOND, 5 * SECOND],
    ]);
    const [errors] = plan?.guards ?? [];
    expect(errors).toMatchObject({
      query: "sum(rate(bad_total[5s])) / sum(rate(all_total[5s]))",
      total: { query: "sum(rate(all_total[5s]))", min: 1 },
    });
  });

  it("leaves what it does not name", async () => {
    const dir = await folder({ ...GOOD, "flags/main.yaml": GUARDS, "overlay.yaml": "interval: 2s\n" });
    const plan = (await loadFolder(dir, { overlay: join(dir, "overlay.yaml") })).plans.get("demo");
    expect(plan).toMatchObject({ environment: "production", outside: { provider: { kind: "env-file" } } });
    expect(plan?.guards.map((guard) => [guard.intervalMs, guard.windowMs])).toEqual([
      [2 * SECOND, MINUTE],
      [2 * SECOND, 0],
      [2 * SECOND, 3 * MINUTE],
    ]);
  });

  it("does not move the place of a fault in a query", async () => {
    const text = FLAGS.replace("sum(rate(all_total[1m]))", "sum(rate(all_total[1h30m]) == 1)");
    const dir = await folder({ ...GOOD, "flags/main.yaml": text, "overlay.yaml": OVERLAY });
    const { problems } = await loadFolder(dir, { overlay: join(dir, "overlay.yaml") });
    expect(problems.map(formatProblem)).toEqual([
      expect.stringContaining(placeOf("flags/main.yaml", text, "== 1")),
    ]);
  });

  it.each([
    [
      "has a mistake",
      "provider: { kind: fiel }\n",
      new RegExp(`overlay\\.yaml:1:19: error: expected provider kind ${KINDS}, found "fiel"$`),
    ],
    ["is no YAML", "provider: {", /overlay\.yaml:\d+:\d+: error: this is not YAML/],
    ["is not there", undefined, /overlay\.yaml:1:1: error: there is no such file$/],
  ])("that %s loads nothing, since it might have kept production out", async (_, text, says) => {
    const dir = await folder({ ...GOOD, ...(text === undefined ? {} : { "overlay.yaml": text }) });
    const { plans, catalogues, problems } = await loadFolder(dir, { overlay: join(dir, "overlay.yaml") });
    expect([plans.size, catalogues.size]).toEqual([0, 0]);
    expect(problems.map(formatProblem)).toEqual([expect.stringMatching(says)]);
  });
});

describe("other ways to load", () => {
  it("a demo's pace takes seconds for hours, and ten for a longer stretch", async () => {
    const pace = demoPace(4);
    expect([0, HOUR, 6 * HOUR, 6 * HOUR + 1, 41 * HOUR].map(pace)).toEqual([
      0,
      4 * SECOND,
      24 * SECOND,
      10 * SECOND,
      10 * SECOND,
    ]);
    const plan = (await loadFolder(ROOT, { pace })).plans.get("ingestion");
    expect(plan?.stages.map((stage) => stage.atMs / SECOND)).toEqual([0, 4, 12, 20, 28, 38]);
  });

  it("an interval is for guards that name none", async () => {
    const { plans } = await load(
      { ...GOOD, "flags/main.yaml": FLAGS.replace("max: 2%", "max: 2%, interval: 30s") },
      { intervalMs: 2_000 },
    );
    expect(plans.get("demo")?.guards.map((guard) => guard.intervalMs)).toEqual([30_000, 2_000]);
  });

  it("a file that may not be read is said", async () => {
    const dir = await folder({ ...GOOD, "flags/locked.yaml": FLAGS });
    await chmod(join(dir, "flags/locked.yaml"), 0);
    const { plans, problems } = await loadFolder(dir);
    // The super-user may read it all the same.
    const expected =
      process.getuid?.() === 0 ? [] : ["flags/locked.yaml:1:1: error: the file cannot be read (EACCES)"];
    expect(problems.map(formatProblem)).toEqual(expected);
    expect(plans.size).toBe(1);
  });
});

describe("docs/files.md", () => {
  const text = readFileSync(join(ROOT, "docs/files.md"), "utf8");
  const words = new Set([...text.matchAll(/`([^`]+)`/g)].flatMap(([, code = ""]) => code.split(/[^a-z_]+/)));

  it.each([
    ["flags", flagsFileSchema],
    ["rollouts", scheduleSchema],
    ["watches", watchSchema],
    ["overlays", overlaySchema],
  ])("speaks of every key of %s", (_, schema) => {
    const keys = keysOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
    expect(keys.size).toBeGreaterThan(10);
    expect([...keys].filter((key) => !words.has(key))).toEqual([]);
  });

  it("has an overlay that fits the shipped watch", async () => {
    const example = /```yaml\n(watches:[\s\S]*?)```/.exec(text)?.[1] ?? "";
    const dir = await folder({ "overlay.yaml": example });
    const { watches, problems } = await loadFolder(ROOT, { overlay: join(dir, "overlay.yaml") });
    expect(problems).toEqual([]);
    expect(watches.get("bot-platform")?.probes.map((probe) => probe.name)).not.toContain("replication");
  });
});

/** The names of all properties that a JSON schema knows. */
function keysOf(schema: unknown): ReadonlySet<string> {
  if (typeof schema !== "object" || schema === null) return new Set();
  const below = Object.entries(schema).flatMap(([key, value]) =>
    key === "properties" && typeof value === "object" && value !== null
      ? [...Object.keys(value), ...Object.values(value).flatMap((one) => [...keysOf(one)])]
      : [...keysOf(value)],
  );
  return new Set(below);
}
