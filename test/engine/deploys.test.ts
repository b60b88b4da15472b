/** Watching the service's processes: at the guards' pace and no faster, versions that flicker, a Prometheus that is away, and a word about a query without versions. */
import { expect, it } from "vitest";
import type { Answer } from "../../src/core/measurement.ts";
import type { Plan } from "../../src/core/plan.ts";
import { SECOND } from "../../src/core/time.ts";
import { Deploys } from "../../src/engine/deploys.ts";
import { Walk } from "../core/walk.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { failures, planOf } from "../support/plans.ts";

const DOWN: Answer = { kind: "down", reason: "refused", detail: "connection refused" };

function vector(...series: readonly (readonly [Readonly<Record<string, string>>, string])[]): Answer {
  const result = series.map(([metric, value]) => ({ metric, value: [1, value] }));
  return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
}

const versions = (...all: readonly string[]): Answer =>
  vector(...all.map((version) => [{ version }, "1"] as const));

function bench(extra: Partial<Plan> = {}) {
  const plan = planOf({ deploys: { version: "V", label: "version", started: "S" }, ...extra });
  const clock = new ManualClock(1_760_000_000_000);
  const says: Record<string, Answer> = { V: versions("1"), S: vector([{}, "1750000000"]) };
  const asked: { readonly query: string; readonly at: number; readonly lookbackMs: number | undefined }[] =
    [];
  const warned: string[] = [];
  let seen = 0;
  const state = new Walk(plan).start().state;
  const deploys = new Deploys({
    clock,
    plan,
    state: () => state,
    onSeen: () => seen++,
    log: {
      info: () => undefined,
      warn: (message) => warned.push(message),
      error: (message) => warned.push(message),
    },
    metrics: {
      query: async (query, _, lookbackMs) => {
        asked.push({ query, at: clock.now().steady, lookbackMs });
        return says[query] ?? DOWN;
      },
      queryRange: async () => ({ kind: "down", reason: "refused", detail: "not asked here" }),
    },
  });
  return { asked, clock, deploys, says, seen: () => seen, warned };
}

it.each([
  ["every 8 s where guards ask every 10 s", 10 * SECOND, 8 * SECOND],
  ["as often as the guards", 6 * SECOND, 6 * SECOND],
  ["never closer than 5 s", SECOND, 5 * SECOND],
])("asks %s", async (_, intervalMs, pace) => {
  const { asked, clock, deploys } = bench({ guards: [failures({ intervalMs })] });
  void deploys.run();
  await clock.advance(60 * SECOND);
  const times = asked.filter(({ query }) => query === "V").map(({ at }) => at);
  expect(times).toEqual(
    Array.from({ length: Math.floor((60 * SECOND) / pace) + 1 }, (__, index) => index * pace),
  );
  deploys.stop();
  await clock.advance(60 * SECOND);
  expect(asked.filter(({ query }) => query === "V")).toHaveLength(times.length);
});

it("asks nothing where the plan does not say how", async () => {
  const { deploys: _none, ...plan } = planOf();
  const { asked, clock, deploys } = bench({ ...plan, deploys: undefined as never });
  await deploys.run();
  await deploys.askNow();
  await clock.advance(60 * SECOND);
  expect(asked).toEqual([]);
  expect(deploys.service()?.versions ?? []).toEqual([]);
});

it("asks out of turn at most every 5 s, and once for all who ask at once", async () => {
  const { asked, clock, deploys } = bench();
  await Promise.all([deploys.askNow(), deploys.askNow()]);
  await deploys.askNow();
  expect(asked).toHaveLength(2);
  await clock.advance(5 * SECOND);
  await deploys.askNow();
  expect(asked).toHaveLength(4);
});

it("asks at once for a breach, though it asked seconds ago; not more than once a second", async () => {
  const { asked, clock, deploys } = bench();
  await deploys.askNow();
  await clock.advance(2 * SECOND);
  await Promise.all([deploys.askNow("urgent"), deploys.askNow("urgent")]);
  await deploys.askNow("urgent");
  expect(asked).toHaveLength(4);
});

it("takes only processes whose last sample is fresh", async () => {
  const { asked, deploys } = bench({ scrapeMs: 10 * SECOND });
  await deploys.askNow();
  expect(asked.map(({ lookbackMs }) => lookbackMs)).toEqual([25 * SECOND, 25 * SECOND]);
});

it("tells what changed, and only then", async () => {
  const { clock, deploys, says, seen } = bench();
  void deploys.run();
  await clock.advance(30 * SECOND);
  expect(seen()).toBe(1);
  expect(deploys.service()).toMatchObject({ versions: ["1"], startedWall: 1_750_000_000_000 });
  says["S"] = vector([{}, "1750000000"], [{}, "1760000020.5"]);
  await clock.advance(10 * SECOND);
  expect(deploys.service()?.startedWall).toBe(1_760_000_020_500);
  expect(seen()).toBe(2);
});

it("a version that misses some scrapes is still there, one that is gone for a minute is not", async () => {
  const { clock, deploys, says } = bench();
  says["V"] = versions("1", "2");
  void deploys.run();
  await clock.advance(SECOND);
  says["V"] = versions("1");
  await clock.advance(40 * SECOND);
  expect(deploys.service()?.versions).toEqual(["1", "2"]);
  await clock.advance(40 * SECOND);
  expect(deploys.service()?.versions).toEqual(["1"]);
});

it("a version whose instances show another one is gone at once, one whose instance is only missed is not", async () => {
  const { clock, deploys, says } = bench();
  const on = (...all: readonly (readonly [string, string])[]): Answer =>
    vector(...all.map(([instance, version]) => [{ job: "svc", instance, version }, "1"] as const));
  const after = async (answer: Answer): Promise<readonly string[] | undefined> => {
    says["V"] = answer;
    await clock.advance(10 * SECOND);
    return deploys.service()?.versions;
  };
  void deploys.run();
  expect(await after(on(["a", "1"], ["b", "1"]))).toEqual(["1"]);
  expect(await after(on(["a", "2"]))).toEqual(["1", "2"]);
  expect(await after(on(["a", "2"], ["b", "2"]))).toEqual(["2"]);
  expect(await after(on(["a", "2"], ["b", "3"]))).toEqual(["2", "3"]);
  expect(await after(on(["b", "3"]))).toEqual(["2", "3"]);
});

it("what cannot be asked stays as it was, however long", async () => {
  const { clock, deploys, says, seen } = bench();
  void deploys.run();
  await clock.advance(SECOND);
  const before = deploys.service();
  for (const answer of [DOWN, vector()]) {
    says["V"] = answer;
    says["S"] = answer;
    await clock.advance(5 * 60 * SECOND);
    expect(deploys.service()).toMatchObject({ versions: before?.versions, startedWall: before?.startedWall });
  }
  expect(seen()).toBe(1);
});

it("says once that the query shows no version", async () => {
  const { clock, deploys, says, warned } = bench();
  says["V"] = vector([{ build: "1" }, "1"]);
  void deploys.run();
  await clock.advance(60 * SECOND);
  expect(warned).toEqual([expect.stringContaining("deploys are not noticed by it")]);
});
