/** Reading PromQL: facts and faults in tables, over generated queries, and against what a real Prometheus takes and refuses. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspect, literal, rewriteWindows } from "../../src/adapters/files/promql.ts";
import { createPrometheus } from "../../src/adapters/prometheus.ts";
import type { QueryFacts } from "../../src/core/files/guard-entry.ts";
import type { Metrics } from "../../src/engine/ports.ts";
import { type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";

const MINUTE = 60_000;
const LONGEST_READ_MS = 50;

let prometheus: RunningPrometheus;
let metrics: Metrics & { close(): void };

beforeAll(async () => {
  prometheus = await startPrometheus({ targets: [], scrapeMs: 1_000 });
  metrics = createPrometheus({ url: prometheus.url, timeoutMs: 5_000 });
});

afterAll(async () => {
  metrics.close();
  await prometheus.stop();
});

/** What Prometheus says against a query, or nothing. */
async function refusal(query: string): Promise<string | undefined> {
  const answer = await metrics.query(query, Date.now());
  if (answer.kind === "body") return undefined;
  expect(answer.detail).toMatch(/^Prometheus answers (400|422)/);
  return answer.detail;
}

const FACTS: readonly (readonly [string, Omit<QueryFacts, "faults">])[] = [
  ["up", { windowMs: 0, selectors: ["up"] }],
  [
    'process_resident_memory_bytes{job="ingestion"}',
    { windowMs: 0, selectors: ['process_resident_memory_bytes{job="ingestion"}'] },
  ],
  ["rate(a_total[90s])", { windowMs: 90_000, selectors: ["a_total"] }],
  ["rate(a_total[1h30m])", { windowMs: 90 * MINUTE, selectors: ["a_total"] }],
  ["rate(a_total[1d2h3m4s5ms])", { windowMs: 93_784_005, selectors: ["a_total"] }],
  ["rate(a_total[1y1w])", { windowMs: 372 * 24 * 60 * MINUTE, selectors: ["a_total"] }],
  [
    "sum(rate(bad_total[1m])) / sum(rate(all_total[5m]))",
    { windowMs: 5 * MINUTE, selectors: ["bad_total", "all_total"], denominator: "sum(rate(all_total[5m]))" },
  ],
  ["((a) / (b))", { windowMs: 0, selectors: ["a", "b"], denominator: "(b)" }],
  ["a / b / c", { windowMs: 0, selectors: ["a", "b", "c"], denominator: "c" }],
  ["a / on (x) group_left (y) b", { windowMs: 0, selectors: ["a", "b"], denominator: "b" }],
  ["a / b * 100", { windowMs: 0, selectors: ["a", "b"] }],
  ["memory_bytes / 1024", { windowMs: 0, selectors: ["memory_bytes"] }],
  [
    "histogram_quantile(0.95, sum by (le) (rate(t_bucket[1m])))",
    { windowMs: MINUTE, selectors: ["t_bucket"] },
  ],
  ["max_over_time(rate(a_total[1m])[10m:30s])", { windowMs: 11 * MINUTE, selectors: ["a_total"] }],
  [
    "max_over_time(max_over_time(rate(a_total[1m])[10m:])[1h:])",
    { windowMs: 71 * MINUTE, selectors: ["a_total"] },
  ],
  [
    "rate(a_total[1m]) / rate(a_total[1m] offset 1d)",
    { windowMs: MINUTE, selectors: ["a_total"], denominator: "rate(a_total[1m] offset 1d)" },
  ],
  ["a - b offset 5m", { windowMs: 0, selectors: ["a"] }],
  ["a / b offset 5m", { windowMs: 0, selectors: ["a"], denominator: "b offset 5m" }],
  ["a + b offset 5m / c", { windowMs: 0, selectors: ["a", "c"] }],
  ["a offset 5m", { windowMs: 5 * MINUTE, selectors: ["a"] }],
  [
    "rate(a_total[1m] offset 1m) - rate(a_total[1m] offset 1h)",
    { windowMs: 61 * MINUTE, selectors: ["a_total"] },
  ],
  ["a - max_over_time(b[1m:] offset 1h)", { windowMs: MINUTE, selectors: ["a"] }],
  ["a - b @ 1700000000", { windowMs: 0, selectors: ["a"] }],
  ['{__name__="a",b!="c",d!~"e|f"}', { windowMs: 0, selectors: ['{__name__="a",b!="c",d!~"e|f"}'] }],
  ["sum(a) or sum(b)", { windowMs: 0, selectors: ["a", "b"] }],
  ["a unless on (x) b", { windowMs: 0, selectors: ["a", "b"] }],
  ["a # b offset 5m == 3\n+ c", { windowMs: 0, selectors: ["a", "c"] }],
  ["a + a", { windowMs: 0, selectors: ["a"] }],
  [
    `a{b='it"s',c="\\"\\\\x",d=\`raw\\\`}`,
    { windowMs: 0, selectors: [`a{b='it"s',c="\\"\\\\x",d=\`raw\\\`}`] },
  ],
  ["time() - a", { windowMs: 0, selectors: ["a"] }],
  ["vector(1)", { windowMs: 0, selectors: [] }],
];

