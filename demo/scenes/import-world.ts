/** The world of the import's scene: the bulk import with its database, a real Prometheus, the stand-in Slack, and Belay itself. */

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import { type FakeSlack, startFakeSlack } from "../../test/fakes/slack/server.ts";
import { startPrometheus } from "../../test/support/prometheus.ts";
import { type Managed, manage } from "../bots/managed.ts";
import { startWarden, type Warden } from "../bots/wards.ts";
import { createImportProbe, type ImportProbe } from "../import/probe.ts";
import { type BelayProcess, startBelay } from "../world/belay-child.ts";
import { aborted, connected, mkdirIn } from "../world/ground.ts";
import { askBelay, freePort, recordedSchema, runSchema, type Told } from "../world/loopback.ts";
import type { RunTold } from "../world/world.ts";
import { makeImportHouse, writeImportOverlay } from "./import-house.ts";

const ROOT = join(import.meta.dirname, "../..");
const IMPORT = fileURLToPath(new URL("../import/main.ts", import.meta.url));
export const CHANNEL = "data-import";
/** Of the import's Prometheus job, as in flags/bulk-import.yaml. */
const JOB = "bulk-import";
const FIRST_SCRAPE_MS = 30_000;
const LOOK_EVERY_MS = 100;
const SCRAPE_MS = 1_000;

export interface ImportSceneOptions {
  /** Real seconds per planned hour. */
  readonly speed: number;
  /** Port of the chat page; 0 takes a free one. */
  readonly slackPort: number;
  readonly signal: AbortSignal;
}

export interface ImportScene {
  readonly slack: FakeSlack;
  readonly probe: ImportProbe;
  readonly importer: Managed;
  /** The SQLite file that is imported into. */
  readonly database: string;
  readonly prometheusUrl: string;
  readonly belay: BelayProcess;
  /** Leaves the Belay that runs now to the warden, should the demo die. */
  readonly mindBelay: () => void;
  /** Wall ms at which the window of the larger values opens. */
  readonly opensWall: number;
  runs(): Promise<readonly RunTold[]>;
  events(run: string, fromSeq: number): Promise<readonly Told[]>;
  stop(): Promise<void>;
}

/** What `stop` does, the newest first. */
type Stops = (() => Promise<unknown>)[];

/** Starts everything; what was started is stopped again when a later part fails or the signal says so, and then it rejects. */
export async function startImportScene(options: ImportSceneOptions): Promise<ImportScene> {
  const dir = mkdtempSync(join(tmpdir(), "belay-import-"));
  const warden = startWarden(dir);
  const stops: Stops = [
    () => warden.goodbye(),
    async () => rmSync(dir, { recursive: true, force: true, maxRetries: 10 }),
  ];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return await assemble(options, dir, warden, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  { speed, slackPort, signal }: ImportSceneOptions,
  dir: string,
  warden: Warden,
  stops: Stops,
  stop: () => Promise<void>,
): Promise<ImportScene> {
  const token = randomUUID();
  const state = mkdirIn(dir, "state");
  const belayUrl = `http://127.0.0.1:${await freePort()}`;
  const importUrl = `http://127.0.0.1:${await freePort()}`;
  const slack = await startFakeSlack({
    manifest: manifestOf({ mode: "socket" }),
    port: slackPort,
    seed: { channels: [{ name: CHANNEL, botIsMember: true, topic: "The bulk import: its rollout" }] },
  });
  stops.push(() => slack.stop());
  signal.throwIfAborted();
  const database = join(mkdirIn(dir, "import"), "records.db");
  const importer = importerIn(dir, database, importUrl, belayUrl, join(state, "flags.json"));
  warden.mindPidfile(importer.restartAs.pidfile);
  stops.push(importer.stop);
  await importer.restart();
  signal.throwIfAborted();
  const prometheusUrl = await startMonitoring(dir, importUrl, warden, stops);
  await firstScrape(prometheusUrl, signal);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const house = makeImportHouse(ROOT, mkdirIn(dir, "house"), zone);
  const belay = await startBelay({
    house: house.dir,
    overlay: writeImportOverlay(dir, importUrl, prometheusUrl),
    speed,
    logFile: join(dir, "belay.log"),
    restartDelayMs: 1_000,
    env: {
      BELAY_STATE: state,
      BELAY_HTTP_PORT: new URL(belayUrl).port,
      BELAY_TOKEN: token,
      BELAY_CHANNEL: `#${CHANNEL}`,
      BELAY_MODE: "act",
      BELAY_CARD_REFRESH_MS: "2000",
      // The browser shows times in this machine's zone; the lines of an answer are texts and should agree.
      BELAY_ZONE: zone,
      SLACK_BOT_TOKEN: slack.botToken,
      SLACK_APP_TOKEN: slack.appToken,
      SLACK_API_URL: slack.apiUrl,
    },
  });
  stops.push(() => belay.stop());
  const mindBelay = (): void => {
    const pid = belay.pid();
    if (pid !== undefined) warden.mindProcess(pid);
  };
  mindBelay();
  signal.throwIfAborted();
  await Promise.race([connected(slack), aborted(signal)]);
  const ask = (path: string): Promise<unknown> => askBelay(belayUrl, token, path);
  return {
    slack,
    probe: createImportProbe(importUrl),
    importer,
    database,
    prometheusUrl,
    belay,
    mindBelay,
    opensWall: house.opensWall,
    runs: async () => z.array(runSchema).parse(await ask("/v1/runs")),
    events: async (run, fromSeq) =>
      z.array(recordedSchema).parse(await ask(`/v1/runs/${run}/events?from=${fromSeq}`)),
    stop,
  };
}

function importerIn(
  dir: string,
  database: string,
  importUrl: string,
  belayUrl: string,
  flagsFile: string,
): Managed {
  return manage({
    name: "import",
    dir: mkdirIn(dir, "run"),
    upUrl: `${importUrl}/healthz`,
    command: [
      process.execPath,
      IMPORT,
      `--port=${new URL(importUrl).port}`,
      `--database=${database}`,
      `--ofrep=${belayUrl}`,
      `--flags-file=${flagsFile}`,
    ],
  });
}

/** Its address. Itself is a second target: only then can a dead import be told from a Prometheus that sees nothing. */
async function startMonitoring(
  dir: string,
  importUrl: string,
  warden: Warden,
  stops: Stops,
): Promise<string> {
  const port = await freePort();
  const targets = [
    { job: JOB, addresses: [new URL(importUrl).host] },
    { job: "prometheus", addresses: [`127.0.0.1:${port}`] },
  ];
  const prometheus = await startPrometheus({
    targets,
    scrapeMs: SCRAPE_MS,
    dir: mkdirIn(dir, "prometheus"),
    port,
  });
  warden.mindProcess(prometheus.pid);
  stops.push(async () => {
    await prometheus.kill();
    await prometheus.stop();
  });
  return prometheus.url;
}

/** Prometheus takes up its targets in steps of five seconds; before its first scrapes everything would look blind. */
async function firstScrape(url: string, signal: AbortSignal): Promise<void> {
  const until = performance.now() + FIRST_SCRAPE_MS;
  const query = encodeURIComponent(`count_over_time(up{job="${JOB}"}[10s]) >= 3`);
  while (performance.now() < until) {
    signal.throwIfAborted();
    const response = await fetch(`${url}/api/v1/query?query=${query}`, {
      signal: AbortSignal.timeout(2_000),
    });
    if ((await response.text()).includes('"value"')) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new Error(`Prometheus did not scrape the import within ${FIRST_SCRAPE_MS} ms`);
}
