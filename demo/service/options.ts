/** The service's command line and environment, checked as a whole: every mistake is reported at once. */
import { parseArgs } from "node:util";
import { MISBEHAVIOUR_MODES, type MisbehaviourMode } from "./misbehaviour.ts";

/** How to call the service. */
export const USAGE = `usage: main.ts [options]
  --port N              port on 127.0.0.1, 0 for any free one (PORT, else 0)
  --seed N              seed of the generated files (1)
  --rate N              files per second offered (120)
  --queue-limit N       files that may wait; the load waits when they do (240)
  --workers N           parallel workers (5)
  --flags LIST          env | ofrep=URL | file=PATH | ofrep=URL,file=PATH (DEMO_FLAGS, else env)
  --name NAME           the service's own targeting key (ingestion)
  --app-version V       the version in app_info (1.0.0)
  --dir PATH            work folder (a temporary one, removed at the end)
  --misbehave-file PATH keeps the mode of POST /misbehave over a restart (DEMO_MISBEHAVE is the first mode)
  --stop-with-stdin     stop and tidy up when standard input ends: the parent process is gone`;

export interface ServiceConfig {
  readonly port: number;
  readonly seed: number;
  readonly ratePerS: number;
  readonly queueLimit: number;
  readonly workers: number;
  readonly ofrepUrl: string | undefined;
  readonly flagFile: string | undefined;
  readonly name: string;
  readonly appVersion: string;
  readonly dir: string | undefined;
  readonly misbehaveFile: string | undefined;
  readonly misbehave: MisbehaviourMode;
  readonly stopWithStdin: boolean;
}

type Env = Readonly<Record<string, string | undefined>>;
type FlagChoice = Pick<ServiceConfig, "ofrepUrl" | "flagFile">;

const OPTIONS = {
  port: { type: "string" },
  seed: { type: "string", default: "1" },
  rate: { type: "string", default: "120" },
  "queue-limit": { type: "string", default: "240" },
  workers: { type: "string", default: "5" },
  flags: { type: "string" },
  name: { type: "string", default: "ingestion" },
  "app-version": { type: "string", default: "1.0.0" },
  dir: { type: "string" },
  "misbehave-file": { type: "string" },
  "stop-with-stdin": { type: "boolean", default: false },
} as const;

/** Reads the command line; the environment stands in where an option is missing. Throws one Error that lists every mistake. */
export function parseOptions(argv: readonly string[], env: Env): ServiceConfig {
  const { values } = parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false });
  const mistakes: string[] = [];
  const number = (name: string, text: string, min: number, max: number): number => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
    mistakes.push(`${name}: expected a whole number from ${min} to ${max}, found "${text}"`);
    return min;
  };
  const config: ServiceConfig = {
    port: number("--port", values.port ?? env.PORT ?? "0", 0, 65_535),
    seed: number("--seed", values.seed, 0, 2 ** 31),
    ratePerS: number("--rate", values.rate, 1, 1_000),
    queueLimit: number("--queue-limit", values["queue-limit"], 1, 10_000),
    workers: number("--workers", values.workers, 1, 32),
    ...flagChoice(values.flags ?? env.DEMO_FLAGS ?? "env", mistakes),
    name: values.name,
    appVersion: values["app-version"],
    dir: values.dir,
    misbehaveFile: values["misbehave-file"],
    misbehave: modeFrom(env.DEMO_MISBEHAVE ?? "none", mistakes),
    stopWithStdin: values["stop-with-stdin"],
  };
  if (mistakes.length > 0) throw new Error(mistakes.join("\n"));
  return config;
}

function modeFrom(text: string, mistakes: string[]): MisbehaviourMode {
  const mode = MISBEHAVIOUR_MODES.find((known) => known === text);
  if (mode === undefined)
    mistakes.push(`DEMO_MISBEHAVE: expected ${MISBEHAVIOUR_MODES.join("|")}, found "${text}"`);
  return mode ?? "none";
}

function flagChoice(text: string, mistakes: string[]): FlagChoice {
  let ofrepUrl: string | undefined;
  let flagFile: string | undefined;
  for (const part of text.split(",")) {
    if (part === "env") continue;
    const [, kind, value] = /^(ofrep|file)=(.+)$/.exec(part) ?? [];
    if (kind === "file") flagFile = value;
    else if (kind === "ofrep" && URL.canParse(value ?? "")) ofrepUrl = value;
    else mistakes.push(`--flags: expected env, ofrep=URL or file=PATH, found "${part}"`);
  }
  return { ofrepUrl, flagFile };
}
