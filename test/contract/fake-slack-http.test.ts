/** The workspace's signed HTTP mode against the real Bolt: signatures, forgeries, retries, refused answers. */
import type { App } from "@slack/bolt";
import { afterEach, expect, test } from "vitest";
import { type FakeSlack, startFakeSlack } from "../fakes/slack/server.ts";
import { startHttpBot } from "../fakes/slack/test-bot.ts";
import { HTTP_MANIFEST, SOCKET_MANIFEST } from "../fakes/slack/test-manifest.ts";

const OPS = "#ingestion-ops";
/** A port where nobody listens. */
const NOBODY = "http://127.0.0.1:9/slack/events";
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function withBot(listeners: (app: App) => void): Promise<FakeSlack> {
  const slack = await startFakeSlack({ manifest: HTTP_MANIFEST, http: { signingSecret: "s3cret" } });
  stops.push(() => slack.stop());
  const bot = await startHttpBot(slack, listeners);
  stops.push(() => bot.stop());
  return slack;
}

test("commands, presses and events arrive signed, and their answers are shown", async () => {
  const seen: string[] = [];
  const slack = await withBot((app) => {
    app.command("/rollout", async ({ ack, command }) =>
      ack({ text: `heard ${command.text}`, response_type: "in_channel" }),
    );
    app.event("app_mention", async ({ event, client: web }) => {
      const blocks = [
        {
          type: "actions" as const,
          elements: [
            {
              type: "button" as const,
              action_id: "hold",
              text: { type: "plain_text" as const, text: "Hold" },
              value: "r1",
            },
          ],
        },
      ];
      await web.chat.postMessage({ channel: event.channel, text: "Card", blocks });
    });
    app.action("hold", async ({ ack, action }) => {
      await ack();
      if (action.type === "button") seen.push(action.value ?? "");
    });
  });
  expect(await slack.command("ana", OPS, "/rollout list")).toMatchObject({
    outcome: "ok",
    text: "heard list",
  });
  expect(slack.channelMessages(OPS).map(slack.textOf)).toEqual(["heard list"]);
  expect(await slack.mention("ana", OPS, "show me")).toMatchObject({ outcome: "ok" });
  const { ts } = await slack.waitForMessage(OPS, (message) => message.text === "Card");
  expect(await slack.click("ana", OPS, ts, { actionId: "hold" })).toMatchObject({ outcome: "ok" });
  expect(seen).toEqual(["r1"]);
  expect(slack.acks().map((ack) => ack.result)).toEqual(["acked", "acked", "acked"]);
  expect(slack.violations()).toEqual([]);
});

test("what Bolt itself lets through: forgeries are refused, but a future timestamp and a replay are not", async () => {
  let runs = 0;
  const slack = await withBot((app) =>
    app.command("/rollout", async ({ ack }) => {
      runs += 1;
      await ack();
    }),
  );
  await slack.command("ana", OPS, "/rollout list");
  const http = slack.http;
  const sent = http?.sent()[0];
  if (http === undefined || sent === undefined) throw new Error("nothing was sent");
  const statusOf = async (answer: Promise<{ status: number }>) => (await answer).status;
  expect(await statusOf(http.forge(sent, { secret: "another" }))).toBe(401);
  expect(await statusOf(http.forge(sent, { tamperedBody: `${sent.body}&x=1` }))).toBe(401);
  expect(await statusOf(http.forge(sent, { unsigned: true }))).toBe(401);
  expect(await statusOf(http.forge(sent, { skewS: -310 }))).toBe(401);
  expect(runs).toBe(1);
  expect(await statusOf(http.forge(sent, { skewS: -290 }))).toBe(200);
  expect(await statusOf(http.forge(sent, { skewS: 3_600 }))).toBe(200);
  expect(await statusOf(http.replay(sent))).toBe(200);
  expect(runs).toBe(4);
  expect(await http.verifyUrl("c-123")).toMatchObject({
    status: 200,
    body: JSON.stringify({ challenge: "c-123" }),
  });
});

