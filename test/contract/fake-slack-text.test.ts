/** The workspace's texts, clock and life: markup in and out, flattened messages, time that can be moved, a clean end. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createClock } from "../fakes/slack/clock.ts";
import { checkMrkdwn, encodeTyped, escapeText, plainText, unescapeText } from "../fakes/slack/mrkdwn.ts";
import { startFakeSlack } from "../fakes/slack/server.ts";
import { SOCKET_MANIFEST } from "../fakes/slack/test-manifest.ts";
import { textOf } from "../fakes/slack/text.ts";

const names = {
  user: (id: string) => (id === "U1" ? "ana" : undefined),
  channel: (id: string) => (id === "C1" ? "ops" : undefined),
  group: (id: string) => (id === "S1" ? "oncall" : undefined),
};
const ids = {
  userId: (name: string) => (name === "ana" ? "U1" : undefined),
  channelId: (name: string) => (name === "ops" ? "C1" : undefined),
  groupId: (name: string) => (name === "oncall" ? "S1" : undefined),
};

describe("markup", () => {
  test.each([
    ["*bold* and _italic_ and ~gone~ and `code`", "bold and italic and gone and code"],
    ["FEATURE_PARSE_CACHE 2*3*4 a_b_c", "FEATURE_PARSE_CACHE 2*3*4 a_b_c"],
    ["<@U1> <@U2|eve> <@U3>", "@ana @eve @U3"],
    ["<#C1|old> <!subteam^S1> <!here>", "#ops @oncall @here"],
    ["<https://e.com/?a=1&amp;b=2|graph> <https://e.com>", "graph https://e.com"],
    ["at <!date^1700000000^{time}|22:13 UTC>", "at 22:13 UTC"],
    ["&lt;b&gt; &amp;amp;", "<b> &amp;"],
    ["```a\nb```", "a\nb"],
  ])("%s is read as %s", (mrkdwn, shown) => {
    expect(plainText(mrkdwn, names)).toBe(shown);
  });

  test.each([
    ["hello @ana, see #ops", "hello <@U1>, see <#C1|ops>"],
    ["@oncall and @nobody", "<!subteam^S1|@oncall> and @nobody"],
    ["mail a@ana.com", "mail a@ana.com"],
    ["a<b & c", "a&lt;b &amp; c"],
    ["see https://e.com/?a=1&b=2.", "see <https://e.com/?a=1&amp;b=2.>"],
  ])("%s is stored as %s", (typed, stored) => {
    expect(encodeTyped(typed, ids, false)).toBe(stored);
  });

  test("whatever is escaped is good mrkdwn, and comes back as it was", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 80 }), (text) => {
        expect(checkMrkdwn(escapeText(text))).toEqual([]);
        expect(unescapeText(escapeText(text))).toBe(text);
      }),
    );
  });
});

test("a message as a person reads it", () => {
  const blocks = [
    { type: "header", text: { type: "plain_text", text: "Rollout" } },
    {
      type: "section",
      text: { type: "mrkdwn", text: "*by* <@U1>" },
      fields: [{ type: "mrkdwn", text: "p95" }],
    },
    {
      type: "context",
      elements: [
        { type: "mrkdwn", text: "a" },
        { type: "image", alt_text: "b" },
      ],
    },
    { type: "divider" },
    {
      type: "table",
      rows: [
        [
          { type: "raw_text", text: "criterion" },
          { type: "raw_text", text: "verdict" },
        ],
        [
          { type: "raw_text", text: "p95" },
          { type: "raw_number", value: 1, text: "1 ms" },
        ],
      ],
    },
    {
      type: "rich_text",
      elements: [
        {
          type: "rich_text_list",
          style: "bullet",
          elements: [
            {
              type: "rich_text_section",
              elements: [
                { type: "user", user_id: "U1" },
                { type: "text", text: " GO" },
              ],
            },
          ],
        },
      ],
    },
    { type: "actions", elements: [{ type: "button", text: { type: "plain_text", text: "Roll back" } }] },
  ];
  expect(textOf({ text: "fallback", blocks }, names)).toBe(
    [
      "Rollout",
      "by @ana · p95",
      "a · (image: b)",
      "criterion | verdict",
      "p95 | 1 ms",
      "• @ana GO",
      "[Roll back]",
    ].join("\n"),
  );
  expect(textOf({ text: "*only* text", blocks: undefined }, names)).toBe("only text");
});

describe("the clock", () => {
  test("fires what is due when it is moved, earliest first, and nothing that was cancelled", () => {
    const clock = createClock(() => 1_000);
    const fired: string[] = [];
    clock.after(200, () => fired.push("second"));
    clock.after(100, () => fired.push("first"));
    const cancel = clock.after(150, () => fired.push("never"));
    cancel();
    clock.advance(99);
    expect([clock.now(), fired]).toEqual([1_099, []]);
    clock.advance(500);
    expect([clock.now(), fired]).toEqual([1_599, ["first", "second"]]);
    clock.after(1, () => fired.push("stopped"));
    clock.stop();
    clock.advance(10);
    expect(fired).toEqual(["first", "second"]);
  });

  test("runs by itself when its base does", async () => {
    const clock = createClock(Date.now);
    const startedAt = performance.now();
    await new Promise<void>((resolve) => clock.after(30, resolve));
    expect(performance.now() - startedAt).toBeGreaterThan(28);
  });
});

test("an event that the manifest does not subscribe to is not delivered", async () => {
  const settings = { ...SOCKET_MANIFEST.settings, event_subscriptions: { bot_events: [] } };
  const slack = await startFakeSlack({ manifest: { ...SOCKET_MANIFEST, settings } });
  expect(await slack.mention("ana", "#ingestion-ops", "hello")).toMatchObject({ outcome: "not_delivered" });
  expect(slack.acks()).toEqual([]);
  expect(slack.channelMessages("#ingestion-ops").map(slack.textOf)).toEqual(["@belay hello"]);
  await slack.stop();
});

test("own users, channels and groups take the place of the default ones; a name that is missing is an error", async () => {
  const seed = {
    users: [{ name: "zoe", realName: "Zoe Z" }],
    channels: [{ name: "team", botIsMember: true, private: true, members: ["zoe"] }],
    usergroups: [{ handle: "all", members: ["zoe"] }],
  };
  const slack = await startFakeSlack({ manifest: SOCKET_MANIFEST, seed });
  expect(slack.userId("@zoe")).toMatch(/^U[A-Z0-9]+$/);
  expect(slack.channelId("#team")).toMatch(/^C[A-Z0-9]+$/);
  expect(slack.groupId("@all")).toMatch(/^S[A-Z0-9]+$/);
  expect(() => slack.userId("ana")).toThrow("the workspace has no user ana");
  await slack.stop();
  const broken = { ...seed, usergroups: [{ handle: "all", members: ["ana"] }] };
  await expect(startFakeSlack({ manifest: SOCKET_MANIFEST, seed: broken })).rejects.toThrow("no user ana");
});

test("after a workspace and a bot have stopped, nothing keeps the program alive", async () => {
  const probe = fileURLToPath(new URL("../fakes/slack/exit-probe.ts", import.meta.url));
  const child = spawn(process.execPath, [probe], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect([code, output]).toEqual([0, "ok: here\n"]);
});
