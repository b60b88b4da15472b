/** The whole story of the bot platform without a person: each step measured and judged, and told in one summary. */
import type { Incident } from "../../test/fakes/pagerduty/model.ts";
import type { Cast, Measured } from "./bots-cast.ts";
import { alertRollsBack } from "./bots-rollback.ts";
import { dailyPost, dependencyKilled, pageEscalated, watchIsUp } from "./bots-steps.ts";
import { type BotsScene, OPS, USERS_CHANNEL } from "./bots-world.ts";
import type { Ending, Line } from "./scene.ts";

/** The P0 of the model server, the page of a person, and the one of the rollback. */
const PAGES = 3;
const VERSIONS_TOLD = 8;

const STEPS: readonly (readonly [name: string, play: (cast: Cast) => Promise<Measured>])[] = [
  ["watch_is_up", watchIsUp],
  ["dependency_killed", dependencyKilled],
  ["page_escalated", pageEscalated],
  ["alert_rolls_back", alertRollsBack],
  ["daily_post", dailyPost],
];

interface Step {
  readonly name: string;
  readonly ok: boolean;
  readonly took_ms: number;
  readonly [measured: string]: unknown;
}

/** Plays the story in a started scene. It does not reject: a step that does not come to its end is in the ending, and those after it are left out. */
export async function playBots(scene: BotsScene, tell: (line: Line) => void): Promise<Ending> {
  const began = Date.now();
  const failed: string[] = [];
  const steps: Step[] = [];
  const say: Cast["say"] = (event, more = {}, wall = Date.now()) =>
    tell({ t: Math.round(wall - began), event, ...more });
  const expect: Cast["expect"] = (holds, what) => {
    if (!holds) failed.push(what);
  };
  const died = scene.world.died.then((why) => Promise.reject(new Error(why)));
  for (const [name, play] of STEPS) {
    const since = Date.now();
    const before = failed.length;
    say("step", { name });
    const measured = await Promise.race([play({ scene, began, say, expect, tell }), died]).catch(
      (error: unknown): undefined => {
        failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    steps.push({ name, ok: failed.length === before, took_ms: Date.now() - since, ...measured });
    if (measured === undefined) break;
  }
  judgeTheWhole(scene, expect);
  return endingOf(scene, steps, failed, Date.now() - began);
}

function judgeTheWhole({ slack, pagerduty, second, belay }: BotsScene, expect: Cast["expect"]): void {
  for (const { rule, detail } of slack.violations()) expect(false, `Slack rule broken: ${rule}: ${detail}`);
  for (const { rule, detail } of pagerduty.violations())
    expect(false, `PagerDuty rule broken: ${rule}: ${detail}`);
  const pages = pagerduty.incidents();
  expect(pages.length === PAGES, `${PAGES} pages, found ${pages.map(({ title }) => title).join("; ")}`);
  expect(
    pages.every(({ status, triggers }) => status === "resolved" && triggers === 1),
    "each page was sent once and is resolved",
  );
  expect(second.told().length === 0, `the second channel was not needed: ${second.told().join("; ")}`);
  expect(belay.deaths() === 0, `Belay did not end, found ${belay.deaths()} ends`);
}

function endingOf(
  scene: BotsScene,
  steps: readonly Step[],
  failed: readonly string[],
  totalMs: number,
): Ending {
  const { slack, pagerduty, second } = scene;
  const ok = failed.length === 0;
  const figures = figuresOf(steps);
  const violations = slack.violations().length + pagerduty.violations().length;
  const summary = {
    event: "summary",
    ok,
    scene: "bots",
    steps,
    figures,
    slack: { [OPS]: readIn(scene, OPS), [USERS_CHANNEL]: readIn(scene, USERS_CHANNEL) },
    pages: pagerduty.incidents().map(pageInJson),
    changes: pagerduty.changes().map(({ summary }) => summary),
    second_channel: second.told().length,
    violations,
    violations_of: { slack: slack.violations().length, pagerduty: pagerduty.violations().length },
    failed,
    total_ms: totalMs,
  };
  return { ok, summary, inWords: inWords(figures, violations, failed) };
}

/** Every measured time, by its name. */
function figuresOf(steps: readonly Step[]): Readonly<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const { took_ms: _, ...measured } of steps)
    for (const [name, value] of Object.entries(measured))
      if (name.endsWith("_ms") && typeof value === "number") figures[name] = value;
  return figures;
}

/** The messages of a channel: what each shows now, and what its notifications said, oldest first. */
function readIn({ slack }: BotsScene, channel: string) {
  return slack
    .channelMessages(channel)
    .filter(({ byBot }) => byBot)
    .map((message) => ({
      shows: slack.textOf(message),
      said: [...new Set(message.history.map(({ text }) => text))].slice(0, VERSIONS_TOLD),
    }));
}

function pageInJson({ title, level, status, assigned, log, triggers }: Incident) {
  return {
    title,
    level,
    status,
    triggers,
    asked: assigned.map(({ name }) => name),
    log: log.map(({ type, agent }) => `${type} by ${typeof agent === "string" ? agent : agent.name}`),
  };
}

function inWords(
  figures: Readonly<Record<string, number>>,
  violations: number,
  failed: readonly string[],
): string {
  const s = (name: string): string =>
    figures[name] === undefined ? "not" : `${(figures[name] / 1_000).toFixed(1)} s`;
  const lines = [
    `model server killed -> restarted ${s("kill_to_restarted_ms")}, users told it is over ${s("kill_to_recovery_told_ms")}`,
    `page without an acknowledgement -> next person asked ${s("page_to_escalated_ms")}`,
    `alert received -> flag off ${s("alert_received_to_flag_off_ms")} (it fired ${s("flip_to_alert_ms")} after the flip)`,
    `${violations} violations of Slack's and PagerDuty's rules`,
  ];
  const verdict =
    failed.length === 0 ? "Every expectation held." : `NOT as expected:\n  ${failed.join("\n  ")}`;
  return `${lines.join("\n")}\n${verdict}`;
}
