/** The two sockets through everything that happens to sockets: replaced, cut, refused, a Slack that is away; nothing lost, nothing left behind. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import {
  faultFrom,
  OPS,
  socketBot,
  socketWorkspace,
  startSocket,
  stopAll,
  whenDone,
} from "../support/slack-bot.ts";

afterEach(stopAll);

test("60 commands in 6 s while a socket is replaced every 250 ms: each one acknowledged", async () => {
  const bench = await startSocket();
  const { fake } = bench;
  await fake.waitForSockets(2);
  let asked = 0;
  const refreshing = setInterval(() => {
    if (fake.refreshSocket()) asked += 1;
  }, 250);
  whenDone(async () => clearInterval(refreshing));
  const outcomes: Promise<string>[] = [];
  const done = Promise.withResolvers<void>();
  const typing = setInterval(() => {
    outcomes.push(
      fake.command("ana", OPS, `/rollout status n${outcomes.length}`).then((seen) => seen.outcome),
    );
    if (outcomes.length === 60) done.resolve();
  }, 100);
  await done.promise;
  clearInterval(typing);
  clearInterval(refreshing);
  expect(await Promise.all(outcomes)).toEqual(Array.from({ length: 60 }, () => "ok"));
  expect(bench.taker.taken).toHaveLength(60);
  expect(asked).toBeGreaterThan(15);
  await fake.waitForSockets(2);
  expect(fake.violations()).toEqual([]);
});

test("a command whose journal is slow is still acknowledged through the socket that was asked to go", async () => {
  const bench = await startSocket();
  const { fake, taker } = bench;
  await fake.waitForSockets(2);
  const written = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  taker.instead = async () => {
    entered.resolve();
    await written.promise;
    return { kind: "accepted" };
  };
  const seen = fake.command("ana", OPS, "/rollout hold");
  await entered.promise;
  fake.refreshSocket();
  fake.refreshSocket();
  await fake.waitForSockets(2);
  written.resolve();
  expect((await seen).outcome).toBe("ok");
  expect(fake.violations()).toEqual([]);
});

test("all sockets cut at once: back within a second", async () => {
  const { fake } = await startSocket();
  await fake.waitForSockets(2);
  for (let round = 0; round < 3; round += 1) {
    const since = performance.now();
    fake.dropSockets();
    await fake.waitForSockets(0);
    await fake.waitForSockets(2);
    expect(performance.now() - since).toBeLessThan(1_000);
    expect((await fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  }
  expect(fake.violations()).toEqual([]);
});

test("Slack away for three seconds: back within two, and what could not be heard was refused to the person", async () => {
  const { fake, log } = await startSocket();
  await fake.waitForSockets(2);
  await fake.down({ keepPage: true });
  expect((await fake.command("ana", OPS, "/rollout list")).outcome).toBe("dispatch_failed");
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const since = performance.now();
  await fake.up();
  await fake.waitForSockets(2);
  expect(performance.now() - since).toBeLessThan(2_000);
  expect((await fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  expect(log.lines.filter(({ level }) => level === "error")).toEqual([]);
  expect(fake.violations()).toEqual([]);
});

test("Slack's own errors when a socket is opened are not waited out for long", async () => {
  const { fake } = await startSocket();
  await fake.waitForSockets(2);
  fake.inject({ on: "apps.connections.open", kind: "error", code: "internal_error" });
  fake.inject({ on: "apps.connections.open", kind: "http500" });
  fake.inject({ on: "apps.connections.open", kind: "ratelimited", retryAfterS: 1 });
  const since = performance.now();
  fake.dropSockets();
  await fake.waitForSockets(0);
  await fake.waitForSockets(2);
  expect(performance.now() - since).toBeLessThan(3_000);
  expect(fake.violations()).toEqual([]);
});

test("an opening that hangs is given up, and the next one works", async () => {
  const { fake } = await startSocket();
  await fake.waitForSockets(2);
  fake.inject({ on: "apps.connections.open", kind: "hang" });
  fake.dropSockets();
  await fake.waitForSockets(0);
  await fake.waitForSockets(2, { timeoutMs: 9_000 });
  expect(fake.violations()).toEqual([]);
});

test("a token that Slack refuses: the start says which one and what to do", async () => {
  const fake = await socketWorkspace();
  const badBot = socketBot(fake, { botToken: "xoxb-wrong" });
  expect(await faultFrom(badBot.slack.start())).toMatchObject({
    message:
      "Slack does not accept the bot token (invalid_auth): install the app again and set its new token",
    recoverable: false,
  });
  const badApp = socketBot(fake, { appToken: "xapp-wrong" });
  expect(await faultFrom(badApp.slack.start())).toMatchObject({
    message:
      "Slack does not accept the app token (invalid_auth): make a new one with connections:write and set it",
    recoverable: false,
  });
  await badBot.slack.stop();
  await badApp.slack.stop();
  expect(fake.forgive("invalid_auth").length).toBeGreaterThan(1);
  expect(fake.violations()).toEqual([]);
});

test("Slack away at the start: Belay starts without it and connects when it is there", async () => {
  const fake = await socketWorkspace();
  await fake.down();
  const { slack, log } = socketBot(fake);
  const since = performance.now();
  await slack.start();
  expect(performance.now() - since).toBeLessThan(6_000);
  expect(log.lines.some(({ text }) => text.startsWith("Slack does not answer yet"))).toBe(true);
  await fake.up();
  await fake.waitForSockets(2);
  expect((await fake.command("ana", OPS, "/rollout list")).outcome).toBe("ok");
  expect(fake.violations()).toEqual([]);
});

test("stopped while connected, while connecting and before the start, it leaves no socket", async () => {
  const fake = await socketWorkspace();
  const connected = socketBot(fake);
  await connected.slack.start();
  await connected.slack.stop();
  expect(fake.sockets()).toBe(0);
  const connecting = socketBot(fake);
  fake.inject({ on: "apps.connections.open", kind: "slow", ms: 200 });
  const started = connecting.slack.start();
  await expect.poll(() => fake.calls("apps.connections.open").length).toBe(3);
  await connecting.slack.stop();
  await started;
  await fake.waitForSockets(0);
  await socketBot(fake).slack.stop();
  expect(fake.violations()).toEqual([]);
});

test("a program with the adapter in it survives outages, ends by itself, and holds no promise that rejects unheard", async () => {
  const probe = fileURLToPath(new URL("../support/slack-exit-probe.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [probe], { timeout: 20_000 });
  expect(stdout).toBe("ok\n");
});
