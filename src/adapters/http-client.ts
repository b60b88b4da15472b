/** The one client for all outgoing HTTP: a total deadline, a size limit, no redirects, no proxy, and faults that carry no secrets. */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Readable } from "node:stream";
import axios, { type AxiosInstance, type AxiosResponse, isAxiosError } from "axios";

const DEFAULT_MAX_BYTES = 1024 * 1024;
const MAX_SOCKETS = 32;
const MAX_IDLE_SOCKETS = 4;
/** A connection idle for longer may have been forgotten by a firewall in between, and a request on it would wait for its whole deadline. */
const DEFAULT_IDLE_MS = 30_000;

/** Why there is no reply. `network` is everything that is neither a refusal, a passed deadline nor a body over the limit. */
export type HttpFaultKind = "refused" | "timeout" | "too_large" | "network";

/** A request without a reply. Holds the host at most: never a path, a query, a header, a body or a token. */
export class HttpFault extends Error {
  readonly kind: HttpFaultKind;
  readonly detail: string;
  constructor(kind: HttpFaultKind, detail: string) {
    super(detail);
    this.name = "HttpFault";
    this.kind = kind;
    this.detail = detail;
  }
}

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** http or https, without user or password. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  /** Deadline in ms for everything: name, connection, headers and the whole body. */
  readonly timeoutMs: number;
  /** The longest body accepted, in bytes after decompression; 1 MiB when not given. */
  readonly maxBytes?: number | undefined;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  /** The request may be sent twice without harm, so one that met a connection just closed by the other side is; GET and HEAD always are. */
  readonly repeatable?: boolean | undefined;
}

/** Any status is a reply, redirects too. Header names are in lower case. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface HttpClient {
  /** Rejects with an `HttpFault` and nothing else. */
  request(request: HttpRequest): Promise<HttpReply>;
  /** Ends what is under way (as `network`) and drops kept connections; a later request opens new ones. */
  close(): void;
}

export interface HttpClientOptions {
  /** Certificate authorities to trust in place of the system's, as PEM; for services with a private authority, and for tests. */
  readonly ca?: string | undefined;
  /** How long an idle connection is kept for the next request, ms; 30 s when not given. */
  readonly idleMs?: number | undefined;
  /** Requests under way at one time to one host, others wait for their turn; 32 when not given. */
  readonly maxSockets?: number | undefined;
}

/** Idle connections are kept for the next request but never keep the process alive. */
export function createHttpClient(options: HttpClientOptions = {}): HttpClient {
  const { ca, idleMs = DEFAULT_IDLE_MS, maxSockets = MAX_SOCKETS } = options;
  // The timeout ends idle connections only: axios takes it off those that work.
  const kept = { keepAlive: true, maxSockets, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: idleMs };
  const agents = {
    httpAgent: new HttpAgent(kept),
    httpsAgent: new HttpsAgent({ ...kept, ...(ca === undefined ? {} : { ca }) }),
  };
  const client = axios.create({
    ...agents,
    adapter: "http",
    proxy: false,
    maxRedirects: 0,
    validateStatus: () => true,
    transformRequest: [(body: unknown) => body],
    transformResponse: [],
    // The body is read and counted here, so that the deadline and the limit also hold for what comes after the headers.
    responseType: "stream",
  });
  const underWay = new Set<(fault: HttpFault) => void>();

  async function request(wanted: HttpRequest): Promise<HttpReply> {
    const host = checkedHost(wanted.url);
    const aborter = new AbortController();
    const { promise: cut, reject } = Promise.withResolvers<never>();
    const end = (fault: HttpFault): void => {
      reject(fault);
      aborter.abort();
    };
    const timer = setTimeout(
      () => end(new HttpFault("timeout", `${host} did not answer within ${wanted.timeoutMs} ms`)),
      wanted.timeoutMs,
    );
    underWay.add(end);
    try {
      return await Promise.race([send(client, wanted, host, aborter.signal), cut]);
    } finally {
      clearTimeout(timer);
      underWay.delete(end);
    }
  }

  function close(): void {
    for (const end of underWay) end(new HttpFault("network", "the client was closed"));
    agents.httpAgent.destroy();
    agents.httpsAgent.destroy();
  }

  return { request, close };
}

