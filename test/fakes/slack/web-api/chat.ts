/** The chat.* methods: post, update, delete, private notes, permalinks. */

import { type Content, readContent } from "../content.ts";
import type { Context } from "../context.ts";
import { isObject, type JsonObject } from "../json.ts";
import type { Channel, Message } from "../model.ts";
import { hasLink, mrkdwnTexts } from "../mrkdwn.ts";
import { messageJson } from "../shapes.ts";
import {
  type Args,
  checkMetadata,
  type Method,
  ok,
  type Reply,
  readChannel,
  readTs,
  refuse,
  TIER,
} from "./method.ts";

/** Longest text that chat.update takes. */
const UPDATE_TEXT_MAX = 4_000;

/** The chat methods by name. */
export const CHAT_METHODS: Readonly<Record<string, Method>> = {
  "chat.postMessage": {
    token: "bot",
    scopes: ["chat:write"],
    perMinute: 300,
    posts: true,
    required: ["channel"],
    optional: [
      ...["text", "blocks", "thread_ts", "metadata", "mrkdwn", "parse", "link_names"],
      ...["reply_broadcast", "unfurl_links", "unfurl_media"],
    ],
    run: postMessage,
  },
  "chat.update": {
    token: "bot",
    scopes: ["chat:write"],
    perMinute: TIER.three,
    required: ["channel", "ts"],
    optional: ["text", "blocks", "metadata", "parse", "link_names", "reply_broadcast"],
    run: update,
  },
  "chat.postEphemeral": {
    token: "bot",
    scopes: ["chat:write"],
    perMinute: TIER.four,
    required: ["channel", "user"],
    optional: ["text", "blocks", "thread_ts", "parse", "link_names"],
    run: postEphemeral,
  },
  "chat.delete": {
    token: "bot",
    scopes: ["chat:write"],
    perMinute: TIER.three,
    required: ["channel", "ts"],
    optional: [],
    run: remove,
  },
  "chat.getPermalink": {
    token: "bot",
    scopes: [],
    perMinute: TIER.special,
    required: ["channel", "message_ts"],
    optional: [],
    run: getPermalink,
  },
};

function postMessage(context: Context, args: Args): Reply {
  const where = "chat.postMessage";
  const { workspace } = context;
  const channel = target(context, where, args);
  if (channel === undefined) return refuse("channel_not_found");
  if (channel.archived) return refuse("is_archived");
  const anywhere = channel.kind === "public" && context.app.botScopes.has("chat:write.public");
  if (!workspace.botIsIn(channel) && !anywhere) return refuse("not_in_channel");
  const thread = threadError(context, where, channel, args);
  if (thread !== undefined) return refuse(thread);
  const metadata = metadataOf(args);
  if (typeof metadata === "string") return refuse(metadata);
  const content = contentOf(context, where, args);
  if (content.kind === "refused") return refuse(content.error, content.problems);
  const links = [content.text, ...mrkdwnTexts(content.blocks ?? [])].some(hasLink);
  if (links && args.flag("unfurl_links") !== false) {
    context.record.violate("link_would_unfurl", `${where}: a link without unfurl_links: false`);
  }
  const message = context.messages.post({
    channel: channel.id,
    author: workspace.bot.id,
    byBot: true,
    via: where,
    text: content.text,
    blocks: content.blocks,
    threadTs: args.text("thread_ts"),
    metadata,
    broadcast: args.flag("reply_broadcast"),
  });
  return posted(context, message, content.truncated);
}

function posted(context: Context, message: Message, truncated: boolean): Reply {
  return ok({
    channel: message.channel,
    ts: message.ts,
    message: messageJson(context, message, true),
    ...(truncated
      ? { warning: "message_truncated", response_metadata: { warnings: ["message_truncated"] } }
      : {}),
  });
}

