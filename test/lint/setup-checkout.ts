/** A small checkout with the real set-up scripts, whose npm is a stand-in on PATH. */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./biome-run.ts";

/** An executable shell script. */
export function script(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Node on these words, in this environment only. */
export function node(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** The lock of the checkout: one package is for another system. */
export const LOCK = {
  lockfileVersion: 3,
  packages: {
    "": { name: "belay" },
    "node_modules/near": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/dev": { version: "2.0.0", integrity: "sha512-b", dev: true },
    "node_modules/other-system": { version: "3.0.0", integrity: "sha512-c", optional: true },
  },
};

/** A checkout with the real scripts, a small lock, and an npm that installs what `installed.json` says. */
export class Checkout {
  readonly root: string;
  readonly log: string;
  readonly env: NodeJS.ProcessEnv;

  constructor(root: string) {
    this.root = root;
    this.log = join(root, "npm.log");
    const bin = join(root, "bin");
    mkdirSync(bin);
    cpSync(join(ROOT, "scripts"), join(root, "scripts"), { recursive: true });
    this.lock(LOCK);
    this.installs({
      "node_modules/near": LOCK.packages["node_modules/near"],
      "node_modules/dev": LOCK.packages["node_modules/dev"],
    });
    script(
      join(bin, "npm"),
      [
        `echo "$*" >> "${this.log}"`,
        "echo noise of npm",
        'if test "$1" = install; then',
        "  test -e fail && exit 1",
        "  mkdir -p .unleash/node_modules/unleash-server/dist",
        "  cp unleash.json .unleash/node_modules/unleash-server/package.json",
        "  touch .unleash/node_modules/.package-lock.json .unleash/node_modules/unleash-server/dist/server.js",
        "fi",
        'test "$1" = ci || exit 0',
        "test -e fail && exit 1",
        "rm -rf node_modules && mkdir -p node_modules/.bin node_modules/near node_modules/dev",
        "echo {} > node_modules/near/package.json && echo {} > node_modules/dev/package.json",
        "cp installed.json node_modules/.package-lock.json",
        `test -e nonode || ln -s "${process.execPath}" node_modules/.bin/node`,
      ].join("\n"),
    );
    this.env = { PATH: `${bin}:/usr/bin:/bin` };
  }

  lock(lock: unknown): void {
    writeFileSync(join(this.root, "package-lock.json"), JSON.stringify(lock));
  }

  installs(packages: unknown): void {
    writeFileSync(join(this.root, "installed.json"), JSON.stringify({ packages }));
  }

  /** What npm installs for the tests, and every program that they need. */
  unleash(version: string): void {
    writeFileSync(join(this.root, "unleash.json"), JSON.stringify({ version }));
    for (const name of ["prometheus", "alertmanager", "chromium", "faketime", "postgres"])
      script(join(this.root, "bin", name), "exit 0");
  }

  setup(purpose: string): Promise<Ran> {
    return node([join(this.root, "scripts", "setup.mjs"), purpose], this.env);
  }

  /** The npm commands so far, first words only. */
  npmRuns(): readonly string[] {
    return existsSync(this.log)
      ? readFileSync(this.log, "utf8")
          .trim()
          .split("\n")
          .map((line) => line.split(" --")[0] ?? line)
      : [];
  }
}
