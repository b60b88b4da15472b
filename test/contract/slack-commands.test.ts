/** Commands, mentions, buttons and forms in Socket Mode: what reaches the engine, who is turned away, and how fast all of it is acknowledged. */
import { afterEach, beforeAll, expect, test } from "vitest";
import { parseCommand } from "../../src/core/command.ts";
import type { Plan } from "../../src/core/plan.ts";
import { cardOf } from "../../src/core/report/card.ts";
import { client } from "../fakes/slack/test-bot.ts";
import {
  answerItem,
  type Bench,
  OPS,
  type Submitted,
  startSocket,
  stopAll,
  untilPeopleAreKnown,
} from "../support/slack-bot.ts";
import { ANA, cardItem, ingestionPlan, itemOf, Story } from "../support/slack-run.ts";

let plan: Plan;
beforeAll(async () => {
  plan = await ingestionPlan();
});
afterEach(stopAll);

function only({ taker }: Bench): Submitted {
  expect(taker.taken).toHaveLength(1);
  const [first] = taker.taken;
  if (first === undefined) throw new Error("nothing was taken");
  return first;
}

/** A person's private notes in the channel, newest last. */
const notes = ({ fake }: Bench, user: string, channel = OPS): readonly string[] =>
  fake
    .channelMessages(channel, { as: user })
    .filter((message) => message.onlyFor !== undefined)
    .map(fake.textOf);

/** Waits until this person has a private note that contains the words. */
const noteTo = ({ fake }: Bench, user: string, words: string, channel = OPS) =>
  fake.waitForMessage(channel, (message, text) => message.onlyFor !== undefined && text.includes(words), {
    as: user,
  });

