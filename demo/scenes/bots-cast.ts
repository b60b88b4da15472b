/** What the steps of the bots' story share: acting in Slack, waiting for what must come, and judging it. */

import type { Incident, LogEntryType } from "../../test/fakes/pagerduty/model.ts";
import type { Message } from "../../test/fakes/slack/model.ts";
import type { FakeSlack } from "../../test/fakes/slack/server.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { BotsScene } from "./bots-world.ts";
import type { Line } from "./scene.ts";

/** A message that is waited for comes within this. */
export const TOLD_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 25;

/** What one step measured: figures in ms and what else is worth telling. */
export type Measured = Readonly<Record<string, unknown>>;

/** What it takes to act in a scene's Slack. */
export interface Talk {
  readonly scene: { readonly slack: FakeSlack };
  readonly expect: (holds: boolean, what: string) => void;
  /** Tells a line of the story; `wall`: when it happened, now when not given. */
  readonly say: (event: string, more?: Readonly<Record<string, unknown>>, wall?: number) => void;
}

export interface Cast extends Talk {
  readonly scene: BotsScene;
  /** Wall ms at which the story began. */
  readonly began: number;
  readonly tell: (line: Line) => void;
}

/** Somebody types a line in a channel; judged is that Slack was acknowledged in time. */
export async function type(
  { scene, say, expect }: Talk,
  user: string,
  channel: string,
  line: string,
): Promise<void> {
  const wall = Date.now();
  const reaction = await scene.slack.type(user, channel, line);
  say("typed", { by: user, line, ack_ms: Math.round(reaction.ackMs ?? -1) }, wall);
  expect(reaction.outcome === "ok", `${line}: ${reaction.outcome}`);
}

/** The message of a channel that shows all of these words, as `as` sees it; rejects when none does in time. */
export function shown(
  { scene: { slack } }: Talk,
  channel: string,
  words: readonly string[],
  as?: string,
): Promise<Message> {
  return slack.waitForMessage(channel, (_, text) => words.every((word) => text.includes(word)), {
    timeoutMs: TOLD_WITHIN_MS,
    ...(as === undefined ? {} : { as }),
  });
}

/** Wall ms at which the message first said this in its line for notifications; rejects when it never did. */
export function firstSaid(message: Message, words: string): number {
  const version = message.history.find(({ text }) => text.includes(words));
  if (version === undefined) throw new Error(`no version of the message says "${words}"`);
  return version.at;
}

/** The first answer that is not undefined; looked for every 25 ms. Rejects when none comes in time. */
export function soon<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs = TOLD_WITHIN_MS,
): Promise<T> {
  const found = eventually(what, look, { withinMs, everyMs: LOOK_EVERY_MS });
  // Where it is awaited later than it begins, a step may fail before; then nobody listens to it any more.
  found.catch(() => {});
  return found;
}

/** The page at PagerDuty whose title holds these words; rejects when none comes in time. */
export function paged({ scene: { pagerduty } }: Cast, words: string): Promise<Incident> {
  return soon(`a page about ${words}`, () =>
    pagerduty.incidents().find(({ title }) => title.includes(words)),
  );
}

/** Wall ms of the first entry of this type in a page's log. */
export function logged({ log }: Incident, type: LogEntryType): number | undefined {
  return log.find((entry) => entry.type === type)?.at;
}

/** The newest state of a page at PagerDuty. */
export function pageNow({ scene: { pagerduty } }: Cast, { dedupKey }: Incident): Incident {
  const found = pagerduty.incidents(dedupKey).at(-1);
  if (found === undefined) throw new Error(`the page ${dedupKey} is gone`);
  return found;
}

/** Waits until a page is resolved; wall ms of that. */
export function resolved(cast: Cast, page: Incident): Promise<number> {
  return soon(`the page is resolved: ${page.title}`, () => logged(pageNow(cast, page), "resolve_log_entry"));
}
