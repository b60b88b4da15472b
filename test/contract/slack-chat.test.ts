/** The chat port on the strict workspace: one message per key whatever is lost, edits in place, limits kept, and faults that say what a person must do. */
import { afterEach, beforeAll, expect, test } from "vitest";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import type { Plan } from "../../src/core/plan.ts";
import { MINUTE } from "../../src/core/time.ts";
import type { CommandAnswer, MessageRef, OutboxItem } from "../../src/engine/messages.ts";
import type { RunView } from "../../src/engine/ports.ts";
import type { Message } from "../fakes/slack/model.ts";
import {
  answerItem,
  type Bench,
  faultFrom,
  OPS,
  type Submitted,
  socketBot,
  socketWorkspace,
  startSocket,
  stopAll,
} from "../support/slack-bot.ts";
import { cardItem, ingestionPlan, itemOf, Story } from "../support/slack-run.ts";

let plan: Plan;
beforeAll(async () => {
  plan = await ingestionPlan();
});
afterEach(stopAll);

const soaking = (): Story => new Story(plan, Date.now() - 3 * 60 * MINUTE).pass(0).begin(1).wait(MINUTE);

function alertOf(story: Story, more: Partial<OutboxItem> = {}): OutboxItem {
  const seq = story.seqOf("rollback_started");
  const body = { kind: "alert", run: "r-7", channel: OPS, seq, about: "rollback" } as const;
  return itemOf(`alert:r-7:${seq}`, "urgent", body, more);
}

const note = (seq: number, text: string, more: Partial<OutboxItem> = {}): OutboxItem =>
  itemOf(`note:r-7:${seq}`, "normal", { kind: "note", run: "r-7", channel: OPS, seq, text }, more);

/** What everybody sees, newest last. */
const posted = ({ fake }: Bench, channel = OPS): readonly Message[] =>
  fake.channelMessages(channel).filter((message) => message.byBot && message.onlyFor === undefined);

async function post(
  { slack }: Bench,
  item: OutboxItem,
  view?: RunView,
  thread?: MessageRef,
): Promise<MessageRef> {
  const ref = await slack.chat.post(item, view, thread);
  if (ref === undefined) throw new Error("no message");
  return ref;
}

test("a card is posted once, with its key, without unfurling, and edited in place; its story goes to its thread", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const ref = await post(bench, cardItem("r-7"), story.view());
  expect(ref).toEqual({ channel: fake.channelId(OPS), ts: expect.stringMatching(/^\d{10}\.\d{6}$/) });
  expect(fake.calls("chat.postMessage")[0]?.args).toMatchObject({
    unfurl_links: "false",
    unfurl_media: "false",
    metadata: { event_type: "belay_message", event_payload: { key: "card:r-7" } },
    text: expect.stringContaining("Rollout ingestion in production is at stage 2 of 6, SOAKING"),
  });
  const reply = await post(bench, note(4, "parse-cache <read back>"), story.view(), ref);
  expect(fake.thread(OPS, ref.ts).map((one) => one.ts)).toEqual([reply.ts]);
  story.tell({ kind: "held", reason: "person", detail: "asked for", by: { kind: "belay" } }, MINUTE);
  await slack.chat.update(ref, cardItem("r-7"), story.view());
  const card = fake.message(OPS, ref.ts);
  expect(card?.history.map(({ kind }) => kind)).toEqual(["posted", "updated"]);
  expect(card?.edited).toBe(false);
  expect(card === undefined ? "" : fake.textOf(card)).toContain("HELD");
  expect(posted(bench)).toHaveLength(2);
  expect(fake.violations()).toEqual([]);
});

test("a note without a card, or whose card somebody deleted, goes to the channel", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const first = await post(bench, note(1, "no card yet"), soaking().view());
  expect(fake.message(OPS, first.ts)?.threadTs).toBeUndefined();
  const card = await post(bench, cardItem("r-7"), soaking().view());
  fake.deleteMessage(OPS, card.ts);
  const second = await post(bench, note(2, "its card is gone"), soaking().view(), card);
  expect(fake.message(OPS, second.ts)?.threadTs).toBeUndefined();
  expect(fake.violations()).toEqual([]);
});

