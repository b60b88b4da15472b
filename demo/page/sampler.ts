/** Asks the service itself a few times a second how it is and which flags it works with. Prometheus is not needed for that. */
import { setTimeout as delay } from "node:timers/promises";
import type { Probe, Samples } from "../service/probe.ts";
import { History, type Reading } from "./history.ts";

const EVERY_MS = 300;

export interface Sampler {
  readonly history: History;
  /** Resolves when no question is under way. */
  stop(): Promise<void>;
}

/** Starts at once; `told` is called after each sample. A service that does not answer is a sample too. */
export function startSampler(probe: Probe, told: () => void): Sampler {
  const history = new History();
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const began = Date.now();
      const reading = await read(probe);
      if (stopping.signal.aborted) return;
      history.add(Date.now(), reading);
      told();
      const rest = Math.max(20, began + EVERY_MS - Date.now());
      await delay(rest, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const running = run();
  return {
    history,
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

/** The histogram is hidden while FEATURE_METRICS is off. */
function slowOf(samples: Samples): number {
  try {
    return samples("ingestion_parse_seconds_count") - samples('ingestion_parse_seconds_bucket{le="0.25"}');
  } catch {
    return 0;
  }
}

async function read(probe: Probe): Promise<Reading | undefined> {
  try {
    const [features, samples, misbehaviour] = await Promise.all([
      probe.features(),
      probe.metrics(),
      probe.misbehaviour(),
    ]);
    return {
      files: samples("ingestion_files_total"),
      failures: samples("ingestion_failures_total"),
      slow: slowOf(samples),
      memoryBytes: samples("process_resident_memory_bytes"),
      flags: features.flags,
      optimisations: features.optimisation_level,
      broken: misbehaviour.active,
    };
  } catch {
    return undefined;
  }
}
