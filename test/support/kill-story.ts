/** One short story with Belay killed at chosen instants, watched from outside and judged by what the flags, the channel and the journal say. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Told } from "../../demo/world/loopback.ts";
import { eventually, until } from "./eventually.ts";
import type { Ground } from "./ground.ts";
import { shortHouse } from "./short-house.ts";
import {
  CHANNEL,
  flagsIn,
  keyedMessages,
  privateNotes,
  readJournal,
  type ShortWorld,
  startShortWorld,
} from "./short-world.ts";

const KEY = "FEATURE_PARALLEL";
const START = "/rollout start short";
const LIMIT = 0.1;
const QUERY = "sum(rate(ingestion_failures_total[3s])) / sum(rate(ingestion_files_total[3s]))";
const LOOK_EVERY_MS = 10;
const ASK_EVERY_MS = 100;
const END_WITHIN_MS = 40_000;
/** What the card promises for this plan: window 3 s, scrape 1 s, two polls, a query's 2 s, a flip's 2 s. */
const PROMISED_MS = 9_000;
/** Steady time goes on over a kill and a restart to within this. */
const DRIFT_MS = 1_000;

/** When Belay dies: ms after the command was typed, after `parallel` was seen on, and after it was seen off again. */
export interface Kills {
  readonly afterTyped: number;
  readonly afterOn: number;
  readonly afterOff: number;
}

export interface KillStory {
  readonly wrong: readonly string[];
  /** One line for each kill and one for the whole, for people. */
  readonly lines: readonly string[];
  readonly kills: number;
  /** From the first sight of the breach to the flag off, without the time Belay was down, ms. */
  readonly visibleToOffMs: number;
}

/** Looks at the flag's file and asks Prometheus, all the while, independently of Belay. */
class Eye {
  readonly changes: { readonly value: string; readonly at: number }[] = [];
  breachVisibleAt: number | undefined;
  readonly #ground: Ground;
  #stopped = false;
  readonly #done: Promise<unknown>;

  constructor(ground: Ground) {
    this.#ground = ground;
    this.#done = Promise.all([this.#watchFile(), this.#watchPrometheus()]);
  }

