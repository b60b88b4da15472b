/** Mistakes in flags/ and schedules/: each with its line and column, all at once, and none that takes another file down. */
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/adapters/files/problem.ts";
import { FLAGS, GOOD, KINDS, lines, load, placeAt, placeOf, SCHEDULE } from "../support/folder.ts";

/** A change to the good files (file, what is replaced, by what) and the one mistake that must come of it, at the mark (^). */
const MISTAKES: readonly (readonly [keyof typeof GOOD & string, string, string, string])[] = [
  [
    "flags/main.yaml",
    "service: ingestion",
    "service: ^Ingestion",
    'expected a name of lower-case letters, digits and dashes, found "Ingestion"',
  ],
  ["flags/main.yaml", "environment: production\n", "", "`environment` is missing: expected text"],
  ["flags/main.yaml", "kind: env-file", "kind: ^unlash", `expected provider kind ${KINDS}, found "unlash"`],
  [
    "flags/main.yaml",
    "scrape_interval: 15s",
    "scrape_interval: ^fast",
    'expected a duration such as 30s, 15m or 2h, found "fast"',
  ],
  ["flags/main.yaml", "flags:\n", "^colour: red\nflags:\n", "unknown key `colour`"],
  ["flags/main.yaml", "{ key: CACHE }", "{ key: CACHE, ^colour: { a: b } }", "unknown key `colour`"],
  [
    "flags/main.yaml",
    "  cache: { key: CACHE }",
    "  ^cache: { owner: me }",
    "`key` is missing: expected text",
  ],
  ["flags/main.yaml", "  cache: { key: CACHE }", "  cache: ^CACHE", 'expected a mapping, found "CACHE"'],
  ["flags/main.yaml", "  cache: { key: CACHE }", "  ^cache:", "expected a mapping, found an empty value"],
  [
    "flags/main.yaml",
    "{ key: CACHE }",
    "{ key: CACHE, on: ^1.0 }",
    "1.0 would be written as 1: put it in quotes",
  ],
  [
    "flags/main.yaml",
    "{ key: CACHE }",
    "{ key: CACHE, safe: ^True }",
    "True would be written as true: put it in quotes",
  ],
  ["flags/main.yaml", "[cache]", "[^nothing]", 'requires a flag of this file, found "nothing"'],
  ["flags/main.yaml", "key: BATCH", "key: ^CACHE", "key CACHE belongs to cache already"],
  [
    "flags/main.yaml",
    "max: 2%",
    "max: ^2 parsecs",
    'expected a number such as 2%, 250ms, 1GiB or 20, found "2 parsecs"',
  ],
  [
    "flags/main.yaml",
    "kind: threshold",
    "kind: ^ratio",
    'expected guard kind threshold, alive, expect or trend (other kinds are not available in this version), found "ratio"',
  ],
  [
    "flags/main.yaml",
    "sum(rate(all_total[1m]))",
    "sum(rate(all_total[1m])^",
    "this is not PromQL: did not expect the end of the query here",
  ],
  [
    "flags/main.yaml",
    "/ sum(rate(all_total[1m]))",
    "or ^vector(0)",
    "`vector(0)` beside `or` reads no series: it puts a number where data are missing",
  ],
  [
    "flags/main.yaml",
    "restart: x.service",
    "restart: ^x.target",
    'expected a systemd unit such as ingestion.service, found "x.target"',
  ],
  ["schedules/demo.yaml", "rollout: demo\n", "", "`rollout` is missing: expected text"],
  [
    "schedules/demo.yaml",
    "flags: main",
    "flags: ^mian",
    "expected a file in flags/ (main), found no flags/mian.yaml",
  ],
  [
    "schedules/demo.yaml",
    "rollout: demo\nflags: main\n",
    "rollout: ^demo\n",
    "expected a file in flags/ (main), found no flags/demo.yaml",
  ],
  ["schedules/demo.yaml", "at: 1h", "at: ^soon", 'expected a duration such as 30s, 15m or 2h, found "soon"'],
  [
    "schedules/demo.yaml",
    "enable: batch",
    "enable: ^btach",
    'expected a flag of flags/main (cache, batch), found "btach"',
  ],
  [
    "schedules/demo.yaml",
    "enable: batch",
    "enable: { batch: [^5%, 100%] }",
    'an env-file flag is on or off for the whole service: "5%" is not possible',
  ],
  [
    "schedules/demo.yaml",
    "enable: batch",
    "enable: { batch: [^1.50] }",
    "1.50 would be written as 1.5: put it in quotes",
  ],
  [
    "schedules/demo.yaml",
    "enable: batch",
    "set: { batch: ^0x1F }",
    "0x1F would be written as 31: put it in quotes",
  ],
  ["schedules/demo.yaml", "name: second", "name: ^first", "stage first is named twice"],
  [
    "schedules/demo.yaml",
    ", soak: 1h",
    "",
    "the last stage second needs `soak`, or a review stage after it: how long is it watched?",
  ],
  [
    "schedules/demo.yaml",
    "stages:\n",
    "runbook: ^fire\nstages:\n",
    "expected a runbook in runbooks/, found no fire.md there",
  ],
  [
    "schedules/demo.yaml",
    "stages:\n",
    "runbook: ^../flags/main\nstages:\n",
    "expected a runbook in runbooks/, found no ../flags/main.md there",
  ],
  [
    "schedules/demo.yaml",
    "stages:\n",
    "forward: { only: ^always, zone: UTC }\nstages:\n",
    'expected hours such as "Mon-Thu 09:00-16:00" or "Sat,Sun 22:00-02:00", found "always"',
  ],
];

