/** The demo's scene of the bot platform as a program: the whole story with a judged summary, and nothing left of it however it ends. */

import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { until } from "../support/eventually.ts";
import { SceneProgram } from "../support/scene-program.ts";

/** The story takes about a minute; a machine with other things to do may take longer. */
const STORY_WITHIN_MS = 150_000;
const STEP_WITHIN_MS = 60_000;
const ENDED_WITHIN_MS = 20_000;

const messageSchema = z.object({ shows: z.string(), said: z.array(z.string()) });
const summarySchema = z.object({
  event: z.literal("summary"),
  ok: z.boolean(),
  scene: z.literal("bots"),
  steps: z.array(z.looseObject({ name: z.string(), ok: z.boolean(), took_ms: z.number() })),
  figures: z.record(z.string(), z.number()),
  slack: z.object({ "bot-ops": z.array(messageSchema), bots: z.array(messageSchema) }),
  pages: z.array(
    z.object({
      title: z.string(),
      level: z.number(),
      status: z.string(),
      triggers: z.number(),
      log: z.array(z.string()),
    }),
  ),
  changes: z.array(z.string()),
  second_channel: z.number(),
  violations: z.number(),
  violations_of: z.object({ slack: z.number(), pagerduty: z.number() }),
  failed: z.array(z.string()),
  total_ms: z.number(),
});
type Summary = z.output<typeof summarySchema>;

let demo: SceneProgram;

beforeEach(() => {
  demo = new SceneProgram("bots");
});

afterEach(() => demo.end());

function summaryIn(lines: string): Summary {
  const last = lines.trimEnd().split("\n").at(-1) ?? "";
  return summarySchema.parse(JSON.parse(last));
}

function figure({ figures }: Summary, name: string): number {
  const value = figures[name];
  if (value === undefined) throw new Error(`no figure ${name}; there is: ${Object.keys(figures).join(", ")}`);
  return value;
}

describe("npm run demo -- --scene bots --headless --json", () => {
  test(
    "plays the whole story, holds every expectation, and leaves nothing",
    async () => {
      const [code] = await once(demo.child, "close");
      const summary = summaryIn(demo.said);
      expect(summary.failed, demo.errors).toEqual([]);
      expect([summary.ok, code]).toEqual([true, 0]);
      expect(summary.steps.map(({ name, ok }) => [name, ok])).toEqual([
        ["watch_is_up", true],
        ["dependency_killed", true],
        ["page_escalated", true],
        ["alert_rolls_back", true],
        ["daily_post", true],
      ]);
      expect(summary.violations_of).toEqual({ slack: 0, pagerduty: 0 });
      expect([summary.violations, summary.second_channel]).toEqual([0, 0]);
      expectPages(summary);
      expectFigures(summary);
      expectTexts(summary);
      await demo.leavesNothing();
    },
    STORY_WITHIN_MS,
  );

  test.each([
    ["SIGINT", "group", 130],
    ["SIGTERM", "demo", 143],
    ["SIGKILL", "demo", null],
  ] as const)(
    "%s to the %s in the middle of it leaves nothing",
    async (signal, to, expected) => {
      await until("Belay has restarted the model server", () => demo.said.includes('"event":"restarted"'), {
        withinMs: STEP_WITHIN_MS,
        instead: () => demo.said + demo.errors,
      });
      // Prometheus, Alertmanager, the model server, the bots, the warden and Belay.
      expect(demo.ours()).toHaveLength(6);
      const gone = once(demo.child, "exit", { signal: AbortSignal.timeout(ENDED_WITHIN_MS) });
      const { pid } = demo.child;
      if (pid === undefined) throw new Error("the demo did not start");
      process.kill(to === "group" ? -pid : pid, signal);
      const [code] = await gone;
      expect(code).toBe(expected);
      await demo.leavesNothing();
    },
    STEP_WITHIN_MS + 2 * ENDED_WITHIN_MS,
  );
});

function expectPages({ pages, changes }: Summary): void {
  expect(pages.map(({ title }) => title)).toEqual([
    expect.stringMatching(/^P0 bots: ollama of bots in demo fails/),
    expect.stringMatching(/^P1 bots: a customer reads answers/),
    expect.stringMatching(/^P1 bots: Belay rolls back new-model OFF: alert HighErrorRate fired/),
  ]);
  expect(pages.map(({ level, status, triggers }) => [level, status, triggers])).toEqual([
    [1, "resolved", 1],
    [2, "resolved", 1],
    [1, "resolved", 1],
  ]);
  expect(pages[1]?.log).toEqual([
    "assign_log_entry by service",
    "trigger_log_entry by service",
    "escalate_log_entry by Belay",
    "acknowledge_log_entry by Ben Okoro",
    "resolve_log_entry by service",
  ]);
  expect(changes).toContain("bots: new-model is OFF (was ON), rollout bots");
}

function expectFigures(summary: Summary): void {
  expect(figure(summary, "kill_to_restarted_ms")).toBeGreaterThan(0);
  expect(figure(summary, "kill_to_recovery_told_ms")).toBeGreaterThan(
    figure(summary, "kill_to_restarted_ms"),
  );
  expect(figure(summary, "kill_to_recovery_told_ms")).toBeLessThan(5 * 60_000);
  expect(figure(summary, "page_to_escalated_ms")).toBeGreaterThan(figure(summary, "ack_within_ms") - 1_000);
  expect(figure(summary, "alert_received_to_flag_off_ms")).toBeLessThan(2_000);
  expect(figure(summary, "flip_to_alert_ms")).toBeGreaterThan(0);
  const rollback = summary.steps.find(({ name }) => name === "alert_rolls_back");
  expect(rollback).toMatchObject({
    rolled_back_by: { kind: "alert", name: "HighErrorRate" },
    guards_in_breach_before: [],
    flags: { "response-cache": "true", "streaming-replies": "true", "new-model": "false" },
  });
}

function expectTexts({ slack }: Summary): void {
  expect(slack.bots).toHaveLength(1);
  expect(slack.bots[0]?.said).toEqual([
    expect.stringMatching(/^bots is degraded: Answers may be slow/),
    expect.stringMatching(/^bots is back to normal\. It took \S+/),
  ]);
  const shows = slack["bot-ops"].map((message) => message.shows).join("\n---\n");
  expect(shows).toMatch(/recovered in .* \(within 5 min\)/);
  expect(shows).toContain("to level 2 through PagerDuty, by Belay");
  expect(shows).toMatch(/alert HighErrorRate fired .* after new-model went live/);
  expect(shows).toMatch(/Health .*: \d of \d fine/);
}
