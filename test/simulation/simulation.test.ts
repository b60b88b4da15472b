/** The simulation as a test: seeds replay exactly, a batch holds every promise, and a reconciler broken on purpose is caught. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { play } from "./run.ts";

const MAIN = join(import.meta.dirname, "main.ts");
const PLANTED = join(import.meta.dirname, "planted.ts");

/** Seeds that once showed a bug, with what they showed. */
const OLD_FAILURES: readonly (readonly [number, string])[] = [
  [43, "a dead service kept the rollback waiting for its own word"],
  [603, "an answer was posted twice after a commit whose reply was lost"],
  [606, "an old breach was found again in history that had been watched"],
  [877, "an answer stayed open when the journal was away at that moment"],
  [3958, "an alert was posted twice after a crash while the journal was away"],
  [10_914, "a withdrawal wrote a percentage over a person's OFF"],
];

describe("simulation", () => {
  it("replays a seed exactly", async () => {
    for (const seed of [1, 17, 43, 606]) {
      const [first, second] = [await play(seed), await play(seed)];
      expect(second).toEqual(first);
    }
  });

  it.each(OLD_FAILURES)("seed %i: %s, no more", async (seed) => {
    expect((await play(seed)).violations).toEqual([]);
  });

  it("holds every promise over 200 runs and says so", () => {
    const ran = spawnSync(process.execPath, [MAIN, "--runs", "200", "--seed", "100000"], {
      encoding: "utf8",
    });
    expect(ran.stdout).toContain("200 runs, 0 with violations");
    expect(ran.status).toBe(0);
  });

  it.each(["reconcile does nothing for backward wishes", "breach needs all of n"])(
    "finds a planted bug: %s",
    (bug) => {
      const ran = spawnSync(process.execPath, [PLANTED, "--runs", "50", "--only", bug], { encoding: "utf8" });
      expect(ran.stdout).toContain("1 of 1 planted bugs found");
      expect(ran.status).toBe(0);
    },
  );

  it("refuses a seed that is none", () => {
    const ran = spawnSync(process.execPath, [MAIN, "--runs", "many"], { encoding: "utf8" });
    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain("--runs takes a whole number");
  });
});
