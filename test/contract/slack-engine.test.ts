/** The adapter with the real engine behind it: from a typed command to a rollback, its message, and the private answers, through an outage and a restart. */
import { afterEach, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import type { FakeSlack } from "../fakes/slack/server.ts";
import { createDisk, type Disk } from "../simulation/journal.ts";
import { OPS, type Submitted, socketBot, socketWorkspace, stopAll, whenDone } from "../support/slack-bot.ts";
import { engineOn, SmallWorld } from "../support/slack-engine.ts";

afterEach(stopAll);

/** Belay as it runs: adapter and engine, each knowing the other. */
async function belay(fake: FakeSlack, disk: Disk, world: SmallWorld) {
  let engine: Engine | undefined;
  const submit = (request: Submitted) => {
    if (engine === undefined) throw new Error("the engine is not there yet");
    return engine.submit(request);
  };
  const bench = socketBot(fake, { submit, allowedChannels: [OPS] });
  engine = engineOn(disk, world, bench.slack.chat, bench.log);
  const stop = async (): Promise<void> => {
    engine?.stop();
    await bench.slack.stop();
  };
  whenDone(stop);
  await engine.start();
  await bench.slack.start();
  return { stop, engine, log: bench.log };
}

const allText = (fake: FakeSlack, as: string): string =>
  fake.channelMessages(OPS, { as }).map(fake.textOf).join("\n---\n");

test("a typed command starts a rollout with one card; a regression is taken back and told in a message of its own, edited to its end", async () => {
  const fake = await socketWorkspace();
  const world = new SmallWorld();
  await belay(fake, createDisk(), world);
  const typedAt = performance.now();
  const seen = await fake.command("ana", OPS, "/rollout start parser");
  expect(seen.outcome).toBe("ok");
  const card = await fake.waitForMessage(OPS, (_, text) => text.startsWith("Rollout parser"));
  expect(performance.now() - typedAt).toBeLessThan(1_500);
  await fake.waitForMessage(
    OPS,
    (message, text) => message.onlyFor !== undefined && text.includes("parser"),
    {
      as: "ana",
    },
  );
  await expect.poll(() => world.isOn("parallel"), { timeout: 10_000 }).toBe(true);
  await fake.waitForMessage(
    OPS,
    (message, text) => message.ts === card.ts && text.includes("parallel ON · soaked"),
    {
      timeoutMs: 10_000,
    },
  );
  world.failures = 0.2;
  await expect.poll(() => world.isOn("parallel"), { timeout: 10_000 }).toBe(false);
  expect(world.isOn("cache")).toBe(true);
  world.failures = 0.001;
  const alert = await fake.waitForMessage(
    OPS,
    (_, text) => text.startsWith("ROLLED BACK parser: parallel OFF") && text.includes("recovered"),
    { timeoutMs: 15_000 },
  );
  expect(fake.textOf(alert)).toMatch(/Why\s+guard failures/);
  expect(alert.history.length).toBeGreaterThan(1);
  await fake.waitForMessage(
    OPS,
    (message, text) => message.ts === card.ts && text.includes("ROLLED BACK, HELD"),
  );
  const cards = fake.channelMessages(OPS).filter((one) => fake.textOf(one).startsWith("Rollout parser"));
  expect(cards.map(({ ts }) => ts)).toEqual([card.ts]);
  expect(fake.thread(OPS, card.ts).length).toBeGreaterThan(2);
  await fake.command("ben", OPS, "/rollout hisotry");
  await fake.waitForMessage(OPS, (_, text) => text.includes("did you mean history"), { as: "ben" });
  expect(allText(fake, "ana")).not.toContain("did you mean");
  expect(fake.violations()).toEqual([]);
}, 60_000);

test("Slack away during the rollback: it happens all the same, and the channel is brought up to date afterwards, once", async () => {
  const fake = await socketWorkspace();
  const world = new SmallWorld();
  await belay(fake, createDisk(), world);
  await fake.command("ana", OPS, "/rollout start parser");
  await expect.poll(() => world.isOn("parallel"), { timeout: 10_000 }).toBe(true);
  await fake.waitForMessage(OPS, (_, text) => text.startsWith("Rollout parser"));
  await fake.down();
  world.failures = 0.2;
  await expect.poll(() => world.isOn("parallel"), { timeout: 5_000 }).toBe(false);
  world.failures = 0.001;
  await fake.up();
  await fake.waitForMessage(OPS, (_, text) => text.startsWith("ROLLED BACK parser"), { timeoutMs: 30_000 });
  await fake.waitForMessage(OPS, (_, text) => text.includes("ROLLED BACK, HELD"), { timeoutMs: 30_000 });
  const titles = fake.channelMessages(OPS).map((one) => fake.textOf(one).split("\n")[0]);
  expect(titles.filter((title) => title?.startsWith("ROLLED BACK parser"))).toHaveLength(1);
  expect(titles.filter((title) => title?.startsWith("Rollout parser"))).toHaveLength(1);
  expect(fake.violations()).toEqual([]);
}, 60_000);

const NEWEST = /Roll back (cache|parallel)/;

test("a new process takes the rollout over: the same card goes on, and a press of the old one still works", async () => {
  const fake = await socketWorkspace();
  const world = new SmallWorld();
  const disk = createDisk();
  const first = await belay(fake, disk, world);
  await fake.command("ana", OPS, "/rollout start parser");
  await expect.poll(() => world.isOn("cache"), { timeout: 10_000 }).toBe(true);
  // Held, so that no further stage changes the buttons while the processes change.
  await fake.command("ana", OPS, "/rollout hold");
  const card = await fake.waitForMessage(OPS, (_, text) => text.includes("HELD") && NEWEST.test(text), {
    timeoutMs: 10_000,
  });
  const [button = "", newest = ""] = NEWEST.exec(fake.textOf(card)) ?? [];
  await first.stop();
  await belay(fake, disk, world);
  const seen = await fake.click("ben", OPS, card.ts, { text: button, confirm: true });
  expect(seen.outcome).toBe("ok");
  await expect.poll(() => world.isOn(newest), { timeout: 10_000 }).toBe(false);
  await fake.waitForMessage(OPS, (_, text) => text.startsWith("ROLLED BACK parser"), { timeoutMs: 15_000 });
  const cards = fake.channelMessages(OPS).filter((one) => fake.textOf(one).startsWith("Rollout parser"));
  expect(cards.map(({ ts }) => ts)).toEqual([card.ts]);
  expect(fake.violations()).toEqual([]);
}, 60_000);
