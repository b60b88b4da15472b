/** Time as the core knows it: instants handed in from outside, durations, and calendar windows for forward steps. */

/**
 * One instant, read twice. `steady` (ms) never runs backwards and is not moved by clock steps; all durations are differences of it.
 * `wall` (ms since the Unix epoch) is for calendars and for people.
 */
export interface Now {
  readonly steady: number;
  readonly wall: number;
}

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY };

/** Reads `90s`, `1h30m`, `2d`, `250ms` or `0` as milliseconds; undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "0") return 0;
  if (trimmed.length > 40 || !/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const part of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(part[1]) * (UNIT_MS[part[2] ?? ""] ?? Number.NaN);
  }
  return Number.isFinite(total) && total <= 366 * DAY ? Math.round(total) : undefined;
}

/** Writes milliseconds the way people say them: `0 s`, `850 ms`, `2.1 s`, `45 s`, `1 min 30 s`, `2 h`, `1 d 17 h`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms === 0) return "0 s";
  if (Math.round(ms) < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${trimZero((ms / SECOND).toFixed(1))} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return twoParts(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return twoParts(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return twoParts(Math.floor(hours / 24), "d", hours % 24, "h");
}

function twoParts(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

function trimZero(text: string): string {
  return text.endsWith(".0") ? text.slice(0, -2) : text;
}

/**
 * Hours in which forward steps may happen, in one time zone; `toMinute` is exclusive. Days run from Monday = 0. When `toMinute` is not after
 * `fromMinute` the hours go past midnight, and `days` are those on which they begin.
 */
export interface ForwardWindow {
  readonly text: string;
  readonly days: readonly boolean[];
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly zone: string;
}

const DAYS: readonly string[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/**
 * Reads `Mon-Thu 09:00-16:00` or, past midnight into the next day, `Sat,Sun 22:00-02:00` (days may be a list: `Mon,Wed-Fri`); undefined when the
 * text or the zone is not understood.
 */
export function parseForwardWindow(text: string, zone: string): ForwardWindow | undefined {
  const match = /^([A-Za-z,-]+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (match === null || !isZone(zone)) return undefined;
  const days = parseDays(match[1] ?? "");
  const fromMinute = Number(match[2]) * 60 + Number(match[3]);
  const toMinute = Number(match[4]) * 60 + Number(match[5]);
  if (days === undefined || Number(match[3]) > 59 || Number(match[5]) > 59) return undefined;
  const whole = DAY / MINUTE;
  if (fromMinute === toMinute || fromMinute >= whole || toMinute > whole) return undefined;
  return { text: text.trim(), days, fromMinute, toMinute, zone };
}

function parseDays(text: string): readonly boolean[] | undefined {
  const days = DAYS.map(() => false);
  for (const part of text.toLowerCase().split(",")) {
    const [from = "", to = from, ...rest] = part.split("-");
    const first = DAYS.indexOf(from);
    const last = DAYS.indexOf(to);
    if (rest.length > 0 || first < 0 || last < 0) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days[day] = true;
      if (day === last) break;
    }
  }
  return days;
}

/** True when the tz database knows the name (`Europe/Berlin`, `UTC`). */
export function isZone(zone: string): boolean {
  try {
    formatter(zone);
    return true;
  } catch {
    return false;
  }
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hourCycle: "h23",
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  formatters.set(zone, made);
  return made;
}

interface LocalTime {
  readonly day: number;
  readonly minute: number;
  readonly second: number;
}

function localTime(wall: number, zone: string): LocalTime {
  const parts = new Map(
    formatter(zone)
      .formatToParts(wall)
      .map((part) => [part.type, part.value]),
  );
  const day = DAYS.indexOf(parts.get("weekday")?.toLowerCase() ?? "");
  return {
    day,
    minute: Number(parts.get("hour")) * 60 + Number(parts.get("minute")),
    second: Number(parts.get("second")),
  };
}

/** `HH:MM:SS` of a wall instant in a zone. */
export function formatClock(wall: number, zone = "UTC"): string {
  const { minute, second } = localTime(wall, zone);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}:${two(second)}`;
}

/** Whether forward steps are allowed at this wall instant. */
export function isOpen(window: ForwardWindow, wall: number): boolean {
  const { day, minute } = localTime(wall, window.zone);
  const { days, fromMinute, toMinute } = window;
  if (fromMinute < toMinute) return days[day] === true && minute >= fromMinute && minute < toMinute;
  const evening = days[day] === true && minute >= fromMinute;
  return evening || (days[(day + 6) % 7] === true && minute < toMinute);
}

/** Steps that suffice to cross a week, half hour by half hour on the days when clocks change. */
const MOST_STEPS = 200;

/** The first wall instant (ms) at or after `wall` in which forward steps are allowed. */
export function opensAt(window: ForwardWindow, wall: number): number {
  let at = wall;
  for (let step = 0; step < MOST_STEPS && !isOpen(window, at); step++) {
    const { day, minute } = localTime(at, window.zone);
    const today = window.days[day] === true && minute < window.fromMinute;
    at = laterByClock(at, today ? window.fromMinute - minute : DAY / MINUTE - minute, window.zone);
  }
  return at;
}

/** Windows that share no hour within this time share none at all, but for a change of clocks. */
const MOST_WAIT_MS = 15 * DAY;

/** The first wall instant (ms) at or after `wall` in which all windows are open; undefined when they share no hour within 15 days. */
export function allOpenAt(windows: readonly ForwardWindow[], wall: number): number | undefined {
  let at = wall;
  while (at - wall <= MOST_WAIT_MS) {
    const next = windows.reduce((latest, window) => opensAt(window, latest), at);
    if (next === at) return at;
    at = next;
  }
  return undefined;
}

/** `Sat 28 Nov 22:00`: a wall instant in a zone, for what may be days away. */
export function formatDay(wall: number, zone: string): string {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    weekday: "short",
    day: "numeric",
    month: "short",
  });
  return `${parts.format(wall).replace(",", "")} ${formatClock(wall, zone).slice(0, 5)}`;
}

/** The next wall instant (ms) after `wall` at which a clock in `zone` shows hh:mm; on a day that skips it, that of the next day. */
export function nextClock(wall: number, hour: number, minute: number, zone: string): number {
  const target = hour * 60 + minute;
  let at = wall;
  for (let step = 0; step < MOST_STEPS; step++) {
    const wait = (target - localTime(at, zone).minute + DAY / MINUTE) % (DAY / MINUTE);
    if (wait === 0 && at > wall) break;
    at = laterByClock(at, wait === 0 ? DAY / MINUTE : wait, zone);
  }
  return at;
}

/** So many minutes later, at the full minute; if clocks are put forward or back before, only the next half hour, when such a change may be. */
function laterByClock(at: number, minutes: number, zone: string): number {
  const here = localTime(at, zone);
  const there = at - here.second * SECOND - (at % SECOND) + minutes * MINUTE;
  if (localTime(there, zone).minute === (here.minute + minutes) % (DAY / MINUTE)) return there;
  return (Math.floor(at / (30 * MINUTE)) + 1) * 30 * MINUTE;
}
