/** The labelled vertical lines of the charts: flips as the service saw them, and what was done to the world. */
import type { Sample } from "./history.ts";
import type { Rollback } from "./rollbacks.ts";

const KEPT = 60;
/** A flag that goes off this soon after a rollback's decision goes off because of it, ms. */
const ROLLBACK_WITHIN_MS = 10_000;
const NAMED_MAX = 2;

export type MarkKind = "flip" | "rollback" | "deed";

export interface Mark {
  readonly t: number;
  readonly kind: MarkKind;
  readonly label: string;
}

/** Either something that was done, or flags that the service saw change. */
type Noted =
  | { readonly t: number; readonly kind: "deed"; readonly label: string }
  | { readonly t: number; readonly kind: "seen"; readonly on: boolean; readonly keys: readonly string[] };

export class Marks {
  #noted: readonly Noted[] = [];
  #flags: Readonly<Record<string, string>> | undefined;
  readonly #nameOf: (key: string) => string;

  constructor(nameOf: (key: string) => string) {
    this.#nameOf = nameOf;
  }

  /** Compares the flags with those of the sample before. */
  look(sample: Sample): void {
    const before = this.#flags;
    this.#flags = sample.flags;
    if (before === undefined) return;
    const changed = Object.keys(sample.flags).filter((key) => sample.flags[key] !== before[key]);
    for (const on of [true, false]) {
      const keys = changed.filter((key) => (sample.flags[key] !== "false") === on);
      if (keys.length > 0) this.#note({ t: sample.t, kind: "seen", on, keys });
    }
  }

  deed(t: number, label: string): void {
    this.#note({ t, kind: "deed", label });
  }

  /** The marks after `t`; a flag that went off with a rollback is marked as that rollback. */
  after(t: number, rollbacks: readonly Rollback[]): readonly Mark[] {
    return this.#noted.filter((one) => one.t > t).map((one) => this.#shown(one, rollbacks));
  }

  #shown(one: Noted, rollbacks: readonly Rollback[]): Mark {
    if (one.kind === "deed") return one;
    const names = one.keys.map(this.#nameOf);
    const what = names.length > NAMED_MAX ? `${names.length} flags` : names.join(", ");
    const undone =
      !one.on &&
      rollbacks.some(
        ({ keys, decidedWall }) =>
          Math.abs(one.t - decidedWall) < ROLLBACK_WITHIN_MS && one.keys.some((key) => keys.includes(key)),
      );
    if (undone) return { t: one.t, kind: "rollback", label: `ROLLBACK ${what} OFF` };
    return { t: one.t, kind: "flip", label: `${what} ${one.on ? "ON" : "OFF"}` };
  }

  #note(one: Noted): void {
    this.#noted = [...this.#noted, one].slice(-KEPT);
  }
}