test.each(["applied_reply_lost", "http500", "hang"] as const)(
  "%s on an urgent post: exactly one message, at once",
  async (kind) => {
    const bench = await startSocket();
    const { fake } = bench;
    const story = soaking().rollBack(1, "off");
    fake.inject({ on: "chat.postMessage", kind });
    const since = performance.now();
    const ref = await post(bench, alertOf(story), story.view());
    expect(performance.now() - since).toBeLessThan(3_000);
    expect(posted(bench).map(({ ts }) => ts)).toEqual([ref.ts]);
    expect(fake.violations()).toEqual([]);
  },
);

test.each(["applied_reply_lost", "hang"] as const)(
  "%s on a card's post: the next try finds out, and there is one card that shows the present",
  async (kind) => {
    const bench = await startSocket();
    const { fake, slack } = bench;
    const story = soaking();
    fake.inject({ on: "chat.postMessage", kind });
    const fault = await faultFrom(slack.chat.post(cardItem("r-7"), story.view(), undefined));
    expect(fault).toMatchObject({ recoverable: true });
    story.tell({ kind: "held", reason: "person", detail: "asked for", by: { kind: "belay" } });
    const ref = await post(bench, cardItem("r-7", { attempts: 1 }), story.view());
    expect(posted(bench).map(({ ts }) => ts)).toEqual([ref.ts]);
    expect(posted(bench).map(fake.textOf)[0]).toContain("HELD");
    expect(fake.violations()).toEqual([]);
  },
  15_000,
);

test("killed between the post and its record: cards, alerts and notes are found again by a new process", async () => {
  const fake = await socketWorkspace();
  const first = socketBot(fake);
  await first.slack.start();
  const story = soaking().rollBack(1, "off");
  const items = { card: cardItem("r-7"), alert: alertOf(story), note: note(9, "rolled back") };
  const card = await post(first, items.card, story.view());
  const alert = await post(first, items.alert, story.view());
  const reply = await post(first, items.note, story.view(), card);
  await first.slack.stop();
  for (let noise = 0; noise < 30; noise += 1) await fake.say("ben", OPS, `what is going on? ${noise}`);
  const second = socketBot(fake);
  await second.slack.start();
  story.tell({ kind: "rollback_confirmed", seenBy: "service" }, 900);
  const again = { attempts: 1 };
  expect(await post(second, { ...items.card, ...again }, story.view())).toEqual(card);
  expect(await post(second, { ...items.alert, ...again }, story.view())).toEqual(alert);
  expect(await post(second, { ...items.note, ...again }, story.view(), card)).toEqual(reply);
  expect(posted(second)).toHaveLength(3);
  expect(fake.textOf(fake.message(OPS, alert.ts) ?? card_missing())).toContain("confirmed by the service");
  expect(fake.violations()).toEqual([]);
});

function card_missing(): never {
  throw new Error("the message is gone");
}

test("without the history scope a second message is accepted, and told once", async () => {
  const manifest = manifestOf({ mode: "socket" });
  const bot = manifest.oauth_config.scopes.bot.filter((scope) => scope !== "channels:history");
  const bench = await startSocket(
    {},
    {
      manifest: { ...manifest, oauth_config: { scopes: { ...manifest.oauth_config.scopes, bot } } },
      grantOptionalScopes: false,
    },
  );
  const story = soaking();
  await post(bench, cardItem("r-7", { attempts: 1 }), story.view());
  await post(bench, cardItem("r-8", { attempts: 1 }), story.view());
  expect(posted(bench)).toHaveLength(2);
  expect(bench.log.lines.filter(({ text }) => text.includes("channels:history"))).toHaveLength(1);
  expect(bench.fake.violations()).toEqual([]);
});

test("a refresh that changes nothing sends nothing; one that changes the figures does, at most once a second", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const ref = await post(bench, cardItem("r-7"), story.view());
  const refresh = (): Promise<void> => slack.chat.update(ref, cardItem("r-7", { id: 0 }), story.view());
  const since = performance.now();
  story.figures = { failures: { value: 0.5, at: 0 } };
  await refresh();
  story.figures = {};
  expect(performance.now() - since).toBeLessThan(500);
  for (let times = 0; times < 5; times += 1) await refresh();
  await slack.chat.update(ref, cardItem("r-7", { generation: 2 }), story.view());
  await new Promise((resolve) => setTimeout(resolve, 1_000 - (performance.now() - since)));
  await refresh();
  expect(fake.calls("chat.update")).toEqual([]);
  await expect
    .poll(
      async () => {
        story.figures = { failures: { value: Math.random() / 100, at: 0 } };
        await refresh();
        return fake.calls("chat.update").length;
      },
      { interval: 50, timeout: 5_000 },
    )
    .toBe(2);
  const [first, second] = fake.calls("chat.update");
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(950);
  await slack.chat.update(ref, cardItem("r-7", { id: 0 }), story.view());
  expect(fake.violations()).toEqual([]);
});

