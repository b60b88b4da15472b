/** The system's clock: a steady time that goes on over restarts and is not moved by clock steps, the wall clock, timers, and chance. */
import { readFileSync } from "node:fs";
import type { Now } from "../core/time.ts";
import type { Clock } from "../engine/ports.ts";

/** Node fires timers longer than this at once, so a longer delay is made of several. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id";

/** The clock at one instant, to go on from. `monotonic` (ms) counts from the machine's start and means something only under the same `boot`. */
export interface SavedClock {
  readonly steady: number;
  readonly wall: number;
  readonly boot?: string;
  readonly monotonic?: number;
}

export interface ClockOptions {
  /** Go on from here; without it, steady time begins at 0. */
  readonly saved?: SavedClock;
  /** Steady ms that has certainly been reached, such as the newest instant in the journal; the clock never starts below it. */
  readonly notBefore?: number;
  /** Names this start of the machine; by default what Linux says, and nothing elsewhere. */
  readonly bootId?: string;
}

export interface SystemClock extends Clock {
  /** The clock now, as text for `restoreClock`. */
  snapshot(): string;
}

/** Reads a snapshot; undefined when the text is none. */
export function parseSnapshot(text: string): SavedClock | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const field = (name: string): unknown => Object.entries(value).find(([key]) => key === name)?.[1];
  const [steady, wall, boot, monotonic] = [field("steady"), field("wall"), field("boot"), field("monotonic")];
  if (!isInstant(steady) || !isInstant(wall)) return undefined;
  return {
    steady,
    wall,
    ...(typeof boot === "string" ? { boot } : {}),
    ...(isInstant(monotonic) ? { monotonic } : {}),
  };
}

/** A clock that goes on from a snapshot; from 0 when there is none or it cannot be read. */
export function restoreClock(
  text: string | undefined,
  options: Omit<ClockOptions, "saved"> = {},
): SystemClock {
  const saved = text === undefined ? undefined : parseSnapshot(text);
  return createClock(saved === undefined ? options : { ...options, saved });
}

/**
 * The time Belay was away counts as steady time: exactly, by the machine's monotonic clock, when the machine has not restarted since; else by
 * the wall clock, and a wall clock that was set back counts as no time at all. Both parts of `now()` are whole milliseconds.
 */
export function createClock(options: ClockOptions = {}): SystemClock {
  const boot = options.bootId ?? readBootId();
  const startedMs = monotonicMs();
  const base = Math.max(resumeAt(options.saved, boot, startedMs), options.notBefore ?? 0);
  const steadyMs = (): number => base + (monotonicMs() - startedMs);
  const now = (): Now => ({ steady: Math.floor(steadyMs()), wall: Date.now() });

  return {
    now,
    after: (ms, act) => actAfter(steadyMs, ms, act),
    random: () => Math.random(),
    snapshot() {
      const saved: SavedClock = {
        ...now(),
        ...(boot === undefined ? {} : { boot }),
        monotonic: monotonicMs(),
      };
      return JSON.stringify(saved);
    },
  };
}

function resumeAt(saved: SavedClock | undefined, boot: string | undefined, monotonic: number): number {
  if (saved === undefined) return 0;
  const sameBoot = boot !== undefined && saved.boot === boot;
  if (sameBoot && saved.monotonic !== undefined && monotonic >= saved.monotonic) {
    return saved.steady + (monotonic - saved.monotonic);
  }
  return saved.steady + Math.max(0, Date.now() - saved.wall);
}

/** A timer may fire a little early, so what is left is measured again each time. Without cancelling, it keeps the process alive. */
function actAfter(steadyMs: () => number, ms: number, act: () => void): () => void {
  if (Number.isNaN(ms)) throw new RangeError("a delay needs a number of milliseconds");
  const dueMs = steadyMs() + ms;
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    const leftMs = Math.max(0, Math.ceil(dueMs - steadyMs()));
    timer = setTimeout(() => (steadyMs() >= dueMs ? act() : arm()), Math.min(leftMs, LONGEST_TIMER_MS));
  };
  arm();
  return () => clearTimeout(timer);
}

/** On Linux and macOS: ms since the machine started, without the time it was suspended. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function readBootId(): string | undefined {
  try {
    const id = readFileSync(BOOT_ID_FILE, "utf8").trim();
    return id === "" ? undefined : id;
  } catch {
    return undefined;
  }
}

function isInstant(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
