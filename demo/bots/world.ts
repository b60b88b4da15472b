/** The bot platform's world: model server, database, bots with their users, Prometheus and Alertmanager, each a real process or server on loopback. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mkdirIn } from "../world/ground.ts";
import { freePort } from "../world/loopback.ts";
import { type ChatStore, startChatStore } from "./chat-store.ts";
import { type Managed, manage } from "./managed.ts";
import {
  type AlertWebhook,
  type MonitoringOptions,
  startAlertmanager,
  startPrometheus,
} from "./monitoring.ts";
import { type BotProbe, createBotProbe } from "./probe.ts";
import type { Program } from "./program.ts";
import type { AlertLabels } from "./rules.ts";
import { startWarden, type Warden } from "./wards.ts";

const FIRST_SCRAPE_MS = 30_000;
const LOOK_EVERY_MS = 100;
const LABELS: AlertLabels = { service: "bots", environment: "demo" };
const resultSchema = z.object({ data: z.object({ result: z.array(z.unknown()) }) });

export interface BotWorldOptions {
  /** Where the bots ask for their flags; without it all are off. */
  readonly ofrepUrl?: string | undefined;
  /** Where Alertmanager tells of alerts. */
  readonly webhook?: AlertWebhook | undefined;
  /** What the alerts say about whose they are; service `bots`, environment `demo` when not given. */
  readonly labels?: AlertLabels | undefined;
  /** Users who chat at first; 30 when not given, at most 150. */
  readonly users?: number | undefined;
  /** Gives the start up: what was started is stopped again. */
  readonly signal?: AbortSignal | undefined;
}

export interface BotWorld {
  /** Temporary; everything of this world that is written is below it, and it goes with `stop`. */
  readonly dir: string;
  readonly ports: Readonly<Record<"bots" | "model" | "store" | "prometheus" | "alertmanager", number>>;
  /** Base address of each, without a slash at the end. */
  readonly urls: Readonly<Record<"bots" | "model" | "prometheus" | "alertmanager", string>>;
  /** The model server, and the process of the five bots: what Belay may restart. */
  readonly model: Managed;
  readonly bots: Managed;
  /** Asks the bots, and tells them how to behave. */
  readonly probe: BotProbe;
  /** The database goes away, and comes back empty. */
  readonly stopStore: () => Promise<void>;
  readonly startStore: () => Promise<void>;
  /** The processes that run now, by name. */
  readonly pids: () => Readonly<Record<string, number>>;
  /** Ends this process too, should the demo die without `stop`: for Belay and what else is started beside this world. */
  readonly mind: (pid: number) => void;
  /** Resolves, with its last words, when Prometheus or Alertmanager ends without having been stopped. */
  readonly died: Promise<string>;
  /** Ends every process and removes the folder. Belay must be gone before, or it would start again what is stopped. */
  readonly stop: () => Promise<void>;
}

