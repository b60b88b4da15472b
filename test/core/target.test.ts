/** What a command is about: which run, rollout, stage or flag a NAME means, and that several matches are asked about. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Refusal } from "../../src/core/refusal.ts";
import { isBegun } from "../../src/core/rollout/state.ts";
import { ON } from "../../src/core/setting.ts";
import { type Known, type Resolution, type Run, resolve } from "../../src/core/target.ts";
import { HOUR, MINUTE } from "../../src/core/time.ts";
import { flag, flags, planOf, review, set, stage, step } from "../support/plans.ts";
import { MONDAY, Walk } from "./walk.ts";

const NOW = { steady: HOUR, wall: MONDAY };

/** demo: a, b, c. */
const DEMO = planOf();
/** other: parse-cache, parallel, b, review; on staging. */
const OTHER: Plan = planOf({
  rollout: "other",
  environment: "staging",
  flags: flags(
    flag("parse-cache"),
    flag("parallel", { key: "FEATURE_WORKERS", requires: ["parse-cache"] }),
    flag("b"),
  ),
  stages: [
    stage("parse-cache", 0),
    stage("parallel", 10 * MINUTE),
    stage("b", 20 * MINUTE),
    review(HOUR, "final"),
  ],
});
const LIMITS: Plan = planOf({
  rollout: "limits",
  flags: flags(flag("limit"), flag("pool")),
  stages: [
    stage("ten", 0, { substages: [step(MINUTE, set("limit", { kind: "value", value: "10" }))] }),
    stage("hundred", HOUR, { substages: [step(MINUTE, set("limit", { kind: "value", value: "100" }))] }),
    stage("pools", 2 * HOUR, { substages: [step(MINUTE, set("pool", ON))] }),
  ],
});

function known(plans: readonly Plan[], runs: readonly Run[] = []): Known {
  return { catalogue: new Map(plans.map((plan) => [plan.rollout, plan])), runs, zone: "Europe/Berlin" };
}

