/** Starts a real Alertmanager on a free port of 127.0.0.1 that posts every alert to one webhook at once, and stops it with everything it wrote. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../demo/world/loopback.ts";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { eventually } from "./eventually.ts";

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 10_000;

export interface AlertmanagerSettings {
  /** Where alerts are posted to. */
  readonly webhook: string;
  /** Sent as `Authorization: Bearer`. */
  readonly token: string;
  /** A free one when not given. */
  readonly port?: number;
}

export interface RunningAlertmanager {
  readonly url: string;
  /** `127.0.0.1:1234`, as Prometheus is told. */
  readonly address: string;
  stop(): Promise<void>;
}

/** Resolves when it is ready; rejects with its own words when it is not installed, ends early, or is not ready in time. */
export async function startAlertmanager(settings: AlertmanagerSettings): Promise<RunningAlertmanager> {
  const program = findProgram("alertmanager");
  if (program === undefined)
    throw new Error("Alertmanager is not installed: `npm test` installs it or says how");
  const dir = await mkdtemp(join(tmpdir(), "belay-alertmanager-"));
  await writeFile(join(dir, "alertmanager.json"), JSON.stringify(configuration(settings)));
  const port = settings.port ?? (await freePort());
  const child = spawn(
    program,
    [
      `--config.file=${join(dir, "alertmanager.json")}`,
      `--storage.path=${join(dir, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
      "--log.level=warn",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  child.on("error", (error) => {
    said += error.message;
  });
  const endWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", endWithUs);
  const stop = async (): Promise<void> => {
    process.removeListener("exit", endWithUs);
    await end(child);
    await rm(dir, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await eventually("Alertmanager is ready", () => isReady(child, url), {
      withinMs: READY_WITHIN_MS,
      instead: () => said,
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, address: `127.0.0.1:${port}`, stop };
}

/** JSON is YAML, so no writer for YAML is needed. Every alert is its own group, so that none waits for another. */
function configuration({ webhook, token }: AlertmanagerSettings): unknown {
  return {
    route: {
      receiver: "belay",
      group_by: ["..."],
      group_wait: "0s",
      group_interval: "1s",
      repeat_interval: "1h",
    },
    receivers: [
      {
        name: "belay",
        webhook_configs: [
          {
            url: webhook,
            send_resolved: true,
            http_config: { authorization: { type: "Bearer", credentials: token } },
          },
        ],
      },
    ],
  };
}

async function isReady(child: ChildProcess, url: string): Promise<true | undefined> {
  if (hasEnded(child)) throw new Error("it ended");
  const response = await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) });
  await response.arrayBuffer();
  return response.ok ? true : undefined;
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await ended;
  clearTimeout(late);
}
