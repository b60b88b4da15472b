// One set-up at a time: a lock made of numbered files, which a crash cannot leave closed for ever.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError, say } from "./report.mjs";

const POLL_MS = 100;
const WAIT_MS = 15 * 60_000;

/**
 * Runs `work` while no other set-up of this checkout does. Waits at most 15 minutes for the other one.
 *
 * The folder holds files 1, 2, 3, ...; the highest is the holder's. It is free when the highest has a `.done` beside it or its process
 * is gone. To take it, one links the next number, which only one process can do. The highest number is never removed, so a slow
 * starter that looked before others came and went cannot take a number that was already used: it sees a higher one and waits.
 * @param {string} root
 * @param {() => Promise<void>} work
 */
export async function withLock(root, work) {
  const folder = join(root, ".belay", "setup-lock");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new SetupError(
      `cannot write ${folder} (${codeOf(error)}); the set-up needs to write in this folder`,
    );
  }
  const mine = await take(folder);
  try {
    await work();
  } finally {
    if (existsSync(folder)) writeFileSync(join(folder, `${mine}.done`), "");
  }
}

/** @param {string} folder @returns {Promise<number>} the number that was taken */
async function take(folder) {
  const deadline = Date.now() + WAIT_MS;
  let told = false;
  for (;;) {
    const newest = highest(folder);
    if (isFree(folder, newest)) {
      if (claim(folder, newest + 1)) return newest + 1;
      continue;
    }
    if (Date.now() > deadline) {
      throw new SetupError(`another set-up has not ended in 15 minutes; if it is gone, remove ${folder}`);
    }
    if (!told) say(`waiting for another set-up (${whoIs(folder, newest)}); if it is gone, remove ${folder}`);
    told = true;
    await sleep(POLL_MS);
  }
}

/** @param {string} folder @param {number} number @returns {boolean} whether this process now holds the lock */
function claim(folder, number) {
  const draft = join(folder, `draft-${process.pid}-${Date.now()}`);
  writeFileSync(draft, identity(process.pid));
  try {
    linkSync(draft, join(folder, String(number)));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
  if (highest(folder) !== number) {
    rmSync(join(folder, String(number)), { force: true });
    return false;
  }
  for (const name of readdirSync(folder)) {
    if (Number.parseInt(name, 10) < number) rmSync(join(folder, name), { force: true });
  }
  return true;
}

/** @param {string} folder @returns {number} 0 when nobody ever held it */
function highest(folder) {
  return Math.max(0, ...readdirSync(folder).map((name) => (/^\d+$/.test(name) ? Number(name) : 0)));
}

/** @param {string} folder @param {number} number */
function isFree(folder, number) {
  if (number === 0 || existsSync(join(folder, `${number}.done`))) return true;
  const who = holder(folder, number);
  if (who === "") return false;
  const [pid = "", , host] = who.split(" ");
  if (host !== hostname()) return false;
  return Number(pid) === process.pid || identity(Number(pid)) !== who;
}

/** @param {string} folder @param {number} number */
function whoIs(folder, number) {
  const [pid = "?", , host = "?"] = holder(folder, number).split(" ");
  return `process ${pid} on ${host}`;
}

/** @param {string} folder @param {number} number @returns {string} who holds it; "" when that changed meanwhile */
function holder(folder, number) {
  try {
    return readFileSync(join(folder, String(number)), "utf8");
  } catch {
    return "";
  }
}

/**
 * Names a running process so that a later one with the same number is told apart where the system shows start times.
 * @param {number} pid @returns {string} "" when there is no such process
 */
function identity(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== "EPERM") return "";
  }
  let started = "-";
  try {
    started = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19] ?? "-";
  } catch {
    // Without /proc the number alone must do.
  }
  return `${pid} ${started} ${hostname()}`;
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
