/** A trend guard as people write it: defaults, companions, and each mistake with its place. */
import { describe, expect, it } from "vitest";
import { inspect } from "../../src/adapters/files/promql.ts";
import { guard as guardSchema } from "../../src/core/files/flags-file.ts";
import { guardFrom } from "../../src/core/files/guard-entry.ts";
import type { Guard } from "../../src/core/plan.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";

const QUERY = 'process_resident_memory_bytes{job="ingestion"}';
const GOOD = { kind: "trend", query: QUERY, limit: "1GiB", horizon: "4h" };
/** Apart, because an object with `then` looks like a promise to the linter. */
const THEN = "then";

/** The guard, or its mistakes as `place: words`. */
function made(change: object): { readonly guard?: Guard | undefined; readonly lines: readonly string[] } {
  const parsed = guardSchema.safeParse({ ...GOOD, ...change });
  if (!parsed.success)
    return { lines: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
  const { guard, mistakes } = guardFrom("memory", parsed.data, {
    service: "ingestion",
    defaultIntervalMs: SECOND,
    inspect,
  });
  return { guard, lines: mistakes.map((one) => `${one.path.join(".")}: ${one.message}`) };
}

describe("a trend guard", () => {
  it("pages, and is asked every ten minutes, whatever the pace of the other guards", () => {
    expect(made({})).toEqual({
      lines: [],
      guard: {
        kind: "trend",
        name: "memory",
        query: QUERY,
        freshness: `min(timestamp(${QUERY}))`,
        intervalMs: 10 * MINUTE,
        windowMs: 0,
        breach: { k: 1, n: 1 },
        consequence: "page",
        limit: 1024 ** 3,
        unit: "bytes",
        horizonMs: 4 * HOUR,
      },
    });
  });

  it("takes consequence, interval, stages and `worst` as written", () => {
    const { guard } = made({ [THEN]: "hold", interval: "5m", stages: ["b"], worst: "max", limit: 80 });
    expect(guard).toMatchObject({
      consequence: "hold",
      intervalMs: 5 * MINUTE,
      stages: ["b"],
      worst: "max",
      limit: 80,
      unit: "none",
    });
  });

  it("is never asked more often than once a minute, not even in a demo of short polls", () => {
    const parsed = guardSchema.parse(GOOD);
    const { guard } = guardFrom(
      "memory",
      { ...parsed, interval: SECOND },
      { service: "x", defaultIntervalMs: SECOND, inspect },
    );
    expect(guard?.intervalMs).toBe(MINUTE);
  });

  it.each<[string, object, readonly string[]]>([
    [
      "that would roll back",
      { [THEN]: "rollback" },
      [
        "then: expected then: page or hold (a trend is a heuristic: it plans restarts and pages, it takes nothing back)",
      ],
    ],
    [
      "that would take back everything",
      { [THEN]: "emergency" },
      [expect.stringContaining("expected then: page or hold")],
    ],
    ["without a limit", { limit: undefined }, [expect.stringMatching(/^limit: /)]],
    ["without a horizon", { horizon: undefined }, [expect.stringMatching(/^horizon: /)]],
    ["that looks no way ahead", { horizon: "0s" }, ["horizon: expected a duration longer than 0"]],
    [
      "that looks too far ahead",
      { horizon: "8d" },
      ["horizon: expected a horizon of at most 7d: it is drawn from 3 hours"],
    ],
    [
      "that is asked too often",
      { interval: "30s" },
      ["interval: expected an interval of at least 1m: each poll reads 3 hours"],
    ],
    [
      "of the lowest series",
      { worst: "min" },
      ["worst: expected worst: max (of several series the one that reaches the limit first)"],
    ],
    ["with limits of a threshold", { max: 3 }, [expect.stringContaining("max")]],
    [
      "whose query hides missing data",
      { query: `${QUERY} or vector(0)` },
      [expect.stringMatching(/^query: .*vector/)],
    ],
    ["whose query compares", { query: `${QUERY} > 5` }, [expect.stringMatching(/^query: /)]],
    ["whose query reads nothing", { query: "vector(1)" }, [expect.stringMatching(/^query: /)]],
  ])("%s", (_name, change, expected) => {
    expect(made(change).lines).toEqual(expected);
  });
});
