/** The plan of a rollout, frozen when it starts: stages with their settings and soaks, the flags they touch, and the guards that must hold. */
import type { AlertMatcher } from "./alerts/matcher.ts";
import type {
  AlertmanagerEntry,
  DeploysEntry,
  LeverEntry,
  PrometheusEntry,
  ProviderEntry,
  ViewEntry,
} from "./files/flags-file.ts";
import type { ProgressEntry } from "./files/schedule-file.ts";
import type { Unit } from "./quantity.ts";
import { formatSetting, OFF, type Setting, sameSetting } from "./setting.ts";
import type { ForwardWindow } from "./time.ts";

/** How a flip of this flag is taken back: by writing it, after a restart, or only by people (`data`: wrote data the old code cannot read). */
export type Undo = "flip" | "restart" | "data" | "none";

/** One entry of the catalogue in `flags/*.yaml`. `key` is the name the service and the flag store use. */
export interface FlagDef {
  readonly name: string;
  readonly key: string;
  readonly owner?: string;
  readonly on: string;
  readonly off: string;
  readonly safe?: Setting;
  readonly pinned?: Setting;
  readonly requires: readonly string[];
  readonly undo: Undo;
}

export interface FlagSetting {
  readonly flag: string;
  readonly setting: Setting;
}

/** What a stage does at once; a stage of percentages has several. `soakMs` is how long it is watched before the next forward step. */
export interface Substage {
  readonly set: readonly FlagSetting[];
  readonly soakMs: number;
}

/** `atMs` is the planned start since the rollout's start. A review stage changes nothing and waits for a sign-off. */
export interface Stage {
  readonly name: string;
  readonly atMs: number;
  readonly substages: readonly Substage[];
  readonly baseline: boolean;
  readonly approval?: { readonly from: string };
  readonly review?: "manual";
  /** Forward steps of this stage only in these hours, besides those of the rollout. */
  readonly window?: ForwardWindow;
}

/** What a guard's breach does. */
export type Consequence = "rollback" | "emergency" | "hold" | "page";

/** `breach: k of n`: k bad values among the last n values. */
export interface Breach {
  readonly k: number;
  readonly n: number;
}

interface GuardBase {
  readonly name: string;
  /** PromQL that yields the one number to judge. */
  readonly query: string;
  /** PromQL that yields the time stamp (Unix seconds) of the oldest sample behind `query`; the measurement is stale without it. */
  readonly freshness: string;
  readonly intervalMs: number;
  /** The longest range the query looks back over; 0 for an instant query. */
  readonly windowMs: number;
  readonly breach: Breach;
  readonly consequence: Consequence;
  /** Stages in which the guard is judged; undefined means all. */
  readonly stages?: readonly string[];
}

/** An extra query that must reach a minimum before the main query's number counts as evidence. */
export interface Floor {
  readonly query: string;
  readonly min: number;
}

export interface ThresholdGuard extends GuardBase {
  readonly kind: "threshold";
  readonly max?: number;
  readonly min?: number;
  readonly unit: Unit;
  readonly worst?: "max" | "min";
  readonly samples?: Floor;
  readonly total?: Floor;
}

/** Judges `up` of our targets; `others` tells whether any other target is up, so that a blind Prometheus is not taken for a dead service. */
export interface AliveGuard extends GuardBase {
  readonly kind: "alive";
  readonly others: string;
}

export interface ExpectGuard extends GuardBase {
  readonly kind: "expect";
  readonly max?: number;
  readonly min?: number;
  readonly unit: Unit;
  readonly withinMs: number;
  readonly worst?: "max" | "min";
}

/** A level that must not reach `limit` (in the unit of the query) within `horizonMs`; it looks back over three hours at each poll. */
export interface TrendGuard extends GuardBase {
  readonly kind: "trend";
  readonly limit: number;
  readonly unit: Unit;
  readonly horizonMs: number;
  /** Of several series the one that reaches the limit first. */
  readonly worst?: "max";
  readonly consequence: "hold" | "page";
}

export type Guard = ThresholdGuard | AliveGuard | ExpectGuard | TrendGuard;

