/** One child process of the ingestion service: how it is started, heard and ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { z } from "zod";
import { FEATURE_KEYS } from "./features.ts";
import type { MisbehaviourMode } from "./misbehaviour.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const STOP_TIMEOUT_MS = 2_000;
const STDERR_KEPT_CHARS = 4_000;

/** A line the service printed on standard output: `event`, and what belongs to it. */
const eventSchema = z.looseObject({ event: z.string() });
export type ServiceEvent = Readonly<z.infer<typeof eventSchema>>;

/** What one process is started with. */
export interface ChildOptions {
  /** Where flags come from, as for --flags: "env", "file=PATH", "ofrep=URL", "ofrep=URL,file=PATH". Default "env". */
  readonly flags?: string;
  readonly seed?: number;
  /** Files per second offered. */
  readonly ratePerS?: number;
  readonly appVersion?: string;
  /** Variables for the service. It inherits the others, except FEATURE_*, DEMO_*, PORT and NODE_OPTIONS. */
  readonly env?: Readonly<Record<string, string>>;
  /** A file of KEY=value lines, read before every start as systemd reads an EnvironmentFile; it wins over `env`. */
  readonly envFile?: string;
  /** The first misbehaviour; a mode set by POST /misbehave replaces it and survives restarts. */
  readonly misbehave?: MisbehaviourMode;
}

/** What a child tells its keeper. */
export interface ChildListener {
  /** A line on standard output. */
  readonly event: (event: ServiceEvent) => void;
  /** It is gone, or never came to life; called once, with how, and what it last wrote to standard error. */
  readonly ended: (how: string) => void;
}

/** Starts a process on this port with this work folder. Throws when `envFile` cannot be read. */
export function startChild(
  options: ChildOptions,
  port: number,
  dir: string,
  listener: ChildListener,
): ChildProcess {
  const child = spawn(process.execPath, argvFor(options, port, dir), {
    env: childEnv(options),
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own: a Ctrl-C in the terminal is for the parent, which then stops the child.
    detached: true,
  });
  // A write to a child that is gone is no news: its exit is.
  child.stdin.on("error", () => {});
  let lastWords = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    lastWords = (lastWords + text).slice(-STDERR_KEPT_CHARS);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = eventSchema.safeParse(jsonFrom(line));
    if (event.success) listener.event(event.data);
  });
  let told = false;
  const ended = (how: string): void => {
    if (!told) listener.ended(`${how}\n${lastWords}`.trim());
    told = true;
  };
  child.once("error", (error) => ended(error.message));
  child.once("close", (code, signal) => ended(signal ?? `code ${code}`));
  return child;
}

function argvFor(options: ChildOptions, port: number, dir: string): readonly string[] {
  const { flags = "env", seed, ratePerS, appVersion } = options;
  return [
    // Without a bound the young heap grows by 130 MB in minutes, which looks like a leak.
    "--max-semi-space-size=2",
    MAIN,
    "--stop-with-stdin",
    `--port=${port}`,
    `--flags=${flags}`,
    `--dir=${dir}`,
    `--misbehave-file=${join(dir, "misbehave.json")}`,
    ...(seed === undefined ? [] : [`--seed=${seed}`]),
    ...(ratePerS === undefined ? [] : [`--rate=${ratePerS}`]),
    ...(appVersion === undefined ? [] : [`--app-version=${appVersion}`]),
  ];
}

function childEnv(options: ChildOptions): NodeJS.ProcessEnv {
  const hidden = new Set<string>([...FEATURE_KEYS, "DEMO_MISBEHAVE", "DEMO_FLAGS", "PORT", "NODE_OPTIONS"]);
  const inherited = Object.entries(process.env).filter(([key]) => !hidden.has(key));
  return {
    ...Object.fromEntries(inherited),
    ...(options.misbehave === undefined ? {} : { DEMO_MISBEHAVE: options.misbehave }),
    ...options.env,
    ...(options.envFile === undefined ? {} : parseEnv(readFileSync(options.envFile, "utf8"))),
  };
}

function jsonFrom(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Asks the process to stop, and kills it when it does not; resolves when it is gone. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const stopped = new AbortController();
  const patience = delay(STOP_TIMEOUT_MS, undefined, { signal: stopped.signal }).then(
    () => void child.kill("SIGKILL"),
    () => {},
  );
  await gone;
  stopped.abort();
  await patience;
}
