/** The real engine on the real journal, spool and flag file, on real time; the journal's replies can be withheld, and the engine stopped and started on the same files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClock } from "../../src/adapters/clock.ts";
import { createFileStore, seedFileStore } from "../../src/adapters/flags/file.ts";
import { createIds } from "../../src/adapters/ids.ts";
import { openSpool } from "../../src/adapters/journal/spool.ts";
import { openSqliteJournal, type SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import type { Recorded, RolloutEvent } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { CommandAnswer, Intake } from "../../src/engine/messages.ts";
import { type Chat, type Clock, type Log, OutsideFault } from "../../src/engine/ports.ts";
import { type Call, countedJournal } from "./port-world.ts";
import { flagsIn } from "./short-world.ts";
import { SMALL_PLAN, SmallWorld } from "./slack-engine.ts";

/** What becomes of one call of the journal: as always, rejected without effect, or rejected although it took effect. */
export type Fate = "works" | "refused" | "reply lost";

export const GONE = new OutsideFault("journal: gone", { recoverable: true });

/** One Belay's files, and the engine that works on them at present. */
export class DurableEngine {
  /** Decides about each call of the journal by its name, such as `journal.commit`. */
  fate: (call: string) => Fate = () => "works";
  /** What of the service is being restarted. */
  restarting: string | undefined;
  /** Runs just before a commit takes effect. */
  beforeCommit: (() => Promise<void>) | undefined;
  /** Whether the journal, when it is opened, can keep room for going back. */
  hasRoom = true;
  /** How far the wall clock has gone on, ms. */
  lateByMs = 0;
  readonly #clock = createClock({ notBefore: 1 });
  readonly clock: Clock = {
    ...this.#clock,
    now: () => {
      const { steady, wall } = this.#clock.now();
      return { steady, wall: wall + this.lateByMs };
    },
  };
  readonly world = new SmallWorld();
  /** Every message sent to the chat, by key, oldest first. */
  readonly sent: { readonly key: string; readonly text: string }[] = [];
  readonly logged: string[] = [];
  readonly spoolPath: string;
  readonly #dir = mkdtempSync(join(tmpdir(), "belay-durable-"));
  readonly #flagsPath = join(this.#dir, "flags.json");
  #journal: SqliteJournal | undefined;
  #engine: Engine | undefined;

  constructor() {
    this.spoolPath = join(this.#dir, "spool.jsonl");
  }

  get engine(): Engine {
    if (this.#engine === undefined) throw new Error("the engine does not run");
    return this.#engine;
  }

  /** The journal itself, whose calls always work. */
  get journal(): SqliteJournal {
    const reservePath = this.hasRoom ? undefined : join(this.#dir, "missing", "reserve");
    this.#journal ??= openSqliteJournal({ path: join(this.#dir, "journal.db"), reservePath });
    return this.#journal;
  }

  async start(): Promise<void> {
    await seedFileStore(this.#flagsPath, Object.values(SMALL_PLAN.flags));
    const { clock, world } = this;
    const log = this.#log();
    const flags = createFileStore({ path: this.#flagsPath });
    this.#engine = new Engine({
      clock,
      log,
      ids: createIds(),
      journal: countedJournal(this.journal, this.#call),
      spool: openSpool(this.spoolPath, log),
      chat: this.#chat(),
      plans: () => new Map([[SMALL_PLAN.rollout, SMALL_PLAN]]),
      connect: () => ({ ...world.service, flags }),
      mayOf: () => ({ operator: true, groups: [] }),
      restartingOf: () => this.restarting,
      defaultChannel: undefined,
      refreshMs: 1_000,
      zone: "UTC",
    });
    await this.#engine.start();
  }

  /** Stops the engine and closes its files. What the journal has not taken by then stays in the spool. */
  stop(): void {
    this.#engine?.stop();
    this.#engine = undefined;
    this.#journal?.close();
    this.#journal = undefined;
  }

  drop(): void {
    this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  intake(key: string, text: string): Intake {
    const { steady, wall } = this.clock.now();
    return {
      key,
      text,
      actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
      replyTo: { kind: "slack_mention", user: "U1", channel: "C1" },
      at: steady,
      wall,
    };
  }

  /** What a person's command is answered with. */
  async ask(key: string, text: string): Promise<CommandAnswer> {
    const { at: _at, wall: _wall, ...request } = this.intake(key, text);
    const accepted = await this.engine.submit(request);
    if (accepted.kind !== "accepted") throw new Error(`${text}: ${accepted.kind}`);
    return accepted.answer;
  }

  isOn(flag: keyof typeof SMALL_PLAN.flags): boolean {
    return flagsIn(this.#flagsPath)[SMALL_PLAN.flags[flag]?.key ?? ""] === "true";
  }

  /** The only live run as the engine has it. */
  run(): State | undefined {
    return this.engine.runs()[0];
  }

  async events<K extends RolloutEvent["kind"]>(run: string, kind: K): Promise<readonly Recorded[]> {
    return (await this.journal.events(run)).filter(({ event }) => event.kind === kind);
  }

  /** Keys of commands that a next start would carry out again. */
  async open(): Promise<readonly string[]> {
    return (await this.journal.unanswered()).map(({ key }) => key);
  }

  readonly #call: Call = async (name, act) => {
    if (name === "journal.commit") await this.beforeCommit?.();
    const fate = this.fate(name);
    if (fate === "refused") throw GONE;
    const result = await act();
    if (fate === "reply lost") throw GONE;
    return result;
  };

  #chat(): Chat {
    return {
      post: async (item) => {
        this.sent.push({ key: item.key, text: item.body.kind === "answer" ? item.body.answer.text : "" });
        return item.body.kind === "answer" ? undefined : { channel: "C1", ts: item.key };
      },
      update: async () => undefined,
    };
  }

  #log(): Log {
    const note = (message: string, fields: unknown): void =>
      void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    return { info: () => undefined, warn: note, error: note };
  }
}
