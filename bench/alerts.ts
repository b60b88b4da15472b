/** Measures alerts: from the webhook's post to the last flag OFF, and a real breach in the middle of a storm of alerts. Real Belay process, real Prometheus. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { createEye } from "../demo/world/eye.ts";
import { freePort } from "../demo/world/loopback.ts";
import { startEnvGround } from "../test/support/env-ground.ts";
import { eventually } from "../test/support/eventually.ts";
import { type Ground, startGround } from "../test/support/ground.ts";
import { flagsIn, keyedMessages, type ShortWorld, startShortWorld } from "../test/support/short-world.ts";
import { countedFigure, type Figure, figureOf, tableOf } from "./figures.ts";

const TOKEN = "token-of-alertmanager-for-the-bench";
const LOAD = join(import.meta.dirname, "alert-load.ts");
const OFF_EVERY_MS = 1;
const PATIENCE_MS = 60_000;
const STORM_S = 60;
const POSTS_A_MINUTE = 10_000;
/** From here on the alerts of the load are of the kind that takes flags back, but of other services. */
const STORM_AT_S = 25;
const MIB = 1024 * 1024;

const within = { withinMs: PATIENCE_MS };

/** A rollout of one stage; `alert` takes it back. */
interface Lane {
  readonly rollout: string;
  readonly stage: string;
  readonly alert: string;
  readonly flags: readonly string[];
}

const READING: Lane = {
  rollout: "reading",
  stage: "readers",
  alert: "ReadersFail",
  flags: ["FEATURE_PARSE_CACHE", "FEATURE_BATCHING"],
};
const WRITING: Lane = {
  rollout: "writing",
  stage: "writers",
  alert: "WritersFail",
  flags: ["FEATURE_NEO4J_BATCH", "FEATURE_PARALLEL"],
};

function fileHouse(ground: Ground): Readonly<Record<string, string>> {
  const schedule = ({ rollout, stage, alert }: Lane, flags: string): string =>
    `rollout: ${rollout}\nflags: ingestion\nchannel: "#ingestion-ops"\nstages:\n  - { at: 0s, name: ${stage}, enable: [${flags}], soak: 1h }\nrollback_on:\n  - alertname: ${alert}\n`;
  return {
    "flags/ingestion.yaml": `service: ingestion
environment: test
provider: { kind: file, path: ${ground.flagsPath} }
view: { http: "${ground.service.origin}/features", pointer: /flags }
prometheus: { url: "${ground.prometheus.url}", scrape_interval: 1s, timeout: 2s }
flags:
  parse-cache: { key: FEATURE_PARSE_CACHE, safe: off }
  batching: { key: FEATURE_BATCHING, safe: off }
  neo4j-batch: { key: FEATURE_NEO4J_BATCH, safe: off }
  parallel: { key: FEATURE_PARALLEL, safe: off }
guards:
  failures:
    kind: threshold
    query: sum(rate(ingestion_failures_total[5s])) / sum(rate(ingestion_files_total[5s]))
    max: 2%
    breach: 2 of 3
    interval: 1s
  alive: { kind: alive, interval: 1s }
`,
    "schedules/reading.yaml": schedule(READING, "parse-cache, batching"),
    "schedules/writing.yaml": schedule(WRITING, "neo4j-batch, parallel"),
  };
}

/** Belay with its door for alerts. */
interface Doored {
  readonly world: ShortWorld;
  readonly url: string;
}

async function startDoored(dir: string, house: Readonly<Record<string, string>>): Promise<Doored> {
  const port = await freePort();
  const env = { BELAY_ALERTS_TOKEN: TOKEN, BELAY_HOOKS_PORT: String(port) };
  const world = await startShortWorld({ dir, house, env });
  return { world, url: `http://127.0.0.1:${port}/alerts` };
}

/** One post as Alertmanager sends it, of one alert that begins now; wall ms just before it was sent. */
async function post(url: string, alertname: string): Promise<number> {
  const at = Date.now();
  const alert = {
    status: "firing",
    labels: { alertname, service: "ingestion", environment: "test" },
    annotations: { summary: "measured" },
    startsAt: new Date(at).toISOString(),
    fingerprint: Math.floor(Math.random() * 2 ** 48)
      .toString(16)
      .padStart(16, "0"),
  };
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({ version: "4", truncatedAlerts: 0, alerts: [alert] }),
  });
  if (response.status !== 200) throw new Error(`the webhook answered ${response.status}`);
  return at;
}

