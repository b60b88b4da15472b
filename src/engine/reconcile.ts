/** Reconciling: reads the flag store and the service's view, and writes what `desired` says is owed. The one place that retries flag writes. */
import type { Plan } from "../core/plan.ts";
import {
  desired,
  neededWrites,
  type Reading,
  type ServiceView,
  type Write,
} from "../core/rollout/desired.ts";
import { isLive, pendingBackward, pendingForward, type State } from "../core/rollout/state.ts";
import { backoffMs, createBell, sleep } from "./concurrency.ts";
import { type Clock, type FlagWrite, type Log, messageOfFault, OutsideFault, type Service } from "./ports.ts";

/** Retries of an OFF: from a quarter of a second to five, for ever. */
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5_000;
/** A store that asks to wait longer than this before an OFF is asked again all the same. */
const RETRY_AFTER_MOST_MS = 30_000;
/** While something is owed the store is read this often at first, then more slowly. */
const OWED_READ_FIRST_MS = 40;
const OWED_READ_MOST_MS = 1_000;
/** With nothing to confirm, the view loop sleeps until it is rung, or this long. */
const IDLE_VIEW_MS = 60_000;

type Readings = Readonly<Record<string, Reading | undefined>>;
type Views = Readonly<Record<string, ServiceView | undefined>>;
type Lane = Write["direction"];

export interface ReconcileDeps {
  readonly clock: Clock;
  readonly service: Service;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  readonly readings: Readings;
  /** Called after each read of the store or the service's view, and when the store starts or stops failing. */
  readonly onSeen: () => void;
}

/** Whether the service's view is still needed to believe a flip. */
function awaitsView(state: State): boolean {
  if (state.phase === "rolling_back" || (state.phase === "looking" && state.rollback?.seenBy === "store"))
    return true;
  return pendingForward(state).length > 0 || state.stages.some((stage) => stage.status === "enabling");
}

/** Whether a flip has been decided and not been read back. */
function owesFlips(state: State): boolean {
  return isLive(state) && (pendingForward(state).length > 0 || pendingBackward(state).length > 0);
}

export class Reconcile {
  readonly #deps: ReconcileDeps;
  #readings: Readings;
  #views: Views = {};
  #fault: string | undefined;
  readonly #refusals: Record<string, string | undefined> = {};
  #stopped = false;
  /** Per flag: the intent last written and when (steady ms), so that one intent is not written again before a later read. */
  readonly #written = new Map<string, { intent: string; at: number }>();
  #readAt: number | undefined;
  readonly #bells;
  /** Rung by new decisions only: a failing write keeps its distance whatever the reads say. */
  readonly #retryBells;

  constructor(deps: ReconcileDeps) {
    this.#deps = deps;
    this.#readings = deps.readings;
    const bell = () => createBell(deps.clock);
    this.#bells = { read: bell(), view: bell(), backward: bell(), forward: bell() };
    this.#retryBells = { backward: bell(), forward: bell() };
  }

  readings(): Readings {
    return this.#readings;
  }

  views(): Views {
    return this.#views;
  }

  /** Steady ms at which the newest read that succeeded began. */
  readAt(): number | undefined {
    return this.#readAt;
  }

  storeFault(): string | undefined {
    return this.#fault;
  }

  /** Forward writes that the store refused for good, by intent. */
  refusals(): Readonly<Record<string, string | undefined>> {
    return this.#refusals;
  }

