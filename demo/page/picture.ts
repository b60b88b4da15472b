/** The live picture that the browser draws: put together anew for every sample. */

import { demoPace } from "../../src/adapters/files/pace.ts";
import type { Plan } from "../../src/core/plan.ts";
import { isLive } from "../../src/core/rollout/state.ts";
import { loadFolder } from "../../src/house.ts";
import type { World } from "../world/world.ts";
import { type Controls, createControls, type Deed, type Word } from "./controls.ts";
import { harmLine, harmOf } from "./cost.ts";
import { type Follower, startFollower } from "./follower.ts";
import type { History, Point } from "./history.ts";
import { type Mark, Marks } from "./marks.ts";
import { type Next, nextOf } from "./next.ts";
import type { Rollback } from "./rollbacks.ts";
import { type Sampler, startSampler } from "./sampler.ts";
import { type Plans, type Timeline, timelineOf } from "./timeline.ts";

const ROLLOUT = "ingestion";
/** What the charts show, ms. */
export const SHOWN_MS = 120_000;

export interface FlagShown {
  readonly name: string;
  /** ON, OFF or a share, as the service itself says. */
  readonly word: string;
}

export interface PartShown {
  readonly word: Word;
  /** Pids and the like, in words. */
  readonly detail: string;
}

export interface RollbackShown {
  readonly id: string;
  readonly wall: number;
  readonly flags: string;
  readonly why: string;
  /** The cost line; empty while it is not known yet. */
  readonly cost: string;
  readonly outcome: string;
}

export interface Picture {
  readonly now: number;
  readonly points: readonly Point[];
  readonly marks: readonly Mark[];
  readonly flags: readonly FlagShown[];
  readonly optimisations: number;
  readonly mode: string;
  readonly strikes: boolean;
  readonly service: PartShown;
  readonly prometheus: PartShown;
  readonly slack: PartShown;
  readonly belay: PartShown;
  readonly timeline: Timeline;
  readonly rollbacks: readonly RollbackShown[];
  readonly next: Next;
}

/** What never changes while the page runs. */
export interface Frame {
  readonly slackOrigin: string;
  readonly speed: number;
  readonly shownMs: number;
  /** The guard's limit for failed files, in percent; null when the plan has none. */
  readonly limitPercent: number | null;
}

export interface Painter {
  readonly frame: Frame;
  /** The picture with the points after `since` (wall ms). */
  paint(since: number): Picture;
  act(deed: Deed): Promise<string>;
  stop(): Promise<void>;
}

/** Starts to follow the world; `painted` is called whenever there is something new. Rejects when the demo's rollout cannot be loaded. */
export async function startPainter(world: World, painted: () => void): Promise<Painter> {
  const options = { overlay: world.overlay };
  const written = (await loadFolder(world.house, options)).plans;
  const paced = (await loadFolder(world.house, { ...options, pace: demoPace(world.speed) })).plans;
  return new WorldPainter(world, written, paced, painted);
}

class WorldPainter implements Painter {
  readonly frame: Frame;
  readonly #world: World;
  readonly #written: ReadonlyMap<string, Plan>;
  readonly #paced: ReadonlyMap<string, Plan>;
  readonly #plan: Plan;
  readonly #marks: Marks;
  readonly #sampler: Sampler;
  readonly #follower: Follower;
  readonly #controls: Controls;
  /** Cost lines once they are known: the samples behind them are forgotten in time. */
  readonly #costs = new Map<string, string>();
  /** Of Belay's last two processes. */
  #pids: readonly number[] = [];

