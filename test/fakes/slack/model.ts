/** The things that a workspace is made of, and the events that tell of their changes. */

import type { JsonObject } from "./json.ts";

/** A person or a bot user. */
export interface User {
  readonly id: string;
  /** Handle without the `@`. */
  readonly name: string;
  readonly realName: string;
  readonly teamId: string;
  readonly kind: "member" | "guest" | "stranger" | "deleted" | "bot" | "app" | "slackbot";
}

/** A channel, or the direct messages (`im`) between the bot and one person. */
export interface Channel {
  readonly id: string;
  /** Without the `#`; for an `im` the person's handle. */
  readonly name: string;
  readonly kind: "public" | "private" | "im";
  readonly topic: string;
  readonly archived: boolean;
  /** User ids; the bot's is among them when it is in the channel. */
  readonly members: ReadonlySet<string>;
}

/** A user group. */
export interface Group {
  readonly id: string;
  readonly handle: string;
  readonly members: readonly string[];
  readonly disabled: boolean;
}

/** One version of a message. */
export interface MessageVersion {
  readonly kind: "posted" | "updated" | "deleted";
  /** Milliseconds since 1970 on the workspace's clock. */
  readonly at: number;
  readonly via: Via;
  readonly text: string;
  readonly blocks: readonly JsonObject[] | undefined;
}

/** The way by which a message came or changed. */
export type Via =
  | "person"
  | "chat.postMessage"
  | "chat.update"
  | "chat.delete"
  | "chat.postEphemeral"
  | "response_url"
  | "ack"
  | "slackbot";

/** A message; a new object for each version. */
export interface Message {
  /** Channel id. */
  readonly channel: string;
  /** Slack's timestamp id: ten digits, a dot, six digits; rising. */
  readonly ts: string;
  /** The `ts` of the message whose thread this is in. */
  readonly threadTs: string | undefined;
  /** User id of the author. */
  readonly author: string;
  /** Whether the app under test wrote it. */
  readonly byBot: boolean;
  readonly text: string;
  readonly blocks: readonly JsonObject[] | undefined;
  readonly metadata: JsonObject | undefined;
  /** User id of the only person who sees it; undefined when everyone does. */
  readonly onlyFor: string | undefined;
  /** Whether it shows the mark "edited". */
  readonly edited: boolean;
  readonly deleted: boolean;
  /** A thread reply that shows in the channel too. */
  readonly broadcast: boolean;
  /** Oldest first; the last is what is shown now. */
  readonly history: readonly MessageVersion[];
}

/** A modal view that is open for a person. */
export interface OpenView {
  readonly id: string;
  /** User id of the person who sees it. */
  readonly user: string;
  /** Changes with every version. */
  readonly hash: string;
  readonly rootId: string;
  /** The view below it, to which closing it leads back. */
  readonly previousId: string | undefined;
  /** The view as the app gave it, with ids filled in. */
  readonly content: JsonObject;
  /** What the app said is wrong with the last submission, by block_id. */
  readonly errors: Readonly<Record<string, string>>;
}

/**
 * One breach of Slack's or the house's rules by the bot.
 * `rule` is Slack's own error code where Slack refuses the thing, else a name of ours: `fallback_text_missing`,
 * `unescaped_mrkdwn`, `broadcast_mention`, `link_would_unfurl`, `channel_by_name`, `ts_malformed`, `unknown_argument`,
 * `ephemeral_updated`, `retry_after_ignored`, `ack_late`, `ack_unknown_envelope`, `ack_twice`, `ack_body_ignored`,
 * `replace_original_on_slash`, `replace_original_unstated`, `response_url_overused`, `response_url_expired`,
 * `response_url_unknown`, `ticket_reused`, `too_many_websockets`.
 */
export interface Violation {
  readonly rule: string;
  readonly detail: string;
  /** Milliseconds since 1970 on the workspace's clock. */
  readonly at: number;
}

/** One call of the Web API or of a response_url (`method` is then `response_url`). */
export interface CallRecord {
  readonly method: string;
  readonly args: JsonObject;
  readonly at: number;
  /** `ok`, Slack's error code, `ratelimited`, `http500`, `hang`, or `reply_lost` (applied, but the answer was cut off). */
  readonly outcome: string;
}

/** How the bot acknowledged one delivery. */
export interface AckRecord {
  /** The envelope's id in Socket Mode, the request's number in HTTP mode. */
  readonly envelopeId: string;
  readonly type: EnvelopeType;
  /** The command, action_id, callback_id or event type. */
  readonly what: string;
  readonly at: number;
  readonly result: "acked" | "late" | "timeout" | "undeliverable" | "refused";
  /** From sending to acknowledgement, high resolution; undefined when none came. */
  readonly ackMs: number | undefined;
}

/** The three kinds of delivery that Slack has. */
export type EnvelopeType = "slash_commands" | "interactive" | "events_api";

/** What a listener of the fake can hear. */
export interface FakeSlackEvents {
  readonly message: Message;
  readonly update: Message;
  readonly delete: Message;
  readonly ack: AckRecord;
  readonly call: CallRecord;
  readonly violation: Violation;
  /** The views now open for a person, newest last. */
  readonly views: { readonly user: string; readonly open: readonly OpenView[] };
  /** How many sockets of the bot are connected. */
  readonly sockets: number;
  /** Whether apps can reach the workspace. */
  readonly reachable: boolean;
}