describe("the facts of a query", () => {
  it.each(FACTS)("%s", async (query, facts) => {
    expect(inspect(query)).toEqual({ faults: [], ...facts });
    expect(await refusal(query)).toBeUndefined();
  });
});

/** A mark ^ stands before the place of the fault. */
const REFUSED_BY_BOTH: readonly (readonly [string, RegExp])[] = [
  ["^", /found nothing/],
  ["sum(^", /end of the query/],
  ["sum(a)^)", /did not expect "\)"/],
  ["a ^b", /did not expect "b"/],
  ["no_such_function^(a)", /did not expect "\(a\)"/],
  ["rate(a[1h30m^1h])", /did not expect/],
  ["rate(a[^soon])", /did not expect/],
  ["a{b=^c}", /did not expect "c}"/],
  ["rate(a[^0s])", /expected a duration such as 90s/],
  ["^rate(a)", /`rate` needs a range/],
  ["^sum_over_time(a)", /`sum_over_time` needs a range/],
  ["sum(^a[5m])", /a function such as rate\(\) must read it/],
  ["abs(^a[5m])", /a function such as rate\(\) must read it/],
  ["rate(^(a)[5m])", /can follow only a selector/],
  ["max_over_time(^a + b[5m:])", /in parentheses/],
  ["sum(a) ^offset 5m", /can follow only a selector/],
  ["(a) ^offset 5m", /can follow only a selector/],
  ['a{b=~"c^\\.d"}', /`\\\.` is no escape/],
  [`a{b="it^\\'s"}`, /no escape/],
  ['^"never closed', /a quote is missing/],
];

/** Prometheus takes these; a guard must not. */
const BLINDING: readonly (readonly [string, RegExp])[] = [
  ["a ^> 0.5", /`>` hides series/],
  ["a ^>= bool 0.5", /`>=` hides series/],
  ["sum(a ^== 1)", /`==` hides series/],
  ["a ^!= 0", /`!=` hides series/],
  ["a ^< b", /`<` hides series/],
  ["a ^<= b", /`<=` hides series/],
  ["sum(a) or ^vector(0)", /`vector\(0\)` beside `or` reads no series/],
  ["(sum(a) or on () ^(vector(0)))", /reads no series/],
  ["sum(a) or ^vector(0) * 1", /reads no series/],
  ["^vector(0) or sum(a)", /reads no series/],
  ["^vector(1) unless a", /reads no series/],
  ['sum(a) or ^label_replace(vector(0), "b", "c", "", "")', /reads no series/],
  ["^absent(a)", /`absent` turns missing data into a number/],
  ["1 - ^absent_over_time(a[5m])", /`absent_over_time` turns missing data/],
  ["a ^@ end()", /mean another time/],
  ["a offset ^-5m", /looks ahead of the present/],
  ['^"a text"', /not a number/],
];

describe("a fault", () => {
  it.each([...REFUSED_BY_BOTH, ...BLINDING])("in %s", (marked, says) => {
    const [offset, query] = [marked.indexOf("^"), marked.replace("^", "")];
    expect(inspect(query).faults).toContainEqual({ offset, message: expect.stringMatching(says) });
  });

  it.each(REFUSED_BY_BOTH)("that Prometheus finds too: %s", async (marked) => {
    expect(await refusal(marked.replace("^", ""))).toMatch(/400/);
  });

  it.each(BLINDING)("that Prometheus does not find: %s", async (marked) => {
    expect(await refusal(marked.replace("^", ""))).toBeUndefined();
  });

  it("is found once for each place, in order", () => {
    expect(inspect("a > 1 or vector(0) or absent(b)").faults.map((fault) => fault.offset)).toEqual([
      2, 9, 22,
    ]);
  });

  it.each([
    "rate(a[300])",
    "rate(a[5m+1m])",
    "rate(a[step()])",
    "a offset 300",
    "a </ b",
    "a + fill(0) b",
    "rate(a[5m] smoothed)",
    "a @ 1700000000",
  ])("keeps out what not every Prometheus understands, or what stands still: %s", (query) => {
    expect(inspect(query).faults).toHaveLength(1);
  });
});

