/** `npm run bench [-- --json] [--rounds N] [--part breach|flips]`: measures what Belay promises, beside what peers document; ends with 1 when a limit does not hold. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type BackRounds, measureBack } from "./back.ts";
import { coreTicks } from "./core-ticks.ts";
import { measureEnvFile } from "./env-file.ts";
import { type Figure, figureOf, PEERS, tableOf } from "./figures.ts";
import { measureRounds } from "./rollback.ts";

const ROOT = join(import.meta.dirname, "..");
const POLL_MS = 1_000;
const SCRAPE_MS = 1_000;
/** Two polls, one scrape and a quarter of a second to decide, write and read back. */
const OFF_BOUND_MS = 2 * POLL_MS + SCRAPE_MS + 250;
const DEFAULT_ROUNDS = 30;
/** For 30 rounds; other numbers in proportion. */
const BACK_ROUNDS: BackRounds = { flips: 100, failing: 50, restarts: 15, hosts: 3 };

/** `breach`: from a breach, or from Enter, on. `flips`: from the decision on. */
const PARTS = ["breach", "flips"] as const;
type Part = (typeof PARTS)[number];

interface Options {
  readonly json: boolean;
  readonly rounds: number;
  readonly parts: readonly Part[];
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: { json: { type: "boolean" }, rounds: { type: "string" }, part: { type: "string" } },
  });
  const rounds = Number(values.rounds ?? DEFAULT_ROUNDS);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1_000)
    throw new Error("--rounds takes a whole number from 1 to 1000");
  const parts = PARTS.filter((part) => values.part === undefined || values.part === part);
  if (parts.length === 0) throw new Error(`--part takes ${PARTS.join(" or ")}`);
  return { json: values.json === true, rounds, parts };
}

function coreFigure(): Figure {
  // The first ones also measure how the program is compiled.
  for (let warmUp = 0; warmUp < 2; warmUp++) coreTicks(48);
  const samples = Array.from({ length: 15 }, () => coreTicks(48).ms);
  return figureOf("48 h of 1 s ticks through the core", samples, {
    statistic: "p50",
    most: 300,
    words: "p50 < 300 ms",
  });
}

async function breachFigures(rounds: number, tell: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [coreFigure()];
  const dir = mkdtempSync(join(tmpdir(), "belay-bench-"));
  try {
    const file = await measureRounds(
      rounds,
      dir,
      readFileSync(join(ROOT, "flags/ingestion.yaml"), "utf8"),
      tell,
    );
    figures.push(
      figureOf("breach visible in Prometheus -> OFF read back (file, 2 of 3)", file.visibleToOff, {
        statistic: "max",
        most: OFF_BOUND_MS,
        words: `max <= ${OFF_BOUND_MS} ms`,
      }),
      figureOf("OFF read back -> the service says so", file.offToService),
      figureOf("Enter typed -> ack", file.typedToAck, { statistic: "p99", most: 50, words: "p99 < 50 ms" }),
      figureOf("Enter typed -> the service has the flag", file.typedToFlag),
      figureOf("Enter typed -> card in the channel", file.typedToCard, {
        statistic: "max",
        most: 500,
        words: "max < 500 ms",
      }),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const env = await measureEnvFile(Math.max(1, Math.round(rounds / 3)), tell);
  figures.push(
    figureOf(
      "breach visible in Prometheus -> OFF read back (env-file with its restart, 2 of 3)",
      env.visibleToOff,
    ),
  );
  return figures;
}

function flipFigures(rounds: number, tell: (line: string) => void): Promise<readonly Figure[]> {
  const inProportion = (full: number): number => Math.max(1, Math.round((full * rounds) / DEFAULT_ROUNDS));
  return measureBack(
    {
      flips: inProportion(BACK_ROUNDS.flips),
      failing: inProportion(BACK_ROUNDS.failing),
      restarts: inProportion(BACK_ROUNDS.restarts),
      hosts: inProportion(BACK_ROUNDS.hosts),
    },
    tell,
  );
}

/** Says for all figures together whether the limits hold. */
function verdictOf(figures: readonly Figure[]): string {
  const missed = figures.filter(({ met }) => met === false);
  const held = figures.filter(({ met }) => met !== undefined);
  return missed.length === 0
    ? `All ${held.length} limits hold.`
    : `${missed.length} of ${held.length} limits do NOT hold: ${missed.map(({ figure }) => figure).join("; ")}.`;
}

async function main(): Promise<void> {
  const { json, rounds, parts } = readOptions();
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);
  // What else runs on the machine is in every figure.
  tell(`load of the machine before: ${(loadavg()[0] ?? 0).toFixed(1)}`);
  const figures: Figure[] = [];
  if (parts.includes("breach")) figures.push(...(await breachFigures(rounds, tell)));
  if (parts.includes("flips")) figures.push(...(await flipFigures(rounds, tell)));
  if (json) for (const figure of figures) process.stdout.write(`${JSON.stringify(figure)}\n`);
  else {
    const peers = PEERS.map(([name, time]) => `  ${name.padEnd(36)} ${time}`).join("\n");
    const compared = parts.includes("breach")
      ? `\n\nFrom a visible regression to the beginning of the rollback, as peers document it (not measured here):\n${peers}`
      : "";
    process.stdout.write(`${tableOf(figures)}${compared}\n\n${verdictOf(figures)}\n`);
  }
  if (figures.some(({ met }) => met === false)) process.exitCode = 1;
}

await main();