/**
 * Whether a rollout waits for what this guard says: its passes make the soak, and without them it is blind. A trend needs hours to say anything,
 * so nobody waits for it; its breach counts all the same.
 */
export function isWaitedFor(guard: Guard): boolean {
  return guard.kind !== "trend";
}

/** What to do when the look after a rollback still shows the breach. */
export type Unwind = "newest" | "gradual" | "all";

/** What the flag store needs at most, in ms: `flip` to write and read back, `restart` for the process to come back (0 where none). */
export interface ProviderLimits {
  readonly flipMs: number;
  readonly restartMs: number;
  /** How many restarts a forward flip makes one after the other; 1 when not given. A backward one makes them all at once. */
  readonly restartsInTurn?: number;
}

export interface Plan {
  readonly rollout: string;
  readonly service: string;
  readonly environment: string;
  readonly channel?: string;
  /** Stem of the flags file this plan was built from. */
  readonly source: string;
  readonly flags: Readonly<Record<string, FlagDef>>;
  readonly stages: readonly Stage[];
  readonly guards: readonly Guard[];
  readonly unwind: Unwind;
  readonly onBlind: "hold" | "rollback";
  readonly blindAfterMs: number;
  readonly forward?: ForwardWindow;
  readonly scrapeMs: number;
  /** Total deadline of one Prometheus query. */
  readonly queryTimeoutMs: number;
  /** Whether the service's own view of its flags can be read. */
  readonly hasView: boolean;
  readonly provider: ProviderLimits;
  /** How to reach the flag store, the service and its metrics: frozen too, so that a live rollout can go back whatever became of its file. */
  readonly outside: {
    readonly provider: ProviderEntry;
    readonly view?: ViewEntry;
    readonly prometheus: PrometheusEntry;
    readonly alertmanager?: AlertmanagerEntry;
    readonly lever?: LeverEntry;
  };
  /** How deploys and restarts of the service are noticed; none are when undefined. */
  readonly deploys?: DeploysEntry;
  /** How far the work is that this rollout lets through; shown, never judged. */
  readonly progress?: ProgressEntry;
  /** Alerts that may take the newest stage back; none when undefined. */
  readonly rollbackOn?: readonly AlertMatcher[];
  /** Runbook named in pages that people must act on. */
  readonly runbook?: string;
}

/** A setting of one of the plan's flags, for people: that of a limit is always a number, also when it is on or off. */
export function settingInWords(plan: Plan, flag: string, setting: Setting): string {
  return formatSetting(setting, plan.flags[flag]);
}

/** `environment/service/KEY`: what only one live rollout may own. */
export function claimOf(plan: Plan, flag: string): string {
  return `${plan.environment}/${plan.service}/${plan.flags[flag]?.key ?? flag}`;
}

/** The longest window of a guard that is waited for, plus two polls and a scrape: the least evidence (ms) any soak must have. */
export function leastSoakMs(guards: readonly Guard[], scrapeMs: number): number {
  return guards
    .filter(isWaitedFor)
    .reduce((most, guard) => Math.max(most, guard.windowMs + 2 * guard.intervalMs + scrapeMs), 0);
}

/** Index of the stage with this name, or -1. */
export function stageIndex(plan: Plan, name: string): number {
  return plan.stages.findIndex((stage) => stage.name === name);
}

/** Index of the stage that first sets the flag to something other than off, or -1. */
export function stageOfFlag(plan: Plan, flag: string): number {
  return plan.stages.findIndex((stage) =>
    stage.substages.some((sub) =>
      sub.set.some((item) => item.flag === flag && !sameSetting(item.setting, OFF)),
    ),
  );
}

const flagsByStage = new WeakMap<Stage, readonly string[]>();

/** Flags that a stage sets, in the order it sets them, each once. Remembered per stage: it is asked on every tick. */
export function flagsOfStage(stage: Stage): readonly string[] {
  const known = flagsByStage.get(stage);
  if (known !== undefined) return known;
  const flags = [...new Set(stage.substages.flatMap((sub) => sub.set.map((item) => item.flag)))];
  flagsByStage.set(stage, flags);
  return flags;
}