function walking(plan: Plan, run: string, soaking = 0): Walk {
  const walk = new Walk(plan).start({ run });
  while (walk.state.stages[soaking]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

function runOf(walk: Walk): Run {
  return { plan: walk.plan, state: walk.state };
}

function typed(text: string, all: Known): Resolution {
  const parsed = parseCommand(text);
  if ("kind" in parsed) throw new Error(`${text}: ${parsed.message}`);
  return resolve(parsed, all, NOW);
}

/** A resolution in a few words. */
function shown(text: string, all: Known): string {
  const found = typed(text, all);
  switch (found.kind) {
    case "refused":
      return found.code;
    case "start":
      return `start ${found.rollout}${found.stage === undefined ? "" : ` ${found.stage}`}${found.delayMs === 0 ? "" : ` in ${found.delayMs / MINUTE} min`}`;
    case "show":
      return `show ${found.what}${found.run === undefined ? "" : ` run ${found.run}`}${found.rollout === undefined ? "" : ` rollout ${found.rollout}`}`;
    case "mode":
      return `mode ${found.mode ?? "?"}${found.because === undefined ? "" : ` because ${found.because}`}`;
    case "desk":
      return `desk ${found.noun}`;
    case "settled":
      return `settled ${found.run}: ${found.note}`;
    case "ask": {
      const { kind, ...rest } = found.ask;
      return `ask ${found.run} ${kind} ${JSON.stringify(rest)}`;
    }
  }
}

function refused(text: string, all: Known): Refusal {
  const found = typed(text, all);
  if (found.kind !== "refused") throw new Error(`${text}: ${found.kind}`);
  return found;
}

/** Every offer is a command that is understood, and resolves to something other than a refusal. */
function offersWork(refusal: Refusal, all: Known): readonly string[] {
  return refusal.offers.map(({ command }) => {
    expect(shown(command, all)).toMatch(/^(ask|start|settled)/);
    return command;
  });
}

const IDLE = known([DEMO, OTHER, LIMITS]);
const ONE = known([DEMO, OTHER, LIMITS], [runOf(walking(DEMO, "r-1", 1))]);
const TWO = known([DEMO, OTHER, LIMITS], [runOf(walking(DEMO, "r-1", 1)), runOf(walking(OTHER, "r-2", 1))]);

function endedRun(run = "r-1"): Run {
  const walk = walking(DEMO, run, 1);
  walk.ask({ kind: "rollback", to: 0 });
  walk.until("recovered");
  walk.ask({ kind: "stop", confirmed: true });
  return runOf(walk);
}

describe("enable NAME without a live rollout", () => {
  it.each<[string, string]>([
    ["enable a", "start demo 0"],
    ["enable c", "start demo 2"],
    ["enable C", "start demo 2"],
    ["enable demo/b", "start demo 1"],
    ["enable other/b", "start other 2"],
    ["enable OTHER/B", "start other 2"],
    ["enable b env=staging", "start other 2"],
    ["enable b env=production", "start demo 1"],
    ["enable parallel", "start other 1"],
    ["enable parse", "start other 0"],
    ["enable FEATURE_WORKERS", "start other 1"],
    ["enable FEATURE_A", "start demo 0"],
    // A flag of several stages means the first that turns it on.
    ["enable limit", "start limits 0"],
    // An exact flag is better than a stage that begins so.
    ["enable pool", "start limits 2"],
    ["enable final", "start other 3"],
    ["enable", "bad_value"],
    ["enable b", "ambiguous"],
    ["enable pa", "ambiguous"],
    ["enable other/pa", "ambiguous"],
    ["enable demo/parallel", "unknown_stage"],
    ["enable nowhere/a", "unknown_stage"],
    ["enable c env=staging", "unknown_stage"],
    ["enable p", "unknown_stage"],
    ["enable paralel", "unknown_stage"],
    ["enable constructor", "unknown_stage"],
    ["enable __proto__", "unknown_stage"],
    ["enable p\u0430rallel", "unknown_stage"],
    ["enable a run=r-1", "unknown_rollout"],
    ["enable a run=demo", "not_live"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, IDLE)).toBe(expected);
  });

  it("several matches are named and offered, and none is taken", () => {
    const refusal = refused("enable b", IDLE);
    expect(refusal.message).toContain("`b` could be demo/b or other/b");
    expect(offersWork(refusal, IDLE)).toEqual(["rollout enable demo/b", "rollout enable other/b"]);
    expect(offersWork(refused("enable pa", IDLE), IDLE)).toEqual([
      "rollout enable other/parse-cache",
      "rollout enable other/parallel",
    ]);
  });

  it("a word near a stage offers that stage, with a question", () => {
    const refusal = refused("enable paralel", IDLE);
    expect(refusal.message).toContain("did you mean `parallel`?");
    expect(offersWork(refusal, IDLE)).toEqual(["rollout enable parallel"]);
    expect(refusal.offers[0]?.confirm).toBe("Enable parallel?");
    expect(refused("enable other/paralel", IDLE).message).toContain("did you mean `parallel`?");
  });

  it("a word near to none lists what there is", () => {
    expect(refused("enable xyzzy", known([DEMO])).message).toContain("Known: a, b, c.");
    expect(refused("enable xyzzy", known([])).message).toContain("Known: none.");
  });
});

describe("enable NAME with a live rollout", () => {
  it.each<[string, string]>([
    // The live one comes first, among equally good matches.
    ["enable c", 'ask r-1 set_end {"end":2}'],
    ["enable FEATURE_C", 'ask r-1 set_end {"end":2}'],
    ["enable c run=r-1", 'ask r-1 set_end {"end":2}'],
    ["enable c run=demo", 'ask r-1 set_end {"end":2}'],
    ["enable b", "settled r-1: b is on and soaking in demo (r-1)."],
    ["enable a", "settled r-1: a is on, its soak passed in demo (r-1)."],
    ["enable parallel", "start other 1"],
    ["enable other/b", "start other 2"],
    ["enable b env=staging", "start other 2"],
    ["enable parallel run=r-1", "unknown_stage"],
    ["enable c run=r-1 env=staging", "unknown_stage"],
    ["enable c run=r-9", "unknown_rollout"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, ONE)).toBe(expected);
  });

  it("a better match elsewhere is not beaten by a mere beginning in the live one", () => {
    const batches = planOf({
      rollout: "batches",
      stages: [stage("c-later", 0, { substages: [step(1, set("c"))] })],
    });
    const live = runOf(
      walking(
        planOf({ stages: [stage("a", 0), stage("cc", HOUR, { substages: [step(1, set("b"))] })] }),
        "r-1",
      ),
    );
    const all = known([batches, planOf({ rollout: "exact", stages: [stage("cc-x", 0)] })], [live]);
    expect(shown("enable cc", all)).toBe('ask r-1 set_end {"end":1}');
    expect(shown("enable cc-x", all)).toBe("start exact 0");
    expect(
      shown(
        "enable cc",
        known(
          [planOf({ rollout: "exact", stages: [stage("cc", 0)] })],
          [
            runOf(
              walking(
                planOf({
                  stages: [stage("a", 0), stage("cc-late", HOUR, { substages: [step(1, set("b"))] })],
                }),
                "r-1",
              ),
            ),
          ],
        ),
      ),
    ).toBe("start exact 0");
  });

  it("a run that has ended starts nothing anew", () => {
    const all = known([DEMO], [endedRun()]);
    expect(refused("enable c run=r-1", all)).toMatchObject({
      code: "not_live",
      message: expect.stringContaining("r-1 has ended (stopped)"),
    });
    expect(shown("enable c", all)).toBe("start demo 2");
  });

  it("in two live rollouts asks which", () => {
    const refusal = refused("enable b", TWO);
    expect(refusal.code).toBe("ambiguous");
    expect(offersWork(refusal, TWO)).toEqual(["rollout enable demo/b", "rollout enable other/b"]);
    expect(shown("enable b run=r-2", TWO)).toBe('ask r-2 set_end {"end":2}');
  });

  it("a stage that waits for approval shows that approval", () => {
    const walk = new Walk(
      planOf({ stages: [stage("a", 0), stage("b", 10 * MINUTE, { approval: { from: "leads" } })] }),
    ).start();
    walk.until("approval_requested");
    expect(shown("enable b", known([walk.plan], [runOf(walk)]))).toBe(
      "settled r-1: b waits for approval by leads.",
    );
  });

  it("a stage being turned on, and an open review, are said to be so", () => {
    const slow = new Walk(DEMO);
    slow.view = "silent";
    slow.start();
    expect(shown("enable a", known([DEMO], [runOf(slow)]))).toBe(
      "settled r-1: a is being turned on in demo (r-1).",
    );
    const asking = new Walk(DEMO).start({ mode: "observe" });
    expect(shown("enable a", known([DEMO], [runOf(asking)]))).toBe(
      "settled r-1: a is asked of people, FEATURE_A to be set ON in Belay's own flags.json (in BELAY_STATE), in demo (r-1).",
    );
    const walk = new Walk(planOf({ stages: [stage("a", 0), review(10 * MINUTE)] })).start();
    walk.until("review_opened");
    expect(shown("enable review", known([walk.plan], [runOf(walk)]))).toBe(
      "settled r-1: review is open and waits for its sign-off in demo (r-1).",
    );
  });

  it("a quarantined run is still asked, not passed over", () => {
    const walk = walking(DEMO, "r-1", 1);
    walk.commit([{ kind: "quarantined", error: "x" }]);
    expect(shown("enable c", known([DEMO], [runOf(walk)]))).toBe('ask r-1 set_end {"end":2}');
  });
});

