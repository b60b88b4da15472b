/** The form that asks for a reason before a command runs, and what it says when it comes back. */
import type { ModalView } from "@slack/types";
import { z } from "zod";
import type { Face } from "./buttons.ts";
import { cut, escapeMarkup, oneLine } from "./render-text.ts";

export const FORM_ID = "belay_reason";
export const REASON_BLOCK = "why";
const REASON_ACTION = "text";
const REASON_MOST = 480;
const TITLE_MOST = 24;

/** What the form carries from the press to its sending. */
export interface Asked {
  readonly command: string;
  readonly seen: Face | undefined;
  readonly channel: { readonly id: string; readonly name: string | undefined };
  /** Of the press: where the answer goes. */
  readonly responseUrl: string;
}

const CARRIED = z.object({
  c: z.string().min(1),
  r: z.string().optional(),
  f: z.number().int().optional(),
  ch: z.string().min(1),
  cn: z.string().optional(),
  u: z.string().min(1),
});

/** The form for a command that wants a reason. */
export function formOf(asked: Asked, question: string): ModalView {
  const { command, seen, channel, responseUrl } = asked;
  const [, verb = "Run", ...rest] = command.split(" ");
  const submit = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}`;
  return {
    type: "modal",
    callback_id: FORM_ID,
    title: { type: "plain_text", text: cut(`${submit} ${rest[0] ?? ""}`.trim(), TITLE_MOST) },
    submit: { type: "plain_text", text: cut(submit, TITLE_MOST) },
    close: { type: "plain_text", text: "Leave as it is" },
    private_metadata: JSON.stringify({
      c: command,
      ...(seen === undefined ? {} : { r: seen.run, f: seen.face }),
      ch: channel.id,
      ...(channel.name === undefined ? {} : { cn: channel.name }),
      u: responseUrl,
    }),
    blocks: [
      {
        type: "section",
        text: {
          type: "mrkdwn",
          text: `Runs \`/${escapeMarkup(cut(oneLine(command), 500)).replaceAll("`", "'")}\``,
        },
      },
      {
        type: "input",
        block_id: REASON_BLOCK,
        label: { type: "plain_text", text: cut(oneLine(question), 500) },
        hint: { type: "plain_text", text: "Everybody sees it in the rollout's history." },
        element: {
          type: "plain_text_input",
          action_id: REASON_ACTION,
          multiline: true,
          max_length: REASON_MOST,
        },
      },
    ],
  };
}

/** Reads back what the form carried; undefined when it is none of ours. */
export function readAsked(privateMetadata: string): Asked | undefined {
  let decoded: unknown;
  try {
    decoded = JSON.parse(privateMetadata);
  } catch {
    return undefined;
  }
  const read = CARRIED.safeParse(decoded);
  if (!read.success) return undefined;
  const { c, r, f, ch, cn, u } = read.data;
  return {
    command: c,
    seen: r === undefined || f === undefined ? undefined : { run: r, face: f },
    channel: { id: ch, name: cn },
    responseUrl: u,
  };
}

/** The reason as typed. */
export function reasonOf(typed: (blockId: string, actionId: string) => string): string {
  return oneLine(typed(REASON_BLOCK, REASON_ACTION));
}

/** The command with its reason as people would type it; quotes inside become single ones. */
export function withReason(command: string, reason: string): string {
  return `${command} because "${reason.replace(/["\u201C\u201D\u201E\u00AB\u00BB]/g, "'")}"`;
}
