/** Flags in environment files of several hosts, over real processes that drain: forward one after the other, back all at once, and every half-way between. */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createEnvFileStore, readEnvironment } from "../../src/adapters/flags/env-file.ts";
import { createEnvInstancesStore } from "../../src/adapters/flags/env-instances.ts";
import { createProcessTarget, type ProcessTarget } from "../../src/adapters/target/process.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { type Flags, OutsideFault, type Target } from "../../src/engine/ports.ts";
import { until } from "../support/eventually.ts";
import { faultOf } from "../support/faults.ts";
import {
  BATCHING,
  flagDef,
  PARALLEL,
  put,
  runModule,
  temporaryFolder,
} from "../support/flag-store-contract.ts";
import { flagsContract } from "../support/flags-contract.ts";
import type { FlagsUnderTest } from "../support/flags-contract-under-test.ts";

const INSTANCES_MODULE = new URL("../../src/adapters/flags/env-instances.ts", import.meta.url).href;
const ENV_MODULE = new URL("../../src/adapters/flags/env-file.ts", import.meta.url).href;
const PROCESS_MODULE = new URL("../../src/adapters/target/process.ts", import.meta.url).href;
const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];
const BOTH = [PARALLEL, BATCHING];
const TEXT = "# features\nFEATURE_PARALLEL=false\nFEATURE_BATCHING=false\nSECRET=x\n";

/** Tells its environment and stays; ends at once when `DIES_WHEN` names a variable that is `true`, and after `START_S` seconds while `BROKEN` exists. After SIGTERM it drains for `DRAIN_S` seconds. */
const SERVICE = [
  'env > "$TOLD.new"; mv "$TOLD.new" "$TOLD"; eval "x=\\$$DIES_WHEN"; [ "$x" = true ] && exit 3',
  '[ -e "$BROKEN" ] && sleep $START_S && exit 3',
  "trap 'sleep $DRAIN_S; echo ended >> \"$TOLD.ends\"; exit 0' TERM",
  "while :; do sleep 1000 & wait $!; done",
].join("; ");

let folder: string;
let remove: () => Promise<void>;
/** One line for each restart that began or ended, in order. */
let steps: string[];
let diesWhen: Partial<Record<Name, string>>;
let drainS: string;
/** How long what cannot start runs before it exits, s. */
let startS: string;
let targets: Map<Name, ProcessTarget>;
let beforeRestart: (name: Name) => Promise<void>;

const pathOf = (name: Name): string => join(folder, name, "features.env");
const runOf = (name: Name): string => join(folder, name, "run");

/** The one target of this instance, which all clients share. */
function targetOf(name: Name): Target {
  const known = targets.get(name);
  if (known !== undefined) return known;
  const inner = createProcessTarget({
    command: ["/bin/sh", "-c", SERVICE],
    pidfile: join(runOf(name), "pid"),
    environment: () => readEnvironment(pathOf(name)),
    baseEnvironment: {
      TOLD: join(runOf(name), "told"),
      DIES_WHEN: diesWhen[name] ?? "NOTHING",
      DRAIN_S: drainS,
      START_S: startS,
      BROKEN: join(runOf(name), "broken"),
    },
    settleMs: startS === "0" ? 60 : 300,
    upWithinMs: 5_000,
    stopTimeoutMs: 10_000,
  });
  const target = {
    status: () => inner.status(),
    stop: () => inner.stop(),
    async restart() {
      await beforeRestart(name);
      steps.push(`${name} begins`);
      try {
        await inner.restart();
        steps.push(`${name} is up`);
      } catch (error) {
        steps.push(`${name} failed`);
        throw error;
      }
    },
  };
  targets.set(name, target);
  return target;
}

/** `stateDir`: one folder for the notes of all; each file's own when not given. */
function open(stateDir?: string): Flags {
  return createEnvInstancesStore(
    NAMES.map((name) => ({
      name: pathOf(name),
      flags: createEnvFileStore({
        path: pathOf(name),
        target: targetOf(name),
        restartWithinMs: 15_000,
        ...(stateDir === undefined ? {} : { stateDir }),
      }),
    })),
  );
}

