/** Who flips, for the whole installation: settled at the start, said by people afterwards, and kept in the journal. */
import type { Actor, Mode } from "../core/event.ts";
import { type KeptMode, type ModeWords, modeAtStart, readKeptMode } from "../core/mode.ts";
import type { Journal, Log } from "./ports.ts";

const KEY = "mode";

export interface ModesDeps {
  readonly journal: Pick<Journal, "meta" | "setMeta">;
  readonly log: Log;
}

/** What the engine asks of it. */
export type ModeKeeper = Pick<Modes, "current" | "why" | "say">;

export class Modes {
  readonly #deps: ModesDeps;
  #kept: KeptMode;
  #mode: Mode;
  #why: string;

  private constructor(deps: ModesDeps, kept: KeptMode, mode: Mode, why: string) {
    this.#deps = deps;
    this.#kept = kept;
    this.#mode = mode;
    this.#why = why;
  }

  /** Settles the mode and logs it. Rejects with an `OutsideFault` when the journal cannot be read or does not keep a first answer. */
  static async open(deps: ModesDeps, words: Omit<ModeWords, "said" | "first">): Promise<Modes> {
    const kept = readKeptMode(await deps.journal.meta(KEY));
    const { mode, why } = modeAtStart({ ...words, said: kept.said?.mode, first: kept.first });
    const modes = new Modes(deps, kept, mode, why);
    // A journal of before there were modes belongs to a Belay that acted.
    if (kept.first === undefined) await modes.#keep({ ...kept, first: words.isNew ? mode : "act" });
    deps.log.info(
      mode === "observe"
        ? "Belay OBSERVES: it asks people to flip, judges, and flips nothing by itself"
        : "Belay ACTS: it flips, and takes back by itself",
      { mode, why },
    );
    return modes;
  }

  current(): Mode {
    return this.#mode;
  }

  /** Why it is so, as a clause. */
  why(): string {
    return this.#why;
  }

  /** A person says who flips from now on. Rejects with an `OutsideFault` when the journal does not take it; then nothing has changed. */
  async say(mode: Mode, by: Actor, because: string | undefined): Promise<void> {
    await this.#keep({ ...this.#kept, said: { mode, by, ...(because === undefined ? {} : { because }) } });
    this.#mode = mode;
    this.#why = `\`/belay observe ${mode === "observe" ? "on" : "off"}\` was said last`;
    this.#deps.log.info("the mode was changed", { mode, because: because ?? "" });
  }

  async #keep(kept: KeptMode): Promise<void> {
    await this.#deps.journal.setMeta(KEY, JSON.stringify(kept));
    this.#kept = kept;
  }
}
