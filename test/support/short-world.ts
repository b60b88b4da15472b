/** A short story's world: the real Belay process with its journal and a strict stand-in Slack, on a ground that is there already. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type BelayProcess, startBelay } from "../../demo/world/belay-child.ts";
import {
  type Answer,
  answerSchema,
  askBelay,
  freePort,
  recordedSchema,
  runSchema,
  type Told,
} from "../../demo/world/loopback.ts";
import { openSqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import type { Message } from "../fakes/slack/model.ts";
import { type FakeSlack, startFakeSlack } from "../fakes/slack/server.ts";
import { eventually } from "./eventually.ts";

export const CHANNEL = "ingestion-ops";
export const TOKEN = "token-for-this-test-only";
/** Planned hours pass as they are: one hour in 3,600 s. */
const REAL_TIME = 3_600;
const CONNECTED_WITHIN_MS = 15_000;

const holdSchema = z.object({ reason: z.string(), detail: z.string() });
const fullRunSchema = runSchema.extend({
  revision: z.number(),
  holds: z.array(holdSchema),
  latched: z.record(z.string(), z.unknown()),
  stages: z.array(z.looseObject({ status: z.string(), soakedMs: z.number() })),
});
export type RunTold = z.output<typeof fullRunSchema>;

export interface ShortWorldOptions {
  /** Folder for the house, the state and the log; made when missing. */
  readonly dir: string;
  /** Texts by path: `flags/*.yaml` and `schedules/*.yaml`. */
  readonly house: Readonly<Record<string, string>>;
  /** More settings for Belay's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments of `belay start`. */
  readonly args?: readonly string[];
  /** Channels in place of the one, all with the bot in them. */
  readonly channels?: readonly string[];
  /** Wait before a killed Belay is started again, ms; 0 when not given. */
  readonly restartDelayMs?: number;
}

export interface ShortWorld {
  readonly dir: string;
  readonly house: string;
  readonly state: string;
  readonly slack: FakeSlack;
  readonly belay: BelayProcess;
  readonly url: string;
  /** Resolves when Belay listens to Slack, also after it was killed. */
  connected(): Promise<void>;
  runs(): Promise<readonly RunTold[]>;
  /** The newest run; rejects when there is none. */
  run(): Promise<RunTold>;
  events(run: string): Promise<readonly Told[]>;
  /** The first event of this kind (for which `holds`) of the newest run after number `after`. */
  event(
    kind: string,
    options?: { withinMs?: number; after?: number; holds?: (event: Told["event"]) => boolean },
  ): Promise<Told>;
  /** `belay do`, by HTTP with the token. */
  command(text: string, as?: string): Promise<Answer>;
  /** Types a line in the channel and returns the private answer to it, as the person reads it. */
  type(user: string, line: string): Promise<string>;
  log(): string;
  stop(): Promise<void>;
}

/** Starts the stand-in Slack and Belay; resolves when Belay is connected. */
export async function startShortWorld(options: ShortWorldOptions): Promise<ShortWorld> {
  const { dir } = options;
  const state = join(dir, "state");
  const house = join(dir, "house");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  writeHouse(house, options.house);
  const { channels = [CHANNEL] } = options;
  const slack = await startFakeSlack({
    manifest: manifestOf({ mode: "socket" }),
    seed: { channels: channels.map((name) => ({ name, botIsMember: true })) },
  });
  const port = await freePort();
  try {
    const overlay = join(dir, "overlay.yaml");
    writeFileSync(overlay, "{}\n");
    const belay = await startBelay({
      house,
      overlay,
      speed: REAL_TIME,
      ...(options.args === undefined ? {} : { args: options.args }),
      logFile: join(dir, "belay.log"),
      restartDelayMs: options.restartDelayMs ?? 0,
      env: { ...belayEnv(slack, state, port), ...(options.env ?? {}) },
    });
    const world = new RunningWorld({ dir, house, state, slack, belay, url: `http://127.0.0.1:${port}` });
    try {
      await world.connected();
      return world;
    } catch (error) {
      await belay.stop();
      throw error;
    }
  } catch (error) {
    await slack.stop();
    throw error;
  }
}

export function writeHouse(house: string, files: Readonly<Record<string, string>>): void {
  for (const folder of ["flags", "schedules", "runbooks"])
    mkdirSync(join(house, folder), { recursive: true });
  for (const [path, text] of Object.entries(files)) writeFileSync(join(house, path), text);
}

function belayEnv(slack: FakeSlack, state: string, port: number): Record<string, string> {
  return {
    BELAY_STATE: state,
    BELAY_HTTP_PORT: String(port),
    BELAY_TOKEN: TOKEN,
    BELAY_CARD_REFRESH_MS: "2000",
    BELAY_GROUPS: `release-approvers=${slack.userId("ben")},${slack.userId("kim")}`,
    SLACK_BOT_TOKEN: slack.botToken,
    SLACK_APP_TOKEN: slack.appToken,
    SLACK_API_URL: slack.apiUrl,
  };
}

class RunningWorld implements ShortWorld {
  readonly dir: string;
  readonly house: string;
  readonly state: string;
  readonly slack: FakeSlack;
  readonly belay: BelayProcess;
  readonly url: string;

