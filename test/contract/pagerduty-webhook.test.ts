/** PagerDuty's webhooks in: forged, foreign, large, odd and repeated deliveries, and words that are kept before they are answered. */
import { createServer, request } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { event } from "@pagerduty/pdjs";
import { afterEach, describe, expect, it } from "vitest";
import {
  PAGER_WEBHOOK_PATH,
  type PagerWebhookOptions,
  pagerWebhookRoutes,
} from "../../src/adapters/pagerduty/webhook.ts";
import type { PagerWord } from "../../src/engine/watch-ports.ts";
import {
  ANA,
  BEN,
  type FakePagerDuty,
  type FakePagerDutyOptions,
  startFakePagerDuty,
} from "../fakes/pagerduty/server.ts";
import { signatureOf } from "../fakes/pagerduty/webhooks.ts";

const KEY = "run:r-1:blind";
const TOKEN = "token-of-an-action-canary";
const AT = Date.UTC(2026, 0, 15, 3, 12, 41, 169);

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Ground {
  readonly fake: FakePagerDuty;
  readonly url: string;
  readonly words: PagerWord[];
  readonly logged: string[];
}

/** A listening Belay, and one incident of ours in PagerDuty. */
async function start(
  more: Partial<PagerWebhookOptions> = {},
  fakeOptions: FakePagerDutyOptions = {},
): Promise<Ground> {
  const fake = await startFakePagerDuty(fakeOptions);
  const words: PagerWord[] = [];
  const logged: string[] = [];
  const note = (message: string, fields?: object): void =>
    void logged.push(`${message} ${JSON.stringify(fields)}`);
  const app = pagerWebhookRoutes({
    secrets: [fake.webhookSecret],
    onWord: async (word) => void words.push(word),
    log: { info: note, warn: note, error: note },
    ...more,
  });
  const server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(async () => {
    server.close();
    server.closeAllConnections();
    await fake.close();
  });
  await triggerIn(fake);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { fake, url: `http://127.0.0.1:${port}${PAGER_WEBHOOK_PATH}`, words, logged };
}

async function triggerIn(fake: FakePagerDuty): Promise<void> {
  const call = {
    server: fake.server,
    agent: fake.agent,
    requestTimeout: 0,
    data: {
      routing_key: fake.routingKey,
      event_action: "trigger" as const,
      dedup_key: KEY,
      payload: { summary: "it burns", source: "bots/production", severity: "critical" as const },
    },
  };
  await event(call);
}

describe("a signed event", () => {
  it.each([
    ["incident.acknowledged", "acknowledged"],
    ["incident.resolved", "resolved"],
    ["incident.escalated", "escalated"],
  ] as const)("%s becomes a word", async (type, kind) => {
    const { fake, url, words } = await start();
    const body = fake.event(type, KEY, { by: ANA, at: AT, id: "01DEN4HPBQ" });
    expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toEqual([{ kind, dedupKey: KEY, by: ANA.name, occurredAt: AT, id: "01DEN4HPBQ" }]);
  });

  it("that nobody did by hand is PagerDuty's own", async () => {
    const { fake, url, words } = await start();
    await fake.sendWebhook(url, fake.event("incident.escalated", KEY));
    expect(words).toMatchObject([{ kind: "escalated", by: "PagerDuty" }]);
  });

  it("that is none of ours is answered and forgotten", async () => {
    const { fake, url, words } = await start();
    const bodies = [
      fake.event("incident.triggered", KEY),
      fake.event("incident.unacknowledged", KEY),
      fake.event("incident.reopened", KEY),
      fake.customFieldEvent(KEY),
      fake.pingEvent(),
      { event: { event_type: "incident.future", data: 7 } },
    ];
    for (const body of bodies) expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toEqual([]);
  });

  it("without a key is known by PagerDuty's id, or is nobody's", async () => {
    const known = new Map<string, string>();
    const { fake, url, words, logged } = await start({ keyOf: (id) => known.get(id) }, { withAlerts: true });
    const body = fake.event("incident.acknowledged", KEY, { by: ANA });
    expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toEqual([]);
    expect(logged).toEqual([expect.stringContaining("not ours")]);
    known.set(fake.incidents(KEY)[0]?.id ?? "", KEY);
    expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toMatchObject([{ kind: "acknowledged", dedupKey: KEY }]);
  });

  it("that comes twice comes with the same id", async () => {
    const { fake, url, words } = await start();
    const body = fake.event("incident.acknowledged", KEY, { by: ANA, id: "E1" });
    await fake.sendWebhook(url, body);
    await fake.sendWebhook(url, body);
    expect(words.map(({ id }) => id)).toEqual(["E1", "E1"]);
  });

  it("by somebody with an odd name is told in a decent one", async () => {
    const { fake, url, words } = await start();
    const by = { name: `Eve\u0000\n${"x".repeat(5_000)}`, email: "eve@example.com" };
    await fake.sendWebhook(url, fake.event("incident.resolved", KEY, { by }));
    expect(words[0]?.by).toHaveLength(200);
    expect(words[0]?.by).not.toContain("\u0000");
  });
});

