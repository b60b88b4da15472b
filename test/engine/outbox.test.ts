/** The outbox on virtual time: no message holds up another for good, urgent ones are never given up too soon, and none comes twice. */
import { beforeAll, describe, expect, test } from "vitest";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import type { OutboxItem } from "../../src/engine/messages.ts";
import type { RunView } from "../../src/engine/ports.ts";
import {
  alertDraft,
  answerDraft,
  cardDraft,
  FAULTS,
  noteDraft,
  type OutboxBench,
  startOutbox,
} from "../support/outbox-bench.ts";
import { ingestionPlan, Story } from "../support/slack-run.ts";

let view: RunView;
let rollback: number;
beforeAll(async () => {
  const story = new Story(await ingestionPlan()).pass(0).begin(1).rollBack(1, "off");
  view = story.view();
  rollback = story.seqOf("rollback_started");
});

const keysOf = (...drafts: readonly { readonly key: string }[]): readonly string[] =>
  drafts.map(({ key }) => key);

const pendingKeys = async ({ journal }: OutboxBench): Promise<readonly string[]> =>
  keysOf(...(await journal.pending()));

function broken(key: string) {
  return (item: OutboxItem) =>
    item.key === key && item.body.kind !== "note"
      ? { error: new TypeError("cannot read properties of undefined") }
      : undefined;
}

describe("a message that cannot be shown", () => {
  test("goes out as a sentence after three tries, and those after it follow", async () => {
    const bench = startOutbox(view);
    const [first, second] = [alertDraft(rollback), alertDraft(99)];
    bench.room.fault = broken(first.key);
    await bench.queue(first, second);
    await bench.pass(10 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(first, second));
    const body = bench.room.said[0]?.body;
    expect(body).toMatchObject({ kind: "note", channel: "#ops" });
    expect(JSON.stringify(body)).toContain("Rolled back parse-cache in ingestion");
    expect(JSON.stringify(body)).toContain("/rollout status r-7");
    expect(await pendingKeys(bench)).toEqual([]);
  });

  test("says at least that it could not be shown, when even its summary cannot be told", async () => {
    const bench = startOutbox(view);
    const unknown = alertDraft(99);
    bench.room.fault = broken(unknown.key);
    await bench.queue(unknown);
    await bench.pass(10 * SECOND);
    expect(bench.room.said[0]?.body).toMatchObject({
      text: `A message about r-7 could not be shown (${unknown.key}); \`/rollout status r-7\` shows how it stands.`,
    });
  });

  test("is shown in full again once that works", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(rollback);
    bench.room.fault = broken(alert.key);
    await bench.queue(alert);
    await bench.pass(10 * SECOND);
    bench.room.fault = () => undefined;
    await bench.queue(alert);
    await bench.pass(SECOND);
    expect(bench.room.said.map(({ how, key, body }) => [how, key, body.kind])).toEqual([
      ["posted", alert.key, "note"],
      ["edited", alert.key, "alert"],
    ]);
  });

  test("whose edit cannot be shown is followed by a sentence in its thread", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(rollback);
    await bench.queue(alert);
    await bench.pass(SECOND);
    bench.room.fault = broken(alert.key);
    await bench.queue(alert);
    await bench.pass(10 * SECOND);
    expect(bench.room.said).toHaveLength(2);
    expect(bench.room.said[1]).toMatchObject({
      how: "posted",
      body: { kind: "note" },
      thread: await bench.journal.refOf(alert.key),
    });
    expect(await pendingKeys(bench)).toEqual([]);
  });

  test("is set aside with an error when its sentence fails as well", async () => {
    const bench = startOutbox(view);
    const [first, second] = [alertDraft(rollback), alertDraft(99)];
    bench.room.fault = (item) =>
      item.key === first.key ? { error: new TypeError("nothing works") } : undefined;
    await bench.queue(first, second);
    await bench.pass(20 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(second));
    expect(await pendingKeys(bench)).toEqual([]);
    const errors = bench.log.lines.filter(({ level }) => level === "error").map(({ text }) => text);
    expect(errors.join("\n")).toContain(`a message is given up {"key":"${first.key}"`);
  });

  test("is a card, a note or an answer: none stops those after it", async () => {
    const bench = startOutbox(view);
    const [card, note, later] = [cardDraft(), noteDraft(1), noteDraft(2)];
    const answer = answerDraft("a");
    bench.room.fault = (item) => {
      const { body } = item;
      const isRich = body.kind === "answer" ? body.answer.lines.length > 0 : item.key !== later.key;
      return isRich && !(item.key === card.key && body.kind === "note")
        ? { error: new TypeError("cannot be shown") }
        : undefined;
    };
    await bench.queue(card, note, later, answer);
    await bench.pass(MINUTE);
    expect([...bench.room.posted()].sort()).toEqual([...keysOf(answer, card, later)].sort());
    expect(await pendingKeys(bench)).toEqual([]);
  });
});

