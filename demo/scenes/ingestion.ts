/** The scene of the ingestion service: a rollout that walks, breaks in `parallel`, goes back, and is mended; on one page for people. */
import { type DemoPage, startPage } from "../page/server.ts";
import { playStory, type Summary } from "../story.ts";
import { startWorld } from "../world/world.ts";
import type { Scene, SceneOptions } from "./scene.ts";

/** Rejects when a part cannot be started, or when the signal says so. */
export async function startIngestion({ speed, port, signal }: SceneOptions): Promise<Scene> {
  const world = await startWorld({ speed, signal });
  let page: DemoPage | undefined;
  return {
    async play(tell) {
      const summary = await playStory(world, tell);
      return { ok: summary.ok, summary, inWords: summaryInWords(summary) };
    },
    async show(say) {
      page = await startPage(world, { port });
      say(welcome(page.url, speed));
    },
    async stop() {
      await page?.close();
      await world.stop();
    },
  };
}

function summaryInWords(summary: Summary): string {
  const off = `OFF ${(summary.breach_visible_to_off_ms / 1_000).toFixed(1)} s after the breach was visible, recovered ${(summary.off_to_recovered_ms / 1_000).toFixed(1)} s later`;
  const verdict = summary.ok
    ? "Every expectation held."
    : `NOT as expected:\n  ${summary.failed.join("\n  ")}`;
  return `${off}. ${summary.violations} violations of Slack's rules. ${verdict}`;
}

/** One line for each thing that can be typed. */
function welcome(url: string, speed: number): string {
  const lines: readonly (readonly [string, string])[] = [
    ["/rollout start ingestion", `the whole timeline, ${speed} s for each planned hour`],
    ["/rollout enable parallel", "no further than that stage"],
    ["/rollout status", "where it stands"],
  ];
  const typed = lines.map(([line, says]) => `  ${line.padEnd(28)}${says}`).join("\n");
  return `\nOpen  ${url}\n\nand type in its channel:\n\n${typed}\n\nWhen parallel is on, press [Break parallel] and watch. Ctrl-C here ends everything.\n`;
}
