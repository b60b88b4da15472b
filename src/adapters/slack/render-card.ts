/** The card of a rollout: where it stands in words, how far it is, its stages, its guards' figures, and what can be done now. */
import type { KnownBlock } from "@slack/types";
import type { Card, CardFigure, CardRow, RowMark } from "../../core/report/card.ts";
import { JSON_MOST } from "./block-rules.ts";
import { buttonsOf } from "./buttons.ts";
import {
  asSigns,
  chunks,
  context,
  cut,
  type Dates,
  ended,
  escapeCut,
  escapeMarkup,
  FALLBACK_MOST,
  instant,
  oneLine,
  type Rendered,
  section,
} from "./render-text.ts";

const BAR_WIDTH = 20;
const HEADER_MOST = 150;
const MINUTE_MS = 60_000;
const ROW_MOST = 260;
const FIGURE_MOST = 160;
const LOCKS_SHOWN = 6;
/** The dot stays at the end of a line that is wrapped. */
const SEPARATOR = "\u00a0\u00a0·  ";

/** A shape beside the words, never instead of them. */
const MARKS: Readonly<Record<RowMark, string>> = {
  done: "✔",
  now: "▶",
  next: "○",
  undone: "↩",
  skipped: "–",
};

/** The least that is shown of a long rollout before figures are left out, too. */
const FEWEST_ROWS = 5;
const FEWEST_FIGURES = 4;

/** The card as a message; `leftOut` names commands for which there is no button. Long rollouts lose stages in the middle, never the present one. */
export function renderCard(card: Card, dates: Dates): Rendered & { readonly leftOut: readonly string[] } {
  const buttons = buttonsOf(card.open ? card.offers : [], { run: card.run, face: card.face });
  const text = escapeCut(fallbackOf(card), FALLBACK_MOST);
  const stages = card.rows.map((row) => rowLine(row, dates));
  let rows = card.rows.length;
  let figures = card.figures.length;
  for (;;) {
    const blocks: readonly KnownBlock[] = [
      { type: "header", text: { type: "plain_text", text: cut(titleOf(card), HEADER_MOST), emoji: false } },
      section(stateOf(card, dates)),
      ...chunks(rowLines(stages, keptRows(card.rows, rows))).map(section),
      ...chunks(figureLines(card.figures, figures)).map(section),
      ...chunks(lockLines(card)).map(section),
      context(footOf(card, dates)),
      ...buttons.blocks,
    ];
    const fits = JSON.stringify(blocks).length <= JSON_MOST;
    if (fits || (rows <= FEWEST_ROWS && figures <= FEWEST_FIGURES))
      return { text, blocks, leftOut: buttons.leftOut };
    if (rows > FEWEST_ROWS) rows -= 1;
    else figures -= 1;
  }
}

function titleOf(card: Card): string {
  return `Rollout ${card.rollout} · ${card.environment} · ${card.status}`;
}

function fallbackOf(card: Card): string {
  const where = `Rollout ${card.rollout} in ${card.environment} is at stage ${card.stage.at} of ${card.stage.of}`;
  return ended(oneLine(`${where}, ${card.status}: ${card.says}`));
}

/** Why it stands where it stands, then the bar with the share in figures and the stage, then when it goes on. */
function stateOf(card: Card, dates: Dates): string {
  const says = `*${escapeCut(ended(oneLine(card.says)), 1_500)}*`;
  const stage = `stage ${card.stage.at} of ${card.stage.of}`;
  if (!card.open) return `${says}\n${stage}`;
  const full = Math.round(Math.min(1, Math.max(0, card.progress)) * BAR_WIDTH);
  const bar = `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)} ${Math.floor(card.progress * 100)} %`;
  const next =
    card.nextWall === undefined ? "" : `${SEPARATOR}next step ${instant(card.nextWall, dates, "minutes")}`;
  const work = card.work === undefined ? "" : `\n${escapeCut(oneLine(card.work), ROW_MOST)}`;
  return `${says}\n${bar}${SEPARATOR}${stage}${next}${work}`;
}

