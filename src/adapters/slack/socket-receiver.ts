/** Socket Mode for Bolt with two sockets at once: while one is being replaced, the other one hears every command. */
import type { App, Receiver } from "@slack/bolt";
import { type Log, messageOfFault } from "../../engine/ports.ts";
import { Delivery, passThrough } from "./delivery.ts";
import { isBadToken, SlackFault } from "./faults.ts";
import { Bucket, sleep } from "./pace.ts";
import { type Envelope, type Leaving, type Link, openLink } from "./socket-link.ts";

export interface SocketReceiverOptions {
  readonly appToken: string;
  readonly apiUrl: string | undefined;
  readonly log: Log;
  readonly onAck: ((ms: number) => void) | undefined;
}

const SOCKETS = 2;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 1_500;
/** After so long without success, it is tried less often. */
const PATIENT_AFTER_MS = 60_000;
const PATIENT_WAIT_MS = 5_000;
/** A person must do something first. */
const BAD_TOKEN_WAIT_MS = 60_000;
const REFUSED_WAIT_MS = 5_000;
/** A socket that lived shorter counts as a failure, so that no loop gets hot. */
const SHORT_LIFE_MS = 1_000;
const TELL_EVERY_MS = 60_000;

/** Opens sockets one at a time, slower and slower while Slack cannot be reached. */
class Dialler {
  readonly #dial: () => Promise<Link>;
  readonly #log: Log;
  readonly #stopped: AbortSignal;
  /** Slack replaces sockets every few hours; this bounds a Slack that does nothing else. */
  readonly #bucket = new Bucket({ capacity: 40, perSecond: 0.5 });
  #turn: Promise<unknown> = Promise.resolve();
  #failures = 0;
  #failingSince: number | undefined;
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Settles when Slack refuses the token: then only a person can help. */
  readonly refused: Promise<never>;
  readonly #refuse: (error: unknown) => void;

  constructor(dial: () => Promise<Link>, log: Log, stopped: AbortSignal) {
    this.#dial = dial;
    this.#log = log;
    this.#stopped = stopped;
    const { promise, reject } = Promise.withResolvers<never>();
    this.refused = promise;
    this.refused.catch(() => undefined);
    this.#refuse = reject;
  }

  /** The next socket; rejects only when stopped. */
  next(): Promise<Link> {
    const mine = this.#turn.then(() => this.#untilOpen());
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** A socket ended in a way that promises no better luck for the next one. */
  failed(): void {
    this.#failures = Math.max(1, this.#failures);
  }

  async #untilOpen(): Promise<Link> {
    for (;;) {
      await sleep(Math.max(this.#waitMs(), this.#bucket.waitMs()), this.#stopped);
      this.#bucket.take();
      try {
        const link = await this.#dial();
        if (this.#failingSince !== undefined) this.#log.info("Slack is connected again");
        this.#failures = 0;
        this.#failingSince = undefined;
        return link;
      } catch (error) {
        if (this.#stopped.aborted) throw error;
        // Who was told how long to wait need not wait longer.
        if (!(error instanceof SlackFault) || error.retryAfterMs === undefined) this.#failures += 1;
        this.#failingSince ??= performance.now();
        await this.#tell(error);
      }
    }
  }

  /** Says what is wrong, but not every second; waits longer where Slack or a person has to move first. */
  async #tell(error: unknown): Promise<void> {
    if (performance.now() - this.#toldAt > TELL_EVERY_MS) {
      this.#toldAt = performance.now();
      this.#log.warn("Slack cannot be reached; commands by `belay do` work", {
        error: messageOfFault(error),
      });
    }
    if (isBadToken(error)) this.#refuse(error);
    await sleep(this.#extraMs(error), this.#stopped);
  }

  #extraMs(error: unknown): number {
    if (isBadToken(error)) return BAD_TOKEN_WAIT_MS;
    if (!(error instanceof SlackFault)) return 0;
    return error.retryAfterMs ?? (error.recoverable ? 0 : REFUSED_WAIT_MS);
  }

  #waitMs(): number {
    if (this.#failures === 0) return 0;
    const patient =
      this.#failingSince !== undefined && performance.now() - this.#failingSince > PATIENT_AFTER_MS;
    const most = patient ? PATIENT_WAIT_MS : LONGEST_WAIT_MS;
    const wait = Math.min(most, FIRST_WAIT_MS * 2 ** Math.min(10, this.#failures - 1));
    return wait * (0.5 + Math.random() / 2);
  }
}

export class SocketReceiver implements Receiver {
  readonly #options: SocketReceiverOptions;
  readonly #stopping = new AbortController();
  readonly #whenStopped: Promise<undefined>;
  readonly #closing = new Set<Promise<void>>();
  readonly #dialler: Dialler;
  #lines: Promise<unknown> = Promise.resolve();
  #app: App | undefined;

  constructor(options: SocketReceiverOptions) {
    this.#options = options;
    const { appToken, apiUrl, log } = options;
    const { signal } = this.#stopping;
    this.#whenStopped = new Promise((resolve) => {
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const onEnvelope = (envelope: Envelope): Promise<void> => this.#take(envelope);
    this.#dialler = new Dialler(() => openLink({ appToken, apiUrl, log, onEnvelope }, signal), log, signal);
  }

  init(app: App): void {
    this.#app = app;
  }

  /** Resolves when every socket has been opened once; they are kept open until `stop`. Rejects when Slack refuses the token, and goes on trying. */
  async start(): Promise<void> {
    const lines = Array.from({ length: SOCKETS }, () => {
      const opened = Promise.withResolvers<void>();
      return { opened: opened.promise, kept: this.#keepLine(opened.resolve) };
    });
    this.#lines = Promise.all(lines.map((line) => line.kept));
    await Promise.race([Promise.all(lines.map((line) => line.opened)), this.#dialler.refused]);
  }

  /** Closes all sockets, after what is under way. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#lines;
    await Promise.all(this.#closing);
  }

  /** Keeps one socket open, whatever becomes of it. Settles when stopped; never rejects. */
  async #keepLine(opened: () => void): Promise<void> {
    let old: Link | undefined;
    while (!this.#stopping.signal.aborted) {
      const link = await this.#dialler.next().catch(() => undefined);
      // The old one is kept until its successor hears: an envelope may be on its way through it.
      this.#retire(old);
      old = link;
      if (link === undefined) break;
      opened();
      const since = performance.now();
      const leaving = await Promise.race([link.leaving, this.#whenStopped]);
      if (leaving !== undefined) this.#judge(leaving, performance.now() - since);
    }
    this.#retire(old);
    opened();
  }

  /** Some ends promise no better luck to the next socket. */
  #judge(leaving: Leaving, livedMs: number): void {
    if (leaving.kind === "asked") {
      this.#options.log.info("Slack replaces a socket", { reason: leaving.reason });
      if (leaving.reason === "too_many_websockets" || leaving.reason === "link_disabled")
        this.#dialler.failed();
    } else if (livedMs < SHORT_LIFE_MS) this.#dialler.failed();
  }

  #retire(link: Link | undefined): void {
    if (link === undefined) return;
    const closed = link.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  async #take(envelope: Envelope): Promise<void> {
    const app = this.#app;
    if (app === undefined) return;
    const { log, onAck } = this.#options;
    const delivery = new Delivery({ send: envelope.ack, log, onAck });
    await passThrough(app, delivery, envelope.body, log);
  }
}
