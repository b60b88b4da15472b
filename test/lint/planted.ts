/** The violations that the linter must catch: one row for each rule and each way around it. */

/** One planted file and the rule it must break. */
export interface Planted {
  readonly what: string;
  readonly path: string;
  readonly text: string;
  /** The rule that must fire, as often as it likes. */
  readonly rule: string;
  /** Rules that fire beside it; any other is a failure. */
  readonly also?: readonly string[];
  /** Part of the message, where several rules of ours share one name. */
  readonly says?: string;
}

const CORE = "src/core imports only";
const ENGINE = "src/engine imports only";
const ROOM = "An adapter sees";
const OUTSIDE = "nothing outside src";

function use(specifier: string): string {
  return `import { thing } from "${specifier}";\nexport const used = thing;\n`;
}

/** A file at `path` that imports `specifier` must be refused with `says`. */
function importRow(path: string, specifier: string, says: string): Planted {
  return {
    what: `${path} imports ${specifier}`,
    path,
    text: use(specifier),
    rule: "noRestrictedImports",
    says,
  };
}

function bodyRow(what: string, path: string, rule: string, text: string, says?: string): Planted {
  return { what, path, text: `${text}\n`, rule, ...(says === undefined ? {} : { says }) };
}

const imports: readonly Planted[] = [
  importRow("src/core/a01.ts", "node:fs", CORE),
  importRow("src/core/a02.ts", "node:fs/promises", CORE),
  importRow("src/core/a03.ts", "axios", CORE),
  importRow("src/core/a04.ts", "@slack/bolt", CORE),
  importRow("src/core/a05.ts", "../engine/ports.ts", CORE),
  importRow("src/core/a06.ts", "../adapters/prometheus.ts", CORE),
  importRow("src/core/a07.ts", "../main.ts", CORE),
  importRow("src/core/a08.ts", "../../demo/main.ts", CORE),
  importRow("src/core/rollout/a09.ts", "../../engine/ports.ts", CORE),
  importRow("src/core/rollout/a10.ts", "node:util", CORE),
  importRow("src/core/one/two/a11.ts", "./near.ts", "one folder deep"),
  importRow("src/engine/b01.ts", "node:sqlite", ENGINE),
  importRow("src/engine/b02.ts", "pino", ENGINE),
  importRow("src/engine/b03.ts", "zod", ENGINE),
  importRow("src/engine/b04.ts", "../adapters/journal/sqlite.ts", ENGINE),
  importRow("src/engine/b05.ts", "../config.ts", ENGINE),
  importRow("src/engine/parts/b06.ts", "../../adapters/prometheus.ts", ENGINE),
  importRow("src/engine/one/two/b07.ts", "./near.ts", "one folder deep"),
  importRow("src/adapters/slack/c01.ts", "../flags/file.ts", ROOM),
  importRow("src/adapters/slack/c02.ts", "../prometheus.ts", ROOM),
  importRow("src/adapters/slack/c03.ts", "../../engine/engine.ts", ROOM),
  importRow("src/adapters/slack/c04.ts", "../../config.ts", ROOM),
  importRow("src/adapters/slack/c05.ts", "../../main.ts", ROOM),
  importRow("src/adapters/slack/c06.ts", "../../../test/fakes/slack/server.ts", ROOM),
  importRow("src/adapters/slack/views/c07.ts", "../../flags/file.ts", ROOM),
  importRow("src/adapters/slack/views/c08.ts", "../../../engine/reconcile.ts", ROOM),
  importRow("src/adapters/slack/one/two/c09.ts", "../near.ts", "one folder deep"),
  importRow("src/adapters/c10.ts", "./pagerduty.ts", ROOM),
  importRow("src/adapters/c11.ts", "./slack/client.ts", ROOM),
  importRow("src/adapters/c12.ts", "../engine/measure.ts", ROOM),
  importRow("src/adapters/c13.ts", "../cli.ts", ROOM),
  importRow("src/main.ts", "../demo/main.ts", OUTSIDE),
  importRow("src/cli.ts", "../test/fakes/slack/server.ts", OUTSIDE),
  importRow("src/config.ts", "./main.ts", "below main and cli"),
  {
    what: "core takes only a type from the engine",
    path: "src/core/d01.ts",
    text: 'import type { Clock } from "../engine/ports.ts";\nexport type C = Clock;\n',
    rule: "noRestrictedImports",
    says: CORE,
  },
  {
    what: "core hands on an engine's export",
    path: "src/core/d02.ts",
    text: 'export type { Clock } from "../engine/ports.ts";\nexport const own = 1;\n',
    rule: "noRestrictedImports",
    says: CORE,
  },
  {
    what: "core imports the engine lazily",
    path: "src/core/d03.ts",
    text: 'export const later = (): Promise<unknown> => import("../engine/engine.ts");\n',
    rule: "noRestrictedImports",
    says: CORE,
  },
];

