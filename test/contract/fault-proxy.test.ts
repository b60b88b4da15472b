/** The fault proxy does to a request what its plan says, to those that the plan means, and to nothing else. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../../demo/world/loopback.ts";
import { createHttpClient, type HttpClient, HttpFault } from "../../src/adapters/http-client.ts";
import { until } from "../support/eventually.ts";
import { type Fault, type FaultProxy, startFaultProxy, type Which } from "../support/fault-proxy.ts";

const LONG_MS = 5_000;
const SHORT_MS = 300;

describe("fault proxy", () => {
  let server: Server;
  let port: number;
  let proxy: FaultProxy;
  let client: HttpClient;
  /** What the server got: method, path and body. */
  let heard: string[];
  beforeEach(async () => {
    heard = [];
    server = createServer((request, response) => {
      void text(request).then((body) => {
        heard.push(`${request.method} ${request.url} ${body}`);
        if (request.url === "/empty") return response.writeHead(204).end();
        if (request.url === "/stream") {
          response.writeHead(200, { "content-type": "text/event-stream" });
          return void response.write("data: first\n\n");
        }
        if (request.url === "/gone") return response.socket?.destroy();
        const answer = JSON.stringify({ path: request.url, host: request.headers.host, heard: heard.length });
        return response.writeHead(200, { "content-type": "application/json", "x-own": "yes" }).end(answer);
      });
    });
    port = await freePort();
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    proxy = await startFaultProxy(`http://127.0.0.1:${port}`);
    client = createHttpClient();
  });
  afterEach(async () => {
    client.close();
    await proxy.close();
    server.closeAllConnections();
    server.close();
  });

  function send(method: "GET" | "POST" | "PATCH", path: string, timeoutMs = LONG_MS, body?: string) {
    return client.request({ method, url: `${proxy.url}${path}`, timeoutMs, body, token: "t-1" });
  }
  async function failing(sent: Promise<unknown>): Promise<string> {
    const outcome = await sent.then(
      () => "answered",
      (error: unknown) => error,
    );
    return outcome instanceof HttpFault ? outcome.kind : String(outcome);
  }

  it("passes on what it is not to spoil, and records it", async () => {
    const reply = await send("POST", "/flags?env=x", LONG_MS, '{"on":true}');
    expect(reply).toMatchObject({ status: 200, headers: { "x-own": "yes" } });
    // The server is asked by its own name, not by the proxy's.
    expect(reply.text).toContain(`"host":"127.0.0.1:${port}"`);
    expect((await send("GET", "/empty")).status).toBe(204);
    expect(heard).toEqual(['POST /flags?env=x {"on":true}', "GET /empty "]);
    expect(proxy.requests).toMatchObject([
      {
        method: "POST",
        path: "/flags?env=x",
        body: '{"on":true}',
        headers: { authorization: "Bearer t-1" },
        status: 200,
        fault: undefined,
      },
      { method: "GET", path: "/empty", body: "", status: 204 },
    ]);
  });

  it("lets a stream flow", async () => {
    const response = await fetch(`${proxy.url}/stream`);
    const reader = response.body?.getReader();
    const piece = await reader?.read();
    expect(Buffer.from(piece?.value ?? []).toString("utf8")).toBe("data: first\n\n");
    await reader?.cancel();
  });

  it("ends the connection when the server does", async () => {
    expect(await failing(send("POST", "/gone"))).toBe("network");
  });

  /** Each fault once: what the client gets, and how often the server heard of it. */
  const CASES: readonly {
    readonly fault: Fault;
    readonly client: string | RegExp;
    readonly delivered: number;
  }[] = [
    { fault: { kind: "reply_lost" }, client: "network", delivered: 1 },
    { fault: { kind: "reset" }, client: "network", delivered: 0 },
    { fault: { kind: "hang" }, client: "timeout", delivered: 0 },
    { fault: { kind: "drip", everyMs: 100 }, client: "timeout", delivered: 1 },
    { fault: { kind: "slow", ms: 20 }, client: /^200 .*"path"/, delivered: 1 },
    { fault: { kind: "status", status: 503 }, client: /^503 .*status 503/, delivered: 0 },
    { fault: { kind: "status", status: 400, echo: true }, client: /^400 .*Bearer t-1/, delivered: 0 },
    { fault: { kind: "html" }, client: /^200 <!doctype html>/, delivered: 0 },
    { fault: { kind: "swallow" }, client: /^200 .*"path"/, delivered: 1 },
    { fault: { kind: "truncate" }, client: "network", delivered: 1 },
    { fault: { kind: "duplicate", afterMs: 30 }, client: /^200 .*"heard":1/, delivered: 2 },
  ];
  for (const { fault, client: expected, delivered } of CASES) {
    const title = Object.values(fault).join(" ");
    it(`${title}: the next request only`, async () => {
      const planned = proxy.plan(fault);
      const outcome = await send("POST", "/one", SHORT_MS, "x").then(
        ({ status, text: body }) => `${status} ${body}`,
        (error: unknown) => (error instanceof HttpFault ? error.kind : String(error)),
      );
      expect(outcome).toMatch(expected);
      await planned.settled();
      expect(planned.met).toMatchObject([{ method: "POST", path: "/one", body: "x", fault: fault.kind }]);
      // What is swallowed is not delivered: only its answer is asked for.
      const line = fault.kind === "swallow" ? "GET /one " : "POST /one x";
      expect(heard).toEqual(Array.from({ length: delivered }, () => line));
      expect((await send("POST", "/one")).status).toBe(200);
    });
  }

  it("answers a swallowed request with an empty 200 where there is nothing to show", async () => {
    proxy.plan({ kind: "swallow" });
    expect(await send("POST", "/empty", LONG_MS, "x")).toMatchObject({ status: 200, text: "" });
    expect(heard).toEqual(["GET /empty "]);
  });

  it("drips and truncates answers without a body too", async () => {
    proxy.plan({ kind: "drip" });
    proxy.plan({ kind: "truncate" });
    expect(await failing(send("POST", "/empty", SHORT_MS))).toBe("timeout");
    expect(await failing(send("POST", "/empty", SHORT_MS))).toBe("network");
  });

  it("takes the headers of a status from its plan", async () => {
    proxy.plan({ kind: "status", status: 429, headers: { "Retry-After": "7" }, body: "slow down" });
    expect(await send("GET", "/")).toMatchObject({
      status: 429,
      text: "slow down",
      headers: { "retry-after": "7" },
    });
  });

  it("sends a duplicate when its time has come, not before", async () => {
    const planned = proxy.plan({ kind: "duplicate", afterMs: 150 });
    await send("POST", "/on", LONG_MS, "1");
    await send("POST", "/off", LONG_MS, "0");
    expect(heard).toEqual(["POST /on 1", "POST /off 0"]);
    await planned.settled();
    expect(heard).toEqual(["POST /on 1", "POST /off 0", "POST /on 1"]);
  });

  async function statuses(which: Which, paths: readonly string[], method: "GET" | "PATCH" = "PATCH") {
    proxy.plan({ kind: "status", status: 500 }, which);
    const found: number[] = [];
    for (const path of paths) found.push((await send(method, path)).status);
    return found;
  }
  const SIX = ["/a", "/b", "/a", "/b", "/a", "/b"];

  it("means requests by method, path and number", async () => {
    expect(await statuses({ path: "/a", times: 2 }, SIX)).toEqual([500, 200, 500, 200, 200, 200]);
    expect(await statuses({ path: /^\/b$/, method: "read" }, SIX)).toEqual([200, 200, 200, 200, 200, 200]);
    await proxy.clear();
    expect(await statuses({ method: "GET", times: 2 }, SIX, "GET")).toEqual([500, 500, 200, 200, 200, 200]);
    expect(await statuses({ method: "write", times: 1 }, SIX)).toEqual([500, 200, 200, 200, 200, 200]);
  });

  it("means every k-th of them", async () => {
    expect(await statuses({ path: "/a", every: 2, times: 99 }, [...SIX, ...SIX])).toEqual([
      200, 200, 500, 200, 200, 200, 500, 200, 200, 200, 500, 200,
    ]);
  });

  it("means a share of them, the same one for the same seed", async () => {
    const many = Array.from({ length: 100 }, () => "/a");
    const share = { share: 0.2, seed: 7, times: Number.POSITIVE_INFINITY };
    const first = await statuses(share, many);
    await proxy.clear();
    const failed = first.filter((status) => status === 500).length;
    expect(failed).toBeGreaterThan(8);
    expect(failed).toBeLessThan(35);
    expect(await statuses(share, many)).toEqual(first);
    await proxy.clear();
    expect(await statuses({ ...share, seed: 8 }, many)).not.toEqual(first);
  });

  it("goes on to the next plan when one is used up or ended", async () => {
    const first = proxy.plan({ kind: "status", status: 401 }, { times: 2 });
    proxy.plan({ kind: "status", status: 403 });
    expect((await send("GET", "/")).status).toBe(401);
    first.end();
    expect((await send("GET", "/")).status).toBe(403);
    expect((await send("GET", "/")).status).toBe(200);
  });

  it("refuses connections, and takes them again on the same port", async () => {
    const { url } = proxy;
    await send("GET", "/");
    await proxy.refuse(true);
    await until("it refuses", async () => (await failing(send("POST", "/"))) === "refused");
    await proxy.refuse(false);
    expect(proxy.url).toBe(url);
    expect((await send("POST", "/")).status).toBe(200);
  });

  it("forgets everything when it is cleared, and resets what hangs", async () => {
    const planned = proxy.plan({ kind: "hang" });
    proxy.plan({ kind: "reset" });
    const hanging = failing(send("POST", "/", LONG_MS));
    await until("it hangs", () => planned.met.length === 1);
    await proxy.clear();
    expect(await hanging).toBe("network");
    expect(proxy.requests).toEqual([]);
    expect((await send("POST", "/")).status).toBe(200);
  });

  it("drops what is under way when it is closed", async () => {
    const planned = proxy.plan({ kind: "hang" });
    const hanging = failing(send("POST", "/", LONG_MS));
    await until("it hangs", () => planned.met.length === 1);
    await proxy.close();
    expect(await hanging).toBe("network");
    await until("it refuses", async () => (await failing(send("POST", "/"))) === "refused");
  });
});
