/** What the tests of the ingestion service share: a folder, a flag file, services that are stopped at the end, and readings of their metrics. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach } from "vitest";
import { FEATURE_KEYS } from "../../demo/service/features.ts";
import { createProbe, type FeaturesView, type Probe, type Samples } from "../../demo/service/probe.ts";
import { type RunningService, type ServiceOptions, startService } from "../../demo/service/supervise.ts";

const WITHIN_MS = 10_000;
const EVERY_MS = 20;

export const ALL_ON = Object.fromEntries(FEATURE_KEYS.map((key) => [key, "true"]));
export const SERIAL = { ...ALL_ON, FEATURE_PARALLEL: "false" };

/** Everything here is made anew for each test and gone after it. */
export interface ServiceGround {
  readonly dir: string;
  /** Where `writeFlags` writes; a test may choose another place. */
  flagFile: string;
  /** Runs after the test, the newest first. */
  atEnd(cleanup: () => Promise<void> | void): void;
  /** Starts a service that is stopped after the test. */
  service(options: ServiceOptions): Promise<RunningService & Probe>;
  /** Writes the flag file the way Belay does: whole, then renamed. */
  writeFlags(flags: Readonly<Record<string, string | { percent: number }>>): void;
}

/** For the top of a test file: prepares the ground for each of its tests. */
export function useServiceGround(): ServiceGround {
  const cleanups: (() => Promise<void> | void)[] = [];
  let dir = "";
  let version = 0;
  const ground: ServiceGround = {
    get dir() {
      return dir;
    },
    flagFile: "",
    atEnd: (cleanup) => void cleanups.push(cleanup),
    async service(options) {
      const running = await startService(options);
      cleanups.push(running.stop);
      return { ...running, ...createProbe(running.origin) };
    },
    writeFlags(flags) {
      const entries = Object.entries(flags).map(([key, entry]) => [
        key,
        typeof entry === "string" ? { value: entry } : entry,
      ]);
      version += 1;
      writeFileSync(
        `${ground.flagFile}.new`,
        JSON.stringify({ version, flags: Object.fromEntries(entries) }),
      );
      renameSync(`${ground.flagFile}.new`, ground.flagFile);
    },
  };
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "demo-service-test-"));
    ground.flagFile = join(dir, "flags.json");
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    rmSync(dir, { recursive: true, force: true });
  });
  return ground;
}

/** Waits until the reading fits, and returns it; says at the deadline what the last one was. Rejects when it cannot be read. */
export async function until<T>(
  read: () => Promise<T> | T,
  fits: (value: T) => boolean,
  timeoutMs = WITHIN_MS,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (fits(value)) return value;
    if (performance.now() > deadlineMs)
      throw new Error(`still, after ${timeoutMs} ms: ${JSON.stringify(value)}`);
    await delay(EVERY_MS);
  }
}

/** Waits until the service itself says that parallel has this value; a flip must be seen within 500 ms. */
export function sees(
  probe: Probe,
  parallel: string,
  source = "file",
  timeoutMs = 500,
): Promise<FeaturesView> {
  const fits = (now: FeaturesView): boolean =>
    now.flags["FEATURE_PARALLEL"] === parallel && now.source === source;
  return until(probe.features, fits, timeoutMs);
}

export const files = (samples: Samples): number => samples("ingestion_files_total");
export const failed = (samples: Samples): number => samples("ingestion_failures_total") / files(samples);
export const slow = (samples: Samples): number =>
  1 - samples('ingestion_parse_seconds_bucket{le="0.25"}') / samples("ingestion_parse_seconds_count");

/** What the service did between now and the time it has processed `count` more files. */
export async function during(probe: Probe, count: number): Promise<Samples> {
  const before = await probe.metrics();
  const after = await until(probe.metrics, (now) => files(now) >= files(before) + count, 20_000);
  return (series) => after(series) - before(series);
}
