/** PagerDuty's refusals as faults of the port: in its own words, without our secrets, and whether trying again can help. */
import { z } from "zod";
import { OutsideFault } from "../../engine/ports.ts";
import { fitted, withoutSecrets } from "./texts.ts";

const WORDS_POINTS = 300;
/** A longer wait than this is not believed. */
const LONGEST_WAIT_MS = 15 * 60_000;

/** The Events API answers `message` and `errors` themselves, the REST API puts both under `error`. */
const words = z.looseObject({ message: z.string().optional(), errors: z.array(z.unknown()).optional() });
const refusal = z.union([z.looseObject({ error: words }), words]);

export interface Refusal {
  /** What was asked for, such as `the trigger` or `GET /oncalls`. */
  readonly what: string;
  readonly status: number;
  /** The decoded body, whatever it is. */
  readonly body: unknown;
  /** `Retry-After` or `ratelimit-reset`. */
  readonly wait: string | undefined;
  readonly secrets: readonly string[];
}

/** The fault for an answer that is no success. */
export function refusedFault({ what, status, body, wait, secrets }: Refusal): OutsideFault {
  const said = fitted(withoutSecrets(saidIn(body), secrets), WORDS_POINTS);
  const message = `PagerDuty answered ${what} with HTTP ${status}${said === "" ? "" : `: ${said}`}`;
  return new OutsideFault(message, { recoverable: isPassing(status), retryAfterMs: waitMs(wait) });
}

/** 1xx to 3xx are no answer that PagerDuty documents: something stands between, and may be gone later. */
function isPassing(status: number): boolean {
  return status < 400 || status >= 500 || status === 408 || status === 429;
}

function saidIn(body: unknown): string {
  const parsed = refusal.safeParse(body);
  if (!parsed.success) return "";
  const { message, errors } = words.catch({}).parse(parsed.data["error"] ?? parsed.data);
  const reasons = (errors ?? []).filter((reason) => typeof reason === "string");
  return [message ?? "", ...reasons].filter((text) => text !== "").join("; ");
}

/** Seconds, or an HTTP date. */
function waitMs(header: string | undefined): number | undefined {
  if (header === undefined || header.trim() === "") return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_WAIT_MS) : undefined;
}
