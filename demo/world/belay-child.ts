/** Runs Belay the way a service manager does: as a process of its own, started again whenever it ends, reachable at the same port. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

const ROOT = join(import.meta.dirname, "../..");
const READY_WITHIN_MS = 20_000;
const STOP_WITHIN_MS = 8_000;

export interface BelayOptions {
  /** Folder of flags/, schedules/ and runbooks/. */
  readonly house: string;
  readonly overlay: string;
  readonly speed: number;
  /** More arguments of `belay start`. */
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What Belay logs goes here. */
  readonly logFile: string;
  /** Wait between an end and the next start, ms. */
  readonly restartDelayMs: number;
}

export interface BelayProcess {
  pid(): number | undefined;
  isUp(): boolean;
  /** How often it ended without being asked to. */
  deaths(): number;
  /** `kill -9`; the keeper starts it again. */
  kill(): void;
  /** Resolves when a process listens. */
  waitUp(): Promise<void>;
  stop(): Promise<void>;
}

const listeningSchema = z.object({ event: z.literal("listening"), port: z.number() });

/** Starts Belay and keeps it alive; resolves when it listens, rejects with its last words when the first start fails. */
export async function startBelay(options: BelayOptions): Promise<BelayProcess> {
  const keeper = new Keeper(options);
  await keeper.begin();
  return keeper;
}

class Keeper implements BelayProcess {
  readonly #options: BelayOptions;
  #child: ChildProcess | undefined;
  #up = false;
  #deaths = 0;
  #stopped = false;
  #words = "";
  #waiting: (() => void)[] = [];

  constructor(options: BelayOptions) {
    this.#options = options;
  }

  pid(): number | undefined {
    return this.#child?.pid;
  }

  isUp(): boolean {
    return this.#up;
  }

  deaths(): number {
    return this.#deaths;
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  async begin(): Promise<void> {
    this.#start();
    const late = delay(READY_WITHIN_MS, "late", { ref: false });
    const died = new Promise<string>((resolve) => this.#child?.once("exit", () => resolve("died")));
    const outcome = await Promise.race([this.waitUp().then(() => "up"), died, late]);
    if (outcome === "up") return;
    await this.stop();
    throw new Error(`Belay did not start (${outcome}): ${this.#words.slice(-2_000)}`);
  }

  waitUp(): Promise<void> {
    if (this.#up) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
    await gone;
    clearTimeout(late);
  }

  #start(): void {
    const { house, overlay, speed, env, logFile, args: more = [] } = this.#options;
    const start = [join(ROOT, "src/cli.ts"), "start", house, "--overlay", overlay, "--speed", String(speed)];
    const args = [...start, ...more];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      // What nobody set otherwise flips: the demo and the tests are there for that.
      env: { PATH: process.env["PATH"] ?? "", BELAY_MODE: "act", ...env },
    });
    this.#child = child;
    const log = createWriteStream(logFile, { flags: "a" });
    child.stderr.on("data", (chunk: Buffer) => {
      this.#words = (this.#words + chunk.toString("utf8")).slice(-8_000);
    });
    child.stderr.pipe(log);
    createInterface({ input: child.stdout }).on("line", (line) => this.#heard(line));
    child.once("exit", () => this.#ended());
  }

  #heard(line: string): void {
    if (!listeningSchema.safeParse(parse(line)).success) return;
    this.#up = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #ended(): void {
    this.#up = false;
    if (this.#stopped) return;
    this.#deaths++;
    setTimeout(() => {
      if (!this.#stopped) this.#start();
    }, this.#options.restartDelayMs);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
