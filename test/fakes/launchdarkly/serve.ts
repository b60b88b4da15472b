/** One request to the stand-in LaunchDarkly: read, recorded, looked at for secrets, struck by a fault or answered. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { parseJson } from "../slack/json.ts";
import { type FaultKind, refusal } from "./faults.ts";
import type { Answer, Heard } from "./model.ts";
import type { RestApi } from "./rest-api.ts";
import type { SdkApi } from "./sdk-api.ts";

const BODY_BYTES_MOST = 1024 * 1024;
const REQUESTS_KEPT = 5_000;

/** Everything behind the server. */
export interface Inside {
  readonly rest: RestApi;
  readonly sdk: SdkApi;
  readonly heard: Heard[];
  readonly violate: (rule: string, detail: string) => void;
  readonly takeFault: (method: string, path: string) => FaultKind | undefined;
  /** Headers that tell of the rate limit, and whether it is passed. */
  readonly limit: () => { readonly passed: boolean; readonly headers: Readonly<Record<string, string>> };
  /** Belong into the Authorization header and nowhere else. */
  readonly secrets: () => readonly string[];
}

export async function serve(
  inside: Inside,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname: path, searchParams: query } = new URL(request.url ?? "/", "http://fake.invalid");
  const text = await read(request);
  const { method = "GET", headers } = request;
  const heard: Heard = { method, path, query, headers, body: parseJson(text), at: Date.now() };
  inside.heard.push(heard);
  if (inside.heard.length > REQUESTS_KEPT) inside.heard.shift();
  lookForSecrets(inside, request, text);
  const fault = inside.takeFault(method, path);
  switch (fault?.kind) {
    case undefined:
      return reply(response, answerTo(inside, heard, response));
    case "status": {
      const usual = refusal(fault.status, undefined, fault.headers);
      return reply(response, fault.body === undefined ? usual : { ...usual, body: fault.body });
    }
    case "html":
      response.writeHead(fault.status, { "content-type": "text/html" });
      response.end("<html><body><h1>Bad Gateway</h1></body></html>");
      return;
    case "hang":
      return;
    case "slow":
      await new Promise((resolve) => setTimeout(resolve, fault.ms));
      return reply(response, answerTo(inside, heard, response));
    case "applied_reply_lost":
      answerTo(inside, heard, response);
      request.socket.destroy();
      return;
  }
}

/** Undefined: the response is a stream now. */
function answerTo(inside: Inside, heard: Heard, response: ServerResponse): Answer | undefined {
  if (!heard.path.startsWith("/api/")) return inside.sdk.answer(heard, response);
  const { passed, headers } = inside.limit();
  const answer = passed ? refusal(429) : inside.rest.answer(heard);
  return { ...answer, headers: { ...headers, ...answer.headers } };
}

function lookForSecrets({ secrets, violate }: Inside, request: IncomingMessage, text: string): void {
  const { authorization: _authorization, ...others } = request.headers;
  const places = [request.url ?? "", text, JSON.stringify(others)];
  for (const secret of secrets())
    if (places.some((place) => place.includes(secret))) violate("secret", "a secret outside its header");
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) throw new Error("a body of text");
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MOST) throw new Error("a body without an end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reply(response: ServerResponse, answer: Answer | undefined): void {
  if (answer === undefined) return;
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
}
