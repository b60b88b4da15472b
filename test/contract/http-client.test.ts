/** The HTTP client against a server that lies in every way we know: each ends in a reply or in a fault without secrets, in time. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  createHttpClient,
  HttpFault,
  type HttpFaultKind,
  type HttpRequest,
  request,
} from "../../src/adapters/http-client.ts";
import { type Liar, type Lie, startLiar } from "../fakes/prometheus-liar.ts";
import { shapesOf } from "../support/faults.ts";

const SECRET = "canary-4f1d";
const SLACK_MS = 400;

let liar: Liar;

beforeAll(async () => {
  liar = await startLiar();
});

afterAll(() => liar.close());

afterEach(() => liar.tell("honest"));

function asking(change: Partial<HttpRequest> = {}): HttpRequest {
  return {
    method: "GET",
    url: `${liar.url}/secret-path-${SECRET}?key=${SECRET}`,
    token: SECRET,
    timeoutMs: 5_000,
    ...change,
  };
}

/** The fault that the request ends in, and how long that took (ms). */
async function faultOf(
  wanted: HttpRequest,
  send: (wanted: HttpRequest) => Promise<unknown> = request,
): Promise<{ readonly fault: HttpFault; readonly tookMs: number }> {
  const began = performance.now();
  try {
    await send(wanted);
  } catch (error) {
    if (error instanceof HttpFault) return { fault: error, tookMs: performance.now() - began };
    throw new Error("something other than an HttpFault escaped", { cause: error });
  }
  throw new Error("the request was answered");
}

describe("a reply", () => {
  it("comes back with status, headers in lower case and the text", async () => {
    liar.answer(
      (response) =>
        void response.writeHead(418, { "X-Kind": "tea", "Set-Cookie": ["a=1", "b=2"] }).end("grüezi"),
    );
    const reply = await request(asking());
    expect(reply.status).toBe(418);
    expect(reply.headers).toMatchObject({ "x-kind": "tea", "set-cookie": "a=1,b=2" });
    expect(reply.text).toBe("grüezi");
  });

  it("carries the method, the body as it is, the headers and the token", async () => {
    liar.answer(
      (response, heard) =>
        void response.end(JSON.stringify([heard.method, heard.headers, heard.form.get("a")])),
    );
    const reply = await request(
      asking({
        method: "POST",
        url: liar.url,
        body: "a=1&b=%20",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
      }),
    );
    const [method, headers, a]: unknown[] = JSON.parse(reply.text);
    expect([method, a]).toEqual(["POST", "1"]);
    expect(headers).toMatchObject({
      authorization: `Bearer ${SECRET}`,
      "content-type": "application/x-www-form-urlencoded",
    });
  });

  it("to HEAD may announce any length, since it has no body", async () => {
    liar.answer((response) => void response.writeHead(200, { "Content-Length": "100000000" }).end());
    expect(await request(asking({ method: "HEAD" }))).toMatchObject({ status: 200, text: "" });
  });

  it("is unzipped", async () => {
    liar.tell("zipped");
    expect(JSON.parse((await request(asking({ url: `${liar.url}/?time=1` }))).text)).toMatchObject({
      status: "success",
    });
  });

  it.each<[Lie, number]>([
    ["redirect", 302],
    ["error_500", 500],
    ["busy_429", 429],
    ["html_502", 502],
  ])("of kind %s is a reply with its status, and nothing else is asked", async (lie, status) => {
    liar.tell(lie);
    const before = liar.heard.length;
    expect((await request(asking())).status).toBe(status);
    expect(liar.heard.length - before).toBe(1);
  });
});

