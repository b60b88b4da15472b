/** What people may do to a rollout: each verb becomes events, a note that it is done already, or a refusal with a reason code. */
import { type Actor, formatActor, type RolloutEvent, SELF_ENDING } from "../event.ts";
import { flagsOfStage, isWaitedFor, leastSoakMs, type Plan } from "../plan.ts";
import { refuse } from "../refusal.ts";
import { formatDuration, type Now } from "../time.ts";
import { leftOn } from "./ahead.ts";
import { type Ask, type Asker, already, done, type Outcome } from "./ask.ts";
import { QUARANTINE_MS } from "./backward.ts";
import { firstLocked, heldRefusal, latchedRefusal, resumeOffer, rollbackAll } from "./blocked.ts";
import { nextForward, waitedFor } from "./forward.ts";
import { leverInTheWay } from "./lever.ts";
import { openWould } from "./observe.ts";
import { onFalseAlarm, onModeAsk, onReleaseAsk } from "./observe-ask.ts";
import { onRollbackAsk } from "./rollback-ask.ts";
import { bankProgress } from "./soak.ts";
import {
  guardsFor,
  isLive,
  isOpenRun,
  isUndoable,
  newestFlagStage,
  newestStage,
  pendingBackward,
  type State,
  stageAt,
} from "./state.ts";
import { judgementOf, type World, watchedGuards } from "./world.ts";

/** Decides one ask. Backward asks (hold, rollback) are allowed to anyone and at any time; forward asks obey every gate. */
export function onAsk(plan: Plan, state: State, ask: Ask, asker: Asker, world: World, now: Now): Outcome {
  switch (ask.kind) {
    case "rollback":
      return onRollbackAsk(plan, state, ask, asker, world);
    case "hold":
      return onHoldAsk(plan, state, ask.because, asker, world);
    case "unlock":
      return onUnlock(plan, state, ask, asker, world);
    case "mode":
      return onModeAsk(plan, state, ask, asker.actor, world);
    default:
      break;
  }
  if (state.phase === "stuck" && ask.kind !== "stop")
    return refuse(
      "stuck",
      `${state.run} is quarantined after an internal error; only rollback and stop work on it.`,
      [rollbackAll(state)],
    );
  if (!isOpenRun(state))
    return refuse("not_live", `${state.rollout} (${state.run}) has ended: ${state.phase}.`);
  if (!asker.operator && ask.kind !== "approve")
    return refuse(
      "not_authorised",
      `${ask.kind} needs an operator. Hold and rollback are open to everyone here.`,
    );
  switch (ask.kind) {
    case "set_end":
      return onSetEnd(plan, state, ask.end, asker.actor);
    case "resume":
      return onResume(plan, state, ask.because, asker.actor, world);
    case "release":
      return onReleaseAsk(plan, state, ask.because, asker);
    case "advance":
      return onAdvance(plan, state, asker.actor, world, now);
    case "extend":
      return onExtend(plan, state, ask.ms, asker.actor);
    case "stop":
      return onStop(plan, state, ask, asker.actor, now);
    case "approve":
      return onApprove(plan, state, asker, now);
    case "signoff":
      return onSignOff(plan, state, ask, asker.actor);
  }
}

function onHoldAsk(
  plan: Plan,
  state: State,
  because: string | undefined,
  asker: Asker,
  world: World,
): Outcome {
  if (state.phase === "stuck") return already(`${state.rollout} is quarantined and stands still.`);
  if (!isLive(state)) return refuse("not_live", `${state.rollout} (${state.run}) has ended: ${state.phase}.`);
  const hold = state.holds.find((one) => one.reason === "person");
  if (hold !== undefined)
    return already(`${state.rollout} is already held by ${formatActor(hold.by)}: ${hold.detail}.`, [
      resumeOffer(state),
    ]);
  const held: RolloutEvent = {
    kind: "held",
    reason: "person",
    detail: because ?? "asked to hold",
    by: asker.actor,
  };
  return done(
    [...bankProgress(plan, state, world), held],
    `Holding ${state.rollout}: no forward step; guards still judge and a breach still rolls back.`,
  );
}

function onUnlock(
  plan: Plan,
  state: State,
  { flags, because }: Extract<Ask, { kind: "unlock" }>,
  asker: Asker,
  world: World,
): Outcome {
  if (!asker.operator) return refuse("not_authorised", "unlock goes forward and needs an operator.");
  const locked = flags.filter((flag) => state.latched[flag] !== undefined);
  if (locked.length === 0) return refuse("not_locked", `${flags.join(", ")} is not locked.`);
  if (state.phase === "rolling_back" || state.phase === "looking") {
    return refuse("rolling_back", `${state.rollout} is still going back; unlock when it has recovered.`);
  }
  const lever = leverInTheWay(plan, state, world, locked);
  const but = lever === undefined ? "" : ` But ${lever}.`;
  return done(
    [{ kind: "unlatched", flags: locked, by: asker.actor, because }],
    `Unlocked ${locked.join(", ")}. Nothing was turned on.${but}`,
  );
}

