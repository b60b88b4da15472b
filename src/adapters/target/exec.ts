/** A target that is restarted by a program with its arguments: no shell, a clean environment, a total deadline, and only programs on a list. */
import { spawn } from "node:child_process";
import { isAbsolute, normalize } from "node:path";
import { OutsideFault } from "../../engine/ports.ts";

const MOST_OUTPUT_BYTES = 16 * 1024;
const MOST_TOLD_CHARS = 300;

export interface ExecOptions {
  /** The absolute path of the program, then its arguments as they are. */
  readonly argv: readonly string[];
  /** Absolute paths of the programs that may be run. */
  readonly programs: readonly string[];
  /** All of its environment. */
  readonly environment: { readonly PATH: string; readonly HOME: string };
  /** Total deadline, ms; then it is killed with all that it started in its process group. */
  readonly timeoutMs: number;
}

/** Resolves when the program ended with 0; rejects with an `OutsideFault` that says what it complained of. */
export async function runProgram({ argv, programs, environment, timeoutMs }: ExecOptions): Promise<void> {
  const [program = "", ...args] = argv;
  checkProgram(program, programs);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (message: string, recoverable: boolean): void =>
    reject(new OutsideFault(`${program} ${message}`, { recoverable }));
  const child = startProgram(program, args, environment);
  const said = keepOutput();
  const timer = setTimeout(() => {
    fail(`did not end within ${timeoutMs} ms`, true);
    killGroup(child.pid);
  }, timeoutMs);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", said.take);
    // What it leaves running may keep its output open; that holds up neither this restart nor the end of Belay.
    stream.on("error", () => undefined);
    if ("unref" in stream && typeof stream.unref === "function") stream.unref();
  }
  child.on("error", (error) => {
    const code = "code" in error ? String(error.code) : "no code";
    fail(`cannot be run (${code})`, false);
  });
  child.on("exit", (code, signal) => {
    if (code === 0) return resolve();
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    // What was written before the end may still be on its way through the pipe.
    setImmediate(() => fail(`${how}${said.words()}`, true));
  });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

function checkProgram(program: string, programs: readonly string[]): void {
  const fault = (why: string): OutsideFault => new OutsideFault(why, { recoverable: false });
  if (!isAbsolute(program) || normalize(program) !== program || program.includes("\0"))
    throw fault(`expected the absolute path of a program to restart with, found ${JSON.stringify(program)}`);
  if (!programs.includes(program))
    throw fault(
      `${program} is not on the list of programs that Belay may run (${programs.join(", ") || "the list is empty"})`,
    );
}

/** The leader of its own group, so that all of it can be ended. */
function startProgram(program: string, args: readonly string[], environment: ExecOptions["environment"]) {
  try {
    return spawn(program, args, {
      shell: false,
      cwd: "/",
      env: { PATH: environment.PATH, HOME: environment.HOME },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  } catch {
    // Such as a NUL in an argument.
    throw new OutsideFault(`${program} cannot be run with these arguments`, { recoverable: false });
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** Keeps the last of what was written, and reads on without keeping what comes before. */
function keepOutput(): { readonly take: (chunk: Buffer) => void; readonly words: () => string } {
  let kept = Buffer.alloc(0);
  return {
    take(chunk) {
      const all = Buffer.concat([kept, chunk.subarray(-MOST_OUTPUT_BYTES)]);
      kept = all.subarray(-MOST_OUTPUT_BYTES);
    },
    words() {
      const lines = kept.toString("utf8").trim().split("\n");
      const last = (lines.at(-1) ?? "").replaceAll(/\p{Cc}/gu, " ").slice(0, MOST_TOLD_CHARS);
      return last === "" ? "" : `: ${last}`;
    },
  };
}
