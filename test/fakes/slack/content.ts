/** Reads and judges the content of a message that the bot sends, by whichever door it comes. */

import { checkBlocks } from "./block-kit.ts";
import type { Context } from "./context.ts";
import { isList, isObject, type JsonObject } from "./json.ts";
import { checkMrkdwn, hasBroadcast, hasBroadcastElement, mrkdwnTexts } from "./mrkdwn.ts";

/** A longer text is cut, with the warning `message_truncated`. */
export const TEXT_CUT_AT = 40_000;

/** Content that may be shown, or Slack's error code with the places that are wrong. */
export type Content =
  | {
      readonly kind: "ok";
      readonly text: string;
      readonly blocks: readonly JsonObject[] | undefined;
      readonly truncated: boolean;
    }
  | { readonly kind: "refused"; readonly error: string; readonly problems: readonly string[] };

/** What a sender gave; `blocks` is whatever came, parsed from JSON. */
export interface RawContent {
  readonly text: string | undefined;
  readonly blocks: unknown;
}

/**
 * Judges a message's text and blocks. What Slack refuses is returned as refused; what it would take but the house
 * forbids (no fallback text, raw `&<>`, mentions of a whole channel) is recorded as a violation, naming `where`.
 */
export function readContent(context: Context, where: string, raw: RawContent): Content {
  const given = raw.blocks ?? undefined;
  const text = raw.text ?? "";
  if (given !== undefined && !isList(given)) {
    return { kind: "refused", error: "invalid_blocks_format", problems: ["blocks must be an array"] };
  }
  const blocks = given === undefined || given.length === 0 ? undefined : given;
  if (blocks === undefined && text.trim() === "") return { kind: "refused", error: "no_text", problems: [] };
  if (blocks !== undefined) {
    const problems = checkBlocks(blocks, "message");
    const tooLong = problems.some((problem) => problem.startsWith("msg_blocks_too_long"));
    const error = tooLong && problems.length === 1 ? "msg_blocks_too_long" : "invalid_blocks";
    if (problems.length > 0) return { kind: "refused", error, problems };
  }
  judgeManners(context, where, text, blocks);
  const truncated = [...text].length > TEXT_CUT_AT;
  return {
    kind: "ok",
    text: truncated ? [...text].slice(0, TEXT_CUT_AT).join("") : text,
    blocks: blocks?.filter(isObject),
    truncated,
  };
}

function judgeManners(
  context: Context,
  where: string,
  text: string,
  blocks: readonly unknown[] | undefined,
): void {
  const { violate } = context.record;
  if (text.trim() === "")
    violate("fallback_text_missing", `${where}: blocks without a text for notifications`);
  const texts = [text, ...mrkdwnTexts(blocks ?? [])];
  for (const problem of texts.flatMap(checkMrkdwn)) violate("unescaped_mrkdwn", `${where}: ${problem}`);
  if (!context.broadcastsAllowed && (texts.some(hasBroadcast) || hasBroadcastElement(blocks))) {
    violate("broadcast_mention", `${where}: mentions @channel, @here or @everyone`);
  }
}