test("a slash command is taken with who, what, where to answer, and the key that makes a second delivery harmless", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const seen = await fake.command("ana", OPS, "/rollout enable parallel");
  expect(seen).toMatchObject({ outcome: "ok", text: "" });
  expect(only(bench)).toEqual({
    key: expect.stringMatching(/^\d+\.\d+\.[0-9a-f]{32}$/),
    text: "enable parallel",
    noun: "rollout",
    actor: { kind: "person", id: fake.userId("ana"), name: "ana", via: "slack" },
    replyTo: {
      kind: "slack",
      responseUrl: expect.stringMatching(/\/commands\//),
      user: fake.userId("ana"),
      channel: fake.channelId(OPS),
    },
  });
  expect(bench.ackMs).toHaveLength(1);
  expect(notes(bench, "ana")).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("/belay has its own noun, an empty line is passed on, and /runbook says what works instead", async () => {
  const bench = await startSocket();
  await bench.fake.command("ana", OPS, "/belay help");
  await bench.fake.command("ana", OPS, "/rollout");
  expect(bench.taker.taken.map(({ noun, text }) => [noun, text])).toEqual([
    ["belay", "help"],
    ["rollout", ""],
  ]);
  const seen = await bench.fake.command("ana", OPS, "/runbook list");
  expect(seen.text).toContain("not available in this version");
  expect(seen.text).toContain("/rollout");
  expect(bench.taker.taken).toHaveLength(2);
  expect(bench.fake.violations()).toEqual([]);
});

test("smart quotes, long dashes, escaped entities and labelled mentions arrive so that the parser understands them", async () => {
  const bench = await startSocket();
  await bench.fake.command(
    "ana",
    OPS,
    "/rollout stop ingestion —leave-on because “p95 < 250 ms & @ben agrees”",
  );
  const { text, noun } = only(bench);
  const parsed = parseCommand(text, noun);
  if ("kind" in parsed) throw new Error(parsed.message);
  expect(parsed.spec.verb).toBe("stop");
  expect(parsed.options.get("leave-on")).toBe("true");
  expect(parsed.because).toBe("p95 < 250 ms & ben agrees");
  expect(bench.fake.violations()).toEqual([]);
});

test("a mention is a command without a noun, answered in its channel or thread to its author alone", async () => {
  const bench = await startSocket();
  const { fake, taker, slack } = bench;
  await untilPeopleAreKnown(bench);
  await fake.mention("ben", OPS, "rollout hold");
  await expect.poll(() => taker.taken.length).toBe(1);
  const [first] = taker.taken;
  expect(first).toEqual({
    key: expect.stringMatching(/^Ev\d+$/),
    text: "rollout hold",
    actor: { kind: "person", id: fake.userId("ben"), name: "ben", via: "slack" },
    replyTo: { kind: "slack_mention", user: fake.userId("ben"), channel: fake.channelId(OPS) },
  });
  const parent = fake.channelMessages(OPS).at(-1);
  await fake.say("ben", OPS, "please @belay status", { threadTs: parent?.ts });
  await expect.poll(() => taker.taken.length).toBe(2);
  const second = taker.taken[1];
  if (second === undefined) throw new Error("nothing was taken");
  expect(second.text.replace(/\s+/g, " ")).toBe("please status");
  expect(second.replyTo).toMatchObject({ kind: "slack_mention", thread: parent?.ts });
  await slack.chat.post(answerItem(second, "Held."), undefined, undefined);
  const answer = await noteTo(bench, "ben", "Held.");
  expect(answer.threadTs).toBe(parent?.ts);
  expect(fake.channelMessages(OPS, { as: "ana" }).map(fake.textOf).join()).not.toContain("Held.");
  expect(fake.violations()).toEqual([]);
});

test("duplicate deliveries of every kind reach the engine under one key", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  fake.duplicateNext("slash_commands");
  expect((await fake.command("ana", OPS, "/rollout hold")).outcome).toBe("ok");
  fake.duplicateNext("events_api");
  await fake.mention("ana", OPS, "rollout status");
  const ref = await postCard(bench);
  fake.duplicateNext("interactive");
  await fake.click("ana", OPS, ref.ts, { text: "Hold" });
  await expect.poll(() => fake.acks().length).toBeGreaterThanOrEqual(3);
  await expect.poll(() => bench.ackMs.length).toBe(6);
  expect(taker.taken.map(({ text }) => text)).toEqual(["hold", "rollout status", "rollout hold run=r-7"]);
  expect(fake.violations()).toEqual([]);
});

async function postCard({ slack }: Bench, story = new Story(plan).pass(0).begin(1)) {
  const ref = await slack.chat.post(cardItem("r-7"), story.view(), undefined);
  if (ref === undefined) throw new Error("no card");
  return ref;
}

test("a press carries the run and the face that were shown; a dangerous one only counts when confirmed", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const story = new Story(plan).pass(0).begin(1);
  const ref = await postCard(bench, story);
  const asked = await fake.click("ben", OPS, ref.ts, { text: "Roll back parse-cache" });
  expect(asked).toMatchObject({ outcome: "not_confirmed", text: "Take back parse-cache now?" });
  expect(bench.taker.taken).toEqual([]);
  const seen = await fake.click("ben", OPS, ref.ts, { text: "Roll back parse-cache", confirm: true });
  expect(seen.outcome).toBe("ok");
  expect(only(bench)).toEqual({
    key: expect.stringMatching(/^\d+\.\d+\.[0-9a-f]{32}$/),
    text: cardOf(story.view()).offers[0]?.command,
    actor: { kind: "person", id: fake.userId("ben"), name: "ben", via: "slack" },
    seen: { run: "r-7", face: story.state.face },
    replyTo: {
      kind: "slack",
      responseUrl: expect.stringMatching(/\/actions\//),
      user: fake.userId("ben"),
      channel: fake.channelId(OPS),
    },
  });
  await bench.slack.chat.post(answerItem(only(bench), "Taking back parse-cache."), undefined, undefined);
  await noteTo(bench, "ben", "Taking back parse-cache.");
  expect(fake.message(OPS, ref.ts)?.history).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("a button that asks for a reason opens a form; what is typed there becomes the command's because", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  const story = new Story(plan).pass(0).pass(1).begin(2).rollBack(2, "recovered");
  const seq = story.seqOf("rollback_started");
  const body = { kind: "alert", run: "r-7", channel: OPS, seq, about: "rollback" } as const;
  const ref = await bench.slack.chat.post(
    itemOf(`alert:r-7:${seq}`, "urgent", body),
    story.view(),
    undefined,
  );
  const message = fake.message(OPS, ref?.ts ?? "");
  const label = /\[(Unlock [^\]]*)\]/.exec(message === undefined ? "" : fake.textOf(message))?.[1] ?? "";
  fake.duplicateNext("interactive");
  await fake.click("ana", OPS, ref?.ts ?? "", { text: label });
  await expect.poll(() => fake.openViews("ana").length).toBe(1);
  expect(taker.taken).toEqual([]);
  const empty = await fake.submitView("ana", { text: "  \n " });
  expect(empty).toMatchObject({ outcome: "view_errors", errors: { why: "Say why, in a few words." } });
  const sent = await fake.submitView("ana", { text: 'the "cache" was full,\nfixed in “v2” <b>' });
  expect(sent.outcome).toBe("ok");
  expect(fake.openViews("ana")).toEqual([]);
  const request = only(bench);
  expect(request).toMatchObject({
    key: expect.stringMatching(/^V\w+\+\w+/),
    seen: { run: "r-7", face: story.state.face },
    replyTo: { kind: "slack", user: fake.userId("ana"), channel: fake.channelId(OPS) },
  });
  const parsed = parseCommand(request.text, request.noun);
  if ("kind" in parsed) throw new Error(parsed.message);
  expect(parsed.spec.verb).toBe("unlock");
  expect(parsed.because).toBe("the 'cache' was full, fixed in 'v2' <b>");
  await bench.slack.chat.post(answerItem(request, "Unlocked."), undefined, undefined);
  await noteTo(bench, "ana", "Unlocked.");
  expect(fake.violations()).toEqual([]);
});

test("a form that cannot be opened says how to type the command", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const story = new Story(plan).pass(0).tell({ kind: "review_opened", stage: 5 });
  const seq = story.seqOf("review_opened");
  const body = { kind: "alert", run: "r-7", channel: OPS, seq, about: "review" } as const;
  const ref = await bench.slack.chat.post(
    itemOf(`alert:r-7:${seq}`, "urgent", body),
    story.view(),
    undefined,
  );
  fake.inject({ on: "views.open", kind: "http500" });
  await fake.click("ana", OPS, ref?.ts ?? "", { text: "Sign NO-GO..." });
  const note = await noteTo(bench, "ana", "could not be opened");
  expect(fake.textOf(note)).toContain('/rollout signoff no-go run=r-7 because "..."');
  expect(fake.message(OPS, ref?.ts ?? "")?.history).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("when the journal is unavailable, the person is told so at once, wherever they asked", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  const text = "The journal is unavailable, so nothing changed.";
  taker.instead = async () => ({ kind: "unavailable", text });
  expect((await fake.command("ana", OPS, "/rollout start ingestion")).text).toBe(text);
  await fake.mention("ben", OPS, "rollout start ingestion");
  await noteTo(bench, "ben", text);
  const ref = await postCard(bench);
  await fake.click("kim", OPS, ref.ts, { text: "Hold" });
  await noteTo(bench, "kim", text);
  taker.instead = () => Promise.reject(new Error("a bug"));
  expect((await fake.command("eve", OPS, "/rollout hold")).text).toContain("internal error");
  expect(fake.violations()).toEqual([]);
});

test("nothing is acknowledged before the journal has it: commands, mentions and presses alike", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  const ref = await postCard(bench);
  for (const act of [
    () => fake.command("ana", OPS, "/rollout hold"),
    () => fake.mention("ana", OPS, "rollout hold"),
    () => fake.click("ana", OPS, ref.ts, { text: "Hold" }),
  ]) {
    const entered = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    taker.instead = async () => {
      entered.resolve();
      await written.promise;
      return { kind: "accepted" };
    };
    const before = fake.acks().length;
    const seen = act();
    await entered.promise;
    // A second command goes the whole way meanwhile, so an early acknowledgement would have arrived by now.
    taker.instead = undefined;
    await fake.command("ben", OPS, "/rollout status");
    expect(fake.acks()).toHaveLength(before + 1);
    written.resolve();
    expect((await seen).outcome).toBe("ok");
  }
  expect(fake.violations()).toEqual([]);
});

