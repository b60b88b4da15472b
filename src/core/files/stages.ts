/** From the stages of a schedule as written to those of a plan: planned times, settings of each substage, soaks. */
import { type FlagSetting, type Guard, leastSoakMs, type Stage, type Substage } from "../plan.ts";
import { isNumeric, numberOf, OFF, sameSetting } from "../setting.ts";
import { type ForwardWindow, formatDuration, parseForwardWindow } from "../time.ts";
import { type Catalogue, settingFrom, shareFault } from "./catalogue.ts";
import { found, type Mistake, mistake } from "./mistake.ts";
import type { ScheduleFile, StageEntry } from "./schedule-file.ts";

/** How planned time passes: the identity in production, compressed in a demo. Takes and returns ms. */
export type Pace = (gapMs: number) => number;

/** The stages of a plan; mistakes are added to `mistakes`, with paths into the schedule. */
export function stagesFrom(
  schedule: ScheduleFile,
  catalogue: Catalogue,
  guards: readonly Guard[],
  pace: Pace,
  mistakes: Mistake[],
): readonly Stage[] {
  const names = new Set<string>();
  let atMs = 0;
  let leading = true;
  return schedule.stages.map((entry, index): Stage => {
    const path = ["stages", index] as const;
    if (names.has(entry.name))
      mistakes.push(mistake([...path, "name"], `stage ${entry.name} is named twice`));
    names.add(entry.name);
    const before = schedule.stages[index - 1];
    if (before !== undefined && entry.at < before.at)
      mistakes.push(
        mistake(
          [...path, "at"],
          `expected a time at or after ${formatDuration(before.at)} of ${before.name}, found ${formatDuration(entry.at)}`,
        ),
      );
    if (before !== undefined) atMs += pace(Math.max(0, entry.at - before.at));
    checkStage(entry, index, schedule, mistakes);
    const substages = substagesFrom(entry, index, schedule, catalogue, guards, pace, mistakes);
    const window = windowFrom(entry.window, [...path, "window", "only"], mistakes);
    // Only before anything is on does "off" mean a baseline; later it is a change like any other, and can be taken back.
    leading &&=
      entry.set !== undefined &&
      substages.every((sub) => sub.set.every((item) => sameSetting(item.setting, OFF)));
    return {
      name: entry.name,
      atMs,
      substages,
      baseline: leading,
      ...(entry.approval === undefined ? {} : { approval: entry.approval }),
      ...(entry.review === undefined ? {} : { review: "manual" as const }),
      ...(window === undefined ? {} : { window }),
    };
  });
}

/** Hours as written, with their zone; undefined, with a mistake, when they are not understood. */
export function windowFrom(
  entry: { readonly only: string; readonly zone: string } | undefined,
  path: readonly (string | number)[],
  mistakes: Mistake[],
): ForwardWindow | undefined {
  if (entry === undefined) return undefined;
  const window = parseForwardWindow(entry.only, entry.zone);
  if (window === undefined)
    mistakes.push(
      mistake(
        path,
        `expected hours such as "Mon-Thu 09:00-16:00" or "Sat,Sun 22:00-02:00", found ${found(entry.only)}`,
      ),
    );
  return window;
}

