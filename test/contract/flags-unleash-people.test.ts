/** Unleash beside the common contract: strategies that people made, values and shares as its SDK sees them, whom it names, and its own description of its API. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createUnleashView } from "../../src/adapters/flags/unleash/view.ts";
import type { FlagDef } from "../../src/core/plan.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import { type Flags, OutsideFault } from "../../src/engine/ports.ts";
import { until } from "../support/eventually.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { faultOf } from "../support/faults.ts";
import { faultIn, flagDef, LIMIT, outcomes, PARALLEL, put } from "../support/flags-contract-under-test.ts";
import { openApi } from "../support/unleash-openapi.ts";
import {
  createReader,
  startUnleashGround,
  type UnleashGround,
  type WrittenStrategy,
} from "../support/unleash-under-test.ts";

const PARENT = flagDef("parent", "FEATURE_PARENT");
const FEATURES = "/projects/default/features";
const USERS = Array.from({ length: 400 }, (_, i) => `user-${i}`);
const FOR_TESTERS = [{ contextName: "userId", operator: "IN", values: ["1", "2"] }];

let begun: UnleashGround | undefined;
let ground: UnleashGround;
let flags: Flags;

beforeAll(async () => {
  begun = await startUnleashGround();
  ground = begun;
}, 90_000);

beforeEach(async () => {
  for (const { key } of [PARALLEL, LIMIT]) await ground.make(key);
  flags = ground.open();
});

afterAll(() => begun?.stop());

async function settingOf(flag: FlagDef): Promise<Setting | undefined> {
  return (await flags.read([flag]))[flag.name]?.setting;
}

/** Over the version that it has now. */
async function forward(flag: FlagDef, setting: Setting): Promise<unknown> {
  const reading = (await flags.read([flag]))[flag.name];
  return (await outcomes(flags, [put(flag, setting, reading?.version)]))[flag.name];
}

async function strategiesOf(key: string): Promise<unknown> {
  return ground.server.admin("GET", `${FEATURES}/${key}/environments/production/strategies`);
}

