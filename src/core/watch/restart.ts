/** Whether a failing probe's target is restarted now: its budget, the distance between restarts, and its circuit. */
import { BELAY } from "../event.ts";
import { MINUTE, SECOND } from "../time.ts";
import type { Probe, RestartBudget, WatchPlan, WatchTarget } from "./plan.ts";
import type { ProbeEvent, ProbeState } from "./probe.ts";
import { ALL_COUNT, type Counting, type Row } from "./probe-row.ts";

/** From the end of one restart to the next: before the first, the second, the third and every later one within the budget's time. */
const BACKOFF_MS: readonly number[] = [0, MINUTE, 180 * SECOND];

/** A target as all probes that restart it know it together. */
export interface TargetFacts {
  readonly target: WatchTarget;
  /** A restart of it is under way, or one was cut short and its outcome is not known yet. */
  readonly busy: boolean;
  /** Steady ms of Belay's own restarts of it. */
  readonly restarts: readonly number[];
  /** Steady ms. */
  readonly endedAt: number | undefined;
  /** When the newest restart should be up; steady ms. */
  readonly upBy: number;
  readonly circuitOpen: boolean;
}

/** What the states of the probes that share a target say of it. `held`: this process is at work on it, or about to be. */
export function targetFacts(target: WatchTarget, sharing: readonly ProbeState[], held: boolean): TargetFacts {
  const ended = sharing.flatMap((state) => state.restartEndedAt ?? []);
  return {
    target,
    busy: held || sharing.some((state) => state.restarting !== undefined),
    restarts: sharing.flatMap((state) => state.restarts),
    endedAt: ended.length === 0 ? undefined : Math.max(...ended),
    upBy: Math.max(Number.NEGATIVE_INFINITY, ...sharing.flatMap((state) => state.upBy ?? [])),
    circuitOpen: sharing.some((state) => state.circuitOpen),
  };
}

/** Which checks count beside what happens to the target. `held`: this process is at work on it. */
export function countingFor(facts: TargetFacts | undefined, held: boolean): Counting {
  if (facts === undefined) return ALL_COUNT;
  const never = Number.POSITIVE_INFINITY;
  if (held) return { badFrom: never, goodFrom: never };
  const goodFrom = facts.endedAt ?? Number.NEGATIVE_INFINITY;
  return { badFrom: Math.max(goodFrom, facts.upBy), goodFrom };
}

/** How many of these restarts (steady ms) count at `at`. */
export function spentOf(restarts: readonly number[], budget: RestartBudget, at: number): number {
  return restarts.filter((one) => at - one <= budget.withinMs).length;
}

/** How long after the end of one restart the next may come, when `spent` of the budget are gone; ms. */
export function backoffAfter(spent: number): number {
  return BACKOFF_MS[Math.min(spent, BACKOFF_MS.length - 1)] ?? 0;
}

/** What a restart is decided on, besides the probe itself. */
export interface RestartFacts {
  /** A rollout step or a rollback of the same service and environment is under way. */
  readonly rolloutStep: boolean;
  /** Missing when the probe restarts nothing. */
  readonly target: TargetFacts | undefined;
}

/** `restart_started` of the first replica when it is due, `circuit_opened` when it would be due and the budget is gone; `at` is steady ms. */
export function decideRestart(
  plan: Pick<WatchPlan, "budget">,
  probe: Pick<Probe, "fail">,
  state: ProbeState,
  row: Row,
  facts: RestartFacts,
  at: number,
): ProbeEvent | undefined {
  const { target: found, rolloutStep } = facts;
  if (found === undefined || state.phase !== "failing" || row.bad < probe.fail) return undefined;
  if (state.mutedUntil !== undefined) return undefined;
  if (found.busy || found.circuitOpen || rolloutStep || at < found.upBy) return undefined;
  const { budget } = plan;
  const { target } = found;
  const spent = spentOf(found.restarts, budget, at);
  if (spent >= budget.most)
    return { kind: "circuit_opened", target: target.name, restarts: spent, withinMs: budget.withinMs };
  if (found.endedAt !== undefined && at - found.endedAt < backoffAfter(spent)) return undefined;
  return restartStarted(target, 0, { planned: false, by: BELAY }, at);
}

/** What people may expect of Belay's own restarts while a probe fails. `due`: steady ms, at the soonest; `nth` counts within the budget. */
export type RestartOutlook =
  | { readonly kind: "no_target" | "circuit_open" | "muted" | "under_way" | "spent" }
  | { readonly kind: "due"; readonly nth: number; readonly due: number };

/** Says the same as `decideRestart`, ahead of time; `found` is missing when the probe restarts nothing. */
export function restartOutlook(
  { budget }: Pick<WatchPlan, "budget">,
  state: ProbeState,
  found: TargetFacts | undefined,
  at: number,
): RestartOutlook {
  if (found === undefined) return { kind: "no_target" };
  if (found.circuitOpen) return { kind: "circuit_open" };
  if (state.mutedUntil !== undefined) return { kind: "muted" };
  if (found.busy) return { kind: "under_way" };
  const spent = spentOf(found.restarts, budget, at);
  if (spent >= budget.most) return { kind: "spent" };
  const clear = found.endedAt === undefined ? at : found.endedAt + backoffAfter(spent);
  return { kind: "due", nth: spent + 1, due: Math.max(at, clear, found.upBy) };
}

/** The event that begins the restart of one replica. */
export function restartStarted(
  target: WatchTarget,
  replica: number,
  { planned, by, key }: Pick<Extract<ProbeEvent, { kind: "restart_started" }>, "planned" | "by" | "key">,
  at: number,
): ProbeEvent {
  return {
    kind: "restart_started",
    target: target.name,
    replica,
    of: target.replicas.length,
    planned,
    by,
    upBy: at + target.upWithinMs,
    ...(key === undefined ? {} : { key }),
  };
}
