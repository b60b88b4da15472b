/** A TCP proxy on loopback that knows HTTP/1.1: it passes requests on, records them, and does to chosen ones what networks and servers do to them. */
import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { createRandom } from "../simulation/timeline.ts";
import { drip, type Reply, truncate } from "./fault-proxy-wire.ts";

/** What happens to a request. Times in ms. */
export type Fault =
  /** Delivered; the answer is read and dropped, and the connection reset. */
  | { readonly kind: "reply_lost" }
  /** Reset before anything was delivered. */
  | { readonly kind: "reset" }
  /** Not delivered, never answered. */
  | { readonly kind: "hang" }
  /** Delivered; the answer comes one byte every `everyMs` (200 when not given). */
  | { readonly kind: "drip"; readonly everyMs?: number }
  /** Delivered after `ms`. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Not delivered, answered so. `echo`: the message repeats all headers of the request, as some gateways do. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly echo?: true;
    }
  /** Not delivered; a page for people with status 200. */
  | { readonly kind: "html" }
  /** Delivered and answered; delivered once more `afterMs` later. */
  | { readonly kind: "duplicate"; readonly afterMs: number }
  /** Not delivered, answered as if it had been: with what a GET of the same path answers, else with an empty 200. */
  | { readonly kind: "swallow" }
  /** Delivered; the answer ends in the middle of its body. */
  | { readonly kind: "truncate" };

/** Which requests a fault is for. */
export interface Which {
  /** `write`: all but GET, HEAD and OPTIONS. */
  readonly method?: "read" | "write" | "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Found in path and query. */
  readonly path?: string | RegExp;
  /** How many of them; 1 when not given. */
  readonly times?: number;
  /** Every k-th of them only. */
  readonly every?: number;
  /** This share (0 to 1) of them only, by a generator that begins with `seed`. */
  readonly share?: number;
  readonly seed?: number;
}

/** A request as it came. */
export interface Passed {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Steady ms. */
  readonly at: number;
  /** What was done to it; undefined when it was only passed on. */
  readonly fault: Fault["kind"] | undefined;
  /** The status that the server answered; undefined when it was not delivered, or has not answered yet. */
  status: number | undefined;
}

export interface Planned {
  /** The requests that met this fault so far. */
  readonly met: readonly Passed[];
  /** Resolves when all of its effects are over: late duplicates delivered. */
  settled(): Promise<void>;
  /** No further request meets it; those that did stay as they are (what hangs goes on hanging). */
  end(): void;
}

export interface FaultProxy {
  /** `http://127.0.0.1:PORT`: what the adapter is pointed to. */
  readonly url: string;
  /** All requests since the start or the last `clear`, in the order in which they came. */
  readonly requests: readonly Passed[];
  /** From now on. Of several plans that fit, the earliest that is not used up. */
  plan(fault: Fault, which?: Which): Planned;
  /** Refuses all connections, as when nobody listens; `false` listens again on the same port. */
  refuse(refusing: boolean): Promise<void>;
  /** Forgets plans and requests, and resets what hangs. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

const HTML = "<!doctype html><html><body><h1>Sign in</h1><p>Your session has ended.</p></body></html>";
/** Between two neighbours only; the proxy and the server each have their own. */
const HOP_HEADERS = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "proxy-connection",
  "upgrade",
  "host",
]);

class Plan implements Planned {
  readonly fault: Fault;
  readonly met: Passed[] = [];
  readonly #which: Which;
  readonly #random: () => number;
  readonly #late: Promise<unknown>[] = [];
  #fitting = 0;
  #ended = false;

  constructor(fault: Fault, which: Which) {
    this.fault = fault;
    this.#which = which;
    this.#random = createRandom(which.seed ?? 1).next;
  }

  /** Whether this request meets the fault; it is counted. */
  takes(method: string, path: string): boolean {
    const { times = 1, every = 1, share = 1 } = this.#which;
    if (this.#ended || this.met.length >= times || !fits(this.#which, method, path)) return false;
    this.#fitting++;
    return this.#fitting % every === 0 && this.#random() < share;
  }

  later(effect: Promise<unknown>): void {
    this.#late.push(effect);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#late);
  }

  end(): void {
    this.#ended = true;
  }
}

function fits({ method, path: wanted }: Which, asked: string, path: string): boolean {
  const reads = asked === "GET" || asked === "HEAD" || asked === "OPTIONS";
  const methodFits =
    method === undefined || (method === "read" ? reads : method === "write" ? !reads : method === asked);
  const pathFits =
    wanted === undefined || (typeof wanted === "string" ? path.includes(wanted) : wanted.test(path));
  return methodFits && pathFits;
}

/** `target`: `http://127.0.0.1:PORT` of the server. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const proxy = new LoopbackProxy(new URL(target));
  await proxy.listen();
  return proxy;
}

class LoopbackProxy implements FaultProxy {
  readonly requests: Passed[] = [];
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  /** Those with a request that was not answered yet. */
  readonly #busy = new Set<Socket>();
  #plans: Plan[] = [];
  #server: Server | undefined;
  #port = 0;

