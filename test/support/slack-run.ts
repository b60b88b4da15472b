/** A rollout's story told event by event, and the run as a message would be rendered from it at any point. */
import { fileURLToPath } from "node:url";
import type { Actor, Flip, Recorded, RolloutEvent } from "../../src/core/event.ts";
import { flagsOfStage, type Plan } from "../../src/core/plan.ts";
import type { CardMeasured } from "../../src/core/report/card.ts";
import { evolve } from "../../src/core/rollout/evolve.ts";
import { epochOf, guardsFor, newestFlagStage, type State } from "../../src/core/rollout/state.ts";
import { EMPTY_WORLD, type World } from "../../src/core/rollout/world.ts";
import { OFF, ON } from "../../src/core/setting.ts";
import { HOUR, MINUTE, SECOND } from "../../src/core/time.ts";
import { unjudged } from "../../src/core/verdict.ts";
import type { OutboxItem } from "../../src/engine/messages.ts";
import type { RunView } from "../../src/engine/ports.ts";
import { loadFolder } from "../../src/house.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const ANA: Actor = { kind: "person", id: "U0ANA000001", name: "ana", via: "slack" };
export const BEN: Actor = { kind: "person", id: "U0BEN000001", name: "ben", via: "slack" };
const BELAY: Actor = { kind: "belay" };

/** The shipped rollout of the ingestion service. */
export async function ingestionPlan(): Promise<Plan> {
  const { plans } = await loadFolder(ROOT);
  const plan = plans.get("ingestion");
  if (plan === undefined) throw new Error("the shipped rollout cannot be loaded");
  return plan;
}

/** A plan with many stages and guards, as large as the card has to hold. */
export function longPlan(plan: Plan, stages: number, guards: number): Plan {
  const [guard] = plan.guards;
  if (guard === undefined) throw new Error("a plan without guards");
  const names = Array.from({ length: stages }, (_, index) => `stage-with-a-long-name-${index}`);
  return {
    ...plan,
    flags: Object.fromEntries(
      names.map((name) => [
        name,
        { name, key: name.toUpperCase(), on: "true", off: "false", requires: [], undo: "flip" as const },
      ]),
    ),
    stages: names.map((name, index) => ({
      name,
      atMs: index * HOUR,
      substages: [{ set: [{ flag: name, setting: ON }], soakMs: HOUR }],
      baseline: false,
    })),
    guards: Array.from({ length: guards }, (_, index) => ({ ...guard, name: `guard-number-${index}` })),
  };
}

/** One run, told event by event. Time is steady and wall at once: both move by what the teller says. */
export class Story {
  readonly plan: Plan;
  readonly events: Recorded[] = [];
  figures: Record<string, CardMeasured> = {};
  #state: State | undefined;
  #steady = 1_000_000;
  readonly #skew: number;

  constructor(plan: Plan, startWall = Date.UTC(2026, 10, 22, 9, 0, 0), by: Actor = ANA) {
    this.plan = plan;
    this.#skew = startWall - this.#steady;
    this.tell({
      kind: "rollout_started",
      run: "r-7",
      rollout: plan.rollout,
      planHash: "hash",
      by,
      first: 0,
      end: plan.stages.length - 1,
      startAt: this.#steady,
      recorded: {},
    });
  }

