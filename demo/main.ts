/** `npm run demo`: starts the demo's world and shows it on one page, or plays the whole story by itself (`--headless --json`). */
import { parseArgs } from "node:util";
import { type DemoPage, startPage } from "./page/server.ts";
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

/** One line for each thing that can be typed. */
function welcome(url: string, speed: number): string {
  const lines: readonly (readonly [string, string])[] = [
    ["/rollout start ingestion", `the whole timeline, ${speed} s for each planned hour`],
    ["/rollout enable parallel", "no further than that stage"],
    ["/rollout status", "where it stands"],
  ];
  const typed = lines.map(([line, says]) => `  ${line.padEnd(28)}${says}`).join("\n");
  return `\nOpen  ${url}\n\nand type in its channel:\n\n${typed}\n\nWhen parallel is on, press [Break parallel] and watch. Ctrl-C here ends everything.\n`;
}

async function main(): Promise<void> {
  const flags = readFlags();
  const stopping = new AbortController();
  let page: DemoPage | undefined;
  let ending: Promise<never> | undefined;
  process.stderr.write(
    "Starting Prometheus, the ingestion service, the stand-in Slack and Belay on loopback; this takes about ten seconds.\n",
  );
  const starting = startWorld({ speed: flags.speed, signal: stopping.signal });
  const end = (code: number): Promise<never> => {
    ending ??= (async () => {
      stopping.abort(new Error("it was stopped"));
      await page?.close();
      await (await starting.catch(() => undefined))?.stop();
      return process.exit(code);
    })();
    return ending;
  };
  // Also on a second Ctrl-C: the first one is at it, and each of its steps has an end.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)
    process.on(signal, () => {
      if (ending === undefined) process.stderr.write("Stopping everything ...\n");
      void end(code);
    });
  try {
    const world = await starting;
    if (flags.headless) return await end((await headless(world, flags.json)) ? 0 : 1);
    page = await startPage(world, { port: flags.port });
    process.stdout.write(welcome(page.url, flags.speed));
  } catch (error) {
    if (ending !== undefined) return await ending;
    const why = error instanceof Error ? error.message : String(error);
    const summary = JSON.stringify({ event: "summary", ok: false, failed: [why] });
    if (flags.json) process.stdout.write(`${summary}\n`);
    else process.stderr.write(`The demo could not go on: ${why}\n`);
    await end(1);
  }
}

await main();
