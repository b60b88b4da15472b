/** Lays a demo's or a staging's provider, view, Prometheus, Alertmanager, polls and windows over a flags file. */
import type { FlagsFile, GuardEntry } from "../../core/files/flags-file.ts";
import type { Inspect } from "../../core/files/guard-entry.ts";
import type { Overlay } from "../../core/files/overlay-file.ts";
import { inspect, rewriteWindows } from "./promql.ts";

/** A flags file under an overlay. `inspect` gives the facts of the changed queries with the faults, and their places, of the written ones. */
export interface Overlaid {
  readonly file: FlagsFile;
  readonly inspect: Inspect;
}

/**
 * What the overlay does not name stays as the file has it; but a second lever belongs to its provider: under another one, a rehearsal of staging would
 * otherwise read production's kill switch, and a rollback of staging pull it.
 */
export function withOverlay({ second_lever, ...file }: FlagsFile, overlay: Overlay): Overlaid {
  const { environment, provider, view, prometheus, alertmanager, interval, window } = overlay;
  const { rewrite, inspect } = rewriting(window);
  const guards = Object.entries(file.guards ?? {}).map(([name, guard]): [string, GuardEntry] => [
    name,
    withQueries(interval === undefined ? guard : { ...guard, interval }, rewrite),
  ]);
  return {
    file: {
      ...file,
      ...(second_lever === undefined || provider !== undefined ? {} : { second_lever }),
      ...(environment === undefined ? {} : { environment }),
      ...(provider === undefined ? {} : { provider }),
      ...(view === undefined ? {} : { view }),
      ...(prometheus === undefined ? {} : { prometheus }),
      ...(alertmanager === undefined ? {} : { alertmanager }),
      ...(file.guards === undefined ? {} : { guards: Object.fromEntries(guards) }),
    },
    inspect,
  };
}

/** Sets the windows of queries to `windowMs` (ms; undefined leaves them), and inspects what comes of it with the faults of what was written. */
export function rewriting(windowMs: number | undefined): {
  readonly rewrite: (query: string) => string;
  readonly inspect: Inspect;
} {
  const written = new Map<string, string>();
  return {
    rewrite: (query) => {
      const changed = windowMs === undefined ? query : rewriteWindows(query, windowMs);
      written.set(changed, query);
      return changed;
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
    case "trend":
      return { ...guard, query: rewrite(guard.query) };
  }
}
