/** The outgoing heartbeat: while Belay is well, somebody else hears so at a steady interval, and notices when it ends. */
import { type Clock, type Log, messageOfFault } from "../engine/ports.ts";
import { createHttpClient } from "./http-client.ts";

const TIMEOUT_MS = 10_000;

export interface HeartbeatOptions {
  /** The address of a dead man's switch; a secret, and never told. */
  readonly url: string;
  /** ms from beat to beat. */
  readonly everyMs: number;
  readonly method?: "GET" | "POST" | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** False: no beat, so that others notice. */
  readonly isWell: () => boolean;
  /** Told after each beat whether it was heard; for metrics. */
  readonly onBeat?: ((heard: boolean) => void) | undefined;
  /** A private certificate authority as PEM, and for tests. */
  readonly ca?: string | undefined;
}

export interface Heartbeat {
  /** No further beat; ends the one under way. */
  stop(): void;
}

/** Beats at once and then every `everyMs`. Never throws; what goes wrong is logged when it begins and when it ends. */
export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { url, everyMs, method = "GET", clock, log } = options;
  const http = createHttpClient({ ca: options.ca });
  /** What was logged last: a beat's fault, or that Belay is not well. */
  let trouble: string | undefined;
  let isUnderWay = false;
  let isStopped = false;
  let due = clock.now().steady;
  let cancel: () => void = () => undefined;

  /** Logs only what is new. */
  function note(now: string | undefined): void {
    if (now === trouble) return;
    trouble = now;
    if (now === undefined) log.info("the heartbeat is heard");
    else log.warn("the heartbeat is not heard", { why: now });
  }

  async function beat(): Promise<void> {
    isUnderWay = true;
    const fault = await faultOfBeat();
    isUnderWay = false;
    if (isStopped) return;
    note(fault);
    options.onBeat?.(fault === undefined);
  }

  async function faultOfBeat(): Promise<string | undefined> {
    try {
      const { status } = await http.request({ method, url, timeoutMs: Math.min(TIMEOUT_MS, everyMs) });
      return status >= 200 && status < 300 ? undefined : `it was answered HTTP ${status}`;
    } catch (error) {
      return messageOfFault(error);
    }
  }

  function tick(): void {
    if (isStopped) return;
    if (!wellNow()) note("Belay is not well");
    else if (!isUnderWay) void beat();
    // From the planned instant, so that late timers do not add up; beats missed in a standstill are not made up for.
    const now = clock.now().steady;
    due = due + everyMs > now ? due + everyMs : now + everyMs;
    cancel = clock.after(due - now, tick);
  }

  function wellNow(): boolean {
    try {
      return options.isWell();
    } catch {
      return false;
    }
  }

  tick();
  return {
    stop() {
      isStopped = true;
      cancel();
      http.close();
    },
  };
}
