/** From a Prometheus answer to a measurement: one total function that never takes missing data for health. */

/** What came back for one query: a decoded JSON body, or why there is none. */
export type Answer =
  | { readonly kind: "body"; readonly body: unknown }
  | { readonly kind: "down"; readonly reason: DownReason; readonly detail: string };

export type DownReason =
  | "refused"
  | "timeout"
  | "http_status"
  | "rate_limited"
  | "not_json"
  | "error_status"
  | "too_large"
  | "network";

export type NoEvidenceReason =
  | "empty"
  | "nan"
  | "infinite"
  | "stale"
  | "few_samples"
  | "low_total"
  | "zero_traffic"
  | "many_series"
  | "partial"
  | "odd_shape"
  | "no_other_target";

/** One poll of a guard. `at` is the evaluation time, ms on the steady clock. */
export type Measurement =
  | { readonly kind: "value"; readonly at: number; readonly value: number }
  | {
      readonly kind: "no_evidence";
      readonly at: number;
      readonly reason: NoEvidenceReason;
      readonly detail: string;
    }
  | {
      readonly kind: "provider_down";
      readonly at: number;
      readonly reason: DownReason;
      readonly detail: string;
    };

/** The numbers of one instant vector or scalar, or why it cannot be read. */
type Numbers =
  | { readonly kind: "numbers"; readonly values: readonly number[] }
  | { readonly kind: "down"; readonly reason: DownReason; readonly detail: string }
  | { readonly kind: "unusable"; readonly reason: "partial" | "odd_shape"; readonly detail: string };

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 200) : "";
}

/** `infos` that speak of how a query is written, not of missing data, start like this (Prometheus 3). */
const HARMLESS_INFO =
  /^PromQL info: (metric might not be a counter|ignored histogram|.*name should end in _total)/i;

function partialNotice(body: Readonly<Record<string, unknown>>): string | undefined {
  const warnings = Array.isArray(body["warnings"]) ? body["warnings"] : [];
  const infos = Array.isArray(body["infos"])
    ? body["infos"].filter((info) => !HARMLESS_INFO.test(text(info)))
    : [];
  const all = [...warnings, ...infos];
  return all.length === 0 ? undefined : text(all[0]) || "Prometheus marked the answer as partial";
}

/** A sample value as Prometheus writes it (`"0.5"`, `"NaN"`, `"+Inf"`); undefined when it is not one. */
function sampleValue(pair: unknown): number | undefined {
  if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[1] !== "string") return undefined;
  switch (pair[1]) {
    case "NaN":
      return Number.NaN;
    case "+Inf":
      return Number.POSITIVE_INFINITY;
    case "-Inf":
      return Number.NEGATIVE_INFINITY;
    default:
      return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(pair[1]) ? Number(pair[1]) : undefined;
  }
}

/** Reads the body of `/api/v1/query`: a vector or a scalar of sample pairs. */
export function numbersOf(answer: Answer): Numbers {
  if (answer.kind === "down") return answer;
  const { body } = answer;
  if (!isRecord(body)) return { kind: "down", reason: "not_json", detail: "the answer is not a JSON object" };
  if (body["status"] !== "success") {
    return { kind: "down", reason: "error_status", detail: text(body["error"]) || "status is not success" };
  }
  const partial = partialNotice(body);
  if (partial !== undefined) return { kind: "unusable", reason: "partial", detail: partial };
  const data = body["data"];
  if (!isRecord(data)) return { kind: "unusable", reason: "odd_shape", detail: "no data in the answer" };
  const pairs = pairsOf(data["resultType"], data["result"]);
  if (pairs === undefined) {
    return {
      kind: "unusable",
      reason: "odd_shape",
      detail: `result type ${text(data["resultType"]) || "unknown"} is not one number`,
    };
  }
  const values: number[] = [];
  for (const pair of pairs) {
    const value = sampleValue(pair);
    if (value === undefined)
      return { kind: "unusable", reason: "odd_shape", detail: "a sample is not a number" };
    values.push(value);
  }
  return { kind: "numbers", values };
}

/** The series of an instant vector with their labels; none when the answer is no vector. */
export function vectorOf(answer: Answer): readonly { readonly labels: Readonly<Record<string, string>> }[] {
  const data = answer.kind === "body" && isRecord(answer.body) ? answer.body["data"] : undefined;
  const result = isRecord(data) && data["resultType"] === "vector" ? data["result"] : undefined;
  if (!Array.isArray(result)) return [];
  return result.map((series: unknown) => {
    const metric = isRecord(series) && isRecord(series["metric"]) ? series["metric"] : {};
    const labels = Object.entries(metric).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value] as const] : [],
    );
    return { labels: Object.fromEntries(labels) };
  });
}

