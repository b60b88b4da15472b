/** Every event in words, and the lines that read verbs answer with. */
import { describe, expect, it } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import {
  BELAY,
  type Cause,
  type HoldReason,
  type Recorded,
  type RolloutEvent,
} from "../../src/core/event.ts";
import { cardOf } from "../../src/core/report/card.ts";
import {
  cardLines,
  type EvidenceMinute,
  evidenceLines,
  helpLines,
  historyLines,
  listLines,
  planLines,
} from "../../src/core/report/lines.ts";
import { causeInWords, eventInWords, holdInWords } from "../../src/core/report/words.ts";
import { OFF, ON, percentSetting } from "../../src/core/setting.ts";
import type { Run } from "../../src/core/target.ts";
import { HOUR, MINUTE, parseForwardWindow } from "../../src/core/time.ts";
import { typedAs, VERBS } from "../../src/core/verbs.ts";
import {
  ANA,
  alive,
  BEN,
  failures,
  hits,
  percents,
  planOf,
  review,
  set,
  stage,
  step,
} from "../support/plans.ts";
import { SITUATIONS } from "./situations.ts";
import { MONDAY, Walk } from "./walk.ts";

type Kind = RolloutEvent["kind"];

const PLAN = planOf({
  stages: [stage("a", 0), stage("b", HOUR), review(2 * HOUR)],
  guards: [failures(), alive(), failures({ name: "latency", max: 0.25, unit: "seconds" })],
});
const TO_B = { flag: "b", from: OFF, to: ON, intent: "r-1.2.b" };
const BACK = { flag: "b", from: ON, to: OFF, intent: "r-1.9.b" };

