// The Unleash server of the tests: in a folder of its own, because its licence (AGPL) is none for a dependency; it only ever runs as a process beside Belay.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { npm } from "./packages.mjs";
import { SetupError, say } from "./report.mjs";

export const UNLEASH_VERSION = "8.2.0";
const FOLDER = ".unleash";
const PACKAGE = "unleash-server";

/**
 * What starts the server with Node.
 * @param {string} root
 * @returns {string | undefined} an absolute path; undefined when it is not installed in the version that the tests are for
 */
export function findUnleash(root) {
  const folder = join(root, FOLDER, "node_modules");
  const program = join(folder, PACKAGE, "dist", "server.js");
  // npm writes this list last: without it the install was interrupted.
  const isWhole = existsSync(join(folder, ".package-lock.json")) && existsSync(program);
  return isWhole && versionIn(join(folder, PACKAGE)) === UNLEASH_VERSION ? program : undefined;
}

/**
 * Installs the server below `root` when it is missing or of another version. Throws SetupError when npm fails.
 * @param {string} root
 */
export async function ensureUnleash(root) {
  if (findUnleash(root) !== undefined) return;
  const folder = join(root, FOLDER);
  say(`installing ${PACKAGE} ${UNLEASH_VERSION} for the tests in ${FOLDER}/ (npm install)`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const wanted = `${PACKAGE}@${UNLEASH_VERSION}`;
  if (!(await npm(root, ["install", wanted, "--save-exact", "--ignore-scripts", "--prefix", folder])))
    throw new SetupError(`npm install of ${wanted} failed; its own messages are above`);
  if (findUnleash(root) === undefined)
    throw new SetupError(`npm install ended well but ${wanted} is not in ${FOLDER}/`);
}

/** @param {string} folder @returns {unknown} */
function versionIn(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}