  get state(): State {
    if (this.#state === undefined) throw new Error("no events yet");
    return this.#state;
  }

  get steady(): number {
    return this.#steady;
  }

  /** Appends an event, `afterMs` after the last one. */
  tell(event: RolloutEvent, afterMs = 0): this {
    this.#steady += afterMs;
    const recorded = {
      seq: this.events.length + 1,
      at: this.#steady,
      wall: this.#steady + this.#skew,
      event,
    };
    this.#state = evolve(this.plan, this.#state, recorded);
    this.events.push(recorded);
    return this;
  }

  wait(ms: number): this {
    this.#steady += ms;
    return this;
  }

  /** Starts a stage and reads it back. */
  begin(stage: number, afterMs = 0): this {
    const at = this.plan.stages[stage];
    if (at === undefined) throw new Error(`no stage ${stage}`);
    const flips = flagsOfStage(at).map(
      (flag): Flip => ({ flag, from: OFF, to: at.baseline ? OFF : ON, intent: `r-7.${stage}.${flag}` }),
    );
    const writeBy = this.#steady + MINUTE;
    this.tell({ kind: "stage_started", stage, substage: 0, flips, writeBy, verifyBy: writeBy }, afterMs);
    for (const { flag, intent } of flips) this.tell({ kind: "flip_verified", flag, intent }, 200);
    return this.tell({ kind: "stage_enabled", stage, substage: 0 });
  }

  /** Starts a stage and lets its soak pass. */
  pass(stage: number): this {
    const soakMs = this.plan.stages[stage]?.substages[0]?.soakMs ?? 0;
    return this.begin(stage).tell(
      { kind: "soak_passed", stage, substage: 0, soakedMs: soakMs },
      Math.max(SECOND, soakMs - SECOND),
    );
  }

  /** The guard `failures` breaches and everything it has to say is said, up to the recovery. */
  rollBack(stage: number, until: "started" | "off" | "confirmed" | "recovered"): this {
    const flags = [...flagsOfStage(this.plan.stages[stage] ?? { ...EMPTY_STAGE })];
    this.tell({
      kind: "rollback_started",
      to: stage - 1,
      stages: [stage],
      flips: flags.map((flag) => ({ flag, from: ON, to: OFF, intent: `r-7.back.${flag}` })),
      cause: {
        kind: "breach",
        guard: "failures",
        reason: "over_limit",
        detail: "4.2 % > 2 % in 2 of the last 3 polls",
        breachAt: this.#steady - 20_000,
      },
      by: BELAY,
    });
    if (until === "started") return this;
    for (const flag of flags) this.tell({ kind: "flip_verified", flag, intent: `r-7.back.${flag}` }, 400);
    this.tell({ kind: "rollback_off" });
    if (until === "off") return this;
    this.tell({ kind: "rollback_confirmed", seenBy: "service" }, 900);
    if (until === "confirmed") return this;
    return this.tell({ kind: "recovered", guard: "failures", detail: "0.0003" }, 75_000).tell({
      kind: "held",
      reason: "rolled_back",
      detail: `${flags.join(", ")} rolled back and locked`,
      by: BELAY,
    });
  }

  /** The newest event of a kind. */
  seqOf(kind: RolloutEvent["kind"]): number {
    const found = this.events.findLast((one) => one.event.kind === kind);
    if (found === undefined) throw new Error(`no ${kind} yet`);
    return found.seq;
  }

  /** The run now, with every guard passing since `passedMs` ago. */
  view(passedMs = 0): RunView {
    return {
      plan: this.plan,
      state: this.state,
      world: this.#world(passedMs),
      figures: this.figures,
      events: this.events,
      now: { steady: this.#steady, wall: this.#steady + this.#skew },
    };
  }

  #world(passedMs: number): World {
    if (passedMs === 0) return EMPTY_WORLD;
    const guards = guardsFor(this.plan, newestFlagStage(this.plan, this.state));
    return {
      ...EMPTY_WORLD,
      judgements: Object.fromEntries(
        guards.map((guard) => [
          guard.name,
          {
            ...unjudged(epochOf(this.plan, this.state, guard)),
            verdict: "pass" as const,
            reason: undefined,
            at: this.#steady,
            passSince: this.#steady - passedMs,
            passUntil: this.#steady,
          },
        ]),
      ),
    };
  }
}

const EMPTY_STAGE = { name: "", atMs: 0, substages: [], baseline: false } as const;

let ids = 0;

/** The outbox's item for the card of this run. */
export function cardItem(run: string, more: Partial<OutboxItem> = {}): OutboxItem {
  return itemOf(`card:${run}`, "normal", { kind: "card", run, channel: "#ingestion-ops" }, more);
}

export function itemOf(
  key: string,
  lane: OutboxItem["lane"],
  body: OutboxItem["body"],
  more: Partial<OutboxItem> = {},
): OutboxItem {
  ids += 1;
  return { id: ids, run: "r-7", key, lane, generation: 1, attempts: 0, body, wall: Date.now(), ...more };
}
