/** Reconciling: reads the flag store and the service's view, and writes what `desired` says is owed. The one place that retries flag writes. */
import type { Plan } from "../core/plan.ts";
import { desired, neededWrites, type Reading, type ServiceView, type Write } from "../core/rollout/desired.ts";
import { isLive, pendingBackward, pendingForward, type State } from "../core/rollout/state.ts";
import { backoffMs, createBell, messageOf, sleep } from "./concurrency.ts";
import { type Clock, type FlagWrite, type Log, OutsideFault, type Service } from "./ports.ts";

/** Retries of an OFF: from a quarter of a second to five, for ever. */
const RETRY_FIRST_MS = 250;
const RETRY_MOST_MS = 5_000;
/** While something is owed the store is read this often at first, then more slowly. */
const OWED_READ_FIRST_MS = 40;
const OWED_READ_MOST_MS = 1_000;

export interface ReconcileDeps {
  readonly clock: Clock;
  readonly service: Service;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  readonly readings: Readonly<Record<string, Reading | undefined>>;
  /** Called after each read of the store or the service's view, and when the store starts or stops failing. */
  readonly onSeen: () => void;
}

export interface Reconcile {
  readings(): Readonly<Record<string, Reading | undefined>>;
  views(): Readonly<Record<string, ServiceView | undefined>>;
  storeFault(): string | undefined;
  /** Something may be owed now: look at once. */
  kick(): void;
  /** Reads the store now, besides the loop. */
  readNow(): Promise<void>;
  run(): Promise<void>;
  stop(): void;
}

type Lane = "backward" | "forward";

/** Whether the service's view is still needed to believe a flip. */
function awaitsView(state: State): boolean {
  if (state.phase === "rolling_back" || (state.phase === "looking" && state.rollback?.seenBy === "store")) return true;
  return pendingForward(state).length > 0 || state.stages.some((stage) => stage.status === "enabling");
}

