/** The systemd unit as a target: on a real user manager where this machine lets one run, and everywhere on a strict stand-in for systemctl. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createEnvFileStore, readEnvironment } from "../../src/adapters/flags/env-file.ts";
import { createSystemdTarget, type SystemdTargetOptions } from "../../src/adapters/target/systemd.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import type { Target } from "../../src/engine/ports.ts";
import { until } from "../support/eventually.ts";
import { faultOf } from "../support/faults.ts";
import { BATCHING, PARALLEL, put } from "../support/flag-store-contract.ts";

const run = promisify(execFile);
const STAND_IN = fileURLToPath(new URL("../fakes/systemctl.mjs", import.meta.url));
const PATH = [
  dirname(process.execPath),
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
].join(delimiter);

/** Something that answers `systemctl --user`, and the folder of its unit files. */
interface Manager {
  readonly name: string;
  readonly systemctl: string;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly stop: () => Promise<void>;
}

function folderOf(): { readonly folder: string; readonly environment: Readonly<Record<string, string>> } {
  const folder = mkdtempSync(join(tmpdir(), "belay-unit-"));
  const environment = {
    PATH,
    HOME: folder,
    XDG_RUNTIME_DIR: join(folder, "run"),
    SYSTEMD_UNIT_PATH: `${join(folder, "units")}:/usr/lib/systemd/user`,
  };
  return { folder, environment };
}

async function standIn(): Promise<Manager> {
  const { folder, environment } = folderOf();
  await mkdir(join(folder, "units"));
  await mkdir(join(folder, "run"));
  return {
    name: "a stand-in",
    systemctl: STAND_IN,
    folder,
    environment,
    stop: () => rm(folder, { recursive: true, force: true }),
  };
}

/**
 * A manager of its own in a mount namespace of its own, with nothing but our units; undefined, with the reason printed, where that is not possible
 * (no systemd, no right to make namespaces or control groups).
 */
