/** The stand-in LaunchDarkly is as strict as the real one is documented to be; each rule is broken once, as a careless client would. */
import { init } from "@launchdarkly/node-server-sdk";
import { afterEach, describe, expect, it } from "vitest";
import {
  ANA,
  type FakeLaunchDarkly,
  type FakeLaunchDarklyOptions,
  PRODUCTION,
  startFakeLaunchDarkly,
} from "../fakes/launchdarkly/server.ts";
import { isList, isObject, objectAt } from "../fakes/slack/json.ts";
import { until } from "../support/eventually.ts";

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function start(options: FakeLaunchDarklyOptions = {}): Promise<FakeLaunchDarkly> {
  const fake = await startFakeLaunchDarkly(options);
  open.push(() => fake.close());
  fake.createFlag("checkout");
  fake.createFlag("limit", { values: [500_000, 1_000, 10] });
  return fake;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

const SEMANTIC = "application/json; domain-model=launchdarkly.semanticpatch";
const FLAG = "/api/v2/flags/shop/checkout";

async function ask(
  fake: FakeLaunchDarkly,
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: unknown } = {},
): Promise<Reply> {
  const reply = await fetch(`${fake.url}${path}`, {
    method,
    headers: {
      authorization: fake.token,
      "ld-api-version": "20240415",
      "content-type": SEMANTIC,
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  return { status: reply.status, headers: reply.headers, body: text === "" ? undefined : JSON.parse(text) };
}

function patch(fake: FakeLaunchDarkly, instructions: unknown, more: object = {}, query = ""): Promise<Reply> {
  const body = { environmentKey: PRODUCTION, comment: "why", instructions, ...more };
  return ask(fake, "PATCH", `${FLAG}${query}`, { body });
}

const id = (fake: FakeLaunchDarkly, value: unknown, key = "checkout"): string =>
  fake.flag(key)?.variations.find((one) => one.value === value)?.id ?? "";

const UPDATE = "updateFallthroughVariationOrRollout";

describe("a semantic patch", () => {
  it("is applied as a whole, under a new version, with an entry of the audit log", async () => {
    const fake = await start();
    const before = fake.config("checkout");
    const reply = await patch(fake, [{ kind: UPDATE, variationId: id(fake, true) }, { kind: "turnFlagOn" }]);
    expect(reply.status).toBe(200);
    const config = objectAt(objectAt(reply.body, "environments"), PRODUCTION);
    expect(config).toMatchObject({ on: true, fallthrough: { variation: 0 }, version: before.version + 1 });
    expect(fake.config("checkout", "staging")).toMatchObject({ on: false, version: 1 });
    expect(fake.audit()[0]).toMatchObject({
      comment: "why",
      titleVerb: "turned on the flag",
      accesses: [
        { action: "updateFallthrough", resource: "proj/shop:env/production:flag/checkout" },
        { action: "updateOn", resource: "proj/shop:env/production:flag/checkout" },
      ],
      at: fake.config("checkout").lastModified,
    });
    expect(fake.violations()).toEqual([]);
  });

  it("that asks for what is so already changes neither version nor log", async () => {
    const fake = await start();
    const [before, entries] = [fake.config("checkout"), fake.audit().length];
    expect((await patch(fake, [{ kind: "turnFlagOff" }])).status).toBe(200);
    expect(fake.config("checkout")).toEqual(before);
    expect(fake.audit()).toHaveLength(entries);
  });

  it("is only looked at when it is a dry run", async () => {
    const fake = await start();
    const reply = await patch(fake, [{ kind: "turnFlagOn" }], {}, "?dryRun=true");
    expect(objectAt(objectAt(reply.body, "environments"), PRODUCTION)).toMatchObject({ on: true });
    expect(fake.config("checkout")).toMatchObject({ on: false, version: 1 });
  });

  it.each<[string, (fake: FakeLaunchDarkly) => unknown, RegExp]>([
    ["no instruction", () => [], /instructions/],
    ["an unknown instruction", () => [{ kind: "toggleFlag" }], /toggleFlag/],
    ["an instruction that deletes", () => [{ kind: "deleteFlag" }], /deleteFlag/],
    ["an unknown parameter", () => [{ kind: "turnFlagOn", variationId: "x" }], /variationId/],
    ["an unknown variation", () => [{ kind: UPDATE, variationId: "x" }], /no variation x/],
    ["a variation by its index", () => [{ kind: UPDATE, variationId: 0 }], /no variation 0/],
    ["neither variation nor weights", () => [{ kind: UPDATE }], /either/],
    [
      "weights that do not add up",
      (fake) => [{ kind: UPDATE, rolloutWeights: { [id(fake, true)]: 25_000 } }],
      /add up to 100000, found 25000/,
    ],
    [
      "weights in percent",
      (fake) => [{ kind: UPDATE, rolloutWeights: { [id(fake, true)]: 12.5, [id(fake, false)]: 87.5 } }],
      /whole number/,
    ],
    [
      "bucketing without weights",
      (fake) => [{ kind: UPDATE, variationId: id(fake, true), rolloutBucketBy: "org" }],
      /belong to rolloutWeights/,
    ],
    [
      "a second instruction that is wrong",
      () => [{ kind: "turnFlagOn" }, { kind: UPDATE, variationId: "x" }],
      /no variation/,
    ],
  ])("with %s is refused, and nothing of it done", async (_, instructions, says) => {
    const fake = await start();
    const reply = await patch(fake, instructions(fake));
    expect(reply).toMatchObject({ status: 400, body: { code: "invalid_request" } });
    expect(objectAt({ body: reply.body }, "body")?.["message"]).toMatch(says);
    expect(fake.config("checkout").version).toBe(1);
    expect(fake.violations().map(({ rule }) => rule)).toContain("refused_400");
  });

  it("without its content type, its environment or a comment is noticed", async () => {
    const fake = await start();
    const body = { environmentKey: PRODUCTION, comment: "why", instructions: [{ kind: "turnFlagOn" }] };
    const plain = await ask(fake, "PATCH", FLAG, { body, headers: { "content-type": "application/json" } });
    expect(plain.status).toBe(400);
    expect((await patch(fake, [{ kind: "turnFlagOn" }], { environmentKey: undefined })).status).toBe(400);
    expect((await patch(fake, [{ kind: "turnFlagOn" }], { comment: undefined })).status).toBe(200);
    expect(fake.violations().map(({ rule }) => rule)).toEqual(["refused_400", "refused_400", "comment"]);
  });

  it("needs the right to each of its actions", async () => {
    const statement = { effect: "allow" as const, actions: ["updateOn"], resources: ["proj/*:env/*:flag/*"] };
    const fake = await start({ rights: { inlineRole: [statement] } });
    expect((await patch(fake, [{ kind: "turnFlagOn" }])).status).toBe(200);
    const both = [{ kind: UPDATE, variationId: id(fake, false) }, { kind: "turnFlagOff" }];
    expect((await patch(fake, both)).status).toBe(403);
    expect(fake.config("checkout").on).toBe(true);
    expect((await patch(fake, [{ kind: "turnFlagOff" }], { environmentKey: "staging" })).status).toBe(200);
    expect((await patch(fake, [{ kind: "turnFlagOff" }], { environmentKey: "nowhere" })).status).toBe(404);
  });

  it("waits for an approval where one is required, for a person's plan, and for a flag out of the archive", async () => {
    const fake = await start();
    fake.protect(PRODUCTION);
    const turnOn = [{ kind: "turnFlagOn" }];
    expect(await patch(fake, turnOn)).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
    fake.protect(PRODUCTION, false);
    fake.schedule("checkout");
    expect((await patch(fake, turnOn)).status).toBe(400);
    expect((await patch(fake, turnOn, {}, "?ignoreConflicts=true")).status).toBe(200);
    fake.archive("checkout");
    expect((await patch(fake, [{ kind: "turnFlagOff" }], {}, "?ignoreConflicts=true")).status).toBe(400);
    expect(fake.violations()).toEqual([]);
  });
});

describe("a request", () => {
  it.each<[string, Record<string, string>]>([
    ["no token", { authorization: "" }],
    ["the word Bearer", { authorization: "Bearer token" }],
    ["an unknown token", { authorization: "api-0000" }],
  ])("with %s is not answered", async (_, headers) => {
    const fake = await start();
    expect((await ask(fake, "GET", FLAG, { headers })).status).toBe(401);
    expect(fake.violations().map(({ rule }) => rule)).toContain("refused_401");
  });

  it("with an SDK key or of an older version of the API is noticed", async () => {
    const fake = await start();
    expect((await ask(fake, "GET", FLAG, { headers: { authorization: fake.sdkKey() } })).status).toBe(401);
    expect((await ask(fake, "GET", FLAG, { headers: { "ld-api-version": "20160426" } })).status).toBe(200);
    expect((await ask(fake, "GET", `${FLAG}?environment=production`)).status).toBe(200);
    expect((await ask(fake, "GET", `${FLAG}?env=${fake.token}`)).status).toBe(200);
    expect(fake.violations().map(({ rule }) => rule)).toEqual([
      "refused_401",
      "api_version",
      "query",
      "secret",
    ]);
  });

  it("for a flag shows the environments asked for, and 404 for what is not there", async () => {
    const fake = await start();
    const { body } = await ask(fake, "GET", `${FLAG}?env=production`);
    expect(Object.keys(objectAt(body, "environments") ?? {})).toEqual(["production"]);
    expect(body).toMatchObject({
      kind: "boolean",
      archived: false,
      variations: [{ value: true }, { value: false }],
    });
    expect((await ask(fake, "GET", "/api/v2/flags/shop/ghost")).status).toBe(404);
    expect((await ask(fake, "GET", "/api/v2/flags/other/checkout")).status).toBe(404);
    expect((await ask(fake, "GET", "/api/v2/projects/other")).status).toBe(404);
    expect(fake.violations()).toEqual([]);
  });

  it("beyond the limit is answered 429, with the end of the window", async () => {
    const fake = await start({ limit: { requests: 2, windowMs: 60_000 } });
    for (const status of [200, 200, 429]) {
      const reply = await ask(fake, "GET", FLAG);
      expect(reply.status).toBe(status);
      expect(Number(reply.headers.get("x-ratelimit-reset"))).toBeGreaterThan(Date.now());
    }
  });

  it("tells who asks, what the token may do, and what environments there are", async () => {
    const fake = await start();
    const identity = await ask(fake, "GET", "/api/v2/caller-identity");
    expect(identity.body).toMatchObject({ tokenId: fake.tokenId, tokenName: "belay" });
    const token = await ask(fake, "GET", `/api/v2/tokens/${fake.tokenId}`);
    expect(token.body).toMatchObject({ token: fake.token.slice(-4), inlineRole: [{ effect: "allow" }] });
    const { body } = await ask(fake, "GET", "/api/v2/projects/shop?expand=environments");
    const items = objectAt(body, "environments")?.["items"];
    expect(isList(items) ? items.map((item) => (isObject(item) ? item["key"] : "")) : []).toEqual([
      "production",
      "staging",
    ]);
    expect(JSON.stringify(token.body)).not.toContain(fake.token);
  });

  it("for the log finds entries by resource and time, newest first, a page at a time", async () => {
    const fake = await start();
    for (let i = 0; i < 12; i++)
      fake.act(ANA, "checkout", [{ kind: i % 2 === 0 ? "turnFlagOn" : "turnFlagOff" }], `change ${i}`);
    fake.act(ANA, "limit", [{ kind: "turnFlagOn" }]);
    const spec = encodeURIComponent("proj/shop:env/production:flag/checkout");
    const page = async (query: string): Promise<readonly unknown[]> => {
      const { status, body } = await ask(fake, "GET", `/api/v2/auditlog?spec=${spec}&${query}`);
      expect(status).toBe(200);
      const items = isObject(body) ? body["items"] : undefined;
      return isList(items) ? items : [];
    };
    const newest = await page("");
    expect(newest).toHaveLength(10);
    expect(newest[0]).toMatchObject({ comment: "change 11", member: { firstName: "Ana" } });
    const last = newest.at(-1);
    const before = isObject(last) ? String(last["date"]) : "";
    expect((await page(`before=${before}`)).map((item) => (isObject(item) ? item["titleVerb"] : ""))).toEqual(
      ["turned off the flag", "turned on the flag", "created the flag"],
    );
    expect((await ask(fake, "GET", "/api/v2/auditlog?limit=50")).status).toBe(400);
    fake.forgive("refused_400");
  });
});

describe("identity", () => {
  it("of a flag made again is another one, with other variations", async () => {
    const fake = await start();
    const before = fake.flag("checkout");
    fake.remove("checkout");
    expect(fake.flag("checkout")).toBeUndefined();
    const after = fake.createFlag("checkout");
    expect(after.creationDate).not.toBe(before?.creationDate);
    expect(after.variations[0]?.id).not.toBe(before?.variations[0]?.id);
  });
});

describe("an SDK", () => {
  it("sees changes as they come, archived and deleted flags no more, and is forgotten when it goes", async () => {
    const fake = await start();
    const sdk = init(fake.sdkKey(), {
      baseUri: fake.url,
      streamUri: fake.url,
      eventsUri: fake.url,
      logger: { error() {}, warn() {}, info() {}, debug() {} },
    });
    await sdk.waitForInitialization({ timeout: 5 });
    const seen = (key = "checkout") => sdk.variation(key, { kind: "user", key: "u" }, "fallback");
    const sees = (value: unknown, key?: string) =>
      until(`the SDK sees ${String(value)}`, async () => (await seen(key)) === value);
    await sees(false);
    fake.act(ANA, "checkout", [{ kind: "turnFlagOn" }]);
    await sees(true);
    fake.act(ANA, "limit", [{ kind: UPDATE, variationId: id(fake, 1_000, "limit") }, { kind: "turnFlagOn" }]);
    await sees(1_000, "limit");
    fake.holdStreams();
    fake.act(ANA, "checkout", [{ kind: "turnFlagOff" }]);
    fake.act(ANA, "checkout", [{ kind: "turnFlagOn" }], "staging only", "staging");
    expect(await seen()).toBe(true);
    fake.releaseStreams();
    await sees(false);
    fake.archive("checkout");
    await sees("fallback");
    fake.archive("checkout", false);
    await sees(false);
    fake.remove("checkout");
    await sees("fallback");
    fake.createFlag("checkout");
    await sees(false);
    expect(fake.streams).toBe(1);
    await sdk.flush();
    sdk.close();
    await until("the stream is forgotten", () => fake.streams === 0);
    expect(fake.requests("/bulk").length + fake.requests("/diagnostic").length).toBeGreaterThan(0);
    expect(fake.violations()).toEqual([]);
  });

  it("with the key of nobody is not answered", async () => {
    const fake = await start();
    const reply = await fetch(`${fake.url}/all`, { headers: { authorization: "sdk-0000" } });
    expect(reply.status).toBe(401);
    expect(
      (await fetch(`${fake.url}/sdk/latest-all`, { headers: { authorization: fake.sdkKey() } })).status,
    ).toBe(200);
    expect(fake.violations().map(({ rule }) => rule)).toEqual(["sdk_key"]);
  });
});
