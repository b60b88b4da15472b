/** A probe's state: how its service answers, its restarts, and whether its circuit is open; as a fold of its events. */
import type { Actor, RecordedOf } from "../event.ts";

export type ProbeEvent =
  /** `since`: steady ms of the first bad check of the row. */
  | { readonly kind: "failing"; readonly since: number; readonly detail: string }
  /** `tookMs`: since the first bad check. `withinMs`: how long it may take. `restarts`: by Belay, while it failed. */
  | {
      readonly kind: "recovered";
      readonly tookMs: number;
      readonly withinMs: number;
      readonly restarts: number;
    }
  | { readonly kind: "flapping"; readonly changes: number; readonly withinMs: number }
  | { readonly kind: "calm" }
  /** Nobody can tell how it is, for long. `since`: steady ms of the first such check. */
  | { readonly kind: "unknown"; readonly since: number; readonly detail: string }
  /** It can be told again; `unknown` is what was told. */
  | { readonly kind: "known"; readonly unknown: NonNullable<ProbeState["unknown"]> }
  /** `of`: how many replicas there are; they are restarted in order, from 0. `upBy`: steady ms at which it should be up. `key`: of the command that asked for it. */
  | {
      readonly kind: "restart_started";
      readonly target: string;
      readonly replica: number;
      readonly of: number;
      readonly planned: boolean;
      readonly by: Actor;
      readonly upBy: number;
      readonly key?: string;
    }
  | {
      readonly kind: "restart_done";
      readonly target: string;
      readonly replica: number;
      readonly planned: boolean;
      readonly tookMs: number;
    }
  | {
      readonly kind: "restart_failed";
      readonly target: string;
      readonly replica: number;
      readonly planned: boolean;
      readonly detail: string;
    }
  | {
      readonly kind: "circuit_opened";
      readonly target: string;
      readonly restarts: number;
      readonly withinMs: number;
    }
  /** Closed by a person, the budget begins anew. */
  | { readonly kind: "circuit_closed"; readonly by: Actor }
  /** `until`: steady ms. */
  | { readonly kind: "muted"; readonly until: number; readonly by: Actor; readonly because?: string }
  | { readonly kind: "unmuted"; readonly by: Actor }
  /** It stands in no file any more. */
  | { readonly kind: "retired" };

/** One restart in the story of a failure. `result` is missing while it runs. Instants are wall ms. */
export interface EpisodeRestart {
  readonly wall: number;
  readonly target: string;
  readonly replica: number;
  readonly of: number;
  readonly by: Actor;
  readonly result?: "done" | "failed" | "unknown";
  readonly tookMs?: number;
  readonly detail?: string;
}

/** The newest failure from its first bad check on, as its messages tell it. */
export interface Episode {
  /** Number of the event it began with: names its messages and its page. */
  readonly seq: number;
  /** Wall ms of the first bad check. */
  readonly wall: number;
  readonly detail: string;
  /** Whether people were told of it: not while it is muted. */
  readonly told: boolean;
  /** Newest last, at most 10. */
  readonly restarts: readonly EpisodeRestart[];
  readonly recovered?: { readonly wall: number; readonly tookMs: number; readonly withinMs: number };
  /** The probe stands in no file any more; without `recovered` it was failing when it was last seen. */
  readonly retired?: true;
}

/** What a probe pages about: it fails, its restarts were not enough, it goes up and down. */
export type PageAbout = "failing" | "circuit" | "flapping";

