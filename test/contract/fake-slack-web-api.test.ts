/** The workspace's Web API against the real WebClient: scopes, tokens, channels, limits, faults, message rules. */
import { WebAPIPlatformError, WebAPIRateLimitedError } from "@slack/web-api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { POST_BURST } from "../fakes/slack/limits.ts";
import { type FakeSlack, type FakeSlackOptions, startFakeSlack } from "../fakes/slack/server.ts";
import { client, startSocketBot } from "../fakes/slack/test-bot.ts";
import { SOCKET_MANIFEST } from "../fakes/slack/test-manifest.ts";

const OPS = "#ingestion-ops";
let slack: FakeSlack;

async function restart(options: Partial<FakeSlackOptions> = {}): Promise<void> {
  await slack.stop();
  slack = await startFakeSlack({ manifest: SOCKET_MANIFEST, ...options });
}

beforeEach(async () => {
  slack = await startFakeSlack({ manifest: SOCKET_MANIFEST });
});
afterEach(() => slack.stop());

const ops = () => slack.channelId(OPS);
const rules = () => slack.violations().map((one) => one.rule);
const say = (text: string, extra: object = {}) =>
  client(slack).chat.postMessage({ channel: ops(), text, ...extra });
const section = (text: string) => [{ type: "section" as const, text: { type: "mrkdwn" as const, text } }];

