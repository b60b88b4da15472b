/** Which events a probe's checks and the time lead to. May be asked at any time: what holds already is not said again. */
import { BELAY } from "../event.ts";
import { MINUTE, type Now } from "../time.ts";
import type { Probe, WatchPlan } from "./plan.ts";
import { evolveProbe, type ProbeEvent, type ProbeState } from "./probe.ts";
import type { Row } from "./probe-row.ts";
import { decideRestart, type RestartFacts } from "./restart.ts";

/** So many changes between well and failing within the time are flapping; as long without a change is calm again. */
export const FLAPPING = { changes: 4, withinMs: 30 * MINUTE } as const;
/** A circuit closes by itself once its probe has been well for so long. */
export const CIRCUIT_CLOSES_AFTER_MS = 30 * MINUTE;
/** Not knowing is told after this long, or after as long as it takes to be failing if that is longer. */
const UNKNOWN_AFTER_MS = 5 * MINUTE;

export interface ProbeFacts extends RestartFacts {
  /** This process is at work on the restart that the state tells of; else it was cut short by an end of Belay. */
  readonly restartInHand: boolean;
}

interface Case {
  readonly probe: Probe;
  readonly row: Row;
  readonly facts: ProbeFacts;
  readonly at: number;
}

type Step = (state: ProbeState, of: Case) => ProbeEvent | undefined;

/** In this order, each on the state that the ones before lead to. */
const STEPS: readonly Step[] = [unmute, interrupted, fail, recover, flap, calmDown, closeCircuit, lose, find];

/**
 * Everything that is due now. A restart is decided only when nothing else is, so that it is journaled by itself and that people are told of a
 * failure even when a restart cannot be journaled.
 */
export function decideProbe(
  plan: Pick<WatchPlan, "budget">,
  probe: Probe,
  state: ProbeState,
  row: Row,
  facts: ProbeFacts,
  now: Now,
): readonly ProbeEvent[] {
  const of: Case = { probe, row, facts, at: now.steady };
  const events: ProbeEvent[] = [];
  let s = state;
  for (const step of STEPS) {
    const event = step(s, of);
    if (event === undefined) continue;
    events.push(event);
    s = evolveProbe(s, { seq: s.revision + 1, at: now.steady, wall: now.wall, event });
  }
  if (events.length > 0) return events;
  const restart = decideRestart(plan, probe, state, row, facts, now.steady);
  return restart === undefined ? [] : [restart];
}

function unmute(s: ProbeState, { at }: Case): ProbeEvent | undefined {
  return s.mutedUntil !== undefined && at >= s.mutedUntil ? { kind: "unmuted", by: BELAY } : undefined;
}

/** A restart that an end of Belay cut short may have happened or not: what the probe finds now decides, and it is never simply repeated. */
function interrupted(s: ProbeState, { row, facts, at }: Case): ProbeEvent | undefined {
  const { restarting } = s;
  const { last } = row;
  if (restarting === undefined || facts.restartInHand || last === undefined) return undefined;
  const { target, replica, planned, since, upBy } = restarting;
  if (last.began < since) return undefined;
  if (last.kind === "ok") return { kind: "restart_done", target, replica, planned, tookMs: at - since };
  if (last.began < upBy) return undefined;
  const detail = "Belay was away while it ran, and it is not well since; the outcome is not known";
  return { kind: "restart_failed", target, replica, planned, detail };
}

function fail(s: ProbeState, { probe, row, at }: Case): ProbeEvent | undefined {
  if (s.phase === "failing" || row.bad < probe.fail) return undefined;
  return { kind: "failing", since: row.firstBadAt ?? at, detail: row.last?.detail ?? "the check is bad" };
}

function recover(s: ProbeState, { probe, row, at }: Case): ProbeEvent | undefined {
  if (s.phase === "well" || row.good < probe.ok) return undefined;
  const tookMs = Math.max(0, at - s.since);
  return { kind: "recovered", tookMs, withinMs: probe.recoverWithinMs, restarts: s.restartsNow };
}

function flap(s: ProbeState, { at }: Case): ProbeEvent | undefined {
  const { changes, withinMs } = FLAPPING;
  const recent = s.changes.filter((one) => at - one <= withinMs).length;
  return !s.flapping && recent >= changes ? { kind: "flapping", changes: recent, withinMs } : undefined;
}

function calmDown(s: ProbeState, { at }: Case): ProbeEvent | undefined {
  const newest = s.changes.at(-1) ?? Number.NEGATIVE_INFINITY;
  return s.flapping && at - newest > FLAPPING.withinMs ? { kind: "calm" } : undefined;
}

function closeCircuit(s: ProbeState, { at }: Case): ProbeEvent | undefined {
  const quiet = s.phase === "well" && at - s.since >= CIRCUIT_CLOSES_AFTER_MS;
  return s.circuitOpen && quiet ? { kind: "circuit_closed", by: BELAY } : undefined;
}

function lose(s: ProbeState, { probe, row, at }: Case): ProbeEvent | undefined {
  const { unknownSince: since, last } = row;
  if (s.unknown !== undefined || since === undefined) return undefined;
  if (at - since < Math.max(UNKNOWN_AFTER_MS, probe.fail * probe.intervalMs)) return undefined;
  return { kind: "unknown", since, detail: last?.detail ?? "nobody can tell" };
}

function find(s: ProbeState, { row }: Case): ProbeEvent | undefined {
  const { unknown } = s;
  if (unknown === undefined || row.last === undefined) return undefined;
  return row.last.kind === "unknown" ? undefined : { kind: "known", unknown };
}