const inFile = async (name: Name): Promise<string | undefined> =>
  (await readEnvironment(pathOf(name)))["FEATURE_PARALLEL"];
const toldOf = async (name: Name): Promise<string | undefined> =>
  (await readEnvironment(join(runOf(name), "told")))["FEATURE_PARALLEL"];
const each = <T>(of: (name: Name) => Promise<T>): Promise<readonly T[]> => Promise.all(NAMES.map(of));

async function editKey(name: Name, key: string, value: string): Promise<void> {
  const text = await readFile(pathOf(name), "utf8");
  await writeFile(pathOf(name), text.replace(new RegExp(`^${key}=.*$`, "m"), `${key}=${value}`));
}

const edit = (name: Name, value: string): Promise<void> => editKey(name, "FEATURE_PARALLEL", value);

const readingOf = async (flags: Flags) => (await flags.read(BOTH))["parallel"];
const versionIn = async (flags: Flags): Promise<string> => (await readingOf(flags))?.version ?? "absent";

/** A forward write of `parallel`, decided on what is read now. */
async function forward(flags: Flags): Promise<ReturnType<typeof put>> {
  return put(PARALLEL, ON, await versionIn(flags));
}

beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  steps = [];
  diesWhen = {};
  drainS = "0";
  startS = "0";
  targets = new Map();
  beforeRestart = async () => undefined;
  for (const name of NAMES) {
    await mkdir(runOf(name), { recursive: true });
    await writeFile(pathOf(name), TEXT);
  }
});
afterEach(async () => {
  await Promise.all([...targets.values()].map((target) => target.stop()));
  await remove();
});

flagsContract("env-file on three hosts", async () => underContract(), {
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
  lacks: {
    proxy: "its files are on disk",
    archive: "an environment file has no archive",
    recreate: "a variable has no identity",
    elsewhere: "it has one environment",
    protect: "nobody approves a file",
    revoke: "there is no token",
    mistyped: "its values are text",
    seen: "there is no SDK",
  },
});

/** The folder of the test; whoever edits by hand edits all three. */
function underContract(): FlagsUnderTest {
  return {
    open: () => open(),
    person: async (key, value) => {
      for (const name of NAMES) await editKey(name, key, value);
    },
    literal: async (key) => {
      const said = new Set(await each(async (name) => (await readEnvironment(pathOf(name)))[key]));
      return said.size === 1 ? [...said][0] : [...said].join(" or ");
    },
    close: async () => undefined,
  };
}

describe("reading several environment files", () => {
  it("says what all agree on, effective only when all processes have it, under a version over all", async () => {
    const flags = open();
    const before = await readingOf(flags);
    expect(before).toMatchObject({ setting: OFF, effective: false });
    await flags.write([put(PARALLEL, OFF)]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true });
    await targets.get("b")?.stop();
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: false });
    const seen = new Set([before?.version]);
    for (const name of NAMES) {
      await edit(name, "true");
      const version = await versionIn(flags);
      expect(seen).not.toContain(version);
      seen.add(version);
    }
  });

  it("says how they differ when they do, and believes nothing then", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, ON)]);
    await edit("c", "false");
    expect(await readingOf(flags)).toMatchObject({
      setting: { kind: "value", value: `on at 2 of 3 (off at ${pathOf("c")})` },
      effective: false,
    });
    expect(await readingOf(flags)).not.toHaveProperty("intent");
    await writeFile(pathOf("b"), "FEATURE_BATCHING=false\n");
    expect((await readingOf(flags))?.setting).toEqual({
      kind: "value",
      value: `on at 1 of 3 (absent at ${pathOf("b")}, off at ${pathOf("c")})`,
    });
    expect(await flags.read([flagDef("other", "FEATURE_OTHER")])).toEqual({});
  });

  it("never writes how they differ as if it were a value", async () => {
    const flags = open();
    await edit("c", "true");
    const setting = (await readingOf(flags))?.setting ?? OFF;
    const fault = await faultOf(flags.write([put(PARALLEL, setting)]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toContain("that is how the instances differed, not a value");
    expect(await each(inFile)).toEqual(["false", "false", "true"]);
  });

  it("keeps the notes of files of one name apart, wherever they are kept", async () => {
    const notes = join(folder, "notes");
    await mkdir(notes);
    const flags = open(notes);
    const write = put(PARALLEL, ON);
    await flags.write([write]);
    expect(await readdir(notes)).toHaveLength(2 * NAMES.length);
    await targets.get("b")?.stop();
    await edit("b", "false");
    steps = [];
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    expect(await each(toldOf)).toEqual(["false", "false", "false"]);
    expect(await open(notes).read(BOTH)).toMatchObject({ parallel: { setting: OFF, effective: true } });
  });

  it("names the instance that cannot be read", async () => {
    const flags = open();
    await remove();
    await mkdir(folder);
    await mkdir(join(folder, "b", "features.env"), { recursive: true });
    const fault = await faultOf(flags.read(BOTH));
    expect(fault.message).toContain(pathOf("b"));
  });
});