function pairsOf(type: unknown, result: unknown): readonly unknown[] | undefined {
  if (!Array.isArray(result)) return undefined;
  if (type === "scalar") return [result];
  if (type !== "vector") return undefined;
  return result.map((series: unknown) => (isRecord(series) ? series["value"] : undefined));
}

/** What a guard wants of its answers beside the main number. */
export interface Demands {
  readonly worst?: "max" | "min" | undefined;
  /** How old the oldest sample may be, in ms: two scrapes. */
  readonly freshWithinMs: number;
  readonly minSamples?: number | undefined;
  readonly minTotal?: number | undefined;
}

/** The answers of one poll, all evaluated at the same `evaluatedAt` (wall ms); `at` is that instant on the steady clock. */
export interface Poll {
  readonly at: number;
  readonly evaluatedAt: number;
  readonly main: Answer;
  readonly freshness: Answer;
  readonly samples?: Answer | undefined;
  readonly total?: Answer | undefined;
}

/**
 * The measurement that a poll yields. Total: every answer maps to a value, to missing evidence with its reason, or to a provider that is down.
 * A number counts only when the companion query proves that the samples behind it are at most two scrapes old.
 */
export function measurementOf(poll: Poll, demands: Demands): Measurement {
  const main = numbersOf(poll.main);
  if (main.kind === "down") return { ...main, kind: "provider_down", at: poll.at };
  if (main.kind === "unusable") return { ...main, kind: "no_evidence", at: poll.at };
  const missing = companionFault(poll, demands);
  if (missing !== undefined) return missing;
  return single(main.values, demands.worst, poll.at);
}

function single(values: readonly number[], worst: "max" | "min" | undefined, at: number): Measurement {
  if (values.length === 0) return lacking(at, "empty", "the query returns no series");
  if (values.length > 1 && worst === undefined) {
    return lacking(
      at,
      "many_series",
      `the query returns ${values.length} series and the guard declares no \`worst\``,
    );
  }
  if (values.some((value) => Number.isNaN(value)))
    return lacking(at, "nan", "the query returns NaN (0/0: no traffic in the window)");
  if (values.some((value) => !Number.isFinite(value)))
    return lacking(at, "infinite", "the query returns an infinite value");
  const value = worst === "min" ? Math.min(...values) : Math.max(...values);
  return { kind: "value", at, value };
}

function lacking(at: number, reason: NoEvidenceReason, detail: string): Measurement {
  return { kind: "no_evidence", at, reason, detail };
}

/** The fault that a companion query shows, if any: stale samples, too few samples, too small a denominator. */
function companionFault(poll: Poll, demands: Demands): Measurement | undefined {
  const fresh = firstNumber(poll.freshness, poll.at);
  if (typeof fresh !== "number")
    return fresh ?? lacking(poll.at, "stale", "no fresh sample: the series is gone or its target is down");
  const ageMs = poll.evaluatedAt - fresh * 1000;
  if (!Number.isFinite(ageMs) || ageMs > demands.freshWithinMs) {
    const age = Number.isFinite(ageMs) ? `${Math.round(ageMs / 1000)} s old` : "of unknown age";
    return lacking(
      poll.at,
      "stale",
      `the newest sample is ${age}; at most ${Math.round(demands.freshWithinMs / 1000)} s is fresh`,
    );
  }
  return (
    floorFault(poll, poll.samples, demands.minSamples, "few_samples") ??
    floorFault(poll, poll.total, demands.minTotal, "low_total")
  );
}

function floorFault(
  poll: Poll,
  answer: Answer | undefined,
  min: number | undefined,
  reason: "few_samples" | "low_total",
): Measurement | undefined {
  if (min === undefined) return undefined;
  const found = answer === undefined ? undefined : firstNumber(answer, poll.at);
  if (typeof found !== "number")
    return found ?? lacking(poll.at, reason, `no number for the minimum of ${min}`);
  if (reason === "low_total" && found === 0) return lacking(poll.at, "zero_traffic", "there is no traffic");
  if (!(found >= min))
    return lacking(poll.at, reason, `${Number(found.toPrecision(3))} is below the minimum of ${min}`);
  return undefined;
}

/** The smallest number of an answer; a measurement when the answer is down or unusable; undefined when it is empty. */
function firstNumber(answer: Answer, at: number): number | Measurement | undefined {
  const numbers = numbersOf(answer);
  if (numbers.kind === "down") return { ...numbers, kind: "provider_down", at };
  if (numbers.kind === "unusable") return { ...numbers, kind: "no_evidence", at };
  return numbers.values.length === 0 ? undefined : Math.min(...numbers.values);
}
