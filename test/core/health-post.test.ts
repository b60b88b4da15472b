/** The daily health post, the handover post, the first-week review, and their small charts. */
import { describe, expect, it } from "vitest";
import { firstWeekReview, type ReviewSeries } from "../../src/core/report/first-week-review.ts";
import { handoverPost } from "../../src/core/report/handover.ts";
import { type HealthFacts, healthPost } from "../../src/core/report/health-post.ts";
import { spark } from "../../src/core/report/spark.ts";
import type { Alert } from "../../src/core/report/told.ts";
import { DAY, HOUR, SECOND } from "../../src/core/time.ts";

/** Thursday, 09:00 in Helsinki. */
const MORNING = Date.UTC(2026, 10, 26, 7);
const ZONE = "Europe/Helsinki";
const ON_CALL = { now: "@ben", next: { who: "@eve", wall: MORNING + 9 * HOUR } };

function facts(change: Partial<HealthFacts> = {}): HealthFacts {
  return {
    watch: "bot-platform",
    wall: MORNING,
    zone: ZONE,
    probes: Array.from({ length: 11 }, (_, index) => ({ name: `probe-${index}`, state: "well" as const })),
    trends: [{ name: "memory", answer: { kind: "known", asks: false, words: "flat (+0.2 MB/h)" } }],
    checks: { ran: 1_440, expected: 1_440, upTo: MORNING },
    restarts: [],
    missedJobs: 0,
    troubles: [],
    rollouts: [],
    incidents: [],
    paged: { pages: 0, rollbacks: 0 },
    locks: 0,
    onCall: ON_CALL,
    ...change,
  };
}

/** A post as a reader in Lisbon sees it: `<07:00>` is an instant in the reader's own time. */
function text({ title, lines, offers }: Alert): readonly string[] {
  const shown = lines.map(
    ({ label, parts }) =>
      `${label} | ${parts.map((part) => (typeof part === "string" ? part : `<${new Date(part.wall).toISOString().slice(11, 16)}>`)).join("")}`,
  );
  return [title, ...shown, ...offers.map(({ label, command }) => `[${label}] ${command}`)];
}

