/** The kinds of flag systems that Belay knows: every file of `adapters/flags/providers/`. */
import { readdirSync } from "node:fs";
import { z } from "zod";
import type { ProviderKind } from "./adapters/flags/provider.ts";
import type { ProviderEntry } from "./core/files/flags-file.ts";
import { found, mistake } from "./core/files/mistake.ts";
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

/** The kinds, as files name them, in the order in which messages do. */
export const PROVIDER_KINDS: readonly string[] = [...PROVIDERS.keys()];

/** Settings that hold tokens of one kind: first the one that flags are flipped with, then those of its view `sdk`. None for a kind that is not known. */
export function secretsOfKind(kind: string): readonly string[] {
  return PROVIDERS.get(kind)?.secrets ?? [];
}

/** The names under which a token may be set for an environment, the one that wins first. */
export function settingNames(name: string, environment: string): readonly [own: string, common: string] {
  return [`${name}_${environment.toUpperCase().replace(/[^A-Z0-9]/g, "_")}`, name];
}

/** Throws an `OutsideFault` for a kind that this version does not know. */
export function providerOf({ kind }: ProviderEntry): ProviderKind {
  const found = PROVIDERS.get(kind);
  if (found !== undefined) return found;
  throw new OutsideFault(`there is no provider ${kind}; there are ${names()}`, { recoverable: false });
}

export const checkProvider: CheckProvider = (entry) => {
  const known = PROVIDERS.get(entry.kind);
  if (known !== undefined) return known.check(entry);
  const expected = `expected provider kind ${names()}`;
  const message =
    entry.kind === "" ? `\`kind\` is missing: ${expected}` : `${expected}, found ${found(entry.kind)}`;
  return { kind: "mistaken", mistakes: [mistake(["kind"], message)] };
};

function names(): string {
  return `${PROVIDER_KINDS.slice(0, -1).join(", ")} or ${PROVIDER_KINDS.at(-1) ?? ""}`;
}
