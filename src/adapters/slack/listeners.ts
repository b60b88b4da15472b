/** What Belay listens to: commands, mentions, buttons and forms; each one becomes a command for the engine, is made safe, and is then acknowledged. */
import type { App } from "@slack/bolt";
import type { WebClient } from "@slack/web-api";
import type { Actor } from "../../core/event.ts";
import type { Intake, ReplyTo } from "../../engine/messages.ts";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import { formProblems } from "./block-rules.ts";
import { type Face, readValue } from "./buttons.ts";
import type { Calls } from "./calls.ts";
import { type AckBody, DELIVERY, Delivery } from "./delivery.ts";
import { FORM_ID, formOf, REASON_BLOCK, readAsked, reasonOf, withReason } from "./form.ts";
import { refusalOf } from "./gate.ts";
import type { SlackOptions, Taken, WhoAmI } from "./options.ts";
import {
  type ActionCame,
  type Came,
  type CommandCame,
  type MentionCame,
  readAction,
  readCommand,
  readMention,
  readSubmission,
} from "./payloads.ts";
import type { People } from "./people.ts";
import type { Places } from "./places.ts";
import { renderWords } from "./render-answer.ts";
import { escapeMarkup } from "./render-text.ts";
import { type RespondDeps, respond, whisper } from "./respond.ts";

export interface ListenerDeps extends RespondDeps {
  readonly submit: SlackOptions["submit"];
  readonly allowedChannels: readonly string[] | undefined;
  readonly whoAmI: WhoAmI;
  readonly calls: Calls;
  readonly places: Places;
  readonly people: People;
  readonly urgent: WebClient;
  readonly log: Log;
}

/** Slack gives 3 s; what the journal has not taken by then is told to be uncertain. */
const SUBMIT_DEADLINE_MS = 2_500;
/** Slack's own limit for a message; nothing longer is kept. */
const TEXT_MOST = 40_000;
const PRESSES_KEPT = 1_000;

const SLOW: Taken = {
  kind: "unavailable",
  text: "The journal did not answer in time, so it is not certain whether this command was taken. Look at `/rollout status` before you repeat it; going back (`rollback`, `hold`) can be repeated safely.",
};
const BROKEN: Taken = {
  kind: "unavailable",
  text: "An internal error met this command. Look at `/rollout status` before you repeat it.",
};
const NO_RUNBOOKS =
  "Runbooks are not available in this version; nothing was run. What works: `/rollout` and `/belay` (try `/belay help`).";
const OLD_BUTTON =
  "That button is from another version of Belay and does nothing any more. Use the newest card, or type the command. Nothing changed.";

/** A command on its way in, with the way to tell its author something privately. */
interface Request {
  readonly came: Came;
  readonly text: string;
  readonly noun: Intake["noun"] | undefined;
  readonly seen: Face | undefined;
  readonly replyTo: ReplyTo;
  readonly delivery: Delivery;
  /** Acknowledges, saying `words` to the person alone. */
  readonly tell: (words: string) => Promise<void>;
}

