/** What LaunchDarkly's real SDK sees, as Belay reads it: literals, late and refused starts, no secrets, and no process held open. */
import { once } from "node:events";
import { connect } from "node:net";
import { createServer } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { createLaunchDarklyView, type LaunchDarklyView } from "../../src/adapters/flags/launchdarkly/view.ts";
import { ANA, type FakeLaunchDarkly, startFakeLaunchDarkly } from "../fakes/launchdarkly/server.ts";
import { CERTIFICATE, PRIVATE_KEY } from "../fakes/pagerduty/certificate.ts";
import { until } from "../support/eventually.ts";
import { faultOf, logInto, shapesOf } from "../support/faults.ts";
import { runModule } from "../support/flag-store-contract.ts";
import { flagDef } from "../support/flags-contract-under-test.ts";

const CHECKOUT = flagDef("checkout", "new-checkout");
const LIMIT = flagDef("limit", "limit", { on: "1e3", off: "10" });
const SHAPE = flagDef("shape", "shape", { on: '{ "a": [1] }', off: "null" });
const GHOST = flagDef("ghost", "ghost");
const VIEW_MS = 2_000;

const open: (() => void | Promise<void>)[] = [];
const lines: string[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  lines.length = 0;
});

async function start(): Promise<FakeLaunchDarkly> {
  const fake = await startFakeLaunchDarkly();
  open.push(() => fake.close());
  fake.createFlag(CHECKOUT.key);
  fake.createFlag(LIMIT.key, { values: [1_000, 50, 10] });
  fake.createFlag(SHAPE.key, { values: [{ a: [1] }, { b: 2 }] });
  return fake;
}

function viewOf(
  fake: FakeLaunchDarkly,
  { sdkKey = fake.sdkKey(), targetingKey = "belay", timeoutMs = VIEW_MS, stream = fake.url } = {},
): LaunchDarklyView {
  const view = createLaunchDarklyView({
    sdkKey: () => (sdkKey === "" ? undefined : sdkKey),
    secrets: () => [sdkKey],
    stream,
    base: fake.url,
    events: fake.url,
    targetingKey,
    timeoutMs,
    log: logInto(lines),
  });
  open.push(() => view.close());
  return view;
}