  constructor(parts: Pick<ShortWorld, "dir" | "house" | "state" | "slack" | "belay" | "url">) {
    this.dir = parts.dir;
    this.house = parts.house;
    this.state = parts.state;
    this.slack = parts.slack;
    this.belay = parts.belay;
    this.url = parts.url;
  }

  /** A line typed before Belay is connected would get Slack's own "failed" for an answer. */
  async connected(): Promise<void> {
    await eventually("Belay connected to Slack", () => (this.slack.sockets() > 0 ? true : undefined), {
      withinMs: CONNECTED_WITHIN_MS,
    });
    await eventually(
      "Belay knows who it is",
      () => (this.slack.calls("auth.test").some((call) => call.outcome === "ok") ? true : undefined),
      { withinMs: CONNECTED_WITHIN_MS },
    );
  }

  async runs(): Promise<readonly RunTold[]> {
    return z.array(fullRunSchema).parse(await this.#ask("/v1/runs"));
  }

  async run(): Promise<RunTold> {
    const run = (await this.runs()).at(-1);
    if (run === undefined) throw new Error("there is no run");
    return run;
  }

  async events(run: string): Promise<readonly Told[]> {
    return z.array(recordedSchema).parse(await this.#ask(`/v1/runs/${run}/events`));
  }

  async event(
    kind: string,
    options: { withinMs?: number; after?: number; holds?: (event: Told["event"]) => boolean } = {},
  ): Promise<Told> {
    const { withinMs = 15_000, after = 0, holds = () => true } = options;
    let seen: readonly Told[] = [];
    return eventually(
      `event ${kind}`,
      async () => {
        seen = await this.events((await this.run()).run);
        return seen.find((one) => one.seq > after && one.event.kind === kind && holds(one.event));
      },
      { withinMs, everyMs: 40, instead: () => seen.map((one) => one.event.kind).join(", ") },
    );
  }

  async command(text: string, as = "ana"): Promise<Answer> {
    return answerSchema.parse(await this.#ask("/v1/do", { text, as }));
  }

  async type(user: string, line: string): Promise<string> {
    const { slack } = this;
    const known = new Set(privateNotes(slack, user).map((message) => message.ts));
    const reaction = await slack.type(user, CHANNEL, line);
    if (reaction.outcome !== "ok") throw new Error(`${line}: ${reaction.outcome}`);
    const note = await eventually(`an answer to ${line.slice(0, 60)}`, () =>
      privateNotes(slack, user).find((message) => !known.has(message.ts)),
    );
    return slack.textOf(note);
  }

  log(): string {
    return readFileSync(join(this.dir, "belay.log"), "utf8");
  }

  async stop(): Promise<void> {
    await this.belay.stop();
    await this.slack.stop();
  }

  #ask(path: string, body?: unknown): Promise<unknown> {
    return askBelay(this.url, TOKEN, path, body);
  }
}

/** What only this person sees in the channel. */
export function privateNotes(slack: FakeSlack, user: string): readonly Message[] {
  const id = slack.userId(user);
  return slack.channelMessages(CHANNEL, { as: user }).filter((message) => message.onlyFor === id);
}

/** Every message Belay ever posted to the channel, deleted ones too, with the key that it carries. */
export function keyedMessages(
  slack: FakeSlack,
  channel = CHANNEL,
): readonly { readonly key: string; readonly text: string; readonly message: Message }[] {
  const schema = z.object({ event_payload: z.object({ key: z.string() }) });
  return slack.channelMessages(channel, { deleted: true }).flatMap((message) => {
    const metadata = schema.safeParse(message.metadata);
    return metadata.success
      ? [{ key: metadata.data.event_payload.key, text: slack.textOf(message), message }]
      : [];
  });
}

/** What the flag store's file says of each key; undefined while there is no file. */
export function flagsIn(path: string): Readonly<Record<string, string>> {
  const file = z.object({ flags: z.record(z.string(), z.looseObject({ value: z.string() })) });
  const { flags } = file.parse(JSON.parse(readFileSync(path, "utf8")));
  return Object.fromEntries(Object.entries(flags).map(([key, entry]) => [key, entry.value]));
}

/** What the journal of a stopped Belay says of itself. */
export async function readJournal(state: string): Promise<{
  readonly chain: { readonly ok: boolean };
  readonly unanswered: readonly string[];
  readonly undelivered: readonly string[];
}> {
  const journal = openSqliteJournal({ path: join(state, "journal.db"), reservePath: join(state, "reserve") });
  try {
    return {
      chain: journal.verifyChain(),
      unanswered: (await journal.unanswered()).map((intake) => intake.text),
      undelivered: (await journal.pending()).map((item) => item.key),
    };
  } finally {
    journal.close();
  }
}

/** Everything that a Belay lets out: its log, metrics, messages and state folder, and its answers to these commands. */
export async function outputsOf(world: ShortWorld, commands: readonly string[]): Promise<readonly string[]> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const metrics = await (await fetch(`${world.url}/metrics`, { headers })).text();
  const answers = await Promise.all(commands.map(async (text) => JSON.stringify(await world.command(text))));
  const state = readdirSync(world.state)
    .filter((name) => !name.endsWith(".sock"))
    .map((name) => readFileSync(join(world.state, name), "latin1"));
  return [world.log(), metrics, ...keyedMessages(world.slack).map(({ text }) => text), ...answers, ...state];
}
