/** Faults of everything outside, in the middle of real rollouts: Belay holds and says why, never advances, and a rollback needs none of them. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Blindness,
  blindStory,
  brokenFileStory,
  crashStory,
  handOffStory,
  handOnStory,
  Notes,
  slackDownStory,
  unwritableStory,
} from "../support/fault-stories.ts";
import { type Ground, startGround } from "../support/ground.ts";
import { Lane, type LaneGround, layLane, Walk } from "../support/lanes.ts";
import type { ServerLie, ValueLie } from "../support/relay.ts";
import { shortHouse } from "../support/short-house.ts";
import { CHANNEL, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const SOAK_MS = 12_000;

const VALUE_LIES: Readonly<Record<Exclude<ValueLie, "bad">, RegExp>> = {
  nan: /failures \(nan: the query returns NaN/,
  infinite: /failures \(infinite: /,
  empty: /failures \(empty: the query returns no series/,
  "two series": /failures \(many_series: the query returns 2 series/,
  partial: /failures \(partial: shard 2 of 3 did not answer/,
  stale: /failures \(stale: the newest sample is 6\d s old/,
};
/** The whole server lies, so it depends on the moment whose poll meets it first. */
const SERVER_LIES: Readonly<Record<ServerLie, RegExp>> = {
  error_500: /(?:failures|alive) \(http_status: .*500/,
  busy_429: /(?:failures|alive) \(rate_limited: /,
  html_200: /(?:failures|alive) \(not_json: /,
  error_in_200: /(?:failures|alive) \(error_status: storage is read-only/,
  silent: /(?:failures|alive) \(timeout: /,
  reset: /(?:failures|alive) \((network|refused): /,
};
/** Which lies are told one after the other, and which side by side. The first lane has a channel. */
const LIES_BY_LANE: Readonly<Record<string, readonly (keyof typeof VALUE_LIES | ServerLie)[]>> = {
  "lies-a": ["nan", "error_500", "two series"],
  "lies-b": ["empty", "busy_429", "html_200"],
  "lies-c": ["stale", "silent", "error_in_200"],
  "lies-d": ["infinite", "reset", "partial"],
};
const NAMES = [
  ...Object.values(LIES_BY_LANE).flat(),
  "Prometheus killed",
  "Prometheus hanging",
  "a person's OFF",
  "a person's ON ahead of plan",
  "a broken flag file",
  "an unwritable flag file",
  "the service killed by its own flag",
  "Slack stopped",
];

const notes = new Map<string, Notes>(NAMES.map((name) => [name, new Notes()]));
const grounds: Ground[] = [];
const lanes: LaneGround[] = [];
const worlds: ShortWorld[] = [];

function notesOf(name: string): Notes {
  const found = notes.get(name);
  if (found === undefined) throw new Error(`no story ${name}`);
  return found;
}

async function told(name: string, story: (into: Notes) => Promise<void>): Promise<void> {
  const into = notesOf(name);
  await story(into).catch((error: unknown) => into.wrong.push(String(error)));
}

function isValueLie(lie: string): lie is keyof typeof VALUE_LIES {
  return Object.hasOwn(VALUE_LIES, lie);
}

function lieOf(lane: Lane, lie: keyof typeof VALUE_LIES | ServerLie): Blindness {
  const { relay } = lane;
  return isValueLie(lie)
    ? { name: lie, begin: () => relay.tell(lie), end: relay.honest, says: VALUE_LIES[lie] }
    : { name: lie, begin: () => relay.tellAll(lie), end: relay.honest, says: SERVER_LIES[lie] };
}

/** The real Prometheus of this ground, killed and stopped. */
function realFaults({ prometheus }: Ground): readonly Blindness[] {
  return [
    {
      name: "Prometheus killed",
      begin: () => prometheus.kill(),
      end: () => prometheus.start(),
      says: /failures \((refused|network): /,
    },
    {
      name: "Prometheus hanging",
      begin: () => prometheus.freeze(),
      end: () => prometheus.resume(),
      says: /failures \(timeout: /,
    },
  ];
}

/** Long enough that the dead service is seen to be dead. */
const SERVICE_AWAY_MS = 4_000;
const WITH_SLACK = ["with-a", "with-b", "with-c"];
const WITHOUT_SLACK = ["without-a", "without-b", "without-c"];

async function layAll(quiet: Ground, faulty: Ground): Promise<readonly LaneGround[]> {
  const common = { prometheusUrl: quiet.prometheus.url, dir: quiet.dir };
  const soak = `${SOAK_MS}ms`;
  const lies = Object.keys(LIES_BY_LANE).map((name, index) =>
    layLane({ ...common, name, soak, announced: index === 0 }),
  );
  const { url } = faulty.prometheus;
  const real = layLane({ ...common, name: "real", prometheusUrl: url, soak, direct: true });
  const told = ["hand-off", "unwritable", ...WITH_SLACK, ...WITHOUT_SLACK];
  const others = ["hand-on", "broken", ...told].map((name) =>
    layLane({ ...common, name, soak: "1h", announced: told.includes(name) }),
  );
  return Promise.all([...lies, real, ...others]);
}

function worldOf(
  name: string,
  dir: string,
  on: readonly LaneGround[],
  more: Readonly<Record<string, string>> = {},
): Promise<ShortWorld> {
  return startShortWorld({
    dir: join(dir, name),
    house: Object.assign({}, more, ...on.map((lane) => lane.house)),
    channels: [CHANNEL, ...on.map((lane) => lane.name)],
    // Moving figures would use up what Slack allows for edits.
    env: { BELAY_CARD_REFRESH_MS: "600000" },
  });
}

beforeAll(async () => {
  const [quiet, faulty, mortal] = await Promise.all([
    startGround(),
    startGround(),
    startGround({ restartDelayMs: SERVICE_AWAY_MS }),
  ]);
  grounds.push(quiet, faulty, mortal);
  lanes.push(...(await layAll(quiet, faulty)));
  const crashing = shortHouse({
    serviceUrl: mortal.service.origin,
    prometheusUrl: mortal.prometheus.url,
    flagsPath: mortal.flagsPath,
  });
  // Where cards are waited for, nobody else may use up what Slack allows for edits.
  const side = (lane: LaneGround): string =>
    [...WITH_SLACK, "unwritable"].includes(lane.name)
      ? "with"
      : WITHOUT_SLACK.includes(lane.name)
        ? "without"
        : "main";
  const on = (wanted: string) => lanes.filter((lane) => side(lane) === wanted);
  const [main, usual, alone] = await Promise.all([
    worldOf("main", quiet.dir, on("main")),
    worldOf("with", quiet.dir, on("with"), crashing),
    worldOf("without", quiet.dir, on("without")),
  ]);
  worlds.push(main, usual, alone);
  const laneOf = (name: string): Lane => {
    const ground = lanes.find((one) => one.name === name);
    if (ground === undefined) throw new Error(`no lane ${name}`);
    return new Lane(ground, { main, with: usual, without: alone }[side(ground)] ?? main);
  };
  const lies = Object.entries(LIES_BY_LANE).map(([name, all]) => {
    const lane = laneOf(name);
    const faults = all.map((lie) => lieOf(lane, lie));
    return told(all[0] ?? "", () => blindStory(lane, faults, SOAK_MS, notesOf));
  });
  await Promise.all([
    ...lies,
    told("Prometheus killed", () => blindStory(laneOf("real"), realFaults(faulty), SOAK_MS, notesOf)),
    told("a person's OFF", (into) => handOffStory(laneOf("hand-off"), into)),
    told("a person's ON ahead of plan", (into) => handOnStory(laneOf("hand-on"), into)),
    told("a broken flag file", (into) => brokenFileStory(laneOf("broken"), into)),
    told("an unwritable flag file", (into) => unwritableStory(laneOf("unwritable"), into)),
    told("the service killed by its own flag", (into) =>
      crashStory(new Walk("short", usual, CHANNEL), mortal, into),
    ),
    told("Slack stopped", (into) =>
      slackDownStory(WITH_SLACK.map(laneOf), WITHOUT_SLACK.map(laneOf), alone.slack, into),
    ),
  ]);
}, 180_000);

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.stop()));
  await Promise.all(lanes.map((lane) => lane.liar.close()));
  await Promise.all(grounds.map((ground) => ground.stop()));
});

test.each(NAMES)("%s", (name) => {
  const { wrong, lines } = notesOf(name);
  console.log(lines.join("\n"));
  expect(wrong).toEqual([]);
  expect(lines.length).toBeGreaterThan(0);
});

test("no rule of Slack's was broken meanwhile", () => {
  expect(worlds.flatMap((world) => world.slack.violations())).toEqual([]);
});
