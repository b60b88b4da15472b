/** Nothing is announced nowhere without a word: without Slack all is told in the log, with Slack a rollout without a channel is warned of. */
import { expect, it } from "vitest";
import { unannounced, usualChannel } from "../../src/channels.ts";
import type { Config } from "../../src/config.ts";

const SLACK: Config["slack"] = { mode: "socket", botToken: "t", appToken: "a" };
const NAMELESS = { rollout: "demo" };
const NAMED = { rollout: "other", channel: "#ops" };
const WARNING = "rollout demo names no channel and BELAY_CHANNEL is not set: it is announced nowhere";

it.each<[string, Config["slack"], string | undefined, string | undefined, readonly string[]]>([
  ["no Slack, no channel: the log", undefined, undefined, "log", []],
  ["no Slack, a channel: the log has it all the same", undefined, "#ops", "#ops", []],
  ["Slack and a channel", SLACK, "#ops", "#ops", []],
  ["Slack, no channel: nowhere, and it says so", SLACK, undefined, undefined, [WARNING]],
])("%s", (_, slack, defaultChannel, channel, warnings) => {
  const config = { slack, defaultChannel };
  expect(usualChannel(config)).toBe(channel);
  expect(unannounced([NAMELESS, NAMED], config)).toEqual(warnings);
});
