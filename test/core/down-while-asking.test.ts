/** A service that dies while people are asked for the next flip, where a flip needs a restart. */
import { expect, it } from "vitest";
import { ON } from "../../src/core/setting.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { planOf } from "../support/plans.ts";
import { Walk } from "./walk.ts";

it("is told once it stays down longer than a restart takes, and not before", () => {
  const walk = new Walk(planOf({ provider: { flipMs: SECOND, restartMs: MINUTE } })).start({
    mode: "observe",
  });
  walk.edit("a", ON);
  walk.until("stage_enabled");
  walk.until("stage_started");
  // It is set, and the service that should tell so is down.
  walk.view = "stuck";
  walk.edit("b", ON);
  walk.says.set("alive", 0);
  walk.pass(50 * SECOND);
  expect(walk.last("would_roll_back")).toBeUndefined();
  walk.until("would_roll_back", MINUTE);
  expect(walk.last("would_roll_back")).toMatchObject({ cause: { kind: "breach", guard: "alive" } });
});
