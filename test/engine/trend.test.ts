/** How trends are asked: when, over which span, what a flip does to it, after a restart, and for a job; on virtual time. */
import { describe, expect, it } from "vitest";
import type { Answer } from "../../src/core/measurement.ts";
import type { Plan, TrendGuard } from "../../src/core/plan.ts";
import { epochOf, type State } from "../../src/core/rollout/state.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { askTrend, Measure } from "../../src/engine/measure.ts";
import type { Clock, EvidenceRow, Log, Metrics } from "../../src/engine/ports.ts";
import { MONDAY, Walk } from "../core/walk.ts";
import { createTimeline } from "../simulation/timeline.ts";
import { alive, memory, planOf } from "../support/plans.ts";

const START = 1_000 * MINUTE;
const toWall = (steady: number): number => MONDAY + steady - START;
const toSteady = (wall: number): number => START + wall - MONDAY;

function one(value: number): Answer {
  const result = [{ metric: { job: "bots" }, value: [0, String(value)] }];
  return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
}

const DOWN = { kind: "down", reason: "refused", detail: "connection refused" } as const;

interface Asked {
  readonly query: string;
  readonly at: number;
  /** Minutes before now at which a range begins, and its steps. */
  readonly range?: { readonly back: number; readonly points: number };
}

/** A run beside a trend: its measuring on virtual time, a Prometheus whose memory is a function of the steady minute, and what was asked. */
class Bench {
  readonly timeline = createTimeline(START);
  readonly asked: Asked[] = [];
  readonly rows: EvidenceRow[] = [];
  readonly plan: Plan;
  readonly measure: Measure;
  levelAt: (steady: number) => number = () => 500 * 1024 ** 2;
  isDown = false;
  /** How old the newest sample is, ms. */
  ageMs = 0;
  state: State;

  constructor(guard: TrendGuard = memory()) {
    this.plan = planOf({ guards: [alive(), guard] });
    this.state = begunOf(this.plan);
    const { rows } = this;
    this.measure = new Measure({
      clock: this.clock(),
      metrics: this.metrics(),
      journal: {
        saveEvidence: async (more: readonly EvidenceRow[]) => void rows.push(...more),
      },
      log: SILENT,
      plan: this.plan,
      state: () => this.state,
      onJudged: () => undefined,
    });
  }

  clock(): Clock {
    return {
      now: () => ({ steady: this.timeline.now(), wall: toWall(this.timeline.now()) }),
      after: (ms, act) => {
        let isOff = false;
        this.timeline.after(ms, () => {
          if (!isOff) act();
        });
        return () => {
          isOff = true;
        };
      },
      random: () => 0.5,
    };
  }

  metrics(): Metrics {
    const at = (): number => (this.timeline.now() - START) / MINUTE;
    return {
      query: async (query, wall) => {
        this.asked.push({ query, at: at() });
        if (this.isDown) return DOWN;
        return one(query.startsWith("fresh") ? (wall - this.ageMs) / 1_000 : 1);
      },
      queryRange: async (query, from, to, stepMs) => {
        const points: { readonly wall: number; readonly answer: Answer }[] = [];
        for (let wall = from; wall <= to; wall += stepMs)
          points.push({ wall, answer: one(this.levelAt(toSteady(wall))) });
        const back = (toWall(this.timeline.now()) - from) / MINUTE;
        this.asked.push({ query, at: at(), range: { back, points: points.length } });
        return this.isDown ? DOWN : { kind: "points", points };
      },
    };
  }

  /** Polls for so long. */
  async pass(ms: number): Promise<void> {
    const until = this.timeline.now() + ms;
    this.timeline.after(ms, () => undefined);
    await this.timeline.run(until, () => false);
  }

  ranges(): readonly Asked[] {
    return this.asked.filter(({ range }) => range !== undefined);
  }

  judged(): object | undefined {
    return this.measure.judgements()["memory"];
  }
}

const SILENT: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A rollout whose first stage is on since the start. */
function begunOf(plan: Plan): State {
  const walk = new Walk(plan).start();
  walk.step();
  return walk.state;
}

/** The same without a flip. */
function unflipped(state: State): State {
  return { ...state, flips: {} };
}

describe("a trend without a flip", () => {
  it("is asked at once and every ten minutes: three hours, ten points a block, and how fresh they are", async () => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    void bench.measure.run();
    await bench.pass(35 * MINUTE);
    expect(bench.ranges()).toEqual(
      [0, 10, 20, 30].map((at) => ({ query: "memory", at, range: { back: 179, points: 180 } })),
    );
    expect(bench.asked.filter(({ query }) => query === "fresh(memory)").map(({ at }) => at)).toEqual([
      0, 10, 20, 30,
    ]);
    expect(bench.asked.filter(({ query, range }) => query === "memory" && range === undefined)).toEqual([]);
    expect(bench.judged()).toMatchObject({ verdict: "pass", value: 500 * 1024 ** 2 });
    expect(bench.measure.figures()["memory"]).toEqual({
      value: 500 * 1024 ** 2,
      words: "flat (0 B/h)",
      at: START + 30 * MINUTE,
    });
    bench.measure.stop();
  });

  it("in breach says slope and time left, to the judge and to the card", async () => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    bench.levelAt = (steady) => (900 + (60 * (steady - START)) / HOUR) * 1024 ** 2;
    void bench.measure.run();
    await bench.pass(MINUTE);
    expect(bench.judged()).toMatchObject({
      verdict: "breach",
      detail: "+60 MiB/h, limit in 2.1 h: reaches 1 GiB within 4 h",
    });
    expect(bench.measure.figures()["memory"]).toMatchObject({ words: "+60 MiB/h, limit in 2.1 h" });
    bench.measure.stop();
  });

  it.each<[string, (bench: Bench) => void, object]>([
    [
      "Prometheus away",
      (bench) => {
        bench.isDown = true;
      },
      { verdict: "provider_down", reason: "refused" },
    ],
    [
      "stale",
      (bench) => {
        bench.ageMs = 11 * SECOND;
      },
      { verdict: "no_evidence", reason: "stale" },
    ],
    [
      "a process restarted half an hour ago",
      (bench) => {
        bench.levelAt = (steady) => (steady < START - 30 * MINUTE ? 900 : 300) * 1024 ** 2;
      },
      { verdict: "no_evidence", reason: "few_samples" },
    ],
  ])("%s", async (_name, change, expected) => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    change(bench);
    void bench.measure.run();
    await bench.pass(MINUTE);
    expect(bench.judged()).toMatchObject(expected);
    bench.measure.stop();
  });
});

