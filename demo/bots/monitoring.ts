/** The real Prometheus and the real Alertmanager of the bot platform: their configuration for loopback, with scrapes and rules every second. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Program, startProgram } from "./program.ts";
import { type AlertLabels, rulesFor } from "./rules.ts";

const EVERY = "1s";

export interface ScrapeJob {
  readonly job: string;
  /** Port on 127.0.0.1. */
  readonly port: number;
}

/** Where alerts are told: Belay's `/alerts`. */
export interface AlertWebhook {
  readonly url: string;
  readonly token: string;
}

export interface MonitoringOptions {
  /** An empty folder. */
  readonly dir: string;
  readonly prometheusPort: number;
  readonly alertmanagerPort: number;
  readonly jobs: readonly ScrapeJob[];
  readonly labels: AlertLabels;
  /** Without one, Alertmanager keeps its alerts to itself. */
  readonly webhook?: AlertWebhook | undefined;
  readonly onStart: (pid: number) => void;
}

const local = (port: number): string => `127.0.0.1:${port}`;

/** Resolves when it is ready; its first scrape may come up to 5 s later. */
export function startAlertmanager(options: MonitoringOptions): Promise<Program> {
  const { dir, alertmanagerPort: port, webhook, onStart } = options;
  const config = write(dir, "alertmanager.json", alertmanagerConfig(webhook));
  return startProgram({
    program: "alertmanager",
    port,
    onStart,
    args: [
      `--config.file=${config}`,
      `--storage.path=${folder(dir, "alertmanager")}`,
      `--web.listen-address=${local(port)}`,
      "--cluster.listen-address=",
      "--log.level=warn",
    ],
  });
}

/** Resolves when it is ready. */
export function startPrometheus(options: MonitoringOptions): Promise<Program> {
  const { dir, prometheusPort: port, onStart } = options;
  write(dir, "rules.json", rulesFor(options.labels));
  const config = write(dir, "prometheus.json", prometheusConfig(options));
  return startProgram({
    program: "prometheus",
    port,
    onStart,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${folder(dir, "tsdb")}`,
      `--web.listen-address=${local(port)}`,
      // The end of an alert, and what Alertmanager forgot in a restart, are told this soon.
      "--rules.alert.resend-delay=1s",
      "--log.level=warn",
    ],
  });
}

function prometheusConfig({ jobs, prometheusPort, alertmanagerPort }: MonitoringOptions): unknown {
  // Itself as one more target: only then can a dead service be told from a Prometheus that sees nothing.
  const all = [...jobs, { job: "prometheus", port: prometheusPort }];
  return {
    global: { scrape_interval: EVERY, scrape_timeout: EVERY, evaluation_interval: EVERY },
    rule_files: ["rules.json"],
    alerting: { alertmanagers: [{ static_configs: [{ targets: [local(alertmanagerPort)] }] }] },
    scrape_configs: all.map(({ job, port }) => ({
      job_name: job,
      static_configs: [{ targets: [local(port)] }],
    })),
  };
}

function alertmanagerConfig(webhook: AlertWebhook | undefined): unknown {
  const receiver =
    webhook === undefined
      ? { name: "belay" }
      : {
          name: "belay",
          webhook_configs: [
            {
              url: webhook.url,
              send_resolved: true,
              http_config: { authorization: { type: "Bearer", credentials: webhook.token } },
            },
          ],
        };
  return {
    // Each alert is told by itself and at once; what belongs together is for Belay to say.
    route: {
      receiver: "belay",
      group_by: ["..."],
      group_wait: "0s",
      group_interval: EVERY,
      repeat_interval: "1m",
    },
    receivers: [receiver],
  };
}

/** JSON is YAML, so no writer for YAML is needed. Only its owner may read it: one of them holds a token. */
function write(dir: string, name: string, content: unknown): string {
  const path = join(dir, name);
  writeFileSync(path, JSON.stringify(content, null, 2), { mode: 0o600 });
  return path;
}

function folder(dir: string, name: string): string {
  const path = join(dir, name);
  mkdirSync(path, { recursive: true });
  return path;
}
