/** What every journal must do, whatever it is made of: the journals to try, and the stories that the contract tests tell them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import type { IncomingAlert } from "../../src/core/alerts/incoming.ts";
import type { Actor, Recorded, RecordedOf, RolloutEvent } from "../../src/core/event.ts";
import { evolveIncident, type IncidentEvent } from "../../src/core/oncall/incident.ts";
import type { PageRequest } from "../../src/core/oncall/page.ts";
import type { Plan } from "../../src/core/plan.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { evolveJob, type JobEvent } from "../../src/core/watch/job.ts";
import { newProbe, type ProbeEvent } from "../../src/core/watch/probe.ts";
import type { Intake, OutboxDraft } from "../../src/engine/messages.ts";
import type { Commit, Journal } from "../../src/engine/ports.ts";
import type { SubjectCommit, SubjectJournal, SubjectKind, Subjects } from "../../src/engine/watch-ports.ts";

/** A journal while it is open. */
export interface OpenJournal {
  readonly journal: Journal & SubjectJournal;
  /** Lets go of the store, as a Belay that stops does. */
  close(): Promise<void>;
  /** Expects what must hold of the stored data beyond the port, such as an unbroken hash chain. */
  check(): Promise<void>;
}

/** One kind of journal; a new kind is added to `JOURNALS` and is then held to the whole contract. */
export interface JournalDriver {
  readonly name: string;
  /** A fresh, empty store; what comes back names it for `open`. */
  newPlace(): Promise<string>;
  dropPlace(place: string): Promise<void>;
  open(place: string): Promise<OpenJournal>;
  /**
   * For a store that outlives a killed process: a JavaScript expression, `await` allowed, that opens the journal at the string `place` in a
   * process of its own.
   */
  readonly openInChild?: string;
}

const SQLITE_MODULE = new URL("../../src/adapters/journal/sqlite.ts", import.meta.url).href;

const SQLITE: JournalDriver = {
  name: "SQLite",
  newPlace: () => mkdtemp(join(tmpdir(), "belay-journal-")),
  dropPlace: (place) => rm(place, { recursive: true, force: true }),
  async open(place) {
    const journal = openSqliteJournal({ path: join(place, "journal.db") });
    return {
      journal,
      close: async () => journal.close(),
      check: async () => expect(journal.verifyChain()).toEqual({ ok: true }),
    };
  },
  openInChild: `(await import(${JSON.stringify(SQLITE_MODULE)})).openSqliteJournal({ path: place + "/journal.db" })`,
};

export const JOURNALS: readonly JournalDriver[] = [SQLITE];

/** What a test of the contract works with. */
export interface Bench {
  journal(): Journal & SubjectJournal;
  /** Stops and starts: what is not durable is gone afterwards. */
  reopen(): Promise<void>;
}

/** Runs `tests` for every kind of journal, each test with a fresh one, which is checked in the end. */
export function eachJournal(topic: string, tests: (bench: Bench) => void): void {
  describe.each(JOURNALS.map((driver) => ({ driver, name: driver.name })))(
    `${topic}, $name`,
    ({ driver }) => {
      let place = "";
      let open: OpenJournal | undefined;
      beforeEach(async () => {
        place = await driver.newPlace();
        open = await driver.open(place);
      });
      afterEach(async () => {
        try {
          await open?.check();
        } finally {
          await open?.close();
          open = undefined;
          await driver.dropPlace(place);
        }
      });
      tests({
        journal() {
          if (open === undefined) throw new Error("no journal is open");
          return open.journal;
        },
        async reopen() {
          await open?.close();
          open = await driver.open(place);
        },
      });
    },
  );
}

export const ANA: Actor = { kind: "person", id: "U1", name: "ana", via: "slack" };