describe("a limit or a failure in one channel", () => {
  test("does not hold up an urgent message in another", async () => {
    const bench = startOutbox(view);
    const limited = alertDraft(1, "#limited");
    bench.room.fault = (item, _how, at) =>
      item.key === limited.key && at < MINUTE ? { error: FAULTS.limited(MINUTE - at) } : undefined;
    await bench.queue(limited);
    await bench.pass(SECOND);
    const other = alertDraft(2, "#other", bench.now());
    await bench.queue(other);
    await bench.pass(SECOND);
    expect(bench.room.posted()).toEqual(keysOf(other));
  });

  test("is tried again after 15 s at most when urgent, and no sooner than told when not", async () => {
    const bench = startOutbox(view);
    const [alert, note] = [alertDraft(1), noteDraft(1)];
    bench.room.fault = (_item, _how, at) => (at < 5 * SECOND ? { error: FAULTS.limited(MINUTE) } : undefined);
    await bench.queue(alert, note);
    await bench.pass(14 * SECOND);
    expect(bench.room.posted()).toEqual([]);
    await bench.pass(2 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(alert));
    await bench.pass(40 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(alert));
    await bench.pass(10 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(alert, note));
  });

  test("keeps the order of its own messages", async () => {
    const bench = startOutbox(view);
    const alerts = [1, 2, 3, 4].map((seq) => alertDraft(seq));
    bench.room.fault = (_item, _how, at) => (at < 20 * SECOND ? { error: FAULTS.down } : undefined);
    await bench.queue(...alerts);
    await bench.pass(MINUTE);
    expect(bench.room.posted()).toEqual(keysOf(...alerts));
  });

  test("that an edit meets again and again is tried with growing waits", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    await bench.queue(alert);
    await bench.pass(SECOND);
    bench.room.fault = () => ({ error: FAULTS.down });
    await bench.queue(alert);
    await bench.pass(2 * MINUTE);
    expect(bench.room.triesOf(alert.key)).toBeLessThan(25);
  });
});