describe("going forward on several hosts", () => {
  it("takes one instance after the other, each with one write and one restart for all flags", async () => {
    const flags = open();
    const version = await versionIn(flags);
    const writes = [put(PARALLEL, ON, version), put(BATCHING, ON, version)];
    expect(await flags.write(writes)).toEqual({ parallel: "written", batching: "written" });
    expect(steps).toEqual(NAMES.flatMap((name) => [`${name} begins`, `${name} is up`]));
    expect(await flags.read(BOTH)).toMatchObject({
      parallel: { setting: ON, effective: true, intent: writes[0]?.intent },
      batching: { setting: ON, effective: true, intent: writes[1]?.intent },
    });
    expect(await each(toldOf)).toEqual(["true", "true", "true"]);
    expect(await versionIn(flags)).not.toBe(version);
  });

  it("writes only over the version over all", async () => {
    const flags = open();
    const late = await forward(flags);
    await edit("c", "maybe");
    expect(await flags.write([late])).toEqual({ parallel: "conflict" });
    expect(steps).toEqual([]);
    expect(await each(inFile)).toEqual(["false", "false", "maybe"]);
  });

  it("refuses a flag that one of them does not name, before anything is changed", async () => {
    await writeFile(pathOf("c"), "FEATURE_BATCHING=false\n");
    const flags = open();
    const fault = await faultOf(flags.write([await forward(flags)]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toBe(
      `FEATURE_PARALLEL is not in ${pathOf("c")}; add it there as FEATURE_PARALLEL=false. Nothing was changed`,
    );
    expect(steps).toEqual([]);
  });

  it("tells its own half-done work from a person's edit meanwhile", async () => {
    const flags = open();
    const write = await forward(flags);
    const seen: unknown[] = [];
    beforeRestart = async (name) => {
      if (name === "b") seen.push(await readingOf(flags));
      if (name === "c") await edit("a", "maybe").then(async () => seen.push(await readingOf(flags)));
    };
    await flags.write([write]);
    expect(seen[0]).toMatchObject({
      setting: { kind: "value", value: `on at 2 of 3 (off at ${pathOf("c")})` },
      intent: write.intent,
    });
    expect(seen[1]).not.toHaveProperty("intent");
  });

  it("stops at the one that does not come up and brings the earlier ones back as they were", async () => {
    diesWhen = { c: "FEATURE_PARALLEL" };
    const flags = open();
    await flags.write([put(BATCHING, ON)]);
    const texts = await each((name) => readFile(pathOf(name), "utf8"));
    steps = [];
    const write = await forward(flags);
    const fault = await faultOf(flags.write([write]));
    expect(fault.recoverable).toBe(false);
    expect(fault.message).toMatch(
      /c\/features\.env was written, but .*exit code 3; the last working file is back/,
    );
    expect(fault.message).toContain(`${pathOf("a")}, ${pathOf("b")} as before`);
    // One after the other on the way back too: never two away at once.
    expect(steps).toEqual([
      ...["a begins", "a is up", "b begins", "b is up", "c begins", "c failed", "c begins", "c is up"],
      ...["b begins", "b is up", "a begins", "a is up"],
    ]);
    expect(await each((name) => readFile(pathOf(name), "utf8"))).toEqual(texts);
    expect(await each(toldOf)).toEqual(["false", "false", "false"]);
    // Nobody takes what Belay brought back for a person's edit.
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true, intent: write.intent });
  });

  it("says which instance could not be brought back", async () => {
    diesWhen = { b: "FEATURE_PARALLEL" };
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    const write = await forward(flags);
    let restarts = 0;
    beforeRestart = async (name) => {
      if (name === "a" && ++restarts > 1) throw new OutsideFault("its host is gone", { recoverable: true });
    };
    const fault = await faultOf(flags.write([write]));
    expect(fault.message).toMatch(/not brought back: .*a\/features\.env was written, but its host is gone/);
    // Even so its file says OFF: whoever starts it next starts it without.
    expect(await each(inFile)).toEqual(["false", "false", "false"]);
  });

  it("leaves alone what a person changed on an earlier instance", async () => {
    diesWhen = { c: "FEATURE_PARALLEL" };
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    const write = await forward(flags);
    beforeRestart = async (name) => {
      if (name === "c" && (await inFile("a")) === "true") await edit("a", "maybe");
    };
    await faultOf(flags.write([write]));
    expect(await each(inFile)).toEqual(["maybe", "false", "false"]);
  });

  it("brings the earlier ones back when somebody changes a later one first, and calls it a conflict", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    const write = await forward(flags);
    beforeRestart = async (name) => {
      if (name === "a" && (await inFile("a")) === "true") await edit("b", "maybe");
    };
    expect(await flags.write([write])).toEqual({ parallel: "conflict" });
    expect(await each(inFile)).toEqual(["false", "maybe", "false"]);
  });
});

