/** Rehearsing on virtual time: what is asked and what never is, that it ends in time and runs once, what is remembered, and the probe of every hour. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Plan } from "../../src/core/plan.ts";
import { isGood, problemsOf, type Rehearsal } from "../../src/core/rehearsal.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { OFF, type Setting, toWire } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import {
  type FlagRehearsal,
  type Flags,
  type Log,
  type Metrics,
  OutsideFault,
  type Service,
} from "../../src/engine/ports.ts";
import { Reach } from "../../src/engine/reach.ts";
import { ReadinessProbe } from "../../src/engine/readiness-probe.ts";
import { Rehearsals } from "../../src/engine/rehearse.ts";
import { MONDAY, Walk } from "../core/walk.ts";
import { atRest, ManualClock } from "../support/manual-clock.ts";
import { plainFlags } from "../support/plain-flags.ts";
import { flag, flags, planOf, stage } from "../support/plans.ts";

const NAMES = ["a", "b", "c"];
const PLAN: Plan = planOf({
  flags: flags(...NAMES.map((name) => flag(name)), flag("unused")),
  stages: NAMES.map((name, index) => stage(name, index * HOUR)),
});
const WELL: FlagRehearsal = { readMs: 2, writeMs: 3, problems: [], warnings: [] };
const UP = { kind: "body", body: { status: "success", data: { resultType: "vector", result: [] } } } as const;

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

/** A flag system, a service and a Prometheus, each of which a test can make misbehave; and the journal's small values. */
class Bench {
  readonly clock = new ManualClock(MONDAY);
  readonly meta = new Map<string, string>();
  readonly shelf: Rehearsal[] = [];
  readonly rehearsed: string[] = [];
  readonly warned: string[] = [];
  readonly settings = new Map<string, Setting>(NAMES.map((name) => [name, OFF]));
  /** How many flags are rehearsed at this moment, and the most there were. */
  atOnce = 0;
  mostAtOnce = 0;
  written = 0;
  takesMs = 0;
  rehearse: (name: string) => Promise<FlagRehearsal> = async () => WELL;
  view: (() => Promise<Readonly<Record<string, string>>>) | undefined = async () => this.literals();
  metrics: Metrics["query"] = async () => UP;
  isJournalGone = false;
  lever: Flags | undefined;

  readonly log: Log = {
    info: () => undefined,
    error: () => undefined,
    warn: (message) => void this.warned.push(message),
  };

  literals(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      Object.values(PLAN.flags).map((one) => [
        one.name,
        toWire(one, this.settings.get(one.name) ?? OFF).value,
      ]),
    );
  }

  service(): Service {
    const { lever } = this;
    return {
      readEveryMs: SECOND,
      flags: {
        ...plainFlags({
          read: async (asked) =>
            Object.fromEntries(
              asked.flatMap(({ name }) => {
                const setting = this.settings.get(name);
                return setting === undefined ? [] : [[name, { setting, version: "1", effective: true }]];
              }),
            ),
          write: async () => {
            this.written++;
            return {};
          },
        }),
        rehearse: async ({ name }) => {
          this.rehearsed.push(name);
          this.atOnce++;
          this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
          if (this.takesMs > 0)
            await new Promise<void>((resolve) => void this.clock.after(this.takesMs, resolve));
          return this.rehearse(name).finally(() => this.atOnce--);
        },
      },
      metrics: { query: (promql, at) => this.metrics(promql, at), queryRange: () => never() },
      ...(this.view === undefined ? {} : { view: { read: () => this.view?.() ?? never() } }),
      ...(lever === undefined ? {} : { lever }),
    };
  }

  /** What a Belay that has just been started knows of rehearsals. */
  rehearsals(): Rehearsals {
    const gone = (): void => {
      if (this.isJournalGone) throw new OutsideFault("journal: gone", { recoverable: true });
    };
    return new Rehearsals({
      clock: this.clock,
      ids: { hash: (text) => `h${text.length}` },
      log: this.log,
      journal: {
        meta: async (key) => {
          gone();
          return this.meta.get(key);
        },
        setMeta: async (key, value) => {
          gone();
          this.meta.set(key, value);
        },
      },
      connect: () => this.service(),
      rehearsalShelf: { save: async (rehearsal) => void this.shelf.push(rehearsal) },
    });
  }

  /** The outcome of a rehearsal, and the ms that it took; fails when it has not ended after 12 s. */
  async run(plan = PLAN, observes = false): Promise<Rehearsal> {
    let ended: Rehearsal | undefined;
    void this.rehearsals()
      .rehearse(plan, { observes })
      .then((one) => {
        ended = one;
      });
    for (let ms = 0; ended === undefined && ms < 12_000; ms += 50) await this.clock.advance(50);
    if (ended === undefined) throw new Error("a rehearsal did not end in time");
    return ended;
  }
}

