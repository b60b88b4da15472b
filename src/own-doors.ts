/** Belay's own two doors: the unix socket, which a live rollout's people can always use, and the loopback port, which may be taken for a while. */
import { type HttpOptions, startLoopback, startSocket } from "./adapters/http/server.ts";
import { Door } from "./door.ts";
import type { Clock } from "./engine/ports.ts";

export class OwnDoors {
  readonly #options: HttpOptions;
  readonly #loopback: Door;
  #socket: Awaited<ReturnType<typeof startSocket>> | undefined;

  /** `mayWait`: whether Belay goes on although the port is taken. */
  constructor(options: HttpOptions, clock: Clock, mayWait: () => Promise<boolean>) {
    this.#options = options;
    const { log } = options;
    const open = () => startLoopback(options);
    this.#loopback = new Door({ name: "commands, metrics and flags", clock, log, open, mayWait });
  }

  /** Of the loopback port; undefined while it is shut. */
  get port(): number | undefined {
    return this.#loopback.port;
  }

  /** Rejects when the socket cannot be made, or when the port is taken and Belay may not wait for it. */
  async open(): Promise<void> {
    this.#socket = await startSocket(this.#options);
    await this.#loopback.open();
  }

  async close(): Promise<void> {
    await Promise.all([this.#loopback.close(), this.#socket?.close()]);
  }
}