describe("rollback", () => {
  it.each<[string, string]>([
    ["rollback", 'ask r-1 rollback {"to":"newest"}'],
    ["rollback all", 'ask r-1 rollback {"to":-1}'],
    ["rollback ALL", 'ask r-1 rollback {"to":-1}'],
    ["rollback to a", 'ask r-1 rollback {"to":0}'],
    ["rollback To A", 'ask r-1 rollback {"to":0}'],
    ["rollback b", 'ask r-1 rollback {"to":0}'],
    ["rollback a", 'ask r-1 rollback {"to":-1}'],
    ["rollback FEATURE_B", 'ask r-1 rollback {"to":0}'],
    ["rollback demo", 'ask r-1 rollback {"to":"newest"}'],
    ["rollback r-1", 'ask r-1 rollback {"to":"newest"}'],
    ["rollback demo all", 'ask r-1 rollback {"to":-1}'],
    ["rollback all demo", 'ask r-1 rollback {"to":-1}'],
    ["rollback demo to a", 'ask r-1 rollback {"to":0}'],
    ["rollback to a demo", 'ask r-1 rollback {"to":0}'],
    ["rollback demo/b", 'ask r-1 rollback {"to":0}'],
    ["rollback b run=r-1", 'ask r-1 rollback {"to":0}'],
    ["rollback all rollout=demo", 'ask r-1 rollback {"to":-1}'],
    ['rollback all because "pool is full"', 'ask r-1 rollback {"to":-1,"because":"pool is full"}'],
    ["rollback to", "bad_value"],
    ["rollback xyzzy", "unknown_stage"],
    ["rollback to parallel", "unknown_stage"],
    ["rollback b c", "unknown_rollout"],
    ["rollback to a b", "unknown_rollout"],
    ["rollback all dmeo", "unknown_rollout"],
    ["rollback other", "not_live"],
    ["rollback run=r-9", "unknown_rollout"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, ONE)).toBe(expected);
  });

  it("with several live rollouts the stage's name decides where it can, and a question where it cannot", () => {
    expect(shown("rollback parallel", TWO)).toBe('ask r-2 rollback {"to":0}');
    expect(shown("rollback to parse-cache", TWO)).toBe('ask r-2 rollback {"to":0}');
    expect(shown("rollback a", TWO)).toBe('ask r-1 rollback {"to":-1}');
    expect(shown("rollback other all", TWO)).toBe('ask r-2 rollback {"to":-1}');
    for (const text of ["rollback", "rollback all", "rollback b", "rollback to b"]) {
      const refusal = refused(`${text} because pool full`, TWO);
      expect(refusal.code).toBe("ambiguous");
      expect(refusal.message).toContain("demo (r-1), other (r-2)");
      expect(offersWork(refusal, TWO)).toEqual([
        `rollout ${text} run=r-1 because pool full`,
        `rollout ${text} run=r-2 because pool full`,
      ]);
    }
  });

  it("a run that was named is the run that is meant, whatever the stage is called", () => {
    expect(shown("rollback parallel run=r-1", TWO)).toBe("unknown_stage");
    expect(shown("rollback b run=r-2", TWO)).toBe('ask r-2 rollback {"to":1}');
  });

  it("a beginning that several stages share is asked about, never guessed", () => {
    const all = known([OTHER], [runOf(walking(OTHER, "r-2", 1))]);
    const refusal = refused("rollback pa", all);
    expect(refusal.code).toBe("ambiguous");
    expect(offersWork(refusal, all)).toEqual([
      "rollout rollback other/parse-cache run=r-2",
      "rollout rollback other/parallel run=r-2",
    ]);
    expect(offersWork(refused("rollback to pa", all), all)).toEqual([
      "rollout rollback to other/parse-cache run=r-2",
      "rollout rollback to other/parallel run=r-2",
    ]);
    expect(shown("rollback para", all)).toBe('ask r-2 rollback {"to":0}');
  });

  it("what is offered for a misspelt stage means the same, in the same run", () => {
    const all = known([OTHER, DEMO], [runOf(walking(OTHER, "r-2", 1))]);
    const to = refused("rollback to paralel", all);
    expect(offersWork(to, all)).toEqual(["rollout rollback to parallel run=r-2"]);
    expect(to.offers[0]?.confirm).toBe("Take back everything newer than parallel?");
    const it = refused("rollback paralel", all);
    expect(offersWork(it, all)).toEqual(["rollout rollback parallel run=r-2"]);
    expect(it.offers[0]?.confirm).toBe("Take back parallel and everything newer?");
  });

  it("a stage that is called like a rollout is a stage after `to`", () => {
    const plan = planOf({ rollout: "a" });
    const all = known([plan], [runOf(walking(plan, "r-1", 1))]);
    expect(shown("rollback to a", all)).toBe('ask r-1 rollback {"to":0}');
    expect(shown("rollback a to a", all)).toBe('ask r-1 rollback {"to":0}');
  });

  it("of an ended or a quarantined run is left to that run to answer", () => {
    const ended = known([DEMO], [endedRun()]);
    expect(shown("rollback run=r-1", ended)).toBe('ask r-1 rollback {"to":"newest"}');
    expect(shown("rollback", ended)).toBe("not_live");
    const walk = walking(DEMO, "r-1", 1);
    walk.commit([{ kind: "quarantined", error: "x" }]);
    expect(shown("rollback", known([DEMO], [runOf(walk)]))).toBe('ask r-1 rollback {"to":"newest"}');
  });
});

