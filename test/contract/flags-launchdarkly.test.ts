/** The contract of all flag systems, on LaunchDarkly's adapter in front of the strict stand-in, which must have nothing to complain of. */
import { expect } from "vitest";
import { createLaunchDarklyFlags, LAUNCHDARKLY_CAN } from "../../src/adapters/flags/launchdarkly/flags.ts";
import { createLaunchDarklyView, type LaunchDarklyView } from "../../src/adapters/flags/launchdarkly/view.ts";
import {
  ANA,
  CAREFUL,
  type FakeLaunchDarkly,
  PRODUCTION,
  PROJECT,
  startFakeLaunchDarkly,
} from "../fakes/launchdarkly/server.ts";
import { until } from "../support/eventually.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { logInto } from "../support/faults.ts";
import { flagsContract } from "../support/flags-contract.ts";
import { ALL, type FlagsUnderTest, flagDef } from "../support/flags-contract-under-test.ts";

const CALL_MS = 5_000;
const VIEW_MS = 2_000;
const WHOLE = 100_000;

/** What is served to everybody, worked out from the stand-in's own record. */
function served(fake: FakeLaunchDarkly, key: string): string | undefined {
  const flag = fake.flag(key);
  if (flag === undefined) return undefined;
  const { on, fallthrough, offVariation } = fake.config(key);
  const text = (index: number | undefined): string => String(flag.variations[index ?? -1]?.value);
  if (!on) return text(offVariation);
  if ("variation" in fallthrough) return text(fallthrough.variation);
  const shares = fallthrough.rollout.variations.filter(({ weight }) => weight > 0);
  const [only] = shares;
  if (shares.length === 1) return text(only?.variation);
  const weight = shares.find(({ variation }) => text(variation) === "true")?.weight ?? 0;
  return `${(weight / WHOLE) * 100} %`;
}

/** What a person clicks together. */
function click(fake: FakeLaunchDarkly, key: string, literal: string): void {
  const id = (text: string): string =>
    fake.flag(key)?.variations.find(({ value }) => String(value) === text)?.id ?? "";
  const share = /^([\d.]+) %$/.exec(literal)?.[1];
  const kind = "updateFallthroughVariationOrRollout";
  const weight = Number(share) * (WHOLE / 100);
  const rolloutWeights = { [id("true")]: weight, [id("false")]: WHOLE - weight };
  if (share !== undefined) fake.act(ANA, key, [{ kind, rolloutWeights }, { kind: "turnFlagOn" }]);
  else if (literal === "false") fake.act(ANA, key, [{ kind: "turnFlagOff" }]);
  else fake.act(ANA, key, [{ kind, variationId: id(literal) }, { kind: "turnFlagOn" }]);
}

async function make(): Promise<FlagsUnderTest> {
  const fake = await startFakeLaunchDarkly();
  const proxy = await startFaultProxy(fake.url);
  for (const key of ["FEATURE_PARALLEL", "FEATURE_BATCHING"]) fake.createFlag(key);
  fake.createFlag("BATCH_LIMIT", { values: [500_000, 1_000, 10] });
  fake.createFlag("MODE", { values: ["slow", "fast"] });
  // The history that a test asks for begins after that of the flags: no two entries of the log share an instant.
  await until("the flags are of the past", () => Date.now() > (fake.audit()[0]?.at ?? 0));
  const secrets = [fake.token, fake.sdkKey()];
  const lines: string[] = [];
  const opened: { close(): void }[] = [];
  const open = (environment: string = PRODUCTION) => {
    const flags = createLaunchDarklyFlags({
      url: proxy.url,
      project: PROJECT,
      environment,
      bucketing: {},
      token: () => fake.token,
      secrets: () => secrets,
      log: logInto(lines),
      callMs: CALL_MS,
    });
    opened.push(flags);
    return flags;
  };
  let view: LaunchDarklyView | undefined;
  const viewed = (): LaunchDarklyView => {
    const made = createLaunchDarklyView({
      sdkKey: () => fake.sdkKey(),
      secrets: () => secrets,
      stream: fake.url,
      base: fake.url,
      events: fake.url,
      targetingKey: "belay",
      timeoutMs: VIEW_MS,
      log: logInto(lines),
    });
    opened.push(made);
    return made;
  };
  return {
    open: () => open(),
    elsewhere: () => open("nowhere"),
    person: async (key, literal) => click(fake, key, literal),
    literal: async (key) => served(fake, key),
    async seen(key) {
      view ??= viewed();
      const flag = ALL.find((one) => one.key === key);
      return flag === undefined ? undefined : (await view.read([flag]))[flag.name];
    },
    secrets,
    proxy,
    archive: async (key) => fake.archive(key),
    async recreate(key) {
      fake.remove(key);
      fake.createFlag(key);
    },
    protect: async () => fake.protect(PRODUCTION),
    revoke: async () => fake.setRights({ role: "reader" }),
    async allow() {
      fake.protect(PRODUCTION, false);
      fake.setRights(CAREFUL);
    },
    mistyped: flagDef("mode", "MODE"),
    async close() {
      for (const one of opened) one.close();
      await proxy.close();
      await fake.close();
      // A swallowed PATCH is answered by a GET that the proxy sends, with the query of the PATCH.
      const ofTheProxy = ({ rule, detail }: { rule: string; detail: string }): boolean =>
        rule === "query" && detail.endsWith(" knows no ignoreConflicts");
      expect(fake.violations().filter((violation) => !ofTheProxy(violation))).toEqual([]);
      for (const secret of secrets) expect(lines.join("\n")).not.toContain(secret);
    },
  };
}

flagsContract("launchdarkly", make, { can: LAUNCHDARKLY_CAN, lacks: {} });
