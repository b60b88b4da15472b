/** The rules by which a message is checked before it goes: each limit at its edge, compared with the strict workspace's own rules. */
import { expect, test } from "vitest";
import { formProblems, messageProblems } from "../../src/adapters/slack/block-rules.ts";
import { LastLook } from "../../src/adapters/slack/sendable.ts";
import { checkBlocks, checkView } from "../fakes/slack/block-kit.ts";
import { keepLog } from "../support/slack-bot.ts";

const plain = (length: number) => ({ type: "plain_text", text: "x".repeat(length) });
const mrkdwn = (length: number) => ({ type: "mrkdwn", text: "x".repeat(length) });
const button = (more: object = {}, id = "a") => ({
  type: "button",
  action_id: id,
  text: plain(5),
  ...more,
});
const confirm = (more: object = {}) => ({
  title: plain(10),
  text: plain(10),
  confirm: plain(3),
  deny: plain(3),
  ...more,
});
const times = <T>(count: number, of: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => of(index));
const actions = (...elements: object[]) => ({ type: "actions", elements });

const FINE: Readonly<Record<string, object>> = {
  header: { type: "header", text: plain(150) },
  section: { type: "section", text: mrkdwn(3_000) },
  fields: { type: "section", fields: times(10, () => mrkdwn(100)) },
  context: { type: "context", elements: times(10, () => mrkdwn(100)) },
  divider: { type: "divider", block_id: "b" },
  actions: actions(...times(25, (index) => button({}, `a${index}`))),
  button: actions(button({ text: plain(75), value: "v".repeat(2_000), style: "danger" })),
  confirm: actions(
    button({
      confirm: confirm({ title: plain(100), text: plain(300), confirm: plain(30), deny: plain(30) }),
    }),
  ),
  markup: {
    type: "section",
    text: {
      type: "mrkdwn",
      text: "&lt;b&gt; &amp; <@U123|ben> <#C123> <!subteam^S1|@on> <https://a.example/?b=1&amp;c|d> <!date^1795348861^{date_short} {time}|13:01 UTC>",
    },
  },
};

test.each(Object.entries(FINE))("%s: what is allowed is let through", (_, block) => {
  expect(messageProblems({ text: "A sentence.", blocks: [block] })).toEqual([]);
  expect(checkBlocks([block], "message")).toEqual([]);
});

const WRONG: Readonly<Record<string, readonly object[]>> = {
  "header too long": [{ type: "header", text: plain(151) }],
  "header in mrkdwn": [{ type: "header", text: mrkdwn(5) }],
  "header empty": [{ type: "header", text: plain(0) }],
  "section too long": [{ type: "section", text: mrkdwn(3_001) }],
  "section without anything": [{ type: "section" }],
  "eleven fields": [{ type: "section", fields: times(11, () => mrkdwn(5)) }],
  "field too long": [{ type: "section", fields: [mrkdwn(2_001)] }],
  "eleven context elements": [{ type: "context", elements: times(11, () => mrkdwn(5)) }],
  "no buttons": [actions()],
  "26 buttons": [actions(...times(26, (index) => button({}, `a${index}`)))],
  "label too long": [actions(button({ text: plain(76) }))],
  "value too long": [actions(button({ value: "v".repeat(2_001) }))],
  "unknown style": [actions(button({ style: "warning" }))],
  "disabled button": [actions(button({ disabled: true }))],
  "confirm without deny": [
    actions(button({ confirm: { title: plain(1), text: plain(1), confirm: plain(1) } })),
  ],
  "confirm label too long": [actions(button({ confirm: confirm({ confirm: plain(31) }) }))],
  "confirm text too long": [actions(button({ confirm: confirm({ text: plain(301) }) }))],
  "same action_id twice": [actions(button(), button())],
  "same block_id twice": [
    { type: "divider", block_id: "b" },
    { type: "divider", block_id: "b" },
  ],
  "unknown block": [{ type: "plan" }],
  "unknown property": [{ type: "divider", colour: "red" }],
  "51 blocks": times(51, () => ({ type: "divider" })),
  "not an object": [actions(button({ confirm: 5 }))],
};

test.each(Object.entries(WRONG))("%s: refused here as there", (_, blocks) => {
  expect(messageProblems({ text: "A sentence.", blocks })).not.toEqual([]);
  expect(checkBlocks(blocks, "message")).not.toEqual([]);
});

test("what Slack would take and people would not: no text, raw markup, more JSON than is safe", () => {
  expect(messageProblems({ text: " ", blocks: [] })).toHaveLength(1);
  expect(messageProblems({ text: "a < b", blocks: [] })).toHaveLength(1);
  expect(messageProblems({ text: "<!channel> look", blocks: [] })).toHaveLength(1);
  expect(messageProblems({ text: "x".repeat(4_001), blocks: [] })).toHaveLength(1);
  const raw = { type: "section", text: { type: "mrkdwn", text: "a & b" } };
  expect(messageProblems({ text: "x", blocks: [raw] })).toHaveLength(1);
  const large = times(4, () => ({ type: "section", text: mrkdwn(2_900) }));
  expect(messageProblems({ text: "x", blocks: large })).toHaveLength(1);
  for (const odd of [null, 5, "x", [], { type: 5 }, { type: "toString" }, { type: "__proto__" }])
    expect(messageProblems({ text: "x", blocks: [odd] })).not.toEqual([]);
});

test("forms are held to their own limits", () => {
  const input = {
    type: "input",
    block_id: "why",
    label: plain(100),
    element: { type: "plain_text_input", action_id: "text", multiline: true, max_length: 480 },
  };
  const form = { type: "modal", title: plain(24), submit: plain(5), blocks: [input] };
  expect(formProblems(form)).toEqual([]);
  expect(checkView(form)).toEqual([]);
  for (const wrong of [
    { ...form, title: plain(25) },
    { ...form, submit: undefined },
    { ...form, private_metadata: "x".repeat(3_001) },
    { ...form, blocks: [] },
    {
      ...form,
      blocks: [{ ...input, element: { type: "plain_text_input", action_id: "t", max_length: 3_001 } }],
    },
    { ...form, type: "home" },
    { ...form, blocks: [{ type: "divider", colour: "red" }] },
    "form",
  ]) {
    expect(formProblems(wrong)).not.toEqual([]);
  }
});

test("a message that breaks a rule goes out as text with its buttons, and the log says once what was wrong", () => {
  const log = keepLog();
  const look = new LastLook(log);
  const broken = {
    text: "A sentence.",
    blocks: [
      { type: "header" as const, text: { type: "plain_text" as const, text: "x".repeat(151) } },
      {
        type: "actions" as const,
        elements: [
          { type: "button" as const, action_id: "a", text: { type: "plain_text" as const, text: "Hold" } },
        ],
      },
    ],
  };
  const sent = look.checked("card:r-7", broken);
  look.checked("card:r-7", broken);
  expect(messageProblems(sent)).toEqual([]);
  expect(sent).toMatchObject({
    text: "A sentence.",
    blocks: [{ type: "section", text: { text: "A sentence." } }, { type: "actions" }],
  });
  expect(log.lines).toHaveLength(1);
  expect(log.lines[0]?.text).toContain("151 characters, from 1 to 150");
  const hopeless = look.checked("other", { text: "a <b", blocks: [{ type: "divider" }] });
  expect(hopeless).toEqual({ text: "a  b", blocks: [] });
});
