/** The files that wait for a worker, taken oldest first by whoever may have them at that moment. */
import type { Buckets } from "./features.ts";

/** One file on disk that waits to be ingested. */
export interface QueuedFile {
  readonly name: string;
  readonly path: string;
  readonly buckets: Buckets;
}

export interface FileQueue {
  readonly depth: () => number;
  readonly push: (file: QueuedFile) => void;
  /** Takes the oldest file that fits, if any. */
  readonly take: (fits: (file: QueuedFile) => boolean) => QueuedFile | undefined;
  /** Resolves at the next push or nudge, or after `timeoutMs` if given. */
  readonly changed: (timeoutMs?: number) => Promise<void>;
  /** Wakes all who wait, because what fits may have changed. */
  readonly nudge: () => void;
}

/** Creates an empty queue; its bound is kept by whoever pushes. */
export function createQueue(): FileQueue {
  const files: QueuedFile[] = [];
  let wakers: (() => void)[] = [];

  function nudge(): void {
    const waking = wakers;
    wakers = [];
    for (const wake of waking) wake();
  }
  return {
    depth: () => files.length,
    push: (file) => {
      files.push(file);
      nudge();
    },
    take: (fits) => {
      const at = files.findIndex(fits);
      return at === -1 ? undefined : files.splice(at, 1)[0];
    },
    changed: (timeoutMs) =>
      new Promise((resolve) => {
        const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
        wakers.push(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
    nudge,
  };
}
