/** Ends the pages whose cause is gone: asked again for a while, since the page itself may still be on its way. */
import { MINUTE } from "../core/time.ts";
import type { Ended } from "./health-messages.ts";
import { type Clock, type Log, messageOfFault } from "./ports.ts";

const AGAIN_AFTER_MS = MINUTE;
const TIMES = 6;

export interface PageEndsDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Does nothing when there is no such page, or when it is resolved already. */
  readonly resolvePage: (key: string, because: string) => Promise<void>;
}

export class PageEnds {
  readonly #deps: PageEndsDeps;
  readonly #owed = new Map<
    string,
    { readonly because: string; readonly dueAt: number; readonly left: number }
  >();

  constructor(deps: PageEndsDeps) {
    this.#deps = deps;
  }

  add(ended: readonly Ended[]): void {
    const { steady } = this.#deps.clock.now();
    for (const { key, because } of ended) this.#owed.set(key, { because, dueAt: steady, left: TIMES });
    this.tick();
  }

  /** Asks for what is due now. */
  tick(): void {
    const { clock, log, resolvePage } = this.#deps;
    const { steady } = clock.now();
    for (const [key, { because, dueAt, left }] of this.#owed) {
      if (steady < dueAt) continue;
      if (left <= 1) this.#owed.delete(key);
      else this.#owed.set(key, { because, dueAt: steady + AGAIN_AFTER_MS, left: left - 1 });
      resolvePage(key, because).catch((error: unknown) =>
        log.warn("a page could not be resolved", { key, error: messageOfFault(error) }),
      );
    }
  }
}
