/** A job's state: which fires were claimed and what became of them, as a fold of its events. Instants of fires are wall ms. */
import { type Actor, formatActor, type RecordedOf } from "../event.ts";

/** `no_evidence`: what the job must ask before it acts could not be answered, so it did not act. */
export type JobOutcome = "done" | "not_needed" | "no_evidence" | "failed";

/** `asked`: a person ran it, outside its times. `queued`: it waited for the run before it. `late`: it was missed and is run afterwards. */
export type FiredHow = "on_time" | "late" | "queued" | "asked";

/** `claimed`: its row was in the journal before it was decided on. */
export type PassedWhy = "missed" | "overlap" | "blackout" | "skipped" | "paused" | "expired" | "claimed";

/** What plans a job: `times` is its cron expression with its zone, `until` the last wall ms at which it may fire. */
export interface JobPlan {
  readonly times: string;
  readonly until?: number;
}

/** Fires that are too many to be looked at one by one, in (`first`, `last`] both included. `more`: there were still more than `count`. */
export interface OlderFires {
  readonly count: number;
  readonly more: boolean;
  readonly first: number;
  readonly last: number;
}

export type JobEvent =
  /** The job is known from now on: fires up to `upTo` are from before its time. */
  | { readonly kind: "added"; readonly job: string; readonly upTo: number; readonly plan?: JobPlan }
  /** Its file says something else than before, or it is back in one: claiming goes on from `upTo`. */
  | { readonly kind: "planned"; readonly plan: JobPlan; readonly upTo: number }
  /** It stands in no file any more. */
  | { readonly kind: "unplanned" }
  /** Claimed: nothing else runs this fire. */
  | {
      readonly kind: "fired";
      readonly instant: number;
      readonly how: FiredHow;
      readonly by: Actor;
      /** Of the command that asked for it, so that a second delivery runs nothing. */
      readonly key?: string;
    }
  /** Claimed, and waits for the run under way. */
  | { readonly kind: "queued"; readonly instant: number }
  | {
      readonly kind: "finished";
      readonly instant: number;
      readonly outcome: JobOutcome;
      readonly detail: string;
    }
  /** Claimed and not run: `instants` oldest first, and before them those that were only counted. */
  | {
      readonly kind: "passed_over";
      readonly instants: readonly number[];
      readonly older?: OlderFires;
      readonly why: PassedWhy;
      readonly detail: string;
    }
  /** The wall clock is behind what was claimed. `upTo`: where claiming goes on from. */
  | { readonly kind: "clock_back"; readonly claimedUpTo: number; readonly upTo: number }
  | { readonly kind: "skip_next"; readonly instant: number; readonly by: Actor }
  | { readonly kind: "paused"; readonly by: Actor; readonly because?: string }
  | { readonly kind: "resumed"; readonly by: Actor };

/** What became of a fire; `count` fires in all when it stands for several, the newest of them at `instant`. */
export interface RecentFire {
  readonly instant: number;
  /** When it was decided. */
  readonly wall: number;
  readonly result: JobOutcome | PassedWhy | "running" | "queued";
  readonly detail: string;
  readonly count: number;
}

export interface JobState {
  readonly schema: 1;
  /** `WATCH/JOB`. */
  readonly id: string;
  readonly revision: number;
  /** Wall ms since when the job is known. */
  readonly since: number;
  /** Wall ms up to which every planned fire has been claimed. */
  readonly claimedUpTo: number;
  /** What planned it when it was last looked at; `none`: it stood in no file. Undefined in states from before this was remembered. */
  readonly plan?: JobPlan | "none";
  /** `since`: steady ms. */
  readonly running?: {
    readonly instant: number;
    readonly since: number;
    readonly how: FiredHow;
    readonly by: Actor;
  };
  /** A fire that waits for the running one, under `overlap: queue`. */
  readonly queued?: number;
  readonly skip?: { readonly instant: number; readonly by: string };
  readonly paused?: { readonly by: string; readonly wall: number; readonly because?: string };
  /** The claim that was told to be ahead of the clock, so that it is told once. */
  readonly aheadTold?: number;
  /** Key of the newest command that ran it. */
  readonly askedBy?: string;
  /** The newest fires with what became of them, newest last; at most 20. */
  readonly recent: readonly RecentFire[];
  /** Of them those that did not do what was planned, kept longer than a job that fires often would let them be; at most 20. */
  readonly troubles: readonly RecentFire[];
}

export type RecordedJob = RecordedOf<JobEvent>;

const MOST_RECENT = 20;

