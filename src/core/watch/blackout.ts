/** Blackouts: stretches of time in which no job fires, weekly by the clock of their zone or once between two instants. */
import { DAY, type ForwardWindow, isOpen, MINUTE, parseForwardWindow } from "../time.ts";
import type { Blackout } from "./plan.ts";

const parsed = new WeakMap<Blackout, readonly ForwardWindow[]>();

/**
 * Reads `Sun 02:00-04:00`, `Mon-Fri 22:00-06:00` (past midnight: into the next day) or `02:00-04:00` (every day); undefined when text or zone is
 * not understood. A stretch past midnight becomes two windows.
 */
export function parseBlackoutHours(text: string, zone: string): readonly ForwardWindow[] | undefined {
  const match = /^([A-Za-z,-]+\s+)?(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})$/.exec(text.trim());
  if (match === null) return undefined;
  const [, days = "Mon-Sun ", from = "", to = ""] = match;
  const within = parseForwardWindow(`${days}${from}-${to}`, zone);
  if (within !== undefined) return [within];
  const evening = parseForwardWindow(`${days}${from}-24:00`, zone);
  const morning = parseForwardWindow(`${days}00:00-${to}`, zone);
  if (evening === undefined || evening.fromMinute * MINUTE === DAY || minuteOf(from) <= minuteOf(to))
    return undefined;
  if (morning === undefined) return minuteOf(to) === 0 ? [evening] : undefined;
  const nextDays = morning.days.map((_, day) => morning.days[(day + 6) % 7] === true);
  return [evening, { ...morning, days: nextDays }];
}

function minuteOf(time: string): number {
  const [hour = 0, minute = 0] = time.split(":").map(Number);
  return hour * 60 + minute;
}

/** The blackout that a wall instant falls into. `dates` holds from `from` (included) to `to` (excluded). */
export function blackoutAt(blackouts: readonly Blackout[], wall: number): Blackout | undefined {
  return blackouts.find((blackout) => holdsAt(blackout, wall));
}

function holdsAt(blackout: Blackout, wall: number): boolean {
  switch (blackout.kind) {
    case "hours":
      return windowsOf(blackout).some((window) => isOpen(window, wall));
    case "dates":
      return wall >= blackout.from && wall < blackout.to;
  }
}

function windowsOf(blackout: Extract<Blackout, { kind: "hours" }>): readonly ForwardWindow[] {
  const known = parsed.get(blackout);
  if (known !== undefined) return known;
  const windows = parseBlackoutHours(blackout.text, blackout.zone) ?? [];
  parsed.set(blackout, windows);
  return windows;
}
