/** The scheduled posts of a large house in Slack: however much there is to tell, Slack takes the message, and what it leaves out is counted in it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { messageProblems } from "../../src/adapters/slack/block-rules.ts";
import { renderAlert } from "../../src/adapters/slack/render-alert.ts";
import type { Rendered } from "../../src/adapters/slack/render-text.ts";
import { BELAY } from "../../src/core/event.ts";
import { firstWeekReview, type ReviewSeries } from "../../src/core/report/first-week-review.ts";
import { handoverPost } from "../../src/core/report/handover.ts";
import {
  type HealthFacts,
  healthPost,
  type ProbeFact,
  type TrendFact,
} from "../../src/core/report/health-post.ts";
import type { Alert } from "../../src/core/report/told.ts";
import { DAY, HOUR } from "../../src/core/time.ts";
import { whenLine } from "../../src/core/watch/job-words.ts";
import { checkBlocks } from "../fakes/slack/block-kit.ts";
import { isObject, type JsonObject } from "../fakes/slack/json.ts";
import { textOf } from "../fakes/slack/text.ts";
import { aJob } from "../support/jobs.ts";

/** Thursday, 09:00 in Helsinki. */
const MORNING = Date.UTC(2026, 10, 26, 7);
const ZONE = "Europe/Helsinki";
const WATCH = "bot-platform-of-the-customer-service-in-northern-europe-1234";
/** What a service may answer with, and a longer one than anybody reads. */
const PAGE = '503 <html lang="en"><head><title>Bad & worse \\ "worst"</title></head> '.repeat(20);

/** The longest name that a file may give, told apart by its end. */
function name(kind: string, index: number): string {
  return `${kind}-${"x".repeat(56 - kind.length)}-${String(index).padStart(2, "0")}`;
}

/** As Slack gets it, late and with a mention, once nothing is refused in it. */
function sent(post: Alert): Rendered & { readonly leftOut: readonly string[] } {
  const late = whenLine(aJob(), {
    instant: MORNING,
    how: "late",
    by: BELAY,
    beganWall: MORNING + HOUR,
  });
  const rendered = renderAlert(
    { ...post, lines: [...post.lines, late] },
    {
      dates: { zone: ZONE, nowWall: MORNING },
      seen: undefined,
      mention: "<!subteam^S0123ABCD>",
    },
  );
  expect(messageProblems(rendered)).toEqual([]);
  const decoded: unknown = JSON.parse(JSON.stringify(rendered.blocks));
  const wire: readonly JsonObject[] = Array.isArray(decoded) ? decoded.filter(isObject) : [];
  expect(checkBlocks(wire, "message")).toEqual([]);
  return rendered;
}

/** The message as a person reads it, line by line; each line of the post is in it whole. */
function read(post: Alert): readonly string[] {
  const { text, blocks, leftOut } = sent(post);
  const wire: readonly JsonObject[] = blocks.map((block) => ({ ...block }));
  const shown = textOf({ text, blocks: wire }).replaceAll("\u00a0", " ").split("\n");
  const squeezed = shown.join("\n").replace(/\s+/g, " ");
  for (const { label, parts } of post.lines)
    for (const part of [label, ...parts])
      if (typeof part === "string") expect(squeezed).toContain(part.trim().replace(/\s+/g, " "));
  expect(squeezed).toContain("ran 1 h late");
  expect(leftOut).toEqual([]);
  return shown;
}

function probes(count: number, detail: string): readonly ProbeFact[] {
  const states = ["unchecked", "unknown", "failing", "flapping"] as const;
  return Array.from({ length: count }, (_, index) => ({
    name: name("probe", index),
    state: states[index % states.length] ?? "failing",
    detail,
    sinceWall: MORNING - 3 * DAY,
    circuitOpen: true,
    muted: true,
  }));
}