describe("the daily health post", () => {
  it("is one line when all is well", () => {
    expect(text(healthPost(facts()))).toEqual([
      "Health Thu 26 Nov: all 12 fine",
      "24 h | 1,440 of 1,440 checks ran · no auto-restarts · no pages · missed jobs 0 · pages 0 open · rollouts 0 live · locks 0 · on-call @ben → @eve <16:00>",
    ]);
    expect(healthPost(facts()).summary).toBe("Health Thu 26 Nov: all 12 fine (bot-platform).");
  });

  it("says what is not fine, what comes next, and offers to skip it", () => {
    const post = healthPost(
      facts({
        trends: [
          {
            name: "parser",
            answer: { kind: "known", asks: true, words: "memory +38 MB/h, limit in 31 h" },
            restart: { job: "bot-platform/nightly-restart", target: "bots", nextWall: MORNING + 18 * HOUR },
          },
        ],
        checks: { ran: 1_439, expected: 1_440, upTo: MORNING - 7 * HOUR },
        restarts: [{ probe: "api", wall: Date.UTC(2026, 10, 26, 0, 12), recoveredMs: 9 * SECOND }],
        rollouts: [{ name: "parser-perf", stands: "batching soaking", nextWall: MORNING + 5 * HOUR }],
      }),
    );
    expect(text(post)).toEqual([
      "Health Thu 26 Nov: 11 of 12 fine",
      "parser | memory +38 MB/h, limit in 31 h → restart due <01:00>",
      "24 h | 1,439 of 1,440 checks ran (24 h to <00:00>) · 1 auto-restart (api <00:12>, ok after 9 s) · no pages",
      "Now | missed jobs 0 · pages 0 open · rollouts 1 live (parser-perf next <12:00>) · locks 0 · on-call @ben → @eve <16:00>",
      "[Skip] schedule skip-next bot-platform/nightly-restart",
    ]);
    expect(post.summary).toBe(
      "Health Thu 26 Nov: 11 of 12 fine (bot-platform). parser: memory +38 MB/h, limit in 31 h → restart due 03:00 Europe/Helsinki.",
    );
  });

  it("tells of each trouble in words", () => {
    const post = healthPost(
      facts({
        probes: [
          {
            name: "ollama",
            state: "failing",
            detail: "refused",
            sinceWall: MORNING - 3 * HOUR,
            circuitOpen: true,
          },
          { name: "db", state: "flapping", detail: "4 changes" },
          {
            name: "pool",
            state: "unknown",
            detail: "Prometheus is away",
            sinceWall: MORNING - HOUR,
            muted: true,
          },
          { name: "users", state: "unchecked" },
          { name: "web", state: "well", circuitOpen: true },
          { name: "hook", state: "well", muted: true },
          { name: "api", state: "well" },
        ],
        trends: [{ name: "memory", answer: { kind: "unknown", why: "stale" } }],
        troubles: [{ job: "bot-platform/drill", what: "Wed 25 Nov 14:00 FAILED: no pager" }],
        missedJobs: 2,
      }),
    );
    expect(text(post)).toEqual([
      "Health Thu 26 Nov: 1 of 8 fine",
      "ollama | FAILING for 3 h: refused; restarts are used up, a person must look",
      "db | flapping: 4 changes",
      "pool | unknown, nobody can tell for 1 h: Prometheus is away (muted)",
      "users | not checked",
      "web | well; restarts are used up, a person must look",
      "hook | well (muted)",
      "memory | no evidence: stale",
      "bot-platform/drill | Wed 25 Nov 14:00 FAILED: no pager",
      "24 h | 1,440 of 1,440 checks ran · no auto-restarts · no pages",
      "Now | missed jobs 2 · pages 0 open · rollouts 0 live · locks 0 · on-call @ben → @eve <16:00>",
    ]);
  });

  it("is not fine in trouble: open pages and rollouts that do not go forward come first", () => {
    const post = healthPost(
      facts({
        rollouts: [
          { name: "parser", stands: "soaking, cache soaks", nextWall: MORNING + 5 * HOUR },
          { name: "bots", stands: "rolled back, held, rolled back and locked (Belay)", trouble: "HELD" },
        ],
        incidents: [
          { name: "i-2W2", acknowledged: false },
          { name: "i-7Q2", acknowledged: true },
          { name: "i-KQH", acknowledged: false },
        ],
        paged: { pages: 3, rollbacks: 1 },
      }),
    );
    expect(text(post)).toEqual([
      "Health Thu 26 Nov: 12 of 12 fine, but 3 pages open, bots HELD",
      "Pages | 3 open, 2 not acknowledged (i-2W2, i-KQH)",
      "bots | rolled back, held, rolled back and locked (Belay)",
      "24 h | 1,440 of 1,440 checks ran · no auto-restarts · 3 pages (1 for a rollback)",
      "Now | missed jobs 0 · pages 3 open · rollouts 2 live (bots HELD, parser next <12:00>) · locks 0 · on-call @ben → @eve <16:00>",
    ]);
    expect(post.summary).toBe(
      "Health Thu 26 Nov: 12 of 12 fine, but 3 pages open, bots HELD (bot-platform). Pages: 3 open, 2 not acknowledged (i-2W2, i-KQH); bots: rolled back, held, rolled back and locked (Belay).",
    );
  });

  it("says that open pages are acknowledged, and counts several rollouts in its title", () => {
    const held = { stands: "held, held (@ana): lunch", trouble: "HELD" };
    const post = healthPost(
      facts({
        probes: [],
        trends: [],
        rollouts: [
          { name: "bots", ...held },
          { name: "parser", ...held },
        ],
        incidents: [{ name: "i-7Q2", acknowledged: true }],
      }),
    );
    expect(text(post).slice(0, 2)).toEqual([
      "Health Thu 26 Nov: nothing is watched, but 1 page open, 2 rollouts held or going back",
      "Pages | 1 open, all acknowledged",
    ]);
  });

  it("names the restart by hand where a planned one has no evidence, and the zone of a day far ahead", () => {
    const restart = { job: "bots/nightly", target: "bots/parser", nextWall: MORNING + 3 * DAY };
    const post = healthPost(
      facts({
        trends: [
          { name: "memory", answer: { kind: "unknown", why: "stale" }, restart },
          { name: "heap", answer: { kind: "known", asks: true, words: "+1 MB/h" }, restart },
        ],
      }),
    );
    expect(text(post).slice(1, 3)).toEqual([
      "memory | no evidence: stale; without evidence bots/nightly does not restart, /belay health restart bots/parser does",
      "heap | +1 MB/h → restart due Sun 29 Nov 09:00 Europe/Helsinki",
    ]);
  });

  it("says what it could not learn, and never takes it for well", () => {
    const post = healthPost(
      facts({
        checks: undefined,
        restarts: undefined,
        missedJobs: undefined,
        rollouts: undefined,
        incidents: undefined,
        paged: undefined,
        locks: undefined,
        onCall: undefined,
      }),
    );
    expect(text(post)[1]).toBe(
      "24 h | checks not counted yet · auto-restarts unknown · pages unknown · missed jobs unknown · pages unknown · rollouts unknown · locks unknown · on-call unknown",
    );
    expect(healthPost(facts({ probes: [], trends: [] })).title).toBe("Health Thu 26 Nov: nothing is watched");
  });

  it("stays short however much is wrong", () => {
    const probes = Array.from({ length: 60 }, (_, index) => ({
      name: `p${index}`,
      state: "failing" as const,
    }));
    const restarts = Array.from({ length: 30 }, (_, index) => ({ probe: `p${index}`, wall: MORNING }));
    const lines = text(healthPost(facts({ probes, restarts })));
    expect(lines).toHaveLength(12);
    expect(lines[9]).toBe("More | 52 more: 52 probes (/belay health)");
    expect(lines[10]).toContain("30 auto-restarts (p0 <07:00>, not recovered; ");
    expect(lines[10]).toContain(" and 25 more)");
  });
});

