/** `POST /alerts`: Alertmanager's webhook (payload version 4), for one bearer token; answered only when every firing is stored. */
import { type Context, Hono } from "hono";
import type { IncomingAlert } from "../../core/alerts/incoming.ts";
import { webhookSchema } from "../../core/alerts/shapes.ts";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import { isBearer } from "./bearer.ts";
import { parseStrict, readText } from "./strict-json.ts";

const MAX_BODY_BYTES = 256 * 1024;
const MAX_DEPTH = 20;
const JSON_TYPE = /^application\/json\s*(;|$)/i;

export interface AlertRoutesOptions {
  /** Without it the route is not served: nobody could tell whose alerts these are. */
  readonly token: string | undefined;
  /** Stores the alerts; a rejection is answered with 503, and Alertmanager sends them again. `truncated`: how many it left out. */
  readonly take: (alerts: readonly IncomingAlert[], truncated: number) => Promise<void>;
  readonly log: Log;
}

type Status = 400 | 401 | 413 | 415 | 503;

/** Answers 401, 415, 413 and 400 in the order in which they can be told: without the token nothing is read. Each refusal is one log record. */
export function alertRoutes({ token, take, log }: AlertRoutesOptions): Hono {
  const app = new Hono();
  if (token === undefined) {
    log.info("alerts are not taken: no token is set for their webhook");
    return app;
  }

  const refuse = (c: Context, status: Status, why: string): Response => {
    log.warn("an alert webhook was refused", { status, why });
    // What is left of the request is not waited for.
    return c.json({ error: why }, status, { connection: "close" });
  };

  app.post("/alerts", async (c) => {
    if (!isBearer(c.req.header("authorization"), token))
      return refuse(c, 401, "expected one `Authorization: Bearer TOKEN`");
    if (!JSON_TYPE.test(c.req.header("content-type") ?? "")) return refuse(c, 415, "expected JSON");
    const encoding = c.req.header("content-encoding") ?? "identity";
    if (encoding.toLowerCase() !== "identity")
      return refuse(c, 415, "expected a body that is not compressed");
    const text = await readText(c.req.raw, MAX_BODY_BYTES);
    if (text.kind === "gone") return c.body(null, 400);
    if (text.kind === "bad") return refuse(c, text.status, text.why);
    const body = parseStrict(text.value, MAX_DEPTH);
    if (body.kind === "bad") return refuse(c, body.status, body.why);
    const payload = webhookSchema.safeParse(body.value);
    if (!payload.success) {
      const [issue] = payload.error.issues;
      const why = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`;
      return refuse(c, 400, `not a webhook of Alertmanager (version 4): ${why}`);
    }
    const { alerts, truncatedAlerts } = payload.data;
    try {
      await take(alerts, truncatedAlerts);
    } catch (error) {
      return refuse(c, 503, `not stored, to be sent again: ${messageOfFault(error)}`);
    }
    return c.json({ taken: alerts.length });
  });

  app.onError((error, c) => {
    log.error("an alert webhook failed inside", { error: error.message });
    return c.json({ error: "internal error" }, 500);
  });
  return app;
}
