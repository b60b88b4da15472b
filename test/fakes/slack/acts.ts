/** Everything that people do in the workspace, by name; the tests and the chat page go through these same functions. */

import { command, type Place, say, typeLine } from "./commands.ts";
import type { Context } from "./context.ts";
import type { Transport } from "./delivery.ts";
import { click, clickView, closeView, type Press, submitView, type ViewValues } from "./interactions.ts";
import type { Message } from "./model.ts";
import type { Reaction } from "./reaction.ts";

/** Where in a channel a person types. */
export interface InThread {
  /** In the thread of the message with this `ts`. */
  readonly threadTs?: string | undefined;
}

/**
 * What people can do. People and channels are named by handle, `#name` or id; a name that does not exist throws.
 * Each promise settles when the person sees the first answer, at the latest when the app's 3 s are over.
 */
export interface Acts {
  /** Sends a slash command, for example `/rollout enable parallel`. */
  command(user: string, channel: string, line: string, where?: InThread): Promise<Reaction>;
  /** Posts a message to the bot: `@belay ` is put in front. */
  mention(user: string, channel: string, text: string, where?: InThread): Promise<Reaction>;
  /** Posts a message as typed; `@name`, `#channel` and links become what Slack makes of them. */
  say(user: string, channel: string, line: string, where?: InThread): Promise<Reaction>;
  /** What a composer does: a slash command when the line begins with a slash, else a message. */
  type(user: string, channel: string, line: string, where?: InThread): Promise<Reaction>;
  /**
   * Presses a button (or picks `value` in a menu) of a message as it is shown to this person now. When it has a
   * confirmation dialog, nothing is sent unless `confirm: true`.
   */
  click(user: string, channel: string, ts: string, press: Press): Promise<Reaction>;
  /** Presses something in the view on top; `values` are what the form holds meanwhile. */
  clickView(user: string, press: Press, values?: ViewValues): Promise<Reaction>;
  /** Fills in and submits the view on top. Inputs that are not named keep what they hold from the start. */
  submitView(user: string, values: ViewValues): Promise<Reaction>;
  /** Closes the view on top; with `all`, the whole stack. */
  closeView(user: string, options?: { readonly all?: boolean }): Promise<Reaction>;
  /** The messages of a channel that everyone sees, or that `as` sees, oldest first, thread replies among them. */
  channelMessages(
    channel: string,
    options?: { readonly as?: string; readonly deleted?: boolean },
  ): readonly Message[];
}

/** Makes the acts of one workspace. */
export function createActs(context: Context, transport: Transport): Acts {
  const { workspace } = context;
  const place = (user: string, channel: string, where: InThread | undefined): Place => ({
    user: workspace.user(user),
    channel: workspace.channel(channel),
    threadTs: where?.threadTs,
  });
  return {
    command: async (user, channel, line, where) =>
      command(context, transport, place(user, channel, where), line),
    mention: async (user, channel, text, where) =>
      say(context, transport, place(user, channel, where), `@${workspace.bot.name} ${text}`),
    say: async (user, channel, line, where) => say(context, transport, place(user, channel, where), line),
    type: async (user, channel, line, where) =>
      typeLine(context, transport, place(user, channel, where), line),
    click: async (user, channel, ts, press) =>
      click(
        context,
        transport,
        { user: workspace.user(user), channel: workspace.channel(channel) },
        ts,
        press,
      ),
    clickView: async (user, press, values) =>
      clickView(context, transport, workspace.user(user), press, values ?? {}),
    submitView: async (user, values) => submitView(context, transport, workspace.user(user), values),
    closeView: async (user, options) =>
      closeView(context, transport, workspace.user(user), options?.all ?? false),
    channelMessages(channel, options) {
      const reader = options?.as === undefined ? undefined : workspace.user(options.as).id;
      return context.messages
        .list(workspace.channel(channel).id, { deleted: options?.deleted ?? false })
        .filter((message) => message.onlyFor === undefined || message.onlyFor === reader);
    },
  };
}
