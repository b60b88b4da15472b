/** The messages that must notify: rollbacks, approvals, reviews, pages and holds, as one model each; edited as things move on. */
import { formatActor, type HoldReason, type Recorded, type RolloutEvent } from "../event.ts";
import { settingInWords } from "../plan.ts";
import type { Offer } from "../refusal.ts";
import { isLive, isOpenRun } from "../rollout/state.ts";
import { type Card, cardOf, offersOf } from "./card.ts";
import { runbookPath } from "./health-words.ts";
import { incidentLines, incidentOffers } from "./incident-post.ts";
import { askAlert, wouldAlert } from "./observe-alert.ts";
import { rollbackAlert } from "./rollback-alert.ts";
import {
  type Alert,
  type AlertKind,
  type AlertLine,
  eventAt,
  firstAfter,
  line,
  type Of,
  type Told,
} from "./told.ts";
import { holdInWords } from "./words.ts";

/** The alert about the event that messages know by the number `seq`, as things stand now; undefined when that event is not of this kind. */
export function alertOf(told: Told, about: AlertKind, seq: number): Alert | undefined {
  const alert = plainAlertOf(told, about, seq);
  const incident = told.incidents?.find(({ page }) => page.tells?.about === about && page.tells.seq === seq);
  if (alert === undefined || incident === undefined) return alert;
  return {
    ...alert,
    lines: [...alert.lines, ...incidentLines(incident)],
    offers: [...incidentOffers(incident, alert.offers), ...alert.offers],
  };
}

function plainAlertOf(told: Told, about: AlertKind, seq: number): Alert | undefined {
  switch (about) {
    case "rollback":
      return rollbackAlert(told, seq);
    case "approval":
      return approvalAlert(told, seq);
    case "review":
      return reviewAlert(told, seq);
    case "baseline":
      return baselineAlert(told, seq);
    case "page":
      return pageAlert(told, seq);
    case "hold":
      return holdAlert(told, seq);
    case "ask":
      return askAlert(told, seq);
    case "would":
      return wouldAlert(told, seq);
  }
}

function figuresLine(card: Card): readonly AlertLine[] {
  if (card.figures.length === 0) return [];
  return [line("Evidence", card.figures.map((figure) => `${figure.guard} ${figure.text}`).join(" · "))];
}

/** The event that answers `asked`, unless one of these came first and closed it. */
function answerTo<K extends RolloutEvent["kind"]>(
  told: Told,
  asked: Recorded,
  kind: K,
  closedBy: readonly RolloutEvent["kind"][],
): (Recorded & { readonly event: Of<K> }) | undefined {
  const answer = firstAfter(told, asked, kind);
  const closed = told.events.find((one) => one.seq > asked.seq && closedBy.includes(one.event.kind));
  return closed !== undefined && answer !== undefined && closed.seq < answer.seq ? undefined : answer;
}

function approvalAlert(told: Told, seq: number): Alert | undefined {
  const asked = eventAt(told, seq, "approval_requested");
  if (asked === undefined) return undefined;
  const { plan, state, now } = told;
  const { event } = asked;
  const stage = plan.stages[event.stage];
  const name = stage?.name ?? "";
  const flips = (stage?.substages[0]?.set ?? [])
    .map((item) => `${item.flag} ${settingInWords(plan, item.flag, item.setting)}`)
    .join(", ");
  const open = state.approval?.seq === seq && state.approval.approvedBy === undefined && isLive(state);
  const approved = answerTo(told, asked, "approved", [
    "approval_requested",
    "approval_expired",
    "rollback_started",
  ]);
  const who = formatActor(event.requester);
  const needs = line("Needs", `one of ${event.from}, not ${who} · lapses `, {
    wall: now.wall + event.expiresAt - now.steady,
  });
  const ended =
    approved !== undefined
      ? line("Done", `approved by ${formatActor(approved.event.by)} `, { wall: approved.wall })
      : line("Done", "void: it lapsed, or things changed");
  const approve: Offer = {
    label: "Approve",
    command: `rollout approve run=${state.run}`,
    style: "primary",
    confirm: `Turn on ${flips}?`,
  };
  return {
    title: open
      ? `${who} asks: ${plan.rollout}, stage ${name}`
      : `${plan.rollout}, stage ${name}: approval closed`,
    lines: [
      line("Change", `${flips} in ${plan.environment}`),
      ...(open ? [...figuresLine(cardOf(told)), needs] : [ended]),
    ],
    offers: open ? [approve, { label: "Hold", command: `rollout hold run=${state.run}` }] : [],
    summary: open
      ? `${who} asks to approve ${name} of ${plan.rollout}: ${flips}.`
      : `The approval for ${name} of ${plan.rollout} is closed.`,
  };
}