describe("the view of the SDK", () => {
  it("gives the literals of the file, and nothing of a flag that is not there", async () => {
    const fake = await start();
    const view = viewOf(fake);
    const read = () => view.read([CHECKOUT, LIMIT, SHAPE, GHOST]);
    expect(await read()).toEqual({ checkout: "false", limit: "10", shape: '{"b":2}' });
    for (const { key } of [CHECKOUT, LIMIT, SHAPE]) fake.act(ANA, key, [{ kind: "turnFlagOn" }]);
    await until("all are seen on", async () => {
      const seen = await read();
      return seen["checkout"] === "true" && seen["limit"] === "1e3" && seen["shape"] === '{ "a": [1] }';
    });
    fake.remove(CHECKOUT.key);
    await until("a removed flag is absent", async () => !("checkout" in (await read())));
    expect(fake.streams).toBe(1);
    expect(fake.requests("/bulk")).toEqual([]);
    expect(fake.requests("/diagnostic")).toEqual([]);
    expect(fake.violations()).toEqual([]);
  });

  it("is asked as somebody, whom rules may serve otherwise", async () => {
    const fake = await start();
    const targets = [{ values: ["vip"], variation: 0 }];
    fake.edit(ANA, CHECKOUT.key, (c) => ({ ...c, on: true, fallthrough: { variation: 1 }, targets }));
    expect(await viewOf(fake).read([CHECKOUT])).toEqual({ checkout: "false" });
    expect(await viewOf(fake, { targetingKey: "vip" }).read([CHECKOUT])).toEqual({ checkout: "true" });
  });

  it("shows what was accepted and has not spread", async () => {
    const fake = await start();
    const view = viewOf(fake);
    await view.read([CHECKOUT]);
    fake.holdStreams();
    fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOn" }]);
    expect(await view.read([CHECKOUT])).toEqual({ checkout: "false" });
    fake.releaseStreams();
    await until("it has spread", async () => (await view.read([CHECKOUT]))["checkout"] === "true");
  });

  it("is there again after its stream was cut", async () => {
    const fake = await start();
    const view = viewOf(fake);
    await view.read([CHECKOUT]);
    fake.cutStreams();
    fake.act(ANA, CHECKOUT.key, [{ kind: "turnFlagOn" }]);
    await until("it is seen again", async () => (await view.read([CHECKOUT]))["checkout"] === "true");
  });

  it("of a LaunchDarkly that does not answer ends in time, and is there when it does", async () => {
    const fake = await start();
    fake.inject({ on: "/all", kind: "hang" });
    const view = viewOf(fake, { timeoutMs: 400 });
    const began = performance.now();
    expect((await faultOf(view.read([CHECKOUT]))).recoverable).toBe(true);
    expect(performance.now() - began).toBeLessThan(1_400);
    const other = viewOf(fake, { timeoutMs: 400 });
    fake.inject({ on: "/all", kind: "status", status: 503 });
    await until("it answers", () =>
      other.read([CHECKOUT]).then(
        () => true,
        () => false,
      ),
    );
  });

  it("with a key that is refused says so without it, and tries anew with each read", async () => {
    const fake = await start();
    const secret = "sdk-canary-0815";
    const view = viewOf(fake, { sdkKey: secret });
    for (let i = 0; i < 2; i++) {
      const fault = await faultOf(view.read([CHECKOUT]));
      expect(shapesOf(fault)).not.toContain(secret);
      expect(fault.message).toMatch(/SDK did not start/);
    }
    expect(lines.join("\n")).toMatch(/LaunchDarkly's SDK/);
    expect(lines.join("\n")).not.toContain(secret);
    expect(fake.forgive("sdk_key").length).toBeGreaterThan(1);
    expect(fake.violations()).toEqual([]);
  });

  it("without a key names the setting, and closed is final", async () => {
    const fake = await start();
    const none = await faultOf(viewOf(fake, { sdkKey: "" }).read([CHECKOUT]));
    expect(none).toMatchObject({
      recoverable: false,
      message: expect.stringContaining("BELAY_LAUNCHDARKLY_SDK_KEY"),
    });
    const view = viewOf(fake);
    await view.read([CHECKOUT]);
    view.close();
    expect((await faultOf(view.read([CHECKOUT]))).recoverable).toBe(false);
    await until("its stream is gone", () => fake.streams === 0);
  });

  it.each([
    ["http, left open", false, ""],
    ["http, closed", false, "view.close();"],
    ["https, left open", true, ""],
    ["https, closed", true, "view.close();"],
  ])("holds no process open: %s", async (_, isSecure, last) => {
    const fake = await start();
    const stream = isSecure ? await secured(fake.url) : fake.url;
    const path = new URL("../../src/adapters/flags/launchdarkly/view.ts", import.meta.url).pathname;
    const child = runModule(`
      import { setDefaultCACertificates } from "node:tls";
      import { createLaunchDarklyView } from ${JSON.stringify(path)};
      setDefaultCACertificates([${JSON.stringify(CERTIFICATE)}]);
      const log = { info() {}, warn() {}, error() {} };
      const stream = ${JSON.stringify(stream)};
      const view = createLaunchDarklyView({
        sdkKey: () => ${JSON.stringify(fake.sdkKey())}, secrets: () => [], stream, base: stream, events: stream,
        targetingKey: "belay", timeoutMs: 5000, log,
      });
      const seen = await view.read([${JSON.stringify(CHECKOUT)}]);
      if (seen.checkout === "false") console.log("seen");
      ${last}`);
    open.push(() => child.kill());
    await child.printed(1);
    expect(await child.ended).toBe(0);
  });
});

/** The same over TLS. */
async function secured(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const server = createServer({ key: PRIVATE_KEY, cert: CERTIFICATE }, (socket) => {
    const plain = connect(Number(port), hostname);
    socket.on("error", () => plain.destroy()).pipe(plain);
    plain.on("error", () => socket.destroy()).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(() => void server.close());
  const address = server.address();
  return `https://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}
