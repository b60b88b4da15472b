/** The calendar: when cron expressions fire in a time zone, and a tick about once a minute that no clock jump silences. */
import { Cron } from "croner";
import { schedule } from "node-cron";
import { instantOf, offsetAt } from "../core/watch/job-clock.ts";
import type { Clock } from "../engine/ports.ts";
import type { Calendar } from "../engine/watch-ports.ts";

/** After some clock jumps node-cron stays silent; without a tick for this long of steady time, one is made. */
const SILENT_MS = 61_000;
/** Expressions kept parsed. */
const MOST_PARSED = 500;

export interface CalendarOptions {
  readonly clock: Pick<Clock, "after">;
}

/**
 * Croner finds the local times that an expression matches, and the zone's clock says at which instant each of them is: once, also where clocks
 * are changed. An expression for every hour (`*` in the hour field) is about elapsed time instead: it fires in both passes when clocks are put
 * back, or it would be silent for an hour, and a gap has nothing to make up for. Throws for an expression or a zone that cannot be read.
 */
export function createCalendar({ clock }: CalendarOptions): Calendar {
  const parsed = new Map<string, Cron>();

  /** Never started: only asked. */
  function cronOf(text: string, zone: string): Cron {
    const key = `${zone} ${text}`;
    const known = parsed.get(key);
    if (known !== undefined) return known;
    if (parsed.size >= MOST_PARSED) parsed.clear();
    const made = new Cron(text, { mode: "5-part", timezone: zone, paused: true });
    parsed.set(key, made);
    return made;
  }

  function fires(text: string, zone: string, after: number, upTo: number, most: number): readonly number[] {
    const found: number[] = [];
    const instants = isEveryHour(text)
      ? matches(cronOf(text, zone), after)
      : onceEach(cronOf(text, "UTC"), zone, after);
    for (const instant of instants) {
      if (instant > upTo || found.length >= most) break;
      if (instant > (found.at(-1) ?? after)) found.push(instant);
    }
    return found;
  }

  return {
    fires,
    next: (text, zone, after) => fires(text, zone, after, Number.POSITIVE_INFINITY, 1)[0],
    everyMinute: (act) => everyMinute(clock, act),
  };
}

function isEveryHour(text: string): boolean {
  return /^\s*\S+\s+\*(?:\/1)?\s/.test(text);
}

/** What matches after an instant, oldest first. */
function* matches(cron: Cron, after: number): Generator<number> {
  let next = cron.nextRun(new Date(after));
  while (next !== null) {
    yield next.getTime();
    next = cron.nextRun(next);
  }
}

/** The instant of each local time, in order; some may be at or before `after`, and those of one gap are at one instant. */
function* onceEach(cron: Cron, zone: string, after: number): Generator<number> {
  // As if local times were UTC.
  for (const local of matches(cron, after + offsetAt(after, zone))) yield instantOf(local, zone);
}

/** A tick too many is harmless, since whoever is woken looks at the clock. */
function everyMinute(clock: Pick<Clock, "after">, act: () => void): () => void {
  let cancel = (): void => undefined;
  const tick = (): void => {
    cancel();
    cancel = clock.after(SILENT_MS, tick);
    act();
  };
  cancel = clock.after(SILENT_MS, tick);
  const task = schedule("* * * * *", tick, {
    timezone: "UTC",
    noOverlap: true,
    logger: { info: nothing, warn: nothing, error: nothing, debug: nothing },
    suppressMissedWarning: true,
  });
  return () => {
    cancel();
    // Ending it is synchronous for a task in this process.
    void task.destroy();
  };
}

function nothing(): void {}
