/** Starts a real PostgreSQL on a free port of 127.0.0.1 with data in a temporary folder, and stops it with everything it wrote. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { chown, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../demo/world/loopback.ts";
import { findProgram } from "../../scripts/setup/programs.mjs";
import { eventually } from "./eventually.ts";

const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 10_000;
const PORT_TRIES = 3;
const REMOVE_TRIES = 40;
const REMOVE_EVERY_MS = 50;
const USER = "belay";
/** PostgreSQL refuses to run as root; this is `nobody`. */
const NOBODY = 65_534;

const runProgram = promisify(execFile);

export interface RunningPostgres {
  readonly port: number;
  readonly pid: number;
  /** `postgres://…` of one database. */
  urlOf(database: string): string;
  /** Runs one statement; resolves to what `psql` prints of it, without decoration. */
  sql(database: string, statement: string): Promise<string>;
  /** An empty database, or a copy of another one to which nobody is connected (0.1 s). */
  createDatabase(name: string, template?: string): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** Rejects, saying what to type, when PostgreSQL is not installed; and with its own words when it does not start within 20 s. */
export async function startPostgres(): Promise<RunningPostgres> {
  const program = findProgram("postgresql");
  if (program === undefined)
    throw new Error("PostgreSQL is not installed: `node scripts/setup.mjs test` installs it or says how");
  // Its own folder, where its other programs are too; on PATH there may be links to some of them.
  const bin = dirname(await realpath(program));
  const dir = await mkdtemp(join(tmpdir(), "belay-postgres-"));
  const identity = process.geteuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if ("uid" in identity) await chown(dir, NOBODY, NOBODY);
  const env = { PATH: process.env.PATH ?? "", HOME: dir, LC_ALL: "C" };
  const data = join(dir, "data");
  try {
    const words = ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"];
    await runProgram(join(bin, "initdb"), words, { env, cwd: dir, ...identity });
    const { child, port } = await startOnFreePort(bin, data, { env, cwd: dir, ...identity });
    const sql = async (database: string, statement: string): Promise<string> =>
      (
        await runProgram(join(bin, "psql"), [...connection(port, database), "-c", statement], { env })
      ).stdout.trim();
    return {
      port,
      pid: child.pid ?? 0,
      urlOf: (database) => `postgres://${USER}@127.0.0.1:${port}/${database}`,
      sql,
      createDatabase: async (name, template) => {
        await sql(
          "postgres",
          `CREATE DATABASE ${name}${template === undefined ? "" : ` TEMPLATE ${template}`}`,
        );
      },
      stop: async () => {
        await end(child);
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

function connection(port: number, database: string): readonly string[] {
  return [
    "-h",
    "127.0.0.1",
    "-p",
    String(port),
    "-U",
    USER,
    "-d",
    database,
    "-X",
    "-q",
    "-A",
    "-t",
    "-v",
    "ON_ERROR_STOP=1",
  ];
}

interface SpawnPlace {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Between finding a free port and using it another process may take it; then the next one is tried. */
async function startOnFreePort(
  bin: string,
  data: string,
  place: SpawnPlace,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  for (let tried = 1; ; tried++) {
    const port = await freePort();
    const { child, words } = launch(bin, data, port, place);
    try {
      const patience = { withinMs: READY_WITHIN_MS, everyMs: 50 };
      const state = await eventually(
        "PostgreSQL answers",
        () => stateOf(bin, child, port, place.env),
        patience,
      );
      if (state === "ended") throw new Error("it ended");
      return { child, port };
    } catch (error) {
      await end(child);
      if (!words().includes("Address already in use") || tried === PORT_TRIES)
        throw new Error(`PostgreSQL did not start: ${words()}`, { cause: error });
    }
  }
}

/** Nothing of it has to outlive a crash of the machine, so nothing is forced to the disk. */
const SETTINGS: readonly string[] = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "fsync=off",
  "synchronous_commit=off",
  "full_page_writes=off",
  "max_connections=100",
];

function launch(
  bin: string,
  data: string,
  port: number,
  place: SpawnPlace,
): { readonly child: ChildProcess; words(): string } {
  const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
  const child = spawn(join(bin, "postgres"), ["-D", data, "-p", String(port), ...settings], {
    ...place,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  // SIGQUIT takes its processes with it at once; they may still write for a moment.
  const endWithUs = (): void => {
    child.kill("SIGQUIT");
    removeNow(dirname(data));
  };
  process.once("exit", endWithUs);
  child.once("exit", () => process.removeListener("exit", endWithUs));
  child.on("error", (error) => {
    said += error.message;
  });
  return { child, words: () => said };
}

/** At the end of this process nothing can be awaited: removes until those who still write have ended. */
function removeNow(dir: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tried = 0; tried < REMOVE_TRIES && existsSync(dir); tried++) {
    Atomics.wait(pause, 0, 0, REMOVE_EVERY_MS);
    try {
      rmSync(dir, { recursive: true, force: true });
    } catch {
      // Somebody wrote meanwhile; the next try is after them.
    }
  }
}

/** Rejects while nobody answers. */
async function stateOf(
  bin: string,
  child: ChildProcess,
  port: number,
  env: NodeJS.ProcessEnv,
): Promise<"ready" | "ended"> {
  if (hasEnded(child)) return "ended";
  await runProgram(join(bin, "psql"), [...connection(port, "postgres"), "-c", "SELECT 1"], { env });
  return "ready";
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGQUIT");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}