describe("going back on several hosts", () => {
  it("restarts all at once, and a drain is waited for as long as it needs and no longer", async () => {
    drainS = "1";
    const flags = open();
    await flags.write([put(PARALLEL, ON), put(BATCHING, ON)]);
    steps = [];
    const began = performance.now();
    expect(await flags.write([put(PARALLEL, OFF), put(BATCHING, OFF)])).toEqual({
      parallel: "written",
      batching: "written",
    });
    const tookMs = performance.now() - began;
    expect(steps.slice(0, 3).toSorted()).toEqual(["a begins", "b begins", "c begins"]);
    expect(steps).toHaveLength(6);
    expect(tookMs).toBeGreaterThanOrEqual(1_000);
    expect(tookMs).toBeLessThan(3_000);
    // None was killed in the middle of what it had in hand.
    expect(await each((name) => readFile(join(runOf(name), "told.ends"), "utf8"))).toEqual([
      "ended\n",
      "ended\n",
      "ended\n",
    ]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true });
  });

  it("leaves the others off when one fails, names it, and restarts only that one at the next try", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, ON)]);
    steps = [];
    beforeRestart = async (name) => {
      if (name === "b") throw new OutsideFault("its host is gone", { recoverable: true });
    };
    const write = put(PARALLEL, OFF);
    const fault = await faultOf(flags.write([write]));
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toMatch(
      /^1 of 3 instances left: .*b\/features\.env was written, but its host is gone/,
    );
    expect(await each(toldOf)).toEqual(["false", "true", "false"]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: false });
    beforeRestart = async () => undefined;
    steps = [];
    expect(await flags.write([write])).toEqual({ parallel: "written" });
    expect(steps).toEqual(["b begins", "b is up"]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true, intent: write.intent });
  });

  it("never calls a host off whose process does not stay up, tries it again, and counts it once it is up", async () => {
    startS = "0.15";
    const flags = open();
    await flags.write([put(PARALLEL, ON)]);
    steps = [];
    await writeFile(join(runOf("b"), "broken"), "");
    const write = put(PARALLEL, OFF);
    for (let tries = 0; tries < 2; tries++) {
      let done = false;
      const failing = faultOf(flags.write([write])).finally(() => {
        done = true;
      });
      const seen = new Set<boolean>();
      // What exits in a moment runs until then, with the right file.
      while (!done) {
        const reading = await readingOf(flags);
        if (reading?.setting.kind === "off") seen.add(reading.effective);
        await delay(5);
      }
      expect([...seen]).toEqual([false]);
      const fault = await failing;
      expect(fault.recoverable).toBe(true);
      expect(fault.message).toBe(
        `1 of 3 instances left: ${pathOf("b")} was written, but the process of ${runOf("b")}/pid is not up: it ended at once with exit code 3; the flags are taken back in the file, which stays so: mend what keeps the service from coming up, Belay restarts it again and again`,
      );
      expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: false });
    }
    expect(steps.filter((step) => !step.startsWith("b"))).toHaveLength(4);
    await rm(join(runOf("b"), "broken"));
    steps = [];
    expect(await flags.write([write])).toEqual({ parallel: "written" });
    expect(steps).toEqual(["b begins", "b is up"]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true, intent: write.intent });
  });

  it("counts a host that somebody else brought up, and does not restart it again", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, ON)]);
    await writeFile(join(runOf("b"), "broken"), "");
    const write = put(PARALLEL, OFF);
    await faultOf(flags.write([write]));
    await rm(join(runOf("b"), "broken"));
    await targets.get("b")?.restart();
    steps = [];
    // It may be seen too young to be believed: it is waited for, not restarted.
    expect(await flags.write([write])).toEqual({ parallel: "written" });
    expect(steps).toEqual([]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true });
  });

  it("does not wait for a forward operation, and takes back what that one had begun with the same restarts", async () => {
    drainS = "1";
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    steps = [];
    const version = await versionIn(flags);
    const walking = faultOf(flags.write([put(PARALLEL, ON, version), put(BATCHING, ON, version)]));
    await until("the first instance restarts", () => steps.includes("a begins"));
    const began = performance.now();
    // The rollback names one of the two; the other one was begun by the same forward operation and goes along.
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    expect((await walking).message).toContain("a rollback came in between");
    // The drain under way was used: the process that came up after it had the values of the rollback.
    expect(performance.now() - began).toBeLessThan(1_900);
    expect(steps.filter((step) => step.endsWith("begins"))).toEqual(["a begins"]);
    expect(await flags.read(BOTH)).toMatchObject({
      parallel: { setting: OFF, effective: true },
      batching: { setting: OFF, effective: true },
    });
    expect(await toldOf("a")).toBe("false");
  });

  it("sends the others off at once while one of them cannot be asked", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, ON)]);
    const deaf: Target = {
      status: () => Promise.reject(new OutsideFault("no answer", { recoverable: true })),
      restart: () => Promise.reject(new OutsideFault("no answer", { recoverable: true })),
    };
    const partly = createEnvInstancesStore(
      NAMES.map((name) => ({
        name: pathOf(name),
        flags: createEnvFileStore({
          path: pathOf(name),
          target: name === "a" ? deaf : targetOf(name),
          restartWithinMs: 5_000,
        }),
      })),
    );
    const fault = await faultOf(partly.write([put(PARALLEL, OFF)]));
    expect(fault.message).toContain("1 of 3 instances left");
    expect(await each(inFile)).toEqual(["false", "false", "false"]);
    expect((await each(toldOf)).slice(1)).toEqual(["false", "false"]);
  });
});

