/** Slack's date entities, shown in the viewer's own time zone and language. */

import { h } from "./dom.js";

const DAY_MS = 86_400_000;

function format(date, options) {
  return new Intl.DateTimeFormat(undefined, options).format(date);
}

function relativeDay(date) {
  const start = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
  const days = Math.round((start(date) - start(new Date())) / DAY_MS);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days];
}

/** How long ago, or how long until, in words. */
export function ago(date) {
  const seconds = Math.round((Date.now() - date.getTime()) / 1000);
  const units = [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
  ];
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return words.format(-Math.round(seconds / size), unit);
  }
  return words.format(-seconds, "second");
}

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TOKENS = {
  date_num: (date) => format(date, { year: "numeric", month: "2-digit", day: "2-digit" }),
  date_slash: (date) => format(date, { year: "numeric", month: "numeric", day: "numeric" }),
  date_long: (date) => format(date, { weekday: "long", year: "numeric", month: "long", day: "numeric" }),
  date_long_full: (date) => format(date, { year: "numeric", month: "long", day: "numeric" }),
  date_long_pretty: (date) => relativeDay(date) ?? TOKENS.date_long(date),
  date: (date) => format(date, { month: "long", day: "numeric" }),
  date_pretty: (date) => relativeDay(date) ?? TOKENS.date(date),
  date_short: (date) => format(date, { year: "numeric", month: "short", day: "numeric" }),
  date_short_pretty: (date) => relativeDay(date) ?? TOKENS.date_short(date),
  day_divider_pretty: (date) => relativeDay(date) ?? TOKENS.date_long(date),
  time: (date) => format(date, TIME),
  time_secs: (date) => format(date, { ...TIME, second: "2-digit" }),
  ago,
};

/** The `<time>` element for a Unix time in seconds and a format such as `{date_short} {time}`. */
export function timeElement(seconds, pattern) {
  const date = new Date(seconds * 1000);
  const text = pattern.replace(/\{(\w+)\}/g, (whole, token) => TOKENS[token]?.(date) ?? whole);
  return h("time", { datetime: date.toISOString(), title: date.toString(), "data-pattern": pattern }, text);
}

/** Brings the times that say how long ago up to date. */
export function refreshAges() {
  for (const element of document.querySelectorAll('time[data-pattern*="{ago}"]')) {
    const fresh = timeElement(Date.parse(element.dateTime) / 1000, element.dataset.pattern);
    element.textContent = fresh.textContent;
  }
}

/** The time of day of a message's ts. */
export function clockOf(ts) {
  return timeElement(Number(ts), "{time}");
}

/** Today, yesterday, or the date of a message's ts. */
export function dayOf(ts) {
  return TOKENS.day_divider_pretty(new Date(Number(ts) * 1000));
}
