/** The workspace in Socket Mode against the real Bolt: acknowledgements, answers, presses, duplicates, lost sockets. */
import { randomUUID } from "node:crypto";
import type { App, BlockButtonAction } from "@slack/bolt";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type FakeSlack, startFakeSlack } from "../fakes/slack/server.ts";
import { client, startSocketBot, type TestBot } from "../fakes/slack/test-bot.ts";
import { SOCKET_MANIFEST } from "../fakes/slack/test-manifest.ts";

const OPS = "#ingestion-ops";
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function workspace(): Promise<FakeSlack> {
  const slack = await startFakeSlack({ manifest: SOCKET_MANIFEST });
  stops.push(() => slack.stop());
  return slack;
}

async function withBot(
  listeners: (app: App) => void,
  reconnectMs?: number,
): Promise<{ slack: FakeSlack; bot: TestBot }> {
  const slack = await workspace();
  const bot = await startSocketBot(slack, listeners, reconnectMs);
  stops.push(() => bot.stop());
  return { slack, bot };
}

/** A promise that the test opens. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

const buttons = (...elements: object[]) => [
  { type: "section", text: { type: "mrkdwn", text: "*Card*" } },
  { type: "actions", elements },
];
const button = (actionId: string, text: string, extra: object = {}) => ({
  type: "button",
  action_id: actionId,
  text: { type: "plain_text", text },
  ...extra,
});

/** Posts a card with a plain and a confirmed button. */
function postCard(app: App, slack: FakeSlack, revision = "1") {
  const confirm = {
    title: { type: "plain_text" as const, text: "Roll back?" },
    text: { type: "plain_text" as const, text: "Everything goes off." },
    confirm: { type: "plain_text" as const, text: "Roll back" },
    deny: { type: "plain_text" as const, text: "Keep" },
  };
  return app.client.chat.postMessage({
    channel: slack.channelId(OPS),
    text: "Card",
    blocks: buttons(
      button("hold", "Hold", { value: revision }),
      button("rollback", "Roll back", { style: "danger", confirm }),
    ) as never,
  });
}

test("a command is acknowledged with a private answer, and answered later by its response_url", async () => {
  const { slack } = await withBot((app) =>
    app.command("/rollout", async ({ ack, command, respond }) => {
      await ack(`looking at ${command.text}`);
      await respond({ text: "here it is", response_type: "in_channel" });
    }),
  );
  const seen = await slack.command("ana", OPS, "/rollout status");
  expect(seen).toMatchObject({ outcome: "ok", text: "looking at status" });
  expect(seen.ackMs).toBeGreaterThan(0);
  expect(seen.ackMs).toBeLessThan(1_000);
  await slack.waitForMessage(OPS, (_, text) => text === "here it is");
  expect(slack.channelMessages(OPS, { as: "ana" }).map(slack.textOf)).toEqual([
    "looking at status",
    "here it is",
  ]);
  expect(slack.channelMessages(OPS, { as: "ben" }).map(slack.textOf)).toEqual(["here it is"]);
  expect(slack.acks()).toMatchObject([{ type: "slash_commands", what: "/rollout", result: "acked" }]);
  expect(slack.violations()).toEqual([]);
});

test("a command's text is escaped as the manifest says", async () => {
  const texts: string[] = [];
  const { slack } = await withBot((app) =>
    app.command(/.*/, async ({ ack, command }) => {
      texts.push(command.text);
      await ack();
    }),
  );
  const line = "page @ben in #random because a<b & c, see https://example.com/?a=1&b=2 “now” —force";
  await slack.command("ana", OPS, `/rollout ${line}`);
  await slack.command("ana", OPS, `/raw ${line}`);
  const ben = slack.userId("ben");
  const random = slack.channelId("random");
  expect(texts).toEqual([
    `page <@${ben}|ben> in <#${random}|random> because a&lt;b &amp; c, see <https://example.com/?a=1&amp;b=2> “now” —force`,
    line,
  ]);
});