/** The lines that are kept, and in the gaps how many are missing. */
function rowLines(all: readonly string[], kept: ReadonlySet<number>): readonly string[] {
  const lines: string[] = [];
  let missing = 0;
  const tellMissing = (): void => {
    if (missing > 0) lines.push(`… ${missing} more ${missing === 1 ? "stage" : "stages"}`);
    missing = 0;
  };
  for (const [index, line] of all.entries()) {
    if (kept.has(index)) {
      tellMissing();
      lines.push(line);
    } else missing += 1;
  }
  tellMissing();
  return lines;
}

/** The rows that matter most: the first and the last, and those nearest to where the rollout is. */
function keptRows(rows: readonly CardRow[], most: number): ReadonlySet<number> {
  const last = rows.length - 1;
  const present = rows.findLastIndex((row) => row.mark === "now" || row.mark === "undone");
  const here = present >= 0 ? present : rows.findLastIndex((row) => row.mark === "done");
  const far = (index: number): number => (index === 0 || index === last ? 0 : Math.abs(index - here));
  const ranked = rows.map((_, index) => index).sort((a, b) => far(a) - far(b) || a - b);
  return new Set(ranked.slice(0, most));
}

function rowLine(row: CardRow, dates: Dates): string {
  const when = row.wall === undefined ? "" : `${instant(row.wall, dates, "minutes")} · `;
  const words = row.detail === "" && row.mark === "next" ? "planned" : row.detail;
  const detail = words === "" ? "" : ` · ${escapeCut(oneLine(words), ROW_MOST)}`;
  const name = escapeCut(oneLine(row.name), 80);
  const what = escapeCut(oneLine(shortWhat(row)), ROW_MOST);
  const stage = row.mark === "now" ? `*${name} ${what}*` : `*${name}* ${what}`;
  return `${MARKS[row.mark]}  ${when}${escapeMarkup(row.planned)} · ${stage.trim()}${detail}`;
}

/** What a stage does without saying its name twice: `parallel` + `parallel 5 % > ON` reads `parallel 5 % → ON`. */
function shortWhat(row: CardRow): string {
  if (row.what.startsWith(`${row.name}, `)) return row.what.slice(row.name.length + 2);
  const rest = row.what.startsWith(`${row.name} `) ? row.what.slice(row.name.length + 1) : row.what;
  return rest.replaceAll(" > ", " → ");
}

/** Figures that ask for attention come first, in bold and on lines of their own; all of them carry the word that says so. */
function figureLines(figures: readonly CardFigure[], most: number): readonly string[] {
  if (figures.length === 0) return [];
  const loud = figures.filter((figure) => /BREACH|DOWN|no evidence|provider down/.test(figure.text));
  const calm = figures.filter((figure) => !loud.includes(figure));
  const shownLoud = loud.slice(0, most);
  const shownCalm = calm.slice(0, most - shownLoud.length);
  const missing = figures.length - shownLoud.length - shownCalm.length;
  const more = missing > 0 ? [`… ${missing} more ${missing === 1 ? "guard" : "guards"}`] : [];
  const line = [...shownCalm.map(figureOf), ...more].join(SEPARATOR);
  const [first, ...rest] = [
    ...shownLoud.map((figure) => `*${figureOf(figure)}*`),
    ...(line === "" ? [] : [line]),
  ];
  return [`*Guards*  ${first ?? ""}`, ...rest];
}

function figureOf({ guard, text }: CardFigure): string {
  return escapeCut(oneLine(`${guard} ${asSigns(text)}`), FIGURE_MOST);
}

function lockLines(card: Card): readonly string[] {
  const shown = card.locked
    .slice(0, LOCKS_SHOWN)
    .map((lock) => `*Locked*  ${escapeCut(lock.flag, 80)}: ${escapeCut(oneLine(lock.because), 400)}`);
  const missing = card.locked.length - shown.length;
  return missing > 0 ? [...shown, `… ${missing} more locked`] : shown;
}

/** The minute of the figures is told while the run is open: a card that stops moving must look old. */
function footOf(card: Card, dates: Dates): string {
  const started = `started by ${escapeCut(oneLine(card.startedBy), 80)} ${instant(card.startedWall, dates, "minutes")}`;
  const minute = Math.floor(dates.nowWall / MINUTE_MS) * MINUTE_MS;
  const asOf = card.open ? ` · as of ${instant(minute, dates, "minutes")}` : "";
  return `${escapeCut(card.run, 60)} · ${escapeCut(card.service, 80)} · ${started}${asOf}`;
}