describe("strategies that people made", () => {
  const ALL_OF_THEM: readonly WrittenStrategy[] = [{ constraints: FOR_TESTERS }, { rollout: "25" }];

  it.each<[string, readonly WrittenStrategy[], Setting | RegExp]>([
    ["everybody", [{}], ON],
    ["everybody, by the plain strategy", [{ name: "default" }], ON],
    ["testers and then everybody", [{ constraints: FOR_TESTERS }, {}], ON],
    ["a share", [{ rollout: "30", stickiness: "userId" }], { kind: "percent", percent: 30 }],
    ["nobody yet", [{ rollout: "0" }], OFF],
    ["a share, twice by accident", [{ rollout: "30" }, { rollout: "30" }], { kind: "percent", percent: 30 }],
    [
      "a share, beside a strategy that is switched off",
      [{ rollout: "30" }, { disabled: true }],
      { kind: "percent", percent: 30 },
    ],
    ["testers", [{ constraints: FOR_TESTERS }], /^\(in Unleash: flexibleRollout 100 % with 1 constraint\)$/],
    ["testers and a share", ALL_OF_THEM, /^\(in Unleash: .*1 constraint, flexibleRollout 25 %\)$/],
    ["two shares", [{ rollout: "20" }, { rollout: "40" }], /^\(in Unleash: .*20 %.*40 %\)$/],
    ["a share that is no number", [{ rollout: "some" }], /^\(in Unleash: flexibleRollout some %\)$/],
  ])("are read as what is served: %s", async (_who, strategies, wanted) => {
    for (const strategy of strategies) await ground.strategy(PARALLEL.key, strategy);
    await ground.turn(PARALLEL.key, "on");
    const setting = await settingOf(PARALLEL);
    if (wanted instanceof RegExp)
      expect(setting).toMatchObject({ kind: "value", value: expect.stringMatching(wanted) });
    else expect(setting).toEqual(wanted);
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    expect(await settingOf(PARALLEL)).toEqual(OFF);
  });

  it("are never changed by going forward: it is refused, and says what to do", async () => {
    for (const strategy of ALL_OF_THEM) await ground.strategy(PARALLEL.key, strategy);
    const before = await strategiesOf(PARALLEL.key);
    for (const setting of [ON, { kind: "percent", percent: 5 }] as const) {
      const fault = await forward(PARALLEL, setting);
      expect(fault).toMatchObject({ recoverable: false });
      expect(String(fault)).toMatch(/FEATURE_PARALLEL has strategies that people made .*nothing was changed/);
    }
    expect(await strategiesOf(PARALLEL.key)).toEqual(before);
    expect(await settingOf(PARALLEL)).toEqual(OFF);
    expect((await flags.rehearse(PARALLEL)).warnings.join()).toContain("could not turn FEATURE_PARALLEL on");
  });

  it("come back as they were after an OFF, and only as they were", async () => {
    for (const strategy of ALL_OF_THEM) await ground.strategy(PARALLEL.key, strategy);
    await ground.turn(PARALLEL.key, "on");
    const odd = await settingOf(PARALLEL);
    if (odd === undefined) throw new Error("it is absent");
    const before = await strategiesOf(PARALLEL.key);
    await flags.write([put(PARALLEL, OFF)]);
    expect(await flags.write([put(PARALLEL, odd)])).toEqual({ parallel: "written" });
    expect(await settingOf(PARALLEL)).toEqual(odd);
    expect(await strategiesOf(PARALLEL.key)).toEqual(before);
    await ground.strategy(PARALLEL.key, { rollout: "3" });
    const fault = faultIn(await outcomes(flags, [put(PARALLEL, odd)]), PARALLEL);
    expect(fault.message).toContain("Belay cannot bring back");
    expect(fault.recoverable).toBe(false);
  });

  it("stay beside one for everybody, where the way back is ON", async () => {
    await ground.strategy(PARALLEL.key, { constraints: FOR_TESTERS, title: "testers" });
    expect(await flags.write([put(PARALLEL, ON)])).toEqual({ parallel: "written" });
    expect(await settingOf(PARALLEL)).toEqual(ON);
    expect(JSON.stringify(await strategiesOf(PARALLEL.key))).toContain('"title":"testers"');
  });

  it("keep their stickiness, group and title when their share changes", async () => {
    await ground.strategy(PARALLEL.key, { rollout: "10", stickiness: "userId", title: "ours" });
    expect(await forward(PARALLEL, { kind: "percent", percent: 20 })).toBe("written");
    expect(await strategiesOf(PARALLEL.key)).toMatchObject([
      { title: "ours", parameters: { rollout: "20", stickiness: "userId", groupId: PARALLEL.key } },
    ]);
  });

  it("of a flag that depends on another one are on only where that one is", async () => {
    await ground.make(PARENT.key);
    const path = `${FEATURES}/${PARALLEL.key}/dependencies`;
    await ground.server.admin("POST", path, { feature: PARENT.key }, ground.ana.token);
    expect(String(await forward(PARALLEL, ON))).toContain("depends on FEATURE_PARENT");
    await ground.turn(PARALLEL.key, "on");
    expect(await settingOf(PARALLEL)).toMatchObject({
      value: "(in Unleash: on only where FEATURE_PARENT is on)",
    });
    await flags.write([put(PARALLEL, OFF)]);
    expect(await settingOf(PARALLEL)).toEqual(OFF);
    await ground.remove(PARALLEL.key);
    await ground.remove(PARENT.key);
  });
});