  firstAt(value: string, after: number): number | undefined {
    return this.changes.find((change) => change.value === value && change.at > after)?.at;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #watchFile(): Promise<void> {
    while (!this.#stopped) {
      try {
        const value = flagsIn(this.#ground.flagsPath)[KEY];
        if (value !== undefined && value !== this.changes.at(-1)?.value)
          this.changes.push({ value, at: Date.now() });
      } catch {
        // There is no file before Belay's first start.
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  async #watchPrometheus(): Promise<void> {
    while (!this.#stopped && this.breachVisibleAt === undefined) {
      const share = await this.#ground.prometheus.ask(QUERY).catch(() => undefined);
      if (share !== undefined && share > LIMIT) this.breachVisibleAt = Date.now();
      await delay(ASK_EVERY_MS);
    }
  }
}

/** Plays the story on a ground whose service breaks as soon as `parallel` is on. */
export async function playKillStory(ground: Ground, name: string, kills: Kills): Promise<KillStory> {
  const dir = join(ground.dir, name);
  rmSync(ground.flagsPath, { force: true });
  const house = shortHouse({
    serviceUrl: ground.service.origin,
    prometheusUrl: ground.prometheus.url,
    flagsPath: ground.flagsPath,
  });
  const world = await startShortWorld({ dir, house });
  const eye = new Eye(ground);
  try {
    return await new Story(name, world, ground, eye, kills).play();
  } finally {
    await eye.stop();
    await world.stop();
  }
}

class Story {
  readonly #name: string;
  readonly #world: ShortWorld;
  readonly #ground: Ground;
  readonly #eye: Eye;
  readonly #kills: Kills;
  readonly #lines: string[] = [];
  readonly #wrong: string[] = [];
  readonly #downs: { readonly from: number; to: number }[] = [];

  constructor(name: string, world: ShortWorld, ground: Ground, eye: Eye, kills: Kills) {
    this.#name = name;
    this.#world = world;
    this.#ground = ground;
    this.#eye = eye;
    this.#kills = kills;
  }

  async play(): Promise<KillStory> {
    const typed = Date.now();
    const first = this.#killAfter("typed", typed, this.#kills.afterTyped);
    await this.#typeUntilTaken();
    await first;
    const on = await this.#seen("true", 0);
    await this.#killAfter("on", on, this.#kills.afterOn);
    const off = await this.#seen("false", on);
    await this.#killAfter("off", off, this.#kills.afterOff);
    const events = await this.#toTheEnd();
    await this.#world.belay.stop();
    await this.#judge(events);
    const visible = this.#eye.breachVisibleAt ?? Number.NaN;
    const visibleToOffMs = off - visible - this.#downBetween(visible, off);
    if (!(visibleToOffMs <= PROMISED_MS))
      this.#wrong.push(`off ${visibleToOffMs} ms of Belay's own time after the breach was visible`);
    this.#lines.push(
      `${this.#name}: off ${off - visible} ms after the breach was visible (${visibleToOffMs} ms without the time Belay was down), story ${((Date.now() - typed) / 1_000).toFixed(1)} s`,
    );
    return { wrong: this.#wrong, lines: this.#lines, kills: this.#downs.length, visibleToOffMs };
  }

  #seen(value: string, after: number): Promise<number> {
    return eventually(`${KEY} ${value}`, () => this.#eye.firstAt(value, after), {
      withinMs: END_WITHIN_MS,
      everyMs: LOOK_EVERY_MS,
      instead: () => `${JSON.stringify(this.#eye.changes)}\n${this.#world.log().slice(-3_000)}`,
    });
  }

  async #killAfter(what: string, from: number, ms: number): Promise<void> {
    await delay(Math.max(0, from + ms - Date.now()));
    const { belay } = this.#world;
    const down = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.#downs.push(down);
    const pid = belay.pid();
    belay.kill();
    await until("the death of Belay", () => !belay.isUp());
    await belay.waitUp();
    down.to = Date.now();
    this.#lines.push(
      `${this.#name}: kill -9 of ${pid} ${Math.round(ms)} ms after ${what}, back after ${down.to - down.from} ms; last event before: ${await this.#lastEventBefore(down.from)}`,
    );
  }

  async #lastEventBefore(wall: number): Promise<string> {
    const run = (await this.#world.runs()).at(-1);
    if (run === undefined) return "none";
    const last = (await this.#world.events(run.run)).findLast((one) => one.wall <= wall);
    return last === undefined ? "none" : `${last.event.kind}, ${wall - last.wall} ms ago`;
  }

  /** As a person would: what Slack itself calls failed is typed again when Belay is back. */
  async #typeUntilTaken(): Promise<void> {
    const { slack } = this.#world;
    for (let tries = 0; tries < 3; tries++) {
      const { outcome } = await slack.type("ana", CHANNEL, START);
      if (outcome === "ok") return;
      this.#lines.push(`${this.#name}: Slack said ${outcome}; typed again`);
      await until("Belay connected to Slack", () => slack.sockets() > 0);
    }
    this.#wrong.push("the command was never taken");
  }

  /** Until the run is held after its recovery and the channel shows it. */
  async #toTheEnd(): Promise<readonly Told[]> {
    const { slack } = this.#world;
    const texts = (): string =>
      keyedMessages(slack)
        .map(({ key, text }) => `${key}: ${text}`)
        .join("\n");
    const told = (prefix: string, words: string): boolean =>
      keyedMessages(slack).some(({ key, text }) => key.startsWith(prefix) && text.includes(words));
    await this.#world.event("held", {
      withinMs: END_WITHIN_MS,
      holds: (event) => event["reason"] === "rolled_back",
    });
    await until(
      "the end told in the channel",
      () =>
        told("card:", "ROLLED BACK, HELD") &&
        told("alert:", "recovered") &&
        // The page of the rollback ends with it, and its message says so.
        told("alert:", "resolved by Belay") &&
        told("note:", "Belay holds (rolled back and locked)"),
      { instead: texts },
    );
    return this.#world.events((await this.#world.run()).run);
  }

  #downBetween(from: number, to: number): number {
    return this.#downs.reduce(
      (sum, down) => sum + Math.max(0, Math.min(to, down.to) - Math.max(from, down.from)),
      0,
    );
  }

  async #judge(events: readonly Told[]): Promise<void> {
    const expect = (holds: boolean, wrong: string): void => {
      if (!holds) this.#wrong.push(wrong);
    };
    const count = (kind: string): number => events.filter(({ event }) => event.kind === kind).length;
    for (const [kind, wanted] of Object.entries({
      rollback_started: 1,
      rollback_off: 1,
      recovered: 1,
      look_failed: 0,
      drift_found: 0,
      quarantined: 0,
      stage_withdrawn: 0,
    }))
      expect(count(kind) === wanted, `${count(kind)} events ${kind}, expected ${wanted}`);
    const offsets = events.map(({ wall, at }) => wall - at);
    const drift = Math.max(...offsets) - Math.min(...offsets);
    expect(drift <= DRIFT_MS, `steady time and wall time drifted ${Math.round(drift)} ms apart`);
    const values = this.#eye.changes.map((change) => change.value).join(" ");
    expect(values === "false true false", `${KEY} went ${values}`);
    const flags = flagsIn(this.#ground.flagsPath);
    expect(flags["FEATURE_PARSE_CACHE"] === "true", "the harmless flag did not stay on");
    const service = (await this.#ground.probe.features()).flags;
    expect(service[KEY] === "false", `the service itself has ${KEY} ${service[KEY]}`);
    this.#judgeChannel(expect);
    const journal = await readJournal(this.#world.state);
    expect(journal.chain.ok, `the hash chain is broken: ${JSON.stringify(journal.chain)}`);
    expect(journal.unanswered.length === 0, `never answered: ${journal.unanswered.join(", ")}`);
    expect(journal.undelivered.length === 0, `never delivered: ${journal.undelivered.join(", ")}`);
  }

  #judgeChannel(expect: (holds: boolean, wrong: string) => void): void {
    const { slack } = this.#world;
    const messages = keyedMessages(slack);
    const keys = messages.map(({ key }) => key);
    const twice = keys.filter((key, index) => keys.indexOf(key) !== index);
    expect(twice.length === 0, `announced twice: ${twice.join(", ")}`);
    const cards = keys.filter((key) => key.startsWith("card:"));
    expect(cards.length === 1, `${cards.length} cards`);
    const alerts = messages.filter(({ key }) => key.startsWith("alert:"));
    expect(
      alerts.length === 1,
      `${alerts.length} alerts, expected the rollback alone: ${alerts.map(({ text }) => text.split("\n")[0]).join(" | ")}`,
    );
    const unkeyed = slack
      .channelMessages(CHANNEL, { deleted: true })
      .filter((message) => message.byBot && message.onlyFor === undefined && message.metadata === undefined);
    expect(unkeyed.length === 0, `${unkeyed.length} messages without a key`);
    expect(privateNotes(slack, "ana").length > 0, "the command was never answered");
    for (const { rule, detail } of slack.violations()) expect(false, `Slack rule broken: ${rule}: ${detail}`);
  }
}
