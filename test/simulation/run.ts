/** Plays one scenario: the real core and engine on virtual time, crashes included, and the promises checked all along. */
import type { Recorded } from "../../src/core/event.ts";
import type { State } from "../../src/core/rollout/state.ts";
import { Channel } from "./chat.ts";
import { History } from "./invariants/history.ts";
import { type Violation, Watch } from "./invariants/watch.ts";
import { createDisk } from "./journal.ts";
import { Outside } from "./outside/outside.ts";
import { People } from "./people.ts";
import { Process, type World } from "./process.ts";
import { isWithin, type Scenario, scenarioOf } from "./scenario.ts";
import { createSpool } from "./spool.ts";
import { createRandom, createTimeline } from "./timeline.ts";
import { Trace } from "./trace.ts";

/** How a run went, in numbers; `phases` are those in which its rollouts ended. */
export interface Outcome {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly calls: number;
  readonly crashes: number;
  readonly phases: readonly string[];
  readonly events: number;
  /** A digest of everything that happened, for replay. */
  readonly trace: string;
}

/** Plays the scenario of a seed; `tell` hears every line of what happens. The same seed always gives the same outcome. */
export async function play(seed: number, tell?: (line: string) => void): Promise<Outcome> {
  return new Run(scenarioOf(seed), tell).play();
}

/** The faults of a run are drawn from its seed too, but not from the numbers that drew its scenario. */
const FAULT_SEED = 0x5bd1e995;

class Run {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #watch: Watch;
  readonly #people: People;
  /** Every process so far; the last one lives, or the next one is about to start. */
  readonly #processes: Process[] = [];
  #crashes = 0;

  constructor(scenario: Scenario, tell: ((line: string) => void) | undefined) {
    const random = createRandom(scenario.seed ^ FAULT_SEED);
    const timeline = createTimeline(0);
    const disk = createDisk();
    const outside = new Outside(scenario, timeline, random);
    const watch = new Watch(new History(scenario, disk, outside, timeline.now));
    this.#scenario = scenario;
    this.#watch = watch;
    this.#world = {
      scenario,
      timeline,
      random,
      trace: new Trace(timeline, tell),
      disk,
      spool: createSpool(),
      outside,
      channel: new Channel(scenario, timeline, random, (key) => watch.posted(key)),
    };
    this.#people = new People(this.#world, () => this.#living());
  }

  async play(): Promise<Outcome> {
    const { timeline } = this.#world;
    this.#people.plan();
    this.#world.outside.alertmanager?.plan((alerts) => this.#living()?.take(alerts));
    timeline.after(0, () => this.#second());
    this.#boot();
    await timeline.run(this.#scenario.endAt, () => this.#watch.hasSeenEnough());
    this.#living()?.end();
    this.#watch.atEnd(this.#people.answered());
    return this.#outcome();
  }

  #living(): Process | undefined {
    const last = this.#processes.at(-1);
    return last?.isAlive === true ? last : undefined;
  }

  #boot(): void {
    const { timeline, trace } = this.#world;
    const process = new Process(this.#world, this.#scenario.crashes[this.#processes.length], {
      onDeath: (downMs) => {
        this.#crashes++;
        timeline.after(downMs, () => this.#boot());
      },
      onEvents: (state, events) => this.#onEvents(state, events),
    });
    this.#processes.push(process);
    this.#world.outside.alertmanager?.onBoot();
    trace.note(`BOOT ${this.#processes.length}`);
    process.start();
  }

  #onEvents(state: State, events: readonly Recorded[]): void {
    for (const { seq, event } of events)
      this.#world.trace.note(`${state.run}#${seq} ${event.kind} ${JSON.stringify(event)}`);
    this.#watch.onEvents(state, events);
    this.#people.onEvents(state, events);
    this.#world.outside.alertmanager?.onEvents(events);
  }

  #second(): void {
    const { outside, timeline } = this.#world;
    outside.production.second();
    const isCapable = this.#living()?.isReady === true && outside.isUsable();
    const isJournaling = !isWithin(this.#scenario.journalOutages, timeline.now());
    this.#watch.second(isCapable, isJournaling);
    if (timeline.now() < this.#scenario.endAt) timeline.after(1_000, () => this.#second());
  }

  #outcome(): Outcome {
    const states = [...this.#world.disk.runs.values()].map((one) => one.state);
    return {
      seed: this.#scenario.seed,
      violations: this.#watch.violations,
      calls: this.#processes.reduce((sum, process) => sum + process.calls, 0),
      crashes: this.#crashes,
      phases: states.map((state) => state.phase),
      events: states.reduce((sum, state) => sum + state.revision, 0),
      trace: this.#world.trace.digest(),
    };
  }
}