/** Slack's error code, or `ok`. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "ok";
  } catch (error) {
    if (error instanceof WebAPIPlatformError) return error.data.error;
    throw error;
  }
}

describe("who may call what", () => {
  test("auth.test tells the bot who it is", async () => {
    expect(await client(slack).auth.test()).toMatchObject({
      ok: true,
      user: "belay",
      user_id: slack.botUserId,
      team: "Belay demo",
      is_enterprise_install: false,
    });
  });

  test("tokens: missing, wrong, of the wrong kind; an app token only in the header", async () => {
    const post = async (method: string, headers: Record<string, string>, body = "") => {
      const answer = await fetch(`${slack.apiUrl}${method}`, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
        body,
      });
      const json: unknown = await answer.json();
      return json;
    };
    expect(await post("auth.test", {})).toEqual({ ok: false, error: "not_authed" });
    expect(await post("auth.test", { authorization: "Bearer xoxb-other" })).toEqual({
      ok: false,
      error: "invalid_auth",
    });
    expect(await post("apps.connections.open", {}, `token=${slack.appToken}`)).toEqual({
      ok: false,
      error: "invalid_auth",
    });
    const botHeader = { authorization: `Bearer ${slack.botToken}` };
    const appHeader = { authorization: `Bearer ${slack.appToken}` };
    expect(await post("apps.connections.open", botHeader)).toMatchObject({ error: "not_allowed_token_type" });
    expect(await post("chat.postMessage", appHeader, "channel=C1&text=x")).toMatchObject({
      error: "not_allowed_token_type",
    });
    expect(await post("apps.connections.open", appHeader)).toMatchObject({
      ok: true,
      url: expect.stringMatching(/^ws:/),
    });
    expect(rules()).toEqual([
      "not_authed",
      "invalid_auth",
      "invalid_auth",
      "not_allowed_token_type",
      "not_allowed_token_type",
    ]);
  });

  test("JSON bodies and forms are read alike", async () => {
    const answer = await fetch(`${slack.apiUrl}chat.postMessage`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${slack.botToken}` },
      body: JSON.stringify({ channel: ops(), text: "json", blocks: section("from JSON") }),
    });
    expect(await answer.json()).toMatchObject({ ok: true, message: { text: "json" } });
    await say("form", { blocks: section("from a form") });
    expect(slack.channelMessages(OPS).map(slack.textOf)).toEqual(["from JSON", "from a form"]);
    expect(slack.calls("chat.postMessage").map((call) => call.args.blocks)).toEqual([
      section("from JSON"),
      section("from a form"),
    ]);
  });

  test("a missing scope says what is needed and what there is", async () => {
    await restart({ grantOptionalScopes: false });
    await expect(client(slack).conversations.history({ channel: ops() })).rejects.toMatchObject({
      data: { error: "missing_scope", needed: "channels:history,groups:history,im:history" },
    });
    await expect(client(slack).conversations.info({ channel: ops() })).rejects.toMatchObject({
      data: {
        error: "missing_scope",
        provided: "app_mentions:read,chat:write,commands,usergroups:read,users:read",
      },
    });
    expect(rules()).toEqual(["missing_scope", "missing_scope"]);
  });

  test("an unknown method, a missing and an unknown argument", async () => {
    expect(await codeOf(client(slack).apiCall("chat.shout", { channel: ops() }))).toBe("unknown_method");
    expect(await codeOf(client(slack).apiCall("chat.postMessage", { text: "where?" }))).toBe(
      "invalid_arguments",
    );
    expect(await codeOf(say("hello", { colour: "red" }))).toBe("ok");
    expect(rules()).toEqual(["unknown_method", "invalid_arguments", "unknown_argument"]);
  });
});

describe("posting", () => {
  test("ts are strings that rise, and unlike numbers keep their six digits", async () => {
    const all = [await say("a"), await say("b"), await say("c")].map((one) => one.ts ?? "");
    for (const ts of all) expect(ts).toMatch(/^\d{10}\.\d{6}$/);
    expect([...all].sort()).toEqual(all);
    const number = String(Number(all[0]) + 0.0000001);
    expect(await codeOf(client(slack).chat.update({ channel: ops(), ts: `${number}x`, text: "d" }))).toBe(
      "message_not_found",
    );
    expect(rules()).toEqual(["ts_malformed"]);
  });

  test("channels: by id only, where the bot is, and not archived", async () => {
    const post = (channel: string) => codeOf(client(slack).chat.postMessage({ channel, text: "x" }));
    expect(await post(OPS)).toBe("channel_not_found");
    expect(await post("C0NOWHERE01")).toBe("channel_not_found");
    expect(await post(slack.channelId("random"))).toBe("not_in_channel");
    expect(await post(slack.channelId("old-launch"))).toBe("is_archived");
    slack.removeBot(OPS);
    expect(await post(ops())).toBe("not_in_channel");
    slack.inviteBot(OPS);
    expect(await post(ops())).toBe("ok");
    expect(await post(slack.userId("ana"))).toBe("ok");
    expect(await post(slack.userId("dora"))).toBe("channel_not_found");
    expect(rules()).toEqual(["channel_by_name"]);
  });

  test("threads: replies to a message, not to a reply, a private note or nothing", async () => {
    const { ts = "" } = await say("parent");
    const reply = await say("reply", { thread_ts: ts });
    expect(reply.message?.thread_ts).toBe(ts);
    expect(await codeOf(say("nested", { thread_ts: reply.ts }))).toBe("cannot_reply_to_message");
    expect(await codeOf(say("lost", { thread_ts: "1000000000.000001" }))).toBe("thread_not_found");
    const found = await client(slack).conversations.replies({ channel: ops(), ts });
    expect(found.messages?.map((one) => one.text)).toEqual(["parent", "reply"]);
    expect(found.messages?.[0]).toMatchObject({ reply_count: 1, latest_reply: reply.ts });
  });

  test("history is newest first, in pages, without replies and notes, with metadata when asked for", async () => {
    const metadata = { event_type: "rollout_card", event_payload: { rollout: "r-1" } };
    const { ts = "" } = await say("one", { metadata });
    await say("two");
    await say("reply", { thread_ts: ts });
    await client(slack).chat.postEphemeral({ channel: ops(), user: slack.userId("ana"), text: "note" });
    const first = await client(slack).conversations.history({ channel: ops(), limit: 1 });
    expect(first.messages?.map((one) => one.text)).toEqual(["two"]);
    const cursor = first.response_metadata?.next_cursor ?? "";
    const second = await client(slack).conversations.history({
      channel: ops(),
      limit: 1,
      cursor,
      include_all_metadata: true,
    });
    expect(second.messages).toMatchObject([{ text: "one", metadata }]);
    expect(second.has_more).toBe(false);
    const plain = await client(slack).conversations.history({ channel: ops() });
    expect(plain.messages?.some((one) => "metadata" in one)).toBe(false);
    expect(await codeOf(client(slack).conversations.history({ channel: slack.channelId("random") }))).toBe(
      "not_in_channel",
    );
    expect(await codeOf(say("bad", { metadata: { event_type: "x" } }))).toBe("invalid_metadata_schema");
  });

  test("no text at all is refused; blocks without text are shown, but noted", async () => {
    expect(await codeOf(say(""))).toBe("no_text");
    expect(await codeOf(say("", { blocks: section("only blocks") }))).toBe("ok");
    expect(rules()).toEqual(["no_text", "fallback_text_missing"]);
  });

  test("blocks that Slack refuses, with the place; too many of them; and what is no list", async () => {
    const bad = [{ type: "header", text: { type: "mrkdwn", text: "x" } }];
    await expect(say("x", { blocks: bad })).rejects.toMatchObject({
      data: {
        error: "invalid_blocks",
        errors: [expect.stringContaining("[json-pointer:/blocks/0/text/type]")],
      },
    });
    expect(
      await codeOf(say("x", { blocks: Array.from({ length: 6 }, () => section("y".repeat(2_900))[0]) })),
    ).toBe("msg_blocks_too_long");
    expect(await codeOf(say("x", { blocks: "nonsense" }))).toBe("invalid_blocks_format");
    expect(rules()).toEqual(["invalid_blocks", "msg_blocks_too_long", "invalid_blocks_format"]);
  });

  test("text over 40,000 characters is cut with a warning; an update over 4,000 is refused", async () => {
    const posted = await say("x".repeat(40_001));
    expect(posted.response_metadata?.warnings).toEqual(["message_truncated"]);
    expect(slack.message(OPS, posted.ts ?? "")?.text).toHaveLength(40_000);
    const update = (count: number) =>
      codeOf(client(slack).chat.update({ channel: ops(), ts: posted.ts ?? "", text: "x".repeat(count) }));
    expect(await update(4_000)).toBe("ok");
    expect(await update(4_001)).toBe("msg_too_long");
  });

  test.each([
    ["a raw ampersand", "a & b", "unescaped_mrkdwn"],
    ["raw angle brackets", "p95 > 250 and x < y", "unescaped_mrkdwn"],
    ["a mention by name", "<@ana> did it", "unescaped_mrkdwn"],
    ["a date without fallback", "at <!date^1700000000^{time}>", "unescaped_mrkdwn"],
    ["a date with an unknown token", "at <!date^1700000000^{clock}|noon>", "unescaped_mrkdwn"],
    ["a raw ampersand in a link", "<https://e.com/?a=1&b=2|graph>", "unescaped_mrkdwn"],
    ["a mention of everyone", "<!channel> look", "broadcast_mention"],
  ])("manners: %s is noted", async (_, text, rule) => {
    expect(await codeOf(say(text, { unfurl_links: false }))).toBe("ok");
    expect(await codeOf(say("fine", { blocks: section(text), unfurl_links: false }))).toBe("ok");
    expect(rules()).toEqual([rule, rule]);
  });

  test("manners: what is well written is not noted", async () => {
    const text = [
      "> a quotation",
      "&lt;b&gt; &amp; *bold* by <@U0ANA000001> for <!subteam^S0ONCALL001|@oncall> in <#C0INGESTI01>",
      "<https://e.com/?a=1&amp;b=2|graph> <mailto:a@e.com|mail>",
      "at <!date^1700000000^{date_short} {time}|2023-11-14 22:13 UTC>",
    ].join("\n");
    await say(text, { unfurl_links: false, blocks: section(text) });
    expect(slack.violations()).toEqual([]);
    await say("see https://e.com/");
    expect(rules()).toEqual(["link_would_unfurl"]);
  });
});

describe("changing messages", () => {
  test("blocks replace blocks without a mark; text alone takes the blocks away and marks it edited", async () => {
    const { ts = "" } = await say("card", { blocks: section("v1") });
    const update = (extra: object) =>
      client(slack).chat.update({ channel: ops(), ts, text: "card", ...extra });
    await update({ blocks: section("v2") });
    expect(slack.message(OPS, ts)).toMatchObject({ edited: false, blocks: [{ text: { text: "v2" } }] });
    await update({ text: "closed" });
    expect(slack.message(OPS, ts)).toMatchObject({ edited: true, blocks: undefined, text: "closed" });
    expect(slack.message(OPS, ts)?.history.map((version) => version.kind)).toEqual([
      "posted",
      "updated",
      "updated",
    ]);
    expect(slack.channelMessages(OPS)).toHaveLength(1);
  });

  test("metadata stays unless it is replaced or emptied", async () => {
    const metadata = { event_type: "card", event_payload: { n: 1 } };
    const { ts = "" } = await say("card", { metadata });
    const update = (extra: object) =>
      client(slack).chat.update({ channel: ops(), ts, text: "card", ...extra });
    await update({});
    expect(slack.message(OPS, ts)?.metadata).toEqual(metadata);
    await update({ metadata: {} });
    expect(slack.message(OPS, ts)?.metadata).toBeUndefined();
  });

  test("only the bot's own messages, and no private notes", async () => {
    const theirs = await slack.say("ana", OPS, "hello");
    const ts = theirs.message?.ts ?? "";
    const web = client(slack);
    expect(await codeOf(web.chat.update({ channel: ops(), ts, text: "mine now" }))).toBe(
      "cant_update_message",
    );
    expect(await codeOf(web.chat.delete({ channel: ops(), ts }))).toBe("cant_delete_message");
    const note = await web.chat.postEphemeral({ channel: ops(), user: slack.userId("ana"), text: "psst" });
    expect(await codeOf(web.chat.update({ channel: ops(), ts: note.message_ts ?? "", text: "x" }))).toBe(
      "message_not_found",
    );
    expect(rules()).toEqual(["cant_update_message", "cant_delete_message", "ephemeral_updated"]);
    const own = await say("bye");
    await web.chat.delete({ channel: ops(), ts: own.ts ?? "" });
    expect(slack.message(OPS, own.ts ?? "")?.history.map((version) => version.kind)).toEqual([
      "posted",
      "deleted",
    ]);
    expect(await codeOf(web.chat.update({ channel: ops(), ts: own.ts ?? "", text: "x" }))).toBe(
      "message_not_found",
    );
  });

  test("private notes need a person who is in the channel", async () => {
    const note = (user: string) =>
      codeOf(client(slack).chat.postEphemeral({ channel: ops(), user, text: "psst" }));
    expect(await note(slack.userId("ana"))).toBe("ok");
    expect(await note(slack.userId("dora"))).toBe("user_not_in_channel");
    expect(slack.channelMessages(OPS)).toEqual([]);
    expect(slack.channelMessages(OPS, { as: "ana" })).toHaveLength(1);
  });

  test("a permalink leads to the page", async () => {
    const { ts = "" } = await say("here");
    const found = await client(slack).chat.getPermalink({ channel: ops(), message_ts: ts });
    expect(found.permalink).toBe(`${slack.origin}/archives/${ops()}/p${ts.replace(".", "")}`);
    expect((await fetch(found.permalink ?? "")).status).toBe(200);
  });
});

describe("people and groups", () => {
  test("every sort of person can be told apart", async () => {
    const { members = [] } = await client(slack).users.list({});
    const flags = Object.fromEntries(
      members.map((one) => [one.name, [one.deleted, one.is_bot, one.is_restricted].map(Number).join("")]),
    );
    expect(flags).toMatchObject({ ana: "000", gus: "001", dora: "100", grafana: "010", belay: "010" });
    const stranger = await client(slack).users.info({ user: slack.userId("stan") });
    expect(stranger.user).toMatchObject({ is_stranger: true, team_id: "T0ELSEWHERE" });
    expect(stranger.user?.profile?.email).toBeUndefined();
    expect(await codeOf(client(slack).users.info({ user: "U0NOBODY001" }))).toBe("user_not_found");
  });

  test("groups: their people, empty, disabled, changed, and not on a free plan", async () => {
    const web = client(slack);
    const people = async (handle: string) =>
      (await web.usergroups.users.list({ usergroup: slack.groupId(handle) })).users;
    expect(await people("oncall")).toEqual([slack.userId("ana"), slack.userId("ben")]);
    expect(await people("db-owners")).toEqual([]);
    slack.setGroupMembers("oncall", ["kim"]);
    expect(await people("oncall")).toEqual([slack.userId("kim")]);
    slack.setGroupDisabled("oncall", true);
    expect(await codeOf(people("oncall"))).toBe("no_such_subteam");
    expect((await web.usergroups.list({})).usergroups?.map((one) => one.handle)).toEqual([
      "release-approvers",
      "db-owners",
    ]);
    slack.setPaidPlan(false);
    expect(await codeOf(web.usergroups.list({}))).toBe("plan_upgrade_required");
    expect(slack.violations()).toEqual([]);
  });
});

describe("triggers", () => {
  const view = {
    type: "modal" as const,
    title: { type: "plain_text" as const, text: "Why?" },
    blocks: [{ type: "divider" as const }],
  };

  test("a trigger_id works once and for 3 s", async () => {
    const seen: string[] = [];
    const bot = await startSocketBot(slack, (app) =>
      app.command("/rollout", async ({ ack, body }) => {
        seen.push(body.trigger_id);
        await ack();
      }),
    );
    const open = (trigger_id: string) => codeOf(client(slack).views.open({ trigger_id, view }));
    await slack.command("ana", OPS, "/rollout a");
    await slack.command("ana", OPS, "/rollout b");
    const [first = "", second = ""] = seen;
    expect(await open(first)).toBe("ok");
    expect(await open(first)).toBe("exchanged_trigger_id");
    slack.advance(3_001);
    expect(await open(second)).toBe("expired_trigger_id");
    expect(await open("1.2.abc")).toBe("invalid_trigger_id");
    const [shown] = slack.openViews("ana");
    const update = (hash: string) =>
      codeOf(client(slack).views.update({ view_id: shown?.id ?? "", hash, view }));
    expect(await update(shown?.hash ?? "")).toBe("ok");
    expect(await update(shown?.hash ?? "")).toBe("hash_conflict");
    expect(rules()).toEqual(["exchanged_trigger_id", "expired_trigger_id", "invalid_trigger_id"]);
    await bot.stop();
  });
});

describe("limits", () => {
  test("chat.update: 50 in a minute, then 429 with Retry-After; a minute later it goes on", async () => {
    const { ts = "" } = await say("card");
    const update = (text: string) =>
      client(slack, { rejectRateLimitedCalls: true }).chat.update({ channel: ops(), ts, text });
    for (let count = 1; count <= 50; count += 1) await update(`v${count}`);
    const refused: unknown = await update("v51").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(WebAPIRateLimitedError);
    expect(refused).toMatchObject({ retryAfter: expect.any(Number) });
    await expect(update("v51")).rejects.toThrow();
    expect(rules()).toEqual(["retry_after_ignored"]);
    slack.advance(60_000);
    expect((await update("v51")).ok).toBe(true);
    expect(slack.message(OPS, ts)?.text).toBe("v51");
  });

  test.each([
    ["usergroups.list", 20],
    ["users.list", 20],
    ["chat.postEphemeral", 100],
    ["users.info", 100],
  ])("%s: %i in a minute", async (method, perMinute) => {
    const web = client(slack, { rejectRateLimitedCalls: true });
    const all = {
      "chat.postEphemeral": { channel: ops(), user: slack.userId("ana") },
      "users.info": { user: slack.userId("ana") },
    };
    const args = { ...Object.entries(all).find(([name]) => name === method)?.[1] };
    const call = (count: number) =>
      web.apiCall(method, method === "chat.postEphemeral" ? { ...args, text: `${count}` } : args);
    for (let count = 1; count <= perMinute; count += 1) await call(count);
    await expect(call(0)).rejects.toBeInstanceOf(WebAPIRateLimitedError);
    slack.advance(60_000);
    await call(0);
    expect(slack.violations()).toEqual([]);
  });

  test("posts: a short burst in a channel, then one per second; another channel is not held up", async () => {
    slack.inviteBot("random");
    const web = client(slack, { rejectRateLimitedCalls: true });
    const post = (channel: string, text: string) => web.chat.postMessage({ channel, text });
    for (let count = 1; count <= POST_BURST; count += 1) await post(ops(), `m${count}`);
    await expect(post(ops(), "too fast")).rejects.toMatchObject({ retryAfter: 1 });
    await post(slack.channelId("random"), "elsewhere");
    slack.advance(1_000);
    await post(ops(), "in time");
    await expect(post(ops(), "too fast again")).rejects.toBeInstanceOf(WebAPIRateLimitedError);
    expect(slack.violations()).toEqual([]);
  });

  test("the real client waits as it is told, and is not blamed", async () => {
    slack.inject({ on: "chat.postMessage", kind: "ratelimited", retryAfterS: 1 });
    const startedAt = performance.now();
    await client(slack, { retryConfig: { retries: 2, minTimeout: 1 } }).chat.postMessage({
      channel: ops(),
      text: "x",
    });
    expect(performance.now() - startedAt).toBeGreaterThan(990);
    expect(slack.calls("chat.postMessage").map((call) => call.outcome)).toEqual(["ratelimited", "ok"]);
    expect(slack.violations()).toEqual([]);
  });
});

describe("faults", () => {
  test("a reply that is lost after Slack applied the post: the client's retry posts it again", async () => {
    slack.inject({ on: "chat.postMessage", kind: "applied_reply_lost" });
    const web = client(slack, { retryConfig: { retries: 2, minTimeout: 1 } });
    await web.chat.postMessage({ channel: ops(), text: "once" });
    expect(slack.channelMessages(OPS).map((message) => message.text)).toEqual(["once", "once"]);
    expect(slack.calls("chat.postMessage").map((call) => call.outcome)).toEqual(["reply_lost", "ok"]);
  });

  test("500, an error code, no answer, a slow answer: each as often as asked for", async () => {
    slack.inject({ on: "chat.postMessage", kind: "http500", times: 2 });
    slack.inject({ on: "*", kind: "error", code: "internal_error" });
    slack.inject({ on: "chat.postMessage", kind: "hang" });
    slack.inject({ on: "chat.postMessage", kind: "slow", ms: 150 });
    const web = client(slack, { timeout: 400 });
    const post = () => web.chat.postMessage({ channel: ops(), text: "x" });
    await expect(post()).rejects.toMatchObject({ code: "slack_webapi_http_error", statusCode: 500 });
    await expect(post()).rejects.toMatchObject({ statusCode: 500 });
    expect(await codeOf(post())).toBe("internal_error");
    await expect(post()).rejects.toMatchObject({ code: "slack_webapi_request_error" });
    const startedAt = performance.now();
    expect((await post()).ok).toBe(true);
    expect(performance.now() - startedAt).toBeGreaterThan(145);
    expect(slack.calls().map((call) => call.outcome)).toEqual([
      "http500",
      "http500",
      "internal_error",
      "hang",
      "ok",
    ]);
    expect(slack.channelMessages(OPS)).toHaveLength(1);
    expect(slack.violations()).toEqual([]);
  });

  test("faults that did not strike can be taken back", async () => {
    slack.inject({ on: "*", kind: "http500", times: 100 });
    slack.clearFaults();
    expect((await client(slack).auth.test()).ok).toBe(true);
  });
});

test("waiting: for what is there, for what comes, and in vain with a telling error", async () => {
  await say("first");
  expect((await slack.waitForMessage(OPS, (_, text) => text === "first")).text).toBe("first");
  const coming = slack.waitForMessage(OPS, (_, text) => text === "second");
  await say("second");
  expect((await coming).text).toBe("second");
  await expect(slack.waitForMessage(OPS, () => false, { timeoutMs: 20 })).rejects.toThrow(
    /first[\s\S]*second/,
  );
  await expect(slack.waitFor("delete", () => true, { timeoutMs: 20 })).rejects.toThrow(
    'no such "delete" event',
  );
});

test("an injected clock stands still until it is moved", async () => {
  await restart({ now: () => 1_700_000_000_000 });
  const first = await say("a");
  slack.advance(60_000);
  const second = await say("b");
  expect([first.ts, second.ts]).toEqual(["1700000000.000000", "1700000060.000000"]);
});
