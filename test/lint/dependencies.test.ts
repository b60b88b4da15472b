/** package.json, package-lock.json and docs/dependencies.md agree, and the production tree stays small and free of install scripts. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ROOT } from "./biome-run.ts";

const MAX_PRODUCTION_PACKAGES = 150;
const LICENCES = new Set(["MIT", "Apache-2.0", "ISC", "MIT OR Apache-2.0", "BSD-3-Clause", "BSD-2-Clause"]);

const Names = z.record(z.string(), z.string());
const Package = z.object({
  license: z.string(),
  dependencies: Names.default({}),
  devDependencies: Names.default({}),
  allowScripts: z.record(z.string(), z.boolean()).default({}),
});
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({
      integrity: z.string().optional(),
      dev: z.boolean().default(false),
      link: z.boolean().default(false),
      hasInstallScript: z.boolean().default(false),
      optionalDependencies: Names.default({}),
    }),
  ),
});

const readJson = (path: string): unknown => JSON.parse(readFileSync(join(ROOT, path), "utf8"));

const own = Package.parse(readJson("package.json"));
const locked = Object.entries(Lock.parse(readJson("package-lock.json")).packages).filter(
  ([path]) => path !== "",
);
const nameOf = (path: string): string =>
  path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

interface Row {
  readonly name: string;
  readonly kind: string;
  readonly why: string;
  readonly licence: string;
}

const rows: readonly Row[] = readFileSync(join(ROOT, "docs", "dependencies.md"), "utf8")
  .split("\n")
  .map((line) => /^\| `([^`]+)` \| (\w+) \| (.+) \| ([^|]+) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, name = "", kind = "", why = "", licence = ""]) => ({ name, kind, why, licence }));

describe("docs/dependencies.md", () => {
  it("has one row for each package of package.json, of the right kind", () => {
    const wanted = [
      ...Object.keys(own.dependencies).map((name) => `${name} production`),
      ...Object.keys(own.devDependencies).map((name) => `${name} development`),
    ];
    expect(rows.map(({ name, kind }) => `${name} ${kind}`).toSorted()).toEqual(wanted.toSorted());
  });

  it.each(rows)("gives $name a reason and the licence it really has", ({ name, why, licence }) => {
    expect(why.length).toBeGreaterThan(15);
    expect(licence).toBe(Package.parse(readJson(join("node_modules", name, "package.json"))).license);
    expect(LICENCES).toContain(licence);
  });
});

describe("package-lock.json", () => {
  const production = locked.filter(([, entry]) => !entry.dev);

  it(`has at most ${MAX_PRODUCTION_PACKAGES} production packages with code, and docs/dependencies.md says how many`, () => {
    const names = [...new Set(production.map(([path]) => nameOf(path)))];
    const types = names.filter((name) => name.startsWith("@types/"));
    const withCode = names.length - types.length;
    expect(withCode).toBeLessThanOrEqual(MAX_PRODUCTION_PACKAGES);
    const says = `(${withCode} now, counted by unique name`;
    expect(readFileSync(join(ROOT, "docs", "dependencies.md"), "utf8")).toContain(says);
  });

  it("has an integrity hash for every package", () => {
    expect(
      locked.filter(([, entry]) => !entry.link && entry.integrity === undefined).map(([path]) => path),
    ).toEqual([]);
  });

  it("has every optional package that it names for another system, without which npm ci refuses it", () => {
    const has = new Set(locked.map(([path]) => nameOf(path)));
    const named = locked.flatMap(([, entry]) => Object.keys(entry.optionalDependencies));
    expect(named.filter((name) => !has.has(name))).toEqual([]);
  });

  it("has no install script in production, and only allowed ones in development", () => {
    expect(production.filter(([, entry]) => entry.hasInstallScript).map(([path]) => path)).toEqual([]);
    const scripted = locked.filter(([, entry]) => entry.hasInstallScript).map(([path]) => nameOf(path));
    const optional = new Set(locked.flatMap(([, entry]) => Object.keys(entry.optionalDependencies)));
    expect(scripted.filter((name) => !optional.has(name))).toEqual(Object.keys(own.allowScripts));
  });
});
