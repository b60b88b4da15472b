// Makes a fresh clone ready for one purpose, then ends: `node scripts/setup.mjs <demo|test|check|bench|sim>`; runs on any Node from 18, without packages.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "./setup/lock.mjs";
import { ensureNode, ensurePackages, packagesAreReady } from "./setup/packages.mjs";
import { ensurePrograms, missingPrograms } from "./setup/programs.mjs";
import { SetupError, say } from "./setup/report.mjs";
import { ensureUnleash, findUnleash } from "./setup/unleash.mjs";

/** What each purpose needs beside the npm packages. @type {Readonly<Record<string, readonly import("./setup/programs.mjs").ProgramName[]>>} */
const NEEDS = {
  demo: ["prometheus", "alertmanager"],
  bench: ["prometheus", "alertmanager", "postgresql"],
  test: ["prometheus", "alertmanager", "chromium", "faketime", "postgresql"],
  check: [],
  sim: [],
};

/** Purposes that need an Unleash server beside PostgreSQL. @type {ReadonlySet<string>} */
const WITH_UNLEASH = new Set(["test", "bench"]);

/** @param {string | undefined} purpose */
async function main(purpose) {
  const needs = NEEDS[purpose ?? ""];
  if (needs === undefined) {
    throw new SetupError(`usage: node scripts/setup.mjs <${Object.keys(NEEDS).join("|")}>`);
  }
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const withUnleash = WITH_UNLEASH.has(purpose ?? "");
  const isReady = packagesAreReady(root) && missingPrograms(needs).length === 0;
  if (isReady && (!withUnleash || findUnleash(root) !== undefined)) return;
  await withLock(root, async () => {
    await ensurePackages(root);
    await ensureNode(root);
    await ensurePrograms(needs);
    if (withUnleash) await ensureUnleash(root);
  });
}

main(process.argv[2]).catch((error) => {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
});
