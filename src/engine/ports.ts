/** Every hole in the wall: what the engine needs of the outside world, as small interfaces that adapters and the simulation fill. */

import type { Recorded, RolloutEvent } from "../core/event.ts";
import type { Answer } from "../core/measurement.ts";
import type { FlagDef, Plan } from "../core/plan.ts";
import type { Rehearsal } from "../core/rehearsal.ts";
import type { Told } from "../core/report/told.ts";
import type { Reading } from "../core/rollout/desired.ts";
import type { State } from "../core/rollout/state.ts";
import type { Setting } from "../core/setting.ts";
import type { Now } from "../core/time.ts";
import type { Intake, MessageRef, OutboxDraft, OutboxItem } from "./messages.ts";

/** Time and chance. */
export interface Clock {
  now(): Now;
  /** Calls `act` once after `ms` of steady time; the returned function cancels it. */
  after(ms: number, act: () => void): () => void;
  /** A number in [0, 1), for jitter. */
  random(): number;
}

/** Names and hashes. */
export interface Ids {
  /** A short digest of a text, stable over restarts (sha256, hex). */
  hash(text: string): string;
}

/** Log records for operators of Belay; fields must hold no secrets. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** One absolute write to one flag. `ifVersion`: write only while the flag is still at this version. */
export interface FlagWrite {
  readonly flag: FlagDef;
  readonly setting: Setting;
  readonly intent: string;
  readonly ifVersion?: string;
  /** Who, what and why, for the flag system's own history: `Belay r-12 ingestion: parallel ON (stage parallel, asked by @ana)`. */
  readonly note?: string;
}

/**
 * `written`: accepted (not yet believed). `conflict`: the version had changed and nothing was written for this flag. A fault: this flag's outcome is
 * unknown, or final when the fault is not recoverable, and says nothing of the other flags.
 */
export type WriteResult = "written" | "conflict" | OutsideFault;

/** What a provider can do. What it cannot is refused with a fault that is not recoverable, never done by halves. */
export interface FlagAbilities {
  /** A flag can be on for a share of the users. */
  readonly percent: boolean;
  /** A flag can hold any value; `listed`: only those that the flag system lists for it. */
  readonly values: boolean | "listed";
  /** A write creates a flag that is not there. */
  readonly creates: boolean;
  /** Flags written in one operation change together. */
  readonly together: boolean;
  /** The check of `ifVersion` and the write are one step; else somebody may get in between. */
  readonly compareAndSet: boolean;
  /** The store keeps the intent of the last write, over restarts of Belay. */
  readonly keepsIntent: boolean;
  /** The store keeps who changed a flag and when. */
  readonly history: boolean;
  /** A write restarts the service. */
  readonly restarts: boolean;
}

/** One change of one flag, as the flag system's own history has it. */
export interface FlagChange {
  readonly flag: string;
  /** Unix ms. */
  readonly wall: number;
  /** Who did it, by the flag system's name for them; undefined where it does not say. */
  readonly by: string | undefined;
  /** Whether it was done with the token that Belay uses. */
  readonly own: boolean;
  /** What happened, as the end of a sentence: `turned off in production`. */
  readonly what: string;
  /** It was created, archived, moved ...: nothing that gave a flag another setting. */
  readonly isLife?: true;
}

/** A try of the way back on one flag that changes nothing. Times in ms. */
export interface FlagRehearsal {
  readonly readMs: number;
  /** The time of a write of the value that is there already; undefined where even that would not be harmless. */
  readonly writeMs: number | undefined;
  /** Why a rollback of this flag would fail, each a sentence; none when it would not. */
  readonly problems: readonly string[];
  /** What is worth knowing and stops nothing. */
  readonly warnings: readonly string[];
}

/**
 * One flag system, for the flags of one flags file. Every call has a total deadline of its own and rejects with an `OutsideFault`;
 * after a rejected write the outcome is unknown and must be read.
 */
