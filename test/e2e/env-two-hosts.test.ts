/** One flag in the environment files of two hosts: a rollback that leaves one of them down is not called done, and is tried until that host is up. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../demo/world/loopback.ts";
import { readEnvironment } from "../../src/adapters/flags/env-file.ts";
import { createProcessTarget, type ProcessTarget } from "../../src/adapters/target/process.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { until } from "../support/eventually.ts";
import { temporaryFolder } from "../support/flag-store-contract.ts";
import { Walk } from "../support/lanes.ts";
import { relay } from "../support/relay.ts";
import { CHANNEL, type ShortWorld, startShortWorld } from "../support/short-world.ts";

const NAMES = ["h1", "h2"] as const;
type Name = (typeof NAMES)[number];
const NAME = "two-hosts";

let dir: string;
let remove: () => Promise<void>;
let liar: Liar;
let world: ShortWorld;
let targets: readonly ProcessTarget[];
const view = createServer(async (_, response) => {
  response.end(JSON.stringify({ flags: await readEnvironment(fileOf("h1")) }));
});

const fileOf = (name: Name): string => join(dir, name, "features.env");
const pidOf = (name: Name): string => join(dir, name, "pid");
const brokenOf = (name: Name): string => join(dir, name, "broken");

/** Stays; while its host is broken it runs for longer than the first looks and exits. */
function commandOf(name: Name): readonly string[] {
  const broken = `[ -e ${brokenOf(name)} ] && sleep 0.4 && exit 3`;
  return ["/bin/sh", "-c", `${broken}; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done`];
}

function houseOf(viewUrl: string): Readonly<Record<string, string>> {
  const instances = NAMES.map(
    (name) =>
      `    - { path: ${fileOf(name)}, restart: { process: { command: ${JSON.stringify(commandOf(name))}, pidfile: ${pidOf(name)}, stop_timeout: 3s } } }`,
  );
  return {
    [`flags/${NAME}.yaml`]: `service: shop
environment: test
provider:
  kind: env-file
  restart_within: 10s
  instances:
${instances.join("\n")}
view: { http: "${viewUrl}/features", pointer: /flags }
prometheus: { url: "${liar.url}", scrape_interval: 1s, timeout: 2s }
flags:
  search: { key: FEATURE_SEARCH, safe: off }
guards:
  alive: { kind: alive, interval: 1s }
`,
    [`schedules/${NAME}.yaml`]: `rollout: ${NAME}
channel: "#${CHANNEL}"
stages:
  - { at: 0s, name: search, enable: search, soak: 1h }
`,
  };
}

beforeAll(async () => {
  ({ folder: dir, remove } = await temporaryFolder());
  liar = await startLiar();
  // All is well in production, whatever the hosts do.
  relay(liar, undefined, "nothing", join(dir, "none.json"));
  for (const name of NAMES) {
    mkdirSync(join(dir, name));
    writeFileSync(fileOf(name), "FEATURE_SEARCH=false\n");
  }
  targets = NAMES.map((name) =>
    createProcessTarget({
      command: commandOf(name),
      pidfile: pidOf(name),
      environment: () => readEnvironment(fileOf(name)),
      upWithinMs: 5_000,
    }),
  );
  await Promise.all(targets.map((target) => target.restart()));
  const port = await freePort();
  await new Promise<void>((resolve) => view.listen(port, "127.0.0.1", resolve));
  const house = houseOf(`http://127.0.0.1:${port}`);
  world = await startShortWorld({ dir: join(dir, "world"), house });
}, 60_000);

afterAll(async () => {
  await world.stop();
  await Promise.all(targets.map((target) => target.stop()));
  view.close();
  await liar.close();
  await remove();
});

const tries = (): number => world.log().split(`${pidOf("h2")} is not up`).length - 1;
const pidIn = (name: Name): unknown => JSON.parse(readFileSync(pidOf(name), "utf8")).pid;

test("a rollback whose restart leaves one host down is read back only when that host is up", {
  timeout: 60_000,
}, async () => {
  const walk = new Walk(NAME, world, CHANNEL);
  await walk.begin();
  writeFileSync(brokenOf("h2"), "");
  expect((await world.command("rollback all")).ok).toBe(true);
  await until("the restart of h2 tried again and again", () => tries() >= 4, { withinMs: 30_000 });
  const first = pidIn("h1");
  expect((await walk.events()).map(({ event }) => event.kind)).not.toContain("rollback_off");
  // Its file says OFF: that alone is no proof.
  expect(await readEnvironment(fileOf("h2"))).toEqual({ FEATURE_SEARCH: "false" });
  rmSync(brokenOf("h2"));
  await walk.event("rollback_off");
  expect(await targets[1]?.status()).toMatchObject({ running: true });
  // The one that was right all the time was not restarted again.
  expect(pidIn("h1")).toBe(first);
});