describe("a mistake in a file", () => {
  it.each(MISTAKES)("%s: %s -> %s", async (file, from, marked, message) => {
    const good = String(GOOD[file]);
    expect(good.split(from)).toHaveLength(2);
    const bad = good.replace(from, () => marked.replace("^", ""));
    const at = marked.indexOf("^");
    // Where nothing is marked, something is missing: the place is the thing it is missing from.
    const missing = message.includes("the last stage") ? bad.indexOf("{ at: 1h") : 0;
    const place = placeAt(file, bad, at === -1 ? missing : good.indexOf(from) + at);
    const loaded = await load({ ...GOOD, [file]: bad });
    expect(loaded.problems.map(formatProblem)).toEqual([`${place}: error: ${message}`]);
    expect(loaded.plans.size).toBe(0);
    expect(loaded.catalogues.size).toBe(file.startsWith("flags") ? 0 : 1);
  });

  it("is told with all others, by file, line and column", async () => {
    const text = FLAGS.replace("service: ingestion", "service: A")
      .replace("max: 2%", "max: x, breach: 3")
      .replace("[1m])) /", "[1m]) /");
    const found = await lines({
      "flags/main.yaml": text,
      "schedules/demo.yaml": SCHEDULE.replace("at: 0h", "at: x").replace("at: 1h", "at: y"),
      "schedules/another.yaml": "rollout: X\nstages: []\n",
      "flags/tail.yaml": "a: [\n",
    });
    expect(found.map((line) => line.slice(0, line.indexOf(": error")))).toEqual([
      "flags/main.yaml:1:10",
      placeOf("flags/main.yaml", text, "', max: x"),
      placeOf("flags/main.yaml", text, "max: x", 5),
      placeOf("flags/main.yaml", text, "breach: 3", 8),
      "flags/tail.yaml:2:1",
      "schedules/another.yaml:1:10",
      "schedules/another.yaml:2:1",
      "schedules/demo.yaml:4:11",
      "schedules/demo.yaml:5:11",
    ]);
  });

  it("leaves the other files loaded", async () => {
    const { plans, problems } = await load({
      ...GOOD,
      "flags/broken.yaml": "- {",
      "schedules/broken.yaml": "rollout: [",
      "schedules/other.yaml":
        "rollout: other\nflags: broken\nstages: [{ at: 0h, name: a, enable: a, soak: 1h }]\n",
    });
    expect([...plans.keys()]).toEqual(["demo"]);
    expect(new Set(problems.map((problem) => problem.file))).toEqual(
      new Set(["flags/broken.yaml", "schedules/broken.yaml"]),
    );
  });

  it("may be only a warning, and then the plan is there", async () => {
    const { plans, problems } = await load({
      ...GOOD,
      "schedules/demo.yaml": SCHEDULE.replace("at: 1h", "at: 20h"),
    });
    expect(problems).toMatchObject([
      { level: "warning", message: expect.stringMatching(/step forward at night/) },
    ]);
    expect([...plans.keys()]).toEqual(["demo"]);
  });

  it("in two files that define one rollout is told at both, and neither is taken", async () => {
    const { plans, problems } = await load({
      ...GOOD,
      "schedules/zwin.yml": `\n${SCHEDULE}`,
      "schedules/fine.yaml": SCHEDULE.replace("demo", "fine"),
    });
    expect(problems.map(formatProblem)).toEqual([
      "schedules/demo.yaml:1:10: error: rollout demo is defined in schedules/zwin.yml too",
      "schedules/zwin.yml:2:10: error: rollout demo is defined in schedules/demo.yaml too",
    ]);
    expect([...plans.keys()]).toEqual(["fine"]);
  });

  it("in two flags files of one name is told at both", async () => {
    const { plans, problems } = await load({ ...GOOD, "flags/main.yml": FLAGS });
    expect(problems.map((problem) => [problem.file, problem.message])).toEqual([
      ["flags/main.yaml", "flags/main.yml has the same name: expected one file of each name"],
      ["flags/main.yml", "flags/main.yaml has the same name: expected one file of each name"],
    ]);
    expect(plans.size).toBe(0);
  });

  it("is one line, whatever the file says", async () => {
    const [line] = await lines({
      ...GOOD,
      "flags/main.yaml": FLAGS.replace(
        "service: ingestion",
        '"a\\e[31m\\nflags/x.yaml:1:1: error: forged\\u202E": 1\nservice: ingestion',
      ),
    });
    expect(line).toContain("forged");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point.
    expect(line).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202E]/);
  });
});

