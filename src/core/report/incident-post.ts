/** An incident as people see it: a message of its own, the lines it adds to a message that tells of it already, and one line in a list. */
import { type Incident, mayWait } from "../oncall/incident.ts";
import type { Offer } from "../refusal.ts";
import { formatDuration, type Now } from "../time.ts";
import { runbookPath } from "./health-words.ts";
import { type Alert, type AlertLine, line, type Part } from "./told.ts";

/** The buttons that still make sense; a rollback is not offered where `others` do so already. */
export function incidentOffers(incident: Incident, others: readonly Offer[] = []): readonly Offer[] {
  const { name, phase, page } = incident;
  if (phase === "resolved") return [];
  const ack: readonly Offer[] =
    phase === "open" ? [{ label: "Ack", command: `oncall ack ${name}`, style: "primary" }] : [];
  const back: readonly Offer[] =
    page.run === undefined ||
    page.stage === undefined ||
    page.tells?.about === "rollback" ||
    others.some((one) => one.command.startsWith("rollout rollback"))
      ? []
      : [
          {
            label: `Roll back ${page.stage}`.slice(0, 70),
            command: `rollout rollback ${page.stage} run=${page.run}`,
            style: "danger",
            confirm: `Take back ${page.stage} now?`,
          },
        ];
  // A message about the rollout itself has its own buttons.
  const resolve: Offer = {
    label: "Resolve",
    command: `oncall resolve ${name}`,
    confirm: `Resolve ${name}?`,
  };
  if (page.tells !== undefined) return [...(phase === "open" ? ack : [resolve]), ...back];
  const escalate: readonly Offer[] =
    incident.ackWithinMs === undefined
      ? []
      : [
          {
            label: "Escalate",
            command: `oncall escalate ${name}`,
            confirm: `Ask the next person about ${name}?`,
          },
        ];
  return [...ack, ...escalate, resolve, ...back];
}

/** How it stands with on-call, in one line. */
export function incidentParts(incident: Incident): readonly Part[] {
  const { name, page, phase, acknowledged, resolved } = incident;
  const head = `${name} ${page.severity}`;
  if (phase === "resolved" && resolved !== undefined)
    return [
      `${head}, resolved by ${resolved.by} `,
      { wall: resolved.wall },
      resolved.because === undefined ? "" : `: ${resolved.because}`,
    ];
  if (phase === "acknowledged" && acknowledged !== undefined)
    return [`${head}, acknowledged by ${acknowledged.by} `, { wall: acknowledged.wall }];
  return [`${head}, ${pagedWhom(incident)}`, ...deadline(incident)];
}

function pagedWhom({ assigned, level, accepted, hasPager, pagingFailed }: Incident): string {
  if (pagingFailed !== undefined) return "PAGING DOES NOT WORK";
  if (assigned.length > 0) return `paged ${assigned.join(", ")}${level > 1 ? ` (level ${level})` : ""}`;
  if (accepted.trigger !== undefined) return "paged";
  return hasPager ? "PagerDuty is being asked" : "not acknowledged yet";
}

/** The wall instant of the deadline, from the steady one: it was fixed when the page was opened. */
function deadline(incident: Incident): readonly Part[] {
  const { ackBy, openedAt, openedWall } = incident;
  if (isLeft(incident)) return ["; nobody else is asked any more, unless somebody escalates it"];
  if (ackBy === undefined) return [];
  return ["; escalates ", { wall: openedWall + (ackBy - openedAt) }, " unless acknowledged"];
}

/** Whether everybody has been asked, as often as Belay does by itself, and nobody has answered. */
function isLeft({ ackBy, ackWithinMs, page, phase }: Incident): boolean {
  return phase === "open" && ackBy === undefined && ackWithinMs !== undefined && !mayWait(page);
}

/** Everything that an incident adds to a message that tells of it. */
export function incidentLines(incident: Incident): readonly AlertLine[] {
  const { escalatedHow, escalatedWall, pager, pagingFailed, phase } = incident;
  const lines: AlertLine[] = [line("On call", ...incidentParts(incident))];
  if (escalatedHow !== undefined && escalatedWall !== undefined)
    lines.push(line("Escalated", `${escalatedWords(incident)} `, { wall: escalatedWall }));
  if (pagingFailed !== undefined && phase === "open") lines.push(line("Paging", pagingFailed));
  if (pager !== undefined) lines.push(line("PagerDuty", pager.url));
  return lines;
}

/** How far, by whom and why. */
function escalatedWords(incident: Incident): string {
  const { escalatedBy = "Belay", escalatedHow, escalatedWhy, level } = incident;
  if (escalatedHow === "policy") return `to level ${level} by PagerDuty's policy`;
  const to = escalatedHow === "rest" ? `to level ${level} through PagerDuty` : secondWords(incident);
  // What a person asks for says who asks.
  const isOurs = escalatedBy === "Belay" || escalatedWhy === undefined;
  return `${to}, ${isOurs ? `by Belay${escalatedWhy === undefined ? "" : `: ${escalatedWhy}`}` : escalatedWhy},`;
}

function secondWords({ secondOwed, secondTold }: Incident): string {
  if (secondOwed !== undefined) return "to the second channel, which has not taken it yet";
  return secondTold === "nobody"
    ? "in this channel alone, because no second channel is set"
    : "to the second channel";
}

/** A message of its own. */
export function incidentPost(incident: Incident): Alert {
  const { page, phase, name } = incident;
  const state = phase === "open" ? "" : ` (${phase})`;
  const lines = [
    line("What", page.summary),
    line("Where", `${page.service}, ${page.environment}`),
    ...incidentLines(incident),
    ...(page.runbook === undefined ? [] : [line("Runbook", runbookPath(page.runbook))]),
  ];
  const title = `${page.severity} ${page.source === "drill" ? "drill" : headOf(page.summary)} · ${name}${state}`;
  const end =
    phase === "resolved"
      ? ` ${name} is resolved.`
      : phase === "acknowledged"
        ? ` ${name} is acknowledged.`
        : "";
  return {
    title,
    lines,
    offers: incidentOffers(incident),
    summary: `${page.severity} ${page.service}: ${page.summary}${end}`,
  };
}

/** What a summary begins with, up to its first colon or full stop. */
function headOf(summary: string): string {
  const head = summary.split(/[:.!?](?:\s|$)/, 1)[0] ?? summary;
  return head.length <= 90 ? head : `${head.slice(0, 87)}...`;
}

/** One line of a list of open incidents. */
export function incidentLine(incident: Incident, now: Now): string {
  const { name, page, phase, acknowledged, ackBy } = incident;
  const age = formatDuration(Math.max(0, now.steady - incident.openedAt));
  const state =
    phase === "acknowledged"
      ? `acknowledged by ${acknowledged?.by ?? "somebody"}`
      : ackBy === undefined
        ? `open${isLeft(incident) ? ", nobody else is asked any more" : ""}`
        : `open, escalates in ${formatDuration(Math.max(0, ackBy - now.steady))}`;
  return `${name}  ${page.severity}  ${page.service}: ${page.summary} (${age} old, ${state})`;
}