describe("verbs that need no NAME", () => {
  it.each<[string, string]>([
    ["hold", "ask r-1 hold {}"],
    ["hold demo", "ask r-1 hold {}"],
    ["hold r-1", "ask r-1 hold {}"],
    ["hold run=r-1 because lunch", 'ask r-1 hold {"because":"lunch"}'],
    ["resume", "ask r-1 resume {}"],
    ["advance demo", "ask r-1 advance {}"],
    ["approve", "ask r-1 approve {}"],
    ["stop", 'ask r-1 stop {"confirmed":false}'],
    ["stop --leave-on because done", 'ask r-1 stop {"confirmed":true,"because":"done"}'],
    ["extend 30m", 'ask r-1 extend {"ms":1800000}'],
    ["extend 30m demo", 'ask r-1 extend {"ms":1800000}'],
    ["extend 1h30m run=r-1", 'ask r-1 extend {"ms":5400000}'],
    ["signoff go", 'ask r-1 signoff {"decision":"go"}'],
    ["signoff NO-GO demo because slow", 'ask r-1 signoff {"decision":"no-go","because":"slow"}'],
    ["extend", "bad_value"],
    ["extend soon", "bad_value"],
    ["extend 0", "bad_value"],
    ["extend 500ms", "bad_value"],
    ["extend -30m", "bad_value"],
    ["extend 400d", "bad_value"],
    ["signoff", "bad_value"],
    ["signoff maybe", "bad_value"],
    ["hold other", "not_live"],
    ["hold dmeo", "unknown_rollout"],
    ["resume run=r-9", "unknown_rollout"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, ONE)).toBe(expected);
  });

  it("say that nothing is live when nothing is", () => {
    for (const text of [
      "hold",
      "resume",
      "advance",
      "extend 30m",
      "approve",
      "signoff go",
      "stop",
      "rollback",
    ])
      expect(shown(text, IDLE)).toBe("not_live");
    expect(refused("hold demo", IDLE).message).toContain("`/rollout start demo`");
    expect(refused("hold demmo", IDLE).message).toContain("Did you mean `demo`?");
    expect(refused("hold xyzzy", known([])).message).toContain("Known: none.");
  });

  it("ask which of several live rollouts is meant, and lose nothing of what was typed", () => {
    for (const [text, offered] of [
      ["hold because lunch", "rollout hold run=r-1 because lunch"],
      ["extend 30m", "rollout extend 30m run=r-1"],
      ["stop --leave-on because done", "rollout stop run=r-1 --leave-on because done"],
      ['signoff no-go because "too slow"', "rollout signoff no-go run=r-1 because too slow"],
    ] as const) {
      const refusal = refused(text, TWO);
      expect(refusal.code).toBe("ambiguous");
      expect(offersWork(refusal, TWO)[0]).toBe(offered);
    }
    expect(shown("hold other", TWO)).toBe("ask r-2 hold {}");
  });
});

