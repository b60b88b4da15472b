/** Instants as Prometheus and Alertmanager write them (RFC 3339, section 5.6), read without a clock. */

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,12})?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const DAY_S = 86_400;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const ZERO = 0x30;
/** Where the seconds end, in every such text. */
const CLOCK_END = 19;
const FRACTION_DIGITS = 3;

/** Unix ms of an instant, cut off below the millisecond; undefined when the text is none. A leap second counts as the second before it. */
export function parseInstant(text: string): number | undefined {
  if (text.length > 40 || !RFC3339.test(text)) return undefined;
  const [year, month, day] = [digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2)];
  const [hour, minute, second] = [digits(text, 11, 2), digits(text, 14, 2), digits(text, 17, 2)];
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const offsetS = offsetOf(text);
  if (offsetS === undefined) return undefined;
  const clockS = hour * 3_600 + minute * 60 + Math.min(59, second) - offsetS;
  return (daysSince1970(year, month, day) * DAY_S + clockS) * 1_000 + millisecondsOf(text);
}

function digits(text: string, from: number, count: number): number {
  let value = 0;
  for (let at = from; at < from + count; at++) value = value * 10 + text.charCodeAt(at) - ZERO;
  return value;
}

function millisecondsOf(text: string): number {
  if (text[CLOCK_END] !== ".") return 0;
  let ms = 0;
  let isOver = false;
  for (let at = CLOCK_END + 1; at <= CLOCK_END + FRACTION_DIGITS; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    isOver ||= !(digit >= 0 && digit <= 9);
    ms = ms * 10 + (isOver ? 0 : digit);
  }
  return ms;
}

/** Seconds east of UTC; undefined for an offset of a day or more. */
function offsetOf(text: string): number | undefined {
  const from = text.length - "+00:00".length;
  const sign = text[from];
  if (sign !== "+" && sign !== "-") return 0;
  const [hours, minutes] = [digits(text, from + 1, 2), digits(text, from + 4, 2)];
  if (hours > 23 || minutes > 59) return undefined;
  return (sign === "-" ? -1 : 1) * (hours * 3_600 + minutes * 60);
}

function daysOf(year: number, month: number): number {
  return month === 2 && isLeap(year) ? 29 : (DAYS[month - 1] ?? 0);
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

/** Days from 1970-01-01 in the Gregorian calendar, which is extended to years before it. */
function daysSince1970(year: number, month: number, day: number): number {
  const before = year - 1;
  const leapDays = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  const inYear = DAYS.slice(0, month - 1).reduce<number>((sum, days) => sum + days, 0);
  const leapDay = month > 2 && isLeap(year) ? 1 : 0;
  return before * 365 + leapDays + inYear + leapDay + day - 1 - 719_162;
}
