/** Who flips, at the start of this process: what its command line, its settings and its journal say. */
import type { Config } from "./config.ts";
import { Modes, type ModesDeps } from "./engine/modes.ts";

export interface ModeDeps extends ModesDeps {
  /** Nothing has ever been journaled. */
  readonly isNew: boolean;
}

/** Rejects with an `OutsideFault` when the journal cannot be read. */
export function openModes(
  { journal, log, isNew }: ModeDeps,
  { mode }: Pick<Config, "mode">,
  { observe = false }: { readonly observe?: boolean },
): Promise<Modes> {
  const flag = observe ? ("observe" as const) : undefined;
  return Modes.open({ journal, log }, { flag, setting: mode, isNew });
}
