/** The Metrics port over Prometheus' query API: instant and range queries that end in an answer, whatever Prometheus does. */
import { parser } from "@prometheus-io/lezer-promql";
import { z } from "zod";
import type { Answer } from "../core/measurement.ts";
import type { Metrics, RangeAnswer } from "../engine/ports.ts";
import { createHttpClient, type HttpClient, HttpFault, type HttpReply } from "./http-client.ts";

const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;
/** Prometheus refuses a range of more than 11,000 points per series. */
const STEPS_PER_REQUEST = 10_000;
/** A longer look back is a mistake of the caller, not a question for Prometheus. */
const MAX_STEPS = 1_000_000;
const DETAIL_CHARS = 300;
/** Where a selector is, it chooses its own time, or its value is the time of a sample. */
const OWN_TIME: ReadonlySet<string> = new Set([
  "MatrixSelector",
  "SubqueryExpr",
  "OffsetExpr",
  "StepInvariantExpr",
  "AnchoredExpr",
  "SmoothedExpr",
]);

export interface PrometheusOptions {
  /** Base address; a path in front of `/api/v1` may be part of it. */
  readonly url: string;
  /** Deadline of each request in ms; Prometheus itself is told to give up at nine tenths of it. */
  readonly timeoutMs: number;
  /** The longest answer accepted, in bytes after decompression; 8 MiB when not given. */
  readonly maxBytes?: number | undefined;
  /** Bearer token. */
  readonly token?: string | undefined;
}

type Down = Extract<Answer, { kind: "down" }>;

/** Works with Prometheus 2.42 and 3. An instant query that is already under way for the same instant is not asked again. */
export function createPrometheus(options: PrometheusOptions): Metrics & { close(): void } {
  const http = createHttpClient();
  const underWay = new Map<string, Promise<Answer>>();

  function query(promql: string, atWall: number, lookbackMs?: number): Promise<Answer> {
    const time = seconds(atWall);
    const key = `${time} ${lookbackMs ?? ""} ${promql}`;
    const known = underWay.get(key);
    if (known !== undefined) return known;
    const form = { query: within(promql, lookbackMs), time };
    const asked = ask(http, options, "query", form).finally(() => underWay.delete(key));
    underWay.set(key, asked);
    return asked;
  }

  async function queryRange(
    promql: string,
    fromWall: number,
    toWall: number,
    stepMs: number,
    lookbackMs?: number,
  ): Promise<RangeAnswer> {
    const step = Math.round(stepMs);
    if (!(step >= 1) || !Number.isFinite(fromWall) || !Number.isFinite(toWall))
      return down("error_status", "the range has no valid step");
    const from = Math.round(fromWall);
    const steps = Math.floor((Math.round(toWall) - from) / step) + 1;
    if (steps > MAX_STEPS)
      return down("too_large", `the range has ${steps} steps; at most ${MAX_STEPS} are asked for`);
    const points: { readonly wall: number; readonly answer: Answer }[] = [];
    for (let first = 0; first < steps; first += STEPS_PER_REQUEST) {
      const count = Math.min(STEPS_PER_REQUEST, steps - first);
      const start = from + first * step;
      const range = {
        start: seconds(start),
        end: seconds(start + (count - 1) * step),
        step: String(step / 1000),
      };
      const answer = await ask(http, options, "query_range", { query: within(promql, lookbackMs), ...range });
      const made = answer.kind === "down" ? answer : instants(answer.body, start, step, count);
      if ("kind" in made) return made;
      points.push(...made);
    }
    return { kind: "points", points };
  }

  return { query, queryRange, close: () => http.close() };
}

/** The query as it is, or limited to fresh series. */
function within(promql: string, lookbackMs: number | undefined): string {
  return lookbackMs === undefined ? promql : freshOnly(promql, lookbackMs);
}

function seconds(wallMs: number): string {
  return (wallMs / 1000).toFixed(3);
}

function down(reason: Down["reason"], detail: string): Down {
  return { kind: "down", reason, detail: detail.slice(0, DETAIL_CHARS) };
}

/** Asked as a form, since a query may be longer than an address should be; queries change nothing, so they may be repeated. */
async function ask(
  http: HttpClient,
  options: PrometheusOptions,
  path: string,
  form: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { url, timeoutMs, maxBytes = DEFAULT_MAX_BYTES, token } = options;
  const timeout = `${Math.max(1, Math.floor(timeoutMs * 0.9))}ms`;
  try {
    const reply = await http.request({
      method: "POST",
      url: `${url.replace(/\/+$/, "")}/api/v1/${path}`,
      headers: { "Content-Type": "application/x-www-form-urlencoded", Accept: "application/json" },
      body: new URLSearchParams({ ...form, timeout }).toString(),
      timeoutMs,
      maxBytes,
      token,
      repeatable: true,
    });
    return answerFrom(reply);
  } catch (error) {
    if (error instanceof HttpFault) return down(error.kind, `Prometheus: ${error.detail}`);
    return down("network", "Prometheus could not be asked");
  }
}

