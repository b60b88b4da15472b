/** The message of a rollback: why, when, who, how it stands now and what comes next; edited from the decision to the recovery. */
import { worstBound } from "../bound.ts";
import { type Cause, type Flip, formatActor, type Recorded } from "../event.ts";
import { flagsOfStage, type Plan, type Stage, settingInWords } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import type { Offer } from "../refusal.ts";
import { leftOn } from "../rollout/ahead.ts";
import { lookUntil } from "../rollout/backward.ts";
import { alsoFiring, isFiring } from "../rollout/on-alert.ts";
import { isOpenRun, isUndoable, stageAt } from "../rollout/state.ts";
import { formatDuration, SECOND } from "../time.ts";
import { cardOf, offersOf } from "./card.ts";
import { leverClause, stuckInWords } from "./going-back.ts";
import { isValue } from "./stage-words.ts";
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
import { remainsOf } from "./work.ts";

type Started = Recorded & { readonly event: Of<"rollback_started"> };

/** The instants of one rollback, from its own events, so that an old message stays true when a newer rollback follows. */
interface Course {
  readonly started: Started;
  /** Rollbacks that took it further before its flags were confirmed. */
  readonly widened: readonly Started[];
  /** The flips of all of them, the newest of each flag. */
  readonly flips: readonly Flip[];
  readonly offWall: number | undefined;
  readonly confirmedWall: number | undefined;
  readonly seenBy: "service" | "store" | "lever" | undefined;
  readonly recovered: (Recorded & { readonly event: Of<"recovered"> }) | undefined;
  readonly failed: (Recorded & { readonly event: Of<"look_failed"> }) | undefined;
  readonly breachWall: number | undefined;
  /** Events after this number belong to it no more. */
  readonly endSeq: number;
}

function courseOf(told: Told, seq: number): Course | undefined {
  const started = eventAt(told, seq, "rollback_started");
  if (started === undefined) return undefined;
  const failed = firstAfter(told, started, "look_failed");
  const end = failed?.seq ?? firstAfter(told, started, "recovered")?.seq ?? Number.POSITIVE_INFINITY;
  const within = (one: Recorded | undefined): number | undefined =>
    one !== undefined && one.seq <= end ? one.wall : undefined;
  const { cause } = started.event;
  const widened = widenedIn(told, started);
  const flips = new Map(
    [started, ...widened].flatMap(({ event }) => event.flips.map((one) => [one.flag, one])),
  );
  const confirmed = told.events.findLast(
    (one) => one.seq > started.seq && one.seq <= end && one.event.kind === "rollback_confirmed",
  );
  return {
    started,
    widened,
    flips: [...flips.values()],
    offWall: within(firstAfter(told, widened.at(-1) ?? started, "rollback_off")),
    confirmedWall: confirmed?.wall,
    seenBy: confirmed?.event.kind === "rollback_confirmed" ? confirmed.event.seenBy : undefined,
    recovered: failed === undefined ? firstAfter(told, started, "recovered") : undefined,
    failed,
    breachWall: cause.kind === "breach" ? started.wall - (started.at - cause.breachAt) : undefined,
    endSeq: end,
  };
}

/** A rollback that begins while another one still waits for its flags goes on under the message of the first. */
function widenedIn(told: Told, started: Started): readonly Started[] {
  const closed = firstAfter(told, started, "rollback_confirmed")?.seq ?? Number.POSITIVE_INFINITY;
  const widened: Started[] = [];
  for (let last = firstAfter(told, started, "rollback_started"); last !== undefined && last.seq < closed; ) {
    widened.push(last);
    last = firstAfter(told, last, "rollback_started");
  }
  return widened;
}

