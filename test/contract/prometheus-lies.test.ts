/** The Metrics port against lies: one table from what Prometheus may answer to the measurement that must come of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import {
  type Answer,
  type DownReason,
  type Measurement,
  measurementOf,
  type NoEvidenceReason,
} from "../../src/core/measurement.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { type Liar, type Lie, startLiar } from "../fakes/prometheus-liar.ts";

const TIMEOUT_MS = 5_000;
const SHORT_TIMEOUT_MS = 400;
const SLACK_MS = 500;
const SECRET = "canary-77aa";
const QUERY = "sum(rate(failures_total[1m])) / sum(rate(files_total[1m]))";
const FRESHNESS = "min(timestamp(files_total))";
const NOW = 1_760_000_000_123;

let liar: Liar;
let metrics: Metrics & { close(): void };
/** With a short deadline, for the lies that end in one. */
let hasty: Metrics & { close(): void };

beforeAll(async () => {
  liar = await startLiar();
  metrics = createPrometheus({ url: liar.url, timeoutMs: TIMEOUT_MS, maxBytes: 256 * 1024, token: SECRET });
  hasty = createPrometheus({ url: liar.url, timeoutMs: SHORT_TIMEOUT_MS, token: SECRET });
});

beforeEach(() => liar.tell("honest"));

afterAll(async () => {
  metrics.close();
  hasty.close();
  await liar.close();
});

function poll(main: Answer, freshness: Answer): Measurement {
  return measurementOf({ at: 0, evaluatedAt: NOW, main, freshness }, { freshWithinMs: 2_000 });
}

type Expected =
  | readonly ["value", number]
  | readonly ["provider_down", DownReason]
  | readonly ["no_evidence", NoEvidenceReason];

const TABLE = {
  honest: ["value", 0.01],
  zipped: ["value", 0.01],
  harmless_info: ["value", 0.01],
  empty_vector: ["no_evidence", "empty"],
  two_series: ["no_evidence", "many_series"],
  nan: ["no_evidence", "nan"],
  infinite: ["no_evidence", "infinite"],
  number_not_text: ["no_evidence", "odd_shape"],
  word_for_number: ["no_evidence", "odd_shape"],
  matrix: ["no_evidence", "odd_shape"],
  no_data: ["no_evidence", "odd_shape"],
  warnings: ["no_evidence", "partial"],
  infos: ["no_evidence", "partial"],
  array: ["provider_down", "not_json"],
  null_body: ["provider_down", "not_json"],
  html_200: ["provider_down", "not_json"],
  empty_body: ["provider_down", "not_json"],
  cut_json: ["provider_down", "not_json"],
  error_in_200: ["provider_down", "error_status"],
  bad_query_400: ["provider_down", "http_status"],
  bad_query_422: ["provider_down", "http_status"],
  timeout_503: ["provider_down", "http_status"],
  error_500: ["provider_down", "http_status"],
  html_502: ["provider_down", "http_status"],
  unauthorized: ["provider_down", "http_status"],
  redirect: ["provider_down", "http_status"],
  busy_429: ["provider_down", "rate_limited"],
  endless: ["provider_down", "too_large"],
  gzip_bomb: ["provider_down", "too_large"],
  silent: ["provider_down", "timeout"],
  headers_only: ["provider_down", "timeout"],
  dripping: ["provider_down", "timeout"],
  said_too_long: ["provider_down", "too_large"],
  half_closed: ["provider_down", "network"],
  reset: ["provider_down", "network"],
} as const satisfies Readonly<Record<Lie, Expected>>;

const ROWS = Object.entries(TABLE).map(([lie, [kind, what]]) => ({ lie, kind, what }));

function isLie(name: string): name is Lie {
  return name in TABLE;
}

