/** The tables of Block Kit: which properties each block, element and object has, and their limits. */

/** What a value must be. Lengths count code points, both ends included. */
export type Rule =
  | { readonly kind: "string"; readonly min: number; readonly max: number; readonly pattern?: RegExp }
  | { readonly kind: "choice"; readonly of: readonly string[] }
  | { readonly kind: "number"; readonly min: number; readonly max: number; readonly whole: boolean }
  | { readonly kind: "boolean" }
  | { readonly kind: "text"; readonly types: readonly TextType[]; readonly max: number }
  | { readonly kind: "list"; readonly of: Rule; readonly min: number; readonly max: number }
  | { readonly kind: "shape"; readonly shape: string }
  | { readonly kind: "typed"; readonly shapes: readonly string[] };

/** The two kinds of text object. */
export type TextType = "plain_text" | "mrkdwn";

/** An object's properties; any other property is refused. */
export interface Shape {
  /** The value of its `type`; undefined for objects without one. */
  readonly type: string | undefined;
  readonly required: Readonly<Record<string, Rule>>;
  readonly optional: Readonly<Record<string, Rule>>;
  /** At least one of these has to be there. */
  readonly oneOf?: readonly string[];
}

const string = (max: number, min = 1): Rule => ({ kind: "string", min, max });
const url = (max: number): Rule => ({ kind: "string", min: 1, max, pattern: /^https?:\/\/\S+$/ });
const matching = (pattern: RegExp): Rule => ({ kind: "string", min: 1, max: 255, pattern });
const choice = (...of: string[]): Rule => ({ kind: "choice", of });
const whole = (min: number, max: number): Rule => ({ kind: "number", min, max, whole: true });
const plain = (max: number): Rule => ({ kind: "text", types: ["plain_text"], max });
const anyText = (max: number): Rule => ({ kind: "text", types: ["plain_text", "mrkdwn"], max });
const list = (of: Rule, min: number, max: number): Rule => ({ kind: "list", of, min, max });
const shape = (name: string): Rule => ({ kind: "shape", shape: name });
const typed = (...shapes: string[]): Rule => ({ kind: "typed", shapes });
const yesNo: Rule = { kind: "boolean" };

/** Upper bound for lists and strings to which Slack states no limit. */
const UNSTATED = 3000;

const BUTTONS = ["button", "overflow"];
const PICKERS = ["datepicker", "timepicker", "datetimepicker"];
const SELECTS = ["static_select", "users_select", "conversations_select", "channels_select"];
const MULTI_SELECTS = ["multi_static_select", "multi_users_select"];
const CHOICES = ["radio_buttons", "checkboxes"];
const INPUTS = ["plain_text_input", "number_input", "email_text_input", "url_text_input"];
const RICH = ["rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"];
const RICH_INLINE = [
  "text",
  "link",
  "emoji",
  "user",
  "usergroup",
  "channel",
  "broadcast",
  "date",
  "color",
  "team",
];

const action = { action_id: string(255) } satisfies Record<string, Rule>;
const confirmable = { ...action, confirm: shape("confirm") } satisfies Record<string, Rule>;
const focusable = { focus_on_load: yesNo } satisfies Record<string, Rule>;
const placeholder = { placeholder: plain(150) } satisfies Record<string, Rule>;
const blockId = { block_id: string(255) } satisfies Record<string, Rule>;
const dispatchable = { ...action, ...focusable, ...placeholder, dispatch_action_config: shape("dispatch") };
const styled = { style: shape("rich_style") } satisfies Record<string, Rule>;

/** The shapes that are blocks, by surface. Newer block types are refused, as by a workspace without them. */
export const BLOCKS_OF_SURFACE = {
  message: [
    "actions",
    "context",
    "divider",
    "header",
    "image_block",
    "input",
    "markdown",
    "rich_text",
    "section",
    "table",
  ],
  modal: ["actions", "context", "divider", "header", "image_block", "input", "rich_text", "section"],
  home: ["actions", "context", "divider", "header", "image_block", "input", "rich_text", "section"],
} as const satisfies Record<string, readonly string[]>;

function make(
  type: string | undefined,
  required: Shape["required"],
  optional: Shape["optional"] = {},
  oneOf?: readonly string[],
): Shape {
  return oneOf === undefined ? { type, required, optional } : { type, required, optional, oneOf };
}