describe("windows are rewritten", () => {
  it.each([
    ["sum(rate(a[1m])) / sum(rate(b[1h30m]))", 5_000, "sum(rate(a[5s])) / sum(rate(b[5s]))"],
    ["max_over_time(rate(a[1m])[10m:1m])", 1_500, "max_over_time(rate(a[1500ms])[1500ms:1500ms])"],
    ["max_over_time(rate(a[1m])[10m:1s] offset 1h)", 5_000, "max_over_time(rate(a[5s])[5s:1s] offset 1h)"],
    ['max_over_time(a{b="[1m]"}[10m:]) # [1m]', 5_000, 'max_over_time(a{b="[1m]"}[5s:]) # [1m]'],
    ["memory_bytes", 5_000, "memory_bytes"],
    ["rate(a[1m]", 5_000, "rate(a[1m]"],
  ])("%s at %i ms", (query, windowMs, expected) => {
    expect(rewriteWindows(query, windowMs)).toBe(expected);
  });
});

interface Made {
  readonly text: string;
  readonly selectors: readonly {
    readonly text: string;
    readonly lookbackMs: number;
    readonly offsetMs: number;
  }[];
  readonly denominator?: string;
}

const RANGES = [
  ["30s", 30_000],
  ["1m", MINUTE],
  ["1h30m", 90 * MINUTE],
] as const;
const range = fc.constantFrom(...RANGES);
const offset = fc.option(fc.constantFrom(...RANGES), { nil: undefined, freq: 3 });
const selectorText = fc.constantFrom(
  "up",
  "a_total",
  'b_total{job="x"}',
  'c{d=~"e|f",g!="h / i"}',
  '{__name__="j:k"}',
  "sum_total",
  "offset_total",
);
const behind = (by: readonly [string, number] | undefined): string =>
  by === undefined ? "" : ` offset ${by[0]}`;

function moved(made: Made, text: string, lookbackMs = 0, offsetMs = 0): Made {
  return {
    text,
    selectors: made.selectors.map((one) => ({
      ...one,
      lookbackMs: one.lookbackMs + lookbackMs,
      offsetMs: one.offsetMs + offsetMs,
    })),
  };
}

/** Well-typed queries with the facts that are true of them by the way they were made. */
const { query: made } = fc.letrec<{ readonly atom: Made; readonly query: Made }>((tie) => ({
  atom: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.tuple(selectorText, offset).map(
      ([text, by]): Made => ({
        text: text + behind(by),
        selectors: [{ text, lookbackMs: 0, offsetMs: by?.[1] ?? 0 }],
      }),
    ),
    fc.tuple(fc.constantFrom("rate", "max_over_time", "deriv"), selectorText, range, offset).map(
      ([name, text, [of, ms], by]): Made => ({
        text: `${name}(${text}[${of}]${behind(by)})`,
        selectors: [{ text, lookbackMs: ms, offsetMs: by?.[1] ?? 0 }],
      }),
    ),
    tie("query").map((one): Made => ({ ...one, text: `(${one.text})` })),
    fc
      .tuple(fc.constantFrom("sum by (le) ", "max", "topk without (a) "), tie("query"))
      .map(([name, one]) =>
        moved(one, name.startsWith("topk") ? `topk (2, ${one.text})` : `${name}(${one.text})`),
      ),
    fc
      .tuple(tie("query"), range, fc.constantFrom("", "10s"), offset)
      .map(([one, [of, ms], step, by]) =>
        moved(one, `avg_over_time((${one.text})[${of}:${step}]${behind(by)})`, ms, by?.[1] ?? 0),
      ),
  ),
  query: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("atom"),
    fc
      .tuple(
        tie("atom"),
        fc.constantFrom("+", "-", "*", "/", "^", "and", "or", "unless", "/ on (a)", "and ignoring (a)"),
        tie("atom"),
      )
      .map(
        ([left, operator, right]): Made => ({
          text: `${left.text} ${operator} ${right.text}`,
          selectors: [...left.selectors, ...right.selectors],
          ...(operator.startsWith("/") ? { denominator: right.text } : {}),
        }),
      ),
    fc
      .tuple(fc.constantFrom("100 * ", "-"), tie("atom"))
      .map(([before, one]) => moved(one, before + one.text)),
  ),
}));