test("an acknowledgement after 3 s: the person is told that it failed, although the bot goes on", async () => {
  const { opened, open } = gate();
  const entered = gate();
  const { slack } = await withBot((app) =>
    app.command("/rollout", async ({ ack, respond }) => {
      entered.open();
      await opened;
      await ack();
      await respond({ text: "done all the same" });
    }),
  );
  const seen = slack.command("ana", OPS, "/rollout start");
  await entered.opened;
  slack.advance(3_001);
  expect(await seen).toMatchObject({
    outcome: "operation_timeout",
    ackMs: undefined,
    text: '/rollout failed with the error "operation_timeout"',
  });
  open();
  await slack.waitForMessage(OPS, (_, text) => text === "done all the same", { as: "ana" });
  expect(slack.acks().map((ack) => ack.result)).toEqual(["timeout", "late"]);
  expect(slack.violations().map((one) => one.rule)).toEqual(["ack_late"]);
});

test("the limit of 3 s is real time, when nobody moves the clock", async () => {
  const { slack } = await withBot((app) => app.command("/rollout", async () => undefined));
  const startedAt = performance.now();
  expect((await slack.command("ana", OPS, "/rollout start")).outcome).toBe("operation_timeout");
  const tookMs = performance.now() - startedAt;
  expect(tookMs).toBeGreaterThan(2_990);
  expect(tookMs).toBeLessThan(4_000);
});

test("whoever waits for an answer is told when the workspace stops", async () => {
  const entered = gate();
  const { slack } = await withBot((app) => app.command("/rollout", async () => entered.open()));
  const seen = slack.command("ana", OPS, "/rollout start");
  await entered.opened;
  for (const stop of stops.splice(0).reverse()) await stop();
  expect((await seen).outcome).toBe("dispatch_failed");
});

test("without a socket: dispatch_failed; an unknown command, a thread, a stranger: told so by Slackbot", async () => {
  const slack = await workspace();
  expect(await slack.command("ana", OPS, "/rollout list")).toMatchObject({ outcome: "dispatch_failed" });
  expect(await slack.command("ana", OPS, "/nothing here")).toMatchObject({
    outcome: "invalid_command",
    text: "`/nothing` is not a valid command.",
  });
  const posted = await client(slack).chat.postMessage({ channel: slack.channelId(OPS), text: "hello" });
  const threadTs = posted.ts ?? "";
  expect(await slack.command("ana", OPS, "/rollout list", { threadTs })).toMatchObject({
    outcome: "not_in_threads",
  });
  expect(await slack.command("stan", OPS, "/rollout list")).toMatchObject({ outcome: "invalid_command" });
  expect(await slack.command("dora", OPS, "/rollout list")).toMatchObject({ outcome: "not_allowed" });
  expect(await slack.command("ana", "#old-launch", "/rollout list")).toMatchObject({
    outcome: "not_allowed",
  });
  await expect(slack.command("nobody", OPS, "/rollout list")).rejects.toThrow("no user nobody");
});

test("a mention reaches the bot as an event, in threads too, and only where the bot is a member", async () => {
  const events: { text: string; thread: string | undefined }[] = [];
  const { slack } = await withBot((app) =>
    app.event("app_mention", async ({ event, say }) => {
      events.push({ text: event.text, thread: event.thread_ts });
      await say({ text: "I am here", thread_ts: event.thread_ts ?? event.ts });
    }),
  );
  const first = await slack.mention("ana", OPS, "rollout list");
  expect(first.outcome).toBe("ok");
  const ts = first.message?.ts ?? "";
  expect((await slack.mention("ben", OPS, "and <you>?", { threadTs: ts })).outcome).toBe("ok");
  await expect.poll(() => slack.thread(OPS, ts).filter((one) => one.byBot).length).toBe(2);
  expect(events).toEqual([
    { text: `<@${slack.botUserId}> rollout list`, thread: undefined },
    { text: `<@${slack.botUserId}> and &lt;you&gt;?`, thread: ts },
  ]);
  expect(await slack.mention("ana", "#random", "hello")).toMatchObject({ outcome: "not_delivered" });
  slack.inviteBot("#random");
  expect(await slack.mention("ana", "#random", "hello")).toMatchObject({ outcome: "ok" });
  expect(slack.violations()).toEqual([]);
});

