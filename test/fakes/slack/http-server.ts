/** The listening server of a workspace: Web API, response_urls, socket upgrades and the page; it can go down and come back. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Context } from "./context.ts";
import { useResponseUrl } from "./response-url.ts";
import type { SocketMode } from "./socket.ts";
import type { WebApi } from "./web-api/dispatch.ts";

/** What the server passes requests to. */
export interface Routes {
  readonly context: Context;
  readonly webApi: WebApi;
  readonly socketMode: SocketMode | undefined;
  /** Answers page requests. */
  readonly page: (request: IncomingMessage, response: ServerResponse, body: string) => void;
}

/** The server's life. */
export interface Listener {
  /** `http://127.0.0.1:port`. */
  origin(): string;
  /** Apps can reach it. */
  reachable(): boolean;
  /** Stops answering. With `keepPage` the page still works and only apps are cut off. */
  down(options: { readonly keepPage: boolean }): Promise<void>;
  /** Comes back on the same port. */
  up(): Promise<void>;
}

const BODY_BYTES_MAX = 8_000_000;
const API_PREFIX = "/api/";
const RESPONSE_PATH = /^\/(commands|actions)\//;

/** Starts listening on 127.0.0.1. `port` 0 takes a free one. @throws Error when the port is taken. */
export async function listen(port: number, routes: Routes): Promise<Listener> {
  let reachable = true;
  let fixedPort = port;
  const server = createServer((request, response) => {
    void serve(request, response, routes, reachable).catch(() => request.socket.destroy());
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Node takes its own listener off an upgraded socket; a reset must not end the process.
    socket.on("error", () => socket.destroy());
    const wanted = pathOf(request) === "/link/";
    if (!reachable || !wanted || routes.socketMode === undefined) socket.destroy();
    else routes.socketMode.upgrade(request, socket, head);
  });
  await open(server, fixedPort);
  fixedPort = portOf(server);

  function setReachable(value: boolean): void {
    reachable = value;
    routes.context.events.emit("reachable", value);
  }

  return {
    origin: () => `http://127.0.0.1:${fixedPort}`,
    reachable: () => reachable,
    async down({ keepPage }) {
      setReachable(false);
      routes.socketMode?.drop();
      if (!keepPage) await close(server);
    },
    async up() {
      if (!server.listening) await open(server, fixedPort);
      setReachable(true);
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  reachable: boolean,
): Promise<void> {
  const path = pathOf(request);
  const forApps = path.startsWith(API_PREFIX) || RESPONSE_PATH.test(path);
  if (forApps && !reachable) {
    request.socket.destroy();
    return;
  }
  const body = await readBody(request);
  if (body === undefined) {
    response.writeHead(413, { connection: "close" }).end();
    return;
  }
  if (path.startsWith(API_PREFIX)) serveApi(request, response, routes, path, body);
  else if (RESPONSE_PATH.test(path)) serveResponseUrl(request, response, routes, path, body);
  else routes.page(request, response, body);
}

function serveApi(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  path: string,
  body: string,
): void {
  const answer = routes.webApi.handle({
    method: path.slice(API_PREFIX.length),
    contentType: request.headers["content-type"] ?? "",
    authorization: request.headers.authorization ?? "",
    query: new URL(request.url ?? "/", "http://localhost").searchParams,
    body,
  });
  if (answer.kind === "hang") return;
  if (answer.kind === "cut") {
    request.socket.destroy();
    return;
  }
  afterDelay(answer.delayMs, response, () =>
    response.writeHead(answer.status, answer.headers).end(answer.body),
  );
}

function serveResponseUrl(
  request: IncomingMessage,
  response: ServerResponse,
  routes: Routes,
  path: string,
  body: string,
): void {
  const answer = useResponseUrl(routes.context, path, body);
  if (answer.kind === "hang") return;
  if (answer.kind === "cut") {
    request.socket.destroy();
    return;
  }
  afterDelay(answer.delayMs, response, () =>
    response.writeHead(answer.status, { "content-type": "text/plain; charset=utf-8" }).end(answer.body),
  );
}

/** Answers late, unless the connection is gone by then. */
function afterDelay(delayMs: number, response: ServerResponse, send: () => void): void {
  if (delayMs <= 0) {
    send();
    return;
  }
  const timer = setTimeout(send, delayMs);
  response.on("close", () => clearTimeout(timer));
}

/** The body as text; undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    size += bytes.length;
    if (size > BODY_BYTES_MAX) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function pathOf(request: IncomingMessage): string {
  return new URL(request.url ?? "/", "http://localhost").pathname;
}

function portOf(server: Server): number {
  const address = server.address();
  const bound: AddressInfo | undefined =
    address === null || typeof address === "string" ? undefined : address;
  if (bound === undefined) throw new Error("the server is not listening");
  return bound.port;
}

function open(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) {
      resolve();
      return;
    }
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
