/** From a schedule and a flags file, both as written, to the plan that a rollout freezes; every mistake in them at once. */
import { BOUND_LIMIT_MS, worstBound } from "../bound.ts";
import { type FlagDef, type FlagSetting, type Guard, leastSoakMs, type Plan, type ProviderLimits, type Stage, type Substage } from "../plan.ts";
import { OFF, ON, percentSetting, type Setting, sameSetting } from "../setting.ts";
import { formatDuration, HOUR, MINUTE, parseForwardWindow, SECOND } from "../time.ts";
import type { FlagEntry, FlagsFile } from "./flags-file.ts";
import { defaultAlive, guardFrom, type Inspect } from "./guard-entry.ts";
import { found, type Mistake, mistake, warning } from "./mistake.ts";
import type { ScheduleFile, StageEntry } from "./schedule-file.ts";

const DEFAULT_INTERVAL_MS = 10 * SECOND;
const DEFAULT_QUERY_TIMEOUT_MS = 5 * SECOND;
const DEFAULT_RESTART_MS = 30 * SECOND;

/** A flags file checked and completed: the catalogue and the guards. */
export interface Catalogue {
  readonly source: string;
  readonly file: FlagsFile;
  readonly flags: Readonly<Record<string, FlagDef>>;
  readonly guards: readonly Guard[];
}

export interface CompileOptions {
  readonly inspect: Inspect;
  /** Poll interval for guards that name none, ms. */
  readonly intervalMs?: number;
}

/** Checks a flags file beyond its shape. Paths of mistakes lead into the file's data. */
export function catalogueFrom(source: string, file: FlagsFile, options: CompileOptions): { readonly catalogue: Catalogue; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const restarts = file.provider.kind === "env-file";
  const flags = Object.fromEntries(Object.entries(file.flags).map(([flag, entry]) => [flag, flagFrom(flag, entry, restarts, mistakes)]));
  checkFlags(flags, mistakes);
  const context = { service: file.service, defaultIntervalMs: options.intervalMs ?? DEFAULT_INTERVAL_MS, inspect: options.inspect };
  const guards: Guard[] = [];
  for (const [guardName, entry] of Object.entries(file.guards ?? {})) {
    const made = guardFrom(guardName, entry, context);
    mistakes.push(...made.mistakes.map((one) => ({ ...one, path: ["guards", guardName, ...one.path] })));
    if (made.guard !== undefined) guards.push(made.guard);
  }
  if (!guards.some((guard) => guard.kind === "alive")) guards.push(defaultAlive(context));
  if (file.view === undefined) mistakes.push(mistake(["provider"], `a ${file.provider.kind} store cannot answer for the service: expected \`view\`, where the service itself tells its flags`));
  return { catalogue: { source, file, flags, guards }, mistakes };
}

function flagFrom(flagName: string, entry: FlagEntry, restarts: boolean, mistakes: Mistake[]): FlagDef {
  const on = entry.on ?? "true";
  const off = entry.off ?? "false";
  const path = ["flags", flagName];
  if (on === off) mistakes.push(mistake([...path, "on"], `on and off are both ${found(on)}`));
  const safe = entry.safe === undefined ? undefined : settingFrom(entry.safe, on, off);
  const pinned = entry.pinned === undefined ? undefined : settingFrom(entry.pinned, on, off);
  if (safe?.kind === "percent") mistakes.push(mistake([...path, "safe"], "a safe value is on, off or a value, not a percentage"));
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
function settingFrom(text: string, on: string, off: string): Setting {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === "on" || trimmed === on) return ON;
  if (trimmed.toLowerCase() === "off" || trimmed === off) return OFF;
  const percent = /^(\d{1,3}(?:\.\d{1,2})?)\s*%$/.exec(trimmed);
  if (percent !== null) return percentSetting(Number(percent[1]));
  return { kind: "value", value: trimmed };
}

