/** One scene of the demo as a program of its own, headless: what it said, what it started, and that nothing of it is left. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./eventually.ts";
import { commandOf, isThere } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../demo/main.ts", import.meta.url));

export class SceneProgram {
  readonly child: ChildProcess;
  /** Everything it writes goes below this folder. */
  readonly #temp: string;
  /** What it said so far. */
  said = "";
  errors = "";

  constructor(scene: string) {
    this.#temp = mkdtempSync(join(tmpdir(), `${scene}-scene-test-`));
    // A group of its own, as a shell gives to what it starts.
    this.child = spawn(process.execPath, [MAIN, "--scene", scene, "--headless", "--json"], {
      detached: true,
      env: { ...process.env, TMPDIR: this.#temp },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.said += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
  }

  /** Ends it with everything that it started, and removes its folder. */
  end(): void {
    // Belay first, for it would start again what is stopped.
    const belay = (pid: number): number => (commandOf(String(pid)).includes("cli.ts") ? 0 : 1);
    this.child.kill("SIGKILL");
    for (const pid of this.ours().toSorted((a, b) => belay(a) - belay(b)))
      if (isThere(pid)) process.kill(pid, "SIGKILL");
    rmSync(this.#temp, { recursive: true, force: true });
  }

  /** Resolves when no process and no folder of it is there any more. */
  async leavesNothing(): Promise<void> {
    await until("every process has ended", () => this.ours().length === 0, {
      instead: () =>
        this.ours()
          .map((pid) => commandOf(String(pid)).replaceAll("\0", " "))
          .join("\n"),
    });
    await until("every folder is gone", () => readdirSync(this.#temp).length === 0, {
      instead: () => readdirSync(this.#temp).join(),
    });
  }

  /** Everything that the demo starts has the temporary folder in its command line, or writes its output there. */
  ours(): readonly number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && (commandOf(name) + outputOf(name)).includes(this.#temp))
      .map(Number);
  }
}

function outputOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/1`);
  } catch {
    return ""; // It ended meanwhile, or is somebody else's.
  }
}
