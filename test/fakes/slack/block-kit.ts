/** Checks blocks and views against the rules of Block Kit: what Slack would refuse, this refuses. */

import { BLOCKS_OF_SURFACE, type Rule, SHAPES, type Shape } from "./block-shapes.ts";
import { isList, isObject, type JsonObject, objectsAt, stringAt } from "./json.ts";

/** Where the blocks are to be shown. */
export type Surface = keyof typeof BLOCKS_OF_SURFACE;

/** Most characters that the JSON of a message's blocks may have in sum (undocumented; measured by others). */
export const BLOCKS_JSON_MAX = 13_200;

const BLOCKS_MAX: Readonly<Record<Surface, number>> = { message: 50, modal: 100, home: 100 };
const VIEW_BYTES_MAX = 250_000;
const PROBLEMS_MAX = 50;

/**
 * Everything that Slack would refuse in `blocks` on this surface, each with the place as a JSON pointer; empty when
 * they are fine. Too much JSON in sum is the one problem that begins with `msg_blocks_too_long`. Never throws.
 */
export function checkBlocks(blocks: unknown, surface: Surface): string[] {
  if (!isList(blocks)) return ["must be an array [json-pointer:/blocks]"];
  const problems: string[] = [];
  const max = BLOCKS_MAX[surface];
  if (blocks.length > max) problems.push(`no more than ${max} items allowed [json-pointer:/blocks]`);
  for (const [index, block] of blocks.entries()) checkBlock(block, surface, `/blocks/${index}`, problems);
  checkUnique(blocks, problems);
  if (surface === "message") checkMessageSums(blocks, problems);
  return problems.slice(0, PROBLEMS_MAX);
}

/**
 * Everything that Slack would refuse in a view; empty when it is fine. A view that is too large is the one problem
 * that begins with `view_too_large`. Never throws.
 */
export function checkView(view: unknown): string[] {
  if (!isObject(view)) return ["must be an object [json-pointer:/view]"];
  if (JSON.stringify(view).length > VIEW_BYTES_MAX)
    return ["view_too_large: over 250 kB [json-pointer:/view]"];
  const shape = VIEW_SHAPES[stringAt(view, "type") ?? ""];
  if (shape === undefined) return ["type must be modal or home [json-pointer:/view/type]"];
  const { blocks, ...rest } = view;
  const problems: string[] = [];
  checkShape(shape, rest, "/view", problems);
  if (isList(blocks) && blocks.length === 0)
    problems.push("at least 1 item needed [json-pointer:/view/blocks]");
  const surface = view.type === "modal" ? "modal" : "home";
  for (const problem of checkBlocks(blocks, surface))
    problems.push(problem.replace("[json-pointer:", "[json-pointer:/view"));
  const inputs = objectsAt(view, "blocks").filter((block) => block.type === "input");
  if (surface === "modal" && inputs.length > 0 && view.submit === undefined) {
    problems.push("submit is required, because there is an input block [json-pointer:/view/submit]");
  }
  if (countFocus(blocks) > 1)
    problems.push("only one element may have focus_on_load [json-pointer:/view/blocks]");
  return problems.slice(0, PROBLEMS_MAX);
}

const text = (max: number): Rule => ({ kind: "text", types: ["plain_text"], max });
const string = (max: number, min: number): Rule => ({ kind: "string", min, max });
const VIEW_COMMON: Shape["optional"] = {
  private_metadata: string(3000, 0),
  callback_id: string(255, 0),
  external_id: string(255, 0),
};
const VIEW_SHAPES: Readonly<Record<string, Shape>> = {
  modal: {
    type: "modal",
    required: { title: text(24) },
    optional: {
      ...VIEW_COMMON,
      submit: text(24),
      close: text(24),
      clear_on_close: { kind: "boolean" },
      notify_on_close: { kind: "boolean" },
    },
  },
  home: { type: "home", required: {}, optional: VIEW_COMMON },
};

function checkBlock(block: unknown, surface: Surface, at: string, problems: string[]): void {
  checkRule({ kind: "typed", shapes: BLOCKS_OF_SURFACE[surface] }, block, at, problems);
  if (!isObject(block)) return;
  for (const [name, both] of [
    ["options", "option_groups"],
    ["image_url", "slack_file"],
  ] as const) {
    for (const element of elementsOf(block)) {
      if (element[name] !== undefined && element[both] !== undefined) {
        problems.push(`only one of ${name} and ${both} is allowed [json-pointer:${at}]`);
      }
    }
  }
}

function checkRule(rule: Rule, value: unknown, at: string, problems: string[]): void {
  const say = (problem: string): void => void problems.push(`${problem} [json-pointer:${at}]`);
  switch (rule.kind) {
    case "string":
      checkString(rule, value, say);
      return;
    case "choice":
      if (typeof value !== "string" || !rule.of.includes(value)) say(`must be one of ${rule.of.join(", ")}`);
      return;
    case "number":
      if (typeof value !== "number" || !Number.isFinite(value) || (rule.whole && !Number.isInteger(value))) {
        say(rule.whole ? "must be a whole number" : "must be a number");
      } else if (value < rule.min || value > rule.max) say(`must be from ${rule.min} to ${rule.max}`);
      return;
    case "boolean":
      if (typeof value !== "boolean") say("must be true or false");
      return;
    case "text":
      checkText(rule, value, at, problems);
      return;
    case "list":
      checkList(rule, value, at, problems);
      return;
    case "shape":
      checkShape(SHAPES.get(rule.shape), value, at, problems);
      return;
    case "typed":
      checkTyped(rule.shapes, value, at, problems);
      return;
  }
}

