/** From a watch and the catalogue of its service to the plan of what is probed, restarted and posted; every mistake at once. */
import { MINUTE } from "../time.ts";
import type { TrendQuestion, WatchPlan } from "../watch/plan.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Inspect } from "./guard-entry.ts";
import { type Mistake, mistake } from "./mistake.ts";
import type { WatchFile } from "./watch-file.ts";
import { blackoutsFrom, jobsFrom } from "./watch-jobs.ts";
import { probesFrom } from "./watch-probes.ts";
import { targetsFrom } from "./watch-targets.ts";

const DEFAULT_BUDGET = { most: 3, withinMs: 30 * MINUTE };

export interface WatchOptions {
  readonly inspect: Inspect;
  /** Names of the runbooks, with and without their ending. */
  readonly runbooks: ReadonlySet<string>;
}

/** Compiles a watch over the catalogue of its flags file. Paths of mistakes lead into the watch's data. */
export function compileWatch(
  file: WatchFile,
  catalogue: Catalogue,
  options: WatchOptions,
): { readonly plan: WatchPlan; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const { service, environment, prometheus, alertmanager } = catalogue.file;
  const trends = trendsOf(catalogue);
  const targets = targetsFrom(file.targets ?? {}, mistakes);
  const targetNames = targets.map((target) => target.name);
  const probes = probesFrom(
    file.probes ?? {},
    { ...options, targets, targetNames, usersChannel: file.users_channel },
    mistakes,
  );
  const { source } = catalogue;
  const jobs = jobsFrom(file.jobs ?? {}, { zone: file.zone, targetNames, trends, source }, mistakes);
  if (Object.keys(file.probes ?? {}).length === 0 && Object.keys(file.jobs ?? {}).length === 0)
    mistakes.push(mistake(["watch"], "expected probes or jobs: this watches nothing"));
  const budget =
    file.restart_budget === undefined
      ? DEFAULT_BUDGET
      : { most: file.restart_budget.most, withinMs: file.restart_budget.within };
  const plan: WatchPlan = {
    watch: file.watch,
    service,
    environment,
    source,
    zone: file.zone,
    prometheus,
    probes,
    targets,
    budget,
    jobs,
    blackouts: blackoutsFrom(file.blackouts ?? [], file.zone, mistakes),
    trends,
    ...(file.channel === undefined ? {} : { channel: file.channel }),
    ...(file.users_channel === undefined ? {} : { usersChannel: file.users_channel }),
    ...(alertmanager === undefined ? {} : { alertmanager }),
  };
  return { plan, mistakes };
}

/** The trend guards of a catalogue, as questions that stand without a rollout. */
function trendsOf(catalogue: Catalogue): readonly TrendQuestion[] {
  return catalogue.guards.flatMap((guard): TrendQuestion[] => {
    if (guard.kind !== "trend") return [];
    const { name, query, freshness, limit, unit, horizonMs, worst } = guard;
    return [{ name, query, freshness, limit, unit, horizonMs, ...(worst === undefined ? {} : { worst }) }];
  });
}