function checkFlags(flags: Readonly<Record<string, FlagDef>>, mistakes: Mistake[]): void {
  const keys = new Map<string, string>();
  for (const flag of Object.values(flags)) {
    const twin = keys.get(flag.key);
    if (twin !== undefined) mistakes.push(mistake(["flags", flag.name, "key"], `key ${flag.key} belongs to ${twin} already`));
    keys.set(flag.key, flag.name);
    for (const [index, required] of flag.requires.entries()) {
      if (flags[required] === undefined) mistakes.push(mistake(["flags", flag.name, "requires", index], `requires a flag of this file, found ${found(required)}`));
      if (required === flag.name || (flags[required]?.requires ?? []).includes(flag.name)) {
        mistakes.push(mistake(["flags", flag.name, "requires", index], `${flag.name} and ${required} require each other`));
      }
    }
  }
}

/** What the provider may need at most; a file or an environment file is written and read back within two seconds. */
function limitsOf(file: FlagsFile): ProviderLimits {
  if (file.provider.kind === "file") return { flipMs: 2 * SECOND, restartMs: 0 };
  return { flipMs: 2 * SECOND, restartMs: file.provider.restart_within ?? DEFAULT_RESTART_MS };
}

/** How planned time passes: the identity in production, compressed in a demo. Takes and returns ms. */
export type Pace = (gapMs: number) => number;

/** Compiles a schedule over its catalogue. Paths of mistakes lead into the schedule's data. */
export function compile(schedule: ScheduleFile, catalogue: Catalogue, pace: Pace = (ms) => ms): { readonly plan: Plan; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const { file, flags } = catalogue;
  const guards = catalogue.guards.map((guard) => (guard.kind === "expect" ? { ...guard, withinMs: Math.max(pace(guard.withinMs), guard.windowMs + 2 * guard.intervalMs) } : guard));
  const stages = stagesFrom(schedule, catalogue, guards, pace, mistakes);
  checkGuardStages(catalogue, schedule, mistakes);
  const forward = schedule.forward === undefined ? undefined : parseForwardWindow(schedule.forward.only, schedule.forward.zone);
  if (schedule.forward !== undefined && forward === undefined) {
    mistakes.push(mistake(["forward", "only"], `expected hours such as "Mon-Thu 09:00-16:00", found ${found(schedule.forward.only)}`));
  }
  const plan: Plan = {
    rollout: schedule.rollout,
    service: file.service,
    environment: file.environment,
    source: catalogue.source,
    flags,
    stages,
    guards,
    unwind: schedule.unwind ?? "newest",
    onBlind: schedule.on_blind ?? "hold",
    blindAfterMs: schedule.blind_after ?? 5 * MINUTE,
    scrapeMs: file.prometheus.scrape_interval,
    queryTimeoutMs: file.prometheus.timeout ?? DEFAULT_QUERY_TIMEOUT_MS,
    hasView: file.view !== undefined,
    provider: limitsOf(file),
    outside: { provider: file.provider, prometheus: file.prometheus, ...(file.view === undefined ? {} : { view: file.view }) },
    ...(schedule.channel === undefined ? {} : { channel: schedule.channel }),
    ...(forward === undefined ? {} : { forward }),
    ...(schedule.runbook === undefined ? {} : { runbook: schedule.runbook }),
  };
  checkBound(plan, schedule, mistakes);
  if (forward === undefined && stepsAtNight(stages)) {
    mistakes.push(warning(["stages"], "the timeline may step forward at night; `forward: { only, zone }` keeps steps in working hours"));
  }
  return { plan, mistakes };
}

function checkBound(plan: Plan, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const worst = worstBound(plan);
  if (worst === undefined || worst.totalMs <= BOUND_LIMIT_MS) return;
  const accepted = schedule.accept_bound ?? 0;
  if (accepted >= worst.totalMs && schedule.because !== undefined) return;
  const seconds = Math.round(worst.totalMs / SECOND);
  const hint = accepted >= worst.totalMs ? "`because: \"...\"` must say why" : '`accept_bound: 8m` with `because: "..."` accepts more';
  mistakes.push(mistake(["rollout"], `a rollback could take ${seconds} s after a breach is visible (guard ${worst.guard}), more than ${BOUND_LIMIT_MS / SECOND} s; ${hint}`));
}

