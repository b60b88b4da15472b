#!/usr/bin/env node
/** A strict stand-in for `systemctl --user` on machines without systemd: it knows the three verbs that Belay uses and runs real processes. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

// Units are read from the first folder of $SYSTEMD_UNIT_PATH, and the state of each is kept in $XDG_RUNTIME_DIR. Everything unknown is refused.
const KEYS = new Set([
  "ExecStart",
  "EnvironmentFile",
  "StartLimitBurst",
  "StartLimitIntervalSec",
  "DefaultDependencies",
]);
const SHOWN = new Set([
  "LoadState",
  "ActiveState",
  "SubState",
  "Result",
  "MainPID",
  "InvocationID",
  "ExecMainStartTimestamp",
  "Job",
]);
const STOP_WITHIN_MS = 2_000;

/**
 * @typedef {object} State
 * @property {string} invocation
 * @property {number} pid 0 when it was never started
 * @property {string} mark what tells the process from a later one with its id
 * @property {number} startedAt ms, with fractions
 * @property {readonly number[]} starts wall ms of the starts that count against the limit
 * @property {string} failed a result other than the process's own end
 */

/** @type {(message: string, code?: number) => never} */
function refuse(message, code = 1) {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

/** @type {(name: string) => string} */
function needed(name) {
  return process.env[name] ?? refuse(`stand-in: ${name} is not set`);
}

const words = process.argv.slice(2);
const cut = words.indexOf("--");
const [unit, ...more] = cut < 0 ? [] : words.slice(cut + 1);
const before = cut < 0 ? words : words.slice(0, cut);
if (unit === undefined || more.length > 0) refuse("stand-in: expected `-- UNIT` at the end");
if (!/^[A-Za-z0-9][A-Za-z0-9@._-]*\.service$/.test(unit)) refuse(`stand-in: odd unit ${unit}`);
for (const flag of ["--user", "--no-ask-password", "--no-pager"]) {
  if (!before.includes(flag)) refuse(`stand-in: expected ${flag}`);
}
const [verb, ...flags] = before.filter(
  (word) => !["--user", "--no-ask-password", "--no-pager"].includes(word),
);
const unitFile = join(needed("SYSTEMD_UNIT_PATH").split(":")[0] ?? "", unit);
const stateFile = join(needed("XDG_RUNTIME_DIR"), `${unit}.json`);
const endFile = join(needed("XDG_RUNTIME_DIR"), `${unit}.end`);

/** @type {() => ReadonlyMap<string, string>} */
function unitSettings() {
  const found = new Map();
  for (const line of readFileSync(unitFile, "utf8").split("\n")) {
    if (line === "" || line.startsWith("[") || line.startsWith("#")) continue;
    const [key = "", ...value] = line.split("=");
    if (!KEYS.has(key)) refuse(`stand-in: does not know ${key}`);
    found.set(key, value.join("="));
  }
  return found;
}

/** @type {() => State} */
function stateNow() {
  if (!existsSync(stateFile))
    return { invocation: "", pid: 0, mark: "", startedAt: 0, starts: [], failed: "" };
  return JSON.parse(readFileSync(stateFile, "utf8"));
}

/** @type {(state: State) => void} */
function keep(state) {
  writeFileSync(stateFile, JSON.stringify(state));
}

/** @type {(pid: number) => string} */
function markOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}

/** @type {(state: State) => boolean} */
function runs(state) {
  return state.pid > 0 && state.mark !== "" && markOf(state.pid) === state.mark;
}