describe("the place inside a query", () => {
  it.each<readonly [string, string, string]>([
    ["plain", "query: sum(a) == 1", "=="],
    ["plain over lines", "query:\n      sum(a)\n      + sum(b)\n      == 1", "=="],
    ["in single quotes", "query: 'sum(a{b=''c''}) == 1'", "=="],
    ["in double quotes", 'query: "sum(a{b=\\"c\\\\\\\\d\\"}) == 1"', "=="],
    ["in double quotes over lines", 'query: "sum(a)\n      + sum(b)\n      == 1"', "=="],
    ["as a block that keeps its lines", "query: |\n      sum(a)\n      == 1", "=="],
    ["as a folded block", "query: >-\n      sum(a)\n      + sum(b)\n      == 1", "=="],
    ["as a folded block with a comment behind its head", "query: >- # why\n      sum(a)\n      == 1", "=="],
    ["after a blank line, where it cannot be told", "query: |\n      sum(a)\n\n      == 1", "|"],
    ["after an escape that cannot be followed", 'query: "sum(a{b=\\"\\u0063\\"}) == 1"', '"sum'],
  ])("%s", async (_, query, mark) => {
    const text = FLAGS.replace(
      / {2}errors: .*\n/,
      () => `  errors:\n    kind: threshold\n    max: 1\n    ${query}\n`,
    );
    expect(await lines({ ...GOOD, "flags/main.yaml": text })).toEqual([
      expect.stringMatching(/: error: the comparison `==` hides series/),
    ]);
    const [line] = await lines({ ...GOOD, "flags/main.yaml": text });
    expect(line?.split(": error")[0]).toBe(placeOf("flags/main.yaml", text, mark));
  });

  it.each(["\r\n", "\n"])("with line ends %j", async (end) => {
    const text = FLAGS.replace("sum(rate(all_total[1m]))", "sum(b == 1)");
    expect(await lines({ ...GOOD, "flags/main.yaml": text.replaceAll("\n", end) })).toEqual([
      expect.stringContaining(placeOf("flags/main.yaml", text, "== 1")),
    ]);
  });
});
