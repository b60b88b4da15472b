/** Kept connections of the HTTP client: none is used again so late that whoever stands in between may have forgotten it, and none holds others up. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHttpClient, type HttpClient } from "../../src/adapters/http-client.ts";
import { until } from "../support/eventually.ts";

const IDLE_MS = 150;

let server: Server;
let url: string;
/** Connections that were answered on, and from now on say nothing: as after a firewall forgot them. */
let forgotten: Set<Socket>;
let connections: number;
let hanging: number;
let client: HttpClient;

beforeEach(async () => {
  [forgotten, connections, hanging] = [new Set(), 0, 0];
  server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    if (forgotten.has(request.socket)) return;
    if (request.url === "/hang") hanging++;
    else response.end("ok");
  });
  server.on("connection", () => {
    connections++;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  url = `http://127.0.0.1:${address.port}`;
});

afterEach(async () => {
  client.close();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const get = (path: string, timeoutMs = 5_000) =>
  client.request({ method: "GET", url: `${url}${path}`, timeoutMs });

describe("a kept connection", () => {
  it("is used again soon", async () => {
    client = createHttpClient({ idleMs: 60_000 });
    await get("/");
    await get("/");
    expect(connections).toBe(1);
  });

  it("is not used again after its time, so that one which somebody in between forgot keeps no OFF waiting", async () => {
    client = createHttpClient({ idleMs: IDLE_MS });
    server.on("request", (request) => void forgotten.add(request.socket));
    expect((await get("/")).text).toBe("ok");
    await delay(IDLE_MS * 4);
    expect((await get("/", 1_000)).text).toBe("ok");
    expect(connections).toBe(2);
  });

  it("that works on an answer is not ended by that time", async () => {
    client = createHttpClient({ idleMs: IDLE_MS });
    server.prependListener("request", (request) => {
      if (request.url === "/slow") forgotten.add(request.socket);
    });
    server.on("request", (request, response) => {
      if (request.url === "/slow") setTimeout(() => response.end("late"), IDLE_MS * 4);
    });
    expect((await get("/slow")).text).toBe("late");
  });
});

describe("many requests that hang", () => {
  it("keep no other one waiting where the client was made without a limit of sockets", async () => {
    client = createHttpClient({ maxSockets: Number.POSITIVE_INFINITY });
    const hung = Array.from({ length: 64 }, () => get("/hang").catch(() => undefined));
    await until("they hang", () => hanging === 64);
    expect((await get("/", 1_000)).text).toBe("ok");
    client.close();
    await Promise.all(hung);
  });
});
