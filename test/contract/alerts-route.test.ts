/** The webhook for alerts, asked over real connections: by Alertmanager as it should be, and by everybody else. */
import { request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { alertRoutes } from "../../src/adapters/http/alerts.ts";
import type { HttpServer } from "../../src/adapters/http/server.ts";
import { startWebhooks, type WebhooksOptions } from "../../src/adapters/http/webhooks.ts";
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import { OutsideFault } from "../../src/engine/ports.ts";

const TOKEN = "canary-token-of-32-characters-42";
const CANARY = "canary-in-the-body";
const KIB = 1024;

const open: HttpServer[] = [];

afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

interface Door {
  readonly port: number;
  readonly taken: { readonly alerts: readonly IncomingAlert[]; readonly truncated: number }[];
  readonly logged: { readonly message: string; readonly fields: unknown }[];
}

async function start(
  more: {
    readonly token?: string | undefined;
    readonly take?: () => Promise<void>;
  } & Partial<WebhooksOptions> = {},
): Promise<Door> {
  const taken: Door["taken"] = [];
  const logged: Door["logged"] = [];
  const note = (message: string, fields: unknown): void => void logged.push({ message, fields });
  const log = { info: note, warn: note, error: note };
  const { token = TOKEN, take, ...options } = more;
  const routes = alertRoutes({
    token: "token" in more ? more.token : token,
    log,
    take: async (alerts, truncated) => {
      taken.push({ alerts, truncated });
      await take?.();
    },
  });
  const server = await startWebhooks({ port: 0, isGuarded: true, log, ...options, routes: [routes] });
  open.push(server);
  return { port: server.port, taken, logged };
}

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly connection: string | undefined;
}

interface Sent {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  /** Sent in pieces of this many bytes, without a length. */
  readonly chunked?: number;
}

function post(port: number, { path = "/alerts", headers = {}, body = "", chunked }: Sent): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", ...headers };
    const sent = request({ host: "127.0.0.1", port, path, method: "POST", headers: all }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text, connection: response.headers.connection }),
      );
    });
    // A refused body is not read to its end: writing it may fail while the answer is here already.
    sent.on("error", reject);
    const bytes = Buffer.from(body);
    if (chunked === undefined) sent.end(bytes);
    else {
      for (let at = 0; at < bytes.length; at += chunked) sent.write(bytes.subarray(at, at + chunked));
      sent.end();
    }
  });
}

/** Writes raw bytes and gives back everything that came until the other side closed. */
function raw(port: number, ...pieces: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(text));
    for (const piece of pieces) socket.write(piece);
  });
}

