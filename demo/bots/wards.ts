/** What the demo leaves to its warden, in case that it dies: each is one line of JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startMarkOf } from "../../src/adapters/target/process-table.ts";

const WARDEN = fileURLToPath(new URL("./warden.ts", import.meta.url));

/** `process`: with the mark of its start; `pidfile`: the process that it names by then; `folder`: to be removed; `goodbye`: nothing is left to do. */
export const wardSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("process"), pid: z.int().positive(), mark: z.string() }),
  z.object({ kind: z.literal("pidfile"), path: z.string().min(1) }),
  z.object({ kind: z.literal("folder"), path: z.string().min(1) }),
  z.object({ kind: z.literal("goodbye") }),
]);
export type Ward = z.output<typeof wardSchema>;

export interface Warden {
  readonly pid: number;
  /** Ends this process should the demo die; one that is gone already is nothing to it. */
  readonly mindProcess: (pid: number) => void;
  readonly mindPidfile: (path: string) => void;
  /** All is ended; resolves when the warden is gone. */
  readonly goodbye: () => Promise<void>;
}

/** Starts a warden that removes `dir` last of all. It sees the demo's death by the end of its standard input. */
export function startWarden(dir: string): Warden {
  const child: ChildProcess = spawn(process.execPath, [WARDEN, dir], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  const gone = once(child, "exit");
  // A write to a warden that is gone is no news.
  child.stdin?.on("error", () => {});
  const tell = (ward: Ward): void => void child.stdin?.write(`${JSON.stringify(ward)}\n`);
  tell({ kind: "folder", path: dir });
  return {
    pid: child.pid ?? 0,
    mindProcess: (pid) => {
      const mark = startMarkOf(pid);
      if (mark !== undefined) tell({ kind: "process", pid, mark });
    },
    mindPidfile: (path) => tell({ kind: "pidfile", path }),
    goodbye: async () => {
      tell({ kind: "goodbye" });
      child.stdin?.end();
      await gone;
    },
  };
}