export interface Flags {
  readonly can: FlagAbilities;
  /**
   * All flags of the catalogue, read together from where they are written, past any cache: what it says is the verification of a write. A flag the
   * store does not hold is absent. `at` of each reading is filled by the engine.
   */
  read(flags: readonly FlagDef[]): Promise<Readonly<Record<string, Omit<Reading, "at">>>>;
  /**
   * Writes all changes at once: as one operation where the store can (one file, one restart), else in parallel in the order given, none of them waiting
   * for another. Results by flag name. Rejects when all of them failed for one cause.
   */
  write(writes: readonly FlagWrite[]): Promise<Readonly<Record<string, WriteResult>>>;
  /** Changes of these flags since `sinceWall` (Unix ms), by whomever, oldest first; none where the store keeps no history. */
  history(flags: readonly FlagDef[], sinceWall: number): Promise<readonly FlagChange[]>;
  /** Whether this flag could be taken back: permissions, reads and times, without any effect. Rejects never: what fails is a problem. */
  rehearse(flag: FlagDef): Promise<FlagRehearsal>;
  /** What the token may do besides flipping these flags, each a sentence for a warning at the start; none where it may nothing else. */
  reach(): Promise<readonly string[]>;
}

/** Where rehearsals are kept besides the journal, for those who do not open it. */
export interface RehearsalShelf {
  /** Keeps the newest rehearsal of a rollout. Rejects with an `OutsideFault`. */
  save(rehearsal: Rehearsal): Promise<void>;
}

/** The process or unit that must restart before a flag written to an environment file takes effect. */
export interface Target {
  /** Restarts and waits until it runs; rejects with an `OutsideFault` when it is not up in its time. */
  restart(): Promise<void>;
  /** Whether it runs, and since when (wall ms). */
  status(): Promise<{ readonly running: boolean; readonly startedAt: number | undefined }>;
}

/** What the service itself says of its flags: literals by flag name; a flag it does not mention is absent. */
export interface ServiceViewPort {
  read(flags: readonly FlagDef[]): Promise<Readonly<Record<string, string>>>;
}

/** Prometheus or anything that speaks its query API. Never rejects: what fails is an `Answer` of kind `down`. */
export interface Metrics {
  /**
   * An instant query evaluated at `atWall` (Unix ms); the body is the decoded JSON. `lookbackMs`: a series whose last sample is older counts as gone; without
   * it that is for Prometheus to say (five minutes, as it ships).
   */
  query(promql: string, atWall: number, lookbackMs?: number): Promise<Answer>;
  /** A range query; the points of all series at each step become one instant answer per step, in order. Rejects never. */
  queryRange(
    promql: string,
    fromWall: number,
    toWall: number,
    stepMs: number,
    lookbackMs?: number,
  ): Promise<RangeAnswer>;
}

export type RangeAnswer =
  | {
      readonly kind: "points";
      readonly points: readonly { readonly wall: number; readonly answer: Answer }[];
    }
  | Extract<Answer, { kind: "down" }>;

/** The outside of one flags file: its store, the service's view, and its metrics. */
export interface Service {
  readonly flags: Flags;
  readonly view?: ServiceViewPort;
  /** Where OFFs are also written when `flags` cannot be reached: a kill-switch file, or an environment file with its restart. */
  readonly lever?: Flags;
  readonly metrics: Metrics;
  /** How often the store is read when nothing is owed, ms. */
  readonly readEveryMs: number;
}

