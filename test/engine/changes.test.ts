/** Gathering what changed: every source at once, each flag system once, and an answer in time whoever is silent. */
import { beforeEach, expect, it } from "vitest";
import type { Answer } from "../../src/core/measurement.ts";
import type { Plan } from "../../src/core/plan.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { type ChangesDeps, changes } from "../../src/engine/changes.ts";
import type { CommandAnswer } from "../../src/engine/messages.ts";
import { type FlagChange, type Flags, OutsideFault, type Service } from "../../src/engine/ports.ts";
import { HELD, samplePlan, story } from "../support/journal-contract.ts";
import { openJournal } from "../support/journal-file.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { plainFlags } from "../support/plain-flags.ts";

/** When the stories of runs are told. */
const WALL = 1_760_000_000_000;
const PLAN: Plan = { ...samplePlan(), deploys: { version: "V", label: "version", started: "S" } };

const DOWN = { kind: "down", reason: "refused", detail: "Prometheus: connection refused" } as const;

function body(result: unknown): Answer {
  return { kind: "body", body: { status: "success", data: { resultType: "vector", result } } };
}

const kept: FlagChange = {
  flag: "parallel",
  wall: WALL + MINUTE,
  by: "kim",
  own: false,
  what: "turned\noff",
};

function flagsWith(history: Flags["history"]): Flags {
  const plain = plainFlags({ read: async () => ({}), write: async () => ({}) });
  return { ...plain, can: { ...plain.can, history: true }, history };
}

const still: Service["metrics"] = {
  query: async () => body([]),
  queryRange: async () => ({ kind: "points", points: [] }),
};

let clock: ManualClock;

beforeEach(() => {
  clock = new ManualClock(WALL + 30 * MINUTE);
});

function deps(service: Partial<Service>, extra: Partial<ChangesDeps> = {}): ChangesDeps {
  const connected: Service = {
    flags: flagsWith(async () => []),
    metrics: still,
    readEveryMs: 1_000,
    ...service,
  };
  return {
    clock,
    zone: "UTC",
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    journal: { eventsSince: async () => [], run: async () => undefined },
    connect: () => connected,
    ...extra,
  };
}

/** The answer, with time going by while it is waited for. */
async function answered(asked: Promise<CommandAnswer>): Promise<CommandAnswer> {
  let answer: CommandAnswer | undefined;
  void asked.then((one) => {
    answer = one;
  });
  for (let s = 0; s < 10 && answer === undefined; s++) await clock.advance(SECOND);
  if (answer === undefined) throw new Error("not answered within 10 s");
  return answer;
}

it("tells the journal's changes, the flag system's and the service's on one line of time", async () => {
  const journal = openJournal();
  const run = story("r-1", PLAN);
  await journal.commit(run.begin());
  const flip = {
    flag: "parallel",
    from: { kind: "off" },
    to: { kind: "on" },
    intent: "r-1.2.parallel",
  } as const;
  await journal.commit(
    run.next([
      { kind: "stage_started", stage: 0, substage: 0, flips: [flip], writeBy: 1, verifyBy: 2 },
      HELD,
    ]),
  );
  let histories = 0;
  const flags = flagsWith(async (_, since) => {
    histories++;
    expect(since).toBeLessThan(WALL);
    return [kept, { ...kept, wall: WALL + 2 * SECOND, own: true, by: "belay", what: "turned on" }];
  });
  const version = (wall: number, text: string) => ({
    wall,
    answer: body([{ metric: { version: text }, value: [1, "1"] }]),
  });
  const metrics: Service["metrics"] = {
    query: async () => body([{ metric: {}, value: [1, String((WALL + 20 * MINUTE) / SECOND)] }]),
    queryRange: async () => ({
      kind: "points",
      points: [version(WALL, "1"), { wall: WALL + MINUTE, answer: DOWN }, version(WALL + 10 * MINUTE, "2")],
    }),
  };
  const other = { ...PLAN, rollout: "other" };
  const answer = await answered(changes(deps({ flags, metrics }, { journal }), [PLAN, other], 60 * MINUTE));
  journal.close();
  expect(answer).toMatchObject({ ok: true, text: "Changes in the last 1 h, newest last:" });
  expect(answer.lines.map((line) => line.slice(10))).toEqual([
    "ingestion (r-1): parallel ON, by Belay for stage parallel; @ana started it",
    "file (ingestion, production): parallel turned off, by kim",
    "ingestion (production): 1 -> 2 was deployed",
    "ingestion (production): a process began, by nothing that Belay knows of",
  ]);
  expect(histories).toBe(1);
});

it.each<[string, Partial<Service>, Partial<ChangesDeps>, RegExp]>([
  [
    "a flag system that refuses",
    {
      flags: flagsWith(async () => {
        throw new OutsideFault("Unleash answers 401: the token is not valid", { recoverable: false });
      }),
    },
    {},
    /^Not asked in full: .*flags\.json.*\(Unleash answers 401: the token is not valid\)\.$/,
  ],
  [
    "one that hangs",
    { flags: flagsWith(() => new Promise(() => undefined)) },
    {},
    /^Not asked in full: .*flags\.json.* no answer in 3000 ms\)\.$/,
  ],
  [
    "metrics that are away",
    { metrics: { query: async () => DOWN, queryRange: async () => DOWN } },
    {},
    /^Not asked in full: the metrics of ingestion \(Prometheus: connection refused\)\.$/,
  ],
  [
    "a journal that is gone",
    {},
    {
      journal: {
        eventsSince: () => Promise.reject(new OutsideFault("journal: gone", { recoverable: true })),
        run: async () => undefined,
      },
    },
    /^Not asked in full: Belay's journal \(journal: gone\)\.$/,
  ],
])("%s is named, and the others answer", async (_, service, extra, words) => {
  const answer = await answered(changes(deps(service, extra), [PLAN], 60 * MINUTE));
  expect(answer.lines).toEqual([expect.stringMatching(words)]);
  expect(answer.text).toContain("not everybody could be asked");
});

it("a connection that cannot even be made is named too", async () => {
  const connect = (): Service => {
    throw new OutsideFault("BELAY_UNLEASH_TOKEN is not set", { recoverable: false });
  };
  const answer = await answered(changes(deps({}, { connect }), [PLAN], 60 * MINUTE));
  expect(answer.lines).toHaveLength(2);
  expect(answer.lines.join("\n")).toContain("BELAY_UNLEASH_TOKEN is not set");
});

it("says which stores keep no history", async () => {
  const flags = plainFlags({ read: async () => ({}), write: async () => ({}) });
  const answer = await answered(changes(deps({ flags }), [PLAN], 60 * MINUTE));
  expect(answer.lines).toEqual([expect.stringMatching(/^No history: file of ingestion keeps none/)]);
});
