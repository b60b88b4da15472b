/** The watch of one service as `schedules/*.yaml` says it: probes, what may be restarted, jobs by the clock, and blackouts. */
import type { Severity } from "../event.ts";
import type { AlertmanagerEntry, PrometheusEntry, RestartEntry } from "../files/flags-file.ts";
import type { Unit } from "../quantity.ts";

/** How a target is restarted. `exec` runs one program with its arguments, without a shell; `http` posts to a URL. */
export type TargetEntry =
  | { readonly kind: "unit"; readonly restart: RestartEntry }
  | { readonly kind: "http"; readonly post: string; readonly up?: string }
  | { readonly kind: "exec"; readonly argv: readonly string[]; readonly up?: string };

/** Something that can be restarted: one or several replicas, one after the other and never two at once. */
export interface WatchTarget {
  readonly name: string;
  readonly replicas: readonly TargetEntry[];
  /** From a restart until a replica is up, ms. */
  readonly upWithinMs: number;
}

/** What one probe asks. `expect` of http: the status codes that are well (inclusive) and a text the body must hold. */
export type ProbeCheck =
  | {
      readonly kind: "http";
      readonly url: string;
      readonly status: { readonly from: number; readonly to: number };
      readonly body?: string;
    }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | {
      readonly kind: "promql";
      readonly query: string;
      /** The stamp of the oldest sample behind `query`, as a guard has it. */
      readonly freshness: string;
      readonly max?: number;
      readonly min?: number;
      readonly unit: Unit;
    };

export interface Probe {
  readonly name: string;
  readonly check: ProbeCheck;
  readonly intervalMs: number;
  /** Total deadline of one check. */
  readonly timeoutMs: number;
  /** So many bad checks in a row make it failing, so many good ones make it well again. */
  readonly fail: number;
  readonly ok: number;
  /** Name of the target to restart when it fails. */
  readonly restart?: string;
  /** Pages with this severity as soon as it fails. */
  readonly page?: Severity;
  /** Told to the users' channel while it fails. */
  readonly degraded?: string;
  /** A recovery that takes longer is told as late, ms. */
  readonly recoverWithinMs: number;
  readonly runbook?: string;
}

/** At most `most` restarts of one target within `withinMs`; then its circuit is open: no restart any more, and a page. */
export interface RestartBudget {
  readonly most: number;
  readonly withinMs: number;
}

/** What a job does when its time comes. `onlyIf` of a restart: the trend guard that must ask for it. */
export type JobAction =
  | { readonly kind: "restart"; readonly target: string; readonly onlyIf?: string }
  | { readonly kind: "post"; readonly post: "health" | "first-week-review" | "handover" }
  | { readonly kind: "drill" };

/** A job by the wall clock of its zone. `missed`: what becomes of fires that passed while Belay was away, up to `graceMs` late. */
export interface Job {
  readonly name: string;
  readonly cron: string;
  readonly zone: string;
  readonly action: JobAction;
  readonly missed: "run-once" | "skip" | "report";
  readonly graceMs: number;
  readonly overlap: "skip" | "queue";
  readonly jitterMs: number;
  /** The last wall ms at which it may fire. */
  readonly until?: number;
}

/**
 * A stretch of time in which no job fires. `hours` repeats weekly (`Sun 02:00-04:00`, `22:00-02:00`: `blackout.ts` reads them), `dates` happens
 * once (Unix ms, `to` is the first instant after it).
 */
export type Blackout =
  | { readonly kind: "hours"; readonly text: string; readonly zone: string; readonly because: string }
  | { readonly kind: "dates"; readonly from: number; readonly to: number; readonly because: string };

export interface WatchPlan {
  readonly watch: string;
  readonly service: string;
  readonly environment: string;
  /** Stem of the flags file that names service, Prometheus and trend guards. */
  readonly source: string;
  readonly zone: string;
  readonly channel?: string;
  readonly usersChannel?: string;
  readonly prometheus: PrometheusEntry;
  readonly alertmanager?: AlertmanagerEntry;
  readonly probes: readonly Probe[];
  readonly targets: readonly WatchTarget[];
  readonly budget: RestartBudget;
  readonly jobs: readonly Job[];
  readonly blackouts: readonly Blackout[];
  /** Trend guards of the flags file, by name, for jobs that ask them. */
  readonly trends: readonly TrendQuestion[];
}

/** What a trend guard asks. `limit` in the unit of the query, `horizonMs` how far ahead it looks; `worst`: of several series the one that reaches the limit first. */
export interface TrendQuestion {
  readonly name: string;
  readonly query: string;
  /** The stamp of the oldest sample behind `query`, as a guard has it. */
  readonly freshness: string;
  readonly limit: number;
  readonly unit: Unit;
  readonly horizonMs: number;
  readonly worst?: "max";
}