async function realManager(): Promise<Manager | undefined> {
  const { folder, environment } = folderOf();
  await mkdir(join(folder, "units"));
  await mkdir(join(folder, "run"), { mode: 0o700 });
  await writeFile(join(folder, "units", "default.target"), "[Unit]\nDefaultDependencies=no\n");
  const script =
    "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user";
  const namespaces = process.geteuid?.() === 0 ? ["--mount"] : ["--user", "--map-root-user", "--mount"];
  const manager = spawn("unshare", [...namespaces, "--propagation", "private", "/bin/sh", "-c", script], {
    env: { ...environment, SYSTEMD_LOG_TARGET: "null" },
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => {
    manager.once("exit", () => resolve());
    manager.once("error", () => resolve());
  });
  const stop = async (): Promise<void> => {
    manager.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await vi.waitFor(() => run("systemctl", ["--user", "show", "-p", "Version"], { env: environment }), {
      timeout: 5_000,
      interval: 20,
    });
    return { name: "a real user manager", systemctl: "systemctl", folder, environment, stop };
  } catch (error) {
    manager.kill("SIGKILL");
    await stop();
    console.warn(
      `no user manager of systemd can be run here, so only the stand-in is tested: ${error instanceof Error ? error.message : error}`,
    );
    return undefined;
  }
}

const real = await realManager();
const managers = [await standIn(), ...(real === undefined ? [] : [real])];
afterAll(() => Promise.all(managers.map((manager) => manager.stop())));

async function pidOf(manager: Manager, unit: string): Promise<number> {
  const args = [
    "--user",
    "--no-ask-password",
    "--no-pager",
    "show",
    "--timestamp=us+utc",
    "-p",
    "MainPID",
    "--",
    unit,
  ];
  const { stdout } = await run(manager.systemctl, args, { env: manager.environment });
  return Number(stdout.trim().split("=")[1]);
}

describe.each(managers)("a unit of $name", (manager) => {
  let count = 0;
  let unit = "";
  const here = (name: string) => join(manager.folder, name);

  async function makeUnit(script: string, settings = "", unitSettings = ""): Promise<void> {
    await writeFile(here(`${unit}.sh`), script);
    const text = `[Unit]\nDefaultDependencies=no\n${unitSettings}[Service]\nExecStart=/bin/sh ${here(`${unit}.sh`)}\n${settings}`;
    await writeFile(join(manager.folder, "units", unit), text);
  }
  function target(more: Partial<SystemdTargetOptions> = {}): Target {
    const { systemctl, environment } = manager;
    return createSystemdTarget({
      unit,
      systemctl,
      user: true,
      environment,
      settleMs: 120,
      timeoutMs: 15_000,
      upWithinMs: 20_000,
      ...more,
    });
  }
  beforeEach(() => {
    unit = `toy-${++count}@a.b.service`;
  });
  afterEach(async () => {
    await makeUnit("exit 0");
    await target({ upWithinMs: 1_000 })
      .restart()
      .catch(() => {});
  });

  it("does not run before it is started", async () => {
    await makeUnit("exec sleep 1000");
    expect(await target().status()).toEqual({ running: false, startedAt: undefined });
  });

  it("runs since it was started, as another process after each restart", async () => {
    await makeUnit("exec sleep 1000");
    const begun = Date.now();
    await target().restart();
    const first = await target().status();
    expect(first.running).toBe(true);
    expect(first.startedAt).toBeGreaterThanOrEqual(begun);
    expect(first.startedAt).toBeLessThanOrEqual(Date.now());
    const pid = await pidOf(manager, unit);
    await target().restart();
    const second = await target().status();
    expect(second.startedAt).toBeGreaterThan((first.startedAt ?? 0) + 10);
    expect(await pidOf(manager, unit)).not.toBe(pid);
    expect(await target().status()).toEqual(second);
  });

  it("is noticed when it ends", async () => {
    await makeUnit("exec sleep 1000");
    await target().restart();
    process.kill(await pidOf(manager, unit), "SIGKILL");
    await vi.waitFor(async () =>
      expect(await target().status()).toEqual({ running: false, startedAt: undefined }),
    );
    await target().restart();
    expect(await target().status()).toMatchObject({ running: true });
  });

  it("says that it failed, at once", async () => {
    await makeUnit("exit 3");
    const begun = performance.now();
    const fault = await faultOf(target().restart());
    expect(fault.message).toBe(`${unit} is not up: the unit failed (exit-code)`);
    expect(fault.recoverable).toBe(true);
    expect(performance.now() - begun).toBeLessThan(15_000);
  });

  it("does not take a process that ends a moment later for one that is up", async () => {
    await makeUnit("sleep 0.2; exit 0");
    const fault = await faultOf(target({ settleMs: 800 }).restart());
    expect(fault.message).toBe(`${unit} is not up: its process ended (success)`);
  });

  it("starts again after more failures than systemd allows", async () => {
    await makeUnit("exit 3", "", "StartLimitBurst=1\nStartLimitIntervalSec=1000\n");
    await faultOf(target().restart());
    expect((await faultOf(target().restart())).message).toContain("exit-code");
    await writeFile(here(`${unit}.sh`), "exec sleep 1000");
    await target().restart();
    expect(await target().status()).toMatchObject({ running: true });
  });

  it("waits until the service says that it is up, and not longer than it may", async () => {
    await makeUnit("exec sleep 1000");
    let asked = 0;
    await target({ isUp: async () => ++asked >= 3 }).restart();
    expect(asked).toBe(3);
    const fault = await faultOf(target({ isUp: async () => false, upWithinMs: 2_500 }).restart());
    expect(fault.message).toBe(
      `${unit} is not up 2500 ms after its start: it runs, but does not say that it is up`,
    );
  });

  it("knows that there is no such unit", async () => {
    const fault = await faultOf(target({ unit: "none.service" }).restart());
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toBe("none.service cannot be restarted: systemd knows no such unit");
    expect(await target({ unit: "none.service" }).status()).toEqual({ running: false, startedAt: undefined });
  });

  it("carries the flags of an environment file, and goes back to the last working one", async () => {
    const path = here(`${unit}.env`);
    await writeFile(path, "# features\nFEATURE_PARALLEL=false\nFEATURE_BATCHING=false\n");
    await makeUnit(
      `env > ${here("told")}.new; mv ${here("told")}.new ${here("told")}; [ "$FEATURE_PARALLEL" = true ] && exit 3; exec sleep 1000`,
      `EnvironmentFile=${path}\n`,
    );
    const store = createEnvFileStore({ path, target: target(), restartWithinMs: 25_000, timeoutMs: 15_000 });
    const flags = [PARALLEL, BATCHING];
    await store.write([put(BATCHING, ON)]);
    const reading = await store.read(flags);
    expect(reading).toMatchObject({
      parallel: { setting: OFF, effective: true },
      batching: { setting: ON, effective: true },
    });
    expect(await readEnvironment(here("told"))).toMatchObject({
      FEATURE_BATCHING: "true",
      FEATURE_PARALLEL: "false",
    });
    const fault = await faultOf(store.write([put(PARALLEL, ON, reading["parallel"]?.version)]));
    expect(fault.message).toContain("the last working file is back and the target runs with it");
    expect(await store.read(flags)).toMatchObject({
      parallel: { setting: OFF, effective: true },
      batching: { setting: ON, effective: true },
    });
    await writeFile(path, (await readFile(path, "utf8")).replace("BATCHING=true", "BATCHING=false"));
    expect(await store.read(flags)).toMatchObject({ batching: { setting: OFF, effective: false } });
    await target().restart();
    // Restarted by somebody else: the dates tell, once it has lived for a moment.
    await until("the started unit believed", async () =>
      Object.values(await store.read(flags)).every(({ effective }) => effective),
    );
    expect(await store.read(flags)).toMatchObject({ batching: { setting: OFF, effective: true } });
  });
});

describe("reading environment files as systemd does", () => {
  const LINES = [
    "A=1",
    "B=two words  ",
    "  C = \t3 ",
    "D='x \"$y\" \\n # z'",
    'E="x \\"q\\" \\$y \\\\ \\` \\n \'z\'"',
    "F='a'\"b\" c",
    "G=a\"b\"'c'",
    "H=a#b # c",
    "I=a\\ b\\\\c\\q",
    "J=a\\  ",
    "K=a\\\nb",
    'L="c\\\nd"',
    "M='e\nf'",
    "N=b=c",
    "export O=1",
    "1P=2",
    "Q-R=3",
    "nonsense",
    "S=Köln €",
    "T=",
    "U=''",
    "V=\\'x",
    "A2=1\nA2=2",
    "# comment\nW=1",
    "; comment\nX=1",
    "Y=1\r",
    'Z="$HOME $A %h"',
    "OPEN='a\nLAST=1",
  ];

  it("gives a process the same variables", async () => {
    // Without systemd on this machine the table of flag-store-env-text.test.ts, made from this comparison, is what there is.
    for (const manager of managers.filter((one) => one.name !== "a stand-in")) {
      const path = join(manager.folder, "odd.env");
      await writeFile(path, LINES.join("\n"));
      await writeFile(
        join(manager.folder, "odd.sh"),
        `env -0 > ${manager.folder}/odd.new; mv ${manager.folder}/odd.new ${manager.folder}/odd.told; exec sleep 1000`,
      );
      const text = `[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/sh ${manager.folder}/odd.sh\nEnvironmentFile=${path}\n`;
      await writeFile(join(manager.folder, "units", "odd.service"), text);
      await run("systemctl", ["--user", "start", "odd.service"], { env: manager.environment });
      await vi.waitFor(() => expect(existsSync(join(manager.folder, "odd.told"))).toBe(true));
      const told = readFileSync(join(manager.folder, "odd.told"), "utf8").split("\0");
      const ours = await readEnvironment(path);
      const theirs = Object.fromEntries(
        told
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const)
          .filter(([key]) => /^([A-Z]2?|LAST|OPEN)$/.test(key)),
      );
      expect(ours).toEqual(theirs);
      await run("systemctl", ["--user", "stop", "odd.service"], { env: manager.environment });
    }
  });
});