const detours: readonly Planted[] = [
  bodyRow(
    "an import type expression",
    "src/core/e01.ts",
    "plugin",
    'export type C = import("../engine/ports.ts").Clock;',
    "belay/imports",
  ),
  bodyRow("a detour after ./", "src/core/e02.ts", "plugin", use("./../core/time.ts"), "belay/imports"),
  bodyRow(
    "a detour through a folder",
    "src/core/e03.ts",
    "plugin",
    use("./guards/../time.ts"),
    "belay/imports",
  ),
  bodyRow(
    "a computed import",
    "src/adapters/e04.ts",
    "plugin",
    "export const load = (path: string): Promise<unknown> => import(path);",
    "belay/imports",
  ),
  bodyRow(
    "createRequire",
    "src/adapters/e05.ts",
    "plugin",
    'import { createRequire } from "node:module";\nexport const from = createRequire("/");',
    "belay/imports",
  ),
];

const GLOBALS: readonly string[] = [
  "Date",
  "performance",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "process",
  "fetch",
  "console",
  "globalThis",
  "crypto",
  "Buffer",
];

const globals: readonly Planted[] = ["core", "engine"].flatMap((layer) =>
  GLOBALS.map((name) =>
    bodyRow(
      `${layer} uses ${name}`,
      `src/${layer}/g-${name}.ts`,
      "noRestrictedGlobals",
      `export const door: unknown = ${name};`,
    ),
  ),
);

const purity: readonly Planted[] = ["core", "engine"].flatMap((layer) => [
  bodyRow(
    `${layer} computes the name of Math.random`,
    `src/${layer}/p08.ts`,
    "plugin",
    'export const roll = Math["ran" + "dom"]();',
    "belay/pure",
  ),
  bodyRow(
    `${layer} takes random numbers`,
    `src/${layer}/p01.ts`,
    "plugin",
    "export const roll = Math.random();",
    "belay/pure",
  ),
  bodyRow(
    `${layer} hides Math`,
    `src/${layer}/p02.ts`,
    "plugin",
    "const sums = Math;\nexport const roll = sums.random();",
    "belay/pure",
  ),
  bodyRow(
    `${layer} unpacks Math`,
    `src/${layer}/p03.ts`,
    "plugin",
    "const { random } = Math;\nexport const roll = random();",
    "belay/pure",
  ),
  bodyRow(
    `${layer} passes on Math.random`,
    `src/${layer}/p04.ts`,
    "plugin",
    "export const rolls = [1].map(Math.random);",
    "belay/pure",
  ),
  bodyRow(
    `${layer} starts a timer by AbortSignal`,
    `src/${layer}/p05.ts`,
    "noJsRestrictedProperties",
    "export const soon = AbortSignal.timeout(1);",
  ),
  bodyRow(
    `${layer} reads the clock by Intl`,
    `src/${layer}/p06.ts`,
    "plugin",
    'export const today = new Intl.DateTimeFormat("en").format();',
    "belay/pure",
  ),
  bodyRow(
    `${layer} names the type Date`,
    `src/${layer}/p07.ts`,
    "noRestrictedGlobals",
    "export type When = Date;",
  ),
]);

const environment: readonly Planted[] = [
  {
    what: "an adapter reads process.env",
    path: "src/adapters/v01.ts",
    text: 'import process from "node:process";\nexport const home = process.env.HOME;\n',
    rule: "noProcessEnv",
    also: ["noJsRestrictedProperties"],
  },
  bodyRow(
    "an adapter imports env",
    "src/adapters/v02.ts",
    "noProcessEnv",
    'import { env } from "node:process";\nexport const home = env.HOME;',
  ),
  bodyRow(
    "an adapter unpacks env",
    "src/adapters/v03.ts",
    "noJsRestrictedProperties",
    'import process from "node:process";\nconst { env } = process;\nexport const home = env;',
  ),
  bodyRow(
    "an adapter renames process",
    "src/adapters/v04.ts",
    "plugin",
    'import * as runtime from "node:process";\nexport const home = runtime.env;',
    "belay/environment",
  ),
  bodyRow(
    "an adapter loads an env file",
    "src/adapters/v05.ts",
    "plugin",
    'import process from "node:process";\nprocess.loadEnvFile(".env");',
    "belay/environment",
  ),
];

const LONG_FUNCTION = `export function long(): number {\n  let sum = 0;\n${"  sum += 1;\n".repeat(69)}  return sum;\n}\n`;
const LONG_FILE = `${"// a line\n".repeat(400)}export const end = 1;\n`;
const KIND = 'type Kind = { readonly kind: "a" } | { readonly kind: "b" };\n';