function onSetEnd(plan: Plan, state: State, end: number, by: Actor): Outcome {
  const { name } = stageAt(plan, end);
  if (end < state.first) {
    const first = stageAt(plan, state.first).name;
    return refuse(
      "stage_order",
      `${state.rollout} (${state.run}) began at ${first}; ${name} comes before it. Stop this run first, then enable ${name}.`,
    );
  }
  const locked = firstLocked(plan, state, end);
  if (locked !== undefined) return locked;
  const after = state.holds.filter((hold) => hold.reason === "rolled_back");
  const blocking = state.holds.find((hold) => hold.reason !== "rolled_back");
  if (blocking !== undefined) return heldRefusal(state, blocking.reason, blocking.detail);
  if (state.phase !== "walking")
    return refuse(
      "rolling_back",
      `${state.rollout} is going back; enable again when it has recovered and is unlocked.`,
    );
  const events: RolloutEvent[] = [];
  if (after.length > 0) events.push({ kind: "resumed", reasons: ["rolled_back"], by });
  // Never shortened: what comes after `end` (a review, say) stays planned, and the guards with it.
  const reach = Math.max(end, state.end, newestStage(state));
  if (state.end !== reach || events.length > 0) events.push({ kind: "end_set", end: reach, by });
  const until = stageAt(plan, reach).name;
  return events.length === 0
    ? already(`${name} is planned already: ${state.rollout} runs up to ${until}.`)
    : done(
        events,
        `${state.rollout} goes on to ${name}${reach === end ? "" : `, and up to ${until} as planned`}.`,
      );
}

function onResume(plan: Plan, state: State, because: string | undefined, by: Actor, world: World): Outcome {
  if (state.phase !== "walking")
    return refuse("rolling_back", `${state.rollout} is going back; it cannot be resumed now.`);
  if (openWould(state) !== undefined) return onFalseAlarm(state, because, by);
  const mine = state.holds.filter((hold) => !SELF_ENDING.has(hold.reason));
  if (mine.length === 0) {
    const [hold] = state.holds;
    if (hold === undefined) return already(`${state.rollout} is not held.`);
    return refuse(
      "blind",
      `${state.rollout} is held (${hold.reason}): ${hold.detail}. It resumes by itself with fresh evidence.`,
    );
  }
  const latched = Object.keys(state.latched)[0];
  if (latched !== undefined && mine.some((hold) => hold.reason === "rolled_back")) {
    const stage = plan.stages.find((one) => isUndoable(one) && flagsOfStage(one).includes(latched));
    return latchedRefusal(state, latched, stage?.name ?? latched);
  }
  const breaching = watchedGuards(plan, state).find(
    (guard) =>
      (isWaitedFor(guard) || guard.consequence === "hold") &&
      judgementOf(plan, state, world, guard).verdict === "breach",
  );
  if (breaching !== undefined) {
    return refuse(
      "guard",
      `guard ${breaching.name} is in breach (${judgementOf(plan, state, world, breaching).detail ?? ""}).`,
      [rollbackAll(state)],
    );
  }
  const reasons = mine.map((hold) => hold.reason);
  const left = state.holds.length > mine.length ? " It stays held until evidence is fresh again." : "";
  const said = because === undefined ? {} : { because };
  return done([{ kind: "resumed", reasons, by, ...said }], `Resumed ${state.rollout}.${left}`);
}

function onAdvance(plan: Plan, state: State, by: Actor, world: World, now: Now): Outcome {
  const { baselineAsk } = state;
  if (baselineAsk !== undefined && !baselineAsk.confirmed) {
    return done(
      [{ kind: "baseline_confirmed", stage: baselineAsk.stage, by }],
      `The baseline will turn off ${baselineAsk.flags.join(", ")}.`,
    );
  }
  const next = nextForward(plan, state, world, now);
  if (next.kind !== "wait") return already(`the next step of ${state.rollout} is due and starts now.`);
  const index = waitedFor(plan, state);
  switch (next.code) {
    case "soaking":
    case "planned_time": {
      if (index < 0)
        return refuse(
          "nothing_to_advance",
          `${state.rollout} has not begun; start it without \`at=\` to begin now.`,
        );
      if (state.stages[index]?.cut === true) return already(`${state.rollout} already advances early.`);
      const least = leastSoakMs(guardsFor(plan, newestFlagStage(plan, state)), plan.scrapeMs);
      const note = `Advancing ${state.rollout} early: as soon as ${formatDuration(least)} of fresh passing evidence is in, and every gate is open.`;
      return done([...bankProgress(plan, state, world), { kind: "advance_asked", stage: index, by }], note);
    }
    case "approval":
      return refuse(
        "awaiting_approval",
        `${state.rollout} ${next.detail}; an approver who did not ask must press Approve.`,
      );
    case "review":
      return refuse("awaiting_sign_off", `${next.detail}: \`/rollout signoff go\` or \`no-go\`.`);
    case "latched":
      return refuse("latched", `${next.detail}.`);
    case "blind":
    case "guard":
      return refuse(next.code, `${next.detail}.`);
    case "requires":
      return refuse("requires", `${next.detail}.`);
    case "rolling_back":
    case "looking":
      return refuse("rolling_back", `${state.rollout} is going back; it cannot advance now.`);
    case "held": {
      const [hold] = state.holds;
      return heldRefusal(state, hold?.reason ?? "person", hold?.detail ?? "");
    }
    default:
      return refuse("nothing_to_advance", `${state.rollout} cannot advance now: ${next.detail}.`);
  }
}