/** One or more events of every kind with their words; undefined for bookkeeping. The type makes the table complete. */
const WORDS: {
  readonly [K in Kind]: readonly (readonly [
    Omit<Extract<RolloutEvent, { kind: K }>, "kind">,
    string | undefined,
  ])[];
} = {
  rollout_started: [
    [
      { run: "r-1", rollout: "demo", planHash: "h", by: ANA, first: 0, end: 2, startAt: 0, recorded: {} },
      "@ana started the rollout, a to review",
    ],
  ],
  end_set: [[{ end: 1, by: BEN }, "@ben set the end to b"]],
  stage_started: [
    [{ stage: 1, substage: 0, flips: [TO_B], writeBy: 0, verifyBy: 0 }, "b begins: b ON"],
    [
      {
        stage: 1,
        substage: 0,
        flips: [
          { ...TO_B, to: percentSetting(5) },
          { ...TO_B, flag: "c", to: { kind: "value", value: "7" } },
        ],
        writeBy: 0,
        verifyBy: 0,
      },
      "b begins: b 5 %, c 7",
    ],
    [{ stage: 0, substage: 0, flips: [], writeBy: 0, verifyBy: 0 }, "a begins: nothing to change"],
    [
      { stage: 1, substage: 0, flips: [TO_B], writeBy: 0, verifyBy: 0, asked: true },
      "b begins: people are asked to set b ON",
    ],
    [
      { stage: 1, substage: 0, flips: [{ ...TO_B, from: TO_B.to }], writeBy: 0, verifyBy: 0, asked: true },
      "b begins: b ON, set already",
    ],
    [{ stage: 7, substage: 0, flips: [], writeBy: 0, verifyBy: 0 }, "stage 7 begins: nothing to change"],
  ],
  flip_verified: [[{ flag: "b", intent: "r-1.2.b" }, undefined]],
  stage_enabled: [[{ stage: 1, substage: 0 }, "b read back; the soak starts"]],
  stage_withdrawn: [[{ stage: 1, why: "the store refused", flips: [] }, "b withdrawn: the store refused"]],
  soak_progress: [[{ stage: 1, soakedMs: MINUTE, creditedTo: 0 }, undefined]],
  soak_passed: [
    [{ stage: 1, substage: 0, soakedMs: 90 * MINUTE }, "b soaked 1 h 30 min with every guard passing"],
  ],
  held: [
    [{ reason: "person", detail: "lunch", by: ANA }, "@ana holds: lunch"],
    [
      { reason: "drift", detail: "a was set OFF", by: BELAY },
      "Belay holds (somebody changed a flag): a was set OFF",
    ],
  ],
  resumed: [
    [{ reasons: ["person", "no_go"], by: ANA }, "@ana resumed (person, no_go)"],
    [{ reasons: ["blind"], by: BELAY }, "evidence is fresh again; resumed (blind)"],
  ],
  verdict_changed: [
    [{ guard: "failures", verdict: "pass", value: 0.003 }, "failures: pass at 0.3 %"],
    [
      {
        guard: "latency",
        verdict: "breach",
        reason: "over_limit",
        detail: "300 ms > 250 ms, 2 of 3 bad",
        value: 0.3,
      },
      "latency: breach at 300 ms (300 ms > 250 ms, 2 of 3 bad)",
    ],
    [
      { guard: "alive", verdict: "no_evidence", reason: "stale", detail: "40 s old" },
      "alive: no_evidence (40 s old)",
    ],
    [{ guard: "gone", verdict: "pass", value: 2 }, "gone: pass at 2"],
  ],
  approval_requested: [
    [
      { stage: 1, from: "leads", requester: ANA, expiresAt: 0 },
      "b waits for approval by leads, asked for by @ana",
    ],
  ],
  approved: [[{ stage: 1, by: BEN }, "@ben approved b"]],
  approval_expired: [[{ stage: 1 }, "the approval for b lapsed"]],
  baseline_asked: [[{ stage: 0, flags: ["b", "c"] }, "a would turn off b, c, which are on now: asks first"]],
  baseline_confirmed: [[{ stage: 0, by: ANA }, "@ana confirmed the baseline"]],
  review_opened: [[{ stage: 2 }, "review is open and waits for its sign-off"]],
  signed_off: [
    [{ stage: 2, decision: "go", by: ANA }, "@ana signed off review: go"],
    [
      {
        stage: 2,
        decision: "no-go",
        by: { kind: "person", id: "ana", name: "ana", via: "cli" },
        because: "slow",
      },
      "ana (cli) signed off review: no-go (slow)",
    ],
  ],
  extended: [[{ stage: 1, ms: 30 * MINUTE, by: ANA }, "@ana extended b by 30 min"]],
  advance_asked: [[{ stage: 1, by: ANA }, "@ana advances early from b"]],
  rollback_started: [
    [
      { to: 0, stages: [1], flips: [BACK], cause: { kind: "person", because: "pool" }, by: ANA },
      "@ana rolls back b OFF: pool",
    ],
    [
      { to: 0, stages: [1], flips: [BACK], cause: { kind: "blind", detail: "failures (nan)" }, by: BELAY },
      "Belay rolls back b OFF: blind too long: failures (nan)",
    ],
  ],
  rollback_off: [[{}, "flags read back from the store"]],
  rollback_confirmed: [
    [{ seenBy: "service" }, "the service itself confirms"],
    [{ seenBy: "store" }, "confirmed by the store"],
  ],
  recovered: [
    [{ guard: "failures", detail: "0.001" }, "recovered: failures passes again"],
    [{}, "recovered"],
  ],
  look_failed: [
    [{ guard: "failures", detail: "5 % > 2 %" }, "still breaching after the rollback: failures, 5 % > 2 %"],
  ],
  deploy_found: [
    [
      { what: "deploy", detail: "version 1.4.2 became 1.5.0", versions: ["1.5.0"] },
      "inside the soak, not by this rollout: version 1.4.2 became 1.5.0; what had soaked so far counts no more",
    ],
    [
      { what: "restart", detail: "its newest process began 12 s ago", versions: [], startedWall: 1 },
      "inside the soak, not by this rollout: its newest process began 12 s ago; what had soaked so far counts no more",
    ],
    [
      { what: "deploy", detail: "1 -> 2 was deployed", versions: ["2"], withRollback: true },
      "beside the rollback, not by this rollout: 1 -> 2 was deployed",
    ],
  ],
  versions_seen: [[{ versions: ["1.4.2"] }, undefined]],
  would_roll_back: [
    [
      { to: 0, stages: [1], flips: [BACK], cause: { kind: "person" } },
      "WOULD have rolled back b OFF: asked for",
    ],
  ],
  mode_set: [
    [
      { mode: "observe", by: ANA, because: "we watch first" },
      "@ana gave the flags to people: Belay judges and flips nothing (we watch first)",
    ],
    [{ mode: "act", by: ANA }, "@ana lets Belay flip again"],
  ],
  lever_pulled: [
    [
      { flags: ["b"], why: "the flag system does not answer" },
      "second lever pulled for b: the flag system does not answer",
    ],
  ],
  drift_found: [
    [
      { flag: "b", expected: ON, found: percentSetting(5), direction: "back" },
      "b is 5 %, expected ON: somebody changed it",
    ],
  ],
  flip_corrected: [[{ flip: BACK }, "b had come back ON by a late write; set OFF again"]],
  paged: [[{ key: "k", severity: "P1", summary: "look" }, "paged (P1): look"]],
  unlatched: [[{ flags: ["b", "c"], by: BEN, because: "fixed" }, "@ben unlocked b, c: fixed"]],
  refused: [
    [
      { verb: "rollback", code: "not_authorised", by: BEN, detail: "rolling back needs the channel." },
      "@ben asked for rollback, refused: rolling back needs the channel",
    ],
  ],
  completed: [[{}, "completed"]],
  stopped: [
    [{ by: ANA }, "@ana stopped the rollout; flags stay as they are"],
    [{ by: ANA, because: "done" }, "@ana stopped the rollout; flags stay as they are (done)"],
  ],
  rolled_back: [[{}, "ended: rolled back"]],
  quarantined: [[{ error: "oops" }, "quarantined after an internal error: oops"]],
};

