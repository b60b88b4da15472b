/** The embedded flag store: the contracts of all flag systems and of those on disk, and what is its own: `flags.json`, broken files, seeding, a full disk. */
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, rename, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { overwriteInPlace } from "../../src/adapters/flags/disk.ts";
import { createFileStore, type FileStore, seedFileStore } from "../../src/adapters/flags/file.ts";
import { parseFlagsJson, printFlagsJson } from "../../src/adapters/flags/flags-json.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { faultOf } from "../support/faults.ts";
import {
  BATCHING,
  fileStoreContract,
  flagDef,
  LIMIT,
  PARALLEL,
  put,
  type StoreUnderTest,
  temporaryFolder,
  tinyDisks,
} from "../support/flag-store-contract.ts";
import { flagsContract } from "../support/flags-contract.ts";
import { type FlagsUnderTest, ON_DISK_LACKS } from "../support/flags-contract-under-test.ts";

const FILE_MODULE = new URL("../../src/adapters/flags/file.ts", import.meta.url).href;

interface RawFile {
  readonly flags: Record<string, { value: string; percent?: number }>;
}

async function rawOf(path: string): Promise<RawFile> {
  const raw: RawFile = JSON.parse(await readFile(path, "utf8"));
  return raw;
}

/** Saves as an editor does: in place, or by a rename. */
async function editJson(
  path: string,
  change: (raw: RawFile) => void,
  way: "in place" | "rename" = "in place",
): Promise<void> {
  const raw = await rawOf(path);
  change(raw);
  const target = way === "rename" ? `${path}.swp` : path;
  await writeFile(target, JSON.stringify(raw));
  if (way === "rename") await rename(target, path);
}

async function make(): Promise<StoreUnderTest> {
  const { folder, remove } = await temporaryFolder();
  const path = join(folder, "flags.json");
  await seedFileStore(path, [PARALLEL, BATCHING]);
  return {
    open: () => createFileStore({ path }),
    edit: (key, value) => editJson(path, (raw) => Object.assign(raw.flags[key] ?? {}, { value })),
    folder,
    moduleText: `
      import { createFileStore } from ${JSON.stringify(FILE_MODULE)};
      const store = createFileStore({ path: ${JSON.stringify(path)} });
      const flags = ${JSON.stringify([PARALLEL, BATCHING])};`,
    literals: async () =>
      Object.fromEntries(Object.entries((await rawOf(path)).flags).map(([key, { value }]) => [key, value])),
    close: remove,
  };
}

async function makeSystem(): Promise<FlagsUnderTest> {
  const { folder, open, close } = await make();
  const path = join(folder, "flags.json");
  const entryOf = async (key: string) => (await rawOf(path)).flags[key];
  return {
    open,
    person: (key, literal) =>
      editJson(path, ({ flags }) => {
        const { percent: _before, ...entry } = flags[key] ?? { value: "" };
        const percent = /^([\d.]+) %$/.exec(literal)?.[1];
        flags[key] =
          percent === undefined
            ? { ...entry, value: literal }
            : { ...entry, value: "true", percent: Number(percent) };
      }),
    literal: async (key) => {
      const entry = await entryOf(key);
      const { percent = 100 } = entry ?? {};
      return percent < 100 ? `${percent} %` : entry?.value;
    },
    close,
  };
}

flagsContract("file", makeSystem, {
  can: {
    percent: true,
    values: true,
    creates: true,
    together: true,
    compareAndSet: true,
    keepsIntent: true,
    history: false,
    restarts: false,
  },
  lacks: ON_DISK_LACKS,
});

fileStoreContract("file", make, { percent: true, restarts: false });

