/** One call of Slack's Web API: not before a told limit is over, and every failure as a fault of the port. */
import { faultOf, type SlackFault } from "./faults.ts";
import type { WhoAmI } from "./options.ts";
import { Quiet } from "./pace.ts";

/** Which call it is. Limits are kept by `lane`, `method` and `per`. */
export interface Call {
  readonly method: string;
  readonly lane: "urgent" | "cosmetic" | "lists";
  /** What Slack counts the limit by, beside the method: the channel of a post, the address of an answer. */
  readonly per?: string | undefined;
  /** The channel as people call it. */
  readonly channel?: string | undefined;
}

/** An urgent call is tried again after this time, whatever limit was told. */
const URGENT_WAIT_MOST_MS = 15_000;

export class Calls {
  readonly #quiet = new Quiet();
  readonly #whoAmI: WhoAmI;

  constructor(whoAmI: WhoAmI) {
    this.#whoAmI = whoAmI;
  }

  /** Runs the call. Rejects with a `SlackFault` and nothing else. */
  async run<T>(what: Call, call: () => Promise<T>): Promise<T> {
    const { method, lane, per, channel } = what;
    const key = `${lane} ${method} ${per ?? ""}`;
    this.#quiet.check(key, method);
    try {
      return await call();
    } catch (error) {
      const fault: SlackFault = faultOf(error, { method, channel, botName: this.#whoAmI()?.botName });
      if (fault.code === "ratelimited" && fault.retryAfterMs !== undefined)
        this.#quiet.set(
          key,
          lane === "urgent" ? Math.min(fault.retryAfterMs, URGENT_WAIT_MOST_MS) : fault.retryAfterMs,
        );
      throw fault;
    }
  }
}