const shared = createHttpClient();

/** Sends one request by a client that all callers share; rejects with an `HttpFault` and nothing else. */
export const request = shared.request;

function checkedHost(text: string): string {
  const url = URL.parse(text);
  if (url === null) throw new HttpFault("network", "not a URL");
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new HttpFault("network", `expected an http or https URL, found ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new HttpFault("network", `${url.host}: a URL must not hold a user or a password`);
  }
  return url.host;
}

async function send(
  client: AxiosInstance,
  wanted: HttpRequest,
  host: string,
  signal: AbortSignal,
): Promise<HttpReply> {
  const repeatable = wanted.repeatable ?? (wanted.method === "GET" || wanted.method === "HEAD");
  try {
    return await sendOnce(client, wanted, host, signal);
  } catch (error) {
    if (!repeatable || !metClosedConnection(error)) throw faultFrom(error, host);
  }
  try {
    return await sendOnce(client, wanted, host, signal);
  } catch (error) {
    throw faultFrom(error, host);
  }
}

async function sendOnce(
  client: AxiosInstance,
  wanted: HttpRequest,
  host: string,
  signal: AbortSignal,
): Promise<HttpReply> {
  const response: AxiosResponse<unknown> = await client.request({
    method: wanted.method,
    url: wanted.url,
    headers: {
      ...wanted.headers,
      ...(wanted.token === undefined ? {} : { Authorization: `Bearer ${wanted.token}` }),
    },
    ...(wanted.body === undefined ? {} : { data: wanted.body }),
    signal,
  });
  const maxBytes = wanted.maxBytes ?? DEFAULT_MAX_BYTES;
  // A body announced as too long is not waited for; the reply to a HEAD announces one and has none.
  const announced = wanted.method === "HEAD" ? 0 : Number(response.headers["content-length"] ?? 0);
  const text = await readBody(response.data, announced, maxBytes, host, signal);
  return { status: response.status, headers: headersFrom(response.headers), text };
}

async function readBody(
  body: unknown,
  announced: number,
  maxBytes: number,
  host: string,
  signal: AbortSignal,
): Promise<string> {
  if (!(body instanceof Readable)) throw new HttpFault("network", `${host} answered without a body to read`);
  const stop = (): void => void body.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    if (announced > maxBytes) throw tooLarge(host, maxBytes);
    for await (const chunk of body) {
      if (!Buffer.isBuffer(chunk))
        throw new HttpFault("network", `${host} answered with something other than bytes`);
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(host, maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    signal.removeEventListener("abort", stop);
    body.destroy();
  }
}

function tooLarge(host: string, maxBytes: number): HttpFault {
  return new HttpFault("too_large", `the answer of ${host} is longer than ${maxBytes} bytes`);
}

function headersFrom(headers: AxiosResponse["headers"]): Readonly<Record<string, string>> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && value !== null) found.set(name.toLowerCase(), String(value));
  }
  return Object.fromEntries(found);
}

/** A kept connection can be closed by the other side at the moment it is used again; nothing of the request was looked at then. */
function metClosedConnection(error: unknown): boolean {
  if (!isAxiosError(error) || error.response !== undefined) return false;
  const sent: unknown = error.request;
  const reused =
    typeof sent === "object" && sent !== null && "reusedSocket" in sent && sent.reusedSocket === true;
  return reused && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** Only the code of an error is taken over: messages, causes and configurations of other people's errors may hold secrets. */
function faultFrom(error: unknown, host: string): HttpFault {
  if (error instanceof HttpFault) return error;
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
      ? error.code
      : "unknown";
  switch (code) {
    case "ECONNREFUSED":
      return new HttpFault("refused", `${host} refused the connection`);
    case "ETIMEDOUT":
      return new HttpFault("timeout", `no connection to ${host} in time`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new HttpFault("network", `${host} cannot be found (${code})`);
    default:
      return new HttpFault("network", `${host}: the connection failed (${code})`);
  }
}
