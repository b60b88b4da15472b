/** Belay's own HTTP: commands by unix socket or by loopback and token, OFREP for services, its metrics and its health. */
import { chmodSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import type { Recorded } from "../../core/event.ts";
import type { State } from "../../core/rollout/state.ts";
import type { CommandAnswer } from "../../engine/messages.ts";
import { type Log, messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { isBearer } from "./bearer.ts";
import { close, listen, portOf } from "./listening.ts";

const MAX_BODY_BYTES = 64 * 1024;
/** A request that is not here by then is given up. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface HttpOptions {
  /** Loopback port; 0 picks one. */
  readonly port: number;
  readonly socketPath: string;
  /** Without it the loopback port takes no commands and tells nothing about rollouts. */
  readonly token: string | undefined;
  readonly log: Log;
  /** Carries out one command; resolves with its answer. */
  readonly command: (request: {
    readonly text: string;
    readonly as: string;
    readonly key: string;
  }) => Promise<CommandAnswer>;
  readonly runs: () => readonly State[];
  readonly events: (run: string, fromSeq: number) => Promise<readonly Recorded[]>;
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  /** Undefined while Belay is well; otherwise what is wrong. */
  readonly unwell: () => string | undefined;
  /** Routes for services that read their flags here. */
  readonly ofrep: Hono;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Opens the unix socket, for its user alone. Rejects when it cannot be made. */
export async function startSocket(options: HttpOptions): Promise<Pick<HttpServer, "close">> {
  const server = createServer(getRequestListener(appOf(options, () => true).fetch));
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  rmSync(options.socketPath, { force: true });
  await listen(server, options.socketPath);
  chmodSync(options.socketPath, 0o600);
  return {
    async close() {
      await close(server);
      rmSync(options.socketPath, { force: true });
    },
  };
}

/** Opens the loopback port. Rejects with an `OutsideFault` when it is taken. */
export async function startLoopback(options: HttpOptions): Promise<HttpServer> {
  const { port, token } = options;
  const server = createServer(getRequestListener(appOf(options, (header) => isBearer(header, token)).fetch));
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  await listen(server, { host: "127.0.0.1", port }).catch((error: unknown) => {
    const why = `commands and metrics cannot be served on 127.0.0.1:${port} (BELAY_HTTP_PORT): ${messageOfFault(error)}`;
    throw new OutsideFault(why, { recoverable: false, cause: error });
  });
  return { port: portOf(server), close: () => close(server) };
}

const commandSchema = z.strictObject({
  text: z.string().max(MAX_BODY_BYTES),
  as: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, "expected a name of letters, digits, `.`, `_` and `-`")
    .optional(),
  key: z.string().min(8).max(200).optional(),
});

const HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/i;

function appOf(options: HttpOptions, isAllowed: (authorization: string | undefined) => boolean): Hono {
  const app = new Hono();
  // A page on another site may reach loopback through its visitor's browser; it cannot choose the Host header.
  app.use("*", async (c, next) => {
    const host = c.req.header("host");
    if (host !== undefined && !HOST.test(host)) return c.text("unknown host\n", 421);
    await next();
    return undefined;
  });
  app.get("/healthz", (c) => {
    const unwell = options.unwell();
    return unwell === undefined ? c.text("ok\n") : c.text("not well\n", 503);
  });
  app.get("/metrics", async (c) => {
    const { text, contentType } = await options.metrics();
    return c.body(text, 200, { "content-type": contentType });
  });
  app.route("/", options.ofrep);
  app.use("/v1/*", async (c, next) => {
    if (!isAllowed(c.req.header("authorization")))
      return c.json({ error: "expected `Authorization: Bearer TOKEN`" }, 401);
    await next();
    return undefined;
  });
  app.post(
    "/v1/do",
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: (c) =>
        c.json({ error: `the command is too long: at most ${MAX_BODY_BYTES / 1024} KiB are taken` }, 413),
    }),
    async (c) => {
      const body: unknown = await c.req.json().catch(() => undefined);
      const parsed = commandSchema.safeParse(body);
      if (!parsed.success)
        return c.json({ error: parsed.error.issues[0]?.message ?? "expected JSON with `text`" }, 400);
      const { text, as = "local", key = crypto.randomUUID() } = parsed.data;
      return c.json(await options.command({ text, as, key: `do:${as}:${key}` }));
    },
  );
  app.get("/v1/runs", (c) => c.json(options.runs()));
  app.get("/v1/runs/:run/events", async (c) => {
    const from = Number(c.req.query("from") ?? "1");
    return c.json(await options.events(c.req.param("run"), Number.isInteger(from) && from > 0 ? from : 1));
  });
  app.onError((error, c) => {
    options.log.error("an HTTP request failed inside", { path: c.req.path, error: error.message });
    return c.json({ error: "internal error" }, 500);
  });
  return app;
}