const BLOCKS: Readonly<Record<string, Shape>> = {
  actions: make(
    "actions",
    { elements: list(typed(...BUTTONS, ...PICKERS, ...SELECTS, ...MULTI_SELECTS, ...CHOICES), 1, 25) },
    blockId,
  ),
  context: make("context", { elements: list(typed("image", "plain_text", "mrkdwn"), 1, 10) }, blockId),
  divider: make("divider", {}, blockId),
  header: make("header", { text: plain(150) }, blockId),
  image_block: make(
    "image",
    { alt_text: string(2000) },
    { ...blockId, image_url: url(3000), slack_file: shape("slack_file"), title: plain(2000) },
    ["image_url", "slack_file"],
  ),
  input: make(
    "input",
    { label: plain(2000), element: typed(...INPUTS, ...PICKERS, ...SELECTS, ...MULTI_SELECTS, ...CHOICES) },
    { ...blockId, hint: plain(2000), optional: yesNo, dispatch_action: yesNo },
  ),
  markdown: make("markdown", { text: string(12_000) }, blockId),
  rich_text: make("rich_text", { elements: list(typed(...RICH), 0, UNSTATED) }, blockId),
  section: make(
    "section",
    {},
    {
      ...blockId,
      text: anyText(3000),
      fields: list(anyText(2000), 1, 10),
      accessory: typed("image", ...BUTTONS, ...PICKERS, ...SELECTS, ...MULTI_SELECTS, ...CHOICES),
      expand: yesNo,
    },
    ["text", "fields"],
  ),
  table: make(
    "table",
    { rows: list(list(typed("raw_text", "raw_number", "rich_text"), 1, 20), 1, 100) },
    { ...blockId, column_settings: list(shape("column_setting"), 1, 20) },
  ),
};

const option = { text: plain(75), value: string(75) } satisfies Record<string, Rule>;
const select = { ...confirmable, ...focusable, ...placeholder } satisfies Record<string, Rule>;
const options = {
  options: list(shape("option"), 1, 100),
  option_groups: list(shape("option_group"), 1, 100),
};

const ELEMENTS: Readonly<Record<string, Shape>> = {
  button: make(
    "button",
    { text: plain(75) },
    {
      ...confirmable,
      value: string(2000),
      url: url(3000),
      style: choice("primary", "danger"),
      accessibility_label: string(75),
    },
  ),
  overflow: make("overflow", { options: list(shape("overflow_option"), 1, 5) }, confirmable),
  image: make(
    "image",
    { alt_text: string(2000) },
    { image_url: url(3000), slack_file: shape("slack_file") },
    ["image_url", "slack_file"],
  ),
  datepicker: make("datepicker", {}, { ...select, initial_date: matching(/^\d{4}-\d{2}-\d{2}$/) }),
  timepicker: make(
    "timepicker",
    {},
    { ...select, initial_time: matching(/^([01]\d|2[0-3]):[0-5]\d$/), timezone: string(255) },
  ),
  datetimepicker: make(
    "datetimepicker",
    {},
    { ...confirmable, ...focusable, initial_date_time: whole(1e9, 1e10 - 1) },
  ),
  static_select: make("static_select", {}, { ...select, ...options, initial_option: shape("option") }, [
    "options",
    "option_groups",
  ]),
  users_select: make("users_select", {}, { ...select, initial_user: matching(/^[UW][A-Z0-9]+$/) }),
  conversations_select: make(
    "conversations_select",
    {},
    {
      ...select,
      initial_conversation: matching(/^[CGD][A-Z0-9]+$/),
      default_to_current_conversation: yesNo,
      response_url_enabled: yesNo,
    },
  ),
  channels_select: make(
    "channels_select",
    {},
    {
      ...select,
      initial_channel: matching(/^C[A-Z0-9]+$/),
      response_url_enabled: yesNo,
    },
  ),
  multi_static_select: make(
    "multi_static_select",
    {},
    {
      ...select,
      ...options,
      initial_options: list(shape("option"), 1, 100),
      max_selected_items: whole(1, 100),
    },
    ["options", "option_groups"],
  ),
  multi_users_select: make(
    "multi_users_select",
    {},
    {
      ...select,
      initial_users: list(matching(/^[UW][A-Z0-9]+$/), 1, UNSTATED),
      max_selected_items: whole(1, UNSTATED),
    },
  ),
  radio_buttons: make(
    "radio_buttons",
    { options: list(shape("rich_option"), 1, 10) },
    { ...confirmable, ...focusable, initial_option: shape("rich_option") },
  ),
  checkboxes: make(
    "checkboxes",
    { options: list(shape("rich_option"), 1, 10) },
    { ...confirmable, ...focusable, initial_options: list(shape("rich_option"), 1, 10) },
  ),
  plain_text_input: make(
    "plain_text_input",
    {},
    {
      ...dispatchable,
      initial_value: string(3000),
      multiline: yesNo,
      min_length: whole(0, 3000),
      max_length: whole(1, 3000),
    },
  ),
  number_input: make(
    "number_input",
    { is_decimal_allowed: yesNo },
    { ...dispatchable, initial_value: string(255), min_value: string(255), max_value: string(255) },
  ),
  email_text_input: make("email_text_input", {}, { ...dispatchable, initial_value: string(3000) }),
  url_text_input: make("url_text_input", {}, { ...dispatchable, initial_value: string(3000) }),
};

