/** The soak: time covered by fresh `pass` of every guard, the only thing that lets a stage pass. */
import type { RolloutEvent } from "../event.ts";
import { isWaitedFor, type Plan } from "../plan.ts";
import { MINUTE } from "../time.ts";
import { newestFlagStage, type State, soakNeededMs } from "./state.ts";
import { judgementOf, type World, watchedGuards } from "./world.ts";

/** Soak progress is journaled at most this often. */
export const PROGRESS_EVERY_MS = MINUTE;

const NONE: readonly RolloutEvent[] = [];

/** Soak covered by fresh `pass` of every guard so far, and up to when; expectations do not stop the clock, they are asked at its end, and trends not at all. */
export function soakCredit(
  plan: Plan,
  state: State,
  world: World,
): { readonly soakedMs: number; readonly creditedTo: number } | undefined {
  const stage = state.stages[newestFlagStage(plan, state)];
  if (stage === undefined || stage.status !== "soaking") return undefined;
  let from = stage.creditedTo;
  let to = Number.POSITIVE_INFINITY;
  for (const guard of watchedGuards(plan, state)) {
    if (guard.kind === "expect" || !isWaitedFor(guard)) continue;
    const judgement = judgementOf(plan, state, world, guard);
    if (judgement.passSince === undefined || judgement.passUntil === undefined) return undefined;
    from = Math.max(from, judgement.passSince);
    to = Math.min(to, judgement.passUntil);
  }
  if (!Number.isFinite(to) || to <= from) return undefined;
  return { soakedMs: stage.soakedMs + to - from, creditedTo: to };
}

/** While a stage soaks: passed when the soak is covered and every expectation met; otherwise progress, once a minute. */
export function onSoaking(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  const index = newestFlagStage(plan, state);
  const stage = state.stages[index];
  if (stage === undefined || stage.status !== "soaking" || state.stoppedSince !== undefined) return NONE;
  const credit = soakCredit(plan, state, world);
  if (credit === undefined) return NONE;
  const unmet = watchedGuards(plan, state).some(
    (guard) => guard.kind === "expect" && !judgementOf(plan, state, world, guard).met,
  );
  if (credit.soakedMs >= soakNeededMs(plan, state, index) && !unmet) {
    return [
      { kind: "soak_passed", stage: index, substage: stage.substage, soakedMs: Math.round(credit.soakedMs) },
    ];
  }
  if (credit.creditedTo - stage.creditedTo < PROGRESS_EVERY_MS) return NONE;
  return [
    {
      kind: "soak_progress",
      stage: index,
      soakedMs: Math.round(credit.soakedMs),
      creditedTo: credit.creditedTo,
    },
  ];
}

/** Progress made so far as an event, to be journaled before the clock stops. */
export function bankProgress(plan: Plan, state: State, world: World): readonly RolloutEvent[] {
  if (state.stoppedSince !== undefined) return NONE;
  const credit = soakCredit(plan, state, world);
  const stage = newestFlagStage(plan, state);
  return credit === undefined
    ? NONE
    : [
        {
          kind: "soak_progress",
          stage,
          soakedMs: Math.round(credit.soakedMs),
          creditedTo: credit.creditedTo,
        },
      ];
}
