/** Lays a demo's or a staging's provider, view, Prometheus, polls and windows over a flags file. */
import type { FlagsFile, GuardEntry, Overlay } from "../../core/files/flags-file.ts";
import type { Inspect } from "../../core/files/guard-entry.ts";
import { inspect, rewriteWindows } from "./promql.ts";

/** A flags file under an overlay. `inspect` gives the facts of the changed queries with the faults, and their places, of the written ones. */
export interface Overlaid {
  readonly file: FlagsFile;
  readonly inspect: Inspect;
}

/** What the overlay does not name stays as the file has it. */
export function withOverlay(file: FlagsFile, overlay: Overlay): Overlaid {
  const { environment, provider, view, prometheus, interval, window } = overlay;
  const written = new Map<string, string>();
  const rewrite = (query: string): string => {
    const changed = window === undefined ? query : rewriteWindows(query, window);
    written.set(changed, query);
    return changed;
  };
  const guards = Object.entries(file.guards ?? {}).map(([name, guard]): [string, GuardEntry] => [
    name,
    withQueries(interval === undefined ? guard : { ...guard, interval }, rewrite),
  ]);
  return {
    file: {
      ...file,
      ...(environment === undefined ? {} : { environment }),
      ...(provider === undefined ? {} : { provider }),
      ...(view === undefined ? {} : { view }),
      ...(prometheus === undefined ? {} : { prometheus }),
      ...(file.guards === undefined ? {} : { guards: Object.fromEntries(guards) }),
    },
    inspect: (query) => ({ ...inspect(query), faults: inspect(written.get(query) ?? query).faults }),
  };
}

function withQueries(guard: GuardEntry, rewrite: (query: string) => string): GuardEntry {
  switch (guard.kind) {
    case "alive":
      return guard;
    case "threshold":
      return {
        ...guard,
        query: rewrite(guard.query),
        ...(guard.total === undefined ? {} : { total: rewrite(guard.total) }),
      };
    case "expect":
      return { ...guard, query: rewrite(guard.query) };
  }
}
