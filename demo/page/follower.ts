/** Follows Belay from outside: its newest run, and the rollbacks in its journal. */
import { setTimeout as delay } from "node:timers/promises";
import type { RolloutEvent } from "../../src/core/event.ts";
import type { Plan } from "../../src/core/plan.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import type { State } from "../../src/core/rollout/state.ts";
import type { Told } from "../world/loopback.ts";
import type { RunTold, World } from "../world/world.ts";
import { type Rollback, withEvent } from "./rollbacks.ts";

const EVERY_MS = 400;

export interface Follower {
  /** The newest run as Belay last told it; undefined before the first. */
  run(): State | undefined;
  /** Newest first. */
  rollbacks(): readonly Rollback[];
  stop(): Promise<void>;
}

/** Starts at once; `world` is Belay as it tells of itself. A Belay that is being killed and started is asked again. */
export function startFollower(
  world: Pick<World, "runs" | "events">,
  plans: ReadonlyMap<string, Plan>,
): Follower {
  const stopping = new AbortController();
  let run: State | undefined;
  let seen = 0;
  let rollbacks: readonly Rollback[] = [];

  const keyOf = (flag: string): string => plans.get(run?.rollout ?? "")?.flags[flag]?.key ?? flag;
  const look = async (): Promise<void> => {
    const newest = newestOf(run, await world.runs());
    if (newest === undefined) return;
    if (newest.run !== run?.run) seen = 0;
    const { run: name, rollout } = newest;
    run = newest;
    const fresh: readonly Told[] = await world.events(name, seen + 1);
    for (const told of fresh) rollbacks = withEvent(rollbacks, name, told, keyOf);
    seen += fresh.length;
    // An ended run is not listed any more: its last events are only in the journal.
    const plan = plans.get(rollout);
    if (plan !== undefined) run = fresh.reduce((state, told) => fold(plan, state, told), newest);
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => undefined);
      await delay(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    run: () => run,
    rollbacks: () => rollbacks,
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

/** A listed state may be further along than the events that come after it. */
function fold(plan: Plan, state: State, told: Told): State {
  if (told.seq <= state.revision) return state;
  // The outside edge: what Belay itself journaled, told by the same version.
  return evolve(plan, state, { ...told, event: told.event as RolloutEvent });
}

/** The run that was started last, whether or not it is still listed. */
function newestOf(known: State | undefined, listed: readonly RunTold[]): State | undefined {
  const [newest] = listed.filter(isState).toSorted((a, b) => b.startedWall - a.startedWall);
  if (known === undefined || newest === undefined) return newest ?? known;
  return newest.startedWall < known.startedWall ? known : newest;
}

/** Belay tells its own state as it is, and this page is of the same version: a look at its schema number is enough. */
function isState(told: RunTold): told is RunTold & State {
  return told["schema"] === 1 && Array.isArray(told["stages"]);
}
