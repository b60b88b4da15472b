/** Wall clocks of time zones: their offsets, when clocks change, the instant of a local time, and dates for people. */
import { DAY, MINUTE } from "../time.ts";

const offsets = new Map<string, Intl.DateTimeFormat>();
const dates = new Map<string, Intl.DateTimeFormat>();

function cached(
  known: Map<string, Intl.DateTimeFormat>,
  zone: string,
  options: Intl.DateTimeFormatOptions,
): Intl.DateTimeFormat {
  const made = known.get(zone) ?? new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
  known.set(zone, made);
  return made;
}

/** How far a zone's clock is ahead of UTC at a wall instant, ms (behind: negative). */
export function offsetAt(wall: number, zone: string): number {
  const parts = cached(offsets, zone, { timeZoneName: "longOffset" }).formatToParts(wall);
  const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  const match = /([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/.exec(name);
  if (match === null) return 0;
  const ms = (Number(match[2]) * 60 + Number(match[3])) * MINUTE + Number(match[4] ?? 0) * 1_000;
  return match[1] === "-" ? -ms : ms;
}

/** A moment at which a zone's clock is put forward (`after` > `before`) or back. Offsets in ms; `at` is the first instant of the new offset. */
export interface ClockChange {
  readonly at: number;
  readonly before: number;
  readonly after: number;
}

/** The first change of a zone's clock in (from, to]; undefined when there is none. Looks once a day, so it does not see two on one day. */
export function nextChange(zone: string, from: number, to: number): ClockChange | undefined {
  let low = from;
  const before = offsetAt(from, zone);
  while (low < to) {
    const high = Math.min(low + DAY, to);
    if (offsetAt(high, zone) !== before) return changeBetween(zone, low, high);
    low = high;
  }
  return undefined;
}

/** Halves (low, high], which holds one change, down to the minute. */
function changeBetween(zone: string, from: number, to: number): ClockChange {
  const before = offsetAt(from, zone);
  let low = Math.floor(from / MINUTE);
  let high = Math.ceil(to / MINUTE);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * MINUTE, zone) === before) low = middle;
    else high = middle;
  }
  const at = high * MINUTE;
  return { at, before, after: offsetAt(at, zone) };
}

/**
 * The first wall instant at which a zone's clock has reached a local time (ms, written as if it were UTC): for one that happens twice the first
 * of the two, for one that a change skips the end of the gap.
 */
export function instantOf(local: number, zone: string): number {
  const before = offsetAt(local - DAY, zone);
  const after = offsetAt(local + DAY, zone);
  if (before === after) return local - before;
  const change = changeBetween(zone, local - DAY, local + DAY);
  if (local - before < change.at) return local - before;
  return Math.max(change.at, local - after);
}

/** The last local midnight at or before a wall instant, as a wall instant; 01:00 on a day that skips midnight. */
export function startOfDay(wall: number, zone: string): number {
  const local = wall + offsetAt(wall, zone);
  return instantOf(Math.floor(local / DAY) * DAY, zone);
}

function partsOf(wall: number, zone: string): ReadonlyMap<string, string> {
  const format = cached(dates, zone, {
    weekday: "short",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  return new Map(format.formatToParts(wall).map((part) => [part.type, part.value]));
}

/** `Thu 26 Nov` in a zone. */
export function formatDay(wall: number, zone: string): string {
  const parts = partsOf(wall, zone);
  return `${parts.get("weekday")} ${parts.get("day")} ${parts.get("month")?.slice(0, 3)}`;
}

/** `03:00` in a zone. */
export function formatTime(wall: number, zone: string): string {
  const parts = partsOf(wall, zone);
  return `${parts.get("hour")}:${parts.get("minute")}`;
}

/** `Thu 26 Nov 03:00` in a zone. */
export function formatDayTime(wall: number, zone: string): string {
  return `${formatDay(wall, zone)} ${formatTime(wall, zone)}`;
}
