/** The rules of Block Kit for what Belay sends, as tables; checked before sending, because Slack refuses a whole message for one letter too many. */
import { lengthOf } from "./render-text.ts";

/** Most blocks of a message. */
export const BLOCKS_MOST = 50;
/** Most characters of the fallback text, so that chat.update takes it, too. */
export const TEXT_MOST = 4_000;
/** Most characters of a message's blocks as JSON. Slack's own limit is undocumented and above 13,000. */
export const JSON_MOST = 10_000;

type TextKind = "plain_text" | "mrkdwn";

/** What a value must be; lengths count code points, both ends included. */
type Rule =
  | { readonly is: "string"; readonly min: number; readonly max: number }
  | { readonly is: "one of"; readonly values: readonly string[] }
  | { readonly is: "whole number"; readonly min: number; readonly max: number }
  | { readonly is: "boolean" }
  | { readonly is: "text"; readonly kinds: readonly TextKind[]; readonly max: number }
  | { readonly is: "list"; readonly of: string; readonly min: number; readonly max: number }
  | { readonly is: "part"; readonly of: string };

interface Fields {
  readonly must: Readonly<Record<string, Rule>>;
  readonly may?: Readonly<Record<string, Rule>>;
  /** Of these, one at least. */
  readonly any?: readonly string[];
}

const string = (max: number, min = 1): Rule => ({ is: "string", min, max });
const plain = (max: number): Rule => ({ is: "text", kinds: ["plain_text"], max });
const anyText = (max: number): Rule => ({ is: "text", kinds: ["plain_text", "mrkdwn"], max });
const list = (of: string, min: number, max: number): Rule => ({ is: "list", of, min, max });

const STYLE: Rule = { is: "one of", values: ["primary", "danger"] };
const BLOCK_ID: Readonly<Record<string, Rule>> = { block_id: string(255) };

/** Blocks of a message. A type that is not here is one that Belay does not send. */
const MESSAGE_BLOCKS: Readonly<Record<string, Fields>> = {
  header: { must: { text: plain(150) }, may: BLOCK_ID },
  section: {
    must: {},
    may: { ...BLOCK_ID, text: anyText(3_000), fields: list("text", 1, 10), expand: { is: "boolean" } },
    any: ["text", "fields"],
  },
  context: { must: { elements: list("text", 1, 10) }, may: BLOCK_ID },
  actions: { must: { elements: list("button", 1, 25) }, may: BLOCK_ID },
  divider: { must: {}, may: BLOCK_ID },
};

/** Blocks of a form. */
const FORM_BLOCKS: Readonly<Record<string, Fields>> = {
  section: { must: { text: anyText(3_000) }, may: BLOCK_ID },
  input: {
    must: { label: plain(2_000), element: { is: "part", of: "plain_text_input" } },
    may: { ...BLOCK_ID, hint: plain(2_000), optional: { is: "boolean" } },
  },
};

const PARTS: Readonly<Record<string, Fields>> = {
  button: {
    must: { action_id: string(255), text: plain(75) },
    may: { value: string(2_000), style: STYLE, confirm: { is: "part", of: "confirm" }, url: string(3_000) },
  },
  confirm: {
    must: { title: plain(100), text: anyText(300), confirm: plain(30), deny: plain(30) },
    may: { style: STYLE },
  },
  plain_text_input: {
    must: { action_id: string(255) },
    may: {
      multiline: { is: "boolean" },
      min_length: { is: "whole number", min: 0, max: 3_000 },
      max_length: { is: "whole number", min: 1, max: 3_000 },
      placeholder: plain(150),
      focus_on_load: { is: "boolean" },
      initial_value: string(3_000),
    },
  },
  modal: {
    must: { title: plain(24) },
    may: {
      submit: plain(24),
      close: plain(24),
      callback_id: string(255),
      private_metadata: string(3_000, 0),
      notify_on_close: { is: "boolean" },
      clear_on_close: { is: "boolean" },
    },
  },
};

