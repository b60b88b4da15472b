/** What people change while Belay looks whether a rollback helped. */
import { expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { SECOND } from "../../src/core/time.ts";
import { planOf } from "../support/plans.ts";
import { Walk } from "./walk.ts";

it("a flag that somebody turns on ahead of plan during a look is told at once, and `rollback all` takes it back", () => {
  const walk = new Walk(planOf()).start();
  walk.until("stage_enabled");
  walk.ask({ kind: "rollback", to: -1 });
  walk.until("rollback_confirmed");
  walk.edit("b", ON);
  walk.pass(5 * SECOND);
  expect(walk.state.phase).toBe("looking");
  expect(walk.last("drift_found")).toMatchObject({ flag: "b", direction: "ahead" });
  walk.ask({ kind: "rollback", to: -1 });
  walk.pass(10 * SECOND);
  expect(walk.setting("b")).toEqual(OFF);
});