const errorBody = z.object({ error: z.string() });

function answerFrom(reply: HttpReply): Answer {
  const body = parsed(reply.text);
  if (reply.status === 429) return down("rate_limited", "Prometheus answers 429: too many requests");
  if (reply.status < 200 || reply.status > 299) {
    const said = errorBody.safeParse(body?.value);
    return down(
      "http_status",
      `Prometheus answers ${reply.status}${said.success ? `: ${said.data.error}` : ""}`,
    );
  }
  if (body === undefined) {
    const type = reply.headers["content-type"]?.split(";")[0] ?? "no content type";
    return down(
      "not_json",
      `Prometheus answers with something that is not JSON (${type}, ${reply.text.length} characters)`,
    );
  }
  return { kind: "body", body: body.value };
}

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const sample = z.tuple([z.number(), z.unknown()]);
const rangeBody = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("matrix"),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(sample).optional(),
        histograms: z.array(sample).optional(),
      }),
    ),
  }),
  warnings: z.array(z.unknown()).optional(),
  infos: z.array(z.unknown()).optional(),
});

/** One instant vector of a step, as `/api/v1/query` would have answered at its time. */
type Series = { readonly metric: Readonly<Record<string, string>> } & (
  | { readonly value: unknown }
  | { readonly histogram: unknown }
);

/** Turns the points of a range around: from one list for each series to one body for each step; an empty vector where no series has a point. */
function instants(
  body: unknown,
  startWall: number,
  stepMs: number,
  count: number,
): readonly { readonly wall: number; readonly answer: Answer }[] | Down {
  const range = rangeBody.safeParse(body);
  if (!range.success) {
    const said = errorBody.safeParse(body);
    return down(
      "error_status",
      said.success ? `Prometheus: ${said.data.error}` : "Prometheus answers a range query without a matrix",
    );
  }
  const { data, warnings, infos } = range.data;
  const vectors: Series[][] = Array.from({ length: count }, () => []);
  for (const { metric, values = [], histograms = [] } of data.result) {
    for (const value of values) vectors[stepOf(value[0], startWall, stepMs)]?.push({ metric, value });
    for (const histogram of histograms)
      vectors[stepOf(histogram[0], startWall, stepMs)]?.push({ metric, histogram });
  }
  const notes = {
    ...(warnings === undefined ? {} : { warnings }),
    ...(infos === undefined ? {} : { infos }),
  };
  return vectors.map((result, index) => ({
    wall: startWall + index * stepMs,
    answer: { kind: "body", body: { status: "success", data: { resultType: "vector", result }, ...notes } },
  }));
}

function stepOf(timeS: number, startWall: number, stepMs: number): number {
  return Math.round((timeS * 1000 - startWall) / stepMs);
}

/**
 * Prometheus shows a series for five minutes after its process, where nothing told it of the end. The query with every selector of a metric that looks at the present limited to series with a sample of the last `lookbackMs` (ms). Selectors with a range,
 * an offset or a time of their own stay as they are, and so does a query that is none: Prometheus is to say so. Said in the query itself, because
 * Prometheus takes no look-back of a single query before 2.43.
 */
export function freshOnly(query: string, lookbackMs: number): string {
  const selectors: { readonly from: number; readonly to: number }[] = [];
  let isBroken = false;
  parser.parse(query).iterate({
    enter: (ref) => {
      if (ref.type.isError) isBroken = true;
      if (OWN_TIME.has(ref.name) || (ref.name === "FunctionCall" && isTimestamp(query, ref.from)))
        return false;
      if (ref.name !== "VectorSelector") return undefined;
      // Without its name one series could not be told from another.
      if (ref.node.firstChild?.name === "Identifier") selectors.push({ from: ref.from, to: ref.to });
      return false;
    },
  });
  if (isBroken) return query;
  const seconds = (lookbackMs / 1_000).toFixed(3);
  return selectors.reduceRight((text, { from, to }) => {
    const selector = text.slice(from, to);
    return `${text.slice(0, from)}(${selector} and timestamp(${selector}) >= time() - ${seconds})${text.slice(to)}`;
  }, query);
}

function isTimestamp(query: string, from: number): boolean {
  return /^timestamp\s*\(/i.test(query.slice(from, from + 40));
}
