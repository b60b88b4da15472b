/** Instants as Prometheus and Alertmanager write them (RFC 3339, section 5.6), read without a clock. */

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const DAY_S = 86_400;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** Unix ms of an instant, cut off below the millisecond; undefined when the text is none. A leap second counts as the second before it. */
export function parseInstant(text: string): number | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? "0");
  const [year, month, day, hour, minute] = [part(1), part(2), part(3), part(4), part(5)];
  const second = Math.min(59, part(6));
  const [offsetHour, offsetMinute] = [part(9), part(10)];
  if (month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return undefined;
  if (hour > 23 || minute > 59 || part(6) > 60 || offsetHour > 23 || offsetMinute > 59) return undefined;
  const sign = match[8] === "-" ? -1 : 1;
  const clockS = hour * 3_600 + minute * 60 + second - sign * (offsetHour * 3_600 + offsetMinute * 60);
  const ms = Number((match[7] ?? "").padEnd(3, "0").slice(0, 3));
  return (daysSince1970(year, month, day) * DAY_S + clockS) * 1_000 + ms;
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
