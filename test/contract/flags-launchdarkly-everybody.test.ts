/** OFF means off for everybody, and the way back that is rehearsed is the one that a rollback takes. */
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { ANA } from "../fakes/launchdarkly/server.ts";
import { flagDef, put } from "../support/flags-contract-under-test.ts";
import { closeGrounds, startGround } from "../support/launchdarkly.ts";

closeGrounds();

const CHECKOUT = flagDef("checkout", "new-checkout");
const RULES = [{ id: "rule-1", attribute: "country", values: ["DE"], variation: 0 }];
const TARGETS = [{ values: ["ana"], variation: 0 }];

describe("a flag that is off by its default only", () => {
  it.each([
    ["rules", { rules: RULES }],
    ["targets", { targets: TARGETS }],
  ])("does not count as off in effect while %s may serve it on; OFF makes it so", async (_, special) => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    fake.edit(ANA, CHECKOUT.key, (config) => ({
      ...config,
      ...special,
      on: true,
      fallthrough: { variation: 1 },
    }));
    expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting: OFF, effective: false });
    await flags.write([put(CHECKOUT, OFF)]);
    expect(fake.config(CHECKOUT.key).on).toBe(false);
    expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting: OFF, effective: true });
  });

  it("counts as off in effect where nothing else is served, and ON counts in spite of rules", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    fake.edit(ANA, CHECKOUT.key, (config) => ({ ...config, on: true, fallthrough: { variation: 1 } }));
    expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting: OFF, effective: true });
    fake.edit(ANA, CHECKOUT.key, (config) => ({ ...config, rules: RULES, fallthrough: { variation: 0 } }));
    expect((await flags.read([CHECKOUT]))["checkout"]).toMatchObject({ setting: ON, effective: true });
  });
});

describe("the rehearsal of a flag whose safe value is not off", () => {
  const SHED = flagDef("shed", "load-shedding", { safe: ON });

  it("tries the safe value, and changes nothing", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(SHED.key);
    const before = fake.config(SHED.key);
    const rehearsal = await flags.rehearse(SHED);
    expect(rehearsal).toMatchObject({ problems: [], writeMs: expect.any(Number) });
    expect(fake.config(SHED.key)).toEqual(before);
    const tried = fake.requests("/api/v2/flags").filter(({ method }) => method === "PATCH");
    expect(JSON.stringify(tried.map(({ body }) => body))).toContain("updateFallthroughVariationOrRollout");
    for (const { query } of tried) expect(query.get("dryRun")).toBe("true");
  });

  it("says that the token may not set it, which a rollback would learn too late", async () => {
    const { fake, open } = await startGround();
    fake.createFlag(SHED.key);
    const inlineRole = [
      {
        effect: "allow" as const,
        actions: ["updateOn", "updateOffVariation"],
        resources: ["proj/*:env/*:flag/*"],
      },
    ];
    const token = fake.addToken("only-off", { inlineRole });
    const { problems } = await open({ token: () => token }).rehearse(SHED);
    expect(problems.join("\n")).toContain("403");
  });

  it("says that the flag does not know its safe value", async () => {
    const { fake, flags } = await startGround();
    fake.createFlag(CHECKOUT.key);
    const odd = { ...CHECKOUT, safe: { kind: "value" as const, value: "blue" } };
    const { problems } = await flags.rehearse(odd);
    expect(problems.join("\n")).toContain("blue");
  });
});