describe("Belay killed in the middle of a forward operation", () => {
  /** Ends with Belay killed when `b` is about to restart: `a` is on and runs, `b` is written only, `c` is untouched. */
  async function killedHalfWay(version: string): Promise<void> {
    const killed = runModule(`
      import { createEnvInstancesStore } from ${JSON.stringify(INSTANCES_MODULE)};
      import { createEnvFileStore, readEnvironment } from ${JSON.stringify(ENV_MODULE)};
      import { createProcessTarget } from ${JSON.stringify(PROCESS_MODULE)};
      const store = (name) => {
        const path = ${JSON.stringify(folder)} + "/" + name + "/features.env";
        const run = ${JSON.stringify(folder)} + "/" + name + "/run";
        const inner = createProcessTarget({
          command: ["/bin/sh", "-c", ${JSON.stringify(SERVICE)}],
          pidfile: run + "/pid",
          environment: () => readEnvironment(path),
          baseEnvironment: { TOLD: run + "/told", DIES_WHEN: "NOTHING", DRAIN_S: "0" },
          settleMs: 5, upWithinMs: 5000,
        });
        const restart = () => (name === "b" ? process.kill(process.pid, "SIGKILL") : inner.restart());
        const target = { status: () => inner.status(), restart };
        return { name: path, flags: createEnvFileStore({ path, target, restartWithinMs: 10000 }) };
      };
      const flags = createEnvInstancesStore(["a", "b", "c"].map(store));
      const flag = ${JSON.stringify(PARALLEL)};
      await flags.write([{ flag, setting: { kind: "on" }, intent: "r9.2.parallel", ifVersion: ${JSON.stringify(version)} }]);`);
    await killed.ended;
    expect(killed.child.signalCode).toBe("SIGKILL");
  }

  async function halfWay(): Promise<Flags> {
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    await killedHalfWay(await versionIn(flags));
    steps = [];
    expect(await each(inFile)).toEqual(["true", "true", "false"]);
    expect(await each(toldOf)).toEqual(["true", "false", "false"]);
    return open();
  }

  it("reads as Belay's own work, half done", async () => {
    const flags = await halfWay();
    expect(await readingOf(flags)).toMatchObject({
      setting: { kind: "value", value: `on at 2 of 3 (off at ${pathOf("c")})` },
      effective: false,
      intent: "r9.2.parallel",
    });
  });

  it("is finished by the next forward write, which restarts only what is left", async () => {
    const flags = await halfWay();
    expect(await flags.write([await forward(flags)])).toEqual({ parallel: "written" });
    expect(steps).toEqual(["b begins", "b is up", "c begins", "c is up"]);
    expect(await readingOf(flags)).toMatchObject({ setting: ON, effective: true });
    expect(await each(toldOf)).toEqual(["true", "true", "true"]);
  });

  it("is taken back by the next rollback, which restarts only what had begun", async () => {
    const flags = await halfWay();
    expect(await flags.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
    expect(steps.filter((step) => step.startsWith("c"))).toEqual([]);
    expect(await readingOf(flags)).toMatchObject({ setting: OFF, effective: true });
    expect(await each(toldOf)).toEqual(["false", "false", "false"]);
  });
});

describe("rehearsing on several hosts", () => {
  it("finds nothing where all is well, changes nothing, and restarts nothing", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    steps = [];
    const version = await versionIn(flags);
    expect(await flags.rehearse(PARALLEL)).toMatchObject({ problems: [], writeMs: undefined });
    expect(steps).toEqual([]);
    expect(await versionIn(flags)).toBe(version);
  });

  it("names each instance that would fail, and says when they do not agree", async () => {
    const flags = open();
    await flags.write([put(PARALLEL, OFF)]);
    await edit("b", "true");
    expect((await flags.rehearse(PARALLEL)).problems).toEqual([
      `the instances do not agree: FEATURE_PARALLEL is off at 2 of 3 (on at ${pathOf("b")}); set it the same everywhere first`,
    ]);
    await targets.get("c")?.stop();
    expect((await flags.rehearse(PARALLEL)).problems).toEqual([`what reads ${pathOf("c")} does not run`]);
  });
});
