/** The world of the bots' scene: the bot platform with its monitoring, the stand-ins of Slack and PagerDuty, a second channel, and Belay itself. */

import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import { type FakePagerDuty, startFakePagerDuty } from "../../test/fakes/pagerduty/server.ts";
import { type FakeSlack, startFakeSlack } from "../../test/fakes/slack/server.ts";
import { type BotWorld, startBotWorld } from "../bots/world.ts";
import { type BelayProcess, startBelay } from "../world/belay-child.ts";
import { aborted, connected, mkdirIn } from "../world/ground.ts";
import {
  type Answer,
  answerSchema,
  askBelay,
  freePort,
  recordedSchema,
  runSchema,
  type Told,
} from "../world/loopback.ts";
import type { RunTold } from "../world/world.ts";
import { type AlertRelay, startAlertRelay } from "./alert-relay.ts";
import { makeBotsHouse, writeBotsOverlay } from "./bots-house.ts";
import { type SecondChannelReceiver, startSecondChannel } from "./second-channel.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Comfortable for the platform, and well below the 70 at which it is to be scaled out. */
const USERS = 30;

/** Where the operators of the bots are, and where their users are. */
export const OPS = "bot-ops";
export const USERS_CHANNEL = "bots";
/** How long each person asked has to acknowledge a page: five minutes are too long to watch. */
export const ACK_WITHIN_MS = 10_000;

export interface BotsSceneOptions {
  /** Real seconds per planned hour. */
  readonly speed: number;
  /** Port of the chat page; 0 takes a free one. */
  readonly slackPort: number;
  readonly signal: AbortSignal;
}

export interface BotsScene {
  /** Real seconds per planned hour. */
  readonly speed: number;
  readonly world: BotWorld;
  readonly slack: FakeSlack;
  readonly pagerduty: FakePagerDuty;
  /** What PagerDuty's webhook subscription points at. */
  readonly pagerdutyHook: string;
  readonly alerts: AlertRelay;
  readonly second: SecondChannelReceiver;
  readonly belay: BelayProcess;
  runs(): Promise<readonly RunTold[]>;
  events(run: string, fromSeq: number): Promise<readonly Told[]>;
  /** `belay do`, by HTTP. */
  command(text: string): Promise<Answer>;
  stop(): Promise<void>;
}

type Stops = (() => Promise<unknown>)[];

/** Starts everything; what was started is stopped again when a later part fails or the signal says so, and then it rejects. */
export async function startBotsScene(options: BotsSceneOptions): Promise<BotsScene> {
  const stops: Stops = [];
  const stop = async (): Promise<void> => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    return await assemble(options, stops, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function assemble(
  { speed, slackPort, signal }: BotsSceneOptions,
  stops: Stops,
  stop: () => Promise<void>,
): Promise<BotsScene> {
  const token = randomUUID();
  const alertsToken = randomUUID();
  const belayPort = await freePort();
  const hooks = `http://127.0.0.1:${await freePort()}`;
  const belayUrl = `http://127.0.0.1:${belayPort}`;
  const slack = await startSlack(slackPort);
  stops.push(() => slack.stop());
  const pagerduty = await startFakePagerDuty();
  stops.push(() => pagerduty.close());
  const second = await startSecondChannel();
  stops.push(second.close);
  const alerts = await startAlertRelay(`${hooks}/alerts`);
  stops.push(alerts.close);
  signal.throwIfAborted();
  const webhook = { url: alerts.url, token: alertsToken };
  const world = await startBotWorld({ ofrepUrl: belayUrl, webhook, users: USERS, signal });
  stops.push(world.stop);
  signal.throwIfAborted();
  const belay = await startBelay({
    house: makeBotsHouse(ROOT, mkdirIn(world.dir, "house")),
    overlay: writeBotsOverlay(world.dir, world),
    speed,
    logFile: join(world.dir, "belay.log"),
    restartDelayMs: 1_000,
    env: {
      BELAY_STATE: mkdirIn(world.dir, "state"),
      BELAY_HTTP_PORT: String(belayPort),
      BELAY_TOKEN: token,
      BELAY_HOOKS_PORT: new URL(hooks).port,
      BELAY_ALERTS_TOKEN: alertsToken,
      BELAY_SECOND_CHANNEL_URL: second.url,
      ...chatSettings(slack),
      ...pagerSettings(pagerduty, world.dir),
    },
  });
  stops.push(() => belay.stop());
  const pid = belay.pid();
  if (pid !== undefined) world.mind(pid);
  signal.throwIfAborted();
  await Promise.race([connected(slack), aborted(signal)]);
  const ask = (path: string, body?: unknown): Promise<unknown> => askBelay(belayUrl, token, path, body);
  return {
    speed,
    world,
    slack,
    pagerduty,
    pagerdutyHook: `${hooks}/pagerduty`,
    alerts,
    second,
    belay,
    runs: async () => z.array(runSchema).parse(await ask("/v1/runs")),
    events: async (run, fromSeq) =>
      z.array(recordedSchema).parse(await ask(`/v1/runs/${run}/events?from=${fromSeq}`)),
    command: async (text) => answerSchema.parse(await ask("/v1/do", { text, as: "demo" })),
    stop,
  };
}

function startSlack(port: number): Promise<FakeSlack> {
  return startFakeSlack({
    manifest: manifestOf({ mode: "socket" }),
    port,
    seed: {
      channels: [
        { name: OPS, botIsMember: true, topic: "The bot platform: rollouts, health, on-call" },
        { name: USERS_CHANNEL, botIsMember: true, topic: "For everybody who uses the bots" },
      ],
    },
  });
}

function chatSettings(slack: FakeSlack): Record<string, string> {
  return {
    BELAY_CHANNEL: `#${OPS}`,
    BELAY_PAGE_MENTION: `<!subteam^${slack.groupId("oncall")}>`,
    BELAY_CARD_REFRESH_MS: "2000",
    // The browser shows times in this machine's zone; the lines of an answer are texts and should agree.
    BELAY_ZONE: Intl.DateTimeFormat().resolvedOptions().timeZone,
    SLACK_BOT_TOKEN: slack.botToken,
    SLACK_APP_TOKEN: slack.appToken,
    SLACK_API_URL: slack.apiUrl,
  };
}

function pagerSettings(pagerduty: FakePagerDuty, dir: string): Record<string, string> {
  const certificate = join(dir, "pagerduty.pem");
  writeFileSync(certificate, pagerduty.ca);
  return {
    BELAY_PAGERDUTY_EVENTS: pagerduty.server,
    BELAY_PAGERDUTY_API: pagerduty.url,
    BELAY_PAGERDUTY_KEY: pagerduty.routingKey,
    BELAY_PAGERDUTY_TOKEN: pagerduty.token,
    BELAY_PAGERDUTY_FROM: pagerduty.fromEmail,
    BELAY_PAGERDUTY_WEBHOOK_SECRET: pagerduty.webhookSecret,
    BELAY_ACK_WITHIN: `${ACK_WITHIN_MS / 1_000}s`,
    NODE_EXTRA_CA_CERTS: certificate,
  };
}