describe("a signature", () => {
  it.each<[string, (fake: FakePagerDuty) => readonly string[]]>([
    ["by the old of two secrets, while PagerDuty signs with both", (fake) => [fake.webhookSecret, "new"]],
    ["by the new of two secrets, while PagerDuty signs with both", (fake) => ["old", fake.webhookSecret]],
    ["after many others", (fake) => [...Array.from({ length: 15 }, (_, n) => `s${n}`), fake.webhookSecret]],
  ])("%s is one", async (_, secrets) => {
    const { fake, url, words } = await start();
    const body = fake.event("incident.resolved", KEY);
    expect(await fake.sendWebhook(url, body, { secrets: secrets(fake) })).toBe(202);
    expect(words).toHaveLength(1);
  });

  it("by any of our secrets is one", async () => {
    const { fake, url, words } = await start({ secrets: ["first", "second"] });
    const body = fake.event("incident.resolved", KEY);
    for (const secret of ["first", "second"])
      expect(await fake.sendWebhook(url, body, { secrets: [secret] })).toBe(202);
    expect(words).toHaveLength(2);
  });

  const forged: readonly (readonly [string, (body: string, secret: string) => string | undefined])[] = [
    ["none at all", () => undefined],
    ["an empty one", () => ""],
    ["another secret's", (body) => signatureOf(body, ["wrong"])],
    ["the empty secret's", (body) => signatureOf(body, [""])],
    ["another body's", (body, secret) => signatureOf(`${body} `, [secret])],
    [
      "the right one under another version",
      (body, secret) => signatureOf(body, [secret]).replace("v1=", "v2="),
    ],
    ["the right one without a version", (body, secret) => signatureOf(body, [secret]).replace("v1=", "")],
    ["the right one cut short", (body, secret) => signatureOf(body, [secret]).slice(0, -2)],
    ["the right one and more", (body, secret) => `${signatureOf(body, [secret])}00`],
    [
      "one letter off",
      (body, secret) => signatureOf(body, [secret]).replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    ],
    ["something else", () => "v1=zz,v1=,=,v1,💥".replace("💥", "%")],
    [
      "thousands before the right one",
      (body, secret) => `${"v1=00,".repeat(2_000)}${signatureOf(body, [secret])}`,
    ],
  ];
  it.each(forged)("that is %s is none: 401, no effect, one log record without secrets", async (_, sign) => {
    const { fake, url, words, logged } = await start();
    const body = JSON.stringify(fake.event("incident.resolved", KEY));
    const header = sign(body, fake.webhookSecret);
    const headers = header === undefined ? {} : { "x-pagerduty-signature": header };
    expect(await fake.sendWebhook(url, body, { secrets: [], headers })).toBe(401);
    expect(words).toEqual([]);
    expect(logged).toHaveLength(1);
    expect(logged[0]).not.toContain(fake.webhookSecret);
    expect(logged[0]).not.toContain("v1=");
  });

  it("is none while we have no secret", async () => {
    for (const secrets of [[], [""]]) {
      const { fake, url, words } = await start({ secrets });
      const body = fake.event("incident.resolved", KEY);
      expect(await fake.sendWebhook(url, body, { secrets: [""] })).toBe(401);
      expect(words).toEqual([]);
    }
  });

  it("is over the bytes as they came", async () => {
    const { fake, url, words } = await start();
    const text = JSON.stringify(
      fake.event("incident.resolved", KEY, { by: { name: "Zoë 😀", email: "z@example.com" } }),
      undefined,
      2,
    );
    expect(await fake.sendWebhook(url, `\n${text}  `)).toBe(202);
    expect(words).toMatchObject([{ by: "Zoë 😀" }]);
  });
});