/** A failure of something outside; `recoverable` means that the same call may succeed later. */
export class OutsideFault extends Error {
  readonly recoverable: boolean;
  /** ms to wait before the next try, when the other side said so. */
  readonly retryAfterMs: number | undefined;
  constructor(
    message: string,
    options: {
      readonly recoverable: boolean;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OutsideFault";
    this.recoverable = options.recoverable;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** One evidence row: a guard over one minute of one run. */
export interface EvidenceRow {
  readonly run: string;
  readonly guard: string;
  /** Wall ms of the minute's start. */
  readonly minute: number;
  readonly polls: number;
  readonly values: number;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly last: number | undefined;
  /** Polls by verdict. */
  readonly verdicts: Readonly<Record<string, number>>;
}

/** One commit: everything that one decision changes, all or nothing. */
export interface Commit {
  readonly run: string;
  /** The revision this decision was made on; the commit fails with `conflict` when the journal has another. 0 for a new run. */
  readonly expected: number;
  readonly events: readonly Recorded[];
  readonly state: State;
  /** For a new run: its frozen plan, and the claims that no other live run may hold. */
  readonly begin?: { readonly plan: Plan; readonly claims: readonly string[] };
  /** Whether the run has ended and its claims are released. */
  readonly ended: boolean;
  /** Whether any of it goes forward: such a commit never takes the room that is kept for going back. */
  readonly forward: boolean;
  readonly outbox: readonly OutboxDraft[];
  /** Every intake that this commit answers; marked done in the same transaction. */
  readonly intakes: readonly string[];
}

export type CommitResult =
  | { readonly kind: "ok" }
  | { readonly kind: "conflict" }
  | { readonly kind: "claimed"; readonly claim: string; readonly run: string };

export interface StoredRun {
  readonly plan: Plan;
  readonly state: State;
}

/**
 * The durable memory. Each method is one transaction; all reject with an `OutsideFault` when the store is gone, and then nothing was changed
 * as far as the journal knows (a commit's outcome is then unknown and is read back).
 */
export interface Journal {
  /** Stores an intake; false when its key is known already (a second delivery). */
  accept(intake: Intake): Promise<boolean>;
  /** Intakes accepted and not yet answered, oldest first. */
  unanswered(): Promise<readonly Intake[]>;
  /** Marks an intake as answered and queues the answer, without touching a run. */
  answer(key: string, outbox: readonly OutboxDraft[]): Promise<void>;
  /** A new run id: short, never used before. */
  newRunId(): Promise<string>;
  commit(commit: Commit): Promise<CommitResult>;
  /** Live and stuck runs and ended ones that still lock a flag, oldest first. */
  openRuns(): Promise<readonly StoredRun[]>;
  run(id: string): Promise<StoredRun | undefined>;
  /** The newest run of a rollout, live or not. */
  lastRunOf(rollout: string): Promise<StoredRun | undefined>;
  events(run: string, fromSeq?: number): Promise<readonly Recorded[]>;
  /**
   * Events of all runs since a wall instant (Unix ms), oldest first: the newest `most` of them, of these kinds where kinds are given. Those of one instant
   * in the order in which they were committed.
   */
  eventsSince(
    wall: number,
    most: number,
    kinds?: readonly RolloutEvent["kind"][],
  ): Promise<readonly { readonly run: string; readonly recorded: Recorded }[]>;
  /** Undelivered outbox items, oldest first. */
  pending(): Promise<readonly OutboxItem[]>;
  /** Records that a delivery is about to be tried; from here on its outcome may be unknown. */
  attempted(id: number): Promise<void>;
  /** Marks this generation of an item delivered (a newer one stays pending); `ref` is remembered under its key. */
  delivered(item: Pick<OutboxItem, "id" | "generation" | "key">, ref: MessageRef | undefined): Promise<void>;
  refOf(key: string): Promise<MessageRef | undefined>;
  saveEvidence(rows: readonly EvidenceRow[]): Promise<void>;
  evidence(run: string): Promise<readonly EvidenceRow[]>;
  /** Small durable values: the steady clock's base, the last time Belay was seen alive. */
  setMeta(key: string, value: string): Promise<void>;
  meta(key: string): Promise<string | undefined>;
}

/** One decision in the spool: its events, and the commands that it answers with the answers to them. */
export interface Spooled {
  readonly run: string;
  readonly events: readonly Recorded[];
  readonly intakes: readonly string[];
  readonly answers: readonly OutboxDraft[];
}

/**
 * The last resort when the journal is gone: backward decisions, kept in an append-only file until the journal takes them.
 * `append` must not throw; a spool that cannot be written is reported by its log.
 */
export interface Spool {
  append(decision: Spooled): void;
  /** Everything appended and not yet cleared, oldest first. */
  read(): readonly Spooled[];
  clear(run: string): void;
}

/** What a chat adapter renders from, at the moment of sending. */
export type RunView = Told;

/**
 * A chat. Rejects with `OutsideFault`; a rejected call may have been applied, which is why every message carries its key.
 * `view` is the run as it is now, for the kinds that show one.
 */
export interface Chat {
  /** Sends a new message, or finds the one already sent under this key when an earlier try may have been applied. */
  post(
    item: OutboxItem,
    view: RunView | undefined,
    thread: MessageRef | undefined,
  ): Promise<MessageRef | undefined>;
  /** Edits a message in place. `view` is undefined only for a post, which says all that it shows. */
  update(ref: MessageRef, item: OutboxItem, view: RunView | undefined): Promise<void>;
}

/** What a thrown value says, in one line. */
export function messageOfFault(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Runs jobs strictly one after the other, in the order in which they came; a job that fails does not stop the next one. */
export type Turns = <T>(job: () => Promise<T>) => Promise<T>;

/** The queue of a run's decisions, of a store's writes and of a target's restarts. */
export function createTurns(): Turns {
  let tail: Promise<unknown> = Promise.resolve();
  return <T>(job: () => Promise<T>): Promise<T> => {
    const mine = tail.then(job);
    tail = mine.catch(() => undefined);
    return mine;
  };
}
