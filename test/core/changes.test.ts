/** What changed lately, on one line of time: who, what and why of each change, nothing told twice, and nothing hidden. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import {
  type ChangeSources,
  changesLines,
  changesTitle,
  MOST_LINES,
  type RunChange,
  type SystemChange,
} from "../../src/core/report/changes.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { resolve } from "../../src/core/target.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { ANA, planOf } from "../support/plans.ts";

const PLAN = planOf();
/** Monday 2026-01-05 09:00 UTC. */
const NOW = Date.UTC(2026, 0, 5, 9);
const NONE: ChangeSources = { runs: [], restarts: [], systems: [], processes: [], silent: [] };

function lines(sources: Partial<ChangeSources>, spanMs = 2 * HOUR, zone = "UTC"): readonly string[] {
  return changesLines({ ...NONE, ...sources }, NOW - spanMs, NOW, zone);
}

function run(agoMs: number, event: RolloutEvent, extra: Partial<RunChange> = {}): RunChange {
  const recorded = { seq: 1, at: 1, wall: NOW - agoMs, event };
  return { run: "r-1", plan: PLAN, startedBy: ANA, recorded, ...extra };
}

const flip = (name: string, to = ON, from = OFF) => ({ flag: name, from, to, intent: `r-1.2.${name}` });

const on = (name: string): RolloutEvent => ({
  kind: "stage_started",
  stage: PLAN.stages.findIndex((one) => one.name === name),
  substage: 0,
  flips: [flip(name)],
  writeBy: 1,
  verifyBy: 2,
});

const drift: RolloutEvent = {
  kind: "drift_found",
  flag: "b",
  expected: ON,
  found: OFF,
  direction: "back",
  by: "kim",
};

function change(agoMs: number, extra: Partial<SystemChange> = {}): SystemChange {
  return {
    plan: PLAN,
    flag: "b",
    wall: NOW - agoMs,
    by: "kim@example.com",
    own: false,
    what: "turned off in production",
    ...extra,
  };
}

const restarted = (agoMs: number, id = "svc/api") => ({
  id,
  recorded: {
    seq: 1,
    at: 1,
    wall: NOW - agoMs,
    event: {
      kind: "restart_started" as const,
      target: "api",
      replica: 1,
      of: 3,
      planned: false,
      by: { kind: "belay" as const },
      upBy: 1,
    },
  },
});

const processes = (starts: readonly number[], plan: Plan = PLAN) => ({
  plan,
  starts: starts.map((ago) => NOW - ago),
  versions: [],
  stepMs: 30 * SECOND,
});

describe("each change in words", () => {
  it.each<[string, Partial<ChangeSources>, string]>([
    [
      "a step",
      { runs: [run(HOUR, on("b"))] },
      "08:00:00  demo (r-1): b ON, by Belay for stage b; @ana started it",
    ],
    [
      "a step that people are asked for",
      { runs: [run(HOUR, { ...on("b"), asked: true } as RolloutEvent)] },
      "08:00:00  demo (r-1): b ON, asked of people for stage b; @ana started it",
    ],
    ["drift", { runs: [run(HOUR, drift)] }, "08:00:00  demo (r-1): b is OFF, expected ON: kim changed it"],
    [
      "a rollback",
      {
        runs: [
          run(HOUR, {
            kind: "rollback_started",
            to: 0,
            stages: [1],
            flips: [flip("b", OFF, ON)],
            cause: { kind: "person", because: "slow" },
            by: ANA,
          }),
        ],
      },
      "08:00:00  demo (r-1): @ana rolls back b OFF: slow",
    ],
    [
      "a deploy",
      {
        runs: [
          run(HOUR, { kind: "deploy_found", what: "deploy", detail: "1 -> 2 was deployed", versions: ["2"] }),
        ],
      },
      "08:00:00  demo (r-1): inside the soak, not by this rollout: 1 -> 2 was deployed; what had soaked so far counts no more",
    ],
    [
      "the second lever",
      { runs: [run(HOUR, { kind: "lever_pulled", flags: ["b"], why: "Unleash is gone" })] },
      "08:00:00  demo (r-1): second lever pulled for b: Unleash is gone",
    ],
    [
      "a restart by a watch",
      { restarts: [restarted(HOUR)] },
      "08:00:00  svc/api: restart of api, replica 2 of 3 by Belay, because it failed",
    ],
    [
      "a person in the flag system",
      { systems: [change(HOUR)] },
      "08:00:00  file (svc, production): b turned off in production, by kim@example.com",
    ],
    [
      "somebody whom the flag system does not name",
      { systems: [change(HOUR, { by: undefined })] },
      "08:00:00  file (svc, production): b turned off in production, by somebody",
    ],
    [
      "a process",
      { processes: [processes([HOUR])] },
      "08:00:00  svc (production): a process began, by nothing that Belay knows of",
    ],
    [
      "a deploy that no rollout saw",
      {
        processes: [
          {
            ...processes([HOUR + 10 * SECOND]),
            versions: [{ wall: NOW - HOUR, before: ["1"], after: ["2"] }],
          },
        ],
      },
      "08:00:00  svc (production): 1 -> 2 was deployed",
    ],
  ])("%s", (_, sources, line) => {
    expect(lines(sources)).toEqual([line]);
  });

  it("shows the clock of the zone, and the day where that is another one", () => {
    expect(lines({ systems: [change(HOUR)] }, 2 * HOUR, "Europe/Berlin")[0]).toMatch(/^09:00:00 /);
    expect(lines({ systems: [change(3 * DAY)] }, 7 * DAY)[0]).toMatch(/^Fri 2 Jan 09:00 /);
  });

  it("leaves out steps that changed nothing", () => {
    const same: RolloutEvent = { ...on("b"), flips: [flip("b", OFF, OFF)] } as RolloutEvent;
    expect(lines({ runs: [run(HOUR, same)] })).toEqual([]);
  });
});

