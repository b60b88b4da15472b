/** Alerts at a rollout: only what began after the flip takes it back, each flip once; a storm holds; silence of the source is blindness; none ever enables. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { AlertView } from "../../src/core/alerts/view.ts";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { alertEffect } from "../../src/core/rollout/on-alert.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { ANA, BEN, baseline, flag, flags, percents, planOf, review, stage } from "../support/plans.ts";
import { replay } from "./promises.ts";
import { SITUATIONS } from "./situations.ts";
import { Walk } from "./walk.ts";

const PLAN: Partial<Plan> = { rollbackOn: [{ labels: { alertname: ["HighErrorRate"] } }] };

function firing(startsAt: number, extra: Partial<IncomingAlert> = {}): IncomingAlert {
  const fingerprint = extra.fingerprint ?? "f00d";
  return {
    key: `${fingerprint}@${startsAt}`,
    fingerprint,
    status: "firing",
    startsAt,
    labels: { alertname: "HighErrorRate", service: "svc", environment: "production" },
    annotations: {},
    ...extra,
  };
}

/** A walk on which the stages up to `index` are on and that one soaks. */
function soaking(index: number, extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf({ ...PLAN, ...extra })).start();
  while (walk.state.stages[index]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

function tell(walk: Walk, ...firings: readonly IncomingAlert[]): void {
  walk.alerts = { firings: [...(walk.alerts?.firings ?? []), ...firings] };
  walk.settle();
}

const flipped = (walk: Walk, index: number): number => walk.state.stages[index]?.flippedWall ?? Number.NaN;
const rollbacks = (walk: Walk): readonly RolloutEvent[] =>
  walk.log.map((one) => one.event).filter((event) => event.kind === "rollback_started");

describe("an alert that began after the flip", () => {
  it("takes the newest stage back at once, and says since when that was live", () => {
    const walk = soaking(2);
    walk.pass(7 * MINUTE);
    const startsAt = flipped(walk, 2) + 7 * MINUTE;
    tell(walk, firing(startsAt, { annotations: { summary: "p99 is\r\n5 s\u001b[31m" } }));
    expect(walk.last("rollback_started")).toMatchObject({
      to: 1,
      stages: [2],
      by: { kind: "belay" },
      cause: {
        kind: "alert",
        alert: `f00d@${startsAt}`,
        name: "HighErrorRate",
        detail: "7 min after c went live: p99 is 5 s [31m",
        startsAt,
        sinceFlipMs: 7 * MINUTE,
      },
    });
    expect(walk.setting("c").kind).toBe("off");
    expect(walk.setting("b").kind).toBe("on");
  });

  it("does so too while the rollout is held, blind, enabling or in review", () => {
    const walks = [soaking(1), soaking(1), SITUATIONS.enabling(), new Walk(planOf())];
    const [held, blind, enabling] = walks;
    held?.ask({ kind: "hold", because: "lunch" });
    blind?.says.set("failures", "nan");
    blind?.until("held");
    const reviewed = new Walk(planOf({ stages: [stage("a", 0), review(20 * MINUTE)] })).start();
    reviewed.until("review_opened");
    for (const walk of [held, blind, enabling, reviewed]) {
      if (walk === undefined) throw new Error("no walk");
      walk.pass(SECOND);
      tell(walk, firing(walk.wall));
      expect(walk.last("rollback_started")?.cause.kind).toBe("alert");
    }
  });

  it("counts from the newest substage", () => {
    const walk = new Walk(planOf({ ...PLAN, stages: [percents("a", 0, [10, 50])] })).start();
    while (walk.state.stages[0]?.substage !== 1) walk.until("stage_enabled");
    const first = walk.state.stages[0]?.startedWall ?? 0;
    expect(flipped(walk, 0)).toBeGreaterThan(first);
    tell(walk, firing(first + 1));
    expect(rollbacks(walk)).toEqual([]);
    walk.pass(MINUTE);
    tell(walk, firing(flipped(walk, 0) + 30 * SECOND));
    expect(walk.last("rollback_started")?.cause).toMatchObject({ sinceFlipMs: 30 * SECOND });
  });

  it("acts although it was resolved before anybody looked, and its end cancels nothing", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    tell(walk, firing(walk.wall - SECOND, { status: "resolved", endsAt: walk.wall }));
    walk.until("rollback_off");
    expect(walk.setting("c").kind).toBe("off");
  });

  it("is the earliest one when several do, whatever their order", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    const late = firing(walk.wall, { fingerprint: "b" });
    const early = firing(walk.wall - SECOND, { fingerprint: "c" });
    const same = firing(walk.wall - SECOND, { fingerprint: "a" });
    tell(walk, late, early, same);
    expect(walk.last("rollback_started")?.cause).toMatchObject({ alert: same.key });
  });
});

