/** The demo's scene of the bulk import as a program: values raised inside a window, one taken back, two processes killed; a judged summary, and nothing left of it. */

import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { SceneProgram } from "../support/scene-program.ts";

/** The story takes about two minutes, up to one of which it waits for its window; a machine with other things to do may take longer. */
const STORY_WITHIN_MS = 260_000;

const summarySchema = z.object({
  event: z.literal("summary"),
  ok: z.boolean(),
  scene: z.literal("import"),
  steps: z.array(z.looseObject({ name: z.string(), ok: z.boolean(), took_ms: z.number() })),
  figures: z.record(z.string(), z.number()),
  slack: z.array(z.string()),
  violations: z.number(),
  failed: z.array(z.string()),
  total_ms: z.number(),
});
type Summary = z.output<typeof summarySchema>;
const lineSchema = z.looseObject({ event: z.string(), stage: z.string().optional() });

let demo: SceneProgram;

beforeEach(() => {
  demo = new SceneProgram("import");
});

afterEach(() => demo.end());

function stepOf({ steps }: Summary, name: string): Readonly<Record<string, unknown>> {
  const step = steps.find((one) => one.name === name);
  if (step === undefined) throw new Error(`no step ${name}`);
  return step;
}

describe("npm run demo -- --scene import --headless --json", () => {
  test(
    "plays the whole story, holds every expectation, and leaves nothing",
    async () => {
      const [code] = await once(demo.child, "close");
      const lines = demo.said.trimEnd().split("\n");
      const summary = summarySchema.parse(JSON.parse(lines.at(-1) ?? ""));
      expect(summary.failed, demo.errors).toEqual([]);
      expect([summary.ok, code, summary.violations]).toEqual([true, 0, 0]);
      expect(summary.steps.map(({ name, ok }) => [name, ok])).toEqual([
        ["small_values", true],
        ["window_opens", true],
        ["belay_killed", true],
        ["value_rolled_back", true],
        ["mended_and_done", true],
        ["import_killed", true],
      ]);
      const begun = lines
        .map((line) => lineSchema.parse(JSON.parse(line)))
        .flatMap(({ event, stage }) => (event === "stage_started" ? [stage] : []));
      expect(begun).toEqual([
        "limit-10",
        "limit-100",
        "limit-1000",
        "limit-10000",
        "limit-10000",
        "limit-500000",
      ]);
      expectOutcome(summary);
      await demo.leavesNothing();
    },
    STORY_WITHIN_MS,
  );
});

function expectOutcome(summary: Summary): void {
  expect(stepOf(summary, "import_killed")).toMatchObject({ records: 500_000, mismatches: 0 });
  expect(stepOf(summary, "mended_and_done")).toMatchObject({ limit: "500000" });
  expect(stepOf(summary, "value_rolled_back")["remains"]).toMatch(
    /^\d{1,3}(,\d{3})* records of this stage remain$/,
  );
  expect(summary.figures["breach_visible_to_back_ms"]).toBeLessThan(5_000);
  expect(summary.figures["opened_to_begun_ms"]).toBeGreaterThanOrEqual(0);
  const shows = summary.slack.join("\n---\n");
  expect(shows).toMatch(/ROLLED BACK bulk-import: batch-limit 1,000 · /);
  expect(shows).toMatch(/batch-limit back to 1,000; [\d,]+ records of this stage remain/);
  expect(shows).toMatch(/guard query-time: .* > 100 ms/);
}
