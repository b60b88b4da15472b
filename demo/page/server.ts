/** The demo's page on loopback: its files, the live picture as a stream, and the buttons. */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { World } from "../world/world.ts";
import { deedSchema } from "./controls.ts";
import { type Painter, startPainter } from "./picture.ts";

const BODY_MAX_BYTES = 1_024;
const STREAMS_MAX = 8;
/** A browser that is this far behind is let go; it comes back by itself. */
const BEHIND_MAX_BYTES = 1_000_000;
const TYPES = { html: "text/html", svg: "image/svg+xml", js: "text/javascript", css: "text/css" } as const;
const SCRIPTS = ["app", "chart", "controls", "dom", "rollbacks", "timeline"];
const STYLES = ["page", "panels"];

export interface DemoPage {
  /** `http://127.0.0.1:PORT/` */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the page of a started world on 127.0.0.1; port 0 takes a free one. Rejects when the port is taken. */
export async function startPage(world: World, options: { readonly port: number }): Promise<DemoPage> {
  const streams = new Set<Stream>();
  const painter = await startPainter(world, () => {
    for (const stream of streams) stream.send();
  });
  const files = readFiles();
  const headers = securityHeaders(world.slack.origin);
  const routes: Routes = { painter, files, headers, streams };
  const server = createServer((request, response) => {
    serve(routes, request, response).catch(() => request.socket.destroy());
  });
  try {
    await listen(server, options.port);
  } catch (error) {
    await painter.stop();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${portOf(server)}/`,
    async close() {
      for (const stream of streams) stream.end();
      await Promise.all([painter.stop(), closed(server)]);
    },
  };
}

interface Routes {
  readonly painter: Painter;
  readonly files: ReadonlyMap<string, { readonly type: string; readonly body: Buffer }>;
  readonly headers: Readonly<Record<string, string>>;
  readonly streams: Set<Stream>;
}

interface Stream {
  send(): void;
  end(): void;
}

/** The page's files, read once: path, content type and content. */
function readFiles(): Routes["files"] {
  const file = (path: string, name: string, type: keyof typeof TYPES) =>
    [
      path,
      {
        type: `${TYPES[type]}; charset=utf-8`,
        body: readFileSync(join(import.meta.dirname, "static", name)),
      },
    ] as const;
  return new Map([
    file("/", "index.html", "html"),
    file("/favicon.svg", "favicon.svg", "svg"),
    file("/favicon.ico", "favicon.svg", "svg"),
    ...SCRIPTS.map((name) => file(`/${name}.js`, `${name}.js`, "js")),
    ...STYLES.map((name) => file(`/${name}.css`, `${name}.css`, "css")),
  ]);
}

/** Nothing from outside, nothing inline; the only other page inside is the chat. */
function securityHeaders(slackOrigin: string): Readonly<Record<string, string>> {
  return {
    "content-security-policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
      `frame-src ${slackOrigin}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
  };
}

async function serve(routes: Routes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { headers, files } = routes;
  const host = request.headers.host ?? "";
  // Another site's name that resolves to this address must not get at the page.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host)) {
    sendJson(response, headers, 421, { error: "this page is for 127.0.0.1 only" });
    return;
  }
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const file = files.get(path);
  if (request.method === "POST" && path === "/act") await act(routes, request, response, host);
  else if (request.method !== "GET") sendJson(response, headers, 405, { error: "GET, or POST to /act" });
  else if (path === "/live") openStream(routes, response);
  else if (file === undefined) sendJson(response, headers, 404, { error: "not found" });
  else response.writeHead(200, { ...headers, "content-type": file.type }).end(file.body);
}

async function act(
  { painter, headers }: Routes,
  request: IncomingMessage,
  response: ServerResponse,
  host: string,
): Promise<void> {
  const { origin } = request.headers;
  // A page of another site can neither send this type unasked nor hide where it comes from.
  if (!(request.headers["content-type"] ?? "").startsWith("application/json"))
    return sendJson(response, headers, 415, { error: "send application/json" });
  if (origin !== undefined && origin !== `http://${host}`)
    return sendJson(response, headers, 403, { error: "only this page may do that" });
  const body = await readBody(request);
  const deed = deedSchema.safeParse(body);
  if (!deed.success) return sendJson(response, headers, 400, { error: "no such deed; nothing changed" });
  try {
    sendJson(response, headers, 200, { text: await painter.act(deed.data) });
  } catch (error) {
    sendJson(response, headers, 409, { error: error instanceof Error ? error.message : String(error) });
  }
}

/** Undefined when it is too long or no JSON. */
async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > BODY_MAX_BYTES) return undefined;
    chunks.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    return undefined;
  }
}

function openStream({ painter, headers, streams }: Routes, response: ServerResponse): void {
  if (streams.size >= STREAMS_MAX) {
    sendJson(response, headers, 503, { error: "too many pages are open" });
    return;
  }
  response.writeHead(200, { ...headers, "content-type": "text/event-stream; charset=utf-8" });
  let since = 0;
  const write = (event: string, data: unknown): void => {
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const stream: Stream = {
    send() {
      if (response.writableLength > BEHIND_MAX_BYTES) {
        response.destroy();
        return;
      }
      const picture = painter.paint(since);
      since = picture.points.at(-1)?.[0] ?? since;
      write("picture", picture);
    },
    end: () => response.end(),
  };
  streams.add(stream);
  response.on("close", () => streams.delete(stream));
  response.write("retry: 500\n\n");
  write("frame", painter.frame);
  stream.send();
}

function sendJson(
  response: ServerResponse,
  headers: Routes["headers"],
  status: number,
  body: Readonly<Record<string, string>>,
): void {
  response
    .writeHead(status, { ...headers, "content-type": "application/json; charset=utf-8" })
    .end(JSON.stringify(body));
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the page is not listening");
  return address.port;
}
