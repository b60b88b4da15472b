/** The demo's world: a real service under load, a real Prometheus, the stand-in Slack and Belay itself, each a process or server on loopback. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import { type FakeSlack, startFakeSlack } from "../../test/fakes/slack/server.ts";
import { type RunningPrometheus, startPrometheus } from "../../test/support/prometheus.ts";
import { createProbe, type Probe } from "../service/probe.ts";
import { type RunningService, startService } from "../service/supervise.ts";
import { type BelayProcess, startBelay } from "./belay-child.ts";
import { aborted, connected, mkdirIn } from "./ground.ts";
import { makeHouse } from "./house.ts";
import {
  type Answer,
  answerSchema,
  askBelay,
  freePort,
  recordedSchema,
  runSchema,
  type Told,
} from "./loopback.ts";

const ROOT = join(import.meta.dirname, "../..");
const TOKEN = "demo-token-for-loopback-only";
/** What the overlay changes for the demo: everything that is measured stays real time. */
const SCRAPE = "1s";
const WINDOW = "5s";
const FIRST_SCRAPE_MS = 30_000;

export interface WorldOptions {
  /** Real seconds per planned hour. */
  readonly speed: number;
  /** Port of the chat page; any free one when not given. */
  readonly slackPort?: number;
  /** Folder of flags/ and schedules/; the demo's own when not given. */
  readonly house?: string;
  /** Wait before a killed Belay is started again, ms. */
  readonly belayRestartMs?: number;
  /** More settings for Belay's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Gives the start up: what was started is stopped again. */
  readonly signal?: AbortSignal;
}

export type RunTold = z.output<typeof runSchema>;

export interface World {
  readonly dir: string;
  /** Folder of flags/ and schedules/, the overlay over it, and real seconds per planned hour: what Belay was started with. */
  readonly house: string;
  readonly overlay: string;
  readonly speed: number;
  readonly slack: FakeSlack;
  readonly service: RunningService;
  readonly probe: Probe;
  readonly belay: BelayProcess;
  readonly belayUrl: string;
  /** Undefined while it is stopped. */
  prometheus(): RunningPrometheus | undefined;
  readonly prometheusUrl: string;
  stopPrometheus(): Promise<void>;
  startPrometheus(): Promise<void>;
  runs(): Promise<readonly RunTold[]>;
  events(run: string, fromSeq: number): Promise<readonly Told[]>;
  /** `belay do`, by HTTP. */
  command(text: string, as?: string): Promise<Answer>;
  stop(): Promise<void>;
}

