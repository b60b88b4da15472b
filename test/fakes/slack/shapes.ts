/** How users, channels, groups, messages and views look in Slack's JSON. */

import type { Context } from "./context.ts";
import { isObject, type JsonObject, objectsAt } from "./json.ts";
import type { Channel, Group, Message, OpenView, User } from "./model.ts";

/** A message as the Web API and payloads show it. `metadata` is left out unless asked for. */
export function messageJson(context: Context, message: Message, withMetadata: boolean): JsonObject {
  const { workspace } = context;
  const replies = context.messages
    .list(message.channel)
    .filter((one) => one.threadTs === message.ts && one.onlyFor === undefined);
  const last = replies.at(-1);
  return {
    type: "message",
    user: message.author,
    ts: message.ts,
    text: message.text,
    team: workspace.team.id,
    ...(message.byBot ? { bot_id: workspace.botId, app_id: workspace.appId } : {}),
    ...(message.blocks === undefined ? {} : { blocks: message.blocks }),
    ...(message.edited ? { edited: { user: message.author, ts: message.ts } } : {}),
    ...(withMetadata && message.metadata !== undefined ? { metadata: message.metadata } : {}),
    ...(message.threadTs === undefined ? {} : { thread_ts: message.threadTs }),
    ...(last === undefined
      ? {}
      : {
          thread_ts: message.ts,
          reply_count: replies.length,
          reply_users: [...new Set(replies.map((reply) => reply.author))],
          reply_users_count: new Set(replies.map((reply) => reply.author)).size,
          latest_reply: last.ts,
        }),
  };
}

/** A user; the e-mail address only with the scope for it. */
export function userJson(context: Context, user: User): JsonObject {
  const email = context.app.botScopes.has("users:read.email") && user.kind !== "stranger";
  const isBot = user.kind === "bot" || user.kind === "app";
  return {
    id: user.id,
    team_id: user.teamId,
    name: user.name,
    real_name: user.realName,
    deleted: user.kind === "deleted",
    is_bot: isBot,
    is_app_user: false,
    is_restricted: user.kind === "guest",
    is_ultra_restricted: user.kind === "guest",
    is_stranger: user.kind === "stranger",
    is_admin: false,
    tz: "Europe/Helsinki",
    tz_offset: 7200,
    updated: 1_700_000_000,
    profile: {
      display_name: user.name,
      real_name: user.realName,
      ...(email ? { email: `${user.name}@belay-demo.example` } : {}),
      ...(isBot ? { bot_id: context.workspace.botId, api_app_id: context.workspace.appId } : {}),
    },
  };
}

/** A channel or direct messages. */
export function channelJson(context: Context, channel: Channel): JsonObject {
  const isIm = channel.kind === "im";
  return {
    id: channel.id,
    name: isIm ? undefined : channel.name,
    name_normalized: isIm ? undefined : channel.name,
    is_channel: channel.kind === "public",
    is_group: channel.kind === "private",
    is_im: isIm,
    is_mpim: false,
    is_private: channel.kind !== "public",
    is_archived: channel.archived,
    is_member: context.workspace.botIsIn(channel),
    is_shared: false,
    is_ext_shared: false,
    created: 1_700_000_000,
    num_members: channel.members.size,
    topic: { value: channel.topic, creator: "", last_set: 0 },
    purpose: { value: "", creator: "", last_set: 0 },
    context_team_id: context.workspace.team.id,
  };
}

/** A user group; its people only when asked for. */
export function groupJson(context: Context, group: Group, withUsers: boolean): JsonObject {
  return {
    id: group.id,
    team_id: context.workspace.team.id,
    is_usergroup: true,
    is_subteam: true,
    is_external: false,
    name: group.handle,
    handle: group.handle,
    description: "",
    date_create: 1_700_000_000,
    date_update: 1_700_000_000,
    date_delete: group.disabled ? 1_700_000_001 : 0,
    user_count: group.members.length,
    prefs: { channels: [], groups: [] },
    ...(withUsers ? { users: group.members } : {}),
  };
}

/** A view as the Web API and payloads show it, with the values that its inputs have now. */
export function viewJson(context: Context, view: OpenView, values: JsonObject): JsonObject {
  const { content } = view;
  return {
    private_metadata: "",
    callback_id: "",
    external_id: "",
    clear_on_close: false,
    notify_on_close: false,
    close: null,
    submit: null,
    ...content,
    id: view.id,
    team_id: context.workspace.team.id,
    app_id: context.workspace.appId,
    app_installed_team_id: context.workspace.team.id,
    bot_id: context.workspace.botId,
    hash: view.hash,
    root_view_id: view.rootId,
    previous_view_id: view.previousId ?? null,
    state: { values },
  };
}

/** The interactive elements of blocks, each with its block. */
export function interactiveElements(
  blocks: readonly JsonObject[],
): readonly { readonly block: JsonObject; readonly element: JsonObject }[] {
  return blocks.flatMap((block) =>
    [...objectsAt(block, "elements"), block.accessory, block.element]
      .filter(isObject)
      .filter((element) => typeof element.action_id === "string")
      .map((element) => ({ block, element })),
  );
}
