// How the set-up speaks and runs other programs: everything goes to stderr, so that stdout stays the caller's.
import { spawn } from "node:child_process";

/** A failure that is told to the person in one line, without a stack trace. */
export class SetupError extends Error {}

/** @param {string} line one line for the person, on stderr */
export function say(line) {
  process.stderr.write(`set-up: ${line}\n`);
}

/**
 * Runs a program with its output on stderr and nothing on its stdin. Ends when the program ends; Ctrl-C reaches it by the terminal.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<boolean>} whether it ended with exit code 0
 */
export function run(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, [...args], { ...options, stdio: ["ignore", 2, 2] });
    child.on("error", (error) => {
      say(`${program} could not be started: ${error.message}`);
      resolve(false);
    });
    child.on("close", (code) => resolve(code === 0));
  });
}
