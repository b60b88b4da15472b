/** One request to the stand-in PagerDuty: read, recorded, looked at for secrets, struck by a fault or answered. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { EventsApi } from "./events-api.ts";
import { type FaultKind, refusalFor } from "./faults.ts";
import type { PagerClock } from "./incidents.ts";
import type { Answer, Heard } from "./model.ts";
import type { RestApi } from "./rest-api.ts";

const BODY_BYTES_MOST = 512 * 1_024;
const REQUESTS_KEPT = 5_000;
const DRIP_EVERY_MS = 25;

/** Everything behind the server. */
export interface Inside {
  readonly api: EventsApi;
  readonly rest: RestApi;
  readonly heard: Heard[];
  readonly violate: (rule: string, detail: string) => void;
  readonly takeFault: (path: string) => FaultKind | undefined;
  readonly clock: PagerClock;
  /** Must never stand in a body or an address; the routing keys only once. */
  readonly secrets: readonly string[];
  readonly routingKeys: readonly string[];
}

/** Hears, records, checks and answers one request. */
export async function serve(
  inside: Inside,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "https://fake.invalid");
  const text = await read(request);
  const { method = "GET", headers } = request;
  const heard: Heard = { method, path, query, headers, body: parsed(text), at: inside.clock.now() };
  inside.heard.push(heard);
  if (inside.heard.length > REQUESTS_KEPT) inside.heard.shift();
  lookForSecrets(inside, request.url ?? "", text);
  const fault = inside.takeFault(path);
  switch (fault?.kind) {
    case undefined:
      return reply(response, answerTo(inside, heard, text));
    case "status":
      return reply(response, refusalFor(path, fault));
    case "html":
      response.writeHead(fault.status, { "content-type": "text/html" });
      response.end("<html><body><h1>Bad Gateway</h1></body></html>");
      return;
    case "redirect":
      response.writeHead(307, { location: fault.to }).end("{}");
      return;
    case "hang":
      return;
    case "reset":
      request.socket.destroy();
      return;
    case "drip":
      return drip(response, answerTo(inside, heard, text));
    case "flood":
      return flood(response, answerTo(inside, heard, text));
    case "applied_reply_lost":
      answerTo(inside, heard, text);
      request.socket.destroy();
      return;
  }
}

function answerTo(inside: Inside, heard: Heard, text: string): Answer {
  const { method, path, headers, body } = heard;
  if (path !== "/v2/enqueue" && path !== "/v2/change/enqueue") return inside.rest.answer(heard);
  if (method !== "POST") return refused(inside, 405, "events are posted");
  if (!String(headers["content-type"] ?? "").startsWith("application/json"))
    return refused(inside, 415, "an event is application/json");
  if (Buffer.byteLength(text) > BODY_BYTES_MOST) return refused(inside, 413, "an event holds at most 512 KB");
  return path === "/v2/enqueue" ? inside.api.enqueue(body) : inside.api.change(body);
}

function refused({ violate }: Inside, status: number, message: string): Answer {
  violate("event_refused", message);
  return { status, body: { status: "invalid event", message, errors: [message] } };
}

/** A routing key belongs into its field and nowhere else; the other secrets belong into no body and no address. */
function lookForSecrets({ secrets, routingKeys, violate }: Inside, address: string, text: string): void {
  for (const secret of secrets)
    if (text.includes(secret) || address.includes(secret))
      violate("secret", "a secret in a body or an address");
  for (const key of routingKeys)
    if (address.includes(key) || text.split(key).length > 2)
      violate("secret", "a routing key outside its field");
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error("a body of text");
    bytes += chunk.length;
    if (bytes > 4 * BODY_BYTES_MOST) throw new Error("a body without an end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reply(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(answer.body));
}

function drip(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { "content-type": "application/json" });
  const timer = setInterval(() => response.write(" "), DRIP_EVERY_MS);
  response.on("close", () => clearInterval(timer));
}

function flood(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, { "content-type": "application/json" });
  const more = (): void => {
    while (!response.destroyed && response.write(" ".repeat(64 * 1_024)));
  };
  response.on("drain", more);
  more();
}