function reviewAlert(told: Told, seq: number): Alert | undefined {
  const opened = eventAt(told, seq, "review_opened");
  if (opened === undefined) return undefined;
  const { plan, state } = told;
  const name = plan.stages[opened.event.stage]?.name ?? "";
  const open = state.review?.seq === seq && isLive(state);
  const signed = answerTo(told, opened, "signed_off", ["review_opened", "rollback_started"]);
  const card = cardOf(told);
  const on = card.rows.filter((row) => row.mark === "done" && row.name !== name).map((row) => row.name);
  const because = signed?.event.because === undefined ? "" : `: ${signed.event.because}`;
  const ended =
    signed === undefined
      ? line("Done", "closed without a sign-off")
      : line("Done", `${signed.event.decision} by ${formatActor(signed.event.by)}${because} `, {
          wall: signed.wall,
        });
  const run = `run=${state.run}`;
  return {
    title: open
      ? `Review of ${plan.rollout}: sign-off needed`
      : `Review of ${plan.rollout}: ${signed?.event.decision ?? "closed"}`,
    lines: [line("Passed", on.join(", ") || "nothing yet"), ...(open ? figuresLine(card) : [ended])],
    offers: open
      ? [
          {
            label: "Sign GO",
            command: `rollout signoff go ${run}`,
            style: "primary",
            confirm: "Sign off: everything stays on and the rollout ends?",
          },
          {
            label: "Sign NO-GO...",
            command: `rollout signoff no-go ${run}`,
            reason: "What speaks against it?",
          },
        ]
      : [],
    summary: open
      ? `${plan.rollout} waits for the sign-off of its review.`
      : `The review of ${plan.rollout} is closed.`,
  };
}

function baselineAlert(told: Told, seq: number): Alert | undefined {
  const asked = eventAt(told, seq, "baseline_asked");
  if (asked === undefined) return undefined;
  const { plan, state } = told;
  const flags = asked.event.flags.join(", ");
  const open = state.baselineAsk?.seq === seq && !state.baselineAsk.confirmed && isLive(state);
  const run = `run=${state.run}`;
  return {
    title: open
      ? `${plan.rollout} asks: turn off ${flags} for the baseline?`
      : `${plan.rollout}: baseline answered`,
    lines: [line("Why", `the baseline needs every flag off; on now: ${flags}`)],
    offers: open
      ? [
          {
            label: "Turn off",
            command: `rollout advance ${run}`,
            style: "danger",
            confirm: `Turn off ${flags} in ${plan.environment}?`,
          },
          {
            label: "Stop",
            command: `rollout stop ${run} --leave-on`,
            confirm: "End this rollout and leave the flags as they are?",
          },
        ]
      : [],
    summary: `${plan.rollout}: the baseline would turn off what is on now: ${flags}.`,
  };
}

function pageAlert(told: Told, seq: number): Alert | undefined {
  const paged = eventAt(told, seq, "paged");
  if (paged === undefined) return undefined;
  const { plan, state } = told;
  return {
    title: `PAGE ${paged.event.severity} · ${plan.rollout} · ${plan.environment}`,
    lines: [
      line("What", paged.event.summary),
      line("Stands", cardOf(told).status),
      ...(plan.runbook === undefined ? [] : [line("Runbook", runbookPath(plan.runbook))]),
    ],
    offers: isOpenRun(state) ? offersOf(plan, state) : [],
    summary: paged.event.summary,
  };
}

function holdAlert(told: Told, seq: number): Alert | undefined {
  const held = eventAt(told, seq, "held");
  if (held === undefined) return undefined;
  const { plan, state } = told;
  const { reason, detail, by } = held.event;
  const open =
    isOpenRun(state) && state.holds.some((hold) => hold.reason === reason && hold.since === held.at);
  return {
    title: open
      ? `HELD ${plan.rollout}: ${holdInWords(reason)}`
      : `${plan.rollout}: no longer held (${holdInWords(reason)})`,
    lines: [
      line("Why", detail),
      line("Who", formatActor(by)),
      line(
        "Next",
        `${nextOf(reason)}; guards still judge, ${state.mode === "observe" ? "and Belay says what it would take back" : "a breach still rolls back"}`,
      ),
    ],
    offers: open ? offersOf(plan, state) : [],
    summary: `${plan.rollout} is held (${holdInWords(reason)}): ${detail}.`,
  };
}

/** What the hold waits for. */
function nextOf(reason: HoldReason): string {
  return reason === "unattributed"
    ? "nothing advances; was this meant? Resume, and the stage soaks anew from zero, or roll back"
    : "nothing advances";
}
