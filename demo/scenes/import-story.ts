/** The whole story of the bulk import without a person: each step measured and judged, and told in one summary. */
import { Follower } from "../story.ts";
import {
  backToTheValueBefore,
  belayKilled,
  type Cast,
  importerKilled,
  type Measured,
  mendedAndDone,
  ROLLOUT,
  STAGES,
  smallValues,
  windowOpens,
} from "./import-steps.ts";
import { CHANNEL, type ImportScene } from "./import-world.ts";
import type { Ending, Line } from "./scene.ts";

const STEPS: readonly (readonly [name: string, play: (cast: Cast) => Promise<Measured>])[] = [
  ["small_values", smallValues],
  ["window_opens", windowOpens],
  ["belay_killed", belayKilled],
  ["value_rolled_back", backToTheValueBefore],
  ["mended_and_done", mendedAndDone],
  ["import_killed", importerKilled],
];

interface Step {
  readonly name: string;
  readonly ok: boolean;
  readonly took_ms: number;
  readonly [measured: string]: unknown;
}

/** Plays the story in a started scene. It does not reject: a step that does not come to its end is in the ending, and those after it are left out. */
export async function playImport(scene: ImportScene, tell: (line: Line) => void): Promise<Ending> {
  const began = Date.now();
  const failed: string[] = [];
  const steps: Step[] = [];
  const follower = new Follower(scene, { rollout: ROLLOUT, stages: STAGES, began }, tell);
  const cast: Cast = {
    scene,
    follower,
    say: (event, more = {}, wall = Date.now()) => tell({ t: Math.round(wall - began), event, ...more }),
    expect: (holds, what) => {
      if (!holds) failed.push(what);
    },
  };
  for (const [name, play] of STEPS) {
    const since = Date.now();
    const before = failed.length;
    cast.say("step", { name });
    const measured = await play(cast).catch((error: unknown): undefined => {
      failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    });
    steps.push({ name, ok: failed.length === before, took_ms: Date.now() - since, ...measured });
    if (measured === undefined) break;
  }
  for (const { rule, detail } of scene.slack.violations())
    failed.push(`Slack rule broken: ${rule}: ${detail}`);
  const deaths = scene.belay.deaths();
  cast.expect(deaths === 1, `Belay was killed once, found ${deaths} ends`);
  return endingOf(scene, steps, failed, Date.now() - began);
}

function endingOf(
  scene: ImportScene,
  steps: readonly Step[],
  failed: readonly string[],
  totalMs: number,
): Ending {
  const figures = figuresOf(steps);
  const violations = scene.slack.violations().length;
  const summary = {
    event: "summary",
    ok: failed.length === 0,
    scene: "import",
    steps,
    figures,
    slack: messagesIn(scene),
    violations,
    failed,
    total_ms: totalMs,
  };
  return { ok: summary.ok, summary, inWords: inWords(steps, figures, violations, failed) };
}

/** Every measured time, by its name. */
function figuresOf(steps: readonly Step[]): Readonly<Record<string, number>> {
  const measured = steps.flatMap(({ took_ms: _, ...more }) => Object.entries(more));
  return Object.fromEntries(
    measured.flatMap(([name, value]) =>
      name.endsWith("_ms") && typeof value === "number" ? [[name, value]] : [],
    ),
  );
}

/** What each message of the channel shows now, oldest first. */
function messagesIn({ slack }: ImportScene): readonly string[] {
  return slack
    .channelMessages(CHANNEL)
    .filter(({ byBot }) => byBot)
    .map((message) => slack.textOf(message));
}

function inWords(
  steps: readonly Step[],
  figures: Readonly<Record<string, number>>,
  violations: number,
  failed: readonly string[],
): string {
  const s = (name: string): string =>
    figures[name] === undefined ? "not" : `${(figures[name] / 1_000).toFixed(1)} s`;
  const remains = steps.find(({ name }) => name === "value_rolled_back")?.["remains"];
  const lines = [
    `slow queries visible -> limit back at 1,000 ${s("breach_visible_to_back_ms")}; ${typeof remains === "string" ? remains : "nothing told of what remains"}`,
    `Belay killed -> the rollout watched again ${s("killed_to_up_ms")}`,
    `${violations} violations of Slack's rules`,
  ];
  const verdict =
    failed.length === 0 ? "Every expectation held." : `NOT as expected:\n  ${failed.join("\n  ")}`;
  return `${lines.join("\n")}\n${verdict}`;
}
