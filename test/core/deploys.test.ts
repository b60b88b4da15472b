/** Deploys and restarts inside a soak: one hold for each, a soak that begins anew, restarts of our own told apart, and a rollback that none of it ever delays. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { changeInWords, startsOf, versionsInWords, versionsOf } from "../../src/core/deployed.ts";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Answer } from "../../src/core/measurement.ts";
import type { Plan } from "../../src/core/plan.ts";
import { alertOf } from "../../src/core/report/alert.ts";
import { eventInWords } from "../../src/core/report/words.ts";
import { hasHold } from "../../src/core/rollout/state.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { announce } from "../../src/engine/announce.ts";
import { baseline, percents, planOf, review, SCRAPE_MS, stage } from "../support/plans.ts";
import { replay } from "./promises.ts";
import { SITUATIONS } from "./situations.ts";
import { Walk } from "./walk.ts";

const PLAN: Partial<Plan> = {
  deploys: { version: "build_info", label: "version", started: 'process_start_time_seconds{job="svc"}' },
};

/** What the metrics tell from now on. */
function runs(walk: Walk, versions: readonly string[], startedWall?: number): void {
  walk.service = { versions, startedWall, at: walk.steady };
}

/** Stages up to `index` are on and that one soaks; 1.4.2 runs since an hour before. */
function soaking(index: number, extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf({ ...PLAN, ...extra }));
  runs(walk, ["1.4.2"], walk.wall - HOUR);
  walk.start();
  while (walk.state.stages[index]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

const found = (walk: Walk): readonly RolloutEvent[] =>
  walk.log.map((one) => one.event).filter((event) => event.kind === "deploy_found");
const holds = (walk: Walk): readonly RolloutEvent[] =>
  walk.log
    .map((one) => one.event)
    .filter((event) => event.kind === "held" && event.reason === "unattributed");

describe("inside a soak", () => {
  it("a deploy holds, says what and when, and the soak begins anew from zero after resume", () => {
    const walk = soaking(1);
    walk.pass(4 * MINUTE);
    runs(walk, ["1.5.0"], walk.wall - 3 * SECOND);
    walk.pass(SECOND);
    expect(walk.last("deploy_found")).toMatchObject({
      what: "deploy",
      detail: "1.4.2 -> 1.5.0 was deployed",
      versions: ["1.5.0"],
    });
    expect(walk.last("held")).toMatchObject({
      reason: "unattributed",
      detail: "1.4.2 -> 1.5.0 was deployed 4 min after b went live; resume begins the soak anew",
      by: { kind: "belay" },
    });
    walk.pass(20 * MINUTE);
    expect(walk.state.stages[1]?.status).toBe("soaking");
    expect(walk.ask({ kind: "resume" }).kind).toBe("events");
    const resumed = walk.steady;
    const passed = walk.until("soak_passed");
    expect(passed.at - resumed).toBeGreaterThanOrEqual(10 * MINUTE);
    expect(holds(walk)).toHaveLength(1);
    expect(found(walk)).toHaveLength(1);
  });

  it("a restart does the same, also where versions are not told", () => {
    const walk = soaking(0);
    runs(walk, [], walk.wall - HOUR);
    walk.pass(MINUTE);
    runs(walk, [], walk.wall);
    walk.pass(SECOND);
    expect(walk.last("deploy_found")).toMatchObject({
      what: "restart",
      detail: "a process of svc was restarted",
    });
    expect(hasHold(walk.state, "unattributed")).toBe(true);
  });

  it.each([
    ["a baseline", () => baselineSoak()],
    ["a stage that passed and waits for its time", () => waiting()],
    ["a stage under review", () => reviewed()],
    ["a stage of percentages", () => shares()],
  ])("counts for %s too", (_, make) => {
    const walk = make();
    runs(walk, ["2"]);
    walk.settle();
    expect(holds(walk)).toHaveLength(1);
  });

  it("a stage that had passed soaks again, and an approval from before is void", () => {
    const walk = waiting({
      stages: [stage("a", 0, {}, MINUTE), stage("b", 2 * MINUTE, { approval: { from: "leads" } })],
    });
    walk.until("approval_requested");
    runs(walk, ["2"]);
    walk.settle();
    expect(walk.state.approval).toBeUndefined();
    expect(walk.state.stages[0]).toMatchObject({ status: "soaking", soakedMs: 0 });
    walk.ask({ kind: "resume" });
    const resumed = walk.steady;
    expect(walk.until("approval_requested").at - resumed).toBeGreaterThanOrEqual(MINUTE);
  });

  it("a rolling deploy is one hold, and the rest of it is recorded", () => {
    const walk = soaking(1);
    walk.pass(MINUTE);
    for (const versions of [["1.4.2", "1.5.0"], ["1.5.0"]]) {
      for (let replica = 0; replica < 3; replica++) {
        runs(walk, versions, walk.wall);
        walk.pass(70 * SECOND);
      }
    }
    expect(holds(walk)).toHaveLength(1);
    expect(found(walk).length).toBeGreaterThan(2);
    expect(walk.state.service?.versions).toEqual(["1.5.0"]);
  });

  it("does not hold again for the rest of a rolling deploy after somebody resumed", () => {
    const walk = soaking(1);
    walk.pass(MINUTE);
    runs(walk, ["1.4.2", "1.5.0"], walk.wall);
    walk.pass(MINUTE);
    walk.ask({ kind: "resume" });
    walk.pass(90 * SECOND);
    const before = walk.state.stages[1]?.soakedMs ?? 0;
    expect(before).toBeGreaterThan(0);
    runs(walk, ["1.5.0"], walk.wall);
    walk.pass(SECOND);
    expect(holds(walk)).toHaveLength(1);
    expect(found(walk)).toHaveLength(2);
    expect(walk.state.stages[1]?.soakedMs).toBe(0);
    runs(walk, ["1.6.0"], walk.wall);
    walk.pass(SECOND);
    expect(holds(walk)).toHaveLength(2);
  });

  it("is told by a message with Resume and Roll back, whose buttons further replicas do not make stale", () => {
    const walk = soaking(1);
    runs(walk, ["2"], walk.wall);
    walk.pass(SECOND);
    const held = walk.log.find((one) => one.event.kind === "held");
    if (held === undefined) throw new Error("not held");
    const drafts = announce(walk.plan, undefined, walk.state, [held], "C1");
    expect(drafts.map((one) => one.body)).toContainEqual(
      expect.objectContaining({ kind: "alert", about: "hold", seq: held.seq }),
    );
    const told = {
      plan: walk.plan,
      state: walk.state,
      world: walk.world(),
      figures: {},
      now: walk.now(),
      events: walk.log,
    };
    const alert = alertOf(told, "hold", held.seq);
    expect(alert?.title).toContain("deployed or restarted inside the soak");
    expect(alert?.offers.map((offer) => offer.label)).toEqual(
      expect.arrayContaining(["Resume", "Roll back b"]),
    );
    const { face } = walk.state;
    walk.pass(2 * MINUTE);
    runs(walk, ["2"], walk.wall);
    walk.pass(SECOND);
    expect(found(walk)).toHaveLength(2);
    expect(walk.state.face).toBe(face);
  });

  it("a process that restarts over and over does not fill the journal", () => {
    const walk = soaking(1);
    for (let count = 0; count < 60; count++) {
      runs(walk, ["1.4.2"], walk.wall);
      walk.pass(10 * SECOND);
    }
    expect(holds(walk)).toHaveLength(1);
    expect(found(walk).length).toBeLessThanOrEqual(11);
    walk.ask({ kind: "resume" });
    walk.pass(MINUTE);
    expect(hasHold(walk.state, "unattributed")).toBe(false);
  });
});

describe("no hold", () => {
  it("without the entry, without data, and while the same service runs on", () => {
    const walk = soaking(0, { deploys: undefined as never });
    runs(walk, ["2"], walk.wall);
    walk.pass(MINUTE);
    expect(found(walk)).toEqual([]);
    const other = soaking(0);
    other.service = undefined;
    other.pass(MINUTE);
    runs(other, []);
    other.pass(MINUTE);
    runs(other, ["1.4.2"], other.wall - 2 * HOUR);
    other.pass(MINUTE);
    expect(found(other)).toEqual([]);
  });

  it("when one replica's scrape is missing for a while: what is known does not come anew", () => {
    const walk = soaking(0);
    runs(walk, ["1.4.2", "1.4.3"]);
    walk.pass(SECOND);
    walk.ask({ kind: "resume" });
    const before = holds(walk).length;
    for (const versions of [["1.4.2"], [], ["1.4.2"]]) {
      runs(walk, versions);
      walk.pass(30 * SECOND);
    }
    expect(holds(walk)).toHaveLength(before);
  });

  it("for what is first seen in the middle of a soak", () => {
    const walk = new Walk(planOf(PLAN)).start();
    walk.until("stage_enabled");
    runs(walk, ["9"], walk.wall - MINUTE);
    walk.pass(MINUTE);
    expect(holds(walk)).toEqual([]);
    expect(walk.state.service?.versions).toEqual(["9"]);
  });

  it("before the first stage; and the version of then is the one that counts", () => {
    const walk = new Walk(planOf(PLAN));
    runs(walk, ["1"], walk.wall - HOUR);
    walk.start({ delayMs: 10 * MINUTE });
    walk.pass(MINUTE);
    runs(walk, ["2"], walk.wall);
    walk.pass(MINUTE);
    expect(found(walk)).toEqual([]);
    walk.until("stage_enabled");
    walk.pass(MINUTE);
    expect(holds(walk)).toEqual([]);
    expect(walk.state.service?.versions).toEqual(["2"]);
  });

  it("for a start within a scrape of the flip", () => {
    const walk = soaking(0);
    runs(walk, ["1.4.2"], (walk.state.stages[0]?.enabledAt ?? 0) - walk.steady + walk.wall + SCRAPE_MS);
    walk.pass(SECOND);
    expect(found(walk)).toEqual([]);
    runs(walk, ["1.4.2"], (walk.state.stages[0]?.enabledAt ?? 0) - walk.steady + walk.wall + SCRAPE_MS + 1);
    walk.pass(SECOND);
    expect(found(walk)).toHaveLength(1);
  });

  it("beside a hold that people end anyway; it is recorded, and the soak begins anew", () => {
    const walk = soaking(1);
    walk.pass(3 * MINUTE);
    walk.ask({ kind: "hold", because: "lunch" });
    runs(walk, ["2"], walk.wall);
    walk.pass(MINUTE);
    expect(holds(walk)).toEqual([]);
    expect(found(walk)).toHaveLength(1);
    walk.ask({ kind: "resume" });
    const resumed = walk.steady;
    expect(walk.until("soak_passed").at - resumed).toBeGreaterThanOrEqual(10 * MINUTE);
  });

  it("but beside one that ends by itself there is", () => {
    const walk = soaking(1);
    walk.says.set("failures", "nan");
    walk.until("held");
    runs(walk, ["2"], walk.wall);
    walk.pass(SECOND);
    walk.says.set("failures", 0);
    walk.pass(5 * MINUTE);
    expect(walk.state.holds.map((hold) => hold.reason)).toEqual(["unattributed"]);
  });
});

describe("a provider that restarts the service", () => {
  const restarts = { provider: { flipMs: 2 * SECOND, restartMs: 30 * SECOND } };

  it("causes no hold by its own restarts, forward and back", () => {
    const walk = new Walk(planOf({ ...PLAN, ...restarts }));
    let writes = 0;
    const edit = walk.edit.bind(walk);
    walk.edit = (name, setting, intent) => {
      edit(name, setting, intent);
      writes++;
      runs(walk, ["1.4.2"], walk.wall);
    };
    runs(walk, ["1.4.2"], walk.wall - HOUR);
    walk.start();
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.pass(MINUTE);
    walk.ask({ kind: "rollback", to: "newest" });
    walk.until("recovered");
    walk.pass(MINUTE);
    expect(writes).toBeGreaterThanOrEqual(3);
    expect(found(walk)).toEqual([]);
  });

  it("is told from a restart that comes after", () => {
    const walk = soaking(0, restarts);
    walk.pass(MINUTE);
    runs(walk, ["1.4.2"], walk.wall);
    walk.pass(SECOND);
    expect(holds(walk)).toHaveLength(1);
  });
});

describe("a breach", () => {
  it("still rolls back, and message, page and history say that both happened", () => {
    const walk = soaking(1);
    walk.pass(9 * MINUTE);
    runs(walk, ["1.5.0"], walk.wall);
    walk.pass(3 * MINUTE);
    walk.says.set("failures", 0.5);
    const started = walk.until("rollback_started");
    if (started.event.kind !== "rollback_started") throw new Error("no rollback");
    expect(started.event.cause).toMatchObject({
      kind: "breach",
      also: "b was on for 12 min; 1.4.2 -> 1.5.0 was deployed 3 min before the breach",
    });
    const words = eventInWords(walk.plan, started.event) ?? "";
    expect(words).toContain("b was on for 12 min; 1.4.2 -> 1.5.0 was deployed 3 min before the breach");
    const told = {
      plan: walk.plan,
      state: walk.state,
      world: walk.world(),
      figures: {},
      now: walk.now(),
      events: walk.log,
    };
    expect(JSON.stringify(alertOf(told, "rollback", started.seq))).toContain(
      "1.5.0 was deployed 3 min before",
    );
  });

  it("of the same moment records the deploy with the rollback", () => {
    const walk = soaking(1);
    walk.pass(5 * MINUTE);
    walk.says.set("failures", 0.5);
    walk.until("verdict_changed");
    runs(walk, ["1.5.0"]);
    const from = walk.log.length;
    const started = walk.until("rollback_started");
    expect(walk.log.slice(from).map((one) => one.event.kind)).toContain("deploy_found");
    expect(started.event).toMatchObject({ cause: { also: expect.stringContaining("1.5.0 was deployed") } });
  });

  const rolledBack = (): { walk: Walk; seq: number } => {
    const walk = soaking(1);
    walk.pass(9 * MINUTE);
    walk.says.set("failures", 0.5);
    const { seq } = walk.until("rollback_started");
    return { walk, seq };
  };
  const messageOf = (walk: Walk, seq: number): string =>
    JSON.stringify(
      alertOf(
        {
          plan: walk.plan,
          state: walk.state,
          world: walk.world(),
          figures: {},
          now: walk.now(),
          events: walk.log,
        },
        "rollback",
        seq,
      ),
    );

  it.each<[string, (walk: Walk) => number | undefined, string]>([
    [
      "which began just before it",
      (walk) => (walk.state.rollback?.decidedWall ?? 0) - MINUTE,
      "1.4.2 -> 1.5.0 was deployed",
    ],
    ["whose start nobody tells", () => undefined, "1.4.2 -> 1.5.0 was deployed at about the same time"],
  ])("says so later of a deploy %s, and found only after the decision", (_, startedWall, words) => {
    const { walk, seq } = rolledBack();
    const rollback = walk.state.rollback;
    runs(walk, ["1.5.0"], startedWall(walk));
    const from = walk.log.length;
    walk.pass(9 * SECOND);
    const late = walk.log.slice(from).find((one) => one.event.kind === "deploy_found");
    if (late === undefined) throw new Error("not found");
    expect(late.event).toMatchObject({ what: "deploy", withRollback: true });
    expect(eventInWords(walk.plan, late.event)).toBe(
      "beside the rollback, not by this rollout: 1.4.2 -> 1.5.0 was deployed",
    );
    expect(messageOf(walk, seq)).toContain(words);
    expect(messageOf(walk, seq)).toContain("either may be the cause");
    const drafts = announce(walk.plan, undefined, walk.state, [late], "C1");
    expect(drafts.map((one) => one.body)).toContainEqual(
      expect.objectContaining({ kind: "alert", about: "rollback", seq: rollback?.seq }),
    );
    walk.says.set("failures", 0);
    expect(walk.until("recovered").at).toBeGreaterThan(late.at);
    expect(found(walk)).toHaveLength(1);
  });

  it.each<[string, (walk: Walk) => number]>([
    ["began after the decision", (walk) => (walk.state.rollback?.decidedWall ?? 0) + 5 * SECOND],
    ["began before the newest flip", (walk) => (walk.state.rollback?.decidedWall ?? 0) - 30 * MINUTE],
  ])("blames no process that %s", (_, startedWall) => {
    const { walk, seq } = rolledBack();
    runs(walk, ["1.4.2"], startedWall(walk));
    walk.pass(9 * SECOND);
    expect(found(walk)).toEqual([]);
    expect(messageOf(walk, seq)).not.toContain("either may be the cause");
  });

  it("says nothing beside a rollback that a person asked for", () => {
    const walk = soaking(1);
    walk.pass(MINUTE);
    walk.ask({ kind: "rollback", to: "newest" });
    runs(walk, ["1.5.0"], walk.wall - 30 * SECOND);
    walk.pass(9 * SECOND);
    expect(walk.state.phase).not.toBe("walking");
    expect(found(walk)).toEqual([]);
  });

  it("does not claim that the soak begins anew, when it was rolled back", () => {
    const walk = soaking(1);
    walk.pass(5 * MINUTE);
    walk.says.set("failures", 0.5);
    walk.until("verdict_changed");
    runs(walk, ["1.5.0"]);
    walk.until("rollback_started");
    const told = found(walk).map((event) => eventInWords(walk.plan, event) ?? "");
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("1.4.2 -> 1.5.0 was deployed");
    expect(told[0]).not.toContain("anew");
  });

  it("says nothing of a deploy from before the newest flip", () => {
    const walk = soaking(0);
    runs(walk, ["2"], walk.wall);
    walk.pass(SECOND);
    walk.ask({ kind: "resume" });
    while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
    walk.says.set("failures", 0.5);
    walk.until("rollback_started");
    expect(walk.last("rollback_started")?.cause).not.toHaveProperty("also");
  });

  it("is not delayed by a service that restarts over and over", () => {
    const took = (restarting: boolean): number => {
      const walk = soaking(1);
      walk.pass(MINUTE);
      walk.says.set("alive", 0);
      const from = walk.steady;
      for (let s = 0; s < 5 * 60; s++) {
        if (restarting && s % 7 === 0) runs(walk, [`1.${s}`], walk.wall);
        walk.pass(SECOND);
        if (walk.last("rollback_started") !== undefined) return walk.steady - from;
      }
      throw new Error("no rollback");
    };
    expect(took(true)).toBe(took(false));
  });
});

function baselineSoak(): Walk {
  const walk = new Walk(planOf({ ...PLAN, stages: [baseline(0, ["a"]), stage("a", HOUR)] }));
  runs(walk, ["1"]);
  walk.start();
  walk.until("stage_enabled");
  return walk;
}

function waiting(extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf({ ...PLAN, stages: [stage("a", 0, {}, MINUTE), stage("b", HOUR)], ...extra }));
  runs(walk, ["1"]);
  walk.start();
  walk.until("soak_passed");
  return walk;
}

