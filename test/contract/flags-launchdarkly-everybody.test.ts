/** OFF means off for everybody, and the way back that is rehearsed is the one that a rollback takes. */
import { describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { ANA } from "../fakes/launchdarkly/server.ts";
import { until } from "../support/eventually.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { flagDef, outcomes, put } from "../support/flags-contract-under-test.ts";
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

describe("many OFFs that hang", () => {
  it("keep the OFF of another flag not waiting", async () => {
    const { fake, open } = await startGround();
    fake.createFlag(CHECKOUT.key);
    fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOn" }]);
    const stuck = Array.from({ length: 40 }, (_, index) => flagDef(`stuck-${index}`, `stuck-${index}`));
    const proxy = await startFaultProxy(fake.url);
    try {
      const flags = open({ url: proxy.url });
      const plan = proxy.plan({ kind: "hang" }, { method: "write", path: "stuck-", times: 40 });
      const hung = outcomes(
        flags,
        stuck.map((flag) => put(flag, OFF)),
      );
      await until("OFFs hang", () => plan.met.length >= 32);
      const began = performance.now();
      expect(await flags.write([put(CHECKOUT, OFF)])).toEqual({ checkout: "written" });
      expect(performance.now() - began).toBeLessThan(2_500);
      expect(fake.config(CHECKOUT.key).on).toBe(false);
      await proxy.clear();
      await hung;
    } finally {
      await proxy.close();
    }
  });
});

describe("an OFF that comes while an ON is being prepared", () => {
  it("wins: the ON is not sent after it", async () => {
    const { fake, open } = await startGround();
    fake.createFlag(CHECKOUT.key);
    const proxy = await startFaultProxy(fake.url);
    try {
      const flags = open({ url: proxy.url });
      const version = (await flags.read([CHECKOUT]))["checkout"]?.version;
      const looking = proxy.plan({ kind: "slow", ms: 400 }, { method: "read", path: CHECKOUT.key });
      const forward = outcomes(flags, [put(CHECKOUT, ON, version)]);
      await until("the ON looks at the flag", () => looking.met.length > 0);
      // Off already: LaunchDarkly gives it no new version.
      expect(await flags.write([put(CHECKOUT, OFF)])).toEqual({ checkout: "written" });
      expect(await forward).toEqual({ checkout: "conflict" });
      expect(fake.config(CHECKOUT.key).on).toBe(false);
    } finally {
      await proxy.close();
    }
  });
});

describe("an audit log that does not answer", () => {
  it("keeps the read-back of another flag waiting once at most, and names who it was when it answers again", async () => {
    const { fake, open } = await startGround();
    const SEARCH = flagDef("search", "new-search");
    for (const { key } of [CHECKOUT, SEARCH]) fake.createFlag(key);
    await until("the flags are of the past", () => Date.now() > (fake.audit()[0]?.at ?? 0));
    const proxy = await startFaultProxy(fake.url);
    try {
      const flags = open({ url: proxy.url });
      fake.act(ANA, SEARCH.key, [{ kind: "turnFlagOn" }]);
      proxy.plan({ kind: "hang" }, { path: "auditlog", times: Number.POSITIVE_INFINITY });
      await flags.read([CHECKOUT, SEARCH]);
      const began = performance.now();
      await flags.write([put(CHECKOUT, OFF)]);
      await flags.read([CHECKOUT, SEARCH]);
      expect(performance.now() - began).toBeLessThan(1_000);
      await proxy.clear();
      await until("Ana is named", async () => {
        const by = (await flags.read([SEARCH]))["search"]?.by;
        return by?.name === "Ana Lima" && !by.own;
      });
    } finally {
      await proxy.close();
    }
  });
});