describe("a custom incident action", () => {
  const LABEL = "Roll back parallel";

  it("with its token becomes a word", async () => {
    const { fake, url, words } = await start({ actionTokens: ["another", TOKEN] });
    const body = fake.actionEvent(LABEL, KEY, { by: BEN, at: AT, id: "m-1" });
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect(await fake.sendWebhook(url, body, { secrets: [], headers })).toBe(202);
    expect(words).toEqual([
      { kind: "action", dedupKey: KEY, action: LABEL, by: BEN.name, occurredAt: AT, id: "m-1" },
    ]);
  });

  it("that is signed needs no token", async () => {
    const { fake, url, words } = await start();
    expect(await fake.sendWebhook(url, fake.actionEvent(LABEL, KEY))).toBe(202);
    expect(words).toMatchObject([{ kind: "action", action: LABEL, dedupKey: KEY }]);
  });

  it("of an incident without a key is known by its alert", async () => {
    const { fake, url, words } = await start({}, { withAlerts: true });
    await fake.sendWebhook(url, fake.actionEvent(LABEL, KEY, { by: ANA }));
    expect(words).toMatchObject([{ dedupKey: KEY, by: ANA.name }]);
  });

  it("without an instant happened now, and without a label is none", async () => {
    const { fake, url, words } = await start({ now: () => AT });
    const message = (label: string): object => ({
      messages: [
        { id: "m-2", event: "incident.custom", incident: { incident_key: KEY }, webhook: { name: label } },
      ],
    });
    expect(await fake.sendWebhook(url, JSON.stringify(message(LABEL)))).toBe(202);
    expect(await fake.sendWebhook(url, JSON.stringify(message(" ")))).toBe(202);
    expect(words).toMatchObject([{ kind: "action", occurredAt: AT, by: "PagerDuty" }]);
  });

  it.each<[string, Record<string, string>]>([
    ["no token", {}],
    ["another token", { authorization: "Bearer wrong" }],
    ["the token under another scheme", { authorization: `Token token=${TOKEN}` }],
    ["an empty token", { authorization: "Bearer " }],
  ])("with %s is turned away", async (_, headers) => {
    const { fake, url, words, logged } = await start({ actionTokens: ["", TOKEN] });
    const body = fake.actionEvent(LABEL, KEY);
    expect(await fake.sendWebhook(url, body, { secrets: [], headers })).toBe(401);
    expect(words).toEqual([]);
    expect(logged.join()).not.toContain("canary");
  });

  it("has a token that speaks for nothing else", async () => {
    const { fake, url, words } = await start({ actionTokens: [TOKEN] });
    const headers = { authorization: `Bearer ${TOKEN}` };
    const body = fake.event("incident.resolved", KEY);
    expect(await fake.sendWebhook(url, body, { secrets: [], headers })).toBe(401);
    expect(words).toEqual([]);
  });
});