function reviewed(): Walk {
  const walk = new Walk(planOf({ ...PLAN, stages: [stage("a", 0), review(20 * MINUTE), stage("b", HOUR)] }));
  runs(walk, ["1"]);
  walk.start();
  walk.until("review_opened");
  return walk;
}

function shares(): Walk {
  const walk = new Walk(planOf({ ...PLAN, stages: [percents("a", 0, [10, 50])] }));
  runs(walk, ["1"]);
  walk.start();
  while (walk.state.stages[0]?.substage !== 1) walk.until("stage_enabled");
  return walk;
}

describe("whatever happens", () => {
  const change = fc.record({
    afterMs: fc.integer({ min: 0, max: 4 * MINUTE }),
    versions: fc.subarray(["1", "2", "3"]),
    startedAgo: fc.option(fc.integer({ min: 0, max: 2 * MINUTE }), { nil: undefined }),
    bad: fc.boolean(),
    resume: fc.boolean(),
  });

  it("the journal alone gives the state, no tick is without end, and a breach rolls back as soon as without any deploys", () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const told = new Walk(planOf(PLAN));
        const untold = new Walk(planOf());
        runs(told, ["1"], told.wall - HOUR);
        for (const walk of [told, untold]) walk.start();
        for (const { afterMs, versions, startedAgo, bad, resume } of changes) {
          runs(told, versions, startedAgo === undefined ? undefined : told.wall - startedAgo);
          for (const walk of [told, untold]) {
            // Both stand still as long, so that the same stage is on in both.
            if (hasHold(told.state, "unattributed") && !hasHold(walk.state, "unattributed"))
              walk.ask({ kind: "hold" });
            walk.says.set("failures", bad ? 0.5 : 0);
            walk.pass(afterMs);
            if (resume) walk.ask({ kind: "resume" });
          }
          if (told.last("rollback_started") !== undefined || untold.last("rollback_started") !== undefined)
            break;
        }
        expect(JSON.parse(JSON.stringify(replay(told.plan, told.log)))).toEqual(told.state);
        const at = (walk: Walk) => walk.log.find((one) => one.event.kind === "rollback_started")?.at;
        const live = (walk: Walk) => walk.state.stages.filter((one) => one.status !== "pending").length;
        if (live(told) === live(untold)) expect(at(told)).toBe(at(untold));
      }),
      { numRuns: 150 },
    );
  });

  it("each change is told once: the same world again changes nothing", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(SITUATIONS)),
        fc.subarray(["1", "2", "3"]),
        fc.option(fc.integer({ min: -HOUR, max: HOUR }), { nil: undefined }),
        (name, versions, started) => {
          const make = Object.entries(SITUATIONS).find(([key]) => key === name)?.[1];
          const made = make?.();
          if (made === undefined) throw new Error("no such situation");
          const walk = made;
          Object.assign(walk.plan, PLAN);
          runs(walk, versions, started === undefined ? undefined : walk.wall + started);
          walk.settle();
          const count = walk.log.length;
          walk.settle();
          expect(walk.log.slice(count).map((one) => one.event.kind)).toEqual([]);
        },
      ),
      { numRuns: 100 },
    );
  });
});

