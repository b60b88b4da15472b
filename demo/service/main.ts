/** The ingestion service as a process: it starts its parts in order, says on standard output what happens, and stops within a second. */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildCatalogue } from "./corpus.ts";
import { recordOf, settingText } from "./features.ts";
import { type Flags, startFlags } from "./flags.ts";
import { openGraphStore } from "./graph-store.ts";
import { listen } from "./http.ts";
import { type Pipeline, startPipeline } from "./ingest.ts";
import { startLoad } from "./load.ts";
import { createMetrics } from "./metrics.ts";
import { createMisbehaviour } from "./misbehaviour.ts";
import { parseOptions, type ServiceConfig, USAGE } from "./options.ts";
import { createQueue } from "./queue.ts";

/** What the work in hand may take after a signal. */
const FINISH_MS = 500;

function say(event: string, details: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

interface Service {
  readonly port: number;
  readonly flags: Flags;
  /** Ends every part; resolves when the work in hand is done. */
  readonly stop: () => Promise<void>;
}

async function main(config: ServiceConfig): Promise<void> {
  const dir = prepareDir(config);
  const service = await startParts(config, dir);
  let stopping = false;
  async function stop(cause: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    say("stopping", { cause });
    await Promise.race([service.stop(), delay(FINISH_MS)]);
    process.exit(0);
  }
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
  if (config.stopWithStdin) {
    process.stdin.resume().once("close", () => {
      // Whoever started this process is gone and cannot tidy up.
      process.once("exit", () => tidyUp(dir, config));
      void stop("standard input ended");
    });
  }
  say("listening", { port: service.port, pid: process.pid, ...flagsView(service.flags) });
}

async function startParts(config: ServiceConfig, dir: string): Promise<Service> {
  const { ofrepUrl, flagFile: filePath, misbehaveFile: stateFile, appVersion: version } = config;
  const flags = await startFlags({ env: process.env, ofrepUrl, filePath, targetingKey: config.name });
  flags.onChange(() => say("flags", flagsView(flags)));
  const crash = (): never => {
    say("crash");
    process.exit(1);
  };
  const misbehaviour = createMisbehaviour({ initial: config.misbehave, stateFile, flags, crash });
  const queue = createQueue();
  // The pipeline needs the metrics to count in, the metrics need the pipeline to look at.
  let pipeline: Pipeline | undefined;
  const metrics = createMetrics(version, {
    share: flags.share,
    queueDepth: queue.depth,
    pool: () => pipeline?.pool() ?? { busy: 0, idle: 0 },
  });
  const store = openGraphStore(join(dir, "graph.sqlite"), buildCatalogue(), metrics.storeCalled);
  const { server, port } = await listen(config.port, { flags, metrics, misbehaviour, version });
  pipeline = startPipeline({ flags, queue, store, metrics, misbehaviour, workers: config.workers, broken });
  const { seed, ratePerS, queueLimit } = config;
  const stopLoad = startLoad({ seed, ratePerS, queueLimit, folder: join(dir, "incoming"), queue });
  misbehaviour.start();
  return {
    port,
    flags,
    stop: async () => {
      stopLoad();
      misbehaviour.stop();
      flags.stop();
      server.close();
      server.closeAllConnections();
      await pipeline.stop();
    },
  };
}

/** An error that is no file's fault: a bug. A process manager starts the service anew. */
function broken(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

/** Makes the work folder with an empty `incoming` in it; a temporary one is removed when the process ends. */
function prepareDir(config: ServiceConfig): string {
  const dir = config.dir ?? mkdtempSync(join(tmpdir(), "ingestion-"));
  const incoming = join(dir, "incoming");
  rmSync(incoming, { recursive: true, force: true });
  mkdirSync(incoming, { recursive: true });
  process.once("exit", () =>
    rmSync(config.dir === undefined ? dir : incoming, { recursive: true, force: true }),
  );
  return dir;
}

/** Removes what the service wrote into its folder, and the folder if nothing else is in it. */
function tidyUp(dir: string, config: ServiceConfig): void {
  const own = ["incoming", "graph.sqlite", "graph.sqlite-wal", "graph.sqlite-shm"].map((name) =>
    join(dir, name),
  );
  for (const path of config.misbehaveFile === undefined ? own : [...own, config.misbehaveFile])
    rmSync(path, { recursive: true, force: true });
  try {
    rmdirSync(dir);
  } catch {
    // Somebody else has files here.
  }
}

function flagsView(flags: Flags): object {
  const settings = flags.settings();
  return { source: flags.source(), flags: recordOf((key) => settingText(settings[key])) };
}

function configOrExit(): ServiceConfig {
  try {
    return parseOptions(process.argv.slice(2), process.env);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
    process.exit(2);
  }
}

// Nobody may be reading any more: that is no reason to fail.
process.stdout.on("error", () => {});
await main(configOrExit()).catch((error: unknown) => {
  process.stderr.write(
    `the ingestion service cannot start: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  process.exit(1);
});
