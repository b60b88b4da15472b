/** The contract of flag systems on a real Unleash server with a real PostgreSQL, read by the real SDK. */
import { afterAll, beforeAll } from "vitest";
import { UNLEASH_CAN } from "../../src/adapters/flags/unleash/flags.ts";
import { flagsContract } from "../support/flags-contract.ts";
import { startUnleashGround, type UnleashGround, unleashUnderTest } from "../support/unleash-under-test.ts";

function started(): UnleashGround {
  if (ground === undefined) throw new Error("Unleash was not started");
  return ground;
}

let ground: UnleashGround | undefined;

beforeAll(async () => {
  ground = await startUnleashGround();
}, 90_000);

afterAll(() => ground?.stop());

flagsContract("unleash", () => unleashUnderTest(started()), { can: UNLEASH_CAN, lacks: {} });
