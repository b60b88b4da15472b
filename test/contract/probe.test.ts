/** The prober against servers that hang, drip, redirect, flood and reset: every check ends in time, with words, and reads little. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createProber, createReach } from "../../src/adapters/probe/prober.ts";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import type { ProbeCheck } from "../../src/core/watch/plan.ts";
import type { CheckResult } from "../../src/engine/watch-ports.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";

type Behaviour = (socket: Socket) => void;
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const TIMEOUT_MS = 400;
const SLACK_MS = 400;

const servers: Server[] = [];
const sockets = new Set<Socket>();
const timers = new Set<NodeJS.Timeout>();

afterEach(() => {
  for (const timer of timers) clearInterval(timer);
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  timers.clear();
  sockets.clear();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A server of bytes, for what an HTTP server would never say. */
const raw = (behaviour: Behaviour): Promise<number> =>
  listening(
    createServer((socket) => {
      behaviour(socket);
      // Only a socket that is read from sees that the other side has gone.
      socket.resume();
    }),
  );
const web = (answer: Answer): Promise<number> => listening(createHttpServer(answer));

function every(ms: number, act: () => void): void {
  timers.add(setInterval(act, ms));
}

const prober = createProber({ reach: createReach({ allow: [] }) });

function http(port: number, more: Partial<Extract<ProbeCheck, { kind: "http" }>> = {}): ProbeCheck {
  return { kind: "http", url: `http://127.0.0.1:${port}/health`, status: { from: 200, to: 299 }, ...more };
}

async function timed(check: ProbeCheck): Promise<CheckResult & { readonly realMs: number }> {
  const begun = performance.now();
  const result = await prober.check(check, TIMEOUT_MS);
  return { ...result, realMs: performance.now() - begun };
}