function update(context: Context, args: Args): Reply {
  const where = "chat.update";
  const channel = readChannel(context, where, args);
  if (channel === undefined) return refuse("channel_not_found");
  const message = context.messages.find(channel.id, readTs(context, where, args.text("ts") ?? ""));
  if (message?.onlyFor !== undefined) {
    context.record.violate(
      "ephemeral_updated",
      `${where}: a private note changes only by its own response_url`,
    );
    return refuse("message_not_found");
  }
  if (message === undefined) return refuse("message_not_found");
  if (!message.byBot) return refuse("cant_update_message");
  if (channel.archived) return refuse("is_inactive");
  const metadata = metadataOf(args);
  if (typeof metadata === "string") return refuse(metadata);
  if ([...(args.text("text") ?? "")].length > UPDATE_TEXT_MAX) return refuse("msg_too_long");
  const onlyMetadata =
    args.text("text") === undefined && args.value("blocks") === undefined && metadata !== undefined;
  const content: Content = onlyMetadata
    ? { kind: "ok", text: message.text, blocks: message.blocks, truncated: false }
    : contentOf(context, where, args);
  if (content.kind === "refused") return refuse(content.error, content.problems);
  const updated = context.messages.edit(channel.id, message.ts, {
    via: where,
    text: content.text,
    blocks: content.blocks,
    metadata,
    edited: message.edited || content.blocks === undefined,
  });
  return ok({
    channel: channel.id,
    ts: updated.ts,
    text: updated.text,
    message: messageJson(context, updated, true),
  });
}

function postEphemeral(context: Context, args: Args): Reply {
  const where = "chat.postEphemeral";
  const channel = readChannel(context, where, args);
  if (channel === undefined) return refuse("channel_not_found");
  if (channel.archived) return refuse("is_archived");
  if (!context.workspace.botIsIn(channel)) return refuse("not_in_channel");
  const user = args.text("user") ?? "";
  if (!channel.members.has(user)) return refuse("user_not_in_channel");
  const thread = threadError(context, where, channel, args);
  if (thread !== undefined) return refuse(thread);
  const content = contentOf(context, where, args);
  if (content.kind === "refused") return refuse(content.error, content.problems);
  const message = context.messages.post({
    channel: channel.id,
    author: context.workspace.bot.id,
    byBot: true,
    via: where,
    text: content.text,
    blocks: content.blocks,
    threadTs: args.text("thread_ts"),
    onlyFor: user,
  });
  return ok({ message_ts: message.ts });
}

function remove(context: Context, args: Args): Reply {
  const where = "chat.delete";
  const channel = readChannel(context, where, args);
  if (channel === undefined) return refuse("channel_not_found");
  const message = context.messages.find(channel.id, readTs(context, where, args.text("ts") ?? ""));
  if (message?.onlyFor !== undefined) {
    context.record.violate("ephemeral_updated", `${where}: a private note goes only by its own response_url`);
  }
  if (message === undefined || message.onlyFor !== undefined) return refuse("message_not_found");
  if (!message.byBot) return refuse("cant_delete_message");
  context.messages.remove(channel.id, message.ts, where);
  return ok({ channel: channel.id, ts: message.ts });
}

function getPermalink(context: Context, args: Args): Reply {
  const channel = readChannel(context, "chat.getPermalink", args);
  if (channel === undefined) return refuse("channel_not_found");
  const ts = readTs(context, "chat.getPermalink", args.text("message_ts") ?? "");
  const message = context.messages.find(channel.id, ts);
  if (message === undefined || message.onlyFor !== undefined) return refuse("message_not_found");
  const thread = message.threadTs === undefined ? "" : `?thread_ts=${message.threadTs}&cid=${channel.id}`;
  const permalink = `${context.origin()}/archives/${channel.id}/p${ts.replace(".", "")}${thread}`;
  return ok({ channel: channel.id, permalink });
}

/** The channel to post to; a user id means the direct messages with that person. */
function target(context: Context, where: string, args: Args): Channel | undefined {
  const given = args.text("channel") ?? "";
  const user = context.workspace.users().find((one) => one.id === given);
  if (user === undefined) return readChannel(context, where, args);
  const reachable = user.kind === "member" || user.kind === "guest";
  return reachable ? context.workspace.directMessages(user) : undefined;
}

function threadError(context: Context, where: string, channel: Channel, args: Args): string | undefined {
  const given = args.text("thread_ts");
  if (given === undefined) return undefined;
  const parent = context.messages.find(channel.id, readTs(context, where, given));
  if (parent === undefined) return "thread_not_found";
  return parent.threadTs === undefined && parent.onlyFor === undefined
    ? undefined
    : "cannot_reply_to_message";
}

function contentOf(context: Context, where: string, args: Args): Content {
  return readContent(context, where, { text: args.text("text"), blocks: args.value("blocks") });
}

/** The metadata, nothing, or Slack's error code. */
function metadataOf(args: Args): JsonObject | undefined | string {
  const value = args.value("metadata");
  if (value === undefined || value === null) return undefined;
  return checkMetadata(value) ?? (isObject(value) ? value : undefined);
}
