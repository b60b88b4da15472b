/** From data as people write it to catalogue and plan: defaults, companions, soaks, bounds; and each mistake with its path. */
import { describe, expect, it } from "vitest";
import { inspect } from "../../src/adapters/files/promql.ts";
import { boundOf, worstBound } from "../../src/core/bound.ts";
import { type Catalogue, catalogueFrom, settingFrom } from "../../src/core/files/catalogue.ts";
import { compile } from "../../src/core/files/compile.ts";
import { flagsFileSchema } from "../../src/core/files/flags-file.ts";
import { freshnessOf } from "../../src/core/files/guard-entry.ts";
import { fromZod, type Mistake } from "../../src/core/files/mistake.ts";
import { scheduleSchema } from "../../src/core/files/schedule-file.ts";
import type { Pace } from "../../src/core/files/stages.ts";
import { leastSoakMs, type Plan } from "../../src/core/plan.ts";
import { formatSetting, OFF, ON } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { checkProvider } from "../../src/providers.ts";

type Data = Readonly<Record<string, unknown>>;

const FLAGS: Data = {
  service: "ingestion",
  environment: "production",
  provider: { kind: "file" },
  view: { http: "http://127.0.0.1:8000/features", pointer: "/flags" },
  prometheus: { url: "http://127.0.0.1:9090", scrape_interval: "15s" },
  flags: {
    cache: { key: "CACHE", safe: "off" },
    batch: { key: "BATCH", safe: "off", requires: ["cache"] },
    metrics: { key: "METRICS", pinned: "on" },
  },
  guards: {
    failures: {
      kind: "threshold",
      query: "sum(rate(bad_total[1m])) / sum(rate(all_total[1m]))",
      max: "2%",
      breach: "2 of 3",
    },
  },
};

const SCHEDULE: Data = {
  rollout: "demo",
  stages: [
    { at: "0h", name: "baseline", set: { all: "off" } },
    { at: "1h", name: "cache", enable: "cache" },
    { at: "3h", name: "batch", enable: "batch", soak: "1h" },
  ],
};

function lines(mistakes: readonly Mistake[]): readonly string[] {
  return mistakes.map(
    (one) => `${one.level === "warning" ? "warning " : ""}${one.path.join(".")}: ${one.message}`,
  );
}

function catalogue(data: Data): { readonly catalogue?: Catalogue; readonly lines: readonly string[] } {
  const parsed = flagsFileSchema.safeParse(data);
  if (!parsed.success) return { lines: lines(fromZod(parsed.error, data)) };
  const made = catalogueFrom("main", parsed.data, { inspect, provider: checkProvider });
  return { catalogue: made.catalogue, lines: lines(made.mistakes) };
}

function planned(
  schedule: Data,
  flags: Data = FLAGS,
  pace?: Pace,
): { readonly plan?: Plan; readonly lines: readonly string[] } {
  const made = catalogue(flags);
  if (made.catalogue === undefined) return { lines: made.lines };
  const parsed = scheduleSchema.safeParse(schedule);
  if (!parsed.success) return { lines: [...made.lines, ...lines(fromZod(parsed.error, schedule))] };
  const compiled = compile(parsed.data, made.catalogue, pace);
  return { plan: compiled.plan, lines: [...made.lines, ...lines(compiled.mistakes)] };
}

function good(schedule: Data, flags: Data = FLAGS, pace?: Pace): Plan {
  const { plan, lines: found } = planned(schedule, flags, pace);
  expect(found.filter((one) => !one.startsWith("warning"))).toEqual([]);
  if (plan === undefined) throw new Error("no plan");
  return plan;
}

const withFlag = (name: string, entry: Data): Data => ({
  ...FLAGS,
  flags: { ...(FLAGS["flags"] instanceof Object ? FLAGS["flags"] : {}), [name]: entry },
});
/** The key that says what a breach does. */
const THEN = "then";
const withGuard = (entry: Data, name = "failures"): Data => ({ ...FLAGS, guards: { [name]: entry } });
const stagesOf = (...stages: readonly Data[]): Data => ({ rollout: "demo", stages });
const QUERY = "sum(rate(bad_total[1m])) / sum(rate(all_total[1m]))";

