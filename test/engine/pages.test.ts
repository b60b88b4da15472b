/** What a rollout's events ask of on-call, and what Slack's silence does. */
import { describe, expect, test } from "vitest";
import { BELAY, type Cause, type Recorded, type RolloutEvent } from "../../src/core/event.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { MINUTE } from "../../src/core/time.ts";
import { Darkness } from "../../src/darkness.ts";
import type { OutboxDraft } from "../../src/engine/messages.ts";
import { pagesOf } from "../../src/engine/pages.ts";
import { ANA, planOf, stage } from "../support/plans.ts";
import { keepLog } from "../support/slack-bot.ts";

const plan = planOf({ stages: [stage("one", 0), stage("two", 10 * MINUTE)] });

function played(...events: readonly RolloutEvent[]): {
  readonly state: State;
  readonly recorded: readonly Recorded[];
} {
  const started: RolloutEvent = {
    kind: "rollout_started",
    run: "r-1",
    rollout: plan.rollout,
    planHash: "h",
    by: ANA,
    first: 0,
    end: 1,
    startAt: 0,
    recorded: { one: OFF, two: OFF },
  };
  const recorded = [started, ...events].map((event, index) => ({
    seq: index + 1,
    at: index,
    wall: index,
    event,
  }));
  const state = recorded.reduce<State | undefined>((folded, one) => evolve(plan, folded, one), undefined);
  if (state === undefined) throw new Error("no state");
  return { state, recorded };
}

const begun: RolloutEvent = {
  kind: "stage_started",
  stage: 0,
  substage: 0,
  flips: [{ flag: "one", from: OFF, to: ON, intent: "r-1.2.one" }],
  writeBy: 10,
  verifyBy: 20,
};
const back = (cause: Cause, by: typeof BELAY | typeof ANA = BELAY): RolloutEvent => ({
  kind: "rollback_started",
  to: -1,
  stages: [0],
  flips: [{ flag: "one", from: ON, to: OFF, intent: "r-1.3.one" }],
  cause,
  by,
});
const BREACH: Cause = {
  kind: "breach",
  guard: "errors",
  reason: "over_limit",
  detail: "5 % > 2 %",
  breachAt: 1,
};

function keysOf(drafts: readonly OutboxDraft[]): readonly string[] {
  return drafts.map((draft) => draft.key);
}

describe("pages of a rollout", () => {
  test("a rollback by Belay pages once, told by the rollback's own message; a person's does not", () => {
    const { state, recorded } = played(begun, back(BREACH));
    const [page, ...more] = pagesOf(plan, state, recorded.slice(-1), "#ops");
    expect(more).toEqual([]);
    expect(page).toMatchObject({
      key: "page:r-1.rollback.3",
      lane: "page",
      body: { page: { severity: "P1", run: "r-1", tells: { about: "rollback", seq: 3 }, channel: "#ops" } },
    });
    const byAna = played(begun, back({ kind: "person" }, ANA));
    expect(pagesOf(plan, byAna.state, byAna.recorded.slice(-1), "#ops")).toEqual([]);
  });

  test("a page that Belay decided on is paged also where nobody listens in Slack, and a rollback in the same decision not twice", () => {
    const paged: RolloutEvent = { kind: "paged", key: "r-1.blind.1", severity: "P1", summary: "blind" };
    const { state, recorded } = played(begun, paged, back({ kind: "blind", detail: "no data" }));
    expect(keysOf(pagesOf(plan, state, recorded.slice(-2), undefined))).toEqual(["page:r-1.blind.1"]);
  });

  test("each flip that was read back is a change, and one that changed nothing is none", () => {
    const verified: RolloutEvent = { kind: "flip_verified", flag: "one", intent: "r-1.2.one" };
    const { state, recorded } = played(begun, verified);
    const [change] = pagesOf(plan, state, recorded.slice(-1), "#ops");
    expect(change).toMatchObject({ key: "change:r-1.2.one", body: { kind: "change" } });
    const idle = played({ ...begun, flips: [{ flag: "one", from: ON, to: ON, intent: "i" }] }, verified);
    expect(pagesOf(plan, idle.state, idle.recorded.slice(-1), "#ops")).toEqual([]);
  });
});

describe("Slack that takes nothing", () => {
  const { state } = played(begun);
  const dark = () => {
    const paged: string[] = [];
    const resolved: string[] = [];
    let runs = [{ plan, state }];
    const life = () =>
      new Darkness({
        log: keepLog(),
        runs: () => runs,
        page: ({ key }) => paged.push(key),
        openPages: () => paged.filter((key) => !resolved.includes(key)),
        resolvePage: async (key) => {
          resolved.push(key);
        },
      });
    const end = (): void => {
      runs = [];
    };
    return { paged, resolved, life, end };
  };

  test("is paged once per darkness in a live rollout, and the page ends with it", () => {
    const { paged, resolved, life, end } = dark();
    const darkness = life();
    darkness.look(1_000, 1_000 + MINUTE);
    expect(paged).toEqual([]);
    for (const at of [3, 4, 5]) darkness.look(1_000, 1_000 + at * MINUTE);
    expect(paged).toEqual(["belay.slack_dark.1000"]);
    expect(resolved).toEqual([]);
    darkness.look(undefined, 10 * MINUTE);
    expect(resolved).toEqual(["belay.slack_dark.1000"]);
    end();
    darkness.look(20 * MINUTE, 30 * MINUTE);
    expect(paged).toHaveLength(1);
  });

  test("its page ends also when Belay was restarted in the darkness", () => {
    const { paged, resolved, life } = dark();
    life().look(1_000, 5 * MINUTE);
    expect(paged).toHaveLength(1);
    life().look(undefined, 10 * MINUTE);
    expect(resolved).toEqual(paged);
  });
});
