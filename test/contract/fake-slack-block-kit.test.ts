/** The workspace's Block Kit rules: each limit is tried exactly at its edge and one beyond. */
import type { KnownBlock, ModalView } from "@slack/types";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCKS_JSON_MAX, checkBlocks, checkView } from "../fakes/slack/block-kit.ts";

const x = (count: number): string => "x".repeat(count);
const plain = (count: number) => ({ type: "plain_text", text: x(count) });
const mrkdwn = (count: number) => ({ type: "mrkdwn", text: x(count) });
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const button = (extra: object = {}) => ({ type: "button", action_id: "a", text: plain(1), ...extra });
const actions = (...elements: object[]) => ({ type: "actions", elements });
const option = (extra: object = {}) => ({ text: plain(1), value: "v", ...extra });
const confirm = (extra: object = {}) => ({
  title: plain(1),
  text: plain(1),
  confirm: plain(1),
  deny: plain(1),
  ...extra,
});
const input = (element: object, extra: object = {}) => ({
  type: "input",
  label: plain(1),
  element,
  ...extra,
});
const modal = (extra: object = {}) => ({
  type: "modal",
  title: plain(1),
  blocks: [{ type: "divider" }],
  ...extra,
});
const cell = { type: "raw_text", text: "x" };
const image = { type: "image", image_url: "https://example.com/a.png" };

/** Name, the largest allowed size, and the blocks of a given size. */
const BLOCK_LIMITS: readonly (readonly [string, number, (size: number) => unknown])[] = [
  ["blocks in a message", 50, (n) => times(n, () => ({ type: "divider" }))],
  ["block_id", 255, (n) => [{ type: "divider", block_id: x(n) }]],
  ["action_id", 255, (n) => [actions(button({ action_id: x(n) }))]],
  ["header text", 150, (n) => [{ type: "header", text: plain(n) }]],
  ["section text", 3000, (n) => [{ type: "section", text: mrkdwn(n) }]],
  ["section fields", 10, (n) => [{ type: "section", fields: times(n, () => mrkdwn(1)) }]],
  ["section field text", 2000, (n) => [{ type: "section", fields: [mrkdwn(n)] }]],
  ["context elements", 10, (n) => [{ type: "context", elements: times(n, () => mrkdwn(1)) }]],
  ["actions elements", 25, (n) => [actions(...times(n, (i) => button({ action_id: `a${i}` })))]],
  ["button text", 75, (n) => [actions(button({ text: plain(n) }))]],
  ["button value", 2000, (n) => [actions(button({ value: x(n) }))]],
  ["button url", 3000, (n) => [actions(button({ url: `https://e.com/${x(n - 14)}` }))]],
  ["button accessibility_label", 75, (n) => [actions(button({ accessibility_label: x(n) }))]],
  ["confirm title", 100, (n) => [actions(button({ confirm: confirm({ title: plain(n) }) }))]],
  ["confirm text", 300, (n) => [actions(button({ confirm: confirm({ text: plain(n) }) }))]],
  ["confirm confirm", 30, (n) => [actions(button({ confirm: confirm({ confirm: plain(n) }) }))]],
  ["confirm deny", 30, (n) => [actions(button({ confirm: confirm({ deny: plain(n) }) }))]],
  ["option text", 75, (n) => [actions({ type: "static_select", options: [option({ text: plain(n) })] })]],
  ["option value", 75, (n) => [actions({ type: "static_select", options: [option({ value: x(n) })] })]],
  ["select options", 100, (n) => [actions({ type: "static_select", options: times(n, () => option()) })]],
  ["overflow options", 5, (n) => [actions({ type: "overflow", options: times(n, () => option()) })]],
  ["radio options", 10, (n) => [actions({ type: "radio_buttons", options: times(n, () => option()) })]],
  ["checkbox options", 10, (n) => [actions({ type: "checkboxes", options: times(n, () => option()) })]],
  ["placeholder", 150, (n) => [actions({ type: "users_select", placeholder: plain(n) })]],
  ["image alt_text", 2000, (n) => [{ ...image, alt_text: x(n) }]],
  ["image title", 2000, (n) => [{ ...image, alt_text: "x", title: plain(n) }]],
  ["input label", 2000, (n) => [input({ type: "plain_text_input" }, { label: plain(n) })]],
  ["input hint", 2000, (n) => [input({ type: "plain_text_input" }, { hint: plain(n) })]],
  ["input max_length", 3000, (n) => [input({ type: "plain_text_input", max_length: n })]],
  ["markdown text", 12_000, (n) => [{ type: "markdown", text: x(n) }]],
  [
    "markdown texts in sum",
    12_000,
    (n) => [
      { type: "markdown", text: x(6_000) },
      { type: "markdown", text: x(n - 6_000) },
    ],
  ],
  ["table rows", 100, (n) => [{ type: "table", rows: times(n, () => [cell]) }]],
  ["table cells in a row", 20, (n) => [{ type: "table", rows: [times(n, () => cell)] }]],
  ["tables in a message", 1, (n) => times(n, () => ({ type: "table", rows: [[cell]] }))],
];

