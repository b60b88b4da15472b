/** The outbox with the Slack adapter on the strict workspace: what could not be delivered comes once the channel works, and on-call hears of what cannot be shown. */
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { createClock } from "../../src/adapters/clock.ts";
import { Calls } from "../../src/adapters/slack/calls.ts";
import { SlackFault } from "../../src/adapters/slack/faults.ts";
import type { Plan } from "../../src/core/plan.ts";
import type { Notice, OutboxDraft } from "../../src/engine/messages.ts";
import { Outbox } from "../../src/engine/outbox.ts";
import { createDisk, journalOn } from "../simulation/journal.ts";
import { until } from "../support/eventually.ts";
import { type Bench, faultFrom, OPS, startSocket, stopAll, whenDone } from "../support/slack-bot.ts";
import { ingestionPlan, itemOf, Story } from "../support/slack-run.ts";

let plan: Plan;
beforeAll(async () => {
  plan = await ingestionPlan();
});
afterEach(async () => {
  vi.useRealTimers();
  await stopAll();
});

function startOutbox({ slack, log }: Bench, story: Story) {
  const journal = journalOn(createDisk(), async (_name, transaction) => transaction());
  const outbox = new Outbox({
    clock: createClock({ notBefore: 1 }),
    journal,
    chat: slack.chat,
    log,
    view: async () => story.view(),
    liveView: () => story.view(),
    openRuns: () => [],
    refreshMs: 3_600_000,
  });
  void outbox.run();
  whenDone(async () => outbox.stop());
  const queue = async (...drafts: readonly OutboxDraft[]): Promise<void> => {
    await journal.answer("queue", drafts);
    outbox.kick();
  };
  return { journal, queue };
}

const draft = (key: string, lane: OutboxDraft["lane"], body: Notice): OutboxDraft => ({
  run: "r-7",
  key,
  lane,
  body,
  wall: Date.now(),
});

test("an alert comes when Belay is invited back, and the card with its next change", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  const story = new Story(plan).pass(0).begin(1).rollBack(1, "off");
  const seq = story.seqOf("rollback_started");
  const alert = draft("alert", "urgent", { kind: "alert", run: "r-7", channel: OPS, seq, about: "rollback" });
  const card = draft("card:r-7", "normal", { kind: "card", run: "r-7", channel: OPS });
  const seen = (): readonly string[] =>
    fake
      .channelMessages(OPS)
      .filter((one) => one.byBot)
      .map(fake.textOf);
  fake.removeBot(OPS);
  const { journal, queue } = startOutbox(bench, story);
  await queue(alert, card);
  const refused = (): number =>
    fake.calls("chat.postMessage").filter(({ outcome }) => outcome === "not_in_channel").length;
  await until("the card is given up, the alert is not", async () => {
    const pending = (await journal.pending()).map(({ key }) => key);
    return refused() >= 7 && pending.join() === "alert";
  });
  fake.inviteBot(OPS);
  await until("the alert comes", () => seen().length > 0);
  await queue(card);
  await until("the card comes", () => seen().length > 1);
  expect(seen()[0]).toContain("ROLLED BACK");
  expect(seen()[1]).toContain("Rollout ingestion");
});

test("an urgent message that is only text still calls on-call", async () => {
  const bench = await startSocket({ pageMention: "<!subteam^S0ONCALL1>" });
  const text = "A message about r-7 could not be shown (alert:r-7:page:3)";
  const body = { kind: "note", run: "r-7", channel: OPS, seq: 3, text } as const;
  await bench.slack.chat.post(itemOf("alert:r-7:page:3", "urgent", body), undefined, undefined);
  await bench.slack.chat.post(itemOf("note:r-7:held:4", "normal", body), undefined, undefined);
  const [urgent, note] = bench.fake.channelMessages(OPS).filter((one) => one.byBot);
  expect(JSON.stringify(urgent?.blocks)).toContain("For <!subteam^S0ONCALL1>");
  expect(JSON.stringify(urgent?.blocks)).toContain(text);
  expect(note?.blocks ?? []).toEqual([]);
  expect(bench.fake.violations()).toEqual([]);
});

test("an urgent call waits 15 s at most for a limit that Slack told, another one as long as it was told", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const calls = new Calls(() => undefined);
  const limited = new SlackFault("wait", { recoverable: true, retryAfterMs: 60_000, code: "ratelimited" });
  const refuse = async (): Promise<never> => {
    throw limited;
  };
  const urgent = { method: "chat.postMessage", lane: "urgent", per: "C1" } as const;
  const cosmetic = { ...urgent, lane: "cosmetic" } as const;
  for (const call of [urgent, cosmetic]) await faultFrom(calls.run(call, refuse));
  const works = async (): Promise<string> => "said";
  vi.advanceTimersByTime(14_000);
  expect(await faultFrom(calls.run(urgent, works))).toMatchObject({ retryAfterMs: 1_000 });
  vi.advanceTimersByTime(1_000);
  expect(await calls.run(urgent, works)).toBe("said");
  expect(await faultFrom(calls.run(cosmetic, works))).toMatchObject({ retryAfterMs: 45_000 });
});
