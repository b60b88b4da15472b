/** `npm run sim -- --runs N --seed S [--verbose]`: plays N seeded scenarios and prints what was broken; exit 1 on any violation. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { type Outcome, play } from "./run.ts";

interface Job {
  readonly seeds: readonly number[];
}

async function work(): Promise<void> {
  const { seeds } = workerData as Job;
  for (const seed of seeds) parentPort?.postMessage(await play(seed));
}

function option(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!Number.isInteger(value) || value < 0) {
    process.stderr.write(`--${name} takes a whole number, found ${process.argv[at + 1] ?? "nothing"}\n`);
    process.exit(2);
  }
  return value;
}

/** Plays the seeds on two threads; resolves with all outcomes, in no order. */
function playAll(seeds: readonly number[], threads: number): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const shares = Array.from({ length: threads }, (_, t) => seeds.filter((_, i) => i % threads === t));
  return Promise.all(
    shares.map(
      (share) =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: { seeds: share } satisfies Job });
          worker.on("message", (outcome: Outcome) => outcomes.push(outcome));
          worker.on("error", reject);
          worker.on("exit", (code) =>
            code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`)),
          );
        }),
    ),
  ).then(() => outcomes);
}

function report(outcomes: readonly Outcome[], ms: number): number {
  const bad = outcomes.filter((outcome) => outcome.violations.length > 0).sort((a, b) => a.seed - b.seed);
  const sum = (pick: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + pick(outcome), 0);
  for (const outcome of bad.slice(0, 10)) {
    for (const { rule, at, detail } of outcome.violations.slice(0, 3))
      process.stdout.write(`seed ${outcome.seed}: ${rule} at ${at / 1000} s: ${detail}\n`);
  }
  const ends = new Map<string, number>();
  for (const phase of outcomes.flatMap((outcome) => outcome.phases))
    ends.set(phase, (ends.get(phase) ?? 0) + 1);
  process.stdout.write(
    `${outcomes.length} runs, ${bad.length} with violations, ${sum((o) => o.calls)} port calls, ${sum((o) => o.crashes)} crashes, ${sum((o) => o.events)} events, ${(ms / 1000).toFixed(1)} s; ended ${[...ends].map(([phase, count]) => `${phase} ${count}`).join(", ")}\n`,
  );
  return bad.length;
}

async function main(): Promise<void> {
  const first = option("seed", 1);
  const runs = option("runs", 100);
  if (process.argv.includes("--verbose")) {
    const outcome = await play(first, (line) => process.stdout.write(`${line}\n`));
    process.stdout.write(`${JSON.stringify(outcome, null, 1)}\n`);
    process.exit(outcome.violations.length === 0 ? 0 : 1);
  }
  const start = performance.now();
  const outcomes = await playAll(
    Array.from({ length: runs }, (_, i) => first + i),
    option("threads", 2),
  );
  process.exit(report(outcomes, performance.now() - start) === 0 ? 0 : 1);
}

await (isMainThread ? main() : work());
