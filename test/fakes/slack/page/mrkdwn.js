/** Slack's text markup as DOM nodes. */

import { timeElement } from "./dates.js";
import { h } from "./dom.js";

const EMOJI = {
  white_check_mark: "✅",
  heavy_check_mark: "✔",
  x: "❌",
  warning: "⚠️",
  rotating_light: "🚨",
  no_entry: "⛔",
  octagonal_sign: "🛑",
  large_green_circle: "🟢",
  large_yellow_circle: "🟡",
  large_orange_circle: "🟠",
  red_circle: "🔴",
  large_blue_circle: "🔵",
  white_circle: "⚪",
  black_circle: "⚫",
  hourglass: "⌛",
  hourglass_flowing_sand: "⏳",
  stopwatch: "⏱️",
  alarm_clock: "⏰",
  lock: "🔒",
  unlock: "🔓",
  key: "🔑",
  eyes: "👀",
  mag: "🔍",
  bell: "🔔",
  no_bell: "🔕",
  arrow_forward: "▶️",
  double_vertical_bar: "⏸️",
  rewind: "⏪",
  leftwards_arrow_with_hook: "↩️",
  arrow_up: "⬆️",
  arrow_down: "⬇️",
  chart_with_upwards_trend: "📈",
  chart_with_downwards_trend: "📉",
  bar_chart: "📊",
  fire: "🔥",
  tada: "🎉",
  rocket: "🚀",
  wave: "👋",
  "+1": "👍",
  thumbsup: "👍",
  "-1": "👎",
  thumbsdown: "👎",
  memo: "📝",
  page_facing_up: "📄",
  link: "🔗",
  gear: "⚙️",
  information_source: "ℹ️",
  question: "❓",
  bulb: "💡",
  sleeping: "😴",
  climbing: "🧗",
  person_climbing: "🧗",
};

/** An emoji for its name; the name itself in colons when it is not known. */
export function emoji(name) {
  return EMOJI[name] ?? `:${name}:`;
}

function decoded(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** A mention's chip; names come from `names`, which has `user`, `channel` and `group` functions and `me`. */
export function mention(kind, id, label, names) {
  const sign = kind === "channel" ? "#" : "@";
  const shown = names[kind]?.(id) ?? label ?? id;
  const mine = kind === "user" && id === names.me;
  return h("span", { class: mine ? "mention mine" : "mention" }, sign + String(shown).replace(/^[@#]/, ""));
}

/** A link that opens in a new tab. */
export function link(url, text) {
  return h("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, text ?? url);
}

function entity(inner, names) {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? undefined : decoded(inner.slice(bar + 1));
  if (target.startsWith("@")) return mention("user", target.slice(1), label, names);
  if (target.startsWith("#")) return mention("channel", target.slice(1), label, names);
  if (target.startsWith("!subteam^")) return mention("group", target.slice(9), label, names);
  if (target.startsWith("!date^")) return dateEntity(target, label);
  if (target.startsWith("!")) return h("span", { class: "mention mine" }, `@${label ?? target.slice(1)}`);
  return /^(https?|mailto|tel):/.test(target)
    ? link(decoded(target), label ?? decoded(target))
    : decoded(`<${inner}>`);
}

function dateEntity(target, label) {
  const [, seconds, pattern, url] = target.split("^");
  if (!Number.isFinite(Number(seconds)) || pattern === undefined) return label ?? "";
  const time = timeElement(Number(seconds), decoded(pattern));
  return url === undefined ? time : h("a", { href: url, target: "_blank", rel: "noreferrer noopener" }, time);
}

/** What may stand in a line, tried from left to right; each pattern's first group is its content. */
const INLINE = [
  { pattern: /`([^`\n]+)`/, make: (content, names) => h("code", {}, plainInline(content, names)) },
  { pattern: /<([^<>\n]+)>/, make: (content, names) => entity(content, names) },
  {
    pattern: /(?<![\p{L}\p{N}*])\*(?=\S)([^*\n]*?\S)\*(?![\p{L}\p{N}*])/u,
    make: (content, names) => h("strong", {}, inline(content, names)),
  },
  {
    pattern: /(?<![\p{L}\p{N}_])_(?=\S)([^_\n]*?\S)_(?![\p{L}\p{N}_])/u,
    make: (content, names) => h("em", {}, inline(content, names)),
  },
  {
    pattern: /(?<![\p{L}\p{N}~])~(?=\S)([^~\n]*?\S)~(?![\p{L}\p{N}~])/u,
    make: (content, names) => h("s", {}, inline(content, names)),
  },
  { pattern: /:([a-z0-9_+'-]+):/, make: (name) => emoji(name) },
];

function inline(text, names) {
  const nodes = [];
  let rest = text;
  while (rest !== "") {
    const found = INLINE.map(({ pattern, make }) => ({ match: pattern.exec(rest), make }))
      .filter(({ match }) => match !== null)
      .sort((a, b) => a.match.index - b.match.index)[0];
    if (found === undefined) break;
    nodes.push(decoded(rest.slice(0, found.match.index)), found.make(found.match[1], names));
    rest = rest.slice(found.match.index + found.match[0].length);
  }
  nodes.push(decoded(rest));
  return nodes;
}

/** Inside code only entities are looked at. */
function plainInline(text, names) {
  return text
    .split(/(<[^<>\n]+>)/)
    .map((part) => (/^<.+>$/.test(part) ? entity(part.slice(1, -1), names) : decoded(part)));
}

function lines(text, names) {
  const nodes = [];
  let quote = [];
  const flush = () => {
    if (quote.length > 0) nodes.push(h("blockquote", {}, joined(quote, names)));
    quote = [];
  };
  const plain = [];
  const flushPlain = () => {
    if (plain.length > 0) nodes.push(...joined(plain.splice(0), names));
  };
  for (const line of text.split("\n")) {
    const quoted = /^(?:>|&gt;) ?(.*)$/.exec(line);
    if (quoted === null) {
      flush();
      plain.push(line);
    } else {
      flushPlain();
      quote.push(quoted[1]);
    }
  }
  flush();
  flushPlain();
  return nodes;
}

function joined(texts, names) {
  return texts.flatMap((text, index) =>
    index === 0 ? inline(text, names) : [h("br"), ...inline(text, names)],
  );
}

/** A mrkdwn text as nodes. */
export function mrkdwn(text, names) {
  return text
    .split(/```/)
    .flatMap((part, index) =>
      index % 2 === 1 ? [h("pre", {}, plainInline(part.replace(/^\n|\n$/g, ""), names))] : lines(part, names),
    );
}

/** A text object (mrkdwn or plain) as nodes. */
export function textObject(object, names) {
  if (object === undefined || object === null) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text, names);
  return object.text.split("\n").flatMap((line, index) => {
    const shown = line.replace(/:([a-z0-9_+-]+):/g, (_, name) => emoji(name));
    return index === 0 ? [shown] : [h("br"), shown];
  });
}