export interface ProbeState {
  readonly schema: 1;
  /** `WATCH/PROBE`. */
  readonly id: string;
  readonly revision: number;
  readonly phase: "well" | "failing";
  /** Steady ms since when the phase holds; for `failing` the first bad check. */
  readonly since: number;
  readonly detail?: string;
  readonly episode?: Episode;
  readonly flapping: boolean;
  /** Numbers of the newest events that may page; they name the pages, and stay when the cause is gone. */
  readonly pages: Readonly<Partial<Record<PageAbout, number>>>;
  /** Steady ms of the newest changes of phase, newest last; at most 20. */
  readonly changes: readonly number[];
  /** Steady ms of the restarts by Belay itself that may count against the budget, newest last; at most 100. */
  readonly restarts: readonly number[];
  readonly restarting?: {
    readonly target: string;
    readonly replica: number;
    readonly since: number;
    readonly planned: boolean;
    readonly upBy: number;
  };
  /** Steady ms until which bad checks do not count, because it was just restarted. */
  readonly upBy?: number;
  /** Steady ms at which the newest restart ended, well or not. */
  readonly restartEndedAt?: number;
  /** Restarts by Belay since it began to fail. */
  readonly restartsNow: number;
  readonly circuitOpen: boolean;
  /** Steady ms. */
  readonly mutedUntil?: number;
  /** Who muted it and why, and until when (wall ms). */
  readonly mute?: { readonly by: Actor; readonly wall: number; readonly because?: string };
  /** The newest restart that a person asked for while it did not fail; `seq` names its message. */
  readonly asked?: EpisodeRestart & { readonly seq: number };
  /** Nobody can tell how it is. `wall`: Unix ms of the first such check. */
  readonly unknown?: { readonly seq: number; readonly wall: number; readonly detail: string };
  readonly lastAt: number;
}

export type RecordedProbe = RecordedOf<ProbeEvent>;

const MOST_CHANGES = 20;
const MOST_RESTARTS = 100;
const MOST_TOLD = 10;

/** A probe that nothing is known of yet; `at` is steady ms. */
export function newProbe(id: string, at: number): ProbeState {
  return {
    schema: 1,
    id,
    revision: 0,
    phase: "well",
    since: at,
    flapping: false,
    pages: {},
    changes: [],
    restarts: [],
    restartsNow: 0,
    circuitOpen: false,
    lastAt: at,
  };
}

/** Whether anything about it still needs somebody's eye after a start of Belay. */
export function isOpenProbe(state: ProbeState): boolean {
  return (
    state.phase === "failing" ||
    state.flapping ||
    state.circuitOpen ||
    state.restarting !== undefined ||
    state.mutedUntil !== undefined ||
    state.unknown !== undefined
  );
}

/** The state after `recorded`. Total; never decides anything. */
export function evolveProbe(before: ProbeState, recorded: RecordedProbe): ProbeState {
  return { ...apply(before, recorded), revision: recorded.seq, lastAt: recorded.at };
}

function apply(s: ProbeState, recorded: RecordedProbe): ProbeState {
  const { event, at, seq, wall } = recorded;
  switch (event.kind) {
    case "failing":
      return failed(s, event, recorded);
    case "recovered": {
      const { detail: _, ...rest } = s;
      const recovered = { wall, tookMs: event.tookMs, withinMs: event.withinMs };
      return {
        ...rest,
        phase: "well",
        since: at,
        restartsNow: 0,
        ...told(s, { recovered }),
        ...changed(s, at),
      };
    }
    case "flapping":
      return { ...s, flapping: true, pages: { ...s.pages, flapping: seq } };
    case "calm":
      return { ...s, flapping: false };
    case "unknown":
      return { ...s, unknown: { seq, wall: wall - (at - event.since), detail: event.detail } };
    case "known":
      return known(s);
    case "restart_started":
    case "restart_done":
    case "restart_failed":
      return restarted(s, event, recorded);
    case "circuit_opened":
      return { ...s, circuitOpen: true, pages: { ...s.pages, circuit: seq } };
    case "circuit_closed":
      return { ...s, circuitOpen: false, restarts: event.by.kind === "belay" ? s.restarts : [] };
    case "muted":
      return {
        ...s,
        mutedUntil: event.until,
        mute: {
          by: event.by,
          wall: wall + (event.until - at),
          ...(event.because === undefined ? {} : { because: event.because }),
        },
      };
    case "unmuted":
      return unmuted(s);
    case "retired":
      return retired(s, at);
  }
}