describe("a body", () => {
  const event = (change: object): object => ({
    event: {
      id: "E1",
      event_type: "incident.resolved",
      occurred_at: "2026-01-15T03:12:41Z",
      agent: null,
      client: null,
      data: { id: "Q1", incident_key: KEY },
      ...change,
    },
  });
  it.each<[string, string]>([
    ["nothing", ""],
    ["no JSON", "{"],
    ["null", "null"],
    ["a list", "[]"],
    ["a number", "7"],
    ["no event", "{}"],
    ["an event that is a text", '{"event":"x"}'],
    ["no type", JSON.stringify(event({ event_type: undefined }))],
    ["no id", JSON.stringify(event({ id: undefined }))],
    ["a very long id", JSON.stringify(event({ id: "x".repeat(10_000) }))],
    ["no instant", JSON.stringify(event({ occurred_at: undefined }))],
    ["an instant that is none", JSON.stringify(event({ occurred_at: "yesterday" }))],
    ["no data", JSON.stringify(event({ data: undefined }))],
    ["a key that is an object", JSON.stringify(event({ data: { incident_key: {} } }))],
    ["no messages", '{"messages":[]}'],
    ["messages of another form", '{"messages":[{}]}'],
    ["brackets without an end", "[".repeat(200_000)],
    ["lists in lists", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["objects in objects", `${'{"a":'.repeat(30_000)}1${"}".repeat(30_000)}`],
    ["bytes that are no text", "\u001f\u008b\u0008\u0000"],
  ])("of %s, signed: 400, no effect", async (_, body) => {
    const { fake, url, words, logged } = await start();
    expect(await fake.sendWebhook(url, body)).toBe(400);
    expect(words).toEqual([]);
    expect(logged).toHaveLength(1);
    expect(logged[0]?.length).toBeLessThan(500);
  });

  it("deep inside of an event that is ours does no harm", async () => {
    const { fake, url, words } = await start();
    const deep = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`;
    const body = JSON.stringify(event({})).replace('"client":null', `"client":null,"more":${deep}`);
    expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toHaveLength(1);
  });

  it("of 256 KiB is read and of one byte more is not, announced or not", async () => {
    const { fake, url, words } = await start();
    const text = JSON.stringify(event({}));
    const full = text + " ".repeat(256 * 1_024 - text.length);
    expect(await fake.sendWebhook(url, full)).toBe(202);
    expect(await fake.sendWebhook(url, `${full} `)).toBe(413);
    expect(await posted(url, `${full} `, signatureOf(`${full} `, [fake.webhookSecret]))).toBe(413);
    expect(words).toHaveLength(1);
  });

  it("is taken by POST at its path and nowhere else", async () => {
    const { url } = await start();
    expect((await fetch(url)).status).toBe(404);
    expect((await fetch(`${url}/x`, { method: "POST" })).status).toBe(404);
  });
});

describe("a word", () => {
  it("is answered for only when it is kept", async () => {
    const { promise: kept, resolve } = Promise.withResolvers<void>();
    const order: string[] = [];
    const { fake, url } = await start({
      onWord: async () => {
        order.push("heard");
        await kept;
        order.push("kept");
      },
    });
    const sent = fake
      .sendWebhook(url, fake.event("incident.resolved", KEY))
      .then((status) => order.push(`${status}`));
    await expect.poll(() => order).toEqual(["heard"]);
    resolve();
    await sent;
    expect(order).toEqual(["heard", "kept", "202"]);
  });

  it("that cannot be kept is asked for again", async () => {
    let isGone = true;
    const words: PagerWord[] = [];
    const { fake, url, logged } = await start({
      onWord: async (word) => {
        if (isGone) throw new Error("the journal is away");
        words.push(word);
      },
    });
    const body = fake.event("incident.resolved", KEY);
    expect(await fake.sendWebhook(url, body)).toBe(503);
    expect(logged).toEqual([expect.stringContaining("the journal is away")]);
    isGone = false;
    expect(await fake.sendWebhook(url, body)).toBe(202);
    expect(words).toHaveLength(1);
  });
});

/** Posts in chunks, without saying how long it will be. */
function posted(url: string, body: string, signature: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "x-pagerduty-signature": signature, "transfer-encoding": "chunked" };
    const asked = request(url, { method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end(body);
  });
}
