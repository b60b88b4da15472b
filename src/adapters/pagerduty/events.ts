/** The Pager port over PagerDuty: events and changes through its own library, each with one deadline and one honest outcome. */
import { Agent } from "node:https";
import { event } from "@pagerduty/pdjs";
import type { PagerChange, PagerEvent } from "../../core/oncall/page.ts";
import { type Log, OutsideFault } from "../../engine/ports.ts";
import type { Pager } from "../../engine/watch-ports.ts";
import { type ChangeBody, changeBody, type EventBody, eventBody } from "./event-body.ts";
import { refusedFault } from "./refusals.ts";
import { createPagerRest, type PagerRestOptions } from "./rest.ts";
import { withoutSecrets } from "./texts.ts";

const TIMEOUT_MS = 5_000;
const MAX_REPLY_BYTES = 64 * 1_024;
const MAX_SOCKETS = 8;
/** The only answer that means that PagerDuty has the event. */
const ACCEPTED = 202;

export interface PagerDutyOptions {
  /** The integration that gets what no other gets. */
  readonly routingKey: string;
  /** Integrations of their own, by service: the part of an event's `source` before the slash. */
  readonly routingKeys?: Readonly<Record<string, string>> | undefined;
  /** `HOST` or `HOST:PORT` of the Events API; PagerDuty's own when not given (`events.eu.pagerduty.com` for its European region). */
  readonly server?: string | undefined;
  /** For a private certificate authority, and for tests. */
  readonly agent?: Agent | undefined;
  /** Deadline of one event in ms; 5 s when not given. */
  readonly timeoutMs?: number | undefined;
  /** Undefined without a REST token. */
  readonly rest?: Omit<PagerRestOptions, "log"> | undefined;
  readonly log: Log;
}

/** What pdjs hands to node-fetch, and what of the reply is looked at. */
interface Call {
  readonly type?: string;
  readonly data: unknown;
  readonly server?: string;
  readonly agent?: Agent;
  readonly signal?: AbortSignal | null | undefined;
  readonly redirect?: "follow" | "error" | "manual" | undefined;
  /** The longest reply that node-fetch reads, in bytes. */
  readonly size?: number;
  readonly requestTimeout?: number;
  readonly retryTimeout?: number;
}

interface Reply {
  readonly status: number;
  readonly data: unknown;
  readonly headers: { get(name: string): string | null };
}

/**
 * pdjs's own types know neither `agent` and `size` nor an event without a payload, but hand all of them on as they are. Declared as a method,
 * whose parameter may be wider, so that no cast is needed.
 */
const pdjs: { event(call: Call): Promise<Reply> } = { event };

/**
 * Each call resolves when PagerDuty answered 202 and rejects with an `OutsideFault` otherwise; nothing is tried again here, except that pdjs
 * itself sends an event up to four times within its deadline when it is answered 429.
 */
export function createPagerDuty(options: PagerDutyOptions): Pager & { close(): void } {
  const { log, timeoutMs = TIMEOUT_MS } = options;
  const own = new Agent({ keepAlive: false, maxSockets: MAX_SOCKETS });
  const keys = [...new Set([options.routingKey, ...Object.values(options.routingKeys ?? {})])];
  const rest = options.rest === undefined ? undefined : createPagerRest({ ...options.rest, log });

  async function enqueue(
    type: "event" | "change",
    what: string,
    data: EventBody | ChangeBody,
  ): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs);
    const call: Call = {
      type,
      data,
      ...(options.server === undefined ? {} : { server: options.server }),
      agent: options.agent ?? own,
      signal,
      // A redirect would carry the routing key to whoever it names.
      redirect: "error",
      size: MAX_REPLY_BYTES,
      // pdjs's own timer ends nothing and holds the process for its whole length.
      requestTimeout: 0,
      // Its wait between answers of 429 does not hear the signal.
      retryTimeout: 1,
    };
    const reply = await pdjs.event(call).catch((error: unknown) => {
      throw lostFault(error, what, signal.aborted ? timeoutMs : undefined, keys);
    });
    if (reply.status === ACCEPTED) return;
    const wait = reply.headers.get("retry-after") ?? undefined;
    const fault = refusedFault({ what, status: reply.status, body: reply.data, wait, secrets: keys });
    if (!fault.recoverable) log.error("PagerDuty does not take an event", { what, why: fault.message });
    throw fault;
  }

  async function send(event: PagerEvent): Promise<void> {
    // An acknowledgement does not say which integration the incident came by; PagerDuty drops one for an incident it does not know.
    const wanted = event.kind === "trigger" ? [keyOf(options, event.source)] : keys;
    await allTaken(wanted.map((key) => enqueue("event", `the ${event.kind}`, eventBody(event, key))));
  }

  function change(change: PagerChange): Promise<void> {
    return enqueue("change", "the change", changeBody(change, keyOf(options, change.source)));
  }

  function close(): void {
    own.destroy();
    rest?.close();
  }

  return { send, change, ...(rest === undefined ? {} : { rest }), close };
}

function keyOf(options: PagerDutyOptions, source: string): string {
  const service = source.split("/")[0] ?? "";
  const named = new Map(Object.entries(options.routingKeys ?? {}));
  return named.get(service) ?? options.routingKey;
}

/** Resolves when all did. Of several faults the one that may pass is told, so that all are tried again. */
async function allTaken(sent: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(sent);
  const faults = outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }) => reason);
  const passing = faults.find((fault) => fault instanceof OutsideFault && fault.recoverable);
  if (faults.length > 0) throw passing ?? faults[0];
}

/** No answer, or one that is no JSON: whether PagerDuty has the event is unknown. Only codes of the error are taken over. */
function lostFault(
  error: unknown,
  what: string,
  overMs: number | undefined,
  secrets: readonly string[],
): OutsideFault {
  if (overMs !== undefined)
    return new OutsideFault(`PagerDuty did not answer ${what} within ${overMs} ms`, { recoverable: true });
  const code = textAt(error, "code") ?? textAt(error, "type") ?? "unknown";
  const message = `PagerDuty did not answer ${what} in a form that can be read (${code})`;
  return new OutsideFault(withoutSecrets(message, secrets), { recoverable: true });
}

function textAt(error: unknown, name: "code" | "type"): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const found = Object.entries(error).find(([key]) => key === name)?.[1];
  return typeof found === "string" ? found.slice(0, 60) : undefined;
}
