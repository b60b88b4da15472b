/** The import itself: a batch a second, of at most the limit of that moment, in chunks that are each one transaction; every chunk is read back and compared. */
import { setTimeout as delay } from "node:timers/promises";
import type { Control } from "./control.ts";
import type { BatchLimit } from "./limit.ts";
import type { Metrics } from "./metrics.ts";
import { type ImportRecord, recordOf } from "./source.ts";
import type { ImportStore } from "./store.ts";

const BATCH_EVERY_MS = 1_000;
/** Records in one transaction, and the pause after it: together the pace of the import, 16,000 records a second. */
const CHUNK = 800;
const CHUNK_EVERY_MS = 50;
/** What goes wrong, goes wrong in batches larger than this. */
const LARGE = 5_000;
const CORRUPT_EVERY = 1_000;
const FAILING_SHARE = 0.05;
/** What a chunk of a large batch keeps the database to itself when it is slow. */
const SLOW_CHUNK_MS = 100;

export interface ImporterParts {
  readonly store: ImportStore;
  readonly limit: BatchLimit;
  readonly control: Control;
  readonly metrics: Metrics;
  /** How many records the source has. */
  readonly total: number;
}

export interface Importer {
  readonly stored: () => number;
  readonly mismatched: () => number;
  /** Waits until the database is free for a reader, and asks it. */
  readonly read: (id: number) => Promise<string | undefined>;
  /** Writes what differs anew from the source. */
  readonly repair: () => void;
  /** Imports until the process ends. Rejects when the database does. */
  readonly run: () => Promise<never>;
}

/** Goes on at the offset of the store. */
export function createImporter({ store, limit, control, metrics, total }: ImporterParts): Importer {
  let stored = store.offset();
  let mismatched = 0;
  const bad: (readonly [from: number, to: number])[] = [];
  let locked: Promise<void> = Promise.resolve();

  /** One transaction of at most `most` records. */
  function chunk(most: number, large: boolean): void {
    const misbehaviour = large ? control.misbehaviour() : "none";
    const from = stored + 1;
    const to = Math.min(total, stored + Math.min(CHUNK, most));
    const records = Array.from({ length: to - stored }, (_, i) => recordOf(from + i));
    store.add(misbehaviour === "corrupt" ? records.map(corrupted) : records);
    if (misbehaviour === "errors") metrics.failed(Math.ceil(records.length * FAILING_SHARE));
    const wrong = store.mismatches(from, to);
    if (wrong > 0) bad.push([from, to]);
    mismatched += wrong;
    stored = to;
  }

  async function batch(): Promise<void> {
    let taken = 0;
    const began = stored;
    // The limit is looked at before each chunk: one that goes back also ends the batch that runs.
    while (taken < limit.now() && stored < total) {
      const since = performance.now();
      const large = limit.now() > LARGE;
      const before = stored;
      chunk(limit.now() - taken, large);
      const isSlow = large && control.misbehaviour() === "slow";
      if (isSlow) await delay(SLOW_CHUNK_MS);
      taken = stored - began;
      // The pause is the network's in a real import, so it counts as work.
      await delay(Math.max(0, CHUNK_EVERY_MS - (performance.now() - since)));
      metrics.imported(stored - before, (performance.now() - since) / 1_000);
    }
  }

  async function run(): Promise<never> {
    for (;;) {
      const since = performance.now();
      const work = batch();
      // In a large batch that misbehaves, readers wait for the whole batch and not for a moment between two chunks.
      if (control.misbehaviour() === "slow" && limit.now() > LARGE) locked = work.catch(() => {});
      await work;
      await delay(Math.max(0, BATCH_EVERY_MS - (performance.now() - since)));
    }
  }
  return {
    stored: () => stored,
    mismatched: () => mismatched,
    read: async (id) => {
      await locked;
      return store.find(id);
    },
    repair: () => {
      for (const [from, to] of bad.splice(0)) store.repair(from, to);
      mismatched = 0;
    },
    run,
  };
}

function corrupted(record: ImportRecord): ImportRecord {
  return record.id % CORRUPT_EVERY === 0 ? { ...record, amount: record.amount + 1 } : record;
}
