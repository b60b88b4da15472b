/** Measures the way back of a real Belay process: from the decision to the last of four flags OFF and read back, on each kind of flag system. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Told } from "../demo/world/loopback.ts";
import { eventually, until } from "../test/support/eventually.ts";
import { flagsIn, type ShortWorld, startShortWorld } from "../test/support/short-world.ts";
import { startWell } from "./well.ts";

const FLAGS = ["one", "two", "three", "four"] as const;
const STARTS_AT_ONCE = 2;
const MOST_STARTS = 3;
const PATIENCE = { withinMs: 120_000, everyMs: 50 };

/** What the rollouts flip: `provider` of the flags file of a lane, and what its four keys are. */
export interface FlagGround {
  /** So many rollouts are live at once and go back one at a time: one that went back is watched for 12 s more. */
  readonly lanes: readonly string[];
  readonly provider: (lane: string) => string;
  /** The service's own view as the flags file has it; `features` by HTTP when not given. */
  readonly view?: string;
  readonly env: Readonly<Record<string, string>>;
  /** What the service of the lane works with, by key, found out around Belay; rejects while it does not answer. */
  readonly features: (
    lane: string,
    keys: readonly string[],
  ) => Promise<Readonly<Record<string, string | undefined>>>;
  /** Begins to watch the way back of a lane; what it returns is called when all is off, and throws when it saw what must not be. */
  readonly watch?: (lane: string) => () => void;
}

export interface Flips {
  /** Decision to the last of four flags OFF and read back, ms. */
  readonly decidedToOff: readonly number[];
  /** Decision to the service's own word for it, ms. */
  readonly decidedToSeen: readonly number[];
  /** A person's command to the same, ms. */
  readonly askedToOff: readonly number[];
}

function keyOf(lane: string, flag: string): string {
  return `${lane}_${flag}`.toUpperCase().replaceAll("-", "_");
}

/** The four keys of a lane. */
export function keysOf(lane: string): readonly string[] {
  return FLAGS.map((flag) => keyOf(lane, flag));
}

/** Names of so many lanes. */
export function lanesOf(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `lane-${index + 1}`);
}

function houseOf(ground: FlagGround, wellUrl: string): Readonly<Record<string, string>> {
  const files = ground.lanes.flatMap((lane) => [
    [
      `flags/${lane}.yaml`,
      `service: ${lane}
environment: test
provider: ${ground.provider(lane)}
view: ${ground.view ?? `{ http: "${wellUrl}/features/${lane}", pointer: /flags }`}
prometheus: { url: "${wellUrl}", scrape_interval: 1s, timeout: 2s }
flags:
${FLAGS.map((flag) => `  ${flag}: { key: ${keyOf(lane, flag)}, safe: off }`).join("\n")}
guards:
  alive: { kind: alive, interval: 1s }
`,
    ],
    [
      `schedules/${lane}.yaml`,
      `rollout: ${lane}
flags: ${lane}
stages:
  - { at: 0s, name: all-${lane}, enable: [${FLAGS.join(", ")}], soak: 1h }
`,
    ],
  ]);
  return Object.fromEntries(files);
}

/** One rollout on and back, again and again. */
class Lane {
  readonly name: string;
  readonly #world: ShortWorld;
  readonly #ground: FlagGround;
  #run: string | undefined;

  constructor(name: string, world: ShortWorld, ground: FlagGround) {
    this.name = name;
    this.#world = world;
    this.#ground = ground;
  }

