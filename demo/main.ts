/** `npm run demo`: starts a scene's world and shows it on a page, or plays its whole story by itself (`--headless --json`). */
import { parseArgs } from "node:util";
import { startBots } from "./scenes/bots.ts";
import { startImport } from "./scenes/import.ts";
import { startIngestion } from "./scenes/ingestion.ts";
import { inWords, type Scene, type SceneOptions } from "./scenes/scene.ts";

const USAGE =
  "npm run demo [-- --scene ingestion|bots|import] [--speed SECONDS_PER_HOUR] [--port PORT] [--headless [--json]]";

interface SceneKind {
  /** What is started, for people who wait. */
  readonly parts: string;
  readonly start: (options: SceneOptions) => Promise<Scene>;
}

const SCENES: Readonly<Record<string, SceneKind>> = {
  ingestion: {
    parts: "Prometheus, the ingestion service, the stand-in Slack and Belay",
    start: startIngestion,
  },
  bots: {
    parts: "the bot platform, Prometheus, Alertmanager, the stand-ins of Slack and PagerDuty, and Belay",
    start: startBots,
  },
  import: {
    parts: "the bulk import with its database, Prometheus, the stand-in Slack and Belay",
    start: startImport,
  },
};

interface Flags {
  readonly scene: SceneKind;
  readonly headless: boolean;
  readonly json: boolean;
  readonly speed: number;
  readonly port: number;
}

function readFlags(): Flags {
  try {
    const { values } = parseArgs({
      options: {
        scene: { type: "string" },
        headless: { type: "boolean" },
        json: { type: "boolean" },
        speed: { type: "string" },
        port: { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values.help === true) stop(USAGE, 0);
    const name = values.scene ?? "ingestion";
    const scene = Object.hasOwn(SCENES, name) ? SCENES[name] : undefined;
    if (scene === undefined)
      return stop(`--scene: expected ${Object.keys(SCENES).join(", ")}, found ${name}\n${USAGE}`, 2);
    const speed = Number(values.speed ?? "4");
    const port = Number(values.port ?? "0");
    if (!(speed > 0 && speed <= 3_600))
      stop(
        `--speed: expected seconds per planned hour, above 0 and at most 3600, found ${values.speed}\n${USAGE}`,
        2,
      );
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      stop(`--port: expected a port, found ${values.port}\n${USAGE}`, 2);
    return { scene, headless: values.headless === true, json: values.json === true, speed, port };
  } catch (error) {
    return stop(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, 2);
  }
}

function stop(text: string, code: number): never {
  (code === 0 ? process.stdout : process.stderr).write(`${text}\n`);
  process.exit(code);
}

async function headless(scene: Scene, json: boolean): Promise<boolean> {
  const ending = await scene.play((line) =>
    process.stdout.write(`${json ? JSON.stringify(line) : inWords(line)}\n`),
  );
  process.stdout.write(`${json ? JSON.stringify(ending.summary) : ending.inWords}\n`);
  return ending.ok;
}

async function main(): Promise<void> {
  const flags = readFlags();
  const stopping = new AbortController();
  let ending: Promise<never> | undefined;
  process.stderr.write(`Starting ${flags.scene.parts} on loopback; this takes about ten seconds.\n`);
  const starting = flags.scene.start({ speed: flags.speed, port: flags.port, signal: stopping.signal });
  const end = (code: number): Promise<never> => {
    ending ??= (async () => {
      stopping.abort(new Error("it was stopped"));
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
    const scene = await starting;
    if (flags.headless) return await end((await headless(scene, flags.json)) ? 0 : 1);
    await scene.show((text) => void process.stdout.write(`${text}\n`));
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
