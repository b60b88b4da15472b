/** The service's flags right now: OFREP first, then the file, then the last known setting, beginning with the environment. */
import {
  type Buckets,
  type FeatureKey,
  type FlagSettings,
  isOn,
  type PartialFlagSettings,
  recordOf,
  shareOn,
} from "./features.ts";
import { type FlagListener, type FlagSource, followFlagFile } from "./flag-file.ts";
import { followOfrep } from "./flag-ofrep.ts";

/** Which source the present settings come from; `last` means that a source had answered and none does now. */
export type SourceName = "ofrep" | "file" | "env" | "last";

/** Where to read flags; with neither OFREP nor a file, the environment at start is all there is. */
export interface FlagSourceOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly ofrepUrl: string | undefined;
  readonly filePath: string | undefined;
  /** The service's own key in OFREP requests. */
  readonly targetingKey: string;
}

export interface Flags {
  readonly settings: () => FlagSettings;
  readonly source: () => SourceName;
  /** Whether the file with these buckets has the feature at this moment. */
  readonly on: (key: FeatureKey, buckets: Buckets) => boolean;
  /** The share of files with the feature at this moment, 0..1. */
  readonly share: (key: FeatureKey) => number;
  /** Calls back after every change of a setting or of the source. */
  readonly onChange: (listener: () => void) => void;
  readonly stop: () => void;
}

type Layer = { settings: PartialFlagSettings | undefined };

/** Starts the sources and resolves when each has answered or failed once. */
export async function startFlags(options: FlagSourceOptions): Promise<Flags> {
  const ofrep: Layer = { settings: undefined };
  const file: Layer = { settings: undefined };
  const listeners: (() => void)[] = [];
  let settings = settingsFromEnv(options.env);
  let source: SourceName = "env";

  function settle(): void {
    const { layer, name } = choose(ofrep.settings, file.settings, source);
    const next = recordOf((key) => layer[key] ?? settings[key]);
    if (name === source && JSON.stringify(next) === JSON.stringify(settings)) return;
    settings = next;
    source = name;
    for (const listener of listeners) listener();
  }
  const listenerFor = (layer: Layer): FlagListener => ({
    found: (found) => {
      layer.settings = found;
      settle();
    },
    lost: () => {
      layer.settings = undefined;
      settle();
    },
  });

  const sources: FlagSource[] = [];
  if (options.filePath !== undefined) sources.push(await followFlagFile(options.filePath, listenerFor(file)));
  if (options.ofrepUrl !== undefined)
    sources.push(await followOfrep(options.ofrepUrl, options.targetingKey, listenerFor(ofrep)));

  return {
    settings: () => settings,
    source: () => source,
    on: (key, buckets) => isOn(settings[key], buckets[key]),
    share: (key) => shareOn(settings[key]),
    onChange: (listener) => void listeners.push(listener),
    stop: () => {
      for (const each of sources) each.stop();
    },
  };
}

/** The settings of the environment; an optimisation that is not named is off, FEATURE_METRICS is on. */
function settingsFromEnv(env: Readonly<Record<string, string | undefined>>): FlagSettings {
  const fallback = (key: FeatureKey): string => (key === "FEATURE_METRICS" ? "true" : "false");
  return recordOf((key) => ({ kind: "value", value: env[key] ?? fallback(key) }));
}

function choose(
  ofrep: PartialFlagSettings | undefined,
  file: PartialFlagSettings | undefined,
  source: SourceName,
): { layer: PartialFlagSettings; name: SourceName } {
  if (ofrep !== undefined) return { layer: ofrep, name: "ofrep" };
  if (file !== undefined) return { layer: file, name: "file" };
  return { layer: {}, name: source === "env" ? "env" : "last" };
}
