/** One write to an environment file: the file, the restart, and the last working file back when the target does not come up. */
import { setTimeout as delay } from "node:timers/promises";
import { toWire } from "../../core/setting.ts";
import { type FlagWrite, OutsideFault, type Target, type WriteResult } from "../../engine/ports.ts";
import { within } from "./deadline.ts";
import { type Found, readFound, replaceEvenWhenFull, replaceFile, sweepLeftOvers } from "./disk.ts";
import { digestOf, type Memo, type MemoStore } from "./env-memo.ts";
import { isVariable, variablesOf, withVariables } from "./env-text.ts";

const MOST_TRIES = 100;
/** The kernel may date a file up to one tick (10 ms) too early; a process that started this much after that date has surely read the file. */
const FILE_CLOCK_MS = 11;
/** A process that Belay has not seen come up is believed once it has lived for this long: what exits at once runs for a moment, too. */
const YOUNG_MS = 500;

export const EMPTY: Buffer = Buffer.alloc(0);

/** What an operation works with. */
export interface EnvFile {
  readonly path: string;
  readonly target: Target;
  readonly memos: MemoStore;
  /** How long one restart may take, ms. */
  readonly restartWithinMs: number;
  /** Deadline of each piece of file work, ms. */
  readonly timeoutMs: number;
  /** Whether an operation that goes back waits for this one to end. */
  readonly backwardWaits: () => boolean;
  /** How many restarts of this store are under way. */
  readonly restarts: { underWay: number };
}

type Results = Readonly<Record<string, WriteResult>>;
type Literals = ReadonlyMap<string, string>;

/** What is to be done when the file has been written. */
interface Job {
  readonly found: Found;
  readonly writes: readonly FlagWrite[];
  readonly next: Buffer;
  /** Whether some of it goes back; those values hold whatever becomes of the restart. */
  readonly backward: boolean;
  /** What comes back when the target is not up with `next`. */
  readonly fallback: Buffer;
  readonly results: Results;
}

/**
 * Writes all flags and restarts once. Rejects with an `OutsideFault`: recoverable when nothing was changed or the same write may succeed later; not
 * recoverable when the last working file came back.
 */
export async function writeAndRestart(env: EnvFile, writes: readonly FlagWrite[]): Promise<Results> {
  const prepared = await within(env.timeoutMs, lateFault(env, "writing"), (signal) =>
    prepare(env, writes, signal),
  );
  if (!("next" in prepared)) return prepared.results;
  try {
    await restart(env);
  } catch (error) {
    throw await takenBack(env, prepared, error);
  }
  await noteRun(env, prepared.next);
  return prepared.results;
}

/**
 * Puts the values of a way back into the file while the restart of an operation before it is still under way: what starts at its end then starts with
 * them, and one restart, with its drain, does for both. Only a help: the way back itself follows and tells what is wrong.
 */
export async function writeAhead(env: EnvFile, writes: readonly FlagWrite[]): Promise<void> {
  await quietly(() =>
    within(env.timeoutMs, lateFault(env, "writing"), async (signal) => {
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        const found = await readFound(env.path);
        if (found.bytes === undefined) return;
        const next = changed(env.path, found.bytes, literalsOf(writes));
        const wanted = { bytes: next, expected: found.bytes, owner: found.owner, signal };
        if (next.equals(found.bytes) || (await replaceEvenWhenFull(found.path, wanted))) return;
      }
    }),
  );
}

export function lateFault(env: Pick<EnvFile, "path" | "timeoutMs">, doing: string): () => OutsideFault {
  return () =>
    new OutsideFault(`${doing} ${env.path} took longer than ${env.timeoutMs} ms`, { recoverable: true });
}

/** Rejects what an environment cannot hold: percentages, and keys or values that are no variable. */
export function refuseImpossible(path: string, writes: readonly FlagWrite[]): void {
  for (const write of writes) {
    if (write.setting.kind === "percent") {
      const why = "an environment is the same for everybody";
      throw new OutsideFault(`${path} cannot hold a percentage (${write.flag.name}): ${why}`, {
        recoverable: false,
      });
    }
    if (!isVariable(write.flag.key, literalOf(write))) {
      const why = "its key or its value is not possible in an environment";
      throw new OutsideFault(`${path} cannot hold ${write.flag.key}: ${why}`, { recoverable: false });
    }
  }
}

/** Version of the file, and so of each of its flags; undefined when there is no file. */
export function versionOf(found: Found): string | undefined {
  return found.bytes === undefined
    ? undefined
    : `${digestOf(found.bytes).slice(0, 16)}.${found.mtimeNs.toString(36)}`;
}