function checkList(
  rule: Extract<Rule, { kind: "list" }>,
  value: unknown,
  at: string,
  problems: string[],
): void {
  if (!isList(value)) {
    problems.push(`must be an array [json-pointer:${at}]`);
    return;
  }
  if (value.length < rule.min) problems.push(`at least ${rule.min} item needed [json-pointer:${at}]`);
  if (value.length > rule.max) problems.push(`no more than ${rule.max} items allowed [json-pointer:${at}]`);
  for (const [index, item] of value.entries()) checkRule(rule.of, item, `${at}/${index}`, problems);
}

function checkString(
  rule: Extract<Rule, { kind: "string" }>,
  value: unknown,
  say: (problem: string) => void,
): void {
  if (typeof value !== "string") {
    say("must be a string");
    return;
  }
  const length = codePoints(value);
  if (length < rule.min) say(`must have at least ${rule.min} character${rule.min === 1 ? "" : "s"}`);
  if (length > rule.max) say(`must have no more than ${rule.max} characters, has ${length}`);
  if (rule.pattern !== undefined && !rule.pattern.test(value))
    say(`does not look right: ${value.slice(0, 60)}`);
}

function checkText(
  rule: Extract<Rule, { kind: "text" }>,
  value: unknown,
  at: string,
  problems: string[],
): void {
  checkTyped(rule.types, value, at, problems);
  const content = stringAt(value, "text");
  if (content !== undefined && codePoints(content) > rule.max && rule.max < 3000) {
    problems.push(
      `must have no more than ${rule.max} characters, has ${codePoints(content)} [json-pointer:${at}/text]`,
    );
  }
}

function checkTyped(names: readonly string[], value: unknown, at: string, problems: string[]): void {
  if (!isObject(value)) {
    problems.push(`must be an object [json-pointer:${at}]`);
    return;
  }
  const type = stringAt(value, "type");
  const shapes = names.map((name) => SHAPES.get(name));
  const shape = shapes.find((one) => one !== undefined && one.type === type);
  if (shape === undefined) {
    const allowed = shapes.map((one) => one?.type).join(", ");
    problems.push(`unsupported type: ${type ?? "none"}; allowed here: ${allowed} [json-pointer:${at}/type]`);
    return;
  }
  checkShape(shape, value, at, problems);
}

function checkShape(shape: Shape | undefined, value: unknown, at: string, problems: string[]): void {
  if (shape === undefined || !isObject(value)) {
    problems.push(`must be an object [json-pointer:${at}]`);
    return;
  }
  for (const [key, rule] of Object.entries(shape.required)) {
    if (value[key] === undefined) problems.push(`missing required field: ${key} [json-pointer:${at}]`);
    else checkRule(rule, value[key], `${at}/${key}`, problems);
  }
  for (const [key, property] of Object.entries(value)) {
    if (property === undefined || Object.hasOwn(shape.required, key)) continue;
    if (key === "type" && shape.type !== undefined) continue;
    const rule = Object.hasOwn(shape.optional, key) ? shape.optional[key] : undefined;
    if (rule === undefined) problems.push(`invalid additional property: ${key} [json-pointer:${at}]`);
    else checkRule(rule, property, `${at}/${key}`, problems);
  }
  if (shape.oneOf !== undefined && !shape.oneOf.some((key) => value[key] !== undefined)) {
    problems.push(`one of ${shape.oneOf.join(", ")} is required [json-pointer:${at}]`);
  }
}

function checkUnique(blocks: readonly unknown[], problems: string[]): void {
  const blockIds = new Set<string>();
  for (const [index, block] of blocks.entries()) {
    const id = stringAt(block, "block_id");
    if (id !== undefined && blockIds.has(id))
      problems.push(`block_id ${id} is not unique [json-pointer:/blocks/${index}]`);
    if (id !== undefined) blockIds.add(id);
    const actionIds = new Set<string>();
    for (const element of isObject(block) ? elementsOf(block) : []) {
      const action = stringAt(element, "action_id");
      if (action !== undefined && actionIds.has(action)) {
        problems.push(`action_id ${action} is not unique in its block [json-pointer:/blocks/${index}]`);
      }
      if (action !== undefined) actionIds.add(action);
    }
  }
}

/** Limits that hold for a whole message: one table, 12,000 characters of markdown, and the JSON's size. */
function checkMessageSums(blocks: readonly unknown[], problems: string[]): void {
  const tables = blocks.filter((block) => stringAt(block, "type") === "table");
  if (tables.length > 1) problems.push("only one table is allowed in a message [json-pointer:/blocks]");
  const markdown = blocks.filter((block) => stringAt(block, "type") === "markdown");
  const sum = markdown.reduce<number>(
    (before, block) => before + codePoints(stringAt(block, "text") ?? ""),
    0,
  );
  if (markdown.length > 1 && sum > 12_000)
    problems.push("markdown blocks have more than 12,000 characters in sum [json-pointer:/blocks]");
  const size = JSON.stringify(blocks).length;
  if (size > BLOCKS_JSON_MAX) {
    problems.push(
      `msg_blocks_too_long: ${size} characters of JSON, over ${BLOCKS_JSON_MAX} [json-pointer:/blocks]`,
    );
  }
}

/** The elements of a block: its list, its accessory, its input, or the block itself when it is an image. */
export function elementsOf(block: JsonObject): readonly JsonObject[] {
  const single = [block.accessory, block.element].filter(isObject);
  return [...(block.type === "image" ? [block] : []), ...objectsAt(block, "elements"), ...single];
}

function countFocus(blocks: unknown): number {
  if (!isList(blocks)) return 0;
  return blocks
    .filter(isObject)
    .flatMap(elementsOf)
    .filter((element) => element.focus_on_load === true).length;
}

function codePoints(value: string): number {
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}