describe("flags.json", () => {
  let folder: string;
  let path: string;
  let store: FileStore;
  let remove: () => Promise<void>;
  beforeEach(async () => {
    ({ folder, remove } = await temporaryFolder());
    path = join(folder, "flags.json");
    store = createFileStore({ path });
  });
  afterEach(async () => {
    await store.close();
    await remove();
  });
  const age = (seconds: number) => utimes(path, new Date(), new Date(Date.now() - seconds * 1000));

  it("has no flags while it is missing, and is private when a write creates it", async () => {
    expect(await store.read([PARALLEL])).toEqual({});
    expect((await store.current()).file.entries.size).toBe(0);
    await store.write([put(PARALLEL, ON)]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["flags.json"]);
  });

  it("is what readers of the file expect", async () => {
    const limit = put(LIMIT, ON);
    const share = put(PARALLEL, { kind: "percent", percent: 25 });
    await store.write([share, limit, put(BATCHING, OFF)]);
    expect(await rawOf(path)).toEqual({
      version: 1,
      written: expect.any(Number),
      flags: {
        FEATURE_PARALLEL: {
          value: "true",
          percent: 25,
          on: "true",
          off: "false",
          rev: 1,
          intent: share.intent,
          wrote: expect.any(String),
        },
        BATCH_LIMIT: {
          value: "1000",
          on: "1000",
          off: "1",
          rev: 1,
          intent: limit.intent,
          wrote: expect.any(String),
        },
        FEATURE_BATCHING: { value: "false", rev: 1, intent: expect.any(String), wrote: expect.any(String) },
      },
    });
  });

  it("writes, syncs and reads back within milliseconds", async () => {
    const took: number[] = [];
    for (let i = 0; i < 40; i++) {
      const begun = performance.now();
      await store.write([put(PARALLEL, i % 2 === 0 ? ON : OFF)]);
      await store.read([PARALLEL]);
      took.push(performance.now() - begun);
    }
    const median = took.toSorted((a, b) => a - b)[20] ?? Number.POSITIVE_INFINITY;
    expect(median).toBeLessThan(100);
  });

  it("notices an edit that keeps `rev`, and takes it for nobody's intent", async () => {
    await store.write([put(PARALLEL, ON)]);
    const ours = (await store.read([PARALLEL]))["parallel"];
    for (const way of ["in place", "rename"] as const) {
      await editJson(
        path,
        (raw) => Object.assign(raw.flags["FEATURE_PARALLEL"] ?? {}, { percent: way === "rename" ? 7 : 6 }),
        way,
      );
      const theirs = (await store.read([PARALLEL]))["parallel"];
      expect(theirs?.version).not.toBe(ours?.version);
      expect(theirs?.version.split(".")[0]).toBe(ours?.version.split(".")[0]);
      expect(theirs).not.toHaveProperty("intent");
    }
  });

  it("has other versions when somebody saved it, also without a change; Belay's own writes leave those of other flags alone", async () => {
    await store.write([put(PARALLEL, ON), put(BATCHING, ON)]);
    const versionOf = async () => (await store.read([PARALLEL]))["parallel"]?.version;
    const seen = [await versionOf()];
    for (const way of ["in place", "rename"] as const) {
      await editJson(path, () => {}, way);
      const saved = await versionOf();
      expect(seen).not.toContain(saved);
      await store.write([put(BATCHING, OFF), put(LIMIT, ON)]);
      expect(await versionOf()).toBe(saved);
      expect(await createFileStore({ path }).read([PARALLEL])).toMatchObject({
        parallel: { version: saved },
      });
      seen.push(saved);
    }
  });

  it("does not mind what somebody wrote in place of the marks of its saves", async () => {
    await writeFile(
      path,
      '{"flags": {"FEATURE_PARALLEL": {"value": true}}, "written": "today", "edited": 7}',
    );
    expect(await store.read([PARALLEL])).toMatchObject({ parallel: { setting: ON } });
    await store.write([put(PARALLEL, OFF)]);
    expect(await store.read([PARALLEL])).toMatchObject({ parallel: { setting: OFF } });
  });

  it("keeps what it does not know: other fields, other flags, entries that make no sense", async () => {
    await writeFile(
      path,
      '{"flags": {"FEATURE_PARALLEL": {"value": true, "note": "ask Ana"}, "OTHER": {"value": "x"}, "ODD": [1]}, "team": "data"}',
    );
    expect(await store.read([PARALLEL, flagDef("odd", "ODD")])).toMatchObject({
      parallel: { setting: ON },
      odd: { setting: { kind: "value", value: "[1]" } },
    });
    await store.write([put(PARALLEL, OFF)]);
    expect(await rawOf(path)).toMatchObject({
      version: 1,
      team: "data",
      flags: {
        FEATURE_PARALLEL: { value: "false", rev: 1, note: "ask Ana" },
        OTHER: { value: "x" },
        ODD: [1],
      },
    });
  });

  it("shows a share whose values are not the flag's own as what it is", async () => {
    await writeFile(
      path,
      '{"flags": {"FEATURE_PARALLEL": {"value": "true", "percent": 25, "on": "yes", "off": "no"}}}',
    );
    expect((await store.read([PARALLEL]))["parallel"]?.setting).toEqual({
      kind: "value",
      value: "25% yes, else no",
    });
  });

  it("follows a symbolic link and replaces what it points to", async () => {
    await mkdir(join(folder, "real"));
    await writeFile(join(folder, "real", "f.json"), '{"flags": {}}');
    await symlink(join(folder, "real", "f.json"), path);
    await store.write([put(PARALLEL, ON)]);
    expect(await rawOf(join(folder, "real", "f.json"))).toMatchObject({
      flags: { FEATURE_PARALLEL: { value: "true" } },
    });
  });

  it("keeps mode and owner", async () => {
    await store.write([put(PARALLEL, ON)]);
    execFileSync("chmod", ["0644", path]);
    if (process.geteuid?.() === 0) execFileSync("chown", ["1234:1234", path]);
    const before = await stat(path);
    await store.write([put(PARALLEL, OFF)]);
    const after = await stat(path);
    expect([after.mode, after.uid, after.gid]).toEqual([before.mode, before.uid, before.gid]);
    expect(after.ino).not.toBe(before.ino);
  });

  it("removes what a killed writer left behind, once it is old", async () => {
    const old = join(folder, ".flags.json.0123.tmp");
    const fresh = join(folder, ".flags.json.4567.tmp");
    await writeFile(old, "{");
    await writeFile(fresh, "{");
    await utimes(old, 0, 0);
    await store.write([put(PARALLEL, ON)]);
    expect((await readdir(folder)).toSorted()).toEqual([".flags.json.4567.tmp", "flags.json"]);
  });

  it("does not lose what somebody else writes while it writes", async () => {
    await seedFileStore(path, [PARALLEL]);
    let edits = 0;
    let writing = true;
    const editing = (async () => {
      while (writing) {
        if (edits < 25) {
          edits++;
          const raw: object = JSON.parse(readFileSync(path, "utf8"));
          writeFileSync(`${path}.other`, JSON.stringify({ ...raw, edits }));
          renameSync(`${path}.other`, path);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    expect(await store.write([put(PARALLEL, ON)])).toEqual({ parallel: "written" });
    writing = false;
    await editing;
    expect(edits).toBeGreaterThan(3);
    expect(await rawOf(path)).toMatchObject({ edits, flags: { FEATURE_PARALLEL: { value: "true" } } });
  });

  it("gives up while somebody else writes without end", async () => {
    let edits = 0;
    let writing = true;
    const editing = (async () => {
      while (writing) {
        writeFileSync(path, JSON.stringify({ flags: {}, edits: edits++ }));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const fault = await faultOf(store.write([put(PARALLEL, ON)]));
    writing = false;
    await editing;
    expect(fault.recoverable).toBe(true);
    expect(await rawOf(path)).toMatchObject({ flags: {} });
  });

  it("refuses calls after it was closed, and waits for those under way", async () => {
    const writing = store.write([put(PARALLEL, ON)]);
    await store.close();
    expect(await rawOf(path)).toMatchObject({ flags: { FEATURE_PARALLEL: { value: "true" } } });
    expect(await writing).toEqual({ parallel: "written" });
    expect((await faultOf(store.read([PARALLEL]))).message).toContain("is closed");
  });

  it("gives up at its deadline and changes nothing afterwards", async () => {
    await seedFileStore(path, [PARALLEL]);
    const whole = await readFile(path, "utf8");
    const hurried = createFileStore({ path, timeoutMs: 40 });
    // Half a file, just saved, is waited for longer than this store has time.
    await writeFile(path, whole.slice(0, 20));
    const fault = await faultOf(hurried.write([put(PARALLEL, ON)]));
    expect(fault.recoverable).toBe(true);
    expect(fault.message).toContain("took longer than 40 ms");
    await writeFile(path, whole);
    await hurried.close();
    expect(await readFile(path, "utf8")).toBe(whole);
  });

  describe("broken", () => {
    const TORN = '{"version": 3, "flags": {\n  "FEATURE_PARALLEL": {"value": tru}\n}}';

    it("is refused with its place, and a write over a version too", async () => {
      await store.write([put(PARALLEL, ON)]);
      const version = (await store.read([PARALLEL]))["parallel"]?.version;
      await writeFile(path, TORN);
      const fault = await faultOf(store.read([PARALLEL]));
      expect(fault.recoverable).toBe(true);
      expect(fault.message).toMatch(
        /flags\.json:2:36: Unexpected token '}'; it is no flags file until somebody mends it$/,
      );
      await faultOf(store.write([put(PARALLEL, OFF, version)]));
      expect(await readFile(path, "utf8")).toBe(TORN);
    });

    it("names the place of each kind of mistake", () => {
      const places = [
        "",
        '{"flags": {"a": 1,}}',
        '{"flags": {\n"a": "x',
        '{"flags": {}} x',
        "[]",
        '{"flags": []}',
        "%",
      ].map((text) => {
        const broken = parseFlagsJson(text);
        return "kind" in broken ? `${broken.line}:${broken.column}` : "sound";
      });
      expect(places).toEqual(["1:1", "1:19", "2:8", "1:15", "1:1", "1:1", "1:1"]);
    });

    it("does not stop a write that goes back: what is known is written, the broken file is kept aside", async () => {
      await store.write([put(PARALLEL, ON), put(BATCHING, ON)]);
      await writeFile(path, TORN);
      await age(10);
      expect(await store.write([put(PARALLEL, OFF), put(LIMIT, ON, "1.x")])).toEqual({
        parallel: "written",
        limit: "conflict",
      });
      expect(await store.read([PARALLEL, BATCHING])).toMatchObject({
        parallel: { setting: OFF },
        batching: { setting: ON },
      });
      const [aside, ...more] = (await readdir(folder)).filter((name) =>
        /^flags\.json\.broken-\d{4}-\d\d-\d\dT\d{9}Z$/.test(name),
      );
      expect(more).toEqual([]);
      expect(await readFile(join(folder, aside ?? ""), "utf8")).toBe(TORN);
    });

    it("does not stop it either when nothing was known before", async () => {
      await writeFile(path, TORN);
      const fresh = createFileStore({ path });
      expect(await fresh.write([put(PARALLEL, OFF)])).toEqual({ parallel: "written" });
      expect(await fresh.read([PARALLEL, BATCHING])).toMatchObject({ parallel: { setting: OFF } });
    });

    it("waits a moment for an editor that is just saving", async () => {
      await seedFileStore(path, [PARALLEL]);
      const whole = await readFile(path, "utf8");
      await writeFile(path, whole.slice(0, 20));
      const reading = store.read([PARALLEL]);
      await writeFile(path, whole);
      expect(await reading).toMatchObject({ parallel: { setting: OFF } });
    });

    it("is served as it was before", async () => {
      await store.write([put(PARALLEL, ON)]);
      await store.current();
      await writeFile(path, TORN);
      await age(10);
      expect(await store.current()).toMatchObject({ stale: true, file: { version: 1 } });
      await faultOf(createFileStore({ path }).current());
    });
  });

  it("serves an outside edit at once, even one of the same length a moment later", async () => {
    await writeFile(path, '{"flags": {"K": {"value": "a"}}}');
    for (let i = 0; i < 200; i++) {
      const value = i % 2 === 0 ? "b" : "c";
      await writeFile(path, `{"flags": {"K": {"value": "${value}"}}}`);
      const entry = (await store.current()).file.entries.get("K");
      expect(entry).toMatchObject({ served: { value } });
    }
  });

  describe("seeding", () => {
    const pinned = flagDef("metrics", "FEATURE_METRICS", { pinned: ON });

    it("adds what is missing and changes nothing else", async () => {
      await store.write([put(PARALLEL, ON)]);
      const before = (await rawOf(path)).flags["FEATURE_PARALLEL"];
      expect(await seedFileStore(path, [PARALLEL, LIMIT, pinned])).toEqual([
        "BATCH_LIMIT",
        "FEATURE_METRICS",
      ]);
      const after = await rawOf(path);
      expect(after.flags["FEATURE_PARALLEL"]).toEqual(before);
      expect(after.flags).toMatchObject({ BATCH_LIMIT: { value: "1" }, FEATURE_METRICS: { value: "true" } });
      const text = await readFile(path, "utf8");
      expect(await seedFileStore(path, [PARALLEL, LIMIT, pinned])).toEqual([]);
      expect(await readFile(path, "utf8")).toBe(text);
      expect(await store.read([LIMIT, pinned])).toMatchObject({
        limit: { setting: OFF },
        metrics: { setting: ON },
      });
    });

    it("does not touch a broken file", async () => {
      await writeFile(path, "{");
      await faultOf(seedFileStore(path, [PARALLEL]));
      expect(await readFile(path, "utf8")).toBe("{");
    });
  });

  it("is not a folder, a pipe or a huge file", async () => {
    await mkdir(path);
    expect((await faultOf(store.read([]))).message).toContain("is not a file");
    const pipe = createFileStore({ path: join(folder, "pipe") });
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect((await faultOf(pipe.read([]))).message).toContain("is not a file");
    await writeFile(join(folder, "huge"), Buffer.alloc(1024 * 1024 + 1));
    expect((await faultOf(createFileStore({ path: join(folder, "huge") }).read([]))).message).toContain(
      "is larger than",
    );
    expect(
      (await faultOf(createFileStore({ path: join(folder, "no", "where") }).write([put(PARALLEL, ON)])))
        .message,
    ).toContain("its folder does not exist");
  });

  it("can be written over in place, with blanks where the old text was longer", async () => {
    await store.write([put(PARALLEL, ON), put(BATCHING, ON)]);
    const before = await stat(path);
    await overwriteInPlace(path, Buffer.from('{"flags": {"FEATURE_PARALLEL": {"value": "false"}}}'));
    const after = await stat(path);
    expect([after.ino, after.size]).toEqual([before.ino, before.size]);
    expect(await store.read([PARALLEL, BATCHING])).toMatchObject({ parallel: { setting: OFF } });
  });

  for (const run of tinyDisks) {
    it("goes back on a full disk, and says that it is full when it is to go forward", () => {
      const outcome = run(
        folder,
        `import { createFileStore } from ${JSON.stringify(FILE_MODULE)};
        const store = createFileStore({ path: ${JSON.stringify(path)} });`,
      );
      expect(outcome).toEqual({
        forward: `cannot write ${path}: the disk is full (recoverable: true)`,
        backward: { parallel: "written" },
        read: expect.objectContaining({ setting: OFF, intent: "backward" }),
      });
    });
  }

  it("parses what it prints, and reads any text without an error of its own", () => {
    const entry = fc.record(
      {
        value: fc.string(),
        percent: fc.integer({ min: 0, max: 100 }),
        on: fc.string(),
        off: fc.string(),
        rev: fc.nat(),
        intent: fc.string(),
      },
      { requiredKeys: ["value"] },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[A-Z_]{1,12}$/), entry), (flags) => {
        const parsed = parseFlagsJson(JSON.stringify({ flags }));
        if ("kind" in parsed) throw new Error(parsed.message);
        const again = parseFlagsJson(printFlagsJson(parsed));
        if ("kind" in again) throw new Error(again.message);
        expect(
          [...again.entries].map(([key, one]) => [
            key,
            one.kind === "flag" && [one.served, one.rev, one.intent],
          ]),
        ).toEqual(
          [...parsed.entries].map(([key, one]) => [
            key,
            one.kind === "flag" && [one.served, one.rev, one.intent],
          ]),
        );
      }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const parsed = parseFlagsJson(text);
        expect("kind" in parsed ? parsed.message : "sound").not.toBe("");
      }),
    );
  });
});
