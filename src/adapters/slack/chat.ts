/** The chat port on Slack: posts a message once whatever is lost on the way, edits it in place, and lets nothing cosmetic stand before what is urgent. */
import type { KnownBlock } from "@slack/types";
import type { WebClient } from "@slack/web-api";
import { alertOf } from "../../core/report/alert.ts";
import { cardOf } from "../../core/report/card.ts";
import type { MessageRef, Notice, OutboxItem } from "../../engine/messages.ts";
import { type Chat, type Log, messageOfFault, type RunView } from "../../engine/ports.ts";
import { Answers } from "./answers.ts";
import type { Calls } from "./calls.ts";
import type { Clients } from "./clients.ts";
import { Edits } from "./edits.ts";
import { isBadContent, SlackFault } from "./faults.ts";
import { Lookup, metadataOf } from "./lookup.ts";
import type { WhoAmI } from "./options.ts";
import { PostPace, sleep } from "./pace.ts";
import type { Places } from "./places.ts";
import { renderAlert } from "./render-alert.ts";
import { renderNote } from "./render-answer.ts";
import { renderCard } from "./render-card.ts";
import type { Rendered } from "./render-text.ts";
import { LastLook, plainer } from "./sendable.ts";

export interface ChatDeps {
  readonly clients: Clients;
  readonly calls: Calls;
  readonly places: Places;
  readonly whoAmI: WhoAmI;
  readonly apiUrl: string | undefined;
  readonly pageMention: string | undefined;
  readonly zone: string;
  readonly log: Log;
  readonly stopped: AbortSignal;
  /** Wall clock, Unix ms. */
  readonly now: () => number;
}

/** A message on its way: into which channel and thread, in which lane. */
interface Outgoing {
  readonly item: OutboxItem;
  readonly channel: string;
  readonly thread: string | undefined;
  readonly message: Rendered;
  readonly isUrgent: boolean;
  /** When its view was taken, steady ms. */
  readonly takenAt: number;
}

const URGENT_RETRIES_MS = [100, 300] as const;
/** From this attempt on, an urgent message goes out even when Slack cannot say whether it is there already. */
const URGENT_ANYWAY_FROM = 3;

export class SlackChat implements Chat {
  readonly #deps: ChatDeps;
  readonly #answers: Answers;
  readonly #lookup: Lookup;
  readonly #edits: Edits;
  readonly #pace = new PostPace();
  readonly #lastLook: LastLook;

  constructor(deps: ChatDeps) {
    this.#deps = deps;
    const { clients, ...rest } = deps;
    this.#lastLook = new LastLook(deps.log);
    this.#answers = new Answers({ ...rest, urgent: clients.urgent, lastLook: this.#lastLook });
    this.#lookup = new Lookup({ ...rest, client: clients.urgent });
    this.#edits = new Edits(deps.stopped);
  }

