/** Rollouts on LaunchDarkly, with the real Belay and LaunchDarkly's real SDK as the service's view: flips, people's changes, approvals, a key made anew; and no token in any output. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ANA, type FakeLaunchDarkly, startFakeLaunchDarkly } from "../fakes/launchdarkly/server.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { eventually } from "../support/eventually.ts";
import { relay } from "../support/relay.ts";
import { outputsOf, type RunTold, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const NAMES = ["back", "drift", "anew", "approval"];
/** A change by others is to be noticed within ten seconds. */
const NOTICED_WITHIN_MS = 10_000;

let dir: string;
let fake: FakeLaunchDarkly;
let liar: Liar;
let world: ShortWorld;

function houseOf(name: string): Readonly<Record<string, string>> {
  return {
    [`flags/${name}.yaml`]: `service: ${name}
environment: production
provider: { kind: launchdarkly, project: shop, url: "${fake.url}", base: "${fake.url}", stream: "${fake.url}", events: "${fake.url}" }
view: { sdk: {} }
prometheus: { url: "${liar.url}", scrape_interval: 1s, timeout: 2s }
flags:
  one-${name}: { key: one-${name}, safe: off }
  two-${name}: { key: two-${name}, safe: off, requires: [one-${name}] }
guards:
  failures:
    kind: threshold
    query: sum(rate(failures_total[3s])) / sum(rate(files_total[3s]))
    max: 10%
    breach: 2 of 3
    interval: 500ms
  alive: { kind: alive, interval: 500ms }
`,
    [`schedules/${name}.yaml`]: `rollout: ${name}
channel: "#ingestion-ops"
stages:
  - { at: 0s, name: first-${name}, enable: one-${name}, soak: 6s }
  - { at: 6s, name: second-${name}, enable: two-${name}, soak: 1h }
`,
  };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-ld-"));
  fake = await startFakeLaunchDarkly();
  for (const name of NAMES) for (const key of [`one-${name}`, `two-${name}`]) fake.createFlag(key);
  liar = await startLiar();
  relay(liar, undefined, "failures_total", join(dir, "none"));
  world = await startShortWorld({
    dir: join(dir, "world"),
    house: Object.assign({}, ...NAMES.map(houseOf)),
    env: { BELAY_LAUNCHDARKLY_TOKEN: fake.token, BELAY_LAUNCHDARKLY_SDK_KEY: fake.sdkKey() },
  });
}, 60_000);

