/** The flags as the store holds them, every change of them, and the restart after which a change takes effect. */
import type { Plan } from "../../../src/core/plan.ts";
import { OFF, ON, type Setting } from "../../../src/core/setting.ts";
import type { Random, Timeline } from "../timeline.ts";

/** One change of a flag as the store saw it. `by` tells a late duplicate of a write from the write itself. */
export interface Change {
  readonly at: number;
  readonly flag: string;
  readonly setting: Setting;
  readonly intent: string | undefined;
  readonly by: "belay" | "duplicate" | "person";
}

/** One flag in the store; `rev` is its version. */
export interface Held {
  readonly setting: Setting;
  readonly rev: number;
  readonly intent: string | undefined;
}

export class Flags {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #held: Map<string, Held>;
  readonly #changes: Change[] = [];
  /** An env-file takes effect after a restart, and the service is away meanwhile. */
  readonly #needsRestart: boolean;
  #restartingUntil = 0;
  /** When the service came back with new flags, or will, ms. */
  readonly starts: number[] = [];

  constructor(plan: Plan, timeline: Timeline, random: Random) {
    this.#timeline = timeline;
    this.#random = random;
    this.#held = new Map(
      Object.keys(plan.flags).map((flag) => [flag, { setting: OFF, rev: 1, intent: undefined }]),
    );
    this.#needsRestart = plan.provider.restartMs > 0;
  }

  /** All changes so far, oldest first. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  held(flag: string): Held | undefined {
    return this.#held.get(flag);
  }

  /** How a flag is; one that the store does not hold is off. */
  setting(flag: string): Setting {
    return this.#held.get(flag)?.setting ?? OFF;
  }

  isRestarting(): boolean {
    return this.#timeline.now() < this.#restartingUntil;
  }

  /** Ms until the service is back with its new flags; 0 when nothing restarts. */
  restartLeftMs(): number {
    return Math.max(0, this.#restartingUntil - this.#timeline.now());
  }

  /** A person sets a flag in the store's own page. */
  edit(flag: string, on: boolean): void {
    this.change(flag, on ? ON : OFF, undefined, "person");
  }

  /** The same, to any setting. */
  set(flag: string, setting: Setting): void {
    this.change(flag, setting, undefined, "person");
  }

  /** Sets a flag; nothing happens to one that the store does not hold. Only Belay's own writes restart the service. */
  change(flag: string, setting: Setting, intent: string | undefined, by: Change["by"]): void {
    const held = this.#held.get(flag);
    if (held === undefined) return;
    const at = this.#timeline.now();
    this.#held.set(flag, { setting, rev: held.rev + 1, intent });
    if (this.#needsRestart && by === "belay") {
      this.#restartingUntil = at + this.#random.between(300, 4_000);
      this.starts.push(this.#restartingUntil);
    }
    this.#changes.push({ at, flag, setting, intent, by });
  }
}