describe("an HTTP check", () => {
  it.each<[number, string, ProbeCheck["kind"] extends never ? never : "ok" | "bad", string]>([
    [200, "fine", "ok", "status 200 in "],
    [204, "", "ok", "status 204 in "],
    [404, "no", "bad", "status 404, expected 200 to 299"],
    [500, "no", "bad", "status 500, expected 200 to 299"],
    [503, "no", "bad", "status 503, expected 200 to 299"],
  ])("of a server that answers %d", async (status, body, kind, words) => {
    const port = await web((_, response) =>
      response.writeHead(status).end(status === 204 ? undefined : body),
    );
    const result = await timed(http(port));
    expect(result).toMatchObject({ kind });
    expect(result.detail).toContain(words);
  });

  it("asks with GET, without credentials, once, and keeps no connection", async () => {
    const heard: IncomingMessage[] = [];
    const port = await web((request, response) => {
      heard.push(request);
      response.end("ok");
    });
    await timed(http(port));
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatchObject({ method: "GET", url: "/health", headers: { connection: "close" } });
    expect(heard[0]?.headers).not.toHaveProperty("authorization");
    expect((await timed(http(port, { url: `http://u:secret@127.0.0.1:${port}/` }))).detail).not.toContain(
      "secret",
    );
    expect(heard).toHaveLength(1);
  });

  it("looks for a text, in the first 64 KiB", async () => {
    const port = await web((request, response) => {
      const before = request.url === "/far" ? "x".repeat(70_000) : "";
      response.end(`${before}{"status":"up"}`);
    });
    expect(await timed(http(port, { body: '"up"' }))).toMatchObject({ kind: "ok" });
    expect(await timed(http(port, { body: '"down"' }))).toMatchObject({
      kind: "bad",
      detail: "status 200, but the expected text is not in its answer",
    });
    const far = http(port, { url: `http://127.0.0.1:${port}/far`, body: '"up"' });
    expect((await timed(far)).detail).toContain("in the first 64 KiB");
  });

  it.each<[number, string | undefined, string]>([
    [
      301,
      "http://169.254.169.254/latest/meta-data?token=secret",
      "http://169.254.169.254/latest/meta-data (301)",
    ],
    [302, "/login?next=secret", "/login (302)"],
    [307, undefined, "nowhere (307)"],
    [308, "http://[bad", "nowhere (308)"],
  ])("follows no redirect (%d to %s)", async (status, location, words) => {
    let asked = 0;
    const port = await web((_, response) => {
      asked += 1;
      response.writeHead(status, location === undefined ? {} : { Location: location }).end();
    });
    const result = await timed(http(port));
    expect(result.kind).toBe("bad");
    expect(result.detail).toContain(words);
    expect(result.detail).not.toContain("secret");
    expect(asked).toBe(1);
  });

  it("takes a redirect that its file expects, and still does not follow it", async () => {
    let asked = 0;
    const port = await web((_, response) => {
      asked += 1;
      response.writeHead(302, { Location: "/login" }).end();
    });
    expect((await timed(http(port, { status: { from: 302, to: 302 } }))).kind).toBe("ok");
    expect(asked).toBe(1);
  });

  const HEAD = "HTTP/1.1 200 OK\r\n";
  it.each<[string, Behaviour]>([
    ["says nothing at all", () => undefined],
    ["drips its headers", (socket) => every(20, () => void socket.write("X"))],
    [
      "sends headers without an end",
      (socket) => {
        socket.write(HEAD);
        every(20, () => void socket.write("X-A: b\r\n"));
      },
    ],
    [
      "drips its body",
      (socket) => {
        socket.write(`${HEAD}Content-Length: 1000\r\n\r\n`);
        every(20, () => void socket.write("x"));
      },
    ],
    ["never ends its body", (socket) => void socket.write(`${HEAD}\r\nabc`)],
    [
      "says to go on for ever",
      (socket) => every(20, () => void socket.write("HTTP/1.1 102 Processing\r\n\r\n")),
    ],
  ])("of a server that %s ends at its deadline", async (_, behaviour) => {
    const result = await timed(http(await raw(behaviour)));
    expect(result.kind).toBe("bad");
    expect(result.realMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it.each<[string, Behaviour, string]>([
    ["resets", (socket) => void socket.resetAndDestroy(), "it cut the connection"],
    ["hangs up", (socket) => void socket.end(), "it cut the connection"],
    ["breaks off", (socket) => void socket.end(`${HEAD}Content-Length: 99\r\n\r\nabc`), "broke off"],
    [
      "speaks no HTTP",
      (socket) => void socket.end("220 smtp.example.com ESMTP\r\n"),
      "the connection failed",
    ],
    [
      "sends giant headers",
      (socket) => void socket.write(`${HEAD}X: ${"x".repeat(100_000)}`),
      "headers are too long",
    ],
    [
      "switches protocols",
      (socket) =>
        void socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
      "",
    ],
  ])("of a server that %s is bad, with words", async (_, behaviour, words) => {
    const result = await timed(http(await raw(behaviour)));
    expect(result.kind).toBe("bad");
    expect(result.detail).toContain(words);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it("of a server that sends without end reads 64 KiB and no more", async () => {
    let sent = 0;
    const chunk = Buffer.alloc(64 * 1024, 0x78);
    const port = await raw((socket) => {
      socket.write(`${HEAD}\r\n`);
      const more = (): void => {
        while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
      };
      socket.on("drain", () => {
        sent += chunk.length;
        more();
      });
      more();
    });
    const result = await timed(http(port));
    expect(result.kind).toBe("ok");
    expect(result.realMs).toBeLessThan(TIMEOUT_MS);
    // What the two kernels hold between them is not read by anybody.
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it("of a port where nobody listens is bad", async () => {
    const port = await raw(() => undefined);
    for (const server of servers.splice(0)) server.close();
    const result = await timed(http(port));
    expect(result).toMatchObject({ kind: "bad", detail: `127.0.0.1:${port}: it refuses the connection` });
  });

  it("of https that is none is bad", async () => {
    const port = await web((_, response) => response.end("plain"));
    expect(await timed(http(port, { url: `https://127.0.0.1:${port}/` }))).toMatchObject({ kind: "bad" });
  });

  it.each(["ftp://127.0.0.1/", "file:///etc/passwd", "no url", "http://"])("of %s is bad", async (url) => {
    expect(await timed(http(1, { url }))).toMatchObject({ kind: "bad" });
  });
});

describe("an address", () => {
  const proberWith = (addresses: readonly string[], allow: readonly string[] = []) =>
    createProber({ reach: createReach({ allow, lookup: async () => addresses }) });

  it("that a public name lies about is not connected to, by HTTP or by TCP", async () => {
    let connections = 0;
    const port = await raw(() => {
      connections += 1;
    });
    const lying = proberWith(["127.0.0.1"]);
    const url = `http://api.example.com:${port}/`;
    const checks: readonly ProbeCheck[] = [
      { kind: "http", url, status: { from: 200, to: 299 } },
      { kind: "tcp", host: "api.example.com", port },
    ];
    for (const check of checks) {
      const result = await lying.check(check, TIMEOUT_MS);
      expect(result.kind).toBe("bad");
      expect(result.detail).toContain("api.example.com stands for 127.0.0.1, an address of this machine");
    }
    expect(connections).toBe(0);
  });

  it("that was checked is the one connected to: the name is not asked again", async () => {
    const port = await web((request, response) => response.end(request.headers.host));
    let asked = 0;
    const reach = createReach({
      allow: ["api.example.com"],
      lookup: async () => {
        asked += 1;
        return asked === 1 ? ["127.0.0.1"] : ["169.254.169.254"];
      },
    });
    const check = http(port, { url: `http://api.example.com:${port}/`, body: `api.example.com:${port}` });
    expect(await createProber({ reach }).check(check, TIMEOUT_MS)).toMatchObject({ kind: "ok" });
    expect(asked).toBe(1);
  });

  it("that does not answer is left for the next one of the same name", async () => {
    const port = await web((_, response) => response.end("ok"));
    const two = proberWith(["::1", "127.0.0.1"]);
    expect(await two.check(http(port, { url: `http://localhost:${port}/` }), 2_000)).toMatchObject({
      kind: "ok",
    });
    expect(await two.check({ kind: "tcp", host: "localhost", port }, 2_000)).toMatchObject({ kind: "ok" });
  });

  it("in any spelling is the address it means", async () => {
    const port = await web((_, response) => response.end("ok"));
    for (const host of ["127.1", "0x7f000001", "2130706433", "017700000001"])
      expect(await timed(http(port, { url: `http://${host}:${port}/` }))).toMatchObject({ kind: "ok" });
    for (const host of [
      "0",
      "0.0.0.0",
      "[::]",
      "[::ffff:169.254.169.254]",
      "169.254.169.254",
      "0xa9fea9fe",
    ]) {
      const result = await timed(http(port, { url: `http://${host}:${port}/` }));
      expect(result).toMatchObject({ kind: "bad" });
      expect(result.detail).toContain("which no probe may connect to");
      expect(result.realMs).toBeLessThan(TIMEOUT_MS);
    }
  });

  it("that never comes ends the check at its deadline", async () => {
    const { promise } = Promise.withResolvers<readonly string[]>();
    const hanging = createProber({ reach: createReach({ allow: [], lookup: () => promise }) });
    const begun = performance.now();
    for (const check of [
      http(1, { url: "http://a.example.com/" }),
      { kind: "tcp", host: "b.example.com", port: 1 } as const,
    ])
      expect(await hanging.check(check, TIMEOUT_MS)).toMatchObject({ kind: "bad" });
    expect(performance.now() - begun).toBeLessThan(2 * (TIMEOUT_MS + SLACK_MS));
  });
});

describe("a TCP check", () => {
  it("is well when the port takes connections, and sends nothing", async () => {
    let heard = 0;
    const port = await raw((socket) => socket.on("data", (chunk) => (heard += chunk.length)));
    const result = await timed({ kind: "tcp", host: "127.0.0.1", port });
    expect(result.kind).toBe("ok");
    expect(result.detail).toMatch(/^127\.0\.0\.1:\d+ takes connections in /);
    await expect.poll(() => sockets.size).toBe(0);
    expect(heard).toBe(0);
  });

  it("is bad when nobody listens", async () => {
    const port = await raw(() => undefined);
    for (const server of servers.splice(0)) server.close();
    expect(await timed({ kind: "tcp", host: "127.0.0.1", port })).toMatchObject({
      kind: "bad",
      detail: `no connection to 127.0.0.1:${port} (ECONNREFUSED)`,
    });
  });
});

describe("a PromQL check", () => {
  let liar: Liar;
  beforeAll(async () => {
    liar = await startLiar();
  });
  afterAll(() => liar.close());

  const promql = (more: Partial<Extract<ProbeCheck, { kind: "promql" }>>): ProbeCheck => ({
    kind: "promql",
    query: "pool_used / pool_size",
    freshness: "min(timestamp(pool_used))",
    unit: "percent",
    ...more,
  });

  async function asked(check: ProbeCheck, lie?: Parameters<Liar["tell"]>[0]): Promise<CheckResult> {
    if (lie !== undefined) liar.tell(lie);
    const metrics = createPrometheus({ url: liar.url, timeoutMs: 300 });
    const asks = createProber({
      reach: createReach({ allow: [] }),
      prometheus: { metrics, scrapeMs: 15_000 },
    });
    try {
      return await asks.check(check, TIMEOUT_MS);
    } finally {
      metrics.close();
    }
  }

  /** Prometheus with these fresh series. */
  function series(...values: readonly string[]): void {
    liar.answer((response, { form }) => {
      const time = Number(form.get("time"));
      const found = form.get("query")?.includes("timestamp(") === true ? [String(time)] : values;
      const result = found.map((value, index) => ({ metric: { pool: `${index}` }, value: [time, value] }));
      response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result } }));
    });
  }

  it("is well within its limits and bad beyond them, in the unit of the limit", async () => {
    series("0.01");
    expect(await asked(promql({ max: 0.8 }))).toMatchObject({
      kind: "ok",
      value: 0.01,
      detail: "1 % (at most 80 %)",
    });
    expect(await asked(promql({ max: 0.005 }))).toMatchObject({ kind: "bad", detail: "1 % is above 0.5 %" });
    expect(await asked(promql({ min: 0.5 }))).toMatchObject({ kind: "bad", detail: "1 % is below 50 %" });
    expect(await asked(promql({ min: 0.001 }))).toMatchObject({ kind: "ok", detail: "1 % (at least 0.1 %)" });
  });

  it("takes the series nearest to its limit, and no single word of many where it has two limits", async () => {
    series("0.01", "0.9");
    expect(await asked(promql({ max: 0.5 }))).toMatchObject({ kind: "bad", value: 0.9 });
    expect(await asked(promql({ min: 0.005 }))).toMatchObject({ kind: "ok", value: 0.01 });
    expect(await asked(promql({ min: 0, max: 1 }))).toMatchObject({ kind: "unknown" });
  });

  it.each<Parameters<Liar["tell"]>[0]>([
    "empty_vector",
    "nan",
    "infinite",
    "warnings",
    "error_in_200",
    "error_500",
    "html_200",
    "silent",
    "dripping",
    "reset",
    "redirect",
  ])("knows nothing when Prometheus answers %s", async (lie) => {
    const begun = performance.now();
    expect(await asked(promql({ max: 0.5 }), lie)).toMatchObject({ kind: "unknown" });
    expect(performance.now() - begun).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  });

  it("knows nothing without a Prometheus", async () => {
    expect(await timed(promql({ max: 1 }))).toMatchObject({ kind: "unknown" });
  });
});
