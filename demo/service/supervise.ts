/** Runs the ingestion service the way a service manager does: same port, restarts after a crash, nothing left behind. */
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type ChildOptions, endChild, type ServiceEvent, startChild } from "./service-child.ts";

const READY_TIMEOUT_MS = 10_000;
const RESTART_DELAY_MS = 500;
const MAX_RESTARTS = 40;
/** A process that lived this long was well: its crash begins a new count. */
const WELL_AFTER_MS = 10_000;

export interface ServiceOptions extends ChildOptions {
  /** Port on 127.0.0.1; 0 or none: any free one, kept over restarts. */
  readonly port?: number;
  /** Wait between a crash and the restart, in milliseconds. Default 500. */
  readonly restartDelayMs?: number;
  /** Restarts in a row (without 10 s of life between them) before it gives up. Default 40. */
  readonly maxRestarts?: number;
  /** Told of every event line of the service, and of "exited" and "gave_up". */
  readonly onEvent?: (event: ServiceEvent) => void;
}

export interface RunningService {
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** The process id, or undefined between a crash and the restart. */
  readonly pid: () => number | undefined;
  /** How often the process ended without being asked to. */
  readonly crashes: () => number;
  /** Resolves as soon as a process listens; rejects when it was stopped, gave up, or at the timeout (10 s). */
  readonly waitReady: (timeoutMs?: number) => Promise<void>;
  /** Stops the process and starts it anew, reading `envFile` again; resolves when it listens. No crash. */
  readonly restart: () => Promise<void>;
  /** Stops the process for good and removes its folder. May be called again. */
  readonly stop: () => Promise<void>;
}

type Phase =
  | { readonly kind: "starting"; readonly child: ChildProcess }
  | { readonly kind: "listening"; readonly child: ChildProcess }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "ended"; readonly reason: string };

/** Starts the service; resolves when it listens. Rejects, with its last words, when the first start fails. */
export async function startService(options: ServiceOptions = {}): Promise<RunningService> {
  const keeper = new Keeper(options);
  try {
    await keeper.begin();
  } catch (error) {
    await keeper.stop();
    throw error;
  }
  const port = keeper.port;
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    pid: () => keeper.child()?.pid,
    crashes: () => keeper.crashes,
    waitReady: (timeoutMs) => keeper.waitReady(timeoutMs),
    restart: () => keeper.restart(),
    stop: () => keeper.stop(),
  };
}

/** Keeps one child process alive, from begin to stop. */
class Keeper {
  port: number;
  crashes = 0;
  readonly #options: ServiceOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), "ingestion-demo-"));
  #phase: Phase = { kind: "ended", reason: "not started" };
  #crashesInARow = 0;
  #everListened = false;
  #stopped = false;
  #turn: Promise<void> = Promise.resolve();
  #waiters: (() => void)[] = [];

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.port = options.port ?? 0;
  }

  async begin(): Promise<void> {
    process.once("exit", this.#leaveNothing);
    this.#launch();
    await this.waitReady();
  }

  child(): ChildProcess | undefined {
    return "child" in this.#phase ? this.#phase.child : undefined;
  }

  async waitReady(timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const late = new Promise<void>((resolve) =>
      deadline.addEventListener("abort", () => resolve(), { once: true }),
    );
    while (this.#phase.kind !== "listening") {
      if (this.#phase.kind === "ended")
        throw new Error(`the ingestion service does not run: ${this.#phase.reason}`);
      if (deadline.aborted) throw new Error(`the ingestion service did not listen within ${timeoutMs} ms`);
      await Promise.race([late, new Promise<void>((resolve) => this.#waiters.push(resolve))]);
    }
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      this.#stopped = true;
      await this.#halt("it was stopped");
      process.off("exit", this.#leaveNothing);
      rmSync(this.#dir, { recursive: true, force: true });
    });
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#stopped) throw new Error("the ingestion service was stopped");
      await this.#halt("it restarts");
      this.#launch();
      await this.waitReady();
    });
  }

  #launch(): void {
    const startedMs = performance.now();
    try {
      const child = startChild(this.#options, this.port, this.#dir, {
        event: (event) => {
          if (event.event === "listening" && this.child() === child) this.#listening(child, event);
          this.#options.onEvent?.(event);
        },
        // A child that is no longer the present one was stopped on purpose.
        ended: (how) => {
          if (this.child() === child) this.#failed(performance.now() - startedMs, how);
        },
      });
      this.#enter({ kind: "starting", child });
    } catch (error) {
      this.#failed(0, error instanceof Error ? error.message : String(error));
    }
  }

  #listening(child: ChildProcess, event: ServiceEvent): void {
    this.port = z.number().parse(event.port);
    this.#everListened = true;
    this.#enter({ kind: "listening", child });
  }

  #failed(livedMs: number, how: string): void {
    this.crashes += 1;
    this.#crashesInARow = livedMs >= WELL_AFTER_MS ? 1 : this.#crashesInARow + 1;
    const { maxRestarts = MAX_RESTARTS, restartDelayMs = RESTART_DELAY_MS, onEvent } = this.#options;
    onEvent?.({ event: "exited", crashes: this.crashes, how });
    if (this.#everListened && this.#crashesInARow <= maxRestarts) {
      this.#enter({ kind: "waiting", timer: setTimeout(() => this.#launch(), restartDelayMs) });
      return;
    }
    this.#enter({
      kind: "ended",
      reason: `it ended ${this.#crashesInARow} times in a row, at last with ${how}`,
    });
    onEvent?.({ event: "gave_up", crashes: this.crashes, how });
  }

  async #halt(reason: string): Promise<void> {
    const child = this.child();
    if (this.#phase.kind === "waiting") clearTimeout(this.#phase.timer);
    this.#enter({ kind: "ended", reason });
    if (child !== undefined) await endChild(child);
  }

  #enter(next: Phase): void {
    this.#phase = next;
    const waking = this.#waiters;
    this.#waiters = [];
    for (const wake of waking) wake();
  }

  /** One stop or restart at a time: two at once would leave a child that nobody knows. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** For an exit of this process. If it is killed instead, the child sees its standard input end, stops and tidies up. */
  readonly #leaveNothing = (): void => {
    this.child()?.kill("SIGKILL");
    rmSync(this.#dir, { recursive: true, force: true });
  };
}