describe("an alert changes nothing", () => {
  it.each([
    ["when it began before the flip", -1],
    ["when it began at the flip", 0],
  ])("%s", (_, afterMs) => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    tell(walk, firing(flipped(walk, 2) + afterMs));
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toEqual([]);
    expect(walk.state.holds).toEqual([]);
  });

  it("while it has not begun by our clock, and acts when it has", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    tell(walk, firing(walk.wall + 3 * MINUTE));
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toEqual([]);
    walk.pass(MINUTE + SECOND);
    expect(rollbacks(walk)).toHaveLength(1);
  });

  it("before anything is on, at a baseline, and when the rollout has ended", () => {
    const plan = { ...PLAN, stages: [baseline(0, ["a"]), stage("a", HOUR)] };
    const waiting = new Walk(planOf(plan)).start({ delayMs: HOUR });
    const atBaseline = new Walk(planOf(plan)).start();
    atBaseline.until("stage_enabled");
    const done = SITUATIONS.completed();
    for (const walk of [waiting, atBaseline, done]) {
      walk.pass(MINUTE);
      tell(walk, firing(walk.wall));
      expect(rollbacks(walk)).toEqual([]);
    }
  });

  it("when a baseline is newer than what is on", () => {
    const stages = [stage("a", 0), baseline(20 * MINUTE, ["b"]), stage("c", 2 * HOUR)];
    const walk = new Walk(planOf({ ...PLAN, stages })).start();
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.pass(MINUTE);
    tell(walk, firing(walk.wall));
    expect(rollbacks(walk)).toEqual([]);
  });

  it("while flags go back, while the look lasts, or if it began before that was over", () => {
    const walk = soaking(2);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.pass(SECOND);
    tell(walk, firing(walk.wall));
    const looked = walk.until("recovered");
    walk.ask({ kind: "resume" });
    tell(walk, firing(looked.wall, { fingerprint: "b" }));
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    tell(walk, firing(looked.wall + SECOND, { fingerprint: "c" }));
    expect(rollbacks(walk)).toHaveLength(2);
    expect(walk.last("rollback_started")).toMatchObject({ stages: [1], cause: { kind: "alert" } });
  });

  it("when it took a stage back before, even if its clock runs ahead of ours", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    const ahead = firing(walk.wall + 60 * SECOND);
    tell(walk, ahead);
    walk.until("recovered");
    expect(walk.state.alerts?.settledWall).toBeLessThanOrEqual(ahead.startsAt);
    walk.pass(5 * MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    expect(alertEffect(walk.plan, walk.state, ahead, walk.now())).toEqual({
      kind: "none",
      why: "a stage was taken back for it already",
    });
  });

  it("after a look that failed, until a person has resumed; an alert from after that acts again", () => {
    const walk = soaking(2);
    walk.says.set("failures", 0.5);
    walk.until("look_failed");
    walk.pass(SECOND);
    const before = firing(walk.wall, { fingerprint: "b" });
    tell(walk, before);
    walk.says.set("failures", 0);
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    walk.ask({ kind: "resume" });
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    tell(walk, firing(walk.wall, { fingerprint: "c" }));
    expect(rollbacks(walk)).toHaveLength(2);
  });
});

