/** The manifest that ships: what it asks for, in both modes, and that a workspace would take it. */
import { expect, test } from "vitest";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import { checkManifest } from "../fakes/slack/manifest.ts";

test("Socket Mode: exactly the scopes, commands and events that are used, and no addresses", () => {
  const manifest = manifestOf({ mode: "socket" });
  expect(checkManifest(manifest)).toEqual([]);
  expect(manifest.oauth_config.scopes.bot).toEqual([
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "usergroups:read",
    "users:read",
  ]);
  expect(
    manifest.features.slash_commands.map(({ command, should_escape }) => [command, should_escape]),
  ).toEqual([
    ["/belay", true],
    ["/rollout", true],
    ["/runbook", true],
  ]);
  expect(manifest.settings).toMatchObject({
    socket_mode_enabled: true,
    event_subscriptions: { bot_events: ["app_mention"] },
    interactivity: { is_enabled: true },
    org_deploy_enabled: false,
    token_rotation_enabled: false,
  });
  expect(JSON.stringify(manifest)).not.toContain("http");
});

test("HTTP: one address for everything, with or without its path; prefixed commands where names are taken", () => {
  for (const url of [
    "https://belay.example",
    "https://belay.example/",
    "https://belay.example/slack/events",
  ]) {
    const manifest = manifestOf({ mode: "http", url, prefix: "ops-" });
    expect(checkManifest(manifest)).toEqual([]);
    const events = "https://belay.example/slack/events";
    expect(manifest.settings).toMatchObject({
      socket_mode_enabled: false,
      event_subscriptions: { request_url: events },
      interactivity: { request_url: events },
    });
    expect(manifest.features.slash_commands).toMatchObject([
      { command: "/ops-belay", url: events },
      { command: "/ops-rollout", url: events },
      { command: "/ops-runbook", url: events },
    ]);
  }
});

test("an address that Slack would not use and a prefix that it would refuse are said to be so", () => {
  expect(() => manifestOf({ mode: "http", url: "http://belay.example" })).toThrow(/https address/);
  expect(() => manifestOf({ mode: "http", url: "belay" })).toThrow(/https address/);
  expect(() => manifestOf({ mode: "socket", prefix: "Ops " })).toThrow(/prefix/);
});