test("a press acts on the message as it is now; a confirmation has to be agreed to", async () => {
  const pressed: string[] = [];
  const { slack, bot } = await withBot((app) => {
    app.action<BlockButtonAction>(/.*/, async ({ ack, action, respond, body }) => {
      await ack();
      pressed.push(`${action.action_id} ${action.value ?? ""} by ${body.user.id}`);
      await respond({ replace_original: false, response_type: "ephemeral", text: "seen" });
    });
  });
  const { ts = "" } = await postCard(bot.app, slack, "1");
  expect(await slack.click("ana", OPS, ts, { actionId: "rollback" })).toMatchObject({
    outcome: "not_confirmed",
    text: "Everything goes off.",
  });
  expect(await slack.click("ben", OPS, ts, { text: "Roll back", confirm: true })).toMatchObject({
    outcome: "ok",
  });
  await slack.waitForMessage(OPS, (_, text) => text === "seen", { as: "ben" });
  expect(slack.channelMessages(OPS, { as: "ana" }).map(slack.textOf)).toEqual(["Card\n[Hold] [Roll back]"]);

  // The card changes: what was there can no longer be pressed.
  const only = { type: "section" as const, text: { type: "mrkdwn" as const, text: "Rolled back" } };
  await bot.app.client.chat.update({
    channel: slack.channelId(OPS),
    ts,
    text: "Rolled back",
    blocks: [only],
  });
  expect(await slack.click("ana", OPS, ts, { actionId: "hold" })).toMatchObject({
    outcome: "not_rendered",
    text: "It is not shown any more. Shown: nothing to press",
  });
  expect(pressed).toEqual([`rollback  by ${slack.userId("ben")}`]);
  expect(slack.message(OPS, ts)?.history.map((version) => [version.kind, version.via])).toEqual([
    ["posted", "chat.postMessage"],
    ["updated", "chat.update"],
  ]);
  expect(slack.violations()).toEqual([]);
});

test("two people press at once: both presses come from the same rendering", async () => {
  const values: (string | undefined)[] = [];
  const { slack, bot } = await withBot((app) => {
    app.action("hold", async ({ ack, action, client: web, body }) => {
      await ack();
      if (action.type === "button") values.push(action.value);
      const channel = body.channel?.id ?? "";
      const ts = body.type === "block_actions" ? (body.message?.ts ?? "") : "";
      const next = { type: "section" as const, text: { type: "mrkdwn" as const, text: "Held" } };
      await web.chat.update({ channel, ts, text: "Held", blocks: [next] });
    });
  });
  const { ts = "" } = await postCard(bot.app, slack, "7");
  const both = await Promise.all([
    slack.click("ana", OPS, ts, { actionId: "hold" }),
    slack.click("ben", OPS, ts, { actionId: "hold" }),
  ]);
  expect(both.map((one) => one.outcome)).toEqual(["ok", "ok"]);
  expect(values).toEqual(["7", "7"]);
});

test("a private note with buttons: replaced and deleted only through its own press", async () => {
  const { slack } = await withBot((app) => {
    app.command("/rollout", async ({ ack, respond }) => {
      await ack();
      await respond({
        text: "Which?",
        blocks: buttons(button("one", "One"), button("none", "None")) as never,
      });
    });
    app.action("one", async ({ ack, respond }) => {
      await ack();
      await respond({
        replace_original: true,
        text: "One it is",
        blocks: buttons(button("none", "None")) as never,
      });
    });
    app.action("none", async ({ ack, respond }) => {
      await ack();
      await respond({ delete_original: true });
    });
  });
  await slack.command("ana", OPS, "/rollout enable p");
  const { ts } = await slack.waitForMessage(OPS, (message) => message.text === "Which?", { as: "ana" });
  expect(await slack.click("ben", OPS, ts, { actionId: "one" })).toMatchObject({ outcome: "not_rendered" });
  await slack.click("ana", OPS, ts, { actionId: "one" });
  await slack.waitForMessage(OPS, (message) => message.text === "One it is", { as: "ana" });
  const deleted = slack.waitFor("delete", (message) => message.ts === ts);
  await slack.click("ana", OPS, ts, { actionId: "none" });
  await deleted;
  expect(slack.channelMessages(OPS, { as: "ana" })).toEqual([]);
  expect(slack.message(OPS, ts)?.history.map((version) => version.kind)).toEqual([
    "posted",
    "updated",
    "deleted",
  ]);
  expect(slack.violations()).toEqual([]);
});