/** Undefined when event `seq` did not start a rollback. */
export function rollbackAlert(told: Told, seq: number): Alert | undefined {
  const course = courseOf(told, seq);
  if (course === undefined) return undefined;
  const { plan } = told;
  const { started, offWall, failed, recovered } = course;
  const flags = course.flips.map((flip) => flip.flag);
  const settings = course.flips
    .map((flip) => `${flip.flag} ${settingInWords(plan, flip.flag, flip.to)}`)
    .join(", ");
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
      ...besideLines(told, course),
      line("When", ...whenParts(plan, course)),
      line("Who", whoTook(course)),
      line("Now", ...nowParts(told, course, seq)),
      ...remainsLines(told, course),
      ...nextLines(told, course, tookMs),
    ],
    offers: rollbackOffers(told, seq, course),
    summary: `${done} ${flags.join(", ")} in ${plan.rollout} (${plan.environment}): ${why.replace(/[.\s]+$/, "")}. ${outcome.charAt(0).toUpperCase()}${outcome.slice(1)}.${remainsInSummary(told, course)}`,
  };
}

/** `batch-limit back to 1,000; 8,942 records of this stage remain`: a rollback of a value removes nothing of what came in meanwhile. */
function remainsLines(told: Told, { started, recovered, failed }: Course): readonly AlertLine[] {
  const remains = remainsOf(told.plan, started.event, (failed ?? recovered)?.event);
  if (remains === undefined) return [];
  const back = started.event.flips.map(
    ({ flag, to }) => `${flag} back to ${settingInWords(told.plan, flag, to)}`,
  );
  const hint = remains.count === 0 ? "" : "; going back removed none of them";
  return [line("Remains", `${back.join(", ")}; ${remains.text}${hint}.`)];
}

function remainsInSummary(told: Told, { started, recovered, failed }: Course): string {
  const remains = remainsOf(told.plan, started.event, (failed ?? recovered)?.event);
  return remains === undefined ? "" : ` ${remains.text.charAt(0).toUpperCase()}${remains.text.slice(1)}.`;
}

/** Deploys and restarts from before the decision that the metrics told only after it: both happened. */
function besideLines(told: Told, course: Course): readonly AlertLine[] {
  const { started, breachWall, endSeq } = course;
  const [from, what] =
    breachWall === undefined ? [started.wall, "the decision"] : [breachWall, "the first bad measurement"];
  return told.events.flatMap(({ event, seq }) => {
    if (event.kind !== "deploy_found" || event.withRollback !== true) return [];
    if (seq < started.seq || seq > endSeq) return [];
    const { detail, startedWall } = event;
    const gapMs = startedWall === undefined ? undefined : Math.round((from - startedWall) / SECOND) * SECOND;
    const when =
      gapMs === undefined
        ? " at about the same time"
        : gapMs === 0
          ? ` with ${what}`
          : ` ${formatDuration(Math.abs(gapMs))} ${gapMs > 0 ? "before" : "after"} ${what}`;
    return [line("Also", `${detail}${when}: either may be the cause, the flag or that.`)];
  });
}

/** An alert is told with the instant at which it began, in the reader's own time. */
function whyParts(cause: Cause, why: string): readonly Part[] {
  if (cause.kind !== "alert") return [why];
  const also = cause.also === undefined ? "" : `; ${cause.also}`;
  return [`alert ${cause.name} fired `, { wall: cause.startsAt }, `, ${cause.detail}${also}`];
}

function whoTook({ started, widened }: Course): string {
  const further = widened.map(
    ({ event }) => `then ${whoOf(event)}: ${event.flips.map(({ flag }) => flag).join(", ")} too`,
  );
  return [whoOf(started.event), ...further].join(", ");
}

function whoOf(event: Of<"rollback_started">): string {
  const { by, byHand, cause, people = "people" } = event;
  if (byHand === true) return `${people}, by hand, after Belay had said that it would`;
  if (by.kind === "person") return formatActor(by);
  if (cause.kind === "alert") return `Belay (alert ${cause.name})`;
  return cause.kind === "breach" || cause.kind === "still_breaching"
    ? `Belay (guard ${cause.guard})`
    : "Belay";
}

