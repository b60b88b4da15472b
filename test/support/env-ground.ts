/** The real ingestion service behind an environment file: a process that Belay itself stops and starts, seen by a real Prometheus. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { createProbe, type Probe } from "../../demo/service/probe.ts";
import { freePort } from "../../demo/world/loopback.ts";
import { readEnvironment } from "../../src/adapters/flags/env-file.ts";
import { createProcessTarget } from "../../src/adapters/target/process.ts";
import { PrometheusKeeper } from "./ground.ts";

const SERVICE = fileURLToPath(new URL("../../demo/service/main.ts", import.meta.url));
const UP_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 3;
const FIRST = "# what the service starts with\nFEATURE_BATCHING=false\nFEATURE_PARALLEL=false\n";

/** One version of the file as it was seen, wall ms. */
export interface Version {
  readonly text: string;
  readonly at: number;
}

export interface EnvGround {
  readonly dir: string;
  readonly envPath: string;
  readonly house: Readonly<Record<string, string>>;
  readonly probe: Probe;
  readonly prometheus: PrometheusKeeper;
  /** Every version of the file so far, oldest first. */
  readonly versions: readonly Version[];
  /** How often the service started so far. */
  starts(): number;
  /** Wall ms at which the file was written and the running process was started. */
  times(): { readonly written: number; readonly started: number };
  stop(): Promise<void>;
}

/** Does not even start with the parallel workers on. */
const REFUSING =
  'if [ "$FEATURE_PARALLEL" = true ]; then echo "parallel: no such option" >&2; exit 3; fi; exec "$0" "$@"';

/** Starts the service with everything off; resolves when Prometheus has seen it. `refusing`: it ends at once when `parallel` is on. */
export async function startEnvGround(name: string, refusing = false): Promise<EnvGround> {
  const dir = mkdtempSync(join(tmpdir(), "belay-env-"));
  const envPath = join(dir, "features.env");
  const pidfile = join(dir, "service.pid");
  const log = join(dir, "service.log");
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const command = [
    ...(refusing ? ["/bin/sh", "-c", REFUSING] : []),
    process.execPath,
    "--max-semi-space-size=2",
    SERVICE,
    `--port=${port}`,
    "--flags=env",
    "--rate=60",
    `--misbehave-file=${join(dir, "misbehave.json")}`,
  ];
  writeFileSync(envPath, FIRST);
  const probe = createProbe(origin);
  // What Belay does later: the same command, the same pidfile.
  const target = createProcessTarget({
    command,
    pidfile,
    logFile: log,
    upWithinMs: UP_WITHIN_MS,
    isUp: probe.healthy,
    environment: () => readEnvironment(envPath),
  });
  const prometheus = new PrometheusKeeper(join(dir, "prometheus"), await freePort(), `127.0.0.1:${port}`);
  const versions: Version[] = [];
  let stopped = false;
  const watch = async (): Promise<void> => {
    while (!stopped) {
      const text = readFileSync(envPath, "utf8");
      if (text !== versions.at(-1)?.text) versions.push({ text, at: Date.now() });
      await delay(LOOK_EVERY_MS);
    }
  };
  const watching = watch();
  const stop = async (): Promise<void> => {
    stopped = true;
    await watching;
    await prometheus.kill();
    await target.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await target.restart();
    await prometheus.start();
    await prometheus.seesService();
  } catch (error) {
    await stop();
    throw error;
  }
  const startedSchema = z.object({ startedAt: z.number() });
  return {
    dir,
    envPath,
    house: houseOf({ name, envPath, pidfile, log, command, origin, prometheusUrl: prometheus.url }),
    probe,
    prometheus,
    versions,
    starts: () => readFileSync(log, "utf8").split('"event":"listening"').length - 1,
    times: () => ({
      written: statSync(envPath).mtimeMs,
      started: startedSchema.parse(JSON.parse(readFileSync(pidfile, "utf8"))).startedAt,
    }),
    stop,
  };
}

interface HouseParts {
  readonly name: string;
  readonly envPath: string;
  readonly pidfile: string;
  readonly log: string;
  readonly command: readonly string[];
  readonly origin: string;
  readonly prometheusUrl: string;
}

/** Two flags turned on by one stage. */
function houseOf(parts: HouseParts): Readonly<Record<string, string>> {
  const { name, envPath, pidfile, log, command, origin, prometheusUrl } = parts;
  return {
    [`flags/${name}.yaml`]: `service: ingestion
environment: test
provider:
  kind: env-file
  path: ${envPath}
  restart: { process: { command: ${JSON.stringify(command)}, pidfile: ${pidfile}, log: ${log}, stop_timeout: 3s } }
  restart_within: 10s
view: { http: "${origin}/features", pointer: /flags }
prometheus: { url: "${prometheusUrl}", scrape_interval: 1s, timeout: 2s }
flags:
  batching: { key: FEATURE_BATCHING, safe: off }
  parallel: { key: FEATURE_PARALLEL, safe: off }
guards:
  failures:
    kind: threshold
    query: sum(rate(ingestion_failures_total[3s])) / sum(rate(ingestion_files_total[3s]))
    max: 10%
    breach: 2 of 3
    interval: 500ms
  alive: { kind: alive, interval: 500ms }
`,
    [`schedules/${name}.yaml`]: `rollout: ${name}
channel: "#ingestion-ops"
stages:
  - { at: 0s, name: workers, enable: [batching, parallel], soak: 1h }
`,
  };
}
