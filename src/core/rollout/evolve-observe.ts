/** Folds the events of a mode that flips nothing: who flips, what Belay would have taken back, and what people called a false alarm. */
import { type Recorded, tellingOf } from "../event.ts";
import type { Plan } from "../plan.ts";
import { asked, type Of } from "./edits.ts";
import { guardOf } from "./observe.ts";
import { isStepOfPlan, type State } from "./state.ts";

export function applyObserve(
  plan: Plan,
  s: State,
  event: Of<"would_roll_back" | "mode_set">,
  recorded: Recorded,
): State {
  if (event.kind === "would_roll_back") {
    const { to, stages, flips, cause } = event;
    const { at, wall } = recorded;
    return { ...s, would: { seq: tellingOf(recorded), to, stages, flips, cause, at, wall } };
  }
  const { mode: _before, ...rest } = s;
  if (event.mode === "act") {
    // A false alarm was said of what people would do about it; Belay takes back what is in breach.
    const { dismissed: _said, ...acting } = rest;
    return acting;
  }
  const { asks } = event;
  return {
    ...rest,
    mode: "observe",
    ...(event.released === true ? { released: true as const } : {}),
    ...(asks === undefined ? {} : { asking: { seq: tellingOf(recorded), ...asks } }),
    flips: handedOver(plan, s),
  };
}

/** Flips of a step forward that are still owed become people's; an OFF that is owed goes on. */
function handedOver(plan: Plan, s: State): State["flips"] {
  const owed = Object.entries(s.flips).filter(
    ([, flip]) => flip.verifiedAt === undefined && isStepOfPlan(plan, s, flip),
  );
  return owed.length === 0 ? s.flips : { ...s.flips, ...asked(Object.fromEntries(owed)) };
}

/** A person ended holds: when Belay had said that it would roll back, that was a false alarm to them. */
export function dismissing(s: State, { reasons }: Of<"resumed">, at: number): Partial<State> {
  const { would } = s;
  if (would === undefined || !reasons.includes("would_roll_back")) return {};
  const guard = guardOf(would);
  const passes = guard === undefined || s.verdicts[guard]?.verdict === "pass";
  return {
    would: { ...would, dismissedAt: at },
    ...(passes ? {} : { dismissed: { ...s.dismissed, [guard]: at } }),
  };
}

/** A guard that passes again counts again. */
export function counting(s: State, { guard, verdict }: Of<"verdict_changed">): Partial<State> {
  if (verdict !== "pass" || s.dismissed?.[guard] === undefined) return {};
  const { [guard]: _again, ...dismissed } = s.dismissed;
  return { dismissed };
}
