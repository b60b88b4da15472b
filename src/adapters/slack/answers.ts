/** The private answers to commands: by the address that came with the command, else as a note that only its author sees. */
import type { CommandAnswer, ReplyTo } from "../../engine/messages.ts";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import { isBadContent, SlackFault } from "./faults.ts";
import { sleep } from "./pace.ts";
import { renderAnswer } from "./render-answer.ts";
import type { Rendered } from "./render-text.ts";
import { isGone, type RespondDeps, respond, whisper } from "./respond.ts";
import type { LastLook } from "./sendable.ts";

export interface AnswersDeps extends RespondDeps {
  readonly log: Log;
  readonly lastLook: LastLook;
  readonly stopped: AbortSignal;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/** Slack's address works for 30 minutes. */
const ADDRESS_LIFETIME_MS = 29 * 60_000;
const QUICK_RETRIES_MS = [100, 300] as const;

export class Answers {
  readonly #deps: AnswersDeps;

  constructor(deps: AnswersDeps) {
    this.#deps = deps;
  }

  /** Shows the answer; `wall` (Unix ms) is when it was given. An answer may rarely come twice, never not at all. Rejects with a `SlackFault`. */
  async deliver(key: string, replyTo: ReplyTo, answer: CommandAnswer, wall: number): Promise<void> {
    if (replyTo.kind === "none") return;
    const { text, blocks, leftOut } = renderAnswer(answer);
    const message = this.#deps.lastLook.checked(key, { text, blocks }, leftOut);
    for (const wait of [...QUICK_RETRIES_MS, undefined]) {
      try {
        await this.#once(replyTo, message, wall);
        return;
      } catch (error) {
        const passing = error instanceof SlackFault && error.recoverable && error.retryAfterMs === undefined;
        if (!passing || wait === undefined) throw error;
        await sleep(wait, this.#deps.stopped);
      }
    }
  }

  async #once(replyTo: Exclude<ReplyTo, { kind: "none" }>, message: Rendered, wall: number): Promise<void> {
    const { now, log } = this.#deps;
    const whom = {
      channel: replyTo.channel,
      user: replyTo.user,
      thread: replyTo.kind === "slack_mention" ? replyTo.thread : undefined,
    };
    const usable = replyTo.kind === "slack" && now() - wall < ADDRESS_LIFETIME_MS;
    if (!usable) return whisper(whom, message, this.#deps);
    try {
      await respond(replyTo.responseUrl, message, this.#deps);
    } catch (error) {
      if (isBadContent(error) && message.blocks.length > 0)
        return respond(replyTo.responseUrl, { text: message.text, blocks: [] }, this.#deps);
      if (!isGone(error)) throw error;
      log.info("an answer's address could not be used; it is shown as a note", {
        why: messageOfFault(error),
      });
      await whisper(whom, message, this.#deps);
    }
  }
}
