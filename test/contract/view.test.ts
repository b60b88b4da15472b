/** The service's own view of its flags: from a page, and from a metric. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createView } from "../../src/adapters/flags/view.ts";
import type { Answer } from "../../src/core/measurement.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { faultOf } from "../support/faults.ts";
import { BATCHING, flagDef, LIMIT, PARALLEL } from "../support/flag-store-contract.ts";

const FLAGS = [PARALLEL, BATCHING, LIMIT];

describe("a page", () => {
  let server: Server;
  let origin: string;
  let answer: RequestListener;
  beforeEach(async () => {
    server = createServer((request, response) => answer(request, response));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address: AddressInfo | string | null = server.address();
    origin = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  });
  afterEach(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  const says = (body: string, status = 200, headers: Readonly<Record<string, string>> = {}) => {
    answer = (_request, response) => response.writeHead(status, headers).end(body);
  };
  const view = (pointer = "/flags", timeoutMs = 2_000) =>
    createView({ http: `${origin}/features`, pointer }, { timeoutMs });

  it("tells literals by the names of the flags", async () => {
    says(
      JSON.stringify({
        flags: { FEATURE_PARALLEL: "true", FEATURE_BATCHING: "25%", BATCH_LIMIT: "1000", OTHER: "x" },
      }),
    );
    expect(await view().read(FLAGS)).toEqual({ parallel: "true", batching: "25%", limit: "1000" });
  });

  it("takes booleans and numbers, and leaves out what is no value", async () => {
    says(JSON.stringify({ FEATURE_PARALLEL: false, FEATURE_BATCHING: null, BATCH_LIMIT: 1000 }));
    expect(await view("").read(FLAGS)).toEqual({ parallel: "false", limit: "1000" });
    says(JSON.stringify({ FEATURE_PARALLEL: { on: true }, FEATURE_BATCHING: [] }));
    expect(await view("").read(FLAGS)).toEqual({});
  });

  it("follows a JSON pointer with its escapes, and one for each flag", async () => {
    says(
      JSON.stringify({
        "a/b": [{ "m~n": { FEATURE_PARALLEL: "true" } }],
        by: { parallel: { state: "on" }, "batch~ing/x": { state: "off" } },
      }),
    );
    expect(await view("/a~1b/0/m~0n").read(FLAGS)).toEqual({ parallel: "true" });
    const odd = flagDef("batch~ing/x", "ODD");
    expect(await view("/by/{flag}/state").read([PARALLEL, odd])).toEqual({
      parallel: "on",
      "batch~ing/x": "off",
    });
    expect(await view("/a~1b/0/m~0n/{key}").read(FLAGS)).toEqual({ parallel: "true" });
  });

  it("does not take what every object has for a flag", async () => {
    says('{"flags": {"FEATURE_PARALLEL": "true"}}');
    expect(await view().read([flagDef("odd", "constructor"), flagDef("length", "toString")])).toEqual({});
    expect((await faultOf(view("/constructor").read(FLAGS))).message).toContain(
      "has no object at /constructor",
    );
  });

  it.each([
    ["another status", () => says("{}", 503), "answered 503"],
    ["a redirect", () => says("", 302, { location: "http://127.0.0.1:1/" }), "answered 302"],
    ["no JSON", () => says("<html>"), "answered something that is not JSON"],
    ["no such object", () => says('{"flags": []}'), "has no object at /flags"],
    ["a number there", () => says('{"flags": 5}'), "has no object at /flags"],
    ["too much", () => says(`"${"x".repeat(1024 * 1024)}"`), "is longer than"],
  ])("may answer %s: a fault that may pass", async (_name, prepare, message) => {
    prepare();
    const fault = await faultOf(view().read(FLAGS));
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toContain("the service's view: ");
    expect(fault.message).toContain(message);
  });

  it("may hang, drip or be gone: a fault within the deadline", async () => {
    answer = () => {};
    expect((await faultOf(view("/flags", 150).read(FLAGS))).message).toContain(
      "did not answer within 150 ms",
    );
    const timers: NodeJS.Timeout[] = [];
    answer = (_request, response) => {
      response.writeHead(200);
      timers.push(setInterval(() => response.write(" "), 20));
    };
    expect((await faultOf(view("/flags", 150).read(FLAGS))).message).toContain(
      "did not answer within 150 ms",
    );
    for (const timer of timers) clearInterval(timer);
    const gone = createView({ http: "http://127.0.0.1:1/", pointer: "" }, { timeoutMs: 1_000 });
    expect((await faultOf(gone.read(FLAGS))).message).toContain("refused the connection");
  });
});

describe("a metric", () => {
  /** What Prometheus would answer, by query. */
  function metrics(
    answers: (query: string) => Answer | Promise<Answer>,
  ): Metrics & { readonly asked: readonly string[]; readonly times: readonly number[] } {
    const asked: string[] = [];
    const times: number[] = [];
    return {
      asked,
      times,
      query: async (query, atWall) => {
        asked.push(query);
        times.push(atWall);
        return answers(query);
      },
      queryRange: async () => ({ kind: "points", points: [] }),
    };
  }
  function vector(...values: readonly string[]): Answer {
    const result = values.map((value, i) => ({ metric: { instance: String(i) }, value: [1, value] }));
    return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
  }

  it("is asked once for each flag, by key or by name, at one and the same time", async () => {
    const source = metrics((query) =>
      vector(query.includes("PARALLEL") || query.includes("limit") ? "1" : "0"),
    );
    const begun = Date.now();
    const view = createView(
      { metric: 'feature_enabled{flag="{key}", name="{flag}"}' },
      { timeoutMs: 1_000, metrics: source },
    );
    expect(await view.read(FLAGS)).toEqual({ parallel: "1", batching: "0", limit: "1" });
    expect(source.asked).toEqual([
      'feature_enabled{flag="FEATURE_PARALLEL", name="parallel"}',
      'feature_enabled{flag="FEATURE_BATCHING", name="batching"}',
      'feature_enabled{flag="BATCH_LIMIT", name="limit"}',
    ]);
    expect(new Set(source.times).size).toBe(1);
    expect(source.times[0]).toBeGreaterThanOrEqual(begun);
    expect(source.times[0]).toBeLessThanOrEqual(Date.now());
  });

  it("escapes what it puts into the query, and nothing in it is a pattern", async () => {
    const source = metrics(() => vector("1"));
    const odd = flagDef("odd", 'a"b\\c\nd$&$1{flag}');
    await createView({ metric: 'x{f="{key}"}' }, { timeoutMs: 1_000, metrics: source }).read([odd]);
    expect(source.asked).toEqual(['x{f="a\\"b\\\\c\\nd$&$1{flag}"}']);
  });

  it.each([
    ["nothing", vector(), {}],
    ["instances that agree", vector("1", "1"), { parallel: "1" }],
    ["instances that do not", vector("1", "0", "1"), { parallel: "0 and 1" }],
    ["a value", vector("1000"), { parallel: "1000" }],
    ["NaN", vector("NaN"), {}],
  ])("may say %s", async (_name, answer, expected) => {
    const view = createView({ metric: "x{f='{key}'}" }, { timeoutMs: 1_000, metrics: metrics(() => answer) });
    expect(await view.read([PARALLEL])).toEqual(expected);
  });

  it.each([
    ["is down", { kind: "down", reason: "refused", detail: "nobody listens" }, "nobody listens"],
    [
      "answers in part",
      {
        kind: "body",
        body: { status: "success", warnings: ["half of it"], data: { resultType: "vector", result: [] } },
      },
      "half of it",
    ],
    ["answers with an error", { kind: "body", body: { status: "error", error: "bad query" } }, "bad query"],
  ] as const)("may not be had because Prometheus %s", async (_name, answer, message) => {
    const source = metrics((query) => (query.includes("BATCHING") ? answer : vector("1")));
    const fault = await faultOf(
      createView({ metric: 'x{f="{key}"}' }, { timeoutMs: 1_000, metrics: source }).read(FLAGS),
    );
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toBe(`the service's view by metric: ${message}`);
  });

  it("does not wait longer than it may", async () => {
    const source = metrics(() => new Promise<Answer>(() => {}));
    const fault = await faultOf(
      createView({ metric: 'x{f="{key}"}' }, { timeoutMs: 60, metrics: source }).read(FLAGS),
    );
    expect(fault.message).toBe("the service's view did not come within 60 ms");
  });

  it("needs a place for the flag, and something to ask", () => {
    expect(() => createView({ metric: "x" }, { timeoutMs: 1, metrics: metrics(() => vector()) })).toThrow(
      "names no flag",
    );
    expect(() => createView({ metric: "x{f='{key}'}" }, { timeoutMs: 1 })).toThrow("something to ask");
  });
});
