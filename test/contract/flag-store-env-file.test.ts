/** The flag store that is an environment file, over a real process: the contracts of all flag systems and of those on disk, restarts, and the way back from a bad one. */
import { chmod, chown, readdir, readFile, rename, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createEnvFileStore,
  type EnvFileStoreOptions,
  readEnvironment,
} from "../../src/adapters/flags/env-file.ts";
import { createProcessTarget, type ProcessTarget } from "../../src/adapters/target/process.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { type Flags, OutsideFault, type Target } from "../../src/engine/ports.ts";
import { until } from "../support/eventually.ts";
import { faultOf } from "../support/faults.ts";
import {
  BATCHING,
  fileStoreContract,
  flagDef,
  LIMIT,
  PARALLEL,
  put,
  runModule,
  type StoreUnderTest,
  temporaryFolder,
  tinyDisks,
} from "../support/flag-store-contract.ts";
import { flagsContract } from "../support/flags-contract.ts";
import { type FlagsUnderTest, ON_DISK_LACKS } from "../support/flags-contract-under-test.ts";

const ENV_MODULE = new URL("../../src/adapters/flags/env-file.ts", import.meta.url).href;
const PROCESS_MODULE = new URL("../../src/adapters/target/process.ts", import.meta.url).href;
const ALL = [PARALLEL, BATCHING, LIMIT];
const TEXT =
  "# features\nFEATURE_PARALLEL=false\n\nFEATURE_BATCHING='false'\nexport OLD=1\nSECRET=\"a b\" \n";

/** A service that tells its environment and stays; it dies at once when `DIES_WHEN` names one of its variables that is `true`. */
const SERVICE =
  'env > "$TOLD.new"; mv "$TOLD.new" "$TOLD"; eval "x=\\$$DIES_WHEN"; [ "$x" = true ] && exit 3; exec sleep 1000';

function targetIn(folder: string, diesWhen = "NOTHING", more: object = {}): ProcessTarget {
  return createProcessTarget({
    command: ["/bin/sh", "-c", SERVICE],
    pidfile: join(folder, "run", "pid"),
    environment: () => readEnvironment(join(folder, "features.env")),
    baseEnvironment: { TOLD: join(folder, "run", "told"), DIES_WHEN: diesWhen },
    settleMs: 40,
    upWithinMs: 5_000,
    stopTimeoutMs: 2_000,
    ...more,
  });
}

/** The environment that the service has told, by name. */
async function toldIn(folder: string): Promise<Readonly<Record<string, string>>> {
  return readEnvironment(join(folder, "run", "told"));
}

async function make(): Promise<StoreUnderTest> {
  const { folder, remove } = await temporaryFolder();
  const path = join(folder, "features.env");
  await writeFile(path, TEXT);
  const target = targetIn(folder);
  const moduleText = `
    import { createEnvFileStore, readEnvironment } from ${JSON.stringify(ENV_MODULE)};
    import { createProcessTarget } from ${JSON.stringify(PROCESS_MODULE)};
    const path = ${JSON.stringify(path)};
    const target = createProcessTarget({
      command: ["/bin/sh", "-c", ${JSON.stringify(SERVICE)}],
      pidfile: ${JSON.stringify(join(folder, "run", "pid"))},
      environment: () => readEnvironment(path),
      baseEnvironment: ${JSON.stringify({ TOLD: join(folder, "run", "told"), DIES_WHEN: "NOTHING" })},
      settleMs: 5, upWithinMs: 5000,
    });
    const store = createEnvFileStore({ path, target, restartWithinMs: 10000 });
    const flags = ${JSON.stringify(ALL)};`;
  return {
    open: () => createEnvFileStore({ path, target, restartWithinMs: 10_000 }),
    edit: async (key, value) => {
      const text = await readFile(path, "utf8");
      await writeFile(path, text.replace(new RegExp(`^${key}=.*$`, "m"), `${key}=${value}`));
    },
    folder,
    moduleText,
    literals: () => readEnvironment(path),
    close: async () => {
      await target.stop();
      await remove();
    },
  };
}

async function makeSystem(): Promise<FlagsUnderTest> {
  const { open, edit, literals, close } = await make();
  return { open, person: edit, literal: async (key) => (await literals())[key], close };
}

