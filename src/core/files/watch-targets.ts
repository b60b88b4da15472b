/** From the targets of a watch as written to what may be restarted, each replica in exactly one way. */

import { SECOND } from "../time.ts";
import type { TargetEntry, WatchTarget } from "../watch/plan.ts";
import { found, type Mistake, mistake } from "./mistake.ts";
import type { ReplicaFile, TargetFile } from "./watch-file.ts";

const DEFAULT_UP_WITHIN_MS = 30 * SECOND;
const SHELLS: ReadonlySet<string> = new Set(["sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh"]);

type Path = readonly (string | number)[];

/** The targets by their order in the file; mistakes are added, with paths into the watch. */
export function targetsFrom(
  targets: Readonly<Record<string, TargetFile>>,
  mistakes: Mistake[],
): readonly WatchTarget[] {
  const owners = new Map<string, string>();
  return Object.entries(targets).map(([name, entry]): WatchTarget => {
    const path = ["targets", name] as const;
    const { replicas, up_within, ...single } = entry;
    const written: readonly (readonly [ReplicaFile, Path])[] =
      replicas === undefined
        ? [[single, path]]
        : replicas.map((one, index) => [one, [...path, "replicas", index]]);
    if (replicas !== undefined && waysOf(single).length > 0)
      mistakes.push(mistake(path, `target ${name}: expected either replicas, or one way to restart it`));
    const entries = written.flatMap(([one, at]): TargetEntry[] => {
      const made = entryFrom(one, at, mistakes);
      if (made === undefined) return [];
      const identity = JSON.stringify(made);
      const owner = owners.get(identity);
      // Restarts of one target follow one another; the same thing under two names could be restarted twice at once.
      if (owner !== undefined)
        mistakes.push(mistake(at, `this is restarted by target ${owner} already: expected each thing once`));
      owners.set(identity, name);
      return [made];
    });
    return { name, replicas: entries, upWithinMs: up_within ?? DEFAULT_UP_WITHIN_MS };
  });
}

function waysOf(entry: ReplicaFile): readonly string[] {
  const { restart, http, exec } = entry;
  return Object.entries({ restart, http, exec }).flatMap(([way, value]) =>
    value === undefined ? [] : [way],
  );
}

function entryFrom(entry: ReplicaFile, path: Path, mistakes: Mistake[]): TargetEntry | undefined {
  const { restart, http, exec, up } = entry;
  if (waysOf(entry).length !== 1) {
    mistakes.push(mistake(path, "expected exactly one of restart, http or exec"));
    return undefined;
  }
  if (up !== undefined && exec === undefined)
    mistakes.push(mistake([...path, "up"], "`up` stands beside exec, or inside http"));
  if (restart !== undefined) return { kind: "unit", restart };
  if (http !== undefined)
    return { kind: "http", post: http.post, ...(http.up === undefined ? {} : { up: http.up }) };
  const argv = exec ?? [];
  const fault = programFault(argv);
  if (fault !== undefined) mistakes.push(mistake([...path, "exec", 0], fault));
  return { kind: "exec", argv, ...(up === undefined ? {} : { up }) };
}

/** What is wrong with the program of a command; undefined when nothing is. */
function programFault([program = "", ...args]: readonly string[]): string | undefined {
  if (!/^(\/[^/]+)+$/.test(program) || program.split("/").some((part) => part === "." || part === ".."))
    return `expected the absolute path of a program, such as /usr/local/bin/restart-bot, found ${found(program)}`;
  const base = program.slice(program.lastIndexOf("/") + 1);
  return SHELLS.has(base) && args.some((arg) => /^-[a-z]*c/.test(arg))
    ? "a shell would read a line that is not checked: expected the program itself with its arguments"
    : undefined;
}
