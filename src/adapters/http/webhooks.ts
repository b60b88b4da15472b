/** The door for webhooks: a listener of its own, on loopback unless told otherwise, that gives slow senders up. */
import { createServer } from "node:http";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { type Log, messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { keepHeapTight } from "./heap.ts";
import { close, listen, portOf } from "./listening.ts";
import type { HttpServer } from "./server.ts";

/** A request that is not here by then is given up, ms. */
const REQUEST_TIMEOUT_MS = 10_000;
const CHECK_EVERY_MS = 500;
const MAX_CONNECTIONS = 1_000;
const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

export interface WebhooksOptions {
  /** Address to listen on; 127.0.0.1 when not given. */
  readonly host?: string | undefined;
  /** 0 picks one. */
  readonly port: number;
  /** Whether every route asks for a token or a signature: without, only loopback is listened on. */
  readonly isGuarded: boolean;
  readonly routes: readonly Hono[];
  readonly log: Log;
  /** Headers and body must be here within this, ms; 10 s when not given. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Opens the door. Rejects with an `OutsideFault` when the port is taken, or when the address is public and a route is not guarded. */
export async function startWebhooks(options: WebhooksOptions): Promise<HttpServer> {
  const { host = "127.0.0.1", port, isGuarded, routes, log } = options;
  if (!LOOPBACK.has(host) && !isGuarded)
    throw new OutsideFault(
      `webhooks are not taken on ${host} without a token: set one, or listen on 127.0.0.1`,
      {
        recoverable: false,
      },
    );
  keepHeapTight();
  const timeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const app = new Hono();
  for (const one of routes) app.route("/", one);
  const server = createServer(
    {
      requestTimeout: timeoutMs,
      headersTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, timeoutMs),
    },
    getRequestListener(app.fetch),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.on("clientError", (error: Error, socket: Duplex) => refuse(error, socket, log));
  await listen(server, { host, port }).catch((error: unknown) => {
    const why = `webhooks cannot be taken on ${host}:${port}: ${messageOfFault(error)}`;
    throw new OutsideFault(why, { recoverable: false, cause: error });
  });
  return { port: portOf(server), close: () => close(server) };
}

/** What never became a request: too slow, too long a header, or no HTTP. */
function refuse(error: Error, socket: Duplex, log: Log): void {
  const code = "code" in error ? String(error.code) : "";
  // The other side has gone; there is nobody to answer.
  if (code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, why] = REFUSALS.get(code) ?? ["400 Bad Request", "it is no HTTP request"];
  log.warn("a webhook was refused", { status: Number(status.slice(0, 3)), why });
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

const REFUSALS: ReadonlyMap<string, readonly [status: string, why: string]> = new Map([
  ["ERR_HTTP_REQUEST_TIMEOUT", ["408 Request Timeout", "it was not complete in time"]],
  ["HPE_HEADER_OVERFLOW", ["431 Request Header Fields Too Large", "its headers are too long"]],
]);