  async post(
    item: OutboxItem,
    view: RunView | undefined,
    thread: MessageRef | undefined,
  ): Promise<MessageRef | undefined> {
    const { body } = item;
    if (body.kind === "answer") {
      await this.#answers.deliver(item.key, body.replyTo, body.answer, item.wall);
      return undefined;
    }
    if (body.kind === "page" || body.kind === "change") throw notForSlack(item.key);
    const message = this.#render(item, body, view);
    if (message === undefined) return undefined;
    const channel = thread?.channel ?? (await this.#deps.places.idOf(body.channel));
    const outgoing: Outgoing = {
      item,
      channel,
      thread: body.kind === "note" ? thread?.ts : undefined,
      message,
      isUrgent: item.lane === "urgent",
      takenAt: takenAtOf(view),
    };
    const before = item.attempts > 0 ? await this.#earlier(outgoing) : undefined;
    return before ?? this.#postNew(outgoing);
  }

  async update(ref: MessageRef, item: OutboxItem, view: RunView | undefined): Promise<void> {
    const { body } = item;
    if (body.kind === "answer" || body.kind === "note") return;
    if (body.kind === "page" || body.kind === "change") throw notForSlack(item.key);
    const message = this.#render(item, body, view);
    if (message === undefined) return;
    const isUrgent = item.lane === "urgent";
    await this.#edits.edit({
      key: item.key,
      bytes: JSON.stringify(message),
      takenAt: takenAtOf(view),
      // The outbox numbers what was announced; a refresh of figures has no number.
      isRefresh: item.id === 0,
      isUrgent,
      send: () => this.#plainly(message, (one) => this.#edit(ref, item.key, one, isUrgent)),
    });
  }

  /** The message as it has to look now; undefined when there is nothing to show. */
  #render(
    { key, lane }: OutboxItem,
    body: Exclude<Notice, { kind: "answer" | "page" | "change" }>,
    view: RunView | undefined,
  ): Rendered | undefined {
    const { pageMention, zone } = this.#deps;
    if (body.kind === "note") {
      // An urgent one stands for an alert that could not be shown in full.
      const mention = lane === "urgent" ? pageMention : undefined;
      return this.#lastLook.checked(key, renderNote(body.text, mention));
    }
    if (body.kind === "post") {
      const { text, blocks, leftOut } = renderAlert(body.post, {
        dates: { zone, nowWall: this.#deps.now() },
        seen: undefined,
        mention: body.mention ? pageMention : undefined,
      });
      return this.#lastLook.checked(key, { text, blocks }, leftOut);
    }
    if (view === undefined)
      throw new SlackFault(`the run ${body.run} is not in the journal`, { recoverable: false });
    const dates = { zone, nowWall: view.now.wall };
    if (body.kind === "card") {
      const card = renderCard(cardOf(view), dates);
      return this.#lastLook.checked(key, { text: card.text, blocks: card.blocks }, card.leftOut);
    }
    const alert = alertOf(view, body.about, body.seq);
    if (alert === undefined) return undefined;
    const seen = { run: view.state.run, face: view.state.face };
    const wantsPeople = ["page", "rollback", "would"].includes(body.about);
    const mention = wantsPeople ? pageMention : undefined;
    const { text, blocks, leftOut } = renderAlert(alert, { dates, seen, mention });
    return this.#lastLook.checked(key, { text, blocks }, leftOut);
  }

  /** The message of an earlier try, brought up to date; undefined when there is none, or nobody can tell. */
  async #earlier(outgoing: Outgoing): Promise<MessageRef | undefined> {
    const { item, channel, thread, message, isUrgent } = outgoing;
    let ref: MessageRef | undefined;
    try {
      const found = await this.#lookup.find(item.key, channel, thread, item.wall);
      ref = found.kind === "found" ? found.ref : undefined;
    } catch (error) {
      if (!isUrgent || item.attempts < URGENT_ANYWAY_FROM) throw error;
      this.#deps.log.warn("an urgent message goes out, although an earlier try may have reached Slack", {
        key: item.key,
        error: messageOfFault(error),
      });
    }
    if (ref === undefined) return undefined;
    // It shows the run as it was at that try.
    if (item.body.kind !== "note") {
      const where = ref;
      await this.#plainly(message, (one) => this.#edit(where, item.key, one, isUrgent));
    }
    this.#edits.posted(item.key, JSON.stringify(message), outgoing.takenAt);
    return ref;
  }

  async #postNew(outgoing: Outgoing): Promise<MessageRef> {
    const { item, channel, message, isUrgent, takenAt } = outgoing;
    if (isUrgent) this.#pace.urgent(channel);
    else await this.#pace.cosmetic(channel, item.body.kind === "card", this.#deps.stopped);
    const ref = await this.#plainly(message, (one) =>
      isUrgent ? this.#insist({ ...outgoing, message: one }) : this.#send({ ...outgoing, message: one }),
    );
    this.#edits.posted(item.key, JSON.stringify(message), takenAt);
    return ref;
  }

  /** Tries an urgent message again at once, but looks first where the lost try may have arrived. */
  async #insist(outgoing: Outgoing): Promise<MessageRef> {
    const { item, channel, thread } = outgoing;
    for (const wait of URGENT_RETRIES_MS) {
      try {
        return await this.#send(outgoing);
      } catch (error) {
        const passing = error instanceof SlackFault && error.recoverable && error.retryAfterMs === undefined;
        if (!passing) throw error;
        await sleep(wait, this.#deps.stopped);
        if (!error.unsure) continue;
        const found = await this.#lookup.find(item.key, channel, thread, item.wall);
        if (found.kind === "found") return found.ref;
        // Nobody can look: the outbox tries again later, and one message too many is then the lesser evil.
        if (found.kind === "unknown" && item.attempts < 1) throw error;
      }
    }
    return this.#send(outgoing);
  }

  /** One chat.postMessage. */
  async #send(outgoing: Outgoing): Promise<MessageRef> {
    const { item, channel, thread, message, isUrgent } = outgoing;
    const { calls, places } = this.#deps;
    const blocks: KnownBlock[] = [...message.blocks];
    const what = {
      method: "chat.postMessage",
      lane: laneOf(isUrgent),
      per: channel,
      channel: places.nameOf(channel),
    };
    try {
      const answer = await calls.run(what, () =>
        this.#client(isUrgent).chat.postMessage({
          channel,
          text: message.text,
          ...(blocks.length === 0 ? {} : { blocks }),
          ...(thread === undefined ? {} : { thread_ts: thread }),
          metadata: metadataOf(item.key),
          unfurl_links: false,
          unfurl_media: false,
        }),
      );
      if (answer.ts === undefined)
        throw new SlackFault("Slack did not say where the message is", { recoverable: true, unsure: true });
      return { channel: answer.channel ?? channel, ts: answer.ts };
    } catch (error) {
      const code = error instanceof SlackFault ? error.code : undefined;
      const threadGone = code === "thread_not_found" || code === "cannot_reply_to_message";
      if (!threadGone || thread === undefined) throw error;
      return this.#send({ ...outgoing, thread: undefined });
    }
  }

  /** One chat.update; urgent ones are tried again at once, because an edit may safely come twice. */
  async #edit(ref: MessageRef, key: string, message: Rendered, isUrgent: boolean): Promise<void> {
    const { calls, places, stopped } = this.#deps;
    const what = {
      method: "chat.update",
      lane: laneOf(isUrgent),
      channel: places.nameOf(ref.channel),
    };
    const once = (): Promise<unknown> =>
      calls.run(what, () =>
        this.#client(isUrgent).chat.update({
          channel: ref.channel,
          ts: ref.ts,
          text: message.text,
          // Without blocks, Slack would keep or drop the old ones as it likes.
          blocks: [...message.blocks],
          metadata: metadataOf(key),
        }),
      );
    for (const wait of isUrgent ? URGENT_RETRIES_MS : []) {
      try {
        await once();
        return;
      } catch (error) {
        const passing = error instanceof SlackFault && error.recoverable && error.retryAfterMs === undefined;
        if (!passing) throw error;
        await sleep(wait, stopped);
      }
    }
    await once();
  }

  /** Sends a message; when Slack refuses its content all the same, a plainer one. */
  async #plainly<T>(message: Rendered, send: (message: Rendered) => Promise<T>): Promise<T> {
    try {
      return await send(message);
    } catch (error) {
      if (!isBadContent(error) || message.blocks.length === 0) throw error;
      this.#deps.log.error("Slack refused a message's blocks; it is sent as text", {
        error: messageOfFault(error),
      });
    }
    const short = plainer(message);
    try {
      return await send(short);
    } catch (error) {
      if (!isBadContent(error) || short.blocks.length === 0) throw error;
      return send({ text: short.text, blocks: [] });
    }
  }

  #client(isUrgent: boolean): WebClient {
    const { urgent, cosmetic } = this.#deps.clients;
    return isUrgent ? urgent : cosmetic;
  }
}

function notForSlack(key: string): SlackFault {
  return new SlackFault(`${key} is for on-call, not for Slack`, { recoverable: false });
}

/** A post is made whole when it is announced, and one delivery of it follows the other: the later call is the newer one. */
function takenAtOf(view: RunView | undefined): number {
  return view?.now.steady ?? performance.now();
}

function laneOf(isUrgent: boolean): "urgent" | "cosmetic" {
  return isUrgent ? "urgent" : "cosmetic";
}