describe("when a rollback had become true", () => {
  const back = (seq: number, agoMs: number, names: readonly string[], id = "r-1"): RunChange => {
    const one = run(agoMs, backEvent(names), { run: id });
    return { ...one, recorded: { ...one.recorded, seq } };
  };
  const backEvent = (names: readonly string[]): RolloutEvent => ({
    kind: "rollback_started",
    to: 0,
    stages: [1],
    flips: names.map((name) => flip(name, OFF, ON)),
    cause: { kind: "person", because: "slow" },
    by: ANA,
  });
  const off = (seq: number, agoMs: number, by?: "lever"): RunChange => {
    const one = run(agoMs, { kind: "rollback_off", ...(by === undefined ? {} : { by }) });
    return { ...one, recorded: { ...one.recorded, seq } };
  };

  it.each<[string, readonly RunChange[], string]>([
    [
      "its flags and the time since the decision",
      [back(2, HOUR, ["b"]), off(3, HOUR - 31 * SECOND)],
      "08:00:31  demo (r-1): b OFF read back, 31 s after the decision",
    ],
    [
      "both, when it went deeper meanwhile",
      [back(2, HOUR, ["b"]), back(3, HOUR - 10 * SECOND, ["a"]), off(4, HOUR - 31 * SECOND)],
      "08:00:31  demo (r-1): b OFF, a OFF read back, 31 s after the decision",
    ],
    [
      "only the newest, when another one was over",
      [back(2, 2 * HOUR, ["a"]), off(3, 90 * MINUTE), back(4, HOUR, ["b"]), off(5, HOUR)],
      "08:00:00  demo (r-1): b OFF read back, 0 s after the decision",
    ],
    [
      "the second lever",
      [back(2, HOUR, ["b"]), off(3, HOUR - 10 * SECOND, "lever")],
      "08:00:10  demo (r-1): the second lever holds b off, 10 s after the decision",
    ],
    [
      "no name of what was decided before anything that was read",
      [back(2, HOUR, ["b"], "r-2"), off(3, HOUR)],
      "08:00:00  demo (r-1): the flags that go back were read back",
    ],
  ])("%s", (_, runs, last) => {
    expect(lines({ runs }).at(-1)).toBe(last);
  });
});

