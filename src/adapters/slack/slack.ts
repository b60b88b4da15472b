/** Slack: commands come in through Socket Mode or signed HTTP, cards, alerts and answers go out; nothing else of Belay waits for it. */
import { App, type Receiver } from "@slack/bolt";
import { type Chat, messageOfFault, OutsideFault } from "../../engine/ports.ts";
import { Calls } from "./calls.ts";
import { SlackChat } from "./chat.ts";
import { createClients, libraryLogger } from "./clients.ts";
import { isBadToken, SlackFault } from "./faults.ts";
import { HttpReceiver } from "./http-receiver.ts";
import { Listeners } from "./listeners.ts";
import type { Identity, SlackOptions } from "./options.ts";
import { sleep } from "./pace.ts";
import { People } from "./people.ts";
import { Places } from "./places.ts";
import { SocketReceiver } from "./socket-receiver.ts";

export interface Slack {
  /** Works from the beginning, before `start` and while nothing comes in. */
  readonly chat: Chat;
  /**
   * Connects. Resolves when commands can come in, or after 5 s when Slack cannot be reached, and then goes on trying; rejects with an
   * `OutsideFault` when a person has to do something: a token that Slack refuses, a port that is taken.
   */
  start(): Promise<void>;
  /** Takes no more commands; what was taken is acknowledged. Never rejects. */
  stop(): Promise<void>;
  /** HTTP mode: the local address for Slack's requests, once it listens. */
  endpoint(): string | undefined;
}

/** How long the start waits for a Slack that does not answer. */
const PATIENCE_MS = 5_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2_000;
const TELL_EVERY = 30;

/** Throws an `OutsideFault` when a token that the mode needs is missing. */
export function createSlack(options: SlackOptions): Slack {
  return new Connection(options);
}

class Connection implements Slack {
  readonly chat: Chat;
  readonly #options: SlackOptions;
  readonly #stopping = new AbortController();
  readonly #receiver: SocketReceiver | HttpReceiver;
  readonly #app: App;
  readonly #people: People;
  readonly #places: Places;
  readonly #authTest: () => Promise<Identity>;
  #identity: Identity | undefined;
  #background: Promise<unknown> = Promise.resolve();

  constructor(options: SlackOptions) {
    this.#options = options;
    const { botToken, apiUrl, log, zone, submit, allowedChannels, pageMention } = options;
    const now = options.now ?? Date.now;
    const stopped = this.#stopping.signal;
    const whoAmI = (): Identity | undefined => this.#identity;
    const clients = createClients(botToken, apiUrl, log, stopped);
    const calls = new Calls(whoAmI);
    const lists = { client: clients.lists, calls, whoAmI, log };
    this.#places = new Places(lists);
    this.#people = new People({ ...lists, stopped });
    const places = this.#places;
    const common = { calls, places, whoAmI, log, apiUrl };
    this.chat = new SlackChat({ ...common, clients, pageMention, zone, stopped, now });
    this.#receiver = receiverOf(options, now);
    this.#app = appOf(this.#receiver, whoAmI, options);
    new Listeners({
      ...common,
      urgent: clients.urgent,
      people: this.#people,
      submit,
      allowedChannels,
    }).register(this.#app);
    this.#authTest = () =>
      calls.run({ method: "auth.test", lane: "lists" }, async () =>
        identityOf(await clients.lists.auth.test()),
      );
  }

  async start(): Promise<void> {
    if (this.#receiver instanceof HttpReceiver) await this.#app.start();
    const connected = this.#connect();
    this.#background = connected.catch((error: unknown) =>
      this.#options.log.error("Slack needs a person", { error: messageOfFault(error) }),
    );
    const patience = new AbortController();
    const waited = sleep(PATIENCE_MS, patience.signal).then(
      () => this.#options.log.warn("Slack does not answer yet; Belay goes on without it and keeps trying"),
      () => undefined,
    );
    try {
      await Promise.race([connected, waited]);
    } finally {
      patience.abort();
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#receiver
      .stop()
      .catch((error: unknown) =>
        this.#options.log.warn("Slack did not stop cleanly", { error: messageOfFault(error) }),
      );
    await this.#background;
  }

  endpoint(): string | undefined {
    return this.#receiver instanceof HttpReceiver ? this.#receiver.endpoint : undefined;
  }

  /** Learns who Belay is, then opens the sockets. Rejects only when a person has to act. */
  async #connect(): Promise<void> {
    const { log } = this.#options;
    const identity = await this.#learn();
    if (identity === undefined) return;
    this.#identity = identity;
    this.#places.refresh();
    void this.#people.keep();
    if (this.#receiver instanceof SocketReceiver) await this.#app.start();
    if (!this.#stopping.signal.aborted)
      log.info("Slack is connected", { bot: identity.botName, team: identity.teamId });
  }

  /** Asks until Slack answers; undefined when stopped. */
  async #learn(): Promise<Identity | undefined> {
    const { log } = this.#options;
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        return await this.#authTest();
      } catch (error) {
        if (isBadToken(error)) throw error;
        if (failures % TELL_EVERY === 0)
          log.warn("Slack cannot be reached; commands by `belay do` work", { error: messageOfFault(error) });
        const told = error instanceof SlackFault ? error.retryAfterMs : undefined;
        const wait = told ?? Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
        await sleep(wait, signal).catch(() => undefined);
      }
    }
    return undefined;
  }
}

function receiverOf(options: SlackOptions, now: () => number): SocketReceiver | HttpReceiver {
  const { mode, appToken, signingSecret, apiUrl, log, onAck, host, port } = options;
  if (mode === "socket") {
    if (appToken === undefined) throw missing("the app token (xapp-...)");
    return new SocketReceiver({ appToken, apiUrl, log, onAck });
  }
  if (signingSecret === undefined) throw missing("the signing secret");
  return new HttpReceiver({ signingSecret, host: host ?? "127.0.0.1", port: port ?? 0, log, onAck, now });
}

function missing(what: string): OutsideFault {
  return new OutsideFault(`Slack needs ${what} in this mode`, { recoverable: false });
}

/** Bolt with nothing of its own that would call Slack before a command is acknowledged, or reject where nobody listens. */
function appOf(receiver: Receiver, whoAmI: () => Identity | undefined, { apiUrl, log }: SlackOptions): App {
  const logger = libraryLogger(log);
  return new App({
    receiver,
    logger,
    convoStore: false,
    clientOptions: { ...(apiUrl === undefined ? {} : { slackApiUrl: apiUrl }), logger },
    authorize: async () => {
      const me = whoAmI();
      return {
        ...(me === undefined ? {} : { botUserId: me.botUserId, teamId: me.teamId }),
        ...(me?.botId === undefined ? {} : { botId: me.botId }),
      };
    },
  });
}

/** What auth.test told. Throws a `SlackFault` when it is not a bot token's answer. */
function identityOf(told: {
  readonly team_id?: string;
  readonly enterprise_id?: string;
  readonly app_id?: string;
  readonly user_id?: string;
  readonly bot_id?: string;
  readonly user?: string;
  readonly response_metadata?: { readonly scopes?: string[] };
}): Identity {
  if (told.team_id === undefined || told.user_id === undefined)
    throw new SlackFault("Slack did not say who Belay is", { recoverable: true });
  const scopes = told.response_metadata?.scopes;
  return {
    teamId: told.team_id,
    enterpriseId: told.enterprise_id,
    appId: told.app_id,
    botUserId: told.user_id,
    botId: told.bot_id,
    botName: told.user ?? "belay",
    scopes: scopes === undefined ? undefined : new Set(scopes),
  };
}
