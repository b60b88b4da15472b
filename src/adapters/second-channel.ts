/** The SecondChannel port: a post to a webhook that takes `{"text": ...}`, as Slack's incoming webhooks do. */
import { OutsideFault } from "../engine/ports.ts";
import type { SecondChannel } from "../engine/watch-ports.ts";
import { createHttpClient, HttpFault } from "./http-client.ts";

const TIMEOUT_MS = 5_000;
/** Slack cuts a text at 4,000 characters by itself, but refuses one that is much longer. */
const TEXT_POINTS = 4_000;
const KEY_CHARS = 255;
const LONGEST_WAIT_MS = 15 * 60_000;

export interface SecondChannelOptions {
  /** The webhook's address; a secret, and never told. */
  readonly url: string;
  /** A private certificate authority as PEM, and for tests. */
  readonly ca?: string | undefined;
  /** Deadline in ms; 5 s when not given. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Posts once per call; any 2xx means that it was taken. The key goes along as `Idempotency-Key`, for receivers that know it; Slack shows a text
 * that is sent twice twice. The text is sent as it is, mentions too.
 */
export function createSecondChannel(options: SecondChannelOptions): SecondChannel & { close(): void } {
  const http = createHttpClient({ ca: options.ca });

  async function tell(text: string, key: string): Promise<void> {
    const reply = await http
      .request({
        method: "POST",
        url: options.url,
        headers: {
          "Content-Type": "application/json; charset=utf-8",
          "Idempotency-Key": encodeURIComponent(key.toWellFormed()).slice(0, KEY_CHARS),
        },
        body: JSON.stringify({ text: shortened(text) }),
        timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      })
      .catch((error: unknown) => {
        if (!(error instanceof HttpFault)) throw error;
        throw new OutsideFault(`the second channel did not answer: ${error.detail}`, { recoverable: true });
      });
    if (reply.status >= 200 && reply.status < 300) return;
    const { status } = reply;
    const recoverable = status === 408 || status === 429 || status >= 500;
    throw new OutsideFault(`the second channel answered HTTP ${status}`, {
      recoverable,
      retryAfterMs: waitMs(reply.headers["retry-after"]),
    });
  }

  return { tell, close: () => http.close() };
}

/** Cut between characters. */
function shortened(text: string): string {
  const points = [...text.slice(0, 2 * (TEXT_POINTS + 1)).toWellFormed()];
  return points.length > TEXT_POINTS ? `${points.slice(0, TEXT_POINTS - 1).join("")}…` : points.join("");
}

function waitMs(seconds: string | undefined): number | undefined {
  const ms = Number(seconds ?? Number.NaN) * 1_000;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, LONGEST_WAIT_MS) : undefined;
}
