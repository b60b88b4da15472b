/** The message of a rollback: why, when, who, how it stands now and what comes next; edited from the decision to the recovery. */
import { worstBound } from "../bound.ts";
import { type Cause, formatActor, type Recorded } from "../event.ts";
import { flagsOfStage, type Plan } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import type { Offer } from "../refusal.ts";
import { lookUntil } from "../rollout/backward.ts";
import { alsoFiring, isFiring } from "../rollout/on-alert.ts";
import { isOpenRun, isUndoable, stagesOn } from "../rollout/state.ts";
import { formatSetting } from "../setting.ts";
import { formatDuration } from "../time.ts";
import { cardOf, offersOf } from "./card.ts";
import {
  type Alert,
  type AlertLine,
  eventAt,
  firstAfter,
  line,
  type Of,
  type Part,
  type Told,
} from "./told.ts";
import { causeInWords } from "./words.ts";

/** The instants of one rollback, from its own events, so that an old message stays true when a newer rollback follows. */
interface Course {
  readonly started: Recorded & { readonly event: Of<"rollback_started"> };
  readonly offWall: number | undefined;
  readonly confirmedWall: number | undefined;
  readonly seenBy: "service" | "store" | undefined;
  readonly recovered: (Recorded & { readonly event: Of<"recovered"> }) | undefined;
  readonly failed: (Recorded & { readonly event: Of<"look_failed"> }) | undefined;
  readonly breachWall: number | undefined;
}

function courseOf(told: Told, seq: number): Course | undefined {
  const started = eventAt(told, seq, "rollback_started");
  if (started === undefined) return undefined;
  const failed = firstAfter(told, started, "look_failed");
  const end = failed?.seq ?? firstAfter(told, started, "recovered")?.seq ?? Number.POSITIVE_INFINITY;
  const within = (one: Recorded | undefined): number | undefined =>
    one !== undefined && one.seq <= end ? one.wall : undefined;
  const { cause } = started.event;
  const confirmed = told.events.findLast(
    (one) => one.seq > started.seq && one.seq <= end && one.event.kind === "rollback_confirmed",
  );
  return {
    started,
    offWall: within(firstAfter(told, started, "rollback_off")),
    confirmedWall: confirmed?.wall,
    seenBy: confirmed?.event.kind === "rollback_confirmed" ? confirmed.event.seenBy : undefined,
    recovered: failed === undefined ? firstAfter(told, started, "recovered") : undefined,
    failed,
    breachWall: cause.kind === "breach" ? started.wall - (started.at - cause.breachAt) : undefined,
  };
}

/** Undefined when event `seq` did not start a rollback. */
export function rollbackAlert(told: Told, seq: number): Alert | undefined {
  const course = courseOf(told, seq);
  if (course === undefined) return undefined;
  const { plan } = told;
  const { started, offWall, failed, recovered } = course;
  const flags = started.event.flips.map((flip) => flip.flag);
  const settings = started.event.flips.map((flip) => `${flip.flag} ${formatSetting(flip.to)}`).join(", ");
  const tookMs = offWall === undefined ? undefined : offWall - (course.breachWall ?? started.wall);
  const took = tookMs === undefined ? "" : ` · ${formatDuration(tookMs)}`;
  const title =
    offWall === undefined
      ? `ROLLING BACK ${plan.rollout}: ${flags.join(", ")}`
      : `ROLLED BACK ${plan.rollout}: ${settings}${took}`;
  const why = causeInWords(started.event.cause);
  const outcome =
    failed !== undefined
      ? "production is still worse"
      : recovered !== undefined
        ? "production recovered"
        : "looking whether it recovers";
  const done = offWall === undefined ? "Taking back" : "Rolled back";
  return {
    title,
    lines: [
      line("Why", ...whyParts(started.event.cause, why)),
      line("When", ...whenParts(course)),
      line("Who", whoOf(started.event)),
      line("Now", ...nowParts(told, course, seq)),
      ...nextLines(told, course, tookMs),
    ],
    offers: rollbackOffers(told, seq, flags),
    summary: `${done} ${flags.join(", ")} in ${plan.rollout} (${plan.environment}): ${why.replace(/[.\s]+$/, "")}. ${outcome.charAt(0).toUpperCase()}${outcome.slice(1)}.`,
  };
}

/** An alert is told with the instant at which it began, in the reader's own time. */
function whyParts(cause: Cause, why: string): readonly Part[] {
  if (cause.kind !== "alert") return [why];
  return [`alert ${cause.name} fired `, { wall: cause.startsAt }, `, ${cause.detail}`];
}

function whoOf(event: Of<"rollback_started">): string {
  const { by, cause } = event;
  if (by.kind === "person") return formatActor(by);
  if (cause.kind === "alert") return `Belay (alert ${cause.name})`;
  return cause.kind === "breach" || cause.kind === "still_breaching"
    ? `Belay (guard ${cause.guard})`
    : "Belay";
}

