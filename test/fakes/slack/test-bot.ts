/** Real Bolt apps against the workspace, for its own tests; each stops without leaving anything behind. */

import { App, LogLevel, SocketModeReceiver } from "@slack/bolt";
import { WebClient, type WebClientOptions } from "@slack/web-api";
import { freePort } from "../../../demo/world/loopback.ts";
import type { FakeSlack } from "./server.ts";

/** A running app. */
export interface TestBot {
  readonly app: App;
  stop(): Promise<void>;
}

/** Where a bot's complaints go: the tests judge it by what the workspace saw. */
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  getLevel: () => LogLevel.ERROR,
  setName: () => undefined,
};

/**
 * Starts a Bolt app in Socket Mode and waits until the workspace can deliver to it.
 * @param reconnectMs how long its socket client waits before it connects again.
 */
export async function startSocketBot(
  slack: FakeSlack,
  listeners: (app: App) => void,
  reconnectMs = 5_000,
): Promise<TestBot> {
  const receiver = new SocketModeReceiver({
    appToken: slack.appToken,
    clientPingTimeout: reconnectMs,
    logger: silent,
    installerOptions: { clientOptions: { slackApiUrl: slack.apiUrl } },
  });
  const app = new App({
    token: slack.botToken,
    receiver,
    logger: silent,
    clientOptions: { slackApiUrl: slack.apiUrl, logger: silent },
  });
  listeners(app);
  let connected = false;
  receiver.client.on("connected", () => {
    connected = true;
  });
  receiver.client.on("close", () => {
    connected = false;
  });
  await app.start();
  return {
    app,
    async stop() {
      // Stopping in the middle of a reconnect rejects a promise that nobody holds: let it connect first.
      if (!connected) await new Promise((resolve) => receiver.client.once("connected", resolve));
      const gone = new Promise((resolve) => receiver.client.once("disconnected", resolve));
      await app.stop();
      await gone;
    },
  };
}

/** Starts a Bolt app that takes signed HTTP requests, and tells the workspace where it is. */
export async function startHttpBot(slack: FakeSlack, listeners: (app: App) => void): Promise<TestBot> {
  const app = new App({
    token: slack.botToken,
    signingSecret: slack.signingSecret,
    logger: silent,
    clientOptions: { slackApiUrl: slack.apiUrl, logger: silent },
  });
  listeners(app);
  const port = await freePort();
  await app.start({ port, host: "127.0.0.1" });
  slack.http?.setRequestUrl(`http://127.0.0.1:${port}/slack/events`);
  return {
    app,
    async stop() {
      await app.stop();
    },
  };
}

/** A real WebClient for the workspace. Without options it tries once and gives up. */
export function client(slack: FakeSlack, options: WebClientOptions = {}): WebClient {
  const once = { retryConfig: { retries: 0 }, logger: silent, slackApiUrl: slack.apiUrl };
  return new WebClient(slack.botToken, { ...once, ...options });
}
