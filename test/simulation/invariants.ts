/** The promises checked on every simulated run (names as in SAFETY: I1-I3, I5-I11). Each returns what was broken, in words. */

import { worstBound } from "../../src/core/bound.ts";
import type { Recorded } from "../../src/core/event.ts";
import { claimsOf } from "../../src/core/gate.ts";
import { guardsBefore } from "../../src/core/rollout/forward.ts";
import { isBegun, isLive, type State } from "../../src/core/rollout/state.ts";
import { OFF, sameSetting } from "../../src/core/setting.ts";
import type { Disk } from "./journal.ts";
import type { Outside } from "./outside.ts";
import type { Scenario } from "./scenario.ts";

export interface Violation {
  readonly rule: string;
  readonly at: number;
  readonly detail: string;
}

export interface Watch {
  readonly violations: readonly Violation[];
  /** Called with every commit, before anything else happens. */
  onEvents(state: State, events: readonly Recorded[]): void;
  /** Called once a virtual second. `capable`: Belay runs, and store and Prometheus can be reached and tell the truth. */
  second(capable: boolean, journaling: boolean): void;
  posted(key: string): void;
  atEnd(answered: ReadonlyMap<string, boolean>): void;
}

/** Capable time after which a flag of a stage known to be in breach must be off, ms. */
const OFF_WITHIN_MS = 30_000;
/** A forward write begins within five seconds of its decision; the store may hold it a few seconds more. */
const LATE_ON_MS = 9_500;
/** A breach verdict rests on values at most this old: the window, n polls, and one answer's delay, s. */
const BAD_SEEN_S = 35;
/** Slack beyond the computed bound for detection: a soak's epoch, a look that settles, and scheduling, ms. */
const DETECT_SLACK_MS = 60_000;

