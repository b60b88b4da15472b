/** The shipped rollout of the bulk import: its values, windows, progress and the criteria of its guards; and mistakes in such files. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import { boundOf } from "../../src/core/bound.ts";
import type { Plan } from "../../src/core/plan.ts";
import { planLines } from "../../src/core/report/lines.ts";
import { HOUR, SECOND } from "../../src/core/time.ts";
import { loadFolder } from "../../src/house.ts";
import { folder } from "../support/folder.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

async function shipped(): Promise<Plan> {
  const loaded = await loadFolder(ROOT);
  expect(loaded.problems).toEqual([]);
  const plan = loaded.plans.get("bulk-import");
  if (plan === undefined) throw new Error("there is no rollout bulk-import");
  return plan;
}

describe("the shipped rollout of the bulk import", () => {
  it("raises the limit value by value, the large ones in the nights of the weekend", async () => {
    const plan = await shipped();
    const [first, second] = planLines(plan).slice(1, 6);
    expect(first).toBe("Hour 0   limit-10: batch-limit 10, soak 30 min");
    expect(second).toBe("+30 min  limit-100: batch-limit 100, soak 30 min");
    expect(planLines(plan).slice(3, 6)).toEqual([
      "Hour 1   limit-1000: batch-limit 1,000, soak 2 h, only Sat,Sun 22:00-05:00 Europe/Helsinki",
      "Hour 3   limit-10000: batch-limit 10,000, soak 2 h, only Sat,Sun 22:00-05:00 Europe/Helsinki",
      "Hour 5   limit-500000: batch-limit 500,000, soak 2 h, only Sat,Sun 22:00-05:00 Europe/Helsinki",
    ]);
    expect(plan.stages.map(({ baseline }) => baseline)).toEqual([true, false, false, false, false]);
    expect(plan.flags["batch-limit"]).toMatchObject({
      key: "IMPORT_BATCH_LIMIT",
      off: "10",
      on: "500000",
      safe: { kind: "off" },
    });
    expect(plan.progress).toMatchObject({ unit: "records", of: 500_000 });
    expect([plan.unwind, plan.runbook]).toEqual(["gradual", "import-rollback"]);
    // What has a window fits into one: from 22:00 to 05:00.
    const windowed = plan.stages.filter(({ window }) => window !== undefined);
    const soaks = windowed.flatMap(({ substages }) => substages.map(({ soakMs }) => soakMs));
    expect(soaks.slice(0, -1).reduce((sum, ms) => sum + ms, 0)).toBeLessThan(7 * HOUR);
  });

  it("guards the criteria of the matrix, each with its consequence", async () => {
    const plan = await shipped();
    const rows = plan.guards.map((guard) => [
      guard.name,
      guard.kind === "threshold" ? (guard.max ?? guard.min) : undefined,
      guard.consequence,
      guard.stages,
    ]);
    expect(rows).toEqual([
      ["query-time", 0.1, "rollback", undefined],
      ["critical-errors", 0.01, "rollback", undefined],
      ["import-rate", 100, "hold", ["limit-1000", "limit-10000"]],
      ["integrity", 0, "emergency", undefined],
      ["alive", undefined, "rollback", undefined],
    ]);
    for (const guard of plan.guards) expect(boundOf(plan, guard).totalMs).toBeLessThanOrEqual(120 * SECOND);
  });
});

describe("its queries", () => {
  let prometheus: RunningPrometheus;
  beforeAll(async () => {
    prometheus = await startPrometheus({ targets: [], scrapeMs: 1_000 });
  });
  afterAll(() => prometheus.stop());

  it("are what Prometheus takes", async () => {
    const plan = await shipped();
    const metrics = createPrometheus({ url: prometheus.url, timeoutMs: 5_000 });
    const queries = [
      ...plan.guards.flatMap(({ query, freshness }) => [query, freshness]),
      plan.progress?.query ?? "",
    ];
    expect(queries).toHaveLength(11);
    for (const query of queries)
      expect(await metrics.query(query, Date.now()), query).toMatchObject({
        kind: "body",
        body: { status: "success" },
      });
    metrics.close();
  });
});

const FLAGS = `service: svc
environment: test
provider: { kind: file }
view: { http: http://127.0.0.1:8000/features, pointer: /flags }
prometheus: { url: http://127.0.0.1:9090, scrape_interval: 15s }
flags:
  limit: { key: LIMIT, off: "10", on: "500000", safe: off }
`;

/** What the folder's check says of a schedule with these stages and settings. */
async function problems(stages: readonly string[], more = ""): Promise<readonly string[]> {
  const schedule = `rollout: r\n${more}stages:\n${stages.map((line) => `  - ${line}\n`).join("")}`;
  const dir = await folder({ "flags/r.yaml": FLAGS, "schedules/r.yaml": schedule });
  const { problems: found } = await loadFolder(dir);
  return found.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
}

