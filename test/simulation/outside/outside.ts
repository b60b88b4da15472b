/** The simulated outside as a whole: flags and their store, production, and the Prometheus that watches it. It outlives every process. */
import type { Scenario } from "../scenario.ts";
import type { Random, Timeline } from "../timeline.ts";
import { Alertmanager } from "./alertmanager.ts";
import { Flags } from "./flags.ts";
import { Processes } from "./processes.ts";
import { Production } from "./production.ts";
import { Prometheus } from "./prometheus.ts";
import { Store } from "./store.ts";

export class Outside {
  readonly flags: Flags;
  readonly store: Store;
  readonly production: Production;
  readonly processes: Processes;
  readonly prometheus: Prometheus;
  /** Undefined where nobody listens for alerts. */
  readonly alertmanager: Alertmanager | undefined;

  constructor(scenario: Scenario, timeline: Timeline, random: Random) {
    this.flags = new Flags(scenario.plan, timeline, random);
    this.store = new Store(scenario, this.flags, timeline, random);
    this.production = new Production(scenario, this.flags, timeline, random);
    this.processes = new Processes(scenario.deploys, this.flags);
    this.prometheus = new Prometheus(scenario, this, timeline, random);
    this.alertmanager =
      scenario.alerts === undefined ? undefined : new Alertmanager(scenario.seed, scenario.alerts, timeline);
  }

  /** Whether Belay can see and act: the store answers and Prometheus tells the truth. */
  isUsable(): boolean {
    return this.store.isUp() && this.prometheus.lie() === undefined;
  }
}