  /** Resolves when all four flags are on and read back. A start that is withdrawn, as on a busy machine, is tried again. */
  async begin(): Promise<void> {
    for (let tried = 1; !(await this.#start()); tried++) {
      if (tried === MOST_STARTS) throw new Error(`${this.name} was withdrawn ${MOST_STARTS} times`);
      const stop = (): Promise<{ readonly ok: boolean }> =>
        this.#world.command(`rollout stop run=${this.#run} --leave-on`);
      await until(`${this.name} stopped`, async () => (await stop()).ok, PATIENCE);
    }
  }

  async #start(): Promise<boolean> {
    if (this.#run !== undefined) await this.#world.command(`rollout unlock all-${this.name} because "bench"`);
    const started = await this.#world.command(`rollout start ${this.name}`);
    if (!started.ok || started.run === undefined)
      throw new Error([started.text, ...started.lines].join("\n"));
    this.#run = started.run;
    return (await this.#event("stage_enabled", "stage_withdrawn")).event.kind === "stage_enabled";
  }

  /** Times in ms. */
  async back(): Promise<{ readonly decided: number; readonly seen: number; readonly asked: number }> {
    const check = this.#ground.watch?.(this.name);
    const askedAt = Date.now();
    await this.#world.command(`rollout rollback all run=${this.#run}`);
    const off = await this.#event("rollback_off");
    const decision = await this.#event("rollback_started");
    const seen = await this.#event("rollback_confirmed");
    await this.#checkOff();
    check?.();
    return {
      decided: off.wall - decision.wall,
      seen: seen.wall - decision.wall,
      asked: off.wall - askedAt,
    };
  }

  /** Resolves when the run has ended, so that the next one may begin. */
  async end(): Promise<void> {
    await this.#event("rolled_back");
  }

  /** Belay's own word that all is off is not taken for it. */
  async #checkOff(): Promise<void> {
    const features = await this.#ground.features(this.name, keysOf(this.name));
    const on = keysOf(this.name).filter((key) => features[key] !== "false");
    if (on.length > 0) throw new Error(`${JSON.stringify(on)} although Belay says that all is off`);
  }

  #event(...kinds: readonly string[]): Promise<Told> {
    let seen: readonly Told[] = [];
    return eventually(
      `${kinds.join(" or ")} of ${this.name}`,
      async () => {
        seen = await this.#world.events(this.#run ?? "");
        return seen.find(({ event }) => kinds.includes(event.kind));
      },
      { ...PATIENCE, instead: () => seen.map(({ event }) => JSON.stringify(event)).join("\n") },
    );
  }
}

/** Takes rollouts back one at a time, `rounds` in all. `meanwhile` begins when all flags are on, and what it returns ends it when all are off. */
export async function measureFlips(
  ground: FlagGround,
  rounds: number,
  tell: (line: string) => void,
  meanwhile?: () => () => void,
): Promise<Flips> {
  const dir = mkdtempSync(join(tmpdir(), "belay-bench-flips-"));
  const well = await startWell((lane) => ground.features(lane, keysOf(lane)));
  try {
    const world = await startShortWorld({ dir, house: houseOf(ground, well.url), env: ground.env });
    try {
      const all = ground.lanes.map((name) => new Lane(name, world, ground));
      const out: Samples = { decidedToOff: [], decidedToSeen: [], askedToOff: [] };
      while (out.decidedToOff.length < rounds) {
        const batch = all.slice(0, rounds - out.decidedToOff.length);
        await playBatch(batch, out, meanwhile);
        tell(`${out.decidedToOff.length} of ${rounds}: off ${out.decidedToOff.at(-1)} ms after the decision`);
      }
      return out;
    } finally {
      await world.stop();
    }
  } finally {
    await well.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

type Samples = { readonly [K in keyof Flips]: number[] };

async function playBatch(
  batch: readonly Lane[],
  out: Samples,
  meanwhile: (() => () => void) | undefined,
): Promise<void> {
  // A few at a time: each start rehearses its way back first, and looks at the time that takes.
  for (let from = 0; from < batch.length; from += STARTS_AT_ONCE)
    await Promise.all(batch.slice(from, from + STARTS_AT_ONCE).map((lane) => lane.begin()));
  const endFaults = meanwhile?.();
  try {
    for (const lane of batch) {
      // Anywhere between two reads of the store: their phase is not ours to choose.
      await delay(Math.random() * 200);
      const { decided, seen, asked } = await lane.back();
      out.decidedToOff.push(decided);
      out.decidedToSeen.push(seen);
      out.askedToOff.push(asked);
    }
  } finally {
    endFaults?.();
  }
  await Promise.all(batch.map((lane) => lane.end()));
}

/** Flags in Belay's own store, one file for each service. */
export async function withFileGround<T>(use: (ground: FlagGround) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "belay-bench-store-"));
  const path = (lane: string): string => join(dir, `${lane}.json`);
  try {
    return await use({
      lanes: lanesOf(25),
      provider: (lane) => `{ kind: file, path: ${path(lane)} }`,
      env: {},
      features: async (lane) => flagsIn(path(lane)),
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