type Status = Awaited<ReturnType<Target["status"]>>;

/**
 * Whether the process that runs has read this file. Of a process that Belay saw come up the file it read is known; of another one the file's date tells,
 * once it has lived for a moment (see `youngForMs`). While Belay restarts it, what runs is either the old one or one that is not up yet.
 */
export function isEffective(found: Found, status: Status, memo: Memo, restarts = 0): boolean {
  const { running, startedAt } = status;
  if (!running || startedAt === undefined || found.bytes === undefined) return false;
  if (memo.ran?.startedAt === startedAt) return memo.ran.digest === digestOf(found.bytes);
  if (restarts > 0 || youngForMs(status, memo) > 0) return false;
  return startedAt >= Number(found.mtimeNs) / 1e6 + FILE_CLOCK_MS;
}

/** How much longer nobody can tell whether this process stays up, ms; 0 for one that Belay saw come up, and for one whose start the clock has in the future. */
export function youngForMs({ running, startedAt }: Status, memo: Memo): number {
  if (!running || startedAt === undefined || memo.ran?.startedAt === startedAt) return 0;
  const ageMs = Date.now() - Math.floor(startedAt);
  return ageMs < 0 ? 0 : Math.max(0, YOUNG_MS - ageMs);
}

async function prepare(
  env: EnvFile,
  writes: readonly FlagWrite[],
  signal: AbortSignal,
): Promise<Job | { readonly results: Results }> {
  await sweepLeftOvers(env.path);
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const found = await readFound(env.path);
    const { accepted, results } = judged(found, writes);
    if (accepted.length === 0) return { results };
    const bytes = found.bytes ?? EMPTY;
    const backward = literalsOf(accepted.filter((write) => write.ifVersion === undefined));
    const next = changed(env.path, bytes, literalsOf(accepted));
    const works = found.bytes !== undefined && (await worksWith(env, found, backward.size > 0));
    if (works && next.equals(bytes)) {
      await quietly(() => noteIntents(env, accepted));
      return { results };
    }
    const working = works ? bytes : ((await env.memos.lastWorking()) ?? bytes);
    const fallback = changed(env.path, working, backward);
    await keepNotes(env, accepted, fallback, found, backward.size > 0);
    const wanted = { bytes: next, expected: found.bytes, owner: found.owner, signal };
    // Blanks at the end mean nothing here either, unless somebody left a quote open.
    const replace = backward.size > 0 ? replaceEvenWhenFull : replaceFile;
    const written = next.equals(bytes) || (await replace(found.path, wanted));
    if (written) return { found, writes: accepted, next, backward: backward.size > 0, fallback, results };
  }
  throw new OutsideFault(`${env.path} is being changed by somebody else all the time; nothing was written`, {
    recoverable: true,
  });
}

function judged(
  found: Found,
  writes: readonly FlagWrite[],
): { readonly accepted: readonly FlagWrite[]; readonly results: Results } {
  const version = versionOf(found);
  const accepted = writes.filter(({ ifVersion }) => ifVersion === undefined || ifVersion === version);
  const results = writes.map(
    (write) => [write.flag.name, accepted.includes(write) ? "written" : "conflict"] as const,
  );
  return { accepted, results: Object.fromEntries(results) };
}

/** The bytes with these literals, looked at again: a text that would not say what was asked is never written. */
function changed(path: string, bytes: Buffer, literals: Literals): Buffer {
  const next = withVariables(bytes, literals);
  const read = variablesOf(next);
  for (const [key, literal] of literals) {
    if (read.get(key) === literal) continue;
    throw new OutsideFault(`${path} cannot be changed so that ${key} is ${literal}: its text is too odd`, {
      recoverable: false,
    });
  }
  return next;
}

/** Whether the target runs with this very file. Unknown counts as no where a rollback must go on. */
async function worksWith(env: EnvFile, found: Found, goOn: boolean): Promise<boolean> {
  try {
    const [status, memo] = await Promise.all([env.target.status(), env.memos.read()]);
    const youngMs = youngForMs(status, memo);
    if (youngMs === 0) return isEffective(found, status, memo);
    // Started by somebody else just now: restarted once more only when it does not stay up.
    await delay(youngMs);
    return isEffective(found, await env.target.status(), memo);
  } catch (error) {
    if (goOn && error instanceof OutsideFault) return false;
    throw error;
  }
}