describe("the catalogue", () => {
  it("fills in literals, undo and what is safe", () => {
    const made = catalogue(
      withFlag("limit", { key: "LIMIT", on: "10", off: "0", safe: "5", undo: "data" }),
    ).catalogue;
    expect(made?.flags["cache"]).toEqual({
      name: "cache",
      key: "CACHE",
      on: "true",
      off: "false",
      requires: [],
      undo: "flip",
      safe: OFF,
    });
    expect(made?.flags["limit"]).toMatchObject({ safe: { kind: "value", value: "5" }, undo: "data" });
    expect(made?.flags["metrics"]).toMatchObject({ pinned: ON });
  });

  it("on env-file an undo is a restart", () => {
    const made = catalogue({
      ...FLAGS,
      provider: { kind: "env-file", path: "/etc/x.env", restart: "x.service" },
    }).catalogue;
    expect(made?.flags["cache"]?.undo).toBe("restart");
  });

  it("gives every service a liveness guard of its own", () => {
    const alive = catalogue(FLAGS).catalogue?.guards.find((guard) => guard.kind === "alive");
    expect(alive).toMatchObject({
      name: "alive",
      query: 'min(up{job="ingestion"})',
      freshness: 'min(timestamp(up{job="ingestion"}))',
      others: 'max(up unless up{job="ingestion"})',
      breach: { k: 3, n: 3 },
      consequence: "rollback",
      intervalMs: 10 * SECOND,
    });
  });

  it("unless the file has one", () => {
    const made = catalogue({
      ...FLAGS,
      guards: { up: { kind: "alive", up: 'up{job="x"}', breach: "2 of 2", [THEN]: "page" } },
    }).catalogue;
    expect(made?.guards.map((guard) => [guard.name, guard.kind, guard.query, guard.consequence])).toEqual([
      ["up", "alive", 'min(up{job="x"})', "page"],
    ]);
  });

  it("builds the companions of a threshold from its query", () => {
    const made = catalogue(
      withGuard({
        kind: "threshold",
        query: QUERY,
        max: "2%",
        min_samples: 4,
        min_total: 10,
        interval: "5s",
      }),
    ).catalogue;
    expect(made?.guards[0]).toEqual({
      kind: "threshold",
      name: "failures",
      query: QUERY,
      freshness: "clamp_max(min(timestamp(bad_total)), scalar(min(timestamp(all_total))))",
      intervalMs: 5 * SECOND,
      windowMs: MINUTE,
      breach: { k: 2, n: 3 },
      consequence: "rollback",
      unit: "percent",
      max: 0.02,
      samples: { query: "min(count_over_time(bad_total[60000ms]))", min: 4 },
      total: { query: "sum(rate(all_total[1m]))", min: 10 },
    });
  });

  it("the window is that of the query judged, not of the traffic it needs", () => {
    const made = catalogue(
      withGuard({
        kind: "threshold",
        query: "rate(x[30s])",
        max: 1,
        min_total: 5,
        total: "sum(rate(y[3m]))",
      }),
    ).catalogue;
    expect(made?.guards[0]?.windowMs).toBe(30 * SECOND);
  });

  it("freshness takes each selector once, and the oldest of all", () => {
    expect(freshnessOf(["a", "b", "a"])).toBe("clamp_max(min(timestamp(a)), scalar(min(timestamp(b))))");
    expect(freshnessOf(["a"])).toBe("min(timestamp(a))");
  });

  it.each([
    ["on", ON],
    ["ON", ON],
    [" on ", ON],
    ["yes", ON],
    ["Off", OFF],
    ["no", OFF],
    ["0%", OFF],
    ["100%", ON],
    ["25 %", { kind: "percent", percent: 25 }],
    ["12.5%", { kind: "percent", percent: 12.5 }],
    ["YES", { kind: "value", value: "YES" }],
    ["1000", { kind: "value", value: "1000" }],
    ["true", { kind: "value", value: "true" }],
  ])("a setting %j, where the service reads yes and no", (text, setting) => {
    expect(settingFrom(text, "yes", "no")).toEqual(setting);
  });
});