describe("start", () => {
  it.each<[string, string]>([
    ["start demo", "start demo"],
    ["start demo env=production", "start demo"],
    ["start demo env=staging", "bad_value"],
    // 10:00 in Berlin: Monday 09:00 UTC.
    ["start demo at=14:00", "start demo in 240 min"],
    ["start demo at=9:30", "start demo in 1410 min"],
    ["start demo at=10:00", "start demo in 1440 min"],
    ["start demo at=24:00", "bad_value"],
    ["start demo at=2pm", "bad_value"],
    ["start demo at=14:60", "bad_value"],
    ["start", "bad_value"],
    ["start dmeo", "unknown_rollout"],
    ["start __proto__", "unknown_rollout"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, IDLE)).toBe(expected);
  });

  it("needs no name where there is only one, and takes the zone of its forward hours", () => {
    expect(shown("start", known([DEMO]))).toBe("start demo");
    const hours = { text: "", days: [true], fromMinute: 0, toMinute: 1, zone: "America/New_York" };
    expect(shown("start at=14:00", known([planOf({ forward: hours })]))).toBe("start demo in 600 min");
  });
});

describe("unlock", () => {
  const locked = (plan: Plan, run: string): Run => {
    const walk = walking(plan, run, 1);
    walk.ask({ kind: "rollback", to: 0 });
    walk.until("recovered");
    return runOf(walk);
  };
  const staging = planOf({ rollout: "twin", environment: "staging" });
  const all = known([DEMO, OTHER, staging], [locked(DEMO, "r-1"), locked(OTHER, "r-2")]);
  const twins = known([DEMO, staging], [locked(DEMO, "r-1"), locked(staging, "r-2")]);

  it.each<[string, string]>([
    ["unlock b because fixed", 'ask r-1 unlock {"flags":["b"],"because":"fixed"}'],
    ["unlock B because fixed", 'ask r-1 unlock {"flags":["b"],"because":"fixed"}'],
    ["unlock demo/b because fixed", 'ask r-1 unlock {"flags":["b"],"because":"fixed"}'],
    ["unlock FEATURE_WORKERS because fixed", 'ask r-2 unlock {"flags":["parallel"],"because":"fixed"}'],
    [
      "unlock parallel because fixed run=r-2",
      'ask r-2 unlock {"flags":["parallel"],"because":"fixed run=r-2"}',
    ],
    ["unlock parallel run=r-2 because fixed", 'ask r-2 unlock {"flags":["parallel"],"because":"fixed"}'],
    ["unlock parallel env=staging because fixed", 'ask r-2 unlock {"flags":["parallel"],"because":"fixed"}'],
    ["unlock b env=staging because fixed", "not_locked"],
    ["unlock b run=r-2 because fixed", "not_locked"],
    ["unlock other/b because fixed", "not_locked"],
    ["unlock a because fixed", "not_locked"],
    ["unlock constructor because fixed", "not_locked"],
    ["unlock b", "missing_reason"],
    ['unlock b because ""', "missing_reason"],
    ["unlock", "bad_value"],
  ])("%s: %s", (text, expected) => {
    expect(shown(text, all)).toBe(expected);
  });

  it("of a name that is locked in two rollouts asks which", () => {
    expect(refused("unlock b because fixed", twins)).toMatchObject({
      code: "ambiguous",
      message: expect.stringContaining("`b` is locked in demo and twin"),
    });
    expect(shown("unlock twin/b because fixed", twins)).toBe(
      'ask r-2 unlock {"flags":["b"],"because":"fixed"}',
    );
    expect(shown("unlock b env=staging because fixed", twins)).toBe(
      'ask r-2 unlock {"flags":["b"],"because":"fixed"}',
    );
  });

  it("of an ended run's flag finds that run", () => {
    expect(shown("unlock b because fixed", known([DEMO], [endedRun("r-5")]))).toBe(
      'ask r-5 unlock {"flags":["b"],"because":"fixed"}',
    );
  });

  it("names what is locked", () => {
    expect(refused("unlock x because y", all).message).toContain("Locked now: b, parallel.");
    expect(refused("unlock x because y", IDLE).message).toContain("Locked now: nothing.");
  });
});

