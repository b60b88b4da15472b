/** Signed HTTP for Bolt: one path, small bodies, signatures that are fresh and new; everything else is turned away unread. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type App, type Receiver, verifySlackRequest } from "@slack/bolt";
import { type Log, messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { type AckBody, Delivery, passThrough } from "./delivery.ts";
import { EVENTS_PATH } from "./manifest.ts";
import { Replays } from "./replays.ts";

export interface HttpReceiverOptions {
  readonly signingSecret: string;
  readonly host: string;
  readonly port: number;
  readonly log: Log;
  readonly onAck: ((ms: number) => void) | undefined;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

const BODY_BYTES_MOST = 256 * 1024;
const AHEAD_MOST_S = 60;
const HEADERS_TIMEOUT_MS = 3_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often Node looks for connections that are over their time. */
const CHECK_EVERY_MS = 500;
const CONNECTIONS_MOST = 256;
const CLOSE_TIMEOUT_MS = 1_000;
const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

/** A request that is turned away, with its status. */
class Refused extends Error {
  readonly status: number;
  constructor(status: number, why: string) {
    super(why);
    this.status = status;
  }
}

export class HttpReceiver implements Receiver {
  readonly #options: HttpReceiverOptions;
  readonly #server: Server;
  readonly #replays: Replays;
  #app: App | undefined;

  constructor(options: HttpReceiverOptions) {
    this.#options = options;
    this.#replays = new Replays(options.now);
    this.#server = createServer(
      {
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: CHECK_EVERY_MS,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MOST;
  }

  init(app: App): void {
    this.#app = app;
  }

  /** The address for Slack's requests; undefined before it listens. */
  get endpoint(): string | undefined {
    const address = this.#server.address();
    if (address === null || typeof address === "string") return undefined;
    const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}${EVENTS_PATH}`;
  }

  /** Listens. Rejects with an `OutsideFault` when the port is taken. */
  start(): Promise<void> {
    const { host, port, log } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.on("error", (error) => {
        log.error("the server for Slack's requests failed", { error: error.message });
        const why = `Slack's requests cannot be heard on ${host}:${port}: ${error.message}`;
        reject(new OutsideFault(why, { recoverable: false }));
      });
      this.#server.listen(port, host, () => resolve());
    });
  }

  /** Stops listening; what is under way has a second to end. */
  stop(): Promise<void> {
    if (!this.#server.listening) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#server.closeAllConnections(), CLOSE_TIMEOUT_MS);
      this.#server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
  }

  /** Never rejects. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { log } = this.#options;
    response.on("error", () => undefined);
    try {
      const body = await this.#read(request);
      const signature = this.#verify(request, body);
      const payload = decode(request, body);
      await this.#pass(signature, payload, response);
    } catch (error) {
      const status = error instanceof Refused ? error.status : 500;
      log.info("a request was turned away", { status, why: messageOfFault(error) });
      if (response.headersSent) return;
      // What was not read to its end must not be taken for the next request.
      response.writeHead(status, { connection: "close" }).end();
    }
  }

  async #read(request: IncomingMessage): Promise<string> {
    const path = (request.url ?? "/").split("?")[0];
    if (path !== EVENTS_PATH) throw new Refused(404, "unknown path");
    if (request.method !== "POST") throw new Refused(405, "not a POST");
    if (request.headers["content-encoding"] !== undefined) throw new Refused(415, "an encoded body");
    if (typeOf(request) === undefined) throw new Refused(415, "neither a form nor JSON");
    const chunks: Buffer[] = [];
    let bytes = Number(request.headers["content-length"] ?? 0);
    if (bytes > BODY_BYTES_MOST) throw new Refused(413, "a body over 256 KiB");
    bytes = 0;
    for await (const chunk of request) {
      if (!Buffer.isBuffer(chunk)) throw new Refused(400, "a body of text");
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MOST) throw new Refused(413, "a body over 256 KiB");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** Checks signature and age, before anything is parsed. @returns the signature. */
  #verify(request: IncomingMessage, body: string): string {
    const { signingSecret, now } = this.#options;
    const signature = request.headers["x-slack-signature"];
    const stamp = request.headers["x-slack-request-timestamp"];
    if (typeof signature !== "string" || typeof stamp !== "string" || !/^\d{9,11}$/.test(stamp))
      throw new Refused(401, "no signature");
    const seconds = Number(stamp);
    if (seconds - now() / 1_000 > AHEAD_MOST_S) throw new Refused(401, "a timestamp in the future");
    try {
      verifySlackRequest({
        signingSecret,
        body,
        headers: { "x-slack-signature": signature, "x-slack-request-timestamp": seconds },
        nowMilliseconds: now(),
      });
    } catch {
      throw new Refused(401, "a wrong signature or an old timestamp");
    }
    return signature;
  }

  async #pass(
    signature: string,
    payload: Readonly<Record<string, unknown>>,
    response: ServerResponse,
  ): Promise<void> {
    const { log, onAck } = this.#options;
    if (payload["type"] === "url_verification") {
      answer(response, { challenge: String(payload["challenge"] ?? "") });
      return;
    }
    if (!this.#replays.admit(signature)) {
      log.warn("a request was sent again byte for byte; it had no effect");
      answer(response, undefined);
      return;
    }
    if (this.#app === undefined) throw new Refused(503, "not started");
    const send = async (body: AckBody | undefined): Promise<void> => answer(response, body);
    const delivery = new Delivery({ send, log, onAck });
    await passThrough(this.#app, delivery, { ...payload }, log);
    if (delivery.isAcked) return;
    this.#replays.forget(signature);
    throw new Refused(500, "not taken");
  }
}

function answer(response: ServerResponse, body: AckBody | undefined): void {
  if (response.headersSent) return;
  if (body === undefined) response.writeHead(200).end();
  else response.writeHead(200, { "content-type": JSON_TYPE }).end(JSON.stringify(body));
}

function typeOf(request: IncomingMessage): typeof FORM | typeof JSON_TYPE | undefined {
  const given = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  return given === FORM || given === JSON_TYPE ? given : undefined;
}

function decode(request: IncomingMessage, body: string): Readonly<Record<string, unknown>> {
  if (typeOf(request) === JSON_TYPE) return parseObject(body);
  const form = new URLSearchParams(body);
  const payload = form.get("payload");
  return payload === null ? Object.fromEntries(form) : parseObject(payload);
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(400, "not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refused(400, "not a JSON object");
  return { ...value };
}
