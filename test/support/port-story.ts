/** One canonical rollout, in process, that dies at a chosen port call and is taken over by a new engine on the same files; judged like the one that never died. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileStore, seedFileStore } from "../../src/adapters/flags/file.ts";
import { openSpool } from "../../src/adapters/journal/spool.ts";
import { openSqliteJournal, type SqliteJournal } from "../../src/adapters/journal/sqlite.ts";
import type { Recorded } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { OFF, sameSetting } from "../../src/core/setting.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Clock, Journal, Log } from "../../src/engine/ports.ts";
import { createDisk, journalOn } from "../simulation/journal.ts";
import { createRandom, createTimeline } from "../simulation/timeline.ts";
import { alive, failures, flag, flags, planOf, stage } from "./plans.ts";
import {
  type Call,
  Channel,
  countedFlags,
  countedJournal,
  Production,
  viewOf,
  type Written,
} from "./port-world.ts";
import { flagsIn } from "./short-world.ts";

/** A death of the process, unlike one of the machine, asks nothing of the disk: where there is a file system in memory, its syncs cost no time. */
const ROOT = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const SECOND_MS = 1_000;
/** Virtual ms from a death to the next start. */
const DOWN_MS = 2_000;
const END_MS = 150 * SECOND_MS;
/** Once it has ended it is watched this much longer, in case something stirs. */
const QUIET_SECONDS = 6;
/** A person who saw no answer types again after this. */
const TYPE_AGAIN_MS = 5_000;
const CULPRIT = "b";
const STARTED = /^demo starts at a\.$/i;

/** `a` is harmless; with `b` on, three in ten fail. */
export const PLAN: Plan = planOf({
  channel: "#ops",
  flags: flags(flag("a"), flag("b", { requires: ["a"] })),
  stages: [stage("a", 0, {}, 25 * SECOND_MS), stage("b", 30 * SECOND_MS, {}, 25 * SECOND_MS)],
  guards: [
    failures({ intervalMs: 5 * SECOND_MS, windowMs: 10 * SECOND_MS }),
    alive({ intervalMs: 5 * SECOND_MS }),
  ],
});

export interface Death {
  /** Counted from 1 over all ports. */
  readonly call: number;
  readonly when: "before the effect" | "after the effect";
}

export interface PortStory {
  readonly wrong: readonly string[];
  /** The ports called, in order, over all lives. */
  readonly calls: readonly string[];
  readonly deaths: number;
  /** How it ended, without what differs from run to run. */
  readonly end: string;
}