describe("a flip", () => {
  it("warms up for an hour, in which nothing is asked; then only what came after it is looked at", async () => {
    const bench = new Bench();
    bench.levelAt = (steady) => (500 + (60 * (steady - START)) / HOUR) * 1024 ** 2;
    void bench.measure.run();
    await bench.pass(55 * MINUTE);
    expect(bench.ranges()).toEqual([]);
    expect(bench.judged()).toMatchObject({
      verdict: "no_evidence",
      reason: "few_samples",
      detail: "warms up for 10 min more after the flip, then 1 h is needed",
    });
    await bench.pass(60 * MINUTE);
    const flipped = Math.max(...Object.values(bench.state.flips).map((flip) => flip.verifiedAt ?? flip.at));
    expect(bench.ranges().map(({ at }) => at)).toEqual([60, 70, 80, 90, 100, 110]);
    for (const { at, range } of bench.ranges()) {
      expect(at - (range?.back ?? 0)).toBeGreaterThanOrEqual((flipped - START) / MINUTE + 60);
      expect(range?.back).toBeLessThan(at - 58);
    }
    expect(bench.judged()).toMatchObject({ verdict: "no_evidence", reason: "few_samples" });
    await bench.pass(30 * MINUTE);
    expect(bench.judged()).toMatchObject({ verdict: "pass" });
    bench.measure.stop();
  });

  it("that changed nothing is none", async () => {
    const bench = new Bench();
    const same = Object.entries(bench.state.flips).map(([name, known]) => [
      name,
      { ...known, flip: { ...known.flip, from: known.flip.to } },
    ]);
    bench.state = { ...bench.state, flips: Object.fromEntries(same) };
    void bench.measure.run();
    await bench.pass(MINUTE);
    expect(bench.ranges()).toHaveLength(1);
    bench.measure.stop();
  });

  it("begins an epoch, in which the trend is asked within moments, once", async () => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    void bench.measure.run();
    await bench.pass(13 * MINUTE);
    bench.state = { ...bench.state, epoch: { at: bench.timeline.now(), settle: true } };
    await bench.pass(MINUTE);
    const guard = bench.plan.guards.find((each) => each.name === "memory") ?? memory();
    expect(bench.judged()).toMatchObject({ verdict: "pass", epoch: epochOf(bench.plan, bench.state, guard) });
    expect(bench.ranges()).toHaveLength(3);
    await bench.pass(5 * MINUTE);
    expect(bench.ranges()).toHaveLength(3);
    bench.measure.stop();
  });
});

describe("after a restart of Belay", () => {
  it("what was missed is fetched for the others; the trend looks back by itself", async () => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    await bench.pass(30 * MINUTE);
    await bench.measure.backfill({ creditFrom: START, unwatchedFrom: START });
    expect(bench.ranges().map(({ query }) => query)).toEqual(["min(up)", "fresh(up)", "max(others)"]);
    expect(bench.judged()).toBeUndefined();
    void bench.measure.run();
    await bench.pass(MINUTE);
    expect(bench.ranges().at(-1)).toMatchObject({ query: "memory", range: { points: 180 } });
    expect(bench.judged()).toMatchObject({ verdict: "pass" });
    bench.measure.stop();
  });

  it("its evidence is kept like that of the others", async () => {
    const bench = new Bench();
    bench.state = unflipped(bench.state);
    void bench.measure.run();
    await bench.pass(MINUTE);
    expect(bench.rows.find(({ guard }) => guard === "memory")).toMatchObject({
      polls: 1,
      values: 1,
      last: 500 * 1024 ** 2,
      verdicts: { pass: 1 },
    });
    bench.measure.stop();
  });
});

describe("for a job", () => {
  const ask = (bench: Bench) => askTrend(bench.metrics(), memory(), bench.clock().now(), bench.plan.scrapeMs);

  it("a trend asks for a restart, or does not, and says why", async () => {
    const bench = new Bench();
    expect(await ask(bench)).toEqual({ asks: false, words: "flat (0 B/h)" });
    bench.levelAt = (steady) => (900 + (60 * (steady - START)) / HOUR) * 1024 ** 2;
    expect(await ask(bench)).toEqual({ asks: true, words: "+60 MiB/h, limit in 2.1 h" });
    bench.levelAt = (steady) => (500 + (38 * (steady - START)) / HOUR) * 1024 ** 2;
    expect(await ask(bench)).toEqual({ asks: false, words: "+38 MiB/h, limit in 14 h" });
  });

  it("nobody knows without evidence", async () => {
    const bench = new Bench();
    bench.ageMs = HOUR;
    expect(await ask(bench)).toEqual({
      unknown: "the newest sample is 3600 s old; at most 10 s is fresh",
    });
    bench.isDown = true;
    expect(await ask(bench)).toEqual({ unknown: "connection refused" });
  });
});