function trends(count: number, detail: string): readonly TrendFact[] {
  return Array.from({ length: count }, (_, index) => ({
    name: name("guard", index),
    answer: index % 2 === 0 ? { kind: "known", asks: true, words: detail } : { kind: "unknown", why: detail },
    restart: {
      job: `${WATCH}/${name("job", index)}`,
      target: name("target", index),
      nextWall: MORNING + 3 * DAY,
    },
  }));
}

function healthFacts(change: Partial<HealthFacts> = {}, detail = PAGE): HealthFacts {
  return {
    watch: WATCH,
    wall: MORNING,
    zone: ZONE,
    probes: probes(30, detail),
    trends: trends(20, detail),
    checks: { ran: 1_000_000, expected: 1_000_001, upTo: MORNING - HOUR },
    restarts: Array.from({ length: 30 }, (_, index) => ({ probe: name("probe", index), wall: MORNING })),
    missedJobs: 1_000,
    troubles: Array.from({ length: 20 }, (_, index) => ({
      job: `${WATCH}/${name("job", index)}`,
      what: detail,
    })),
    rollouts: Array.from({ length: 9 }, (_, index) => ({
      name: name("rollout", index),
      stands: detail,
      nextWall: MORNING + HOUR,
    })),
    incidents: Array.from({ length: 40 }, (_, index) => ({
      name: `i-${String(index).padStart(2, "0")}`,
      acknowledged: index % 3 === 0,
    })),
    paged: { pages: 40, rollbacks: 12 },
    locks: 12,
    onCall: { now: detail, next: { who: detail, wall: MORNING + 9 * HOUR } },
    ...change,
  };
}

function series(index: number, change: Partial<ReviewSeries> = {}): ReviewSeries {
  return {
    name: name("guard", index),
    unit: "bytes",
    max: 625 * 1024 ** 2,
    trend: "+2 MiB/h, limit in 31 h",
    days: Array.from({ length: 7 }, (_, day) => ({
      wall: MORNING - (6 - day) * DAY,
      figures: { min: 1_380_000_001, avg: 1_410_000_002 + day, max: 1_440_000_003 },
    })),
    ...change,
  };
}

describe("the daily health post", () => {
  it("of 30 probes, 20 trends and 20 jobs that are not well fits, and counts what it leaves out", () => {
    const lines = read(healthPost(healthFacts()));
    const named = lines.filter((line) => /^(probe|guard|bot-platform)/.test(line)).length;
    expect(named).toBeGreaterThan(5);
    const more = lines.find((line) => line.startsWith("More"));
    expect(more).toMatch(
      /^More\s+\d+ more: \d+ probes \(\/belay health\), 20 trends, 20 jobs \(\/belay schedule missed\)$/,
    );
    expect(Number(/(\d+) more:/.exec(more ?? "")?.[1])).toBe(70 - named);
    expect(lines.some((line) => line.startsWith("24 h"))).toBe(true);
    expect(lines.some((line) => line.startsWith("Now"))).toBe(true);
  });

  it("names what fails before what is only not known", () => {
    const lines = read(healthPost(healthFacts({}, "refused")));
    const words = lines.filter((line) => line.startsWith("probe")).map((line) => line.split(/\s+/)[1]);
    expect(words.slice(0, 7)).toEqual(Array.from({ length: 7 }, () => "FAILING"));
  });

  it("says in its sentence for notifications how many more there are", () => {
    expect(healthPost(healthFacts({}, "refused")).summary).toMatch(/; and 68 more\.$/);
  });

  it("offers to skip what can be skipped and fits with it", () => {
    const post = healthPost(healthFacts({ probes: [], troubles: [] }));
    expect(post.offers.length).toBeGreaterThan(1);
    expect(new Set(post.offers.map(({ label }) => label)).size).toBe(post.offers.length);
    read(post);
  });
});

