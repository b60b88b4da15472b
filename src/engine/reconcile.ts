/** Reconciling: reads the flag store and the service's view, and writes what `desired` says is owed. The one place that retries flag writes. */
import type { Plan } from "../core/plan.ts";
import { flipNote } from "../core/report/flip-note.ts";
import {
  desired,
  neededWrites,
  type Reading,
  type ServiceView,
  type Write,
} from "../core/rollout/desired.ts";
import { isLive, pendingBackward, pendingForward, type State } from "../core/rollout/state.ts";
import type { World } from "../core/rollout/world.ts";
import { Attribution } from "./attribution.ts";
import { backoffMs, createBell } from "./concurrency.ts";
import { WriteLane } from "./lanes.ts";
import { Lever } from "./lever.ts";
import { type Clock, type FlagWrite, type Log, messageOfFault, OutsideFault, type Service } from "./ports.ts";

/** While something is owed the store is read this often at first, then more slowly. */
const OWED_READ_FIRST_MS = 40;
const OWED_READ_MOST_MS = 1_000;
/** A read that failed is tried again after this at first. */
const READ_RETRY_MS = 250;
/** With nothing to confirm, the view loop sleeps until it is rung, or this long. */
const IDLE_VIEW_MS = 60_000;

type Readings = Readonly<Record<string, Reading | undefined>>;
type Views = Readonly<Record<string, ServiceView | undefined>>;
type Direction = Write["direction"];

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
  const isUnseen = state.phase === "looking" && state.rollback?.seenBy !== "service";
  if (state.phase === "rolling_back" || isUnseen) return true;
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
  #readAt: number | undefined;
  /** Why the store refuses for good to be read. */
  #readRefused: string | undefined;
  /** OFFs whose newest try failed, by intent: since when (steady ms) without a break, and why when it was refused for good. */
  readonly #failingOffs = new Map<
    string,
    { readonly since: number; readonly why: string; readonly refused: string | undefined }
  >();
  readonly #lanes: Readonly<Record<Direction, WriteLane>>;
  readonly #attribution: Attribution;
  readonly #lever: Lever | undefined;
  readonly #bells;

  constructor(deps: ReconcileDeps) {
    this.#deps = deps;
    this.#readings = deps.readings;
    const { clock, service } = deps;
    this.#bells = { read: createBell(clock), view: createBell(clock) };
    this.#lanes = { backward: this.#lane("backward"), forward: this.#lane("forward") };
    this.#attribution = new Attribution({ ...deps, flags: service.flags });
    this.#lever = service.lever === undefined ? undefined : new Lever({ ...deps, lever: service.lever });
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

  /** Why the store cannot be read, or why an OFF that is owed keeps failing: a read that succeeds in between mends no write. */
  storeFault(): string | undefined {
    return this.#fault ?? this.#failing()[0]?.why;
  }

  /** What failed for an OFF that is owed no more says nothing of the next one. */
  #failing() {
    return pendingBackward(this.#deps.state()).flatMap(
      ({ flip }) => this.#failingOffs.get(flip.intent) ?? [],
    );
  }

  /** What the world is told besides readings and views: who changed flags, how OFFs fare, and what the second lever holds. */
  told(): Pick<
    World,
    "changedBy" | "backwardRefused" | "readRefused" | "backwardFailingSince" | "leverHolds"
  > {
    const holds = this.#lever?.holds();
    const failing = this.#failing();
    const refused = failing.find((one) => one.refused !== undefined)?.refused;
    return {
      changedBy: this.#attribution.names(),
      ...(this.#readRefused === undefined ? {} : { readRefused: this.#readRefused }),
      ...(refused === undefined ? {} : { backwardRefused: refused }),
      ...(failing.length === 0
        ? {}
        : { backwardFailingSince: Math.min(...failing.map(({ since }) => since)) }),
      ...(holds === undefined ? {} : { leverHolds: holds }),
    };
  }

  /** Forward writes that the store refused for good, by intent. */
  refusals(): Readonly<Record<string, string | undefined>> {
    return this.#refusals;
  }

  /** Something may be owed now: look at once. */
  kick(): void {
    this.#ringLanes();
    this.#lever?.ring();
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
      this.#lanes.backward.run(),
      this.#lanes.forward.run(),
      this.#lever?.run(),
    ]);
  }

  stop(): void {
    this.#stopped = true;
    for (const lane of Object.values(this.#lanes)) lane.stop();
    this.#lever?.stop();
    for (const bell of Object.values(this.#bells)) bell.ring();
  }

  #ringLanes(): void {
    this.#lanes.backward.ring();
    this.#lanes.forward.ring();
  }

  async #readStore(): Promise<boolean> {
    const { clock, log, plan, service } = this.#deps;
    const at = clock.now().steady;
    try {
      const found = await service.flags.read(Object.values(plan.flags));
      await this.#attribution.look(found);
      if (this.#stopped) return true;
      this.#readings = Object.fromEntries(
        Object.entries(found).map(([flag, reading]) => [flag, { ...reading, at }]),
      );
      this.#fault = undefined;
      this.#readRefused = undefined;
      this.#readAt = at;
      return true;
    } catch (error) {
      if (this.#fault === undefined) {
        log.warn("the flag store cannot be read", { rollout: plan.rollout, error: messageOfFault(error) });
      }
      this.#fault = messageOfFault(error);
      this.#readRefused = error instanceof OutsideFault && !error.recoverable ? this.#fault : undefined;
      return false;
    } finally {
      if (!this.#stopped) this.#deps.onSeen();
    }
  }

  /**
   * After a read of all flags that failed: each flag that is to go back by itself, so that one call that fails, or hangs, leaves no other flag unread.
   * Whether the store can be read is still told by reads of all.
   */
  async #readPending(): Promise<void> {
    const { clock, plan, service, state } = this.#deps;
    const readOne = async (name: string): Promise<void> => {
      const flag = plan.flags[name];
      if (flag === undefined) return;
      const at = clock.now().steady;
      const found = await service.flags.read([flag]).catch(() => undefined);
      const reading = found?.[name];
      if (reading === undefined || this.#stopped || (this.#readings[name]?.at ?? at) > at) return;
      this.#readings = { ...this.#readings, [name]: { ...reading, at } };
      this.#deps.onSeen();
    };
    await Promise.all(pendingBackward(state()).map(({ flip }) => readOne(flip.flag)));
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

  #lane(direction: Direction): WriteLane {
    const { clock, service } = this.#deps;
    return new WriteLane({
      clock,
      owed: () => this.#owed(direction),
      readAt: (flag) => this.#readings[flag]?.at,
      send: (writes) => service.flags.write(writes.map((write) => this.#toFlagWrite(write))),
      onSent: (failed, sent) => this.#onSent(direction, failed, sent),
      // A forward write whose outcome is unknown is told by a read; a backward one is simply sent again.
      waitsForRead: direction === "forward",
    });
  }

  #owed(direction: Direction): readonly Write[] {
    const { clock, plan, state } = this.#deps;
    const isReadable = this.#fault === undefined;
    const needed = neededWrites(desired(plan, state()), this.#readings, clock.now().steady, isReadable);
    return needed.filter((write) => write.direction === direction);
  }

  #onSent(direction: Direction, failed: ReadonlyMap<Write, OutsideFault>, sent: readonly Write[]): void {
    const { clock, log, plan } = this.#deps;
    for (const write of sent) if (!failed.has(write)) this.#failingOffs.delete(write.intent);
    for (const [write, fault] of failed) {
      const error = messageOfFault(fault);
      this.#fault = error;
      log.warn("a flag write failed or its outcome is unknown", {
        rollout: plan.rollout,
        lane: direction,
        flag: write.flag,
        error,
      });
      if (direction === "backward") {
        const since = this.#failingOffs.get(write.intent)?.since ?? clock.now().steady;
        this.#failingOffs.set(write.intent, {
          since,
          why: error,
          refused: fault.recoverable ? undefined : error,
        });
      } else if (!fault.recoverable) this.#refusals[write.intent] = error;
    }
    this.#bells.read.ring();
    this.#bells.view.ring();
    if (failed.size > 0) this.#deps.onSeen();
  }

  #toFlagWrite(write: Write): FlagWrite {
    const { plan, state } = this.#deps;
    const flag = plan.flags[write.flag];
    if (flag === undefined) throw new Error(`the plan of ${plan.rollout} has no flag ${write.flag}`);
    const { setting, intent, ifVersion } = write;
    const note = flipNote(plan, state(), write);
    return { flag, setting, intent, note, ...(ifVersion === undefined ? {} : { ifVersion }) };
  }

  async #readLoop(): Promise<void> {
    const { clock, service, state } = this.#deps;
    let pace = OWED_READ_FIRST_MS;
    let failures = 0;
    while (!this.#stopped) {
      const [ok] = await Promise.all([this.#readStore(), failures > 0 ? this.#readPending() : undefined]);
      if (ok) this.#ringLanes();
      failures = ok ? 0 : failures + 1;
      const owes = owesFlips(state());
      pace = owes ? Math.min(OWED_READ_MOST_MS, pace * 1.5) : OWED_READ_FIRST_MS;
      const retry = (): number =>
        backoffMs(
          clock,
          failures,
          READ_RETRY_MS,
          owes ? OWED_READ_MOST_MS : Math.max(READ_RETRY_MS, service.readEveryMs),
        );
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
