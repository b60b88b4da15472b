/** What the scheduled posts gather: from the journal, from Prometheus, and from sources that may be away. */
import { describe, expect, it } from "vitest";
import { BELAY } from "../../src/core/event.ts";
import type { Answer } from "../../src/core/measurement.ts";
import { evolveIncident, type Incident, type IncidentEvent } from "../../src/core/oncall/incident.ts";
import type { PageRequest } from "../../src/core/oncall/page.ts";
import type { Guard } from "../../src/core/plan.ts";
import type { Alert } from "../../src/core/report/told.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { JobState } from "../../src/core/watch/job.ts";
import { formatTime } from "../../src/core/watch/job-clock.ts";
import type { Probe } from "../../src/core/watch/plan.ts";
import { evolveProbe, newProbe, type ProbeEvent, type ProbeState } from "../../src/core/watch/probe.ts";
import { CheckCounts } from "../../src/engine/health-counts.ts";
import type { Metrics, RangeAnswer } from "../../src/engine/ports.ts";
import { buildPost, type PostSources } from "../../src/engine/posts.ts";
import type { JobStanding } from "../../src/engine/schedules-run.ts";
import { aJob, aWatch } from "../support/jobs.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { createSubjectMemory, type SubjectMemory } from "../support/subject-memory.ts";

/** Thursday, 09:00 in Helsinki. */
const MORNING = Date.UTC(2026, 10, 26, 7);
const TREND = {
  name: "memory",
  query: "m",
  freshness: "f",
  limit: 1e9,
  unit: "bytes",
  horizonMs: HOUR,
} as const;

const NOTHING = (): undefined => undefined;

function aProbe(name: string): Probe {
  return {
    name,
    check: { kind: "tcp", host: "127.0.0.1", port: 1 },
    intervalMs: MINUTE,
    timeoutMs: SECOND,
    fail: 3,
    ok: 2,
    recoverWithinMs: 5 * MINUTE,
  };
}

const PLAN = aWatch({ probes: [aProbe("api"), aProbe("db")], trends: [TREND] });

const KNOWN: JobState = {
  schema: 1,
  id: "bots/nightly",
  revision: 1,
  since: MORNING - 30 * DAY,
  claimedUpTo: MORNING,
  recent: [],
  troubles: [],
};

function standing(state: Partial<JobState> = {}): JobStanding {
  return {
    job: aJob({ action: { kind: "restart", target: "bots", onlyIf: "memory" } }),
    state: { ...KNOWN, ...state },
    nextWall: MORNING + 18 * HOUR,
  };
}

interface Ground {
  readonly memory: SubjectMemory;
  readonly sources: PostSources;
  readonly clock: ManualClock;
  readonly warned: string[];
}

function ground(change: Partial<PostSources> = {}): Ground {
  const memory = createSubjectMemory();
  const clock = new ManualClock(MORNING);
  const warned: string[] = [];
  const sources: PostSources = {
    clock,
    journal: memory,
    log: {
      info: () => undefined,
      warn: (_, fields) => warned.push(String(fields?.["missing"])),
      error: () => undefined,
    },
    askTrend: async () => ({ asks: false, words: "flat (+0.2 MB/h)" }),
    rollouts: async () => [{ name: "bots", stands: "canary soaking", nextWall: MORNING + 5 * HOUR }],
    locks: async () => 1,
    onCall: async () => ({ now: "@ben", next: { who: "@eve", wall: MORNING + 9 * HOUR } }),
    metrics: () => metrics(() => ({ kind: "down", reason: "refused", detail: "refused" })),
    guards: () => [],
    ...change,
  };
  return { memory, sources, clock, warned };
}

function metrics(range: (promql: string, from: number, to: number, step: number) => RangeAnswer): Metrics {
  return {
    query: () => Promise.reject(new Error("not asked here")),
    queryRange: async (query, from, to, step) => range(query, from, to, step),
  };
}

