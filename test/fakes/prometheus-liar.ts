/** A loopback server that answers Prometheus queries honestly or tells one of many lies, so that the real client meets each of them. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";

/** One request as the liar got it. `form` holds the query string or the form body. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly form: URLSearchParams;
}

type Answerer = (response: ServerResponse, heard: Heard) => void | Promise<void>;

const HTML = "<!doctype html><html><body><h1>Sign in</h1></body></html>";
const BOMB_BYTES = 32 * 1024 * 1024;
/** Small on the way, large when unzipped; made once, since making it takes longer than some deadlines. */
const BOMB = gzipSync(Buffer.alloc(BOMB_BYTES, 0x20));
const CHUNK_BYTES = 64 * 1024;
const DRIP_EVERY_MS = 50;

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
}

function evaluationTime(heard: Heard): number {
  return Number(heard.form.get("time"));
}

/** The value asked for is 0.01; a `timestamp()` query gets the evaluation time, as a series scraped this instant would give. */
function vector(heard: Heard, values?: readonly unknown[]): unknown {
  const time = evaluationTime(heard);
  const fresh = heard.form.get("query")?.includes("timestamp(") === true;
  const result = (values ?? [fresh ? String(time) : "0.01"]).map((value, index) => ({
    metric: { instance: `demo-${index}` },
    value: [time, value],
  }));
  return { status: "success", data: { resultType: "vector", result } };
}

function withNote(heard: Heard, note: Readonly<Record<string, readonly string[]>>): unknown {
  return Object.assign({}, vector(heard), note);
}

function plain(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "Content-Type": type }).end(body);
}

/** Writes `piece` for as long as the client listens. */
async function forever(response: ServerResponse, piece: Buffer | string, waitMs: number): Promise<void> {
  async function* pieces(): AsyncGenerator<Buffer | string> {
    yield '{"status":"';
    for (;;) {
      yield piece;
      if (waitMs > 0) await delay(waitMs);
    }
  }
  response.writeHead(200, { "Content-Type": "application/json" });
  await pipeline(Readable.from(pieces(), { objectMode: false }), response);
}

const LIES = {
  honest: (response, heard) => json(response, 200, vector(heard)),
  empty_vector: (response, heard) => json(response, 200, vector(heard, [])),
  two_series: (response, heard) => json(response, 200, vector(heard, ["0.01", "0.9"])),
  nan: (response, heard) => json(response, 200, vector(heard, ["NaN"])),
  infinite: (response, heard) => json(response, 200, vector(heard, ["+Inf"])),
  number_not_text: (response, heard) => json(response, 200, vector(heard, [0.01])),
  word_for_number: (response, heard) => json(response, 200, vector(heard, ["healthy"])),
  warnings: (response, heard) =>
    json(response, 200, withNote(heard, { warnings: ["some shards did not answer"] })),
  infos: (response, heard) => json(response, 200, withNote(heard, { infos: ["results may be incomplete"] })),
  harmless_info: (response, heard) =>
    json(
      response,
      200,
      withNote(heard, { infos: ["PromQL info: metric might not be a counter, name does not end in _total"] }),
    ),
  matrix: (response) =>
    json(response, 200, { status: "success", data: { resultType: "matrix", result: [] } }),
  no_data: (response) => json(response, 200, { status: "success" }),
  array: (response) => json(response, 200, [1, 2, 3]),
  null_body: (response) => json(response, 200, null),
  error_in_200: (response) =>
    json(response, 200, { status: "error", errorType: "internal", error: "storage is read-only" }),
  bad_query_400: (response) =>
    json(response, 400, {
      status: "error",
      errorType: "bad_data",
      error: "1:4: parse error: unexpected end of input",
    }),
  bad_query_422: (response) =>
    json(response, 422, { status: "error", errorType: "execution", error: "too many samples" }),
  timeout_503: (response) =>
    json(response, 503, {
      status: "error",
      errorType: "timeout",
      error: "query timed out in expression evaluation",
    }),
  error_500: (response) => plain(response, 500, "text/plain", "boom"),
  busy_429: (response) =>
    json(response, 429, { status: "error", error: "slow down" }, { "Retry-After": "1" }),
  html_200: (response) => plain(response, 200, "text/html", HTML),
  html_502: (response) => plain(response, 502, "text/html", HTML),
  unauthorized: (response) => plain(response, 401, "text/plain", "Unauthorized"),
  empty_body: (response) => plain(response, 200, "application/json", ""),
  cut_json: (response) =>
    plain(response, 200, "application/json", '{"status":"success","data":{"resultType":"vec'),
  redirect: (response) => void response.writeHead(302, { Location: "/elsewhere" }).end(),
  half_closed: (response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "1000" });
    response.write('{"status":"success"', () => response.socket?.destroy());
  },
  reset: (response) => void response.socket?.resetAndDestroy(),
  silent: () => undefined,
  headers_only: (response) =>
    void response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders(),
  dripping: (response) => forever(response, " ", DRIP_EVERY_MS),
  endless: (response) => forever(response, Buffer.alloc(CHUNK_BYTES, 0x20), 0),
  gzip_bomb: (response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Encoding": "gzip" });
    response.end(BOMB);
  },
  said_too_long: (response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": String(BOMB_BYTES) });
    response.write('{"status":"success"');
  },
  zipped: (response, heard) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Encoding": "gzip" });
    response.end(gzipSync(JSON.stringify(vector(heard))));
  },
} satisfies Readonly<Record<string, Answerer>>;

export type Lie = keyof typeof LIES;

export interface Liar {
  /** Base address, without a slash at the end. */
  readonly url: string;
  /** From now on every request is answered this way. */
  tell(lie: Lie): void;
  /** From now on every request is answered by this function. */
  answer(answerer: Answerer): void;
  /** Every request so far, oldest first. */
  readonly heard: readonly Heard[];
  /** How many connections were opened so far. */
  connections(): number;
  close(): Promise<void>;
}

/** Starts the liar on a free port of 127.0.0.1, honest at first. */
export async function startLiar(): Promise<Liar> {
  const heard: Heard[] = [];
  let answerer: Answerer = LIES.honest;
  let connections = 0;
  const server = createServer((request, response) => {
    void hear(request)
      .then((one) => {
        heard.push(one);
        return answerer(response, one);
      })
      .catch(() => response.destroy());
  });
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = addressOf(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    tell: (lie) => {
      answerer = LIES[lie];
    },
    answer: (next) => {
      answerer = next;
    },
    heard,
    connections: () => connections,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function hear(request: IncomingMessage): Promise<Heard> {
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  const body = await text(request);
  return {
    method: request.method ?? "",
    path,
    headers: request.headers,
    form: new URLSearchParams(body === "" ? query : body),
  };
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  if (address === null || typeof address === "string") throw new Error("the liar has no port");
  return address;
}