describe("the handover post", () => {
  it("says who, what is live, what is open and what is not well", () => {
    const post = handoverPost({
      watch: "bot-platform",
      wall: MORNING + 9 * HOUR,
      zone: ZONE,
      onCall: ON_CALL,
      rollouts: [
        {
          name: "bots",
          stands: "response-cache soaking",
          nextWall: MORNING + 10 * HOUR,
          nextStep: "streaming",
        },
        { name: "ingestion", stands: "held by @ana" },
      ],
      incidents: ["i-7Q2  P1  bots: pool at 91 %"],
      troubles: ["ollama failing: refused"],
    });
    expect(text(post)).toEqual([
      "Handover bot-platform 18:00 Europe/Helsinki: on-call @ben → @eve 18:00",
      "bots | response-cache soaking, next step streaming <17:00>",
      "ingestion | held by @ana, no forward step planned",
      "Open pages | i-7Q2  P1  bots: pool at 91 %",
      "Not well | ollama failing: refused",
    ]);
    expect(post.summary).toBe(
      "Handover bot-platform 18:00 Europe/Helsinki: on-call @ben → @eve 18:00; rollouts 2 live, open pages 1.",
    );
  });

  it("is short when there is nothing, and says what is unknown", () => {
    const nothing = { watch: "bots", wall: MORNING, zone: ZONE, onCall: undefined, troubles: [] };
    expect(text(handoverPost({ ...nothing, rollouts: [], incidents: [] }))).toEqual([
      "Handover bots 09:00 Europe/Helsinki: on-call unknown",
      "Rollouts | none live",
      "Open pages | none",
    ]);
    expect(text(handoverPost({ ...nothing, rollouts: undefined, incidents: undefined })).slice(1)).toEqual([
      "Rollouts | unknown",
      "Open pages | unknown",
    ]);
  });
});

describe("the first-week review", () => {
  const memory: ReviewSeries = {
    name: "memory",
    unit: "bytes",
    max: 625 * 1024 ** 2,
    trend: "+2 MiB/h, limit in 31 h",
    days: [
      {
        wall: MORNING - 2 * DAY,
        figures: { min: 380 * 1024 ** 2, avg: 410 * 1024 ** 2, max: 440 * 1024 ** 2 },
      },
      { wall: MORNING - DAY, figures: undefined },
      { wall: MORNING, figures: { min: 400 * 1024 ** 2, avg: 512 * 1024 ** 2, max: 640 * 1024 ** 2 } },
    ],
  };

  it("shows each figure as a chart and in words", () => {
    const post = firstWeekReview({ watch: "bots", wall: MORNING, zone: ZONE, series: [memory] });
    expect(text(post)).toEqual([
      "Review of bots: 3 days to Thu 26 Nov",
      "memory | ▁·█ average 410 MiB → 512 MiB, lowest 380 MiB, highest 640 MiB, limit 625 MiB; trend +2 MiB/h, limit in 31 h. " +
        "By day: Tue 24 Nov min 380 MiB, average 410 MiB, max 440 MiB; Wed 25 Nov no data; Thu 26 Nov min 400 MiB, average 512 MiB, max 640 MiB",
    ]);
    expect(post.summary).toBe(
      "Review of bots: 3 days to Thu 26 Nov. memory: average 410 MiB → 512 MiB, lowest 380 MiB, highest 640 MiB, above its limit at times.",
    );
  });

  it("says why nothing is known of a figure", () => {
    const away: ReviewSeries = { name: "errors", unit: "percent", days: [], why: "Prometheus is away" };
    const post = firstWeekReview({ watch: "bots", wall: MORNING, zone: ZONE, series: [away] });
    expect(text(post)[1]).toBe("errors | no data: Prometheus is away");
    expect(post.summary).toContain("errors: no data.");
  });

  it("names the figures that are too many, and says when there are none", () => {
    const many = Array.from({ length: 14 }, (_, index) => ({ ...memory, name: `m${index}` }));
    const lines = text(firstWeekReview({ watch: "bots", wall: MORNING, zone: ZONE, series: many }));
    expect(lines).toHaveLength(12);
    expect(lines[11]).toBe("Not shown | 4 more figures: m10, m11, m12, m13");
    expect(text(firstWeekReview({ watch: "bots", wall: MORNING, zone: ZONE, series: [] }))[1]).toBe(
      "Nothing | the flags file has no guard to review",
    );
  });
});

describe("a small chart", () => {
  it.each([
    [[], ""],
    [[1, 2, 3, 4, 5, 6, 7, 8], "▁▂▃▄▅▆▇█"],
    [[5, 5, 5], "▅▅▅"],
    [[1, undefined, 9, Number.NaN], "▁·█·"],
    [[undefined], "·"],
    [[-Number.MAX_VALUE, Number.MAX_VALUE], "▁█"],
  ])("of %j is %s", (values, chart) => {
    expect(spark(values)).toBe(chart);
  });
});