const OBJECTS: Readonly<Record<string, Shape>> = {
  plain_text: make("plain_text", { text: string(3000) }, { emoji: yesNo }),
  mrkdwn: make("mrkdwn", { text: string(3000) }, { verbatim: yesNo }),
  raw_text: make("raw_text", { text: string(UNSTATED) }),
  raw_number: make("raw_number", {
    text: string(UNSTATED),
    value: { kind: "number", min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY, whole: false },
  }),
  confirm: make(
    undefined,
    { title: plain(100), text: anyText(300), confirm: plain(30), deny: plain(30) },
    { style: choice("primary", "danger") },
  ),
  option: make(undefined, option, { description: plain(75) }),
  rich_option: make(undefined, { ...option, text: anyText(75) }, { description: anyText(75) }),
  overflow_option: make(undefined, option, { description: plain(75), url: url(3000) }),
  option_group: make(undefined, { label: plain(75), options: list(shape("option"), 1, 100) }),
  dispatch: make(undefined, {
    trigger_actions_on: list(choice("on_enter_pressed", "on_character_entered"), 1, 2),
  }),
  slack_file: make(undefined, {}, { id: matching(/^F[A-Z0-9]+$/), url: url(3000) }, ["id", "url"]),
  column_setting: make(undefined, {}, { align: choice("left", "center", "right"), is_wrapped: yesNo }),
};

const RICH_TEXT: Readonly<Record<string, Shape>> = {
  rich_style: make(
    undefined,
    {},
    { bold: yesNo, italic: yesNo, strike: yesNo, code: yesNo, underline: yesNo },
  ),
  rich_text_section: make("rich_text_section", { elements: list(typed(...RICH_INLINE), 0, UNSTATED) }),
  rich_text_list: make(
    "rich_text_list",
    { elements: list(typed("rich_text_section"), 0, UNSTATED), style: choice("bullet", "ordered") },
    { indent: whole(0, 8), offset: whole(0, UNSTATED), border: whole(0, 1) },
  ),
  rich_text_quote: make(
    "rich_text_quote",
    { elements: list(typed(...RICH_INLINE), 0, UNSTATED) },
    { border: whole(0, 1) },
  ),
  rich_text_preformatted: make(
    "rich_text_preformatted",
    { elements: list(typed("text", "link"), 0, UNSTATED) },
    { border: whole(0, 1), language: string(255) },
  ),
  text: make("text", { text: string(UNSTATED * 4) }, styled),
  link: make("link", { url: url(3000) }, { ...styled, text: string(UNSTATED), unsafe: yesNo }),
  emoji: make(
    "emoji",
    { name: matching(/^[a-z0-9_+'-]+$/) },
    { ...styled, unicode: string(255), skin_tone: whole(1, 6) },
  ),
  user: make("user", { user_id: matching(/^[UW][A-Z0-9]+$/) }, styled),
  usergroup: make("usergroup", { usergroup_id: matching(/^S[A-Z0-9]+$/) }, styled),
  channel: make("channel", { channel_id: matching(/^[CGD][A-Z0-9]+$/) }, styled),
  team: make("team", { team_id: matching(/^T[A-Z0-9]+$/) }, styled),
  broadcast: make("broadcast", { range: choice("here", "channel", "everyone") }, styled),
  color: make("color", { value: matching(/^#[0-9a-fA-F]{6}$/) }, styled),
  date: make(
    "date",
    { timestamp: whole(0, 1e11), format: string(255) },
    { ...styled, url: url(3000), fallback: string(255) },
  ),
};

/** Every shape by its name in the rules. */
export const SHAPES: ReadonlyMap<string, Shape> = new Map(
  Object.entries({ ...BLOCKS, ...ELEMENTS, ...OBJECTS, ...RICH_TEXT }),
);
