/** Checks every promise on a simulated run, each at its moment, and keeps what was broken. */
import type { Recorded } from "../../../src/core/event.ts";
import type { State } from "../../../src/core/rollout/state.ts";
import { AlertIsActedOn } from "./alerts.ts";
import { CHANGE_CHECKS } from "./changes.ts";
import { commandsAreAnswered, messagesAreDelivered, rolledBackIsOff, runHasSettled } from "./end.ts";
import { COMMIT_CHECKS, EVENT_CHECKS } from "./events.ts";
import type { History } from "./history.ts";
import { BreachIsActedOn, DriftIsNoticed, TakenBackIsOff } from "./seconds.ts";

/** A run with this many violations has shown enough. */
const MOST_VIOLATIONS = 20;

/** A promise that was broken. `at` is virtual ms; `detail` says how, in words. */
export interface Violation {
  readonly rule: string;
  readonly at: number;
  readonly detail: string;
}

export class Watch {
  readonly #history: History;
  readonly #violations: Violation[] = [];
  readonly #posted = new Set<string>();
  readonly #takenBackIsOff = new TakenBackIsOff();
  readonly #breachIsActedOn: BreachIsActedOn;
  readonly #driftIsNoticed = new DriftIsNoticed();
  readonly #alertIsActedOn = new AlertIsActedOn();
  #changesSeen = 0;

  constructor(history: History) {
    this.#history = history;
    this.#breachIsActedOn = new BreachIsActedOn(history.plan);
  }

  /** What was broken so far, in the order in which it was found. */
  get violations(): readonly Violation[] {
    return this.#violations;
  }

  hasSeenEnough(): boolean {
    return this.#violations.length >= MOST_VIOLATIONS;
  }

  /** To be called with every commit, before anything else happens. */
  onEvents(state: State, events: readonly Recorded[]): void {
    this.#history.announce(events);
    for (const recorded of events)
      for (const [rule, check] of Object.entries(EVENT_CHECKS))
        this.#note(rule, check(this.#history, state, recorded));
    for (const [rule, check] of Object.entries(COMMIT_CHECKS)) this.#note(rule, check(this.#history, state));
  }

  /** To be called once a virtual second. `isCapable`: Belay runs, and store and Prometheus can be reached and tell the truth. */
  second(isCapable: boolean, isJournaling: boolean): void {
    const history = this.#history;
    this.#note("I1", this.#takenBackIsOff.check(history, isCapable));
    this.#note("I1b", this.#breachIsActedOn.check(history, isCapable));
    this.#note("R10", this.#driftIsNoticed.check(history, isCapable && isJournaling));
    this.#note("A4", this.#alertIsActedOn.check(history, isCapable && isJournaling));
    const changes = history.changes();
    for (; this.#changesSeen < changes.length; this.#changesSeen++) {
      const change = changes[this.#changesSeen];
      if (change?.by !== "belay") continue;
      const earlier = changes.slice(0, this.#changesSeen);
      for (const [rule, check] of Object.entries(CHANGE_CHECKS))
        this.#note(rule, check(history, change, earlier));
    }
  }

  /** To be called with the key of every message that appears in the chat; each may appear once. */
  posted(key: string): void {
    if (this.#posted.has(key)) this.#note("once", [`${key} was posted twice`]);
    this.#posted.add(key);
  }

  /** To be called at the end; `answered` says of each command that was accepted whether its answer came. */
  atEnd(answered: ReadonlyMap<string, boolean>): void {
    const history = this.#history;
    this.#note("I5", commandsAreAnswered(history, answered));
    for (const state of history.states()) {
      this.#note("I9", runHasSettled(history, state));
      this.#note("I10", rolledBackIsOff(history, state));
    }
    this.#note("told", messagesAreDelivered(history));
  }

  #note(rule: string, details: readonly string[]): void {
    for (const detail of details)
      if (!this.hasSeenEnough()) this.#violations.push({ rule, at: this.#history.now(), detail });
  }
}
