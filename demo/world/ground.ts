/** What every world of the demo stands on: its folders, its stand-in Slack, and its end. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { FakeSlack } from "../../test/fakes/slack/server.ts";

const SLACK_WITHIN_MS = 15_000;

/** A new private folder below `dir`; its path. */
export function mkdirIn(dir: string, name: string): string {
  const path = join(dir, name);
  mkdirSync(path, { mode: 0o700 });
  return path;
}

/** A line typed before Belay is connected would get Slack's own "failed" for an answer. */
export async function connected(slack: FakeSlack): Promise<void> {
  if (slack.sockets() > 0) return;
  await slack.waitFor("sockets", () => slack.sockets() > 0, { timeoutMs: SLACK_WITHIN_MS });
}

/** Rejects when the signal says so, and never resolves. */
export function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
