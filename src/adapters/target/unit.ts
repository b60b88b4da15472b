/** The unit or process that an entry of a file names, as a target. */
import type { RestartEntry } from "../../core/files/flags-file.ts";
import type { Target } from "../../engine/ports.ts";
import { createProcessTarget } from "./process.ts";
import { createSystemdTarget } from "./systemd.ts";

/** Where nobody can be asked whether it is up, staying alive is all that tells: programs that miss something need a moment to find that out and exit. */
const UNASKED_SETTLE_MS = 1_000;

export interface UnitOptions {
  /** From a restart until it is up, ms. */
  readonly upWithinMs: number;
  /** Asks the service itself whether it is up. */
  readonly isUp?: (() => Promise<boolean>) | undefined;
  /** All the variables that a process is started with; a unit has its own. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
}

/** Throws when the entry names no service unit. */
export function createUnitTarget(entry: RestartEntry, options: UnitOptions): Target {
  const { upWithinMs, isUp, environment } = options;
  const settleMs = isUp === undefined ? UNASKED_SETTLE_MS : undefined;
  if (typeof entry === "string") return createSystemdTarget({ unit: entry, upWithinMs, isUp, settleMs });
  const { command, pidfile, cwd, log, stop_timeout } = entry.process;
  return createProcessTarget({
    command,
    pidfile,
    cwd,
    logFile: log,
    stopTimeoutMs: stop_timeout,
    upWithinMs,
    isUp,
    settleMs,
    environment,
  });
}
