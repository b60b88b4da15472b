/** What has happened in a run so far, as the promises are checked against it: the journal, the outside, and what the engine announced. */
import type { Flip, Recorded, RolloutEvent } from "../../../src/core/event.ts";
import type { Plan } from "../../../src/core/plan.ts";
import type { State } from "../../../src/core/rollout/state.ts";
import { OFF, type Setting, sameSetting } from "../../../src/core/setting.ts";
import type { Disk } from "../journal.ts";
import type { Change } from "../outside/flags.ts";
import type { Outside } from "../outside/outside.ts";
import type { Served } from "../outside/prometheus.ts";
import type { Scenario } from "../scenario.ts";

export class History {
  readonly plan: Plan;
  /** The flag that really makes the service bad; undefined: none does. */
  readonly culprit: string | undefined;
  readonly disk: Disk;
  readonly outside: Outside;
  readonly now: () => number;
  /** Intents of every flip in events that the engine announced, journaled or not. */
  readonly #announced = new Set<string>();

  constructor(scenario: Scenario, disk: Disk, outside: Outside, now: () => number) {
    this.plan = scenario.plan;
    this.culprit = scenario.truth.culprit?.flag;
    this.disk = disk;
    this.outside = outside;
    this.now = now;
  }

  /** Takes down what the engine announced. */
  announce(events: readonly Recorded[]): void {
    for (const { event } of events) for (const flip of flipsOf(event)) this.#announced.add(flip.intent);
  }

  wasAnnounced(intent: string | undefined): boolean {
    return intent !== undefined && this.#announced.has(intent);
  }

  /** Every run in the journal as it is now, oldest first. */
  states(): readonly State[] {
    return [...this.disk.runs.values()].map((one) => one.state);
  }

  /** The events of all runs in the journal, run by run. */
  journaled(): readonly Recorded[] {
    return [...this.disk.events.values()].flat();
  }

  /** Every change of every flag, oldest first. */
  changes(): readonly Change[] {
    return this.outside.flags.changes;
  }

  /** The newest true answer to a query. */
  lastServed(query: string): Served | undefined {
    return this.outside.prometheus.served.findLast((one) => one.query === query);
  }

  isAt(flag: string, setting: Setting): boolean {
    return sameSetting(this.outside.flags.setting(flag), setting);
  }

  isOff(flag: string): boolean {
    return this.isAt(flag, OFF);
  }

  /** Whether a flag is as a person last set it; a late duplicate of a write decides nothing. */
  isPersons(flag: string): boolean {
    return lastDecided(this.changes(), flag)?.by === "person";
  }
}

/** The last change of a flag that somebody decided on. */
export function lastDecided(changes: readonly Change[], flag: string): Change | undefined {
  return changes.findLast((change) => change.flag === flag && change.by !== "duplicate");
}

/** The flips that an event decides on. */
export function flipsOf(event: RolloutEvent): readonly Flip[] {
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
