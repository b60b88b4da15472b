/** Every hole in the wall: what the engine needs of the outside world, as small interfaces that adapters and the simulation fill. */
import type { Actor, Recorded } from "../core/event.ts";
import type { Answer } from "../core/measurement.ts";
import type { PageRequest, PagerChange } from "../core/oncall/page.ts";
import type { FlagDef, Plan } from "../core/plan.ts";
import type { Offer } from "../core/refusal.ts";
import type { Alert, AlertKind, Told } from "../core/report/told.ts";
import type { Reading } from "../core/rollout/desired.ts";
import type { State } from "../core/rollout/state.ts";
import type { Setting } from "../core/setting.ts";
import type { Now } from "../core/time.ts";

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
}

/** `written`: accepted (not yet believed). `conflict`: the version had changed and nothing was written for this flag. */
export type WriteResult = "written" | "conflict";

/**
 * One flag store, for the flags of one flags file. Every call has a total deadline of its own and rejects with an `OutsideFault`;
 * after a rejected write the outcome is unknown and must be read.
 */
export interface FlagStore {
  /** All flags of the catalogue, read together; a flag the store does not hold is absent. `at` of each reading is filled by the engine. */
  read(flags: readonly FlagDef[]): Promise<Readonly<Record<string, Omit<Reading, "at">>>>;
  /** Writes all changes as one operation where the store can (one file, one restart). Results by flag name. */
  write(writes: readonly FlagWrite[]): Promise<Readonly<Record<string, WriteResult>>>;
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
  /** An instant query evaluated at `atWall` (Unix ms); the body is the decoded JSON. */
  query(promql: string, atWall: number): Promise<Answer>;
  /** A range query; the points of all series at each step become one instant answer per step, in order. Rejects never. */
  queryRange(promql: string, fromWall: number, toWall: number, stepMs: number): Promise<RangeAnswer>;
}

export type RangeAnswer =
  | {
      readonly kind: "points";
      readonly points: readonly { readonly wall: number; readonly answer: Answer }[];
    }
  | Extract<Answer, { kind: "down" }>;

/** The outside of one flags file: its store, the service's view, and its metrics. */
export interface Service {
  readonly flags: FlagStore;
  readonly view?: ServiceViewPort;
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

/** Where a command came from and where its answer goes; plain data, so that it survives a restart. */
export type ReplyTo =
  | { readonly kind: "slack"; readonly responseUrl: string; readonly user: string; readonly channel: string }
  | {
      readonly kind: "slack_mention";
      readonly user: string;
      readonly channel: string;
      readonly thread?: string;
    }
  | { readonly kind: "none" };

/** A command as accepted: durable before it is acknowledged. `key` makes a second delivery of it harmless. */
export interface Intake {
  readonly key: string;
  readonly text: string;
  /** The noun that the slash command already said. */
  readonly noun?: "rollout" | "belay";
  readonly actor: Actor;
  readonly replyTo: ReplyTo;
  /** The run's `face` that a button showed; a forward command with another one is stale. */
  readonly seen?: { readonly run: string; readonly face: number };
  readonly at: number;
  readonly wall: number;
}

/** Lanes are delivered independently: rollbacks and approvals; private answers; cards and notes; what goes to on-call and its pager. */
export type Lane = "urgent" | "answer" | "normal" | "page";

/**
 * A message to be delivered at least once, and shown once: `key` finds it again after a lost reply. A draft under a known key does not make a
 * second message: it raises `generation`, and the message already sent is edited to show the run as it is now.
 */
export interface OutboxItem {
  readonly id: number;
  readonly run: string | undefined;
  readonly key: string;
  readonly lane: Lane;
  readonly generation: number;
  readonly attempts: number;
  readonly body: Notice;
  readonly wall: number;
}

/** A message before it has an id. */
export type OutboxDraft = Omit<OutboxItem, "id" | "attempts" | "generation"> & {
  /** It may have been sent without the journal: the first try counts as a second one, so that it is looked for. */
  readonly maybeSent?: true;
};

/** What is announced; adapters render it for their medium from the run as it is when the message is sent. */
export type Notice =
  /** The one card of a run: posted once, then edited in place. */
  | { readonly kind: "card"; readonly run: string; readonly channel: string }
  /** A thread reply under the card. */
  | {
      readonly kind: "note";
      readonly run: string;
      readonly channel: string;
      readonly seq: number;
      readonly text: string;
    }
  /** A message of its own, because it must notify: rollbacks, approvals, reviews, pages, holds that need a person. `seq` is the number of the event it tells of. */
  | {
      readonly kind: "alert";
      readonly run: string;
      readonly channel: string;
      readonly seq: number;
      readonly about: AlertKind;
    }
  /** A message that belongs to no run: an incident, a degraded service, the daily post. It says all that it shows. */
  | {
      readonly kind: "post";
      readonly channel: string;
      readonly post: Alert;
      /** Mentions on-call. */
      readonly mention: boolean;
    }
  /** Handed to the on-call desk, which opens an incident under its key. */
  | { readonly kind: "page"; readonly page: PageRequest }
  /** For the pager's timeline of changes. */
  | { readonly kind: "change"; readonly change: PagerChange }
  /** The private answer to a command. */
  | { readonly kind: "answer"; readonly replyTo: ReplyTo; readonly answer: CommandAnswer };

/** What a command is answered with. `text` is whole sentences; `blocks` carry structured output (status, plan, history). */
export interface CommandAnswer {
  readonly ok: boolean;
  readonly code: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly offers: readonly Offer[];
  readonly run?: string;
}

/** Where a delivered message is: `channel` and `ts` as Slack has them. */
export interface MessageRef {
  readonly channel: string;
  readonly ts: string;
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
