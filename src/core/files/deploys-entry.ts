/** How deploys and restarts of a service are noticed: `deploys` of a flags file, checked and completed. */
import type { DeploysEntry } from "./flags-file.ts";
import { faultsAt, type Inspect } from "./guard-entry.ts";
import { type Mistake, mistake } from "./mistake.ts";

/** The label that carries the version where the file names none. */
const DEFAULT_LABEL = "version";

/** Mistakes of the entry, their paths from the top of the flags file. */
export function deploysMistakes(entry: DeploysEntry | undefined, inspect: Inspect): readonly Mistake[] {
  if (entry === undefined) return [];
  const mistakes: Mistake[] = [];
  for (const key of ["version", "started"] as const) {
    const query = entry[key];
    if (query === undefined) continue;
    const facts = inspect(query);
    const faults = faultsAt(key, facts);
    mistakes.push(...faults);
    if (faults.length === 0 && facts.selectors.length === 0)
      mistakes.push(mistake([key], "the query reads no series, so it tells nothing of the service"));
  }
  if (entry.label !== undefined && entry.version === undefined)
    mistakes.push(mistake(["label"], "expected `version` too: the query whose series carry this label"));
  return mistakes.map((one) => ({ ...one, path: ["deploys", ...one.path] }));
}

/** The entry as a plan keeps it: every process of the job named like the service tells when it began, unless the file says otherwise. */
export function deploysOf(entry: DeploysEntry, service: string): DeploysEntry {
  const { label = DEFAULT_LABEL, started = `process_start_time_seconds{job="${service}"}`, version } = entry;
  return version === undefined ? { started } : { version, label, started };
}
