/** The load: writes generated files at a steady rate into a folder and queues them, and waits while the queue is full. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildCatalogue, corpusFile } from "./corpus.ts";
import { bucketsOf } from "./features.ts";
import type { FileQueue } from "./queue.ts";

const TICK_MS = 20;
/** After a stall, at most this much of the load is made up for. */
const BURST_S = 0.1;

export interface LoadOptions {
  readonly seed: number;
  /** Files per second offered while the queue has room. */
  readonly ratePerS: number;
  /** Files that may wait. */
  readonly queueLimit: number;
  readonly folder: string;
  readonly queue: FileQueue;
}

/** Starts the load with file 0; returns a function that ends it. */
export function startLoad(options: LoadOptions): () => void {
  const { seed, ratePerS, queueLimit, folder, queue } = options;
  const catalogue = buildCatalogue();
  let next = 0;
  let due = 0;
  let writing = false;
  let lastMs = performance.now();

  async function offer(): Promise<void> {
    writing = true;
    while (due >= 1 && queue.depth() < queueLimit) {
      due -= 1;
      const { name, text } = corpusFile(catalogue, seed, next);
      next += 1;
      const path = join(folder, name);
      await writeFile(path, text);
      queue.push({ name, path, buckets: bucketsOf(name) });
    }
    writing = false;
  }
  const timer = setInterval(() => {
    const nowMs = performance.now();
    due = Math.min(due + ((nowMs - lastMs) / 1000) * ratePerS, Math.max(1, ratePerS * BURST_S));
    lastMs = nowMs;
    if (!writing) void offer();
  }, TICK_MS);
  return () => clearInterval(timer);
}