/** @type {(state: State, signal: NodeJS.Signals) => void} */
function signal(state, name) {
  try {
    process.kill(-state.pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** @type {(state: State) => void} Like systemd, it leaves nothing of the unit behind. */
function endGroup(state) {
  if (state.pid > 0) signal(state, "SIGKILL");
}

async function restart() {
  const settings = unitSettings();
  const old = stateNow();
  if (runs(old)) {
    signal(old, "SIGTERM");
    for (const until = Date.now() + STOP_WITHIN_MS; runs(old) && Date.now() < until; ) await delay(5);
  }
  endGroup(old);
  const withinMs = Number.parseInt(settings.get("StartLimitIntervalSec") ?? "10", 10) * 1000;
  const starts = old.starts.filter((at) => Date.now() - at < withinMs);
  if (starts.length >= Number(settings.get("StartLimitBurst") ?? "5"))
    return keep({ ...old, pid: 0, starts, failed: "start-limit-hit" });
  rmSync(endFile, { force: true });
  const startedAt = performance.timeOrigin + performance.now();
  const child = spawn(
    "/bin/sh",
    [
      "-c",
      '"$@"; echo $? > "$0.new"; mv "$0.new" "$0"',
      endFile,
      ...(settings.get("ExecStart") ?? "").split(" "),
    ],
    {
      detached: true,
      stdio: "ignore",
      env: { PATH: "/usr/bin:/bin", ...variables(settings.get("EnvironmentFile")) },
    },
  );
  child.unref();
  const pid = child.pid ?? 0;
  keep({
    invocation: randomBytes(16).toString("hex"),
    pid,
    mark: markOf(pid),
    startedAt,
    starts: [...starts, Date.now()],
    failed: "",
  });
}

/** @type {(path: string | undefined) => Readonly<Record<string, string>>} */
function variables(path) {
  if (path === undefined) return {};
  const lines = readFileSync(path, "utf8").split("\n");
  return Object.fromEntries(
    lines
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => {
        const match =
          /^([A-Z_][A-Z0-9_]*)=([A-Za-z0-9_.-]*)$/.exec(line) ??
          refuse(`stand-in: does not know how to read ${line}`);
        return [match[1], match[2]];
      }),
  );
}

/** @type {(state: State) => readonly [active: string, sub: string, result: string]} */
function activity(state) {
  if (state.failed !== "") return ["failed", "failed", state.failed];
  if (runs(state)) return ["active", "running", "success"];
  if (state.pid === 0) return ["inactive", "dead", "success"];
  const code = existsSync(endFile) ? readFileSync(endFile, "utf8").trim() : "signal";
  if (code === "0") return ["inactive", "dead", "success"];
  return ["failed", "failed", code === "signal" || Number(code) > 128 ? "signal" : "exit-code"];
}

function resetFailed() {
  const state = stateNow();
  const failed = activity(state)[0] === "failed";
  if (failed) endGroup(state);
  keep({ ...state, pid: failed ? 0 : state.pid, starts: [], failed: "" });
}

function show() {
  if (flags[0] !== "--timestamp=us+utc") refuse("stand-in: expected --timestamp=us+utc");
  const state = stateNow();
  const [ActiveState, SubState, Result] = activity(state);
  const micros = String(Math.round((state.startedAt % 1000) * 1000)).padStart(6, "0");
  const time = new Date(state.startedAt).toISOString().replace("T", " ").slice(0, 19);
  /** @type {Readonly<Record<string, string>>} */
  const properties = {
    LoadState: existsSync(unitFile) ? "loaded" : "not-found",
    ActiveState,
    SubState,
    Result,
    MainPID: String(runs(state) ? state.pid : 0),
    InvocationID: state.invocation,
    ExecMainStartTimestamp: state.startedAt === 0 ? "" : `Sun ${time}.${micros} UTC`,
  };
  for (let i = 1; i < flags.length; i += 2) {
    const name = flags[i + 1] ?? "";
    if (flags[i] !== "-p" || !SHOWN.has(name)) refuse(`stand-in: does not know ${flags[i]} ${name}`);
    // No job ever waits here, and then systemctl leaves the property out.
    if (name !== "Job") process.stdout.write(`${name}=${properties[name]}\n`);
  }
}

if (verb === "show") show();
else if (!existsSync(unitFile)) refuse(`Failed to ${verb} ${unit}: Unit ${unit} not found.`, 5);
else if (verb === "restart" && flags.join() === "--no-block") await restart();
else if (verb === "reset-failed" && flags.length === 0) resetFailed();
else refuse(`Unknown command verb ${verb} ${flags.join(" ")}.`);
