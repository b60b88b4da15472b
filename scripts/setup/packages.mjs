// The npm packages and the Node among them: installed when they are missing or differ from package-lock.json, else left alone.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, delimiter, join, sep } from "node:path";
import { run, SetupError, say } from "./report.mjs";

const NODE_MIN = [22, 18];
const NODE_DEADLINE_MS = 10_000;

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, link?: boolean }} LockEntry */
/** @typedef {{ packages?: Record<string, LockEntry> }} LockFile */

/** Whether nothing needs to be done: the installed packages are those of the lock, and their Node runs. @param {string} root */
export function packagesAreReady(root) {
  return installedAsLocked(root) && nodeProblem(root) === undefined;
}

/**
 * Installs what package-lock.json says, if it is not what is there. Throws SetupError when npm fails.
 * @param {string} root
 */
export async function ensurePackages(root) {
  if (installedAsLocked(root)) return;
  say("installing the packages of package-lock.json (npm ci)");
  if (!(await npm(root, ["ci", "--include=dev", "--include=optional", "--include=peer"]))) {
    throw new SetupError("npm ci failed; its own messages are above");
  }
  writeStamp(root);
  if (!installedAsLocked(root))
    throw new SetupError("npm ci ended well but node_modules differs from package-lock.json");
}

/**
 * Makes sure that node_modules/.bin/node is there, runs and is new enough. Throws SetupError with what to type.
 * @param {string} root
 */
export async function ensureNode(root) {
  if (nodeProblem(root) === undefined) return;
  // The package `node` fetches its binary in an install script, which some people switch off or interrupt.
  await npm(root, ["rebuild", "node"]);
  writeStamp(root);
  const problem = nodeProblem(root);
  if (problem === undefined) return;
  throw new SetupError(
    `${problem}; Belay runs on the Node of its own package: type \`npm rebuild node --ignore-scripts=false\``,
  );
}

/** @param {string} root @returns {string | undefined} what is wrong with node_modules/.bin/node, if anything */
function nodeProblem(root) {
  const node = join(root, "node_modules", ".bin", "node");
  if (!existsSync(node)) return "node_modules/.bin/node is missing";
  const ran = spawnSync(node, ["--version"], { encoding: "utf8", timeout: NODE_DEADLINE_MS });
  const found = /^v(\d+)\.(\d+)\./.exec(ran.stdout ?? "");
  if (ran.status !== 0 || found === null) return "node_modules/.bin/node does not run on this machine";
  const [major, minor] = [Number(found[1]), Number(found[2])];
  const [minMajor = 0, minMinor = 0] = NODE_MIN;
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return undefined;
  return `node_modules/.bin/node is ${ran.stdout.trim()}, older than ${NODE_MIN.join(".")}`;
}

/**
 * Compares what npm says it installed (its hidden lockfile) with package-lock.json, so that an `npm ci` done by hand counts too.
 * The stamp speaks for trees that npm itself made smaller, for example under `legacy-peer-deps`.
 * @param {string} root
 */
function installedAsLocked(root) {
  const wanted = readLock(join(root, "package-lock.json"));
  if (wanted === undefined)
    throw new SetupError("package-lock.json is missing or broken: get it back from git");
  const installed = readLock(join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined) return false;
  const has = installed.packages ?? {};
  if (!Object.keys(has).every((path) => existsSync(join(root, path)))) return false;
  return readStamp(root) === stampOf(root) || holds(has, wanted.packages ?? {});
}

/**
 * @param {Record<string, LockEntry>} has
 * @param {Record<string, LockEntry>} wanted
 */
function holds(has, wanted) {
  return Object.entries(wanted).every(([path, entry]) => {
    const there = has[path];
    if (path === "" || entry.link === true) return true;
    // Packages for other systems are in the lock but not on the disk.
    if (there === undefined) return entry.optional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

/** @param {string} path @returns {LockFile | undefined} */
function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** @param {string} root */
function stampPath(root) {
  return join(root, "node_modules", ".belay-setup");
}

/** A digest of both lockfiles: any install by hand changes the hidden one. @param {string} root */
function stampOf(root) {
  const digest = createHash("sha256");
  digest.update(readFileSync(join(root, "package-lock.json")));
  digest.update(readFileSync(join(root, "node_modules", ".package-lock.json")));
  return digest.digest("hex");
}

/** @param {string} root */
function readStamp(root) {
  try {
    return readFileSync(stampPath(root), "utf8");
  } catch {
    return undefined;
  }
}

/** @param {string} root */
function writeStamp(root) {
  if (existsSync(join(root, "node_modules", ".package-lock.json")))
    writeFileSync(stampPath(root), stampOf(root));
}

/**
 * Runs npm on a Node outside node_modules: npm removes node_modules, and with it the Node that `npm run` puts first on PATH.
 * @param {string} root
 * @param {readonly string[]} args
 * @returns {Promise<boolean>} whether it ended well
 */
export function npm(root, args) {
  const inside = join(root, "node_modules") + sep;
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(inside));
  /** @type {NodeJS.ProcessEnv} */
  const env = {};
  for (const [name, value] of Object.entries(process.env)) {
    // `npm run --silent` and its like hand these down; here they would hide why an install failed, or change what is installed.
    if (!/^npm_config_(loglevel|json|dry_run|omit|only|production|global|workspaces?)$/i.test(name))
      env[name] = value;
  }
  env.PATH = path.join(delimiter);
  env.NODE_ENV = "development";
  env.npm_config_loglevel = "error";
  // npm may run on an older Node than Belay does, which is installed by this very command.
  env.npm_config_engine_strict = "false";
  const options = { cwd: root, env };
  const all = [...args, "--no-audit", "--no-fund"];
  const cli = process.env.npm_execpath ?? "";
  const node = outsideNode(path);
  if (node !== undefined && basename(cli) === "npm-cli.js") return run(node, [cli, ...all], options);
  return run("npm", all, options);
}

/** @param {readonly string[]} path @returns {string | undefined} */
function outsideNode(path) {
  return path.map((folder) => join(folder, "node")).find(isExecutable);
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