/** Line breaks and comments instead of blanks; no blank is inside a selector, so these keep their text. */
function spread(text: string, blank: string): string {
  return text.replaceAll(/ (?!\/ i)(?<!h \/ )/g, blank);
}

function factsOf({ selectors, denominator }: Made, blank: string): QueryFacts {
  const present = selectors.filter((one) => one.offsetMs === 0);
  const read = present.length > 0 ? present : selectors;
  return {
    faults: [],
    windowMs:
      Math.max(...selectors.map((one) => one.lookbackMs)) +
      (present.length > 0 ? 0 : Math.max(...selectors.map((one) => one.offsetMs))),
    selectors: [...new Set(read.map((one) => one.text))],
    ...(denominator === undefined ? {} : { denominator: spread(denominator, blank) }),
  };
}

/** How long reading takes: the best of up to three tries, since the machine may be busy with something else. */
function readingMs(text: string): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3 && bestMs >= LONGEST_READ_MS; tries++) {
    const began = performance.now();
    inspect(text);
    rewriteWindows(text, 5_000);
    bestMs = Math.min(bestMs, performance.now() - began);
  }
  return bestMs;
}

const blank = fc.constantFrom(" ", "\n", "\t ", " # offset 5m [1m] / b == 1\n");

describe("over generated queries", () => {
  it("the facts are those by which a query was made", () => {
    fc.assert(
      fc.property(made, blank, (one, space) => {
        expect(inspect(spread(one.text, space))).toEqual(factsOf(one, space));
      }),
      { numRuns: 500 },
    );
  });

  it("Prometheus takes what is found without fault, and what the windows were rewritten to", async () => {
    await fc.assert(
      fc.asyncProperty(made, blank, async (one, space) => {
        const query = spread(one.text, space);
        const rewritten = rewriteWindows(query, 5_000);
        expect(inspect(rewritten).faults).toEqual([]);
        for (const text of [query, rewritten]) expect((await refusal(text)) ?? "").not.toMatch(/ 400/);
      }),
      { numRuns: 100 },
    );
  });

  it("the windows of a rewritten query are the new one, once for each range around a selector", () => {
    fc.assert(
      fc.property(made, (one) => {
        const rewritten =
          inspect(rewriteWindows(one.text, 7_000)).windowMs -
          (one.selectors.every((s) => s.offsetMs > 0)
            ? Math.max(...one.selectors.map((s) => s.offsetMs))
            : 0);
        expect(rewritten % 7_000).toBe(0);
        expect(rewritten > 0).toBe(one.selectors.some((selector) => selector.lookbackMs > 0));
      }),
      { numRuns: 300 },
    );
  });

  const pieces = fc.constantFrom(
    ...'sum rate( ) [ ] { } 1m : offset @ end() by (le) a b{ = =~ "x" \' ` \\ # \n + - * / ^ == > or and unless vector(0) absent( 0x1F 1e5 NaN Inf -'.split(
      " ",
    ),
    " ",
    "\u0000",
    "é",
    "\uD800",
  );
  it.each<readonly [string, fc.Arbitrary<string>]>([
    ["any text", fc.string({ unit: "binary", maxLength: 400 })],
    ["pieces of PromQL", fc.array(pieces, { maxLength: 120 }).map((parts) => parts.join(""))],
  ])("%s is read without a throw, and soon", (_, texts) => {
    inspect("sum(rate(a[1m])) / sum(rate(b[1m]))");
    let slowestMs = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const { faults, windowMs, selectors } = inspect(text);
        slowestMs = Math.max(slowestMs, readingMs(text));
        for (const fault of faults) expect(fault.offset >= 0 && fault.offset <= text.length).toBe(true);
        expect(windowMs).toBeGreaterThanOrEqual(0);
        for (const selector of selectors) expect(text).toContain(selector);
      }),
      { numRuns: 2_000 },
    );
    expect(slowestMs).toBeLessThan(LONGEST_READ_MS);
  });

  it("a literal is one text, whatever is in it", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string()), (text) => {
        const query = `a{b=${literal(text)}}`;
        expect(inspect(query)).toEqual({ faults: [], windowMs: 0, selectors: [query] });
      }),
      { numRuns: 1_000 },
    );
  });

  it("Prometheus reads a literal as the text that it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), async (text) => {
        const answer = await metrics.query(
          `label_replace(vector(1), "x", ${literal(text.replaceAll("$", "$$$$"))}, "", "")`,
          1_700_000_000_000,
        );
        expect(answer).toMatchObject({ kind: "body", body: { data: { result: [{ metric: { x: text } }] } } });
      }),
      { numRuns: 100 },
    );
  });
});
