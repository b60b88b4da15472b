/** One request to a checked address: a total deadline, a few bytes of the answer, no redirects, no proxy, nothing kept. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { pinnedLookup, type Resolve } from "./resolve.ts";

/** What comes after it is not read. */
const MOST_BYTES = 64 * 1024;
const MOST_HEADER_BYTES = 16 * 1024;

/** No answer, and why; the words name the host at most. */
export class PinnedFault extends Error {
  readonly kind: "refused" | "failed" | "timeout";
  constructor(kind: PinnedFault["kind"], message: string) {
    super(message);
    this.name = "PinnedFault";
    this.kind = kind;
  }
}

export interface PinnedReply {
  readonly status: number;
  /** Where a redirect points; it is never followed. */
  readonly location: string | undefined;
  /** The first 64 KiB of the body. */
  readonly text: string;
  readonly isCut: boolean;
}

export interface PinnedRequest {
  readonly method: "GET" | "POST";
  /** http or https, without user or password. */
  readonly url: string;
  /** Total deadline in ms: name, connection, headers and body. */
  readonly timeoutMs: number;
}

/** Sends it; rejects with a `PinnedFault` and nothing else. */
export type PinnedSend = (request: PinnedRequest) => Promise<PinnedReply>;

export function createPinnedSend(resolve: Resolve): PinnedSend {
  return async ({ method, url: text, timeoutMs }) => {
    const url = checkedUrl(text);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const aborter = new AbortController();
    const timer = setTimeout(() => {
      reject(new PinnedFault("timeout", `no whole answer from ${url.host} within ${timeoutMs} ms`));
      aborter.abort();
    }, timeoutMs);
    try {
      return await Promise.race([send(resolve, method, url, aborter.signal), late]);
    } finally {
      clearTimeout(timer);
    }
  };
}

function checkedUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw new PinnedFault("refused", "expected an http or https URL");
  if (url.username !== "" || url.password !== "")
    throw new PinnedFault("refused", `${url.host}: a URL must not hold a user or a password`);
  return url;
}

async function send(
  resolve: Resolve,
  method: PinnedRequest["method"],
  url: URL,
  signal: AbortSignal,
): Promise<PinnedReply> {
  const resolved = await resolve(url.hostname);
  if (resolved.kind !== "addresses")
    throw new PinnedFault(resolved.kind === "refused" ? "refused" : "failed", resolved.why);
  // The deadline may have passed while the name was looked up; then nothing is begun any more.
  if (signal.aborted) throw new PinnedFault("timeout", `${url.host} was found too late`);
  const open = url.protocol === "https:" ? httpsRequest : httpRequest;
  const request = open(url, {
    method,
    agent: false,
    lookup: pinnedLookup(resolved.addresses),
    headers: { "User-Agent": "belay", Accept: "*/*", "Accept-Encoding": "identity", Connection: "close" },
    maxHeaderSize: MOST_HEADER_BYTES,
    signal,
  });
  return answerTo(request, url.host);
}

function answerTo(request: ClientRequest, host: string): Promise<PinnedReply> {
  return new Promise<PinnedReply>((resolve, reject) => {
    request.on("error", (error) => reject(new PinnedFault("failed", `${host}: ${inWords(error)}`)));
    request.on("response", (response) => {
      readSome(response).then(
        ({ text, isCut }) => {
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, location: headers.location, text, isCut });
          request.destroy();
        },
        (error: unknown) => {
          reject(new PinnedFault("failed", `${host}: the answer broke off (${inWords(error)})`));
          request.destroy();
        },
      );
    });
    request.end();
  });
}

async function readSome(
  response: IncomingMessage,
): Promise<{ readonly text: string; readonly isCut: boolean }> {
  const chunks: Buffer[] = [];
  let left = MOST_BYTES;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left < 0) break;
  }
  return { text: Buffer.concat(chunks).toString("utf8"), isCut: left < 0 };
}

/** Only codes are taken over: messages of other people's errors may hold anything. */
function inWords(error: unknown): string {
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
      ? error.code
      : "no code";
  switch (code) {
    case "ECONNREFUSED":
      return "it refuses the connection";
    case "ECONNRESET":
      return "it cut the connection";
    case "HPE_HEADER_OVERFLOW":
      return "its headers are too long";
    case "ETIMEDOUT":
      return "no connection in time";
    default:
      return /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_)/.test(code)
        ? `its certificate is not trusted (${code})`
        : `the connection failed (${code})`;
  }
}
