/** Messages that must notify: rollbacks, pages, approvals, reviews, holds; what happened first, then what can be done. */
import type { KnownBlock } from "@slack/types";
import type { Alert, AlertLine } from "../../core/report/told.ts";
import { buttonsOf, type Face } from "./buttons.ts";
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
  lengthOf,
  oneLine,
  type Rendered,
  section,
} from "./render-text.ts";

const HEADER_MOST = 150;
const LINE_MOST = 1_200;
const LINES_SHOWN = 12;

export interface AlertOptions {
  readonly dates: Dates;
  /** The run that its buttons are about; undefined where they are about none. */
  readonly seen: Face | undefined;
  /** Slack's own markup that mentions on-call; undefined where nobody is to be called. */
  readonly mention: string | undefined;
}

export function renderAlert(
  alert: Alert,
  { dates, seen, mention }: AlertOptions,
): Rendered & { readonly leftOut: readonly string[] } {
  const buttons = buttonsOf(alert.offers, seen);
  const lines = alert.lines.slice(0, LINES_SHOWN).map((line) => lineOf(line, dates));
  const forWhom = mention === undefined ? [] : [context(`For ${mention}`)];
  const blocks: readonly KnownBlock[] = [
    {
      type: "header",
      text: { type: "plain_text", text: cut(oneLine(alert.title), HEADER_MOST), emoji: false },
    },
    ...chunks(lines).map(section),
    ...forWhom,
    ...buttons.blocks,
  ];
  return {
    text: escapeCut(ended(oneLine(alert.summary)), FALLBACK_MOST),
    blocks,
    leftOut: buttons.leftOut,
  };
}

function lineOf({ label, parts }: AlertLine, dates: Dates): string {
  let text = "";
  for (const part of parts) {
    const piece =
      typeof part === "string"
        ? escapeCut(asSigns(part.replace(/[\p{Cc}\u2028\u2029]+/gu, " ")), LINE_MOST)
        : instant(part.wall, dates, "seconds");
    if (lengthOf(text) + lengthOf(piece) > LINE_MOST) return `*${escapeMarkup(label)}*  ${text}…`;
    text += piece;
  }
  return `*${escapeMarkup(label)}*  ${text}`;
}
