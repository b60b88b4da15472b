/** A target that is a plain process of ours: stopped and started by Belay, and found again by its pidfile after Belay itself was restarted. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { DEFAULT_STOP_TIMEOUT_MS } from "../../core/files/flags-file.ts";
import { createTurns, OutsideFault, type Target } from "../../engine/ports.ts";
import { passFileClock } from "./file-clock.ts";
import { processesWithVariable, startMarkOf } from "./process-table.ts";
import { type Look, waitUntilUp } from "./up.ts";

const DEFAULT_SETTLE_MS = 250;
/** After SIGKILL a process is gone as soon as the kernel gets to it. */
const KILL_TIMEOUT_MS = 5_000;
const LOOK_EVERY_MS = 15;
/** Names this start in the process's own environment, so that it can be found when Belay dies between the start and the pidfile. */
const START_VARIABLE = "BELAY_START";
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ProcessTargetOptions {
  /** The program and its arguments; no shell is involved. */
  readonly command: readonly string[];
  readonly cwd?: string | undefined;
  readonly pidfile: string;
  /** The variables to start with, besides the base ones; asked at each start. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
  /** PATH, HOME and LANG of the process where these are not to be the usual ones. */
  readonly baseEnvironment?: Readonly<Record<string, string>> | undefined;
  /** Its output is appended here (mode 0600); dropped when not given. */
  readonly logFile?: string | undefined;
  /** From SIGTERM to SIGKILL, ms; 10 s when not given. */
  readonly stopTimeoutMs?: number | undefined;
  /** How long it must stay alive after its start, ms; 250 when not given. */
  readonly settleMs?: number | undefined;
  /** From its start until it is up, ms. */
  readonly upWithinMs: number;
  /** Asks the process itself whether it is up. */
  readonly isUp?: (() => Promise<boolean>) | undefined;
}

export interface ProcessTarget extends Target {
  /** Stops the process; resolves when it is gone, and at once when none runs. */
  stop(): Promise<void>;
}

/** `starting`: written before the start, when the process id is not known yet. */
const recordSchema = z.union([
  z.object({
    kind: z.literal("started"),
    start: z.string(),
    pid: z.number().int().positive(),
    startedAt: z.number(),
    startMark: z.string(),
  }),
  z.object({ kind: z.literal("starting"), start: z.string(), startedAt: z.number() }),
]);
type PidRecord = z.output<typeof recordSchema>;
type Started = Extract<PidRecord, { kind: "started" }>;

/**
 * Signals only the process that its pidfile names, while that id still belongs to the process started then, and what that process started in turn. It
 * is the leader of its own group and outlives Belay.
 */
export function createProcessTarget(options: ProcessTargetOptions): ProcessTarget {
  const turns = createTurns();
  const { pidfile } = options;
  return {
    restart: () =>
      turns(async () => {
        await stopRunning(options);
        await passFileClock();
        await start(options);
      }),
    stop: () => turns(() => stopRunning(options)),
    async status() {
      const known = findStarted(pidfile);
      const running = known !== undefined && startMarkOf(known.pid) === known.startMark;
      return { running, startedAt: running ? known.startedAt : undefined };
    },
  };
}

/** The process of the pidfile, whether it still runs or not; undefined when the pidfile names none. */
function findStarted(pidfile: string): Started | undefined {
  const record = readRecord(pidfile);
  if (record === undefined || record.kind === "started") return record;
  const pid = processesWithVariable(START_VARIABLE, record.start)?.[0];
  const startMark = pid === undefined ? undefined : startMarkOf(pid);
  if (pid === undefined || startMark === undefined) {
    // It never came to life, or is gone already.
    rmSync(pidfile, { force: true });
    return undefined;
  }
  const found: Started = { ...record, kind: "started", pid, startMark };
  writeRecord(pidfile, found);
  return found;
}

async function stopRunning(options: ProcessTargetOptions): Promise<void> {
  const known = findStarted(options.pidfile);
  if (known === undefined) return;
  if (startMarkOf(known.pid) === known.startMark) await endLeader(known, options);
  endLeftBehind(known);
}

async function endLeader(known: Started, options: ProcessTargetOptions): Promise<void> {
  signal(-known.pid, "SIGTERM");
  if (await isGone(known, options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS)) return;
  signal(-known.pid, "SIGKILL");
  if (await isGone(known, KILL_TIMEOUT_MS)) return;
  throw new OutsideFault(`${nameOf(options)} (process ${known.pid}) does not end, not even by SIGKILL`, {
    recoverable: true,
  });
}