describe("mistakes in a flags file", () => {
  it.each<[string, Data, readonly string[]]>([
    [
      "on and off alike",
      withFlag("x", { key: "X", on: "1", off: "1" }),
      ['flags.x.on: on and off are both "1"'],
    ],
    ["a key twice", withFlag("x", { key: "CACHE" }), ["flags.x.key: key CACHE belongs to cache already"]],
    [
      "requires a stranger",
      withFlag("x", { key: "X", requires: ["nobody"] }),
      ['flags.x.requires.0: requires a flag of this file, found "nobody"'],
    ],
    [
      "requires itself",
      withFlag("x", { key: "X", requires: ["x"] }),
      ["flags.x.requires.0: x and x require each other"],
    ],
    [
      "a safe percentage",
      withFlag("x", { key: "X", safe: "25%" }),
      ["flags.x.safe: a safe value is on, off or a value, not a percentage"],
    ],
    [
      "a safe share beyond all",
      withFlag("x", { key: "X", safe: "150%" }),
      ['flags.x.safe: expected at most 100 %, found "150%"'],
    ],
    [
      "a reserved name",
      withFlag("all", { key: "ALL" }),
      ['flags.all: expected a name that is not a reserved word, found "all"'],
    ],
    [
      "a name of the prototype",
      withFlag("constructor", { key: "X" }),
      ['flags.constructor: expected a name that is not a reserved word, found "constructor"'],
    ],
    [
      "a key of the prototype",
      withFlag("x", { key: "__proto__" }),
      ['flags.x.key: expected a flag key that is not a reserved word, found "__proto__"'],
    ],
    ["no flags", { ...FLAGS, flags: {} }, ["flags: expected at least one flag, found a mapping"]],
    [
      "no limit",
      withGuard({ kind: "threshold", query: "x" }),
      ["guards.failures: expected max, min or both"],
    ],
    [
      "limits crossed",
      withGuard({ kind: "threshold", query: "x", max: 1, min: 2 }),
      ["guards.failures.max: max is below min: nothing could pass"],
    ],
    [
      "no series",
      withGuard({ kind: "threshold", query: "1 + 1", max: 3 }),
      ["guards.failures.query: the query reads no series, so its freshness cannot be proved"],
    ],
    [
      "a comparison",
      withGuard({ kind: "threshold", query: "x > 1", max: 3 }),
      [expect.stringMatching(/^guards\.failures\.query: /)],
    ],
    [
      "no division",
      withGuard({ kind: "threshold", query: "rate(x[1m])", max: 3, min_total: 5 }),
      ["guards.failures.min_total: expected `total`, a query for the denominator: the query is no division"],
    ],
    [
      "not PromQL",
      withGuard({ kind: "threshold", query: "sum(", max: 3 }),
      [expect.stringMatching(/^guards\.failures\.query: this is not PromQL/)],
    ],
    [
      "total not PromQL",
      withGuard({ kind: "threshold", query: "x", max: 3, min_total: 1, total: ")" }),
      [expect.stringMatching(/^guards\.failures\.total: this is not PromQL/)],
    ],
    [
      "a breach of 4 of 3",
      withGuard({ kind: "threshold", query: "x", max: 3, breach: "4 of 3" }),
      ['guards.failures.breach: expected `k of n` with 1 <= k <= n <= 30, such as 2 of 3, found "4 of 3"'],
    ],
    [
      "a breach of 0 of 3",
      withGuard({ kind: "threshold", query: "x", max: 3, breach: "0 of 3" }),
      [expect.stringContaining("guards.failures.breach: expected `k of n`")],
    ],
    [
      "a breach of 1 of 31",
      withGuard({ kind: "threshold", query: "x", max: 3, breach: "1 of 31" }),
      [expect.stringContaining("guards.failures.breach: expected `k of n`")],
    ],
    [
      "an interval too short",
      withGuard({ kind: "threshold", query: "x", max: 3, interval: "100ms" }),
      ['guards.failures.interval: expected an interval of at least 200ms, found "100ms"'],
    ],
    [
      "an unknown kind",
      withGuard({ kind: "ratio", query: "x" }),
      [
        expect.stringMatching(
          /^guards\.failures\.kind: expected guard kind threshold, alive, expect or trend/,
        ),
      ],
    ],
    [
      "an unknown key",
      withGuard({ kind: "threshold", query: "x", max: 1, minn: 2 }),
      ["guards.failures.minn: unknown key `minn`"],
    ],
    [
      "expect without within",
      withGuard({ kind: "expect", query: "x", min: 1 }),
      [expect.stringContaining("guards.failures.within: `within` is missing")],
    ],
    [
      "the name alive for another kind",
      withGuard({ kind: "threshold", query: "x", max: 1 }, "alive"),
      ["guards.alive: `alive` is the name of the liveness guard: expected kind alive, or another name"],
    ],
    [
      "up that is no selector",
      withGuard({ kind: "alive", up: "sum(up)" }, "alive"),
      ['guards.alive.up: expected one selector such as up{job="ingestion"}'],
    ],
    [
      "no view",
      Object.fromEntries(Object.entries(FLAGS).filter(([key]) => key !== "view")),
      [
        "provider: provider file cannot answer for the service: expected `view`, where the service itself tells its flags",
      ],
    ],
    [
      "a view of a metric for no flag",
      { ...FLAGS, view: { metric: "feature_enabled" } },
      [expect.stringMatching(/^view\.metric: expected \{key\} or \{flag\}/)],
    ],
    [
      "a password in a URL",
      { ...FLAGS, prometheus: { url: "http://u:p@h", scrape_interval: "15s" } },
      [expect.stringMatching(/^prometheus\.url: expected a URL without user and password/)],
    ],
    [
      "a scrape interval of 0",
      { ...FLAGS, prometheus: { url: "http://h", scrape_interval: 0 } },
      ["prometheus.scrape_interval: expected a duration longer than 0, found 0"],
    ],
    [
      "an env-file key with a dash",
      {
        ...FLAGS,
        provider: { kind: "env-file", path: "/x", restart: "x.service" },
        flags: { x: { key: "A-B" } },
      },
      ['flags.x.key: expected the name of an environment variable (letters, digits, `_`), found "A-B"'],
    ],
  ])("%s", (_name, data, expected) => {
    expect(catalogue(data).lines).toEqual(expected);
  });

  it("a circle of requirements is named at each of its flags", () => {
    const data = {
      ...FLAGS,
      flags: {
        a: { key: "A", requires: ["b"] },
        b: { key: "B", requires: ["c"] },
        c: { key: "C", requires: ["a"] },
      },
    };
    expect(catalogue(data).lines).toEqual([
      "flags.a.requires.0: a and b require each other",
      "flags.b.requires.0: b and c require each other",
      "flags.c.requires.0: c and a require each other",
    ]);
  });

  it("are all told at once", () => {
    const data = {
      ...FLAGS,
      service: "X Y",
      flags: { x: { key: "1" } },
      guards: { g: { kind: "threshold", query: "", breach: "x" } },
    };
    expect(catalogue(data).lines.length).toBeGreaterThanOrEqual(4);
  });
});