test("a command whose handler fails: the person sees dispatch_failed", async () => {
  const slack = await withBot((app) =>
    app.command("/rollout", async () => {
      throw new Error("broken");
    }),
  );
  expect(await slack.command("ana", OPS, "/rollout list")).toMatchObject({
    outcome: "dispatch_failed",
    text: '/rollout failed with the error "dispatch_failed"',
  });
  expect(slack.acks()).toMatchObject([{ what: "/rollout", result: "refused" }]);
});

test("an event that was not taken comes again at once and a minute later, with its retry number", async () => {
  const numbers: (number | undefined)[] = [];
  const slack = await startFakeSlack({ manifest: HTTP_MANIFEST, http: { requestUrl: NOBODY } });
  stops.push(() => slack.stop());
  expect((await slack.mention("ana", OPS, "hello")).outcome).toBe("dispatch_failed");
  await expect.poll(() => slack.acks().map((ack) => ack.result)).toEqual(["undeliverable", "undeliverable"]);
  const bot = await startHttpBot(slack, (app) =>
    app.event("app_mention", async ({ context }) => {
      numbers.push(context.retryNum);
    }),
  );
  stops.push(() => bot.stop());
  slack.advance(60_000);
  await expect.poll(() => slack.acks().at(-1)?.result).toBe("acked");
  slack.advance(600_000);
  expect(numbers).toEqual([2]);
  expect(slack.acks()).toHaveLength(3);
});

test("an answer after 3 s is too late", async () => {
  let enter = (): void => undefined;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const slack = await withBot((app) => app.command("/rollout", async () => enter()));
  const seen = slack.command("ana", OPS, "/rollout list");
  await entered;
  slack.advance(3_001);
  expect((await seen).outcome).toBe("operation_timeout");
  expect(slack.violations().map((one) => one.rule)).toEqual(["ack_late"]);
});

test("an app that is not there: dispatch_failed, and no blame", async () => {
  const slack = await startFakeSlack({
    manifest: HTTP_MANIFEST,
    http: { requestUrl: NOBODY },
  });
  stops.push(() => slack.stop());
  expect((await slack.command("ana", OPS, "/rollout list")).outcome).toBe("dispatch_failed");
  expect(slack.violations()).toEqual([]);
});

test("the same delivery twice", async () => {
  let runs = 0;
  const slack = await withBot((app) =>
    app.command("/rollout", async ({ ack }) => {
      runs += 1;
      await ack();
    }),
  );
  slack.duplicateNext("slash_commands");
  await slack.command("ana", OPS, "/rollout start");
  await expect.poll(() => runs).toBe(2);
});

test("a manifest that Slack would refuse does not start", async () => {
  const features = SOCKET_MANIFEST.features;
  const withCommand = (command: string) =>
    startFakeSlack({
      manifest: {
        ...SOCKET_MANIFEST,
        features: { ...features, slash_commands: [{ command, description: "x" }] },
      },
    });
  await expect(withCommand("/status")).rejects.toThrow("/status is one of Slack's own commands");
  await expect(withCommand("rollout")).rejects.toThrow("not a valid slash command");
  await expect(
    startFakeSlack({ manifest: { ...HTTP_MANIFEST, settings: SOCKET_MANIFEST.settings } }),
  ).rejects.toThrow("/rollout has a URL although Socket Mode is on");
  await expect(
    startFakeSlack({ manifest: { ...SOCKET_MANIFEST, settings: HTTP_MANIFEST.settings } }),
  ).rejects.toThrow("/rollout needs an https URL");
  await expect(
    startFakeSlack({ manifest: { ...SOCKET_MANIFEST, oauth_config: { scopes: { bot: ["chat:write"] } } } }),
  ).rejects.toThrow(/bot scope `commands`[\s\S]*app_mentions:read/);
});
