/** What the linter cannot say about the house: how long files are, how each begins, and which folder names there are none of. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./biome-run.ts";

const MAX_LINES = 400;
const VAGUE = new Set([
  "utils",
  "util",
  "helpers",
  "helper",
  "types",
  "services",
  "common",
  "shared",
  "misc",
  "lib",
]);

/** Paths below the root of every file with one of the endings, in the folders named. */
function filesIn(folders: readonly string[], endings: RegExp): readonly string[] {
  return folders
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && endings.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

const lineCount = (path: string): number =>
  readFileSync(join(ROOT, path), "utf8").trimEnd().split("\n").length;

const CODE = filesIn(
  ["src", "demo", "bench", "scripts", "test/fakes", "test/simulation", "test/lint"],
  /\.(ts|mjs)$/,
);

describe("the house", () => {
  it("has source files to judge", () => {
    expect(CODE.filter((path) => path.startsWith("src")).length).toBeGreaterThan(10);
  });

  it(`has no file of more than ${MAX_LINES} lines`, () => {
    expect(
      CODE.map((path) => ({ path, lines: lineCount(path) })).filter(({ lines }) => lines > MAX_LINES),
    ).toEqual([]);
  });

  it("opens every file with a comment that says what it is", () => {
    const begins = /^(#!.*\n)?(\/\*\*? \S|\/\/ \S)/;
    expect(CODE.filter((path) => !begins.test(readFileSync(join(ROOT, path), "utf8")))).toEqual([]);
  });

  it("has no folder or file with a name that says nothing", () => {
    const parts = (path: string): readonly string[] => path.replace(/\.(ts|mjs)$/, "").split(sep);
    expect(CODE.filter((path) => parts(path).some((part) => VAGUE.has(part)))).toEqual([]);
  });

  it("re-exports nothing by an index file", () => {
    expect(CODE.filter((path) => /(^|\/)index\.ts$/.test(path))).toEqual([]);
  });
});