describe("a channel that Belay is not in", () => {
  const outOf = (until: number) => (item: OutboxItem, _how: string, at: number) =>
    "channel" in item.body && item.body.channel === "#ops" && at < until
      ? { error: FAULTS.notInChannel }
      : undefined;

  test("gets its urgent messages once Belay is invited; until then they count as undelivered", async () => {
    const bench = startOutbox(view);
    const alerts = [1, 2, 3].map((seq) => alertDraft(seq));
    bench.room.fault = outOf(10 * MINUTE);
    await bench.queue(...alerts);
    await bench.pass(10 * MINUTE);
    expect(bench.now() - (bench.outbox.darkSince() ?? bench.now())).toBe(10 * MINUTE);
    const tries = bench.room.calls.length;
    expect(tries).toBeGreaterThan(3 * 10);
    expect(tries).toBeLessThan(3 * 30);
    await bench.pass(70 * SECOND);
    expect([...bench.room.posted()].sort()).toEqual(keysOf(...alerts));
    expect(bench.outbox.darkSince()).toBeUndefined();
  });

  test("gets a page within seconds of an invitation that follows soon", async () => {
    const bench = startOutbox(view);
    bench.room.fault = outOf(10 * SECOND);
    await bench.queue(alertDraft(1));
    await bench.pass(25 * SECOND);
    expect(bench.room.posted()).toEqual(keysOf(alertDraft(1)));
  });

  test("does not hold up its later messages nor other channels", async () => {
    const bench = startOutbox(view);
    const [refused, later, other] = [alertDraft(1), alertDraft(2), alertDraft(3, "#other")];
    bench.room.fault = (item) => (item.key === refused.key ? { error: FAULTS.notInChannel } : undefined);
    await bench.queue(refused, later, other);
    await bench.pass(10 * SECOND);
    expect([...bench.room.posted()].sort()).toEqual(keysOf(later, other));
  });

  test("is given up for an urgent message after a day, with an error", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    bench.room.fault = outOf(Number.POSITIVE_INFINITY);
    await bench.queue(alert);
    await bench.pass(DAY - MINUTE);
    expect(await pendingKeys(bench)).toEqual([alert.key]);
    await bench.pass(3 * MINUTE);
    expect(await pendingKeys(bench)).toEqual([]);
    expect(bench.log.lines.filter(({ level }) => level === "error").at(-1)?.text).toContain(alert.key);
  });

  test("loses its card and notes, and the card comes back with its next change", async () => {
    const bench = startOutbox(view);
    bench.room.fault = outOf(HOUR);
    await bench.queue(cardDraft(), noteDraft(1));
    await bench.pass(HOUR);
    expect(await pendingKeys(bench)).toEqual([]);
    expect(bench.room.posted()).toEqual([]);
    await bench.queue(cardDraft(bench.now()));
    await bench.pass(SECOND);
    expect(bench.room.posted()).toEqual(keysOf(cardDraft()));
    expect(await bench.journal.refOf("card:r-7")).toBeDefined();
  });
});

test("a message that can no longer be edited is posted anew", async () => {
  const bench = startOutbox(view);
  const drafts = [cardDraft(), alertDraft(1)];
  await bench.queue(...drafts);
  await bench.pass(SECOND);
  bench.room.fault = (_item, how) => (how === "edited" ? { error: FAULTS.notInChannel } : undefined);
  await bench.queue(...drafts);
  await bench.pass(10 * SECOND);
  expect([...bench.room.posted()].sort()).toEqual([...keysOf(...drafts, ...drafts)].sort());
  expect(await pendingKeys(bench)).toEqual([]);
  expect(await bench.journal.refOf("card:r-7")).toMatchObject({ ts: expect.not.stringMatching(/@0$/) });
});

