/** Finding a message again by its key, after a try whose outcome was never learned. */
import type { MessageMetadata } from "@slack/types";
import type { WebClient } from "@slack/web-api";
import type { MessageRef } from "../../engine/messages.ts";
import type { Log } from "../../engine/ports.ts";
import type { Calls } from "./calls.ts";
import { SlackFault } from "./faults.ts";
import type { WhoAmI } from "./options.ts";
import type { Places } from "./places.ts";

const EVENT_TYPE = "belay_message";
/** Looked through at most. */
const MESSAGES_MOST = 200;
/** Our clock and Slack's may differ by so much. */
const SKEW_MS = 60_000;

/** The mark by which a message is found again. */
export function metadataOf(key: string): MessageMetadata {
  return { event_type: EVENT_TYPE, event_payload: { key } };
}

/** `unknown`: Slack does not let Belay look. */
export type Found =
  | { readonly kind: "found"; readonly ref: MessageRef }
  | { readonly kind: "absent" }
  | { readonly kind: "unknown" };

export interface LookupDeps {
  readonly client: WebClient;
  readonly calls: Calls;
  readonly places: Places;
  readonly whoAmI: WhoAmI;
  readonly log: Log;
}

/** What Slack tells of a message; the rest is not used. */
interface SlackMessage {
  readonly ts?: string;
  readonly bot_id?: string;
  readonly metadata?: { readonly event_type?: string; readonly event_payload?: object };
}

export class Lookup {
  readonly #deps: LookupDeps;
  #hasToldOfScope = false;

  constructor(deps: LookupDeps) {
    this.#deps = deps;
  }

  /**
   * Looks in a channel, or in a thread of it, for the message with this key among those since `sinceWall` (Unix ms).
   * Rejects with a `SlackFault` when Slack cannot be asked now.
   */
  async find(key: string, channel: string, thread: string | undefined, sinceWall: number): Promise<Found> {
    const { whoAmI } = this.#deps;
    const scopes = whoAmI()?.scopes;
    if (scopes !== undefined && !scopes.has("channels:history") && !scopes.has("groups:history"))
      return this.#cannotLook();
    try {
      const messages = await this.#read(channel, thread, sinceWall);
      const ts = messages.find((message) => this.#isOurs(message, key))?.ts;
      return ts === undefined ? { kind: "absent" } : { kind: "found", ref: { channel, ts } };
    } catch (error) {
      if (!(error instanceof SlackFault)) throw error;
      if (error.code === "missing_scope") return this.#cannotLook();
      // Where nothing can be read, nothing was posted; what is wrong comes out of the post itself.
      if (error.code === "thread_not_found" || error.code === "not_in_channel") return { kind: "absent" };
      if (error.code === "channel_not_found") return { kind: "absent" };
      throw error;
    }
  }

  async #read(
    channel: string,
    thread: string | undefined,
    sinceWall: number,
  ): Promise<readonly SlackMessage[]> {
    const { client, calls, places } = this.#deps;
    const range = {
      channel,
      oldest: `${Math.max(0, Math.floor((sinceWall - SKEW_MS) / 1_000))}.000000`,
      limit: MESSAGES_MOST,
      include_all_metadata: true,
    };
    const method = thread === undefined ? "conversations.history" : "conversations.replies";
    const answer = await calls.run({ method, lane: "lists", channel: places.nameOf(channel) }, () =>
      thread === undefined
        ? client.conversations.history(range)
        : client.conversations.replies({ ...range, ts: thread }),
    );
    return answer.messages ?? [];
  }

  #isOurs({ bot_id, metadata }: SlackMessage, key: string): boolean {
    const me = this.#deps.whoAmI()?.botId;
    if (me !== undefined && bot_id !== undefined && bot_id !== me) return false;
    if (metadata?.event_type !== EVENT_TYPE) return false;
    const payload = metadata.event_payload;
    return payload !== undefined && "key" in payload && payload.key === key;
  }

  #cannotLook(): Found {
    if (!this.#hasToldOfScope) {
      this.#hasToldOfScope = true;
      this.#deps.log.warn(
        "the Slack app lacks channels:history (private channels: groups:history), so after a lost reply a message may come twice",
      );
    }
    return { kind: "unknown" };
  }
}