  constructor(
    world: World,
    written: ReadonlyMap<string, Plan>,
    paced: ReadonlyMap<string, Plan>,
    painted: () => void,
  ) {
    const plan = written.get(ROLLOUT);
    if (plan === undefined) throw new Error(`the rollout ${ROLLOUT} could not be loaded`);
    this.#world = world;
    this.#written = written;
    this.#paced = paced;
    this.#plan = plan;
    const failures = plan.guards.find((guard) => guard.name === "failures");
    const limit = failures?.kind === "threshold" ? failures.max : undefined;
    this.frame = {
      slackOrigin: world.slack.origin,
      speed: world.speed,
      shownMs: SHOWN_MS,
      limitPercent: limit === undefined ? null : limit * 100,
    };
    const names = new Map(Object.values(plan.flags).map((flag) => [flag.key, flag.name]));
    this.#marks = new Marks((key) => names.get(key) ?? key);
    this.#sampler = startSampler(world.probe, () => {
      const newest = this.#history().newest();
      if (newest?.up === true) this.#marks.look(newest);
      painted();
    });
    this.#follower = startFollower(world, written);
    this.#controls = createControls(world, {
      deed: (t, label) => this.#marks.deed(t, label),
      broke: (t) => this.#history().broke(t),
    });
  }

  act(deed: Deed): Promise<string> {
    return this.#controls.act(deed);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#sampler.stop(), this.#follower.stop(), this.#controls.stop()]);
  }

  paint(since: number): Picture {
    const now = Date.now();
    const newest = this.#history().newest();
    const timeline = this.#timeline(now);
    const rollbacks = this.#follower.rollbacks();
    return {
      now,
      points: this.#history().pointsAfter(Math.max(since, now - SHOWN_MS)),
      marks: this.#marks.after(now - SHOWN_MS, rollbacks),
      flags: this.#flags(newest?.flags ?? {}),
      optimisations: newest?.optimisations ?? 0,
      mode: this.#controls.mode(),
      strikes: newest?.broken ?? false,
      service: this.#service(newest?.up ?? true),
      prometheus: this.#prometheus(),
      slack: this.#slack(),
      belay: this.#belay(),
      timeline,
      rollbacks: rollbacks.map((one) => this.#rollback(one)),
      next: this.#next(timeline, rollbacks),
    };
  }

  #history(): History {
    return this.#sampler.history;
  }

  #timeline(now: number): Timeline {
    const run = this.#follower.run();
    const rollout = run?.rollout ?? ROLLOUT;
    const written = this.#written.get(rollout);
    const paced = this.#paced.get(rollout);
    const plans: Plans =
      written === undefined || paced === undefined
        ? { written: this.#plan, paced: this.#plan }
        : { written, paced };
    return timelineOf(plans, run, now);
  }

  #flags(values: Readonly<Record<string, string>>): readonly FlagShown[] {
    return Object.values(this.#plan.flags).map(({ name, key, on, off }) => {
      const value = values[key] ?? "";
      return { name, word: value === on ? "ON" : value === off ? "OFF" : value };
    });
  }

  #service(up: boolean): PartShown {
    const { service } = this.#world;
    const crashes = service.crashes();
    const times = crashes === 0 ? "" : crashes === 1 ? ", 1 crash" : `, ${crashes} crashes`;
    return {
      word: up ? "up" : "down",
      detail: up ? `pid ${service.pid() ?? "none"}${times}` : `no answer${times}`,
    };
  }

  #prometheus(): PartShown {
    const pid = this.#world.prometheus()?.pid;
    const word = this.#controls.prometheus();
    return { word, detail: word === "up" && pid !== undefined ? `pid ${pid}` : "" };
  }

  #slack(): PartShown {
    const word = this.#controls.slack();
    if (word !== "up") return { word, detail: "stand-in, cut off" };
    return {
      word,
      detail: this.#world.slack.sockets() > 0 ? "stand-in, connected" : "stand-in, no bot yet",
    };
  }

  #belay(): PartShown {
    const { belay } = this.#world;
    const pid = belay.pid();
    if (!belay.isUp() || pid === undefined) return { word: "down", detail: `pid ${pid ?? "none"} is gone` };
    if (this.#pids.at(-1) !== pid) this.#pids = [...this.#pids, pid].slice(-2);
    return { word: "up", detail: `pid ${this.#pids.join(" → ")}` };
  }

  #rollback(rollback: Rollback): RollbackShown {
    const id = `${rollback.run}:${rollback.seq}`;
    const known = this.#costs.get(id);
    const harm = known === undefined ? harmOf(this.#history(), rollback) : undefined;
    const cost = known ?? (harm === undefined ? "" : harmLine(harm));
    if (cost !== "") this.#costs.set(id, cost);
    return {
      id,
      wall: rollback.decidedWall,
      flags: rollback.flags.join(", "),
      why: rollback.why,
      cost,
      outcome: outcomeOf(rollback),
    };
  }

  #next(timeline: Timeline, rollbacks: readonly Rollback[]): Next {
    const run = this.#follower.run();
    const flags = this.#history().newest()?.flags ?? {};
    const key = this.#plan.flags["parallel"]?.key ?? "";
    return nextOf({
      belayUp: this.#world.belay.isUp(),
      prometheusUp: this.#controls.prometheus() === "up",
      slackUp: this.#controls.slack() === "up",
      mode: this.#controls.mode(),
      parallelOn: (flags[key] ?? "false") !== "false",
      rollbacks: rollbacks.length,
      timeline,
      live: run !== undefined && isLive(run),
      locked: Object.keys(run?.latched ?? {}),
      holds: run?.holds.map((hold) => hold.reason) ?? [],
      inReview: run?.review !== undefined,
    });
  }
}

function outcomeOf({ offWall, recoveredWall, failed, decidedWall }: Rollback): string {
  if (offWall === undefined) return "writing the flags and reading them back";
  if (failed !== undefined) return `still worse afterwards: ${failed}`;
  const off = `off ${((offWall - decidedWall) / 1_000).toFixed(2)} s after the decision`;
  if (recoveredWall === undefined) return `${off}, looking whether it helped`;
  return `${off}, recovered ${((recoveredWall - offWall) / 1_000).toFixed(1)} s later`;
}
