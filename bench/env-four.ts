/** The ground on which four flags stand in one environment file: the real service, stopped and started by Belay, its restarts and the file's versions counted. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { createProbe } from "../demo/service/probe.ts";
import { freePort } from "../demo/world/loopback.ts";
import { readEnvironment } from "../src/adapters/flags/env-file.ts";
import { createProcessTarget } from "../src/adapters/target/process.ts";
import { type FlagGround, keysOf, lanesOf } from "./flips.ts";

const SERVICES = 5;
const SERVICE = fileURLToPath(new URL("../demo/service/main.ts", import.meta.url));
/** How often the file is looked at; between two restarts there is much more time. */
const LOOK_EVERY_MS = 2;
const pidSchema = z.object({ pid: z.number() });

interface Place {
  readonly path: string;
  readonly pidfile: string;
  readonly log: string;
  readonly port: number;
  readonly command: readonly string[];
}

async function makePlace(dir: string, lane: string): Promise<Place> {
  const folder = join(dir, lane);
  mkdirSync(folder);
  const path = join(folder, "features.env");
  writeFileSync(
    path,
    keysOf(lane)
      .map((key) => `${key}=false\n`)
      .join(""),
  );
  const port = await freePort();
  const command = [process.execPath, SERVICE, `--port=${port}`, "--flags=env", "--rate=10"];
  return { path, pidfile: join(folder, "service.pid"), log: join(folder, "service.log"), port, command };
}

function targetOf({ path, port, ...place }: Place) {
  const environment = () => readEnvironment(path);
  const isUp = createProbe(`http://127.0.0.1:${port}`).healthy;
  return createProcessTarget({ ...place, logFile: place.log, environment, isUp, upWithinMs: 10_000 });
}

/** What the running process was started with. */
function environmentOf({ pidfile }: Place): Readonly<Record<string, string>> {
  const { pid } = pidSchema.parse(JSON.parse(readFileSync(pidfile, "utf8")));
  const lines = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
}

/** Counts from now on; throws at the end when there was more or less than one write and one restart. */
function watchOnce({ path, log }: Place): () => void {
  const versionOf = (): string => {
    const { ino, mtimeMs } = statSync(path);
    return `${ino} ${mtimeMs}`;
  };
  const startsOf = (): number => readFileSync(log, "utf8").split('"event":"listening"').length - 1;
  const starts = startsOf();
  const versions = new Set([versionOf()]);
  const timer = setInterval(() => versions.add(versionOf()), LOOK_EVERY_MS);
  return () => {
    clearInterval(timer);
    const [writes, restarts] = [versions.size - 1, startsOf() - starts];
    if (writes !== 1 || restarts !== 1)
      throw new Error(`four flags took ${writes} writes and ${restarts} restarts, not one of each`);
  };
}

/** Flags in environment files, one for each of five real services. */
export async function withEnvGround<T>(use: (ground: FlagGround) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "belay-bench-env-"));
  const lanes = lanesOf(SERVICES);
  const places = new Map<string, Place>();
  for (const lane of lanes) places.set(lane, await makePlace(dir, lane));
  const placeOf = (lane: string): Place => {
    const place = places.get(lane);
    if (place === undefined) throw new Error(`there is no ${lane}`);
    return place;
  };
  const targets = [...places.values()].map(targetOf);
  try {
    for (const target of targets) await target.restart();
    return await use({
      lanes,
      provider: (lane) => {
        const { path, pidfile, log, command } = placeOf(lane);
        const words = JSON.stringify(command);
        return `{ kind: env-file, path: ${path}, restart: { process: { command: ${words}, pidfile: ${pidfile}, log: ${log}, stop_timeout: 3s } }, restart_within: 10s }`;
      },
      env: {},
      features: async (lane) => {
        const place = placeOf(lane);
        if (!(await createProbe(`http://127.0.0.1:${place.port}`).healthy()))
          throw new Error(`the service of ${lane} is away`);
        return environmentOf(place);
      },
      watch: (lane) => watchOnce(placeOf(lane)),
    });
  } finally {
    await Promise.all(targets.map((target) => target.stop()));
    rmSync(dir, { recursive: true, force: true });
  }
}
