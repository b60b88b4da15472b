/** Unleash needs two calls for some settings: what is seen and what comes between them must not look like, or be, somebody else's change. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { OFF, ON } from "../../src/core/setting.ts";
import { until } from "../support/eventually.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { outcomes, PARALLEL, put } from "../support/flags-contract-under-test.ts";
import { startUnleashGround, type UnleashGround } from "../support/unleash-under-test.ts";

let begun: UnleashGround | undefined;
let ground: UnleashGround;
let proxy: FaultProxy;

beforeAll(async () => {
  begun = await startUnleashGround();
  ground = begun;
  proxy = await startFaultProxy(ground.server.url);
}, 90_000);

beforeEach(async () => {
  await proxy.clear();
  await ground.make(PARALLEL.key);
});

afterAll(async () => {
  await proxy?.close();
  await begun?.stop();
});

const TURN_ON = /FEATURE_PARALLEL\/environments\/production\/on$/;
const STRATEGY = /FEATURE_PARALLEL\/environments\/production\/strategies$/;

describe("a forward write in two calls", () => {
  it("that is read between them is known as Belay's own", async () => {
    const flags = ground.open({ url: proxy.url });
    const before = (await flags.read([PARALLEL]))["parallel"];
    const slow = proxy.plan({ kind: "slow", ms: 1_000 }, { method: "write", path: TURN_ON });
    const forward = outcomes(flags, [put(PARALLEL, { kind: "percent", percent: 25 }, before?.version)]);
    await until("its second call is on its way", () => slow.met.length > 0);
    const between = (await flags.read([PARALLEL]))["parallel"];
    expect(between).toMatchObject({ setting: OFF });
    if (between?.version !== before?.version) expect(between?.by).toMatchObject({ own: true });
    expect(await forward).toEqual({ parallel: "written" });
  });

  it("gives way to an OFF that comes between them: no ON is sent after it", async () => {
    const flags = ground.open({ url: proxy.url });
    const version = (await flags.read([PARALLEL]))["parallel"]?.version;
    const slow = proxy.plan({ kind: "slow", ms: 600 }, { method: "write", path: STRATEGY });
    const forward = outcomes(flags, [put(PARALLEL, ON, version)]);
    await until("its first call is on its way", () => slow.met.length > 0);
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    await forward;
    expect((await flags.read([PARALLEL]))["parallel"]).toMatchObject({ setting: OFF });
  });

  it("gives way to an OFF that comes while it looks", async () => {
    const flags = ground.open({ url: proxy.url });
    const version = (await flags.read([PARALLEL]))["parallel"]?.version;
    const slow = proxy.plan({ kind: "slow", ms: 600 }, { method: "read", path: "FEATURE_PARALLEL" });
    const forward = outcomes(flags, [put(PARALLEL, ON, version)]);
    await until("it looks at the flag", () => slow.met.length > 0);
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    await forward;
    expect((await flags.read([PARALLEL]))["parallel"]).toMatchObject({ setting: OFF });
  });
});