function onExtend(plan: Plan, state: State, ms: number, by: Actor): Outcome {
  if (state.phase !== "walking")
    return refuse("rolling_back", `${state.rollout} is going back; there is no soak to extend.`);
  if (state.review !== undefined)
    return refuse(
      "awaiting_sign_off",
      `the review of ${state.rollout} is open and waits as long as you like; every soak before it has passed.`,
    );
  const index = newestFlagStage(plan, state);
  const stage = state.stages[index];
  if (stage === undefined || (stage.status !== "soaking" && stage.status !== "passed"))
    return refuse("nothing_to_advance", `${state.rollout} has no soaking stage to extend.`);
  return done(
    [{ kind: "extended", stage: index, ms, by }],
    `${stageAt(plan, index).name} soaks ${formatDuration(ms)} longer.`,
  );
}

function onStop(plan: Plan, state: State, ask: Extract<Ask, { kind: "stop" }>, by: Actor, now: Now): Outcome {
  if (state.phase === "rolling_back" || (isOpenRun(state) && pendingBackward(state).length > 0))
    return refuse("rolling_back", `${state.rollout} is going back; stop it when the flags are off.`);
  const on = leftOn(plan, state);
  if (!ask.confirmed && on.length > 0) {
    const names = on.join(", ");
    return already(`Stopping ends the rollout and its guards. ${names} would stay ON and unwatched. Which?`, [
      {
        label: "Roll back",
        command: `rollout rollback all run=${state.run}`,
        style: "danger",
        confirm: `Take back ${names}?`,
      },
      {
        label: "Stop, leave ON",
        command: `rollout stop run=${state.run} --leave-on`,
        confirm: `End the rollout and leave ${names} ON, unwatched?`,
      },
    ]);
  }
  const guardedMs = isLive(state)
    ? (state.rollback?.offAt ?? -QUARANTINE_MS) + QUARANTINE_MS - now.steady
    : 0;
  if (guardedMs > 0)
    return refuse(
      "rolling_back",
      `${state.rollout} just went back, and a late write could still turn a flag on again. Belay puts that right for another ${formatDuration(guardedMs)}; stop it then.`,
    );
  return done(
    [{ kind: "stopped", by, ...(ask.because === undefined ? {} : { because: ask.because }) }],
    `Stopped ${state.rollout}; flags stay as they are.`,
  );
}

function sameActor(a: Actor, b: Actor): boolean {
  return a.kind === "person" && b.kind === "person" && a.id === b.id && a.via === b.via;
}

function onApprove(plan: Plan, state: State, asker: Asker, now: Now): Outcome {
  const { approval } = state;
  if (approval === undefined) return refuse("nothing_to_approve", `${state.rollout} waits for no approval.`);
  const { name } = stageAt(plan, approval.stage);
  if (approval.approvedBy !== undefined) return already(`${name} is already approved.`);
  if (now.steady >= approval.expiresAt)
    return refuse("approval_expired", `the approval for ${name} has lapsed; \`/rollout resume\` asks again.`);
  if (sameActor(asker.actor, approval.requester))
    return refuse(
      "own_request",
      `you asked for ${name}; another approver of ${approval.from} must press Approve.`,
    );
  if (!asker.groups.includes(approval.from))
    return refuse("not_authorised", `${name} needs an approver of ${approval.from}.`);
  return done([{ kind: "approved", stage: approval.stage, by: asker.actor }], `Approved ${name}.`);
}

function onSignOff(plan: Plan, state: State, ask: Extract<Ask, { kind: "signoff" }>, by: Actor): Outcome {
  if (state.review === undefined)
    return refuse("nothing_to_sign_off", `${state.rollout} has no open review.`);
  const { stage } = state.review;
  const signed: RolloutEvent = {
    kind: "signed_off",
    stage,
    decision: ask.decision,
    by,
    ...(ask.because === undefined ? {} : { because: ask.because }),
  };
  if (ask.decision === "go") return done([signed], `Signed off ${stageAt(plan, stage).name}: go.`);
  const held: RolloutEvent = { kind: "held", reason: "no_go", detail: ask.because ?? "signed off no-go", by };
  return done(
    [signed, held],
    `Signed off ${stageAt(plan, stage).name}: no-go. Holding; \`/rollout rollback\` takes the newest stage back.`,
  );
}
