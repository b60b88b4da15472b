/** The engine while something of the service is being restarted: no forward step begins, and going back does not wait. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { DurableEngine } from "../support/durable-engine.ts";
import { until } from "../support/eventually.ts";

const UNDER_WAY = "bots/ollama is being restarted";
let house: DurableEngine;

beforeEach(() => {
  house = new DurableEngine();
});

afterEach(() => {
  house.drop();
});

it("a rollout that is started meanwhile waits with its first step, says why, and begins by itself", async () => {
  house.restarting = UNDER_WAY;
  await house.start();
  const { run = "" } = await house.ask("start", "rollout start parser");
  await until("it waits for the restart", async () => {
    const { lines } = await house.ask(`status:${performance.now()}`, "rollout status");
    return lines.some((line) => line.includes(UNDER_WAY));
  });
  expect(await house.events(run, "stage_started")).toEqual([]);
  expect(house.isOn("cache")).toBe(false);
  house.restarting = undefined;
  await until("both are on", () => house.isOn("cache") && house.isOn("parallel"));
});

it("a rollback does not wait", async () => {
  await house.start();
  await house.ask("start", "rollout start parser");
  await until("parallel is on and soaks", () => house.run()?.stages[1]?.status === "soaking");
  house.restarting = UNDER_WAY;
  expect(await house.ask("back", "rollout rollback all")).toMatchObject({ ok: true });
  await until("both are off", () => !house.isOn("cache") && !house.isOn("parallel"));
});
