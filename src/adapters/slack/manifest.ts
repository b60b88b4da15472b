/** The app manifest with which Belay is installed in a Slack workspace: exactly the scopes, commands and events that it uses. */
import type { AppsManifestCreateArguments } from "@slack/web-api";
import { OutsideFault } from "../../engine/ports.ts";

type Manifest = AppsManifestCreateArguments["manifest"];

/** `url`: the public https address in HTTP mode, with or without the path. `prefix`: put before each command, where the names are taken. */
export type ManifestOptions =
  | { readonly mode: "socket"; readonly url?: string; readonly prefix?: string }
  | { readonly mode: "http"; readonly url: string; readonly prefix?: string };

/** The path of all of Slack's requests in HTTP mode. */
export const EVENTS_PATH = "/slack/events";

/** The manifest. Throws an `OutsideFault` with a sentence for people when the address or the prefix cannot be used. */
export function manifestOf(options: ManifestOptions) {
  const requestUrl = options.mode === "http" ? requestUrlOf(options.url) : undefined;
  const prefix = prefixOf(options.prefix);
  const url = requestUrl === undefined ? {} : { url: requestUrl };
  const request = requestUrl === undefined ? {} : { request_url: requestUrl };
  return {
    display_information: {
      name: "Belay",
      description:
        "Rolls feature flags out in stages, watches Prometheus, and takes them back when it gets worse.",
      background_color: "#1f3a44",
    },
    features: {
      bot_user: { display_name: "belay", always_online: true },
      slash_commands: [
        {
          command: `/${prefix}belay`,
          description: "Everything that Belay understands",
          usage_hint: "help",
          should_escape: true,
          ...url,
        },
        {
          command: `/${prefix}rollout`,
          description: "Roll feature flags out in stages, or take them back",
          usage_hint: "list | status | enable STAGE | hold | rollback | help",
          should_escape: true,
          ...url,
        },
        {
          command: `/${prefix}runbook`,
          description: "Runbooks (not in this version)",
          usage_hint: "list",
          should_escape: true,
          ...url,
        },
      ],
    },
    oauth_config: {
      scopes: {
        bot: [
          "app_mentions:read",
          "channels:history",
          "channels:read",
          "chat:write",
          "commands",
          "usergroups:read",
          "users:read",
        ],
        // For rollouts that are announced in a private channel.
        bot_optional: ["groups:history", "groups:read"],
      },
    },
    settings: {
      event_subscriptions: { bot_events: ["app_mention"], ...request },
      interactivity: { is_enabled: true, ...request },
      org_deploy_enabled: false,
      socket_mode_enabled: options.mode === "socket",
      token_rotation_enabled: false,
    },
  } satisfies Manifest;
}

function requestUrlOf(given: string): string {
  const url = URL.parse(given);
  if (url === null || url.protocol !== "https:") {
    throw new OutsideFault(`Slack sends only to an https address; found ${JSON.stringify(given)}`, {
      recoverable: false,
    });
  }
  return url.pathname === "/" ? `${url.origin}${EVENTS_PATH}` : url.href;
}

function prefixOf(given: string | undefined): string {
  const prefix = given ?? "";
  if (/^[a-z0-9_-]{0,20}$/.test(prefix)) return prefix;
  throw new OutsideFault(
    `a command's prefix has at most 20 of a-z, 0-9, - and _; found ${JSON.stringify(given)}`,
    { recoverable: false },
  );
}
