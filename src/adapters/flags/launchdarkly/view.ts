/** What LaunchDarkly's own SDK sees: the proof that a flip has reached those who read flags the way services do. */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { init, type LDLogger } from "@launchdarkly/node-server-sdk";
import type { FlagDef } from "../../../core/plan.ts";
import { type Log, OutsideFault, type ServiceViewPort } from "../../../engine/ports.ts";
import { within } from "../deadline.ts";
import { literalFor } from "./literals.ts";
import { saidOf } from "./refusals.ts";

type Sdk = ReturnType<typeof init>;

export interface LaunchDarklyViewOptions {
  /** The environment's SDK key; asked for when the SDK is first needed. */
  readonly sdkKey: () => string | undefined;
  readonly secrets: () => readonly (string | undefined)[];
  /** Where the SDK streams from, polls and sends events to; LaunchDarkly's own when not given. */
  readonly stream?: string | undefined;
  readonly base?: string | undefined;
  readonly events?: string | undefined;
  /** Whom flags are evaluated for. */
  readonly targetingKey: string;
  readonly contextKind?: string | undefined;
  /** Deadline of one read, and of the SDK's start within it, ms. */
  readonly timeoutMs: number;
  readonly log: Log;
}

export interface LaunchDarklyView extends ServiceViewPort {
  close(): void;
}

/** The SDK is started by the first read and shared by all. It sends no events: Belay's looks are nobody's use of a flag. */
export function createLaunchDarklyView(options: LaunchDarklyViewOptions): LaunchDarklyView {
  const { targetingKey, contextKind = "user", timeoutMs } = options;
  let client: Sdk | undefined;
  let agent: HttpAgent | undefined;
  let closed = false;

  function drop(): void {
    client?.close();
    agent?.destroy();
    client = undefined;
    agent = undefined;
  }

  function started(): Sdk {
    if (closed) throw new OutsideFault("LaunchDarkly's SDK is closed", { recoverable: false });
    if (client !== undefined) return client;
    const sdkKey = options.sdkKey();
    if (sdkKey === undefined)
      throw new OutsideFault(
        "there is no SDK key for LaunchDarkly, so nobody can see what services get: set BELAY_LAUNCHDARKLY_SDK_KEY and restart Belay",
        { recoverable: false },
      );
    agent = options.stream?.startsWith("http:") === true ? new QuietHttpAgent() : new QuietHttpsAgent();
    client = init(sdkKey, {
      ...(options.stream === undefined ? {} : { streamUri: options.stream }),
      ...(options.base === undefined ? {} : { baseUri: options.base }),
      ...(options.events === undefined ? {} : { eventsUri: options.events }),
      sendEvents: false,
      diagnosticOptOut: true,
      logger: loggerOf(options),
      proxyAgent: agent,
    });
    // Told by the read that needs it; without a listener the SDK would print it.
    client.on("error", () => undefined);
    client.on("failed", () => undefined);
    return client;
  }

  async function ready(): Promise<Sdk> {
    const sdk = started();
    if (sdk.initialized()) return sdk;
    try {
      await sdk.waitForInitialization({ timeout: Math.max(1, timeoutMs / 1_000) });
      return sdk;
    } catch (error) {
      // A key that was refused is refused for good by this client: the next read tries a new one.
      const isTimeout = error instanceof Error && error.name === "LDTimeoutError";
      if (!isTimeout && client === sdk) drop();
      const why = saidOf(error instanceof Error ? error.message : "", options.secrets());
      throw new OutsideFault(`LaunchDarkly's SDK did not start: ${why}`, { recoverable: true });
    }
  }

  async function read(flags: readonly FlagDef[]): Promise<Readonly<Record<string, string>>> {
    const sdk = await ready();
    const context = { kind: contextKind, key: targetingKey };
    const seen = await Promise.all(
      flags.map(async (flag) => {
        const { value, reason } = await sdk.variationDetail(flag.key, context, null);
        const isSeen = value !== null && reason.kind !== "ERROR";
        return isSeen ? ([flag.name, literalFor(flag, value)] as const) : undefined;
      }),
    );
    return Object.fromEntries(seen.filter((one) => one !== undefined));
  }

  return {
    read(flags) {
      const late = (): OutsideFault =>
        new OutsideFault(`LaunchDarkly's SDK did not answer within ${timeoutMs} ms`, { recoverable: true });
      return within(timeoutMs, late, () => read(flags));
    },
    close() {
      closed = true;
      drop();
    },
  };
}

/** Only what is wrong, and without its secrets. */
function loggerOf({ log, secrets }: LaunchDarklyViewOptions): LDLogger {
  const told = (...words: unknown[]): void =>
    log.warn(`LaunchDarkly's SDK: ${saidOf(words.map(String).join(" "), secrets())}`);
  return { error: told, warn: told, info: () => undefined, debug: () => undefined };
}

/** Its stream is no reason for the process to go on. */
class QuietHttpAgent extends HttpAgent {
  override createConnection(...args: Parameters<HttpAgent["createConnection"]>) {
    return quiet(super.createConnection(...args));
  }
}

class QuietHttpsAgent extends HttpsAgent {
  override createConnection(...args: Parameters<HttpsAgent["createConnection"]>) {
    return quiet(super.createConnection(...args));
  }
}

function quiet<T>(socket: T): T {
  if (
    typeof socket === "object" &&
    socket !== null &&
    "unref" in socket &&
    typeof socket.unref === "function"
  )
    socket.unref();
  return socket;
}
