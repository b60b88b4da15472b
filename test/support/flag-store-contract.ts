/** What a flag store that is a file on this disk must do besides the contract of all flag systems (flags-contract.ts): any text, many writers, kills, rights, full disks. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FlagDef } from "../../src/core/plan.ts";
import type { Reading } from "../../src/core/rollout/desired.ts";
import { OFF, ON, type Setting } from "../../src/core/setting.ts";
import type { Flags, FlagWrite } from "../../src/engine/ports.ts";
import { faultOf } from "./faults.ts";

/** A store under test, in a folder of its own. */
export interface StoreUnderTest {
  /** Opens the store; each call is another client of the same flags. */
  readonly open: () => Flags;
  /** What a person does with an editor: gives this key this literal. */
  readonly edit: (key: string, literal: string) => Promise<void>;
  /** The folder that the store writes to. */
  readonly folder: string;
  /**
   * A module for a process of its own: it opens the same flags as `store` and may use `flags`. Its text is put before the suite's own code.
   */
  readonly moduleText: string;
  /** What the file itself says, read without the store; throws when the file is not whole. */
  readonly literals: () => Promise<Readonly<Record<string, string | undefined>>>;
  readonly close: () => Promise<void>;
}

export interface StoreAbilities {
  readonly percent: boolean;
  /** Whether a write restarts something: the suite then writes less often. */
  readonly restarts: boolean;
}

export const PARALLEL: FlagDef = flagDef("parallel", "FEATURE_PARALLEL");
export const BATCHING: FlagDef = flagDef("batching", "FEATURE_BATCHING");
export const LIMIT: FlagDef = flagDef("limit", "BATCH_LIMIT", { on: "1000", off: "1" });
const ALL: readonly FlagDef[] = [PARALLEL, BATCHING, LIMIT];

export function flagDef(name: string, key: string, more: Partial<FlagDef> = {}): FlagDef {
  return { name, key, on: "true", off: "false", requires: [], undo: "flip", ...more };
}