/** A plan with one stage for one flag. */
export function samplePlan(rollout = "ingestion", flag = "parallel"): Plan {
  return {
    rollout,
    service: "ingestion",
    environment: "production",
    source: "ingestion",
    flags: {
      [flag]: {
        name: flag,
        key: `FEATURE_${flag.toUpperCase()}`,
        on: "true",
        off: "false",
        requires: [],
        undo: "flip",
      },
    },
    stages: [
      {
        name: flag,
        atMs: 0,
        baseline: false,
        substages: [{ set: [{ flag, setting: { kind: "on" } }], soakMs: 60_000 }],
      },
    ],
    guards: [],
    unwind: "newest",
    onBlind: "hold",
    blindAfterMs: 300_000,
    scrapeMs: 1_000,
    queryTimeoutMs: 5_000,
    hasView: false,
    provider: { flipMs: 1_000, restartMs: 0 },
    outside: {
      provider: { kind: "file" },
      prometheus: { url: "http://127.0.0.1:9090", scrape_interval: 1_000 },
    },
  };
}

/** A run as it grows: each step folds events and gives the commit that records them. */
export interface Story {
  readonly run: string;
  state(): State;
  events(): readonly Recorded[];
  begin(claims?: readonly string[], more?: Partial<Commit>): Commit;
  next(events: readonly RolloutEvent[], more?: Partial<Commit>): Commit;
}

/** Tells the story of a run through the real core; time goes on by 100 ms with each event. */
export function story(run: string, plan: Plan = samplePlan()): Story {
  const told: Recorded[] = [];
  let state: State | undefined;

  function record(events: readonly RolloutEvent[]): readonly Recorded[] {
    const added = events.map((event, index) => {
      const seq = told.length + 1 + index;
      return { seq, at: 1_000.5 + seq * 100, wall: 1_760_000_000_000 + seq * 100, event };
    });
    for (const one of added) state = evolve(plan, state, one);
    told.push(...added);
    return added;
  }

  function current(): State {
    if (state === undefined) throw new Error("the story has not begun");
    return state;
  }

  return {
    run,
    state: current,
    events: () => told,
    begin(claims = [], more = {}) {
      const events = record([
        {
          kind: "rollout_started",
          run,
          rollout: plan.rollout,
          planHash: "h",
          by: ANA,
          first: 0,
          end: 0,
          startAt: 1_000,
          recorded: { parallel: { kind: "off" } },
        },
      ]);
      return {
        run,
        expected: 0,
        events,
        state: current(),
        begin: { plan, claims },
        ended: false,
        forward: true,
        outbox: [],
        intakes: [],
        ...more,
      };
    },
    next(events, more = {}) {
      const expected = told.length;
      const recorded = record(events);
      return {
        run,
        expected,
        events: recorded,
        state: current(),
        ended: false,
        forward: false,
        outbox: [],
        intakes: [],
        ...more,
      };
    },
  };
}

export const HELD: RolloutEvent = {
  kind: "held",
  reason: "person",
  detail: 'looks "odd"\nto \u{1F9D7} ana',
  by: ANA,
};
export const RESUMED: RolloutEvent = { kind: "resumed", reasons: ["person"], by: ANA };
export const STOPPED: RolloutEvent = { kind: "stopped", by: ANA };

export function cardDraft(run: string, key = `${run}.card`, more: Partial<OutboxDraft> = {}): OutboxDraft {
  return {
    run,
    key,
    lane: "normal",
    body: { kind: "card", run, channel: "C1" },
    wall: 1_760_000_000_000,
    ...more,
  };
}

export function intakeOf(key: string, at: number): Intake {
  return {
    key,
    text: "rollout rollback",
    noun: "rollout",
    actor: ANA,
    replyTo: { kind: "slack", responseUrl: "http://127.0.0.1/answer", user: "U1", channel: "C1" },
    seen: { run: "r-1", face: 3 },
    at,
    wall: 1_760_000_000_000 + at,
  };
}

export function answerDraft(key: string, text: string): OutboxDraft {
  const answer = { ok: true, code: "ok", text, lines: [], offers: [] };
  return {
    run: undefined,
    key,
    lane: "answer",
    body: { kind: "answer", replyTo: { kind: "none" }, answer },
    wall: 5,
  };
}