describe("writes", () => {
  it("carry the note of who asked and why into the strategy", async () => {
    const note = "Belay r-12 ingestion: parallel 5 % (stage parallel, asked by @ana)";
    await flags.write([{ ...put(PARALLEL, { kind: "percent", percent: 5 }), note }]);
    expect(await strategiesOf(PARALLEL.key)).toMatchObject([{ title: note }]);
  });

  it("set up what is served before they turn on, and say so when they get only half-way", async () => {
    const proxy = await startFaultProxy(ground.server.url);
    try {
      flags = ground.open({ url: proxy.url });
      proxy.plan({ kind: "status", status: 403 }, { method: "write", path: /\/on$/ });
      const fault = await forward(PARALLEL, { kind: "percent", percent: 5 });
      expect(String(fault)).toMatch(/Its strategy was set before; the environment stays off/);
      expect(await settingOf(PARALLEL)).toEqual(OFF);
      const sent = proxy.requests.filter(({ method }) => method !== "GET");
      expect(sent.map(({ path }) => path.split("/").at(-1))).toEqual(["strategies", "on"]);
    } finally {
      await proxy.close();
    }
  });

  it("refuse a share that Unleash would round, and a number that is none", async () => {
    const half = faultIn(
      await outcomes(flags, [put(PARALLEL, { kind: "percent", percent: 12.5 })]),
      PARALLEL,
    );
    expect(half.message).toBe(
      "FEATURE_PARALLEL cannot be at 12.5 %: Unleash knows whole percentages only; nothing was changed",
    );
    await ground.strategy(LIMIT.key, { payload: '{"most": 10}', type: "json" });
    const broken = faultIn(await outcomes(flags, [put(LIMIT, { kind: "value", value: "{" })]), LIMIT);
    expect(broken).toMatchObject({ recoverable: false });
    expect(broken.message).toContain("json");
  });

  it("that need an approval say what to approve and where", async () => {
    await flags.write([put(PARALLEL, ON)]);
    await ground.server.protect(true);
    try {
      const fault = await faultOf(flags.write([put(PARALLEL, OFF)]));
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain("turn FEATURE_PARALLEL off in production");
      expect(fault.message).toContain(`${ground.server.url}/projects/default/features/FEATURE_PARALLEL`);
      expect(fault.message).toContain("SKIP_CHANGE_REQUEST");
      expect((await flags.rehearse(PARALLEL)).problems.join()).toContain("approved change request");
    } finally {
      await ground.server.protect(false);
    }
  });

  it("with another token say what is wrong with it, once for all flags", async () => {
    const nobody = ground.open({ token: () => "user:0123456789abcdef" });
    const fault = await faultOf(nobody.write([put(PARALLEL, OFF), put(PARENT, OFF)]));
    expect(fault.message).toMatch(
      /^cannot turn FEATURE_PARALLEL off .*token in BELAY_UNLEASH_TOKEN is not accepted.*\(and the same for FEATURE_PARENT\)$/,
    );
    const sdks = ground.open({ token: () => ground.server.backendToken });
    expect((await faultOf(sdks.read([PARALLEL]))).message).toContain("of another type");
    const none = ground.open({
      token: () => {
        throw new OutsideFault("BELAY_UNLEASH_TOKEN is not set", { recoverable: false });
      },
    });
    expect((await none.rehearse(PARALLEL)).problems).toEqual(["BELAY_UNLEASH_TOKEN is not set"]);
  });
});

describe("what SDKs see", () => {
  const view = (token = ground.server.backendToken) =>
    createUnleashView({
      url: `${ground.server.url}/api/`,
      project: "default",
      environment: "production",
      setting: "BELAY_UNLEASH_CLIENT_TOKEN",
      token: () => token,
      timeoutMs: 5_000,
    });

  it("is read past caches: literals of on, off and values, and no flag that is gone", async () => {
    const port = view();
    const seen = async (setting: Setting, flag: FlagDef, literal: string): Promise<void> => {
      await flags.write([put(flag, setting)]);
      const isSeen = async (): Promise<boolean> => (await port.read([flag]))[flag.name] === literal;
      await until(`${flag.key} is seen as ${literal}`, isSeen);
    };
    await seen(ON, PARALLEL, "true");
    await seen(OFF, PARALLEL, "false");
    await seen({ kind: "value", value: "1000" }, LIMIT, "1000");
    await seen(OFF, LIMIT, LIMIT.off);
    await seen({ kind: "percent", percent: 25 }, PARALLEL, "true");
    await ground.archive(PARALLEL.key);
    await until("an archived flag is gone", async () => !("parallel" in (await port.read([PARALLEL]))));
    port.close();
    const wrong = view(ground.belay.token);
    expect((await faultOf(wrong.read([PARALLEL]))).message).toMatch(/BELAY_UNLEASH_CLIENT_TOKEN/);
    wrong.close();
  });

  it("is a share of the users that only grows, and a split of values", async () => {
    const reader = createReader(ground.server);
    try {
      const sdk = await reader.open();
      const among = (): Set<string> => new Set(USERS.filter((user) => sdk.isOn(PARALLEL.key, user)));
      await forward(PARALLEL, { kind: "percent", percent: 25 });
      await until("some have it", () => among().size > 0);
      const quarter = among();
      expect(quarter.size).toBeGreaterThan(60);
      expect(quarter.size).toBeLessThan(140);
      await forward(PARALLEL, { kind: "percent", percent: 50 });
      await until("more have it", () => among().size > quarter.size);
      expect([...quarter].filter((user) => !among().has(user))).toEqual([]);
      const split: Setting = { kind: "percent", percent: 12.5 };
      expect(await forward(LIMIT, split)).toBe("written");
      expect(await settingOf(LIMIT)).toEqual(split);
      const values = (): readonly string[] => USERS.map((user) => sdk.literal(LIMIT.key, user));
      await until("values are there", () => values().includes(LIMIT.on));
      expect(new Set(values())).toEqual(new Set([LIMIT.on, LIMIT.off]));
      expect(values().filter((value) => value === LIMIT.on).length).toBeLessThan(100);
    } finally {
      await reader.close();
    }
  });

  it("of a flag of values that is off in Unleash is no value: it is shown as that, and written as that", async () => {
    await flags.write([put(LIMIT, ON)]);
    await ground.turn(LIMIT.key, "off");
    const unserved = await settingOf(LIMIT);
    expect(unserved).toMatchObject({ kind: "value", value: expect.stringContaining("uses its own default") });
    await flags.write([put(LIMIT, OFF)]);
    expect(await settingOf(LIMIT)).toEqual(OFF);
    if (unserved !== undefined) await flags.write([put(LIMIT, unserved)]);
    expect(await settingOf(LIMIT)).toEqual(unserved);
  });
});

