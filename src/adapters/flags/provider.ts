/** What makes a kind of flag system: each stands in one file of `providers/`, which exports it as `provider`; nothing else has to know of it. */
import { z } from "zod";
import type { ProviderEntry, RestartEntry } from "../../core/files/flags-file.ts";
import { fromZod, type Mistake } from "../../core/files/mistake.ts";
import type { CheckedProvider, ProviderFacts } from "../../core/files/provider.ts";
import { isSecretName } from "../../core/files/secret.ts";
import type { FlagDef } from "../../core/plan.ts";
import { type Flags, type Log, OutsideFault, type ServiceViewPort, type Target } from "../../engine/ports.ts";

/** One running Belay: what it opened is known by it, and closed with it. */
export interface Scope {
  /** Called when Belay stops. */
  readonly closers: Array<() => void | Promise<void>>;
}

/** A memory of what was made under a key in one scope, so that several rollouts share one client of a flag system. */
export function shared<T>(): (scope: Scope, key: string, make: () => T) => T {
  const known = new WeakMap<Scope, Map<string, T>>();
  return (scope, key, make) => {
    const mine = known.get(scope) ?? new Map<string, T>();
    known.set(scope, mine);
    const found = mine.get(key) ?? make();
    mine.set(key, found);
    return found;
  };
}

/** What was made, to be closed when Belay stops. */
export function closing<T extends { close(): void | Promise<void> }>({ closers }: Scope, made: T): T {
  closers.push(() => made.close());
  return made;
}

/** What a provider may use of Belay. */
export interface OpenContext {
  /** The environment of the flags file. */
  readonly environment: string;
  /** Folder of Belay's own files. */
  readonly stateDir: string;
  readonly log: Log;
  /**
   * A token by the name of its setting, such as `BELAY_UNLEASH_TOKEN`; `BELAY_UNLEASH_TOKEN_STAGING` wins in the environment `staging`. Undefined when
   * neither is set.
   */
  secret(name: string): string | undefined;
  /**
   * What restarts a unit or process that reads the environment file `path`. `withinMs`: how long it may take to be up; `answers`: it is up only when the
   * service's view answers.
   */
  target(
    restart: RestartEntry,
    path: string,
    options: { readonly withinMs: number; readonly answers: boolean },
  ): Target;
  /** What several rollouts share belongs to it: see `shared`. */
  readonly scope: Scope;
}

export interface ViewContext {
  readonly targetingKey: string;
  readonly timeoutMs: number;
}

/** How a kind is written; `E` is its entry as a plan keeps it. */
export interface ProviderDefinition<E extends ProviderEntry> {
  readonly kind: string;
  /** The entry as files have it. */
  readonly schema: z.ZodType<E>;
  /** The entry as a frozen plan has it; `schema` where that takes its own output. */
  readonly frozen?: z.ZodType<E>;
  /** Settings that hold its tokens: first the one that flags are read and written with, then those of the view `sdk`. */
  readonly secrets?: readonly string[];
  facts(entry: E): ProviderFacts;
  /** What is no mistake and yet hardly meant, with paths into the entry. */
  warnings?(entry: E): readonly Mistake[];
  open(entry: E, context: OpenContext): Flags;
  /** What its SDKs see; required where `facts` says `sdk`. */
  view?(entry: E, options: ViewContext, context: OpenContext): ServiceViewPort;
  /** Adds flags that are missing, before the first read; for stores of Belay's own. Rejects with an `OutsideFault`. */
  seed?(entry: E, flags: readonly FlagDef[], context: OpenContext): Promise<void>;
}

/** A kind of flag system. Every method throws an `OutsideFault` when the entry is not one of its kind: a plan of another version. */
export interface ProviderKind {
  readonly kind: string;
  readonly secrets: readonly string[];
  check(entry: ProviderEntry): CheckedProvider;
  open(entry: ProviderEntry, context: OpenContext): Flags;
  view(entry: ProviderEntry, options: ViewContext, context: OpenContext): ServiceViewPort | undefined;
  seed(entry: ProviderEntry, flags: readonly FlagDef[], context: OpenContext): Promise<void>;
}

export function defineProvider<E extends ProviderEntry>(definition: ProviderDefinition<E>): ProviderKind {
  const { kind, schema, frozen = schema, secrets = [] } = definition;
  const known = (entry: ProviderEntry): E => {
    const parsed = frozen.safeParse(entry);
    if (parsed.success) return parsed.data;
    const why = fromZod(parsed.error, entry).map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new OutsideFault(`the provider ${kind} of this plan cannot be used: ${why.join("; ")}`, {
      recoverable: false,
    });
  };
  return {
    kind,
    secrets,
    check(entry) {
      const parsed = schema.safeParse(entry);
      if (!parsed.success) {
        const mistakes = fromZod(parsed.error, entry).map((one) => withoutToken(one, secrets));
        return { kind: "mistaken", mistakes };
      }
      const warnings = definition.warnings?.(parsed.data) ?? [];
      return { kind: "sound", entry: parsed.data, facts: definition.facts(parsed.data), warnings };
    },
    open: (entry, context) => definition.open(known(entry), context),
    view: (entry, options, context) => definition.view?.(known(entry), options, context),
    seed: async (entry, flags, context) => definition.seed?.(known(entry), flags, context),
  };
}

/** A key that is unknown because it would hold a token: where the token belongs. */
function withoutToken(one: Mistake, secrets: readonly string[]): Mistake {
  const key = String(one.path.at(-1) ?? "");
  const [first] = secrets;
  if (one.atKey !== true || first === undefined || one.path.length !== 1 || !isSecretName(key)) return one;
  const setting = secrets.find((name) => name.endsWith(`_${key.toUpperCase()}`)) ?? first;
  return { ...one, message: `tokens never stand in files: set ${setting}` };
}

/** A word of a flag system: a project, an environment, a field of the context. */
export const word = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/, "expected a word of letters, digits, `_`, `.` and `-`");
