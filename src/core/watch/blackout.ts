/** Blackouts: stretches of time in which no job fires, weekly by the clock of their zone or once between two instants. */
import { type ForwardWindow, isOpen, parseForwardWindow } from "../time.ts";
import type { Blackout } from "./plan.ts";

const parsed = new WeakMap<Blackout, { readonly window: ForwardWindow | undefined }>();

/**
 * Reads `Sun 02:00-04:00`, `Mon-Fri 22:00-06:00` (past midnight: into the next day) or `02:00-04:00` (every day); undefined when text or zone is
 * not understood.
 */
export function parseBlackoutHours(text: string, zone: string): ForwardWindow | undefined {
  const trimmed = text.trim();
  return parseForwardWindow(/^\d/.test(trimmed) ? `Mon-Sun ${trimmed}` : trimmed, zone);
}

/** The blackout that a wall instant falls into. `dates` holds from `from` (included) to `to` (excluded). */
export function blackoutAt(blackouts: readonly Blackout[], wall: number): Blackout | undefined {
  return blackouts.find((blackout) => holdsAt(blackout, wall));
}

function holdsAt(blackout: Blackout, wall: number): boolean {
  switch (blackout.kind) {
    case "hours":
      return isInside(blackout, wall);
    case "dates":
      return wall >= blackout.from && wall < blackout.to;
  }
}

function isInside(blackout: Extract<Blackout, { kind: "hours" }>, wall: number): boolean {
  const known = parsed.get(blackout) ?? { window: parseBlackoutHours(blackout.text, blackout.zone) };
  parsed.set(blackout, known);
  return known.window !== undefined && isOpen(known.window, wall);
}