/** Counts both probes' checks of the hours before an instant, hour by hour; `ran` in the oldest of the 24 that a post looks at. */
async function countChecks(memory: SubjectMemory, ran = 60, upTo = MORNING): Promise<void> {
  for (let hour = 30; hour > 0; hour--)
    for (const probe of ["api", "db"])
      await memory.countChecks(`bots/${probe}`, upTo - hour * HOUR, hour === 24 ? ran : 60, 0);
}

async function putProbe(
  memory: SubjectMemory,
  name: string,
  ...events: readonly (readonly [number, ProbeEvent])[]
): Promise<void> {
  const id = `bots/${name}`;
  let state: ProbeState = newProbe(id, 0);
  const recorded = events.map(([wall, event], index) => ({
    seq: index + 1,
    at: wall - MORNING,
    wall,
    event,
  }));
  for (const one of recorded) state = evolveProbe(state, one);
  await memory.commitSubject({
    kind: "probe",
    id,
    expected: 0,
    events: recorded,
    state,
    open: true,
    outbox: [],
    intakes: [],
  });
}

/** A page about a service, as its own desk commits it. */
async function putPage(
  memory: SubjectMemory,
  name: string,
  wall: number,
  about: Partial<PageRequest> = {},
  ...later: readonly IncidentEvent[]
): Promise<void> {
  const page: PageRequest = {
    key: name,
    severity: "P1",
    summary: "pool at 91 %",
    service: "bots",
    environment: "production",
    source: "probe",
    wall,
    ...about,
  };
  const events = [{ kind: "triggered", name, page } as const, ...later].map((event, index) => ({
    seq: index + 1,
    at: wall - MORNING,
    wall,
    event,
  }));
  let state: Incident | undefined;
  for (const one of events) state = evolveIncident(state, one);
  if (state === undefined) throw new Error("a page has an event");
  const open = state.phase !== "resolved";
  await memory.commitSubject({
    kind: "incident",
    id: name,
    expected: 0,
    events,
    state,
    open,
    outbox: [],
    intakes: [],
  });
}

function text({ title, lines }: Alert): readonly string[] {
  return [
    title,
    ...lines.map(
      ({ label, parts }) =>
        `${label} | ${parts.map((part) => (typeof part === "string" ? part : `<${formatTime(part.wall, "Europe/Helsinki")}>`)).join("")}`,
    ),
  ];
}

