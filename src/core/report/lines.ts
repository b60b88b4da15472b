/** What read verbs answer, as lines of text: list, status, plan, history, evidence, help. */
import { boundOf, flipSource, worstBound } from "../bound.ts";
import type { Recorded } from "../event.ts";
import type { Guard, Plan } from "../plan.ts";
import { formatQuantity } from "../quantity.ts";
import type { Measured } from "../rehearsal.ts";
import { isOpenRun } from "../rollout/state.ts";
import type { Run } from "../target.ts";
import { formatClock, formatDuration, SECOND } from "../time.ts";
import { type DeskNoun, type Direction, typedAs, VERBS, type VerbSpec } from "../verbs.ts";
import type { Card } from "./card.ts";
import { plannedName, whatOf } from "./stage-words.ts";
import { eventInWords } from "./words.ts";

const MARKS = { done: "x", now: ">", next: " ", undone: "-", skipped: "." } as const;

/** A card as a terminal shows it. */
export function cardLines(card: Card, zone: string): readonly string[] {
  const head = `${card.rollout} · ${card.environment} · ${card.run} · ${card.status}`;
  const width = 20;
  const full = Math.round(card.progress * width);
  const next = card.nextWall === undefined ? "" : `, next step ${formatClock(card.nextWall, zone)}`;
  const lines = [
    head,
    `[${"#".repeat(full)}${"-".repeat(width - full)}] ${Math.round(card.progress * 100)} %${next}`,
    card.says,
    ...(card.work === undefined ? [] : [card.work]),
  ];
  for (const row of card.rows) {
    const when = row.wall === undefined ? "        " : formatClock(row.wall, zone);
    lines.push(
      `[${MARKS[row.mark]}] ${when}  ${row.planned.padEnd(8)} ${row.name}: ${row.what}${row.detail === "" ? "" : ` (${row.detail})`}`,
    );
  }
  if (card.figures.length > 0)
    lines.push(`guards: ${card.figures.map((figure) => `${figure.guard} ${figure.text}`).join(" · ")}`);
  for (const lock of card.locked) lines.push(`locked: ${lock.flag} (${lock.because})`);
  return lines;
}

/** Every rollout that can be started or is live, and every lock; a live one whose file is gone is still to be found. */
export function listLines(catalogue: ReadonlyMap<string, Plan>, runs: readonly Run[]): readonly string[] {
  const open = runs.filter(({ state }) => isOpenRun(state));
  const loaded = [...catalogue.values()].map((plan) => {
    const run = open.find(({ state }) => state.rollout === plan.rollout);
    return run === undefined ? listLine(plan) : `${listLine(plan)}  ${openInWords(run)}`;
  });
  const orphaned = open
    .filter(({ state }) => !catalogue.has(state.rollout))
    .map((run) => `${listLine(run.plan)}  ${openInWords(run)}  (its file is no longer loaded)`);
  const locked = runs.flatMap(({ state }) =>
    Object.entries(state.latched).map(
      ([flag, latch]) => `locked: ${flag} in ${state.run} (${latch.because})`,
    ),
  );
  const lines = [...loaded, ...orphaned, ...locked];
  return lines.length === 0 ? ["no rollouts are loaded"] : lines;
}

function listLine(plan: Plan): string {
  return `${plan.rollout} (${plan.service}, ${plan.environment}): ${plan.stages.map((stage) => stage.name).join(", ")}`;
}

function openInWords({ state }: Run): string {
  return state.phase === "stuck"
    ? `[quarantined: ${state.run}]`
    : `[live: ${state.run}${state.mode === "observe" ? ", OBSERVES" : ""}]`;
}

/** What a rollout will do. With what a rehearsal `measured`, its bounds count with that; `nowWall` (Unix ms) tells how old it is. */
export function planLines(plan: Plan, measured?: Measured, nowWall = 0): readonly string[] {
  const stages = plan.stages.map((stage) => {
    const soak = stage.substages.map((sub) => formatDuration(sub.soakMs)).join(" + ");
    const gate = stage.approval === undefined ? "" : `, approval by ${stage.approval.from}`;
    const only = stage.window === undefined ? "" : `, only ${stage.window.text} ${stage.window.zone}`;
    return `${plannedName(stage.atMs).padEnd(8)} ${stage.name}: ${whatOf(plan, stage)}${soak === "" ? "" : `, soak ${soak}`}${gate}${only}`;
  });
  const worst = worstBound(plan, measured);
  const bound =
    worst === undefined
      ? "no guard rolls back by itself"
      : `worst case from visible breach to off: ${Math.round(worst.totalMs / SECOND)} s (${worst.guard}); of it the flip: ${formatDuration(worst.parts.flipMs)}, ${flipSource(measured, nowWall)}`;
  const forward =
    plan.forward === undefined ? [] : [`forward steps only ${plan.forward.text} ${plan.forward.zone}`];
  return [
    `${plan.rollout}: ${plan.service}, ${plan.environment}`,
    ...stages,
    ...plan.guards.map((guard) => guardLine(plan, guard, measured)),
    ...forward,
    `after a failed look: ${plan.unwind}; blind: hold, page after ${formatDuration(plan.blindAfterMs)}, then ${plan.onBlind}`,
    bound,
  ];
}

