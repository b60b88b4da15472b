/** From a flags file as written to the catalogue: flags with their defaults, guards with their companions, and every mistake at once. */
import type { FlagDef, Guard } from "../plan.ts";
import { OFF, ON, percentSetting, type Setting } from "../setting.ts";
import { SECOND } from "../time.ts";
import { deploysMistakes } from "./deploys-entry.ts";
import type { FlagEntry, FlagsFile } from "./flags-file.ts";
import { defaultAlive, guardFrom, type Inspect } from "./guard-entry.ts";
import { found, type Mistake, mistake } from "./mistake.ts";
import type { CheckProvider, ProviderFacts } from "./provider.ts";

const DEFAULT_INTERVAL_MS = 10 * SECOND;

/** A flags file checked and completed: the catalogue and the guards. */
export interface Catalogue {
  readonly source: string;
  readonly file: FlagsFile;
  /** What is so for every flag of its provider. */
  readonly facts: ProviderFacts;
  readonly flags: Readonly<Record<string, FlagDef>>;
  readonly guards: readonly Guard[];
}

export interface CompileOptions {
  readonly inspect: Inspect;
  readonly provider: CheckProvider;
  /** Poll interval for guards that name none, ms. */
  readonly intervalMs?: number;
}

/** Checks a flags file beyond its shape. Paths of mistakes lead into the file's data. */
export function catalogueFrom(
  source: string,
  written: FlagsFile,
  options: CompileOptions,
): { readonly catalogue: Catalogue; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const { file, facts } = withProviders(written, options.provider, mistakes);
  const flags = Object.fromEntries(
    Object.entries(file.flags).map(([flag, entry]) => [
      flag,
      flagFrom(flag, entry, facts.restarts, mistakes),
    ]),
  );
  checkFlags(flags, mistakes);
  const context = {
    service: file.service,
    defaultIntervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS,
    inspect: options.inspect,
  };
  const guards: Guard[] = [];
  for (const [guardName, entry] of Object.entries(file.guards ?? {})) {
    const made = guardFrom(guardName, entry, context);
    mistakes.push(...made.mistakes.map((one) => ({ ...one, path: ["guards", guardName, ...one.path] })));
    if (made.guard !== undefined) guards.push(made.guard);
  }
  mistakes.push(...deploysMistakes(file.deploys, options.inspect));
  if (!guards.some((guard) => guard.kind === "alive")) guards.push(defaultAlive(context));
  if (guards.filter((guard) => guard.name === "alive").length > 1) {
    mistakes.push(
      mistake(
        ["guards", "alive"],
        "`alive` is the name of the liveness guard: expected kind alive, or another name",
      ),
    );
  }
  if (facts.variables) {
    for (const { name, key } of Object.values(flags)) {
      if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) continue;
      mistakes.push(
        mistake(
          ["flags", name, "key"],
          `expected the name of an environment variable (letters, digits, \`_\`), found ${found(key)}`,
        ),
      );
    }
  }
  if (file.view !== undefined && "metric" in file.view && !/\{(key|flag)\}/.test(file.view.metric)) {
    const example = `feature_enabled{flag="{key}"}`;
    mistakes.push(
      mistake(
        ["view", "metric"],
        `expected {key} or {flag} where the flag stands, such as ${example}, found ${found(file.view.metric)}`,
      ),
    );
  }
  if (file.view === undefined)
    mistakes.push(
      mistake(
        ["provider"],
        `provider ${file.provider.kind} cannot answer for the service: expected \`view\`, where the service itself tells its flags`,
      ),
    );
  if (file.view !== undefined && "sdk" in file.view && !facts.sdk)
    mistakes.push(
      mistake(
        ["view", "sdk"],
        `provider ${file.provider.kind} has no SDK that could be asked: expected http, metric or ofrep`,
      ),
    );
  return { catalogue: { source, file, facts, flags, guards }, mistakes };
}

/** What is taken for a provider with mistakes, so that the rest of the file is checked all the same. */
const UNKNOWN: ProviderFacts = {
  percent: true,
  variables: false,
  restarts: false,
  sdk: true,
  limits: { flipMs: 0, restartMs: 0 },
};

/** The file with its provider and its second lever as a plan keeps them. */
function withProviders(
  file: FlagsFile,
  check: CheckProvider,
  mistakes: Mistake[],
): { readonly file: FlagsFile; readonly facts: ProviderFacts } {
  const own = check(file.provider);
  mistakes.push(...below("provider", own.kind === "mistaken" ? own.mistakes : (own.warnings ?? [])));
  const facts = own.kind === "sound" ? own.facts : UNKNOWN;
  const checked = { ...file, ...(own.kind === "sound" ? { provider: own.entry } : {}) };
  if (file.second_lever === undefined) return { file: checked, facts };
  const { after, ...entry } = file.second_lever;
  const lever = check(entry);
  if (lever.kind === "mistaken") {
    mistakes.push(...below("second_lever", lever.mistakes));
    return { file: checked, facts };
  }
  mistakes.push(...below("second_lever", lever.warnings ?? []));
  const noLever = leverFault(entry.kind, lever.facts, facts);
  if (noLever !== undefined) mistakes.push(mistake(["second_lever", "kind"], noLever));
  const second_lever = { ...lever.entry, ...(after === undefined ? {} : { after }) };
  return { file: { ...checked, second_lever }, facts };
}

