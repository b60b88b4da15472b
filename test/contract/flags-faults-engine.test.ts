/** A rollout by the real engine on a flag system whose network misbehaves: the flags end off, and every change that the system saw was decided in the journal first. */
import { describe, it } from "vitest";
import type { Flip } from "../../src/core/event.ts";
import { toWire } from "../../src/core/setting.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { Log } from "../../src/engine/ports.ts";
import { createDisk } from "../simulation/journal.ts";
import { eventually, until } from "../support/eventually.ts";
import { type Fault, type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { createSampleFlags, SampleSystem } from "../support/flags-contract-sample.ts";
import { engineOn, SMALL_PLAN, SmallWorld } from "../support/slack-engine.ts";

const TOKEN = "engine-canary-4711";
const FLAGS = Object.values(SMALL_PLAN.flags);
const BOTH = ["true", "false"];
/** The end of a run waits for the quarantine of 12 s. */
const ENDED_WITHIN_MS = 25_000;
const TEST_MS = 60_000;
const FOREVER = Number.POSITIVE_INFINITY;

/** One rollout with its engine, its flag system, and the proxy between. */
class House {
  readonly system: SampleSystem;
  readonly disk = createDisk();
  readonly logged: string[] = [];
  readonly proxy: FaultProxy;
  readonly #engine: Engine;
  readonly #flags: ReturnType<typeof createSampleFlags>;

  static async open(): Promise<House> {
    const system = new SampleSystem(TOKEN);
    return new House(system, await startFaultProxy(await system.listen()));
  }

  private constructor(system: SampleSystem, proxy: FaultProxy) {
    this.system = system;
    this.proxy = proxy;
    for (const { key } of FLAGS) system.make(key, "false", BOTH);
    // A system that takes no version is the harder one: what arrives late there is not refused.
    this.#flags = createSampleFlags({ url: proxy.url, token: TOKEN, compareAndSet: false });
    const note = (message: string, fields: unknown): void =>
      void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { info: note, warn: note, error: note };
    const service = { ...new SmallWorld().service, flags: this.#flags };
    const chat = { post: async () => undefined, update: async () => undefined };
    this.#engine = engineOn(this.disk, { service }, chat, log);
  }

  /** Starts the rollout; resolves when both flags are on and watched, or the rollout stands. */
  async begin(): Promise<void> {
    await this.#engine.start();
    await this.ask("rollout start parser");
  }

  async ask(text: string): Promise<void> {
    const actor = { kind: "person", id: "U1", name: "ana", via: "slack" } as const;
    const replyTo = { kind: "slack_mention", user: "U1", channel: "C1" } as const;
    const accepted = await this.#engine.submit({ key: text, text, actor, replyTo });
    if (accepted.kind !== "accepted") throw new Error(`${text}: ${accepted.kind}`);
    const answer = await accepted.answer;
    if (!answer.ok) throw new Error(`${text}: ${answer.code} ${answer.text} ${answer.lines.join(" ")}`);
  }

  get run() {
    return this.#engine.runs()[0];
  }

  bothSoak(): Promise<void> {
    return until("both flags are on and watched", () => this.run?.stages[1]?.status === "soaking", {
      instead: () => JSON.stringify([this.run?.stages, this.events().slice(-3), this.logged.slice(-3)]),
    });
  }

  allOff(): boolean {
    return FLAGS.every(({ key }) => this.system.literal(key) === "false");
  }

  events() {
    return [...this.disk.events.values()].flat();
  }

  /** Resolves when the run has ended, rolled back. */
  async ends(): Promise<void> {
    await until(
      "the run is rolled back",
      () => this.events().some(({ event }) => event.kind === "rolled_back"),
      {
        withinMs: ENDED_WITHIN_MS,
        instead: () => JSON.stringify([this.events().slice(-4), this.logged.slice(-4)]),
      },
    );
  }

  /** Every flip that the journal knows, with the wall time of its decision. */
  flips(): readonly (Flip & { readonly wall: number })[] {
    return this.events().flatMap(({ event, wall }) => {
      if (event.kind === "flip_corrected") return [{ ...event.flip, wall }];
      return "flips" in event ? event.flips.map((flip) => ({ ...flip, wall })) : [];
    });
  }

  /** What is wrong between the changes that the flag system saw and the decisions of the journal. */
  unaudited(): readonly string[] {
    const flips = this.flips();
    const wrong = this.system.history
      .filter(({ by }) => by === "belay")
      .flatMap((change) => {
        const flip = flips.find(({ intent }) => intent === change.intent);
        if (flip === undefined)
          return [`${change.key} ${change.what} under ${change.intent}, which nobody decided`];
        const flag = SMALL_PLAN.flags[flip.flag];
        const asDecided = flag?.key === change.key && toWire(flag, flip.to).value === change.literal;
        if (!asDecided) return [`${change.key} ${change.what} under ${change.intent}, which says otherwise`];
        return flip.wall <= change.wall ? [] : [`${change.key} ${change.what} before it was decided`];
      });
    const intents = flips.map(({ intent }) => intent);
    const twice = intents.filter((intent, i) => intents.indexOf(intent) !== i);
    return [...wrong, ...twice.map((intent) => `${intent} stands in the journal twice`)];
  }

  async close(): Promise<void> {
    this.#engine.stop();
    this.#flags.close();
    await this.proxy.close();
    this.system.close();
  }
}

describe.concurrent("a rollout behind faults", () => {
  /** Plays one story; at its end the flags are off, all that was done was decided, and no log shows the token. */
  function story(name: string, play: (house: House) => Promise<void>): void {
    it(name, { timeout: TEST_MS }, async ({ expect }) => {
      const house = await House.open();
      try {
        await play(house);
        await house.ends();
        expect(house.allOff()).toBe(true);
        expect(house.unaudited()).toEqual([]);
        expect(house.logged.filter((line) => line.includes(TOKEN))).toEqual([]);
        // What the journal calls verified it had decided, and the system saw.
        const seen = new Set(house.system.history.map(({ intent }) => intent));
        const verified = house
          .events()
          .flatMap(({ event }) => (event.kind === "flip_verified" ? [event] : []));
        expect(verified.filter(({ intent }) => !seen.has(intent))).toEqual([]);
        expect(verified.length).toBeGreaterThan(2);
      } finally {
        await house.close();
      }
    });
  }

  story("whose replies are lost, of ONs and of OFFs", async (house) => {
    const plan = house.proxy.plan(
      { kind: "reply_lost" },
      { method: "write", path: "PARALLEL", every: 2, times: FOREVER },
    );
    const each = house.proxy.plan(
      { kind: "reply_lost" },
      { method: "write", path: "CACHE", every: 2, times: FOREVER },
    );
    await house.begin();
    await house.bothSoak();
    await house.ask("rollout rollback all");
    await until("both are off", () => house.allOff());
    await until("replies were lost", () => plan.met.length + each.met.length > 1);
  });

  story("in which an ON arrives once more after the OFF was read back", async (house) => {
    const late = house.proxy.plan(
      { kind: "duplicate", afterMs: 4_000 },
      { method: "write", path: "PARALLEL", times: 2 },
    );
    await house.begin();
    await house.bothSoak();
    await house.ask("rollout rollback all");
    await until("the OFFs are read back", () =>
      house.events().some(({ event }) => event.kind === "rollback_off"),
    );
    await late.settled();
    const again = () =>
      house.system.history.filter(({ key, literal }) => key === "PARALLEL" && literal === "true").length;
    await until("the late ON arrives", () => again() > 1);
    await until("it is put right", () =>
      house.events().some(({ event }) => event.kind === "flip_corrected" && event.flip.flag === "parallel"),
    );
    await until("both are off again", () => house.allOff());
  });

  story("in which one call of five fails in one way or another", async (house) => {
    await house.begin();
    const faults: readonly Fault[] = [
      { kind: "reply_lost" },
      { kind: "reset" },
      { kind: "swallow" },
      { kind: "html" },
      { kind: "status", status: 500, echo: true },
      { kind: "status", status: 429, headers: { "Retry-After": "1" } },
    ];
    const plans = faults.map((fault, i) =>
      house.proxy.plan(fault, { share: 0.2 / faults.length, seed: 3 + i, times: FOREVER }),
    );
    // The stages may be withdrawn for it; both may also have made it.
    await eventually("the rollout got somewhere", () =>
      house.run?.stages[1]?.status === "soaking" || (house.run?.holds.length ?? 0) > 0 ? true : undefined,
    );
    const began = performance.now();
    await house.ask("rollout rollback all");
    await until("both are off", () => house.allOff(), { withinMs: 30_000 });
    if (performance.now() - began > 30_000) throw new Error("the OFFs took longer than 30 s");
    await until("calls failed", () => plans.flatMap(({ met }) => met).length > 3);
  });

  story("that is told to wait: it waits as long as it is told, and no longer", async (house) => {
    await house.begin();
    await house.bothSoak();
    const plan = house.proxy.plan(
      { kind: "status", status: 429, headers: { "Retry-After": "2" } },
      { method: "write", times: 2 },
    );
    await house.ask("rollout rollback all");
    const [first] = await eventually("an OFF is refused", () => (plan.met.length > 0 ? plan.met : undefined));
    await until("both are off", () => house.allOff());
    const next = house.proxy.requests.find(
      ({ method, path, at }) => method !== "GET" && path === first?.path && at > (first?.at ?? 0),
    );
    const waited = (next?.at ?? 0) - (first?.at ?? 0);
    if (waited < 1_900 || waited > 4_000) throw new Error(`it waited ${waited} ms`);
  });
});
