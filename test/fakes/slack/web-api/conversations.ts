/** The conversations.* methods that read: history, replies, info, list. */

import type { Context } from "../context.ts";
import type { Channel, Message } from "../model.ts";
import { channelJson, messageJson } from "../shapes.ts";
import { type Args, type Method, ok, page, type Reply, readChannel, readTs, refuse, TIER } from "./method.ts";

const HISTORY_SCOPES = ["channels:history", "groups:history", "im:history"];
const READ_SCOPES = ["channels:read", "groups:read", "im:read"];
const RANGE = ["cursor", "include_all_metadata", "inclusive", "latest", "limit", "oldest"];

/** The conversations methods by name. */
export const CONVERSATION_METHODS: Readonly<Record<string, Method>> = {
  "conversations.history": {
    token: "bot",
    scopes: HISTORY_SCOPES,
    perMinute: TIER.three,
    required: ["channel"],
    optional: RANGE,
    run: history,
  },
  "conversations.replies": {
    token: "bot",
    scopes: HISTORY_SCOPES,
    perMinute: TIER.three,
    required: ["channel", "ts"],
    optional: RANGE,
    run: replies,
  },
  "conversations.info": {
    token: "bot",
    scopes: READ_SCOPES,
    perMinute: TIER.three,
    required: ["channel"],
    optional: ["include_locale", "include_num_members"],
    run: info,
  },
  "conversations.list": {
    token: "bot",
    scopes: READ_SCOPES,
    perMinute: TIER.two,
    required: [],
    optional: ["cursor", "exclude_archived", "limit", "types"],
    run: list,
  },
};

function history(context: Context, args: Args): Reply {
  const found = readable(context, "conversations.history", args);
  if (typeof found === "string") return refuse(found);
  const shown = context.messages
    .list(found.id)
    .filter(
      (message) => message.onlyFor === undefined && (message.threadTs === undefined || message.broadcast),
    )
    .filter((message) => inRange(message, args))
    .reverse();
  return messagesPage(context, shown, args);
}

function replies(context: Context, args: Args): Reply {
  const found = readable(context, "conversations.replies", args);
  if (typeof found === "string") return refuse(found);
  const ts = readTs(context, "conversations.replies", args.text("ts") ?? "");
  const parent = context.messages.find(found.id, ts);
  if (parent === undefined || parent.onlyFor !== undefined) return refuse("thread_not_found");
  const shown = context.messages
    .list(found.id)
    .filter((message) => message.onlyFor === undefined && (message.threadTs === ts || message.ts === ts))
    .filter((message) => message.ts === ts || inRange(message, args));
  return messagesPage(context, shown, args);
}

function messagesPage(context: Context, messages: readonly Message[], args: Args): Reply {
  const found = page(messages, args, 100);
  if (found === undefined) return refuse("invalid_cursor");
  const withMetadata = args.flag("include_all_metadata") ?? false;
  return ok({
    messages: found.items.map((message) => messageJson(context, message, withMetadata)),
    has_more: found.next !== "",
    response_metadata: { next_cursor: found.next },
  });
}

function info(context: Context, args: Args): Reply {
  const channel = readChannel(context, "conversations.info", args);
  return channel === undefined ? refuse("channel_not_found") : ok({ channel: channelJson(context, channel) });
}

function list(context: Context, args: Args): Reply {
  const types = (args.text("types") ?? "public_channel").split(",").map((type) => type.trim());
  const known = ["public_channel", "private_channel", "im", "mpim"];
  if (types.some((type) => !known.includes(type))) return refuse("invalid_types");
  const shown = context.workspace
    .channels()
    .filter((one) => types.includes(one.kind === "im" ? "im" : `${one.kind}_channel`))
    .filter((one) => one.kind === "public" || context.workspace.botIsIn(one))
    .filter((one) => !(one.archived && args.flag("exclude_archived") === true));
  const found = page(shown, args, 100);
  if (found === undefined) return refuse("invalid_cursor");
  return ok({
    channels: found.items.map((channel) => channelJson(context, channel)),
    response_metadata: { next_cursor: found.next },
  });
}

/** The channel whose messages the bot may read, or Slack's error code. */
function readable(context: Context, where: string, args: Args): Channel | string {
  const channel = readChannel(context, where, args);
  if (channel === undefined) return "channel_not_found";
  const scope = { public: "channels:history", private: "groups:history", im: "im:history" }[channel.kind];
  if (!context.app.botScopes.has(scope)) return "missing_scope";
  return context.workspace.botIsIn(channel) ? channel : "not_in_channel";
}

function inRange(message: Message, args: Args): boolean {
  const inclusive = args.flag("inclusive") === true;
  const oldest = args.text("oldest") ?? "0";
  const latest = args.text("latest") ?? "9999999999.999999";
  const at = Number(message.ts);
  if (inclusive && (message.ts === oldest || message.ts === latest)) return true;
  return at > Number(oldest) && at < Number(latest);
}
