/** Starts a real Prometheus on a free port of 127.0.0.1 that scrapes the targets given, and stops it with everything it wrote. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../../demo/world/loopback.ts";
import { findProgram } from "../../scripts/setup/programs.mjs";

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 10_000;
const POLL_MS = 25;
const FROZEN_AFTER_MS = 300;
const PORT_TRIES = 3;

export interface PrometheusTarget {
  readonly job: string;
  /** `127.0.0.1:1234`, one for each instance. */
  readonly addresses: readonly string[];
}

/** An alert that fires as soon as its expression has a value. */
export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface PrometheusSettings {
  readonly targets: readonly PrometheusTarget[];
  /** Scrape and rule interval, ms. */
  readonly scrapeMs: number;
  /** Rules, and the Alertmanagers (`127.0.0.1:1234`) that hear of what fires; none when not given. */
  readonly alerting?: { readonly rules: readonly AlertRule[]; readonly alertmanagers: readonly string[] };
  /** Folder for configuration and data; a temporary one, removed at the end, when not given. */
  readonly dir?: string | undefined;
  /** A free one when not given. */
  readonly port?: number | undefined;
}

export interface RunningPrometheus {
  /** Base address, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Stops the process without closing anything, until `resume`; resolves when it answers no more. */
  freeze(): Promise<void>;
  resume(): void;
  /** Ends it at once and leaves its data; `stop` is still needed. */
  kill(): Promise<void>;
  /** Ends it and removes the temporary folder. */
  stop(): Promise<void>;
}

/**
 * Resolves when Prometheus is ready to answer; its first scrape may come up to 5 s later, since it takes up targets in such steps.
 * Rejects when Prometheus is not installed, ends early, or is not ready within 20 s; its own words are in the error.
 */
export async function startPrometheus(settings: PrometheusSettings): Promise<RunningPrometheus> {
  const dir = settings.dir ?? (await mkdtemp(join(tmpdir(), "belay-prometheus-")));
  await writeFile(join(dir, "prometheus.json"), JSON.stringify(configuration(settings)));
  const rules = { groups: [{ name: "rules", rules: settings.alerting?.rules ?? [] }] };
  await writeFile(join(dir, "rules.json"), JSON.stringify(rules));
  let running: { readonly child: ChildProcess; readonly port: number };
  try {
    running = await startOnFreePort(dir, settings.port);
  } catch (error) {
    if (settings.dir === undefined) await rm(dir, { recursive: true, force: true });
    throw error;
  }
  const { child, port } = running;
  const kill = (): Promise<void> => end(child, "SIGKILL");
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    freeze: async () => {
      child.kill("SIGSTOP");
      // The signal takes a moment to reach every thread.
      while (await answers(port, FROZEN_AFTER_MS)) await delay(POLL_MS);
    },
    resume: () => void child.kill("SIGCONT"),
    kill,
    stop: async () => {
      child.kill("SIGCONT");
      await end(child, "SIGTERM");
      if (settings.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}

/** JSON is YAML, so no writer for YAML is needed. */
function configuration(settings: PrometheusSettings): unknown {
  const interval = `${settings.scrapeMs}ms`;
  return {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: ["rules.json"],
    ...(settings.alerting === undefined
      ? {}
      : {
          alerting: {
            alertmanagers: [{ static_configs: [{ targets: settings.alerting.alertmanagers }] }],
          },
        }),
    scrape_configs: settings.targets.map(({ job, addresses }) => ({
      job_name: job,
      static_configs: [{ targets: addresses }],
    })),
  };
}

/** Between finding a free port and using it another process may take it; then the next one is tried. */
async function startOnFreePort(
  dir: string,
  wanted: number | undefined,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  for (let tried = 1; ; tried++) {
    const port = wanted ?? (await freePort());
    const { child, words } = launch(dir, port);
    try {
      await ready(child, port);
      return { child, port };
    } catch (error) {
      await end(child, "SIGKILL");
      const taken = words().includes("address already in use");
      if (!taken || wanted !== undefined || tried === PORT_TRIES) {
        throw new Error(
          `Prometheus did not start: ${error instanceof Error ? error.message : "unknown"}\n${words()}`,
          { cause: error },
        );
      }
    }
  }
}

function launch(dir: string, port: number): { readonly child: ChildProcess; words(): string } {
  const program = findProgram("prometheus");
  if (program === undefined)
    throw new Error("Prometheus is not installed: `npm test` installs it or says how");
  const child = spawn(
    program,
    [
      `--config.file=${join(dir, "prometheus.json")}`,
      `--storage.tsdb.path=${join(dir, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--rules.alert.resend-delay=1s",
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const endWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", endWithUs);
  child.once("exit", () => process.removeListener("exit", endWithUs));
  // A program that cannot be started is reported by the wait for readiness.
  child.on("error", (error) => {
    said += error.message;
  });
  return { child, words: () => said };
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  const until = performance.now() + READY_WITHIN_MS;
  for (;;) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
      throw new Error("it ended");
    if (await answers(port, 1_000)) return;
    if (performance.now() > until) throw new Error(`not ready within ${READY_WITHIN_MS / 1000} s`);
    await delay(POLL_MS);
  }
}

async function answers(port: number, withinMs: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/-/ready`, {
      signal: AbortSignal.timeout(withinMs),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}
