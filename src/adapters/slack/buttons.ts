/** Buttons: offers as Slack shows them, and what comes back when one is pressed. */
import type { ActionsBlock, Button, ConfirmationDialog, PlainTextElement } from "@slack/types";
import { z } from "zod";
import type { Offer } from "../../core/refusal.ts";
import { cut, oneLine } from "./render-text.ts";

/** The run and its `face` that a message showed: a forward button of an older face is stale. */
export interface Face {
  readonly run: string;
  readonly face: number;
}

/** What a button carries: a command, the face it was shown on, and a question that a form asks first. */
export interface Pressed {
  readonly command: string;
  readonly seen: Face | undefined;
  readonly question: string | undefined;
}

/** Slack's limits, in characters. */
const LABEL_MOST = 75;
const VALUE_MOST = 2_000;
const BUTTONS_MOST = 25;
const CONFIRM_MOST = { title: 100, text: 300, button: 30 } as const;
/** A question is shown again in a form; longer ones would crowd out the command. */
const QUESTION_MOST = 150;
export const ACTION_PREFIX = "belay_";

const VALUE = z.object({
  c: z.string().min(1).max(VALUE_MOST),
  r: z.string().min(1).max(100).optional(),
  f: z.number().int().nonnegative().optional(),
  q: z.string().min(1).max(VALUE_MOST).optional(),
});

/** The block of buttons, and the commands that do not fit into one: a button with half a command would be worse than none. */
export interface Buttons {
  readonly blocks: readonly ActionsBlock[];
  readonly leftOut: readonly string[];
}

export function buttonsOf(offers: readonly Offer[], seen: Face | undefined): Buttons {
  const elements: Button[] = [];
  const leftOut: string[] = [];
  for (const offer of offers) {
    const value = encoded(offer, seen);
    if (value === undefined || elements.length >= BUTTONS_MOST) leftOut.push(offer.command.slice(0, 200));
    else elements.push(buttonOf(offer, value, elements.length));
  }
  return {
    blocks: elements.length === 0 ? [] : [{ type: "actions", block_id: `${ACTION_PREFIX}offers`, elements }],
    leftOut,
  };
}

function encoded(offer: Offer, seen: Face | undefined): string | undefined {
  const value = JSON.stringify({
    c: offer.command,
    ...(seen === undefined ? {} : { r: seen.run, f: seen.face }),
    ...(offer.reason === undefined ? {} : { q: cut(oneLine(offer.reason), QUESTION_MOST) }),
  });
  return [...value].length > VALUE_MOST ? undefined : value;
}

/** Reads what a pressed button carried; undefined when it is none of ours. */
export function readValue(value: string | undefined): Pressed | undefined {
  if (value === undefined) return undefined;
  let decoded: unknown;
  try {
    decoded = JSON.parse(value);
  } catch {
    return undefined;
  }
  const read = VALUE.safeParse(decoded);
  if (!read.success) return undefined;
  const { c, r, f, q } = read.data;
  return {
    command: c,
    seen: r === undefined || f === undefined ? undefined : { run: r, face: f },
    question: q,
  };
}

function plain(text: string, most: number): PlainTextElement {
  return { type: "plain_text", text: cut(oneLine(text), most), emoji: false };
}

function buttonOf(offer: Offer, value: string, index: number): Button {
  const confirm = confirmOf(offer);
  return {
    type: "button",
    action_id: `${ACTION_PREFIX}${index}`,
    text: plain(offer.label, LABEL_MOST),
    value,
    ...(offer.style === undefined ? {} : { style: offer.style }),
    ...(confirm === undefined ? {} : { confirm }),
  };
}

/** The dialog before a press counts. An offer that asks for a reason has its form instead. */
function confirmOf(offer: Offer): ConfirmationDialog | undefined {
  if (offer.reason !== undefined) return undefined;
  const question = offer.confirm ?? (offer.style === "danger" ? `Run "${offer.command}"?` : undefined);
  if (question === undefined) return undefined;
  const yes = [...offer.label].length <= CONFIRM_MOST.button ? offer.label : "Yes, do it";
  return {
    title: plain(`${offer.label.replace(/[.…?]+$/, "")}?`, CONFIRM_MOST.title),
    text: plain(question, CONFIRM_MOST.text),
    confirm: plain(yes, CONFIRM_MOST.button),
    deny: plain("Leave as it is", CONFIRM_MOST.button),
    ...(offer.style === undefined ? {} : { style: offer.style }),
  };
}
