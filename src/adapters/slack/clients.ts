/** The Web API clients: one for what must be seen at once, one for the rest, so that a limit on cards never holds up a rollback's message. */
import { type Logger, LogLevel } from "@slack/bolt";
import { WebClient, type WebClientOptions } from "@slack/web-api";
import type { Log } from "../../engine/ports.ts";

const URGENT_TIMEOUT_MS = 2_000;
const COSMETIC_TIMEOUT_MS = 5_000;
const LIST_TIMEOUT_MS = 10_000;

export interface Clients {
  /** Rollbacks, pages, approvals, answers, forms. */
  readonly urgent: WebClient;
  /** Cards and notes. */
  readonly cosmetic: WebClient;
  /** The lists of channels and people, and who Belay is. */
  readonly lists: WebClient;
}

/** Each call is tried once: who calls knows whether a second try may show a message twice. */
export function createClients(
  botToken: string,
  apiUrl: string | undefined,
  log: Log,
  stopped: AbortSignal,
): Clients {
  // A list that nobody waits for any more must not keep the process alive; what was said to people goes on to its end.
  const untilStopped: typeof fetch = (url, init) =>
    fetch(url, { ...init, signal: AbortSignal.any([stopped, ...(init?.signal ? [init.signal] : [])]) });
  const client = (timeout: number, how: WebClientOptions = {}): WebClient =>
    new WebClient(botToken, {
      ...how,
      ...(apiUrl === undefined ? {} : { slackApiUrl: apiUrl }),
      timeout,
      rejectRateLimitedCalls: true,
      retryConfig: { retries: 0 },
      logger: libraryLogger(log),
    });
  return {
    urgent: client(URGENT_TIMEOUT_MS),
    cosmetic: client(COSMETIC_TIMEOUT_MS),
    lists: client(LIST_TIMEOUT_MS, { fetch: untilStopped }),
  };
}

/** What Slack's libraries say: kept at the lowest level, because everything that matters also comes as an error. */
export function libraryLogger(log: Log): Logger {
  const tell = (...words: unknown[]): void =>
    log.info("Slack's library says", { words: words.map(textOf).join(" ").slice(0, 500) });
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: tell,
    error: tell,
    setLevel: () => undefined,
    getLevel: () => LogLevel.WARN,
    setName: () => undefined,
  };
}

function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  return typeof value === "string" ? value : typeof value;
}
