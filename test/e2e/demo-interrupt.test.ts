/** Ctrl-C in the demo's terminal, at any time: every process ends and every temporary folder goes. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, until } from "../support/eventually.ts";
import { commandOf, isThere } from "../support/processes.ts";

const MAIN = fileURLToPath(new URL("../../demo/main.ts", import.meta.url));
const STARTED_WITHIN_MS = 45_000;
const ENDED_WITHIN_MS = 15_000;

let temp: string;
let demo: ChildProcess;
let said: string;

beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), "demo-interrupt-test-"));
  said = "";
  // A group of its own, as a shell gives to what it starts.
  demo = spawn(process.execPath, [MAIN, "--speed", "1"], {
    detached: true,
    env: { ...process.env, TMPDIR: temp },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [demo.stdout, demo.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
});

afterEach(() => {
  for (const pid of [...ours(), demo.pid ?? 0]) if (isThere(pid)) process.kill(pid, "SIGKILL");
  rmSync(temp, { recursive: true, force: true });
});

/** The pids whose command line names the temporary folder: Prometheus, the service and Belay all do. */
function ours(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && commandOf(name).includes(temp))
    .map(Number);
}

/** The page's address, once it is told. */
function address(): Promise<string> {
  return eventually("the page's address", () => /Open {2}(http:\/\/127\.0\.0\.1:\d+\/)/.exec(said)?.[1], {
    withinMs: STARTED_WITHIN_MS,
    instead: () => said,
  });
}

/** Sends the signal and waits for the end; resolves with the exit code. */
async function interrupt(signal: NodeJS.Signals, to: "demo" | "group"): Promise<unknown> {
  const gone = once(demo, "exit", { signal: AbortSignal.timeout(ENDED_WITHIN_MS) });
  const pid = demo.pid ?? 0;
  process.kill(to === "group" ? -pid : pid, signal);
  const [code] = await gone;
  return code;
}

async function expectNothingLeft(): Promise<void> {
  await until("every process has ended", () => ours().length === 0, {
    withinMs: 2_000,
    instead: () => ours().map(String).map(commandOf).join("\n"),
  });
  expect(readdirSync(temp)).toEqual([]);
}

test("a terminal's Ctrl-C, which reaches every process, leaves nothing behind", async () => {
  const url = await address();
  expect((await fetch(url)).status).toBe(200);
  expect(ours()).toHaveLength(3);
  expect(readdirSync(temp)).not.toEqual([]);
  expect(said).toContain("/rollout start ingestion");
  const code = interrupt("SIGINT", "group");
  // Who does not like to wait presses it again; that changes nothing.
  await until("it says so", () => said.includes("Stopping everything"));
  process.kill(-(demo.pid ?? 0), "SIGINT");
  expect(await code).toBe(130);
  await expectNothingLeft();
  await expect(fetch(url)).rejects.toThrow();
});

test.each([
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)("%s to the demo alone leaves nothing behind", async (signal, code) => {
  await address();
  expect(ours()).toHaveLength(3);
  expect(await interrupt(signal, "demo")).toBe(code);
  await expectNothingLeft();
});

test.each([
  [2, "demo"],
  [2, "group"],
  [3, "demo"],
  [3, "group"],
] as const)("Ctrl-C with %i processes there, before the page is: to the %s", async (count, to) => {
  await until(`process ${count}`, () => ours().length === count, { withinMs: STARTED_WITHIN_MS });
  expect(said).not.toContain("Open");
  expect(await interrupt("SIGINT", to)).toBe(130);
  await expectNothingLeft();
});