const manner: readonly Planted[] = [
  bodyRow("a barrel", "src/adapters/http/m01.ts", "noBarrelFile", 'export { server } from "./server.ts";'),
  {
    what: "export *",
    path: "demo/m02.ts",
    text: 'export * from "./near.ts";\nexport const own = 1;\n',
    rule: "noReExportAll",
    also: ["noBarrelFile"],
  },
  bodyRow("a default export", "src/core/m03.ts", "noDefaultExport", "export default 1;"),
  bodyRow(
    "a default export by name",
    "demo/m04.ts",
    "noDefaultExport",
    "const one = 1;\nexport { one as default };",
  ),
  bodyRow(
    "any",
    "demo/m05.ts",
    "noExplicitAny",
    "export function echo(text: any): string {\n  return String(text);\n}",
  ),
  bodyRow(
    "a non-null assertion",
    "demo/m06.ts",
    "noNonNullAssertion",
    "export const first = (list: readonly number[]): number => list[0]!;",
  ),
  bodyRow("an enum", "demo/m07.ts", "noEnum", "export enum Way {\n  Up,\n  Down,\n}"),
  bodyRow("a namespace", "demo/m21.ts", "noNamespace", "export namespace Near {\n  export const one = 1;\n}"),
  bodyRow(
    "a parameter property",
    "demo/m22.ts",
    "noParameterProperties",
    "export class Near {\n  constructor(readonly one: number) {}\n}",
  ),
  bodyRow(
    "ts-ignore",
    "demo/m23.ts",
    "noTsIgnore",
    "// @ts-ignore: not today\nexport const one: string = 1;",
  ),
  bodyRow("a missing file extension", "demo/m08.ts", "useImportExtensions", use("./m05")),
  bodyRow("a Node module without node:", "demo/m09.ts", "useNodejsImportProtocol", use("fs")),
  bodyRow(
    "a type imported as a value",
    "demo/m10.ts",
    "useImportType",
    'import { Near } from "./near.ts";\nexport type Far = Near;',
  ),
  bodyRow(
    "a promise nobody awaits",
    "demo/m11.ts",
    "noFloatingPromises",
    "async function act(): Promise<void> {}\nexport function go(): void {\n  act();\n}",
  ),
  bodyRow(
    "a promise as a condition",
    "demo/m12.ts",
    "noMisusedPromises",
    "async function ready(): Promise<boolean> {\n  return true;\n}\nexport const go = async (): Promise<number> => (ready() ? 1 : 2);",
  ),
  bodyRow(
    "a switch that forgets a kind",
    "demo/m13.ts",
    "useExhaustiveSwitchCases",
    `${KIND}export function name(kind: Kind): void {\n  switch (kind.kind) {\n    case "a":\n      return;\n  }\n}`,
  ),
  bodyRow("a function of 71 lines", "src/core/m14.ts", "noExcessiveLinesPerFunction", LONG_FUNCTION),
  bodyRow("a file of over 400 lines", "src/core/m15.ts", "noExcessiveLinesPerFile", LONG_FILE),
  bodyRow(
    "a development package in the product",
    "src/adapters/m16.ts",
    "noUndeclaredDependencies",
    use("fast-check"),
  ),
  bodyRow(
    "a package that is not in package.json",
    "src/adapters/m17.ts",
    "noUndeclaredDependencies",
    use("left-pad"),
  ),
  bodyRow(
    "a skipped test",
    "test/core/m18.test.ts",
    "noSkippedTests",
    'import { it } from "vitest";\nit.skip("waits", () => {});',
  ),
  bodyRow(
    "a focused test",
    "test/core/m19.test.ts",
    "noFocusedTests",
    'import { it } from "vitest";\nit.only("alone", () => {});',
  ),
  bodyRow(
    "a test skipped by a condition",
    "test/core/m20.test.ts",
    "noJsRestrictedProperties",
    'import { it } from "vitest";\nit.skipIf(1 > 0)("waits", () => {});',
  ),
];

const casts: readonly Planted[] = [
  bodyRow(
    "a cast without a reason",
    "src/adapters/k01.ts",
    "noUnsafeTypeAssertion",
    "export const list = (raw: unknown): readonly string[] => raw as readonly string[];",
  ),
  {
    what: "an ignored rule without a reason",
    path: "src/adapters/k02.ts",
    text: "// biome-ignore lint/suspicious/noExplicitAny:\nexport type Anything = any;\n",
    rule: "parse",
    also: ["noExplicitAny"],
  },
];

const cycle: readonly Planted[] = [
  bodyRow(
    "a cycle, one way",
    "src/core/n01.ts",
    "noImportCycles",
    'import type { B } from "./n02.ts";\nexport interface A {\n  readonly b: B;\n}',
  ),
  bodyRow(
    "a cycle, of types alone",
    "src/core/n02.ts",
    "noImportCycles",
    'import type { A } from "./n01.ts";\nexport interface B {\n  readonly a: A;\n}',
  ),
];

/** Every planted violation; the paths are all different. */
export const PLANTED: readonly Planted[] = [
  ...imports,
  ...detours,
  ...globals,
  ...purity,
  ...environment,
  ...manner,
  ...casts,
  ...cycle,
];
