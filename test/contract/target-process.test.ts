/** The plain process as a target: started, stopped, found again, and never taken for another one. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  createProcessTarget,
  type ProcessTarget,
  type ProcessTargetOptions,
} from "../../src/adapters/target/process.ts";
import { processesWithVariable, startMarkOf } from "../../src/adapters/target/process-table.ts";
import { faultOf } from "../support/faults.ts";
import { runModule, temporaryFolder } from "../support/flag-store-contract.ts";

const PROCESS_MODULE = new URL("../../src/adapters/target/process.ts", import.meta.url).href;

let folder: string;
let remove: () => Promise<void>;
let pidfile: string;
let target: ProcessTarget;
const bystanders: ChildProcess[] = [];

function make(more: Partial<ProcessTargetOptions> = {}): ProcessTarget {
  return createProcessTarget({
    command: ["sleep", "1000"],
    pidfile,
    environment: async () => ({}),
    settleMs: 30,
    upWithinMs: 5_000,
    stopTimeoutMs: 3_000,
    ...more,
  });
}

/** A shell that runs `script`, which is handed file names in this test's folder as $0, $1, ... */
function shell(script: string, ...names: readonly string[]): readonly string[] {
  return ["/bin/sh", "-c", script, ...names.map((name) => join(folder, name))];
}

interface RawRecord {
  readonly start: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly startMark: string;
}

function record(): RawRecord {
  const raw: RawRecord = JSON.parse(readFileSync(pidfile, "utf8"));
  return raw;
}

function bystander(): number {
  const child = spawn("sleep", ["1000"], { stdio: "ignore", detached: true });
  bystanders.push(child);
  if (child.pid === undefined) throw new Error("sleep cannot be started");
  return child.pid;
}

const alive = (pid: number) => startMarkOf(pid) !== undefined;

beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  pidfile = join(folder, "pid");
  target = make();
});
afterEach(async () => {
  await make().stop();
  for (const child of bystanders.splice(0)) child.kill("SIGKILL");
  await remove();
});

