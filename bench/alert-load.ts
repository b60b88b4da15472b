/** A process that posts alerts like an Alertmanager in a very bad minute, at a steady pace; prints how it was answered as one JSON object. */
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

const ALERTS = 50;
/** Of the alerts of a post, so many are new; the others are repeats. */
const NEW = 5;
const POOL = 5_000;
const SERVICES = 50;
const STEP_MS = 10;
const TIMEOUT_MS = 10_000;

interface Options {
  readonly url: string;
  readonly token: string;
  readonly perMinute: number;
  readonly seconds: number;
  /** Names of alerts, in turn; from `stormAt` (s) on, those of `storm`. */
  readonly noise: readonly string[];
  readonly storm: readonly string[];
  readonly stormAt: number;
}

function readOptions(): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: { url: text, rate: text, seconds: text, noise: text, storm: text, stormAt: text },
  });
  return {
    url: values.url ?? "",
    token: process.env["ALERTS_TOKEN"] ?? "",
    perMinute: Number(values.rate ?? "10000"),
    seconds: Number(values.seconds ?? "60"),
    noise: (values.noise ?? "Noise").split(","),
    storm: (values.storm ?? "Noise").split(","),
    stormAt: Number(values.stormAt ?? "30"),
  };
}

function alertOf(id: number, name: string, startsAt: string): unknown {
  return {
    status: "firing",
    labels: {
      alertname: name,
      service: `noise-${id % SERVICES}`,
      environment: "test",
      instance: `10.0.${id % 256}.${(id >> 8) % 256}:9100`,
      severity: "critical",
    },
    annotations: { summary: `something is wrong with ${id}`, runbook_url: "http://runbooks.example/noise" },
    startsAt,
    endsAt: "0001-01-01T00:00:00Z",
    generatorURL: "http://prometheus.example/graph?g0.expr=up",
    fingerprint: id.toString(16).padStart(16, "0"),
  };
}

class Load {
  readonly #options: Options;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 });
  readonly #statuses = new Map<string, number>();
  readonly #latencies: number[] = [];
  readonly #begin = new Date().toISOString();
  #ids = POOL;
  #sent = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { perMinute, seconds } = this.#options;
    const total = Math.round((perMinute / 60) * seconds);
    const start = performance.now();
    const answers: Promise<void>[] = [];
    while (this.#sent < total) {
      const due = Math.min(total, ((performance.now() - start) / 60_000) * perMinute);
      while (this.#sent < due) answers.push(this.#post(this.#body((performance.now() - start) / 1_000)));
      await delay(STEP_MS);
    }
    await Promise.all(answers);
    const ms = performance.now() - start;
    this.#agent.destroy();
    const latencies = this.#latencies.sort((a, b) => a - b);
    const at = (share: number): number =>
      latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? Number.NaN;
    const statuses = Object.fromEntries(this.#statuses);
    process.stdout.write(
      `${JSON.stringify({ posts: this.#sent, ms, statuses, p50: at(0.5), p99: at(0.99), max: at(1) })}\n`,
    );
  }

  #body(second: number): string {
    const { noise, storm, stormAt } = this.#options;
    const names = second < stormAt ? noise : storm;
    const name = (id: number): string => names[id % names.length] ?? "Noise";
    const now = new Date().toISOString();
    const alerts = Array.from({ length: ALERTS }, (_, index) => {
      const repeated = (this.#sent * ALERTS + index) % POOL;
      if (index >= NEW) return alertOf(repeated, "Noise", this.#begin);
      const id = ++this.#ids;
      return alertOf(id, name(id), now);
    });
    const common = {
      groupLabels: {},
      commonLabels: {},
      commonAnnotations: {},
      externalURL: "http://am.example",
    };
    this.#sent++;
    return JSON.stringify({
      version: "4",
      groupKey: "{}",
      truncatedAlerts: 0,
      status: "firing",
      receiver: "belay",
      ...common,
      alerts,
    });
  }

  #post(body: string): Promise<void> {
    const { url, token } = this.#options;
    const start = performance.now();
    return new Promise((resolve) => {
      const done = (status: string): void => {
        this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
        this.#latencies.push(performance.now() - start);
        resolve();
      };
      const headers = {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      };
      const sent = request(url, { method: "POST", agent: this.#agent, headers, timeout: TIMEOUT_MS });
      sent.on("response", (response) => {
        response.resume();
        response.on("end", () => done(String(response.statusCode)));
      });
      sent.on("timeout", () => sent.destroy(new Error("timeout")));
      sent.on("error", (error) => done(error.message));
      sent.end(body);
    });
  }
}

await new Load(readOptions()).run();
