/** What every journal promises of commands, messages, evidence and small values. */
import { expect, it } from "vitest";
import type { EvidenceRow } from "../../src/engine/ports.ts";
import {
  answerDraft,
  cardDraft,
  eachJournal,
  HELD,
  intakeOf,
  RESUMED,
  story,
} from "../support/journal-contract.ts";

eachJournal("commands", ({ journal, reopen }) => {
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
});

eachJournal("outbox", ({ journal, reopen }) => {
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
});

eachJournal("generations of a message", ({ journal, reopen }) => {
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
    expect(second.generation).toBe(2);
    expect(second.attempts).toBeGreaterThan(0);
    await journal().attempted(second.id);
    await journal().attempted(second.id);
    expect((await onlyItem()).attempts).toBeGreaterThanOrEqual(2);
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
});

eachJournal("small things", ({ journal, reopen }) => {
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
});