describe("systemctl itself", () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "belay-systemctl-"));
  });
  afterEach(async () => {
    for (const child of children) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  async function saying(script: string, upWithinMs = 500, timeoutMs = 4_000): Promise<Target> {
    const systemctl = join(folder, "systemctl");
    await writeFile(systemctl, `#!/bin/sh\necho "$@" >> ${folder}/calls\n${script}\n`);
    await chmod(systemctl, 0o755);
    return createSystemdTarget({
      unit: "ingestion.service",
      systemctl,
      timeoutMs,
      settleMs: 50,
      upWithinMs,
    });
  }

  it("is called with one argument per word, and the unit after --", async () => {
    await (await saying("exit 0")).status();
    const names = [
      "LoadState",
      "ActiveState",
      "SubState",
      "Result",
      "MainPID",
      "InvocationID",
      "ExecMainStartTimestamp",
      "Job",
    ].map((name) => `-p ${name}`);
    expect(await readFile(join(folder, "calls"), "utf8")).toBe(
      `--no-ask-password --no-pager show --timestamp=us+utc ${names.join(" ")} -- ingestion.service\n`,
    );
  });

  it.each([
    "-a.service",
    "a b.service",
    "a;b.service",
    "ingestion",
    "../x.service",
    "",
    ".service",
    "a.service\n",
    "--user",
  ])("is not given the unit %j", (unit) => {
    expect(() => createSystemdTarget({ unit, upWithinMs: 1 })).toThrow(
      "expected a systemd unit such as ingestion.service",
    );
  });

  it("may be missing", async () => {
    const target = createSystemdTarget({
      unit: "ingestion.service",
      systemctl: join(folder, "none"),
      upWithinMs: 100,
    });
    const fault = await faultOf(target.status());
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toContain("cannot be run; is this a machine with systemd?");
  });

  it("may hang", async () => {
    const target = await saying("exec sleep 5", 500, 400);
    const begun = performance.now();
    const fault = await faultOf(target.restart());
    expect(fault.message).toBe("systemctl show ingestion.service took longer than 400 ms");
    expect(fault.recoverable).toBe(true);
    expect(performance.now() - begun).toBeLessThan(3_000);
  });

  const properties = (id: string, state: string, more = "") =>
    `printf 'LoadState=loaded\\nActiveState=%s\\nSubState=running\\nMainPID=1\\nInvocationID=%s\\n${more}' ${state} ${id}`;

  it("may restart nothing at all: the old process is not taken for a new one", async () => {
    const target = await saying(`case "$*" in *show*) ${properties("old", "active")};; esac`);
    const fault = await faultOf(target.restart());
    expect(fault.message).toBe("ingestion.service is not up 500 ms after its start: it has not started");
  });

  it("may take its time: a unit whose job waits has not failed", async () => {
    const after = `n=$(cat ${folder}/n); echo x >> ${folder}/n; [ "$(echo "$n" | wc -l)" -lt 3 ] && { ${properties("old", "inactive", "Job=7\\n")}; exit; }; ${properties("new", "active")}`;
    const target = await saying(
      `case "$*" in *restart*) echo > ${folder}/n;; *show*) [ -e ${folder}/n ] || { ${properties("old", "active")}; exit; }; ${after};; esac`,
      5_000,
    );
    await target.restart();
    expect(
      (await readFile(join(folder, "calls"), "utf8")).split("\n").filter((line) => line.includes(" show "))
        .length,
    ).toBeGreaterThan(4);
  });

  it("may refuse, and then Belay says what is missing", async () => {
    const loaded = 'case "$*" in *show*) echo LoadState=loaded; exit 0;; esac';
    const denied = await saying(
      `${loaded}; echo "Failed to restart ingestion.service: Interactive authentication required." >&2; exit 1`,
    );
    const fault = await faultOf(denied.restart());
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toBe(
      "systemctl restart ingestion.service: Failed to restart ingestion.service: Interactive authentication required.; a polkit rule must let Belay's user manage this unit",
    );
    const odd = await saying(`${loaded}; echo "Failed to connect to bus: Connection refused" >&2; exit 1`);
    expect(await faultOf(odd.restart())).toMatchObject({
      recoverable: true,
      message: expect.stringContaining("Failed to connect to bus"),
    });
  });
});