test("an older view never covers a newer one, and a slow refresh never brings buttons back to a closed card", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const ref = await post(bench, cardItem("r-7"), story.view());
  story.figures = { failures: { value: 0.001, at: 0 } };
  const stale = story.wait(1_000).view();
  story.tell({ kind: "stopped", by: { kind: "belay" } }, 1_000);
  fake.inject({ on: "chat.update", kind: "slow", ms: 300 });
  const closing = slack.chat.update(ref, cardItem("r-7"), story.view());
  await slack.chat.update(ref, cardItem("r-7", { id: 0 }), stale);
  await slack.chat.update(ref, cardItem("r-7", { generation: 1 }), stale);
  await closing;
  const text = fake.textOf(fake.message(OPS, ref.ts) ?? card_missing());
  expect(text).toContain("STOPPED");
  expect(text).not.toContain("[");
  expect(fake.calls("chat.update")).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("limits on cards do not touch what is urgent, and are waited out", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const ref = await post(bench, cardItem("r-7"), story.view());
  fake.inject({ on: "chat.update", kind: "ratelimited", retryAfterS: 2 });
  story.tell({ kind: "held", reason: "person", detail: "asked for", by: { kind: "belay" } });
  expect(await faultFrom(slack.chat.update(ref, cardItem("r-7"), story.view()))).toMatchObject({
    recoverable: true,
    retryAfterMs: 2_000,
  });
  const early = await faultFrom(slack.chat.update(ref, cardItem("r-7"), story.wait(1).view()));
  expect(early.recoverable).toBe(true);
  expect(early.retryAfterMs).toBeGreaterThan(0);
  expect(fake.calls("chat.update")).toHaveLength(1);
  story.rollBack(1, "started");
  const item = alertOf(story);
  const alert = await post(bench, item, story.view());
  story.tell({ kind: "flip_verified", flag: "parse-cache", intent: "r-7.back.parse-cache" }, 900);
  story.tell({ kind: "rollback_off" });
  await slack.chat.update(alert, { ...item, generation: 2 }, story.view());
  expect(fake.textOf(fake.message(OPS, alert.ts) ?? card_missing())).toContain("ROLLED BACK");
  expect(fake.violations()).toEqual([]);
});

test("a flood of notes keeps to one a second and never meets Slack's limit; an alert in the middle of it goes at once", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const story = soaking().rollBack(1, "off");
  const flood = Array.from({ length: 6 }, (_, index) =>
    post(bench, note(index, `note ${index}`), story.view()),
  );
  await expect.poll(() => posted(bench).length).toBeGreaterThanOrEqual(2);
  const since = performance.now();
  await post(bench, alertOf(story), story.view());
  expect(performance.now() - since).toBeLessThan(500);
  await Promise.all(flood);
  expect(posted(bench)).toHaveLength(7);
  expect(fake.calls().filter(({ outcome }) => outcome === "ratelimited")).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("a new card, for which somebody waits, does not wait for its turn behind notes", async () => {
  const bench = await startSocket();
  const story = soaking();
  for (const seq of [1, 2]) await post(bench, note(seq, `note ${seq}`), story.view());
  const later = post(bench, note(3, "note 3"), story.view());
  const card = await post(bench, cardItem("r-7"), story.view());
  await later;
  expect(posted(bench).findIndex(({ ts }) => ts === card.ts)).toBe(2);
  expect(bench.fake.violations()).toEqual([]);
});

test("a channel without the bot, unknown, archived: the fault says what a person must do", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const into = (channel: string) =>
    faultFrom(
      slack.chat.post(
        itemOf("card:r-7", "normal", { kind: "card", run: "r-7", channel }),
        story.view(),
        undefined,
      ),
    );
  expect(await into("#random")).toMatchObject({
    recoverable: false,
    message: "Belay is not in #random: type `/invite @belay` there",
  });
  expect(await into("#nowhere")).toMatchObject({
    recoverable: false,
    message: expect.stringContaining("no channel #nowhere"),
  });
  expect(await into(fake.channelId("old-launch"))).toMatchObject({
    recoverable: false,
    message: expect.stringContaining("is archived: unarchive it, or name another channel"),
  });
  fake.inviteBot("random");
  expect(
    await slack.chat.post(
      cardItem("r-7", { body: { kind: "card", run: "r-7", channel: "random" } }),
      story.view(),
      undefined,
    ),
  ).toMatchObject({
    channel: fake.channelId("random"),
  });
  expect(fake.violations()).toEqual([]);
});

