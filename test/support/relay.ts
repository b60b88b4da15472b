/** What a liar answers: the truth of a real Prometheus, or one lie about one guard; and the view of a service that reads its flags from a file. */
import type { ServerResponse } from "node:http";
import type { Heard, Liar } from "../fakes/prometheus-liar.ts";
import { flagsIn } from "./short-world.ts";

const RELAY_WITHIN_MS = 1_500;
const OLD_S = 60;

/** Lies about the values of one query; everything else stays true. */
export type ValueLie = "nan" | "infinite" | "empty" | "two series" | "partial" | "stale" | "bad";
/** Lies of the whole server. */
export type ServerLie = "error_500" | "busy_429" | "html_200" | "error_in_200" | "silent" | "reset";

export interface Relay {
  /** From now on the truth. */
  honest(): void;
  tell(lie: ValueLie): void;
  tellAll(lie: ServerLie): void;
  /** How often the query that is lied about was asked so far. */
  polls(): number;
}

/**
 * `about` is a word in the query that is lied about; `flagsPath` the file that the view at /features shows. Without a Prometheus the truth is
 * that all is well.
 */
export function relay(
  liar: Liar,
  prometheusUrl: string | undefined,
  about: string,
  flagsPath: string,
): Relay {
  const isAbout = (heard: Heard): boolean => heard.form.get("query")?.includes(about) === true;
  const isCompanion = (heard: Heard): boolean => heard.form.get("query")?.includes("timestamp(") === true;
  const honest = async (response: ServerResponse, heard: Heard): Promise<void> => {
    if (heard.path === "/features") return answer(response, { flags: flagsIn(flagsPath) });
    if (prometheusUrl === undefined) return answer(response, wellOf(heard));
    const truth = await fetch(`${prometheusUrl}${heard.path}`, {
      method: "POST",
      body: heard.form,
      signal: AbortSignal.timeout(RELAY_WITHIN_MS),
    });
    response.writeHead(truth.status, { "Content-Type": "application/json" }).end(await truth.text());
  };
  liar.answer(honest);
  return {
    honest: () => liar.answer(honest),
    tell: (lie) =>
      liar.answer((response, heard) => {
        const lies = isAbout(heard) && isCompanion(heard) === (lie === "stale");
        return lies ? answer(response, bodyOf(lie, heard)) : honest(response, heard);
      }),
    tellAll: (lie) => liar.tell(lie),
    polls: () => liar.heard.filter((heard) => isAbout(heard) && !isCompanion(heard)).length,
  };
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

function vectorAt(time: number, ...values: readonly string[]) {
  return {
    status: "success",
    data: {
      resultType: "vector",
      result: values.map((value, index) => ({ metric: { shard: String(index) }, value: [time, value] })),
    },
  };
}

/** Fresh samples, targets that are up, and no failures; for a range, one such point at its end. */
function wellOf(heard: Heard): unknown {
  const query = heard.form.get("query") ?? "";
  const end = Number(heard.form.get("time") ?? heard.form.get("end"));
  const value = query.includes("timestamp(") ? String(end) : query.includes("up") ? "1" : "0";
  if (heard.path.endsWith("/query")) return vectorAt(end, value);
  const result = [{ metric: {}, values: [[end, value]] }];
  return { status: "success", data: { resultType: "matrix", result } };
}

function bodyOf(lie: ValueLie, heard: Heard): unknown {
  const time = Number(heard.form.get("time"));
  const vector = (...values: readonly string[]) => vectorAt(time, ...values);
  switch (lie) {
    case "nan":
      return vector("NaN");
    case "infinite":
      return vector("+Inf");
    case "empty":
      return vector();
    case "two series":
      return vector("0.01", "0.9");
    case "partial":
      return { ...vector("0.01"), warnings: ["shard 2 of 3 did not answer"] };
    case "stale":
      return vector(String(time - OLD_S));
    case "bad":
      return vector("0.9");
  }
}
