/** What a person sees at once after doing something in the workspace. */

import type { Context } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import type { Message } from "./model.ts";
import { escapeText } from "./mrkdwn.ts";

/**
 * How an act ended for the person:
 * `ok`: the app acknowledged it, or nobody had to · `operation_timeout`: not acknowledged in 3 s, the app may still be
 * at it · `dispatch_failed`: the app could not be reached or answered with an error · `invalid_command`: no such slash
 * command · `not_in_threads`: slash commands do not work in threads · `not_rendered`: nothing like that is shown to
 * this person now · `not_confirmed`: a confirmation dialog was shown and not agreed to; nothing was sent ·
 * `not_configured`: the manifest has no interactivity · `not_delivered`: posted, but the app does not hear of it ·
 * `not_allowed`: this person or this channel cannot do that · `invalid_input`: the form is not filled in; nothing was
 * sent · `view_errors`: the app refused the form.
 */
export type Outcome =
  | "ok"
  | "operation_timeout"
  | "dispatch_failed"
  | "invalid_command"
  | "not_in_threads"
  | "not_rendered"
  | "not_confirmed"
  | "not_configured"
  | "not_delivered"
  | "not_allowed"
  | "invalid_input"
  | "view_errors";

/** The first thing that a person sees after an act. */
export interface Reaction {
  readonly outcome: Outcome;
  /** From sending to the acknowledgement; undefined when there was none. */
  readonly ackMs: number | undefined;
  /** The answer in the acknowledgement, or Slack's own words when something went wrong; else the empty string. */
  readonly text: string;
  /** The message that came with it: the app's answer, Slack's notice, or what the person posted. */
  readonly message: Message | undefined;
  /** What is wrong with a form, by block_id. */
  readonly errors: Readonly<Record<string, string>>;
}

/** Builds a reaction; everything not given is empty. */
export function reaction(outcome: Outcome, rest: Partial<Omit<Reaction, "outcome">> = {}): Reaction {
  return { outcome, ackMs: undefined, text: "", message: undefined, errors: {}, ...rest };
}

/** The outcome of one delivery. */
export function outcomeOf(delivery: Delivery): Outcome {
  switch (delivery.kind) {
    case "acked":
      return "ok";
    case "timeout":
      return "operation_timeout";
    case "refused":
    case "undeliverable":
      return "dispatch_failed";
  }
}

/** A private note from Slackbot to one person. */
export function notice(
  context: Context,
  user: string,
  channel: string,
  text: string,
  threadTs?: string,
): Message {
  return context.messages.post({
    channel,
    author: context.workspace.slackbot.id,
    byBot: false,
    via: "slackbot",
    text: escapeText(text),
    onlyFor: user,
    threadTs,
  });
}