export function createReconcile(deps: ReconcileDeps): Reconcile {
  const { clock, plan, service, log } = deps;
  const flags = Object.values(plan.flags);
  let readings = deps.readings;
  let views: Readonly<Record<string, ServiceView | undefined>> = {};
  let fault: string | undefined;
  let stopped = false;
  /** Per flag: the intent last written and when (steady ms), so that one intent is not written again before a later read. */
  const written = new Map<string, { intent: string; at: number }>();
  const bells = { read: createBell(clock), view: createBell(clock), backward: createBell(clock), forward: createBell(clock) };
  /** Rung by new decisions only: a failing write keeps its distance whatever the reads say. */
  const retryBells = { backward: createBell(clock), forward: createBell(clock) };

  async function readStore(): Promise<boolean> {
    const at = clock.now().steady;
    try {
      const found = await service.flags.read(flags);
      if (stopped) return true;
      readings = Object.fromEntries(Object.entries(found).map(([flag, reading]) => [flag, { ...reading, at }]));
      fault = undefined;
      return true;
    } catch (error) {
      if (fault === undefined) log.warn("the flag store cannot be read", { rollout: plan.rollout, error: messageOf(error) });
      fault = messageOf(error);
      return false;
    } finally {
      if (!stopped) deps.onSeen();
    }
  }

  async function readView(): Promise<boolean> {
    if (service.view === undefined) return true;
    const at = clock.now().steady;
    try {
      const found = await service.view.read(flags);
      if (stopped) return true;
      views = Object.fromEntries(Object.entries(found).map(([flag, literal]) => [flag, { literal, at }]));
      return true;
    } catch {
      return false;
    } finally {
      if (!stopped) deps.onSeen();
    }
  }

  /** The writes of one lane that are owed and not already under way. */
  function owed(lane: Lane): readonly Write[] {
    const state = deps.state();
    return neededWrites(desired(plan, state), readings, clock.now().steady).filter((write) => {
      if (write.direction !== lane) return false;
      const last = written.get(write.flag);
      if (last === undefined || last.intent !== write.intent) return true;
      const reading = readings[write.flag];
      return reading !== undefined && reading.at > last.at;
    });
  }

  async function writeLane(lane: Lane, writes: readonly Write[]): Promise<boolean> {
    try {
      await service.flags.write(writes.map((write) => toFlagWrite(plan, write)));
      const { steady } = clock.now();
      for (const write of writes) written.set(write.flag, { intent: write.intent, at: steady });
      return true;
    } catch (error) {
      fault = messageOf(error);
      const { steady } = clock.now();
      // The outcome is unknown: a forward write waits for a read that tells; a backward one is simply sent again.
      if (lane === "forward") for (const write of writes) written.set(write.flag, { intent: write.intent, at: steady });
      log.warn("a flag write failed or its outcome is unknown", { rollout: plan.rollout, lane, flags: writes.map((write) => write.flag).join(","), error: fault });
      if (error instanceof OutsideFault && error.retryAfterMs !== undefined) await sleep(clock, Math.min(error.retryAfterMs, 30_000));
      return false;
    } finally {
      bells.read.ring();
      bells.view.ring();
    }
  }

  async function laneLoop(lane: Lane): Promise<void> {
    let failures = 0;
    while (!stopped) {
      const writes = owed(lane);
      if (writes.length === 0) {
        failures = 0;
        await bells[lane].wait(RETRY_MOST_MS);
        continue;
      }
      if (await writeLane(lane, writes)) {
        failures = 0;
        await bells[lane].wait(RETRY_FIRST_MS);
      } else {
        await retryBells[lane].wait(backoffMs(clock, failures++, RETRY_FIRST_MS, RETRY_MOST_MS));
      }
    }
  }

  async function readLoop(): Promise<void> {
    let pace = OWED_READ_FIRST_MS;
    let failures = 0;
    while (!stopped) {
      const ok = await readStore();
      if (ok) ringLanes();
      failures = ok ? 0 : failures + 1;
      const state = deps.state();
      const owes = isLive(state) && (pendingForward(state).length > 0 || pendingBackward(state).length > 0);
      pace = owes ? Math.min(OWED_READ_MOST_MS, pace * 1.5) : OWED_READ_FIRST_MS;
      const wait = ok ? (owes ? pace : service.readEveryMs) : backoffMs(clock, failures, RETRY_FIRST_MS, Math.max(RETRY_FIRST_MS, service.readEveryMs));
      await bells.read.wait(wait);
    }
  }

  async function viewLoop(): Promise<void> {
    let pace = OWED_READ_FIRST_MS;
    while (!stopped && service.view !== undefined) {
      const needed = awaitsView(deps.state());
      if (needed) await readView();
      pace = needed ? Math.min(OWED_READ_MOST_MS, pace * 1.3) : OWED_READ_FIRST_MS;
      await bells.view.wait(needed ? pace : 60_000);
    }
  }

  function ringLanes(): void {
    bells.backward.ring();
    bells.forward.ring();
  }

  return {
    readings: () => readings,
    views: () => views,
    storeFault: () => fault,
    kick() {
      ringLanes();
      for (const bell of Object.values(retryBells)) bell.ring();
      bells.view.ring();
    },
    async readNow() {
      await readStore();
    },
    async run() {
      await Promise.all([readLoop(), viewLoop(), laneLoop("backward"), laneLoop("forward")]);
    },
    stop() {
      stopped = true;
      for (const bell of [...Object.values(bells), ...Object.values(retryBells)]) bell.ring();
    },
  };
}

function toFlagWrite(plan: Plan, write: Write): FlagWrite {
  const flag = plan.flags[write.flag];
  if (flag === undefined) throw new Error(`the plan of ${plan.rollout} has no flag ${write.flag}`);
  const { setting, intent, ifVersion } = write;
  return { flag, setting, intent, ...(ifVersion === undefined ? {} : { ifVersion }) };
}
