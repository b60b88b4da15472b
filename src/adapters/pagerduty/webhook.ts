/** PagerDuty's webhooks in: checked before they are read, handed on before they are answered. */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import type { PagerWord } from "../../engine/watch-ports.ts";
import { isSigned, isToken } from "./signature.ts";
import { type Heard, readDelivery } from "./words.ts";

/** PagerDuty itself never sends more. */
const MAX_BODY_BYTES = 256 * 1_024;

/** Where PagerDuty's webhooks go. */
export const PAGER_WEBHOOK_PATH = "/pagerduty";

export interface PagerWebhookOptions {
  /** Secrets of the webhook subscriptions; several while one is being replaced. */
  readonly secrets: readonly string[];
  /**
   * Tokens of custom incident actions, sent as a custom header `Authorization: Bearer TOKEN`, because PagerDuty documents no signature for
   * them. Such a delivery may press an action and nothing else.
   */
  readonly actionTokens?: readonly string[] | undefined;
  /** Takes one word; must resolve only when the word cannot be lost any more. A word may come again, with the same id. */
  readonly onWord: (word: PagerWord) => Promise<void>;
  /** The key of an incident by PagerDuty's id, for incidents of which PagerDuty tells no key. */
  readonly keyOf?: ((pagerId: string) => string | undefined) | undefined;
  readonly log: Log;
  /** Wall clock, Unix ms. */
  readonly now?: (() => number) | undefined;
}

/**
 * `POST /pagerduty`: 202 when taken or none of our business, 401 when nothing shows that PagerDuty sent it, 413 over 256 KiB, 400 when it is no
 * webhook, 503 when it could not be kept (PagerDuty sends it again then).
 */
export function pagerWebhookRoutes(options: PagerWebhookOptions): Hono {
  const app = new Hono();
  const turnedAway = (c: Context, status: 400 | 401 | 413 | 503, why: string): Response => {
    options.log.warn("a webhook for PagerDuty's words was turned away", { status, why });
    return c.json({ error: status === 401 ? "unauthorized" : why }, status);
  };
  const limit = bodyLimit({
    maxSize: MAX_BODY_BYTES,
    onError: (c) => turnedAway(c, 413, `a body holds at most ${MAX_BODY_BYTES} bytes`),
  });
  app.post(PAGER_WEBHOOK_PATH, limit, async (c) => {
    // A sender that goes away in the middle hears no answer.
    const bytes = await c.req.arrayBuffer().catch(() => undefined);
    if (bytes === undefined) return c.body(null, 400);
    const body = new Uint8Array(bytes);
    const signed = isSigned(c.req.header("x-pagerduty-signature"), body, options.secrets);
    const byToken = !signed && isToken(c.req.header("authorization"), options.actionTokens ?? []);
    if (!signed && !byToken) return turnedAway(c, 401, "no signature of PagerDuty matches");
    const delivery = readDelivery(Buffer.from(body).toString("utf8"), (options.now ?? Date.now)());
    if (delivery.kind === "malformed") return turnedAway(c, 400, delivery.why);
    if (delivery.kind === "nothing") {
      options.log.info("a webhook of PagerDuty needed nothing", { what: delivery.what });
      return c.body(null, 202);
    }
    const words = delivery.words.map((heard) => wordOf(heard, options)).filter((word) => word !== undefined);
    if (byToken && words.some((word) => word.kind !== "action"))
      return turnedAway(c, 401, "a token of an action does not speak for a subscription");
    try {
      for (const word of words) await options.onWord(word);
    } catch (error) {
      return turnedAway(c, 503, `it could not be kept: ${messageOfFault(error)}`);
    }
    return c.body(null, 202);
  });
  return app;
}

function wordOf(heard: Heard, { keyOf, log }: PagerWebhookOptions): PagerWord | undefined {
  const known = heard.pagerId === undefined ? undefined : keyOf?.(heard.pagerId);
  const dedupKey = known ?? heard.dedupKey;
  if (dedupKey !== undefined) return heard.under(dedupKey);
  log.info("PagerDuty told of an incident that is not ours", { incident: heard.pagerId });
  return undefined;
}
