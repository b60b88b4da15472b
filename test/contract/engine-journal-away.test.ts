/** The engine on its real files while the journal is away or loses replies: each command takes effect once, is answered once, and never again at a later start. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { DurableEngine, type Fate } from "../support/durable-engine.ts";
import { until } from "../support/eventually.ts";
import { HELD } from "../support/journal-contract.ts";

let house: DurableEngine;

beforeEach(() => {
  house = new DurableEngine();
});

afterEach(() => {
  house.drop();
});

/** A rollout with both flags on; its run. */
async function bothOn(): Promise<string> {
  await house.start();
  const answer = await house.ask("start", "rollout start parser");
  expect(answer).toMatchObject({ ok: true, code: "started" });
  await until("parallel is on and soaks", () => house.run()?.stages[1]?.status === "soaking");
  return answer.run ?? "";
}

/** From now on the journal takes no decision and no answer, but still takes commands in. */
function withholdWrites(fate: Fate = "refused"): void {
  house.fate = (call) => (call === "journal.commit" || call === "journal.answer" ? fate : "works");
}

describe("decisions that the journal could not take", () => {
  it("close all their commands with the commit that brings them in", async () => {
    const run = await bothOn();
    withholdWrites();
    expect(await house.ask("back", "rollout rollback")).toMatchObject({ ok: true, code: "done" });
    expect(await house.ask("hold", "rollout hold")).toMatchObject({ ok: true, code: "done" });
    expect(await house.open()).toEqual(["back", "hold"]);
    house.fate = (call) => (call === "journal.answer" ? "refused" : "works");
    await until("the journal has the rollback", async () => {
      return (await house.events(run, "rollback_started")).length === 1;
    });
    expect(await house.open()).toEqual([]);
    expect(readFileSync(house.spoolPath, "utf8")).toBe("");
  });

  it("close all their commands when the commit arrived and only its reply was lost", async () => {
    const run = await bothOn();
    withholdWrites();
    await house.ask("back", "rollout rollback");
    await house.ask("hold", "rollout hold");
    let lost = 0;
    house.fate = (call) => (call === "journal.commit" && lost++ === 0 ? "reply lost" : "works");
    await until(
      "what is owed has been settled",
      () => lost > 1 && readFileSync(house.spoolPath, "utf8") === "",
    );
    expect((await house.events(run, "rollback_started")).length).toBe(1);
    expect(await house.open()).toEqual([]);
  });

  it("close and answer their commands from the spool at the next start, and take nothing further back", async () => {
    const run = await bothOn();
    withholdWrites();
    await house.ask("back", "rollout rollback");
    await until("parallel is off and that has been seen", () => house.run()?.rollback?.offAt !== undefined);
    house.stop();
    expect(await house.open()).toEqual(["back"]);
    house.fate = () => "works";
    house.sent.length = 0;
    await house.start();
    expect(await house.open()).toEqual([]);
    await until("the command is answered", () => house.sent.some(({ key }) => key === "answer:back"));
    expect(house.sent.find(({ key }) => key === "answer:back")?.text).toBe("Rolling back parallel.");
    await until("production has recovered", () => house.run()?.phase === "walking");
    expect((await house.events(run, "rollback_started")).length).toBe(1);
    expect([house.isOn("cache"), house.isOn("parallel")]).toEqual([true, false]);
  });

  it("stay in the spool until the journal has taken them, also when it holds more than was read", async () => {
    const run = await bothOn();
    withholdWrites();
    await house.ask("back", "rollout rollback");
    house.stop();
    house.fate = () => "works";
    // As if nobody had asked: only the spool knows of the rollback.
    await house.journal.answer("back", []);
    house.beforeCommit = async () => {
      house.beforeCommit = undefined;
      const stored = await house.journal.run(run);
      if (stored === undefined) throw new Error("the run is not there");
      const { plan, state } = stored;
      const { steady, wall } = house.clock.now();
      const held = { seq: state.revision + 1, at: steady, wall, event: HELD };
      await house.journal.commit({
        run,
        expected: state.revision,
        events: [held],
        state: evolve(plan, state, held),
        ended: false,
        forward: false,
        outbox: [],
        intakes: [],
      });
    };
    await house.start();
    expect((await house.events(run, "rollback_started")).length).toBe(1);
    expect(readFileSync(house.spoolPath, "utf8")).toBe("");
    await until("parallel is off", () => !house.isOn("parallel"));
  });
});

describe("a rollback that is found unanswered at a start", () => {
  it("is not carried out again when the run went back after it was asked; a farther one is", async () => {
    const run = await bothOn();
    const asked = [house.intake("old", "rollout rollback"), house.intake("all", "rollout rollback all")];
    await house.ask("back", "rollout rollback");
    await until("production has recovered", () => house.run()?.phase === "walking");
    house.stop();
    const [old, all] = asked;
    if (old === undefined || all === undefined) throw new Error("nothing was asked");
    await house.journal.accept(old);
    await house.start();
    await until("it is answered", async () => (await house.open()).length === 0);
    await until("the answer is sent", () => house.sent.some(({ key }) => key === "answer:old"));
    expect(house.sent.find(({ key }) => key === "answer:old")?.text).toContain("went back already");
    expect((await house.events(run, "rollback_started")).length).toBe(1);
    expect(house.isOn("cache")).toBe(true);
    house.stop();
    await house.journal.accept(all);
    await house.start();
    await until("cache is off", () => !house.isOn("cache"));
  });
});