const VIEW_LIMITS: readonly (readonly [string, number, (size: number) => unknown])[] = [
  ["title", 24, (n) => modal({ title: plain(n) })],
  ["submit", 24, (n) => modal({ submit: plain(n) })],
  ["close", 24, (n) => modal({ close: plain(n) })],
  ["private_metadata", 3000, (n) => modal({ private_metadata: x(n) })],
  ["callback_id", 255, (n) => modal({ callback_id: x(n) })],
  ["external_id", 255, (n) => modal({ external_id: x(n) })],
  ["blocks", 100, (n) => modal({ blocks: times(n, () => ({ type: "divider" })) })],
];

describe("limits of blocks", () => {
  test.each(BLOCK_LIMITS)("%s: %i is taken, one more is refused", (_, limit, make) => {
    expect(checkBlocks(make(limit), "message")).toEqual([]);
    const problems = checkBlocks(make(limit + 1), "message");
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/\[json-pointer:\/blocks/);
  });

  test("the JSON of all blocks: 13,200 characters are taken, one more is msg_blocks_too_long", () => {
    const section = (count: number) => ({ type: "section", text: mrkdwn(count) });
    const ofSize = (size: number) => {
      const most = times(5, () => section(2_500));
      return [...most, section(1 + size - JSON.stringify([...most, section(1)]).length)];
    };
    expect(JSON.stringify(ofSize(BLOCKS_JSON_MAX))).toHaveLength(BLOCKS_JSON_MAX);
    expect(checkBlocks(ofSize(BLOCKS_JSON_MAX), "message")).toEqual([]);
    expect(checkBlocks(ofSize(BLOCKS_JSON_MAX + 1), "message")).toEqual([
      expect.stringMatching(/^msg_blocks_too_long: 13201 /),
    ]);
    expect(checkBlocks(ofSize(BLOCKS_JSON_MAX + 1), "modal")).toEqual([]);
  });

  test("characters are code points, not UTF-16 units", () => {
    expect(
      checkBlocks([{ type: "header", text: { type: "plain_text", text: "🧗".repeat(150) } }], "message"),
    ).toEqual([]);
    expect(
      checkBlocks([{ type: "header", text: { type: "plain_text", text: "🧗".repeat(151) } }], "message"),
    ).toHaveLength(1);
  });
});

describe("limits of views", () => {
  test.each(VIEW_LIMITS)("%s: %i is taken, one more is refused", (_, limit, make) => {
    expect(checkView(make(limit))).toEqual([]);
    expect(checkView(make(limit + 1))).toHaveLength(1);
  });

  test("a view over 250 kB is view_too_large", () => {
    const blocks = times(100, () => ({ type: "section", text: mrkdwn(2_600) }));
    expect(checkView(modal({ blocks }))).toEqual([expect.stringMatching(/^view_too_large/)]);
  });

  test("an input block needs a submit button, and only one element may take the focus", () => {
    const blocks = [input({ type: "plain_text_input", action_id: "why" })];
    expect(checkView(modal({ blocks }))).toEqual([expect.stringContaining("submit is required")]);
    expect(checkView(modal({ blocks, submit: plain(1) }))).toEqual([]);
    const greedy = times(2, () => input({ type: "plain_text_input", focus_on_load: true }));
    expect(checkView(modal({ blocks: greedy, submit: plain(1) }))).toEqual([
      expect.stringContaining("focus_on_load"),
    ]);
  });
});

