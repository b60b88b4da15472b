/** A process of the bot platform that Belay may restart: started with a pidfile, as Belay's own `process` target does it, and found by that pidfile whoever started it last. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { createProcessTarget } from "../../src/adapters/target/process.ts";
import { startMarkOf } from "../../src/adapters/target/process-table.ts";

const UP_WITHIN_MS = 15_000;
const STOP_WITHIN_MS = 2_000;
const ANSWER_WITHIN_MS = 1_000;

export interface ManagedOptions {
  readonly name: string;
  /** The program and its arguments. */
  readonly command: readonly string[];
  /** Where pidfile and log are. */
  readonly dir: string;
  /** Answers 200 when it is up. */
  readonly upUrl: string;
}

/** What a `process` target of a watch needs to restart it. */
export interface RestartAs {
  readonly command: readonly string[];
  readonly pidfile: string;
  readonly log: string;
}

export interface Managed {
  readonly restartAs: RestartAs;
  readonly upUrl: string;
  /** Of the process that runs now; undefined when none does. */
  readonly pid: () => number | undefined;
  /** Stops it where it runs and starts it; resolves when it is up. */
  readonly restart: () => Promise<void>;
  /** `kill -9`; nobody starts it again but who watches it. Returns the id of the process; throws when none runs. */
  readonly kill: () => number;
  /** Resolves when it is gone; whoever watches it must be gone before. */
  readonly stop: () => Promise<void>;
}

const recordSchema = z.object({ kind: z.literal("started"), pid: z.number(), startMark: z.string() });

/** Nothing runs before the first `restart`. */
export function manage({ name, command, dir, upUrl }: ManagedOptions): Managed {
  const restartAs = { command, pidfile: join(dir, `${name}.pid`), log: join(dir, `${name}.log`) };
  const target = targetFor(restartAs, upUrl);
  const pid = (): number | undefined => {
    const known = startedBy(restartAs.pidfile);
    return known !== undefined && startMarkOf(known.pid) === known.startMark ? known.pid : undefined;
  };
  return {
    restartAs,
    upUrl,
    pid,
    restart: target.restart,
    kill: () => {
      const running = pid();
      if (running === undefined) throw new Error(`${name} does not run`);
      process.kill(running, "SIGKILL");
      return running;
    },
    stop: target.stop,
  };
}

/** Ends what a pidfile names, if it still runs. */
export async function stopByPidfile(pidfile: string): Promise<void> {
  await targetFor({ command: ["none"], pidfile, log: "" }, undefined).stop();
}

function targetFor({ command, pidfile, log }: RestartAs, upUrl: string | undefined) {
  return createProcessTarget({
    command,
    pidfile,
    logFile: log,
    environment: async () => ({}),
    settleMs: 50,
    upWithinMs: UP_WITHIN_MS,
    stopTimeoutMs: STOP_WITHIN_MS,
    isUp: upUrl === undefined ? undefined : () => answers(upUrl),
  });
}

function startedBy(pidfile: string): z.output<typeof recordSchema> | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(pidfile, "utf8"))).data;
  } catch {
    return undefined;
  }
}

/** Whether the address answers 200 within a second. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), redirect: "error" });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
