/** The on-call desk on virtual time: no page lost, none doubled, escalation on time whatever dies, and words in any order. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import type { Actor } from "../../src/core/event.ts";
import { MOST_REMINDERS } from "../../src/core/oncall/decide.ts";
import type { Incident } from "../../src/core/oncall/incident.ts";
import { incidentLine, incidentPost } from "../../src/core/report/incident-post.ts";
import { MINUTE, SECOND } from "../../src/core/time.ts";
import { onCallCommands } from "../../src/engine/oncall-commands.ts";
import { type Mood, type OnCallBench, pageOf, startOnCall } from "../support/oncall-bench.ts";
import { operator } from "../support/plans.ts";

const ANA: Actor = { kind: "person", id: "U1", name: "ana", via: "slack" };
const WALL = 1_800_000_000_000;

function incidentOf(bench: OnCallBench, key: string): Incident {
  const found = bench
    .desk()
    .incidents()
    .find(({ id }) => id === key);
  if (found === undefined) throw new Error(`no incident ${key}`);
  return found;
}

function kindsOf(bench: OnCallBench): readonly string[] {
  return bench.pager.taken.map((event) => event.kind);
}

describe("a page", () => {
  test("is sent at once, confirmed, and told in the channel with its buttons", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    expect(kindsOf(bench)).toEqual(["trigger"]);
    expect(bench.pager.tries[0]?.at).toBeLessThan(100);
    expect(incidentOf(bench, "k1")).toMatchObject({
      phase: "open",
      pager: { id: "Q-k1" },
      assigned: ["person-1"],
    });
    const message = bench.journal.owed.get("incident:k1")?.draft;
    expect(message).toMatchObject({ lane: "urgent", body: { kind: "post", channel: "#ops", mention: true } });
    if (message?.body.kind !== "post") throw new Error("no post");
    expect(message.body.post.offers.map((one) => one.command)).toEqual(
      ["ack", "escalate", "resolve"].map((verb) => `oncall ${verb} ${incidentOf(bench, "k1").name}`),
    );
  });

  test("asked for again under its key is the same incident, also after a restart and after its end", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * SECOND);
    await bench.restart();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * SECOND);
    await bench.desk().resolve("k1", ANA, "over", "cmd-1");
    await bench.pass(5 * SECOND);
    await bench.restart();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * SECOND);
    expect(kindsOf(bench)).toEqual(["trigger", "resolve"]);
  });

  const MOODS: readonly Mood[] = ["refused", "down", "limited", "hang", "reply_lost"];
  test.each(MOODS)(
    "is not lost while the pager service is %s, and an operator is told within 60 s",
    async (mood) => {
      const bench = await startOnCall();
      bench.pager.mood = mood;
      await bench.desk().page(pageOf("k1"));
      await bench.pass(MINUTE);
      if (mood !== "reply_lost") {
        expect(bench.told[0]?.at).toBeLessThanOrEqual(MINUTE);
        expect(bench.told[0]?.text).toContain("replies fail");
        expect(bench.told[0]?.text).toContain("has not taken the page");
      }
      bench.pager.mood = "well";
      await bench.pass(MINUTE);
      expect(bench.pager.incidents.size).toBe(1);
      expect(incidentOf(bench, "k1").accepted.trigger).toBeDefined();
      const after = bench.pager.taken.length;
      await bench.pass(MINUTE);
      expect(bench.pager.taken.length).toBe(after);
    },
  );

  test("that hangs does not hold up another one", async () => {
    const bench = await startOnCall();
    bench.pager.mood = "hang";
    await bench.desk().page(pageOf("k1"));
    await bench.pass(SECOND);
    bench.pager.mood = "well";
    await bench.desk().page(pageOf("k2"));
    await bench.pass(SECOND);
    expect(bench.pager.incidents.has("k2")).toBe(true);
  });

  test("goes out while the journal is away, and is journaled later, once", async () => {
    const bench = await startOnCall();
    bench.journal.mood("away");
    await expect(bench.desk().page(pageOf("k1"))).rejects.toThrow("the journal does not have the page yet");
    await bench.pass(5 * SECOND);
    expect(bench.pager.incidents.has("k1")).toBe(true);
    expect(bench.sent.map((draft) => draft.key)).toContain("incident:k1");
    bench.journal.mood("well");
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * SECOND);
    expect(await bench.journal.subject("incident", "k1")).toMatchObject({ phase: "open", revision: 3 });
    expect(kindsOf(bench)).toEqual(["trigger"]);
  });

  test("whose commit was applied with its reply lost is one incident", async () => {
    const bench = await startOnCall();
    bench.journal.mood("reply_lost");
    await bench
      .desk()
      .page(pageOf("k1"))
      .catch(() => undefined);
    await bench.pass(10 * SECOND);
    const events = await bench.journal.subjectEvents("incident", "k1");
    expect(events.map(({ event }) => event.kind)).toEqual(["triggered", "accepted", "confirmed"]);
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });
});

describe("the acknowledgement deadline", () => {
  test("moves the incident by REST after five minutes, level by level, then tells the second channel", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * MINUTE - SECOND);
    expect(bench.pager.moved).toEqual([]);
    await bench.pass(3 * SECOND);
    expect(bench.pager.moved).toMatchObject([{ level: 2 }]);
    expect(incidentOf(bench, "k1")).toMatchObject({ level: 2, escalatedHow: "rest", assigned: ["person-2"] });
    await bench.pass(5 * MINUTE + 5 * SECOND);
    expect(bench.pager.moved.map(({ level }) => level)).toEqual([2, 3]);
    expect(bench.told).toEqual([]);
    await bench.pass(5 * MINUTE + 5 * SECOND);
    expect(bench.told.length).toBe(1);
    expect(bench.told[0]?.text).toContain("nobody is left");
    await bench.pass(3 * 60 * MINUTE);
    // Reminded once for each deadline, and not for ever.
    expect(bench.told.length).toBe(MOST_REMINDERS);
    expect(incidentOf(bench, "k1").level).toBe(3);
    expect(bench.told.at(-1)?.text).toContain("this is the last reminder");
    expect(bench.told.at(-2)?.text).not.toContain("last reminder");
    const now = { steady: bench.now(), wall: bench.now() };
    expect(incidentLine(incidentOf(bench, "k1"), now)).toContain("open, nobody else is asked any more");
    expect(JSON.stringify(incidentPost(incidentOf(bench, "k1")))).toContain("unless somebody escalates it");
  });

  test("goes on when the pager service comes back after the second channel was told", async () => {
    const bench = await startOnCall();
    bench.pager.mood = "down";
    bench.pager.restMood = "down";
    await bench.desk().page(pageOf("k1"));
    await bench.pass(6 * MINUTE);
    expect(bench.told.length).toBe(2);
    bench.pager.mood = "well";
    bench.pager.restMood = "well";
    await bench.pass(6 * MINUTE);
    expect(bench.pager.moved.map(({ level }) => level)).toEqual([2]);
    expect(incidentOf(bench, "k1")).toMatchObject({ level: 2, assigned: ["person-2"] });
    expect(incidentOf(bench, "k1").pagingFailed).toBeUndefined();
  });

  test("is met by the service's own policy, which Belay sees and does not repeat", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(4 * MINUTE);
    const kept = bench.pager.incidents.get("k1");
    if (kept === undefined) throw new Error("no incident");
    kept.escalations = 1;
    await bench.pass(2 * MINUTE);
    expect(bench.pager.moved).toEqual([]);
    expect(incidentOf(bench, "k1")).toMatchObject({ level: 2, escalatedHow: "policy" });
  });

  test("ends with an acknowledgement from Slack, which PagerDuty is told", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    expect(await bench.desk().acknowledge("k1", ANA, "cmd-1")).toBe(true);
    expect(await bench.desk().acknowledge("k1", ANA, "cmd-2")).toBe(false);
    await bench.pass(20 * MINUTE);
    expect(kindsOf(bench)).toEqual(["trigger", "acknowledge"]);
    expect(bench.pager.moved).toEqual([]);
    expect(bench.told).toEqual([]);
    expect(bench.journal.answered.has("cmd-1")).toBe(true);
  });

  test("ends with one in PagerDuty itself, seen by REST where its webhook was lost", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(2 * MINUTE);
    const kept = bench.pager.incidents.get("k1");
    if (kept === undefined) throw new Error("no incident");
    kept.status = "acknowledged";
    await bench.pass(10 * MINUTE);
    expect(bench.pager.moved).toEqual([]);
    expect(incidentOf(bench, "k1")).toMatchObject({
      phase: "acknowledged",
      acknowledged: { through: "pagerduty" },
    });
    expect(kindsOf(bench)).toEqual(["trigger"]);
  });

  test("is kept over a kill: the escalation comes on time after the restart, and once", async () => {
    for (const at of [SECOND, 100 * SECOND, 299 * SECOND, 300 * SECOND + 30, 300 * SECOND + 60]) {
      const bench = await startOnCall();
      await bench.desk().page(pageOf("k1"));
      await bench.pass(at);
      await bench.restart();
      await bench.pass(5 * MINUTE + 10 * SECOND - at);
      expect(bench.pager.moved.map(({ level }) => level)).toEqual([2]);
      expect(bench.pager.moved[0]?.at).toBeLessThan(5 * MINUTE + 3 * SECOND);
      expect(incidentOf(bench, "k1").level).toBe(2);
    }
  });

  test("leads to the second channel when PagerDuty's REST does not answer, or there is none", async () => {
    for (const rest of [true, false]) {
      const bench = await startOnCall({ rest });
      await bench.desk().page(pageOf("k1"));
      await bench.pass(10 * SECOND);
      bench.pager.restMood = "down";
      await bench.pass(6 * MINUTE);
      expect(bench.told.length).toBe(1);
      expect(bench.told[0]?.at).toBeLessThan(5 * MINUTE + 30 * SECOND);
      expect(incidentOf(bench, "k1").escalatedHow).toBe("second_channel");
    }
  });

  test("without any pager, the second channel is told after five minutes", async () => {
    const bench = await startOnCall({ pager: false });
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * MINUTE + 2 * SECOND);
    expect(bench.told.length).toBe(1);
  });

  test("asks nobody where nobody can be asked, and whoever pages reads so", async () => {
    const bench = await startOnCall({ pager: false, second: false });
    const onCall = bench.desk();
    const desk = onCallCommands({
      onCall,
      clock: { now: () => ({ steady: bench.now(), wall: WALL }), after: () => () => {}, random: () => 0 },
      rest: undefined,
      stillWrong: () => undefined,
      services: () => [{ service: "bots", environment: "production" }],
    });
    const parsed = parseCommand("oncall page P1 bots all burns", "belay");
    if ("kind" in parsed) throw new Error(parsed.message);
    const answer = await desk(parsed, operator(ANA), "k-page", false);
    expect(answer).toMatchObject({ ok: false, code: "nobody_asked" });
    expect(answer.text).toMatch(
      /^i-\S+ is open \(P1, bots\): all burns\. NOBODY IS ASKED: .*Call on-call yourself\.$/,
    );
  });

  test("is none for a P2", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { severity: "P2" }));
    await bench.pass(60 * MINUTE);
    expect(bench.pager.moved).toEqual([]);
    expect(bench.told).toEqual([]);
  });

  test("a page that was taken and never shows as an incident is told after two minutes", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(25);
    bench.pager.incidents.clear();
    await bench.pass(2 * MINUTE + 2 * SECOND);
    expect(bench.told[0]?.text).toContain("shows no incident");
  });
});

describe("words", () => {
  test("in any order end in the same state: resolved stays resolved", async () => {
    const word = (kind: "acknowledged" | "resolved", occurredAt: number) =>
      ({ kind, dedupKey: "k1", by: "Ben", occurredAt, id: `e-${kind}-${occurredAt}` }) as const;
    const all = [
      word("acknowledged", WALL + 10),
      word("resolved", WALL + 20),
      word("acknowledged", WALL + 10),
    ];
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all, { minLength: 3 }), async (order) => {
        const bench = await startOnCall();
        await bench.desk().page(pageOf("k1"));
        await bench.pass(SECOND);
        for (const one of order) await bench.desk().word(one);
        await bench.pass(SECOND);
        expect(incidentOf(bench, "k1").phase).toBe("resolved");
        expect(kindsOf(bench)).toEqual(["trigger"]);
      }),
      { numRuns: 20 },
    );
  });

  test("about an incident that is not ours change nothing", async () => {
    const bench = await startOnCall();
    await bench.desk().word({ kind: "resolved", dedupKey: "foreign", by: "Eve", occurredAt: WALL, id: "e1" });
    expect(bench.desk().incidents()).toEqual([]);
  });

  test("that press an action of another name, or on an incident about no rollout, change nothing", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { source: "rollout", run: "r-7Q2", stage: "parallel" }));
    await bench.desk().page(pageOf("k2"));
    const pressed = { kind: "action", by: "Ben", occurredAt: WALL, id: "e9" } as const;
    await bench.desk().word({ ...pressed, dedupKey: "k1", action: "Restart the service" });
    await bench.desk().word({ ...pressed, dedupKey: "k2", action: "Roll back" });
    expect(bench.commands).toEqual([]);
  });

  test("that press the action take the stage back, in the name of who pressed", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { source: "rollout", run: "r-7Q2", stage: "parallel" }));
    await bench.desk().word({
      kind: "action",
      dedupKey: "k1",
      action: "Roll back",
      by: "Ben",
      occurredAt: WALL,
      id: "e9",
    });
    expect(bench.commands).toEqual([
      {
        text: "rollout rollback parallel run=r-7Q2",
        actor: { kind: "person", id: "pagerduty:Ben", name: "Ben", via: "pagerduty" },
      },
    ]);
  });
});

describe("an incident", () => {
  test("ends by itself when its cause is gone", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    bench.over.set("k1", "recovered after 40 s");
    await bench.pass(5 * SECOND);
    expect(incidentOf(bench, "k1")).toMatchObject({
      phase: "resolved",
      resolved: { because: "recovered after 40 s" },
    });
    expect(kindsOf(bench)).toEqual(["trigger", "resolve"]);
  });

  test("that ends before the pager service took it is still resolved there", async () => {
    const bench = await startOnCall();
    bench.pager.mood = "down";
    await bench.desk().page(pageOf("k1"));
    await bench.pass(SECOND);
    await bench.desk().resolvePage("k1", "gone");
    bench.pager.mood = "well";
    await bench.pass(30 * SECOND);
    expect(kindsOf(bench)).toEqual(["resolve"]);
    expect(await bench.journal.openSubjects("incident")).toEqual([]);
  });

  test("of a drill ends with its acknowledgement, or is told when nobody answers", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("drill-1", { source: "drill", severity: "P1" }));
    await bench.pass(42 * SECOND);
    await bench.desk().acknowledge("drill-1", ANA, "cmd-1");
    await bench.pass(2 * SECOND);
    expect(incidentOf(bench, "drill-1").resolved?.because).toContain("acknowledged after 42 s");
    await bench.desk().page(pageOf("drill-2", { source: "drill", severity: "P1" }));
    await bench.pass(6 * MINUTE);
    expect(incidentOf(bench, "drill-2").phase).toBe("resolved");
    expect(bench.told.length).toBe(1);
    expect(bench.pager.moved).toEqual([]);
  });

  test("escalated by a person goes to the next level at once", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    const escalation = bench.desk().escalate("k1", ANA, "I am on a train", "cmd-1");
    await bench.pass(SECOND);
    expect(await escalation).toContain("level 2 in PagerDuty: person-2.");
    expect(bench.pager.moved.map(({ level }) => level)).toEqual([2]);
    expect(JSON.stringify(incidentPost(incidentOf(bench, "k1")))).toContain(
      "to level 2 through PagerDuty, @ana asks for somebody else: I am on a train, ",
    );
    await bench.pass(10 * SECOND);
    expect(incidentOf(bench, "k1").level).toBe(2);
  });

  test("escalated after its acknowledgement is open again: whoever is asked next must acknowledge too", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    await bench.desk().acknowledge("k1", ANA, "cmd-1");
    await bench.pass(10 * SECOND);
    const asked = bench.desk().escalate("k1", ANA, "not mine", "cmd-2");
    await bench.pass(SECOND);
    expect(await asked).toContain("level 2");
    expect(incidentOf(bench, "k1")).toMatchObject({ phase: "open", level: 2 });
    // PagerDuty's echo of the first acknowledgement comes late.
    const late = { id: "w-1", by: "ana", occurredAt: incidentOf(bench, "k1").openedWall + 11 * SECOND };
    await bench.desk().word({ kind: "acknowledged", dedupKey: "k1", ...late });
    expect(incidentOf(bench, "k1").phase).toBe("open");
    await bench.pass(6 * MINUTE);
    expect(bench.pager.moved.map(({ level }) => level)).toEqual([2, 3]);
    await bench.desk().acknowledge("k1", ANA, "cmd-3");
    await bench.pass(10 * SECOND);
    expect(kindsOf(bench)).toEqual(["trigger", "acknowledge", "acknowledge"]);
    expect(bench.pager.incidents.get("k1")?.status).toBe("acknowledged");
  });

  test("acknowledged while PagerDuty is asked about it wakes nobody else", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * MINUTE - bench.now() - 1);
    bench.pager.restTakesMs = 10 * SECOND;
    await bench.pass(3 * SECOND);
    await bench.desk().acknowledge("k1", ANA, "cmd-1");
    await bench.pass(MINUTE);
    expect(incidentOf(bench, "k1")).toMatchObject({ phase: "acknowledged", level: 1 });
    expect(bench.pager.moved).toEqual([]);
  });
});

describe("the second channel", () => {
  test("tells newer words too that came while older ones were on their way", async () => {
    const bench = await startOnCall({ rest: false });
    bench.pager.mood = "down";
    bench.secondTakesMs = 6 * MINUTE;
    await bench.desk().page(pageOf("k1"));
    await bench.pass(13 * MINUTE);
    const texts = bench.told.map(({ text }) => text);
    expect(texts.length).toBe(2);
    expect(texts[0]).toContain("has not taken the page");
    expect(texts[1]).toContain("Not acknowledged for 5 min");
  });

  test("that is not there is not said to have told anybody", async () => {
    const bench = await startOnCall({ second: false, rest: false });
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    expect(await bench.desk().escalate("k1", ANA, undefined, "cmd-1")).toContain(
      "nobody further can be asked",
    );
    await bench.pass(5 * SECOND);
    expect(incidentOf(bench, "k1")).toMatchObject({ secondTold: "nobody" });
    const message = bench.journal.owed.get("incident:k1")?.draft;
    expect(JSON.stringify(message?.body)).toContain("in this channel alone");
  });
});

describe("a journal that is away", () => {
  test("does not have the same message sent each second, and lets an acknowledgement through at once when it only hangs", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    bench.journal.mood("away");
    await bench.desk().acknowledge("k1", ANA, "cmd-1");
    const sent = bench.sent.length;
    await bench.pass(MINUTE);
    // The acknowledgement itself, and that PagerDuty took it.
    expect(bench.sent.length - sent).toBeLessThanOrEqual(1);
  });

  test("does not make a resolved page that comes again a second page", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(5 * SECOND);
    await bench.desk().resolve("k1", ANA, "over", "cmd-1");
    await bench.pass(5 * SECOND);
    await bench.restart();
    bench.journal.mood("away");
    await expect(bench.desk().page(pageOf("k1"), true)).rejects.toThrow("away");
    bench.journal.mood("well");
    await bench.desk().page(pageOf("k1"), true);
    await bench.pass(30 * SECOND);
    expect(kindsOf(bench)).toEqual(["trigger", "resolve"]);
  });

  test("does not keep a page waiting for long, though it may have come before", async () => {
    const bench = await startOnCall();
    bench.journal.mood("away");
    for (let at = 0; at < 4; at++) {
      await bench
        .desk()
        .page(pageOf("k1"), true)
        .catch(() => undefined);
      await bench.pass(15 * SECOND);
    }
    expect(kindsOf(bench)).toEqual(["trigger"]);
  });

  test("gives two pages two names", async () => {
    const bench = await startOnCall();
    bench.journal.mood("away");
    for (const key of ["probe:a:failing", "probe:b:failing"])
      await bench
        .desk()
        .page(pageOf(key))
        .catch(() => undefined);
    const names = bench
      .desk()
      .incidents()
      .map(({ name }) => name);
    expect(new Set(names).size).toBe(2);
  });
});

describe("what a kill cut short", () => {
  test("the pages of a run that has ended are resolved at the next start", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { source: "rollout", run: "r-1" }));
    await bench.pass(5 * SECOND);
    bench.ended.set("r-1", "the rollout has ended: completed");
    await bench.restart();
    await bench.pass(5 * SECOND);
    expect(kindsOf(bench)).toEqual(["trigger", "resolve"]);
  });

  test("a run whose record cannot be read leaves its page open and keeps no other from being looked after", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { source: "rollout", run: "r-odd" }));
    await bench.desk().page(pageOf("k2", { source: "rollout", run: "r-1" }));
    await bench.pass(5 * SECOND);
    bench.ended.set("r-odd", "unreadable");
    bench.ended.set("r-1", "the rollout has ended: completed");
    await bench.restart();
    await bench.pass(5 * SECOND);
    expect(incidentOf(bench, "k1").phase).toBe("open");
    expect(incidentOf(bench, "k2").phase).toBe("resolved");
  });

  test("an escalation that was carried out again moves nobody a second time", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1"));
    await bench.pass(10 * SECOND);
    const kept = bench.pager.incidents.get("k1");
    if (kept === undefined) throw new Error("no incident");
    kept.escalations = 1;
    const again = bench.desk().escalate("k1", ANA, undefined, "cmd-1");
    await bench.pass(SECOND);
    expect(await again).toContain("level 2");
    expect(bench.pager.moved).toEqual([]);
    expect(bench.journal.answered.has("cmd-1")).toBe(true);
  });

  test("a P2 that somebody escalated does not go further by itself", async () => {
    const bench = await startOnCall();
    await bench.desk().page(pageOf("k1", { severity: "P2" }));
    await bench.pass(10 * SECOND);
    const asked = bench.desk().escalate("k1", ANA, undefined, "cmd-1");
    await bench.pass(SECOND);
    await asked;
    await bench.pass(30 * MINUTE);
    expect(bench.pager.moved.map(({ level }) => level)).toEqual([2]);
    expect(bench.told).toEqual([]);
  });
});

describe("whatever fails and dies", () => {
  test("each page is taken, each unacknowledged one escalates once per level, and the journal tells one story", async () => {
    const step = fc.record({
      mood: fc.constantFrom<Mood>("well", "down", "hang", "reply_lost", "refused", "limited"),
      rest: fc.constantFrom<"well" | "down">("well", "down"),
      journal: fc.constantFrom<"well" | "away" | "reply_lost">("well", "well", "reply_lost", "away"),
      kill: fc.boolean(),
      ms: fc.integer({ min: 10, max: 40_000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const bench = await startOnCall();
        await bench.desk().page(pageOf("k1"));
        for (const one of steps) {
          bench.pager.mood = one.mood;
          bench.pager.restMood = one.rest;
          bench.journal.mood(one.journal);
          await bench.pass(one.ms);
          if (!one.kill) continue;
          bench.journal.mood("well");
          await bench.restart();
        }
        bench.pager.mood = "well";
        bench.pager.restMood = "well";
        bench.journal.mood("well");
        await bench.pass(6 * MINUTE);
        expect(bench.pager.incidents.size).toBe(1);
        const levels = bench.pager.moved.map(({ level }) => level);
        expect(levels).toEqual([...new Set(levels)].sort());
        const isTold = bench.told.length > 0 || levels.length > 0;
        expect(isTold).toBe(true);
        const events = await bench.journal.subjectEvents("incident", "k1");
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
      }),
      { numRuns: 60 },
    );
  });
});