/** The state after one more event; the first one of a job must be `added`. */
export function evolveJob(state: JobState | undefined, recorded: RecordedJob): JobState {
  const { event, seq, wall } = recorded;
  if (event.kind === "added")
    return {
      schema: 1,
      id: event.job,
      revision: seq,
      since: wall,
      claimedUpTo: event.upTo,
      ...(event.plan === undefined ? {} : { plan: event.plan }),
      recent: [],
      troubles: [],
    };
  if (state === undefined) throw new Error(`a job begins with ${event.kind} instead of being added`);
  return { ...changed(state, recorded), revision: seq };
}

function changed(state: JobState, { event, at, wall }: RecordedJob): JobState {
  switch (event.kind) {
    case "added":
      return state;
    case "planned":
      return claimedTo({ ...state, plan: event.plan }, event.upTo);
    case "unplanned":
      return { ...state, plan: "none" };
    case "fired": {
      const { instant, how, by, key } = event;
      const next: JobState = {
        ...claim(state, how === "asked" ? [] : [instant]),
        ...(key === undefined ? {} : { askedBy: key }),
        running: { instant, since: at, how, by },
      };
      const entry: RecentFire = { instant, wall, result: "running", detail: "", count: 1 };
      return how === "queued" ? replace(without(next, "queued"), entry) : add(next, entry);
    }
    case "queued":
      return add(
        { ...claim(state, [event.instant]), queued: event.instant },
        { instant: event.instant, wall, result: "queued", detail: "", count: 1 },
      );
    case "finished":
      return replace(without(state, "running"), {
        instant: event.instant,
        wall,
        result: event.outcome,
        detail: event.detail,
        count: 1,
      });
    case "passed_over":
      return passedOver(state, event, wall);
    case "clock_back":
      return { ...state, claimedUpTo: event.upTo, aheadTold: event.claimedUpTo };
    case "skip_next":
      return { ...state, skip: { instant: event.instant, by: formatActor(event.by) } };
    case "paused": {
      const because = event.because === undefined ? {} : { because: event.because };
      return { ...state, paused: { by: formatActor(event.by), wall, ...because } };
    }
    case "resumed":
      return without(without(state, "paused"), "skip");
  }
}

function passedOver(
  state: JobState,
  event: Extract<JobEvent, { kind: "passed_over" }>,
  wall: number,
): JobState {
  const { instants, older, why, detail } = event;
  const instant = instants.at(-1) ?? older?.last ?? state.claimedUpTo;
  const entry: RecentFire = {
    instant,
    wall,
    result: why,
    detail,
    count: instants.length + (older?.count ?? 0),
  };
  const claimed = claim(state, older === undefined ? instants : [...instants, older.last]);
  if (state.queued === undefined || !instants.includes(state.queued)) return add(claimed, entry);
  return replace(without(claimed, "queued"), entry);
}

/** Moves on over these instants. */
function claim(state: JobState, instants: readonly number[]): JobState {
  return claimedTo(
    state,
    instants.reduce((most, one) => Math.max(most, one), state.claimedUpTo),
  );
}

/** A skip that is behind then is over. */
function claimedTo(state: JobState, claimedUpTo: number): JobState {
  const next = { ...state, claimedUpTo };
  return state.skip !== undefined && state.skip.instant <= claimedUpTo ? without(next, "skip") : next;
}

const TROUBLE: ReadonlySet<RecentFire["result"]> = new Set<RecentFire["result"]>([
  "no_evidence",
  "failed",
  "missed",
  "overlap",
  "blackout",
  "skipped",
  "paused",
  "expired",
  "claimed",
]);

function add(state: JobState, entry: RecentFire): JobState {
  const recent = append(state.recent, entry);
  return TROUBLE.has(entry.result)
    ? { ...state, recent, troubles: append(state.troubles, entry) }
    : { ...state, recent };
}

/** A pause or a blackout is one entry, however often the job would have fired in it. */
function append(entries: readonly RecentFire[], entry: RecentFire): readonly RecentFire[] {
  const last = entries.at(-1);
  const isSame = last !== undefined && last.result === entry.result && last.detail === entry.detail;
  if (!isSame || (entry.result !== "paused" && entry.result !== "blackout"))
    return [...entries, entry].slice(-MOST_RECENT);
  return [...entries.slice(0, -1), { ...entry, count: last.count + entry.count }];
}

/** In the place of the entry of the same fire. */
function replace(state: JobState, entry: RecentFire): JobState {
  const rest = state.recent.filter((one) => one.instant !== entry.instant || one.count > 1);
  return add({ ...state, recent: rest }, entry);
}

function without(state: JobState, key: "running" | "queued" | "skip" | "paused"): JobState {
  switch (key) {
    case "running": {
      const { running: _, ...rest } = state;
      return rest;
    }
    case "queued": {
      const { queued: _, ...rest } = state;
      return rest;
    }
    case "skip": {
      const { skip: _, ...rest } = state;
      return rest;
    }
    case "paused": {
      const { paused: _, ...rest } = state;
      return rest;
    }
  }
}
