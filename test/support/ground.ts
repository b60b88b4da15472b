/** What short end-to-end stories stand on: the real ingestion service under load, and a real Prometheus that scrapes it every second. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProbe, type Probe } from "../../demo/service/probe.ts";
import { type RunningService, type ServiceOptions, startService } from "../../demo/service/supervise.ts";
import { freePort } from "../../demo/world/loopback.ts";
import { eventually } from "./eventually.ts";
import { type RunningPrometheus, startPrometheus } from "./prometheus.ts";

const FIRST_SCRAPES_MS = 30_000;
const SCRAPE_MS = 1_000;

/** One Prometheus at one address, ended and started again at will; its data outlives an end. */
export class PrometheusKeeper {
  readonly url: string;
  readonly #dir: string;
  readonly #port: number;
  readonly #serviceAddress: string;
  #running: RunningPrometheus | undefined;

  constructor(dir: string, port: number, serviceAddress: string) {
    mkdirSync(dir, { recursive: true });
    this.url = `http://127.0.0.1:${port}`;
    this.#dir = dir;
    this.#port = port;
    this.#serviceAddress = serviceAddress;
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    // Itself as a second target: only then can a dead service be told from a Prometheus that sees nothing.
    const targets = [
      { job: "ingestion", addresses: [this.#serviceAddress] },
      { job: "prometheus", addresses: [`127.0.0.1:${this.#port}`] },
    ];
    this.#running = await startPrometheus({ targets, scrapeMs: SCRAPE_MS, dir: this.#dir, port: this.#port });
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.kill();
    await running?.stop();
  }

  async freeze(): Promise<void> {
    await this.#running?.freeze();
  }

  resume(): void {
    this.#running?.resume();
  }

  /** Resolves when the service has been scraped three times within the last ten seconds. */
  async seesService(): Promise<void> {
    await eventually(
      "three scrapes of the service",
      async () => ((await this.ask('count_over_time(up{job="ingestion"}[10s]) >= 3')) ?? 0) >= 3 || undefined,
      { withinMs: FIRST_SCRAPES_MS, everyMs: 100 },
    );
  }

  /** The first value of an instant query; undefined when it has none. Rejects when Prometheus does not answer. */
  async ask(query: string): Promise<number | undefined> {
    const response = await fetch(`${this.url}/api/v1/query?query=${encodeURIComponent(query)}`, {
      signal: AbortSignal.timeout(1_000),
    });
    const match = /"value":\[[^,]+,"([^"]+)"\]/.exec(await response.text());
    return match === null ? undefined : Number(match[1]);
  }
}

export interface Ground {
  /** Removed at the end, with everything in it. */
  readonly dir: string;
  readonly service: RunningService;
  readonly probe: Probe;
  readonly prometheus: PrometheusKeeper;
  /** The flag store's file that the service reads. */
  readonly flagsPath: string;
  stop(): Promise<void>;
}

/** Starts both and waits for the first scrapes. What was started is ended again when a later part fails. */
export async function startGround(options: Partial<ServiceOptions> = {}): Promise<Ground> {
  const dir = mkdtempSync(join(tmpdir(), "belay-e2e-"));
  const stops: (() => Promise<unknown>)[] = [async () => rmSync(dir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const flagsPath = join(dir, "flags.json");
    const service = await startService({ flags: `file=${flagsPath}`, seed: 1, ratePerS: 60, ...options });
    stops.push(() => service.stop());
    const prometheus = new PrometheusKeeper(
      join(dir, "prometheus"),
      await freePort(),
      `127.0.0.1:${service.port}`,
    );
    stops.push(() => prometheus.kill());
    await prometheus.start();
    await prometheus.seesService();
    return { dir, service, probe: createProbe(service.origin), prometheus, flagsPath, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
