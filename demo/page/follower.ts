/** Follows Belay from outside: its newest run, the rollbacks in its journal, and whether it answers at all. */
import { setTimeout as delay } from "node:timers/promises";
import type { Plan } from "../../src/core/plan.ts";
import type { State } from "../../src/core/rollout/state.ts";
import type { RunTold, Told, World } from "../world/world.ts";
import { type Rollback, withEvent } from "./rollbacks.ts";

const EVERY_MS = 400;

export interface Follower {
  /** The newest run as Belay last told it; undefined before the first. */
  run(): State | undefined;
  /** Newest first. */
  rollbacks(): readonly Rollback[];
  /** Whether Belay answered the last question. */
  answers(): boolean;
  stop(): Promise<void>;
}

/** Starts at once. A Belay that is being killed and started is asked again. */
export function startFollower(world: World, plans: ReadonlyMap<string, Plan>): Follower {
  const stopping = new AbortController();
  let run: State | undefined;
  let seen = 0;
  let rollbacks: readonly Rollback[] = [];
  let answers = true;

  const keyOf = (flag: string): string => plans.get(run?.rollout ?? "")?.flags[flag]?.key ?? flag;
  const look = async (): Promise<void> => {
    const newest = newestOf(await world.runs());
    if (newest === undefined) return;
    if (newest.run !== run?.run) seen = 0;
    run = newest;
    const fresh: readonly Told[] = await world.events(newest.run, seen + 1);
    for (const told of fresh) rollbacks = withEvent(rollbacks, newest.run, told, keyOf);
    seen += fresh.length;
  };
  const running = (async () => {
    while (!stopping.signal.aborted) {
      answers = await look().then(
        () => true,
        () => false,
      );
      await delay(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    run: () => run,
    rollbacks: () => rollbacks,
    answers: () => answers,
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}

function newestOf(runs: readonly RunTold[]): State | undefined {
  return runs.filter(isState).toSorted((a, b) => b.startedWall - a.startedWall)[0];
}

/** Belay tells its own state as it is, and this page is of the same version: a look at its schema number is enough. */
function isState(told: RunTold): told is RunTold & State {
  return told["schema"] === 1 && Array.isArray(told["stages"]);
}
