/** YAML that is not taken, and files that are not what they seem. */
import { execFileSync } from "node:child_process";
import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { loadFolder } from "../../src/house.ts";
import { FLAGS, folder, GOOD, lines, load, SCHEDULE } from "../support/folder.ts";

describe("YAML that is not taken", () => {
  const BOMB = `a: &a [x, x, x, x, x, x, x, x]\n${"bcdefgh".replace(/./g, (name) => `${name}: &${name} [${`*${String.fromCharCode(name.charCodeAt(0) - 1)}, `.repeat(8)}]\n`)}`;
  it.each<readonly [string, string, string, string]>([
    ["a directive", `%YAML 1.1\n---\n${FLAGS}`, "1:1", "a directive is not accepted"],
    [
      "an anchor",
      FLAGS.replace("service: ingestion", "service: &s ingestion"),
      "1:10",
      "an anchor (`&`) is not accepted",
    ],
    [
      "an alias",
      FLAGS.replace("owner: data", "x").replace("key: BATCH", "key: *k"),
      "8:17",
      "an alias (`*`) is not accepted",
    ],
    [
      "a tag",
      FLAGS.replace("service: ingestion", "service: !!str ingestion"),
      "1:10",
      "a tag (`!`) is not accepted",
    ],
    [
      "a tag that runs code elsewhere",
      FLAGS.replace("service: ingestion", "service: !!js/function 'x'"),
      "1:10",
      "a tag (`!`) is not accepted",
    ],
    [
      "a key twice",
      FLAGS.replace("environment: production", "service: again"),
      "2:1",
      "this key is written twice",
    ],
    [
      "a second document",
      `${FLAGS}---\nservice: other\n`,
      "12:1",
      "expected one document, found a second one",
    ],
    [
      "a reserved key",
      FLAGS.replace("flags:\n", "flags:\n  __proto__: { key: X }\n"),
      "7:3",
      "`__proto__` is reserved",
    ],
    [
      "a reserved key in quotes",
      FLAGS.replace("flags:\n", 'flags:\n  "constructor": { key: X }\n'),
      "7:3",
      "`constructor` is reserved",
    ],
    [
      "a reserved key in braces",
      FLAGS.replace("{ key: CACHE }", "{ prototype: 1 }"),
      "7:12",
      "`prototype` is reserved",
    ],
    [
      "a mapping as a key",
      FLAGS.replace("service: ingestion", "? { a: b }\n: c"),
      "1:3",
      "expected a word as a key",
    ],
    [
      "a number as a key",
      FLAGS.replace("service: ingestion", "12: c"),
      "1:1",
      "expected a word as a key: put it in quotes",
    ],
    ["an open bracket", `${FLAGS}x: [1, 2\n`, "12:1", "this is not YAML"],
    ["a tab", FLAGS.replace("  cache:", "\tcache:"), "7:1", "this is not YAML"],
    ["nesting without end", "[".repeat(100_000), "1:", "expected at most 40 levels"],
    ["a bomb", BOMB, "1:4", "an anchor (`&`) is not accepted"],
    ["nothing", "", "1:1", "expected a mapping, found an empty value"],
    ["only a comment", "# later\n", "1:1", "expected a mapping, found an empty value"],
    ["a list", "- a\n- b\n", "1:1", "expected a mapping, found a list"],
    ["a word", "hello", "1:1", 'expected a mapping, found "hello"'],
  ])("%s", async (_, text, place, message) => {
    const began = performance.now();
    const found = await lines({ ...GOOD, "flags/main.yaml": text });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(found[0]).toContain(`flags/main.yaml:${place}`);
    expect(found[0]).toContain(message);
  });

  it("words of YAML 1.1 stay words", async () => {
    const text = FLAGS.replace("{ key: CACHE }", "{ key: CACHE, on: yes, off: no, safe: off }");
    const { catalogues, problems } = await load({ ...GOOD, "flags/main.yaml": text });
    expect(problems).toEqual([]);
    expect(catalogues.get("main")?.flags["cache"]).toMatchObject({
      on: "yes",
      off: "no",
      safe: { kind: "off" },
    });
  });

  it("every refused thing is told, not only the first", async () => {
    const text = FLAGS.replace("service: ingestion", "service: &a ingestion").replace(
      "environment: production",
      "environment: !!str production",
    );
    expect(await lines({ ...GOOD, "flags/main.yaml": text })).toHaveLength(2);
  });
});

