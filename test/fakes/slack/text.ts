/** Flattens a message, blocks and all, to the plain text that a person reads from top to bottom. */

import { isList, isObject, type JsonObject, objectAt, objectsAt, stringAt } from "./json.ts";
import type { Message } from "./model.ts";
import { type Names, plainText, shownText } from "./mrkdwn.ts";

/** No names at all: mentions are shown as ids. */
export const NO_NAMES: Names = { user: () => undefined, channel: () => undefined, group: () => undefined };

/**
 * The message as plain text: one line per block, fields and elements separated by ` · `, table cells by ` | `,
 * buttons as `[Text]`. A message without blocks is its `text`.
 */
export function textOf(message: Pick<Message, "text" | "blocks">, names: Names = NO_NAMES): string {
  if (message.blocks === undefined || message.blocks.length === 0) return plainText(message.text, names);
  return message.blocks
    .map((block) => blockText(block, names))
    .filter((line) => line !== "")
    .join("\n");
}

function blockText(block: JsonObject, names: Names): string {
  switch (stringAt(block, "type")) {
    case "header":
      return shownText(objectAt(block, "text"), names);
    case "section":
      return sectionText(block, names);
    case "context":
      return objectsAt(block, "elements")
        .map((one) =>
          one.type === "image" ? `(image: ${stringAt(one, "alt_text") ?? ""})` : shownText(one, names),
        )
        .join(" · ");
    case "actions":
      return objectsAt(block, "elements")
        .map((one) => elementText(one, names))
        .join(" ");
    case "image":
      return `(image: ${stringAt(block, "alt_text") ?? ""})`;
    case "markdown":
      return stringAt(block, "text") ?? "";
    case "input":
      return `${shownText(objectAt(block, "label"), names)}: ${elementText(objectAt(block, "element") ?? {}, names)}`;
    case "rich_text":
      return richText(block, names);
    case "table":
      return tableText(block, names);
    default:
      return "";
  }
}

function sectionText(block: JsonObject, names: Names): string {
  const accessory = objectAt(block, "accessory");
  const parts = [
    shownText(objectAt(block, "text"), names),
    ...objectsAt(block, "fields").map((field) => shownText(field, names)),
    accessory === undefined ? "" : elementText(accessory, names),
  ];
  return parts.filter((part) => part !== "").join(" · ");
}

function elementText(element: JsonObject, names: Names): string {
  if (element.type === "image") return `(image: ${stringAt(element, "alt_text") ?? ""})`;
  const label = objectAt(element, "text") ?? objectAt(element, "placeholder");
  return `[${label === undefined ? (stringAt(element, "type") ?? "") : shownText(label, names)}]`;
}

function tableText(block: JsonObject, names: Names): string {
  const rows = isList(block.rows) ? block.rows : [];
  return rows
    .map((row) =>
      (isList(row) ? row : []).map((cell) => (isObject(cell) ? cellText(cell, names) : "")).join(" | "),
    )
    .join("\n");
}

function cellText(cell: JsonObject, names: Names): string {
  return cell.type === "rich_text" ? richText(cell, names) : (stringAt(cell, "text") ?? "");
}

function richText(block: JsonObject, names: Names): string {
  return objectsAt(block, "elements")
    .map((part) => richPart(part, names))
    .join("\n");
}

function richPart(part: JsonObject, names: Names): string {
  const elements = objectsAt(part, "elements");
  if (part.type === "rich_text_list") return elements.map((item) => `• ${richPart(item, names)}`).join("\n");
  return elements.map((element) => richElement(element, names)).join("");
}

function richElement(element: JsonObject, names: Names): string {
  switch (stringAt(element, "type")) {
    case "user":
      return `@${names.user(stringAt(element, "user_id") ?? "") ?? stringAt(element, "user_id") ?? ""}`;
    case "channel":
      return `#${names.channel(stringAt(element, "channel_id") ?? "") ?? stringAt(element, "channel_id") ?? ""}`;
    case "usergroup":
      return `@${names.group(stringAt(element, "usergroup_id") ?? "") ?? stringAt(element, "usergroup_id") ?? ""}`;
    case "broadcast":
      return `@${stringAt(element, "range") ?? ""}`;
    case "emoji":
      return `:${stringAt(element, "name") ?? ""}:`;
    case "link":
      return stringAt(element, "text") ?? stringAt(element, "url") ?? "";
    case "date":
      return stringAt(element, "fallback") ?? String(element.timestamp);
    default:
      return stringAt(element, "text") ?? "";
  }
}