export function createWatch(scenario: Scenario, disk: Disk, outside: Outside, now: () => number): Watch {
  const violations: Violation[] = [];
  const posted = new Set<string>();
  /** Capable ms that each flag has been on since its rollback was decided. */
  const onAfterDecision = new Map<string, number>();
  let badOnCapable = 0;
  let changesSeen = 0;
  const bound = (worstBound(scenario.plan)?.totalMs ?? 0) + DETECT_SLACK_MS;

  function broken(rule: string, detail: string): void {
    if (violations.length < 20) violations.push({ rule, at: now(), detail });
  }

  const states = (): readonly State[] => [...disk.runs.values()].map((one) => one.state);
  const peopleOwn = (flag: string): boolean =>
    outside.changes.findLast((change) => change.flag === flag && change.by !== "duplicate")?.by === "person";

  /** I1: capable time during which a flag that Belay took back, and nobody unlocked, is on. */
  function checkOff(capable: boolean): void {
    for (const state of states()) {
      for (const flag of Object.keys(state.latched)) {
        const wanted = state.flips[flag]?.flip.to ?? OFF;
        const on =
          !sameSetting(outside.setting(flag), wanted) &&
          !peopleOwn(flag) &&
          state.flips[flag]?.direction === "backward";
        const key = `${state.run} ${flag}`;
        const spent = on ? (onAfterDecision.get(key) ?? 0) + (capable ? 1_000 : 0) : 0;
        onAfterDecision.set(key, spent);
        if (spent === OFF_WITHIN_MS + 1_000)
          broken("I1", `${flag} still on ${spent / 1000} s of capable time after its rollback was decided`);
      }
    }
  }

  /** R10: a person's OFF of a flag that Belay had turned on is noticed within moments of capable time. */
  function checkDrift(capable: boolean): void {
    for (const { state } of disk.runs.values()) {
      for (const [flag, flip] of Object.entries(state.flips)) {
        const turned =
          flip.direction === "forward" && flip.verifiedAt !== undefined && state.phase === "walking";
        const off =
          turned &&
          peopleOwn(flag) &&
          !sameSetting(outside.setting(flag), flip.flip.to) &&
          state.overridden[flag] === undefined;
        const key = `drift ${state.run} ${flag}`;
        const spent = off ? (onAfterDecision.get(key) ?? 0) + (capable ? 1_000 : 0) : 0;
        onAfterDecision.set(key, spent);
        if (spent === 31_000)
          broken("R10", `${flag} was turned off by a person and Belay has not noticed for 30 s`);
      }
    }
  }

  /** I1b: a real breach caused by a flag that a live rollout turned on is acted on within the bound, counted in capable time without interruption. */
  function checkDetection(capable: boolean): void {
    const culprit = scenario.truth.culprit?.flag;
    const live = states().find(isLive);
    const on =
      culprit !== undefined &&
      live !== undefined &&
      !sameSetting(outside.setting(culprit), OFF) &&
      !peopleOwn(culprit);
    const owned =
      live !== undefined &&
      culprit !== undefined &&
      live.flips[culprit]?.direction === "forward" &&
      live.overridden[culprit] === undefined;
    // "newest" gives up after one stage that was not the cause; from then on people decide.
    const given = live?.holds.some((hold) => hold.reason === "not_the_cause") ?? false;
    if (!(on && owned && outside.isBad()) || given) badOnCapable = 0;
    else if (capable) badOnCapable += 1_000;
    else badOnCapable = Math.max(0, badOnCapable - 20_000);
    const limit = bound * (scenario.plan.unwind === "gradual" ? 3 : 1);
    if (badOnCapable > limit) {
      broken(
        "I1b",
        `${culprit} bad and on for ${badOnCapable / 1000} s of capable time (bound ${limit / 1000} s)`,
      );
      badOnCapable = Number.NEGATIVE_INFINITY;
    }
  }

  /** I2, I3, I8: every change Belay made has one journaled intent; nothing is turned on over a person's OFF. */
  function checkChanges(): void {
    for (; changesSeen < outside.changes.length; changesSeen++) {
      const change = outside.changes[changesSeen];
      if (change === undefined || change.by !== "belay") continue;
      const intents = [...disk.events.values()].flatMap((events) =>
        events.flatMap(({ event }) => flipsOf(event).filter((flip) => flip.intent === change.intent)),
      );
      const spooled = spool.some((one) => one === change.intent);
      if (intents.length !== 1 && !spooled)
        broken(
          "I3",
          `${change.flag} written with intent ${change.intent}, journaled ${intents.length} times`,
        );
      const on = !sameSetting(change.setting, OFF);
      const decided = decidedAt(change.intent);
      if (on && decided !== undefined && change.at - decided > LATE_ON_MS)
        broken("I6b", `${change.flag} turned on ${(change.at - decided) / 1000} s after it was decided`);
      const before = outside.changes
        .slice(0, changesSeen)
        .findLast((other) => other.flag === change.flag && other.by !== "duplicate");
      if (
        on &&
        before?.by === "person" &&
        sameSetting(before.setting, OFF) &&
        !decidedAfter(change.intent, before.at)
      ) {
        broken("I8", `${change.flag} turned on at ${change.at} over a person's OFF at ${before.at}`);
      }
    }
  }

  function decidedAt(intent: string | undefined): number | undefined {
    for (const events of disk.events.values()) {
      const hit = events.find(
        (one) => one.event.kind === "stage_started" && one.event.flips.some((flip) => flip.intent === intent),
      );
      if (hit !== undefined) return hit.at;
    }
    return undefined;
  }

  function decidedAfter(intent: string | undefined, at: number): boolean {
    return [...disk.events.values()].some((events) =>
      events.some((one) => one.at >= at && flipsOf(one.event).some((flip) => flip.intent === intent)),
    );
  }

  /** I12: when Belay says that flags are off, they are, or somebody else turned them on since. */
  function checkClaimedOff(state: State): void {
    for (const flag of state.rollback?.flags ?? []) {
      const wanted = state.flips[flag]?.flip.to ?? OFF;
      const last = outside.changes.findLast((change) => change.flag === flag);
      if (!sameSetting(outside.setting(flag), wanted) && last?.by === "belay" && now() - last.at > 2_000)
        broken("I12", `${state.run} says ${flag} is off, and it is on`);
    }
  }

  const spool: string[] = [];

  return {
    violations,
    posted(key) {
      if (posted.has(key)) broken("once", `${key} was posted twice`);
      posted.add(key);
    },
    onEvents(state, events) {
      for (const { event, at } of events) {
        for (const flip of flipsOf(event)) spool.push(flip.intent);
        if (event.kind === "stage_started" && scenario.plan.stages[event.stage]?.baseline !== true) {
          for (const guard of guardsBefore(scenario.plan, state, event.stage)) {
            const last = outside.served.findLast((one) => one.query === guard.query);
            if (last === undefined || !last.passing || at - last.at > scenario.plan.queryTimeoutMs) {
              broken(
                "I6",
                `${scenario.plan.stages[event.stage]?.name} started at ${at}; ${guard.name} last answered ${last === undefined ? "never" : `${last.passing} at ${last.at}`}`,
              );
            }
          }
        }
        if (
          event.kind === "rollback_started" &&
          (event.cause.kind === "breach" || event.cause.kind === "still_breaching")
        ) {
          const { guard, detail } = event.cause;
          if (!outside.everBad())
            broken("I11", `rolled back for ${guard} (${detail}) though nothing was ever bad`);
          else if (guard === "failures" && !outside.badWithin(BAD_SEEN_S))
            broken("I11b", `rolled back for ${guard} (${detail}), but nothing was bad for ${BAD_SEEN_S} s`);
        }
        if (
          event.kind === "look_failed" &&
          state.rollback?.confirmedAt !== undefined &&
          !outside.badWithin(Math.ceil((at - state.rollback.confirmedAt) / 1_000) + 1)
        ) {
          broken(
            "I11c",
            `the look after ${state.rollback.flags.join(",")} failed, but nothing was bad since it was off`,
          );
        }
        if (event.kind === "rollback_off") checkClaimedOff(state);
        if (
          event.kind === "stage_started" &&
          !(disk.events.get(state.run) ?? []).some((one) => one.event === event)
        ) {
          broken("I3b", `stage ${event.stage} counted without the journal`);
        }
      }
      const begun = state.stages.map((stage, index) => (index >= state.first && isBegun(stage) ? 1 : 0));
      const lastBegun = begun.lastIndexOf(1);
      if (begun.slice(state.first, lastBegun + 1).includes(0))
        broken("I2", `begun stages are no prefix: ${begun.join("")} from ${state.first}`);
      const live = states().filter((one) => isLive(one) && one.run !== state.run);
      if (isLive(state) && live.some((other) => claimsOf({ plan: scenario.plan, state: other }).length > 0))
        broken("I7", `${state.run} and ${live[0]?.run} are both live`);
    },
    second(capable, journaling) {
      checkOff(capable);
      checkDetection(capable);
      checkDrift(capable && journaling);
      checkChanges();
    },
    atEnd(answered) {
      for (const [key, done] of answered) if (!done) broken("I5", `${key} was accepted and never answered`);
      for (const { intake, answered: done } of disk.intakes.values())
        if (!done) broken("I5", `${intake.key} (${intake.text}) is still open in the journal`);
      for (const state of states()) {
        const owed = Object.values(state.flips).filter((flip) => flip.verifiedAt === undefined);
        if (isLive(state) && owed.length > 0)
          broken(
            "I9",
            `${state.run} (${state.phase}) still owes ${owed.map((flip) => flip.flip.flag).join(",")} long after the last fault`,
          );
        if (state.phase === "rolling_back")
          broken("I9", `${state.run} is still rolling back long after the last fault`);
        if (state.phase === "stuck") broken("I9", `${state.run} is quarantined`);
        if (state.phase === "rolled_back" && disk.runs.size === 1) {
          for (const flag of Object.keys(state.flips)) {
            if (!peopleOwn(flag) && !sameSetting(outside.setting(flag), OFF))
              broken("I10", `${state.run} says rolled back, ${flag} is on`);
          }
        }
      }
      for (const item of disk.outbox.values())
        if (!item.done) broken("told", `${item.key} was never delivered`);
    },
  };
}

function flipsOf(event: Recorded["event"]) {
  switch (event.kind) {
    case "stage_started":
    case "stage_withdrawn":
    case "rollback_started":
      return event.flips;
    case "flip_corrected":
      return [event.flip];
    default:
      return [];
  }
}