describe("the first-week review", () => {
  it("of 20 guards fits, and names those that it leaves out", () => {
    const all = Array.from({ length: 20 }, (_, index) => series(index));
    const post = firstWeekReview({ watch: WATCH, wall: MORNING, zone: ZONE, series: all });
    const lines = read(post);
    const named = lines.filter((line) => line.startsWith("guard"));
    expect(named).toHaveLength(10);
    for (const line of named) expect(line.match(/min 1.29 GiB/g)).toHaveLength(7);
    expect(lines.find((line) => line.startsWith("Not shown"))).toMatch(
      new RegExp(`^Not shown\\s+10 more figures: ${name("guard", 10)}, .* and \\d+ more$`),
    );
    expect(post.summary).toMatch(/ And 10 more figures\.$/);
  });

  it("says how many figures it tells without their days", () => {
    const all = Array.from({ length: 12 }, (_, index) => series(index, { trend: "words ".repeat(33) }));
    const lines = read(firstWeekReview({ watch: WATCH, wall: MORNING, zone: ZONE, series: all }));
    const named = lines.filter((line) => line.startsWith("guard"));
    const days = named.filter((line) => line.includes("By day:"));
    expect(named).toHaveLength(10);
    expect(days.length).toBeGreaterThan(5);
    expect(days.length).toBeLessThan(10);
    expect(lines.find((line) => line.startsWith("Not shown"))).toMatch(
      new RegExp(`^Not shown\\s+by day of ${10 - days.length} figures?; 2 more figures: `),
    );
  });

  it("of as many guards as it shows in full leaves out nothing", () => {
    const all = Array.from({ length: 5 }, (_, index) => series(index));
    const lines = read(firstWeekReview({ watch: WATCH, wall: MORNING, zone: ZONE, series: all }));
    expect(lines.filter((line) => line.includes("By day:"))).toHaveLength(5);
    expect(lines.some((line) => line.startsWith("Not shown"))).toBe(false);
  });

  it("of guards that nobody can tell of fits with every reason", () => {
    const all = Array.from({ length: 20 }, (_, index) => series(index, { days: [], why: PAGE }));
    read(firstWeekReview({ watch: WATCH, wall: MORNING, zone: ZONE, series: all }));
  });
});

describe("the handover post", () => {
  it("of many rollouts, pages and troubles fits, and counts what it leaves out", () => {
    const { rollouts, onCall } = healthFacts();
    const many = Array.from({ length: 20 }, (_, index) => `i-${String(index).padStart(2, "0")} ${PAGE}`);
    const lines = read(
      handoverPost({
        watch: WATCH,
        wall: MORNING,
        zone: ZONE,
        onCall,
        rollouts: [...(rollouts ?? []), ...(rollouts ?? [])],
        incidents: many,
        troubles: many,
      }),
    );
    expect(lines.some((line) => /^More\s+11 more rollouts$/.test(line))).toBe(true);
    for (const label of ["Open pages", "Not well"]) {
      const line = lines.find((one) => one.startsWith(label)) ?? "";
      const named = line.match(/i-\d\d /g)?.length ?? 0;
      expect(named).toBeGreaterThan(2);
      expect(line).toMatch(new RegExp(` and ${20 - named} more$`));
    }
  });
});

describe("any post", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 1_500 });
  const nasty = fc.oneof(
    text,
    fc.constantFrom("&", '"', "\\", "\n", "<", "😀", "\u0000").map((one) => one.repeat(1_500)),
  );

  it("is taken by Slack, whatever words come from outside", () => {
    fc.assert(
      fc.property(nasty, fc.integer({ min: 0, max: 30 }), (detail, count) => {
        const facts = healthFacts({ probes: probes(count, detail), trends: trends(count, detail) }, detail);
        sent(healthPost(facts));
        const all = Array.from({ length: count }, (_, index) =>
          series(index, index % 2 === 0 ? { trend: detail } : { days: [], why: detail }),
        );
        sent(firstWeekReview({ watch: WATCH, wall: MORNING, zone: ZONE, series: all }));
        const words = Array.from({ length: count }, () => detail);
        sent(handoverPost({ ...facts, incidents: words, troubles: words }));
      }),
      { numRuns: 60 },
    );
  });
});