let bench = new Bench();
beforeEach(() => {
  bench = new Bench();
});

describe("a rehearsal", () => {
  it("tries every flag of the stages once, at most eight at a time, and writes nothing itself", async () => {
    bench.takesMs = 100;
    const rehearsal = await bench.run();
    expect(bench.rehearsed.toSorted()).toEqual(NAMES);
    expect(bench.mostAtOnce).toBe(3);
    expect(bench.written).toBe(0);
    expect(isGood(rehearsal)).toBe(true);
    expect(rehearsal).toMatchObject({ rollout: "demo", tookMs: 100, flipMs: 5, observed: false });
    expect(rehearsal.flags.map(({ service }) => service)).toEqual(["agrees", "agrees", "agrees"]);
  });

  it("of twenty flags is done in three turns, not in twenty", async () => {
    const many = Array.from({ length: 20 }, (_, index) => `f${index}`);
    for (const name of many) bench.settings.set(name, OFF);
    bench.takesMs = 100;
    const plan = planOf({
      flags: flags(...many.map((name) => flag(name))),
      stages: many.map((name) => stage(name, 0)),
    });
    bench.view = async () => Object.fromEntries(many.map((name) => [name, "false"]));
    const rehearsal = await bench.run(plan);
    expect(bench.mostAtOnce).toBe(8);
    expect(rehearsal.tookMs).toBe(300);
    expect(isGood(rehearsal)).toBe(true);
  });

  it("while Belay observes tries nothing, and still reads, asks the service and Prometheus", async () => {
    const rehearsal = await bench.run(PLAN, true);
    expect(bench.rehearsed).toEqual([]);
    expect(rehearsal).toMatchObject({ observed: true });
    expect(isGood(rehearsal)).toBe(true);
    expect(rehearsal.flipMs).toBeUndefined();
  });

  it.each<[string, Partial<Pick<Bench, "rehearse" | "view" | "metrics" | "settings">>, RegExp]>([
    ["a flag system that hangs", { rehearse: () => never() }, /FEATURE_A.*no answer in 10 s/],
    ["an adapter that throws", { rehearse: () => Promise.reject(new Error("boom")) }, /would fail: boom/],
    [
      "a service that hangs",
      { view: () => never() },
      /svc does not say how its flags are.*no answer in 10 s/,
    ],
    [
      "a service that is gone",
      { view: () => Promise.reject(new Error("refused")) },
      /svc does not say.*refused/,
    ],
    ["a Prometheus that hangs", { metrics: () => never() }, /Prometheus does not answer.*no answer in 10 s/],
    [
      "a Prometheus that is down",
      { metrics: async () => ({ kind: "down", reason: "refused", detail: "connection refused" }) },
      /Prometheus does not answer.*connection refused/,
    ],
    [
      "a Prometheus that talks nonsense",
      { metrics: async () => ({ kind: "body", body: "<html>" }) },
      /Prometheus does not answer/,
    ],
    ["a flag that is gone", { settings: new Map([["a", OFF]]) }, /FEATURE_B.*is not in the flag system/],
  ])("over %s ends in time and says so", async (_what, spoiled, says) => {
    Object.assign(bench, spoiled);
    const rehearsal = await bench.run();
    expect(rehearsal.tookMs).toBeLessThanOrEqual(10 * SECOND);
    expect(problemsOf(rehearsal).join("\n")).toMatch(says);
  });

  it("waits for a service that is only a little behind, and not for one that does not follow", async () => {
    bench.settings.set("a", { kind: "on" });
    const behind = { ...bench.literals(), a: "false" };
    bench.view = async () => (bench.clock.now().steady < SECOND ? behind : bench.literals());
    expect(problemsOf(await bench.run())).toEqual([]);
    bench.view = async () => behind;
    const from = bench.clock.now().steady;
    expect(problemsOf(await bench.run())).toEqual([
      "the service works with FEATURE_A = false while the flag system says ON: a rollback might not reach it",
    ]);
    expect(bench.clock.now().steady - from).toBeLessThanOrEqual(4 * SECOND);
  });

  it("tries the second lever too, and its trouble stops no start", async () => {
    const bad = { ...WELL, problems: ["/kill does not exist"] };
    bench.lever = {
      ...plainFlags({ read: async () => ({}), write: async () => ({}) }),
      rehearse: async () => bad,
    };
    const rehearsal = await bench.run();
    expect(isGood(rehearsal)).toBe(true);
    expect(rehearsal.warnings).toEqual(["the second lever would not work: /kill does not exist"]);
  });

  it("runs once for all who ask meanwhile", async () => {
    bench.takesMs = 200;
    const rehearsals = bench.rehearsals();
    const all = Promise.all([
      rehearsals.rehearse(PLAN),
      rehearsals.rehearse(PLAN),
      rehearsals.rehearse(PLAN),
    ]);
    await bench.clock.advance(500);
    expect(new Set(await all).size).toBe(1);
    expect(bench.rehearsed).toHaveLength(3);
    void rehearsals.rehearse(PLAN);
    await bench.clock.advance(500);
    expect(bench.rehearsed).toHaveLength(6);
  });
});