describe("reading", () => {
  it.each<[string, string, string]>([
    ["list", "show list", "show list"],
    ["help", "show help", "show help"],
    ["whoami", "show whoami", "show whoami"],
    ["status", "show list", "show status run r-1"],
    ["evidence", "show list", "show evidence run r-1"],
    ["history", "show list", "show history run r-1"],
    ["status demo", "show status rollout demo", "show status run r-1"],
    ["status r-1", "unknown_rollout", "show status run r-1"],
    ["history run=r-1", "unknown_rollout", "show history run r-1"],
    ["evidence other", "show evidence rollout other", "show evidence rollout other"],
    ["plan", "bad_value", "bad_value"],
    ["plan demo", "show plan rollout demo", "show plan rollout demo"],
    ["plan dmeo", "unknown_rollout", "unknown_rollout"],
    ["plan toString", "unknown_rollout", "unknown_rollout"],
  ])("%s: %s when nothing is live, %s when demo is", (text, idle, live) => {
    expect(shown(text, IDLE)).toBe(idle);
    expect(shown(text, ONE)).toBe(live);
  });

  it("without a name shows the list when several are live, and the last run when none is", () => {
    expect(shown("status", TWO)).toBe("show list");
    expect(shown("status", known([DEMO], [endedRun("r-1"), endedRun("r-2")]))).toBe("show status run r-2");
    expect(shown("plan", known([DEMO]))).toBe("show plan rollout demo");
  });

  it("prefers the live run of a rollout to an ended one", () => {
    const live = walking(DEMO, "r-2");
    expect(isBegun(live.state.stages[0])).toBe(true);
    expect(shown("status demo", known([DEMO], [runOf(live), endedRun("r-1")]))).toBe("show status run r-2");
  });
});