describe("the start of a rollout", () => {
  it("is answered as begun, and begins, when its commit arrived and only the reply was lost", async () => {
    await house.start();
    let lost = 0;
    house.fate = (call) => (call === "journal.commit" && lost++ === 0 ? "reply lost" : "works");
    const answer = await house.ask("start", "rollout start parser");
    expect(answer).toMatchObject({ ok: true, code: "started" });
    expect(house.run()).toMatchObject({ run: answer.run, phase: "walking" });
    await until("cache is on", () => house.isOn("cache"));
  });

  it("changes nothing when the journal did not take it, and can be asked for again", async () => {
    await house.start();
    house.fate = (call) => (call === "journal.commit" ? "refused" : "works");
    const answer = await house.ask("start", "rollout start parser");
    expect(answer).toMatchObject({ ok: false, code: "journal_unavailable" });
    expect(answer.text).toContain("Nothing changed");
    house.fate = () => "works";
    expect(await house.ask("again", "rollout start parser")).toMatchObject({ ok: true, code: "started" });
    expect(house.engine.runs().length).toBe(1);
  });

  it("says that it is not known when the journal cannot be read back, and takes the run over as soon as it can", async () => {
    await house.start();
    house.fate = (call) =>
      call === "journal.commit" ? "reply lost" : call === "journal.run" ? "refused" : "works";
    const answer = await house.ask("start", "rollout start parser");
    expect(answer).toMatchObject({ ok: false, code: "journal_unavailable" });
    expect(answer.text).toContain("not known");
    expect(answer.text).not.toContain("Nothing changed");
    expect(house.run()).toBeUndefined();
    house.fate = () => "works";
    await until("the run is taken over", () => house.run() !== undefined);
    await until("cache is on", () => house.isOn("cache"));
    await until("the person is told", () => house.sent.some(({ key }) => key === "answer:start"));
    expect(house.sent.find(({ key }) => key === "answer:start")?.text).toBe("parser starts at cache.");
    expect(house.sent.find(({ key }) => key === "answer:start:doubtful")?.text).toBe(answer.text);
    expect(await house.ask("again", "rollout start parser")).toMatchObject({ code: "already_live" });
  });

  it("tells later that nothing was recorded, when the journal says so", async () => {
    await house.start();
    house.fate = (call) => (call === "journal.commit" || call === "journal.run" ? "refused" : "works");
    const answer = await house.ask("start", "rollout start parser");
    expect(answer.text).toContain("not known");
    expect(await house.open()).toEqual(["start"]);
    house.fate = () => "works";
    await until("the person is told", () => house.sent.some(({ key }) => key === "answer:start"));
    expect(house.sent.find(({ key }) => key === "answer:start")?.text).toContain("was not recorded");
    expect(await house.open()).toEqual([]);
    expect(await house.ask("again", "rollout start parser")).toMatchObject({ ok: true, code: "started" });
  });

  it("does not begin minutes later: a start that turns out to be recorded then ends without a step", async () => {
    await house.start();
    house.fate = (call) =>
      call === "journal.commit" ? "reply lost" : call === "journal.run" ? "refused" : "works";
    await house.ask("start", "rollout start parser");
    house.lateByMs = 3 * 60_000;
    house.fate = () => "works";
    await until("the person is told", () =>
      house.sent.some(({ text }) => text.includes("ended without a step")),
    );
    expect(house.engine.runs()).toEqual([]);
    expect((await house.journal.lastRunOf("parser"))?.state.phase).toBe("stopped");
    expect(house.isOn("cache")).toBe(false);
    expect(await house.ask("again", "rollout start parser")).toMatchObject({ ok: true, code: "started" });
  });
});

describe("a journal with no room but what is kept for going back", () => {
  it("takes no step forward, and takes the rollback", async () => {
    await house.start();
    const { run = "" } = await house.ask("start", "rollout start parser");
    await until("cache is on and soaks", () => house.run()?.stages[0]?.status === "soaking");
    house.stop();
    house.hasRoom = false;
    await house.start();
    await until("the next step is refused", () =>
      house.logged.some((line) => line.includes("kept for going back")),
    );
    expect(house.run()?.stages[0]?.status).toBe("soaking");
    expect(await house.ask("back", "rollout rollback all")).toMatchObject({ ok: true, code: "done" });
    await until("cache is off", () => !house.isOn("cache"));
    expect((await house.events(run, "rollback_started")).length).toBe(1);
    expect((await house.events(run, "soak_passed")).length).toBe(0);
    expect(house.isOn("parallel")).toBe(false);
    expect(readFileSync(house.spoolPath, { encoding: "utf8", flag: "a+" })).toBe("");
  });

  it("takes no start, and the person is told why", async () => {
    house.hasRoom = false;
    await house.start();
    const answer = await house.ask("start", "rollout start parser");
    expect(answer).toMatchObject({ ok: false, code: "journal_unavailable" });
    expect(answer.text).toContain("kept for going back");
    expect(answer.text).toContain("Nothing changed");
    expect(await house.journal.lastRunOf("parser")).toBeUndefined();
  });
});
