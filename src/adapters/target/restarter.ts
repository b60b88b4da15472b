/** Restarts one replica of a watch's target in the way that its file says. */
import type { RestartEntry } from "../../core/files/flags-file.ts";
import type { TargetEntry, WatchTarget } from "../../core/watch/plan.ts";
import { messageOfFault, OutsideFault, type Target } from "../../engine/ports.ts";
import type { Restarter } from "../../engine/watch-ports.ts";
import { runProgram } from "./exec.ts";
import { restartByHttp, type Send, waitUntilUp } from "./http.ts";
import { createUnitTarget } from "./unit.ts";

export interface RestarterOptions {
  /** Guarded requests, for `http` targets and for `up` of others. */
  readonly send: Send;
  /** Absolute paths of the programs that `exec` targets may run. */
  readonly programs: readonly string[];
  /** All of the environment of such a program. */
  readonly environment: { readonly PATH: string; readonly HOME: string };
  /** The unit or process of an entry. Where a flag store restarts the same one, this must be the same object, so that both take turns. */
  readonly unit: (entry: RestartEntry, upWithinMs: number) => Target;
}

/** What other people's code throws becomes an `OutsideFault` as well. */
export function createRestarter(options: RestarterOptions): Restarter {
  return {
    async restart(target, replica) {
      const entry = target.replicas[replica];
      if (entry === undefined)
        throw new OutsideFault(`${target.name} has no replica ${replica}`, { recoverable: false });
      try {
        await restartOne(options, target, entry);
      } catch (error) {
        if (error instanceof OutsideFault) throw error;
        const why = `${target.name} cannot be restarted: ${messageOfFault(error)}`;
        throw new OutsideFault(why, { recoverable: false, cause: error });
      }
    },
  };
}

async function restartOne(
  { send, programs, environment, unit }: RestarterOptions,
  { upWithinMs }: WatchTarget,
  entry: TargetEntry,
): Promise<void> {
  switch (entry.kind) {
    case "unit":
      return unit(entry.restart, upWithinMs).restart();
    case "http":
      return restartByHttp({ post: entry.post, up: entry.up, upWithinMs, send });
    case "exec": {
      const until = performance.now() + upWithinMs;
      await runProgram({ argv: entry.argv, programs, environment, timeoutMs: upWithinMs });
      if (entry.up !== undefined) await waitUntilUp({ up: entry.up, until, upWithinMs, send });
    }
  }
}

/** A unit or process of its own, each made once. `environmentOf`: the variables that a process is started with, by its pidfile. */
export function createUnits(
  environmentOf: (pidfile: string) => Promise<Readonly<Record<string, string>>>,
): RestarterOptions["unit"] {
  const known = new Map<string, Target>();
  return (entry, upWithinMs) => {
    const key = `${upWithinMs} ${JSON.stringify(entry)}`;
    const environment = async () => (typeof entry === "string" ? {} : environmentOf(entry.process.pidfile));
    const target = known.get(key) ?? createUnitTarget(entry, { upWithinMs, environment });
    known.set(key, target);
    return target;
  };
}
