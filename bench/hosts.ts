/** Measures an emergency rollback on three hosts whose flags stand in environment files and whose service drains for 20 s, under load. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { freePort } from "../demo/world/loopback.ts";
import { readEnvironment } from "../src/adapters/flags/env-file.ts";
import { createProcessTarget } from "../src/adapters/target/process.ts";
import { type ShortWorld, startShortWorld } from "../test/support/short-world.ts";
import { type BalancedLoad, startLoad } from "./balanced-load.ts";
import { startWell } from "./well.ts";

const HOSTS = 3;
const DRAIN_MS = 20_000;
/** Load before the rollback, so that it does not begin in quiet, ms. */
const BEFORE_MS = 1_000;
const SERVICE = join(import.meta.dirname, "drain-service.ts");
const KEYS = ["FEATURE_PARSE_CACHE", "FEATURE_BATCHING", "FEATURE_NEO4J_BATCH", "FEATURE_PARALLEL"];
const PATIENCE = { withinMs: 90_000 };

export interface HostRounds {
  /** Decision to all four flags OFF on all three hosts, restarted and read back, ms. */
  readonly decidedToOff: readonly number[];
  /** Decision to all three hosts saying so themselves, ms. */
  readonly decidedToSeen: readonly number[];
  /** Requests offered from the decision until all hosts were back. */
  readonly offered: readonly number[];
  /** Of them, those that no host took. */
  readonly refused: readonly number[];
  /** Of them, those that a host had taken and did not finish. */
  readonly cut: readonly number[];
}

interface Host {
  readonly path: string;
  readonly port: number;
  readonly pidfile: string;
  readonly command: readonly string[];
}

async function makeHosts(dir: string): Promise<readonly Host[]> {
  return Promise.all(
    Array.from({ length: HOSTS }, async (_, index) => {
      const folder = join(dir, `host-${index + 1}`);
      mkdirSync(folder);
      const path = join(folder, "features.env");
      writeFileSync(path, KEYS.map((key) => `${key}=false\n`).join(""));
      const port = await freePort();
      const command = [process.execPath, SERVICE, String(port)];
      return { path, port, pidfile: join(folder, "service.pid"), command };
    }),
  );
}

/** The target as Belay will find it: the same command, the same pidfile. */
function targetOf({ command, pidfile, path }: Host) {
  const environment = () => readEnvironment(path);
  return createProcessTarget({ command, pidfile, environment, upWithinMs: 10_000, stopTimeoutMs: 2_000 });
}

function houseOf(hosts: readonly Host[], wellUrl: string): Readonly<Record<string, string>> {
  const instances = hosts.map(
    ({ path, pidfile, command }) =>
      `    - { path: ${path}, restart: { process: { command: ${JSON.stringify(command)}, pidfile: ${pidfile}, stop_timeout: 25s } } }`,
  );
  const name = (key: string): string => key.replace("FEATURE_", "").toLowerCase().replaceAll("_", "-");
  return {
    "flags/hosts.yaml": `service: hosts
environment: test
provider:
  kind: env-file
  restart_within: 30s
  instances:
${instances.join("\n")}
view: { http: "${wellUrl}/features/hosts", pointer: /flags }
prometheus: { url: "${wellUrl}", scrape_interval: 1s, timeout: 2s }
flags:
${KEYS.map((key) => `  ${name(key)}: { key: ${key}, safe: off }`).join("\n")}
guards:
  alive: { kind: alive, interval: 1s }
`,
    "schedules/hosts.yaml": `rollout: hosts
flags: hosts
stages:
  - { at: 0s, name: everything, enable: [${KEYS.map(name).join(", ")}], soak: 1h }
`,
  };
}

const toldSchema = z.object({ flags: z.record(z.string(), z.string()) });

/** What all hosts say of their own flags; where they differ, both. Rejects while one of them does not answer. */
async function featuresOf(hosts: readonly Host[]): Promise<Readonly<Record<string, string>>> {
  const told = await Promise.all(
    hosts.map(async ({ port }) => toldSchema.parse(await (await fetch(`http://127.0.0.1:${port}/`)).json())),
  );
  return Object.fromEntries(
    KEYS.map((key) => [key, [...new Set(told.map(({ flags }) => flags[key] ?? "absent"))].join(" or ")]),
  );
}

async function round(world: ShortWorld, load: BalancedLoad, hosts: readonly Host[]) {
  const started = await world.command("rollout start hosts");
  if (!started.ok) throw new Error([started.text, ...started.lines].join("\n"));
  await world.event("stage_enabled", PATIENCE);
  await delay(BEFORE_MS);
  await load.count();
  // The longest work in hand: the drain of each host is so long.
  load.long(DRAIN_MS);
  await delay(100);
  await world.command("rollout rollback all");
  const off = await world.event("rollback_off", PATIENCE);
  const decision = await world.event("rollback_started", PATIENCE);
  const seen = await world.event("rollback_confirmed", PATIENCE);
  const counted = await load.count();
  for (const { path } of hosts) {
    const values = await readEnvironment(path);
    const on = KEYS.filter((key) => values[key] !== "false");
    if (on.length > 0) throw new Error(`${on.join(", ")} in ${path} although Belay says that all is off`);
  }
  await world.event("rolled_back", PATIENCE);
  await world.command('rollout unlock everything because "bench"');
  return { ms: off.wall - decision.wall, seenMs: seen.wall - decision.wall, ...counted };
}

/** Plays `rounds` rounds; each takes about 40 s. */
export async function measureHosts(rounds: number, tell: (line: string) => void): Promise<HostRounds> {
  const dir = mkdtempSync(join(tmpdir(), "belay-bench-hosts-"));
  const hosts = await makeHosts(dir);
  const targets = hosts.map(targetOf);
  const well = await startWell(() => featuresOf(hosts));
  const out = {
    decidedToOff: [] as number[],
    decidedToSeen: [] as number[],
    offered: [] as number[],
    refused: [] as number[],
    cut: [] as number[],
  };
  try {
    await Promise.all(targets.map((target) => target.restart()));
    const world = await startShortWorld({ dir: join(dir, "world"), house: houseOf(hosts, well.url) });
    const load = startLoad(hosts.map(({ port }) => port));
    try {
      for (let index = 0; index < rounds; index++) {
        const { ms, seenMs, offered, refused, cut } = await round(world, load, hosts);
        out.decidedToOff.push(ms);
        out.decidedToSeen.push(seenMs);
        out.offered.push(offered);
        out.refused.push(refused);
        out.cut.push(cut);
        tell(
          `three hosts ${index + 1} of ${rounds}: off ${ms} ms after the decision; of ${offered} requests ${refused} found no host and ${cut} were cut off`,
        );
      }
    } finally {
      await load.stop();
      await world.stop();
    }
    return out;
  } finally {
    await Promise.all(targets.map((target) => target.stop()));
    await well.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