function checkStage(entry: StageEntry, index: number, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const path = ["stages", index] as const;
  const does = [entry.set, entry.enable, entry.review].filter((one) => one !== undefined).length;
  if (does !== 1)
    mistakes.push(mistake(path, `stage ${entry.name}: expected exactly one of set, enable or review`));
  if (entry.review !== undefined && entry.review !== "manual") {
    mistakes.push(
      mistake(
        [...path, "review"],
        `expected review: manual (readiness matrices are not available in this version), found ${found(entry.review)}`,
      ),
    );
  }
  const last = index === schedule.stages.length - 1;
  if (last && entry.review === undefined && entry.soak === undefined && entry.every === undefined) {
    mistakes.push(
      mistake(
        path,
        `the last stage ${entry.name} needs \`soak\`, or a review stage after it: how long is it watched?`,
      ),
    );
  }
  if (
    entry.review !== undefined &&
    (entry.soak ?? entry.every ?? entry.approval ?? entry.window) !== undefined
  ) {
    mistakes.push(mistake(path, "a review changes nothing: it takes no soak, every, approval or window"));
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
  if ((entry.set ?? entry.enable) !== undefined && (steps[0]?.length ?? 0) === 0)
    mistakes.push(
      mistake(["stages", index, entry.set === undefined ? "enable" : "set"], "expected at least one flag"),
    );
  const next = schedule.stages[index + 1];
  const gap = next === undefined ? 0 : Math.max(0, next.at - entry.at);
  const listed = steps.length > 1;
  if (listed && entry.every === undefined && entry.soak === undefined)
    mistakes.push(mistake(["stages", index], "a list of settings needs `every`: how long is each watched?"));
  const wanted = pace(entry.every ?? entry.soak ?? gap);
  const least = leastSoakMs(
    guards.filter((guard) => guard.stages === undefined || guard.stages.includes(entry.name)),
    catalogue.file.prometheus.scrape_interval,
  );
  return steps.map((set) => ({ set, soakMs: Math.max(wanted, least) }));
}

/** The settings of each substage, in order. */
function stepsOf(
  entry: StageEntry,
  index: number,
  catalogue: Catalogue,
  mistakes: Mistake[],
): readonly (readonly FlagSetting[])[] {
  const { enable, set } = entry;
  const path = ["stages", index] as const;
  if (set !== undefined) return [setSettings(set, path, catalogue, mistakes)];
  if (typeof enable === "string") return [[setting(enable, "on", [...path, "enable"], catalogue, mistakes)]];
  if (Array.isArray(enable)) return [listSettings(enable, [...path, "enable"], catalogue, mistakes)];
  const lists = Object.entries(enable ?? {});
  const [, longest = []] = lists.reduce<readonly [string, readonly string[]]>(
    (most, list) => (list[1].length > most[1].length ? list : most),
    ["", []],
  );
  for (const [flag, list] of lists) {
    if (list.length !== longest.length)
      mistakes.push(
        mistake(
          [...path, "enable", flag],
          `expected ${longest.length} settings like the other flags of this stage, found ${list.length}`,
        ),
      );
    checkRising(flag, list, [...path, "enable", flag], mistakes);
  }
  return longest.map((_, step) =>
    lists.map(([flag, list]) =>
      setting(
        flag,
        list[Math.min(step, list.length - 1)] ?? "on",
        [...path, "enable", flag, step],
        catalogue,
        mistakes,
      ),
    ),
  );
}

function listSettings(
  flags: readonly string[],
  path: readonly (string | number)[],
  catalogue: Catalogue,
  mistakes: Mistake[],
): readonly FlagSetting[] {
  return flags.map((flag, index) => {
    if (flags.indexOf(flag) < index)
      mistakes.push(mistake([...path, index], `${flag} stands in this list already`));
    return setting(flag, "on", [...path, index], catalogue, mistakes);
  });
}

/** A list is either percentages that rise, or values, which rise too where all of them are numbers. */
function checkRising(
  flag: string,
  list: readonly string[],
  path: readonly (string | number)[],
  mistakes: Mistake[],
): void {
  const numbers = list.map((text) =>
    Number(/^(\d{1,3}(?:\.\d{1,2})?)\s*%$/.exec(text.trim())?.[1] ?? Number.NaN),
  );
  const percents = numbers.filter((percent) => !Number.isNaN(percent)).length;
  if (percents === 0) checkValuesRise(flag, list, path, mistakes);
  for (const [i, percent] of numbers.entries()) {
    if (Number.isNaN(percent) && percents > 0) {
      mistakes.push(
        mistake(
          [...path, i],
          `${flag}: expected a percentage like the others of this list, found ${found(list[i])}`,
        ),
      );
    }
    if (i > 0 && percent <= (numbers[i - 1] ?? 0)) {
      mistakes.push(
        mistake(
          [...path, i],
          `${flag}: expected percentages that rise, found ${found(list[i])} after ${found(list[i - 1])}`,
        ),
      );
    }
  }
}

function checkValuesRise(
  flag: string,
  list: readonly string[],
  path: readonly (string | number)[],
  mistakes: Mistake[],
): void {
  const values = list.flatMap((text) => numberOf(text) ?? []);
  if (values.length < list.length) return;
  for (const [i, value] of values.entries()) {
    if (value > (values[i - 1] ?? Number.NEGATIVE_INFINITY)) continue;
    mistakes.push(
      mistake(
        [...path, i],
        `${flag}: expected numbers that rise, found ${found(list[i])} after ${found(list[i - 1])}`,
      ),
    );
  }
}

function setSettings(
  set: Readonly<Record<string, string>>,
  path: readonly (string | number)[],
  catalogue: Catalogue,
  mistakes: Mistake[],
): readonly FlagSetting[] {
  const settings = new Map<string, FlagSetting>();
  const { all, ...named } = set;
  if (all !== undefined) {
    checkShare(all, [...path, "set", "all"], catalogue, mistakes);
    for (const def of Object.values(catalogue.flags)) {
      if (def.pinned === undefined)
        settings.set(def.name, { flag: def.name, setting: settingFrom(all, def.on, def.off) });
    }
  }
  for (const [flag, text] of Object.entries(named))
    settings.set(flag, setting(flag, text, [...path, "set", flag], catalogue, mistakes));
  return [...settings.values()];
}

/** A share must be one, and possible where the flags are kept. */
function checkShare(
  text: string,
  path: readonly (string | number)[],
  catalogue: Catalogue,
  mistakes: Mistake[],
): void {
  const fault = shareFault(text);
  if (fault !== undefined) mistakes.push(mistake(path, fault));
  else if (!catalogue.facts.percent && settingFrom(text, "", "").kind === "percent") {
    const { kind } = catalogue.file.provider;
    const article = /^[aeiou]/.test(kind) ? "an" : "a";
    mistakes.push(
      mistake(
        path,
        `${article} ${kind} flag is on or off for the whole service: ${found(text)} is not possible`,
      ),
    );
  }
}

function setting(
  flag: string,
  text: string,
  path: readonly (string | number)[],
  catalogue: Catalogue,
  mistakes: Mistake[],
): FlagSetting {
  const def = Object.hasOwn(catalogue.flags, flag) ? catalogue.flags[flag] : undefined;
  if (def === undefined) {
    mistakes.push(
      mistake(
        path,
        `expected a flag of flags/${catalogue.source} (${Object.keys(catalogue.flags).join(", ")}), found ${found(flag)}`,
      ),
    );
    return { flag, setting: OFF };
  }
  if (def.pinned !== undefined)
    mistakes.push(mistake(path, `${flag} is pinned and cannot be part of a stage`));
  checkShare(text, path, catalogue, mistakes);
  const made = settingFrom(text, def.on, def.off);
  if (made.kind === "value" && isNumeric(def) && numberOf(made.value) === undefined)
    mistakes.push(
      mistake(
        path,
        `${flag} is a number (${def.off} to ${def.on}): expected one such as 1000, found ${found(text)}`,
      ),
    );
  return { flag, setting: made };
}