/** Plays it on the journal of this kind; always on the real flag file. */
export async function playPortStory(
  journal: "sqlite" | "memory",
  death: Death | undefined,
): Promise<PortStory> {
  const dir = mkdtempSync(join(ROOT, "belay-ports-"));
  try {
    const story = new Story(dir, journal, death);
    return await story.play();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Life {
  on: boolean;
  readonly engine: Engine;
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

class Story {
  readonly #dir: string;
  readonly #death: Death | undefined;
  readonly #isSqlite: boolean;
  readonly #flagsPath: string;
  readonly #timeline = createTimeline(0);
  readonly #random = createRandom(7);
  readonly #disk = createDisk();
  readonly #channel = new Channel();
  readonly #production: Production;
  readonly #calls: string[] = [];
  readonly #written: Written[] = [];
  readonly #wrong: string[] = [];
  #sqlite: SqliteJournal | undefined;
  #life: Life | undefined;
  #deaths = 0;
  /** Calls of real files under way: virtual time stands still meanwhile. */
  #real = 0;
  #answered = false;
  #quietSeconds = 0;

  constructor(dir: string, journal: "sqlite" | "memory", death: Death | undefined) {
    this.#dir = dir;
    this.#death = death;
    this.#isSqlite = journal === "sqlite";
    this.#flagsPath = join(dir, "flags.json");
    this.#production = new Production(this.#flagsPath, PLAN.flags[CULPRIT]?.key ?? "");
  }

  async play(): Promise<PortStory> {
    await seedFileStore(this.#flagsPath, Object.values(PLAN.flags));
    const second = (): void => {
      this.#production.second();
      this.#quietSeconds = this.#hasEnded() ? this.#quietSeconds + 1 : 0;
      this.#timeline.after(SECOND_MS, second);
    };
    this.#timeline.after(SECOND_MS, second);
    this.#boot();
    // At once: while Belay is still reading its journal.
    this.#type(1);
    const isOver = (): boolean => this.#quietSeconds >= QUIET_SECONDS;
    while (!isOver() && this.#timeline.now() < END_MS - SECOND_MS) {
      await this.#timeline.run(END_MS, () => this.#real > 0 || isOver());
      while (this.#real > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#life?.engine.stop();
    const end = await this.#judge();
    this.#sqlite?.close();
    return { wrong: this.#wrong, calls: this.#calls, deaths: this.#deaths, end };
  }

  /** Held after its recovery, and the card says so; what is still owed then is the judge's business. */
  #hasEnded(): boolean {
    const state = this.#life?.engine.runs()[0];
    const shown = [...this.#channel.shown].some(
      ([key, text]) => key.startsWith("card:") && text === "ROLLED BACK, HELD",
    );
    return shown && state?.phase === "walking" && state.holds.some((hold) => hold.reason === "rolled_back");
  }

  #type(tries: number): void {
    const key = `start-${tries}`;
    this.#timeline.after(TYPE_AGAIN_MS, () => {
      if (!this.#answered && tries < 3) this.#type(tries + 1);
    });
    this.#life?.engine
      .submit({
        key,
        text: `rollout start ${PLAN.rollout}`,
        actor: { kind: "person", id: "U1", name: "ana", via: "slack" },
        replyTo: { kind: "slack_mention", user: "U1", channel: "C1" },
      })
      .then(async (accepted) => {
        if (accepted.kind === "accepted") await accepted.answer;
        this.#answered = true;
      })
      .catch((error: unknown) => this.#wrong.push(`the command failed: ${String(error)}`));
  }

  #die(): void {
    const life = this.#life;
    if (life === undefined || !life.on) return;
    life.on = false;
    this.#life = undefined;
    this.#deaths += 1;
    this.#timeline.after(DOWN_MS, () => {
      this.#sqlite?.close();
      this.#boot();
    });
  }

  /** One life of the process: from its death on, none of its promises settles. */
  #boot(): void {
    const { timeline, log } = { timeline: this.#timeline, log: this.#log() };
    const isAlive = (): boolean => this.#life === life && life.on;
    const call: Call = (name, act) => {
      if (!isAlive()) return never();
      this.#calls.push(name);
      const dies = this.#death?.call === this.#calls.length && this.#deaths === 0;
      if (dies && this.#death?.when === "before the effect") {
        this.#die();
        return never();
      }
      const result = this.#isReal(name) ? this.#held(act()) : act();
      if (dies) {
        void result.catch(() => undefined).then(() => this.#die());
        return never();
      }
      return result.then(
        (value) => (isAlive() ? value : never()),
        (error: unknown) => {
          if (isAlive()) throw error;
          return never();
        },
      );
    };
    const clock: Clock = {
      now: () => ({ steady: timeline.now(), wall: timeline.now() }),
      random: this.#random.next,
      after(ms, act) {
        let wanted = true;
        timeline.after(ms, () => {
          if (wanted && isAlive()) act();
        });
        return () => {
          wanted = false;
        };
      },
    };
    const store = createFileStore({ path: this.#flagsPath });
    const engine = new Engine({
      clock,
      log,
      ids: { hash: (text) => `h${text.length}` },
      journal: this.#openJournal(call),
      spool: openSpool(join(this.#dir, "spool.jsonl"), log),
      chat: this.#channel.chat(timeline, call),
      plans: () => new Map([[PLAN.rollout, PLAN]]),
      connect: () => ({
        flags: countedFlags(store, call, this.#written, timeline.now),
        view: viewOf(this.#flagsPath, timeline, call),
        metrics: this.#production.metrics(timeline, call),
        readEveryMs: 5_000,
      }),
      mayOf: () => ({ operator: true, groups: [] }),
      defaultChannel: undefined,
      refreshMs: 20_000,
      zone: "UTC",
    });
    const life: Life = { on: true, engine };
    this.#life = life;
    engine.start().catch((error: unknown) => {
      if (isAlive()) this.#wrong.push(`it could not start: ${String(error)}`);
    });
  }

  #openJournal(call: Call): Journal {
    if (!this.#isSqlite)
      return journalOn(this.#disk, (name, act) => call(`journal.${name}`, async () => act()));
    this.#sqlite = openSqliteJournal({ path: join(this.#dir, "journal.db") });
    return countedJournal(this.#sqlite, call);
  }

  #isReal(name: string): boolean {
    return name.startsWith("flags.");
  }

  async #held<T>(work: Promise<T>): Promise<T> {
    this.#real += 1;
    try {
      return await work;
    } finally {
      this.#real -= 1;
    }
  }

  #log(): Log {
    return {
      info: () => undefined,
      warn: () => undefined,
      error: (message, fields) => this.#wrong.push(`logged: ${message} ${JSON.stringify(fields)}`),
    };
  }

  async #judge(): Promise<string> {
    const expect = (holds: boolean, wrong: string): void => {
      if (!holds) this.#wrong.push(wrong);
    };
    const journal: Journal = this.#sqlite ?? journalOn(this.#disk, async (_name, act) => act());
    const stored = await journal.lastRunOf(PLAN.rollout);
    if (stored === undefined) {
      expect(false, "there is no run");
      return "no run";
    }
    const { state } = stored;
    const events = await journal.events(state.run);
    this.#judgeEvents(events, expect);
    const unanswered = await journal.unanswered();
    expect(unanswered.length === 0, `never answered: ${unanswered.map((one) => one.key).join(", ")}`);
    const pending = await journal.pending();
    expect(pending.length === 0, `never delivered: ${pending.map((one) => one.key).join(", ")}`);
    const { shown, twice, answers } = this.#channel;
    expect(twice.length === 0, `posted twice: ${twice.join(", ")}`);
    expect(
      answers.some(({ text }) => STARTED.test(text)),
      `the person was never told that it starts: ${answers.map(({ text }) => text).join(" | ")}`,
    );
    for (const { key, text } of answers)
      expect(
        answers.every((one) => one.key !== key || one.text === text),
        `two different answers to ${key}, one of them: ${text}`,
      );
    if (this.#sqlite !== undefined) expect(this.#sqlite.verifyChain().ok, "the hash chain is broken");
    const told = [...shown]
      .filter(([key]) => !key.startsWith("note:"))
      .map(([key, text]) => `${key.split(":")[0]}: ${text}`);
    return JSON.stringify({
      phase: state.phase,
      holds: state.holds.map((hold) => hold.reason),
      stages: state.stages.map((one) => one.status),
      locked: Object.keys(state.latched),
      owed: Object.values(state.flips).filter((flip) => flip.verifiedAt === undefined).length,
      flags: flagsIn(this.#flagsPath),
      told: told.map((text) => text.replace(/ · [\d.]+ m?s/, "").replace(/[\d.]+ %/g, "N %")),
    });
  }

  #judgeEvents(events: readonly Recorded[], expect: (holds: boolean, wrong: string) => void): void {
    const of = (kind: Recorded["event"]["kind"]): readonly Recorded[] =>
      events.filter(({ event }) => event.kind === kind);
    for (const kind of ["rollout_started", "rollback_started", "rollback_off", "recovered"] as const)
      expect(of(kind).length === 1, `${of(kind).length} events ${kind}`);
    for (const kind of ["quarantined", "look_failed", "drift_found", "stage_withdrawn"] as const)
      expect(of(kind).length === 0, `${of(kind).length} events ${kind}`);
    const intents = events.flatMap(({ event }) =>
      event.kind === "stage_started" || event.kind === "rollback_started"
        ? event.flips.map((flip) => flip.intent)
        : [],
    );
    for (const { intent, flag: name } of this.#written)
      expect(
        intents.filter((one) => one === intent).length === 1,
        `${name} was written under ${intent}, which is not in the journal once`,
      );
    const decided = of("rollback_started")[0]?.at ?? 0;
    const late = this.#written.find(
      (one) => one.at > decided && one.flag === CULPRIT && !sameSetting(one.setting, OFF),
    );
    expect(late === undefined, `${CULPRIT} was turned on at ${late?.at}, after its rollback at ${decided}`);
    const bad = of("verdict_changed").find(
      ({ event }) => event.kind === "verdict_changed" && event.verdict === "breach",
    );
    const atOnce = SECOND_MS + this.#deaths * DOWN_MS;
    expect(bad !== undefined && decided - bad.at <= atOnce, "the breach was not acted on at once");
  }
}
