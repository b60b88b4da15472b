/** Who may give commands where: refused before anything is taken, with a sentence that says what to do instead. */
import type { Identity, WhoAmI } from "./options.ts";
import type { Came } from "./payloads.ts";
import type { People } from "./people.ts";
import type { Places } from "./places.ts";

export interface GateDeps {
  readonly whoAmI: WhoAmI;
  readonly places: Places;
  readonly people: People;
  /** Ids or `#names`; undefined: every channel that the bot is in. */
  readonly allowedChannels: readonly string[] | undefined;
}

const UNCHANGED = "Nothing changed.";

/** The refusal as a sentence; undefined when the command may be taken. What it then may do is decided by the engine. */
export function refusalOf(came: Came, deps: GateDeps): string | undefined {
  const me = deps.whoAmI();
  if (me === undefined) return `Belay is still connecting to Slack; try again in a few seconds. ${UNCHANGED}`;
  return foreign(came, me) ?? notAMember(came, me, deps.people) ?? wrongPlace(came, me, deps);
}

function foreign(came: Came, me: Identity): string | undefined {
  const otherTeam = came.teamId !== me.teamId;
  const otherOrganisation =
    came.enterpriseId !== undefined && me.enterpriseId !== undefined && came.enterpriseId !== me.enterpriseId;
  if (otherTeam || otherOrganisation)
    return `This came from another workspace; Belay takes commands of its own workspace only. ${UNCHANGED}`;
  const otherApp = came.appId !== undefined && me.appId !== undefined && came.appId !== me.appId;
  return otherApp ? `This came through another Slack app. ${UNCHANGED}` : undefined;
}

function notAMember({ user }: Came, me: Identity, people: People): string | undefined {
  const elsewhere = user.teamId !== undefined && me.enterpriseId === undefined && user.teamId !== me.teamId;
  const standing = elsewhere ? "stranger" : people.standingOf(user.id);
  switch (standing) {
    case "member":
    case "unknown":
      return undefined;
    case "guest":
      return `Guests cannot give Belay commands: ask a full member of the workspace. ${UNCHANGED}`;
    case "stranger":
      return `Only members of this workspace can give Belay commands. ${UNCHANGED}`;
    case "bot":
    case "deleted":
      return `Only people with an active account can give Belay commands. ${UNCHANGED}`;
  }
}

function wrongPlace(came: Came, me: Identity, deps: GateDeps): string | undefined {
  const { places, allowedChannels } = deps;
  const { channel } = came;
  const elsewhere =
    allowedChannels === undefined
      ? `Use a channel that Belay is in. ${UNCHANGED}`
      : `Use ${allowedChannels.map((one) => places.nameOf(one)).join(" or ")}. ${UNCHANGED}`;
  if (channel.id.startsWith("D") || channel.name === "directmessage" || channel.name?.startsWith("mpdm-"))
    return `Belay takes no commands in direct messages, because the others on call could not see them. ${elsewhere}`;
  const known = places.find(channel.id);
  if (allowedChannels !== undefined) {
    const name = known?.name ?? channel.name;
    const isAllowed = allowedChannels.some(
      (one) => one === channel.id || (name !== undefined && one.replace(/^#/, "") === name),
    );
    return isAllowed ? undefined : `Belay takes no commands in this channel. ${elsewhere}`;
  }
  if (came.isShared || known?.isShared === true)
    return `This channel is shared with another organisation, and Belay takes commands there only when its configuration names the channel. ${elsewhere}`;
  if (known === undefined || known.botIsMember) return undefined;
  // Somebody may have invited it since.
  places.refresh();
  return `Belay is not in this channel: type \`/invite @${me.botName}\` here, then the command again. ${UNCHANGED}`;
}