describe("who and what", () => {
  it("tells changes in words, with names, and not those of other environments", async () => {
    const since = Date.now();
    await flags.write([put(PARALLEL, { kind: "percent", percent: 5 })]);
    await ground.turn(PARALLEL.key, "off");
    await ground.turn(PARALLEL.key, "on", "development");
    const told = (await flags.history([PARALLEL], since)).map(({ by, own, what }) => `${by} ${own}: ${what}`);
    expect(told).toEqual([
      "belay true: strategy added in production (flexibleRollout 5 %)",
      "belay true: turned on in production",
      "ana false: turned off in production",
    ]);
  });

  it("tells an admin token from others by its name", async () => {
    const admin = ground.open({ token: () => ground.server.adminToken });
    await admin.write([put(PARALLEL, ON)]);
    const { by } = (await admin.read([PARALLEL]))["parallel"] ?? {};
    expect(by).toEqual({ name: "admin", own: true });
    expect((await flags.read([PARALLEL]))["parallel"]?.by).toEqual({ name: "admin", own: false });
  });

  it("warns of what a token may do besides", async () => {
    const admin = ground.open({ token: () => ground.server.adminToken });
    expect((await admin.reach()).join()).toMatch(/is an admin token: it can delete flags/);
    const editor = (await flags.reach()).join("\n");
    expect(editor).toMatch(/can archive and delete flags, move flags to another project/);
    expect(editor).toMatch(/can also change development of project default/);
    const viewer = await ground.server.person(`vic-${Date.now()}`, "viewer");
    expect(await ground.open({ token: () => viewer.token }).reach()).toEqual([]);
  });
});

describe("Unleash's own description of its API", () => {
  it("has every call that Belay makes, with such bodies and queries", async () => {
    const proxy = await startFaultProxy(ground.server.url);
    try {
      flags = ground.open({ url: proxy.url, stickiness: "userId" });
      for (const setting of [{ kind: "percent", percent: 5 }, ON, OFF] as const)
        expect(await forward(PARALLEL, setting)).toBe("written");
      for (const setting of [{ kind: "percent", percent: 5 }, ON, OFF] as const)
        expect(await forward(LIMIT, setting)).toBe("written");
      await flags.history([PARALLEL, LIMIT], Date.now() - 1_000);
      for (const flag of [PARALLEL, LIMIT]) expect((await flags.rehearse(flag)).problems).toEqual([]);
      await flags.reach();
      const document = openApi(await (await fetch(`${ground.server.url}/docs/openapi.json`)).json());
      const calls = new Set(
        proxy.requests.map(({ method, path }) => `${method} ${path.split("?")[0]?.split("/").at(-1)}`),
      );
      expect([...calls]).toEqual(
        expect.arrayContaining(["POST on", "POST off", "POST strategies", "GET events", "GET user"]),
      );
      expect(proxy.requests.some(({ method }) => method === "PUT")).toBe(true);
      expect(proxy.requests.flatMap((request) => document.faultsOf(request))).toEqual([]);
      const [made] = proxy.requests.filter(({ method }) => method === "PUT");
      if (made === undefined) throw new Error("nothing was put");
      const spoiled = { ...z.record(z.string(), z.unknown()).parse(JSON.parse(made.body)), weights: [] };
      expect(document.faultsOf({ ...made, body: JSON.stringify(spoiled) })).toHaveLength(1);
      expect(document.faultsOf({ ...made, method: "PURGE" })).toHaveLength(1);
    } finally {
      await proxy.close();
    }
  });

  it("has the call for what SDKs see", async () => {
    const document = openApi(await (await fetch(`${ground.server.url}/docs/openapi.json`)).json());
    expect(document.faultsOf({ method: "GET", path: "/api/client/features", body: "" })).toEqual([]);
  });
});