describe("a lie ends in a fault, in time and without secrets", () => {
  it.each<[Lie, HttpFaultKind]>([
    ["silent", "timeout"],
    ["headers_only", "timeout"],
    ["dripping", "timeout"],
    ["endless", "too_large"],
    ["gzip_bomb", "too_large"],
    ["said_too_long", "too_large"],
    ["half_closed", "network"],
    ["reset", "network"],
  ])("%s -> %s", async (lie, kind) => {
    liar.tell(lie);
    const { fault, tookMs } = await faultOf(asking({ timeoutMs: kind === "timeout" ? 300 : 5_000 }));
    expect(fault.kind).toBe(kind);
    expect(tookMs).toBeLessThan(kind === "timeout" ? 300 + SLACK_MS : 3_000);
    if (kind === "timeout") expect(tookMs).toBeGreaterThan(290);
    expect(shapesOf(fault)).not.toContain(SECRET);
  });

  it("a body may be as long as the limit and no longer", async () => {
    liar.answer((response) => void response.end("x".repeat(1000)));
    expect((await request(asking({ maxBytes: 1000 }))).text).toHaveLength(1000);
    expect((await faultOf(asking({ maxBytes: 999 }))).fault.kind).toBe("too_large");
  });

  it("a bomb costs little memory", async () => {
    liar.tell("gzip_bomb");
    const before = process.memoryUsage().rss;
    await faultOf(asking({ timeoutMs: 5_000, maxBytes: 1024 }));
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });

  it("a closed port is refused, at 127.0.0.1 and at localhost", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    server.close();
    await once(server, "close");
    for (const host of ["127.0.0.1", "localhost"]) {
      const { fault } = await faultOf(asking({ url: `http://${host}:${port}/?key=${SECRET}` }));
      expect(fault.kind).toBe("refused");
      expect(shapesOf(fault)).not.toContain(SECRET);
    }
  });

  it.each([
    ["an unknown host", "http://no-such-host.invalid/", /cannot be found|failed/],
    ["another protocol", "file:///etc/passwd", /expected an http or https URL, found file:/],
    ["a data URL", "data:text/plain,hello", /expected an http or https URL, found data:/],
    ["no URL", "127.0.0.1:9090", /URL/],
    ["a URL with a user", `http://${SECRET}@127.0.0.1/`, /must not hold a user or a password/],
    ["a URL with a password", `http://me:${SECRET}@127.0.0.1/`, /must not hold a user or a password/],
  ])("%s is a network fault", async (_, url, says) => {
    const { fault } = await faultOf(asking({ url, timeoutMs: 5_000 }));
    expect(fault).toMatchObject({ kind: "network", detail: expect.stringMatching(says) });
    expect(shapesOf(fault)).not.toContain(SECRET);
  });

  it("a token with a line break adds no header", async () => {
    await request(asking({ token: `${SECRET}\r\nX-More: 1` }));
    expect(liar.heard.at(-1)?.headers).not.toHaveProperty("x-more");
  });

  it("a TLS handshake that nobody answers times out", async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { fault, tookMs } = await faultOf(asking({ url: `https://127.0.0.1:${port}/`, timeoutMs: 300 }));
    expect(fault.kind).toBe("timeout");
    expect(tookMs).toBeLessThan(300 + SLACK_MS);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  it("a connection that is never taken times out", async () => {
    const full = await startFull();
    const { fault, tookMs } = await faultOf(
      asking({ url: `http://127.0.0.1:${full.port}/`, timeoutMs: 300 }),
    );
    expect(fault.kind).toBe("timeout");
    expect(tookMs).toBeLessThan(300 + SLACK_MS);
    await full.close();
  });
});

describe("connections", () => {
  it("are kept and used again", async () => {
    const client = createHttpClient();
    const before = liar.connections();
    for (let i = 0; i < 5; i++) await client.request(asking());
    expect(liar.connections() - before).toBe(1);
    client.close();
  });

  it("that the other side closes while idle cost no request", async () => {
    const client = createHttpClient();
    let asked = 0;
    liar.answer((response) => {
      asked += 1;
      // The first request on each connection is answered; the next one finds it reset.
      if (asked % 2 === 0) response.socket?.resetAndDestroy();
      else response.end("ok");
    });
    expect((await client.request(asking())).text).toBe("ok");
    expect((await client.request(asking())).text).toBe("ok");
    expect((await faultOf(asking({ method: "POST", body: "x" }), client.request)).fault.kind).toBe("network");
    client.close();
  });

  it("do not go through a proxy named in the environment", async () => {
    const proxy = await startLiar();
    const names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    const before = names.map((name) => process.env[name]);
    try {
      for (const name of names) process.env[name] = proxy.url;
      expect((await request(asking())).status).toBe(200);
      expect(proxy.heard).toHaveLength(0);
    } finally {
      for (const [index, name] of names.entries()) {
        if (before[index] === undefined) delete process.env[name];
        else process.env[name] = before[index];
      }
      await proxy.close();
    }
  });

  it("end with the client: what is under way fails at once, and a later request works", async () => {
    const client = createHttpClient();
    liar.tell("dripping");
    const heard = liar.heard.length;
    const pending = faultOf(asking({ timeoutMs: 20_000 }), client.request);
    await expect.poll(() => liar.heard.length).toBe(heard + 1);
    client.close();
    const { fault, tookMs } = await pending;
    expect(fault).toMatchObject({ kind: "network", detail: "the client was closed" });
    expect(tookMs).toBeLessThan(10_000);
    liar.tell("honest");
    expect((await client.request(asking())).status).toBe(200);
    client.close();
  });

  it("never keep the process alive", async () => {
    const script = `
      import { request } from "./src/adapters/http-client.ts";
      const reply = await request({ method: "GET", url: process.argv[1], timeoutMs: 5000 });
      console.log(reply.status);
    `;
    const child = spawn(
      "node_modules/.bin/node",
      ["--input-type=module-typescript", "-e", script, liar.url],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const lines: string[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
    const [code] = await once(child, "exit", { signal: AbortSignal.timeout(10_000) });
    expect({ code, lines }).toEqual({ code: 0, lines: ["200"] });
  });
});

/** A listening socket of a stopped process whose queue is full: the kernel answers no further connection. */
async function startFull(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const script =
    'const s = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port))';
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const port = Number(line);
  child.kill("SIGSTOP");
  const fillers: Socket[] = [];
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    fillers.push(socket);
    const connected = await Promise.race([
      once(socket, "connect").then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 500, false)),
    ]);
    if (!connected) break;
    if (fillers.length > 20) throw new Error("the queue does not fill");
  }
  return {
    port,
    close: async () => {
      for (const socket of fillers) socket.destroy();
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}
