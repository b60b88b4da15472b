/** Observing from end to end: a real service under load, a real Prometheus, people who edit the flag file, and a Belay that writes nothing until a person asks. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually, until } from "../support/eventually.ts";
import { type Ground, startGround } from "../support/ground.ts";
import { shortHouse } from "../support/short-house.ts";
import { CHANNEL, flagsIn, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const SEEN_WITHIN_MS = 30_000;

let ground: Ground;
let world: ShortWorld | undefined;
let stories = 0;

beforeAll(async () => {
  ground = await startGround();
});

afterEach(async () => {
  await ground.probe.misbehave("none");
  await world?.stop();
  world = undefined;
});

afterAll(async () => {
  await ground?.stop();
});

/** A team's own file, written by their hands alone. */
function people(flags: Readonly<Record<string, boolean>>): string {
  const entries = Object.entries(flags).map(([key, on]) => [key, { value: String(on) }]);
  const text = `${JSON.stringify({ flags: Object.fromEntries(entries) }, null, 1)}\n`;
  writeFileSync(ground.flagsPath, text);
  return text;
}

async function start(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Promise<ShortWorld> {
  world = await startShortWorld({
    dir: join(ground.dir, `story-${++stories}`),
    house: shortHouse({
      serviceUrl: ground.service.origin,
      prometheusUrl: ground.prometheus.url,
      flagsPath: ground.flagsPath,
      parallelSoak: "10m",
    }),
    env,
    args,
  });
  return world;
}

function onDisk(): string {
  return readFileSync(ground.flagsPath, "utf8");
}

/** The text of the newest message in the channel that fits. */
function message(one: ShortWorld, fits: RegExp): Promise<string> {
  return eventually(
    `a message with ${fits}`,
    () =>
      one.slack
        .channelMessages(CHANNEL)
        .map((message) => one.slack.textOf(message))
        .findLast((text) => fits.test(text)),
    { withinMs: SEEN_WITHIN_MS },
  );
}

/** People set both flags, one after the other, as they are asked to; what they wrote last. */
async function bothOn(one: ShortWorld): Promise<string> {
  await message(one, /PLEASE SET FEATURE_PARSE_CACHE ON/);
  people({ FEATURE_PARSE_CACHE: true, FEATURE_PARALLEL: false });
  await one.event("stage_started", { withinMs: 60_000, holds: (event) => event["stage"] === 1 });
  await message(one, /PLEASE SET FEATURE_PARALLEL ON/);
  const text = people({ FEATURE_PARSE_CACHE: true, FEATURE_PARALLEL: true });
  await one.event("stage_enabled", { withinMs: SEEN_WITHIN_MS, holds: (event) => event["stage"] === 1 });
  return text;
}

describe("observing", () => {
  it("by --observe: people flip, Belay judges, a breach leads to WOULD, and nothing is written before Do it", async () => {
    let text = people({ FEATURE_PARSE_CACHE: false, FEATURE_PARALLEL: false });
    const one = await start({ BELAY_MODE: "act" }, ["--observe"]);
    expect(one.log()).toContain("started with --observe");
    const answer = await one.command("rollout start short");
    expect(answer).toMatchObject({ ok: true, code: "started" });
    expect(answer.text).toContain("It observes: Belay asks people to flip");
    expect((await one.command("rollout list")).lines.join("\n")).toContain("OBSERVES");
    expect(onDisk()).toBe(text);
    const asked = await message(one, /PLEASE SET FEATURE_PARSE_CACHE ON/);
    expect(asked).toContain(`FEATURE_PARSE_CACHE to ON ("true"), in ${ground.flagsPath}`);
    text = await bothOn(one);
    expect(onDisk()).toBe(text);

    await ground.probe.misbehave("errors");
    const would = await one.event("would_roll_back", { withinMs: SEEN_WITHIN_MS });
    expect(would.event["flips"]).toMatchObject([{ flag: "parallel", to: { kind: "off" } }]);
    const said = await message(one, /WOULD have rolled back short: parallel OFF/);
    expect(said).toMatch(/WOULD have rolled back .*\d\d:\d\d:\d\d|WOULD have rolled back <!date/);
    expect(said).toContain("Do it");
    expect(said).toContain("False alarm");
    // It holds and goes on judging; the file stays as people left it.
    await until("the hold", async () =>
      (await one.run()).holds.some((hold) => hold.reason === "would_roll_back"),
    );
    expect(onDisk()).toBe(text);

    const done = await one.command("rollout rollback parallel");
    expect(done).toMatchObject({ ok: true });
    await one.event("rollback_off");
    expect(flagsIn(ground.flagsPath)).toMatchObject({
      FEATURE_PARSE_CACHE: "true",
      FEATURE_PARALLEL: "false",
    });
    await one.event("recovered", { withinMs: SEEN_WITHIN_MS });
    expect(one.slack.violations()).toEqual([]);
  });

  it("by a new installation: notices that people took it back by hand, looks, and says so; the mode outlives a kill", async () => {
    people({ FEATURE_PARSE_CACHE: false, FEATURE_PARALLEL: false });
    const one = await start({ BELAY_MODE: "" });
    await one.command("rollout start short");
    await bothOn(one);
    await ground.probe.misbehave("errors");
    await one.event("would_roll_back", { withinMs: SEEN_WITHIN_MS });
    const deaths = one.belay.deaths();
    one.belay.kill();
    await until("the death", () => one.belay.deaths() > deaths);
    await one.belay.waitUp();
    await one.connected();
    const text = people({ FEATURE_PARSE_CACHE: true, FEATURE_PARALLEL: false });
    const started = await one.event("rollback_started", { withinMs: SEEN_WITHIN_MS });
    expect(started.event).toMatchObject({ byHand: true });
    await one.event("recovered", { withinMs: SEEN_WITHIN_MS });
    await message(one, /taken back by hand, seen/);
    expect(onDisk()).toBe(text);
    expect((await one.command("observe")).text).toMatch(/^Belay observes/);
  });
});

describe("who flips", () => {
  it("is changed by a word, which needs a reason, and counts for what is live", async () => {
    people({ FEATURE_PARSE_CACHE: false, FEATURE_PARALLEL: false });
    const one = await start({ BELAY_MODE: "" });
    await one.command("rollout start short");
    await message(one, /PLEASE SET FEATURE_PARSE_CACHE ON/);
    expect(await one.command("observe off")).toMatchObject({ ok: false, code: "missing_reason" });
    expect(await one.command("observe perhaps")).toMatchObject({ ok: false, code: "bad_value" });
    const off = await one.command('observe off because "we trust it"');
    expect(off.text).toMatch(/^Belay acts from now on/);
    await one.event("stage_enabled", { withinMs: SEEN_WITHIN_MS });
    expect(flagsIn(ground.flagsPath)).toMatchObject({ FEATURE_PARSE_CACHE: "true" });

    const released = await one.command("rollout release short");
    expect(released).toMatchObject({ ok: true });
    expect(released.text).toContain("parse-cache stays ON");
    await message(one, /PLEASE SET FEATURE_PARALLEL ON/);
    expect((await one.command('observe off because "again"')).lines.join()).toContain("released to people");
    const back = await one.command("rollout rollback all");
    expect(back.ok).toBe(true);
    await one.event("rollback_off");
    expect(flagsIn(ground.flagsPath)).toMatchObject({ FEATURE_PARSE_CACHE: "false" });
  });

  it("by the setting, from the start on, also for what is live", async () => {
    people({ FEATURE_PARSE_CACHE: false, FEATURE_PARALLEL: false });
    const one = await start({});
    expect(one.log()).toContain("Belay ACTS");
    await one.command("rollout start short");
    await one.event("stage_enabled", { withinMs: SEEN_WITHIN_MS });
    expect((await one.command("observe on")).text).toMatch(/^Belay observes from now on/);
    const { run } = await one.run();
    await until("it observes", async () =>
      (await one.events(run)).some(({ event }) => event.kind === "mode_set" && event["mode"] === "observe"),
    );
  });
});
