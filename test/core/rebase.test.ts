/** Decisions that counted without the journal, put on top of a step forward that had arrived there unknown to them. */
import { describe, expect, it } from "vitest";
import { type Recorded, type RolloutEvent, tellingOf } from "../../src/core/event.ts";
import { desired } from "../../src/core/rollout/desired.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { rebase, stillOwed } from "../../src/core/rollout/rebase.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { formatSetting, OFF, ON } from "../../src/core/setting.ts";
import { planOf } from "../support/plans.ts";
import { Walk } from "./walk.ts";

const plan = planOf();

/** a and b are on and b soaks; the next step forward is c. */
function beforeC(): State {
  const walk = new Walk(plan).start();
  while (walk.state.stages[1]?.status !== "soaking") walk.until("stage_enabled");
  return walk.state;
}

function recorded(state: State, event: RolloutEvent, afterMs: number): Recorded {
  return {
    seq: state.revision + 1,
    at: state.lastAt + afterMs,
    wall: state.lastWall + afterMs,
    event,
  };
}

function stageStarted(state: State): Recorded {
  const flip = { flag: "c", from: OFF, to: ON, intent: `${state.run}.${state.revision + 1}.c`, version: "1" };
  return recorded(
    state,
    {
      kind: "stage_started",
      stage: 2,
      substage: 0,
      flips: [flip],
      writeBy: state.lastAt + 1000,
      verifyBy: state.lastAt + 2000,
    },
    0,
  );
}

function rollbackOfB(state: State): Recorded {
  const flip = { flag: "b", from: ON, to: OFF, intent: `${state.run}.${state.revision + 1}.b` };
  const cause = { kind: "person" as const };
  return recorded(
    state,
    { kind: "rollback_started", to: 0, stages: [1], flips: [flip], cause, by: { kind: "belay" } },
    50,
  );
}

const wishes = (state: State): readonly string[] =>
  desired(plan, state).map(
    ({ flag, setting, direction }) => `${flag} ${formatSetting(setting)} ${direction}`,
  );

describe("a rollback decided while a step forward was in doubt", () => {
  const known = beforeC();
  const forward = stageStarted(known);
  const stored = evolve(plan, known, forward);
  const back = rollbackOfB(known);
  const { events, state } = rebase(plan, stored, [back]);

  it("has the number of the step that arrived, and follows it", () => {
    expect(back.seq).toBe(forward.seq);
    expect(events).toMatchObject([{ seq: forward.seq + 1, was: back.seq, at: back.at, wall: back.wall }]);
  });

  it("takes back what that step began as well", () => {
    const plain = evolve(plan, stored, { ...back, seq: stored.revision + 1 });
    expect(plain.flips["c"]).toMatchObject({ direction: "forward" });
    expect(wishes(state)).toEqual(["c OFF backward", "b OFF backward", "a ON forward"]);
    expect(events[0]?.event).toMatchObject({ to: 0, stages: [2, 1] });
    expect(state.stages.map((stage) => stage.status)).toEqual(["passed", "undone", "undone"]);
  });

  it("keeps the number under which it was told, also when it is moved once more", () => {
    expect(state.rollback?.seq).toBe(back.seq);
    const [moved] = rebase(plan, { ...stored, revision: stored.revision + 5 }, events).events;
    expect(moved?.seq).toBe(stored.revision + 6);
    expect(moved === undefined ? undefined : tellingOf(moved)).toBe(back.seq);
  });
});

describe("decisions that follow what the journal holds", () => {
  it("stay as they are", () => {
    const known = beforeC();
    const back = rollbackOfB(known);
    expect(rebase(plan, known, [back]).events).toEqual([back]);
  });

  it("are owed no longer once they arrived, under whatever number", () => {
    const known = beforeC();
    const [first, second] = [rollbackOfB(known), recorded(known, { kind: "rollback_off" }, 90)];
    expect(stillOwed([first, second], [])).toEqual([first, second]);
    expect(stillOwed([first, second], [{ ...first, seq: first.seq + 3, was: first.seq }])).toEqual([second]);
    expect(stillOwed([first], [{ ...first, at: first.at + 1 }])).toEqual([first]);
    const stored = evolve(plan, known, stageStarted(known));
    expect(stillOwed([first], rebase(plan, stored, [first]).events)).toEqual([]);
  });
});
