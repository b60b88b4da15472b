/** What can be made to go wrong in the parallel workers: it strikes only files processed with FEATURE_PARALLEL on. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { Buckets } from "./features.ts";
import { bucketOf } from "./features.ts";
import type { Flags } from "./flags.ts";

/** none · errors: 30 % of files fail · latency: look-ups ten times slower · leak: memory grows · crash: the process exits. */
export const MISBEHAVIOUR_MODES = ["none", "errors", "latency", "leak", "crash"] as const;
export type MisbehaviourMode = (typeof MISBEHAVIOUR_MODES)[number];

/** The body of POST /misbehave, and the content of the state file. */
export const misbehaviourSchema = z.strictObject({ mode: z.enum(MISBEHAVIOUR_MODES) });

const FAILING_BUCKETS = 3_000;
const SLOWDOWN = 10;
const LEAK_PER_FILE_BYTES = 128 * 1024;
const LEAK_MAX_BYTES = 300_000_000;
const CRASH_AFTER_MS = 150;

export interface MisbehaviourOptions {
  readonly initial: MisbehaviourMode;
  /** Where the mode is kept over a restart; what it says wins over `initial`. */
  readonly stateFile: string | undefined;
  readonly flags: Flags;
  /** Ends the process at once, as a crash does. */
  readonly crash: () => void;
}

export interface Misbehaviour {
  readonly mode: () => MisbehaviourMode;
  /** Whether it strikes at the moment: a mode is set and FEATURE_PARALLEL is on for some files. */
  readonly active: () => boolean;
  /** Changes the mode at once and keeps it for the next start; throws when the state file cannot be written. */
  readonly set: (mode: MisbehaviourMode) => void;
  /** What to multiply the wait of a look-up for this file with, now. */
  readonly slowdown: (buckets: Buckets) => number;
  /** Whether this file fails, now. */
  readonly fails: (fileName: string, buckets: Buckets) => boolean;
  /** A parallel worker takes this file: the place where memory leaks. */
  readonly taken: (buckets: Buckets) => void;
  /** Arms the crash; call it when the service has started. */
  readonly start: () => void;
  readonly stop: () => void;
}

/** Creates the misbehaviour with the mode of the state file, else with `initial`. */
export function createMisbehaviour(options: MisbehaviourOptions): Misbehaviour {
  const { flags, stateFile } = options;
  let mode = (stateFile === undefined ? undefined : readMode(stateFile)) ?? options.initial;
  let fuse: NodeJS.Timeout | undefined;
  let started = false;
  const leak = createLeak();
  const active = (): boolean => mode !== "none" && flags.share("FEATURE_PARALLEL") > 0;
  const strikes = (wanted: MisbehaviourMode, buckets: Buckets): boolean =>
    mode === wanted && flags.on("FEATURE_PARALLEL", buckets);

  function review(): void {
    // What leaks belongs to the parallel workers and leaves with them.
    if (mode !== "leak" || !active()) leak.release();
    if (started && mode === "crash" && active()) fuse ??= setTimeout(options.crash, CRASH_AFTER_MS);
    else {
      clearTimeout(fuse);
      fuse = undefined;
    }
  }
  flags.onChange(review);

  return {
    mode: () => mode,
    active,
    set: (next) => {
      if (stateFile !== undefined) writeMode(stateFile, next);
      mode = next;
      review();
    },
    slowdown: (buckets) => (strikes("latency", buckets) ? SLOWDOWN : 1),
    fails: (fileName, buckets) =>
      strikes("errors", buckets) && bucketOf("misbehaviour", fileName) < FAILING_BUCKETS,
    taken: (buckets) => {
      if (strikes("leak", buckets)) leak.grow();
    },
    start: () => {
      started = true;
      review();
    },
    stop: () => {
      started = false;
      review();
    },
  };
}

/** Memory that is really used: each page is written to. It can never pass its limit, and gives everything back at once. */
function createLeak(): { grow: () => void; release: () => void } {
  const arena = new ArrayBuffer(0, { maxByteLength: LEAK_MAX_BYTES });
  const bytes = new Uint8Array(arena);
  return {
    grow: () => {
      const from = arena.byteLength;
      const to = Math.min(from + LEAK_PER_FILE_BYTES, LEAK_MAX_BYTES);
      arena.resize(to);
      bytes.fill(1, from, to);
    },
    release: () => {
      if (arena.byteLength > 0) arena.resize(0);
    },
  };
}

function readMode(path: string): MisbehaviourMode | undefined {
  try {
    return misbehaviourSchema.parse(JSON.parse(readFileSync(path, "utf8"))).mode;
  } catch {
    // Missing before the first POST; a broken one is worth no crash of its own.
    return undefined;
  }
}

function writeMode(path: string, mode: MisbehaviourMode): void {
  writeFileSync(`${path}.new`, JSON.stringify({ mode }));
  renameSync(`${path}.new`, path);
}