/** Parts whose JSON has no `type`. */
const UNTYPED: ReadonlySet<string> = new Set(["confirm"]);

/** What is wrong with a message, each with its place; empty when Slack will take it. Never throws. */
export function messageProblems(message: {
  readonly text: string;
  readonly blocks: readonly unknown[];
}): readonly string[] {
  const problems: string[] = [];
  const { text, blocks } = message;
  if (text.trim() === "") problems.push("text: missing; notifications and screen readers need it");
  if (lengthOf(text) > TEXT_MOST) problems.push(`text: ${lengthOf(text)} characters, at most ${TEXT_MOST}`);
  if (rawMarkup(text)) problems.push("text: a raw &, < or >");
  if (blocks.length > BLOCKS_MOST) problems.push(`blocks: ${blocks.length}, at most ${BLOCKS_MOST}`);
  for (const [index, block] of blocks.entries())
    checkBlock(block, MESSAGE_BLOCKS, `blocks/${index}`, problems);
  checkIds(blocks, problems);
  const size = JSON.stringify(blocks).length;
  if (size > JSON_MOST) problems.push(`blocks: ${size} characters of JSON, at most ${JSON_MOST}`);
  return problems;
}

/** What is wrong with a form, each with its place; empty when Slack will take it. Never throws. */
export function formProblems(view: unknown): readonly string[] {
  const problems: string[] = [];
  if (!isObject(view)) return ["view: not an object"];
  const { blocks, ...rest } = view;
  checkFields(PARTS["modal"], rest, "view", problems, false);
  if (rest["type"] !== "modal") problems.push("view/type: must be modal");
  const all = Array.isArray(blocks) ? blocks : [];
  if (all.length < 1 || all.length > 100) problems.push(`view/blocks: ${all.length}, from 1 to 100`);
  for (const [index, block] of all.entries())
    checkBlock(block, FORM_BLOCKS, `view/blocks/${index}`, problems);
  checkIds(all, problems);
  const asks = all.some((block) => isObject(block) && block["type"] === "input");
  if (asks && rest["submit"] === undefined) problems.push("view/submit: needed, because there is an input");
  return problems;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkBlock(
  block: unknown,
  table: Readonly<Record<string, Fields>>,
  at: string,
  problems: string[],
): void {
  const type = isObject(block) ? block["type"] : undefined;
  const fields = typeof type === "string" && Object.hasOwn(table, type) ? table[type] : undefined;
  if (fields === undefined) problems.push(`${at}: ${String(type)} is not a block that is sent here`);
  else checkFields(fields, block, at, problems, false);
}

function checkFields(
  fields: Fields | undefined,
  value: unknown,
  at: string,
  problems: string[],
  untyped: boolean,
): void {
  if (fields === undefined || !isObject(value)) {
    problems.push(`${at}: not an object`);
    return;
  }
  const { must, may = {}, any } = fields;
  for (const name of Object.keys(must))
    if (value[name] === undefined) problems.push(`${at}/${name}: missing`);
  for (const [name, given] of Object.entries(value)) {
    if (given === undefined || (name === "type" && !untyped)) continue;
    const rule = Object.hasOwn(must, name) ? must[name] : Object.hasOwn(may, name) ? may[name] : undefined;
    if (rule === undefined) problems.push(`${at}/${name}: Slack refuses properties that it does not know`);
    else checkRule(rule, given, `${at}/${name}`, problems);
  }
  if (any !== undefined && !any.some((name) => value[name] !== undefined))
    problems.push(`${at}: one of ${any.join(", ")} is needed`);
}

function checkRule(rule: Rule, value: unknown, at: string, problems: string[]): void {
  switch (rule.is) {
    case "string":
      checkString(value, rule.min, rule.max, at, problems);
      return;
    case "one of":
      if (typeof value !== "string" || !rule.values.includes(value))
        problems.push(`${at}: must be one of ${rule.values.join(", ")}`);
      return;
    case "whole number":
      if (!Number.isInteger(value) || Number(value) < rule.min || Number(value) > rule.max)
        problems.push(`${at}: must be a whole number from ${rule.min} to ${rule.max}`);
      return;
    case "boolean":
      if (typeof value !== "boolean") problems.push(`${at}: must be true or false`);
      return;
    case "text":
      checkText(value, rule.kinds, rule.max, at, problems);
      return;
    case "list": {
      const items = Array.isArray(value) ? value : undefined;
      if (items === undefined || items.length < rule.min || items.length > rule.max)
        problems.push(`${at}: must be a list of ${rule.min} to ${rule.max}`);
      for (const [index, item] of (items ?? []).entries())
        checkItem(rule.of, item, `${at}/${index}`, problems);
      return;
    }
    case "part":
      checkItem(rule.of, value, at, problems);
      return;
  }
}

function checkItem(of: string, item: unknown, at: string, problems: string[]): void {
  if (of === "text") {
    checkText(item, ["plain_text", "mrkdwn"], 2_000, at, problems);
    return;
  }
  const untyped = UNTYPED.has(of);
  if (!untyped && (!isObject(item) || item["type"] !== of)) problems.push(`${at}/type: must be ${of}`);
  checkFields(PARTS[of], item, at, problems, untyped);
}

function checkString(value: unknown, min: number, max: number, at: string, problems: string[]): void {
  if (typeof value !== "string") {
    problems.push(`${at}: must be a string`);
    return;
  }
  const length = lengthOf(value);
  if (length < min || length > max) problems.push(`${at}: ${length} characters, from ${min} to ${max}`);
}

function checkText(
  value: unknown,
  kinds: readonly TextKind[],
  max: number,
  at: string,
  problems: string[],
): void {
  const type = isObject(value) ? value["type"] : undefined;
  if (!isObject(value) || !kinds.some((kind) => kind === type)) {
    problems.push(`${at}: must be ${kinds.join(" or ")}`);
    return;
  }
  checkString(value["text"], 1, max, `${at}/text`, problems);
  if (type === "mrkdwn" && typeof value["text"] === "string" && rawMarkup(value["text"]))
    problems.push(`${at}/text: a raw &, < or >`);
  const known: readonly string[] =
    type === "plain_text" ? ["type", "text", "emoji"] : ["type", "text", "verbatim"];
  for (const name of Object.keys(value))
    if (!known.includes(name)) problems.push(`${at}/${name}: Slack refuses properties that it does not know`);
}

/** Slack's own markup: mentions, links and dates. */
const MARKUP =
  /<(?:@[UW][A-Z0-9]+|#[CGD][A-Z0-9]+|!subteam\^S[A-Z0-9]+|https?:\/\/[^\s<>|]+)(?:\|[^<>|\n]*)?>|<!date\^\d+\^[^<>|^\n]+\|[^<>|\n]+>/g;

function rawMarkup(text: string): boolean {
  return /[<>]|&(?!(?:amp|lt|gt);)/.test(text.replace(MARKUP, ""));
}

/** A block_id once in a message, an action_id once in a block. */
function checkIds(blocks: readonly unknown[], problems: string[]): void {
  const blockIds = blocks.flatMap((block) => (isObject(block) ? [block["block_id"]] : []));
  for (const id of repeated(blockIds)) problems.push(`blocks: block_id ${id} twice`);
  for (const [index, block] of blocks.entries()) {
    const elements = isObject(block) && Array.isArray(block["elements"]) ? block["elements"] : [];
    const actionIds = elements.map((element: unknown) =>
      isObject(element) ? element["action_id"] : undefined,
    );
    for (const id of repeated(actionIds)) problems.push(`blocks/${index}: action_id ${id} twice`);
  }
}

function repeated(ids: readonly unknown[]): readonly string[] {
  return ids.filter((id) => typeof id === "string").filter((id, index, all) => all.indexOf(id) !== index);
}