/** A folder for one test, and its removal. */
export async function temporaryFolder(): Promise<{
  readonly folder: string;
  readonly remove: () => Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), "belay-flags-"));
  return {
    folder,
    remove: async () => {
      await chmod(folder, 0o700);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

let intents = 0;

/** A write under an intent of its own. */
export function put(flag: FlagDef, setting: Setting, ifVersion?: string): FlagWrite {
  intents++;
  const write = { flag, setting, intent: `r7.${intents}.${flag.name}` };
  return ifVersion === undefined ? write : { ...write, ifVersion };
}

/**
 * Runs `job` without the right to write to (or, with `mode` 0, to look into) the folder; as root it gives up being root meanwhile, since root may
 * do everything.
 */
export async function withoutRights<T>(folder: string, mode: number, job: () => Promise<T>): Promise<T> {
  // Only what is to be tested shall fail: the files stay readable for everybody.
  for (const name of await readdir(folder)) await chmod(join(folder, name), 0o644);
  await chmod(folder, mode);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return await job();
  } finally {
    if (isRoot) process.seteuid?.(0);
    await chmod(folder, 0o700);
  }
}

/** A module in a Node process of its own, whose lines of output are counted. */
export interface ModuleProcess {
  readonly child: ChildProcess;
  /** Resolves when it has printed `n` lines in all; rejects with what it complained of when it ends before. */
  readonly printed: (n: number) => Promise<void>;
  /** kill -9; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  readonly ended: Promise<number | null>;
}

export function runModule(text: string): ModuleProcess {
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let lines = 0;
  let complaint = "";
  let look = (): void => {};
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    complaint += chunk;
  });
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    lines += chunk.split("\n").length - 1;
    look();
  });
  const printed = (n: number): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    look = () => {
      if (lines >= n) resolve();
    };
    look();
    void ended.then(() => reject(new Error(`the process ended after ${lines} of ${n} lines: ${complaint}`)));
    return promise;
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { child, printed, kill, ended };
}

/**
 * Runs a store on a tiny disk mounted over `folder`, turns `parallel` on, fills the disk up, and tries to go forward and then back. `moduleText` must
 * make `store`. The result holds what each write and the last reading said.
 */
export type TinyDisk = (folder: string, moduleText: string) => unknown;

/** One way to a tiny disk; none, said aloud, where the machine lets nobody have a mount namespace of one's own. */
export const tinyDisks: readonly TinyDisk[] = findTinyDisk();

function findTinyDisk(): readonly TinyDisk[] {
  const namespace = [["--mount"], ["--user", "--map-root-user", "--mount"]].find((words) => {
    const args = [...words, "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    return spawnSync("unshare", args, { stdio: "ignore" }).status === 0;
  });
  if (namespace !== undefined) return [(folder, moduleText) => onTinyDisk(namespace, folder, moduleText)];
  console.warn("there are no mount namespaces on this machine, so full disks are not tested");
  return [];
}

function onTinyDisk(namespace: readonly string[], folder: string, moduleText: string): unknown {
  const text = `
    import { writeFileSync } from "node:fs";
    ${moduleText}
    const flag = ${JSON.stringify(PARALLEL)};
    const set = (kind, intent, ifVersion) => store.write([{ flag, setting: { kind }, intent, ...(ifVersion && { ifVersion }) }]);
    await set("on", "first");
    try { for (let i = 0; ; i++) writeFileSync(${JSON.stringify(folder)} + "/filler" + i, Buffer.alloc(4096)); } catch {}
    const { version } = (await store.read([flag])).parallel;
    const forward = await set("off", "forward", version).catch((fault) => fault.message + " (recoverable: " + fault.recoverable + ")");
    const backward = await set("off", "backward");
    console.log(JSON.stringify({ forward, backward, read: (await store.read([flag])).parallel }));`;
  const script = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" --input-type=module -e "$3"';
  const args = ["--propagation", "private", "/bin/sh", "-c", script, "sh", folder, process.execPath, text];
  const outcome: unknown = JSON.parse(execFileSync("unshare", [...namespace, ...args], { encoding: "utf8" }));
  return outcome;
}

/** Registers the suite. `make` is called for each test; its flags are all off to begin with, except that `limit` is absent. */
export function fileStoreContract(
  name: string,
  make: () => Promise<StoreUnderTest>,
  can: StoreAbilities,
): void {
  describe(`file store contract: ${name}`, () => {
    let under: StoreUnderTest;
    let store: Flags;
    beforeEach(async () => {
      under = await make();
      store = under.open();
    });
    afterEach(() => under.close());
    const read = async (flag: FlagDef) => (await store.read(ALL))[flag.name];
    const ground: Ground = { under: () => under, store: () => store, read, can };
    describe("settings", () => settingTests(ground));
    describe("several at once", () => concurrencyTests(ground));
    describe("faults", () => faultTests(ground));
  });
}

interface Ground {
  readonly under: () => StoreUnderTest;
  readonly store: () => Flags;
  readonly read: (flag: FlagDef) => Promise<Omit<Reading, "at"> | undefined>;
  readonly can: StoreAbilities;
}

function settingTests({ under, store, read, can }: Ground): void {
  it("sets any text as a value of any flag, and reads it back under a new version", async () => {
    const seen = new Set([(await read(PARALLEL))?.version]);
    for (const setting of [ON, OFF, ON, { kind: "value", value: 'only in Köln, "12" $x' }] as const) {
      expect(await store().write([put(PARALLEL, setting)])).toEqual({ parallel: "written" });
      const reading = await read(PARALLEL);
      expect(reading).toMatchObject({ setting, effective: true });
      expect(seen).not.toContain(reading?.version);
      seen.add(reading?.version);
    }
  });

  it("shows a text that a person wrote, which is neither on nor off, as what it is", async () => {
    await under().edit("FEATURE_PARALLEL", "maybe");
    expect(await read(PARALLEL)).toMatchObject({ setting: { kind: "value", value: "maybe" } });
  });

  if (can.percent) {
    it("sets shares with fractions exactly", async () => {
      for (const percent of [5, 12.5, 99.99]) {
        await store().write([put(PARALLEL, { kind: "percent", percent })]);
        expect(await read(PARALLEL)).toMatchObject({ setting: { kind: "percent", percent } });
      }
    });
  } else {
    it("refuses a share, and writes nothing of that operation", async () => {
      const fault = await faultOf(
        store().write([put(BATCHING, ON), put(PARALLEL, { kind: "percent", percent: 5 })]),
      );
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain("percentage");
      expect(await store().read(ALL)).toMatchObject({
        parallel: { setting: OFF },
        batching: { setting: OFF },
      });
    });
  }
}

function concurrencyTests({ under, store, read, can }: Ground): void {
  it("takes all writes that come at once, from several clients", async () => {
    const flags = Array.from({ length: can.restarts ? 4 : 40 }, (_, i) => flagDef(`f${i}`, `FEATURE_${i}`));
    const clients = [store(), under().open()];
    await Promise.all(flags.map((flag, i) => clients[i % 2]?.write([put(flag, ON)])));
    const readings = await store().read(flags);
    expect(flags.filter((flag) => readings[flag.name]?.setting.kind !== "on")).toEqual([]);
  });

  it("lets exactly one of several writers over the same version win", async () => {
    const version = (await read(PARALLEL))?.version;
    const clients = [store(), under().open()];
    const values = Array.from({ length: can.restarts ? 4 : 20 }, (_, i) => `v${i}`);
    const results = await Promise.all(
      values.map((value, i) => clients[i % 2]?.write([put(PARALLEL, { kind: "value", value }, version)])),
    );
    const winners = values.filter((_, i) => results[i]?.["parallel"] === "written");
    expect(winners).toHaveLength(1);
    expect((await store().read(ALL))["parallel"]?.setting).toEqual({ kind: "value", value: winners[0] });
  });
}

function faultTests({ under, store, read, can }: Ground): void {
  it("leaves a whole file behind whenever its process is killed", async () => {
    const text = `${under().moduleText}
      for (let i = 0; ; i++) {
        const setting = { kind: i % 2 === 0 ? "on" : "off" };
        await store.write(flags.slice(0, 2).map((flag) => ({ flag, setting, intent: "loop." + i })));
        console.log(i);
      }`;
    for (let round = 0; round < (can.restarts ? 3 : 6); round++) {
      const writer = runModule(text);
      await writer.printed(1 + round * (can.restarts ? 1 : 7));
      // Somewhere in the writes that follow; where exactly differs from run to run.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
      await writer.kill();
      const { FEATURE_PARALLEL: parallel, FEATURE_BATCHING: batching } = await under().literals();
      expect(["true", "false"]).toContain(parallel);
      expect(batching).toBe(parallel);
      await store().write([put(PARALLEL, ON)]);
      expect(await read(PARALLEL)).toMatchObject({ setting: ON, effective: true });
    }
  });

  it("says in a sentence that it may not write, and works again when it may", async () => {
    const before = await under().literals();
    for (const version of [undefined, (await read(PARALLEL))?.version]) {
      const fault = await withoutRights(under().folder, 0o555, () =>
        faultOf(store().write([put(PARALLEL, ON, version)])),
      );
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toMatch(/^cannot write .*: permission denied; Belay's user must own it/);
    }
    expect(await under().literals()).toEqual(before);
    await store().write([put(PARALLEL, ON)]);
    expect(await read(PARALLEL)).toMatchObject({ setting: ON });
  });

  it("says in a sentence that it may not read", async () => {
    const fault = await withoutRights(under().folder, 0, () => faultOf(store().read(ALL)));
    expect(fault.message).toMatch(/^cannot read .*: permission denied; Belay's user needs to read it$/);
  });
}