const HEAD = `POST /alerts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;

function alertBody(extra: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    status: "firing",
    labels: { alertname: "HighErrorRate", service: "ingestion", environment: "production" },
    annotations: { summary: CANARY },
    startsAt: "2026-01-05T09:00:00.123456789Z",
    endsAt: "0001-01-01T00:00:00Z",
    generatorURL: "http://prometheus/graph",
    fingerprint: "f00dfeedf00dfeed",
    ...extra,
  };
}

function payload(extra: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    version: "4",
    groupKey: "{}:{}",
    truncatedAlerts: 0,
    status: "firing",
    receiver: "belay",
    groupLabels: {},
    commonLabels: {},
    commonAnnotations: {},
    externalURL: "http://alertmanager",
    somethingNew: { of: ["a", "later", "version"] },
    alerts: [alertBody()],
    ...extra,
  });
}

describe("an alert webhook that Alertmanager sends", () => {
  it("is taken with what names its firing, and answered", async () => {
    const door = await start();
    const reply = await post(door.port, { body: payload({ truncatedAlerts: 7 }) });
    expect(reply).toMatchObject({ status: 200, text: '{"taken":1}' });
    const startsAt = Date.UTC(2026, 0, 5, 9) + 123;
    expect(door.taken).toEqual([
      {
        truncated: 7,
        alerts: [
          {
            key: `f00dfeedf00dfeed@${startsAt}`,
            fingerprint: "f00dfeedf00dfeed",
            status: "firing",
            startsAt,
            labels: { alertname: "HighErrorRate", service: "ingestion", environment: "production" },
            annotations: { summary: CANARY },
          },
        ],
      },
    ]);
    expect(door.logged).toEqual([]);
  });

  it("is answered only when it is stored", async () => {
    const stored = Promise.withResolvers<void>();
    const door = await start({ take: () => stored.promise });
    let isAnswered = false;
    const reply = post(door.port, { body: payload() }).finally(() => {
      isAnswered = true;
    });
    await expect.poll(() => door.taken.length).toBe(1);
    // Another request gets through meanwhile, so an answer would have been here.
    expect((await post(door.port, { headers: { authorization: "Bearer x" } })).status).toBe(401);
    expect(isAnswered).toBe(false);
    stored.resolve();
    expect((await reply).status).toBe(200);
  });

  it("is to be sent again when it could not be stored", async () => {
    const away = new OutsideFault("the journal is away", { recoverable: true });
    const door = await start({ take: () => Promise.reject(away) });
    expect(await post(door.port, { body: payload() })).toMatchObject({ status: 503 });
    expect(door.logged).toHaveLength(1);
  });

  it("tells when an alert ended, and cuts long annotations instead of losing the alert", async () => {
    const door = await start();
    const annotations = Object.fromEntries(
      Array.from({ length: 80 }, (_, index) => [`a${index}`, "x".repeat(2_000)]),
    );
    const alert = alertBody({ status: "resolved", endsAt: "2026-01-05T10:00:00+01:00", annotations });
    expect((await post(door.port, { body: payload({ alerts: [alert] }) })).status).toBe(200);
    const [one] = door.taken[0]?.alerts ?? [];
    expect(one).toMatchObject({ status: "resolved", endsAt: Date.UTC(2026, 0, 5, 9) });
    expect(Object.keys(one?.annotations ?? {})).toHaveLength(64);
    expect(one?.annotations["a0"]).toHaveLength(1_024);
  });

  it("may come in pieces, and of a key that stands twice the last one counts", async () => {
    const door = await start();
    const body = payload().replace('"fingerprint":', '"fingerprint":"0000","fingerprint":');
    expect((await post(door.port, { body, chunked: 50 })).status).toBe(200);
    expect(door.taken[0]?.alerts[0]?.fingerprint).toBe("f00dfeedf00dfeed");
  });
});

describe("an alert webhook without the token", () => {
  const shorter = TOKEN.slice(0, -1);
  it.each([
    ["none", []],
    ["another", [`Bearer ${shorter}X`]],
    ["a shorter one", [`Bearer ${shorter}`]],
    ["a longer one", [`Bearer ${TOKEN}X`]],
    ["an empty one", ["Bearer "]],
    ["another scheme", [`Basic ${TOKEN}`]],
    ["no scheme", [TOKEN]],
    ["the right one twice", [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]],
    ["the right one and another", [`Bearer ${TOKEN}`, "Bearer x"]],
    ["another and the right one", ["Bearer x", `Bearer ${TOKEN}`]],
    ["the right one and an empty one", [`Bearer ${TOKEN}`, ""]],
  ])("is refused before anything is read: %s", async (_, headers) => {
    const door = await start();
    const lines = headers.map((one) => `Authorization: ${one}\r\n`).join("");
    const reply = await raw(door.port, `${HEAD}${lines}Content-Length: 1000000\r\n\r\n{"never`);
    expect(reply).toMatch(/^HTTP\/1\.1 401 /);
    expect(reply).toMatch(/connection: close/i);
    expect(door.taken).toEqual([]);
    expect(door.logged).toHaveLength(1);
    expect(JSON.stringify(door.logged)).not.toContain(shorter);
  });

  it("finds no route at all where none is set, and the log says so", async () => {
    const door = await start({ token: undefined });
    expect((await post(door.port, { body: payload() })).status).toBe(404);
    expect(door.logged.map(({ message }) => message)).toEqual([
      "alerts are not taken: no token is set for their webhook",
    ]);
  });
});

/** Objects or lists nested this deep in a field that Belay does not need. */
function deep(depth: number, of: "[" | '{"a":'): string {
  const close = of === "[" ? "]" : "}";
  const nested = `${of.repeat(depth)}1${close.repeat(depth)}`;
  return payload().replace('"groupLabels":{}', `"groupLabels":${nested}`);
}