describe("what is remembered", () => {
  const readings = {};

  it("outlives a restart, for starts and for bounds, and lies beside the journal", async () => {
    const rehearsal = await bench.run();
    await atRest();
    expect(bench.shelf).toEqual([rehearsal]);
    const other = bench.rehearsals();
    expect(await other.newest("demo")).toEqual(rehearsal);
    expect(await other.fresh(PLAN, readings)).toEqual(rehearsal);
    expect(await other.measured(PLAN)).toEqual({ flipMs: 5, wall: rehearsal.wall });
    await bench.clock.advance(10 * MINUTE + 1);
    expect(await other.fresh(PLAN, readings)).toBeUndefined();
    expect(await other.measured(PLAN)).toBeDefined();
  });

  it.each<[string, () => unknown]>([
    ["nothing", () => bench.meta.clear()],
    ["half a text", () => bench.meta.set("rehearsal:demo", '{"rollout":')],
    ["another shape", () => bench.meta.set("rehearsal:demo", '{"rollout":"demo"}')],
    ["no answer", () => Object.assign(bench, { isJournalGone: true })],
  ])("is none when the journal holds %s", async (_what, spoil) => {
    await bench.run();
    await atRest();
    spoil();
    const other = bench.rehearsals();
    expect(await other.newest("demo")).toBeUndefined();
    expect(await other.fresh(PLAN, readings)).toBeUndefined();
  });

  it("a journal that is gone costs the memory, not the rehearsal", async () => {
    bench.isJournalGone = true;
    expect(isGood(await bench.run())).toBe(true);
    await atRest();
    expect(bench.warned).toEqual(["a rehearsal could not be kept"]);
  });
});