/** `Object.entries` forgets which kind goes with which rest; the type of the table has checked it. */
const ROWS = Object.entries(WORDS).flatMap(([kind, rows]) =>
  rows.map(([rest, words]) => ({ kind, event: { kind, ...rest } as RolloutEvent, words })),
);

describe("an event in words", () => {
  it.each(ROWS)("$kind: $words", ({ event, words }) => {
    expect(eventInWords(PLAN, event)).toBe(words);
  });

  it("is there for all but the three that only keep the books", () => {
    const silent = ROWS.filter((row) => eventInWords(PLAN, row.event) === undefined).map((row) => row.kind);
    expect(silent).toEqual(["flip_verified", "soak_progress", "versions_seen"]);
  });

  it.each<[Cause, string]>([
    [
      { kind: "breach", guard: "failures", reason: "over_limit", detail: "5 % > 2 %", breachAt: 0 },
      "guard failures: 5 % > 2 %",
    ],
    [
      {
        kind: "breach",
        guard: "alive",
        reason: "target_down",
        detail: "target down in 3 of the last 3 polls",
        breachAt: 0,
      },
      "the service is down (alive: target down in 3 of the last 3 polls)",
    ],
    [
      { kind: "still_breaching", guard: "failures", detail: "5 % > 2 %" },
      "guard failures still breaches: 5 % > 2 %",
    ],
    [{ kind: "person" }, "asked for"],
    [
      {
        kind: "alert",
        alert: "f00d@1",
        name: "HighErrorRate",
        detail: "7 min after parallel went live",
        startsAt: 1,
        sinceFlipMs: 420_000,
      },
      "alert HighErrorRate fired 7 min after parallel went live",
    ],
  ])("a cause: %j", (cause, words) => {
    expect(causeInWords(cause)).toBe(words);
  });

  it("every reason for a hold has words of its own", () => {
    const reasons: { readonly [K in HoldReason]: true } = {
      person: true,
      blind: true,
      expectation: true,
      guard: true,
      breach_not_ours: true,
      not_the_cause: true,
      rolled_back: true,
      undo_by_hand: true,
      drift: true,
      flag_store: true,
      approval_expired: true,
      no_go: true,
      alert_storm: true,
      unattributed: true,
      flag_replaced: true,
      would_roll_back: true,
    };
    const words = Object.keys(reasons).map(holdInWords);
    expect(new Set(words).size).toBe(words.length);
    for (const [index, reason] of Object.keys(reasons).entries()) expect(words[index]).not.toBe(reason);
  });
});

function recorded(...events: readonly RolloutEvent[]): readonly Recorded[] {
  return events.map((event, index) => ({
    seq: index + 1,
    at: index * 1_000,
    wall: MONDAY + index * 1_000,
    event,
  }));
}

