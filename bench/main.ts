/** `npm run bench [-- --json] [--rounds N]`: measures what Belay promises, beside what peers document. Not a test: it prints, it does not judge the build. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { coreTicks } from "./core-ticks.ts";
import { measureEnvFile } from "./env-file.ts";
import { type Figure, figureOf, PEERS, tableOf } from "./figures.ts";
import { measureRounds } from "./rollback.ts";

const ROOT = join(import.meta.dirname, "..");
const POLL_MS = 1_000;
const SCRAPE_MS = 1_000;
/** Two polls, one scrape and a quarter of a second to decide, write and read back. */
const OFF_BOUND_MS = 2 * POLL_MS + SCRAPE_MS + 250;

function readOptions(): { readonly json: boolean; readonly rounds: number } {
  const { values } = parseArgs({ options: { json: { type: "boolean" }, rounds: { type: "string" } } });
  const rounds = Number(values.rounds ?? "30");
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1_000)
    throw new Error("--rounds takes a whole number from 1 to 1000");
  return { json: values.json === true, rounds };
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

async function main(): Promise<void> {
  const { json, rounds } = readOptions();
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);
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
  if (json) for (const figure of figures) process.stdout.write(`${JSON.stringify(figure)}\n`);
  else {
    const peers = PEERS.map(([name, time]) => `  ${name.padEnd(36)} ${time}`).join("\n");
    process.stdout.write(
      `${tableOf(figures)}\n\nFrom a visible regression to the beginning of the rollback, as peers document it (not measured here):\n${peers}\n`,
    );
  }
}

await main();