describe("an alert webhook that is none", () => {
  const labels = (count: number, length = 1): string =>
    payload({
      alerts: [
        alertBody({
          labels: Object.fromEntries(
            Array.from({ length: count }, (_, index) => [`l${index}`, "v".repeat(length)]),
          ),
        }),
      ],
    });
  const poisoned = (key: string): string =>
    payload().replace('"alertname"', `"${key}":{"polluted":"${CANARY}"},"alertname"`);

  it.each<readonly [string, number, Sent]>([
    ["a form", 415, { headers: { "content-type": "application/x-www-form-urlencoded" }, body: payload() }],
    ["nearly JSON", 415, { headers: { "content-type": "application/jsonp" }, body: payload() }],
    [
      "a gzip bomb",
      415,
      { headers: { "content-encoding": "gzip" }, body: gzipSync(Buffer.alloc(64 * KIB * KIB)) },
    ],
    ["too long", 413, { body: payload({ receiver: "x".repeat(256 * KIB) }) }],
    ["too long, in pieces", 413, { body: payload({ receiver: "x".repeat(256 * KIB) }), chunked: 64 * KIB }],
    ["empty", 400, { body: "" }],
    ["no JSON", 400, { body: `{"version":"4",${CANARY}` }],
    ["no UTF-8", 400, { body: Buffer.from(payload().replace(CANARY, "\u00ff"), "latin1") }],
    ["nested too deep in lists", 400, { body: deep(20, "[") }],
    ["nested too deep in objects", 400, { body: deep(20, '{"a":') }],
    ["nested as deep as it is long", 400, { body: "[".repeat(250 * KIB) }],
    ["closed as deep as it is long", 400, { body: "[".repeat(120 * KIB) + "]".repeat(120 * KIB) }],
    ["poisoned with __proto__", 400, { body: poisoned("__proto__") }],
    ["poisoned with an escaped __proto__", 400, { body: poisoned("\\u005f_proto__") }],
    ["poisoned with constructor", 400, { body: poisoned("constructor") }],
    ["of another version", 400, { body: payload({ version: "5" }) }],
    ["without alerts", 400, { body: payload({ alerts: undefined }) }],
    ["a list", 400, { body: "[]" }],
    ["with a negative count", 400, { body: payload({ truncatedAlerts: -1 }) }],
    ["with an alert of another status", 400, { body: payload({ alerts: [alertBody({ status: CANARY })] }) }],
    ["with a fingerprint of signs", 400, { body: payload({ alerts: [alertBody({ fingerprint: "a@1" })] }) }],
    ["with a start that is none", 400, { body: payload({ alerts: [alertBody({ startsAt: CANARY })] }) }],
    ["with labels that are no texts", 400, { body: payload({ alerts: [alertBody({ labels: { a: 1 } })] }) }],
    ["with too many labels", 400, { body: labels(65) }],
    ["with a label that is too long", 400, { body: labels(1, KIB + 1) }],
  ])("is refused without effect, with one log record: %s", async (_, status, sent) => {
    const door = await start();
    const reply = await post(door.port, sent);
    expect(reply.status).toBe(status);
    expect(reply.connection).toBe("close");
    expect(door.taken).toEqual([]);
    expect(door.logged).toHaveLength(1);
    expect(door.logged[0]?.fields).toMatchObject({ status });
    expect(JSON.stringify([door.logged, reply.text])).not.toContain("canary");
    expect("polluted" in {}).toBe(false);
  });

  it.each([
    ["64 labels", labels(64, KIB - 1)],
    [
      "an alert beside somebody else's with a label that is too long",
      payload({ alerts: [alertBody({ labels: { odd: "x".repeat(KIB + 1) } }), alertBody({})] }),
    ],
    ["an object nested nearly too deep", deep(18, '{"a":')],
  ])("is taken at the limit: %s", async (_, body) => {
    const door = await start();
    expect((await post(door.port, { body })).status).toBe(200);
    expect(door.taken).toHaveLength(1);
  });

  it("that never ends is cut off", async () => {
    const door = await start();
    const chunk = `${(64 * KIB).toString(16)}\r\n${" ".repeat(64 * KIB)}\r\n`;
    const head = `${HEAD}Authorization: Bearer ${TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    expect(await raw(door.port, head, ...Array.from({ length: 8 }, () => chunk))).toMatch(/^HTTP\/1\.1 413 /);
    expect(door.logged).toHaveLength(1);
  });

  it("with a length and pieces both is no request", async () => {
    const door = await start();
    const both = `${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`;
    expect(await raw(door.port, both)).toMatch(/^HTTP\/1\.1 400 /);
    expect(door.logged).toHaveLength(1);
    expect(door.taken).toEqual([]);
  });

  it("whatever it holds, it is taken or refused, and never fails inside", async () => {
    const door = await start();
    const any = fc.oneof(
      fc.json(),
      fc.record({ version: fc.constant("4"), alerts: fc.array(fc.anything()) }).map((one) => {
        const seen = JSON.stringify(one, (_, value: unknown) => (typeof value === "bigint" ? null : value));
        return seen ?? "";
      }),
    );
    await fc.assert(
      fc.asyncProperty(any, async (body) => {
        expect([200, 400]).toContain((await post(door.port, { body })).status);
      }),
    );
  });
});

describe("a sender that is slow", () => {
  it.each([
    ["never ends its headers", [`${HEAD}Authori`]],
    ["never ends its body", [`${HEAD}Authorization: Bearer ${TOKEN}\r\nContent-Length: 1000\r\n\r\n{"ver`]],
    [
      "sends half a piece",
      [`${HEAD}Authorization: Bearer ${TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"v`],
    ],
  ])("is given up: it %s", async (_, pieces) => {
    const door = await start({ requestTimeoutMs: 200 });
    expect(await raw(door.port, ...pieces)).toMatch(/^HTTP\/1\.1 408 /);
    expect(door.taken).toEqual([]);
    expect(door.logged).toEqual([
      { message: "a webhook was refused", fields: { status: 408, why: "it was not complete in time" } },
    ]);
  });

  it("does not keep others waiting", async () => {
    const door = await start({ requestTimeoutMs: 2_000 });
    const slow = Array.from({ length: 200 }, () => raw(door.port, `${HEAD}Authori`));
    expect((await post(door.port, { body: payload() })).status).toBe(200);
    for (const one of await Promise.all(slow)) expect(one).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe("the door for webhooks", () => {
  it("is not opened to a network without a token", async () => {
    await expect(start({ host: "0.0.0.0", isGuarded: false })).rejects.toThrow(
      "webhooks are not taken on 0.0.0.0 without a token: set one, or listen on 127.0.0.1",
    );
  });

  it("says when its port is taken", async () => {
    const door = await start();
    await expect(start({ port: door.port })).rejects.toThrow(`cannot be taken on 127.0.0.1:${door.port}`);
  });
});
