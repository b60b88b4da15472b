/** Drives the pure core through virtual time: a flag store, a service and guards that do as the test says, every promise checked at each commit. */
import type { AlertView } from "../../src/core/alerts/view.ts";
import { judge, longestGapMs } from "../../src/core/analysis.ts";
import type { Actor, Recorded, RolloutEvent } from "../../src/core/event.ts";
import { decideStart } from "../../src/core/gate.ts";
import type { TrendFigures } from "../../src/core/guards/trend.ts";
import type { NoEvidenceReason } from "../../src/core/measurement.ts";
import type { Guard, Plan } from "../../src/core/plan.ts";
import type { Ask, Asker, Outcome } from "../../src/core/rollout/ask.ts";
import { desired, neededWrites, type Reading, type ServiceView } from "../../src/core/rollout/desired.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { guardsBefore, nextForward, upcomingStage } from "../../src/core/rollout/forward.ts";
import { onAsk } from "../../src/core/rollout/people.ts";
import { epochOf, type State } from "../../src/core/rollout/state.ts";
import { onTick } from "../../src/core/rollout/tick.ts";
import { type World, watchedGuards } from "../../src/core/rollout/world.ts";
import { OFF, type Setting, sameSetting, toWire } from "../../src/core/setting.ts";
import type { Run } from "../../src/core/target.ts";
import { MINUTE, type Now, SECOND } from "../../src/core/time.ts";
import type { Measured } from "../../src/core/trend.ts";
import { type Judgement, unjudged } from "../../src/core/verdict.ts";
import { ANA, operator, planOf } from "../support/plans.ts";
import { createPromises } from "./promises.ts";

/** What a guard's query answers: a number, missing data, a provider that is down, or nothing at all. */
export type Says = number | NoEvidenceReason | "down" | "silent";

interface Stored {
  readonly setting: Setting;
  readonly version: number;
  readonly intent?: string;
}

/** Monday 2026-01-05 09:00 UTC. */
export const MONDAY = Date.UTC(2026, 0, 5, 9);

export class Walk {
  readonly plan: Plan;
  readonly log: Recorded[] = [];
  readonly says = new Map<string, Says>();
  readonly store = new Map<string, Stored>();
  readonly refusals: Record<string, string> = {};
  /** `reads`: the store answers. `takes`: it does what it is told. `keepsIntent`: it remembers who wrote. */
  readonly shop = { reads: true, takes: true, keepsIntent: true };
  /** Flags that the store does not write, whoever asks Belay to. */
  readonly deaf = new Set<string>();
  /** Whether the service's own view follows the store. */
  view: "follows" | "silent" | "stuck" = "follows";
  /** What is known of alerts; undefined: nobody listens for any. */
  alerts: AlertView | undefined;
  /** What of the service is being restarted. */
  restarting: string | undefined;
  /** How far the work is. */
  progress: number | undefined;
  /** What else the world is told. */
  more: Partial<World> = {};
  /** Flags that were written last with Belay's own token, or with another one, where the store says so. */
  readonly ownWrites = new Map<string, boolean>();
  /** Identities of flags, where the store has them. */
  readonly ids = new Map<string, string>();
  /** What the service's metrics tell of its processes. */
  service: World["service"];
  steady = 1_000 * MINUTE;
  wall = MONDAY;
  #state: State | undefined;
  #judgements: Record<string, Judgement | undefined> = {};
  #readings: Record<string, Reading | undefined> = {};
  #views: Record<string, ServiceView | undefined> = {};
  #readAt: number | undefined;
  readonly #due = new Map<string, number>();
  readonly #written = new Set<string>();
  readonly #promises = createPromises();

  constructor(plan: Plan, before: Readonly<Record<string, Setting>> = {}) {
    this.plan = plan;
    for (const name of Object.keys(plan.flags))
      this.store.set(name, { setting: before[name] ?? OFF, version: 1 });
    for (const guard of plan.guards) this.says.set(guard.name, good(guard));
  }

