/** Prometheus or Alertmanager as a child of the demo: started on a given port, watched for its end, stopped by its process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { answers } from "./managed.ts";

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 25;
const WORDS_KEPT_CHARS = 4_000;

export interface Program {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves, with its last words, when it ends without having been stopped. */
  readonly died: Promise<string>;
  readonly stop: () => Promise<void>;
}

export interface ProgramOptions {
  readonly program: "prometheus" | "alertmanager";
  readonly port: number;
  readonly args: readonly string[];
  /** Told the process id at once, before it is ready. */
  readonly onStart: (pid: number) => void;
}

/** Resolves when it is ready. Rejects, with its last words, when it is not installed, ends early, or is not ready within 20 s. */
export async function startProgram({ program, port, args, onStart }: ProgramOptions): Promise<Program> {
  const path = findProgram(program);
  if (path === undefined)
    throw new Error(`${program} is not installed: \`npm run demo\` installs it or says how`);
  const child = spawn(path, args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = lastWords(program, child);
  const url = `http://127.0.0.1:${port}`;
  if (child.pid === undefined) throw new Error(await ended);
  onStart(child.pid);
  try {
    await Promise.race([
      ready(program, url),
      ended.then((why) => {
        throw new Error(why);
      }),
    ]);
  } catch (error) {
    await end(child, "SIGKILL");
    throw error;
  }
  let stopped = false;
  return {
    url,
    port,
    pid: child.pid,
    died: new Promise((resolve) => {
      void ended.then((why) => {
        if (!stopped) resolve(why);
      });
    }),
    stop: async () => {
      stopped = true;
      await end(child, "SIGTERM");
    },
  };
}

function lastWords(program: string, child: ChildProcess): Promise<string> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-WORDS_KEPT_CHARS);
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(`${program} cannot be started: ${error.message}`));
    child.once("close", (code, signal) => resolve(`${program} ended (${signal ?? `code ${code}`})\n${said}`));
  });
}

async function ready(program: string, url: string): Promise<void> {
  const until = performance.now() + READY_WITHIN_MS;
  while (!(await answers(`${url}/-/ready`))) {
    if (performance.now() > until) throw new Error(`${program} is not ready within ${READY_WITHIN_MS} ms`);
    await delay(LOOK_EVERY_MS);
  }
}

async function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await gone;
  clearTimeout(late);
}
