/** What an app manifest allows the app to do, and the rules that the manifest itself must keep. */

import type { AppsManifestCreateArguments } from "@slack/web-api";

/** An app manifest as `apps.manifest.create` takes it. */
export type SlackManifest = AppsManifestCreateArguments["manifest"];

/** A slash command that the workspace knows. */
export interface RegisteredCommand {
  /** With the leading slash. */
  readonly command: string;
  readonly description: string;
  readonly usageHint: string;
  readonly shouldEscape: boolean;
}

/** What the workspace needs to know of an installed app. */
export interface AppFacts {
  readonly appName: string;
  /** Handle of the bot user. */
  readonly botName: string;
  readonly botScopes: ReadonlySet<string>;
  readonly commands: readonly RegisteredCommand[];
  readonly events: ReadonlySet<string>;
  readonly interactivity: boolean;
  readonly socketMode: boolean;
}

/** Slack's own commands; an app that registers one of them has its whole manifest refused. */
const BUILT_IN_COMMANDS: ReadonlySet<string> = new Set(
  (
    "active apps archive away call canvas collapse compose dm dnd expand feed feedback huddle invite invite_people " +
    "join kick leave list me msg mute open part prefs remind remove rename search shortcuts shrug star status topic " +
    "unarchive who"
  )
    .split(" ")
    .map((name) => `/${name}`),
);

/** The events that this workspace can send. */
const SENDABLE_EVENTS: readonly string[] = ["app_mention"];

/** Reads the facts out of a manifest. `grantOptional` says whether the installer left the optional scopes ticked. */
export function readManifest(manifest: SlackManifest, grantOptional: boolean): AppFacts {
  const scopes = manifest.oauth_config?.scopes;
  return {
    appName: manifest.display_information.name,
    botName: manifest.features?.bot_user?.display_name ?? manifest.display_information.name.toLowerCase(),
    botScopes: new Set<string>([
      ...(scopes?.bot ?? []),
      ...(grantOptional ? (scopes?.bot_optional ?? []) : []),
    ]),
    commands: (manifest.features?.slash_commands ?? []).map((command) => ({
      command: command.command,
      description: command.description,
      usageHint: command.usage_hint ?? "",
      shouldEscape: command.should_escape ?? false,
    })),
    events: new Set<string>(manifest.settings?.event_subscriptions?.bot_events ?? []),
    interactivity: manifest.settings?.interactivity?.is_enabled ?? false,
    socketMode: manifest.settings?.socket_mode_enabled ?? false,
  };
}

/** The rules that a manifest breaks, one sentence each; empty when Slack would take it. Never throws. */
export function checkManifest(manifest: SlackManifest): readonly string[] {
  return [
    ...checkTexts(manifest),
    ...checkCommands(manifest),
    ...checkEvents(manifest),
    ...checkUrls(manifest),
    ...checkSettings(manifest),
  ];
}

function checkTexts(manifest: SlackManifest): readonly string[] {
  const problems: string[] = [];
  const {
    name,
    description,
    long_description: long,
    background_color: colour,
  } = manifest.display_information;
  if (name.length === 0 || name.length > 35) problems.push("the app's name must have 1 to 35 characters");
  if ((description ?? "").length > 140) problems.push("the description must have at most 140 characters");
  if ((long ?? "").length > 4000) problems.push("the long description must have at most 4,000 characters");
  if (colour !== undefined && !/^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(colour)) {
    problems.push(`background_color ${colour} is not a hex colour`);
  }
  const bot = manifest.features?.bot_user;
  if (bot === undefined) problems.push("features.bot_user is missing");
  else if (!/^[a-z0-9._-]{1,80}$/.test(bot.display_name)) {
    problems.push(`bot display name "${bot.display_name}" may only use a-z, 0-9, -, _ and .`);
  }
  return problems;
}

function checkCommands(manifest: SlackManifest): readonly string[] {
  const problems: string[] = [];
  const commands = manifest.features?.slash_commands ?? [];
  const seen = new Set<string>();
  for (const { command, description, usage_hint: hint } of commands) {
    if (!/^\/[a-z0-9_-]{1,31}$/.test(command)) problems.push(`"${command}" is not a valid slash command`);
    if (BUILT_IN_COMMANDS.has(command)) problems.push(`${command} is one of Slack's own commands`);
    if (seen.has(command)) problems.push(`${command} is registered twice`);
    seen.add(command);
    if (description.length === 0 || description.length > 2000) {
      problems.push(`the description of ${command} must have 1 to 2,000 characters`);
    }
    if ((hint ?? "").length > 1000) problems.push(`the usage hint of ${command} is over 1,000 characters`);
  }
  if (commands.length > 0 && !botScopes(manifest).includes("commands")) {
    problems.push("slash commands need the bot scope `commands`");
  }
  return problems;
}

function checkEvents(manifest: SlackManifest): readonly string[] {
  const problems: string[] = [];
  const events: readonly string[] = manifest.settings?.event_subscriptions?.bot_events ?? [];
  for (const event of events) {
    if (!SENDABLE_EVENTS.includes(event)) problems.push(`this workspace cannot send the event ${event}`);
  }
  if (events.includes("app_mention") && !botScopes(manifest).includes("app_mentions:read")) {
    problems.push("the event app_mention needs the bot scope `app_mentions:read`");
  }
  return problems;
}

function checkUrls(manifest: SlackManifest): readonly string[] {
  const settings = manifest.settings;
  const events = settings?.event_subscriptions;
  const wanted: readonly (readonly [string, boolean, string | undefined])[] = [
    ...(manifest.features?.slash_commands ?? []).map((one) => [one.command, true, one.url] as const),
    ["interactivity", settings?.interactivity?.is_enabled ?? false, settings?.interactivity?.request_url],
    ["event_subscriptions", (events?.bot_events ?? []).length > 0, events?.request_url],
  ];
  const problems: string[] = [];
  for (const [name, used, url] of wanted) {
    if (settings?.socket_mode_enabled === true) {
      if (url !== undefined) problems.push(`${name} has a URL although Socket Mode is on`);
    } else if (used && (url === undefined || !url.startsWith("https://"))) {
      problems.push(`${name} needs an https URL, because Socket Mode is off`);
    }
  }
  return problems;
}

function checkSettings(manifest: SlackManifest): readonly string[] {
  const problems: string[] = [];
  const bot = botScopes(manifest);
  for (const [index, scope] of bot.entries()) {
    if (bot.indexOf(scope) !== index) problems.push(`the scope ${scope} is asked for twice`);
  }
  if (manifest.settings?.token_rotation_enabled === true) {
    problems.push("token_rotation_enabled must be off: this workspace hands out lasting tokens");
  }
  return problems;
}

function botScopes(manifest: SlackManifest): readonly string[] {
  return manifest.oauth_config?.scopes?.bot ?? [];
}
