/** Looking at processes of this machine: whether one is the one meant, since process ids are used again. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const PS_TIMEOUT_MS = 2_000;
const LINUX = process.platform === "linux";

/**
 * A mark of the process that has this id now: the same id with another mark is another process. Undefined when there is none, or when it has ended
 * and only waits to be collected.
 */
export function startMarkOf(pid: number): string | undefined {
  return LINUX ? markFromProc(pid) : markFromPs(pid);
}

function markFromProc(pid: number): string | undefined {
  const fields = statOf(pid);
  if (fields === undefined || fields.state === "Z" || fields.state === "X") return undefined;
  return `${bootId()}.${fields.startTicks}`;
}

/** The fields of /proc/PID/stat that matter, proc(5): state (3rd) and start in clock ticks since boot (22nd). */
function statOf(pid: number): { readonly state: string; readonly startTicks: string } | undefined {
  const text = readQuietly(`/proc/${pid}/stat`);
  // The second field, the command's name in parentheses, may hold anything; the last parenthesis ends it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  const startTicks = fields[19];
  return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
}

/** Ticks count from boot, so a mark holds the boot too. */
function bootId(): string {
  return readQuietly("/proc/sys/kernel/random/boot_id").trim();
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function markFromPs(pid: number): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
      encoding: "utf8",
      timeout: PS_TIMEOUT_MS,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [state, ...started] = text.trim().split(/\s+/);
    return state === undefined || state === "" || state.startsWith("Z") ? undefined : started.join(" ");
  } catch {
    return undefined;
  }
}

/**
 * The ids of the processes whose environment holds `NAME=value`, the oldest first: the one started with it, and what it started in turn. Undefined
 * where the system does not tell. A process of another user is not seen.
 */
export function processesWithVariable(name: string, value: string): readonly number[] | undefined {
  if (!LINUX) return undefined;
  const wanted = `${name}=${value}`;
  const found: { readonly pid: number; readonly startTicks: number }[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    if (!readQuietly(`/proc/${pid}/environ`).split("\0").includes(wanted)) continue;
    found.push({ pid, startTicks: Number(statOf(pid)?.startTicks ?? Number.POSITIVE_INFINITY) });
  }
  return found.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid).map(({ pid }) => pid);
}
