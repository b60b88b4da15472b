/** The bots' HTTP side on loopback: their health, their own view of the flags, their metrics, and what can be done to them. */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { type Control, changeSchema } from "./control.ts";
import type { BotFlags } from "./flags.ts";
import type { Metrics } from "./metrics.ts";

const MAX_BODY_BYTES = 4096;

export interface HttpParts {
  readonly flags: BotFlags;
  readonly metrics: Metrics;
  readonly control: Control;
}

/** The routes `GET /healthz`, `/features`, `/metrics` and `/control`, and `POST /control`. */
export function createApp({ flags, metrics, control }: HttpParts): Hono {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/features", (c) => c.json({ flags: flags.texts(), source: flags.source() }));
  app.get("/metrics", async (c) =>
    c.body(await metrics.scrape(), 200, { "content-type": metrics.contentType }),
  );
  app.get("/control", (c) => c.json(control.now()));
  app.post("/control", bodyLimit({ maxSize: MAX_BODY_BYTES }), async (c) => {
    // A page of another site cannot send this type unasked, so it cannot break the bots of somebody who visits it.
    if (c.req.header("content-type")?.split(";")[0]?.trim() !== "application/json")
      return c.json({ error: "content-type must be application/json" }, 415);
    const wanted = changeSchema.safeParse(await c.req.json().catch(() => undefined));
    if (!wanted.success)
      return c.json({ error: "expected some of misbehave, leak, users, pool; nothing changed" }, 400);
    return c.json(control.change(wanted.data));
  });
  return app;
}
