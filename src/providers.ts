/** The kinds of flag systems that Belay knows: every file of `adapters/flags/providers/`. */
import { readdirSync } from "node:fs";
import { z } from "zod";
import type { ProviderKind } from "./adapters/flags/provider.ts";
import type { ProviderEntry } from "./core/files/flags-file.ts";
import { mistake } from "./core/files/mistake.ts";
import type { CheckProvider } from "./core/files/provider.ts";
import { OutsideFault } from "./engine/ports.ts";

const FOLDER = new URL("./adapters/flags/providers/", import.meta.url);

const module = z.object({
  provider: z.custom<ProviderKind>((value) => z.object({ kind: z.string() }).safeParse(value).success),
});

async function discovered(): Promise<readonly ProviderKind[]> {
  const files = readdirSync(FOLDER).filter((name) => /\.(ts|js)$/.test(name) && !name.endsWith(".d.ts"));
  return Promise.all(
    files.sort().map(async (name) => {
      // biome-ignore lint/plugin: the one folder whose files are found by listing it, so that a provider is one file (docs/decisions/0018).
      const found: unknown = await import(new URL(name, FOLDER).href);
      return module.parse(found).provider;
    }),
  );
}

const PROVIDERS: ReadonlyMap<string, ProviderKind> = new Map(
  (await discovered()).map((provider) => [provider.kind, provider]),
);

/** Settings that hold tokens of flag systems. */
export const PROVIDER_SECRETS: readonly string[] = [...PROVIDERS.values()].flatMap(({ secrets }) => secrets);

/** Throws an `OutsideFault` for a kind that this version does not know. */
export function providerOf({ kind }: ProviderEntry): ProviderKind {
  const found = PROVIDERS.get(kind);
  if (found !== undefined) return found;
  throw new OutsideFault(`there is no provider ${kind}; there are ${names()}`, { recoverable: false });
}

export const checkProvider: CheckProvider = (entry) => {
  const found = PROVIDERS.get(entry.kind);
  if (found !== undefined) return found.check(entry);
  const message = `expected provider kind ${names()}, found ${JSON.stringify(entry.kind)}`;
  return { kind: "mistaken", mistakes: [mistake(["kind"], message)] };
};

function names(): string {
  const all = [...PROVIDERS.keys()];
  return `${all.slice(0, -1).join(", ")} or ${all.at(-1) ?? ""}`;
}