test("replace_original on a slash command's response_url is ignored, and on a press it has to be said", async () => {
  const { slack, bot } = await withBot((app) => {
    app.command("/rollout", async ({ ack, respond }) => {
      await ack();
      await respond({ text: "Thinking…" });
      await respond({ text: "Done", replace_original: true });
    });
    app.action("hold", async ({ ack, respond }) => {
      await ack();
      await respond({ text: "not now" });
    });
  });
  await slack.command("ana", OPS, "/rollout list");
  await slack.waitForMessage(OPS, (_, text) => text === "Done", { as: "ana" });
  expect(slack.channelMessages(OPS, { as: "ana" }).map(slack.textOf)).toEqual(["Thinking…", "Done"]);
  const { ts = "" } = await postCard(bot.app, slack);
  const overwritten = slack.waitFor("update", (message) => message.ts === ts);
  await slack.click("ana", OPS, ts, { actionId: "hold" });
  expect(slack.textOf(await overwritten)).toBe("not now");
  expect(slack.violations().map((one) => one.rule)).toEqual([
    "replace_original_on_slash",
    "replace_original_unstated",
  ]);
});

test("a response_url works five times, and for 30 minutes", async () => {
  const outcomes: string[] = [];
  const late = gate();
  const { slack } = await withBot((app) =>
    app.command("/rollout", async ({ ack, respond, command }) => {
      await ack();
      if (command.text === "late") await late.opened;
      for (let count = 1; count <= (command.text === "late" ? 1 : 6); count += 1) {
        outcomes.push(
          await respond({ text: `answer ${count}` }).then(
            () => "ok",
            (error: unknown) => (error instanceof Error ? error.message : "?"),
          ),
        );
      }
    }),
  );
  await slack.command("ana", OPS, "/rollout six");
  await expect.poll(() => outcomes.length).toBe(6);
  expect(outcomes).toEqual(["ok", "ok", "ok", "ok", "ok", expect.stringContaining("404")]);
  await slack.command("ana", OPS, "/rollout late");
  slack.advance(30 * 60_000 + 1);
  late.open();
  await expect.poll(() => outcomes.length).toBe(7);
  expect(outcomes[6]).toContain("404");
  expect(slack.violations().map((one) => one.rule)).toEqual([
    "response_url_overused",
    "response_url_expired",
  ]);
});

test("the same envelope twice: the handler runs twice, with the same ids", async () => {
  const ids: string[] = [];
  const { slack } = await withBot((app) => {
    app.command("/rollout", async ({ ack, body }) => {
      await ack();
      ids.push(body.trigger_id);
    });
    app.event("app_mention", async ({ body }) => {
      ids.push(body.event_id);
    });
  });
  slack.duplicateNext("slash_commands");
  await slack.command("ana", OPS, "/rollout start");
  await expect.poll(() => ids.length).toBe(2);
  slack.duplicateNext("events_api");
  await slack.mention("ana", OPS, "rollout start");
  await expect.poll(() => ids.length).toBe(4);
  expect(ids[0]).toBe(ids[1]);
  expect(ids[2]).toBe(ids[3]);
  await slack.command("ana", OPS, "/rollout start");
  await expect.poll(() => ids.length).toBe(5);
  expect(slack.violations()).toEqual([]);
});

