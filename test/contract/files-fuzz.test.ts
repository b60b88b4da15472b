/** Damaged copies of the shipped files: whatever is left of them, loading ends in plans or in problems with a place, and soon. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { readYaml } from "../../src/adapters/files/yaml-file.ts";
import { loadFolder } from "../../src/house.ts";

const SHIPPED = [
  "flags/ingestion.yaml",
  "flags/ingestion-percent.yaml",
  "schedules/ingestion-rollout.yaml",
  "schedules/ingestion-percent-rollout.yaml",
  "flags/bot-platform.yaml",
  "schedules/bots-rollout.yaml",
  "schedules/bot-platform.yaml",
] as const;
/** What is loaded of files that were not damaged, by the files that it is made of. */
const MADE: readonly (readonly [string, readonly string[]])[] = [
  ["ingestion", ["flags/ingestion.yaml", "schedules/ingestion-rollout.yaml"]],
  ["ingestion-percent", ["flags/ingestion-percent.yaml", "schedules/ingestion-percent-rollout.yaml"]],
  ["bots", ["flags/bot-platform.yaml", "schedules/bots-rollout.yaml"]],
  ["bot-platform", ["flags/bot-platform.yaml", "schedules/bot-platform.yaml"]],
];
const LONGEST_READ_MS = 50;

let dir: string;
const texts = new Map<string, string>();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "belay-fuzz-"));
  for (const folder of ["flags", "schedules", "runbooks"]) await mkdir(join(dir, folder));
  const runbooks = fileURLToPath(new URL("../../runbooks", import.meta.url));
  for (const file of await readdir(runbooks)) await writeFile(join(dir, "runbooks", file), "x");
  for (const file of SHIPPED) {
    const text = await readFile(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8");
    texts.set(file, text);
    await writeFile(join(dir, file), text);
  }
});

afterAll(() => rm(dir, { recursive: true, force: true }));

const PIECES = [
  "\n",
  "  ",
  "\t",
  ":",
  ": ",
  "- ",
  "{",
  "}",
  "[",
  "]",
  ",",
  "'",
  '"',
  "#",
  "&a ",
  "*a",
  "!t ",
  "|\n",
  ">-\n",
  "? ",
  "%",
  "---\n",
  "null",
  "1e9",
  "-1",
  ".inf",
  "2%",
  "0s",
  "all",
  "__proto__",
  "\\",
  "é",
  "\u2028",
  "\u0000",
  "\uFEFF",
];

interface Cut {
  readonly at: number;
  readonly length: number;
  readonly instead: string;
}

const cut: fc.Arbitrary<Cut> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 0, max: 30 }),
  instead: fc.oneof(fc.constant(""), fc.constantFrom(...PIECES), fc.string({ maxLength: 8 })),
});

function damaged(text: string, cuts: readonly Cut[]): string {
  return cuts.reduce((left, { at, length, instead }) => {
    const from = Math.floor(at * left.length);
    return left.slice(0, from) + instead + left.slice(from + length);
  }, text);
}

describe("damaged files", () => {
  it("end in plans or in problems with a place inside the file", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...SHIPPED),
        fc.array(cut, { minLength: 1, maxLength: 3 }),
        async (file, cuts) => {
          const text = damaged(texts.get(file) ?? "", cuts).toWellFormed();
          await writeFile(join(dir, file), text);
          const { plans, watches, problems } = await loadFolder(dir);
          await writeFile(join(dir, file), texts.get(file) ?? "");
          const lines = text.replace(/^\uFEFF/, "").split("\n");
          for (const problem of problems.filter((one) => one.file === file)) {
            expect(problem.line >= 1 && problem.line <= lines.length, formatProblem(problem)).toBe(true);
            expect(
              problem.column >= 1 && problem.column <= (lines[problem.line - 1]?.length ?? 0) + 1,
              formatProblem(problem),
            ).toBe(true);
          }
          const broken = problems.some((problem) => problem.level === "error");
          const loaded = [...plans.keys(), ...watches.keys()];
          expect(loaded.length === MADE.length || broken).toBe(true);
          // What is made of other files is there, unless the damaged one took its name.
          const taken = problems.some((problem) => problem.message.includes("is defined in"));
          for (const [name, files] of MADE)
            expect(files.includes(file) || loaded.includes(name) || taken, name).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("are placed rightly also where a quote is never closed", () => {
    const text = `"${texts.get("flags/ingestion.yaml") ?? ""}:`;
    const { faults } = readYaml(text);
    expect(faults.length).toBeGreaterThan(0);
    const lines = text.split("\n");
    for (const { line, column } of faults)
      expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
  });

  it("are read soon, as is any text", () => {
    let slowestMs = 0;
    const text = fc.oneof(
      fc
        .tuple(fc.constantFrom(...SHIPPED), fc.array(cut, { maxLength: 5 }))
        .map(([file, cuts]) => damaged(texts.get(file) ?? "", cuts)),
      fc.string({ unit: "binary", maxLength: 1_000 }),
      fc.array(fc.constantFrom(...PIECES), { maxLength: 300 }).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(text, (one) => {
        slowestMs = Math.max(slowestMs, readingMs(one));
        const { data, faults } = readYaml(one);
        expect(faults.length > 0 ? data === undefined : data !== undefined).toBe(true);
      }),
      { numRuns: 600 },
    );
    expect(slowestMs).toBeLessThan(LONGEST_READ_MS);
  });

  it.each<readonly [string, (index: number) => string]>([
    ["keys", (i) => `key${i}: 1\n`],
    ["one key again and again", () => "key: 1\n"],
    ["anchors", (i) => `key${i}: &a${i} 1\n`],
    ["items", () => "- 1\n"],
  ])("of the greatest length take time that grows with the length, not with its square: %s", (_, piece) => {
    const eighthMs = bestMs(many(piece, 15 * 1024));
    const wholeMs = bestMs(many(piece, 120 * 1024));
    // Eight times the length: 8 times the time when it grows evenly, 64 times when it grows with the square.
    expect(wholeMs / eighthMs).toBeLessThan(30);
  });
});

function many(piece: (index: number) => string, length: number): string {
  let text = "";
  for (let index = 0; text.length < length; index++) text += piece(index);
  return text;
}

/** The better of two, since the machine may be busy with something else. */
function bestMs(text: string): number {
  const times = [1, 2].map(() => {
    const began = performance.now();
    readYaml(text);
    return performance.now() - began;
  });
  return Math.min(...times);
}

/** How long reading takes: the best of up to three tries, since the machine may be busy with something else. */
function readingMs(text: string): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3 && bestMs >= LONGEST_READ_MS; tries++) {
    const began = performance.now();
    readYaml(text);
    bestMs = Math.min(bestMs, performance.now() - began);
  }
  return bestMs;
}