/** What keeps a provider from being the second lever of a file; undefined when nothing does. */
function leverFault(
  kind: string,
  { files }: Pick<ProviderFacts, "files">,
  own: Pick<ProviderFacts, "files">,
): string | undefined {
  if (files === undefined)
    return `a second lever must work when no flag system answers: expected a provider that writes a file, such as file or env-file, found ${found(kind)}`;
  return files.some((path) => own.files?.includes(path))
    ? "second_lever is the same place as provider: when one fails so does the other"
    : undefined;
}

function below(key: string, mistakes: readonly Mistake[]): readonly Mistake[] {
  return mistakes.map((one) => ({ ...one, path: [key, ...one.path] }));
}

function flagFrom(flagName: string, entry: FlagEntry, restarts: boolean, mistakes: Mistake[]): FlagDef {
  const on = entry.on ?? "true";
  const off = entry.off ?? "false";
  const path = ["flags", flagName];
  if (on === off) mistakes.push(mistake([...path, "on"], `on and off are both ${found(on)}`));
  const safe = entry.safe === undefined ? undefined : settingFrom(entry.safe, on, off);
  const pinned = entry.pinned === undefined ? undefined : settingFrom(entry.pinned, on, off);
  if (safe?.kind === "percent")
    mistakes.push(mistake([...path, "safe"], "a safe value is on, off or a value, not a percentage"));
  for (const key of ["safe", "pinned"] as const) {
    const fault = shareFault(entry[key] ?? "");
    if (fault !== undefined) mistakes.push(mistake([...path, key], fault));
  }
  return {
    name: flagName,
    key: entry.key,
    on,
    off,
    requires: entry.requires ?? [],
    undo: entry.undo ?? (restarts ? "restart" : "flip"),
    ...(entry.owner === undefined ? {} : { owner: entry.owner }),
    ...(safe === undefined ? {} : { safe }),
    ...(pinned === undefined ? {} : { pinned }),
  };
}

/** `on`, `off`, `25%`, or a literal; the flag's own literals count as on and off. */
export function settingFrom(text: string, on: string, off: string): Setting {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === "on" || trimmed === on) return ON;
  if (trimmed.toLowerCase() === "off" || trimmed === off) return OFF;
  const percent = PERCENT.exec(trimmed);
  if (percent !== null) return percentSetting(Number(percent[1]));
  return { kind: "value", value: trimmed };
}

const PERCENT = /^(\d{1,3}(?:\.\d{1,2})?)\s*%$/;

/** What is wrong with a text that ends in `%`; undefined when nothing is, or when it is no percentage at all. */
export function shareFault(text: string): string | undefined {
  const trimmed = text.trim();
  if (!/\d\s*%$/.test(trimmed)) return undefined;
  if (Number.parseFloat(trimmed) > 100) return `expected at most 100 %, found ${found(text)}`;
  return PERCENT.test(trimmed)
    ? undefined
    : `expected a percentage such as 25% or 12.5%, found ${found(text)}`;
}

function checkFlags(flags: Readonly<Record<string, FlagDef>>, mistakes: Mistake[]): void {
  const keys = new Map<string, string>();
  for (const flag of Object.values(flags)) {
    const twin = keys.get(flag.key);
    if (twin !== undefined)
      mistakes.push(mistake(["flags", flag.name, "key"], `key ${flag.key} belongs to ${twin} already`));
    keys.set(flag.key, flag.name);
    for (const [index, required] of flag.requires.entries()) {
      if (flags[required] === undefined)
        mistakes.push(
          mistake(
            ["flags", flag.name, "requires", index],
            `requires a flag of this file, found ${found(required)}`,
          ),
        );
      if (reaches(flags, required, flag.name)) {
        mistakes.push(
          mistake(["flags", flag.name, "requires", index], `${flag.name} and ${required} require each other`),
        );
      }
    }
  }
}

/** Whether `from` requires `to`, directly or through others. */
function reaches(flags: Readonly<Record<string, FlagDef>>, from: string, to: string): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let flag = open.pop(); flag !== undefined; flag = open.pop()) {
    if (flag === to) return true;
    if (seen.has(flag)) continue;
    seen.add(flag);
    open.push(...(flags[flag]?.requires ?? []));
  }
  return false;
}
