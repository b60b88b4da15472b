/** What every journal promises of runs: compare-and-set, claims, lists, and commits that are whole or not there. */
import { expect, it } from "vitest";
import type { RolloutEvent } from "../../src/core/event.ts";
import {
  ANA,
  cardDraft,
  eachJournal,
  HELD,
  intakeOf,
  jobStory,
  PAUSED,
  RESUMED,
  STOPPED,
  samplePlan,
  story,
} from "../support/journal-contract.ts";

eachJournal("runs", ({ journal, reopen }) => {
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
    const { begin: _plan, ...bare } = story("r-9").begin();
    expect(await journal().commit(bare)).toEqual({ kind: "conflict" });
    const twice = story("r-1");
    twice.begin();
    twice.next([HELD]);
    const again = twice.next([RESUMED], { begin: { plan: samplePlan(), claims: [] } });
    expect(await journal().commit(again)).toEqual({ kind: "conflict" });
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
});

eachJournal("lists of runs", ({ journal, reopen }) => {
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
});

eachJournal("events of all runs", ({ journal, reopen }) => {
  const told = async (wall: number, most: number, kinds?: readonly RolloutEvent["kind"][]) =>
    (await journal().eventsSince(wall, most, kinds)).map(
      ({ run, recorded }) => `${run} ${recorded.event.kind}`,
    );

  it("come in the order of time, the newest of them, and no subject's", async () => {
    const first = story("r-1");
    const second = story("r-2", samplePlan("other"));
    await journal().commitSubject(jobStory("watch/job").next([PAUSED]));
    await journal().commit(first.begin());
    await journal().commit(first.next([HELD, RESUMED]));
    await journal().commit(second.begin());
    await reopen();
    expect(await told(0, 10)).toEqual([
      "r-1 rollout_started",
      "r-2 rollout_started",
      "r-1 held",
      "r-1 resumed",
    ]);
    expect(await told(0, 2)).toEqual(["r-1 held", "r-1 resumed"]);
    expect(await told(0, 10, ["held", "rollout_started"])).toEqual([
      "r-1 rollout_started",
      "r-2 rollout_started",
      "r-1 held",
    ]);
    expect(await told(0, 2, ["rollout_started"])).toEqual(["r-1 rollout_started", "r-2 rollout_started"]);
    expect(await told(0, 10, [])).toEqual([]);
  });

  it("begin with the instant that is asked for, and are as they were committed", async () => {
    const run = story("r-1");
    await journal().commit(run.begin());
    await journal().commit(run.next([HELD, RESUMED]));
    const [, held, resumed] = run.events();
    const found = await journal().eventsSince(held?.wall ?? 0, 10);
    expect(found).toEqual([
      { run: "r-1", recorded: held },
      { run: "r-1", recorded: resumed },
    ]);
    expect(await journal().eventsSince((resumed?.wall ?? 0) + 1, 10)).toEqual([]);
  });
});

eachJournal("all or nothing", ({ journal, reopen }) => {
  it("records events, messages and the answered command together", async () => {
    const run = story("r-1");
    await journal().accept(intakeOf("k1", 1));
    for (const key of ["k2", "k3", "k4"]) await journal().accept(intakeOf(key, 2));
    await journal().commit(run.begin([], { outbox: [cardDraft("r-1")], intakes: ["k1"] }));
    await reopen();
    expect((await journal().unanswered()).map((intake) => intake.key)).toEqual(["k2", "k3", "k4"]);
    // A key that was never accepted, because the journal was away then, is no mistake.
    await journal().commit(run.next([HELD, RESUMED], { intakes: ["k2", "never accepted", "k4"] }));
    expect((await journal().unanswered()).map((intake) => intake.key)).toEqual(["k3"]);
    expect((await journal().pending()).map((item) => item.key)).toEqual(["r-1.card"]);
  });

  it("changes nothing at all with a commit that is refused", async () => {
    const owner = story("r-1");
    await journal().commit(owner.begin(["c"]));
    await journal().accept(intakeOf("k1", 1));
    const late = story("r-1");
    late.begin();
    const outbox = [cardDraft("r-2", "other")];
    expect((await journal().commit(story("r-2").begin(["c"], { outbox, intakes: ["k1"] }))).kind).toBe(
      "claimed",
    );
    await journal().commit(owner.next([HELD]));
    expect(
      (await journal().commit(late.next([STOPPED], { outbox, intakes: ["k1"], ended: true }))).kind,
    ).toBe("conflict");
    expect(await journal().pending()).toEqual([]);
    expect((await journal().unanswered()).length).toBe(1);
    expect(await journal().events("r-2")).toEqual([]);
    expect((await journal().commit(story("r-3").begin(["c"]))).kind).toBe("claimed");
  });
});