function whenParts({ breachWall, started, offWall, confirmedWall, seenBy }: Course): readonly Part[] {
  const parts: Part[] = [];
  if (breachWall !== undefined) parts.push("breach ", { wall: breachWall }, " → ");
  parts.push("decided ", { wall: started.wall });
  if (offWall !== undefined) parts.push(" → off ", { wall: offWall });
  if (confirmedWall !== undefined)
    parts.push(seenBy === "service" ? " → confirmed by the service " : " → confirmed by the store only ", {
      wall: confirmedWall,
    });
  return parts;
}

function nowParts(told: Told, course: Course, seq: number): readonly Part[] {
  const { state, plan, now } = told;
  const guard = course.started.event.cause;
  const figure =
    guard.kind === "breach" || guard.kind === "still_breaching" ? currentFigure(told, guard.guard) : "";
  if (course.failed !== undefined)
    return [
      `still breaching (${course.failed.event.guard}: ${course.failed.event.detail}); ${afterFailure(told)}`,
    ];
  if (course.recovered !== undefined) {
    const doubt = plan.provider.restartMs > 0 ? "; the restart alone may have cured it" : "";
    return [
      "recovered ",
      { wall: course.recovered.wall },
      `${doubt}${figureThen(plan, course.recovered.event)}`,
    ];
  }
  if (course.offWall === undefined) return ["writing the flags and reading them back"];
  if (state.rollback?.seq !== seq || state.phase !== "looking")
    return ["off; waiting for the service to confirm"];
  const firing = firingNow(told, guard);
  return ["looking until about ", { wall: now.wall + lookUntil(plan, state) - now.steady }, figure, firing];
}

/** Whether the alert that caused it still fires, and which others do. */
function firingNow({ world }: Told, cause: Cause): string {
  if (cause.kind !== "alert") return "";
  const still = isFiring(world, cause.alert) ? ` · ${cause.name} still fires` : "";
  const others = alsoFiring(world, cause.alert);
  const more = others.length > 3 ? ` and ${others.length - 3} more` : "";
  return others.length === 0 ? still : `${still} · also firing: ${others.slice(0, 3).join(", ")}${more}`;
}

function currentFigure(told: Told, guard: string): string {
  const shown = cardOf(told).figures.find((one) => one.guard === guard);
  return shown === undefined ? "" : ` · ${guard} ${shown.text}`;
}

/** The figure with which the look ended, so that an old message does not show a later one. */
function figureThen(plan: Plan, { guard: name, detail }: Of<"recovered">): string {
  const guard = plan.guards.find((one) => one.name === name);
  if (guard === undefined || guard.kind === "alive" || detail === undefined) return "";
  return ` · ${guard.name} ${formatQuantity(Number(detail), guard.unit)}`;
}

function afterFailure({ plan, state }: Told): string {
  if (state.phase === "rolling_back" || state.phase === "looking")
    return "the next newest stage is being taken back";
  return state.holds.some((hold) => hold.reason === "not_the_cause")
    ? "this flag was not the cause; people decide"
    : `unwind: ${plan.unwind}`;
}

function nextLines(told: Told, course: Course, tookMs: number | undefined): readonly AlertLine[] {
  const { plan, state } = told;
  const lines: AlertLine[] = [];
  const locked = course.started.event.flips
    .map((flip) => flip.flag)
    .filter((flag) => Object.hasOwn(state.latched, flag));
  const on = stagesOn(plan, state);
  const stay =
    on.length === 0
      ? "Nothing of this rollout is left on."
      : `${on.join(", ")} ${on.length === 1 ? "stays" : "stay"} ON and watched.`;
  const again =
    locked.length === 0
      ? "Unlocked; it can be enabled again."
      : `${locked.join(", ")} locked: fix the cause, unlock, enable again.`;
  lines.push(line("Next", `${stay} ${again}`));
  const worst = worstBound(plan);
  if (course.started.event.cause.kind === "breach" && tookMs !== undefined && worst !== undefined) {
    lines.push(
      line(
        "Bound",
        `${formatDuration(tookMs)} from the first bad measurement to off; promised at most ${formatDuration(worst.totalMs)}`,
      ),
    );
  }
  return lines;
}

function rollbackOffers(told: Told, seq: number, flags: readonly string[]): readonly Offer[] {
  const { plan, state } = told;
  const run = `run=${state.run}`;
  const offers: Offer[] = [];
  if (state.rollback?.seq !== seq) return offers;
  const undecided = state.phase !== "walking" || state.holds.some((hold) => hold.reason === "not_the_cause");
  if (isOpenRun(state) && undecided)
    offers.push(...offersOf(plan, state).filter((offer) => offer.style === "danger"));
  const index = plan.stages.findIndex(
    (stage) =>
      isUndoable(stage) &&
      flagsOfStage(stage).some((flag) => flags.includes(flag) && Object.hasOwn(state.latched, flag)),
  );
  const name = plan.stages[index]?.name;
  if (name !== undefined && state.phase !== "rolling_back" && state.phase !== "looking") {
    offers.push({
      label: `Unlock ${name}...`,
      command: `rollout unlock ${name} ${run}`,
      reason: `Why is ${name} safe to enable again?`,
    });
  }
  offers.push({ label: "Evidence", command: `rollout evidence ${run}` });
  return offers;
}
