/** Providers as flags files write them: each muddle gets one clear mistake at its place; and every kind has its documentation and its contract. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { PROVIDER_KINDS, PROVIDER_SECRETS } from "../../src/providers.ts";
import { FLAGS, GOOD, KINDS, lines, placeAt } from "../support/folder.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The flags file with other lines, a mark (^) in them, and what `belay check` says: its words, with the mark's place where they begin with ^. */
async function told(line: "provider" | "view", marked: string): Promise<readonly string[]> {
  const text = FLAGS.replace(new RegExp(`^${line}:.*$`, "m"), () => marked);
  const place = placeAt("flags/main.yaml", text.replace("^", ""), text.indexOf("^"));
  const said = await lines({ ...GOOD, "flags/main.yaml": text.replace("^", "") });
  return said.map((one) => one.replace(place, "^"));
}

const UNIT = "path: /etc/x.env, restart: x.service";
const SAME = "^: error: second_lever is the same place as provider: when one fails so does the other";
const spawned = (name: string): string => `{ process: { command: [/bin/x], pidfile: ^/run/${name}.pid } }`;

describe("a second lever", () => {
  it.each([
    ["file", "provider: { kind: file }\nsecond_lever: { kind: ^file, after: 5s }"],
    [
      "file of one path",
      "provider: { kind: file, path: /a/f.json }\nsecond_lever: { kind: ^file, path: /a/./f.json }",
    ],
    ["env-file", `provider: { kind: env-file, ${UNIT} }\nsecond_lever: { kind: ^env-file, ${UNIT} }`],
    [
      "one of several instances",
      `provider: { kind: env-file, instances: [{ ${UNIT} }, { path: /etc/y.env, restart: y.service }] }\nsecond_lever: { kind: ^env-file, path: /etc/y.env, restart: y.service }`,
    ],
  ])("at the place of its provider is refused: %s", async (_, marked) => {
    expect(await told("provider", marked)).toEqual([SAME]);
  });

  it.each([
    ["unleash", "{ kind: ^unleash, url: 'http://unleash.example' }"],
    ["launchdarkly", "{ kind: ^launchdarkly, project: p }"],
  ])("that needs a server is refused: %s", async (kind, lever) => {
    expect(await told("provider", `provider: { kind: file }\nsecond_lever: ${lever}`)).toEqual([
      `^: error: a second lever must work when no flag system answers: expected a provider that writes a file, such as file or env-file, found "${kind}"`,
    ]);
  });

  it.each([
    "provider: { kind: file }\nsecond_lever: { kind: file, path: /etc/x/kill.json }",
    `provider: { kind: env-file, ${UNIT} }\nsecond_lever: { kind: env-file, path: /etc/kill.env, restart: x.service }`,
    `provider: { kind: unleash, url: 'http://unleash.example' }\nsecond_lever: { kind: file }`,
  ])("of a place of its own is taken: %s", async (text) => {
    expect(await told("provider", text)).toEqual([]);
  });
});

describe("instances", () => {
  it.each([
    [
      "path",
      "/etc/./a.env",
      "{ path: /etc/a.env, restart: a.service }, { path: ^/etc/./a.env, restart: b.service }",
    ],
    [
      "unit",
      "a.service",
      "{ path: /etc/a.env, restart: a.service }, { path: /etc/b.env, restart: ^a.service }",
    ],
    [
      "pidfile",
      "/run/a.pid",
      `{ path: /etc/a.env, restart: ${spawned("a").replace("^", "")} }, { path: /etc/b.env, restart: ${spawned("a")} }`,
    ],
  ])("that share a %s are refused at the second one", async (what, text, list) => {
    expect(await told("provider", `provider: { kind: env-file, instances: [${list}] }`)).toEqual([
      `^: error: instance 2 has the ${what} of instance 1: expected one of its own for each, found "${text}"`,
    ]);
  });
});

