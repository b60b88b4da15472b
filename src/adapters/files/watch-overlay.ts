/** Lays a demo's or a staging's targets, addresses, polls and times over a watch. */
import type { Inspect } from "../../core/files/guard-entry.ts";
import { type Mistake, mistake } from "../../core/files/mistake.ts";
import type { Overlay, WatchOverlay } from "../../core/files/overlay-file.ts";
import type { JobFile, ProbeFile, WatchFile } from "../../core/files/watch-file.ts";
import { SECOND } from "../../core/time.ts";
import { rewriting } from "./overlay.ts";

const LEAST_INTERVAL_MS = SECOND;

type Path = Mistake["path"];

/** A watch under an overlay. */
export interface OverlaidWatch {
  readonly file: WatchFile;
  readonly inspect: Inspect;
  /** Mistakes of the overlay, with paths into it. */
  readonly mistakes: readonly Mistake[];
  /** The path in the overlay of a value that it puts into the watch; undefined for one that stands in the watch itself. */
  readonly origin: (path: Path) => Path | undefined;
}

/** What the overlay does not name stays as the watch has it; its `interval` and `window` hold for each probe that it gives none of its own. */
export function withWatchOverlay(file: WatchFile, overlay: Overlay): OverlaidWatch {
  const own: WatchOverlay = overlay.watches?.[file.watch] ?? {};
  const { rewrite, inspect } = rewriting(overlay.window);
  const probes = Object.entries(file.probes ?? {}).flatMap(([name, probe]): [string, ProbeFile][] => {
    const change = own.probes?.[name] ?? {};
    if (change === "off") return [];
    const { http, tcp, ...rest } = change;
    const asked: ProbeFile = {
      ...probe,
      ...rest,
      // An address of another kind is a mistake of the overlay, and told as such alone.
      ...(probe.http === undefined || http === undefined ? {} : { http }),
      ...(probe.tcp === undefined || tcp === undefined ? {} : { tcp }),
      ...(probe.promql === undefined ? {} : { promql: rewrite(probe.promql) }),
    };
    return [[name, withTimes(asked, change, overlay.interval)]];
  });
  const jobs = Object.entries(file.jobs ?? {}).flatMap(([name, job]): [string, JobFile][] => {
    const change = own.jobs?.[name] ?? {};
    return change === "off" ? [] : [[name, { ...job, ...change, cron: change.cron ?? job.cron }]];
  });
  return {
    file: {
      ...file,
      targets: { ...file.targets, ...own.targets },
      probes: Object.fromEntries(probes),
      jobs: Object.fromEntries(jobs),
    },
    inspect,
    mistakes: mistakesOf(file, own),
    origin: (path) => originOf(path, file.watch, own),
  };
}

/** A probe asked more often than the file foresees must also give up sooner. */
function withTimes(
  probe: ProbeFile,
  change: { readonly interval?: number | undefined; readonly timeout?: number | undefined },
  everyMs: number | undefined,
): ProbeFile {
  const interval =
    change.interval ?? (everyMs === undefined ? undefined : Math.max(LEAST_INTERVAL_MS, everyMs));
  if (interval === undefined) return probe;
  const tooLong = change.timeout === undefined && probe.timeout !== undefined && probe.timeout >= interval;
  return { ...probe, interval, ...(tooLong ? { timeout: interval / 2 } : {}) };
}

function mistakesOf(file: WatchFile, own: WatchOverlay): readonly Mistake[] {
  const base = ["watches", file.watch];
  const strangers = (["targets", "probes", "jobs"] as const).flatMap((kind) => {
    const known = Object.keys(file[kind] ?? {});
    return Object.keys(own[kind] ?? {})
      .filter((name) => !known.includes(name))
      .map((name) =>
        mistake(
          [...base, kind, name],
          `watch ${file.watch} has no such name among its ${kind} (${known.join(", ") || "none"})`,
        ),
      );
  });
  const others = Object.entries(own.probes ?? {}).flatMap(([name, change]) =>
    (["http", "tcp"] as const)
      .filter((kind) => change !== "off" && change[kind] !== undefined)
      .filter((kind) => file.probes?.[name] !== undefined && file.probes[name][kind] === undefined)
      .map((kind) =>
        mistake([...base, "probes", name, kind], `probe ${name} of watch ${file.watch} is not ${kind}`),
      ),
  );
  return [...strangers, ...others];
}

function originOf([kind, name, ...rest]: Path, watch: string, own: WatchOverlay): Path | undefined {
  const part = String(name);
  switch (kind) {
    case "targets":
      return own.targets?.[part] === undefined ? undefined : ["watches", watch, "targets", part, ...rest];
    case "probes":
    case "jobs": {
      const change = own[kind]?.[part];
      const [key] = rest;
      return change === undefined || change === "off" || !Object.hasOwn(change, String(key))
        ? undefined
        : ["watches", watch, kind, part, ...rest];
    }
    default:
      return undefined;
  }
}