const vector = (result: unknown): Answer => ({
  kind: "body",
  body: { status: "success", data: { resultType: "vector", result } },
});

describe("what metrics tell", () => {
  it.each([
    ["each version once, sorted", vector([series("2"), series("1"), series("2")]), ["1", "2"]],
    [
      "text on one line of bounded length",
      vector([series(`a\n\u001bb${"x".repeat(99)}`)]),
      [`a b${"x".repeat(54)}...`],
    ],
    ["nothing without the label", vector([{ metric: { other: "1" }, value: [1, "1"] }]), undefined],
    ["nothing of an empty answer", vector([]), undefined],
    [
      "nothing of a partial one",
      {
        kind: "body",
        body: { status: "success", data: { resultType: "vector", result: [series("1")] }, warnings: ["x"] },
      },
      undefined,
    ],
    ["nothing while it is down", { kind: "down", reason: "refused", detail: "x" }, undefined],
    ["nothing of nonsense", { kind: "body", body: "<html>" }, undefined],
  ] satisfies readonly (readonly [string, Answer, readonly string[] | undefined])[])(
    "%s",
    (_, answer, versions) => {
      expect(versionsOf(answer, "version")).toEqual(versions);
    },
  );

  it("starts of processes, as Unix ms", () => {
    const start = (text: string) => ({ metric: {}, value: [1, text] });
    expect(startsOf(vector([start("1760000000.25"), start("NaN"), start("1750000000")]))).toEqual([
      1_750_000_000_000, 1_760_000_000_250,
    ]);
    expect(startsOf({ kind: "down", reason: "timeout", detail: "x" })).toEqual([]);
  });

  it("versions in words", () => {
    expect(versionsInWords(["1", "2", "3", "4", "5", "6"])).toBe("1, 2, 3, 4 and 2 more");
    expect(changeInWords(["1.4.2"], ["1.4.2", "1.5.0"])).toBe("1.4.2 -> 1.5.0");
  });
});

function series(version: string): unknown {
  return { metric: { version }, value: [1, "1"] };
}
