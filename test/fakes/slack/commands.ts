/** People typing: slash commands, messages, mentions of the bot. */

import { readContent } from "./content.ts";
import { type Context, idsOf, namesOf } from "./context.ts";
import { type Delivery, deliverEvent, type Transport } from "./delivery.ts";
import { isObject, type JsonObject, stringAt } from "./json.ts";
import type { RegisteredCommand } from "./manifest.ts";
import type { Channel, Message, User } from "./model.ts";
import { encodeTyped, unescapeText } from "./mrkdwn.ts";
import { notice, outcomeOf, type Reaction, reaction } from "./reaction.ts";
import { messageJson } from "./shapes.ts";
import { textOf } from "./text.ts";

/** Where a person types. */
export interface Place {
  readonly user: User;
  readonly channel: Channel;
  /** In the thread of this message. */
  readonly threadTs: string | undefined;
}

/** Whatever a person types and sends: a slash command when it begins with a slash, else a message. */
export function typeLine(
  context: Context,
  transport: Transport,
  place: Place,
  line: string,
): Promise<Reaction> {
  return line.startsWith("/")
    ? command(context, transport, place, line)
    : say(context, transport, place, line);
}

/** Sends a slash command. The promise settles when the person sees the first answer. */
export async function command(
  context: Context,
  transport: Transport,
  place: Place,
  line: string,
): Promise<Reaction> {
  const { user, channel, threadTs } = place;
  const blocked = blockedReason(place);
  if (blocked !== undefined) return reaction("not_allowed", { text: blocked });
  const [, name = "", text = ""] = /^(\/\S+)\s*([\s\S]*)$/.exec(line) ?? [];
  const registered = context.app.commands.find((one) => one.command === name);
  const tell = (words: string): { text: string; message: Message } => {
    const message = notice(context, user.id, channel.id, words, threadTs);
    return { text: unescapeText(message.text), message };
  };
  // People of another organisation do not have this workspace's commands.
  if (registered === undefined || user.kind === "stranger") {
    return reaction("invalid_command", tell(`\`${name}\` is not a valid command.`));
  }
  if (threadTs !== undefined) {
    return reaction("not_in_threads", tell(`\`${name}\` is not supported in threads. Sorry!`));
  }
  const delivery = await transport.deliver({
    type: "slash_commands",
    what: name,
    payload: commandPayload(context, place, registered, text.trim()),
    acceptsBody: true,
    retryAttempt: 0,
    retryReason: "",
  });
  const outcome = outcomeOf(delivery);
  if (delivery.kind === "acked") return ackedCommand(context, place, name, delivery);
  return reaction(outcome, tell(`${name} failed with the error "${outcome}"`));
}

function ackedCommand(
  context: Context,
  place: Place,
  name: string,
  delivery: Extract<Delivery, { kind: "acked" }>,
): Reaction {
  const { ackMs, body } = delivery;
  const text = typeof body === "string" ? body : stringAt(body, "text");
  const blocks = isObject(body) ? body.blocks : undefined;
  if (text === undefined && blocks === undefined) return reaction("ok", { ackMs });
  const content = readContent(context, `the acknowledgement of ${name}`, { text, blocks });
  if (content.kind === "refused") {
    context.record.violate(content.error, [`the acknowledgement of ${name}`, ...content.problems].join(": "));
    return reaction("ok", { ackMs });
  }
  const message = context.messages.post({
    channel: place.channel.id,
    author: context.workspace.bot.id,
    byBot: true,
    via: "ack",
    text: content.text,
    blocks: content.blocks,
    onlyFor: stringAt(body, "response_type") === "in_channel" ? undefined : place.user.id,
  });
  return reaction("ok", { ackMs, message, text: textOf(message, namesOf(context.workspace)) });
}

function commandPayload(
  context: Context,
  place: Place,
  registered: RegisteredCommand,
  text: string,
): JsonObject {
  const { workspace, tokens, triggers } = context;
  const { user, channel } = place;
  const target = { channel: channel.id, user: user.id, message: undefined };
  return {
    token: tokens.verification,
    team_id: workspace.team.id,
    team_domain: workspace.team.domain,
    channel_id: channel.id,
    channel_name: channel.kind === "im" ? "directmessage" : channel.name,
    user_id: user.id,
    user_name: user.name,
    command: registered.command,
    text: registered.shouldEscape ? encodeTyped(text, idsOf(workspace), true) : text,
    api_app_id: workspace.appId,
    is_enterprise_install: "false",
    response_url: `${context.origin()}${triggers.issueResponsePath(target)}`,
    trigger_id: triggers.issue({ user: user.id, fromView: false }),
  };
}

/** Posts a person's message; the bot hears of it when it is mentioned, subscribed and in the channel. */
export async function say(
  context: Context,
  transport: Transport,
  place: Place,
  line: string,
): Promise<Reaction> {
  const blocked = blockedReason(place);
  if (blocked !== undefined) return reaction("not_allowed", { text: blocked });
  const { workspace, app } = context;
  const message = context.messages.post({
    channel: place.channel.id,
    author: place.user.id,
    byBot: false,
    via: "person",
    text: encodeTyped(line, idsOf(workspace), false),
    threadTs: place.threadTs,
  });
  if (!message.text.includes(`<@${workspace.bot.id}>`)) return reaction("ok", { message });
  if (!workspace.botIsIn(place.channel)) {
    const words = `@${workspace.bot.name} is not in this channel. Invite it with \`/invite @${workspace.bot.name}\`.`;
    notice(context, place.user.id, place.channel.id, words, place.threadTs);
    return reaction("not_delivered", { message, text: words });
  }
  if (!app.events.has("app_mention") || !app.botScopes.has("app_mentions:read")) {
    return reaction("not_delivered", { message });
  }
  const delivery = await deliverEvent(context, transport, mentionEvent(context, place, message));
  const ackMs = delivery.kind === "acked" ? delivery.ackMs : undefined;
  return reaction(outcomeOf(delivery), { message, ackMs });
}

function mentionEvent(context: Context, place: Place, message: Message): JsonObject {
  return {
    ...messageJson(context, message, false),
    type: "app_mention",
    channel: message.channel,
    event_ts: message.ts,
    ...(place.user.kind === "bot" ? { bot_id: `B${place.user.id.slice(1)}` } : {}),
    ...(place.user.kind === "stranger"
      ? {
          user_team: place.user.teamId,
          source_team: place.user.teamId,
          user_profile: { team: place.user.teamId },
        }
      : {}),
    ...(message.threadTs === undefined ? {} : { thread_ts: message.threadTs }),
  };
}

/** Why this person cannot type here; undefined when they can. */
export function blockedReason({ user, channel }: Omit<Place, "threadTs">): string | undefined {
  if (user.kind === "deleted") return "This account has been deactivated.";
  if (channel.archived) return "This channel is archived.";
  if (channel.kind !== "public" && !channel.members.has(user.id)) return "This channel is private.";
  return channel.members.has(user.id) ? undefined : "You are not in this channel.";
}
