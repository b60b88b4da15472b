/** The last look at a message before it goes: one that breaks a rule is made plainer and goes all the same. */
import type { ActionsBlock } from "@slack/types";
import type { Log } from "../../engine/ports.ts";
import { messageProblems } from "./block-rules.ts";
import { cut, type Rendered, SECTION_MOST, section } from "./render-text.ts";

const TOLD_KEPT = 200;

/** Looks messages over before they go. */
export class LastLook {
  readonly #log: Log;
  /** What was told already: a card is rendered again every few seconds. */
  readonly #told = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The message, or a plainer one when Slack would refuse it; told to the log once, as are commands for which there is no button. */
  checked(key: string, message: Rendered, leftOut: readonly string[] = []): Rendered {
    if (leftOut.length > 0) this.#tell(key, "commands without a button: too long, or too many", leftOut);
    const problems = messageProblems(message);
    if (problems.length === 0) return message;
    this.#tell(key, "a message breaks Slack's rules; it is sent as text", problems);
    return plainer(message);
  }

  #tell(key: string, what: string, details: readonly string[]): void {
    const told = `${key} ${what} ${details.length}`;
    if (this.#told.has(told)) return;
    if (this.#told.size >= TOLD_KEPT) this.#told.clear();
    this.#told.add(told);
    this.#log.error(what, { key, details: details.join("; ") });
  }
}

/** Text and buttons; only the text when the buttons are what is wrong. */
export function plainer({ text, blocks }: Rendered): Rendered {
  const words = text.trim() === "" ? "Belay has news that cannot be shown here." : text;
  const buttons = blocks.filter((block): block is ActionsBlock => block.type === "actions");
  const short = { text: words, blocks: [section(cut(words, SECTION_MOST)), ...buttons] };
  if (messageProblems(short).length === 0) return short;
  const bare = { text: words, blocks: [] };
  return messageProblems(bare).length === 0
    ? bare
    : { text: cut(words.replace(/[<>&]/g, " "), SECTION_MOST), blocks: [] };
}
