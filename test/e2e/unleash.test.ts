/** A rollout on a real Unleash with the real Belay: flips seen by what Unleash serves to its SDKs, a person's change with her name, the way back; and no token in any output. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { eventually } from "../support/eventually.ts";
import { relay } from "../support/relay.ts";
import { outputsOf, type ShortWorld, startShortWorld } from "../support/short-world.ts";
import { type RunningUnleash, startUnleash, type UnleashPerson } from "../support/unleash.ts";

/** A change by others is to be noticed within ten seconds. */
const NOTICED_WITHIN_MS = 10_000;
const FEATURES = "/projects/default/features";
const featureSchema = z.object({
  environments: z.array(z.object({ name: z.string(), enabled: z.boolean() })),
});

let dir: string;
let unleash: RunningUnleash;
let belayUser: UnleashPerson;
let carol: UnleashPerson;
let liar: Liar;
let world: ShortWorld;

function house(): Readonly<Record<string, string>> {
  return {
    "flags/shop.yaml": `service: shop
environment: production
provider: { kind: unleash, url: "${unleash.url}" }
view: { sdk: {} }
prometheus: { url: "${liar.url}", scrape_interval: 1s, timeout: 2s }
flags:
  cart: { key: shop.cart, safe: off }
  search: { key: shop.search, safe: off, requires: [cart] }
guards:
  failures:
    kind: threshold
    query: sum(rate(failures_total[3s])) / sum(rate(files_total[3s]))
    max: 10%
    breach: 2 of 3
    interval: 500ms
  alive: { kind: alive, interval: 500ms }
`,
    "schedules/shop.yaml": `rollout: shop
channel: "#ingestion-ops"
stages:
  - { at: 0s, name: cart, enable: cart, soak: 6s }
  - { at: 6s, name: search, enable: { search: [10%, 100%] }, every: 6s }
`,
  };
}

async function isOn(key: string): Promise<boolean> {
  const feature = featureSchema.parse(await unleash.admin("GET", `${FEATURES}/${key}`));
  return feature.environments.find(({ name }) => name === "production")?.enabled === true;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-unleash-"));
  unleash = await startUnleash();
  belayUser = await unleash.person("belay", "editor");
  carol = await unleash.person("carol", "editor");
  for (const name of ["shop.cart", "shop.search"])
    await unleash.admin("POST", FEATURES, { name, type: "release" });
  liar = await startLiar();
  relay(liar, undefined, "failures_total", join(dir, "none"));
  world = await startShortWorld({
    dir: join(dir, "world"),
    house: house(),
    env: { BELAY_UNLEASH_TOKEN: belayUser.token, BELAY_UNLEASH_CLIENT_TOKEN: unleash.backendToken },
  });
}, 120_000);

afterAll(async () => {
  await world?.stop();
  await liar?.close();
  await unleash?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe("a rollout on Unleash", () => {
  test("goes up in shares, and back at once, seen by what its SDKs are served", {
    timeout: 90_000,
  }, async () => {
    const rehearsed = await world.command("rollout rehearse shop");
    expect(rehearsed, rehearsed.lines.join("\n")).toMatchObject({ ok: true });
    expect(await world.command("rollout start shop")).toMatchObject({ ok: true });
    await world.event("stage_enabled", { withinMs: 30_000, holds: (event) => event["stage"] === 1 });
    expect([await isOn("shop.cart"), await isOn("shop.search")]).toEqual([true, true]);
    const asked = Date.now();
    expect(await world.command("rollout rollback all")).toMatchObject({ ok: true });
    const off = await world.event("rollback_off");
    expect([await isOn("shop.cart"), await isOn("shop.search")]).toEqual([false, false]);
    const confirmed = await world.event("rollback_confirmed", { withinMs: 30_000 });
    expect(confirmed.event["seenBy"]).toBe("service");
    console.log(
      `Unleash: asked -> both OFF read back ${off.wall - asked} ms, -> served so to SDKs ${confirmed.wall - asked} ms`,
    );
    await world.event("rolled_back", { withinMs: 30_000 });
  });

  test("notices a person's OFF within ten seconds and names her", { timeout: 60_000 }, async () => {
    await world.command('rollout unlock shop/cart because "again"');
    await world.command('rollout unlock shop/search because "again"');
    await eventually("a start", async () => (await world.command("rollout start shop")).ok || undefined);
    await world.event("stage_enabled", { withinMs: 30_000 });
    await unleash.admin("POST", `${FEATURES}/shop.cart/environments/production/off`, undefined, carol.token);
    const at = Date.now();
    const found = await world.event("drift_found", { withinMs: NOTICED_WITHIN_MS });
    console.log(`Unleash: a person's OFF -> noticed ${found.wall - at} ms`);
    expect(found.event).toMatchObject({ flag: "cart", by: "carol" });
    expect(await isOn("shop.cart")).toBe(false);
    const changes = await world.command("belay changes 2h");
    expect(changes.lines.join("\n")).toContain("carol");
  });

  test("shows no token anywhere: log, journal, channel, answers, metrics", async () => {
    const commands = ["list", "history shop", "plan shop", "rehearse shop"].map((text) => `rollout ${text}`);
    const outputs = await outputsOf(world, commands);
    for (const secret of [belayUser.token, unleash.backendToken])
      expect(outputs.filter((output) => output.includes(secret)).map((one) => one.slice(0, 200))).toEqual([]);
  });
});
