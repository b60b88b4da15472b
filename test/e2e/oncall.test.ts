/** Pages end to end: a real Belay process, the real pdjs, a strict PagerDuty over TLS; kills, faults, and words from every side. */
import { describe, expect, test } from "vitest";
import { BEN } from "../fakes/pagerduty/server.ts";
import { eventually, until } from "../support/eventually.ts";
import {
  ALERTS_TOKEN,
  type OnCallWorld,
  type OnCallWorldOptions,
  startOnCallWorld,
} from "../support/oncall-world.ts";

/** Each test has a world of its own, and they wait most of the time: they run side by side. */
async function within(
  options: OnCallWorldOptions,
  act: (world: OnCallWorld) => Promise<void>,
): Promise<void> {
  const world = await startOnCallWorld(options);
  try {
    await act(world);
  } finally {
    await world.close();
  }
}

async function page(world: OnCallWorld): Promise<string> {
  const answer = await world.command('oncall page P1 bots "replies fail"');
  expect(answer).toMatchObject({ ok: true, code: "done" });
  const incident = await eventually("the page at PagerDuty", () => world.pager.incidents()[0]);
  return incident.dedupKey;
}

/** No violation, and no secret in the log. */
function expectClean(world: OnCallWorld): void {
  expect(world.pager.violations()).toEqual([]);
  const log = world.log();
  for (const secret of [
    world.pager.routingKey,
    world.pager.token,
    world.pager.webhookSecret,
    "a-secret-path",
    ALERTS_TOKEN,
  ])
    expect(log).not.toContain(secret);
}

describe.concurrent("a page", () => {
  test("is taken, seen by REST, acknowledged by a signed webhook, and resolved by a command", () =>
    within({ ackWithin: "60s" }, async (world) => {
      const key = await page(world);
      await until("it is confirmed", async () =>
        (await world.command("oncall list")).lines.some((line) => line.includes("P1")),
      );
      world.pager.acknowledge(key, BEN);
      const status = await world.pager.sendWebhook(
        `${world.hooks}/pagerduty`,
        world.pager.event("incident.acknowledged", key, { by: BEN }),
      );
      expect(status).toBe(202);
      await until("the acknowledgement is known", async () =>
        (await world.command("oncall list")).lines.some((line) => line.includes("acknowledged by Ben Okoro")),
      );
      const resolved = await world.command('oncall resolve because "model server restarted"');
      expect(resolved).toMatchObject({ ok: true, code: "done" });
      await until("PagerDuty knows", () => world.pager.incidents(key)[0]?.status === "resolved");
      expect((await world.command("oncall list")).text).toBe("No page is open.");
      expectClean(world);
    }));

  test("that nobody acknowledges goes to the next level, and a forged word changes nothing", () =>
    within({ ackWithin: "5s" }, async (world) => {
      const key = await page(world);
      const forged = world.pager.event("incident.acknowledged", key, { by: BEN });
      const response = await fetch(`${world.hooks}/pagerduty`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-pagerduty-signature": `v1=${"0".repeat(64)}` },
        body: JSON.stringify(forged),
      });
      expect(response.status).toBe(401);
      await until("level 2", () => world.pager.incidents(key)[0]?.level === 2);
      await until("the list says so", async () =>
        (await world.command("oncall list")).lines.some((line) => line.includes("open")),
      );
      expectClean(world);
    }));

  test("survives kill -9 before its deadline: it escalates on time, once", () =>
    within({ ackWithin: "6s" }, async (world) => {
      const key = await page(world);
      const pagedAt = performance.now();
      world.belay.kill();
      await until("it ended", () => world.belay.deaths() === 1);
      await world.belay.waitUp();
      await until("level 2", () => world.pager.incidents(key)[0]?.level === 2);
      const tookMs = performance.now() - pagedAt;
      process.stdout.write(
        `escalated ${Math.round(tookMs)} ms after the page, over a kill -9 (deadline 6,000 ms)\n`,
      );
      expect(tookMs).toBeLessThan(9_000);
      const moves = world.pager
        .requests(`/incidents/${world.pager.incidents(key)[0]?.id}`)
        .filter((one) => one.method === "PUT");
      expect(moves).toHaveLength(1);
      expect(world.pager.incidents()).toHaveLength(1);
      expectClean(world);
    }));
});

describe.concurrent("while PagerDuty fails", () => {
  const FAULTS = [
    ["400", { kind: "status", status: 400 }],
    ["429", { kind: "status", status: 429 }],
    ["500", { kind: "status", status: 500 }],
    ["a hang", { kind: "hang" }],
    ["a reset", { kind: "reset" }],
    ["a lost reply", { kind: "applied_reply_lost" }],
  ] as const;

  test.each(FAULTS)("with %s, no page is lost and none is doubled", (_what, fault) =>
    within({ ackWithin: "60s" }, async (world) => {
      world.pager.inject({
        on: "/v2/enqueue",
        times: fault.kind === "status" && fault.status === 429 ? 8 : 2,
        ...fault,
      });
      expect(await world.command('oncall page P1 bots "replies fail"')).toMatchObject({ ok: true });
      await eventually("the page at PagerDuty", () => world.pager.incidents()[0], { withinMs: 40_000 });
      await until("it is known to be taken", async () =>
        (await world.command("oncall list")).lines.some((line) => line.includes("P1")),
      );
      expect(world.pager.incidents()).toHaveLength(1);
      for (const one of world.pager.violations()) expect(one.rule).not.toContain("secret");
    }),
  );

  test(
    "for a minute, the second channel is told, and the page arrives when PagerDuty is back",
    () =>
      within({ ackWithin: "5m" }, async (world) => {
        world.pager.inject({ on: "/v2/enqueue", times: 1_000, kind: "status", status: 500 });
        const pagedAt = performance.now();
        expect(await world.command('oncall page P0 bots "the model server is gone"')).toMatchObject({
          ok: true,
        });
        const told = await eventually("the second channel", () => world.told[0], { withinMs: 62_000 });
        const tookMs = told.at - pagedAt;
        process.stdout.write(
          `second channel told ${Math.round(tookMs)} ms after a page that PagerDuty does not take\n`,
        );
        expect(tookMs).toBeLessThan(60_000);
        expect(told.text).toContain("the model server is gone");
        world.pager.clearFaults();
        await eventually("the page at PagerDuty", () => world.pager.incidents()[0], { withinMs: 40_000 });
        expect(world.told).toHaveLength(1);
      }),
    120_000,
  );
});
