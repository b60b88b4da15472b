/** Probes: when one fails, recovers, flaps or is blind, and when its target is restarted; tables, and whatever checks may come. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BELAY } from "../../src/core/event.ts";
import { statusLine } from "../../src/core/report/health-status.ts";
import {
  degradedPost,
  failurePost,
  pageSummary,
  probeEventInWords,
  recoveryInWords,
} from "../../src/core/report/health-words.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { Probe, WatchPlan, WatchTarget } from "../../src/core/watch/plan.ts";
import {
  evolveProbe,
  isOpenProbe,
  newProbe,
  type ProbeEvent,
  type ProbeState,
} from "../../src/core/watch/probe.ts";
import { CIRCUIT_CLOSES_AFTER_MS, decideProbe, FLAPPING } from "../../src/core/watch/probe-decide.ts";
import {
  ALL_COUNT,
  type Checked,
  NO_CHECKS,
  type Row,
  rowAfter,
  rowAfterRestart,
} from "../../src/core/watch/probe-row.ts";
import {
  backoffAfter,
  countingFor,
  decideRestart,
  restartStarted,
  spentOf,
  targetFacts,
} from "../../src/core/watch/restart.ts";
import { ANA } from "../support/plans.ts";

const WALL = Date.UTC(2026, 10, 23, 12, 0, 0);
const TARGET: WatchTarget = {
  name: "ollama",
  replicas: [{ kind: "unit", restart: "ollama.service" }],
  upWithinMs: 20 * SECOND,
};
const PROBE: Probe = {
  name: "api",
  check: { kind: "http", url: "http://127.0.0.1:1/", status: { from: 200, to: 299 } },
  intervalMs: MINUTE,
  timeoutMs: 5 * SECOND,
  fail: 3,
  ok: 2,
  restart: "ollama",
  page: "P1",
  degraded: "Answers come slowly.",
  recoverWithinMs: 5 * MINUTE,
  runbook: "ollama-down",
};
const PLAN: WatchPlan = {
  watch: "bots",
  service: "bot-platform",
  environment: "production",
  source: "bot-platform",
  zone: "UTC",
  prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 15 * SECOND },
  probes: [PROBE],
  targets: [TARGET],
  budget: { most: 3, withinMs: 30 * MINUTE },
  jobs: [],
  blackouts: [],
  trends: [],
};

type Kind = Checked["kind"];

/** A probe on a clock of its own, with restarts that take no time or fail. */
class Bench {
  state: ProbeState = newProbe("bots/api", 0);
  row: Row = NO_CHECKS;
  at = 0;
  rolloutStep = false;
  held = false;
  readonly events: { readonly at: number; readonly event: ProbeEvent }[] = [];
  readonly #probe: Probe;
  readonly #restartWorks: boolean;

  constructor(probe: Probe = PROBE, restartWorks = true) {
    this.#probe = probe;
    this.#restartWorks = restartWorks;
  }

  record(event: ProbeEvent): void {
    this.events.push({ at: this.at, event });
    const recorded = { seq: this.state.revision + 1, at: this.at, wall: WALL + this.at, event };
    this.state = evolveProbe(this.state, recorded);
  }

  facts() {
    const target = targetFacts(TARGET, [this.state], this.held);
    return {
      rolloutStep: this.rolloutStep,
      restartInHand: this.held,
      target: this.#probe.restart === undefined ? undefined : target,
    };
  }

  /** One check at the time that it is now; then everything that is due. */
  check(kind: Kind, tookMs = 0): this {
    const checked: Checked = { kind, began: this.at, at: this.at + tookMs, detail: `${kind} at ${this.at}` };
    this.at += tookMs;
    this.row = rowAfter(this.row, checked, countingFor(this.facts().target, this.held));
    return this.decide();
  }