describe("the plan", () => {
  it("has planned times, settings, soaks to the next stage, and leaves pinned flags alone", () => {
    const plan = good(SCHEDULE);
    expect(
      plan.stages.map((one) => [one.name, one.atMs, one.baseline, one.substages.map((sub) => sub.soakMs)]),
    ).toEqual([
      ["baseline", 0, true, [HOUR]],
      ["cache", HOUR, false, [2 * HOUR]],
      ["batch", 3 * HOUR, false, [HOUR]],
    ]);
    expect(plan.stages[0]?.substages[0]?.set).toEqual([
      { flag: "cache", setting: OFF },
      { flag: "batch", setting: OFF },
    ]);
  });

  it("has its defaults", () => {
    expect(good(SCHEDULE)).toMatchObject({
      rollout: "demo",
      service: "ingestion",
      environment: "production",
      source: "main",
      unwind: "newest",
      onBlind: "hold",
      blindAfterMs: 5 * MINUTE,
      scrapeMs: 15 * SECOND,
      queryTimeoutMs: 5 * SECOND,
      hasView: true,
      provider: { flipMs: 2 * SECOND, restartMs: 0 },
    });
  });

  it("takes what the files say instead", () => {
    const plan = good(
      {
        ...SCHEDULE,
        channel: "#ops",
        unwind: "all",
        on_blind: "rollback",
        blind_after: "1m",
        runbook: "rb",
        forward: { only: "Mon-Fri 09:00-16:00", zone: "Europe/Berlin" },
      },
      {
        ...FLAGS,
        provider: { kind: "env-file", path: "/x.env", restart: "x.service", restart_within: "12s" },
        prometheus: { url: "http://h", scrape_interval: "5s", timeout: "3s" },
      },
    );
    expect(plan).toMatchObject({
      channel: "#ops",
      unwind: "all",
      onBlind: "rollback",
      blindAfterMs: MINUTE,
      runbook: "rb",
      forward: { zone: "Europe/Berlin" },
      scrapeMs: 5 * SECOND,
      queryTimeoutMs: 3 * SECOND,
      provider: { flipMs: 2 * SECOND, restartMs: 12 * SECOND },
    });
  });

  it("soaks at least the longest window, two polls and a scrape", () => {
    const plan = good(
      stagesOf({ at: 0, name: "a", enable: "cache" }, { at: "10s", name: "b", enable: "batch", soak: "1s" }),
    );
    // 60 s window + 2 polls of 10 s + 15 s scrape.
    expect(plan.stages.map((one) => one.substages[0]?.soakMs)).toEqual([95 * SECOND, 95 * SECOND]);
    expect(leastSoakMs(plan.guards, plan.scrapeMs)).toBe(95 * SECOND);
  });

  it("counts for a stage only the guards that are judged in it", () => {
    const plan = good(
      stagesOf({ at: 0, name: "a", enable: "cache" }, { at: "10s", name: "b", enable: "batch", soak: "1s" }),
      withGuard({ kind: "threshold", query: QUERY, max: "2%", stages: ["b"] }),
    );
    expect(plan.stages.map((one) => one.substages[0]?.soakMs)).toEqual([35 * SECOND, 95 * SECOND]);
  });

  it("raises percentages in their own time", () => {
    const plan = good(
      stagesOf(
        { at: 0, name: "a", enable: "cache" },
        { at: "1h", name: "b", enable: { batch: ["5%", "25%", "100%"] }, every: "15m" },
      ),
    );
    expect(
      plan.stages[1]?.substages.map((sub) => [formatSetting(sub.set[0]?.setting ?? OFF), sub.soakMs]),
    ).toEqual([
      ["5 %", 15 * MINUTE],
      ["25 %", 15 * MINUTE],
      ["ON", 15 * MINUTE],
    ]);
  });

  it("raises several flags side by side", () => {
    const plan = good(
      stagesOf({ at: 0, name: "a", enable: { cache: ["5%", "100%"], batch: ["10", "20"] }, every: "15m" }),
    );
    expect(
      plan.stages[0]?.substages.map((sub) =>
        sub.set.map((item) => `${item.flag} ${formatSetting(item.setting)}`),
      ),
    ).toEqual([
      ["cache 5 %", "batch 10"],
      ["cache ON", "batch 20"],
    ]);
  });

  it("sets what a stage names after what `all` says, whatever their order", () => {
    for (const set of [
      { all: "off", batch: "on" },
      { batch: "on", all: "off" },
    ]) {
      const plan = good(stagesOf({ at: 0, name: "a", set, soak: "1h" }));
      expect(plan.stages[0]?.substages[0]?.set).toEqual([
        { flag: "cache", setting: OFF },
        { flag: "batch", setting: ON },
      ]);
      expect(plan.stages[0]?.baseline).toBe(false);
    }
  });

  it("takes only leading stages of everything off for a baseline; later ones are changes like any other", () => {
    const plan = good(
      stagesOf(
        { at: 0, name: "one", set: { cache: "off" } },
        { at: "1h", name: "two", set: { batch: "off" } },
        { at: "2h", name: "on", enable: "cache" },
        { at: "3h", name: "off", set: { batch: "off" }, soak: "1h" },
      ),
    );
    expect(plan.stages.map((one) => one.baseline)).toEqual([true, true, false, false]);
  });

  it("passes planned time at the pace of a demo, and nothing else", () => {
    const plan = good(
      SCHEDULE,
      { ...FLAGS, guards: { g: { kind: "expect", query: "rate(x[5s])", min: 1, within: "2h" } } },
      (ms) => ms / 600,
    );
    expect(plan.stages.map((one) => one.atMs)).toEqual([0, 6 * SECOND, 18 * SECOND]);
    // At least 35 s of evidence for the liveness guard: 2 polls of 10 s and a scrape of 15 s; 40 s with the window of 5 s.
    expect(plan.stages.map((one) => one.substages[0]?.soakMs)).toEqual([
      40 * SECOND,
      40 * SECOND,
      40 * SECOND,
    ]);
    expect(plan.guards.find((guard) => guard.kind === "expect")).toMatchObject({
      withinMs: 25 * SECOND,
      intervalMs: 10 * SECOND,
    });
    expect(plan.blindAfterMs).toBe(5 * MINUTE);
  });
});

