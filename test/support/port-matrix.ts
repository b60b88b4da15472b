/** Many port stories at once, on two threads; this file is also what each thread runs. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Death, type PortStory, playPortStory } from "./port-story.ts";

const THREADS = 2;
/** Stories of one thread wait for real files in turns; this many fill the time. */
const AT_ONCE = 4;

export interface Died {
  readonly death: Death;
  readonly story: PortStory;
}

interface Job {
  readonly deaths: readonly Death[];
}

/** Plays one story for each death, on real files and the real journal; resolves with all of them, in no order. */
export async function playMatrix(deaths: readonly Death[]): Promise<readonly Died[]> {
  const died: Died[] = [];
  const shares = Array.from({ length: THREADS }, (_, thread) =>
    deaths.filter((_death, index) => index % THREADS === thread),
  );
  await Promise.all(
    shares.map(
      (share) =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), {
            workerData: { deaths: share } satisfies Job,
          });
          worker.on("message", (one: Died) => died.push(one));
          worker.on("error", reject);
          worker.on("exit", (code) =>
            code === 0 ? resolve() : reject(new Error(`a thread ended with ${code}`)),
          );
        }),
    ),
  );
  return died;
}

async function work({ deaths }: Job): Promise<void> {
  const left = [...deaths];
  const lane = async (): Promise<void> => {
    for (let death = left.shift(); death !== undefined; death = left.shift())
      parentPort?.postMessage({ death, story: await playPortStory("sqlite", death) } satisfies Died);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

// The one who started this thread wrote the job; vitest's own threads and processes carry none.
if (!isMainThread && workerData?.deaths !== undefined) await work(workerData);
