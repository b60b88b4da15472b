/** Slack's text markup: what a sender must escape, what a typed line becomes, and what a reader sees of it. */

import { isObject, type JsonObject } from "./json.ts";

/** Names behind the ids in a text; an unknown id is shown as it is. */
export interface Names {
  /** Handle of a user, without the `@`. */
  user(id: string): string | undefined;
  /** Name of a channel, without the `#`. */
  channel(id: string): string | undefined;
  /** Handle of a user group, without the `@`. */
  group(id: string): string | undefined;
}

/** Ids behind the names in a typed line. */
export interface Ids {
  userId(name: string): string | undefined;
  channelId(name: string): string | undefined;
  groupId(handle: string): string | undefined;
}

const ENTITY = /<([^<>\n]*)>/g;
const LINK = /^(https?:\/\/|mailto:|tel:)[^\s|]+(\|[^|]*)?$/;
const MENTION = /^(@[UW][A-Z0-9]+|#[CGD][A-Z0-9]+|!subteam\^S[A-Z0-9]+)(\|[^|]*)?$/;
const BROADCAST = /^!(here|channel|everyone)(\|[^|]*)?$/;
const DATE = /^!date\^(-?\d+)\^([^|^]+)(\^[^|^]+)?\|([^|]+)$/;
const DATE_TOKEN =
  /\{(date_num|date_slash|date_long|date_long_full|date_long_pretty|date|date_pretty|date_short|date_short_pretty|time|time_secs|ago|day_divider_pretty)\}/g;

/** What is wrong with a mrkdwn text: raw `&`, `<`, `>` outside Slack's own entities, and malformed dates. */
export function checkMrkdwn(text: string): readonly string[] {
  const problems: string[] = [];
  const rest = text.replace(ENTITY, (whole, inner: string) => {
    const problem = checkEntity(inner);
    if (problem !== undefined) problems.push(`${whole}: ${problem}`);
    return "";
  });
  for (const [index, line] of rest.split("\n").entries()) {
    // A line may begin with > (a quotation); anywhere else the character has to be escaped.
    const body = line.replace(/^\s*>{1,3}/, "");
    const raw = /[<>]|&(?!(amp|lt|gt);)/.exec(body);
    if (raw !== null) problems.push(`raw "${raw[0].charAt(0)}" in line ${index + 1}: ${line.slice(0, 80)}`);
  }
  return problems;
}

/** Whether the text notifies a whole channel. */
export function hasBroadcast(text: string): boolean {
  return [...text.matchAll(ENTITY)].some((match) => BROADCAST.test(match[1] ?? ""));
}

/** Whether the text holds a link that Slack would unfurl. */
export function hasLink(text: string): boolean {
  return /(^|[^"'=])https?:\/\//.test(text);
}

function checkEntity(inner: string): string | undefined {
  if (/&(?!(amp|lt|gt);)/.test(inner)) return "an & inside it must be written &amp;";
  if (LINK.test(inner) || MENTION.test(inner) || BROADCAST.test(inner)) return undefined;
  if (inner.startsWith("!date^")) {
    const format = DATE.exec(inner)?.[2];
    if (format === undefined) return "a date needs <!date^seconds^{format}|fallback>";
    return format.replace(DATE_TOKEN, "").includes("{") || !/\{/.test(format)
      ? `unknown date format ${format}`
      : undefined;
  }
  return "not an entity that Slack knows";
}

/** The text of each mrkdwn object in the blocks (and of nothing else). */
export function mrkdwnTexts(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(mrkdwnTexts);
  if (!isObject(value)) return [];
  const own: readonly string[] =
    value.type === "mrkdwn" && typeof value.text === "string" ? [value.text] : [];
  return [...own, ...Object.values(value).flatMap(mrkdwnTexts)];
}

/** Whether blocks hold a rich-text mention of a whole channel. */
export function hasBroadcastElement(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasBroadcastElement);
  if (!isObject(value)) return false;
  return value.type === "broadcast" || Object.values(value).some(hasBroadcastElement);
}

/** Escapes `&`, `<` and `>` as Slack wants them. */
export function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The reverse of `escapeText`. */
export function unescapeText(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/**
 * A line as typed, in Slack's stored form: escaped, with `@name`, `#name` and links turned into entities.
 * `labels` adds the names behind a `|`, as slash commands with `should_escape` get them.
 */
export function encodeTyped(typed: string, ids: Ids, labels: boolean): string {
  return escapeText(typed)
    .replace(/(^|[\s(])(https?:\/\/[^\s]+)/g, (_, before: string, url: string) => `${before}<${url}>`)
    .replace(/(^|[\s(])@([a-z0-9._-]*[a-z0-9_-])/g, (whole, before: string, name: string) => {
      const user = ids.userId(name);
      if (user !== undefined) return `${before}<@${user}${labels ? `|${name}` : ""}>`;
      const group = ids.groupId(name);
      return group === undefined ? whole : `${before}<!subteam^${group}|@${name}>`;
    })
    .replace(/(^|[\s(])#([a-z0-9._-]*[a-z0-9_-])/g, (whole, before: string, name: string) => {
      const channel = ids.channelId(name);
      return channel === undefined ? whole : `${before}<#${channel}|${name}>`;
    });
}

/** The words that a reader sees: entities as names, dates as their fallback, without bold, italic and code marks. */
export function plainText(mrkdwn: string, names: Names): string {
  const shown = mrkdwn.replace(ENTITY, (_, inner: string) => shownEntity(inner, names));
  return unescapeText(stripMarks(shown));
}

function shownEntity(inner: string, names: Names): string {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? undefined : inner.slice(bar + 1);
  if (target.startsWith("@")) return `@${names.user(target.slice(1)) ?? label ?? target.slice(1)}`;
  if (target.startsWith("#")) return `#${names.channel(target.slice(1)) ?? label ?? target.slice(1)}`;
  if (target.startsWith("!subteam^")) {
    const id = target.slice("!subteam^".length);
    return label ?? `@${names.group(id) ?? id}`;
  }
  if (target.startsWith("!date^")) return label ?? target;
  if (target.startsWith("!")) return `@${label ?? target.slice(1)}`;
  return label ?? target;
}

/** Takes away marks only where they stand around whole words, so that FEATURE_PARSE_CACHE stays whole. */
function stripMarks(text: string): string {
  return text
    .replace(/```([\s\S]*?)```/g, "$1")
    .replace(/`([^`\n]+)`/g, "$1")
    .replace(/(^|[\s(["'])([*_~])(?=\S)([^\n]*?\S)\2(?=$|[\s).,:;!?\]"'])/gm, "$1$3");
}

/** A JSON object's mrkdwn or plain text as a reader sees it; the empty string when there is none. */
export function shownText(object: JsonObject | undefined, names: Names): string {
  const text = typeof object?.text === "string" ? object.text : "";
  return object?.type === "mrkdwn" ? plainText(text, names) : text;
}