const CONFIRMED = {
  service: " → confirmed by the service ",
  store: " → confirmed by the store only ",
  lever: " → held off by the second lever, confirmed by the service ",
} as const;

function whenParts(
  plan: Plan,
  { breachWall, started, flips, offWall, confirmedWall, seenBy }: Course,
): readonly Part[] {
  const isOff = flips.every(({ flag, to }) => !isValue(plan, flag, to));
  const parts: Part[] = [];
  if (breachWall !== undefined) parts.push("breach ", { wall: breachWall }, " → ");
  parts.push("decided ", { wall: started.wall });
  if (offWall !== undefined) parts.push(isOff ? " → off " : " → back ", { wall: offWall });
  if (confirmedWall !== undefined) parts.push(CONFIRMED[seenBy ?? "store"], { wall: confirmedWall });
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
  if (course.offWall === undefined) return [stuckInWords(told) ?? "writing the flags and reading them back"];
  const lever = leverClause(told);
  if (state.rollback?.seq !== seq || state.phase !== "looking")
    return ["off; waiting for the service to confirm", lever];
  const firing = firingNow(told, guard);
  return [
    "looking until about ",
    { wall: now.wall + lookUntil(plan, state) - now.steady },
    figure,
    firing,
    lever,
  ];
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
  const locked = course.flips.map((flip) => flip.flag).filter((flag) => Object.hasOwn(state.latched, flag));
  const on = leftOn(plan, state);
  const stay =
    on.length === 0
      ? "Nothing of this rollout is left on."
      : `${on.join(", ")} ${on.length === 1 ? "stays" : "stay"} ON and watched.`;
  const again =
    locked.length === 0
      ? "Unlocked; it can be enabled again."
      : `${locked.join(", ")} locked: fix the cause, unlock, enable again.`;
  lines.push(line("Next", `${stay} ${again}`));
  const bound = tookMs === undefined ? undefined : boundInWords(plan, course, tookMs);
  if (bound !== undefined) lines.push(line("Bound", bound));
  return lines;
}

/** What was promised and what it took; nothing where people made the flips or took it further, which no bound promises. */
function boundInWords(plan: Plan, { started, widened, offWall }: Course, tookMs: number): string | undefined {
  const worst = worstBound(plan);
  const { byHand, cause } = started.event;
  const byPeople = byHand === true || widened.some(({ event }) => event.by.kind === "person");
  if (worst === undefined || cause.kind !== "breach" || byPeople) return undefined;
  const took = `${formatDuration(tookMs)} from the first bad measurement to off`;
  const flipMs = (offWall ?? started.wall) - started.wall;
  const isLate = tookMs > worst.totalMs && flipMs > worst.parts.flipMs;
  return isLate
    ? `${took}; ${formatDuration(worst.totalMs)} is promised while the flag system answers, and it took ${formatDuration(flipMs)} to take the OFF`
    : `${took}; promised at most ${formatDuration(worst.totalMs)}`;
}

function rollbackOffers(told: Told, seq: number, { started, widened, flips }: Course): readonly Offer[] {
  const { plan, state } = told;
  const flags = flips.map(({ flag }) => flag);
  const run = `run=${state.run}`;
  const offers: Offer[] = [];
  if (state.rollback?.seq !== seq) return offers;
  const undecided = state.phase !== "walking" || state.holds.some((hold) => hold.reason === "not_the_cause");
  if (isOpenRun(state) && undecided)
    offers.push(...offersOf(plan, state).filter((offer) => offer.style === "danger"));
  const isLocked = (stage: Stage): boolean =>
    isUndoable(stage) &&
    flagsOfStage(stage).some((flag) => flags.includes(flag) && Object.hasOwn(state.latched, flag));
  // Of a value several stages have the flag: the one meant is the lowest that went back.
  const back = [started, ...widened].flatMap(({ event }) => event.stages).sort((a, b) => a - b);
  const lowest = back.find((at) => isLocked(stageAt(plan, at)));
  const index = lowest ?? plan.stages.findIndex(isLocked);
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