describe("starting and stopping", () => {
  it("does not run before the first start, and stopping it then is nothing", async () => {
    expect(await target.status()).toEqual({ running: false, startedAt: undefined });
    await target.stop();
  });

  it("runs since it was started, as another process after each restart", async () => {
    const begun = Date.now();
    await target.restart();
    const first = record();
    expect(await target.status()).toEqual({ running: true, startedAt: first.startedAt });
    expect(first.startedAt).toBeGreaterThanOrEqual(begun);
    expect(first.startedAt).toBeLessThanOrEqual(Date.now());
    await target.restart();
    expect(record().pid).not.toBe(first.pid);
    expect(alive(first.pid)).toBe(false);
    await target.stop();
    expect(alive(record().pid)).toBe(false);
    expect(await target.status()).toEqual({ running: false, startedAt: undefined });
  });

  it("starts later, by the file clock, than any file written before", async () => {
    for (let i = 0; i < 5; i++) {
      await writeFile(join(folder, "f"), String(i));
      await target.restart();
      expect(record().startedAt - (await stat(join(folder, "f"))).mtimeMs).toBeGreaterThanOrEqual(11);
    }
  });

  it("has a small environment: the usual names, the given ones, nothing of Belay's", async () => {
    const given = { FEATURE_PARALLEL: "true", ODD: "a 'b' $(c)\nd", LANG: "de_DE.UTF-8" };
    target = make({
      command: shell('env -0 > "$0.new"; mv "$0.new" "$0"; exec sleep 1000', "told"),
      environment: async () => given,
    });
    await target.restart();
    await vi.waitFor(() => expect(existsSync(join(folder, "told"))).toBe(true));
    const told = new Map(
      (await readFile(join(folder, "told"), "utf8"))
        .split("\0")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(Object.fromEntries(told)).toMatchObject({
      ...given,
      PATH: expect.stringContaining("/usr/bin"),
      HOME: expect.stringContaining("/"),
    });
    const known = [
      "",
      "PATH",
      "HOME",
      "LANG",
      "FEATURE_PARALLEL",
      "ODD",
      "BELAY_START",
      "PWD",
      "OLDPWD",
      "SHLVL",
      "_",
    ];
    expect([...told.keys()].filter((name) => !known.includes(name))).toEqual([]);
  });

  it("uses no shell: arguments are what they are", async () => {
    const odd = `$(touch ${join(folder, "made")}); *`;
    target = make({
      command: ["/bin/sh", "-c", 'printf %s "$1" > "$0"; exec sleep 1000', join(folder, "told"), odd],
    });
    await target.restart();
    await vi.waitFor(async () => expect(await readFile(join(folder, "told"), "utf8")).toBe(odd));
    expect(existsSync(join(folder, "made"))).toBe(false);
  });

  it("appends the output to the log, for its owner only", async () => {
    const logFile = join(folder, "logs", "service.log");
    target = make({ command: shell("echo out; echo err >&2; exec sleep 1000"), logFile, cwd: folder });
    await target.restart();
    await target.restart();
    await vi.waitFor(async () => expect(await readFile(logFile, "utf8")).toBe("out\nerr\nout\nerr\n"));
    expect((await stat(logFile)).mode & 0o777).toBe(0o600);
  });

  it("kills what does not end by itself in time", async () => {
    target = make({
      command: shell('trap "" TERM; : > "$0"; while :; do sleep 0.02; done', "ready"),
      stopTimeoutMs: 150,
    });
    await target.restart();
    await vi.waitFor(() => expect(existsSync(join(folder, "ready"))).toBe(true));
    const { pid } = record();
    const begun = performance.now();
    await target.stop();
    expect(performance.now() - begun).toBeGreaterThanOrEqual(150);
    expect(alive(pid)).toBe(false);
  });

  it("lets it end in its own way when it does so in time", async () => {
    target = make({
      command: shell(
        'trap \': > "$0"; exit 0\' TERM; : > "$1"; while :; do sleep 0.02; done',
        "ended",
        "ready",
      ),
    });
    await target.restart();
    await vi.waitFor(() => expect(existsSync(join(folder, "ready"))).toBe(true));
    await target.stop();
    expect(existsSync(join(folder, "ended"))).toBe(true);
  });

  it("leaves none of its processes behind", async () => {
    target = make({ command: shell('(trap "" TERM; exec sleep 1000) & echo $! > "$0"; wait', "worker") });
    await target.restart();
    const worker = await vi.waitFor(async () => {
      const pid = Number(await readFile(join(folder, "worker"), "utf8"));
      expect(pid).toBeGreaterThan(0);
      return pid;
    });
    expect(alive(worker)).toBe(true);
    await target.stop();
    await vi.waitFor(() => expect(alive(worker)).toBe(false));
  });

  it("ends what a leader left behind that was killed", async () => {
    target = make({ command: shell('setsid sleep 1000 & sleep 1000 & echo $! > "$0"; wait', "worker") });
    await target.restart();
    const left = await vi.waitFor(() => {
      const start = record().start;
      const found = (processesWithVariable("BELAY_START", start) ?? []).filter((pid) => pid !== record().pid);
      expect(found).toHaveLength(2);
      return found;
    });
    process.kill(record().pid, "SIGKILL");
    await vi.waitFor(async () => expect(await target.status()).toMatchObject({ running: false }));
    expect(left.every(alive)).toBe(true);
    await target.stop();
    await vi.waitFor(() => expect(left.filter(alive)).toEqual([]));
  });

  it("takes restarts that come at once one after the other", async () => {
    target = make({ command: shell('echo $$ >> "$0"; exec sleep 1000', "all") });
    await Promise.all([target.restart(), target.restart(), target.restart()]);
    const pids = (await readFile(join(folder, "all"), "utf8")).trim().split("\n").map(Number);
    expect(pids).toHaveLength(3);
    expect(pids.filter(alive)).toEqual([record().pid]);
  });
});

describe("coming up", () => {
  it("says with what it ended, and where to look", async () => {
    target = make({ command: shell("exit 7"), logFile: join(folder, "log") });
    expect((await faultOf(target.restart())).message).toBe(
      `the process of ${join(folder, "pid")} is not up: it ended at once with exit code 7; see ${join(folder, "log")}`,
    );
    expect(await target.status()).toEqual({ running: false, startedAt: undefined });
    target = make({ command: shell("kill -9 $$") });
    expect((await faultOf(target.restart())).message).toBe(
      `the process of ${join(folder, "pid")} is not up: it ended at once with SIGKILL`,
    );
  });

  it("does not take a process that ends a moment later for one that is up", async () => {
    target = make({ command: shell("sleep 0.1; exit 1"), settleMs: 400 });
    expect((await faultOf(target.restart())).message).toContain("exit code 1");
  });

  it("says that there is no such program or folder", async () => {
    expect((await faultOf(make({ command: [join(folder, "none")] }).restart())).message).toContain(
      "it cannot be started (ENOENT)",
    );
    expect((await faultOf(make({ cwd: join(folder, "none") }).restart())).message).toContain(
      "it cannot be started (ENOENT)",
    );
    expect((await faultOf(make({ command: ["sleep", "a\0b"] }).restart())).message).toContain(
      "cannot be started",
    );
  });

  it("waits until it says that it is up", async () => {
    let asked = 0;
    target = make({ isUp: async () => ++asked >= 3 });
    await target.restart();
    expect(asked).toBe(3);
    target = make({
      isUp: async () => {
        if (++asked < 6) throw new Error("refused");
        return true;
      },
    });
    await target.restart();
    expect(asked).toBe(6);
  });

  it.each([
    ["says no", async () => false],
    ["does not answer", () => new Promise<boolean>(() => {})],
    ["cannot be asked", () => Promise.reject(new Error("refused"))],
  ])("gives up in its time when it %s", async (_name, isUp) => {
    target = make({ isUp, upWithinMs: 200 });
    const begun = performance.now();
    const fault = await faultOf(target.restart());
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toBe(
      `the process of ${join(folder, "pid")} is not up 200 ms after its start: it runs, but does not say that it is up`,
    );
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it("fails when its variables cannot be read", async () => {
    await expect(make({ environment: () => Promise.reject(new Error("no file")) }).restart()).rejects.toThrow(
      "no file",
    );
  });
});

describe("finding it again", () => {
  it("is the same process after Belay was started anew", async () => {
    await target.restart();
    const fresh = make();
    expect(await fresh.status()).toEqual(await target.status());
    await fresh.restart();
    expect(await target.status()).toEqual(await fresh.status());
  });

  it("outlives a Belay that is killed", async () => {
    const belay = runModule(`
      import { createProcessTarget } from ${JSON.stringify(PROCESS_MODULE)};
      const target = createProcessTarget({ command: ["sleep", "1000"], pidfile: ${JSON.stringify(pidfile)}, environment: async () => ({}), settleMs: 5, upWithinMs: 5000 });
      await target.restart();
      console.log("up");
      setInterval(() => {}, 1000);`);
    await belay.printed(1);
    await belay.kill();
    expect(await target.status()).toEqual({ running: true, startedAt: record().startedAt });
    expect(alive(record().pid)).toBe(true);
  });

  it("is found when Belay was killed between the start and the note of it", async () => {
    await target.restart();
    const { pid, startedAt } = record();
    const start = /BELAY_START=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, "utf8"))?.[1];
    await writeFile(pidfile, JSON.stringify({ kind: "starting", start, startedAt }));
    expect(await make().status()).toEqual({ running: true, startedAt });
    expect(record().pid).toBe(pid);
    await make().stop();
    expect(alive(pid)).toBe(false);
  });

  it("is not there when Belay was killed just before the start", async () => {
    await writeFile(pidfile, JSON.stringify({ kind: "starting", start: "never", startedAt: 1 }));
    expect(await target.status()).toEqual({ running: false, startedAt: undefined });
    expect(existsSync(pidfile)).toBe(false);
    await target.restart();
    expect(await target.status()).toMatchObject({ running: true });
  });

  it("is noticed when it ends", async () => {
    await target.restart();
    process.kill(record().pid, "SIGKILL");
    await vi.waitFor(async () =>
      expect(await target.status()).toEqual({ running: false, startedAt: undefined }),
    );
    await target.restart();
    expect(await target.status()).toMatchObject({ running: true });
  });

  it("never signals a process that only has the same id", async () => {
    const pid = bystander();
    for (const text of [
      JSON.stringify({ kind: "started", start: "mine", pid, startedAt: Date.now(), startMark: "another.1" }),
      String(pid),
      JSON.stringify({ pid }),
      "{",
    ]) {
      await writeFile(pidfile, text);
      expect(await target.status()).toEqual({ running: false, startedAt: undefined });
      await target.restart();
      expect(record().pid).not.toBe(pid);
      await target.stop();
    }
    expect(alive(pid)).toBe(true);
  });
});