  get state(): State {
    if (this.#state === undefined) throw new Error("not started");
    return this.#state;
  }

  now(): Now {
    return { steady: this.steady, wall: this.wall };
  }

  world(): World {
    return {
      judgements: this.#judgements,
      readings: this.#readings,
      views: this.#views,
      refusals: this.refusals,
      since: 1_000 * MINUTE,
      ...(this.#readAt === undefined ? {} : { readAt: this.#readAt }),
      ...(this.shop.reads ? {} : { storeFault: "connection refused" }),
      ...(this.alerts === undefined ? {} : { alerts: this.alerts }),
      ...(this.restarting === undefined ? {} : { restarting: this.restarting }),
      ...(this.progress === undefined ? {} : { progress: this.progress }),
      ...(this.service === undefined ? {} : { service: this.service }),
      ...this.more,
    };
  }

  /** Begins the rollout, or one stage of it, as a person would. */
  start(
    options: {
      stage?: number;
      by?: Actor;
      runs?: readonly Run[];
      delayMs?: number;
      run?: string;
      mode?: "observe";
    } = {},
  ): this {
    this.#read();
    const { stage, by = ANA, runs = [], delayMs = 0, run = "r-1", mode } = options;
    const ask = {
      run,
      planHash: "h",
      by,
      delayMs,
      ...(stage === undefined ? {} : { stage }),
      ...(mode === undefined ? {} : { mode }),
    };
    const start = decideStart(this.plan, ask, this.#readings, runs, this.now());
    if (start.kind === "refused") throw new Error(`${start.code}: ${start.message}`);
    this.commit([start.event]);
    this.settle();
    return this;
  }

  ask(ask: Ask, asker: Asker = operator(ANA)): Outcome {
    const outcome = onAsk(this.plan, this.state, ask, asker, this.world(), this.now());
    if (outcome.kind === "events") this.commit(outcome.events);
    this.settle();
    return outcome;
  }

  /** A person or a late write sets a flag in the store. */
  edit(name: string, setting: Setting, intent?: string): void {
    const stored = this.store.get(name);
    this.store.set(name, {
      setting,
      version: (stored?.version ?? 0) + 1,
      ...(intent === undefined ? {} : { intent }),
    });
  }

  /** Lets time pass in steps; each step measures what is due, reads, writes and decides until nothing is left. */
  pass(ms: number, stepMs = SECOND): this {
    for (let left = ms; left > 0; left -= stepMs) {
      const by = Math.min(stepMs, left);
      this.steady += by;
      this.wall += by;
      this.step();
    }
    return this;
  }

  /** Lets time pass until an event of this kind is recorded; its record. */
  until(kind: RolloutEvent["kind"], withinMs = 2 * 60 * MINUTE, stepMs = SECOND): Recorded {
    let seen = this.log.length;
    const from = seen;
    for (let left = withinMs; left > 0; left -= stepMs) {
      this.pass(stepMs, stepMs);
      for (; seen < this.log.length; seen++) {
        const one = this.log[seen];
        if (one?.event.kind === kind) return one;
      }
    }
    throw new Error(`no ${kind}; since then: ${this.kinds(from).join(", ")}`);
  }

  step(): void {
    this.#measureDue();
    this.#write();
    this.#read();
    this.settle();
  }

  /** Decides until nothing is due; asks for fresh evidence when that is all a step lacks. */
  settle(): void {
    for (let count = 0; count < 100; count++) {
      const events = onTick(this.plan, this.state, this.world(), this.now());
      if (events.length > 0) this.commit(events);
      else if (
        nextForward(this.plan, this.state, this.world(), this.now()).kind !== "ask" ||
        !this.#askFresh()
      )
        return;
      this.#write();
    }
    throw new Error(`transitions without end: ${this.kinds(this.log.length - 8).join(", ")}`);
  }

  commit(events: readonly RolloutEvent[]): void {
    for (const event of events) {
      const recorded: Recorded = { seq: this.log.length + 1, at: this.steady, wall: this.wall, event };
      const before = this.#state;
      const after = evolve(this.plan, before, recorded);
      this.log.push(recorded);
      this.#state = after;
      this.#promises.onEvent({
        plan: this.plan,
        before,
        after,
        recorded,
        world: this.world(),
        now: this.now(),
      });
    }
    this.#promises.afterCommit(this.plan, this.state, this.log);
  }

  /** Kinds of the events from index `from` on, without bookkeeping. */
  kinds(from = 0): readonly string[] {
    return this.log
      .slice(from)
      .map((one) => one.event.kind)
      .filter((kind) => kind !== "flip_verified" && kind !== "soak_progress" && kind !== "verdict_changed");
  }

  last<K extends RolloutEvent["kind"]>(kind: K): Extract<RolloutEvent, { kind: K }> | undefined {
    const isKind = (event: RolloutEvent): event is Extract<RolloutEvent, { kind: K }> => event.kind === kind;
    return this.log.map((one) => one.event).findLast(isKind);
  }

  /** How the store has the flags, as `ON`, `OFF`, `25 %` or the value. */
  setting(name: string): Setting {
    return this.store.get(name)?.setting ?? OFF;
  }

  #measureDue(): void {
    for (const guard of watchedGuards(this.plan, this.state)) {
      if ((this.#due.get(guard.name) ?? 0) > this.steady) continue;
      this.#due.set(guard.name, this.steady + guard.intervalMs);
      this.#measure(guard);
    }
  }

  #measure(guard: Guard): void {
    const says = this.says.get(guard.name) ?? 0;
    if (says === "silent") return;
    const epoch = epochOf(this.plan, this.state, guard);
    const known = this.#judgements[guard.name];
    const before = known === undefined || known.epoch !== epoch ? unjudged(epoch) : known;
    const gapMs = longestGapMs(guard, this.plan.queryTimeoutMs);
    const measured = measurement(says, this.steady, guard);
    const after = judge(guard, before, measured, gapMs);
    this.#judgements = { ...this.#judgements, [guard.name]: after };
    this.#promises.onMeasured(guard, measured, before, after, gapMs);
  }

  #askFresh(): boolean {
    if (!this.shop.reads) return false;
    const guards = guardsBefore(this.plan, this.state, upcomingStage(this.plan, this.state));
    if (guards.some((guard) => this.says.get(guard.name) === "silent")) return false;
    for (const guard of guards) this.#measure(guard);
    this.#read();
    return nextForward(this.plan, this.state, this.world(), this.now()).kind !== "ask";
  }