afterAll(async () => {
  await world?.stop();
  await liar?.close();
  await fake?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function start(rollout: string): Promise<string> {
  const started = await world.command(`rollout start ${rollout}`);
  expect(started).toMatchObject({ ok: true });
  return started.run ?? "";
}

function eventOf(run: string, kind: string, withinMs = 20_000) {
  let seen: readonly string[] = [];
  return eventually(
    `${kind} of ${run}`,
    async () => {
      const events = await world.events(run);
      seen = events.map(({ event }) => event.kind);
      return events.find(({ event }) => event.kind === kind);
    },
    { withinMs, everyMs: 40, instead: () => seen.join(", ") },
  );
}

async function runOf(run: string): Promise<RunTold> {
  const found = (await world.runs()).find((one) => one.run === run);
  if (found === undefined) throw new Error(`${run} is gone`);
  return found;
}

const isOn = (key: string): boolean => fake.config(key).on;

describe("a rollout on LaunchDarkly", () => {
  test("turns on, and takes everything back, each flip with its rollout, stage and person in the audit log", async () => {
    const run = await start("back");
    await eventually("both on", () => (isOn("one-back") && isOn("two-back")) || undefined, {
      withinMs: 30_000,
    });
    await eventually(
      "two soaks",
      async () => (await runOf(run)).stages[1]?.status === "soaking" || undefined,
    );
    const asked = Date.now();
    expect(await world.command(`rollout rollback all run=${run}`)).toMatchObject({ ok: true });
    const off = await eventOf(run, "rollback_off");
    expect([isOn("one-back"), isOn("two-back")]).toEqual([false, false]);
    const confirmed = await eventOf(run, "rollback_confirmed");
    expect(confirmed.event["seenBy"]).toBe("service");
    console.log(
      `LaunchDarkly: asked -> both OFF read back ${off.wall - asked} ms, -> seen by the real SDK ${confirmed.wall - asked} ms`,
    );
    const comments = fake.audit().map(({ comment }) => comment ?? "");
    expect(comments.find((one) => one.includes("two-back ON"))).toMatch(
      new RegExp(`Belay ${run} back: two-back ON, stage second-back, asked by ana \\(cli\\)`),
    );
    expect(comments.find((one) => one.includes("two-back OFF"))).toContain("rolled back by ana (cli)");
  }, 60_000);

  test("notices a person's OFF within ten seconds, names the person, and never turns it on again", async () => {
    const run = await start("drift");
    await eventOf(run, "stage_enabled");
    fake.act(ANA, "one-drift", [{ kind: "turnFlagOff" }]);
    const at = Date.now();
    const found = await eventOf(run, "drift_found", NOTICED_WITHIN_MS);
    console.log(`LaunchDarkly: a person's OFF -> noticed ${found.wall - at} ms`);
    expect(found.event).toMatchObject({ flag: "one-drift", direction: "back" });
    expect(String(found.event["by"])).toMatch(/Ana/);
    await eventually(
      "the hold names her",
      async () =>
        (await runOf(run)).holds.some(
          ({ reason, detail }) => reason === "drift" && /by .*Ana/.test(detail),
        ) || undefined,
    );
    const writes = fake
      .requests(`/api/v2/flags/shop/one-drift`)
      .filter(({ method }) => method === "PATCH").length;
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(
      fake.requests(`/api/v2/flags/shop/one-drift`).filter(({ method }) => method === "PATCH"),
    ).toHaveLength(writes);
    expect(isOn("one-drift")).toBe(false);
  }, 60_000);

  test("stops when a key was deleted and made anew, and still goes back", async () => {
    const run = await start("anew");
    await eventOf(run, "stage_enabled");
    fake.remove("two-anew", ANA);
    fake.createFlag("two-anew", {}, ANA);
    const held = await eventually(
      "the hold",
      async () =>
        (await runOf(run)).holds.find(({ reason }) => reason === "flag_replaced" || reason === "flag_store"),
      { withinMs: 30_000 },
    );
    expect(held.reason).toBe("flag_replaced");
    expect(isOn("two-anew")).toBe(false);
    expect(await world.command(`rollout rollback all run=${run}`)).toMatchObject({ ok: true });
    await eventOf(run, "rollback_off");
    expect(isOn("one-anew")).toBe(false);
  }, 90_000);

  test("holds and says what to approve where changes need an approval", async () => {
    const run = await start("approval");
    await eventOf(run, "stage_enabled");
    fake.protect("production");
    const held = await eventually(
      "the hold",
      async () => (await runOf(run)).holds.find(({ reason }) => reason === "flag_store"),
      { withinMs: 30_000 },
    );
    expect(held.detail).toMatch(/approv/i);
    expect(held.detail).toContain("two-approval");
    fake.protect("production", false);
    expect(await world.command(`rollout rollback all run=${run}`)).toMatchObject({ ok: true });
    await eventOf(run, "rollback_off");
    expect(isOn("one-approval")).toBe(false);
  }, 90_000);

  test("shows no token anywhere: log, journal, channel, answers, metrics", async () => {
    const secrets = [fake.token, fake.sdkKey()];
    const outputs = await outputsOf(world, [
      "rollout list",
      "rollout history back",
      "rollout evidence back",
      "rollout plan back",
      "belay changes 2h",
    ]);
    for (const secret of secrets)
      expect(
        outputs.filter((output) => output.includes(secret)).map((output) => output.slice(0, 200)),
      ).toEqual([]);
    expect(fake.violations()).toEqual([]);
  });
});
