// Prometheus, Alertmanager, PostgreSQL, Chromium and faketime: found on this machine, installed by apt-get when already root on Debian, else one line to type.
import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { installWithApt } from "./debian.mjs";
import { aptPackage, installLine } from "./hints.mjs";
import { SetupError, say } from "./report.mjs";

const VERSION_DEADLINE_MS = 20_000;

/** @typedef {"prometheus" | "alertmanager" | "chromium" | "faketime" | "postgresql"} ProgramName */

/** Packages put each major version of PostgreSQL into a folder of its own, off PATH; newest first. */
const POSTGRESQL_VERSIONS = [19, 18, 17, 16, 15, 14];

/**
 * Where each program is looked for: an environment variable that names it, then PATH, then usual places that are often not on PATH.
 * @type {Readonly<Record<ProgramName, { override: string, names: readonly string[], elsewhere: readonly string[] }>>}
 */
const PLACES = {
  prometheus: {
    override: "BELAY_PROMETHEUS",
    names: ["prometheus"],
    elsewhere: ["/usr/local/bin/prometheus"],
  },
  alertmanager: {
    override: "BELAY_ALERTMANAGER",
    names: ["prometheus-alertmanager", "alertmanager"],
    elsewhere: ["/usr/local/bin/alertmanager"],
  },
  faketime: {
    override: "BELAY_FAKETIME",
    names: ["faketime"],
    elsewhere: [],
  },
  postgresql: {
    override: "BELAY_POSTGRES",
    names: ["postgres"],
    elsewhere: POSTGRESQL_VERSIONS.flatMap((version) => [
      `/usr/lib/postgresql/${version}/bin/postgres`,
      `/opt/homebrew/opt/postgresql@${version}/bin/postgres`,
      `/usr/local/opt/postgresql@${version}/bin/postgres`,
    ]),
  },
  chromium: {
    override: "BELAY_CHROMIUM",
    names: ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    elsewhere: [
      "/snap/bin/chromium",
      "/Applications/Chromium.app/Contents/MacOS/Chromium",
      "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ],
  },
};

/**
 * The executable of a program on this machine. Throws SetupError when the override names a file that cannot be run.
 * @param {ProgramName} program
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {string | undefined} an absolute path; undefined when it is not here
 */
export function findProgram(program, env = process.env) {
  const { override, names, elsewhere } = PLACES[program];
  const named = env[override];
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return named;
    throw new SetupError(
      `${override} is ${named}, which is not a program that can be run; correct or unset it`,
    );
  }
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [...onPath, ...elsewhere].find(isExecutable);
}

/** @param {readonly ProgramName[]} needs @returns {readonly ProgramName[]} those that are not on this machine */
export function missingPrograms(needs) {
  return needs.filter((program) => findProgram(program) === undefined);
}

/**
 * Installs what is missing when this is Debian and we are root already; otherwise throws SetupError with the line to type.
 * @param {readonly ProgramName[]} needs
 */
export async function ensurePrograms(needs) {
  const missing = missingPrograms(needs);
  if (missing.length === 0) return;
  const distribution = osRelease();
  const byApt = missing.filter((program) => aptPackage(program, distribution) !== undefined);
  if (process.getuid?.() === 0 && findOnPath("apt-get") && byApt.length > 0) {
    const packages = byApt.map((program) => aptPackage(program, distribution) ?? program);
    say(`installing ${packages.join(", ")} (apt-get, as root)`);
    await installWithApt(packages);
    for (const program of byApt) checkThatItRuns(program);
  }
  const still = missingPrograms(needs);
  if (still.length === 0) return;
  const system = { platform: process.platform, arch: process.arch, distribution, has: findOnPath };
  throw new SetupError(
    `${still.join(" and ")} ${still.length > 1 ? "are" : "is"} missing; type: ${installLine(still, system)}`,
  );
}

/** @param {ProgramName} program */
function checkThatItRuns(program) {
  const path = findProgram(program);
  if (path === undefined) throw new SetupError(`apt-get ended well but ${program} is not on PATH`);
  const ran = spawnSync(path, ["--version"], { encoding: "utf8", timeout: VERSION_DEADLINE_MS });
  if (ran.status !== 0)
    throw new SetupError(
      `${path} was installed but does not run: ${(ran.stderr ?? "").trim().split("\n")[0]}`,
    );
}

/** @returns {string} the ID of /etc/os-release, for example `debian`; "" where there is none */
function osRelease() {
  try {
    return /^ID="?([a-z0-9._-]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name @returns {boolean} */
function findOnPath(name) {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .some((folder) => folder !== "" && isExecutable(join(folder, name)));
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