flagsContract("env-file", makeSystem, {
  can: {
    percent: false,
    values: true,
    creates: true,
    together: true,
    compareAndSet: true,
    keepsIntent: true,
    history: false,
    restarts: true,
  },
  lacks: ON_DISK_LACKS,
});

fileStoreContract("env-file", make, { percent: false, restarts: true });

describe("environment file", () => {
  let folder: string;
  let path: string;
  let remove: () => Promise<void>;
  let target: ProcessTarget;
  let restarts: number;
  let store: Flags;

  /** A target whose restarts are counted. */
  function counted(inner: Target): Target {
    return {
      status: () => inner.status(),
      restart: () => {
        restarts++;
        return inner.restart();
      },
    };
  }
  function open(more: Partial<EnvFileStoreOptions> = {}): Flags {
    return createEnvFileStore({ path, target: counted(target), restartWithinMs: 10_000, ...more });
  }
  const parallel = async () => (await store.read(ALL))["parallel"];

  beforeEach(async () => {
    ({ folder, remove } = await temporaryFolder());
    path = join(folder, "features.env");
    await writeFile(path, TEXT);
    target = targetIn(folder);
    restarts = 0;
    store = open();
  });
  afterEach(async () => {
    await target.stop();
    await remove();
  });

  describe("restarts", () => {
    it("restarts once for all flags of an operation, and the service has them", async () => {
      await store.write([put(PARALLEL, ON), put(BATCHING, ON), put(LIMIT, ON)]);
      expect(restarts).toBe(1);
      expect(await toldIn(folder)).toMatchObject({
        FEATURE_PARALLEL: "true",
        FEATURE_BATCHING: "true",
        BATCH_LIMIT: "1000",
        SECRET: "a b",
      });
      expect(await readFile(path, "utf8")).toBe(
        '# features\nFEATURE_PARALLEL=true\n\nFEATURE_BATCHING=true\nexport OLD=1\nSECRET="a b" \nBATCH_LIMIT=1000\n',
      );
    });

    it("does not restart for a write that changes nothing while the service has it already", async () => {
      await store.write([put(PARALLEL, ON)]);
      const again = put(PARALLEL, ON);
      const before = await parallel();
      await store.write([again]);
      expect(restarts).toBe(1);
      expect(await parallel()).toEqual({ ...before, intent: again.intent });
    });

    it("does not take effect until the service has started after the file was written", async () => {
      expect(await parallel()).toMatchObject({ setting: OFF, effective: false });
      await target.restart();
      // Nobody of this store saw it come up: it is believed once it has lived for a moment.
      await until("the started process believed", async () => (await parallel())?.effective === true);
      expect(await parallel()).toMatchObject({ setting: OFF, effective: true });
      await writeFile(path, TEXT.replace("FEATURE_PARALLEL=false", "FEATURE_PARALLEL=true"));
      const edited = await parallel();
      expect(edited).toMatchObject({ setting: ON, effective: false });
      // The file is right and the process older: only a restart is missing.
      expect(await store.write([put(PARALLEL, ON, edited?.version)])).toEqual({ parallel: "written" });
      expect(restarts).toBe(1);
      expect(await parallel()).toMatchObject({ setting: ON, effective: true, version: edited?.version });
      expect(await toldIn(folder)).toMatchObject({ FEATURE_PARALLEL: "true" });
    });

    it("knows what its own process has read, whatever the dates of the file say", async () => {
      await store.write([put(PARALLEL, ON)]);
      await utimes(path, new Date(), new Date(Date.now() + 3_600_000));
      expect(await parallel()).toMatchObject({ effective: true });
      const old = join(folder, "old.env");
      await writeFile(old, TEXT);
      await utimes(old, 0, 0);
      await rename(old, path);
      expect(await parallel()).toMatchObject({ setting: OFF, effective: false });
    });

    it("is not effective while the service is down", async () => {
      await store.write([put(PARALLEL, ON)]);
      await target.stop();
      expect(await parallel()).toMatchObject({ setting: ON, effective: false });
    });

    it("takes writes that come at once one after the other, the backward one right after the restart under way", async () => {
      const version = (await parallel())?.version;
      const order: string[] = [];
      const forward = store
        .write([put(PARALLEL, ON, version)])
        .then((results) => order.push(`forward ${results["parallel"]}`));
      const backward = store
        .write([put(PARALLEL, OFF)])
        .then((results) => order.push(`backward ${results["parallel"]}`));
      await Promise.all([forward, backward]);
      expect(order).toEqual(["forward written", "backward written"]);
      expect(restarts).toBe(2);
      expect(await parallel()).toMatchObject({ setting: OFF, effective: true });
      expect(await toldIn(folder)).toMatchObject({ FEATURE_PARALLEL: "false" });
    });

    it("is taken up after a crash between the write and the restart", async () => {
      await store.write([put(BATCHING, ON)]);
      const crashed = runModule(`
        import { createEnvFileStore } from ${JSON.stringify(ENV_MODULE)};
        const target = {
          status: async () => ({ running: false, startedAt: undefined }),
          restart: () => process.kill(process.pid, "SIGKILL"),
        };
        const store = createEnvFileStore({ path: ${JSON.stringify(path)}, target, restartWithinMs: 10000 });
        await store.write([{ flag: ${JSON.stringify(PARALLEL)}, setting: { kind: "on" }, intent: "r9.1.parallel" }]);`);
      await crashed.ended;
      expect(crashed.child.signalCode).toBe("SIGKILL");
      const left = await parallel();
      expect(left).toMatchObject({ setting: ON, effective: false, intent: "r9.1.parallel" });
      await store.write([put(PARALLEL, ON, left?.version)]);
      expect(await parallel()).toMatchObject({ setting: ON, effective: true, version: left?.version });
      expect(await toldIn(folder)).toMatchObject({ FEATURE_PARALLEL: "true", FEATURE_BATCHING: "true" });
    });
  });

  describe("when the service does not come up", () => {
    beforeEach(() => {
      target = targetIn(folder, "FEATURE_PARALLEL");
      store = open();
    });

    it("brings the last working file back, restarts with it and says so", async () => {
      await store.write([put(BATCHING, ON)]);
      const working = await readFile(path, "utf8");
      const version = (await parallel())?.version;
      const fault = await faultOf(store.write([put(PARALLEL, ON, version), put(LIMIT, ON)]));
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toMatch(
        /features\.env was written, but the process of .*pid is not up: it ended at once with exit code 3; the last working file is back/,
      );
      expect(await store.read(ALL)).toMatchObject({
        parallel: { setting: OFF, effective: true },
        batching: { setting: ON },
      });
      expect(await readFile(path, "utf8")).toBe(`${working}BATCH_LIMIT=1000\n`);
      expect(await toldIn(folder)).toMatchObject({ FEATURE_PARALLEL: "false", FEATURE_BATCHING: "true" });
      expect(await readFile(`${path}.failed`, "utf8")).toContain("FEATURE_PARALLEL=true");
      // The version is another one, so that nobody mistakes the file for the one on which the flip was decided.
      expect((await parallel())?.version).not.toBe(version);
      expect(restarts).toBe(3);
    });

    it("brings back exactly what was there, byte for byte", async () => {
      await target.restart();
      await until("the started process believed", async () => (await parallel())?.effective === true);
      const write = put(PARALLEL, ON, (await parallel())?.version);
      const fault = await faultOf(store.write([write]));
      expect(fault.message).toContain("the last working file is back and the target runs with it");
      expect(await readFile(path, "utf8")).toBe(TEXT);
      // Its intent stays, so that nobody takes it for a person's edit.
      expect(await parallel()).toMatchObject({ setting: OFF, effective: true, intent: write.intent });
    });

    it("does so too for a flip that was written before a crash", async () => {
      await store.write([put(BATCHING, ON)]);
      await writeFile(
        path,
        (await readFile(path, "utf8")).replace("FEATURE_PARALLEL=false", "FEATURE_PARALLEL=true"),
      );
      await target.stop();
      const fresh = open();
      const fault = await faultOf(fresh.write([put(PARALLEL, ON, (await parallel())?.version)]));
      expect(fault.message).toContain("the last working file is back");
      expect(await fresh.read(ALL)).toMatchObject({
        parallel: { setting: OFF, effective: true },
        batching: { setting: ON },
      });
    });

    it("never turns on again what was taken back", async () => {
      target = targetIn(folder, "FEATURE_BATCHING");
      store = open();
      await store.write([put(PARALLEL, ON)]);
      // Somebody's edit makes the next start fail, whatever the rollback writes.
      await writeFile(
        path,
        (await readFile(path, "utf8")).replace("FEATURE_BATCHING='false'", "FEATURE_BATCHING=true"),
      );
      const fault = await faultOf(store.write([put(PARALLEL, OFF)]));
      expect(fault.message).toContain(
        "the last working file is back, with the flags taken back in it and the target runs with it",
      );
      expect(await store.read(ALL)).toMatchObject({
        parallel: { setting: OFF, effective: true },
        batching: { setting: OFF },
      });
    });

    it("leaves a rollback as written when no better file is known, and only restarts at the next try", async () => {
      await store.write([put(BATCHING, ON)]);
      target = targetIn(folder, "ALWAYS", {
        baseEnvironment: { TOLD: join(folder, "run", "told"), DIES_WHEN: "ALWAYS", ALWAYS: "true" },
      });
      store = open();
      const fault = await faultOf(store.write([put(BATCHING, OFF)]));
      expect(fault.recoverable).toBe(true);
      expect(fault.message).toContain("the flags are taken back in the file, which stays so: mend what");
      const { batching } = await store.read(ALL);
      expect(batching).toMatchObject({ setting: OFF, effective: false });
      target = targetIn(folder);
      store = open();
      restarts = 0;
      await store.write([put(BATCHING, OFF)]);
      expect(restarts).toBe(1);
      expect((await store.read(ALL))["batching"]).toMatchObject({
        setting: OFF,
        effective: true,
        version: batching?.version,
      });
    });

    it("lets a waiting rollback restart instead of the old file", async () => {
      await store.write([put(BATCHING, ON)]);
      restarts = 0;
      const forward = faultOf(store.write([put(PARALLEL, ON, (await parallel())?.version)]));
      const backward = store.write([put(BATCHING, OFF)]);
      expect((await forward).message).toMatch(/the last working file is back$/);
      expect(await backward).toEqual({ batching: "written" });
      expect(restarts).toBe(2);
      expect(await store.read(ALL)).toMatchObject({
        parallel: { setting: OFF, effective: true },
        batching: { setting: OFF, effective: true },
      });
    });

    it("leaves alone what somebody changed meanwhile", async () => {
      const theirs = "FEATURE_PARALLEL=maybe\n";
      const inner = target;
      store = createEnvFileStore({
        path,
        restartWithinMs: 10_000,
        target: {
          status: () => inner.status(),
          restart: async () => {
            await writeFile(path, theirs);
            throw new OutsideFault("it is not up", { recoverable: true });
          },
        },
      });
      const fault = await faultOf(store.write([put(PARALLEL, ON, (await parallel())?.version)]));
      expect(fault.recoverable).toBe(false);
      expect(fault.message).toContain("somebody changed it meanwhile, so it stays as it is");
      expect(await readFile(path, "utf8")).toBe(theirs);
    });

    it("says when even the last working file does not help", async () => {
      await store.write([put(BATCHING, ON)]);
      const inner = target;
      const broken: Target = {
        status: () => inner.status(),
        restart: () => Promise.reject(new OutsideFault("no disk", { recoverable: true })),
      };
      store = open({ target: broken });
      const fault = await faultOf(store.write([put(PARALLEL, ON, (await parallel())?.version)]));
      expect(fault.message).toMatch(
        /but no disk; the last working file is back, but not even with that: no disk$/,
      );
    });

    it("does not wait longer than it was given", async () => {
      const hanging: Target = { status: () => target.status(), restart: () => new Promise(() => {}) };
      store = open({ target: hanging, restartWithinMs: 60 });
      const fault = await faultOf(store.write([put(PARALLEL, OFF)]));
      expect(fault.message).toContain("the restart took longer than 60 ms");
    });
  });

  describe("the file", () => {
    it("may be missing: no flags; a rollback creates it, private", async () => {
      path = join(folder, "none.env");
      store = open();
      expect(await store.read(ALL)).toEqual({});
      expect(await store.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
      expect(await readFile(path, "utf8")).toBe("FEATURE_PARALLEL=false\n");
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    });

    it("keeps its mode and owner, and so do its copies", async () => {
      await chmod(path, 0o640);
      if (process.geteuid?.() === 0) await chown(path, 1234, 1235);
      const before = await stat(path);
      await store.write([put(PARALLEL, ON)]);
      for (const name of [path, `${path}.last-working`]) {
        const after = await stat(name);
        expect([after.mode, after.uid, after.gid]).toEqual([before.mode, before.uid, before.gid]);
      }
    });

    it("may be a symbolic link", async () => {
      const link = join(folder, "link.env");
      await symlink(path, link);
      const linked = createEnvFileStore({ path: link, target, restartWithinMs: 10_000 });
      await linked.write([put(PARALLEL, ON)]);
      expect(await readFile(path, "utf8")).toContain("FEATURE_PARALLEL=true");
      expect((await linked.read(ALL))["parallel"]).toMatchObject({ setting: ON, effective: true });
    });

    it("keeps its notes where it is told to", async () => {
      const { folder: notes, remove: removeNotes } = await temporaryFolder();
      store = open({ stateDir: notes });
      await store.write([put(PARALLEL, ON)]);
      expect((await readdir(notes)).toSorted()).toEqual([
        expect.stringMatching(/^\.features\.env\.[0-9a-f]{8}\.belay\.json$/),
        expect.stringMatching(/^features\.env\.[0-9a-f]{8}\.last-working$/),
      ]);
      expect((await readdir(folder)).toSorted()).toEqual(["features.env", "run"]);
      await removeNotes();
      // Without its notes it knows less, and works.
      expect(await parallel()).toMatchObject({ setting: ON });
    });

    it("takes a forward write back to the caller when its notes cannot be kept, and a backward one not", async () => {
      await store.write([put(PARALLEL, ON)]);
      store = open({ stateDir: join(folder, "no", "where") });
      const before = await readFile(path, "utf8");
      await faultOf(store.write([put(PARALLEL, OFF, (await parallel())?.version)]));
      expect(await readFile(path, "utf8")).toBe(before);
      expect(await store.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
      expect(await parallel()).toMatchObject({ setting: OFF });
    });

    for (const run of tinyDisks) {
      it("goes back on a full disk, and says that it is full when it is to go forward", () => {
        const outcome = run(
          folder,
          `import { createEnvFileStore } from ${JSON.stringify(ENV_MODULE)};
          let startedAt = 0;
          const target = { status: async () => ({ running: true, startedAt }), restart: async () => { startedAt = Date.now() + 60000; } };
          const store = createEnvFileStore({ path: ${JSON.stringify(path)}, target, restartWithinMs: 1000 });`,
        );
        expect(outcome).toEqual({
          forward: expect.stringMatching(/^cannot write .*: the disk is full \(recoverable: true\)$/),
          backward: { parallel: "written" },
          read: expect.objectContaining({ setting: OFF, effective: true }),
        });
      });
    }

    it("cannot hold what is no variable", async () => {
      for (const flag of [flagDef("dotted", "feature.dotted"), flagDef("zero", "ZERO", { on: "a\0b" })]) {
        const fault = await faultOf(store.write([put(flag, ON)]));
        expect(fault.recoverable).toBe(false);
        expect(fault.message).toContain(flag.key);
      }
      expect(await readFile(path, "utf8")).toBe(TEXT);
    });

    it("rejects when the target cannot be asked; a rollback goes on all the same", async () => {
      await store.write([put(PARALLEL, ON)]);
      const inner = target;
      const deaf: Target = {
        status: () => Promise.reject(new OutsideFault("no answer", { recoverable: true })),
        restart: () => inner.restart(),
      };
      store = open({ target: deaf });
      const version = (await open().read(ALL))["parallel"]?.version;
      expect((await faultOf(store.read(ALL))).message).toBe("no answer");
      expect((await faultOf(store.write([put(PARALLEL, OFF, version)]))).message).toBe("no answer");
      expect(await store.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
      expect(await open().read(ALL)).toMatchObject({ parallel: { setting: OFF } });
    });
  });
});
