/** Belay's Slack adapter running against the strict workspace, with a stand-in for the engine that takes commands by their key. */
import { manifestOf } from "../../src/adapters/slack/manifest.ts";
import type { SlackOptions, Taken } from "../../src/adapters/slack/options.ts";
import { createSlack, type Slack } from "../../src/adapters/slack/slack.ts";
import type { Intake, OutboxItem } from "../../src/engine/messages.ts";
import type { Log } from "../../src/engine/ports.ts";
import { type FakeSlack, type FakeSlackOptions, startFakeSlack } from "../fakes/slack/server.ts";
import { itemOf } from "./slack-run.ts";

export const OPS = "#ingestion-ops";
export type Submitted = Omit<Intake, "at" | "wall">;

/** What was logged, to be looked at by tests. */
export interface KeptLog extends Log {
  readonly lines: { readonly level: "info" | "warn" | "error"; readonly text: string }[];
}

export function keepLog(): KeptLog {
  const lines: KeptLog["lines"] = [];
  const keep =
    (level: "info" | "warn" | "error") =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      lines.push({ level, text: `${message} ${JSON.stringify(fields)}` });
    };
  return { lines, info: keep("info"), warn: keep("warn"), error: keep("error") };
}

/** Takes each key once, as the engine's journal does. */
export class Taker {
  readonly taken: Submitted[] = [];
  readonly #keys = new Set<string>();
  /** Answers everything instead, when set. */
  instead: ((request: Submitted) => Promise<Taken>) | undefined;
  /** Called for each command taken. */
  onTaken: ((request: Submitted) => void) | undefined;

  readonly submit = async (request: Submitted): Promise<Taken> => {
    if (this.instead !== undefined) return this.instead(request);
    if (this.#keys.has(request.key)) return { kind: "duplicate" };
    this.#keys.add(request.key);
    this.taken.push(request);
    this.onTaken?.(request);
    return { kind: "accepted" };
  };
}

/** Everything a test works with. */
export interface Bench {
  readonly fake: FakeSlack;
  readonly slack: Slack;
  readonly taker: Taker;
  readonly log: KeptLog;
  readonly ackMs: number[];
}

const stops: (() => Promise<unknown>)[] = [];

/** Stops what the test started, newest first. */
export async function stopAll(): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

export function whenDone(stop: () => Promise<unknown>): void {
  stops.push(stop);
}

/** A workspace in Socket Mode, made from the manifest that ships. */
export async function socketWorkspace(options: Partial<FakeSlackOptions> = {}): Promise<FakeSlack> {
  const fake = await startFakeSlack({ manifest: manifestOf({ mode: "socket" }), ...options });
  whenDone(() => fake.stop());
  return fake;
}

/** Waits until the adapter has read who is who in the workspace. */
export async function untilPeopleAreKnown({ log }: Pick<Bench, "log">): Promise<void> {
  const known = (): boolean =>
    log.lines.some(({ text }) => text.startsWith("the people of the workspace are known"));
  for (let tries = 0; !known(); tries += 1) {
    if (tries > 500) throw new Error("the people are still unknown");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The adapter in Socket Mode for a workspace, not started. */
export function socketBot(fake: FakeSlack, options: Partial<SlackOptions> = {}): Bench {
  return benchOf(fake, { mode: "socket", appToken: fake.appToken }, options);
}

function benchOf(
  fake: FakeSlack,
  way:
    | { readonly mode: "socket"; readonly appToken: string }
    | { readonly mode: "http"; readonly signingSecret: string },
  options: Partial<SlackOptions>,
): Bench {
  const taker = new Taker();
  const log = keepLog();
  const ackMs: number[] = [];
  const slack = createSlack({
    ...way,
    botToken: fake.botToken,
    apiUrl: fake.apiUrl,
    zone: "UTC",
    log,
    submit: taker.submit,
    onAck: (ms) => ackMs.push(ms),
    ...options,
  });
  whenDone(() => slack.stop());
  return { fake, slack, taker, log, ackMs };
}

/** A workspace and the adapter, connected. */
export async function startSocket(
  options: Partial<SlackOptions> = {},
  workspace: Partial<FakeSlackOptions> = {},
): Promise<Bench> {
  const bench = socketBot(await socketWorkspace(workspace), options);
  await bench.slack.start();
  return bench;
}

/** The same over signed HTTP. */
export async function startHttpBench(options: Partial<SlackOptions> = {}): Promise<Bench> {
  const fake = await startFakeSlack({
    manifest: manifestOf({ mode: "http", url: "https://belay.example" }),
  });
  whenDone(() => fake.stop());
  const bench = benchOf(fake, { mode: "http", signingSecret: fake.signingSecret }, options);
  await bench.slack.start();
  fake.http?.setRequestUrl(bench.slack.endpoint() ?? "");
  return bench;
}

/** The outbox's item that answers a command. */
export function answerItem(
  request: Submitted,
  text: string,
  more: { readonly lines?: readonly string[]; readonly wall?: number } = {},
): OutboxItem {
  return itemOf(
    `answer:${request.key}`,
    "answer",
    {
      kind: "answer",
      replyTo: request.replyTo,
      answer: { ok: true, code: "shown", text, lines: more.lines ?? [], offers: [] },
    },
    more.wall === undefined ? {} : { wall: more.wall },
  );
}

/** A fault of the port, as far as tests look at it. */
export async function faultFrom(call: Promise<unknown>): Promise<{
  readonly message: string;
  readonly recoverable: unknown;
  readonly retryAfterMs: unknown;
}> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return {
      message: error.message,
      recoverable: "recoverable" in error ? error.recoverable : undefined,
      retryAfterMs: "retryAfterMs" in error ? error.retryAfterMs : undefined,
    };
  }
  throw new Error("nothing was thrown");
}
