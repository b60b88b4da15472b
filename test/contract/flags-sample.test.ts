/** The contract of all flag systems, on the small one of our own: what shows that the suite and its faults can be met. */

import { startFaultProxy } from "../support/fault-proxy.ts";
import { flagsContract } from "../support/flags-contract.ts";
import { createSampleFlags, SAMPLE_CAN, SampleSystem } from "../support/flags-contract-sample.ts";
import { type FlagsUnderTest, flagDef, LIMIT_VALUES } from "../support/flags-contract-under-test.ts";

const TOKEN = "sample-canary-4711";
const BOTH = ["true", "false"];

async function make(): Promise<FlagsUnderTest> {
  const system = new SampleSystem(TOKEN);
  const proxy = await startFaultProxy(await system.listen());
  for (const key of ["FEATURE_PARALLEL", "FEATURE_BATCHING"]) system.make(key, "false", BOTH);
  system.make("BATCH_LIMIT", "10", LIMIT_VALUES);
  system.make("MODE", "slow", ["slow", "fast"]);
  const opened: { close(): void }[] = [];
  const open = (environment = "production") => {
    const flags = createSampleFlags({ url: proxy.url, token: TOKEN, environment });
    opened.push(flags);
    return flags;
  };
  return {
    open: () => open(),
    elsewhere: () => open("nowhere"),
    person: async (key, literal) => {
      const share = /^([\d.]+) %$/.exec(literal)?.[1];
      system.set(
        key,
        "ana",
        share === undefined ? { value: literal } : { value: "true", percent: Number(share) },
      );
    },
    literal: async (key) => system.literal(key),
    seen: async (key) => system.literal(key),
    secrets: [TOKEN],
    proxy,
    archive: async (key) => system.archive(key),
    recreate: async (key) => system.make(key, "false", BOTH),
    protect: async () => {
      system.needsApproval = true;
    },
    revoke: async () => {
      system.mayWrite = false;
    },
    allow: async () => {
      system.needsApproval = false;
      system.mayWrite = true;
    },
    mistyped: flagDef("mode", "MODE"),
    close: async () => {
      for (const flags of opened) flags.close();
      await proxy.close();
      system.close();
    },
  };
}

flagsContract("the sample", make, { can: SAMPLE_CAN, lacks: {} });
