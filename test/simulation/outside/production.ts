/** The service that is rolled out to, with a truth of its own: how well it was at every second, and what it says of its flags. */
import type { FlagDef } from "../../../src/core/plan.ts";
import { OFF, sameSetting, toWire } from "../../../src/core/setting.ts";
import { OutsideFault, type ServiceViewPort } from "../../../src/engine/ports.ts";
import type { Caller } from "../calls.ts";
import { isIn, type Scenario } from "../scenario.ts";
import type { Random, Timeline } from "../timeline.ts";
import type { Flags } from "./flags.ts";

/** How the service was for one second. `away`: dead, or restarting for a new flag. */
export type Health = "well" | "failing" | "away";

export class Production {
  readonly #truth: Scenario["truth"];
  readonly #flags: Flags;
  readonly #timeline: Timeline;
  readonly #random: Random;
  /** One entry a second, newest last. */
  readonly #health: Health[] = [];
  /** Since when the culprit has been on, ms. */
  #culpritSince: number | undefined;
  #isFailing = false;
  #isDead = false;
  #wasEverBad = false;

  constructor(scenario: Scenario, flags: Flags, timeline: Timeline, random: Random) {
    this.#truth = scenario.truth;
    this.#flags = flags;
    this.#timeline = timeline;
    this.#random = random;
  }

  /** Advances the truth by one second. */
  second(): void {
    const { culprit, external } = this.#truth;
    const now = this.#timeline.now();
    const isOn = culprit !== undefined && !sameSetting(this.#flags.setting(culprit.flag), OFF);
    if (!isOn) this.#culpritSince = undefined;
    else this.#culpritSince ??= now;
    const struck =
      culprit !== undefined && this.#culpritSince !== undefined && now - this.#culpritSince >= culprit.after;
    const hasIncident = external !== undefined && isIn(external, now);
    this.#isDead = struck && culprit.effect === "dead";
    this.#isFailing = (struck && culprit.effect === "errors") || hasIncident;
    this.#wasEverBad ||= this.isBad();
    const isAway = this.#isDead || this.#flags.isRestarting();
    this.#health.push(isAway ? "away" : this.#isFailing ? "failing" : "well");
  }

  /** Whether it is really in breach now: errors over the limit, or dead. */
  isBad(): boolean {
    return this.#isFailing || this.#isDead;
  }

  wasEverBad(): boolean {
    return this.#wasEverBad;
  }

  /** Whether any of the last seconds was not well. */
  wasBadWithin(seconds: number): boolean {
    return this.#health.slice(-seconds).some((one) => one !== "well");
  }

  /** The health of up to `seconds` seconds before second `end` of the run, oldest first. */
  healthBefore(end: number, seconds: number): readonly Health[] {
    const to = Math.max(0, Math.min(this.#health.length, end));
    return this.#health.slice(Math.max(0, to - seconds), to);
  }

  /** The service's own word on its flags, as one process asks for it. */
  view(caller: Caller): ServiceViewPort {
    return {
      read: (defs) => {
        if (this.#isDead || this.#flags.isRestarting())
          return caller.failsLater(5, new OutsideFault("service: connection refused", { recoverable: true }));
        return caller.later(this.#random.between(1, 200), () => this.#literals(defs));
      },
    };
  }

  #literals(defs: readonly FlagDef[]): Readonly<Record<string, string>> {
    return Object.fromEntries(
      defs.map((def) => [def.name, toWire(def, this.#flags.setting(def.name)).value]),
    );
  }
}