describe("history", () => {
  it("is one line per event that people read, in their zone, newest last", () => {
    const events = recorded(
      { kind: "approved", stage: 1, by: BEN },
      { kind: "flip_verified", flag: "b", intent: "i" },
      { kind: "rollback_off" },
    );
    expect(historyLines(PLAN, events, "Europe/Berlin")).toEqual([
      "10:00:00  @ben approved b",
      "10:00:02  flags read back from the store",
    ]);
  });

  it("keeps the newest and counts the rest", () => {
    const events = recorded(...Array.from({ length: 45 }, (): RolloutEvent => ({ kind: "rollback_off" })));
    const lines = historyLines(PLAN, events, "UTC");
    expect(lines).toHaveLength(41);
    expect(lines[0]).toBe("... 5 earlier events");
    expect(lines.at(-1)).toBe("09:00:44  flags read back from the store");
    expect(historyLines(PLAN, events, "UTC", 45)).toHaveLength(45);
    expect(historyLines(PLAN, [], "UTC")).toEqual([]);
  });
});

describe("the plan in lines", () => {
  it("names stages, guards, hours, what follows a breach, and the bound", () => {
    const forward = parseForwardWindow("Mon-Thu 09:00-16:00", "Europe/Berlin");
    const plan = planOf({
      ...(forward === undefined ? {} : { forward }),
      stages: [
        percents("a", 0, [25, 100], 15 * MINUTE),
        stage("b", HOUR, { approval: { from: "leads" } }),
        review(48 * HOUR),
      ],
      guards: [
        failures(),
        alive({ consequence: "emergency" }),
        hits({ stages: ["a"] }),
        failures({ name: "band", min: 0.001, consequence: "page" }),
      ],
      unwind: "gradual",
      onBlind: "rollback",
    });
    expect(planLines(plan)).toEqual([
      "demo: svc, production",
      "Hour 0   a: a 25 % > ON, soak 15 min + 15 min",
      "Hour 1   b: b ON, soak 10 min, approval by leads",
      "Day 2    review: review, sign-off",
      // 30 s window, 5 s scrape, two polls of 10 s, 5 s query, 2 s flip.
      "guard failures: at most 2 %, breach 2 of 3 every 10 s, then rollback within 62 s",
      "guard alive: target down 3 of 3 polls every 10 s, then emergency",
      "guard hits: expects at least 20 % within 5 min, else hold in a",
      "guard band: at least 0.1 % and at most 2 %, breach 2 of 3 every 10 s, then page within 62 s",
      "forward steps only Mon-Thu 09:00-16:00 Europe/Berlin",
      "after a failed look: gradual; blind: hold, page after 5 min, then rollback",
      "worst case from visible breach to off: 62 s (failures); of it the flip: 2 s, allowed",
    ]);
  });

  it("says when no guard rolls back", () => {
    expect(planLines(planOf({ guards: [failures({ consequence: "hold" })] })).at(-1)).toBe(
      "no guard rolls back by itself",
    );
  });
});

describe("the list", () => {
  const runOf = (walk: Walk): Run => ({ plan: walk.plan, state: walk.state });
  const demo = planOf();

  it("is every rollout that can be started, those that are live with their run, and every lock", () => {
    const other = planOf({ rollout: "other", environment: "staging" });
    const lines = listLines(
      new Map([
        ["demo", demo],
        ["other", other],
      ]),
      [runOf(SITUATIONS.locked())],
    );
    expect(lines).toEqual([
      "demo (svc, production): a, b, c  [live: r-1]",
      "other (svc, staging): a, b, c",
      "locked: b in r-1 (rolled back by a person)",
    ]);
    expect(listLines(new Map(), [])).toEqual(["no rollouts are loaded"]);
  });

  it("also a live run whose file is gone, and one in quarantine", () => {
    expect(listLines(new Map(), [runOf(SITUATIONS.soaking())])).toEqual([
      "demo (svc, production): a, b, c  [live: r-1]  (its file is no longer loaded)",
    ]);
    expect(listLines(new Map([["demo", demo]]), [runOf(SITUATIONS.stuck())])).toEqual([
      "demo (svc, production): a, b, c  [quarantined: r-1]",
    ]);
    expect(listLines(new Map([["demo", demo]]), [runOf(SITUATIONS.completed())])).toEqual([
      "demo (svc, production): a, b, c",
    ]);
  });
});

