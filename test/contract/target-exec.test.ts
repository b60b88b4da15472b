/** Targets that are restarted by a program: no shell, nothing of Belay's environment, an end in time, and only what is on the list. */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { runProgram } from "../../src/adapters/target/exec.ts";
import { faultOf } from "../support/faults.ts";

const dirs: string[] = [];
const ENVIRONMENT = { PATH: "/usr/bin:/bin", HOME: "/nonexistent" };

afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

/** A program of this text, in a folder of its own. */
function program(text: string): { readonly path: string; readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), "belay-exec-"));
  dirs.push(dir);
  const path = join(dir, "restart");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o700);
  return { path, dir };
}

function run(path: string, args: readonly string[] = [], timeoutMs = 5_000): Promise<void> {
  return runProgram({ argv: [path, ...args], programs: [path], environment: ENVIRONMENT, timeoutMs });
}

describe("a program", () => {
  it("gets its arguments as they are: no shell reads them", async () => {
    const { path, dir } = program(`printf '%s\\n' "$#" "$@" > "$(dirname "$0")/out"`);
    const args = ["$(touch pwned)", "; rm -rf x", "a b", "--option", "*", "`id`", ""];
    await run(path, args);
    expect(readFileSync(join(dir, "out"), "utf8").split("\n").slice(0, -1)).toEqual([
      String(args.length),
      ...args,
    ]);
    expect(existsSync(join(dir, "pwned"))).toBe(false);
  });

  it("gets PATH and HOME and nothing else of the environment, and no input", async () => {
    vi.stubEnv("BELAY_SECRET", "canary");
    const { path, dir } = program(
      `out="$(dirname "$0")/out"; /usr/bin/env > "$out"; cat >> "$out"; pwd >> "$out"`,
    );
    await run(path);
    const said = readFileSync(join(dir, "out"), "utf8");
    expect(said).toContain("PATH=/usr/bin:/bin\n");
    expect(said).toContain("HOME=/nonexistent\n");
    expect(said).not.toContain("canary");
    const known = new Set(["PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_"]);
    const names = said
      .split("\n")
      .flatMap((line) => (line.includes("=") ? [line.slice(0, line.indexOf("="))] : []));
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(said.trimEnd().endsWith("\n/")).toBe(true);
  });

  it("that fails is told with the last line that it wrote", async () => {
    const { path } = program("echo starting; echo 'no such bot' >&2; exit 3");
    const fault = await faultOf(run(path));
    expect(fault.message).toBe(`${path} ended with exit code 3: no such bot`);
    expect(fault.recoverable).toBe(true);
  });

  it("that writes without end neither fills the memory nor outlives its deadline", async () => {
    const { path } = program("exec yes 0123456789012345678901234567890123456789");
    const before = process.memoryUsage().rss;
    const begun = performance.now();
    const fault = await faultOf(run(path, [], 500));
    expect(fault.message).toBe(`${path} did not end within 500 ms`);
    expect(performance.now() - begun).toBeLessThan(1_500);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it("that hangs is killed with all that it started", async () => {
    const { path, dir } = program(`sleep 60 & echo $! > "$(dirname "$0")/pid"; trap '' TERM; wait; sleep 60`);
    await faultOf(run(path, [], 400));
    const pid = Number(readFileSync(join(dir, "pid"), "utf8"));
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it("that leaves a service behind with its output open is done when it ends itself", async () => {
    const { path, dir } = program(`sleep 5 & echo $! > "$(dirname "$0")/pid"; exit 0`);
    const begun = performance.now();
    await run(path);
    expect(performance.now() - begun).toBeLessThan(3_000);
    const pid = Number(readFileSync(join(dir, "pid"), "utf8"));
    expect(isRunning(pid)).toBe(true);
    process.kill(pid, "SIGKILL");
  });

  it("that is ended by a signal is told so", async () => {
    const { path } = program("kill -9 $$");
    expect((await faultOf(run(path))).message).toBe(`${path} was ended by SIGKILL`);
  });
});

/** Whether a process lives; one that has ended and waits to be collected does not. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^(?:Z|X)/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

describe("what is not run at all", () => {
  const listed = ["/bin/true", "/bin/../bin/true", "bin/true", "true", "/bin/true/"];
  it.each<[string, string]>([
    ["true", "expected the absolute path"],
    ["./true", "expected the absolute path"],
    ["bin/true", "expected the absolute path"],
    ["", "expected the absolute path"],
    ["/bin/../bin/true", "expected the absolute path"],
    ["/bin/./true", "expected the absolute path"],
    ["/bin/true\0", "expected the absolute path"],
    ["/bin/false", "is not on the list of programs that Belay may run (/bin/true, "],
    ["/bin/tru", "is not on the list"],
    ["/bin/true ", "is not on the list"],
  ])("%j", async (path, words) => {
    const fault = await faultOf(
      runProgram({ argv: [path], programs: listed, environment: ENVIRONMENT, timeoutMs: 1_000 }),
    );
    expect(fault.message).toContain(words);
    expect(fault.recoverable).toBe(false);
  });

  it("anything, when the list is empty, and nothing without a program", async () => {
    const none = { programs: [], environment: ENVIRONMENT, timeoutMs: 1_000 };
    expect((await faultOf(runProgram({ ...none, argv: ["/bin/true"] }))).message).toContain(
      "the list is empty",
    );
    expect((await faultOf(runProgram({ ...none, argv: [] }))).message).toContain(
      "expected the absolute path",
    );
  });

  it("a program that is not there, may not be run, or cannot take its arguments", async () => {
    const { path, dir } = program("exit 0");
    expect((await faultOf(run(join(dir, "gone")))).message).toContain("cannot be run (ENOENT)");
    expect((await faultOf(run(path, ["a\0b"]))).message).toContain("cannot be run with these arguments");
    chmodSync(path, 0o600);
    const fault = await faultOf(run(path));
    expect(fault.message).toContain("cannot be run (EACCES)");
    expect(fault.recoverable).toBe(false);
  });
});
