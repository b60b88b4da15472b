/** The state folder: private, its owner's alone, and in use by one process at a time. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareStateDir, type StateDir } from "../../src/adapters/journal/state-dir.ts";
import { OutsideFault } from "../../src/engine/ports.ts";

const MODULE = new URL("../../src/adapters/journal/state-dir.ts", import.meta.url).href;

let root = "";
let path = "";
let held: StateDir[] = [];

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "belay-state-")));
  path = join(root, "deep", "state");
});

afterEach(() => {
  for (const folder of held) folder.release();
  held = [];
  rmSync(root, { recursive: true, force: true });
});

function prepare(): StateDir {
  const folder = prepareStateDir(path);
  held.push(folder);
  return folder;
}

/** The one sentence with which the folder is refused. */
function refusal(): string {
  try {
    prepare();
  } catch (error) {
    expect(error).toBeInstanceOf(OutsideFault);
    if (error instanceof OutsideFault) {
      expect(error.recoverable).toBe(false);
      expect(error.message).not.toContain("\n");
      return error.message;
    }
  }
  throw new Error("the folder was taken, expected a refusal");
}

describe("the state folder", () => {
  it("is made, and is private", () => {
    expect(prepare().path).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it.each([0o720, 0o702, 0o777, 0o1777])("is refused with mode %o", (mode) => {
    mkdirSync(path, { recursive: true });
    chmodSync(path, mode);
    const sentence = refusal();
    expect(sentence).toContain(`other users may write to the state folder ${path}`);
    expect(sentence).toContain("chmod 700");
    chmodSync(path, 0o750);
    expect(prepare().path).toBe(path);
  });

  it("is refused when it belongs to another user", () => {
    const user = process.geteuid?.() ?? 0;
    if (user === 0) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      chownSync(path, 12_345, 12_345);
      expect(refusal()).toBe(
        `the state folder ${path} belongs to user 12345 and Belay runs as user 0; give it a folder of its own`,
      );
    } else {
      // Nobody but root can give a folder away; the root of the file system is root's.
      path = "/";
      expect(refusal()).toBe(
        `the state folder / belongs to user 0 and Belay runs as user ${user}; give it a folder of its own`,
      );
    }
  });

  it("is refused when it is a file, or below one", () => {
    path = join(root, "file");
    writeFileSync(path, "");
    expect(refusal()).toContain("cannot be made or reached");
    path = join(root, "file", "state");
    expect(refusal()).toContain("cannot be made or reached");
  });

  it("is judged where a link leads", () => {
    const real = join(root, "real");
    mkdirSync(real);
    chmodSync(real, 0o777);
    path = join(root, "link");
    symlinkSync(real, path);
    expect(refusal()).toContain(`state folder ${real}`);
    chmodSync(real, 0o700);
    expect(prepare().path).toBe(real);
  });

  it("is in use by one at a time, and free again after release", () => {
    const first = prepare();
    expect(refusal()).toContain(`in use by process ${process.pid}, since 20`);
    first.release();
    first.release();
    expect(existsSync(join(path, "belay.pid"))).toBe(false);
    prepare();
  });

  it("refuses a second process in one sentence, and is free again at once after a kill", async () => {
    // Nothing in this process refers to what it holds, and garbage is collected.
    const script = `(await import(${JSON.stringify(MODULE)})).prepareStateDir(process.argv[1]); globalThis.gc(); console.log("held"); setInterval(() => {}, 1000);`;
    const holder = spawn(
      process.execPath,
      ["--expose-gc", "--input-type=module", "--eval", script, "--", path],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const ended = new Promise((resolve) => holder.once("close", resolve));
    try {
      await new Promise((resolve) => createInterface({ input: holder.stdout }).once("line", resolve));
      const sentence = refusal();
      expect(sentence).toContain(`the state folder ${path} is in use by process ${holder.pid}, since 20`);
    } finally {
      holder.kill("SIGKILL");
      await ended;
    }
    expect(prepare().path).toBe(path);
  });

  it("says who is in the way as well as it can", () => {
    prepare();
    for (const text of ["", "{", "null", '{"pid":"x"}']) {
      writeFileSync(join(path, "belay.pid"), text);
      expect(refusal()).toContain("in use by another process;");
    }
  });
});