describe("the daily health post", () => {
  it("is one line when all is well", async () => {
    const { memory, sources } = ground();
    await countChecks(memory, 60, MORNING - HOUR);
    expect(text(await buildPost(sources, PLAN, "health", MORNING, [standing()]))).toEqual([
      "Health Thu 26 Nov: all 3 fine",
      "24 h | 2,880 of 2,880 checks ran (24 h to <08:00>) · no auto-restarts · no pages · missed jobs 0 · pages 0 open · rollouts 1 live (bots next <14:00>) · locks 1 · on-call @ben → @eve <18:00>",
    ]);
  });

  it("tells of probes, restarts by itself, trends and jobs", async () => {
    const { memory, sources } = ground({
      askTrend: async () => ({ asks: true, words: "+38 MB/h, limit in 31 h" }),
    });
    await countChecks(memory, 59, MORNING - HOUR);
    const started = {
      kind: "restart_started",
      target: "api",
      replica: 0,
      of: 2,
      by: BELAY,
      upBy: 0,
    } as const;
    const night = MORNING - 7 * HOUR;
    await putProbe(
      memory,
      "api",
      [night, { kind: "failing", since: night - MORNING, detail: "refused" }],
      [night + SECOND, { ...started, planned: false }],
      [night + 2 * SECOND, { ...started, planned: false, replica: 1 }],
      [
        night + 3 * SECOND,
        { kind: "restart_failed", target: "api", replica: 1, planned: false, detail: "timed out" },
      ],
      [night + MINUTE, { ...started, planned: false }],
      [
        night + MINUTE + 4 * SECOND,
        { kind: "restart_done", target: "api", replica: 0, planned: false, tookMs: 4_000 },
      ],
      [night + MINUTE + 9 * SECOND, { kind: "recovered", tookMs: 69_000, withinMs: 300_000, restarts: 2 }],
      [night + HOUR, { ...started, planned: true }],
      [
        night + 2 * HOUR,
        { ...started, planned: false, by: { kind: "person", id: "U", name: "ana", via: "slack" } },
      ],
    );
    await putProbe(memory, "db", [MORNING - HOUR, { kind: "failing", since: -HOUR, detail: "timed out" }]);
    const troubles = [
      { instant: MORNING - 3 * DAY, wall: MORNING - 3 * DAY, result: "failed", detail: "old", count: 1 },
      {
        instant: MORNING - 6 * HOUR,
        wall: MORNING - 4 * HOUR,
        result: "missed",
        detail: "2 h late",
        count: 2,
      },
    ] as const;
    expect(text(await buildPost(sources, PLAN, "health", MORNING, [standing({ troubles })]))).toEqual([
      "Health Thu 26 Nov: 1 of 3 fine",
      "db | FAILING for 1 h: timed out",
      "memory | +38 MB/h, limit in 31 h → restart due <03:00>",
      "bots/nightly | 2 fires up to Thu 26 Nov 03:00 missed: 2 h late (times of Europe/Helsinki)",
      "24 h | 2,878 of 2,880 checks ran (24 h to <08:00>) · 2 auto-restarts (api <02:00>, failed; api <02:01>, ok after 9 s) · no pages",
      "Now | missed jobs 2 · pages 0 open · rollouts 1 live (bots next <14:00>) · locks 1 · on-call @ben → @eve <18:00>",
    ]);
  });

  it("tells of this service's open pages, of those of the last day, and of a rollout that is held", async () => {
    const { memory, sources } = ground({
      rollouts: async () => [{ name: "bots", stands: "held, blind: no data", trouble: "HELD, BLIND" }],
    });
    await countChecks(memory);
    const ben = { kind: "person", id: "U2", name: "ben", via: "slack" } as const;
    const word = { by: ben, through: "slack", occurredAt: MORNING - HOUR } as const;
    const rollback = { source: "rollout", run: "bots-1", tells: { about: "rollback", seq: 9 } } as const;
    await putPage(memory, "i-OLD", MORNING - 2 * DAY, {}, { kind: "acknowledged", ...word });
    await putPage(memory, "i-2W2", MORNING - 9 * HOUR, rollback);
    await putPage(memory, "i-END", MORNING - 8 * HOUR, {}, { kind: "resolved", ...word });
    await putPage(memory, "i-DRL", MORNING - 7 * HOUR, { source: "drill" }, { kind: "resolved", ...word });
    await putPage(memory, "i-FAR", MORNING - 6 * HOUR, { service: "shop" });
    await putPage(memory, "i-KQH", MORNING - 5 * HOUR);
    expect(text(await buildPost(sources, PLAN, "health", MORNING, [standing()]))).toEqual([
      "Health Thu 26 Nov: 3 of 3 fine, but 3 pages open, bots HELD, BLIND",
      "Pages | 3 open, 2 not acknowledged (i-2W2, i-KQH)",
      "bots | held, blind: no data",
      "24 h | 2,880 of 2,880 checks ran (24 h to <08:00>) · no auto-restarts · 3 pages (1 for a rollback)",
      "Now | missed jobs 0 · pages 3 open · rollouts 1 live (bots HELD, BLIND) · locks 1 · on-call @ben → @eve <18:00>",
    ]);
  });

  it("names the restart by hand where a planned one had no evidence", async () => {
    const { memory, sources } = ground({ askTrend: async () => ({ unknown: "stale" }) });
    await countChecks(memory);
    const at = MORNING - 4 * HOUR;
    const troubles = [{ instant: at, wall: at, result: "no_evidence", detail: "stale", count: 1 }] as const;
    const post = text(await buildPost(sources, PLAN, "health", MORNING, [standing({ troubles })]));
    expect(post.slice(1, 3)).toEqual([
      "memory | no evidence: stale; without evidence bots/nightly does not restart, /belay health restart bots/bots does",
      "bots/nightly | Thu 26 Nov 05:00 not done: no evidence: stale (times of Europe/Helsinki); without evidence: /belay health restart bots/bots",
    ]);
  });

  it("names a muted probe as muted, in the handover too", async () => {
    const { memory, sources } = ground();
    await countChecks(memory);
    const ana = { kind: "person", id: "U", name: "ana", via: "slack" } as const;
    await putProbe(memory, "db", [MORNING - HOUR, { kind: "muted", until: DAY, by: ana }]);
    const post = text(await buildPost(sources, PLAN, "health", MORNING, [standing()]));
    expect(post.slice(0, 2)).toEqual(["Health Thu 26 Nov: 2 of 3 fine", "db | well (muted)"]);
    const handover = text(await buildPost(sources, PLAN, "handover", MORNING, []));
    expect(handover.at(-1)).toBe("Not well | db well (muted)");
  });

  it("does not call a probe well that was never checked", async () => {
    const { memory, sources } = ground();
    await memory.countChecks("bots/api", MORNING - 7 * HOUR, 420, 0);
    await memory.countChecks("bots/db", MORNING - 2 * DAY, 420, 0);
    const post = text(await buildPost(sources, PLAN, "health", MORNING, [standing()]));
    expect(post.slice(0, 2)).toEqual([
      "Health Thu 26 Nov: 2 of 3 fine",
      "db | not checked: no check ran in 24 h",
    ]);
  });

  it("expects no checks from before the watch was known", async () => {
    const { memory, sources } = ground();
    await countChecks(memory, 60, MORNING - HOUR);
    const post = text(
      await buildPost(sources, PLAN, "health", MORNING, [standing({ since: MORNING - 3 * HOUR })]),
    );
    expect(post[1]).toContain("240 of 240 checks ran");
    const first = text(
      await buildPost(sources, PLAN, "health", MORNING, [standing({ since: MORNING - HOUR })]),
    );
    expect(first[1]).toContain("checks not counted yet");
  });

  it("counts the last 24 hours to the hour, with what was counted up to now", async () => {
    const memory = createSubjectMemory();
    const counts = new CheckCounts(memory, { info: NOTHING, warn: NOTHING, error: NOTHING });
    const { sources } = ground({ journal: memory, flushChecks: () => counts.flush() });
    const from = MORNING - DAY;
    for (let wall = from - 2 * HOUR; wall < MORNING; wall += MINUTE)
      // Nothing ran in the first ten minutes of the 24 hours; and what ran before and after them is of other days.
      for (const probe of PLAN.probes)
        if (wall < from || wall >= from + 10 * MINUTE) counts.add(`bots/${probe.name}`, wall, false);
    const about = async (wall: number): Promise<string> =>
      (text(await buildPost(sources, PLAN, "health", wall, [standing()]))[1] ?? "").split(" · ")[0] ?? "";
    expect(await about(MORNING)).toBe("24 h | 2,860 of 2,880 checks ran");
    expect(await about(MORNING + 59 * MINUTE)).toBe("24 h | 2,860 of 2,880 checks ran (24 h to <09:00>)");
    expect(await about(MORNING + HOUR)).toBe("24 h | 2,760 of 2,880 checks ran");
  });

  it("goes out with gaps when sources reject or hang", async () => {
    const { memory, sources, clock, warned } = ground({
      askTrend: () => Promise.reject(new Error("away")),
      rollouts: () => Promise.reject(new Error("away")),
      locks: () => new Promise(() => undefined),
      onCall: () => new Promise(() => undefined),
    });
    memory.mood("away");
    const building = buildPost(sources, PLAN, "health", MORNING, []);
    await clock.advance(MINUTE);
    expect(text(await building)).toEqual([
      "Health Thu 26 Nov: 0 of 3 fine",
      "api | unknown, nobody can tell: the journal is away",
      "db | unknown, nobody can tell: the journal is away",
      "memory | no evidence: no answer",
      "24 h | checks not counted yet · auto-restarts unknown · pages unknown",
      "Now | missed jobs 0 · pages unknown · rollouts unknown · locks unknown · on-call unknown",
    ]);
    expect(new Set(warned)).toEqual(
      new Set([
        "checks",
        "probes",
        "memory",
        "restarts",
        "rollouts",
        "open pages",
        "pages",
        "locks",
        "on-call",
      ]),
    );
  });
});

