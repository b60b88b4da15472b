/** The import's HTTP side on loopback: its health, the limit it works with, its metrics, and what can be done to it. */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { type Control, controlSchema } from "./control.ts";
import type { Importer } from "./importer.ts";
import { type BatchLimit, LIMIT_KEY } from "./limit.ts";
import type { Metrics } from "./metrics.ts";

const MAX_BODY_BYTES = 4096;

export interface HttpParts {
  readonly importer: Importer;
  readonly limit: BatchLimit;
  readonly metrics: Metrics;
  readonly control: Control;
}

/** The routes `GET /healthz`, `/features` and `/metrics`, and `POST /control`. */
export function createApp({ importer, limit, metrics, control }: HttpParts): Hono {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/features", (c) =>
    c.json({
      flags: { [LIMIT_KEY]: String(limit.now()) },
      source: limit.source(),
      stored: importer.stored(),
    }),
  );
  app.get("/metrics", async (c) =>
    c.body(await metrics.scrape(), 200, { "content-type": metrics.contentType }),
  );
  app.post("/control", bodyLimit({ maxSize: MAX_BODY_BYTES }), async (c) => {
    // A page of another site cannot send this type unasked, so it cannot break the import of somebody who visits it.
    if (c.req.header("content-type")?.split(";")[0]?.trim() !== "application/json")
      return c.json({ error: "content-type must be application/json" }, 415);
    const wanted = controlSchema.safeParse(await c.req.json().catch(() => undefined));
    if (!wanted.success)
      return c.json({ error: "expected misbehave: none, slow, errors or corrupt; nothing changed" }, 400);
    control.set(wanted.data.misbehave);
    if (wanted.data.misbehave !== "corrupt") importer.repair();
    return c.json(wanted.data);
  });
  return app;
}