describe("mistakes in a schedule", () => {
  const last = { soak: "1h" };
  it.each<[string, Data, readonly string[]]>([
    [
      "a stage named twice",
      stagesOf({ at: 0, name: "a", enable: "cache" }, { at: "1h", name: "a", enable: "batch", ...last }),
      ["stages.1.name: stage a is named twice"],
    ],
    [
      "a stage before its predecessor",
      stagesOf({ at: "2h", name: "a", enable: "cache" }, { at: "1h", name: "b", enable: "batch", ...last }),
      ["stages.1.at: expected a time at or after 2 h of a, found 1 h"],
    ],
    [
      "nothing to do",
      stagesOf({ at: 0, name: "a", ...last }),
      ["stages.0: stage a: expected exactly one of set, enable or review"],
    ],
    [
      "two things to do",
      stagesOf({ at: 0, name: "a", enable: "cache", set: { batch: "on" }, ...last }),
      ["stages.0: stage a: expected exactly one of set, enable or review"],
    ],
    [
      "an empty set",
      stagesOf({ at: 0, name: "a", set: {}, ...last }),
      ["stages.0.set: expected at least one flag"],
    ],
    [
      "an empty enable",
      stagesOf({ at: 0, name: "a", enable: {}, ...last }),
      ["stages.0.enable: expected at least one flag"],
    ],
    [
      "a flag listed twice",
      stagesOf({ at: 0, name: "a", enable: ["cache", "cache"], ...last }),
      ["stages.0.enable.1: cache stands in this list already"],
    ],
    [
      "an unknown flag",
      stagesOf({ at: 0, name: "a", enable: "cash", ...last }),
      ['stages.0.enable: expected a flag of flags/main (cache, batch, metrics), found "cash"'],
    ],
    [
      "an unknown flag in a list",
      stagesOf({ at: 0, name: "a", enable: ["cache", "cash"], ...last }),
      ['stages.0.enable.1: expected a flag of flags/main (cache, batch, metrics), found "cash"'],
    ],
    [
      "a pinned flag",
      stagesOf({ at: 0, name: "a", set: { metrics: "off" }, ...last }),
      ["stages.0.set.metrics: metrics is pinned and cannot be part of a stage"],
    ],
    [
      "a matrix review",
      stagesOf({ at: 0, name: "a", review: "go-no-go" }),
      [
        'stages.0.review: expected review: manual (readiness matrices are not available in this version), found "go-no-go"',
      ],
    ],
    [
      "a review with a soak",
      stagesOf({ at: 0, name: "a", review: "manual", soak: "1h" }),
      ["stages.0: a review changes nothing: it takes no soak, every, approval or window"],
    ],
    [
      "no end to the last soak",
      stagesOf({ at: 0, name: "a", enable: "cache" }),
      ["stages.0: the last stage a needs `soak`, or a review stage after it: how long is it watched?"],
    ],
    [
      "a list without every",
      stagesOf(
        { at: 0, name: "a", enable: { cache: ["5%", "100%"] } },
        { at: "1h", name: "b", review: "manual" },
      ),
      ["stages.0: a list of settings needs `every`: how long is each watched?"],
    ],
    [
      "shares that fall",
      stagesOf({ at: 0, name: "a", enable: { cache: ["50%", "25%"] }, every: "1h" }),
      ['stages.0.enable.cache.1: cache: expected percentages that rise, found "25%" after "50%"'],
    ],
    [
      "a value among shares",
      stagesOf({ at: 0, name: "a", enable: { cache: ["5%", "on"] }, every: "1h" }),
      ['stages.0.enable.cache.1: cache: expected a percentage like the others of this list, found "on"'],
    ],
    [
      "more than all",
      stagesOf({ at: 0, name: "a", enable: { cache: ["50%", "150%"] }, every: "1h" }),
      ['stages.0.enable.cache.1: expected at most 100 %, found "150%"'],
    ],
    [
      "more than all, set",
      stagesOf({ at: 0, name: "a", set: { cache: "150%" }, ...last }),
      ['stages.0.set.cache: expected at most 100 %, found "150%"'],
    ],
    [
      "more than all, of all",
      stagesOf({ at: 0, name: "a", set: { all: "150%" }, ...last }),
      ['stages.0.set.all: expected at most 100 %, found "150%"'],
    ],
    [
      "lists of different lengths",
      stagesOf({ at: 0, name: "a", enable: { cache: ["5%", "100%"], batch: ["on"] }, every: "1h" }),
      ["stages.0.enable.batch: expected 2 settings like the other flags of this stage, found 1"],
    ],
    [
      "hours that make no sense",
      { ...SCHEDULE, forward: { only: "Mon 16:00-16:00", zone: "UTC" } },
      [
        'forward.only: expected hours such as "Mon-Thu 09:00-16:00" or "Sat,Sun 22:00-02:00", found "Mon 16:00-16:00"',
      ],
    ],
    [
      "a zone that does not exist",
      { ...SCHEDULE, forward: { only: "Mon 09:00-16:00", zone: "Mars" } },
      ['forward.zone: expected a time zone such as Europe/Berlin, found "Mars"'],
    ],
    [
      "a channel without #",
      { ...SCHEDULE, channel: "ops" },
      ['channel: expected a channel such as #ingestion-ops, found "ops"'],
    ],
    [
      "an unknown unwind",
      { ...SCHEDULE, unwind: "none" },
      ['unwind: expected unwind: newest, gradual or all, found "none"'],
    ],
    ["no stages", { ...SCHEDULE, stages: [] }, ["stages: expected at least one stage, found a list"]],
    [
      "a stage called all",
      stagesOf({ at: 0, name: "all", enable: "cache", ...last }),
      ['stages.0.name: expected a name that is not a reserved word, found "all"'],
    ],
    [
      "a stage called to",
      stagesOf({ at: 0, name: "to", enable: "cache", ...last }),
      ['stages.0.name: expected a name that is not a reserved word, found "to"'],
    ],
  ])("%s", (_name, schedule, expected) => {
    expect(planned(schedule).lines).toEqual(expected);
  });

  const envFile = { ...FLAGS, provider: { kind: "env-file", path: "/x.env", restart: "x.service" } };
  it.each<[string, Data, readonly string[]]>([
    [
      "in a list",
      stagesOf({ at: 0, name: "a", enable: { cache: ["5%"] }, soak: "1h" }),
      ['stages.0.enable.cache.0: an env-file flag is on or off for the whole service: "5%" is not possible'],
    ],
    [
      "set",
      stagesOf({ at: 0, name: "a", set: { cache: "5%" }, soak: "1h" }),
      ['stages.0.set.cache: an env-file flag is on or off for the whole service: "5%" is not possible'],
    ],
    [
      "of all",
      stagesOf({ at: 0, name: "a", set: { all: "5%" }, soak: "1h" }),
      ['stages.0.set.all: an env-file flag is on or off for the whole service: "5%" is not possible'],
    ],
  ])("a percentage on env-file, %s", (_name, schedule, expected) => {
    expect(planned(schedule, envFile).lines).toEqual(expected);
  });

  it("a stage that no guard watches could never advance", () => {
    const flags = { ...FLAGS, guards: { up: { kind: "alive", stages: ["cache"] } } };
    expect(planned(SCHEDULE, flags).lines).toEqual([
      "stages.0: no guard is judged in stage baseline: without a passing guard it could never advance",
      "stages.2: no guard is judged in stage batch: without a passing guard it could never advance",
    ]);
  });

  it("a guard for a stage that is not there is worth a warning", () => {
    const flags = withGuard({ kind: "threshold", query: QUERY, max: "2%", stages: ["parallel"] });
    expect(planned(SCHEDULE, flags).lines).toEqual([
      'warning stages: guard failures of flags/main names a stage "parallel" that this schedule does not have',
    ]);
  });

  it("a timeline into the night is worth a warning, forward hours silence it", () => {
    const long = stagesOf(
      { at: 0, name: "a", enable: "cache" },
      { at: "9h", name: "b", enable: "batch", soak: "1h" },
    );
    expect(planned(long).lines).toEqual([
      "warning stages: the timeline may step forward at night; `forward: { only, zone }` keeps steps in working hours",
    ]);
    expect(planned({ ...long, forward: { only: "Mon-Fri 09:00-16:00", zone: "UTC" } }).lines).toEqual([]);
  });
});