export class Listeners {
  readonly #deps: ListenerDeps;
  /** Presses that opened a form: the same press delivered again must not open another. */
  readonly #asked = new Set<string>();

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
  }

  /** Registers everything with Bolt. */
  register(app: App): void {
    app.command(/^/, ({ body, context }) => this.#command(body, deliveryOf(context)));
    app.action(/^/, ({ body, context }) => this.#action(body, deliveryOf(context)));
    app.view(/^/, ({ body, context }) => this.#submission(body, deliveryOf(context)));
    app.event("app_mention", ({ body, context }) => this.#mention(body, deliveryOf(context)));
  }

  async #command(body: unknown, delivery: Delivery): Promise<void> {
    const came = readCommand(body);
    const tell = (words: string): Promise<void> => delivery.ack(privately(words));
    if (came === undefined) return tell("Belay does not know this command. Nothing changed.");
    if (came.noun === "runbook") return tell(NO_RUNBOOKS);
    await this.#serve({
      came,
      text: came.text,
      noun: came.noun,
      seen: undefined,
      replyTo: slackReply(came),
      delivery,
      tell,
    });
  }

  async #mention(body: unknown, delivery: Delivery): Promise<void> {
    const came = readMention(body);
    // An answer to a program could be answered by it, for ever.
    if (came === undefined || came.isByBot) return delivery.ack();
    const { channel, user, thread } = came;
    await this.#serve({
      came,
      text: this.#withoutMention(came),
      noun: undefined,
      seen: undefined,
      replyTo: {
        kind: "slack_mention",
        user: user.id,
        channel: channel.id,
        ...(thread === undefined ? {} : { thread }),
      },
      delivery,
      tell: async (words) => {
        await delivery.ack();
        await this.#afterwards(
          whisper({ channel: channel.id, user: user.id, thread }, renderWords(words), this.#deps),
        );
      },
    });
  }

  async #action(body: unknown, delivery: Delivery): Promise<void> {
    const came = readAction(body);
    if (came === undefined) return delivery.ack();
    const pressed = readValue(came.value);
    const tell = async (words: string): Promise<void> => {
      await delivery.ack();
      await this.#afterwards(respond(came.responseUrl, renderWords(words), this.#deps));
    };
    if (pressed === undefined) return tell(OLD_BUTTON);
    const { command, seen, question } = pressed;
    if (question !== undefined) return this.#ask(came, command, seen, question, delivery, tell);
    await this.#serve({
      came,
      text: command,
      noun: undefined,
      seen,
      replyTo: slackReply(came),
      delivery,
      tell,
    });
  }

  /** Opens the form for the reason. Slack lets a form be opened only within 3 s, so this goes at once and without the journal. */
  async #ask(
    came: ActionCame,
    command: string,
    seen: Face | undefined,
    question: string,
    delivery: Delivery,
    tell: Request["tell"],
  ): Promise<void> {
    const { urgent, calls, log } = this.#deps;
    const refusal = refusalOf(came, this.#deps);
    if (refusal !== undefined) return tell(refusal);
    await delivery.ack();
    if (!this.#isFirst(came.triggerId)) return;
    const { channel, responseUrl, triggerId } = came;
    const view = formOf({ command, seen, channel, responseUrl }, question);
    const byHand = `Type \`/${escapeForCode(command)} because "..."\` instead. Nothing changed.`;
    const problems = formProblems(view);
    if (problems.length > 0) {
      log.error("a form breaks Slack's rules", { command, problems: problems.join("; ") });
      return tell(`The form cannot be shown. ${byHand}`);
    }
    try {
      await calls.run({ method: "views.open", lane: "urgent" }, () =>
        urgent.views.open({ trigger_id: triggerId, view }),
      );
    } catch (error) {
      log.warn("a form could not be opened", { error: messageOfFault(error) });
      await this.#afterwards(
        respond(responseUrl, renderWords(`The form could not be opened. ${byHand}`), this.#deps),
      );
    }
  }

  #isFirst(triggerId: string): boolean {
    if (this.#asked.has(triggerId)) return false;
    if (this.#asked.size >= PRESSES_KEPT) this.#asked.clear();
    this.#asked.add(triggerId);
    return true;
  }

  async #submission(body: unknown, delivery: Delivery): Promise<void> {
    const came = readSubmission(body);
    const asked = came?.callbackId === FORM_ID ? readAsked(came.privateMetadata) : undefined;
    if (came === undefined || asked === undefined) return delivery.ack();
    const tell = (words: string): Promise<void> =>
      delivery.ack({ response_action: "errors", errors: { [REASON_BLOCK]: words } });
    const reason = reasonOf(came.typed);
    if (reason === "") return tell("Say why, in a few words.");
    const { command, seen, channel, responseUrl } = asked;
    const whole: Came = { ...came, channel };
    await this.#serve({
      came: whole,
      text: withReason(command, reason),
      noun: undefined,
      seen,
      replyTo: { kind: "slack", responseUrl, user: came.user.id, channel: channel.id },
      delivery,
      tell,
    });
  }

  /** The one way in: refused, or made safe and acknowledged. What becomes of it is told later, through the outbox. */
  async #serve(request: Request): Promise<void> {
    const { came, delivery } = request;
    const refusal = refusalOf(came, this.#deps);
    if (refusal !== undefined) return request.tell(refusal);
    const taken = await this.#submit({
      key: came.key,
      text: request.text.slice(0, TEXT_MOST),
      actor: this.#actorOf(came),
      replyTo: request.replyTo,
      ...(request.noun === undefined ? {} : { noun: request.noun }),
      ...(request.seen === undefined ? {} : { seen: request.seen }),
    });
    if (taken.kind === "unavailable") await request.tell(taken.text);
    else await delivery.ack();
  }

  /** Never rejects, and settles in time for Slack. */
  async #submit(intake: Omit<Intake, "at" | "wall">): Promise<Taken> {
    const { submit, log } = this.#deps;
    const { promise: late, resolve } = Promise.withResolvers<Taken>();
    const timer = setTimeout(() => resolve(SLOW), SUBMIT_DEADLINE_MS);
    const taken = submit(intake).catch((error: unknown): Taken => {
      log.error("a command was not taken", { key: intake.key, error: messageOfFault(error) });
      return BROKEN;
    });
    const first = await Promise.race([taken, late]);
    clearTimeout(timer);
    return first;
  }

  /** The actor is who Slack says it is, whatever the text says. */
  #actorOf({ user }: Came): Actor {
    const name = user.name ?? this.#deps.people.nameOf(user.id) ?? user.id;
    return { kind: "person", id: user.id, name, via: "slack" };
  }

  #withoutMention({ text }: MentionCame): string {
    const me = this.#deps.whoAmI()?.botUserId;
    return me === undefined ? text : text.replaceAll(new RegExp(`<@${me}(?:\\|[^>]*)?>`, "g"), " ").trim();
  }

  /** A note that came too late for the acknowledgement; whether it arrives changes nothing. */
  async #afterwards(note: Promise<void>): Promise<void> {
    try {
      await note;
    } catch (error) {
      this.#deps.log.warn("a private note could not be shown", { error: messageOfFault(error) });
    }
  }
}

function deliveryOf(context: Readonly<Record<string, unknown>>): Delivery {
  const delivery = context[DELIVERY];
  if (!(delivery instanceof Delivery)) throw new Error("Bolt lost a delivery");
  return delivery;
}

function privately(words: string): AckBody {
  return { response_type: "ephemeral", text: escapeMarkup(words) };
}

function escapeForCode(command: string): string {
  return command.replaceAll("`", "'");
}

function slackReply({ responseUrl, user, channel }: CommandCame | ActionCame): ReplyTo {
  return { kind: "slack", responseUrl, user: user.id, channel: channel.id };
}
