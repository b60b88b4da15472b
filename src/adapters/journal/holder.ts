/** Who holds a lock: a small file beside it that names the process, written by the holder and read only to say who is in the way. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";

/** Writes who holds the lock now; it helps people only, so a failure is ignored. */
export function writeHolder(path: string): void {
  try {
    writeFileSync(path, `${JSON.stringify({ pid: process.pid, since: new Date().toISOString() })}\n`, {
      mode: 0o600,
    });
  } catch {
    // The lock itself holds without it.
  }
}

export function removeHolder(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A stale file misleads nobody: it is read only while the lock is held.
  }
}

/** `process 123, since 2026-05-01T09:00:00.000Z`, or `another process` when the file cannot say. */
export function describeHolder(path: string): string {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null) return "another process";
    const pid = "pid" in value && typeof value.pid === "number" ? value.pid : undefined;
    const since = "since" in value && typeof value.since === "string" ? value.since.slice(0, 40) : undefined;
    if (pid === undefined) return "another process";
    return since === undefined ? `process ${pid}` : `process ${pid}, since ${since}`;
  } catch {
    return "another process";
  }
}