describe("the handover post", () => {
  it("gathers who, rollouts, open pages and probes that are not well", async () => {
    const { memory, sources } = ground();
    await putProbe(memory, "db", [MORNING - HOUR, { kind: "failing", since: -HOUR, detail: "timed out" }]);
    expect(text(await buildPost(sources, PLAN, "handover", MORNING + 9 * HOUR, []))).toEqual([
      "Handover bots 18:00 Europe/Helsinki: on-call @ben → @eve 18:00",
      "bots | canary soaking, next step <14:00>",
      "Open pages | none",
      "Not well | db failing: timed out",
    ]);
  });
});

describe("the first-week review", () => {
  const base = {
    freshness: "f",
    intervalMs: 10_000,
    windowMs: 0,
    breach: { k: 2, n: 3 },
    consequence: "page",
  } as const;
  const errors: Guard = {
    ...base,
    kind: "threshold",
    name: "errors",
    query: "e",
    max: 0.01,
    unit: "percent",
  };
  const memory: Guard = { ...base, ...TREND, kind: "trend" };
  const alive: Guard = {
    ...base,
    kind: "alive",
    name: "up",
    query: "u",
    others: "o",
    consequence: "rollback",
  };

  function body(...values: readonly string[]): Answer {
    const result = values.map((value, index) => ({ metric: { instance: String(index) }, value: [0, value] }));
    return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
  }

  it("asks for seven days of the zone's calendar and takes the worst series of each point", async () => {
    const asked: string[] = [];
    const range = (promql: string, from: number, to: number, step: number): RangeAnswer => {
      asked.push(`${promql} ${new Date(from).toISOString()} ${new Date(to).toISOString()} ${step / MINUTE}`);
      if (promql === "e") return { kind: "down", reason: "refused", detail: "refused" };
      const points = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => {
        const wall = from + index * step;
        const day = Math.floor((wall + 2 * HOUR) / DAY);
        // Nothing on the third day; otherwise one series counts the days and the other is a little higher.
        const value = day - Math.floor((MORNING + 2 * HOUR) / DAY) + 7;
        return { wall, answer: value === 3 ? body("NaN") : body(`${value * 100}`, `${value * 100 + 10}`) };
      });
      return { kind: "points", points };
    };
    const { sources } = ground({ metrics: () => metrics(range), guards: () => [alive, memory, errors] });
    const post = await buildPost(sources, PLAN, "first-week-review", MORNING, []);
    expect(asked).toEqual([
      "m 2026-11-19T22:00:00.000Z 2026-11-26T07:00:00.000Z 10",
      "e 2026-11-19T22:00:00.000Z 2026-11-26T07:00:00.000Z 10",
    ]);
    const lines = text(post);
    expect(lines[0]).toBe("Review of bots: 7 days to Thu 26 Nov");
    expect(lines[1]).toContain(
      "memory | ▁▂·▅▆▇█ average 110 B → 710 B, lowest 110 B, highest 710 B, limit 954 MiB; trend flat (+0.2 MB/h). By day: Fri 20 Nov min 110 B",
    );
    expect(lines[1]).toContain("Sun 22 Nov no data");
    expect(lines[2]).toBe("errors | no data: refused");
    expect(lines).toHaveLength(3);
  });

  it("says which figure did not come when Prometheus hangs", async () => {
    const { sources, clock } = ground({
      metrics: () => ({
        query: () => new Promise(() => undefined),
        queryRange: () => new Promise(() => undefined),
      }),
      guards: () => [errors],
    });
    const building = buildPost(sources, PLAN, "first-week-review", MORNING, []);
    await clock.advance(3 * MINUTE);
    expect(text(await building)[1]).toBe("errors | no data: errors: no answer in 120000 ms");
  });
});