describe("once per flip", () => {
  it("a second alert for a flip that was taken back leaves the older stages alone", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    tell(walk, firing(walk.wall - SECOND), firing(walk.wall, { fingerprint: "b" }));
    walk.until("recovered");
    walk.pass(10 * MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    expect(walk.setting("b").kind).toBe("on");
  });

  it("a stage that was enabled anew can be taken back anew", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    tell(walk, firing(walk.wall));
    walk.until("recovered");
    walk.ask({ kind: "unlock", flags: ["c"], because: "fixed" });
    walk.ask({ kind: "resume" });
    walk.until("stage_enabled");
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toHaveLength(1);
    tell(walk, firing(walk.wall));
    expect(rollbacks(walk)).toHaveLength(2);
    expect(walk.state.alerts?.tookBack).toHaveLength(2);
  });

  it("what only people may take back is held and paged, once for each alert that is new after they resumed", () => {
    const defs = flags(flag("a"), flag("b"), flag("c", { undo: "data" }));
    const walk = soaking(2, { flags: defs });
    walk.pass(2 * MINUTE);
    tell(walk, firing(walk.wall), firing(walk.wall, { fingerprint: "b" }));
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toEqual([]);
    expect(hasHold(walk.state, "undo_by_hand")).toBe(true);
    expect(walk.last("paged")?.summary).toBe(
      "demo: alert HighErrorRate fired 2 min after c went live. c can only be taken back by a person",
    );
    walk.ask({ kind: "resume" });
    walk.pass(MINUTE);
    expect(walk.kinds().filter((kind) => kind === "paged")).toHaveLength(1);
    expect(walk.state.holds).toEqual([]);
    tell(walk, firing(walk.wall, { fingerprint: "c" }));
    expect(hasHold(walk.state, "undo_by_hand")).toBe(true);
  });
});

describe("a storm", () => {
  const storm = (walk: Walk, since = walk.steady): AlertView => ({
    firings: [firing(walk.wall)],
    storm: { services: ["checkout", "svc"], since },
  });

  it("holds, takes nothing back, and leaves guards their say", () => {
    const walk = soaking(2);
    walk.pass(MINUTE);
    walk.alerts = storm(walk);
    walk.pass(MINUTE);
    expect(rollbacks(walk)).toEqual([]);
    expect(walk.state.holds).toMatchObject([
      {
        reason: "alert_storm",
        detail:
          "alerts of checkout and svc within a minute: look for a common cause; no alert rolls back meanwhile, guards still do",
      },
    ]);
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.cause.kind).toBe("breach");
  });

  it("holds once: after a person resumed it does not hold again, a new storm does", () => {
    const walk = soaking(2);
    walk.alerts = storm(walk);
    walk.settle();
    const first = walk.steady;
    walk.pass(SECOND);
    walk.ask({ kind: "resume" });
    walk.pass(10 * SECOND);
    expect(walk.state.holds).toEqual([]);
    walk.alerts = storm(walk, walk.steady);
    walk.settle();
    expect(hasHold(walk.state, "alert_storm")).toBe(true);
    expect(walk.state.alerts?.stormAt).toBeGreaterThan(first);
  });

  it("stays held when it is over, but an alert from after it acts", () => {
    const walk = soaking(2);
    walk.alerts = storm(walk);
    walk.settle();
    walk.alerts = { firings: [] };
    walk.pass(2 * MINUTE);
    expect(hasHold(walk.state, "alert_storm")).toBe(true);
    tell(walk, firing(walk.wall));
    expect(walk.last("rollback_started")?.cause.kind).toBe("alert");
  });

  it("names a few services and counts the rest", () => {
    const walk = soaking(2);
    walk.alerts = { firings: [], storm: { services: ["a", "b", "c", "d", "e", "f"], since: walk.steady } };
    walk.settle();
    expect(walk.state.holds[0]?.detail).toContain("alerts of a, b, c, d and 2 more within a minute");
  });
});

describe("a source of alerts that is silent", () => {
  it("is blindness at once, pages later, and ends by itself", () => {
    const walk = soaking(1);
    walk.alerts = { firings: [], blind: "the alert Watchdog does not fire" };
    walk.pass(SECOND);
    expect(walk.state.holds).toMatchObject([
      { reason: "blind", detail: "alerts (the alert Watchdog does not fire)" },
    ]);
    walk.pass(5 * MINUTE);
    expect(walk.last("paged")?.summary).toContain("blind for 5 min: alerts (the alert Watchdog");
    walk.alerts = { firings: [], isUnasked: true };
    walk.pass(MINUTE);
    expect(hasHold(walk.state, "blind")).toBe(true);
    walk.alerts = { firings: [] };
    walk.pass(SECOND);
    expect(walk.state.holds).toEqual([]);
  });

  it("does not keep a known alert from acting", () => {
    const walk = soaking(1);
    walk.pass(SECOND);
    walk.alerts = { firings: [firing(walk.wall)], blind: "Alertmanager has not answered for 1 min" };
    walk.settle();
    expect(walk.last("rollback_started")?.cause.kind).toBe("alert");
  });
});