test("an event that nobody takes comes again at once, after 1 and after 5 more minutes, then never", async () => {
  const slack = await workspace();
  const seen = await slack.mention("ana", OPS, "hello");
  expect(seen.outcome).toBe("dispatch_failed");
  const results = () => slack.acks().map((ack) => ack.result);
  await expect.poll(results).toEqual(["undeliverable", "undeliverable"]);
  slack.advance(60_000);
  await expect.poll(results).toHaveLength(3);
  const numbers: (number | undefined)[] = [];
  const bot = await startSocketBot(slack, (app) =>
    app.event("app_mention", async ({ context }) => {
      numbers.push(context.retryNum);
    }),
  );
  stops.push(() => bot.stop());
  slack.advance(300_000);
  await expect.poll(() => numbers).toEqual([3]);
  slack.advance(3_600_000);
  expect(results()).toEqual(["undeliverable", "undeliverable", "undeliverable", "acked"]);
});

test("a socket that is asked to reconnect gets nothing more; after it has, deliveries go on", async () => {
  const { slack } = await withBot((app) => app.command("/rollout", async ({ ack }) => ack()), 200);
  expect(slack.sockets()).toBe(1);
  expect(slack.refreshSocket()).toBe(true);
  expect(slack.sockets()).toBe(0);
  expect(slack.refreshSocket()).toBe(false);
  expect((await slack.command("ana", OPS, "/rollout list")).outcome).toBe("dispatch_failed");
  await slack.waitForSockets(1);
  expect((await slack.command("ana", OPS, "/rollout list")).outcome).toBe("ok");

  slack.dropSockets();
  await slack.waitForSockets(0);
  await slack.waitForSockets(1);
  expect((await slack.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  expect(slack.violations()).toEqual([]);
});

test("with two sockets each envelope goes through one of them, and one refresh is not noticed", async () => {
  let count = 0;
  const listeners = (app: App): void => {
    app.command("/rollout", async ({ ack }) => {
      count += 1;
      await ack();
    });
  };
  const { slack } = await withBot(listeners, 200);
  const second = await startSocketBot(slack, listeners, 200);
  stops.push(() => second.stop());
  expect(slack.sockets()).toBe(2);
  for (let turn = 0; turn < 10; turn += 1) await slack.command("ana", OPS, "/rollout list");
  expect(count).toBe(10);
  slack.refreshSocket();
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, () => slack.command("ana", OPS, "/rollout list")),
  );
  expect(outcomes.every((one) => one.outcome === "ok")).toBe(true);
  expect(count).toBe(20);
  await slack.waitForSockets(2);
});

test("the workspace goes down and comes back on its port with everything it knew", async () => {
  const { slack, bot } = await withBot((app) => app.command("/rollout", async ({ ack }) => ack("here")), 200);
  const { ts = "" } = await postCard(bot.app, slack);
  await slack.down();
  await expect(fetch(slack.origin)).rejects.toThrow();
  expect((await slack.command("ana", OPS, "/rollout list")).outcome).toBe("dispatch_failed");
  await slack.up();
  await slack.waitForSockets(1, { timeoutMs: 15_000 });
  expect(await slack.command("ana", OPS, "/rollout list")).toMatchObject({ outcome: "ok", text: "here" });
  expect(slack.message(OPS, ts)?.text).toBe("Card");

  await slack.down({ keepPage: true });
  expect((await fetch(slack.origin)).status).toBe(200);
  await expect(client(slack).auth.test()).rejects.toThrow();
  await slack.up();
  await slack.waitForSockets(1, { timeoutMs: 15_000 });
  expect((await client(slack).auth.test()).ok).toBe(true);
});

