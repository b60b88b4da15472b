/** A breach that was called a false alarm while Belay observed, and Belay is let flip while it goes on. */
import { expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { planOf } from "../support/plans.ts";
import { Walk } from "./walk.ts";

it("goes back, and the answer to `observe off` says so", () => {
  const walk = new Walk(planOf()).start({ mode: "observe" });
  walk.edit("a", ON);
  walk.until("stage_enabled");
  walk.says.set("failures", 0.5);
  walk.until("would_roll_back");
  walk.ask({ kind: "resume", because: "a load test" });
  expect(walk.state.dismissed).toHaveProperty("failures");
  const said = walk.ask({ kind: "mode", mode: "act" });
  expect(said).toMatchObject({ note: expect.stringContaining("It goes back now if the breach goes on.") });
  walk.until("rollback_off");
  expect(walk.setting("a")).toEqual(OFF);
});
