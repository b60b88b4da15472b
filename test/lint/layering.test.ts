/** Plants one violation per rule of the house in a copy of its layout and expects the linter to name it, and to leave clean files alone. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Finding, lintTree } from "./biome-run.ts";

import { CLEAN } from "./clean.ts";
import { PLANTED } from "./planted.ts";

let planted: readonly Finding[];
let clean: readonly Finding[];

beforeAll(async () => {
  planted = await lintTree(new Map(PLANTED.map((row): [string, string] => [row.path, row.text])));
  clean = await lintTree(CLEAN);
}, 60_000);

describe("the linter", () => {
  it("gets a path of its own for every row", () => {
    expect(new Set(PLANTED.map((row) => row.path)).size).toBe(PLANTED.length);
  });

  it.each(PLANTED)("$rule: $what", ({ path, rule, also, says }) => {
    const here = planted.filter((finding) => finding.path === path);
    expect(new Set(here.map((finding) => finding.rule))).toEqual(new Set([rule, ...(also ?? [])]));
    expect(new Set(here.map((finding) => finding.severity))).toEqual(new Set(["error"]));
    expect(here.map((finding) => finding.message).join("\n")).toContain(says ?? "");
  });

  it.each([...CLEAN.keys()])("leaves %s alone", (path) => {
    expect(clean.filter((finding) => finding.path === path)).toEqual([]);
  });
});