describe("mistakes in a rollout of values", () => {
  it.each<[string, string, string]>([
    [
      "a value with a thousands separator",
      '{ at: 0h, name: a, set: { limit: "1,000" }, soak: 1h }',
      'schedules/r.yaml:3:38 limit is a number (10 to 500000): expected one such as 1000, found "1,000"',
    ],
    [
      "a word for a number",
      "{ at: 0h, name: a, enable: { limit: [100, many] }, every: 1h }",
      'schedules/r.yaml:3:47 limit is a number (10 to 500000): expected one such as 1000, found "many"',
    ],
    [
      "numbers that do not rise as numbers, though they do as texts",
      "{ at: 0h, name: a, enable: { limit: [1000, 900] }, every: 1h }",
      'schedules/r.yaml:3:48 limit: expected numbers that rise, found "900" after "1000"',
    ],
    [
      "the same number twice",
      "{ at: 0h, name: a, enable: { limit: [100, 100] }, every: 1h }",
      'schedules/r.yaml:3:47 limit: expected numbers that rise, found "100" after "100"',
    ],
    [
      "hours that make no sense",
      '{ at: 0h, name: a, set: { limit: 100 }, soak: 1h, window: { only: "at night", zone: UTC } }',
      'schedules/r.yaml:3:71 expected hours such as "Mon-Thu 09:00-16:00" or "Sat,Sun 22:00-02:00", found "at night"',
    ],
    [
      "a zone that does not exist",
      '{ at: 0h, name: a, set: { limit: 100 }, soak: 1h, window: { only: "Sat 22:00-02:00", zone: Mars } }',
      'schedules/r.yaml:3:96 expected a time zone such as Europe/Berlin, found "Mars"',
    ],
  ])("%s", async (_name, stage, expected) => {
    expect(await problems([stage])).toEqual([expected]);
  });

  it("values in a list rise as numbers, not as texts; with a word among them they are no numbers", async () => {
    expect(
      await problems(["{ at: 0h, name: a, enable: { limit: [100, 1000, 20000, 500000] }, every: 1h }"]),
    ).toEqual([]);
  });

  it("a window that has no hour in common with the rollout's own", async () => {
    const stage =
      '{ at: 0h, name: a, set: { limit: 100 }, soak: 1h, window: { only: "Sat 22:00-02:00", zone: UTC } }';
    const forward = (only: string): string => `forward: { only: "${only}", zone: UTC }\n`;
    expect(await problems([stage], forward("Mon-Fri 09:00-16:00"))).toEqual([
      "schedules/r.yaml:4:71 stage a could never begin: Sat 22:00-02:00 UTC and the rollout's own hours, Mon-Fri 09:00-16:00 UTC, have none in common",
    ]);
    expect(await problems([stage], forward("Sun 00:00-06:00"))).toEqual([]);
  });

  it("a review with a window", async () => {
    expect(
      await problems([
        "{ at: 0h, name: a, set: { limit: 100 } }",
        '{ at: 1h, name: b, review: manual, window: { only: "Sat 22:00-02:00", zone: UTC } }',
      ]),
    ).toEqual([
      expect.stringContaining("a review changes nothing: it takes no soak, every, approval or window"),
    ]);
  });

  it("a progress that is no PromQL, or counts in no words", async () => {
    const stage = "{ at: 0h, name: a, set: { limit: 100 }, soak: 1h }";
    const [query] = await problems([stage], 'progress: { query: "sum(records", unit: records }\n');
    expect(query).toMatch(/^schedules\/r\.yaml:2:\d+ /);
    expect(await problems([stage], "progress: { query: records, unit: 5% }\n")).toEqual([
      'schedules/r.yaml:2:35 expected what is counted, such as records, found "5%"',
    ]);
  });

  it("steps at night need no warning where each late stage has its hours", async () => {
    const window = 'window: { only: "Sat 22:00-02:00", zone: UTC }';
    const late = (more: string): readonly string[] => [
      "{ at: 0h, name: a, set: { limit: 100 } }",
      `{ at: 12h, name: b, set: { limit: 1000 }, soak: 1h${more} }`,
    ];
    expect(await problems(late(`, ${window}`))).toEqual([]);
    expect(await problems(late(""))).toEqual([expect.stringContaining("may step forward at night")]);
  });
});
