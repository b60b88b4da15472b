/** What a Prometheus answers that cannot be trusted, one shape for each lie. */
import type { Answer } from "../../../src/core/measurement.ts";
import type { Lie } from "../scenario.ts";

/** The answer to `query` at `now` (Unix seconds). Freshness queries get an answer that fits the lie. */
export function lieAbout(lie: Lie, query: string, now: number): Answer {
  const asksFreshness = query.startsWith("fresh:");
  const alarming = query === "up" ? "0" : "0.9";
  switch (lie) {
    case "down":
      return { kind: "down", reason: "refused", detail: "connection refused" };
    case "timeout":
      return { kind: "down", reason: "timeout", detail: "no answer in 5 s" };
    case "limited":
      return { kind: "down", reason: "rate_limited", detail: "429" };
    case "html":
      return { kind: "down", reason: "not_json", detail: "<html>" };
    case "nan":
      return vector([sample(now, asksFreshness ? String(now) : "NaN")]);
    case "empty":
      return vector(asksFreshness ? [sample(now, String(now))] : []);
    case "many":
      if (asksFreshness) return vector([sample(now, String(now))]);
      return vector([sample(now, "0.5", { pod: "a" }), sample(now, "0.001", { pod: "b" })]);
    case "stale":
      return vector([sample(now, asksFreshness ? String(now - 60) : alarming)]);
    case "partial":
      return vector([sample(now, asksFreshness ? String(now) : alarming)], {
        warnings: ["remote read failed"],
      });
  }
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

function sample(at: number, value: string, metric: Sample["metric"] = {}): Sample {
  return { metric, value: [at, value] };
}

function vector(result: readonly Sample[], more: { readonly warnings?: readonly string[] } = {}): Answer {
  return { kind: "body", body: { status: "success", ...more, data: { resultType: "vector", result } } };
}
