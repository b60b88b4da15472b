/** The embedded flag store: one `flags.json`, replaced whole with each write, and what OFREP and the readers of the file serve from. */
import { constants, copyFile, link } from "node:fs/promises";
import type { FlagDef } from "../../core/plan.ts";
import type { Reading } from "../../core/rollout/desired.ts";
import { OFF } from "../../core/setting.ts";
import {
  createTurns,
  type FlagAbilities,
  type FlagRehearsal,
  type Flags,
  type FlagWrite,
  messageOfFault,
  OutsideFault,
  type WriteResult,
} from "../../engine/ports.ts";
import { within } from "./deadline.ts";
import {
  type Found,
  readFound,
  replaceEvenWhenFull,
  replaceFile,
  stampOf,
  sweepLeftOvers,
  writtenMsOf,
} from "./disk.ts";
import {
  EMPTY,
  type Entry,
  entryOf,
  type FlagsJson,
  intentOf,
  markedBy,
  parseFlagsJson,
  printFlagsJson,
  settingOf,
  versionOf,
} from "./flags-json.ts";

const DEFAULT_TIMEOUT_MS = 2_000;
/** How often a write starts anew because somebody else replaced the file meanwhile. */
const MOST_TRIES = 100;
/** An editor may be caught half-way through saving: a broken file this young is read again before it is called broken. */
const SAVING_MS = 150;
const LOOK_AGAIN_MS = 15;
/** File times move in steps of up to 10 ms: only a file older than this can be told from its next version by its times. */
const SETTLED_MS = 50;

export interface FileStoreOptions {
  readonly path: string;
  /** Total deadline of one read or write, ms; 2 s when not given. */
  readonly timeoutMs?: number;
}

/** All flags at one moment. `stale`: the file is broken at present, and this is what it said before. */
export interface FlagsNow {
  readonly file: FlagsJson;
  readonly stale: boolean;
}

export interface FileStore extends Flags {
  /**
   * What the file says now, for those who serve it; cheap while the file does not change. A broken file yields what it said before; rejects with
   * an `OutsideFault` when that is unknown.
   */
  current(): Promise<FlagsNow>;
  /** Waits for writes under way and refuses later calls. */
  close(): Promise<void>;
}

type Loaded =
  | { readonly kind: "sound"; readonly file: FlagsJson; readonly found: Found }
  | { readonly kind: "broken"; readonly fault: OutsideFault; readonly found: Found };

const FILE_CAN: FlagAbilities = {
  percent: true,
  values: true,
  creates: true,
  together: true,
  compareAndSet: true,
  keepsIntent: true,
  history: false,
  restarts: false,
};

/** Reads the file, and puts the very same bytes in its place. */
async function rehearseFile(
  flag: FlagDef,
  load: () => Promise<Loaded>,
  timeoutMs: number,
): Promise<FlagRehearsal> {
  const problems: string[] = [];
  const began = performance.now();
  let readMs = 0;
  try {
    const { kind, found, ...loaded } = await load();
    readMs = performance.now() - began;
    if (kind === "broken" && "fault" in loaded) problems.push(loaded.fault.message);
    const { bytes, owner, path } = found;
    // The file keeps its time, else it would look as if somebody had saved it.
    const mtimeMs = writtenMsOf(found);
    if (bytes === undefined) problems.push(`${path} does not exist`);
    else {
      const late = () =>
        new OutsideFault(`${path} could not be written within ${timeoutMs} ms`, { recoverable: true });
      await within(timeoutMs, late, (signal) =>
        replaceFile(path, { bytes, expected: bytes, owner, mtimeMs, signal }),
      );
    }
    const isThere = "file" in loaded && loaded.file.entries.has(flag.key);
    if (kind === "sound" && !isThere) problems.push(`${flag.key} is not in ${path}`);
  } catch (error) {
    problems.push(messageOfFault(error));
  }
  const ms = performance.now() - began;
  return { readMs, writeMs: problems.length === 0 ? ms - readMs : undefined, problems, warnings: [] };
}

