/** Files that the linter must leave alone: what each layer may use. */

/** Path -> text; nothing may be said of them. */
export const CLEAN: ReadonlyMap<string, string> = new Map([
  [
    // In the core the compiler judges switches: it follows narrowing, which the linter does not.
    "src/core/narrowed.ts",
    'type Kind = { readonly kind: "a" } | { readonly kind: "b" };\nexport function name(it: Kind): number {\n  if (it.kind === "b") return 2;\n  switch (it.kind) {\n    case "a":\n      return 1;\n  }\n}\n',
  ],
  [
    "src/core/time.ts",
    'import { z } from "zod";\nexport const Instant = z.number();\nexport const max = Math.max(1, 2);\n',
  ],
  [
    "src/core/guards/threshold.ts",
    'import { Instant } from "../time.ts";\nimport { near } from "./near.ts";\nexport const both = [Instant, near];\n',
  ],
  ["src/core/guards/near.ts", 'export const near = new Intl.DateTimeFormat("en").format(0);\n'],
  [
    "src/engine/ports.ts",
    'import type { Instant } from "../core/time.ts";\nexport interface Clock {\n  readonly now: () => typeof Instant;\n}\n',
  ],
  [
    "src/engine/engine.ts",
    'import { both } from "../core/guards/threshold.ts";\nimport type { Clock } from "./ports.ts";\nexport const run = (clock: Clock): unknown => [both, clock];\n',
  ],
  [
    "src/adapters/http-client.ts",
    'import axios from "axios";\nexport const client = axios.create({ maxRedirects: 0 });\n',
  ],
  [
    "src/adapters/prometheus.ts",
    'import { readFile } from "node:fs/promises";\nimport type { Clock } from "../engine/ports.ts";\nimport { client } from "./http-client.ts";\nexport const make = (clock: Clock): unknown => [client, clock, readFile, Date.now()];\n',
  ],
  [
    "src/adapters/slack/client.ts",
    'import { App } from "@slack/bolt";\nimport { max } from "../../core/time.ts";\nimport type { Clock } from "../../engine/ports.ts";\nimport { client } from "../http-client.ts";\nimport { card } from "./views/card.ts";\nexport const all = (clock: Clock): unknown => [App, max, client, card, clock];\n',
  ],
  [
    "src/adapters/slack/views/card.ts",
    'import { max } from "../../../core/time.ts";\nimport { client } from "../../http-client.ts";\nimport { text } from "../text.ts";\nexport const card = [max, client, text];\n',
  ],
  ["src/adapters/slack/text.ts", 'export const text = "text";\n'],
  [
    "src/adapters/edge.ts",
    "// biome-ignore lint/nursery/noUnsafeTypeAssertion: the library's types refuse what its code accepts\nexport const edge = (raw: unknown): string => raw as string;\n",
  ],
  [
    "test/support/port-contract.ts",
    `export function contract(): number {\n  let sum = 0;\n${"  sum += 1;\n".repeat(90)}  return sum;\n}\n`,
  ],
  ["src/config.ts", 'import process from "node:process";\nexport const home = process.env.HOME;\n'],
  [
    "demo/main.ts",
    'import { home } from "../src/config.ts";\nexport const start = home ?? process.env.PATH;\n',
  ],
  [
    "test/core/clean.test.ts",
    'import { expect, it } from "vitest";\nimport { max } from "../../src/core/time.ts";\nit("adds", () => {\n  expect(max).toBe(2);\n});\n',
  ],
  ["vitest.config.ts", 'import { defineConfig } from "vitest/config";\nexport default defineConfig({});\n'],
]);
