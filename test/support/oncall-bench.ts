/** The real on-call desk on virtual time: a journal in memory that can go away, a pager model that fails as it is told, and restarts. */

import type { Actor } from "../../src/core/event.ts";
import type { PageRequest, PagerEvent } from "../../src/core/oncall/page.ts";
import { sleep } from "../../src/engine/concurrency.ts";
import type { OutboxDraft } from "../../src/engine/messages.ts";
import { OnCall } from "../../src/engine/oncall.ts";
import { type Clock, OutsideFault } from "../../src/engine/ports.ts";
import type { Pager, PagerIncident } from "../../src/engine/watch-ports.ts";
import { createRandom, createTimeline } from "../simulation/timeline.ts";
import { createLives } from "./mortal-clock.ts";
import { type KeptLog, keepLog } from "./slack-bot.ts";
import { createSubjectMemory, type SubjectMemory } from "./subject-memory.ts";

const CALL_MS = 20;

/** What the pager service answers: taken, refused, or taken with its reply lost. `hang` answers after 5 s that nothing came. */
export type Mood = "well" | "refused" | "down" | "limited" | "hang" | "reply_lost";

interface Kept {
  status: PagerIncident["status"];
  escalations: number;
}

/** A pager service as Belay may rely on it: one incident per key, whatever arrives twice. */
export class PagerModel implements Pager {
  mood: Mood = "well";
  levels = 3;
  hasRest = true;
  restMood: "well" | "down" = "well";
  /** How long an answer of its REST takes, ms. */
  restTakesMs = CALL_MS;
  /** Events taken, in order, repeats among them. */
  readonly taken: PagerEvent[] = [];
  readonly tries: { readonly at: number; readonly kind: PagerEvent["kind"] }[] = [];
  readonly moved: { readonly at: number; readonly level: number }[] = [];
  readonly incidents = new Map<string, Kept>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async send(event: PagerEvent): Promise<void> {
    this.tries.push({ at: this.#clock.now().steady, kind: event.kind });
    const { mood } = this;
    if (mood === "hang") await sleep(this.#clock, 5_000);
    else await sleep(this.#clock, CALL_MS);
    if (mood === "well" || mood === "reply_lost") this.#take(event);
    switch (mood) {
      case "well":
        return;
      case "refused":
        throw new OutsideFault("PagerDuty refused the event: 400", { recoverable: false });
      case "limited":
        throw new OutsideFault("PagerDuty: 429", { recoverable: true, retryAfterMs: 2_000 });
      default:
        throw new OutsideFault(`PagerDuty: ${mood}`, { recoverable: true });
    }
  }

  async change(): Promise<void> {
    await sleep(this.#clock, CALL_MS);
  }

  get rest(): NonNullable<Pager["rest"]> | undefined {
    if (!this.hasRest) return undefined;
    return {
      incidentByKey: async (key) => {
        await this.#rest();
        const kept = this.incidents.get(key);
        if (kept === undefined) return undefined;
        const assigned = [`person-${kept.escalations + 1}`];
        return { id: `Q-${key}`, url: `https://pager.test/${key}`, levels: this.levels, assigned, ...kept };
      },
      escalate: async (id, level) => {
        await this.#rest();
        const kept = this.incidents.get(id.slice(2));
        if (kept === undefined) throw new OutsideFault("no such incident", { recoverable: false });
        kept.escalations = level - 1;
        // Whoever is asked next has not acknowledged anything.
        kept.status = "triggered";
        this.moved.push({ at: this.#clock.now().steady, level });
      },
      onCalls: async () => [{ name: "Ben", level: 1 }],
    };
  }

  async #rest(): Promise<void> {
    await sleep(this.#clock, this.restTakesMs);
    if (this.restMood === "down") throw new OutsideFault("PagerDuty's REST: 503", { recoverable: true });
  }

  #take(event: PagerEvent): void {
    this.taken.push(event);
    const known = this.incidents.get(event.dedupKey);
    if (event.kind === "trigger") {
      if (known === undefined) this.incidents.set(event.dedupKey, { status: "triggered", escalations: 0 });
    } else if (known !== undefined) {
      known.status = event.kind === "acknowledge" ? "acknowledged" : "resolved";
    }
  }
}

export interface OnCallBench {
  readonly journal: SubjectMemory;
  readonly pager: PagerModel;
  readonly log: KeptLog;
  /** What the second channel was told: when, what. */
  readonly told: { readonly at: number; readonly text: string }[];
  readonly commands: { readonly text: string; readonly actor: Actor }[];
  /** Messages sent without the journal. */
  readonly sent: OutboxDraft[];
  /** Page keys whose cause is gone. */
  readonly over: Map<string, string>;
  /** Runs that have ended, with the words; `unreadable`: nobody can say. */
  readonly ended: Map<string, string>;
  /** How long the second channel takes, ms. */
  secondTakesMs: number;
  desk(): OnCall;
  now(): number;
  /** Lets virtual time pass, ms. */
  pass(ms: number): Promise<void>;
  /** Ends the desk as a kill would, and starts another one on the same journal. */
  restart(): Promise<void>;
}

export interface OnCallBenchOptions {
  readonly pager?: boolean;
  readonly rest?: boolean;
  readonly second?: boolean;
}

export async function startOnCall(options: OnCallBenchOptions = {}): Promise<OnCallBench> {
  const timeline = createTimeline(0);
  const random = createRandom(7);
  const lives = createLives(timeline, random, 1_800_000_000_000);
  const journal = createSubjectMemory();
  const pager = new PagerModel({ ...lives.clock(), after: (ms, act) => lives.clock().after(ms, act) });
  pager.hasRest = options.rest ?? true;
  const log = keepLog();
  const told: OnCallBench["told"][number][] = [];
  const commands: OnCallBench["commands"][number][] = [];
  const sent: OutboxDraft[] = [];
  const over = new Map<string, string>();
  const ended = new Map<string, string>();
  const pace = { secondTakesMs: 0 };

  const begin = async (): Promise<OnCall> => {
    const clock = lives.clock();
    const desk = new OnCall({
      clock,
      journal,
      log,
      pager: options.pager === false ? undefined : pager,
      second:
        options.second === false
          ? undefined
          : {
              tell: async (text) => {
                if (pace.secondTakesMs > 0) await sleep(clock, pace.secondTakesMs);
                told.push({ at: timeline.now(), text });
              },
            },
      defaultChannel: "#ops",
      sendNow: (drafts) => sent.push(...drafts),
      over: (page) => over.get(page.key),
      command: async (text, actor) => {
        commands.push({ text, actor });
      },
      ended: async (run) => {
        if (ended.get(run) === "unreadable")
          throw new OutsideFault("it cannot be read", { recoverable: false });
        return ended.get(run);
      },
      installation: "",
    });
    await desk.start();
    return desk;
  };

  async function pass(ms: number): Promise<void> {
    let isOver = false;
    const until = timeline.now() + ms;
    timeline.after(ms, () => {
      isOver = true;
    });
    await timeline.run(until, () => isOver);
  }

  let desk = await begin();
  return {
    get secondTakesMs() {
      return pace.secondTakesMs;
    },
    set secondTakesMs(ms) {
      pace.secondTakesMs = ms;
    },
    journal,
    pager,
    log,
    told,
    commands,
    sent,
    over,
    ended,
    desk: () => desk,
    now: () => timeline.now(),
    pass,
    async restart() {
      lives.end();
      desk = await begin();
    },
  };
}

/** A page about the service `bots`. */
export function pageOf(key: string, more: Partial<PageRequest> = {}): PageRequest {
  return {
    key,
    severity: "P1",
    summary: "replies fail",
    service: "bots",
    environment: "production",
    source: "probe",
    wall: 1_800_000_000_000,
    ...more,
  };
}
