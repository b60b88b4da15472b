/** Reads flags.json and reads it again when it changes: by a watch on its folder, and by a look at the file every 250 ms. */
import { watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { z } from "zod";
import { FEATURE_KEYS, type FeatureKey, type FlagSetting, type PartialFlagSettings } from "./features.ts";

const CHECK_EVERY_MS = 250;
const MAX_BYTES = 1024 * 1024;

const entrySchema = z.object({
  value: z.string().optional(),
  percent: z.number().min(0).max(100).optional(),
  on: z.string().optional(),
  off: z.string().optional(),
});
const fileSchema = z.object({ flags: z.record(z.string(), z.unknown()) });

/** Where a source tells what it found. `lost` means: nothing usable at the moment, keep what you have. */
export interface FlagListener {
  readonly found: (settings: PartialFlagSettings) => void;
  readonly lost: () => void;
}

export interface FlagSource {
  /** Ends the source; nothing is told afterwards. */
  readonly stop: () => void;
}

/** Parses the text of a flags.json. An entry that makes no sense is left out; a text that makes none gives undefined. */
export function parseFlagFile(text: string): PartialFlagSettings | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const file = fileSchema.safeParse(json);
  if (!file.success) return undefined;
  const settings: Partial<Record<FeatureKey, FlagSetting>> = {};
  for (const key of FEATURE_KEYS) {
    const entry = entrySchema.safeParse(file.data.flags[key]);
    if (!entry.success) continue;
    const { value, percent, on = "true", off = "false" } = entry.data;
    if (percent !== undefined) settings[key] = { kind: "percent", percent, on, off };
    else if (value !== undefined) settings[key] = { kind: "value", value };
  }
  return settings;
}

/** Follows the file at `path` and tells every change; resolves after the first reading. A missing file or folder may appear later. */
export async function followFlagFile(path: string, listener: FlagListener): Promise<FlagSource> {
  let stopped = false;
  let seen: string | undefined;
  let queue: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const stamp = await stampOf(path);
    if (stopped || stamp === seen) return;
    seen = stamp;
    const settings = stamp === "" ? undefined : await read(path);
    if (stopped) return;
    if (settings === undefined) listener.lost();
    else listener.found(settings);
  }
  // One reading at a time, so that an older one cannot overtake a newer one.
  const lookInTurn = (): Promise<void> => {
    queue = queue.then(look);
    return queue;
  };

  const closeWatch = watchFolder(path, () => void lookInTurn());
  const timer = setInterval(() => void lookInTurn(), CHECK_EVERY_MS);
  await lookInTurn();
  return {
    stop: () => {
      stopped = true;
      clearInterval(timer);
      closeWatch();
    },
  };
}

/** Identifies one version of the file; "" when it is missing. */
async function stampOf(path: string): Promise<string> {
  try {
    const info = await stat(path, { bigint: true });
    return `${info.ino}:${info.size}:${info.mtimeNs}`;
  } catch {
    return "";
  }
}

async function read(path: string): Promise<PartialFlagSettings | undefined> {
  try {
    const bytes = await readFile(path);
    return bytes.length > MAX_BYTES ? undefined : parseFlagFile(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

function watchFolder(path: string, changed: () => void): () => void {
  try {
    const watcher = watch(dirname(path), (_event, name) => {
      if (name === null || name === basename(path)) changed();
    });
    // The look every 250 ms goes on when the watch cannot.
    watcher.on("error", () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