describe("what Prometheus answers and what is measured", () => {
  it.each(ROWS)("$lie -> $kind $what", async ({ lie, kind, what }) => {
    if (!isLie(lie)) throw new Error(`${lie} is no lie`);
    const freshness = await metrics.query(FRESHNESS, NOW);
    liar.tell(lie);
    const began = performance.now();
    const main = await (what === "timeout" ? hasty : metrics).query(QUERY, NOW);
    expect(performance.now() - began).toBeLessThan(
      (what === "timeout" ? SHORT_TIMEOUT_MS : TIMEOUT_MS) + SLACK_MS,
    );
    expect(poll(main, freshness)).toMatchObject({ kind, [kind === "value" ? "value" : "reason"]: what });
    expect(JSON.stringify(main)).not.toContain(SECRET);
  });

  it.each(ROWS.filter(({ kind }) => kind === "provider_down"))(
    "$lie as the companion is $kind $what as well",
    async ({ lie, what }) => {
      if (!isLie(lie)) throw new Error(`${lie} is no lie`);
      const main = await metrics.query(QUERY, NOW);
      liar.tell(lie);
      const companion = await (what === "timeout" ? hasty : metrics).query(FRESHNESS, NOW);
      expect(poll(main, companion)).toMatchObject({
        kind: "provider_down",
        reason: what,
      });
    },
  );

  it.each(ROWS.filter(({ kind }) => kind === "provider_down"))(
    "$lie: a range is down with $what",
    async ({ lie, what }) => {
      if (!isLie(lie)) throw new Error(`${lie} is no lie`);
      liar.tell(lie);
      const answer = await (what === "timeout" ? hasty : metrics).queryRange(QUERY, NOW - 60_000, NOW, 1_000);
      // A range must be a matrix, so a body that is JSON but not an answer has no better name than an error of Prometheus.
      const reason = lie === "array" || lie === "null_body" ? "error_status" : what;
      expect(answer).toMatchObject({ kind: "down", reason });
    },
  );

  it("says what Prometheus says, without its whole page", async () => {
    liar.tell("bad_query_422");
    expect(await metrics.query(QUERY, NOW)).toMatchObject({
      detail: "Prometheus answers 422: too many samples",
    });
    liar.tell("html_200");
    expect(await metrics.query(QUERY, NOW)).toMatchObject({
      detail: expect.stringMatching(/not JSON \(text\/html, \d+ characters\)$/),
    });
    liar.answer(
      (response) =>
        void response.writeHead(400).end(JSON.stringify({ status: "error", error: "x".repeat(100_000) })),
    );
    const long = await metrics.query(QUERY, NOW);
    expect(long.kind === "down" && long.detail.length).toBeLessThanOrEqual(300);
  });
});

