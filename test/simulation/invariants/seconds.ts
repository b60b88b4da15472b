/** The promises about time, checked once a virtual second: each counts how long something wrong has lasted while Belay could have acted. */
import { worstBound } from "../../../src/core/bound.ts";
import type { Plan } from "../../../src/core/plan.ts";
import { isAskedBack, openWould } from "../../../src/core/rollout/observe.ts";
import { isLive, type State } from "../../../src/core/rollout/state.ts";
import type { History } from "./history.ts";

const SECOND_MS = 1_000;
/** Capable time after which a flag of a stage known to be in breach must be off, ms. */
const OFF_WITHIN_MS = 30_000;
/** Capable time after which a person's OFF must have been noticed, ms. */
const NOTICED_WITHIN_MS = 30_000;
/** Slack beyond the computed bound for detection: a soak's epoch, a look that settles, and scheduling, ms. */
const DETECT_SLACK_MS = 60_000;
/** What a second in which Belay could not act takes off the time counted towards detection, ms. */
const INCAPABLE_COSTS_MS = 20_000;

/** Remembers from second to second. `isCapable`: Belay could have acted in this one. Returns what was broken, in words. */
export interface SecondCheck {
  check(history: History, isCapable: boolean): readonly string[];
}

/** Capable time for which each of several wrongs has lasted without an end; time in between that was not capable is left out. */
export class Lasting {
  readonly #ms = new Map<string, number>();

  /** Counts one second of a wrong, or its end; returns the ms counted. */
  count(wrong: string, isThere: boolean, isCapable: boolean): number {
    const ms = isThere ? (this.#ms.get(wrong) ?? 0) + (isCapable ? SECOND_MS : 0) : 0;
    this.#ms.set(wrong, ms);
    return ms;
  }
}

/** I1: a flag that Belay took back, and that nobody has set or unlocked since, is off within 30 s of capable time. */
export class TakenBackIsOff implements SecondCheck {
  readonly #on = new Lasting();

  check(history: History, isCapable: boolean): readonly string[] {
    return history
      .states()
      .flatMap((state) => Object.keys(state.latched).map((flag) => ({ state, flag })))
      .flatMap(({ state, flag }) => {
        const ms = this.#on.count(`${state.run} ${flag}`, isStillOn(history, state, flag), isCapable);
        if (ms !== OFF_WITHIN_MS + SECOND_MS) return [];
        return [`${flag} still on ${ms / SECOND_MS} s of capable time after its rollback was decided`];
      });
  }
}

function isStillOn(history: History, state: State, flag: string): boolean {
  const flip = state.flips[flag];
  return flip?.direction === "backward" && !history.isAt(flag, flip.flip.to) && !history.isPersons(flag);
}

/** I1b: a real breach by a flag that a live rollout turned on is acted on within the bound, in capable time with few breaks. */
export class BreachIsActedOn implements SecondCheck {
  readonly #limitMs: number;
  #badMs = 0;

  constructor(plan: Plan) {
    const boundMs = (worstBound(plan)?.totalMs ?? 0) + DETECT_SLACK_MS;
    this.#limitMs = boundMs * (plan.unwind === "gradual" ? 3 : 1);
  }

  check(history: History, isCapable: boolean): readonly string[] {
    if (!isOwnBreach(history)) this.#badMs = 0;
    else if (isCapable) this.#badMs += SECOND_MS;
    else this.#badMs = Math.max(0, this.#badMs - INCAPABLE_COSTS_MS);
    if (this.#badMs <= this.#limitMs) return [];
    const [bad, limit] = [this.#badMs / SECOND_MS, this.#limitMs / SECOND_MS];
    this.#badMs = Number.NEGATIVE_INFINITY;
    return [`${history.culprit} bad and on for ${bad} s of capable time (bound ${limit} s)`];
  }
}

/** Whether production is bad through a flag that a live rollout has turned on and answers for. */
function isOwnBreach(history: History): boolean {
  const { culprit, outside } = history;
  const live = history.states().find(isLive);
  if (culprit === undefined || live === undefined || !outside.production.isBad()) return false;
  // "newest" gives up after one stage that was not the cause; from then on people decide.
  if (live.holds.some((hold) => hold.reason === "not_the_cause")) return false;
  // A run that observes has acted when it has said so; what people set for it is its own.
  const { asked, verifiedAt } = live.flips[culprit] ?? {};
  if (live.mode === "observe" && (openWould(live) !== undefined || live.dismissed !== undefined))
    return false;
  if (asked === true)
    return (
      live.phase === "walking" &&
      verifiedAt !== undefined &&
      live.overridden[culprit] === undefined &&
      !history.isOff(culprit)
    );
  const isOwned = live.flips[culprit]?.direction === "forward" && live.overridden[culprit] === undefined;
  return isOwned && !history.isOff(culprit) && !history.isPersons(culprit);
}

/** R10: a person's OFF of a flag that Belay had turned on is noticed within moments of time in which Belay could act and journal. */
export class DriftIsNoticed implements SecondCheck {
  readonly #unnoticed = new Lasting();

  check(history: History, isCapable: boolean): readonly string[] {
    return history
      .states()
      .flatMap((state) => Object.keys(state.flips).map((flag) => ({ state, flag })))
      .flatMap(({ state, flag }) => {
        const isThere = isUnnoticed(history, state, flag);
        const ms = this.#unnoticed.count(`${state.run} ${flag}`, isThere, isCapable);
        if (ms !== NOTICED_WITHIN_MS + SECOND_MS) return [];
        return [
          `${flag} was turned off by a person and Belay has not noticed for ${NOTICED_WITHIN_MS / SECOND_MS} s`,
        ];
      });
  }
}

function isUnnoticed(history: History, state: State, flag: string): boolean {
  const flip = state.flips[flag];
  const isTurnedOn =
    flip?.direction === "forward" && flip.verifiedAt !== undefined && state.phase === "walking";
  return (
    isTurnedOn &&
    state.overridden[flag] === undefined &&
    // Set as Belay said it would: that is no drift.
    !isAskedBack(state, flag, history.outside.flags.setting(flag)) &&
    history.isPersons(flag) &&
    !history.isAt(flag, flip.flip.to)
  );
}
