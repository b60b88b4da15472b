/** Folds the events that go back, and those of watching (holds, verdicts, drift), into the state. */
import { type Cause, type HoldReason, type Recorded, tellingOf } from "../event.ts";
import { flagsOfStage, type Plan } from "../plan.ts";
import { sameSetting } from "../setting.ts";
import { flipStates, madeByPeople, type Of } from "./edits.ts";
import { acceptDeploys, applyDeploy } from "./evolve-deploy.ts";
import { applyObserve, counting, dismissing } from "./evolve-observe.ts";
import { type AlertMemory, flippedWallOf, isBegun, isLive, newestUndoable, type State } from "./state.ts";

export type BackwardEvent = Of<
  "rollback_started" | "rollback_off" | "rollback_confirmed" | "recovered" | "look_failed" | "flip_corrected"
>;

export function applyBackward(plan: Plan, s: State, event: BackwardEvent, recorded: Recorded): State {
  const { at, wall } = recorded;
  switch (event.kind) {
    case "rollback_started":
      return startRollback(plan, s, event, recorded);
    case "rollback_off":
      return s.rollback === undefined ? s : { ...s, rollback: { ...s.rollback, offAt: at, offWall: wall } };
    case "rollback_confirmed":
      return {
        ...s,
        phase: "looking",
        epoch: { at, settle: true },
        ...(s.rollback === undefined
          ? {}
          : { rollback: { ...s.rollback, confirmedAt: at, confirmedWall: wall, seenBy: event.seenBy } }),
      };
    case "recovered":
      return {
        ...s,
        phase: "walking",
        ...alertMemory(plan, s, { settledWall: wall }),
        ...(s.rollback === undefined ? {} : { rollback: { ...s.rollback, recoveredAt: at } }),
      };
    case "look_failed":
      return { ...s, phase: "walking", ...alertMemory(plan, s, { settledWall: wall }) };
    case "flip_corrected":
      return { ...s, flips: { ...s.flips, ...flipStates([event.flip], "backward", at) } };
  }
}

function startRollback(plan: Plan, s: State, event: Of<"rollback_started">, recorded: Recorded): State {
  const { at, wall } = recorded;
  const { approval: _void, baselineAsk: _dropped, review, ...rest } = s;
  const isReviewed = review !== undefined && review.stage <= event.to;
  const because = causeInWords(event.cause);
  const flags = event.flips.map((flip) => flip.flag);
  const latchable = event.stages.flatMap((index) =>
    flagsOfStage(plan.stages[index] ?? { name: "", atMs: 0, substages: [], baseline: false }),
  );
  const goingBack = s.phase === "rolling_back" || s.phase === "looking" ? s.rollback : undefined;
  const deeper = s.phase === "rolling_back" ? goingBack : undefined;
  const breachAt = deeper?.breachAt ?? (event.cause.kind === "breach" ? event.cause.breachAt : undefined);
  return {
    ...rest,
    ...(isReviewed ? { review } : {}),
    ...(event.cause.kind === "alert" ? attributed(plan, s, event.cause) : {}),
    phase: "rolling_back",
    stages: s.stages.map((stage, index) =>
      event.stages.includes(index)
        ? { ...stage, status: "undone", substage: 0, soakedMs: 0, cut: false, extraMs: 0 }
        : plan.stages[index]?.review !== undefined && index > event.to && isBegun(stage)
          ? { ...stage, status: "pending" }
          : stage,
    ),
    flips: {
      ...s.flips,
      ...(event.byHand === true ? madeByPeople(event.flips, at) : flipStates(event.flips, "backward", at)),
    },
    // What Belay would have taken back is going back now.
    holds: s.holds.filter((hold) => hold.reason !== "would_roll_back"),
    overridden: Object.fromEntries(Object.entries(s.overridden).filter(([flag]) => !flags.includes(flag))),
    latched: { ...s.latched, ...Object.fromEntries(latchable.map((flag) => [flag, { because, at }])) },
    rollback: {
      seq: deeper?.seq ?? tellingOf(recorded),
      to: event.to,
      stages: [...(goingBack?.stages ?? []), ...event.stages],
      flags: [...new Set([...(goingBack?.flags ?? []), ...flags])],
      cause: deeper?.cause ?? event.cause,
      by: event.by,
      decidedAt: at,
      decidedWall: wall,
      ...(breachAt === undefined ? {} : { breachAt }),
    },
  };
}

/** Remembers something about alerts; a rollout that no alert may take back remembers nothing. */
function alertMemory(plan: Plan, s: State, more: AlertMemory): { readonly alerts?: AlertMemory } {
  return plan.rollbackOn === undefined && more.stormAt === undefined
    ? {}
    : { alerts: { ...s.alerts, ...more } };
}