describe("the probe of every hour", () => {
  function probing(state: State, isMoving = () => false) {
    const rehearsals = bench.rehearsals();
    const told: number[] = [];
    const live = { state };
    const probe = new ReadinessProbe({
      clock: bench.clock,
      plan: PLAN,
      state: () => live.state,
      rehearsals,
      isMoving,
      onFound: () => void told.push(bench.clock.now().steady),
    });
    void probe.run();
    return { probe, told, live, rehearsals };
  }

  /** A run whose first stage is on and read back. */
  function soaking(): Walk {
    const walk = new Walk(PLAN).start();
    walk.until("stage_enabled");
    return walk;
  }

  it("comes an hour after the rehearsal of the start, and soon when there is none of this plan", async () => {
    await bench.run();
    await atRest();
    const { probe } = probing(soaking().state);
    await bench.clock.advance(59 * MINUTE);
    expect(bench.rehearsed).toHaveLength(3);
    await bench.clock.advance(2 * MINUTE);
    expect(bench.rehearsed).toHaveLength(6);
    await bench.clock.advance(HOUR);
    expect(bench.rehearsed).toHaveLength(9);
    probe.stop();
    await bench.clock.advance(5 * HOUR);
    expect(bench.rehearsed).toHaveLength(9);
    bench = new Bench();
    probing(soaking().state);
    await bench.clock.advance(MINUTE + SECOND);
    expect(bench.rehearsed).toHaveLength(3);
    bench = new Bench();
    await bench.run({ ...PLAN, unwind: "all" });
    await atRest();
    probing(soaking().state);
    await bench.clock.advance(MINUTE + SECOND);
    expect(bench.rehearsed).toHaveLength(6);
  });

  it("tells what it found twice, once, until it is well again", async () => {
    const { probe, told } = probing(soaking().state);
    bench.rehearse = async () => ({ ...WELL, problems: ["403: the token may not write"] });
    await bench.clock.advance(MINUTE + SECOND);
    expect(probe.found()).toBeUndefined();
    await bench.clock.advance(30 * SECOND);
    expect(probe.found()?.problems).toEqual([
      "a rollback of FEATURE_A, FEATURE_B and FEATURE_C would fail: 403: the token may not write",
    ]);
    await bench.clock.advance(3 * HOUR);
    expect(told).toHaveLength(1);
    bench.rehearse = async () => WELL;
    await bench.clock.advance(HOUR);
    expect(probe.found()).toBeUndefined();
    expect(told).toHaveLength(2);
  });

  it("says nothing of a moment's trouble, nor of a service or a Prometheus that is away", async () => {
    const { probe, told } = probing(soaking().state);
    let calls = 0;
    bench.rehearse = async () => (++calls <= 3 ? { ...WELL, problems: ["503"] } : WELL);
    await bench.clock.advance(2 * HOUR);
    bench.view = async () => {
      throw new Error("refused");
    };
    bench.metrics = () => never();
    await bench.clock.advance(2 * HOUR);
    expect(calls).toBeGreaterThan(9);
    expect(told).toEqual([]);
    expect(probe.found()).toBeUndefined();
  });

  it("never runs beside flips: not while one is under way or about to be, nor while going back", async () => {
    const walk = new Walk(PLAN).start();
    walk.until("stage_started");
    let moves = true;
    const { live } = probing(walk.state, () => moves);
    await bench.clock.advance(2 * HOUR);
    expect(bench.rehearsed).toEqual([]);
    walk.until("stage_enabled");
    live.state = walk.state;
    await bench.clock.advance(HOUR);
    expect(bench.rehearsed).toEqual([]);
    walk.ask({ kind: "rollback", to: -1 });
    live.state = walk.state;
    moves = false;
    await bench.clock.advance(HOUR);
    expect(bench.rehearsed).toEqual([]);
    live.state = soaking().state;
    await bench.clock.advance(MINUTE);
    expect(bench.rehearsed).toHaveLength(3);
  });

  it("leaves a rollout alone that only observes", async () => {
    probing({ ...soaking().state, mode: "observe" });
    await bench.clock.advance(3 * HOUR);
    expect(bench.rehearsed).toEqual([]);
  });
});

describe("what tokens may do besides", () => {
  const quiet = plainFlags({ read: async () => ({}), write: async () => ({}) });
  const plans = [PLAN, { ...PLAN, rollout: "other", source: "second" }];

  function reaching(flagsOf: (plan: Plan) => Flags): Reach {
    return new Reach({
      clock: bench.clock,
      log: bench.log,
      connect: (plan) => ({ flags: flagsOf(plan) }),
    });
  }

  it("is asked once of each flag system, logged once, and told with its file", async () => {
    let asked = 0;
    const shared = {
      ...quiet,
      reach: async () => {
        asked++;
        return ["the token may delete flags"];
      },
    };
    const reach = reaching(() => shared);
    await reach.ask(plans);
    expect(reach.warnings()).toEqual(["flags/demo, second: the token may delete flags"]);
    await reach.ask(plans);
    expect(asked).toBe(2);
    expect(bench.warned).toEqual(["flags/demo, second: the token may delete flags"]);
    await reach.ask([]);
    expect(reach.warnings()).toEqual([]);
  });

  it("is not known of one that hangs, throws or cannot be opened; the others are told", async () => {
    const third = { ...PLAN, rollout: "third", source: "third" };
    const reach = reaching(({ source }) => {
      if (source === "third") throw new OutsideFault("no token", { recoverable: false });
      return {
        ...quiet,
        reach: () => (source === "second" ? never() : Promise.resolve(["it may touch staging"])),
      };
    });
    const done = reach.ask([...plans, third]);
    await bench.clock.advance(16 * SECOND);
    await done;
    expect(reach.warnings()).toEqual(["flags/demo: it may touch staging"]);
    expect(bench.warned).toHaveLength(3);
  });
});
