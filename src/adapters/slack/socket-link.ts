/** One socket of Socket Mode, from its opening to its end. Slack's client never reconnects by itself here: its own way leaves gaps and promises that nobody holds. */
import { SocketModeClient } from "@slack/socket-mode";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import { libraryLogger } from "./clients.ts";
import type { AckBody } from "./delivery.ts";
import { faultOf, SlackFault } from "./faults.ts";
import { sleep } from "./pace.ts";

/** What came through a socket; `ack` answers through the same socket. */
export interface Envelope {
  readonly body: Readonly<Record<string, unknown>>;
  readonly ack: (body: AckBody | undefined) => Promise<void>;
}

export interface LinkOptions {
  readonly appToken: string;
  readonly apiUrl: string | undefined;
  readonly log: Log;
  /** Called for each envelope; the socket is kept open until the promise settles. Never rejects. */
  readonly onEnvelope: (envelope: Envelope) => Promise<void>;
}

/** Why a socket is no longer to be counted on: Slack will close it soon, or it is gone. */
export type Leaving = { readonly kind: "asked"; readonly reason: string } | { readonly kind: "gone" };

export interface Link {
  /** Settles once, when the socket needs a successor. */
  readonly leaving: Promise<Leaving>;
  /** Waits for what is on its way and under way, then closes; at once when stopped. Never rejects. */
  close(): Promise<void>;
}

/** No answer for so long means a dead connection; a third of it passes between pings. */
const PING_TIMEOUT_MS = 5_000;
const SERVER_PING_TIMEOUT_MS = 30_000;
const OPEN_TIMEOUT_MS = 3_000;
/** How long a socket that Slack wants back is kept for envelopes that are on their way. */
const GRACE_MS = 100;
/** Slack warns ten seconds ahead, and sends through the socket until it asks for it. */
const WARNED_MS = 12_000;
const WARNING = "warning";
const CLOSE_TIMEOUT_MS = 500;
const UNDER_WAY_MS = 3_000;
/** Slack's own frames about the connection are short; nothing longer is looked into. */
const CONTROL_FRAME_MOST = 2_000;

const ASKED = "belay_asked_to_leave";
const GONE = "disconnected";

/** Slack's client, but asked to leave it does not go before its successor is there. */
class Client extends SocketModeClient {
  readonly #log: Log;

  constructor({ appToken, apiUrl, log }: LinkOptions) {
    super({
      appToken,
      autoReconnectEnabled: false,
      clientPingTimeout: PING_TIMEOUT_MS,
      serverPingTimeout: SERVER_PING_TIMEOUT_MS,
      logger: libraryLogger(log),
      clientOptions: {
        ...(apiUrl === undefined ? {} : { slackApiUrl: apiUrl }),
        timeout: OPEN_TIMEOUT_MS,
        rejectRateLimitedCalls: true,
        // Only safe because this client does not reconnect by itself: the failure comes back to who dialled.
        retryConfig: { retries: 0 },
      },
    });
    this.#log = log;
  }

  protected override async onWebSocketMessage(data: string | ArrayBuffer, isBinary: boolean): Promise<void> {
    const reason = typeof data === "string" ? askedToLeave(data) : undefined;
    if (reason !== undefined) {
      this.emit(ASKED, reason);
      return;
    }
    try {
      await super.onWebSocketMessage(data, isBinary);
    } catch (error) {
      this.#log.warn("an odd message came through the socket", { error: messageOfFault(error) });
    }
  }
}

function askedToLeave(data: string): string | undefined {
  if (data.length > CONTROL_FRAME_MOST || !data.includes('"disconnect"')) return undefined;
  try {
    const frame: unknown = JSON.parse(data);
    if (typeof frame !== "object" || frame === null || !("type" in frame) || frame.type !== "disconnect")
      return undefined;
    return "reason" in frame && typeof frame.reason === "string" ? frame.reason : "unknown";
  } catch {
    return undefined;
  }
}

/** Opens a socket. Rejects with a `SlackFault` when Slack does not let it in or nothing is heard in time; `stopped` ends the waiting. */
export async function openLink(options: LinkOptions, stopped: AbortSignal): Promise<Link> {
  const client = new Client(options);
  let underWay = 0;
  client.on("slack_event", (envelope: Envelope) => {
    underWay += 1;
    void options.onEnvelope(envelope).finally(() => {
      underWay -= 1;
    });
  });
  const leaving = new Promise<Leaving>((resolve) => {
    client.once(ASKED, (reason: string) => resolve({ kind: "asked", reason }));
    client.once(GONE, () => resolve({ kind: "gone" }));
  });
  const { promise: last, resolve: noMore } = Promise.withResolvers<void>();
  let isWarned = false;
  client.on(ASKED, (reason: string) => {
    isWarned = reason === WARNING;
    if (!isWarned) noMore();
  });
  client.once(GONE, () => noMore());
  await connect(client, stopped);
  return {
    leaving,
    async close() {
      if (isWarned) await untilAny(last, WARNED_MS, stopped);
      await pass(GRACE_MS);
      const until = performance.now() + UNDER_WAY_MS;
      while (underWay > 0 && performance.now() < until) await pass(10);
      await disconnect(client);
    },
  };
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Waits for the promise, but not longer than this, and not when stopped. */
async function untilAny(promise: Promise<void>, ms: number, stopped: AbortSignal): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([stopped, enough.signal]);
  await Promise.race([promise, sleep(ms, signal).catch(() => undefined)]);
  enough.abort();
}

async function connect(client: Client, stopped: AbortSignal): Promise<void> {
  const started = client.start();
  const cut = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => cut.reject(new SlackFault("Slack's socket said nothing in time", { recoverable: true })),
    OPEN_TIMEOUT_MS * 2,
  );
  const stop = (): void => cut.reject(new SlackFault("Slack is being stopped", { recoverable: true }));
  stopped.addEventListener("abort", stop, { once: true });
  if (stopped.aborted) stop();
  try {
    await Promise.race([started, cut.promise]);
  } catch (error) {
    // Its address may still be on the way; then it opens when nobody wants it any more.
    client.once("connecting", () => setImmediate(() => void disconnect(client)));
    started.catch(() => undefined);
    await disconnect(client);
    throw faultOf(error ?? new SlackFault("Slack's socket closed at once", { recoverable: true }), {
      method: "apps.connections.open",
    });
  } finally {
    clearTimeout(timer);
    stopped.removeEventListener("abort", stop);
  }
}

/** Says good-bye; who does not answer is hung up on. */
async function disconnect(client: Client): Promise<void> {
  const gone = client.disconnect().catch(() => undefined);
  const first = await Promise.race([gone.then(() => "gone"), pass(CLOSE_TIMEOUT_MS).then(() => "silent")]);
  if (first === "gone") return;
  await Promise.race([client.disconnect().catch(() => undefined), pass(CLOSE_TIMEOUT_MS)]);
}
