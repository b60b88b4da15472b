/** Asks one probe's question once: over HTTP, by a TCP connection, or of Prometheus; whatever the other side does, it ends in time. */
import { connect } from "node:net";
import { measurementOf } from "../../core/measurement.ts";
import { formatQuantity } from "../../core/quantity.ts";
import { formatDuration } from "../../core/time.ts";
import type { ProbeCheck } from "../../core/watch/plan.ts";
import type { Metrics } from "../../engine/ports.ts";
import type { CheckResult, Prober } from "../../engine/watch-ports.ts";
import { createAddressRules } from "./address.ts";
import { createPinnedSend, PinnedFault, type PinnedReply, type PinnedSend } from "./pinned-http.ts";
import { createResolve, type Lookup, pinnedLookup, type Resolve } from "./resolve.ts";

const LOCATION_CHARS = 120;

export interface ReachOptions {
  /** Names, addresses and ranges that may be private or loopback although a public name stands for them. */
  readonly allow: readonly string[];
  /** Finds the addresses of a name; the system's way when not given. */
  readonly lookup?: Lookup | undefined;
}

/** The guarded way to hosts that files name. One for the whole process, so that its limit on lookups holds. */
export interface Reach {
  readonly resolve: Resolve;
  /** Rejects with a `PinnedFault`. */
  readonly send: PinnedSend;
}

export function createReach({ allow, lookup }: ReachOptions): Reach {
  const resolve = createResolve(createAddressRules(allow), lookup);
  return { resolve, send: createPinnedSend(resolve) };
}

export interface ProberOptions {
  readonly reach: Reach;
  /** The Prometheus of the watch; without it what probes ask of it is unknown. */
  readonly prometheus?: { readonly metrics: Metrics; readonly scrapeMs: number } | undefined;
  /** Wall clock, ms. */
  readonly now?: (() => number) | undefined;
}

type Found =
  | { readonly kind: "ok" | "bad"; readonly detail: string; readonly value?: number }
  | { readonly kind: "unknown"; readonly detail: string };

type Of<K extends ProbeCheck["kind"]> = Extract<ProbeCheck, { kind: K }>;

/** Its checks never reject. The total deadline holds for everything: names, connections, headers and bodies. */
export function createProber({ reach, prometheus, now = () => Date.now() }: ProberOptions): Prober {
  const find = (check: ProbeCheck, timeoutMs: number): Promise<Found> => {
    switch (check.kind) {
      case "http":
        return askHttp(reach.send, check, timeoutMs);
      case "tcp":
        return askTcp(reach.resolve, check, timeoutMs);
      case "promql":
        return askPrometheus(prometheus, check, timeoutMs, now());
    }
  };
  return {
    async check(check, timeoutMs): Promise<CheckResult> {
      const begun = performance.now();
      const found = await find(check, timeoutMs).catch(
        (): Found => ({ kind: "unknown", detail: "the check itself failed" }),
      );
      const tookMs = Math.round(performance.now() - begun);
      const detail =
        found.kind === "ok" && check.kind !== "promql"
          ? `${found.detail} in ${formatDuration(tookMs)}`
          : found.detail;
      return { ...found, detail, tookMs };
    },
  };
}

async function askHttp(send: PinnedSend, check: Of<"http">, timeoutMs: number): Promise<Found> {
  try {
    return judgeHttp(await send({ method: "GET", url: check.url, timeoutMs }), check);
  } catch (error) {
    if (error instanceof PinnedFault) return { kind: "bad", detail: error.message };
    throw error;
  }
}