/** Starts the lane's rollout and waits until it is live; returns its run. */
async function begin({ world }: Doored, lane: Lane): Promise<string> {
  const answer = await world.command(`rollout start ${lane.rollout}`);
  const run = answer.run;
  if (run === undefined) throw new Error(`${lane.rollout}: ${answer.text}`);
  await untilEvent(world, run, "stage_enabled");
  return run;
}

async function untilEvent(world: ShortWorld, run: string, kind: string): Promise<number> {
  const find = async (): Promise<number | undefined> =>
    (await world.events(run)).find(({ event }) => event.kind === kind)?.wall;
  return eventually(`${kind} of ${run}`, find, { ...within, everyMs: 50 });
}

/** Wall ms at which every flag of the lane was off in the store's file. */
async function offInStore(path: string, lane: Lane): Promise<number> {
  const isOff = (): number | undefined => {
    const flags = flagsIn(path);
    return lane.flags.every((key) => flags[key] === "false") ? Date.now() : undefined;
  };
  return eventually(`${lane.rollout} off`, isOff, { ...within, everyMs: OFF_EVERY_MS });
}

/** Waits for the end of a run that went back, and makes its stage ready for the next. */
async function clear({ world }: Doored, run: string, lane: Lane): Promise<void> {
  await untilEvent(world, run, "rolled_back");
  await world.command(`rollout unlock ${lane.stage} because "bench"`);
}

/** One lane's share of the rounds; the lanes take turns in time, since most of a round is the look after it. */
async function fileRounds(doored: Doored, path: string, lane: Lane, rounds: number): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < rounds; index++) {
    const run = await begin(doored, lane);
    await delay(200 + Math.random() * 1_000);
    const off = offInStore(path, lane);
    const posted = await post(doored.url, lane.alert);
    samples.push((await off) - posted);
    await clear(doored, run, lane);
  }
  return samples;
}

/** Post to OFF read back, the restart of the service included. */
async function envFileRounds(rounds: number, tell: (line: string) => void): Promise<readonly number[]> {
  const ground = await startEnvGround("env");
  const lane: Lane = { rollout: "env", stage: "workers", alert: "WorkersFail", flags: [] };
  try {
    const house = Object.fromEntries(
      Object.entries(ground.house).map(([path, text]) => [
        path,
        path.startsWith("schedules/") ? `${text}rollback_on:\n  - alertname: ${lane.alert}\n` : text,
      ]),
    );
    const doored = await startDoored(join(ground.dir, "world"), house);
    const samples: number[] = [];
    try {
      for (let index = 0; index < rounds; index++) {
        const run = await begin(doored, lane);
        await delay(500 + Math.random() * 1_000);
        const posted = await post(doored.url, lane.alert);
        samples.push((await untilEvent(doored.world, run, "rollback_off")) - posted);
        tell(`env-file alert ${index + 1} of ${rounds}: off ${samples.at(-1)} ms after the post`);
        await clear(doored, run, lane);
      }
    } finally {
      await doored.world.stop();
    }
    return samples;
  } finally {
    await ground.stop();
  }
}

const loadSchema = z.object({
  posts: z.number(),
  ms: z.number(),
  statuses: z.record(z.string(), z.number()),
  p50: z.number(),
  p99: z.number(),
  max: z.number(),
});

interface Storm {
  readonly load: z.output<typeof loadSchema>;
  /** Post of a real alert to OFF, while other alerts pour in, ms. */
  readonly alertToOff: number;
  /** Breach visible in Prometheus to OFF read back, while alerts of many services pour in, ms. */
  readonly breachToOff: number;
  readonly held: boolean;
  readonly pages: number;
  readonly grewBytes: number;
}

/** Resident memory of a process, bytes. */
function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1]) * 1024;
}