test("a token that Slack no longer accepts, a deleted message, a run that is gone: nothing that trying again could help", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking();
  const ref = await post(bench, cardItem("r-7"), story.view());
  fake.inject({ on: "chat.postMessage", kind: "error", code: "token_revoked" });
  expect(await faultFrom(slack.chat.post(note(1, "x"), story.view(), undefined))).toMatchObject({
    recoverable: false,
    message: expect.stringContaining("does not accept the bot token (token_revoked)"),
  });
  fake.deleteMessage(OPS, ref.ts);
  story.tell({ kind: "held", reason: "person", detail: "asked for", by: { kind: "belay" } });
  expect(await faultFrom(slack.chat.update(ref, cardItem("r-7"), story.view()))).toMatchObject({
    recoverable: false,
    message: expect.stringContaining("somebody deleted it"),
  });
  expect(await faultFrom(slack.chat.post(cardItem("r-9"), undefined, undefined))).toMatchObject({
    recoverable: false,
  });
  expect(fake.violations()).toEqual([]);
});

test("Slack away: every fault says so without secrets, and may pass", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const story = soaking().rollBack(1, "off");
  const ref = await post(bench, cardItem("r-7"), story.view());
  await fake.down();
  story.wait(2 * MINUTE);
  for (const call of [
    slack.chat.post(note(1, "x"), story.view(), ref),
    slack.chat.post(alertOf(story), story.view(), undefined),
    slack.chat.update(ref, cardItem("r-7"), story.view()),
  ]) {
    const fault = await faultFrom(call);
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toMatch(/^Slack did not answer [a-zA-Z.]+ \([A-Za-z_ ]+\)$/);
  }
  const told = JSON.stringify(bench.log.lines);
  expect(told).not.toContain(fake.botToken);
  expect(told).not.toContain(fake.appToken);
  await fake.up();
  expect(fake.violations()).toEqual([]);
});

test("content that Slack refuses all the same is sent plainer, never lost", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const story = soaking().rollBack(1, "off");
  fake.inject({ on: "chat.postMessage", kind: "error", code: "invalid_blocks" });
  const ref = await post(bench, alertOf(story), story.view());
  const text = fake.textOf(fake.message(OPS, ref.ts) ?? card_missing());
  expect(text).toContain("Rolled back parse-cache in ingestion (production)");
  expect(text).toContain("[Evidence]");
  expect(fake.violations()).toEqual([]);
});

async function asked(bench: Bench, line = "/rollout status"): Promise<Submitted> {
  await bench.fake.command("ana", OPS, line);
  const request = bench.taker.taken.at(-1);
  if (request === undefined) throw new Error("nothing was taken");
  return request;
}

const notes = ({ fake }: Bench): readonly Message[] =>
  fake.channelMessages(OPS, { as: "ana" }).filter((message) => message.onlyFor !== undefined);

