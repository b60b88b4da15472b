/** The pipeline: workers take units of files from the queue, parse them and write their lineage to the graph. */
import { readFile, unlink } from "node:fs/promises";
import type { Flags } from "./flags.ts";
import type { GraphStore } from "./graph-store.ts";
import { type Edge, lineageOf } from "./lineage.ts";
import { IngestError } from "./mapping.ts";
import type { Metrics } from "./metrics.ts";
import type { Misbehaviour } from "./misbehaviour.ts";
import { createParseCache, type ParseCache } from "./parse-cache.ts";
import type { FileQueue, QueuedFile } from "./queue.ts";

/** Files in one unit of work, at most. */
const UNIT_MAX = 8;
/** How long a unit waits for more files once it has its first. */
const LINGER_MS = 40;

export interface PipelineParts {
  readonly flags: Flags;
  readonly queue: FileQueue;
  readonly store: GraphStore;
  readonly metrics: Metrics;
  readonly misbehaviour: Misbehaviour;
  /** Parallel workers; one more works through the files without FEATURE_PARALLEL. */
  readonly workers: number;
  /** Told of an error that is no file's fault; the service cannot go on. */
  readonly broken: (error: unknown) => void;
}

export interface Pipeline {
  readonly pool: () => { readonly busy: number; readonly idle: number };
  /** Takes no more units; resolves when those in work are finished. */
  readonly stop: () => Promise<void>;
}

type LaneName = "serial" | "parallel";

/** A file of a unit whose edges wait for the common write at the unit's end. */
interface Pending {
  readonly file: QueuedFile;
  readonly edges: readonly Edge[];
}

/** Starts the serial worker and the parallel ones. */
export function startPipeline(parts: PipelineParts): Pipeline {
  const { flags, queue } = parts;
  const cache = createParseCache();
  let stopping = false;
  const busy: Record<LaneName, number> = { serial: 0, parallel: 0 };
  flags.onChange(queue.nudge);

  async function work(lane: LaneName, form: () => Promise<readonly QueuedFile[]>): Promise<void> {
    while (!stopping) {
      const unit = await form();
      if (unit.length === 0) continue;
      busy[lane] += 1;
      await processUnit(parts, cache, unit);
      busy[lane] -= 1;
    }
  }
  const lane = (name: LaneName, workers: number): Promise<void>[] => {
    const form = unitFormer(parts, name, () => stopping);
    return Array.from({ length: workers }, () => work(name, form));
  };
  const running = Promise.all([...lane("serial", 1), ...lane("parallel", parts.workers)]);
  running.catch(parts.broken);

  return {
    pool: () => {
      const share = flags.share("FEATURE_PARALLEL");
      const total = (share < 1 ? 1 : 0) + (share > 0 ? parts.workers : 0);
      const working = busy.serial + busy.parallel;
      return { busy: working, idle: Math.max(0, total - working) };
    },
    stop: async () => {
      stopping = true;
      queue.nudge();
      await running;
    },
  };
}

/**
 * Returns a function that waits for the next unit of a lane: one file, or with FEATURE_BATCHING up to UNIT_MAX.
 * The flags are asked when a file is taken, so a flip holds for every file that still waits. Empty when stopping.
 */
function unitFormer(
  { flags, queue }: PipelineParts,
  lane: LaneName,
  stopping: () => boolean,
): () => Promise<readonly QueuedFile[]> {
  const inLane = (file: QueuedFile): boolean =>
    flags.on("FEATURE_PARALLEL", file.buckets) === (lane === "parallel");
  const batched = (file: QueuedFile): boolean => flags.on("FEATURE_BATCHING", file.buckets);

  async function form(): Promise<readonly QueuedFile[]> {
    let first: QueuedFile | undefined;
    while (first === undefined) {
      if (stopping()) return [];
      first = queue.take(inLane);
      if (first === undefined) await queue.changed();
    }
    const unit = [first];
    const deadlineMs = performance.now() + LINGER_MS;
    while (batched(first) && unit.length < UNIT_MAX && !stopping()) {
      const more = queue.take((file) => inLane(file) && batched(file));
      const leftMs = deadlineMs - performance.now();
      if (more !== undefined) unit.push(more);
      else if (leftMs > 0) await queue.changed(leftMs);
      else break;
    }
    return unit;
  }
  // One unit is formed at a time: workers that fill units side by side would share the files out thinly.
  let turn: Promise<unknown> = Promise.resolve();
  return () => {
    const formed = turn.then(form);
    turn = formed;
    return formed;
  };
}

async function processUnit(
  parts: PipelineParts,
  cache: ParseCache,
  unit: readonly QueuedFile[],
): Promise<void> {
  const { flags, store, metrics, misbehaviour } = parts;
  const startedMs = performance.now();
  const pending: Pending[] = [];
  async function done(file: QueuedFile, failed: boolean): Promise<void> {
    metrics.fileDone(failed, (performance.now() - startedMs) / 1000);
    await unlink(file.path);
  }

  metrics.unitStarted(unit.length);
  const ticket = await store.claim(unit.map((file) => file.name));
  for (const file of unit) {
    misbehaviour.taken(file.buckets);
    try {
      const edges = await parsedEdges(parts, cache, file);
      if (misbehaviour.fails(file.name, file.buckets)) throw new IngestError("write conflict in the graph");
      if (flags.on("FEATURE_NEO4J_BATCH", file.buckets)) pending.push({ file, edges });
      else {
        for (const edge of edges) await store.write([edge]);
        await done(file, false);
      }
    } catch (error) {
      if (!(error instanceof IngestError)) throw error;
      await done(file, true);
    }
  }
  if (pending.length > 0) {
    await store.write(pending.flatMap(({ edges }) => edges));
    for (const { file } of pending) await done(file, false);
  }
  await store.settle(ticket);
}

async function parsedEdges(
  parts: PipelineParts,
  cache: ParseCache,
  file: QueuedFile,
): Promise<readonly Edge[]> {
  const { flags, store, metrics, misbehaviour } = parts;
  const text = await readFile(file.path, "utf8");
  const cached = flags.on("FEATURE_PARSE_CACHE", file.buckets);
  if (cached) {
    const found = cache.get(text);
    metrics.cacheLookup(found !== undefined);
    if (found !== undefined) return found;
  }
  const startedMs = performance.now();
  try {
    const edges = await lineageOf(file.name, text, (table) =>
      store.describe(table, misbehaviour.slowdown(file.buckets)),
    );
    if (cached) cache.put(text, edges);
    return edges;
  } finally {
    metrics.parsed((performance.now() - startedMs) / 1000);
  }
}