  decide(): this {
    for (let round = 0; round < 20; round++) {
      const now = { steady: this.at, wall: WALL + this.at };
      const events = decideProbe(PLAN, this.#probe, this.state, this.row, this.facts(), now);
      if (events.length === 0) return this;
      for (const event of events) this.record(event);
      if (this.state.restarting !== undefined && !this.held) this.#restart();
    }
    throw new Error("it never comes to rest");
  }

  wait(ms: number): this {
    this.at += ms;
    return this;
  }

  checks(...kinds: readonly Kind[]): this {
    for (const kind of kinds) this.check(kind).wait(this.#probe.intervalMs);
    return this;
  }

  kinds(): readonly string[] {
    return this.events.map(({ event }) => event.kind);
  }

  #restart(): void {
    const { restarting } = this.state;
    if (restarting === undefined) return;
    this.row = rowAfterRestart(this.row);
    const { target, replica, planned } = restarting;
    this.record(
      this.#restartWorks
        ? { kind: "restart_done", target, replica, planned, tookMs: 0 }
        : { kind: "restart_failed", target, replica, planned, detail: "it does not come up" },
    );
    this.row = rowAfterRestart(this.row);
  }
}

const restartsOf = (bench: Bench): readonly number[] =>
  bench.events.flatMap(({ at, event }) => (event.kind === "restart_started" ? [at] : []));

describe("the row", () => {
  it.each<[string, readonly Kind[], number, number]>([
    ["good ones", ["ok", "ok"], 0, 2],
    ["bad ones", ["bad", "bad", "bad"], 3, 0],
    ["a good one resets the bad", ["bad", "bad", "ok"], 0, 1],
    ["a bad one resets the good", ["ok", "bad"], 1, 0],
    ["unknown neither counts nor resets", ["bad", "unknown", "unknown", "bad"], 2, 0],
    ["unknown alone is nothing", ["unknown"], 0, 0],
  ])("%s", (_, kinds, bad, good) => {
    const row = kinds.reduce<Row>(
      (known, kind, index) => rowAfter(known, { kind, began: index, at: index, detail: "" }, ALL_COUNT),
      NO_CHECKS,
    );
    expect(row).toMatchObject({ bad, good });
  });

  it("dates the failure from the beginning of the first bad check", () => {
    const checked = (kind: Kind, began: number): Checked => ({ kind, began, at: began + 5, detail: "" });
    const row = rowAfter(rowAfter(NO_CHECKS, checked("bad", 10), ALL_COUNT), checked("bad", 70), ALL_COUNT);
    expect(row.firstBadAt).toBe(10);
    expect(rowAfter(row, checked("ok", 130), ALL_COUNT).firstBadAt).toBeUndefined();
  });
});

describe("failing and recovering", () => {
  it("fails after three bad checks in a row and not before, and restarts its target at once", () => {
    const bench = new Bench().checks("ok", "bad", "bad");
    expect(bench.kinds()).toEqual([]);
    bench.checks("bad");
    expect(bench.kinds()).toEqual(["failing", "restart_started", "restart_done"]);
    expect(bench.state).toMatchObject({ phase: "failing", since: MINUTE, restartsNow: 1 });
  });

  it("recovers after two good checks and says how long it took since the first bad one", () => {
    const bench = new Bench().checks("bad", "bad", "bad", "ok");
    expect(bench.kinds()).not.toContain("recovered");
    bench.check("ok");
    expect(bench.events.at(-1)?.event).toEqual({
      kind: "recovered",
      tookMs: 4 * MINUTE,
      withinMs: 5 * MINUTE,
      restarts: 1,
    });
    expect(bench.state).toMatchObject({ phase: "well", restartsNow: 0 });
    expect(bench.state.detail).toBeUndefined();
  });

  it("does not fail on checks that nobody can judge; after five minutes it says that it is blind", () => {
    const bench = new Bench().checks("unknown", "unknown", "unknown", "unknown", "unknown");
    expect(bench.kinds()).toEqual([]);
    bench.check("unknown");
    expect(bench.kinds()).toEqual(["unknown"]);
    expect(bench.state).toMatchObject({ phase: "well", unknown: { wall: WALL } });
    bench.wait(MINUTE).check("ok");
    expect(bench.kinds()).toEqual(["unknown", "known"]);
  });

  it("asks nothing twice: what holds is not said again", () => {
    const bench = new Bench().checks("bad", "bad", "bad");
    const count = bench.events.length;
    bench.decide().decide();
    expect(bench.events).toHaveLength(count);
  });
});

describe("restarts", () => {
  it("restarts nothing where no target is named", () => {
    const { restart: _, ...probe } = PROBE;
    expect(new Bench(probe).checks("bad", "bad", "bad", "bad").kinds()).toEqual(["failing"]);
  });

  it("waits for the end of a rollout step, then restarts", () => {
    const bench = new Bench();
    bench.rolloutStep = true;
    bench.checks("bad", "bad", "bad", "bad");
    expect(bench.kinds()).toEqual(["failing"]);
    bench.rolloutStep = false;
    expect(bench.decide().kinds()).toEqual(["failing", "restart_started", "restart_done"]);
  });

  it("waits while another replica of the target is being restarted", () => {
    const bench = new Bench();
    bench.checks("bad", "bad", "bad").record(restartStarted(TARGET, 1, { planned: true, by: ANA }, bench.at));
    bench.held = true;
    const before = bench.events.length;
    bench.checks("bad", "bad", "bad", "bad");
    expect(bench.events).toHaveLength(before);
  });

  it("does not restart while it is muted, and does as soon as that is over", () => {
    const bench = new Bench();
    bench.record({ kind: "muted", until: 10 * MINUTE, by: ANA });
    bench.checks("bad", "bad", "bad", "bad");
    expect(bench.kinds()).toEqual(["muted", "failing"]);
    expect(bench.state.episode?.told).toBe(false);
    bench.at = 10 * MINUTE;
    bench.decide();
    expect(bench.kinds().slice(2)).toEqual(["unmuted", "restart_started", "restart_done"]);
    expect(bench.state.episode?.told).toBe(true);
  });

  it("gives what was restarted its time: bad checks count again only when it should be up", () => {
    const probe = { ...PROBE, intervalMs: 5 * SECOND, fail: 2 };
    const bench = new Bench(probe).checks("bad", "bad");
    expect(restartsOf(bench)).toEqual([5 * SECOND]);
    bench.checks("bad", "bad", "bad", "bad");
    // Up by 25 s at the latest: the checks at 10, 15 and 20 s say nothing yet, the one at 25 s does.
    expect(bench.row.bad).toBe(1);
  });

  it("keeps a growing distance, opens the circuit once when the budget is gone, and then restarts no more", () => {
    const probe = { ...PROBE, intervalMs: 10 * SECOND, fail: 1 };
    const bench = new Bench(probe, false);
    for (let check = 0; check < 60; check++) bench.checks("bad");
    const restarts = restartsOf(bench);
    expect(restarts).toEqual([0, MINUTE, 4 * MINUTE]);
    expect(bench.kinds().filter((kind) => kind === "circuit_opened")).toHaveLength(1);
    expect(bench.state.circuitOpen).toBe(true);
    expect([0, 1, 2, 9].map(backoffAfter)).toEqual([0, MINUTE, 3 * MINUTE, 3 * MINUTE]);
  });

  it("closes the circuit by itself after half an hour without trouble, by a person at once and with a new budget", () => {
    const probe = { ...PROBE, intervalMs: 10 * SECOND, fail: 1 };
    const broken = () => {
      const bench = new Bench(probe, false);
      while (!bench.state.circuitOpen) bench.checks("bad");
      return bench;
    };
    const quiet = broken().checks("ok", "ok");
    const well = quiet.state.since;
    quiet.at = well + CIRCUIT_CLOSES_AFTER_MS - 1;
    expect(quiet.decide().state.circuitOpen).toBe(true);
    quiet.at += 1;
    expect(quiet.decide().state.circuitOpen).toBe(false);

    const person = broken();
    person.record({ kind: "circuit_closed", by: ANA });
    const before = restartsOf(person).length;
    person.checks("bad");
    expect(restartsOf(person)).toHaveLength(before + 1);
  });

  it("does not count planned restarts and a person's against the budget, nor one replica after the other as several", () => {
    const two = { ...TARGET, replicas: [...TARGET.replicas, ...TARGET.replicas] };
    let state = newProbe("bots/api", 0);
    const started = [
      restartStarted(two, 0, { planned: true, by: BELAY }, 0),
      restartStarted(two, 0, { planned: false, by: ANA }, 0),
      restartStarted(two, 0, { planned: false, by: BELAY }, 0),
      restartStarted(two, 1, { planned: false, by: BELAY }, 0),
    ];
    for (const event of started)
      state = evolveProbe(state, { seq: state.revision + 1, at: 7, wall: WALL, event });
    expect(state.restarts).toEqual([7]);
  });

  const due = { ...newProbe("bots/api", 0), phase: "failing" as const };
  const bad3: Row = { bad: 3, good: 0, firstBadAt: 0 };
  const free = { ...targetFacts(TARGET, [due], false) };
  it.each<[string, Partial<ProbeState>, Partial<Row>, Partial<typeof free>, boolean, string | undefined]>([
    ["nothing in the way", {}, {}, {}, false, "restart_started"],
    ["it is well", { phase: "well" }, {}, {}, false, undefined],
    ["too few bad checks since the last restart", {}, { bad: 2 }, {}, false, undefined],
    ["muted", { mutedUntil: HOUR }, {}, {}, false, undefined],
    ["flapping", { flapping: true }, {}, {}, false, "restart_started"],
    ["a rollout step", {}, {}, {}, true, undefined],
    ["the target is busy", {}, {}, { busy: true }, false, undefined],
    ["the circuit is open", {}, {}, { circuitOpen: true }, false, undefined],
    ["it should not be up yet", {}, {}, { upBy: 20 * MINUTE + 1 }, false, undefined],
    ["it should be up by now", {}, {}, { upBy: 20 * MINUTE }, false, "restart_started"],
    ["too soon after one", {}, {}, { restarts: [1], endedAt: 19 * MINUTE + 1 }, false, undefined],
    ["long enough after one", {}, {}, { restarts: [1], endedAt: 19 * MINUTE }, false, "restart_started"],
    ["too soon after two", {}, {}, { restarts: [1, 2], endedAt: 17 * MINUTE + 1 }, false, undefined],
    ["the budget is gone", {}, {}, { restarts: [1, 2, 3] }, false, "circuit_opened"],
  ])("when %s", (_, state, row, target, rolloutStep, kind) => {
    const facts = { rolloutStep, target: { ...free, ...target } };
    const event = decideRestart(PLAN, PROBE, { ...due, ...state }, { ...bad3, ...row }, facts, 20 * MINUTE);
    expect(event?.kind).toBe(kind);
  });

  it("counts a restart against the budget for all of its time and not longer", () => {
    const spent = (at: number): number => spentOf([100], PLAN.budget, at);
    expect([100, 100 + 30 * MINUTE, 101 + 30 * MINUTE].map(spent)).toEqual([1, 1, 0]);
  });

  it("counts no check while a restart is under way, good ones from its end, bad ones from when it should be up", () => {
    const never = Number.POSITIVE_INFINITY;
    const facts = { ...free, endedAt: 5, upBy: 9 };
    expect(countingFor(facts, true)).toEqual({ badFrom: never, goodFrom: never });
    expect(countingFor(facts, false)).toEqual({ badFrom: 9, goodFrom: 5 });
    expect(countingFor({ ...facts, upBy: 3 }, false)).toEqual({ badFrom: 5, goodFrom: 5 });
    expect(countingFor(undefined, false)).toEqual(ALL_COUNT);
  });

  it("shares the budget, the circuit and the turn among the probes of one target", () => {
    const open: ProbeState = { ...newProbe("bots/b", 0), circuitOpen: true, restarts: [1, 2], upBy: 9 };
    const busy: ProbeState = {
      ...newProbe("bots/c", 0),
      restarts: [3],
      restartEndedAt: 5,
      restarting: { target: "ollama", replica: 0, since: 3, planned: false, upBy: 9 },
    };
    expect(targetFacts(TARGET, [newProbe("bots/a", 0), open, busy], false)).toEqual({
      target: TARGET,
      busy: true,
      restarts: [1, 2, 3],
      endedAt: 5,
      upBy: 9,
      circuitOpen: true,
    });
  });

  it.each<[string, Kind, number, string | undefined]>([
    ["well again", "ok", MINUTE, "restart_done"],
    ["bad before it should be up", "bad", 15 * SECOND, undefined],
    ["bad after it should be up", "bad", MINUTE, "restart_failed"],
    ["unknown after it should be up", "unknown", MINUTE, "restart_failed"],
    ["only looked at before it began", "ok", -1, undefined],
  ])("a restart cut short by an end of Belay, the probe now %s", (_, kind, afterMs, outcome) => {
    const bench = new Bench();
    bench.checks("bad", "bad", "bad");
    bench.record(restartStarted(TARGET, 0, { planned: false, by: BELAY }, bench.at));
    const left = bench.events.length;
    bench.row = NO_CHECKS;
    bench.wait(afterMs).check(kind);
    expect(bench.events.slice(left).map(({ event }) => event.kind)).toEqual(
      outcome === undefined ? [] : [outcome],
    );
    expect(bench.state.restarts).toHaveLength(2);
  });
});

describe("flapping", () => {
  it("is said once after four changes in half an hour, and its restarts go on until the budget is gone", () => {
    const bench = new Bench({ ...PROBE, fail: 1, ok: 1 });
    bench.checks("bad", "ok", "bad", "ok");
    expect(bench.kinds().filter((kind) => kind === "flapping")).toHaveLength(1);
    expect(restartsOf(bench)).toHaveLength(2);
    const told = bench.state.episode?.seq;
    bench.checks("bad", "bad", "ok", "bad", "bad", "bad", "bad");
    expect(bench.state.flapping).toBe(true);
    expect(restartsOf(bench)).toHaveLength(3);
    expect(bench.kinds()).toContain("circuit_opened");
    expect(bench.kinds().filter((kind) => kind === "flapping")).toHaveLength(1);
    expect(bench.state.episode?.seq).toBe(told);
    bench.at = (bench.state.changes.at(-1) ?? 0) + FLAPPING.withinMs + 1;
    bench.check("bad");
    expect(bench.kinds()).toContain("calm");
  });
});

describe("the state", () => {
  it("is open while anything of it needs an eye, and closed otherwise", () => {
    const bench = new Bench();
    expect(isOpenProbe(bench.state)).toBe(false);
    bench.checks("bad", "bad", "bad");
    expect(isOpenProbe(bench.state)).toBe(true);
    bench.checks("ok", "ok");
    expect(isOpenProbe(bench.state)).toBe(false);
  });

  it("keeps only its story and what restarts count when the probe stands in no file any more", () => {
    const bench = new Bench().checks("bad", "bad", "bad");
    const { restarts, restartEndedAt } = bench.state;
    expect(restarts).toHaveLength(1);
    bench.record({ kind: "retired" });
    expect(bench.state).toMatchObject({
      phase: "well",
      restarts,
      restartEndedAt,
      episode: { retired: true },
    });
    expect(isOpenProbe(bench.state)).toBe(false);
  });
});

const NOW_CHECKS = fc.array(
  fc.record({
    kind: fc.constantFrom<Kind>("ok", "bad", "bad", "bad", "unknown"),
    waitMs: fc.integer({ min: SECOND, max: 4 * MINUTE }),
    step: fc.boolean(),
  }),
  { maxLength: 400 },
);

describe("whatever the checks say", () => {
  it("there are never more restarts in any window than the budget allows, the circuit opens once per exhaustion, and the fold is the state", () => {
    fc.assert(
      fc.property(
        NOW_CHECKS,
        fc.boolean(),
        fc.integer({ min: 1, max: 3 }),
        (checks, restartWorks, failAfter) => {
          const bench = new Bench({ ...PROBE, fail: failAfter, ok: 1 }, restartWorks);
          for (const { kind, waitMs, step } of checks) {
            bench.rolloutStep = step;
            bench.wait(waitMs).check(kind);
          }
          const restarts = restartsOf(bench);
          for (const at of restarts)
            expect(
              restarts.filter((one) => one >= at && one <= at + PLAN.budget.withinMs).length,
            ).toBeLessThanOrEqual(PLAN.budget.most);
          let open = false;
          for (const { event } of bench.events) {
            if (event.kind === "restart_started") expect(open).toBe(false);
            if (event.kind === "circuit_opened") {
              expect(open).toBe(false);
              open = true;
            }
            if (event.kind === "circuit_closed") open = false;
          }
          expect(bench.state.circuitOpen).toBe(open);
        },
      ),
    );
  });

  it("no restart follows another sooner than its distance, none happens in a rollout step or on alternating checks", () => {
    fc.assert(
      fc.property(NOW_CHECKS, (checks) => {
        const bench = new Bench({ ...PROBE, fail: 1, ok: 1 }, false);
        for (const { kind, waitMs, step } of checks) {
          bench.rolloutStep = step;
          const before = bench.events.length;
          bench.wait(waitMs).check(kind);
          const fresh = bench.events.slice(before).map(({ event }) => event.kind);
          if (step) expect(fresh).not.toContain("restart_started");
        }
        const restarts = restartsOf(bench);
        restarts.slice(1).forEach((at, index) => {
          expect(at - (restarts[index] ?? 0)).toBeGreaterThanOrEqual(MINUTE);
        });
      }),
    );
    const alternating = new Bench({ ...PROBE, fail: 2 });
    for (let turn = 0; turn < 100; turn++) alternating.checks("bad", "ok");
    expect(alternating.kinds()).toEqual([]);
  });
});

describe("in words", () => {
  const told = (state: ProbeState) => ({ plan: PLAN, probe: PROBE, state });

  it.each<[number, string]>([
    [192 * SECOND, "recovered in 3 min 12 s (within 5 min)"],
    [300 * SECOND, "recovered in 5 min (within 5 min)"],
    [301 * SECOND, "recovered in 5 min 1 s (late: it should take at most 5 min)"],
  ])("a recovery after %d ms", (tookMs, words) => {
    expect(recoveryInWords(tookMs, 5 * MINUTE)).toBe(words);
  });

  it("one message tells the whole failure: why, since when, restarts, and how it ended", () => {
    const bench = new Bench().checks("bad", "bad", "bad");
    const failing = failurePost(told(bench.state));
    expect(failing?.title).toBe("api fails · bot-platform · production");
    expect(failing?.lines.map(({ label }) => label)).toEqual(["Why", "Since", "Restart", "Next", "Runbook"]);
    expect(failing?.lines[1]?.parts).toEqual([{ wall: WALL }]);
    expect(failing?.offers.map(({ command }) => command)).toEqual([
      "health restart bots/api",
      "health mute bots/api 30m",
    ]);
    const well = failurePost(told(bench.checks("ok", "ok").state));
    expect(well?.title).toBe("api is well again · bot-platform · production");
    expect(well?.summary).toContain("recovered in 4 min (within 5 min)");
    expect(well?.offers).toEqual([]);
  });

  it("users read what it means for them, and then how long it took", () => {
    const bench = new Bench().checks("bad", "bad", "bad");
    expect(degradedPost(told(bench.state))?.summary).toBe("bot-platform is degraded: Answers come slowly.");
    expect(degradedPost(told(bench.checks("ok", "ok").state))?.summary).toBe(
      "bot-platform is back to normal. It took 4 min.",
    );
  });

  it("a page names what fails, what Belay does, and the runbook", () => {
    const bench = new Bench();
    bench.rolloutStep = true;
    const { state } = bench.checks("bad", "bad", "bad");
    expect(pageSummary(told(state), "failing")).toBe(
      "api of bot-platform in production fails: bad at 120000. Belay restarts ollama (restart 1 of the 3 allowed in 30 min); if that is not enough, a person must look. See runbooks/ollama-down.md.",
    );
    expect(pageSummary(told(state), "circuit")).toContain("3 restarts of ollama in 30 min");
  });

  it("every event is one clause", () => {
    const bench = new Bench({ ...PROBE, intervalMs: 10 * SECOND, fail: 1 }, false);
    while (!bench.state.circuitOpen) bench.checks("bad");
    bench.record({ kind: "muted", until: 1, by: ANA, because: "known" });
    const words = bench.events.map(({ event }) => probeEventInWords(event));
    expect(words[0]).toBe("fails: bad at 0");
    expect(words).toContain("Belay restarts ollama");
    expect(words).toContain("the restart of ollama failed: it does not come up");
    expect(words).toContain("no more restarts of ollama: 3 in 30 min were not enough");
    expect(words.at(-1)).toBe("@ana muted it: known");
  });

  it("one line says how it is, since when, its last figure and the restarts left", () => {
    const bench = new Bench().checks("bad", "bad", "bad");
    const now = { steady: bench.at, wall: WALL + bench.at };
    expect(statusLine(told(bench.state), bench.row.last, bench.state.restarts, now)).toBe(
      "bots/api: FAILING since 12:00 UTC (3 min) · bad at 120000 · 2 of 3 restarts left",
    );
  });
});
