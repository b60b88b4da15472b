/** Belay dies at every port call of one rollout, before and after the call's effect, and is taken over by a new engine on the same files. */
import { beforeAll, describe, expect, test } from "vitest";
import { type Died, playMatrix } from "../support/port-matrix.ts";
import { type Death, type PortStory, playPortStory } from "../support/port-story.ts";

const WHEN = ["before the effect", "after the effect"] as const;

let whole: PortStory;
let matrix: readonly Died[] = [];

/** What went wrong in a story, and how its end differs from the one that never died. */
function wrongOf({ death, story }: Died): readonly string[] {
  const name = `died at call ${death.call} (${story.calls[death.call - 1]}), ${death.when}`;
  return [
    ...story.wrong,
    ...(story.deaths === 1 ? [] : [`${story.deaths} deaths`]),
    ...(story.end === whole.end ? [] : [`ended otherwise: ${story.end}`]),
  ].map((wrong) => `${name}: ${wrong}`);
}

beforeAll(async () => {
  whole = await playPortStory("sqlite", undefined);
  const deaths = whole.calls.flatMap((_, index) => WHEN.map((when): Death => ({ call: index + 1, when })));
  const began = performance.now();
  matrix = await playMatrix(deaths);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  console.log(
    `${whole.calls.length} port calls, ${matrix.length} deaths in ${seconds} s; all end as ${whole.end}`,
  );
}, 180_000);

test("undisturbed, the culprit is rolled back, production recovers and Belay holds", async () => {
  expect(whole.wrong).toEqual([]);
  const end = JSON.parse(whole.end);
  expect(end).toMatchObject({
    phase: "walking",
    holds: ["rolled_back"],
    stages: ["passed", "undone"],
    locked: ["b"],
    owed: 0,
    flags: { FEATURE_A: "true", FEATURE_B: "false" },
  });
  expect(new Set(whole.calls.map((call) => call.split(".")[0]))).toEqual(
    new Set(["journal", "flags", "view", "metrics", "chat"]),
  );
});

test("the journal in memory that the simulation uses makes no difference", async () => {
  const memory = await playPortStory("memory", undefined);
  expect(memory.end).toBe(whole.end);
  expect(memory.wrong).toEqual([]);
});

describe.each(WHEN)("it dies at every port call, %s", (when) => {
  test.each(["journal", "flags", "view", "metrics", "chat"])("of %s", (port) => {
    const these = matrix.filter(
      ({ death, story }) => death.when === when && story.calls[death.call - 1]?.startsWith(`${port}.`),
    );
    console.log(`${port}: ${these.length} deaths ${when}`);
    expect(these).toHaveLength(whole.calls.filter((call) => call.startsWith(`${port}.`)).length);
    expect(these.flatMap(wrongOf)).toEqual([]);
  });
});
