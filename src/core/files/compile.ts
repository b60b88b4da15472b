/** From a schedule and a catalogue to the plan that a rollout freezes; every mistake at once. */

import type { AlertMatcher } from "../alerts/matcher.ts";
import { BOUND_LIMIT_MS, worstBound } from "../bound.ts";
import { isWaitedFor, type Plan, type Stage } from "../plan.ts";
import { allOpenAt, DAY, type ForwardWindow, HOUR, MINUTE, SECOND } from "../time.ts";
import type { Catalogue } from "./catalogue.ts";
import { deploysOf } from "./deploys-entry.ts";
import { found, type Mistake, mistake, warning } from "./mistake.ts";
import type { ScheduleFile } from "./schedule-file.ts";
import { type Pace, stagesFrom, windowFrom } from "./stages.ts";

/** Total deadline of a Prometheus query where the file names none, ms. */
export const DEFAULT_QUERY_TIMEOUT_MS = 5 * SECOND;

/** Compiles a schedule over its catalogue. Paths of mistakes lead into the schedule's data. */
export function compile(
  schedule: ScheduleFile,
  catalogue: Catalogue,
  pace: Pace = (ms) => ms,
): { readonly plan: Plan; readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  const { file, flags } = catalogue;
  const guards = catalogue.guards.map((guard) =>
    guard.kind === "expect"
      ? { ...guard, withinMs: Math.max(pace(guard.withinMs), guard.windowMs + 2 * guard.intervalMs) }
      : guard,
  );
  const stages = stagesFrom(schedule, catalogue, guards, pace, mistakes);
  checkGuardStages(catalogue, schedule, mistakes);
  checkWatched(catalogue, stages, mistakes);
  const forward = windowFrom(schedule.forward, ["forward", "only"], mistakes);
  checkWindows(stages, forward, mistakes);
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
    provider: catalogue.facts.limits,
    outside: {
      provider: file.provider,
      prometheus: file.prometheus,
      ...(file.view === undefined ? {} : { view: file.view }),
      ...(file.alertmanager === undefined ? {} : { alertmanager: file.alertmanager }),
      ...(file.second_lever === undefined ? {} : { lever: file.second_lever }),
    },
    ...(file.deploys === undefined ? {} : { deploys: deploysOf(file.deploys, file.service) }),
    ...(schedule.progress === undefined ? {} : { progress: schedule.progress }),
    ...(schedule.rollback_on === undefined ? {} : { rollbackOn: schedule.rollback_on.map(matcherFrom) }),
    ...(schedule.channel === undefined ? {} : { channel: schedule.channel }),
    ...(forward === undefined ? {} : { forward }),
    ...(schedule.runbook === undefined ? {} : { runbook: schedule.runbook }),
  };
  checkBound(plan, schedule, mistakes);
  if (schedule.rollback_on !== undefined && file.alertmanager === undefined) {
    mistakes.push(
      warning(
        ["rollback_on"],
        `flags/${catalogue.source} names no \`alertmanager\`: an alert whose delivery is lost would not be noticed`,
      ),
    );
  }
  if (forward === undefined && stepsAtNight(stages)) {
    mistakes.push(
      warning(
        ["stages"],
        "the timeline may step forward at night; `forward: { only, zone }` keeps steps in working hours",
      ),
    );
  }
  return { plan, mistakes };
}

function matcherFrom(labels: NonNullable<ScheduleFile["rollback_on"]>[number]): AlertMatcher {
  return {
    labels: Object.fromEntries(
      Object.entries(labels).map(([label, value]) => [label, typeof value === "string" ? [value] : value]),
    ),
  };
}

function checkBound(plan: Plan, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const worst = worstBound(plan);
  if (worst === undefined || worst.totalMs <= BOUND_LIMIT_MS) return;
  const accepted = schedule.accept_bound ?? 0;
  if (accepted >= worst.totalMs && schedule.because !== undefined) return;
  const seconds = Math.round(worst.totalMs / SECOND);
  const enough = Math.ceil(worst.totalMs / MINUTE);
  const hint =
    accepted >= worst.totalMs
      ? '`because: "..."` must say why'
      : `\`accept_bound: ${enough}m\` with \`because: "..."\` accepts it`;
  mistakes.push(
    mistake(
      ["rollout"],
      `a rollback could take ${seconds} s after a breach is visible (guard ${worst.guard}), more than ${BOUND_LIMIT_MS / SECOND} s; ${hint}`,
    ),
  );
}

/** A timeline with forward steps more than eight hours after its start is likely to meet a night; a stage with hours of its own begins in those. */
function stepsAtNight(stages: readonly Stage[]): boolean {
  const first = stages[0]?.atMs ?? 0;
  return stages.some(
    (stage) => stage.substages.length > 0 && stage.window === undefined && stage.atMs - first > 8 * HOUR,
  );
}

/** A stage obeys its own hours and those of the rollout: when they have none in common, in winter and in summer, it could never begin. */
function checkWindows(
  stages: readonly Stage[],
  forward: ForwardWindow | undefined,
  mistakes: Mistake[],
): void {
  if (forward === undefined) return;
  for (const [index, { name, window }] of stages.entries()) {
    if (window === undefined) continue;
    if ([0, 182 * DAY].some((wall) => allOpenAt([forward, window], wall) !== undefined)) continue;
    mistakes.push(
      mistake(
        ["stages", index, "window", "only"],
        `stage ${name} could never begin: ${window.text} ${window.zone} and the rollout's own hours, ${forward.text} ${forward.zone}, have none in common`,
      ),
    );
  }
}

/** A soak is time covered by passes: a stage without a guard that passes would wait for ever. Expectations and trends do not count. */
function checkWatched(catalogue: Catalogue, stages: readonly Stage[], mistakes: Mistake[]): void {
  const judging = catalogue.guards.filter((guard) => guard.kind !== "expect" && isWaitedFor(guard));
  for (const [index, stage] of stages.entries()) {
    if (stage.review !== undefined) continue;
    if (judging.some((guard) => guard.stages === undefined || guard.stages.includes(stage.name))) continue;
    mistakes.push(
      mistake(
        ["stages", index],
        `no guard is judged in stage ${stage.name}: without a passing guard it could never advance`,
      ),
    );
  }
}

function checkGuardStages(catalogue: Catalogue, schedule: ScheduleFile, mistakes: Mistake[]): void {
  const names = new Set(schedule.stages.map((stage) => stage.name));
  for (const guard of catalogue.guards) {
    for (const stage of guard.stages ?? []) {
      if (!names.has(stage))
        mistakes.push(
          warning(
            ["stages"],
            `guard ${guard.name} of flags/${catalogue.source} names a stage ${found(stage)} that this schedule does not have`,
          ),
        );
    }
  }
}