/** A rollback by an alert: neither that firing nor another one for the same flip does it again. */
function attributed(
  plan: Plan,
  s: State,
  { alert }: Extract<Cause, { kind: "alert" }>,
): { readonly alerts?: AlertMemory } {
  const flippedWall = flippedWallOf(s, newestUndoable(plan, s));
  if (flippedWall === undefined) return {};
  return alertMemory(plan, s, { tookBack: [...(s.alerts?.tookBack ?? []), { alert, flippedWall }] });
}

function causeInWords(cause: Cause): string {
  switch (cause.kind) {
    case "breach":
    case "still_breaching":
      return `guard ${cause.guard}: ${cause.detail}`;
    case "person":
      return cause.because ?? "rolled back by a person";
    case "blind":
      return `blind: ${cause.detail}`;
    case "alert":
      return `alert ${cause.name} fired ${cause.detail}`;
  }
}

/** Holds whose end says that people have looked at the alerts so far and go on. */
const DECIDED_BY_PEOPLE: ReadonlySet<HoldReason> = new Set<HoldReason>([
  "alert_storm",
  "not_the_cause",
  "undo_by_hand",
  "would_roll_back",
]);

export type WatchEvent = Of<
  | "held"
  | "resumed"
  | "drift_found"
  | "unlatched"
  | "verdict_changed"
  | "paged"
  | "deploy_found"
  | "versions_seen"
  | "would_roll_back"
  | "mode_set"
  | "lever_pulled"
>;

export function applyWatch(plan: Plan, s: State, event: WatchEvent, recorded: Recorded): State {
  const { at, wall } = recorded;
  switch (event.kind) {
    case "deploy_found":
    case "versions_seen":
      return applyDeploy(plan, s, event, recorded);
    case "would_roll_back": {
      const { cause } = event;
      const alerts = cause.kind === "alert" ? attributed(plan, s, cause) : {};
      return { ...applyObserve(plan, s, event, recorded), ...alerts };
    }
    case "mode_set":
      return applyObserve(plan, s, event, recorded);
    case "lever_pulled": {
      const flags = [...new Set([...(s.lever?.flags ?? []), ...event.flags])];
      return { ...s, lever: { flags, at } };
    }
    case "held": {
      const { reason, detail, by } = event;
      const others = s.holds.filter((hold) => hold.reason !== reason);
      const storm = reason === "alert_storm" ? alertMemory(plan, s, { stormAt: at }) : {};
      const ids = event.ids === undefined ? {} : { ids: { ...s.ids, ...event.ids } };
      return { ...s, ...storm, ...ids, holds: [...others, { reason, detail, by, since: at, wall }] };
    }
    case "resumed": {
      const decided = event.reasons.some((reason) => DECIDED_BY_PEOPLE.has(reason));
      return {
        ...(event.by.kind === "person" ? acceptDeploys(s, wall) : s),
        ...(decided ? alertMemory(plan, s, { settledWall: wall }) : {}),
        ...dismissing(s, event, at),
        holds: s.holds.filter((hold) => !event.reasons.includes(hold.reason)),
      };
    }
    case "drift_found": {
      const back = s.flips[event.flag]?.flip.to;
      const { [event.flag]: _was, ...others } = s.overridden;
      const agrees = back !== undefined && sameSetting(back, event.found);
      const known = s.flips[event.flag];
      // Nothing is owed any more of a step back that a person went further than.
      const settled = known?.careful === true && known.verifiedAt === undefined;
      return {
        ...dropApproval(s),
        ...(settled ? { flips: { ...s.flips, [event.flag]: { ...known, verifiedAt: at } } } : {}),
        overridden: agrees ? others : { ...others, [event.flag]: event.found },
      };
    }
    case "unlatched":
      return {
        ...s,
        latched: Object.fromEntries(
          Object.entries(s.latched).filter(([flag]) => !event.flags.includes(flag)),
        ),
        stages: s.stages.map((stage, index) => {
          const flags = flagsOfStage(
            plan.stages[index] ?? { name: "", atMs: 0, substages: [], baseline: false },
          );
          return stage.status === "undone" && isLive(s) && flags.some((flag) => event.flags.includes(flag))
            ? { ...stage, status: "pending" }
            : stage;
        }),
      };
    case "verdict_changed": {
      const { kind: _kind, guard, ...rest } = event;
      return { ...s, ...counting(s, event), verdicts: { ...s.verdicts, [guard]: { ...rest, since: at } } };
    }
    case "paged":
      return { ...s, paged: [...s.paged, event.key] };
  }
}

function dropApproval(s: State): State {
  const { approval: _void, ...rest } = s;
  return rest;
}