describe("the bound", () => {
  it("adds window, scrape, polls, query, flip and restart: by hand", () => {
    const plan = good(SCHEDULE, {
      ...FLAGS,
      provider: { kind: "env-file", path: "/x.env", restart: "x.service", restart_within: "20s" },
    });
    const guard = plan.guards.find((one) => one.name === "failures");
    if (guard === undefined) throw new Error("no guard");
    expect(boundOf(plan, guard)).toEqual({
      guard: "failures",
      totalMs: (60 + 15 + 2 * 10 + 5 + 2 + 20) * SECOND,
      parts: {
        windowMs: 60_000,
        scrapeMs: 15_000,
        pollsMs: 20_000,
        queryMs: 5_000,
        flipMs: 2_000,
        restartMs: 20_000,
      },
    });
    const alive = plan.guards.find((one) => one.kind === "alive");
    expect(alive === undefined ? 0 : boundOf(plan, alive).totalMs).toBe(
      (0 + 15 + 3 * 10 + 5 + 2 + 20) * SECOND,
    );
    expect(worstBound(plan)?.guard).toBe("failures");
  });

  it("counts only guards that take something back", () => {
    const plan = good(SCHEDULE, {
      ...FLAGS,
      guards: { slow: { kind: "threshold", query: "rate(x[1h])", max: 1, [THEN]: "page" } },
    });
    expect(worstBound(plan)?.guard).toBe("alive");
  });

  const slow = withGuard({ kind: "threshold", query: "rate(x[4m])", max: 1, interval: "20s" });
  // 240 + 15 + 2 * 20 + 5 + 2 = 302 s.
  it.each<[string, Data, readonly string[]]>([
    [
      "refused above 300 s",
      SCHEDULE,
      [
        'rollout: a rollback could take 302 s after a breach is visible (guard failures), more than 300 s; `accept_bound: 6m` with `because: "..."` accepts it',
      ],
    ],
    [
      "refused when too little is accepted",
      { ...SCHEDULE, accept_bound: "301s", because: "x" },
      [expect.stringContaining("accepts it")],
    ],
    [
      "refused when accepted without a reason",
      { ...SCHEDULE, accept_bound: "8m" },
      [expect.stringContaining('`because: "..."` must say why')],
    ],
    ["accepted with a reason", { ...SCHEDULE, accept_bound: "302s", because: "nightly job" }, []],
  ])("%s", (_name, schedule, expected) => {
    expect(planned(schedule, slow).lines).toEqual(expected);
  });

  it("of exactly 300 s is allowed", () => {
    expect(
      planned(SCHEDULE, withGuard({ kind: "threshold", query: "rate(x[238s])", max: 1, interval: "20s" }))
        .lines,
    ).toEqual([]);
  });
});
