/** What each verb does in each phase, to whom, and with which reason code: one table for all of them. */
import { describe, expect, it } from "vitest";
import type { Ask, Asker, Outcome } from "../../src/core/rollout/ask.ts";
import { onAsk } from "../../src/core/rollout/people.ts";
import { ON } from "../../src/core/setting.ts";
import { MINUTE } from "../../src/core/time.ts";
import { ANA, BEN, baseline, operator, planOf, stage, viewer } from "../support/plans.ts";
import { SITUATIONS, type Situation } from "./situations.ts";
import { Walk } from "./walk.ts";

const LEAD: Asker = operator(BEN, "leads");
const VERBS: Readonly<Record<string, readonly [Ask, Asker]>> = {
  "enable c": [{ kind: "set_end", end: 2 }, LEAD],
  hold: [{ kind: "hold" }, viewer(BEN)],
  resume: [{ kind: "resume" }, LEAD],
  advance: [{ kind: "advance" }, LEAD],
  extend: [{ kind: "extend", ms: MINUTE }, LEAD],
  stop: [{ kind: "stop", confirmed: false }, LEAD],
  "stop --leave-on": [{ kind: "stop", confirmed: true }, LEAD],
  rollback: [{ kind: "rollback", to: "newest" }, viewer(BEN)],
  "rollback all": [{ kind: "rollback", to: -1 }, viewer(BEN)],
  approve: [{ kind: "approve" }, viewer(BEN, "leads")],
  "signoff go": [{ kind: "signoff", decision: "go" }, LEAD],
  "unlock b": [{ kind: "unlock", flags: ["b"], because: "fixed" }, LEAD],
};

function shown(outcome: Outcome): string {
  if (outcome.kind === "refused") return outcome.code;
  if (outcome.kind === "already") return "already";
  return outcome.events
    .map((event) => event.kind)
    .filter((kind) => kind !== "soak_progress")
    .join("+");
}
/** For each verb: what comes of it, and where. Every situation stands in exactly one line of each verb. */
const TABLE: readonly (readonly [keyof typeof VERBS & string, string, string])[] = [
  ["enable c", "already", "scheduled enabling soaking waiting approval asking review"],
  ["enable c", "held", "held"],
  ["enable c", "blind", "blind"],
  ["enable c", "latched", "going_back looking locked not_cause"],
  ["enable c", "not_live", "completed stopped rolled_back"],
  ["enable c", "stuck", "stuck"],

  [
    "hold",
    "held",
    "scheduled enabling soaking waiting blind approval asking review going_back looking locked not_cause",
  ],
  ["hold", "already", "held stuck"],
  ["hold", "not_live", "completed stopped rolled_back"],

  ["resume", "already", "scheduled enabling soaking waiting approval asking review"],
  ["resume", "resumed", "held"],
  ["resume", "blind", "blind"],
  ["resume", "rolling_back", "going_back looking"],
  ["resume", "latched", "locked"],
  ["resume", "guard", "not_cause"],
  ["resume", "not_live", "completed stopped rolled_back"],
  ["resume", "stuck", "stuck"],

  ["advance", "nothing_to_advance", "scheduled enabling"],
  ["advance", "advance_asked", "soaking waiting"],
  ["advance", "held", "held locked not_cause"],
  ["advance", "blind", "blind"],
  ["advance", "awaiting_approval", "approval"],
  ["advance", "baseline_confirmed", "asking"],
  ["advance", "awaiting_sign_off", "review"],
  ["advance", "rolling_back", "going_back looking"],
  ["advance", "not_live", "completed stopped rolled_back"],
  ["advance", "stuck", "stuck"],

  ["extend", "nothing_to_advance", "scheduled enabling asking"],
  ["extend", "extended", "soaking waiting held blind approval locked not_cause"],
  ["extend", "awaiting_sign_off", "review"],
  ["extend", "rolling_back", "going_back looking"],
  ["extend", "not_live", "completed stopped rolled_back"],
  ["extend", "stuck", "stuck"],

  ["stop", "stopped", "scheduled asking"],
  ["stop", "already", "enabling soaking waiting held blind approval review looking locked not_cause stuck"],
  ["stop", "rolling_back", "going_back"],
  ["stop", "not_live", "completed stopped rolled_back"],

  [
    "stop --leave-on",
    "stopped",
    "scheduled enabling soaking waiting held blind approval asking review locked not_cause stuck",
  ],
  ["stop --leave-on", "rolling_back", "going_back looking"],
  ["stop --leave-on", "not_live", "completed stopped rolled_back"],

  ["rollback", "nothing_to_undo", "scheduled asking"],
  [
    "rollback",
    "rollback_started",
    "enabling soaking waiting held blind approval review locked not_cause stuck",
  ],
  ["rollback", "already", "going_back looking"],
  ["rollback", "not_live", "completed stopped rolled_back"],

  ["rollback all", "nothing_to_undo", "scheduled asking"],
  [
    "rollback all",
    "rollback_started",
    "enabling soaking waiting held blind approval review going_back looking locked not_cause stuck",
  ],
  ["rollback all", "not_live", "completed stopped rolled_back"],

  [
    "approve",
    "nothing_to_approve",
    "scheduled enabling soaking waiting held blind asking review going_back looking locked not_cause",
  ],
  ["approve", "approved", "approval"],
  ["approve", "not_live", "completed stopped rolled_back"],
  ["approve", "stuck", "stuck"],

  [
    "signoff go",
    "nothing_to_sign_off",
    "scheduled enabling soaking waiting held blind approval asking going_back looking locked not_cause",
  ],
  ["signoff go", "signed_off", "review"],
  ["signoff go", "not_live", "completed stopped rolled_back"],
  ["signoff go", "stuck", "stuck"],

  [
    "unlock b",
    "not_locked",
    "scheduled enabling soaking waiting held blind approval asking review completed stopped stuck",
  ],
  ["unlock b", "rolling_back", "going_back looking"],
  ["unlock b", "unlatched", "locked not_cause rolled_back"],
];