/** Opens the store; the file itself is opened by each call. A missing file holds no flags, and the first write creates it (mode 0600). */
export function createFileStore(options: FileStoreOptions): FileStore {
  const { path, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const turns = createTurns();
  let lastGood: FlagsJson | undefined;
  let cached: { readonly stamp: string; readonly now: FlagsNow } | undefined;
  let swept = false;
  let closed = false;

  function limited<T>(doing: string, job: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(new OutsideFault(`${path} is closed`, { recoverable: false }));
    const late = () =>
      new OutsideFault(`${doing} ${path} took longer than ${timeoutMs} ms`, { recoverable: true });
    return within(timeoutMs, late, job);
  }

  async function load(): Promise<Loaded> {
    const loaded = await loadPatiently(path);
    if (loaded.kind === "sound") lastGood = loaded.file;
    return loaded;
  }

  async function look(): Promise<FlagsNow> {
    const { stamp, settledMs } = await stampOf(path);
    if (cached?.stamp === stamp && settledMs > SETTLED_MS) return cached.now;
    const loaded = await load();
    if (loaded.kind === "broken" && lastGood === undefined) throw loaded.fault;
    const now =
      loaded.kind === "sound"
        ? { file: loaded.file, stale: false }
        : { file: lastGood ?? EMPTY, stale: true };
    cached = { stamp, now };
    return now;
  }

  async function apply(
    writes: readonly FlagWrite[],
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, WriteResult>>> {
    signal.throwIfAborted();
    if (!swept) await sweepLeftOvers(path);
    swept = true;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const loaded = await load();
      if (loaded.kind === "broken" && writes.every((write) => write.ifVersion !== undefined))
        throw loaded.fault;
      const before =
        loaded.kind === "sound" ? loaded.file : markedBy(lastGood ?? EMPTY, writtenMsOf(loaded.found));
      const { file, results } = applied(before, writes, loaded.kind === "broken");
      if (file === before) return results;
      if (loaded.kind === "broken") await setAside(loaded.found.path);
      if (!(await replace(loaded.found, file, writes, signal))) continue;
      lastGood = file;
      return results;
    }
    throw new OutsideFault(`${path} is being changed by somebody else all the time; nothing was written`, {
      recoverable: true,
    });
  }

  return {
    can: FILE_CAN,
    async history() {
      return [];
    },
    rehearse: (flag) => rehearseFile(flag, () => limited("reading", load), timeoutMs),
    async reach() {
      return [];
    },
    async read(flags) {
      const loaded = await limited("reading", load);
      if (loaded.kind === "broken") throw loaded.fault;
      return readingsOf(loaded.file, flags);
    },
    write: (writes) => limited("writing", (signal) => turns(() => apply(writes, signal))),
    current: () => limited("reading", look),
    async close() {
      closed = true;
      await turns(async () => {});
    },
  };
}

/** Adds the flags that the file lacks, each with its pinned setting or off; changes nothing else. Returns the keys it added. Rejects with an `OutsideFault`. */
export async function seedFileStore(path: string, flags: readonly FlagDef[]): Promise<readonly string[]> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const loaded = await loadPatiently(path);
    if (loaded.kind === "broken") throw loaded.fault;
    const missing = flags.filter((flag) => !loaded.file.entries.has(flag.key));
    if (missing.length === 0) return [];
    const entries = new Map(loaded.file.entries);
    for (const flag of missing)
      entries.set(flag.key, entryOf(flag, flag.pinned ?? OFF, undefined, undefined));
    if (await replace(loaded.found, { ...loaded.file, version: loaded.file.version + 1, entries }, [])) {
      return missing.map((flag) => flag.key);
    }
  }
  throw new OutsideFault(`${path} is being changed by somebody else all the time; nothing was added`, {
    recoverable: true,
  });
}

async function loadPatiently(path: string): Promise<Loaded> {
  const started = Date.now();
  for (;;) {
    const found = await readFound(path);
    if (found.bytes === undefined) return { kind: "sound", file: EMPTY, found };
    const file = parseFlagsJson(found.bytes.toString("utf8"));
    if (!("kind" in file)) return { kind: "sound", file: markedBy(file, writtenMsOf(found)), found };
    const ageMs = Date.now() - Number(found.mtimeNs / 1_000_000n);
    if (ageMs > SAVING_MS || ageMs < 0 || Date.now() - started > SAVING_MS) {
      const place = file.line === undefined ? "" : `:${file.line}:${file.column}`;
      const fault = new OutsideFault(
        `${path}${place}: ${file.message}; it is no flags file until somebody mends it`,
        { recoverable: true },
      );
      return { kind: "broken", fault, found };
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** The file after these writes; the same object when none of them holds. Over a broken file no precondition can hold. */
function applied(
  before: FlagsJson,
  writes: readonly FlagWrite[],
  broken: boolean,
): { readonly file: FlagsJson; readonly results: Readonly<Record<string, WriteResult>> } {
  const entries = new Map<string, Entry>(before.entries);
  const results: Record<string, WriteResult> = {};
  let changed = false;
  for (const { flag, setting, intent, ifVersion } of writes) {
    const entry = before.entries.get(flag.key);
    const holds =
      ifVersion === undefined || (!broken && entry !== undefined && versionOf(before, entry) === ifVersion);
    results[flag.name] = holds ? "written" : "conflict";
    if (!holds) continue;
    entries.set(flag.key, entryOf(flag, setting, intent, entry));
    changed = true;
  }
  return { file: changed ? { ...before, version: before.version + 1, entries } : before, results };
}

async function replace(
  found: Found,
  file: FlagsJson,
  writes: readonly FlagWrite[],
  signal?: AbortSignal,
): Promise<boolean> {
  const written = Date.now();
  const wanted = {
    bytes: Buffer.from(printFlagsJson({ ...file, written })),
    expected: found.bytes,
    owner: found.owner,
    mtimeMs: written,
    signal,
  };
  const backward = writes.some((write) => write.ifVersion === undefined);
  return backward ? replaceEvenWhenFull(found.path, wanted) : replaceFile(found.path, wanted);
}

/** Keeps a broken file beside the store for the person who broke it. A rollback does not wait for that to work. */
async function setAside(path: string): Promise<void> {
  const time = new Date().toISOString().replaceAll(":", "").replace(".", "");
  const aside = `${path}.broken-${time}`;
  await link(path, aside)
    .catch(() => copyFile(path, aside, constants.COPYFILE_EXCL))
    .catch(() => {});
}

function readingsOf(
  file: FlagsJson,
  flags: readonly FlagDef[],
): Readonly<Record<string, Omit<Reading, "at">>> {
  const readings: Record<string, Omit<Reading, "at">> = {};
  for (const flag of flags) {
    const entry = file.entries.get(flag.key);
    if (entry === undefined) continue;
    const intent = intentOf(entry);
    const reading = { setting: settingOf(flag, entry), version: versionOf(file, entry), effective: true };
    readings[flag.name] = intent === undefined ? reading : { ...reading, intent };
  }
  return readings;
}