describe("help", () => {
  it("has every verb of the table, each once, under its direction", () => {
    const text = helpLines().join("\n");
    for (const spec of VERBS.filter((one) => one.noun !== "belay" || one.verb !== "list"))
      expect(text.split(`${typedAs(spec)}: `)).toHaveLength(2);
    const [, back] = text.split("Go back (always allowed)");
    expect(back).toContain("/rollout hold");
    expect(back).toContain("/rollout rollback");
    expect(back).not.toContain("/rollout enable");
  });

  it("shows usages that the parser takes", () => {
    const examples = helpLines().flatMap((one) => /^ {2}\/(.*?): /.exec(one)?.[1] ?? []);
    expect(examples.length).toBeGreaterThan(15);
    for (const example of examples) {
      const plain = example.replace(/\[([^\]|]*)[^\]]*\]/g, "$1").replace("go|no-go", "go");
      expect([example, parseCommand(plain)]).not.toEqual([
        example,
        expect.objectContaining({ kind: "refused" }),
      ]);
    }
  });
});

describe("a card in lines", () => {
  const lines = (walk: Walk): readonly string[] =>
    cardLines(
      cardOf({
        plan: walk.plan,
        state: walk.state,
        world: walk.world(),
        figures: { failures: { value: 0.003, at: 0 } },
        now: walk.now(),
      }),
      "UTC",
    );

  it("shows the head, the bar, the rows, the guards and the locks", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0), stage("b", 20 * MINUTE)] })).start();
    walk.pass(5 * MINUTE);
    expect(lines(walk)).toEqual([
      "demo · production · r-1 · SOAKING",
      "[#####---------------] 24 %, next step 09:10:01",
      "a soaks, 5 min 1 s left",
      "[>] 09:00:00  Hour 0   a: a ON (soaked 4 min 50 s of 10 min)",
      "[ ] 09:20:00  +20 min  b: b ON",
      "guards: failures 0.3 % (<= 2 %) · alive not asked yet",
    ]);
    walk.ask({ kind: "rollback", to: "newest", because: "pool" });
    expect(lines(walk).at(-1)).toBe("locked: a (pool)");
  });

  it("of a share that is not begun shows all its steps", () => {
    const walk = new Walk(planOf({ stages: [stage("a", 0), percents("b", HOUR, [5, 100])] })).start();
    expect(lines(walk)).toContain("[ ] 10:00:00  Hour 1   b: b 5 % > ON");
  });

  it("of a stage of two flags names both", () => {
    const plan = planOf({ stages: [stage("pair", 0, { substages: [step(MINUTE, set("a"), set("b"))] })] });
    expect(lines(new Walk(plan).start({ delayMs: HOUR }))[3]).toContain("pair: a ON, b ON");
  });
});

describe("evidence", () => {
  const minute = (extra: Partial<EvidenceMinute> = {}): EvidenceMinute => ({
    guard: "failures",
    minute: MONDAY,
    polls: 6,
    values: 5,
    min: 0.001,
    max: 0.004,
    last: 0.002,
    verdicts: { pass: 5, no_evidence: 1 },
    ...extra,
  });

  it("is the sum of all minutes, the newest five, and the query", () => {
    const rows = Array.from({ length: 7 }, (_, index) => minute({ minute: MONDAY + index * MINUTE }));
    const found = evidenceLines(
      PLAN,
      [...rows, minute({ guard: "alive", min: 1, max: 1, last: undefined })],
      "UTC",
    );
    expect(found).toEqual([
      "failures: 42 polls, 35 pass, 7 no_evidence",
      ...[2, 3, 4, 5, 6].map(
        (index) => `  09:0${index}:00  min 0.1 %  max 0.4 %  last 0.2 %  (5 of 6 polls had a value)`,
      ),
      "  query: failures",
      "alive: 6 polls, 5 pass, 1 no_evidence",
      "  09:00:00  min 1  max 1  last -  (5 of 6 polls had a value)",
      "  query: min(up)",
      "latency: nothing measured yet",
    ]);
  });
});
