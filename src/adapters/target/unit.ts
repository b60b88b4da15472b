/** The unit or process that an entry of a file names, as a target. */
import type { RestartEntry } from "../../core/files/flags-file.ts";
import type { Target } from "../../engine/ports.ts";
import { createProcessTarget } from "./process.ts";
import { createSystemdTarget } from "./systemd.ts";

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
  if (typeof entry === "string") return createSystemdTarget({ unit: entry, upWithinMs, isUp });
  const { command, pidfile, cwd, log, stop_timeout } = entry.process;
  return createProcessTarget({
    command,
    pidfile,
    cwd,
    logFile: log,
    stopTimeoutMs: stop_timeout,
    upWithinMs,
    isUp,
    environment,
  });
}