describe("the message of a rollback by an alert", () => {
  it("says which alert fired when and how long after the flip, and which others fire", () => {
    const walk = soaking(2);
    walk.pass(7 * MINUTE);
    const one = firing(walk.wall);
    const names = ["A", "B", "C", "D", "E"];
    const others = names.map((name, index) =>
      firing(walk.wall + 1 + index, { fingerprint: name, labels: { ...one.labels, alertname: name } }),
    );
    tell(walk, one, ...others);
    walk.until("rollback_confirmed");
    const seq = walk.log.findLast(({ event }) => event.kind === "rollback_started")?.seq ?? 0;
    const told = { plan: walk.plan, state: walk.state, world: walk.world(), figures: {}, now: walk.now() };
    const alert = alertOf({ ...told, events: walk.log }, "rollback", seq);
    const parts = (label: string): unknown => alert?.lines.find((line) => line.label === label)?.parts;
    expect(parts("Why")).toEqual([
      "alert HighErrorRate fired ",
      { wall: one.startsAt },
      ", 7 min after c went live",
    ]);
    expect(parts("Who")).toEqual(["Belay (alert HighErrorRate)"]);
    expect(JSON.stringify(parts("Now"))).toContain(
      " · HighErrorRate still fires · also firing: A, B, C and 2 more",
    );
    expect(alert?.summary).toContain("alert HighErrorRate fired 7 min after c went live");
    walk.until("recovered");
    expect(walk.state.latched["c"]?.because).toBe("alert HighErrorRate fired 7 min after c went live");
  });
});

describe("whatever alerts come", () => {
  interface Told {
    readonly atS: number;
    readonly aheadS: number;
    readonly fingerprint: string;
    readonly status: "firing" | "resolved";
  }
  const told: fc.Arbitrary<Told> = fc.record({
    atS: fc.integer({ min: 0, max: 3_600 }),
    aheadS: fc.integer({ min: -1_200, max: 120 }),
    fingerprint: fc.constantFrom("a", "b", "c"),
    status: fc.constantFrom("firing", "resolved"),
  });

  it("none enables, each takes back at most one stage, each flip goes back by an alert at most once, and the events alone give the state", () => {
    fc.assert(
      fc.property(
        fc.array(told, { maxLength: 6 }),
        fc.array(fc.integer({ min: 0, max: 3_600 }), { maxLength: 2 }),
        fc.constantFrom("newest" as const, "gradual" as const, "all" as const),
        (alerts, storms, unwind) => {
          const walk = new Walk(planOf({ ...PLAN, unwind })).start();
          const firings: IncomingAlert[] = [];
          for (let second = 0; second <= 3_600; second += 30) {
            for (const one of alerts.filter(({ atS }) => atS >= second && atS < second + 30))
              firings.push(firing(walk.wall + one.aheadS * SECOND, one));
            const stormed = storms.some((at) => at >= second - 60 && at <= second);
            const storm = { services: ["svc", "x"], since: walk.steady - (walk.steady % (60 * SECOND)) };
            walk.alerts = { firings: [...firings], ...(stormed ? { storm } : {}) };
            if (second % 600 === 0 && walk.state.holds.length > 0) walk.ask({ kind: "resume" });
            walk.pass(30 * SECOND, 10 * SECOND);
          }
          checkAll(walk, firings);
        },
      ),
      { numRuns: 60 },
    );
  });

  function checkAll(walk: Walk, firings: readonly IncomingAlert[]): void {
    const flips = new Map<number, number>();
    const used = new Set<string>();
    let wall = 0;
    for (const recorded of walk.log) {
      const { event } = recorded;
      if (event.kind === "stage_started") wall = recorded.wall;
      if (event.kind === "stage_started") flips.set(event.stage, recorded.wall);
      if (event.kind !== "rollback_started" || event.cause.kind !== "alert") continue;
      expect(event.stages).toHaveLength(1);
      const flip = flips.get(event.stages[0] ?? -1) ?? Number.NaN;
      expect(event.cause.startsAt).toBeGreaterThan(flip);
      expect(firings.map((one) => one.key)).toContain(event.cause.alert);
      expect(used).not.toContain(event.cause.alert);
      used.add(event.cause.alert);
      flips.delete(event.stages[0] ?? -1);
    }
    expect(wall).toBeGreaterThan(0);
    expect(replay(walk.plan, walk.log)).toEqual(walk.state);
    expect([ANA, BEN]).toContain(walk.state.startedBy);
  }
});