/** A timeline with forward steps more than eight hours after its start is likely to meet a night. */
function stepsAtNight(stages: readonly Stage[]): boolean {
  const first = stages[0]?.atMs ?? 0;
  return stages.some((stage) => stage.substages.length > 0 && stage.atMs - first > 8 * HOUR);
}

function checkGuardStages(catalogue: Catalogue, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const names = new Set(schedule.stages.map((stage) => stage.name));
  for (const guard of catalogue.guards) {
    for (const stage of guard.stages ?? []) {
      if (!names.has(stage)) mistakes.push(warning(["stages"], `guard ${guard.name} of flags/${catalogue.source} names a stage ${found(stage)} that this schedule does not have`));
    }
  }
}

function stagesFrom(schedule: ScheduleFile, catalogue: Catalogue, guards: readonly Guard[], pace: Pace, mistakes: Mistake[]): readonly Stage[] {
  const names = new Set<string>();
  let atMs = 0;
  return schedule.stages.map((entry, index): Stage => {
    const path = ["stages", index] as const;
    if (names.has(entry.name)) mistakes.push(mistake([...path, "name"], `stage ${entry.name} is named twice`));
    names.add(entry.name);
    const before = schedule.stages[index - 1];
    if (before !== undefined && entry.at < before.at) mistakes.push(mistake([...path, "at"], `expected a time at or after ${formatDuration(before.at)} of ${before.name}, found ${formatDuration(entry.at)}`));
    if (before !== undefined) atMs += pace(Math.max(0, entry.at - before.at));
    checkStage(entry, index, schedule, mistakes);
    const substages = substagesFrom(entry, index, schedule, catalogue, guards, pace, mistakes);
    const baseline = entry.set !== undefined && substages.every((sub) => sub.set.every((item) => sameSetting(item.setting, OFF)));
    return {
      name: entry.name,
      atMs,
      substages,
      baseline,
      ...(entry.approval === undefined ? {} : { approval: entry.approval }),
      ...(entry.review === undefined ? {} : { review: "manual" as const }),
    };
  });
}

function checkStage(entry: StageEntry, index: number, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const path = ["stages", index] as const;
  const does = [entry.set, entry.enable, entry.review].filter((one) => one !== undefined).length;
  if (does !== 1) mistakes.push(mistake(path, `stage ${entry.name}: expected exactly one of set, enable or review`));
  if (entry.review !== undefined && entry.review !== "manual") {
    mistakes.push(mistake([...path, "review"], `expected review: manual (readiness matrices are not available in this version), found ${found(entry.review)}`));
  }
  const last = index === schedule.stages.length - 1;
  if (last && entry.review === undefined && entry.soak === undefined && entry.every === undefined) {
    mistakes.push(mistake(path, `the last stage ${entry.name} needs \`soak\`, or a review stage after it: how long is it watched?`));
  }
  if (entry.review !== undefined && (entry.soak !== undefined || entry.every !== undefined || entry.approval !== undefined)) {
    mistakes.push(mistake(path, "a review changes nothing: it takes no soak, every or approval"));
  }
}

function substagesFrom(
  entry: StageEntry,
  index: number,
  schedule: ScheduleFile,
  catalogue: Catalogue,
  guards: readonly Guard[],
  pace: Pace,
  mistakes: Mistake[],
): readonly Substage[] {
  if (entry.review !== undefined) return [];
  const steps = stepsOf(entry, index, catalogue, mistakes);
  const next = schedule.stages[index + 1];
  const gap = next === undefined ? 0 : Math.max(0, next.at - entry.at);
  const listed = steps.length > 1;
  if (listed && entry.every === undefined && entry.soak === undefined) mistakes.push(mistake(["stages", index], "a list of settings needs `every`: how long is each watched?"));
  const wanted = pace(entry.every ?? entry.soak ?? gap);
  const least = leastSoakMs(
    guards.filter((guard) => guard.stages === undefined || guard.stages.includes(entry.name)),
    catalogue.file.prometheus.scrape_interval,
  );
  return steps.map((set) => ({ set, soakMs: Math.max(wanted, least) }));
}

