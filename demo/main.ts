/** `npm run demo`: starts the demo's world and shows it on one page, or plays the whole story by itself (`--headless --json`). */
import { parseArgs } from "node:util";
import { startPage } from "./page/server.ts";
import { type Line, playStory, type Summary } from "./story.ts";
import { startWorld, type World } from "./world/world.ts";

const USAGE = "npm run demo [-- --speed SECONDS_PER_HOUR] [--port PORT] [--headless [--json]]";

interface Flags {
  readonly headless: boolean;
  readonly json: boolean;
  readonly speed: number;
  readonly port: number;
}

function readFlags(): Flags {
  try {
    const { values } = parseArgs({
      options: {
        headless: { type: "boolean" },
        json: { type: "boolean" },
        speed: { type: "string" },
        port: { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values.help === true) stop(USAGE, 0);
    const speed = Number(values.speed ?? "4");
    const port = Number(values.port ?? "0");
    if (!(speed > 0 && speed <= 3_600))
      stop(
        `--speed: expected seconds per planned hour, above 0 and at most 3600, found ${values.speed}\n${USAGE}`,
        2,
      );
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      stop(`--port: expected a port, found ${values.port}\n${USAGE}`, 2);
    return { headless: values.headless === true, json: values.json === true, speed, port };
  } catch (error) {
    return stop(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, 2);
  }
}

function stop(text: string, code: number): never {
  (code === 0 ? process.stdout : process.stderr).write(`${text}\n`);
  process.exit(code);
}

function inWords(line: Line): string {
  const { t, event, rollout: _rollout, ...more } = line;
  const rest = Object.entries(more).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${(t / 1_000).toFixed(1).padStart(6)} s  ${event.padEnd(16)} ${rest.join("  ")}`;
}

function summaryInWords(summary: Summary): string {
  const off = `OFF ${(summary.breach_visible_to_off_ms / 1_000).toFixed(1)} s after the breach was visible, recovered ${(summary.off_to_recovered_ms / 1_000).toFixed(1)} s later`;
  const verdict = summary.ok
    ? "Every expectation held."
    : `NOT as expected:\n  ${summary.failed.join("\n  ")}`;
  return `${off}. ${summary.violations} violations of Slack's rules. ${verdict}`;
}

async function headless(world: World, json: boolean): Promise<boolean> {
  const summary = await playStory(world, (line) =>
    process.stdout.write(`${json ? JSON.stringify(line) : inWords(line)}\n`),
  );
  process.stdout.write(`${json ? JSON.stringify(summary) : summaryInWords(summary)}\n`);
  return summary.ok;
}

async function main(): Promise<void> {
  const flags = readFlags();
  process.stderr.write(
    "Starting Prometheus, the ingestion service, the stand-in Slack and Belay on loopback ...\n",
  );
  const world = await startWorld({ speed: flags.speed });
  let ending = false;
  const end = async (code: number): Promise<void> => {
    if (ending) return;
    ending = true;
    await world.stop();
    process.exit(code);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void end(signal === "SIGINT" ? 130 : 143));
  if (flags.headless) {
    try {
      await end((await headless(world, flags.json)) ? 0 : 1);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      process.stdout.write(
        `${flags.json ? JSON.stringify({ event: "summary", ok: false, failed: [why] }) : why}\n`,
      );
      await end(1);
    }
    return;
  }
  const page = await startPage(world, { port: flags.port });
  process.stdout.write(
    `\nOpen  ${page.url}\n\nand type in its channel:\n\n  /rollout start ingestion        the whole timeline, ${flags.speed} s an hour\n  /rollout enable parallel        no further than that stage\n  /rollout status\n\nThen press [Break parallel] and watch. Ctrl-C ends everything.\n`,
  );
}

await main();
