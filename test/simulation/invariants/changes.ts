/** The promises about what reaches the flag store, checked for every change that Belay made there. */
import type { Mode, Recorded } from "../../../src/core/event.ts";
import { OFF, sameSetting } from "../../../src/core/setting.ts";
import type { Change } from "../outside/flags.ts";
import { flipsOf, type History, lastDecided } from "./history.ts";

/** A forward write begins within five seconds of its decision; the store may hold it a few seconds more. */
const LATE_ON_MS = 9_500;
/** A store may apply a write this long after it was sent. */
const UNDER_WAY_MS = 4_500;

/** Checks one change by Belay; `earlier` are the changes before it. Returns what was broken, in words. */
export type ChangeCheck = (history: History, change: Change, earlier: readonly Change[]) => readonly string[];

/** I3: every change has an intent that was announced as an event, or is journaled exactly once. */
function changeHasOneIntent(history: History, change: Change): readonly string[] {
  const times = history
    .journaled()
    .flatMap(({ event }) => flipsOf(event))
    .filter((flip) => flip.intent === change.intent).length;
  if (times === 1 || history.wasAnnounced(change.intent)) return [];
  return [`${change.flag} written with intent ${change.intent}, journaled ${times} times`];
}

/** I6b: nothing is turned on long after that was decided, on evidence that has grown old. */
function onComesInTime(history: History, change: Change): readonly string[] {
  const decided = history
    .journaled()
    .find(({ event }) => event.kind === "stage_started" && hasIntent(event.flips, change.intent));
  if (isOff(change) || decided === undefined) return [];
  const lateMs = change.at - decided.at;
  return lateMs > LATE_ON_MS ? [`${change.flag} turned on ${lateMs / 1_000} s after it was decided`] : [];
}

/** I8: nothing is turned on over a person's OFF, unless that was decided after it. */
function onRespectsPersonsOff(
  history: History,
  change: Change,
  earlier: readonly Change[],
): readonly string[] {
  const before = lastDecided(earlier, change.flag);
  if (isOff(change) || before?.by !== "person" || !isOff(before)) return [];
  const wasDecidedSince = ({ at, event }: Recorded): boolean =>
    at >= before.at && hasIntent(flipsOf(event), change.intent);
  if (history.journaled().some(wasDecidedSince)) return [];
  return [`${change.flag} turned on at ${change.at} over a person's OFF at ${before.at}`];
}

/**
 * O2: while a run observes, nothing of it reaches the store but what a person's rollback asked for, the correction of a late write after one, and
 * what was decided before; of that, ONs only as long as a call may have been under way.
 */
function observingWritesNothing(history: History, change: Change): readonly string[] {
  const run = change.intent?.split(".", 1)[0] ?? "";
  const events = history.disk.events.get(run) ?? [];
  const at = events.findIndex(({ event }) => hasIntent(flipsOf(event), change.intent));
  const decided = events[at];
  if (decided === undefined) return [];
  const { event } = decided;
  if (modeAfter(events.slice(0, at)) === "observe") {
    const isAllowed =
      event.kind === "flip_corrected" || (event.kind === "rollback_started" && event.by.kind === "person");
    return isAllowed ? [] : [`${run} observes, and ${change.flag} was written for its ${event.kind}`];
  }
  const since = events
    .slice(at)
    .find((one) => one.event.kind === "mode_set" && one.event.mode === "observe" && one.at <= change.at);
  const isLate = since !== undefined && change.at - since.at > UNDER_WAY_MS;
  return isLate && !isOff(change)
    ? [`${change.flag} turned on although ${run} observes since ${since.at}`]
    : [];
}

function modeAfter(events: readonly Recorded[]): Mode {
  let mode: Mode = "act";
  for (const { event } of events) {
    if (event.kind === "rollout_started") mode = event.mode ?? "act";
    if (event.kind === "mode_set") mode = event.mode;
  }
  return mode;
}

function isOff(change: Change): boolean {
  return sameSetting(change.setting, OFF);
}

function hasIntent(flips: readonly { readonly intent: string }[], intent: string | undefined): boolean {
  return flips.some((flip) => flip.intent === intent);
}

/** In the order in which they are checked. */
export const CHANGE_CHECKS = {
  I3: changeHasOneIntent,
  I6b: onComesInTime,
  I8: onRespectsPersonsOff,
  O2: observingWritesNothing,
} as const satisfies Readonly<Record<string, ChangeCheck>>;
