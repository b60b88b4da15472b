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

interface Refusal {
  readonly status: 400 | 401 | 413 | 415 | 503;
  readonly why: string;
}

/** What a request told. `gone`: its sender went away before its end. */
type Heard =
  | { readonly kind: "told"; readonly alerts: readonly IncomingAlert[]; readonly truncated: number }
  | ({ readonly kind: "refused" } & Refusal)
  | { readonly kind: "gone" };

/** Answers 401, 415, 413 and 400 in the order in which they can be told: without the token nothing is read. Each refusal is one log record. */
export function alertRoutes({ token, take, log }: AlertRoutesOptions): Hono {
  const app = new Hono();
  if (token === undefined) {
    log.info("alerts are not taken: no token is set for their webhook");
    return app;
  }

  const refuse = (c: Context, { status, why }: Refusal): Response => {
    log.warn("an alert webhook was refused", { status, why });
    // What is left of the request is not waited for.
    return c.json({ error: why }, status, { connection: "close" });
  };

  const answer = async (c: Context, stored: Promise<void>, count: number): Promise<Response> => {
    try {
      await stored;
    } catch (error) {
      return refuse(c, { status: 503, why: `not stored, to be sent again: ${messageOfFault(error)}` });
    }
    return c.json({ taken: count });
  };

  app.post("/alerts", async (c) => {
    const heard = await hear(c, token);
    if (heard.kind === "gone") return c.body(null, 400);
    if (heard.kind === "refused") return refuse(c, heard);
    // Not waited for here: in a storm many wait for the journal, and none of them may hold on to all that it was told.
    return answer(c, take(heard.alerts, heard.truncated), heard.alerts.length);
  });

  app.onError((error, c) => {
    log.error("an alert webhook failed inside", { error: error.message });
    return c.json({ error: "internal error" }, 500);
  });
  return app;
}

async function hear(c: Context, token: string): Promise<Heard> {
  const refused = (status: Refusal["status"], why: string): Heard => ({ kind: "refused", status, why });
  if (!isBearer(c.req.header("authorization"), token))
    return refused(401, "expected one `Authorization: Bearer TOKEN`");
  if (!JSON_TYPE.test(c.req.header("content-type") ?? "")) return refused(415, "expected JSON");
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") return refused(415, "expected a body that is not compressed");
  const text = await readText(c.req.raw, MAX_BODY_BYTES);
  if (text.kind === "gone") return text;
  if (text.kind === "bad") return refused(text.status, text.why);
  const body = parseStrict(text.value, MAX_DEPTH);
  if (body.kind === "bad") return refused(body.status, body.why);
  const payload = webhookSchema.safeParse(body.value);
  if (!payload.success) {
    const [issue] = payload.error.issues;
    const why = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`;
    return refused(400, `not a webhook of Alertmanager (version 4): ${why}`);
  }
  const { alerts, truncatedAlerts } = payload.data;
  return { kind: "told", alerts, truncated: truncatedAlerts };
}
