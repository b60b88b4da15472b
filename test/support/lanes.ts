/** Several small rollouts in one Belay, each with its own flag file, its own channel and its own way to Prometheus, so that faults can be tried side by side. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Told } from "../../demo/world/loopback.ts";
import { type Liar, startLiar } from "../fakes/prometheus-liar.ts";
import { eventually, until } from "./eventually.ts";
import { type Relay, relay } from "./relay.ts";
import { flagsIn, keyedMessages, type RunTold, type ShortWorld } from "./short-world.ts";

export const WINDOW_S = 3;
export const POLL_MS = 1_000;
const EVENT_WITHIN_MS = 20_000;

export interface LaneOptions {
  /** Of the rollout, of its files and of its channel. */
  readonly name: string;
  /** Where the truth is; without it, all is well. */
  readonly prometheusUrl?: string;
  /** Soak of the first stage; a second stage follows it. */
  readonly soak: string;
  /** Folder for the flag file. */
  readonly dir: string;
  /** Belay asks Prometheus itself, without the liar between. */
  readonly direct?: boolean;
  /** Its own name when not given. */
  readonly channel?: string;
  /** Told in its channel; Slack takes only so many edits a minute. */
  readonly announced?: boolean;
}

/** One lane before Belay runs: its files, and the liar in front of its Prometheus. */
export interface LaneGround {
  readonly name: string;
  readonly flagsPath: string;
  readonly house: Readonly<Record<string, string>>;
  readonly relay: Relay;
  readonly liar: Liar;
  readonly direct: boolean;
  readonly announced: boolean;
}

export async function layLane(options: LaneOptions): Promise<LaneGround> {
  const { name, prometheusUrl, soak, dir, direct = false, announced = true, channel = name } = options;
  const flagsPath = join(dir, `${name}.json`);
  const liar = await startLiar();
  const key = name.toUpperCase().replaceAll("-", "_");
  const house = {
    [`flags/${name}.yaml`]: `service: ingestion
environment: ${name}
provider: { kind: file, path: ${flagsPath} }
view: { http: "${liar.url}/features", pointer: /flags }
prometheus: { url: "${direct ? (prometheusUrl ?? liar.url) : liar.url}", scrape_interval: 1s, timeout: 2s }
flags:
  one: { key: ${key}_ONE, safe: off }
  two: { key: ${key}_TWO, safe: off, requires: [one] }
guards:
  failures:
    kind: threshold
    query: sum(rate(ingestion_failures_total[${WINDOW_S}s])) / sum(rate(ingestion_files_total[${WINDOW_S}s]))
    max: 10%
    breach: 2 of 3
    interval: ${POLL_MS}ms
  alive: { kind: alive, interval: ${POLL_MS}ms }
`,
    [`schedules/${name}.yaml`]: `rollout: ${name}
flags: ${name}
${announced ? `channel: "#${channel}"\n` : ""}stages:
  - { at: 0s, name: first-${name}, enable: one, soak: ${soak} }
  - { at: 1s, name: second-${name}, enable: two, soak: 1h }
`,
  };
  return {
    name,
    flagsPath,
    house,
    relay: relay(liar, prometheusUrl, "failures_total", flagsPath),
    liar,
    direct,
    announced,
  };
}

/** One live rollout and its channel. */
export class Walk {
  readonly name: string;
  readonly world: ShortWorld;
  readonly #channel: string;
  #run: string | undefined;

  constructor(name: string, world: ShortWorld, channel = name) {
    this.name = name;
    this.world = world;
    this.#channel = channel;
  }

  /** Starts the rollout; resolves when its first flag is on and read back. */
  async begin(): Promise<Told> {
    const started = await this.world.command(`rollout start ${this.name}`);
    if (!started.ok || started.run === undefined) throw new Error(`${this.name}: ${started.text}`);
    this.#run = started.run;
    return this.event("stage_enabled");
  }

  run(): string {
    if (this.#run === undefined) throw new Error(`${this.name} was not started`);
    return this.#run;
  }

  events(): Promise<readonly Told[]> {
    return this.world.events(this.run());
  }

  async state(): Promise<RunTold> {
    const found = (await this.world.runs()).find(({ run }) => run === this.run());
    if (found === undefined) throw new Error(`${this.run()} is gone`);
    return found;
  }

  /** The first event of this kind after number `after`. */
  async event(
    kind: string,
    options: { after?: number; holds?: (event: Told["event"]) => boolean; withinMs?: number } = {},
  ): Promise<Told> {
    const { after = 0, holds = () => true, withinMs = EVENT_WITHIN_MS } = options;
    let seen: readonly Told[] = [];
    return eventually(
      `event ${kind} of ${this.name}`,
      async () => {
        seen = await this.events();
        return seen.find((one) => one.seq > after && one.event.kind === kind && holds(one.event));
      },
      {
        withinMs,
        instead: () => seen.map(({ seq, event }) => `${seq} ${JSON.stringify(event)}`).join("\n"),
      },
    );
  }

  /** What `belay do "rollout status"` says, as one text. */
  async status(): Promise<string> {
    const answer = await this.world.command(`rollout status ${this.name}`);
    return [answer.text, ...answer.lines].join("\n");
  }

  /** Every message of the channel that everyone sees and Belay wrote, oldest first, by key. */
  messages(): readonly { readonly key: string; readonly text: string }[] {
    return keyedMessages(this.world.slack, this.#channel);
  }

  /** The card's text once it says all of these. */
  cardSays(...words: readonly (string | RegExp)[]): Promise<string> {
    return this.messageSays("card:", ...words);
  }

  /** The text of the first message whose key begins so once it says all of these. */
  messageSays(prefix: string, ...words: readonly (string | RegExp)[]): Promise<string> {
    return eventually(
      `${prefix} of ${this.name} with ${words.join(" and ")}`,
      () =>
        this.messages().find(
          ({ key, text }) =>
            key.startsWith(prefix) &&
            words.every((word) => (typeof word === "string" ? text.includes(word) : word.test(text))),
        )?.text,
      {
        withinMs: EVENT_WITHIN_MS,
        instead: () =>
          this.messages()
            .map(({ key, text }) => `${key}: ${text}`)
            .join("\n"),
      },
    );
  }
}

/** One rollout of the lanes. */
export class Lane extends Walk {
  readonly flagsPath: string;
  readonly relay: Relay;
  readonly announced: boolean;
  readonly #direct: boolean;

  constructor(ground: LaneGround, world: ShortWorld) {
    super(ground.name, world);
    this.flagsPath = ground.flagsPath;
    this.relay = ground.relay;
    this.announced = ground.announced;
    this.#direct = ground.direct;
  }

  /** Resolves when the guard was asked this many times more. */
  async morePolls(count: number): Promise<void> {
    // Nobody counts for a Prometheus that is dead: then it is the time of so many polls.
    if (this.#direct) return delay(count * POLL_MS);
    const wanted = this.relay.polls() + count;
    await until(`${count} more polls of ${this.name}`, () => this.relay.polls() >= wanted);
  }

  /** Values of the two flags in the file. */
  flags(): readonly (string | undefined)[] {
    const values = flagsIn(this.flagsPath);
    const key = this.name.toUpperCase().replaceAll("-", "_");
    return [values[`${key}_ONE`], values[`${key}_TWO`]];
  }

  /** A person edits the file by hand. */
  edit(change: (text: string) => string): void {
    writeFileSync(this.flagsPath, change(readFileSync(this.flagsPath, "utf8")));
  }
}
