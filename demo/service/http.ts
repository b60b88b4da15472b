/** The service's HTTP side on loopback: its health, its own view of the flags, its metrics and its misbehaviour. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { FEATURE_KEYS, optimisationLevel, recordOf, settingText } from "./features.ts";
import type { Flags } from "./flags.ts";
import type { Metrics } from "./metrics.ts";
import { type Misbehaviour, misbehaviourSchema } from "./misbehaviour.ts";

const MAX_BODY_BYTES = 4096;

export interface HttpParts {
  readonly flags: Flags;
  readonly metrics: Metrics;
  readonly misbehaviour: Misbehaviour;
  readonly version: string;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Listens on 127.0.0.1 (port 0: any free one); rejects when the port is taken. */
export async function listen(port: number, parts: HttpParts): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    answer(request, parts).then(
      (reply) => send(response, reply),
      (error: unknown) => send(response, json(500, { error: String(error) })),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  return { server, port: address !== null && typeof address === "object" ? address.port : port };
}

async function answer(request: IncomingMessage, parts: HttpParts): Promise<Reply> {
  const path = (request.url ?? "/").split("?")[0];
  switch (`${request.method} ${path}`) {
    case "GET /healthz":
      return json(200, { ok: true });
    case "GET /features":
      return json(200, featuresView(parts));
    case "GET /metrics":
      return { status: 200, type: parts.metrics.contentType, body: await parts.metrics.scrape() };
    case "GET /misbehave":
      return json(200, misbehaviourView(parts));
    case "POST /misbehave":
      return misbehave(request, parts);
    default:
      return json(404, { error: `no ${request.method} ${path} here` });
  }
}

/** The flags as the service sees them; a flag that only some files have reads like "25%". */
function featuresView({ flags, version }: HttpParts): unknown {
  const settings = flags.settings();
  return {
    flags: recordOf((key) => settingText(settings[key])),
    percent: Object.fromEntries(
      FEATURE_KEYS.flatMap((key) => {
        const setting = settings[key];
        return setting.kind === "percent" ? [[key, setting.percent]] : [];
      }),
    ),
    source: flags.source(),
    optimisation_level: optimisationLevel(settings),
    started_at: new Date(performance.timeOrigin).toISOString(),
    version,
  };
}

function misbehaviourView({ misbehaviour }: HttpParts): unknown {
  return { mode: misbehaviour.mode(), active: misbehaviour.active() };
}

async function misbehave(request: IncomingMessage, parts: HttpParts): Promise<Reply> {
  // A page of another site cannot send this type unasked, so it cannot break the service of somebody who visits it.
  if (request.headers["content-type"]?.split(";")[0]?.trim() !== "application/json")
    return json(415, { error: "content-type must be application/json" });
  const body = await readBody(request);
  if (body === undefined) return json(413, { error: `more than ${MAX_BODY_BYTES} bytes` });
  const wanted = misbehaviourSchema.safeParse(parseJson(body));
  if (!wanted.success)
    return json(400, { error: 'expected {"mode":"none|errors|latency|leak|crash"}; nothing changed' });
  parts.misbehaviour.set(wanted.data.mode);
  return json(200, misbehaviourView(parts));
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) return undefined;
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function json(status: number, value: unknown): Reply {
  return { status, type: "application/json; charset=utf-8", body: `${JSON.stringify(value)}\n` };
}

function send(response: ServerResponse, { status, type, body }: Reply): void {
  response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
  response.end(body);
}
