/** What every journal must do, whatever it is made of: a suite that takes a driver. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Actor, Recorded, RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import type { State } from "../../src/core/rollout/state.ts";
import type { Commit, EvidenceRow, Intake, Journal, OutboxDraft } from "../../src/engine/ports.ts";

export interface JournalDriver<Opened extends Journal = Journal> {
  readonly name: string;
  /** A fresh, empty store; what comes back names it for `open`. */
  newPlace(): Promise<string>;
  dropPlace(place: string): Promise<void>;
  open(place: string): Promise<Opened>;
  /** Lets go of the store, as a Belay that stops does. */
  close(journal: Opened): Promise<void>;
  /** What must hold of the stored data beyond the port, such as an unbroken hash chain; throws when it does not. */
  check(journal: Opened): Promise<void>;
}

/** A driver whose store outlives a killed process. */
export interface DurableJournalDriver<Opened extends Journal = Journal> extends JournalDriver<Opened> {
  /** A JavaScript expression, `await` allowed, that opens the journal at the string `place` in a process of its own. */
  readonly openInChild: string;
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
        outbox: [],
        ...more,
      };
    },
    next(events, more = {}) {
      const expected = told.length;
      const recorded = record(events);
      return { run, expected, events: recorded, state: current(), ended: false, outbox: [], ...more };
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

interface Bench {
  journal(): Journal;
  reopen(): Promise<void>;
}

/** Runs `tests` with a fresh journal for each. */
function withJournal<Opened extends Journal>(
  driver: JournalDriver<Opened>,
  tests: (bench: Bench) => void,
): void {
  let place = "";
  let open: Opened | undefined;
  const bench: Bench = {
    journal() {
      if (open === undefined) throw new Error("no journal is open");
      return open;
    },
    async reopen() {
      if (open !== undefined) await driver.close(open);
      open = await driver.open(place);
    },
  };
  beforeEach(async () => {
    place = await driver.newPlace();
    open = await driver.open(place);
  });
  afterEach(async () => {
    if (open === undefined) return;
    try {
      await driver.check(open);
    } finally {
      await driver.close(open);
      open = undefined;
      await driver.dropPlace(place);
    }
  });
  tests(bench);
}

/** The whole suite for one driver. */
export function journalContract<Opened extends Journal>(driver: JournalDriver<Opened>): void {
  describe(`${driver.name}: runs`, () => withJournal(driver, runTests));
  describe(`${driver.name}: lists of runs`, () => withJournal(driver, listTests));
  describe(`${driver.name}: all or nothing`, () => withJournal(driver, atomicTests));
  describe(`${driver.name}: commands`, () => withJournal(driver, intakeTests));
  describe(`${driver.name}: outbox`, () => withJournal(driver, outboxTests));
  describe(`${driver.name}: generations of a message`, () => withJournal(driver, generationTests));
  describe(`${driver.name}: small things`, () => withJournal(driver, smallTests));
}

function runTests({ journal, reopen }: Bench): void {
  it("gives back what was committed, after a restart too", async () => {
    const run = story("r-1");
    expect(await journal().commit(run.begin(["production/a/X"]))).toEqual({ kind: "ok" });
    expect(await journal().commit(run.next([HELD, RESUMED]))).toEqual({ kind: "ok" });
    await reopen();
    expect(await journal().run("r-1")).toEqual({ plan: samplePlan(), state: run.state() });
    expect(await journal().events("r-1", 3)).toEqual(run.events().slice(2));
    // The order of the fields too: the engine compares events as text.
    expect(JSON.stringify(await journal().events("r-1"))).toBe(JSON.stringify(run.events()));
    expect(await journal().run("r-2")).toBeUndefined();
    expect(await journal().events("r-2")).toEqual([]);
  });

  it("refuses a decision that was made on another revision", async () => {
    const run = story("r-1");
    await journal().commit(run.begin());
    const rival = story("r-1");
    rival.begin();
    await journal().commit(run.next([HELD]));
    expect(await journal().commit(rival.next([STOPPED], { ended: true }))).toEqual({
      kind: "conflict",
    });
    expect(await journal().commit(story("r-1").begin())).toEqual({ kind: "conflict" });
    const unknown = story("r-9");
    unknown.begin();
    expect(await journal().commit(unknown.next([HELD]))).toEqual({ kind: "conflict" });
    expect(await journal().run("r-1")).toEqual({ plan: samplePlan(), state: run.state() });
    expect(await journal().events("r-1")).toEqual(run.events());
  });

  it("lets one live run hold a claim, and the next one when it has ended", async () => {
    const first = story("r-1");
    await journal().commit(first.begin(["production/a/X", "production/a/Y"]));
    const second = story("r-2", samplePlan("other"));
    const begin = second.begin(["production/a/Z", "production/a/Y"]);
    expect(await journal().commit(begin)).toEqual({
      kind: "claimed",
      claim: "production/a/Y",
      run: "r-1",
    });
    expect(await journal().run("r-2")).toBeUndefined();
    await journal().commit(first.next([STOPPED], { ended: true }));
    await reopen();
    expect(await journal().commit(begin)).toEqual({ kind: "ok" });
  });
}

function listTests({ journal, reopen }: Bench): void {
  it("lists open runs, those that still lock a flag among them, oldest first, and the newest run of a rollout", async () => {
    const locking = story("r-z");
    const live = story("r-a", samplePlan("other"));
    const done = story("r-b", samplePlan("third"));
    for (const run of [locking, live, done]) await journal().commit(run.begin());
    const rollback: RolloutEvent = {
      kind: "rollback_started",
      to: -1,
      stages: [0],
      flips: [{ flag: "parallel", from: { kind: "on" }, to: { kind: "off" }, intent: "i" }],
      cause: { kind: "person" },
      by: ANA,
    };
    const locked = locking.next([rollback, { kind: "rollback_off" }, { kind: "rolled_back" }], {
      ended: true,
    });
    expect(Object.keys(locked.state.latched)).toEqual(["parallel"]);
    await journal().commit(locked);
    await journal().commit(done.next([STOPPED], { ended: true }));
    const ids = async (): Promise<readonly string[]> =>
      (await journal().openRuns()).map(({ state }) => state.run);
    expect(await ids()).toEqual(["r-z", "r-a"]);
    await journal().commit(
      locking.next([{ kind: "unlatched", flags: ["parallel"], by: ANA, because: "fixed" }], {
        ended: true,
      }),
    );
    expect(await ids()).toEqual(["r-a"]);
    const again = story("r-0", samplePlan("third"));
    await journal().commit(again.begin());
    await reopen();
    expect((await journal().lastRunOf("third"))?.state.run).toBe("r-0");
    expect((await journal().lastRunOf("ingestion"))?.state.run).toBe("r-z");
    expect(await journal().lastRunOf("none")).toBeUndefined();
    expect(await ids()).toEqual(["r-a", "r-0"]);
  });
}

function atomicTests({ journal, reopen }: Bench): void {
  it("records events, messages and the answered command together", async () => {
    const run = story("r-1");
    await journal().accept(intakeOf("k1", 1));
    await journal().accept(intakeOf("k2", 2));
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")], intake: "k1" }));
    await reopen();
    expect((await journal().unanswered()).map((intake) => intake.key)).toEqual(["k2"]);
    expect((await journal().pending()).map((item) => item.key)).toEqual(["r-1.card"]);
  });

  it("changes nothing at all with a commit that is refused", async () => {
    const owner = story("r-1");
    await journal().commit(owner.begin(["c"]));
    await journal().accept(intakeOf("k1", 1));
    const late = story("r-1");
    late.begin();
    const outbox = [cardDraft("r-2", "other")];
    expect((await journal().commit(story("r-2").begin(["c"], { outbox, intake: "k1" }))).kind).toBe(
      "claimed",
    );
    await journal().commit(owner.next([HELD]));
    expect((await journal().commit(late.next([STOPPED], { outbox, intake: "k1", ended: true }))).kind).toBe(
      "conflict",
    );
    expect(await journal().pending()).toEqual([]);
    expect((await journal().unanswered()).length).toBe(1);
    expect(await journal().events("r-2")).toEqual([]);
    expect((await journal().commit(story("r-3").begin(["c"]))).kind).toBe("claimed");
  });
}

function intakeTests({ journal, reopen }: Bench): void {
  it("takes each key once, also after its answer and a restart", async () => {
    expect(await journal().accept(intakeOf("b", 20))).toBe(true);
    expect(await journal().accept(intakeOf("a", 10))).toBe(true);
    expect(await journal().accept(intakeOf("b", 30))).toBe(false);
    await reopen();
    expect(await journal().unanswered()).toEqual([intakeOf("b", 20), intakeOf("a", 10)]);
    await journal().answer("b", [answerDraft("b.answer", "done")]);
    expect(await journal().accept(intakeOf("b", 40))).toBe(false);
    expect(await journal().unanswered()).toEqual([intakeOf("a", 10)]);
    expect((await journal().pending()).map(({ body }) => body)).toEqual([
      answerDraft("b.answer", "done").body,
    ]);
  });

  it("queues the answer to a command that it never accepted", async () => {
    await journal().answer("unknown", [answerDraft("unknown.answer", "done")]);
    expect((await journal().pending()).length).toBe(1);
    expect(await journal().unanswered()).toEqual([]);
  });
}

function outboxTests({ journal, reopen }: Bench): void {
  it("keeps messages until they are delivered, oldest first", async () => {
    const run = story("r-1");
    const note = cardDraft("r-1", "note", {
      lane: "urgent",
      run: undefined,
      wall: 3,
      body: { kind: "note", run: "r-1", channel: "C1", seq: 1, text: "x" },
    });
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1"), note] }));
    const [card, second] = await journal().pending();
    expect(card).toEqual({ ...cardDraft("r-1"), id: card?.id, generation: 1, attempts: 0 });
    expect(second).toEqual({ ...note, id: second?.id, generation: 1, attempts: 0 });
    if (card === undefined || second === undefined) throw new Error("two messages were to be pending");
    await journal().attempted(card.id);
    await journal().attempted(card.id);
    await reopen();
    expect((await journal().pending()).map(({ attempts }) => attempts)).toEqual([2, 0]);
    await journal().delivered(card, { channel: "C1", ts: "1.5" });
    expect((await journal().pending()).map(({ id }) => id)).toEqual([second.id]);
    await journal().delivered(second, undefined);
    await reopen();
    expect(await journal().pending()).toEqual([]);
    expect(await journal().refOf("r-1.card")).toEqual({ channel: "C1", ts: "1.5" });
    expect(await journal().refOf("note")).toBeUndefined();
    expect(await journal().refOf("none")).toBeUndefined();
  });
}

function generationTests({ journal, reopen }: Bench): void {
  async function onlyItem() {
    const items = await journal().pending();
    const [item] = items;
    if (item === undefined || items.length !== 1)
      throw new Error(`${items.length} messages are pending, expected 1`);
    return item;
  }

  it("makes a known key a new generation of the same message, in place", async () => {
    const run = story("r-1");
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")] }));
    const first = await onlyItem();
    await journal().attempted(first.id);
    await journal().delivered(first, { channel: "C1", ts: "1" });
    const changed = cardDraft("r-1", "r-1.card", {
      lane: "urgent",
      wall: 9,
      body: { kind: "card", run: "r-1", channel: "C2" },
    });
    await journal().commit(run.next([HELD], { outbox: [changed] }));
    await reopen();
    expect(await onlyItem()).toEqual({ ...changed, id: first.id, generation: 2, attempts: 0 });
    expect(await journal().refOf("r-1.card")).toEqual({ channel: "C1", ts: "1" });
  });

  it("keeps a newer generation pending when an older one arrives", async () => {
    const run = story("r-1");
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")] }));
    const old = await onlyItem();
    await journal().attempted(old.id);
    await journal().commit(run.next([HELD], { outbox: [cardDraft("r-1")] }));
    await journal().delivered(old, { channel: "C1", ts: "1" });
    const newer = await onlyItem();
    expect(newer).toMatchObject({ id: old.id, generation: 2, attempts: 0 });
    expect(await journal().refOf("r-1.card")).toEqual({ channel: "C1", ts: "1" });
    await journal().delivered(newer, undefined);
    await journal().delivered(old, undefined);
    expect(await journal().pending()).toEqual([]);
    expect(await journal().refOf("r-1.card")).toEqual({ channel: "C1", ts: "1" });
  });

  it("still knows that an earlier generation was tried, as long as nobody knows where it arrived", async () => {
    const run = story("r-1");
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")] }));
    await journal().attempted((await onlyItem()).id);
    await journal().attempted((await onlyItem()).id);
    await journal().commit(run.next([HELD], { outbox: [cardDraft("r-1")] }));
    await reopen();
    const second = await onlyItem();
    expect(second).toMatchObject({ generation: 2, attempts: 1 });
    await journal().attempted(second.id);
    await journal().attempted(second.id);
    expect((await onlyItem()).attempts).toBe(2);
    await journal().delivered(second, { channel: "C1", ts: "7" });
    await journal().commit(run.next([RESUMED], { outbox: [cardDraft("r-1")] }));
    expect(await onlyItem()).toMatchObject({ generation: 3, attempts: 0 });
  });

  it("does not take a delivery for that of another key", async () => {
    const run = story("r-1");
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")] }));
    const item = await onlyItem();
    await journal().delivered({ ...item, key: "another" }, { channel: "C1", ts: "1" });
    expect((await onlyItem()).id).toBe(item.id);
    expect(await journal().refOf("r-1.card")).toBeUndefined();
  });
}

function smallTests({ journal, reopen }: Bench): void {
  it("names runs shortly and never twice", async () => {
    const names = new Set<string>();
    for (let count = 0; count < 100; count++) names.add(await journal().newRunId());
    await reopen();
    for (let count = 0; count < 100; count++) names.add(await journal().newRunId());
    expect(names.size).toBe(200);
    for (const name of names) expect(name).toMatch(/^[\w-]{3,8}$/);
  });

  it("keeps one evidence row per run, guard and minute, the newest", async () => {
    const row = (guard: string, minute: number, polls: number): EvidenceRow => ({
      run: "r-1",
      guard,
      minute,
      polls,
      values: polls,
      min: undefined,
      max: 0.25,
      last: -1e-9,
      verdicts: { pass: polls },
    });
    await journal().saveEvidence([row("b", 60_000, 1), row("a", 60_000, 2), row("a", 0, 6)]);
    await journal().saveEvidence([row("a", 60_000, 3), { ...row("a", 60_000, 9), run: "r-2" }]);
    await journal().saveEvidence([]);
    await reopen();
    expect(await journal().evidence("r-1")).toEqual([
      row("a", 0, 6),
      row("a", 60_000, 3),
      row("b", 60_000, 1),
    ]);
    expect(await journal().evidence("none")).toEqual([]);
  });

  it("keeps small values", async () => {
    await journal().setMeta("clock", "1");
    await journal().setMeta("clock", "2 \u0000 é");
    await reopen();
    expect(await journal().meta("clock")).toBe("2 \u0000 é");
    expect(await journal().meta("none")).toBeUndefined();
  });
}