/** The settings of each substage, in order. */
function stepsOf(entry: StageEntry, index: number, catalogue: Catalogue, mistakes: Mistake[]): readonly (readonly FlagSetting[])[] {
  const { enable, set } = entry;
  const path = ["stages", index] as const;
  if (set !== undefined) return [setSettings(set, path, catalogue, mistakes)];
  if (typeof enable === "string") return [[setting(enable, "on", [...path, "enable"], catalogue, mistakes)]];
  if (Array.isArray(enable)) return [enable.map((flag, i) => setting(flag, "on", [...path, "enable", i], catalogue, mistakes))];
  const lists = Object.entries(enable ?? {});
  const [, longest = []] = lists.reduce<readonly [string, readonly string[]]>((most, list) => (list[1].length > most[1].length ? list : most), ["", []]);
  for (const [flag, list] of lists) {
    if (list.length !== longest.length) mistakes.push(mistake([...path, "enable", flag], `expected ${longest.length} settings like the other flags of this stage, found ${list.length}`));
    checkRising(flag, list, [...path, "enable", flag], mistakes);
  }
  return longest.map((_, step) =>
    lists.map(([flag, list]) => setting(flag, list[Math.min(step, list.length - 1)] ?? "on", [...path, "enable", flag, step], catalogue, mistakes)),
  );
}

function checkRising(flag: string, list: readonly string[], path: readonly (string | number)[], mistakes: Mistake[]): void {
  const numbers = list.map((text) => Number(/^(\d{1,3}(?:\.\d{1,2})?)\s*%$/.exec(text.trim())?.[1] ?? Number.NaN));
  for (const [i, percent] of numbers.entries()) {
    if (percent > 100) mistakes.push(mistake([...path, i], `expected at most 100 %, found ${found(list[i])}`));
    if (i > 0 && percent <= (numbers[i - 1] ?? 0)) mistakes.push(mistake([...path, i], `${flag}: expected percentages that rise, found ${found(list[i])} after ${found(list[i - 1])}`));
  }
}

function setSettings(set: Readonly<Record<string, string>>, path: readonly (string | number)[], catalogue: Catalogue, mistakes: Mistake[]): readonly FlagSetting[] {
  const settings: FlagSetting[] = [];
  for (const [flag, text] of Object.entries(set)) {
    if (flag !== "all") {
      settings.push(setting(flag, text, [...path, "set", flag], catalogue, mistakes));
      continue;
    }
    for (const def of Object.values(catalogue.flags)) {
      if (def.pinned === undefined) settings.push({ flag: def.name, setting: settingFrom(text, def.on, def.off) });
    }
  }
  return settings;
}

function setting(flag: string, text: string, path: readonly (string | number)[], catalogue: Catalogue, mistakes: Mistake[]): FlagSetting {
  const def = catalogue.flags[flag];
  if (def === undefined) {
    mistakes.push(mistake(path, `expected a flag of flags/${catalogue.source} (${Object.keys(catalogue.flags).join(", ")}), found ${found(flag)}`));
    return { flag, setting: OFF };
  }
  if (def.pinned !== undefined) mistakes.push(mistake(path, `${flag} is pinned and cannot be part of a stage`));
  const value = settingFrom(text, def.on, def.off);
  if (value.kind === "percent" && catalogue.file.provider.kind === "env-file") {
    mistakes.push(mistake(path, `an env-file flag is on or off for the whole service: ${found(text)} is not possible`));
  }
  return { flag, setting: value };
}