describe("what is told once", () => {
  it("a write of Belay's in both journals", () => {
    const runs = [run(HOUR, on("b"))];
    for (const late of [0, 4 * MINUTE, -30 * SECOND])
      expect(lines({ runs, systems: [change(HOUR - late, { own: true })] })).toHaveLength(1);
  });

  it("but not one with Belay's token that its journal does not tell of, of another flag or another time", () => {
    const runs = [run(HOUR, on("b"))];
    for (const odd of [change(30 * MINUTE, { own: true }), change(HOUR, { own: true, flag: "a" })]) {
      const told = lines({ runs, systems: [odd] });
      expect(told).toHaveLength(2);
      expect(told.join("\n")).toContain("though Belay's journal tells of no such flip");
    }
  });

  it("a person's change that Belay noticed", () => {
    expect(lines({ runs: [run(HOUR - 5 * SECOND, drift)], systems: [change(HOUR)] })).toEqual([
      "08:00:00  file (svc, production): b turned off in production, by kim@example.com; demo (r-1) noticed it",
    ]);
  });

  it("each drift with the newest setting of its flag from just before, and never with its creation", () => {
    const told = lines({
      runs: [run(HOUR - 5 * SECOND, drift, { run: "r-1" })],
      systems: [
        change(HOUR + MINUTE, { what: "turned on in production", by: "ann" }),
        change(HOUR, { by: "kim" }),
        change(HOUR - 2 * SECOND, { what: "created", by: "admin", isLife: true }),
        change(HOUR - 2 * SECOND, { flag: "a", by: "eve" }),
        change(HOUR - 15 * SECOND, { what: "turned on in production", by: "joe" }),
      ],
    });
    expect(told.filter((one) => one.includes("noticed it"))).toEqual([
      "08:00:00  file (svc, production): b turned off in production, by kim; demo (r-1) noticed it",
    ]);
    expect(told).toHaveLength(5);
  });

  it("no drift with a creation alone, nor with what came long after; one clock may be a little ahead", () => {
    const created = change(HOUR, { what: "created", isLife: true });
    expect(lines({ runs: [run(HOUR - SECOND, drift)], systems: [created] })).toHaveLength(2);
    const after = change(HOUR - 2 * MINUTE);
    expect(lines({ runs: [run(HOUR, drift)], systems: [after] })).toHaveLength(2);
    expect(lines({ runs: [run(HOUR, drift)], systems: [change(HOUR - 20 * SECOND)] })).toHaveLength(1);
  });

  it("restarts that something else explains", () => {
    const slow: Plan = { ...PLAN, provider: { flipMs: SECOND, restartMs: 30 * SECOND } };
    const found: RolloutEvent = {
      kind: "deploy_found",
      what: "restart",
      detail: "a process of svc was restarted",
      versions: [],
      startedWall: NOW - HOUR,
    };
    const explained: readonly Partial<ChangeSources>[] = [
      { runs: [run(HOUR + 20 * SECOND, on("b"), { plan: slow })], processes: [processes([HOUR], slow)] },
      { restarts: [restarted(HOUR + 20 * SECOND)], processes: [processes([HOUR])] },
      { runs: [run(HOUR - 9 * SECOND, found)], processes: [processes([HOUR])] },
    ];
    for (const sources of explained) expect(lines(sources)).toHaveLength(1);
    const other = { restarts: [restarted(HOUR + 20 * SECOND, "shop/api")], processes: [processes([HOUR])] };
    expect(lines(other)).toHaveLength(2);
  });

  it("replicas that began together", () => {
    expect(lines({ processes: [processes([HOUR, HOUR - 20 * SECOND, HOUR - 50 * SECOND, MINUTE])] })).toEqual(
      [
        "08:00:00  svc (production): 3 processes began, by nothing that Belay knows of",
        "08:59:00  svc (production): a process began, by nothing that Belay knows of",
      ],
    );
  });
});

describe("the line of time", () => {
  it("is bounded, in order, newest last, says what was left out, and names who was silent after it", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 * HOUR }), { maxLength: 90 }), (agos) => {
        const silent = ["Not asked in full: Unleash (gone)."];
        const told = lines({ systems: agos.map((ago) => change(ago)), silent });
        const within = agos.filter((ago) => ago <= 2 * HOUR).sort((a, b) => b - a);
        const cut = Math.max(0, within.length - MOST_LINES);
        expect(told.at(-1)).toBe(silent[0]);
        const shown = told.slice(cut > 0 ? 1 : 0, -1).map((line) => line.slice(0, 8));
        expect(shown).toEqual(
          within.slice(cut).map((ago) => new Date(NOW - ago).toISOString().slice(11, 19)),
        );
        if (cut > 0) expect(told[0]).toMatch(new RegExp(`^\\.\\.\\. ${cut} earlier change`));
      }),
    );
  });

  it("has a title that says when nothing is known", () => {
    expect(changesTitle(2 * HOUR, ["x"], 0)).toBe("Changes in the last 2 h, newest last:");
    expect(changesTitle(2 * HOUR, [], 0)).toBe("No change is known in the last 2 h.");
    expect(changesTitle(2 * HOUR, ["Not asked"], 1)).toContain("not everybody could be asked");
  });
});

describe("the command", () => {
  const known = { catalogue: new Map(), runs: [], zone: "UTC" };
  const typed = (text: string, noun?: "belay" | "rollout") => {
    const parsed = parseCommand(text, noun);
    return "kind" in parsed ? parsed : resolve(parsed, known, { steady: 0, wall: NOW });
  };

  it.each([
    ["changes", 2 * HOUR],
    ["changes 30m", 30 * MINUTE],
    ["changes 7d", 7 * DAY],
  ])("%s", (text, spanMs) => {
    for (const noun of ["belay", "rollout"] as const)
      expect(typed(text, noun)).toEqual({ kind: "show", what: "changes", spanMs });
    expect(typed(`belay ${text}`)).toEqual({ kind: "show", what: "changes", spanMs });
  });

  it.each(["changes 8d", "changes 10s", "changes yesterday", "changes 0"])("%s is refused", (text) => {
    expect(typed(text, "belay")).toMatchObject({ kind: "refused", code: "bad_value" });
  });
});