describe("what is refused", () => {
  test.each([
    ["an unknown property", [actions(button({ disabled: true }))], "invalid additional property: disabled"],
    [
      "an unknown property of a text",
      [{ type: "header", text: { ...plain(1), verbatim: true } }],
      "verbatim",
    ],
    ["mrkdwn where plain text is needed", [{ type: "header", text: mrkdwn(1) }], "unsupported type: mrkdwn"],
    ["an unknown style", [actions(button({ style: "warning" }))], "must be one of primary, danger"],
    ["an empty text", [{ type: "section", text: plain(0) }], "at least 1 character"],
    ["an empty list", [{ type: "context", elements: [] }], "at least 1 item"],
    ["a section with nothing", [{ type: "section" }], "one of text, fields is required"],
    ["a button without text", [actions({ type: "button", action_id: "a" })], "missing required field: text"],
    [
      "a button without confirm's deny",
      [actions(button({ confirm: { ...confirm(), deny: undefined } }))],
      "deny",
    ],
    ["an unknown block", [{ type: "plan", title: "x" }], "unsupported type: plan"],
    ["a block that is no object", ["divider"], "must be an object"],
    ["blocks that are no list", { type: "divider" }, "must be an array"],
    [
      "the same block_id twice",
      times(2, () => ({ type: "divider", block_id: "b" })),
      "block_id b is not unique",
    ],
    ["the same action_id twice in a block", [actions(button(), button())], "action_id a is not unique"],
    ["a link that is not http", [actions(button({ url: "javascript:alert(1)" }))], "does not look right"],
    [
      "options beside option_groups",
      [
        actions({
          type: "static_select",
          options: [option()],
          option_groups: [{ label: plain(1), options: [option()] }],
        }),
      ],
      "only one of options and option_groups",
    ],
    ["an image without an address", [{ type: "image", alt_text: "x" }], "one of image_url, slack_file"],
    ["a table in a modal", undefined, "unsupported type: table"],
  ])("%s", (_, blocks, expected) => {
    const surface = blocks === undefined ? "modal" : "message";
    const problems = checkBlocks(blocks ?? [{ type: "table", rows: [[cell]] }], surface);
    expect(problems.join("\n")).toContain(expected);
  });

  test("the same action_id in two blocks is fine", () => {
    expect(checkBlocks([actions(button()), actions(button())], "message")).toEqual([]);
  });
});

describe("agreement with Slack's own types", () => {
  test("a card of every kind of block that the types know and the workspace takes", () => {
    const blocks: KnownBlock[] = [
      { type: "header", text: { type: "plain_text", text: "Rollout ingestion · prod", emoji: true } },
      {
        type: "section",
        text: { type: "mrkdwn", text: "*SOAKING*", verbatim: true },
        accessory: {
          type: "overflow",
          action_id: "more",
          options: [{ text: { type: "plain_text", text: "Evidence" }, value: "evidence" }],
        },
      },
      { type: "context", elements: [{ type: "mrkdwn", text: "by <@U0ANA000001>" }] },
      { type: "divider" },
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
                  { type: "text", text: "Hour 1", style: { bold: true } },
                  { type: "date", timestamp: 1_700_000_000, format: "{time}", fallback: "12:00" },
                ],
              },
            ],
          },
        ],
      },
      {
        type: "table",
        rows: [
          [
            { type: "raw_text", text: "criterion" },
            { type: "raw_number", value: 0.03, text: "0.03 %" },
          ],
        ],
        column_settings: [{ align: "left", is_wrapped: true }, { align: "right" }],
      },
      {
        type: "actions",
        elements: [
          {
            type: "button",
            action_id: "rollback",
            style: "danger",
            text: { type: "plain_text", text: "Roll back" },
            confirm: {
              title: { type: "plain_text", text: "Roll back?" },
              text: { type: "mrkdwn", text: "batching goes *OFF*." },
              confirm: { type: "plain_text", text: "Roll back" },
              deny: { type: "plain_text", text: "Keep" },
              style: "danger",
            },
          },
        ],
      },
    ];
    expect(checkBlocks(blocks, "message")).toEqual([]);
  });

  test("a modal", () => {
    const view: ModalView = {
      type: "modal",
      callback_id: "why",
      title: { type: "plain_text", text: "Unlock parallel" },
      submit: { type: "plain_text", text: "Unlock" },
      close: { type: "plain_text", text: "Cancel" },
      blocks: [
        {
          type: "input",
          block_id: "because",
          label: { type: "plain_text", text: "Because" },
          hint: { type: "plain_text", text: "Shown in the history" },
          element: {
            type: "plain_text_input",
            action_id: "text",
            multiline: true,
            focus_on_load: true,
            min_length: 3,
          },
        },
      ],
    };
    expect(checkView(view)).toEqual([]);
  });
});

test("the check never throws, whatever it is given", () => {
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, maxDepth: 5 }), (value) => {
      expect(Array.isArray(checkBlocks(value, "message"))).toBe(true);
      expect(Array.isArray(checkBlocks([value], "modal"))).toBe(true);
      expect(Array.isArray(checkView(value))).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