describe("files that are not what they seem", () => {
  it("a byte order mark and the ending .yml are taken; hidden files and other endings are not looked at", async () => {
    const { plans, problems } = await load({
      "flags/main.yml": `\uFEFF${FLAGS}`,
      "schedules/demo.yml": SCHEDULE,
      "flags/.main.yaml": "[",
      "flags/#main.yaml#": "[",
      "flags/README.md": "[",
      "schedules/demo.yaml.bak": "[",
    });
    expect({ problems, plans: [...plans.keys()] }).toEqual({ problems: [], plans: ["demo"] });
  });

  it.each<readonly [string, Buffer | string, string]>([
    [
      "too long",
      `${FLAGS}# ${"x".repeat(256 * 1024)}\n`,
      "flags/bad.yaml:1:1: error: the file is longer than 256 KiB",
    ],
    [
      "not UTF-8",
      Buffer.concat([Buffer.from("a: 1\nb: 2\nc: "), Buffer.from([0xff, 0xfe]), Buffer.from("\n")]),
      "flags/bad.yaml:3:1: error: expected text in UTF-8",
    ],
  ])("a file that is %s", async (_, text, expected) => {
    const { plans, problems } = await load({ ...GOOD, "flags/bad.yaml": text });
    expect(problems.map(formatProblem)).toEqual([expected]);
    expect(plans.size).toBe(1);
  });

  it("a link is followed inside the folder, never out of it", async () => {
    const outside = await folder({ "flags/secret.yaml": FLAGS, "runbooks/secret.md": "x" });
    const dir = await folder({
      "data/main.yaml": FLAGS,
      "schedules/demo.yaml": SCHEDULE.replace("stages:", "runbook: out\nstages:"),
      "runbooks/in.md": "x",
    });
    await symlink("../data/main.yaml", join(dir, "flags/main.yaml"));
    await symlink(join(outside, "flags/secret.yaml"), join(dir, "flags/out.yaml"));
    await symlink("loop.yaml", join(dir, "flags/loop.yaml"));
    await symlink("nowhere.yaml", join(dir, "flags/void.yaml"));
    await symlink(join(outside, "runbooks/secret.md"), join(dir, "runbooks/out.md"));
    const { catalogues, problems } = await loadFolder(dir);
    expect([...catalogues.keys()]).toEqual(["main"]);
    expect(problems.map(formatProblem)).toEqual([
      "flags/loop.yaml:1:1: error: the file cannot be read (ELOOP)",
      "flags/out.yaml:1:1: error: this link leads out of the folder: expected a file inside it",
      "flags/void.yaml:1:1: error: there is no such file",
      "schedules/demo.yaml:3:10: error: expected a runbook in runbooks/, found no out.md there",
    ]);
  });

  it("a folder or a pipe with the name of a file does not stop anything", async () => {
    const dir = await folder({ ...GOOD, "flags/folder.yaml/x": "" });
    execFileSync("mkfifo", [join(dir, "flags/pipe.yaml")]);
    const { plans, problems } = await loadFolder(dir);
    expect(problems.map(formatProblem)).toEqual([
      "flags/folder.yaml:1:1: error: expected a regular file",
      "flags/pipe.yaml:1:1: error: expected a regular file",
    ]);
    expect(plans.size).toBe(1);
  });

  it("a folder that is missing is said", async () => {
    const dir = await folder({});
    await rm(join(dir, "schedules"), { recursive: true });
    expect((await loadFolder(dir)).problems.map(formatProblem)).toEqual([
      "schedules:1:1: error: there is no folder schedules/",
    ]);
    expect((await loadFolder(join(dir, "nowhere"))).problems.map(formatProblem)).toEqual([
      ".:1:1: error: there is no such folder",
    ]);
  });

  it("a runbook may be named with its ending or without", async () => {
    for (const name of ["fire", "fire.md"]) {
      const { plans, problems } = await load({
        ...GOOD,
        "schedules/demo.yaml": SCHEDULE.replace("stages:", `runbook: ${name}\nstages:`),
        "runbooks/fire.md": "# Fire\n",
      });
      expect({ problems, runbook: plans.get("demo")?.runbook }).toEqual({ problems: [], runbook: name });
    }
  });
});
