/** A loopback Prometheus that finds everything well, and the view of services; so that a figure measures the way back and nothing before it. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";

export interface Well {
  readonly url: string;
  stop(): Promise<void>;
}

/** What a service says of its flags, by key; rejects when it does not answer. */
export type FeaturesOf = (service: string) => Promise<Readonly<Record<string, string | undefined>>>;

/**
 * Starts it on a free port of 127.0.0.1. Every series is fresh; `up` and all counts are 1, all other values 0. `/features/SERVICE` tells the flags.
 */
export async function startWell(featuresOf: FeaturesOf): Promise<Well> {
  const server = createServer((request, response) => {
    const answered = answer(request, featuresOf);
    answered.then(
      (body) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body)),
      () => response.writeHead(503).end(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = z.object({ port: z.number() }).parse(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  const body = await text(request);
  return new URLSearchParams(body === "" ? (request.url ?? "").split("?", 2)[1] : body);
}

async function answer(request: IncomingMessage, featuresOf: FeaturesOf): Promise<unknown> {
  const path = request.url ?? "/";
  const [, service] = /^\/features\/([a-z0-9-]+)$/.exec(path) ?? [];
  return service === undefined ? answerTo(path, await formOf(request)) : { flags: await featuresOf(service) };
}

function answerTo(path: string, form: URLSearchParams): unknown {
  const query = form.get("query") ?? "";
  const time = Number(form.get("time") ?? form.get("end"));
  const value = query.includes("timestamp(") ? String(time) : /\bup\b|count/.test(query) ? "1" : "0";
  const data = path.split("?")[0]?.endsWith("/query_range")
    ? { resultType: "matrix", result: [{ metric: {}, values: [[time, value]] }] }
    : { resultType: "vector", result: [{ metric: {}, value: [time, value] }] };
  return { status: "success", data };
}
