/** Environment files whose rights or notes are not as they should be: a rehearsal finds what a rollback would meet, and notes of the version before are read. */
import { chown, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createEnvFileStore } from "../../src/adapters/flags/env-file.ts";
import type { OpenContext } from "../../src/adapters/flags/provider.ts";
import { provider } from "../../src/adapters/flags/providers/env-file.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import type { Target } from "../../src/engine/ports.ts";
import { faultOf, logInto } from "../support/faults.ts";
import { PARALLEL, put, temporaryFolder, withoutRights } from "../support/flag-store-contract.ts";

const TEXT = "FEATURE_PARALLEL=true\n";
const NOBODY = 65_534;
const isRoot = process.geteuid?.() === 0;

let folder: string;
let remove: () => Promise<void>;
let path: string;
let restarts: number;

beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
  path = join(folder, "features.env");
  await writeFile(path, TEXT);
  restarts = 0;
});

afterEach(() => remove());

const startedAt = Date.now() + 60_000;
const target: Target = {
  async restart() {
    restarts++;
  },
  status: async () => ({ running: true, startedAt }),
};

const open = (more: object = {}) => createEnvFileStore({ path, target, restartWithinMs: 1_000, ...more });

describe("a rehearsal", () => {
  it("finds that Belay may not replace a file of somebody else, though it may write to the folder", async () => {
    // As root Belay turns into somebody else, else the file is one of root's.
    if (!isRoot) {
      await rm(path);
      await symlink("/etc/passwd", path);
    }
    await withoutRights(folder, 0o777, async () => {
      const fault = await faultOf(open().write([put(PARALLEL, OFF)]));
      expect(fault.message).toMatch(/permission denied; Belay's user must own it/);
      const { problems } = await open().rehearse(PARALLEL);
      expect(problems.join("\n")).toMatch(/permission denied; Belay's user must own it/);
    });
  });

  it("has no problem with a file of Belay's own, and leaves it and its folder as they were", async () => {
    if (isRoot) await chown(path, NOBODY, 0);
    await withoutRights(folder, 0o777, async () => {
      expect((await open().rehearse(PARALLEL)).problems).toEqual([]);
    });
    expect(await readdir(folder)).toEqual(["features.env"]);
    expect(await readFile(path, "utf8")).toBe(TEXT);
    expect(restarts).toBe(0);
  });
});

describe("notes of the version before, which bore no mark of the file's path", () => {
  it("still tell whose write it was", async () => {
    const stateDir = join(folder, "state");
    await mkdir(stateDir);
    const flags = open({ stateDir });
    const write = put(PARALLEL, ON);
    await flags.write([write]);
    expect((await flags.read([PARALLEL]))["parallel"]).toMatchObject({ setting: ON, intent: write.intent });
    const marked = (await readdir(stateDir)).find((name) => name.endsWith(".belay.json")) ?? "";
    expect(marked).toMatch(/^\.features\.env\.[0-9a-f]{8}\.belay\.json$/);
    await rename(join(stateDir, marked), join(stateDir, ".features.env.belay.json"));
    const upgraded = open({ stateDir });
    expect((await upgraded.read([PARALLEL]))["parallel"]).toMatchObject({ intent: write.intent });
    // What is written from now on bears the mark.
    const next = put(PARALLEL, OFF);
    await upgraded.write([next]);
    expect(await readdir(stateDir)).toContain(marked);
    expect((await open({ stateDir }).read([PARALLEL]))["parallel"]).toMatchObject({ intent: next.intent });
  });
});

describe("one environment file that two units read", () => {
  const opened = (): { readonly context: OpenContext; readonly restarted: unknown[] } => {
    const restarted: unknown[] = [];
    // No two of them were started at one instant.
    let started = 0;
    const context: OpenContext = {
      environment: "production",
      stateDir: folder,
      log: logInto([]),
      secret: () => undefined,
      target(unit) {
        const startedAt = ++started;
        return {
          restart: async () => void restarted.push(unit),
          status: async () => ({ running: true, startedAt }),
        };
      },
      scope: { closers: [] },
    };
    return { context, restarted };
  };

  it("restarts for each flags file the unit that it names", async () => {
    const { context, restarted } = opened();
    const entry = (restart: string) => ({ kind: "env-file", path, restart });
    await provider.open(entry("a.service"), context).write([put(PARALLEL, ON)]);
    await provider.open(entry("b.service"), context).write([put(PARALLEL, OFF)]);
    expect(restarted).toEqual(["a.service", "b.service"]);
    expect(provider.open(entry("a.service"), context)).toBe(provider.open(entry("a.service"), context));
  });

  it("restarts the units of instances that each flags file names", async () => {
    const { context, restarted } = opened();
    await writeFile(join(folder, "second.env"), TEXT);
    const entry = (name: string) => ({
      kind: "env-file",
      instances: [path, join(folder, "second.env")].map((one, i) => ({
        path: one,
        restart: `${name}-${i}.service`,
      })),
    });
    await provider.open(entry("a"), context).write([put(PARALLEL, OFF)]);
    await provider.open(entry("b"), context).write([put(PARALLEL, OFF)]);
    expect(restarted.slice(-2).toSorted()).toEqual(["b-0.service", "b-1.service"]);
  });
});
