/** Announcing: which messages an event owes to people. The card and each alert is one message under one key, edited as things move on. */
import { type HoldReason, type Recorded, type RolloutEvent, tellingOf } from "../core/event.ts";
import type { Plan } from "../core/plan.ts";
import type { AlertKind } from "../core/report/told.ts";
import { eventInWords } from "../core/report/words.ts";
import { pendingAsked, type State } from "../core/rollout/state.ts";
import { sameSetting } from "../core/setting.ts";
import type { Lane, Notice, OutboxDraft } from "./messages.ts";

/** Holds that a person must end and that no page speaks of: they get a message of their own. */
const LOUD_HOLDS: readonly HoldReason[] = [
  "drift",
  "flag_store",
  "guard",
  "approval_expired",
  "undo_by_hand",
  "breach_not_ours",
  "not_the_cause",
  "unattributed",
];

/** Events told in the card's thread. */
const NOTED: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "end_set",
  "stage_enabled",
  "stage_withdrawn",
  "soak_passed",
  "held",
  "resumed",
  "extended",
  "advance_asked",
  "approved",
  "signed_off",
  "baseline_confirmed",
  "rollback_started",
  "recovered",
  "look_failed",
  "lever_pulled",
  "flip_verified",
  "would_roll_back",
  "mode_set",
  "drift_found",
  "flip_corrected",
  "unlatched",
  "completed",
  "stopped",
  "rolled_back",
  "quarantined",
]);

/** The outbox drafts of one commit. Pure; `channel` undefined means nobody listens. */
export function announce(
  plan: Plan,
  before: State | undefined,
  after: State,
  events: readonly Recorded[],
  channel: string | undefined,
): readonly OutboxDraft[] {
  if (channel === undefined) return [];
  const wall = events.at(-1)?.wall ?? after.lastWall;
  const draft = (key: string, lane: Lane, body: Notice): OutboxDraft => ({
    run: after.run,
    key,
    lane,
    body,
    wall,
  });
  const alert = (about: AlertKind, seq: number): OutboxDraft =>
    draft(`alert:${after.run}:${about}:${seq}`, "urgent", {
      kind: "alert",
      run: after.run,
      channel,
      seq,
      about,
    });
  const drafts = new Map<string, OutboxDraft>();
  const add = (one: OutboxDraft): void => {
    drafts.set(one.key, one);
  };
  const paged = events.some((one) => one.event.kind === "paged");
  for (const recorded of events) {
    const { event } = recorded;
    const seq = tellingOf(recorded);
    for (const [about, about_seq] of alertsOf(event, seq, before, after, paged)) add(alert(about, about_seq));
    for (const [about, about_seq] of observedBy(event, before, after)) add(alert(about, about_seq));
    const text = NOTED.has(event.kind) ? eventInWords(plan, event) : undefined;
    if (text !== undefined)
      add(
        draft(`note:${after.run}:${event.kind}:${seq}`, "normal", {
          kind: "note",
          run: after.run,
          channel,
          seq,
          text,
        }),
      );
  }
  if (
    events.some(
      (one) =>
        one.event.kind !== "soak_progress" &&
        one.event.kind !== "refused" &&
        one.event.kind !== "flip_verified",
    )
  ) {
    add(draft(`card:${after.run}`, "normal", { kind: "card", run: after.run, channel }));
  }
  return [...drafts.values()];
}

/** Events that change what people are asked to set, or what becomes of what Belay would have taken back. */
const OBSERVED: ReadonlySet<RolloutEvent["kind"]> = new Set<RolloutEvent["kind"]>([
  "stage_started",
  "flip_verified",
  "stage_enabled",
  "stage_withdrawn",
  "mode_set",
  "would_roll_back",
  "held",
  "resumed",
  "rollback_started",
  "recovered",
  "look_failed",
  "completed",
  "stopped",
  "rolled_back",
]);

/** The messages of a Belay that observes, made or brought up to date. What is set already is not asked for. */
function observedBy(
  event: RolloutEvent,
  before: State | undefined,
  after: State,
): readonly (readonly [AlertKind, number])[] {
  if (!OBSERVED.has(event.kind)) return [];
  const { asking, would } = after;
  const isAsking = (state: State | undefined): boolean =>
    state !== undefined && pendingAsked(state).some(({ flip }) => !sameSetting(flip.from, flip.to));
  const asks =
    asking !== undefined && (isAsking(before) || isAsking(after)) ? [["ask", asking.seq] as const] : [];
  const older = before?.asking;
  const oldAsk =
    older !== undefined && older.seq !== asking?.seq && isAsking(before) ? [["ask", older.seq] as const] : [];
  const oldWould =
    before?.would !== undefined && before.would.seq !== would?.seq
      ? [["would", before.would.seq] as const]
      : [];
  return [...asks, ...oldAsk, ...oldWould, ...(would === undefined ? [] : [["would", would.seq] as const])];
}

/** The message of a rollback whose flags are still owed. */
function goingBack({ phase, rollback }: State): readonly (readonly [AlertKind, number])[] {
  return phase === "rolling_back" && rollback !== undefined ? [["rollback", rollback.seq]] : [];
}

/** The alerts that an event creates or changes, each with the number of the event that it tells of. */
function alertsOf(
  event: RolloutEvent,
  seq: number,
  before: State | undefined,
  after: State,
  paged: boolean,
): readonly (readonly [AlertKind, number])[] {
  const closed =
    before?.approval !== undefined && after.approval?.seq !== before.approval.seq
      ? [["approval", before.approval.seq] as const]
      : [];
  switch (event.kind) {
    case "rollback_started":
    case "rollback_off":
    case "rollback_confirmed":
    case "recovered":
    case "look_failed":
    case "unlatched":
      return after.rollback === undefined ? closed : [...closed, ["rollback", after.rollback.seq]];
    case "deploy_found":
      return event.withRollback !== true || after.rollback === undefined
        ? []
        : [["rollback", after.rollback.seq]];
    case "approval_requested":
      return [...closed, ["approval", seq]];
    case "approved":
    case "approval_expired":
    case "stage_started":
    case "drift_found":
      return before?.approval === undefined ? [] : [["approval", before.approval.seq]];
    case "review_opened":
      return [["review", seq]];
    case "signed_off":
      return before?.review === undefined ? [] : [["review", before.review.seq]];
    case "baseline_asked":
      return [["baseline", seq]];
    case "baseline_confirmed":
      return before?.baselineAsk === undefined ? [] : [["baseline", before.baselineAsk.seq]];
    case "paged":
      return [["page", seq], ...goingBack(after)];
    case "lever_pulled":
      return goingBack(after);
    case "held":
      return !paged && LOUD_HOLDS.includes(event.reason) ? [["hold", seq]] : [];
    case "completed":
    case "stopped":
      return [...closed, ...(before?.review === undefined ? [] : [["review", before.review.seq] as const])];
    default:
      return [];
  }
}
