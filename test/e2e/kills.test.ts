/** `kill -9` of the real Belay at random instants of a short story in which the last stage's flag breaks production: the story ends the same each time. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRandom } from "../simulation/timeline.ts";
import { type Ground, startGround } from "../support/ground.ts";
import { type KillStory, playKillStory } from "../support/kill-story.ts";

const SEED = Number(process.env["BELAY_KILL_SEED"] ?? "20261122");
/** Two stories at a time, each on a ground of its own: two cores are what the times are meant for. */
const LANES = 2;
const STORIES_PER_LANE = 4;
const NAMES = Array.from({ length: LANES * STORIES_PER_LANE }, (_, index) => `story ${index + 1}`);

const grounds: Ground[] = [];
const told = new Map<string, KillStory>();

beforeAll(async () => {
  const random = createRandom(SEED);
  const kills = NAMES.map((_, index) => ({
    // Every fourth story dies around the taking of the command itself.
    afterTyped: random.between(0, index % 4 === 0 ? 60 : 6_000),
    afterOn: random.between(0, 2_000),
    afterOff: random.between(0, 5_500),
  }));
  grounds.push(...(await Promise.all(Array.from({ length: LANES }, () => startGround()))));
  await Promise.all(
    grounds.map(async (ground, lane) => {
      await ground.probe.misbehave("errors");
      for (const [index, name] of NAMES.entries()) {
        const at = kills[index];
        if (index % LANES !== lane || at === undefined) continue;
        told.set(name, await playKillStory(ground, name.replace(" ", "-"), at));
      }
    }),
  );
}, 240_000);

afterAll(async () => {
  await Promise.all(grounds.map((ground) => ground.stop()));
});

test.each(NAMES)("%s ends as it should, whenever Belay was killed", (name) => {
  const story = told.get(name);
  console.log([`seed ${SEED}`, ...(story?.lines ?? [])].join("\n"));
  expect(story?.wrong).toEqual([]);
});

test("at least twenty instants were covered", () => {
  const stories = [...told.values()];
  const kills = stories.reduce((sum, story) => sum + story.kills, 0);
  const times = stories.map((story) => story.visibleToOffMs).sort((a, b) => a - b);
  console.log(`${kills} kills in ${stories.length} stories; breach visible to off ${times.join(", ")} ms`);
  expect(kills).toBeGreaterThanOrEqual(20);
});
