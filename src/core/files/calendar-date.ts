/** Dates as people write them (`2026-12-24`, `2026-12-24 09:30`) in a time zone, and the instants they mean. */
import { DAY, MINUTE } from "../time.ts";

/** A day of the calendar, and a minute of it when one was written. */
export interface CalendarDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly minute?: number;
}

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Undefined when the text is no date, or a day that does not exist. */
export function parseDate(text: string): CalendarDate | undefined {
  const match = /^(2\d{3})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}))?$/.exec(text.trim());
  if (match === null) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (match[4] === undefined) return { year, month, day };
  const [hours, minutes] = [Number(match[4]), Number(match[5])];
  return hours > 23 || minutes > 59 ? undefined : { year, month, day, minute: hours * 60 + minutes };
}

function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : (MONTH_DAYS[month - 1] ?? 0);
}

/** The wall instant (ms) of the date in a zone that exists; the beginning of the day when it has no minute. */
export function startOf(date: CalendarDate, zone: string): number {
  return instantOf(daysSinceEpoch(date) * DAY + (date.minute ?? 0) * MINUTE, zone);
}

/** The first wall instant (ms) after the date: the beginning of the next day, or its own minute when it has one. */
export function endOf(date: CalendarDate, zone: string): number {
  return date.minute === undefined ? instantOf((daysSinceEpoch(date) + 1) * DAY, zone) : startOf(date, zone);
}

/** Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March. */
function daysSinceEpoch({ year, month, day }: CalendarDate): number {
  const years = month > 2 ? year : year - 1;
  const months = (month + 9) % 12;
  const leaps = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400);
  return years * 365 + leaps + Math.floor((months * 153 + 2) / 5) + day - 1 - 719_468;
}

/** The first instant at which clocks in `zone` show `localMs` (ms, as if they were UTC); where a clock change skips it, as much later. */
function instantOf(localMs: number, zone: string): number {
  // A zone's clocks are set at most once within these two days, so one of the two offsets is the right one.
  const [before, after] = [offsetAt(localMs - DAY, zone), offsetAt(localMs + DAY, zone)];
  const fits = [localMs - before, localMs - after].filter((at) => at + offsetAt(at, zone) === localMs);
  return fits.length === 0 ? localMs - before : Math.min(...fits);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

/** How far clocks in `zone` are ahead of UTC at a wall instant, ms. */
function offsetAt(wall: number, zone: string): number {
  const formatter =
    formatters.get(zone) ??
    new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
  formatters.set(zone, formatter);
  const parts = new Map(formatter.formatToParts(wall).map((part) => [part.type, Number(part.value)]));
  const [year = 0, month = 1, day = 1] = [parts.get("year"), parts.get("month"), parts.get("day")];
  const minute = (parts.get("hour") ?? 0) * 60 + (parts.get("minute") ?? 0);
  const local = daysSinceEpoch({ year, month, day }) * DAY + minute * MINUTE;
  return local - Math.floor(wall / MINUTE) * MINUTE;
}
