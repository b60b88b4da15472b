/** The flag system is gone when a rollback is needed: the second lever turns the flag off, the flag system is still owed the OFF, and only a person releases the lever. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { eventually } from "../support/eventually.ts";
import { relay } from "../support/relay.ts";
import { flagsIn, keyedMessages, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const KEY = "FEATURE_ONE";

let dir: string;
let liar: Liar;
let world: ShortWorld;
let shown: NodeJS.Timeout | undefined;
let flagsPath: string;
let leverPath: string;

/** What the service works with: what its kill switch says, else what it last read from the flag system. */
let lastKnown = "false";
function service(): string {
  try {
    lastKnown = flagsIn(flagsPath)[KEY] ?? lastKnown;
  } catch {
    // The flag system is away: a service keeps its last value.
  }
  try {
    return flagsIn(leverPath)[KEY] === "false" ? "false" : lastKnown;
  } catch {
    return lastKnown;
  }
}

function house(): Readonly<Record<string, string>> {
  return {
    "flags/one.yaml": `service: ingestion
environment: test
provider: { kind: file, path: ${flagsPath} }
second_lever: { kind: file, path: ${leverPath}, after: 1s }
view: { http: "${liar.url}/features", pointer: /flags }
prometheus: { url: "${liar.url}", scrape_interval: 1s, timeout: 2s }
flags:
  one: { key: ${KEY}, safe: off }
guards:
  failures:
    kind: threshold
    query: sum(rate(ingestion_failures_total[3s])) / sum(rate(ingestion_files_total[3s]))
    max: 10%
    breach: 2 of 3
    interval: 500ms
  alive: { kind: alive, interval: 500ms }
`,
    "schedules/one.yaml": `rollout: one
channel: "#ingestion-ops"
stages:
  - { at: 0s, name: one, enable: one, soak: 1h }
`,
  };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "belay-lever-"));
  flagsPath = join(dir, "flags.json");
  leverPath = join(dir, "kill-switch.json");
  liar = await startLiar();
  const viewPath = join(dir, "view.json");
  relay(liar, undefined, "failures_total", viewPath);
  // The relay shows a file; the service writes what it works with into it.
  shown = setInterval(
    () => writeFileSync(viewPath, JSON.stringify({ flags: { [KEY]: { value: service() } } })),
    20,
  );
  world = await startShortWorld({ dir: join(dir, "world"), house: house() });
}, 60_000);

afterAll(async () => {
  clearInterval(shown);
  await world?.stop();
  await liar?.close();
  rmSync(dir, { recursive: true, force: true });
});

function sayings(): string {
  return keyedMessages(world.slack)
    .map(({ text }) => text)
    .join("\n");
}

test("the way back without the flag system", { timeout: 90_000 }, async () => {
  expect((await world.command("rollout start one")).ok).toBe(true);
  await world.event("stage_enabled");
  expect(service()).toBe("true");

  const text = readFileSync(flagsPath, "utf8");
  rmSync(flagsPath);
  mkdirSync(join(flagsPath, "in-the-way"), { recursive: true });
  const asked = Date.now();
  expect((await world.command("rollout rollback")).ok).toBe(true);
  const pulled = await world.event("lever_pulled");
  expect(pulled.event["flags"]).toEqual(["one"]);
  const off = await world.event("rollback_off");
  expect(off.event["by"]).toBe("lever");
  expect(flagsIn(leverPath)).toEqual({ [KEY]: "false" });
  expect(service()).toBe("false");
  console.log(
    `second lever: rollback asked for -> the service works without the flag ${off.wall - asked} ms`,
  );
  await eventually("the channel knows of the lever", () => sayings().includes("second lever") || undefined);

  // Killed meanwhile, it goes on owing the flag system its OFF.
  world.belay.kill();
  await world.event("rollback_confirmed", { withinMs: 30_000 });
  rmSync(flagsPath, { recursive: true });
  writeFileSync(flagsPath, text);
  await eventually("OFF in the flag system", () => flagsIn(flagsPath)[KEY] === "false" || undefined, {
    withinMs: 20_000,
  });
  await world.event("rolled_back", { withinMs: 30_000 });

  expect((await world.command('rollout unlock one because "mended"')).ok).toBe(true);
  const refused = await world.command("rollout start one");
  expect(refused).toMatchObject({ ok: false, code: "rehearsal" });
  expect(refused.text).toContain(`the second lever (${leverPath}) holds ${KEY} off: set it on there first`);
  writeFileSync(leverPath, JSON.stringify({ flags: { [KEY]: { value: "true" } } }));
  await eventually("a start", async () => (await world.command("rollout start one")).ok || undefined);
  await eventually("the service works with it again", () => service() === "true" || undefined);
});