  constructor(target: URL) {
    this.#target = target;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      const { socket } = request;
      this.#busy.add(socket);
      response.once("finish", () => this.#busy.delete(socket));
      // A client that went away, or a server that is gone: the connection ends, as it would through any proxy.
      this.#handle(request, response).catch(() => reset(socket));
    });
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#sockets.delete(socket);
        this.#busy.delete(socket);
      });
    });
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#port = portOf(server);
    this.#server = server;
  }

  plan(fault: Fault, which: Which = {}): Planned {
    const plan = new Plan(fault, which);
    this.#plans.push(plan);
    return plan;
  }

  async refuse(refusing: boolean): Promise<void> {
    if (refusing === (this.#server === undefined)) return;
    if (refusing) await this.close();
    else await this.listen();
  }

  async clear(): Promise<void> {
    const before = this.#plans;
    for (const plan of before) plan.end();
    this.#plans = [];
    for (const socket of this.#busy) reset(socket);
    await Promise.all(before.map((plan) => plan.settled()));
    this.requests.length = 0;
    await this.refuse(false);
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.#sockets) reset(socket);
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = performance.now();
    const { method = "GET", url: path = "/" } = request;
    const plan = this.#plans.find((one) => one.takes(method, path));
    const body = await buffer(request);
    const passed: Passed = {
      method,
      path,
      headers: plainHeaders(request.headers),
      body: body.toString("utf8"),
      at,
      fault: plan?.fault.kind,
      status: undefined,
    };
    this.requests.push(passed);
    if (plan === undefined) return this.#passOn(request, response, passed, body);
    plan.met.push(passed);
    await this.#spoil(plan, request, response, passed, body);
  }

  /** Passes on as it comes, so that streams flow. */
  async #passOn(
    request: IncomingMessage,
    response: ServerResponse,
    passed: Passed,
    body: Buffer,
  ): Promise<void> {
    const reply = await this.#open(request, body);
    response.once("close", () => reply.destroy());
    passed.status = reply.statusCode;
    response.writeHead(reply.statusCode ?? 502, forwardable(reply.headers));
    response.flushHeaders();
    for await (const chunk of reply) response.write(chunk);
    response.end();
  }

  async #open(request: IncomingMessage, body: Buffer, method = request.method): Promise<IncomingMessage> {
    const headers = { ...forwardable(request.headers), host: this.#target.host };
    delete headers["content-length"];
    const sent = httpRequest({
      host: this.#target.hostname,
      port: this.#target.port,
      path: request.url,
      method,
      agent: false,
      headers: body.length > 0 ? { ...headers, "content-length": String(body.length) } : headers,
    });
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    sent.once("response", resolve).on("error", reject).end(body);
    return promise;
  }

  async #deliver(request: IncomingMessage, body: Buffer, method = request.method): Promise<Reply> {
    const reply = await this.#open(request, body, method);
    return {
      status: reply.statusCode ?? 502,
      headers: forwardable(reply.headers),
      body: await buffer(reply),
    };
  }

  async #spoil(
    plan: Plan,
    request: IncomingMessage,
    response: ServerResponse,
    passed: Passed,
    body: Buffer,
  ): Promise<void> {
    const { fault } = plan;
    const delivered = async (): Promise<Reply> => {
      const reply = await this.#deliver(request, body);
      passed.status = reply.status;
      return reply;
    };
    switch (fault.kind) {
      case "reset":
        return reset(request.socket);
      case "hang":
        return;
      case "reply_lost":
        await delivered();
        return reset(request.socket);
      case "slow":
        await delay(fault.ms);
        return answer(response, await delivered());
      case "drip":
        return drip(request.socket, await delivered(), fault.everyMs);
      case "truncate":
        return truncate(request.socket, await delivered());
      case "html":
        return void response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(HTML);
      case "status": {
        // The token first: clients show only the beginning of a message, and only one that is sound JSON.
        const echoed =
          fault.echo === true ? ` ${request.headers.authorization} ${JSON.stringify(request.headers)}` : "";
        const text = fault.body ?? JSON.stringify({ message: `status ${fault.status}${echoed}` });
        const headers = { "content-type": "application/json", ...fault.headers };
        return void response.writeHead(fault.status, headers).end(text);
      }
      case "swallow": {
        const shown = await this.#deliver(request, Buffer.alloc(0), "GET");
        const empty = { status: 200, headers: {}, body: Buffer.alloc(0) };
        return answer(response, shown.status === 200 ? shown : empty);
      }
      case "duplicate": {
        answer(response, await delivered());
        const again = delay(fault.afterMs).then(() => this.#deliver(request, body));
        plan.later(again.catch(() => undefined));
      }
    }
  }
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on no port");
  return address.port;
}

function reset(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy();
}

function plainHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function forwardable(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_HEADERS.has(name)));
}

function answer(response: ServerResponse, { status, headers, body }: Reply): void {
  response.writeHead(status, headers).end(body);
}