  #read(): void {
    const { hasView, flags } = this.plan;
    if (this.shop.reads) {
      this.#readAt = this.steady - 1;
      this.#readings = Object.fromEntries(
        [...this.store].map(([name, { setting, version, intent }]) => [
          name,
          {
            setting,
            version: String(version),
            effective: true,
            at: this.steady - 1,
            ...(this.ids.has(name) ? { id: this.ids.get(name) ?? "" } : {}),
            ...(this.ownWrites.has(name)
              ? { by: { name: undefined, own: this.ownWrites.get(name) === true } }
              : {}),
            ...(intent === undefined || !this.shop.keepsIntent ? {} : { intent }),
          },
        ]),
      );
    }
    if (!hasView || this.view === "silent") return;
    this.#views = Object.fromEntries(
      [...this.store].flatMap(([name, { setting }]) => {
        const def = flags[name];
        const literal = this.view === "stuck" ? this.#views[name]?.literal : undefined;
        return def === undefined
          ? []
          : [[name, { literal: literal ?? toWire(def, setting).value, at: this.steady - 1 }]];
      }),
    );
  }

  #write(): void {
    if (!this.shop.takes) return;
    const wishes = desired(this.plan, this.state);
    for (const write of neededWrites(wishes, this.#readings, this.steady, this.shop.reads)) {
      const stored = this.store.get(write.flag);
      if (this.deaf.has(write.flag)) continue;
      if (write.ifVersion !== undefined && write.ifVersion !== String(stored?.version)) continue;
      if (
        this.#written.has(write.intent) &&
        stored !== undefined &&
        sameSetting(stored.setting, write.setting)
      )
        continue;
      this.#written.add(write.intent);
      this.edit(write.flag, write.setting, write.intent);
    }
  }
}

/** A walk on which all three stages of a plan are on and the last one soaks. */
export function allOn(extra: Partial<Plan> = {}): Walk {
  const walk = new Walk(planOf(extra)).start();
  while (walk.state.stages[2]?.status !== "soaking") walk.until("stage_enabled");
  return walk;
}

/** A value that the guard passes. */
export function good(guard: Guard): number {
  if (guard.kind === "alive") return 1;
  if (guard.kind === "trend") return guard.limit / 2;
  return guard.min ?? 0;
}

/** A value that the guard counts as bad. */
export function bad(guard: Guard): number {
  if (guard.kind === "alive") return 0;
  if (guard.kind === "trend") return guard.limit * 0.9;
  return guard.max !== undefined ? guard.max * 4 + 1 : (guard.min ?? 0) / 2 - 1;
}

/** What is measured; the level of a trend above three quarters of its limit rises by a quarter of the limit an hour, one below is flat. */
export function measurement(says: Exclude<Says, "silent">, at: number, guard?: Guard): Measured {
  if (typeof says === "number") {
    const value: Measured = { kind: "value", at, value: says };
    return guard?.kind === "trend" ? { ...value, trend: figuresAt(says, guard.limit) } : value;
  }
  if (says === "down") return { kind: "provider_down", at, reason: "refused", detail: "connection refused" };
  return { kind: "no_evidence", at, reason: says, detail: `no evidence: ${says}` };
}

function figuresAt(level: number, limit: number): TrendFigures {
  const fires = level > 0.75 * limit;
  const perHour = fires ? limit / 4 : 0;
  return {
    kind: "trend",
    perHour,
    lowerPerHour: perHour,
    upperPerHour: perHour,
    level,
    hoursLeft: fires ? (limit - level) / perHour : undefined,
    fires,
    blocks: 18,
  };
}