/** Starts everything; what was started is stopped again when a later part fails or the signal says so, and then it rejects. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), "belay-demo-"));
  const stops: (() => Promise<void>)[] = [async () => rmSync(dir, { recursive: true, force: true })];
  try {
    return await assemble(options, dir, stops);
  } catch (error) {
    await stopAll(stops);
    throw error;
  }
}

async function stopAll(stops: (() => Promise<void>)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

async function assemble(options: WorldOptions, dir: string, stops: (() => Promise<void>)[]): Promise<World> {
  const goOn = (): void => options.signal?.throwIfAborted();
  const state = mkdirIn(dir, "state");
  const belayPort = await freePort();
  const belayUrl = `http://127.0.0.1:${belayPort}`;
  const slack = await startFakeSlack({
    manifest: manifestOf({ mode: "socket" }),
    ...(options.slackPort === undefined ? {} : { port: options.slackPort }),
  });
  stops.push(() => slack.stop());
  goOn();
  const service = await startService({
    flags: `ofrep=${belayUrl},file=${join(state, "flags.json")}`,
    seed: 1,
  });
  stops.push(() => service.stop());
  goOn();
  const prometheus = new PrometheusKeeper(join(dir, "prometheus"), service.port, await freePort());
  stops.push(() => prometheus.stop());
  await prometheus.start();
  goOn();
  const house = options.house ?? makeHouse(ROOT, mkdirIn(dir, "house"));
  const overlay = writeOverlay(dir, prometheus.url, service.origin);
  const belay = await startBelay({
    house,
    overlay,
    speed: options.speed,
    logFile: join(dir, "belay.log"),
    restartDelayMs: options.belayRestartMs ?? 1_000,
    env: { ...belayEnv(slack, state, belayPort), ...(options.env ?? {}) },
  });
  stops.push(() => belay.stop());
  goOn();
  await Promise.race([
    Promise.all([connected(slack), firstScrape(prometheus.url, options.signal)]),
    aborted(options.signal),
  ]);
  return {
    dir,
    house,
    overlay,
    speed: options.speed,
    slack,
    service,
    probe: createProbe(service.origin),
    belay,
    belayUrl,
    prometheus: () => prometheus.running(),
    prometheusUrl: prometheus.url,
    stopPrometheus: () => prometheus.stop(),
    startPrometheus: () => prometheus.start(),
    runs: async () => z.array(runSchema).parse(await ask(belayUrl, "/v1/runs")),
    events: async (run, fromSeq) =>
      z.array(recordedSchema).parse(await ask(belayUrl, `/v1/runs/${run}/events?from=${fromSeq}`)),
    command: async (text, as = "ana") => answerSchema.parse(await ask(belayUrl, "/v1/do", { text, as })),
    stop: () => stopAll(stops),
  };
}

/** Prometheus takes up its targets in steps of five seconds; before its first scrapes everything would look blind. */
async function firstScrape(url: string, signal: AbortSignal | undefined): Promise<void> {
  const deadline = Date.now() + FIRST_SCRAPE_MS;
  const query = encodeURIComponent('count_over_time(up{job="ingestion"}[10s]) >= 3');
  while (Date.now() < deadline && signal?.aborted !== true) {
    const response = await fetch(`${url}/api/v1/query?query=${query}`, {
      signal: AbortSignal.timeout(2_000),
    });
    if ((await response.text()).includes('"value"')) return;
    await delay(100);
  }
  throw new Error(`Prometheus did not scrape the service within ${FIRST_SCRAPE_MS} ms`);
}

/** Prometheus on one port, stopped and started again at will; its data outlives a stop. */
class PrometheusKeeper {
  readonly url: string;
  readonly #dir: string;
  readonly #servicePort: number;
  readonly #port: number;
  #running: RunningPrometheus | undefined;

  constructor(dir: string, servicePort: number, port: number) {
    mkdirSync(dir);
    this.#dir = dir;
    this.#servicePort = servicePort;
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  running(): RunningPrometheus | undefined {
    return this.#running;
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    // Itself as a second target: only then can a dead service be told from a Prometheus that sees nothing.
    const targets = [
      { job: "ingestion", addresses: [`127.0.0.1:${this.#servicePort}`] },
      { job: "prometheus", addresses: [`127.0.0.1:${this.#port}`] },
    ];
    this.#running = await startPrometheus({ targets, scrapeMs: 1_000, dir: this.#dir, port: this.#port });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.kill();
    await running?.stop();
  }
}

function writeOverlay(dir: string, prometheusUrl: string, serviceUrl: string): string {
  const path = join(dir, "overlay.yaml");
  const overlay = {
    environment: "demo",
    provider: { kind: "file" },
    view: { http: `${serviceUrl}/features`, pointer: "/flags" },
    prometheus: { url: prometheusUrl, scrape_interval: SCRAPE, timeout: "2s" },
    interval: SCRAPE,
    window: WINDOW,
  };
  writeFileSync(path, JSON.stringify(overlay, null, 2));
  return path;
}

function belayEnv(slack: FakeSlack, state: string, port: number): Record<string, string> {
  return {
    BELAY_STATE: state,
    BELAY_HTTP_PORT: String(port),
    BELAY_TOKEN: TOKEN,
    BELAY_CARD_REFRESH_MS: "2000",
    // The browser shows times in this machine's zone; the lines of an answer are texts and should agree.
    BELAY_ZONE: Intl.DateTimeFormat().resolvedOptions().timeZone,
    BELAY_GROUPS: `release-approvers=${slack.userId("ben")},${slack.userId("kim")}`,
    SLACK_BOT_TOKEN: slack.botToken,
    SLACK_APP_TOKEN: slack.appToken,
    SLACK_API_URL: slack.apiUrl,
  };
}

function ask(base: string, path: string, body?: unknown): Promise<unknown> {
  return askBelay(base, TOKEN, path, body);
}
