/** A listening server that nothing live must depend on: where its port is taken then, Belay goes on without it and tries again. */
import type { HttpServer } from "./adapters/http/server.ts";
import { SECOND } from "./core/time.ts";
import { type Clock, type Log, messageOfFault } from "./engine/ports.ts";

const AGAIN_MS = 5 * SECOND;

export interface DoorDeps {
  /** What comes through it, for the log. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly open: () => Promise<HttpServer>;
  /** Whether Belay goes on without it: something is live that must be watched and can go back. */
  readonly mayWait: () => Promise<boolean>;
  /** It stays shut for now. */
  readonly onShut?: (why: string) => void;
  /** It is open, at once or later. */
  readonly onOpened?: () => void;
}

export class Door {
  readonly #deps: DoorDeps;
  #server: HttpServer | undefined;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(deps: DoorDeps) {
    this.#deps = deps;
  }

  /** Undefined while it is shut. */
  get port(): number | undefined {
    return this.#server?.port;
  }

  /** Rejects when it cannot be opened and nothing is live. */
  async open(): Promise<void> {
    const { log, mayWait, name, onShut, open } = this.#deps;
    try {
      this.#server = await open();
      this.#deps.onOpened?.();
    } catch (error) {
      if (!(await mayWait())) throw error;
      const why = messageOfFault(error);
      log.error("a port cannot be opened; what is live is watched all the same, and it is tried again", {
        door: name,
        error: why,
      });
      onShut?.(why);
      this.#again();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#server?.close();
  }

  #again(): void {
    if (this.#closed) return;
    this.#cancel = this.#deps.clock.after(AGAIN_MS, () => {
      this.#retry().catch(() => this.#again());
    });
  }

  async #retry(): Promise<void> {
    const server = await this.#deps.open();
    if (this.#closed) {
      await server.close();
      return;
    }
    this.#server = server;
    this.#deps.log.info("a port is open now", { door: this.#deps.name, port: server.port });
    this.#deps.onOpened?.();
  }
}