/** A subject as it grows: each step counts its revision on and gives the commit that records its events. */
export interface SubjectStory<K extends SubjectKind> {
  state(): Subjects[K]["state"];
  events(): readonly RecordedOf<Subjects[K]["event"]>[];
  next(
    events: readonly Subjects[K]["event"][],
    more?: Partial<Pick<SubjectCommit<K>, "open" | "fires" | "outbox" | "intakes">>,
  ): SubjectCommit<K>;
}

/** Where the time of subjects begins, wall ms; it goes on by 100 ms with each event. */
export const SUBJECT_WALL = 1_770_000_000_000;

function subjectStory<K extends SubjectKind>(
  kind: K,
  id: string,
  stateAt: (revision: number) => Subjects[K]["state"],
): SubjectStory<K> {
  const told: RecordedOf<Subjects[K]["event"]>[] = [];
  return {
    state: () => stateAt(told.length),
    events: () => told,
    next(events, more = {}) {
      const expected = told.length;
      const recorded = events.map((event, index) => {
        const seq = expected + 1 + index;
        return { seq, at: 2_000.5 + seq * 100, wall: SUBJECT_WALL + seq * 100, event };
      });
      told.push(...recorded);
      return {
        kind,
        id,
        expected,
        events: recorded,
        state: stateAt(told.length),
        open: true,
        outbox: [],
        intakes: [],
        ...more,
      };
    },
  };
}

export function jobStory(id: string): SubjectStory<"job"> {
  const added = { kind: "added" as const, job: id, upTo: SUBJECT_WALL };
  const begun = evolveJob(undefined, { seq: 1, at: 2_000.5, wall: SUBJECT_WALL, event: added });
  return subjectStory("job", id, (revision) => ({ ...begun, revision }));
}

export function probeStory(id: string): SubjectStory<"probe"> {
  const begun = newProbe(id, 2_000.5);
  return subjectStory("probe", id, (revision) => ({ ...begun, revision }));
}

/** `id` is the key of its page. */
export function incidentStory(id: string): SubjectStory<"incident"> {
  const event = { ...TRIGGERED, page: { ...PAGE, key: id } };
  const begun = evolveIncident(undefined, { seq: 1, at: 2_000.5, wall: SUBJECT_WALL, event });
  return subjectStory("incident", id, (revision) => ({ ...begun, revision }));
}

export const PAGE: PageRequest = {
  key: "probe:bots/api",
  severity: "P1",
  summary: 'bots/api fails: "no answer"\nLook at \u{1F9D7} the log.',
  service: "bots",
  environment: "production",
  source: "probe",
  wall: SUBJECT_WALL,
};
export const PAUSED: JobEvent = { kind: "paused", by: ANA, because: 'an "odd"\nday \u{1F9D7}' };
export const JOB_RESUMED: JobEvent = { kind: "resumed", by: ANA };
export const MUTED: ProbeEvent = { kind: "muted", until: 3_602_000.5, by: ANA };
export const UNMUTED: ProbeEvent = { kind: "unmuted", by: ANA };
export const TRIGGERED: Extract<IncidentEvent, { kind: "triggered" }> = {
  kind: "triggered",
  name: "i-7Q2",
  page: PAGE,
  ackWithinMs: 300_000,
};
export const ACCEPTED: IncidentEvent = { kind: "accepted", action: "trigger" };

export function pageDraft(key = `page:${PAGE.key}`): OutboxDraft {
  return { run: undefined, key, lane: "page", body: { kind: "page", page: PAGE }, wall: SUBJECT_WALL };
}

/** A firing; `detail` makes two bodies under one key differ. */
export function firing(fingerprint: string, startsAt = SUBJECT_WALL, detail = "5 %"): IncomingAlert {
  return {
    key: `${fingerprint}@${startsAt}`,
    fingerprint,
    status: "firing",
    startsAt,
    labels: { alertname: "HighErrorRate", service: "ingestion", environment: "production" },
    annotations: { summary: `errors at ${detail}` },
  };
}
