/** Private answers and notes: a sentence, then lines as a terminal would show them, then what to do next. */
import type { KnownBlock } from "@slack/types";
import type { CommandAnswer } from "../../engine/messages.ts";
import { JSON_MOST } from "./block-rules.ts";
import { buttonsOf } from "./buttons.ts";
import {
  chunks,
  context,
  escapeCut,
  escapeMarkup,
  FALLBACK_MOST,
  type Rendered,
  section,
} from "./render-text.ts";

const LINE_MOST = 1_000;
const CODE_MOST = 2_800;
/** An answer as a message. Lines at the end are left out when there are too many, and the answer says so and where to see them. */
export function renderAnswer(answer: CommandAnswer): Rendered & { readonly leftOut: readonly string[] } {
  const buttons = buttonsOf(answer.offers, undefined);
  const text = escapeCut(answer.text.trim() === "" ? "Done." : answer.text, FALLBACK_MOST);
  const lines = answer.lines.map((line) => escapeCut(codeLine(line), LINE_MOST));
  const blocksWith = (shown: number): readonly KnownBlock[] => {
    const missing = lines.length - shown;
    const code = chunks(lines.slice(0, shown), CODE_MOST).map((one) => section(`\`\`\`\n${one}\n\`\`\``));
    const more = `… ${missing} more lines; the same command by \`belay do\` in a terminal shows all.`;
    return [section(text), ...code, ...(missing === 0 ? [] : [context(more)]), ...buttons.blocks];
  };
  const fits = (shown: number): boolean => JSON.stringify(blocksWith(shown)).length <= JSON_MOST;
  return { text, blocks: blocksWith(mostThatFits(lines.length, fits)), leftOut: buttons.leftOut };
}

/** The largest number from 0 to `all` that fits, when fewer always fit better; 0 when none does. */
function mostThatFits(all: number, fits: (count: number) => boolean): number {
  if (fits(all)) return all;
  let low = 0;
  let high = all;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** A line that cannot end the block of code it stands in. */
function codeLine(line: string): string {
  return line.replaceAll("```", "'''").replace(/[\p{Cc}\u2028\u2029]/gu, " ");
}

/** A line in the card's thread, or one that stands for an alert; `mention` is Slack's own markup for whom it is. */
export function renderNote(text: string, mention?: string): Rendered {
  const line = escapeCut(text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim(), FALLBACK_MOST);
  return { text: line, blocks: mention === undefined ? [] : [section(line), context(`For ${mention}`)] };
}

/** One sentence from the adapter itself, for one person. */
export function renderWords(text: string): Rendered {
  return { text: escapeMarkup(text), blocks: [] };
}