  /** Something may be owed now: look at once. */
  kick(): void {
    this.#ringLanes();
    for (const bell of Object.values(this.#retryBells)) bell.ring();
    this.#bells.view.ring();
    if (owesFlips(this.#deps.state())) this.#bells.read.ring();
  }

  /** Reads the store now, besides the loop. */
  async readNow(): Promise<void> {
    await this.#readStore();
  }

  /** Reads and writes until stopped. The lanes are independent: an OFF never waits for an ON. */
  async run(): Promise<void> {
    await Promise.all([
      this.#readLoop(),
      this.#viewLoop(),
      this.#laneLoop("backward"),
      this.#laneLoop("forward"),
    ]);
  }

  stop(): void {
    this.#stopped = true;
    for (const bell of [...Object.values(this.#bells), ...Object.values(this.#retryBells)]) bell.ring();
  }

  #ringLanes(): void {
    this.#bells.backward.ring();
    this.#bells.forward.ring();
  }

  async #readStore(): Promise<boolean> {
    const { clock, log, plan, service } = this.#deps;
    const at = clock.now().steady;
    try {
      const found = await service.flags.read(Object.values(plan.flags));
      if (this.#stopped) return true;
      this.#readings = Object.fromEntries(
        Object.entries(found).map(([flag, reading]) => [flag, { ...reading, at }]),
      );
      this.#fault = undefined;
      this.#readAt = at;
      return true;
    } catch (error) {
      if (this.#fault === undefined) {
        log.warn("the flag store cannot be read", { rollout: plan.rollout, error: messageOfFault(error) });
      }
      this.#fault = messageOfFault(error);
      return false;
    } finally {
      if (!this.#stopped) this.#deps.onSeen();
    }
  }

  async #readView(): Promise<void> {
    const { clock, plan, service } = this.#deps;
    const at = clock.now().steady;
    try {
      const found = (await service.view?.read(Object.values(plan.flags))) ?? {};
      if (this.#stopped) return;
      this.#views = Object.fromEntries(
        Object.entries(found).map(([flag, literal]) => [flag, { literal, at }]),
      );
      this.#deps.onSeen();
    } catch {
      // A service that does not answer has confirmed nothing; the look and its page say so.
    }
  }

  /** The writes of one lane that are owed and not already under way. */
  #owed(lane: Lane): readonly Write[] {
    const { clock, plan, state } = this.#deps;
    const isReadable = this.#fault === undefined;
    const needed = neededWrites(desired(plan, state()), this.#readings, clock.now().steady, isReadable);
    return needed.filter((write) => {
      if (write.direction !== lane) return false;
      const last = this.#written.get(write.flag);
      if (last === undefined || last.intent !== write.intent) return true;
      const reading = this.#readings[write.flag];
      return reading !== undefined && reading.at > last.at;
    });
  }

  async #writeLane(lane: Lane, writes: readonly Write[]): Promise<boolean> {
    const { clock, log, plan, service } = this.#deps;
    try {
      await service.flags.write(writes.map((write) => toFlagWrite(plan, write)));
      this.#remember(writes);
      return true;
    } catch (error) {
      this.#fault = messageOfFault(error);
      // The outcome is unknown: a forward write waits for a read that tells; a backward one is simply sent again.
      if (lane === "forward") this.#remember(writes);
      const final = lane === "forward" && error instanceof OutsideFault && !error.recoverable;
      for (const write of final ? writes : []) this.#refusals[write.intent] = this.#fault;
      const flags = writes.map((write) => write.flag).join(",");
      log.warn("a flag write failed or its outcome is unknown", {
        rollout: plan.rollout,
        lane,
        flags,
        error: this.#fault,
      });
      const wait = error instanceof OutsideFault ? (error.retryAfterMs ?? 0) : 0;
      if (wait > 0) await sleep(clock, Math.min(wait, RETRY_AFTER_MOST_MS));
      return false;
    } finally {
      this.#bells.read.ring();
      this.#bells.view.ring();
    }
  }

  #remember(writes: readonly Write[]): void {
    const at = this.#deps.clock.now().steady;
    for (const write of writes) this.#written.set(write.flag, { intent: write.intent, at });
  }

  async #laneLoop(lane: Lane): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      const writes = this.#owed(lane);
      if (writes.length === 0) {
        failures = 0;
        await this.#bells[lane].wait(RETRY_MOST_MS);
      } else if (await this.#writeLane(lane, writes)) {
        failures = 0;
        await this.#bells[lane].wait(RETRY_FIRST_MS);
      } else {
        await this.#retryBells[lane].wait(
          backoffMs(this.#deps.clock, failures++, RETRY_FIRST_MS, RETRY_MOST_MS),
        );
      }
    }
  }

  async #readLoop(): Promise<void> {
    const { clock, service, state } = this.#deps;
    let pace = OWED_READ_FIRST_MS;
    let failures = 0;
    while (!this.#stopped) {
      const ok = await this.#readStore();
      if (ok) this.#ringLanes();
      failures = ok ? 0 : failures + 1;
      const owes = owesFlips(state());
      pace = owes ? Math.min(OWED_READ_MOST_MS, pace * 1.5) : OWED_READ_FIRST_MS;
      const retry = (): number =>
        backoffMs(clock, failures, RETRY_FIRST_MS, Math.max(RETRY_FIRST_MS, service.readEveryMs));
      await this.#bells.read.wait(ok ? (owes ? pace : service.readEveryMs) : retry());
    }
  }

  async #viewLoop(): Promise<void> {
    let pace = OWED_READ_FIRST_MS;
    while (!this.#stopped && this.#deps.service.view !== undefined) {
      const needed = awaitsView(this.#deps.state());
      if (needed) await this.#readView();
      pace = needed ? Math.min(OWED_READ_MOST_MS, pace * 1.3) : OWED_READ_FIRST_MS;
      await this.#bells.view.wait(needed ? pace : IDLE_VIEW_MS);
    }
  }
}

function toFlagWrite(plan: Plan, write: Write): FlagWrite {
  const flag = plan.flags[write.flag];
  if (flag === undefined) throw new Error(`the plan of ${plan.rollout} has no flag ${write.flag}`);
  const { setting, intent, ifVersion } = write;
  return { flag, setting, intent, ...(ifVersion === undefined ? {} : { ifVersion }) };
}