test("a modal: opened by its trigger, refused with errors, then submitted; pushed at most three high", async () => {
  const submitted: unknown[] = [];
  const view = (title: string, callbackId: string) => ({
    type: "modal" as const,
    callback_id: callbackId,
    private_metadata: "r-1",
    notify_on_close: true,
    title: { type: "plain_text" as const, text: title },
    submit: { type: "plain_text" as const, text: "Unlock" },
    blocks: [
      {
        type: "input" as const,
        block_id: "why",
        label: { type: "plain_text" as const, text: "Because" },
        element: { type: "plain_text_input" as const, action_id: "because", min_length: 3 },
      },
      {
        type: "actions" as const,
        block_id: "more",
        elements: [
          {
            type: "button" as const,
            action_id: "deeper",
            text: { type: "plain_text" as const, text: "Deeper" },
          },
        ],
      },
    ],
  });
  const pushes: string[] = [];
  const { slack } = await withBot((app) => {
    app.command("/rollout", async ({ ack, client: web, body }) => {
      await ack();
      await web.views.open({ trigger_id: body.trigger_id, view: view("Unlock", "unlock") });
    });
    app.action("deeper", async ({ ack, client: web, body }) => {
      await ack();
      const trigger = "trigger_id" in body && typeof body.trigger_id === "string" ? body.trigger_id : "";
      pushes.push(
        await web.views.push({ trigger_id: trigger, view: view("Deeper", "deeper") }).then(
          () => "ok",
          (error: unknown) => (error instanceof Error ? error.message : "?"),
        ),
      );
    });
    app.view({ callback_id: "unlock", type: "view_submission" }, async ({ ack, view: sent }) => {
      submitted.push(sent.state.values.why?.because?.value, sent.private_metadata);
      if (sent.state.values.why?.because?.value === "no!") {
        await ack({ response_action: "errors", errors: { why: "Say more." } });
      } else await ack();
    });
    app.view({ callback_id: "deeper", type: "view_closed" }, async ({ ack }) => {
      submitted.push("closed");
      await ack();
    });
  });
  const opened = slack.waitFor("views", ({ open }) => open.length === 1);
  await slack.command("ana", OPS, "/rollout unlock");
  await opened;
  expect(slack.openViews("ben")).toEqual([]);
  expect(await slack.submitView("ana", { because: "" })).toMatchObject({ outcome: "invalid_input" });
  expect(await slack.submitView("ana", { because: "x" })).toMatchObject({
    outcome: "invalid_input",
    errors: { why: "Must be at least 3 characters." },
  });
  expect(await slack.submitView("ana", { nothing: "x" })).toMatchObject({ outcome: "not_rendered" });
  expect(submitted).toEqual([]);
  expect(await slack.submitView("ana", { because: "no!" })).toMatchObject({
    outcome: "view_errors",
    errors: { why: "Say more." },
  });
  for (let count = 1; count <= 3; count += 1) {
    await slack.clickView("ana", { actionId: "deeper" });
    await expect.poll(() => pushes).toHaveLength(count);
  }
  expect(pushes).toEqual(["ok", "ok", expect.stringContaining("push_limit_reached")]);
  expect(slack.openViews("ana")).toHaveLength(3);
  await slack.closeView("ana");
  await slack.closeView("ana");
  expect(await slack.submitView("ana", { because: "it is fixed" })).toMatchObject({ outcome: "ok" });
  expect(slack.openViews("ana")).toEqual([]);
  expect(submitted).toEqual(["no!", "r-1", "closed", "closed", "it is fixed", "r-1"]);
  expect(slack.violations().map((one) => one.rule)).toEqual(["push_limit_reached"]);
});

test("a socket needs a fresh ticket, and there are at most ten", async () => {
  const slack = await workspace();
  const open = async (): Promise<string> => {
    const web = client(slack, { headers: { Authorization: `Bearer ${slack.appToken}` } });
    return (await web.apps.connections.open()).url ?? "";
  };
  const connect = (url: string): Promise<{ socket: WebSocket; first: string }> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.on("message", (data: Buffer) => resolve({ socket, first: data.toString() }));
      socket.on("error", reject);
    });
  const url = await open();
  const { socket } = await connect(url);
  await expect(connect(url)).rejects.toThrow("401");
  const stale = await open();
  slack.advance(31_000);
  await expect(connect(stale)).rejects.toThrow("401");
  const sockets = [socket];
  for (let count = 1; count < 10; count += 1) sockets.push((await connect(await open())).socket);
  const eleventh = await connect(await open());
  expect(JSON.parse(eleventh.first)).toMatchObject({ type: "disconnect", reason: "too_many_websockets" });
  expect(slack.violations().map((one) => one.rule)).toEqual(["ticket_reused", "too_many_websockets"]);
  socket.send(JSON.stringify({ envelope_id: randomUUID() }));
  await slack.waitFor("violation", (one) => one.rule === "ack_unknown_envelope");
  for (const one of [...sockets, eleventh.socket]) one.terminate();
});