/** What its leader left behind must not hold on to a port that the next start needs. Where it cannot be told for sure, it is left alone. */
function endLeftBehind(known: Started): void {
  for (const pid of processesWithVariable(START_VARIABLE, known.start) ?? []) signal(pid, "SIGKILL");
}

/** Signals a process, or with a negative id a process group; one that is gone already is no fault. */
function signal(id: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(id, name);
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone)
      throw new OutsideFault(`may not signal process ${Math.abs(id)}`, { recoverable: false, cause: error });
  }
}

async function isGone(known: Started, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (startMarkOf(known.pid) === known.startMark) {
    if (performance.now() > until) return false;
    await delay(LOOK_EVERY_MS);
  }
  return true;
}

async function start(options: ProcessTargetOptions): Promise<void> {
  // Dated before its variables are read: what is written after that is surely newer than its start.
  const startedAt = Date.now();
  const variables = await options.environment();
  const { child, ended } = spawnRecorded(options, variables, startedAt);
  const { pid } = child;
  const look = (): Look => {
    const why = ended();
    if (why !== undefined) return { kind: "gone", why };
    return pid === undefined ? { kind: "coming" } : { kind: "running", run: String(pid) };
  };
  const { isUp, upWithinMs, settleMs = DEFAULT_SETTLE_MS } = options;
  await waitUntilUp({ what: nameOf(options), look, isUp, settleMs, upWithinMs });
}

/** Starts the process and writes the pidfile, in one go: nothing else of Belay runs between the start and the note of it. */
function spawnRecorded(
  options: ProcessTargetOptions,
  variables: Readonly<Record<string, string>>,
  startedAt: number,
): { readonly child: ChildProcess; readonly ended: () => string | undefined } {
  const { command, cwd, pidfile } = options;
  const [program = "", ...args] = command;
  const start = randomUUID();
  let output: number | "ignore" = "ignore";
  let ended: string | undefined;
  try {
    output = openLog(options.logFile);
    writeRecord(pidfile, { kind: "starting", start, startedAt });
    const child = spawn(program, args, {
      cwd,
      env: { ...usualEnvironment(), ...options.baseEnvironment, ...variables, [START_VARIABLE]: start },
      detached: true,
      stdio: ["ignore", output, output],
    });
    const startMark = child.pid === undefined ? undefined : startMarkOf(child.pid);
    if (child.pid !== undefined && startMark !== undefined) {
      writeRecord(pidfile, { kind: "started", start, pid: child.pid, startedAt, startMark });
    }
    const seeLog = options.logFile === undefined ? "" : `; see ${options.logFile}`;
    child.on("error", (error) => {
      ended ??= `it cannot be started (${"code" in error ? String(error.code) : error.message})`;
    });
    child.on("exit", (code, by) => {
      ended ??= `it ended at once with ${by === null ? `exit code ${code}` : by}${seeLog}`;
    });
    child.unref();
    return { child, ended: () => ended };
  } catch (error) {
    throw asFault(error, nameOf(options));
  } finally {
    if (output !== "ignore") closeSync(output);
  }
}

function asFault(error: unknown, name: string): unknown {
  if (error instanceof OutsideFault || !(error instanceof Error) || !("code" in error)) return error;
  return new OutsideFault(`${name} cannot be started: ${error.message}`, {
    recoverable: false,
    cause: error,
  });
}

function usualEnvironment(): Readonly<Record<string, string>> {
  return { PATH: DEFAULT_PATH, HOME: userInfo().homedir, LANG: "C.UTF-8" };
}

/** Several are often started with one program; the pidfile tells which one is meant. */
function nameOf({ pidfile }: ProcessTargetOptions): string {
  return `the process of ${pidfile}`;
}

function openLog(logFile: string | undefined): number | "ignore" {
  if (logFile === undefined) return "ignore";
  mkdirSync(dirname(logFile), { recursive: true });
  return openSync(logFile, "a", 0o600);
}

/** A pidfile that says anything else names no process of ours: it is never signalled. */
function readRecord(pidfile: string): PidRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(pidfile, "utf8"))).data;
  } catch {
    return undefined;
  }
}

function writeRecord(pidfile: string, record: PidRecord): void {
  mkdirSync(dirname(pidfile), { recursive: true });
  const temporary = `${pidfile}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, "w", 0o600);
    try {
      writeSync(file, `${JSON.stringify(record)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, pidfile);
  } finally {
    rmSync(temporary, { force: true });
  }
}
