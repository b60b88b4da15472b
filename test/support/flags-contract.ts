/**
 * What every flag system must do behind its adapter: one suite, run against each. A new one takes one call:
 *
 *     flagsContract("unleash", make, { can: UNLEASH_CAN, lacks: { mistyped: "its payloads are text" } });
 *
 * What `make` gives, and what may be lacking and how that is said, stands in flags-contract-under-test.ts; the proxy for faults in fault-proxy.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Flags } from "../../src/engine/ports.ts";
import { faultTests } from "./flags-contract-faults.ts";
import { peopleTests } from "./flags-contract-people.ts";
import { refusalTests } from "./flags-contract-refusals.ts";
import { settingTests } from "./flags-contract-settings.ts";
import type { Extra, FlagsKind, FlagsUnderTest, Ground } from "./flags-contract-under-test.ts";

/** Registers the suite. `make` is called for each test. */
export function flagsContract(name: string, make: () => Promise<FlagsUnderTest>, kind: FlagsKind): void {
  describe(`flags contract: ${name}`, () => {
    let under: FlagsUnderTest;
    let flags: Flags;
    beforeEach(async () => {
      under = await make();
      flags = under.open();
    });
    afterEach(() => under.close());
    const ground: Ground = { kind, under: () => under, flags: () => flags };
    it("can what its suite was told, and has all that is not named as lacking", () => {
      expect(flags.can).toEqual(kind.can);
      const extras: readonly Extra[] = [
        "proxy",
        "archive",
        "recreate",
        "elsewhere",
        "protect",
        "revoke",
        "mistyped",
        "seen",
      ];
      const missing = extras.filter((extra) => under[extra] === undefined);
      expect(missing.toSorted()).toEqual(Object.keys(kind.lacks).toSorted());
    });
    settingTests(ground);
    peopleTests(ground);
    refusalTests(ground);
    faultTests(ground);
  });
}