/** Starts everything and waits for the first scrapes; what was started is stopped again when a later part fails or the signal says so, and then it rejects. */
export async function startBotWorld(options: BotWorldOptions = {}): Promise<BotWorld> {
  const dir = mkdtempSync(join(tmpdir(), "belay-bots-"));
  const warden = startWarden(dir);
  const stops: (() => Promise<unknown>)[] = [
    () => warden.goodbye(),
    async () => rmSync(dir, { recursive: true, force: true }),
  ];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return await assemble(options, { dir, warden, stops, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Ground {
  readonly dir: string;
  readonly warden: Warden;
  /** What `stop` does, the newest first. */
  readonly stops: (() => Promise<unknown>)[];
  readonly stop: () => Promise<void>;
}

async function assemble(options: BotWorldOptions, ground: Ground): Promise<BotWorld> {
  const { dir, warden, stops, stop } = ground;
  const { signal, labels = LABELS, webhook } = options;
  const store = createStoreKeeper(await freePort());
  stops.push(store.stop);
  await store.start();
  const ports = {
    bots: await freePort(),
    model: await freePort(),
    store: store.port,
    prometheus: await freePort(),
    alertmanager: await freePort(),
  };
  const { model, bots } = processesOf(options, dir, ports);
  for (const managed of [model, bots]) {
    signal?.throwIfAborted();
    warden.mindPidfile(managed.restartAs.pidfile);
    stops.push(managed.stop);
    await managed.restart();
  }
  const monitoring: MonitoringOptions = {
    dir: mkdirIn(dir, "monitoring"),
    prometheusPort: ports.prometheus,
    alertmanagerPort: ports.alertmanager,
    jobs: [{ job: "bots", port: ports.bots }],
    labels,
    webhook,
    onStart: warden.mindProcess,
  };
  const programs: Program[] = [];
  for (const start of [startAlertmanager, startPrometheus]) {
    signal?.throwIfAborted();
    const program = await start(monitoring);
    stops.push(program.stop);
    programs.push(program);
  }
  const urls = urlsOf(ports);
  await firstScrapes(urls.prometheus, signal);
  return {
    dir,
    ports,
    urls,
    model,
    bots,
    probe: createBotProbe(urls.bots),
    stopStore: store.stop,
    startStore: store.start,
    pids: () => pidsOf(model, bots, programs, warden),
    mind: warden.mindProcess,
    died: Promise.race(programs.map((program) => program.died)),
    stop,
  };
}

type Ports = BotWorld["ports"];

function urlsOf(ports: Ports): BotWorld["urls"] {
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  const { bots, model, prometheus, alertmanager } = ports;
  return { bots: url(bots), model: url(model), prometheus: url(prometheus), alertmanager: url(alertmanager) };
}

function processesOf(options: BotWorldOptions, dir: string, ports: Ports) {
  const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const urls = urlsOf(ports);
  const run = mkdirIn(dir, "run");
  const model = manage({
    name: "model",
    dir: run,
    upUrl: `${urls.model}/api/tags`,
    command: [process.execPath, script("./model-server.ts"), `--port=${ports.model}`],
  });
  const bots = manage({
    name: "bots",
    dir: run,
    upUrl: `${urls.bots}/healthz`,
    command: [
      process.execPath,
      // Without a bound the young heap grows by 130 MB in minutes, which looks like a leak.
      "--max-semi-space-size=2",
      script("./main.ts"),
      `--port=${ports.bots}`,
      `--model=${urls.model}`,
      `--store=${ports.store}`,
      `--control-file=${join(run, "control.json")}`,
      ...(options.ofrepUrl === undefined ? [] : [`--ofrep=${options.ofrepUrl}`]),
      ...(options.users === undefined ? [] : [`--users=${options.users}`]),
    ],
  });
  return { model, bots };
}

function createStoreKeeper(port: number) {
  let store: ChatStore | undefined;
  return {
    port,
    start: async (): Promise<void> => {
      store ??= await startChatStore(port);
    },
    stop: async (): Promise<void> => {
      const running = store;
      store = undefined;
      await running?.stop();
    },
  };
}

function pidsOf(
  model: Managed,
  bots: Managed,
  programs: readonly Program[],
  warden: Warden,
): Readonly<Record<string, number>> {
  const [alertmanager, prometheus] = programs.map((program) => program.pid);
  const all = { model: model.pid(), bots: bots.pid(), alertmanager, prometheus, warden: warden.pid };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, pid]) => (pid === undefined ? [] : [[name, pid]])),
  );
}

/** Prometheus takes up its targets in steps of five seconds; before its first scrapes everything would look blind. */
async function firstScrapes(url: string, signal: AbortSignal | undefined): Promise<void> {
  const until = performance.now() + FIRST_SCRAPE_MS;
  const query = encodeURIComponent('count_over_time(up{job="bots"}[10s]) >= 3');
  while (performance.now() < until) {
    signal?.throwIfAborted();
    const response = await fetch(`${url}/api/v1/query?query=${query}`, {
      signal: AbortSignal.timeout(2_000),
    });
    if (resultSchema.parse(await response.json()).data.result.length > 0) return;
    await delay(LOOK_EVERY_MS);
  }
  throw new Error(`Prometheus did not scrape the bots within ${FIRST_SCRAPE_MS} ms`);
}