test("an answer comes by the command's own address, private, with its lines and offers", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const answer: CommandAnswer = {
    ok: false,
    code: "held",
    text: "ingestion is held. Nothing changed.",
    lines: ["[x] baseline", "[>] parse-cache"],
    offers: [{ label: "Resume", command: "rollout resume run=r-7" }],
  };
  const request = await asked(bench);
  const body = { kind: "answer", replyTo: request.replyTo, answer } as const;
  await slack.chat.post(itemOf("answer:1", "answer", body), undefined, undefined);
  expect(notes(bench).map(fake.textOf)).toEqual([
    "ingestion is held. Nothing changed.\n\n[x] baseline\n[>] parse-cache\n\n[Resume]",
  ]);
  const [message] = notes(bench);
  await fake.click("ana", OPS, message?.ts ?? "", { text: "Resume" });
  await expect.poll(() => bench.taker.taken.at(-1)?.text).toBe("rollout resume run=r-7");
  expect(fake.calls("chat.postEphemeral")).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("an address that is too old is not tried; one that turns out used up is given up: the answer comes as a private note", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const old = answerItem(await asked(bench), "From the night before.", { wall: Date.now() - 40 * MINUTE });
  await slack.chat.post(old, undefined, undefined);
  expect(fake.calls("response_url")).toEqual([]);
  const request = await asked(bench);
  for (let uses = 0; uses < 5; uses += 1) {
    const item = answerItem(request, `Use ${uses}.`);
    await slack.chat.post(item, undefined, undefined);
  }
  await slack.chat.post(answerItem(request, "The sixth."), undefined, undefined);
  expect(fake.forgive("response_url_overused")).toHaveLength(1);
  const late = await asked(bench);
  fake.advance(31 * MINUTE);
  await slack.chat.post(answerItem(late, "Slack's clock says it is late."), undefined, undefined);
  expect(fake.forgive("response_url_expired")).toHaveLength(1);
  const texts = notes(bench).map(fake.textOf);
  expect(texts).toContain("From the night before.");
  expect(texts.filter((text) => text.startsWith("Use"))).toHaveLength(5);
  expect(texts).toContain("The sixth.");
  expect(texts).toContain("Slack's clock says it is late.");
  expect(fake.violations()).toEqual([]);
});

test("answers are insisted on through passing faults, and wait where Slack says so", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  fake.inject({ on: "response_url", kind: "http500", times: 2 });
  await slack.chat.post(answerItem(await asked(bench), "After two faults."), undefined, undefined);
  expect(notes(bench).map(fake.textOf)).toEqual(["After two faults."]);
  fake.inject({ on: "response_url", kind: "hang" });
  await slack.chat.post(answerItem(await asked(bench), "After a silence."), undefined, undefined);
  expect(notes(bench).map(fake.textOf)).toContain("After a silence.");
  fake.inject({ on: "response_url", kind: "http500", times: 3 });
  expect(
    await faultFrom(slack.chat.post(answerItem(await asked(bench), "Never."), undefined, undefined)),
  ).toMatchObject({ recoverable: true });
  expect(fake.violations()).toEqual([]);
});

test("an answer's address outside Slack is never spoken to", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const request = await asked(bench);
  for (const responseUrl of [
    "http://169.254.169.254/latest/meta-data",
    "https://hooks.slack.com.evil.example/x",
    "http://hooks.slack.com/x",
    "file:///etc/passwd",
    "not a url",
  ]) {
    const replyTo = {
      kind: "slack",
      responseUrl,
      user: fake.userId("ana"),
      channel: fake.channelId(OPS),
    } as const;
    await slack.chat.post(answerItem({ ...request, replyTo }, "Safe."), undefined, undefined);
  }
  expect(fake.calls("response_url")).toEqual([]);
  expect(fake.calls("chat.postEphemeral")).toHaveLength(5);
  expect(fake.violations()).toEqual([]);
});

test("an answer where the bot is not: the fault says to invite it", async () => {
  const bench = await startSocket();
  const { fake, slack } = bench;
  const request = await asked(bench);
  fake.removeBot("ingestion-ops");
  const fault = await faultFrom(
    slack.chat.post(answerItem(request, "Old.", { wall: Date.now() - 40 * MINUTE }), undefined, undefined),
  );
  expect(fault).toMatchObject({ recoverable: false, message: expect.stringContaining("/invite @belay") });
  expect(fake.violations()).toEqual([]);
});

test("names of channels are asked for once, however many messages there are", async () => {
  const bench = await startSocket();
  const story = soaking();
  await post(bench, cardItem("r-1"), story.view());
  await post(bench, note(1, "x"), story.view());
  await post(
    bench,
    itemOf("n", "normal", { kind: "note", run: "r", channel: "ingestion-ops", seq: 1, text: "y" }),
    story.view(),
  );
  expect(bench.fake.calls("conversations.list")).toHaveLength(1);
  expect(bench.fake.violations()).toEqual([]);
});