/** Its restarts still count, so that a file taken out and put back is no way around the budget. */
function retired(s: ProbeState, at: number): ProbeState {
  const { id, pages, restarts, restartEndedAt } = s;
  const ended = restartEndedAt === undefined ? {} : { restartEndedAt };
  const story = (s.episode?.restarts ?? []).map((one) =>
    one.result === undefined ? { ...one, result: "unknown" as const } : one,
  );
  return {
    ...newProbe(id, at),
    pages,
    restarts,
    ...ended,
    ...told(s, { retired: true, restarts: story }),
  };
}

function known({ unknown: _, ...rest }: ProbeState): ProbeState {
  return rest;
}

function unmuted({ mutedUntil: _, mute: __, ...rest }: ProbeState): ProbeState {
  return { ...rest, ...(rest.phase === "failing" ? told(rest, { told: true }) : {}) };
}

function changed(s: ProbeState, at: number): Pick<ProbeState, "changes"> {
  return { changes: [...s.changes, at].slice(-MOST_CHANGES) };
}

/** A change to the story of the newest failure, if there is one. */
function told(s: ProbeState, change: Partial<Episode>): Pick<ProbeState, "episode"> {
  return s.episode === undefined ? {} : { episode: { ...s.episode, ...change } };
}

/** While it flaps, all its failures are one story, so that it is told once. */
function failed(
  s: ProbeState,
  event: Extract<ProbeEvent, { kind: "failing" }>,
  { seq, at, wall }: RecordedProbe,
): ProbeState {
  const { detail, since } = event;
  const known = s.flapping ? s.episode : undefined;
  const episode: Episode = {
    seq: known?.seq ?? seq,
    wall: wall - (at - since),
    detail,
    told: known?.told === true || s.mutedUntil === undefined,
    restarts: known?.restarts ?? [],
  };
  const pages = { ...s.pages, failing: seq };
  return { ...s, phase: "failing", since, detail, restartsNow: 0, episode, pages, ...changed(s, at) };
}

type RestartEvent = Extract<ProbeEvent, { kind: "restart_started" | "restart_done" | "restart_failed" }>;

function restarted(s: ProbeState, event: RestartEvent, { at, wall, seq }: RecordedProbe): ProbeState {
  const { target, replica, planned } = event;
  if (event.kind === "restart_started") {
    const { upBy, by, of } = event;
    // One walk through all replicas is one restart; a person's and a planned one use up nothing.
    const counts = by.kind === "belay" && !planned && replica === 0;
    const one: EpisodeRestart = { wall, target, replica, of, by };
    return {
      ...s,
      restarting: { target, replica, since: at, planned, upBy },
      upBy,
      restarts: counts ? [...s.restarts, at].slice(-MOST_RESTARTS) : s.restarts,
      restartsNow: s.restartsNow + (counts ? 1 : 0),
      ...(s.phase === "failing"
        ? told(s, { restarts: [...(s.episode?.restarts ?? []), one].slice(-MOST_TOLD) })
        : asked(s, one, seq, planned)),
    };
  }
  const { restarting: _, upBy, ...rest } = s;
  const outcome =
    event.kind === "restart_done"
      ? ({ result: "done", tookMs: event.tookMs } as const)
      : ({ result: "failed", detail: event.detail } as const);
  const ended = <T extends EpisodeRestart>(one: T): T =>
    one.result === undefined && one.target === target && one.replica === replica
      ? { ...one, ...outcome }
      : one;
  const restarts = (s.episode?.restarts ?? []).map(ended);
  const byHand = s.asked === undefined ? {} : { asked: ended(s.asked) };
  // Its time to come up goes on after a restart that went well; after one that failed there is nothing to wait for.
  const grace = event.kind === "restart_done" && upBy !== undefined ? { upBy } : {};
  return { ...rest, ...grace, ...byHand, restartEndedAt: at, ...told(s, { restarts }) };
}

/** A person's restart of something that does not fail; its later replicas belong to the same message. */
function asked(s: ProbeState, one: EpisodeRestart, seq: number, planned: boolean): Pick<ProbeState, "asked"> {
  if (planned || one.by.kind === "belay") return {};
  return { asked: { ...one, seq: one.replica === 0 ? seq : (s.asked?.seq ?? seq) } };
}