function judgeHttp({ status, location, text, isCut }: PinnedReply, check: Of<"http">): Found {
  const { from, to } = check.status;
  if (status < from || status > to) {
    const to3xx = status >= 300 && status <= 399;
    const detail = to3xx
      ? `it redirects to ${placeOf(location, check.url)} (${status}), which is not followed`
      : `status ${status}, expected ${from === to ? from : `${from} to ${to}`}`;
    return { kind: "bad", detail };
  }
  if (check.body !== undefined && !text.includes(check.body)) {
    const where = isCut ? "in the first 64 KiB of its answer" : "in its answer";
    return { kind: "bad", detail: `status ${status}, but the expected text is not ${where}` };
  }
  return { kind: "ok", detail: `status ${status}` };
}

/** Without its query, which may hold a secret, and not longer than a line. */
function placeOf(location: string | undefined, base: string): string {
  const url = location === undefined ? null : URL.parse(location, base);
  return url === null ? "nowhere" : `${url.origin}${url.pathname}`.slice(0, LOCATION_CHARS);
}

async function askTcp(resolve: Resolve, { host, port }: Of<"tcp">, timeoutMs: number): Promise<Found> {
  const { promise, resolve: end } = Promise.withResolvers<Found>();
  const aborter = new AbortController();
  const timer = setTimeout(() => {
    end({ kind: "bad", detail: `no connection to ${host}:${port} within ${timeoutMs} ms` });
    aborter.abort();
  }, timeoutMs);
  const connected = async (): Promise<Found> => {
    const resolved = await resolve(host);
    if (resolved.kind !== "addresses") return { kind: "bad", detail: resolved.why };
    return connectTo(resolved.addresses, host, port, aborter.signal);
  };
  try {
    return await Promise.race([connected(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

function connectTo(
  addresses: readonly string[],
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<Found> {
  return new Promise<Found>((resolve) => {
    if (signal.aborted) return;
    const socket = connect({ host, port, lookup: pinnedLookup(addresses), signal });
    socket.on("connect", () => {
      resolve({ kind: "ok", detail: `${host}:${port} takes connections` });
      socket.destroy();
    });
    socket.on("error", (error) => {
      const code = "code" in error ? String(error.code) : "no code";
      resolve({ kind: "bad", detail: `no connection to ${host}:${port} (${code})` });
    });
  });
}

async function askPrometheus(
  prometheus: ProberOptions["prometheus"],
  check: Of<"promql">,
  timeoutMs: number,
  atWall: number,
): Promise<Found> {
  if (prometheus === undefined) return { kind: "unknown", detail: "no Prometheus is connected" };
  const { metrics, scrapeMs } = prometheus;
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    const asked = Promise.all([metrics.query(check.query, atWall), metrics.query(check.freshness, atWall)]);
    const answers = await Promise.race([asked, late]);
    if (answers === undefined)
      return { kind: "unknown", detail: `Prometheus did not answer within ${timeoutMs} ms` };
    const [main, freshness] = answers;
    const demands = { worst: worstOf(check), freshWithinMs: 2 * scrapeMs };
    const measured = measurementOf({ at: 0, evaluatedAt: atWall, main, freshness }, demands);
    if (measured.kind !== "value") return { kind: "unknown", detail: measured.detail };
    return judgeValue(measured.value, check);
  } finally {
    clearTimeout(timer);
  }
}

/** With one limit, the series nearest to it speaks for all; with two there must be one series. */
function worstOf({ max, min }: Of<"promql">): "max" | "min" | undefined {
  if (max !== undefined && min !== undefined) return undefined;
  return max === undefined ? "min" : "max";
}

function judgeValue(value: number, { max, min, unit }: Of<"promql">): Found {
  const words = formatQuantity(value, unit);
  if (max !== undefined && value > max)
    return { kind: "bad", detail: `${words} is above ${formatQuantity(max, unit)}`, value };
  if (min !== undefined && value < min)
    return { kind: "bad", detail: `${words} is below ${formatQuantity(min, unit)}`, value };
  const limit = max ?? min ?? value;
  const of = max === undefined ? "at least" : "at most";
  return { kind: "ok", detail: `${words} (${of} ${formatQuantity(limit, unit)})`, value };
}