function guardLine(plan: Plan, guard: Guard, measured: Measured | undefined): string {
  const every = `every ${formatDuration(guard.intervalMs)}`;
  const stages = guard.stages === undefined ? "" : ` in ${guard.stages.join(", ")}`;
  switch (guard.kind) {
    case "alive":
      return `guard ${guard.name}: target down ${guard.breach.k} of ${guard.breach.n} polls ${every}, then ${guard.consequence}${stages}`;
    case "expect":
      return `guard ${guard.name}: expects ${limits(guard)} within ${formatDuration(guard.withinMs)}, else hold${stages}`;
    case "trend": {
      const limit = formatQuantity(guard.limit, guard.unit);
      return `guard ${guard.name}: must not rise to ${limit} within ${formatDuration(guard.horizonMs)}, ${every}, then ${guard.consequence}; nothing waits for it${stages}`;
    }
    case "threshold": {
      const seconds = Math.round(boundOf(plan, guard, measured).totalMs / SECOND);
      return `guard ${guard.name}: ${limits(guard)}, breach ${guard.breach.k} of ${guard.breach.n} ${every}, then ${guard.consequence} within ${seconds} s${stages}`;
    }
  }
}

function limits(guard: Exclude<Guard, { kind: "alive" | "trend" }>): string {
  const low = guard.min === undefined ? [] : [`at least ${formatQuantity(guard.min, guard.unit)}`];
  const high = guard.max === undefined ? [] : [`at most ${formatQuantity(guard.max, guard.unit)}`];
  return [...low, ...high].join(" and ");
}

/** What happened, newest last; at most `most` lines. */
export function historyLines(
  plan: Plan,
  events: readonly Recorded[],
  zone: string,
  most = 40,
): readonly string[] {
  const told = events.flatMap(({ wall, event }) => {
    const words = eventInWords(plan, event);
    return words === undefined ? [] : [`${formatClock(wall, zone)}  ${words}`];
  });
  const cut = told.length - most;
  return cut > 0 ? [`... ${cut} earlier events`, ...told.slice(cut)] : told;
}

/** What a guard measured over one minute. */
export interface EvidenceMinute {
  readonly guard: string;
  readonly minute: number;
  readonly polls: number;
  readonly values: number;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly last: number | undefined;
  readonly verdicts: Readonly<Record<string, number>>;
}

/** The evidence of each guard: all minutes in one line, then the newest five. */
export function evidenceLines(plan: Plan, rows: readonly EvidenceMinute[], zone: string): readonly string[] {
  const lines: string[] = [];
  for (const guard of plan.guards) {
    const mine = rows.filter((row) => row.guard === guard.name);
    const unit = guard.kind === "alive" ? "none" : guard.unit;
    const show = (value: number | undefined): string =>
      value === undefined ? "-" : formatQuantity(value, unit);
    if (mine.length === 0) {
      lines.push(`${guard.name}: nothing measured yet`);
      continue;
    }
    const polls = mine.reduce((sum, row) => sum + row.polls, 0);
    const verdicts = new Map<string, number>();
    for (const row of mine)
      for (const [verdict, count] of Object.entries(row.verdicts))
        verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + count);
    lines.push(
      `${guard.name}: ${polls} polls, ${[...verdicts].map(([verdict, count]) => `${count} ${verdict}`).join(", ")}`,
    );
    for (const row of mine.slice(-5)) {
      lines.push(
        `  ${formatClock(row.minute, zone)}  min ${show(row.min)}  max ${show(row.max)}  last ${show(row.last)}  (${row.values} of ${row.polls} polls had a value)`,
      );
    }
    lines.push(`  query: ${guard.query}`);
  }
  return lines;
}

export function helpLines(): readonly string[] {
  const group = (title: string, chosen: readonly VerbSpec[]): readonly string[] => [
    title,
    ...chosen.map((spec) => `  ${typedAs(spec)}: ${spec.says}`),
  ];
  const rollout = VERBS.filter((spec) => spec.noun === "rollout");
  const names = new Set(rollout.map((spec) => spec.verb));
  const going = (direction: Direction): readonly VerbSpec[] =>
    rollout.filter((spec) => spec.direction === direction);
  const others = VERBS.filter((spec) => spec.noun === "belay" && !names.has(spec.verb));
  const desk = (noun: DeskNoun): readonly VerbSpec[] => VERBS.filter((spec) => spec.noun === noun);
  return [
    ...group("Look", [...going("read"), ...others.filter((spec) => spec.direction === "read")]),
    ...group("Go forward (obeys every gate)", [
      ...going("forward"),
      ...others.filter((spec) => spec.direction === "forward"),
    ]),
    ...group("Go back (always allowed)", going("backward")),
    ...group("On call", desk("oncall")),
    ...group("Health", desk("health")),
    ...group("Schedules", desk("schedule")),
    'The same works as `/belay rollout ...`, `@belay rollout ...` and `belay do "rollout ..."`.',
  ];
}
