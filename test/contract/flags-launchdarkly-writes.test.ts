/** What Belay sends to LaunchDarkly: one patch a flag with absolute instructions, who and why in its comment, and nothing of people's rules lost. */
import { describe, expect, it } from "vitest";
import type { FlagDef } from "../../src/core/plan.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { ANA, type FakeLaunchDarkly, PRODUCTION } from "../fakes/launchdarkly/server.ts";
import { isObject } from "../fakes/slack/json.ts";
import { faultOf } from "../support/faults.ts";
import { flagDef, outcomes, put } from "../support/flags-contract-under-test.ts";
import { closeGrounds, startGround } from "../support/launchdarkly.ts";

closeGrounds();

const CHECKOUT = flagDef("checkout", "new-checkout");
const SEARCH = flagDef("search", "new-search");
const UPDATE = "updateFallthroughVariationOrRollout";

const id = (fake: FakeLaunchDarkly, value: unknown, key = CHECKOUT.key): string =>
  fake.flag(key)?.variations.find((one) => one.value === value)?.id ?? "";

function patches(fake: FakeLaunchDarkly): readonly Record<string, unknown>[] {
  return fake
    .requests("/api/v2/flags")
    .filter(({ method }) => method === "PATCH")
    .map(({ body, query }) => ({ ...(isObject(body) ? body : {}), query: query.toString() }));
}

async function sent(setting: Setting, prepare: (fake: FakeLaunchDarkly) => void = () => {}, bucketing = {}) {
  const { fake, open } = await startGround();
  const flags = open({ bucketing });
  fake.createFlag(CHECKOUT.key);
  prepare(fake);
  await flags.read([CHECKOUT]);
  expect(await flags.write([put(CHECKOUT, setting)])).toEqual({ checkout: "written" });
  const [patch, ...more] = patches(fake);
  expect(more).toEqual([]);
  expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting });
  return { fake, instructions: patch?.["instructions"], patch };
}

describe("instructions", () => {
  it("turn a flag off with one instruction, which asks for no other right and leaves the default as it is", async () => {
    const { fake, instructions } = await sent(OFF, (it) => {
      it.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOn" }]);
    });
    expect(instructions).toEqual([{ kind: "turnFlagOff" }]);
    expect(fake.config(CHECKOUT.key).fallthrough).toEqual({ variation: 0 });
  });

  it("turn a flag on with its default, in one patch", async () => {
    const { fake, instructions } = await sent(ON);
    expect(instructions).toEqual([{ kind: UPDATE, variationId: id(fake, true) }, { kind: "turnFlagOn" }]);
  });

  it.each([
    [12.5, 12_500],
    [0.001, 1],
    [33.333, 33_333],
    [99.999, 99_999],
    [7, 7_000],
    [0.07, 70],
    [64.1, 64_100],
  ])("split %d %% into weights that add up to 100,000", async (percent, weight) => {
    const { fake, instructions } = await sent({ kind: "percent", percent });
    const rolloutWeights = { [id(fake, true)]: weight, [id(fake, false)]: 100_000 - weight };
    expect(instructions).toEqual([{ kind: UPDATE, rolloutWeights }, { kind: "turnFlagOn" }]);
  });

  it("keep the way in which people split users, unless the file names another", async () => {
    const split = (fake: FakeLaunchDarkly): void => {
      const rolloutWeights = { [id(fake, true)]: 5_000, [id(fake, false)]: 95_000 };
      fake.act(ANA, CHECKOUT.key, [
        { kind: UPDATE, rolloutWeights, rolloutBucketBy: "region", rolloutContextKind: "organization" },
        { kind: "turnFlagOn" },
      ]);
    };
    const kept = await sent({ kind: "percent", percent: 25 }, split);
    expect(kept.fake.config(CHECKOUT.key).fallthrough).toMatchObject({
      rollout: { bucketBy: "region", contextKind: "organization" },
    });
    const named = await sent({ kind: "percent", percent: 25 }, split, {
      bucketBy: "plan",
      contextKind: "user",
    });
    expect(named.fake.config(CHECKOUT.key).fallthrough).toMatchObject({
      rollout: { bucketBy: "plan", contextKind: "user" },
    });
  });

  it("make OFF serve the off literal where it does not, so that no rule goes on serving ON", async () => {
    const { fake, instructions } = await sent(OFF, (it) => {
      it.edit(ANA, CHECKOUT.key, (config) => ({ ...config, on: true, offVariation: 0 }));
    });
    expect(instructions).toEqual([
      { kind: "updateOffVariation", variationId: id(fake, false) },
      { kind: "turnFlagOff" },
    ]);
  });

  it("leave rules, targets and prerequisites as they are", async () => {
    const rules = [{ id: "rule-1", attribute: "country", values: ["DE"], variation: 0 }];
    const targets = [{ values: ["ana"], variation: 0 }];
    const prerequisites = [{ key: "base", variation: 0 }];
    for (const setting of [ON, OFF, { kind: "percent", percent: 5 }] as const) {
      const { fake } = await sent(setting, (it) => {
        it.edit(ANA, CHECKOUT.key, (config) => ({ ...config, on: true, rules, targets, prerequisites }));
      });
      expect(fake.config(CHECKOUT.key)).toMatchObject({ rules, targets, prerequisites });
    }
  });

  it("leave other environments alone", async () => {
    const { fake, patch } = await sent(ON);
    expect(patch?.["environmentKey"]).toBe(PRODUCTION);
    expect(fake.config(CHECKOUT.key, "staging")).toMatchObject({ on: false, version: 1 });
  });

  it("refuse a share that is finer than LaunchDarkly splits", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    const fault = await faultOf(flags.write([put(CHECKOUT, { kind: "percent", percent: 0.0005 })]));
    expect(fault).toMatchObject({ recoverable: false, message: expect.stringContaining("thousandths") });
    expect(patches(fake)).toEqual([]);
  });
});