test("a journal that hangs does not make Slack say that Belay failed", async () => {
  const bench = await startSocket();
  bench.taker.instead = () => new Promise(() => undefined);
  const seen = await bench.fake.command("ana", OPS, "/rollout hold");
  expect(seen.outcome).toBe("ok");
  expect(seen.text).toContain("not certain whether this command was taken");
  expect(seen.ackMs).toBeLessThan(2_900);
  expect(bench.fake.violations()).toEqual([]);
});

test("only full members of this workspace, in a channel, and never another program", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  await untilPeopleAreKnown(bench);
  expect((await fake.command("gus", OPS, "/rollout rollback")).text).toContain("Guests cannot");
  await fake.mention("gus", OPS, "rollout rollback");
  await noteTo(bench, "gus", "Guests cannot");
  await fake.mention("stan", OPS, "rollout rollback");
  await noteTo(bench, "stan", "Only members of this workspace");
  await fake.mention("grafana", OPS, "rollout rollback");
  const ref = await postCard(bench);
  await fake.click("stan", OPS, ref.ts, { text: "Hold" });
  await expect.poll(() => notes(bench, "stan").length).toBe(2);
  expect(notes(bench, "grafana")).toEqual([]);
  expect(taker.taken).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("a channel that is not on the list: refused privately, going back included", async () => {
  const bench = await startSocket({ allowedChannels: [OPS] });
  const { fake, taker } = bench;
  fake.inviteBot("random");
  const refused = await fake.command("ana", "#random", "/rollout rollback");
  expect(refused.text).toBe("Belay takes no commands in this channel. Use #ingestion-ops. Nothing changed.");
  await fake.mention("ana", "#random", "rollout hold");
  await noteTo(bench, "ana", "takes no commands in this channel", "#random");
  expect(taker.taken).toEqual([]);
  await fake.command("ana", OPS, "/rollout hold");
  expect(taker.taken).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("no commands in direct messages, because the others on call could not see them", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  const { channel } = await client(fake).chat.postMessage({ channel: fake.userId("ana"), text: "Hello." });
  const refused = await fake.command("ana", channel ?? "", "/rollout rollback");
  expect(refused.text).toContain("no commands in direct messages");
  expect(taker.taken).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("without a list: every channel that the bot is in, and no other; an invitation counts at once", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  await expect
    .poll(async () => (await fake.command("ana", "#random", "/rollout hold")).text)
    .toContain("type /invite @belay here");
  bench.taker.taken.splice(0);
  const refused = await fake.command("ana", "#random", "/rollout hold");
  expect(refused.text).toContain("type /invite @belay here");
  expect(taker.taken).toEqual([]);
  await fake.command("ana", OPS, "/rollout hold");
  expect(taker.taken).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
});

test("the allowed channel by its id works as well, and a person's text never changes who they are", async () => {
  const first = await startSocket();
  const id = first.fake.channelId(OPS);
  await stopAll();
  const bench = await startSocket({ allowedChannels: [id] });
  await bench.fake.command("eve", OPS, '/rollout approve as=@ben because "I am ben"');
  expect(only(bench).actor).toEqual({ ...ANA, id: bench.fake.userId("eve"), name: "eve" });
  expect(bench.fake.violations()).toEqual([]);
});

test("five million characters are taken in stride and passed on cut", async () => {
  const bench = await startSocket();
  const seen = await bench.fake.command("ana", OPS, `/rollout ${"x".repeat(5_000_000)}`);
  expect(seen.outcome).toBe("ok");
  const { text } = only(bench);
  expect(text).toHaveLength(40_000);
  expect(parseCommand(text, "rollout")).toMatchObject({ kind: "refused", code: "too_long" });
  expect((await bench.fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  expect(bench.fake.violations()).toEqual([]);
});

test("a button of another version does nothing and says so", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const posted = await client(fake).chat.postMessage({
    channel: fake.channelId(OPS),
    text: "old",
    blocks: [
      {
        type: "actions",
        elements: [
          { type: "button", action_id: "old", value: "rollback", text: { type: "plain_text", text: "Old" } },
        ],
      },
    ],
  });
  await fake.click("ana", OPS, posted.ts ?? "", { text: "Old" });
  await noteTo(bench, "ana", "from another version of Belay");
  expect(bench.taker.taken).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("400 commands, 20 at a time: each acknowledged, p99 far below Slack's 3 s", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const seenMs: number[] = [];
  const person = async (user: string): Promise<void> => {
    for (let count = 0; count < 20; count += 1) {
      const seen = await fake.command(user, OPS, "/rollout status");
      expect(seen.outcome).toBe("ok");
      if (seen.ackMs !== undefined) seenMs.push(seen.ackMs);
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, index) => person(index % 2 === 0 ? "ana" : "ben")));
  seenMs.sort((a, b) => a - b);
  const at = (share: number): number => seenMs[Math.floor(seenMs.length * share)] ?? Number.NaN;
  process.stdout.write(
    `ack of ${seenMs.length}: p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms, max ${seenMs.at(-1)?.toFixed(1)} ms\n`,
  );
  expect(bench.taker.taken).toHaveLength(400);
  expect(new Set(bench.taker.taken.map(({ key }) => key)).size).toBe(400);
  expect(at(0.99)).toBeLessThan(500);
  expect(fake.violations()).toEqual([]);
});