async function runLoad(url: string): Promise<z.output<typeof loadSchema>> {
  const args = [LOAD, "--url", url, "--rate", String(POSTS_A_MINUTE), "--seconds", String(STORM_S)];
  const names = ["--storm", `${READING.alert},${WRITING.alert}`, "--stormAt", String(STORM_AT_S)];
  const child = spawn(process.execPath, [...args, ...names], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ALERTS_TOKEN: TOKEN },
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the load ended with ${code}`);
  return loadSchema.parse(JSON.parse(text));
}

/** A real alert among others, then a real breach in a storm. */
async function storm(doored: Doored, ground: Ground): Promise<Storm> {
  const { world, url } = doored;
  const pid = world.belay.pid() ?? 0;
  const reading = await begin(doored, READING);
  const writing = await begin(doored, WRITING);
  const before = residentBytes(pid);
  let most = before;
  const watching = setInterval(() => {
    if (world.belay.deaths() === 0) most = Math.max(most, residentBytes(pid));
  }, 500);
  try {
    const started = performance.now();
    const load = runLoad(url);
    await delay(10_000);
    const off = offInStore(ground.flagsPath, READING);
    const posted = await post(url, READING.alert);
    const alertToOff = (await off) - posted;
    await delay(STORM_AT_S * 1_000 + 5_000 - (performance.now() - started));
    const eye = createEye({ prometheusUrl: ground.prometheus.url, probe: ground.probe });
    await ground.probe.misbehave("errors");
    const visible = await eye.breachVisible;
    const breachToOff = (await untilEvent(world, writing, "rollback_off")) - visible.wall;
    const answered = await load;
    if (world.belay.deaths() > 0) throw new Error("Belay died in the storm");
    await untilEvent(world, reading, "rolled_back");
    const held = (await world.events(writing)).some(({ event }) => event["reason"] === "alert_storm");
    const about = keyedMessages(world.slack).filter(({ text }) => text.includes("Look for a common cause"));
    const pages = new Set(about.map(({ key }) => key)).size;
    return { load: answered, alertToOff, breachToOff, held, pages, grewBytes: most - before };
  } finally {
    clearInterval(watching);
    await ground.probe.misbehave("none");
  }
}

/** All figures about alerts. `rounds` of the file provider; the other figures take their time from it. */
export async function measureAlerts(
  rounds: number,
  tell: (line: string) => void,
): Promise<readonly Figure[]> {
  const ground = await startGround();
  const figures: Figure[] = [];
  try {
    const doored = await startDoored(join(ground.dir, "world"), fileHouse(ground));
    try {
      const half = Math.ceil(rounds / 2);
      const both = await Promise.all(
        [READING, WRITING].map((lane) => fileRounds(doored, ground.flagsPath, lane, half)),
      );
      tell(`alerts: ${2 * half} rounds of the file provider are done`);
      figures.push(
        figureOf("alert posted to the webhook -> last flag OFF (file)", both.flat(), {
          statistic: "p99",
          most: 1_000,
          words: "p99 < 1 s",
        }),
      );
      const seen = await storm(doored, ground);
      tell(`storm: ${JSON.stringify(seen)}`);
      figures.push(...stormFigures(seen));
    } finally {
      await doored.world.stop();
    }
  } finally {
    await ground.stop();
  }
  const env = await envFileRounds(Math.max(1, Math.round(rounds / 3)), tell);
  return [
    ...figures,
    figureOf("alert posted to the webhook -> OFF read back (env-file with its restart)", env, {
      statistic: "p99",
      most: 1_000,
      words: "p99 < 1 s",
    }),
  ];
}

function stormFigures({ load, alertToOff, breachToOff, held, pages, grewBytes }: Storm): readonly Figure[] {
  const soon = { statistic: "max", most: 5_000, words: "max < 5 s" } as const;
  const refused = load.posts - (load.statuses["200"] ?? 0);
  return [
    figureOf("alert -> last flag OFF while 10,000 posts/min of others come in", [alertToOff], soon),
    figureOf("breach visible -> OFF read back in a storm of alerts", [breachToOff], soon),
    countedFigure("pages about the storm", "", held ? pages : Number.NaN, { most: 1, words: "at most 1" }),
    countedFigure("posts of the storm that were not taken", "", refused, { most: 0, words: "none" }),
    {
      figure: "post of the storm -> its answer",
      unit: "ms",
      n: load.posts,
      p50: Math.round(load.p50),
      p99: Math.round(load.p99),
      max: Math.round(load.max),
    },
    countedFigure("memory that the storm took", "MB", grewBytes / MIB, { most: 100, words: "< 100 MB" }),
  ];
}

if (process.argv[1] === import.meta.filename) {
  const rounds = Number(process.argv[2] ?? "30");
  const figures = await measureAlerts(rounds, (line) => void process.stderr.write(`${line}\n`));
  process.stdout.write(`${tableOf(figures)}\n`);
}
