/** Small manifests for the workspace's own tests, and for anyone who wants to try it without the shipped one. */

import type { SlackManifest } from "./manifest.ts";

const scopes = ["app_mentions:read", "chat:write", "commands", "usergroups:read", "users:read"] as const;

/** An app in Socket Mode with three commands, buttons and mentions. */
export const SOCKET_MANIFEST = {
  display_information: { name: "Belay" },
  features: {
    bot_user: { display_name: "belay", always_online: true },
    slash_commands: [
      {
        command: "/rollout",
        description: "Roll a feature out in stages",
        usage_hint: "[verb] [name]",
        should_escape: true,
      },
      { command: "/belay", description: "Everything that Belay can do", should_escape: true },
      { command: "/raw", description: "Gets its text as typed", should_escape: false },
    ],
  },
  oauth_config: { scopes: { bot: [...scopes], bot_optional: ["channels:history"] } },
  settings: {
    event_subscriptions: { bot_events: ["app_mention"] },
    interactivity: { is_enabled: true },
    socket_mode_enabled: true,
    org_deploy_enabled: false,
    token_rotation_enabled: false,
  },
} satisfies SlackManifest;

const url = "https://belay.example/slack/events";

/** The same app with signed HTTP requests. */
export const HTTP_MANIFEST = {
  ...SOCKET_MANIFEST,
  features: {
    ...SOCKET_MANIFEST.features,
    slash_commands: SOCKET_MANIFEST.features.slash_commands.map((command) => ({ ...command, url })),
  },
  settings: {
    ...SOCKET_MANIFEST.settings,
    event_subscriptions: { bot_events: ["app_mention"], request_url: url },
    interactivity: { is_enabled: true, request_url: url },
    socket_mode_enabled: false,
  },
} satisfies SlackManifest;