/** Keeps the last working file and the intents before anything is changed; going back does not wait for notes that cannot be kept. */
async function keepNotes(
  env: EnvFile,
  accepted: readonly FlagWrite[],
  fallback: Buffer,
  found: Found,
  goOn: boolean,
): Promise<void> {
  const keep = async (): Promise<void> => {
    await env.memos.keepWorking(fallback, found.owner);
    await noteIntents(env, accepted);
  };
  await (goOn ? quietly(keep) : keep());
}

async function noteIntents(env: EnvFile, writes: readonly FlagWrite[]): Promise<void> {
  const memo = await env.memos.read();
  const noted = writes.map(
    (write) => [write.flag.key, { intent: write.intent, wrote: literalOf(write) }] as const,
  );
  await env.memos.write({ ...memo, intents: { ...memo.intents, ...Object.fromEntries(noted) } });
}

/** The intents whose values did not last, as the writers of what the last working file says instead. */
async function noteTakenBack(env: EnvFile, { writes, fallback }: Job): Promise<void> {
  const memo = await env.memos.read();
  const back = variablesOf(fallback);
  const noted = writes.flatMap(({ flag, intent }) => {
    const wrote = back.get(flag.key);
    return wrote === undefined ? [] : [[flag.key, { intent, wrote }] as const];
  });
  await env.memos.write({ ...memo, intents: { ...memo.intents, ...Object.fromEntries(noted) } });
}

async function restart(env: EnvFile): Promise<void> {
  const slow = () =>
    new OutsideFault(`the restart took longer than ${env.restartWithinMs} ms`, { recoverable: true });
  env.restarts.underWay++;
  try {
    await within(env.restartWithinMs, slow, () => env.target.restart());
  } finally {
    env.restarts.underWay--;
  }
}

/**
 * Remembers which file the process that runs now has read, unless somebody changed it meanwhile. The operation has succeeded by then: a note that
 * cannot be kept costs at most one more restart.
 */
async function noteRun(env: EnvFile, bytes: Buffer): Promise<void> {
  await quietly(() =>
    within(env.timeoutMs, lateFault(env, "noting the restart of"), async () => {
      const { running, startedAt } = await env.target.status();
      const found = await readFound(env.path);
      if (!running || startedAt === undefined || !found.bytes?.equals(bytes)) return;
      await env.memos.write({ ...(await env.memos.read()), ran: { startedAt, digest: digestOf(bytes) } });
      await env.memos.keepWorking(bytes, found.owner);
    }),
  );
}

/** Brings the last working file back after a restart that failed; returns what to reject with. */
async function takenBack(env: EnvFile, job: Job, cause: unknown): Promise<unknown> {
  if (!(cause instanceof OutsideFault)) return cause;
  const begun = `${env.path} was written, but ${cause.message}`;
  const { found, next, fallback } = job;
  if (fallback.equals(next)) {
    const then = job.backward
      ? "the flags are taken back in the file, which stays so: mend what keeps the service from coming up, Belay restarts it again and again"
      : "no other file is known to work, so it stays as written";
    return new OutsideFault(`${begun}; ${then}`, {
      recoverable: true,
      cause,
    });
  }
  const put = await within(
    env.timeoutMs,
    lateFault(env, "putting the last working file back to"),
    async (signal) => {
      await quietly(() => env.memos.keepFailed(next, found.owner));
      // Noted before the file says so: nobody but Belay has changed these flags back.
      await quietly(() => noteTakenBack(env, job));
      return replaceFile(found.path, { bytes: fallback, expected: next, owner: found.owner, signal });
    },
  );
  if (!put)
    return new OutsideFault(`${begun}; somebody changed it meanwhile, so it stays as it is`, {
      recoverable: false,
      cause,
    });
  const done = `${begun}; the last working file is back${job.backward ? ", with the flags taken back in it" : ""}`;
  // Whoever waits to go back restarts with its own file in a moment.
  if (env.backwardWaits()) return new OutsideFault(done, { recoverable: false, cause });
  try {
    await restart(env);
  } catch (again) {
    if (!(again instanceof OutsideFault)) return again;
    return new OutsideFault(`${done}, but not even with that: ${again.message}`, {
      recoverable: false,
      cause: again,
    });
  }
  await noteRun(env, fallback);
  return new OutsideFault(`${done} and the target runs with it`, { recoverable: false, cause });
}

async function quietly(job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
  }
}

function literalOf(write: FlagWrite): string {
  return toWire(write.flag, write.setting).value;
}

function literalsOf(writes: readonly FlagWrite[]): Literals {
  return new Map(writes.map((write) => [write.flag.key, literalOf(write)]));
}
