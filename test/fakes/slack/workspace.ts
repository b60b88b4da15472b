/** Who and what is in the workspace: users, channels, user groups, and their changes. Holds no messages. */

import type { AppFacts } from "./manifest.ts";
import type { Channel, Group, User } from "./model.ts";
import {
  DEFAULT_CHANNELS,
  DEFAULT_GROUPS,
  DEFAULT_USERS,
  type Seed,
  type SeedChannel,
  type SeedUser,
} from "./seed.ts";

/** The workspace's directory. Look-ups take a name (with or without `@` or `#`) or an id. */
export interface Workspace {
  readonly team: { readonly id: string; readonly name: string; readonly domain: string };
  readonly appId: string;
  readonly botId: string;
  /** The bot user of the app under test. */
  readonly bot: User;
  readonly slackbot: User;
  users(): readonly User[];
  channels(): readonly Channel[];
  groups(): readonly Group[];
  findUser(idOrName: string): User | undefined;
  findChannel(idOrName: string): Channel | undefined;
  findGroup(idOrHandle: string): Group | undefined;
  /** As `findUser`. @throws Error when there is no such user: a mistake of the test. */
  user(idOrName: string): User;
  /** As `findChannel`. @throws Error when there is no such channel. */
  channel(idOrName: string): Channel;
  /** As `findGroup`. @throws Error when there is no such group. */
  group(idOrHandle: string): Group;
  /** The direct messages between the bot and a person, opened when needed. */
  directMessages(user: User): Channel;
  botIsIn(channel: Channel): boolean;
  putChannel(channel: Channel): void;
  putGroup(group: Group): void;
  putUser(user: User): void;
}

const TEAM = { id: "T0BELAYDEMO", name: "Belay demo", domain: "belay-demo" } as const;
const OTHER_TEAM_ID = "T0ELSEWHERE";

/** Makes the directory for one installed app. @throws Error when a seed names someone who is not there. */
export function createWorkspace(app: AppFacts, seed: Seed): Workspace {
  const users = new Map<string, User>();
  const channels = new Map<string, Channel>();
  const groups = new Map<string, Group>();
  const taken = new Set<string>();
  const addUser = (user: Omit<User, "id">, id = makeId("U", user.name, taken)): User => {
    const full: User = { id, ...user };
    users.set(id, full);
    return full;
  };
  const bot = addUser({ name: app.botName, realName: app.appName, teamId: TEAM.id, kind: "app" });
  const slackbot = addUser(
    { name: "slackbot", realName: "Slackbot", teamId: TEAM.id, kind: "slackbot" },
    "USLACKBOT",
  );
  for (const one of seed.users ?? DEFAULT_USERS) addUser(seededUser(one));
  for (const one of seed.channels ?? DEFAULT_CHANNELS) {
    const channel = seededChannel(one, makeId("C", one.name, taken), users, bot);
    channels.set(channel.id, channel);
  }
  for (const one of seed.usergroups ?? DEFAULT_GROUPS) {
    const id = makeId("S", one.handle, taken);
    const members = one.members.map((name) => must(userNamed(users, name), `user ${name}`).id);
    groups.set(id, { id, handle: one.handle, members, disabled: false });
  }
  const findUser = (idOrName: string): User | undefined => users.get(idOrName) ?? userNamed(users, idOrName);
  const findChannel = (idOrName: string): Channel | undefined =>
    channels.get(idOrName) ??
    [...channels.values()].find((one) => one.kind !== "im" && one.name === idOrName.replace(/^#/, ""));
  const findGroup = (idOrHandle: string): Group | undefined =>
    groups.get(idOrHandle) ?? [...groups.values()].find((one) => one.handle === idOrHandle.replace(/^@/, ""));

  return {
    team: TEAM,
    appId: makeId("A", app.appName, taken),
    botId: makeId("B", app.appName, taken),
    bot,
    slackbot,
    users: () => [...users.values()],
    channels: () => [...channels.values()],
    groups: () => [...groups.values()],
    findUser,
    findChannel,
    findGroup,
    user: (idOrName) => must(findUser(idOrName), `user ${idOrName}`),
    channel: (idOrName) => must(findChannel(idOrName), `channel ${idOrName}`),
    group: (idOrHandle) => must(findGroup(idOrHandle), `user group ${idOrHandle}`),
    directMessages(user) {
      const open = [...channels.values()].find((one) => one.kind === "im" && one.members.has(user.id));
      const im = open ?? directMessagesOf(user, bot, makeId("D", user.name, taken));
      channels.set(im.id, im);
      return im;
    },
    botIsIn: (channel) => channel.members.has(bot.id),
    putChannel: (channel) => void channels.set(channel.id, channel),
    putGroup: (group) => void groups.set(group.id, group),
    putUser: (user) => void users.set(user.id, user),
  };
}

function userNamed(users: ReadonlyMap<string, User>, name: string): User | undefined {
  return [...users.values()].find((user) => user.name === name.replace(/^@/, ""));
}

function seededChannel(one: SeedChannel, id: string, users: ReadonlyMap<string, User>, bot: User): Channel {
  const everyone = [...users.values()].filter((user) =>
    ["member", "guest", "stranger", "bot"].includes(user.kind),
  );
  const people = one.members?.map((name) => must(userNamed(users, name), `user ${name}`)) ?? everyone;
  const members = new Set(people.map((user) => user.id));
  if (one.botIsMember === true) members.add(bot.id);
  const kind = one.private === true ? "private" : "public";
  return { id, name: one.name, kind, topic: one.topic ?? "", archived: one.archived ?? false, members };
}

function directMessagesOf(user: User, bot: User, id: string): Channel {
  return { id, name: user.name, kind: "im", topic: "", archived: false, members: new Set([bot.id, user.id]) };
}

function seededUser(one: SeedUser): Omit<User, "id"> {
  const kind = one.kind ?? "member";
  return {
    name: one.name,
    realName: one.realName ?? one.name,
    teamId: kind === "stranger" ? OTHER_TEAM_ID : TEAM.id,
    kind,
  };
}

/** An id that looks like Slack's and reads like the name, always the same for the same seed. */
function makeId(prefix: string, name: string, taken: Set<string>): string {
  const stem = name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "")
    .slice(0, 7);
  for (let count = 1; ; count += 1) {
    const id = `${prefix}0${stem}${String(count).padStart(9 - stem.length, "0")}`;
    if (taken.has(id)) continue;
    taken.add(id);
    return id;
  }
}

function must<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`the workspace has no ${what}`);
  return found;
}