describe("values", () => {
  const cases: readonly (readonly [string, readonly unknown[], FlagDef, string, unknown])[] = [
    ["numbers", [1, 50, 1.5], flagDef("n", "n", { on: "50", off: "1" }), "1.5", 1.5],
    ["texts", ["slow", "fast", "50"], flagDef("t", "t", { on: "fast", off: "slow" }), "50", "50"],
    [
      "JSON",
      [{ size: 1 }, { size: 2, name: "x" }, [1, 2]],
      flagDef("j", "j", { on: '{ "name": "x", "size": 2 }', off: '{"size":1}' }),
      "[1,2]",
      [1, 2],
    ],
  ];
  it.each(cases)("of %s are found by their literals", async (_, values, def, other, value) => {
    const { fake, flags } = await startGround();
    fake.createFlag(def.key, { values, on: 1, off: 0 });
    for (const setting of [ON, { kind: "value", value: other }, OFF, ON, OFF] as const) {
      expect(await flags.write([put(def, setting)])).toEqual({ [def.name]: "written" });
      expect((await flags.read([def]))[def.name]).toMatchObject({ setting });
      if (setting.kind !== "value") continue;
      const { fallthrough } = fake.config(def.key);
      expect("variation" in fallthrough ? values[fallthrough.variation] : undefined).toEqual(value);
    }
  });

  it("that could not be read back as they are written are refused, with the way to write them", async () => {
    const { fake, flags } = await startGround();
    const def = flagDef("j", "j", { on: '{"a":1}', off: "0" });
    fake.createFlag(def.key, { values: [0, { a: 1 }, { b: [1, 2] }], on: 1, off: 0 });
    const fault = await faultOf(flags.write([put(def, { kind: "value", value: '{ "b": [1, 2] }' })]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toContain('must be written as {"b":[1,2]}');
  });

  it("that no variation has are refused with those there are, and the kind of the flag", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag("b");
    const fault = await faultOf(flags.write([put(flagDef("b", "b", { on: "100", off: "false" }), ON)]));
    expect(fault.message).toBe(
      "b in LaunchDarkly cannot be changed so, and nothing was: it is a boolean flag with true, false, and none of them is 100",
    );
  });
});

describe("readings of odd shapes", () => {
  it.each<[string, Parameters<FakeLaunchDarkly["edit"]>[2], Setting]>([
    [
      "off without an off variation",
      (c) => ({ ...c, offVariation: undefined }),
      value("nothing (the code's own default)"),
    ],
    ["off that serves on", (c) => ({ ...c, offVariation: 0 }), ON],
    ["on that serves off", (c) => ({ ...c, on: true, fallthrough: { variation: 1 } }), OFF],
    ["a split of one part", (c) => ({ ...c, on: true, fallthrough: split([0, 100_000], [1, 0]) }), ON],
    [
      "a split with the same value twice",
      (c) => ({ ...c, on: true, fallthrough: split([0, 20_000], [0, 5_000], [1, 75_000]) }),
      { kind: "percent", percent: 25 },
    ],
    [
      "a split of three",
      (c) => ({ ...c, on: true, fallthrough: split([0, 20_000], [1, 50_000], [2, 30_000]) }),
      value("20 % on, 50 % off, 30 % beta"),
    ],
    [
      "an experiment",
      (c) => ({
        ...c,
        on: true,
        fallthrough: { rollout: { ...split([0, 50_000], [1, 50_000]).rollout, experiment: true } },
      }),
      value("an experiment: 50 % on, 50 % off"),
    ],
  ])("%s", async (_, change, setting) => {
    const { fake, flags } = await startGround();
    const def = flagDef("x", "x", { on: "on", off: "off" });
    fake.createFlag("x", { values: ["on", "off", "beta"], on: 0, off: 1 });
    fake.edit(ANA, "x", change);
    expect((await flags.read([def]))["x"]).toMatchObject({ setting });
    // Whatever it was: off is off.
    await flags.write([put(def, OFF)]);
    expect((await flags.read([def]))["x"]).toMatchObject({ setting: OFF });
  });

  function value(text: string): Setting {
    return { kind: "value", value: text };
  }

  function split(...parts: readonly [number, number][]) {
    return { rollout: { variations: parts.map(([variation, weight]) => ({ variation, weight })) } };
  }
});

describe("a rollback", () => {
  it("is sent at once for all flags in their order, without a read before it, over people's plans", async () => {
    const { fake, flags } = await startGround();
    const defs = Array.from({ length: 4 }, (_, i) => flagDef(`f${i}`, `f${i}`));
    for (const { key } of defs) {
      fake.createFlag(key);
      fake.act(ANA, key, [{ kind: "turnFlagOn" }]);
      fake.schedule(key);
    }
    await flags.read(defs);
    const before = fake.requests().length;
    await flags.write(defs.toReversed().map((def) => put(def, OFF)));
    const heard = fake.requests().slice(before);
    expect(heard.map(({ method, path }) => `${method} ${path.slice(-2)}`)).toEqual([
      "PATCH f3",
      "PATCH f2",
      "PATCH f1",
      "PATCH f0",
    ]);
    expect(heard.every(({ query }) => query.get("ignoreConflicts") === "true")).toBe(true);
  });

  it("turns off a flag that was never looked at, and makes OFF serve the off literal when the answer shows that it does not", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    fake.createFlag(SEARCH.key);
    for (const { key } of [CHECKOUT, SEARCH]) fake.act(ANA, key, [{ kind: "turnFlagOn" }]);
    fake.edit(ANA, SEARCH.key, (config) => ({ ...config, offVariation: 0 }));
    await flags.write([put(CHECKOUT, OFF), put(SEARCH, OFF)]);
    expect(fake.requests("/api/v2/flags/shop/new-checkout").map(({ method }) => method)).toEqual(["PATCH"]);
    expect(fake.requests("/api/v2/flags/shop/new-search").map(({ method }) => method)).toEqual([
      "PATCH",
      "GET",
      "PATCH",
    ]);
    expect(await flags.read([CHECKOUT, SEARCH])).toMatchObject({
      checkout: { setting: OFF },
      search: { setting: OFF },
    });
  });

  it("looks again when the flag is not as it was last seen", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    await flags.write([put(CHECKOUT, ON)]);
    fake.remove(CHECKOUT.key);
    fake.createFlag(CHECKOUT.key, { values: [false, true], on: 1, off: 0 });
    const percent: Setting = { kind: "percent", percent: 5 };
    expect(await flags.write([put(CHECKOUT, percent)])).toEqual({ checkout: "written" });
    expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting: percent });
    fake.forgive("refused_400");
  });

  it("of a forward write's kind is not sent over a person's plan", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    fake.schedule(CHECKOUT.key);
    const version = (await flags.read([CHECKOUT]))["checkout"]?.version;
    const fault = await faultOf(flags.write([put(CHECKOUT, ON, version)]));
    expect(fault).toMatchObject({ recoverable: false, message: expect.stringContaining("scheduled change") });
    expect(fake.config(CHECKOUT.key).on).toBe(false);
  });
});

describe("a comment", () => {
  it("carries who, what and why, and at its end the intent", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    const note = "Belay r-12 ingestion: checkout ON\n(stage 1, asked by @ana)";
    await flags.write([{ ...put(CHECKOUT, ON), note, intent: "r-12.4.checkout" }]);
    expect(fake.audit()[0]?.comment).toBe(
      "Belay r-12 ingestion: checkout ON (stage 1, asked by @ana) [belay:r-12.4.checkout]",
    );
    await flags.write([{ ...put(CHECKOUT, OFF), note: "x".repeat(5_000), intent: "odd ] intent\n" }]);
    expect(fake.audit()[0]?.comment?.length).toBeLessThan(500);
    expect((await flags.read([CHECKOUT]))["checkout"]?.intent).toBe("odd ] intent\n");
    const other = await outcomes(flags, [put(SEARCH, OFF)]);
    expect(other["search"]).toMatchObject({ recoverable: false });
  });
});