describe("without the journal", () => {
  test("a message that fails at first is said all the same, once, also when the journal is back", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    bench.away = true;
    bench.room.fault = (_item, _how, at) =>
      at < 10 * SECOND ? { error: FAULTS.down, lost: at > 3 * SECOND } : undefined;
    bench.outbox.sendNow([alert]);
    await bench.pass(9 * SECOND);
    expect(bench.now() - (bench.outbox.darkSince() ?? bench.now())).toBe(9 * SECOND);
    await bench.pass(MINUTE);
    expect(bench.room.posted()).toEqual([alert.key]);
    expect(bench.outbox.darkSince()).toBeUndefined();
    bench.away = false;
    await bench.queue(alert);
    await bench.pass(MINUTE);
    expect(bench.room.posted()).toEqual([alert.key]);
    expect(await pendingKeys(bench)).toEqual([]);
    expect(await bench.journal.refOf(alert.key)).toBeDefined();
  });

  test("it is tried twenty times at most", async () => {
    const bench = startOutbox(view);
    bench.away = true;
    bench.room.fault = () => ({ error: FAULTS.down });
    bench.outbox.sendNow([alertDraft(1), answerDraft("a")]);
    await bench.pass(HOUR);
    expect([alertDraft(1), answerDraft("a")].map(({ key }) => bench.room.triesOf(key))).toEqual([20, 20]);
    expect(bench.room.calls.every(({ attempts }) => attempts >= 1)).toBe(true);
  });

  test("the journal takes over as soon as it is back", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    bench.away = true;
    bench.room.fault = () => ({ error: FAULTS.down });
    bench.outbox.sendNow([alert]);
    await bench.pass(MINUTE);
    const before = bench.room.triesOf(alert.key);
    bench.away = false;
    bench.room.fault = () => undefined;
    await bench.queue(alert);
    await bench.pass(SECOND);
    expect(bench.room.posted()).toEqual([alert.key]);
    expect(bench.room.triesOf(alert.key)).toBe(before + 1);
    expect(await pendingKeys(bench)).toEqual([]);
  });

  test("what changes meanwhile is edited in place, also a message that the journal had delivered", async () => {
    const bench = startOutbox(view);
    const [before, during] = [alertDraft(1), alertDraft(2)];
    await bench.queue(before);
    await bench.pass(SECOND);
    bench.away = true;
    bench.outbox.sendNow([before, during]);
    await bench.pass(SECOND);
    bench.outbox.sendNow([before, during]);
    await bench.pass(SECOND);
    expect(bench.room.posted()).toEqual(keysOf(before, during));
    expect(bench.room.said.filter(({ how }) => how === "edited").map(({ key }) => key)).toEqual(
      keysOf(before, before, during),
    );
  });

  test("nothing is posted twice when the same message is on its way already", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    await bench.queue(alert);
    await bench.pass(5);
    bench.outbox.sendNow([alert]);
    bench.outbox.sendNow([alert]);
    await bench.pass(MINUTE);
    expect(bench.room.posted()).toEqual([alert.key]);
  });

  test("a delivery that it cannot record is not repeated", async () => {
    const bench = startOutbox(view);
    const drafts = [alertDraft(1), noteDraft(1), answerDraft("a")];
    await bench.queue(...drafts);
    await bench.pass(5);
    bench.away = true;
    await bench.pass(10 * SECOND);
    bench.away = false;
    await bench.pass(MINUTE);
    expect([...bench.room.posted()].sort()).toEqual([...keysOf(...drafts)].sort());
    expect(await pendingKeys(bench)).toEqual([]);
  });

  test("an alert that has nothing to show as yet comes when the journal is back", async () => {
    const bench = startOutbox(view);
    const alert = alertDraft(1);
    bench.away = true;
    bench.room.isBlank = true;
    bench.outbox.sendNow([alert]);
    await bench.pass(SECOND);
    bench.away = false;
    bench.room.isBlank = false;
    await bench.queue(alert);
    await bench.pass(SECOND);
    expect(bench.room.posted()).toEqual([alert.key]);
  });

  test("an answer that was given is not given again under its key", async () => {
    const bench = startOutbox(view);
    const answer = answerDraft("a");
    bench.away = true;
    bench.outbox.sendNow([answer]);
    await bench.pass(SECOND);
    bench.outbox.sendNow([answer]);
    bench.away = false;
    await bench.queue(answer);
    await bench.pass(MINUTE);
    expect(bench.room.posted()).toEqual([answer.key]);
    expect(await pendingKeys(bench)).toEqual([]);
  });
});

test("an alert reads the run's events from its own on, a card none", async () => {
  const bench = startOutbox(view);
  await bench.queue(alertDraft(rollback), cardDraft());
  await bench.pass(SECOND);
  expect(bench.read).toEqual([{ run: "r-7", from: rollback }]);
});