describe("a provider that is muddled", () => {
  it.each([
    ["{ kind: env-file, ^path: /etc/x.env }", "`restart` is missing beside `path`"],
    ["{ kind: env-file, ^restart: x.service }", "`path` is missing beside `restart`"],
    ["{ ^kind: env-file }", "expected `path` and `restart`, or `instances`: a list of { path, restart }"],
    [
      `{ kind: env-file, path: /etc/y.env, ^instances: [{ ${UNIT} }] }`,
      "`path` and `instances` exclude each other",
    ],
    [
      `{ kind: env-file, ^restart: x.service, instances: [{ ${UNIT} }] }`,
      "`restart` and `instances` exclude each other: each instance has its own",
    ],
    ["{ kind: file, ^colour: red }", "unknown key `colour`"],
    [
      "{ kind: env-file, path: /etc/x.env, restart: { ^process: { pidfile: /run/x.pid } } }",
      "`command` is missing: expected a list",
    ],
    ["{ ^path: /etc/x }", `\`kind\` is missing: expected provider kind ${KINDS}`],
    ["{ ^kind: , path: /etc/x }", `\`kind\` is missing: expected provider kind ${KINDS}`],
  ])("%s", async (marked, message) => {
    const isWhole = message.startsWith("`kind` is missing") && !marked.includes("kind");
    const line = isWhole ? `^provider: ${marked.replace("^", "")}` : `provider: ${marked}`;
    expect(await told("provider", line)).toEqual([`^: error: ${message}`]);
  });

  it.each([
    ["unleash, url: 'http://unleash.example'", "token", "BELAY_UNLEASH_TOKEN"],
    ["unleash, url: 'http://unleash.example'", "client_token", "BELAY_UNLEASH_CLIENT_TOKEN"],
    ["launchdarkly, project: p", "api_key", "BELAY_LAUNCHDARKLY_TOKEN"],
    ["launchdarkly, project: p", "sdk_key", "BELAY_LAUNCHDARKLY_SDK_KEY"],
  ])(
    "by a token in it is told where that belongs, and the token is not repeated: %s, %s",
    async (kind, key, setting) => {
      const said = await told("provider", `provider: { kind: ${kind}, ^${key}: abc-canary }`);
      expect(said).toEqual([`^: error: tokens never stand in files: set ${setting}`]);
    },
  );
});

describe("a view that is muddled", () => {
  it.each([
    [
      "{ http: http://127.0.0.1:8000/x, pointer: /y, ^metric: 'x{flag=\"{key}\"}' }",
      "`http` and `metric` exclude each other",
    ],
    ["{ sdk: ^true }", "expected a mapping, found true"],
    ["{ ^http: http://127.0.0.1:8000/x }", "`pointer` is missing: expected text"],
    [
      "{ ^colour: red }",
      "expected { http: URL, pointer: /path/to/flags }, { metric: QUERY }, { ofrep: URL } or { sdk: {} }, found a mapping",
    ],
  ])("%s", async (marked, message) => {
    const isWhole = /pointer` is missing|colour/.test(marked + message);
    const line = isWhole ? `^view: ${marked.replace("^", "")}` : `view: ${marked}`;
    expect(await told("view", line)).toEqual([`^: error: ${message}`]);
  });
});

describe("every kind of provider", () => {
  const files = readFileSync(join(ROOT, "docs/files.md"), "utf8");
  const tests = readdirSync(join(ROOT, "test/contract"));

  it.each(readdirSync(join(ROOT, "src/adapters/flags/providers")))("%s is known", (file) => {
    expect(PROVIDER_KINDS).toContain(file.replace(/\.ts$/, ""));
  });

  it.each(PROVIDER_KINDS)("%s has its row in docs/files.md", (kind) => {
    expect(files).toMatch(new RegExp(`^\\| \`${kind}\` \\|`, "m"));
  });

  it.each(PROVIDER_KINDS)("%s runs the contract of all providers", (kind) => {
    const own = tests.filter(
      (name) => name.startsWith(`flags-${kind}`) || name.startsWith(`flag-store-${kind}`),
    );
    const texts = own.map((name) => readFileSync(join(ROOT, "test/contract", name), "utf8"));
    expect(texts.filter((text) => /^flagsContract\(/m.test(text))).not.toEqual([]);
  });

  it.each(PROVIDER_SECRETS)("has its setting %s in docs/settings.md", (name) => {
    expect(readFileSync(join(ROOT, "docs/settings.md"), "utf8")).toContain(`\`${name}\``);
  });
});