const NAMES: readonly string[] = Object.keys(SITUATIONS);

function isSituation(name: string): name is Situation {
  return NAMES.includes(name);
}

const CELLS = TABLE.flatMap(([verb, expected, places]) =>
  places
    .split(" ")
    .filter(isSituation)
    .map((situation) => [verb, situation, expected] as const),
);

const walks = new Map<Situation, Walk>();

function walkOf(situation: Situation): Walk {
  const known = walks.get(situation) ?? SITUATIONS[situation]();
  walks.set(situation, known);
  return known;
}

/** Decides without recording, so that one walk serves every verb. */
function decide(situation: Situation, ask: Ask, asker: Asker): Outcome {
  const walk = walkOf(situation);
  return onAsk(walk.plan, walk.state, ask, asker, walk.world(), walk.now());
}

describe("each verb in each situation", () => {
  it("is in the table exactly once", () => {
    const cells = CELLS.map(([verb, situation]) => `${verb}: ${situation}`).sort();
    const all = Object.keys(VERBS)
      .flatMap((verb) => NAMES.map((name) => `${verb}: ${name}`))
      .sort();
    expect(cells).toEqual(all);
  });

  it.each(CELLS)("%s when %s: %s", (verb, situation, expected) => {
    const [ask, asker] = VERBS[verb] ?? [{ kind: "hold" }, LEAD];
    expect(shown(decide(situation, ask, asker))).toBe(expected);
  });

  it.each(NAMES.filter(isSituation))(
    "forward verbs need an operator when %s; hold and rollback do not",
    (situation) => {
      const ended = ["completed", "stopped", "rolled_back"].includes(situation);
      for (const [verb, [ask]] of Object.entries(VERBS)) {
        const outcome = shown(decide(situation, ask, viewer(BEN)));
        const open = ["hold", "rollback", "rollback all", "approve"].includes(verb);
        const stuck = situation === "stuck" && !verb.startsWith("stop") && verb !== "unlock b";
        if (open || stuck || (ended && verb !== "unlock b")) {
          if (situation !== "approval") expect([verb, outcome]).not.toEqual([verb, "not_authorised"]);
        } else expect([verb, outcome]).toEqual([verb, "not_authorised"]);
      }
    },
  );
});

describe("words", () => {
  it.each<[Situation, keyof typeof VERBS & string, RegExp]>([
    ["held", "enable c", /^demo is held \(person\): lunch\.$/],
    [
      "locked",
      "enable c",
      /^b was rolled back \(rolled back by a person\) and is locked\. When the cause is fixed: `\/rollout unlock b because "\.\.\."`/,
    ],
    ["stuck", "advance", /quarantined after an internal error; only rollback and stop work on it/],
    ["stuck", "hold", /quarantined and stands still/],
    ["scheduled", "advance", /start it without `at=` to begin now/],
    ["soaking", "advance", /as soon as 55 s of fresh passing evidence is in, and every gate is open/],
    ["approval", "advance", /waits for approval by leads; an approver who did not ask must press Approve/],
    ["review", "extend", /review/],
    ["looking", "advance", /is going back/],
    ["completed", "resume", /has ended: completed/],
    ["going_back", "rollback", /b is already being taken back/],
  ])("when %s, %s says why and what to do", (situation, verb, expected) => {
    const [ask, asker] = VERBS[verb] ?? [{ kind: "hold" }, LEAD];
    const outcome = decide(situation, ask, asker);
    expect(outcome.kind === "refused" ? outcome.message : outcome.note).toMatch(expected);
  });

  it("a stage before the first of this run needs a run of its own", () => {
    const walk = new Walk(planOf(), { a: ON }).start({ stage: 1 });
    expect(walk.ask({ kind: "set_end", end: 0 })).toMatchObject({
      code: "stage_order",
      message: "demo (r-1) began at b; a comes before it. Stop this run first, then enable a.",
    });
  });

  it("a resume before the unlock names the stage that was rolled back, not the baseline that sets its flag too", () => {
    const walk = new Walk(
      planOf({ stages: [baseline(0, ["a", "b", "c"], MINUTE), stage("a", MINUTE), stage("b", 20 * MINUTE)] }),
    ).start();
    walk.until("stage_enabled");
    while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
    walk.ask({ kind: "rollback", to: "newest", because: "pool" });
    walk.until("recovered");
    const outcome = walk.ask({ kind: "resume" });
    expect(outcome).toMatchObject({
      code: "latched",
      message: expect.stringMatching(/^b was rolled back \(pool\).*`\/rollout unlock b because/),
    });
  });

  it("held by a guard, a resume in breach offers to roll everything back", () => {
    const outcome = decide("not_cause", { kind: "resume" }, operator(ANA));
    expect(outcome).toMatchObject({ code: "guard", offers: [{ command: "rollout rollback all run=r-1" }] });
  });
});