describe("what is asked", () => {
  it("is a form with the query, the time in seconds with milliseconds, and a time limit below the deadline", async () => {
    await metrics.query(QUERY, NOW);
    const heard = liar.heard.at(-1);
    expect(heard).toMatchObject({
      method: "POST",
      path: "/api/v1/query",
      headers: { authorization: `Bearer ${SECRET}` },
    });
    expect(Object.fromEntries(heard?.form ?? [])).toEqual({
      query: QUERY,
      time: "1760000000.123",
      timeout: "4500ms",
    });
  });

  it("keeps a path in front, and takes one slash too many", async () => {
    const below = createPrometheus({ url: `${liar.url}/prometheus/`, timeoutMs: TIMEOUT_MS });
    await below.query("up", NOW);
    expect(liar.heard.at(-1)?.path).toBe("/prometheus/api/v1/query");
    below.close();
  });

  it("is asked once while the same question is under way, and again afterwards", async () => {
    const before = liar.heard.length;
    const answers = await Promise.all([
      metrics.query("up", NOW),
      metrics.query("up", NOW),
      metrics.query("up", NOW + 1),
      metrics.query("down", NOW),
    ]);
    expect(answers.map((answer) => answer.kind)).toEqual(["body", "body", "body", "body"]);
    expect(
      liar.heard
        .slice(before)
        .map(({ form }) => `${form.get("query")} ${form.get("time")}`)
        .sort(),
    ).toEqual(["down 1760000000.123", "up 1760000000.123", "up 1760000000.124"]);
    await metrics.query("up", NOW);
    expect(liar.heard).toHaveLength(before + 4);
  });

  it("is cut into ranges of at most 10,000 steps, without a gap and without a step twice", async () => {
    liar.answer((response, { form }) => {
      const [start, end, step] = ["start", "end", "step"].map((name) =>
        Math.round(Number(form.get(name)) * 1000),
      );
      const values: [number, string][] = [];
      for (let at = start ?? 0; at <= (end ?? 0); at += step ?? 1) values.push([at / 1000, String(at)]);
      response.end(
        JSON.stringify({
          status: "success",
          data: { resultType: "matrix", result: [{ metric: { a: "b" }, values }] },
        }),
      );
    });
    const before = liar.heard.length;
    const wide = createPrometheus({ url: liar.url, timeoutMs: 10_000 });
    const answer = await wide.queryRange("up", NOW, NOW + 25_000 * 250 + 100, 250);
    wide.close();
    const asked = liar.heard
      .slice(before)
      .map(({ path, form }) => [path, form.get("start"), form.get("end"), form.get("step")]);
    expect(asked).toEqual([
      ["/api/v1/query_range", "1760000000.123", "1760002499.873", "0.25"],
      ["/api/v1/query_range", "1760002500.123", "1760004999.873", "0.25"],
      ["/api/v1/query_range", "1760005000.123", "1760006250.123", "0.25"],
    ]);
    if (answer.kind !== "points") throw new Error(answer.detail);
    expect(answer.points.map((point) => point.wall)).toEqual(
      Array.from({ length: 25_001 }, (_, i) => NOW + i * 250),
    );
    for (const { wall, answer: one } of answer.points) {
      expect(one).toEqual({
        kind: "body",
        body: {
          status: "success",
          data: {
            resultType: "vector",
            result: [{ metric: { a: "b" }, value: [wall / 1000, String(wall)] }],
          },
        },
      });
    }
  });

  it("ends with the first range that fails, since a gap in the middle is no evidence", async () => {
    let asked = 0;
    liar.answer((response) => {
      asked += 1;
      if (asked === 2) response.writeHead(503).end();
      else response.end(JSON.stringify({ status: "success", data: { resultType: "matrix", result: [] } }));
    });
    expect(await metrics.queryRange("up", NOW, NOW + 30_000_000, 1_000)).toMatchObject({
      kind: "down",
      reason: "http_status",
    });
    expect(asked).toBe(2);
  });

  it.each([
    ["no step", 0, 1_000, "error_status"],
    ["a step that is no number", Number.NaN, 1_000, "error_status"],
    ["an end that is no number", 1_000, Number.NaN, "error_status"],
    ["far too many steps", 1, 10_000_000, "too_large"],
  ])("is not asked with %s", async (_, stepMs, spanMs, reason) => {
    const before = liar.heard.length;
    expect(await metrics.queryRange("up", NOW, NOW + spanMs, stepMs)).toMatchObject({ kind: "down", reason });
    expect(liar.heard).toHaveLength(before);
  });

  it("of a range that ends before it begins is nothing", async () => {
    expect(await metrics.queryRange("up", NOW, NOW - 1, 1_000)).toEqual({ kind: "points", points: [] });
  });

  it("keeps warnings and infos at every step, and native histograms as they are", async () => {
    liar.answer(
      (response) =>
        void response.end(
          JSON.stringify({
            status: "success",
            warnings: ["partial"],
            infos: ["note"],
            data: {
              resultType: "matrix",
              result: [{ metric: {}, histograms: [[NOW / 1000, { count: "3" }]] }],
            },
          }),
        ),
    );
    const answer = await metrics.queryRange("up", NOW, NOW + 1_000, 1_000);
    const notes = { status: "success", warnings: ["partial"], infos: ["note"] };
    expect(answer).toEqual({
      kind: "points",
      points: [
        {
          wall: NOW,
          answer: {
            kind: "body",
            body: {
              ...notes,
              data: {
                resultType: "vector",
                result: [{ metric: {}, histogram: [NOW / 1000, { count: "3" }] }],
              },
            },
          },
        },
        {
          wall: NOW + 1_000,
          answer: { kind: "body", body: { ...notes, data: { resultType: "vector", result: [] } } },
        },
      ],
    });
  });
});
