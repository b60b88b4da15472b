/** One flag store made of several environment files, one for each host or replica: forward one after the other, back all at once. */
import type { FlagDef } from "../../core/plan.ts";
import {
  createTurns,
  type FlagAbilities,
  type FlagRehearsal,
  type Flags,
  type FlagWrite,
  messageOfFault,
  OutsideFault,
  type WriteResult,
} from "../../engine/ports.ts";
import { type InstanceReadings, isDisagreement, merged, notedIntent, versionOver } from "./env-agreement.ts";

/** One environment file with what it restarts; `name` is how messages call it. */
export interface EnvInstance {
  readonly name: string;
  readonly flags: Flags;
}

type Results = Readonly<Record<string, WriteResult>>;

/** A forward operation under way. */
interface Walk {
  /** Writes that were accepted, with what each instance said before; none while that is still being read. */
  accepted: readonly FlagWrite[];
  before: readonly InstanceReadings[];
  /** Instances that it has begun to write to. */
  reached: number;
  /** A way back came: it ends here, and that way back also takes along what this one had written. */
  gaveWay: boolean;
}

/**
 * A write with `ifVersion` goes to one instance after the other and stops at the first that fails; those before are brought back. A write without goes
 * to all at once and waits for no forward one; it rejects, naming the instances that are left, and a repeated one restarts only those.
 */
export function createEnvInstancesStore(stores: readonly EnvInstance[]): Flags {
  const turns = createTurns();
  let walk: Walk | undefined;

  async function forward(writes: readonly FlagWrite[]): Promise<Results> {
    const mine: Walk = { accepted: [], before: [], reached: 0, gaveWay: false };
    walk = mine;
    try {
      return await walkForward(stores, mine, writes);
    } finally {
      walk = undefined;
    }
  }

  async function backward(writes: readonly FlagWrite[]): Promise<Results> {
    const along = takenAlong(walk, writes);
    if (walk !== undefined) walk.gaveWay = true;
    const conditional = await judgeConditional(stores, writes);
    const own = writes.filter((write) => !(write.flag.name in conditional.refused));
    await atOnce(stores, (_, index) => [
      ...own.map((write) => forInstance(write, conditional.before[index])),
      ...(along[index] ?? []),
    ]);
    const written = own.map((write) => [write.flag.name, "written"] as const);
    return { ...Object.fromEntries(written), ...conditional.refused };
  }

  return {
    can: abilitiesOf(stores),
    async read(flags) {
      return merged(namesOf(stores), await readEach(stores, flags), flags);
    },
    async write(writes) {
      refuseDisagreements(writes);
      if (writes.length === 0) return {};
      const isForward = writes.every((write) => write.ifVersion !== undefined);
      return isForward ? turns(() => forward(writes)) : backward(writes);
    },
    async history(flags, sinceWall) {
      const all = await Promise.all(stores.map((store) => store.flags.history(flags, sinceWall)));
      return all.flat().toSorted((a, b) => a.wall - b.wall);
    },
    rehearse: (flag) => rehearseAll(stores, flag),
    async reach() {
      const all = await Promise.all(stores.map((store) => store.flags.reach()));
      return [...new Set(all.flat())];
    },
  };
}

function namesOf(stores: readonly EnvInstance[]): readonly string[] {
  return stores.map(({ name }) => name);
}

function flagsOf(writes: readonly FlagWrite[]): readonly FlagDef[] {
  return writes.map(({ flag }) => flag);
}

/** What all of them can. */
function abilitiesOf(stores: readonly EnvInstance[]): FlagAbilities {
  const all = (ability: (can: FlagAbilities) => boolean): boolean =>
    stores.every(({ flags }) => ability(flags.can));
  return {
    percent: false,
    values: all((can) => can.values === true),
    creates: all((can) => can.creates),
    together: all((can) => can.together),
    compareAndSet: all((can) => can.compareAndSet),
    keepsIntent: all((can) => can.keepsIntent),
    history: all((can) => can.history),
    restarts: stores.some(({ flags }) => flags.can.restarts),
  };
}

/** What each instance says; nothing is known while one of them cannot be read. */
async function readEach(
  stores: readonly EnvInstance[],
  flags: readonly FlagDef[],
): Promise<readonly InstanceReadings[]> {
  return Promise.all(
    stores.map(async (store) => {
      try {
        return await store.flags.read(flags);
      } catch (error) {
        throw named(store, error);
      }
    }),
  );
}

function named({ name }: EnvInstance, error: unknown): unknown {
  if (!(error instanceof OutsideFault)) return error;
  const { message, recoverable, retryAfterMs } = error;
  const told = message.includes(name) ? message : `${name}: ${message}`;
  return new OutsideFault(told, { recoverable, retryAfterMs, cause: error });
}

/** How the instances disagree is told as a value; it is none that a service could work with. */
function refuseDisagreements(writes: readonly FlagWrite[]): void {
  for (const { flag, setting } of writes) {
    if (setting.kind !== "value" || !isDisagreement(setting.value)) continue;
    const why = "that is how the instances differed, not a value; set the flag by hand to what it should be";
    throw new OutsideFault(`${flag.name} cannot be set to "${setting.value}": ${why}`, {
      recoverable: false,
    });
  }
}

function stillAt(
  stores: readonly EnvInstance[],
  before: readonly InstanceReadings[],
  { flag, ifVersion }: FlagWrite,
): boolean {
  return ifVersion === undefined || versionOver(namesOf(stores), before, flag) === ifVersion;
}

/** Of an operation that goes back: which of its writes with `ifVersion` may go along. One that cannot be judged stays behind; the others do not wait. */
async function judgeConditional(
  stores: readonly EnvInstance[],
  writes: readonly FlagWrite[],
): Promise<{ readonly before: readonly InstanceReadings[]; readonly refused: Results }> {
  const conditional = writes.filter((write) => write.ifVersion !== undefined);
  if (conditional.length === 0) return { before: [], refused: {} };
  const all = (result: WriteResult, of: readonly FlagWrite[]): Results =>
    Object.fromEntries(of.map(({ flag }) => [flag.name, result]));
  try {
    const before = await readEach(stores, flagsOf(conditional));
    const late = conditional.filter((write) => !stillAt(stores, before, write));
    return { before, refused: all("conflict", late) };
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
    return { before: [], refused: all(error, conditional) };
  }
}

/** The write as one instance gets it: over that instance's own version. */
function forInstance(write: FlagWrite, before: InstanceReadings | undefined): FlagWrite {
  const { ifVersion, ...rest } = write;
  const version = before?.[write.flag.name]?.version;
  return ifVersion === undefined || version === undefined ? rest : { ...rest, ifVersion: version };
}

async function walkForward(
  stores: readonly EnvInstance[],
  walk: Walk,
  writes: readonly FlagWrite[],
): Promise<Results> {
  const before = await readEach(stores, flagsOf(writes));
  const accepted = writes.filter((write) => stillAt(stores, before, write));
  const results = (of: WriteResult): Results =>
    Object.fromEntries(writes.map((write) => [write.flag.name, accepted.includes(write) ? of : "conflict"]));
  if (accepted.length === 0) return results("conflict");
  refuseAbsent(stores, before, accepted);
  walk.before = before;
  walk.accepted = noted(stores, before, accepted);
  for (const [index, store] of stores.entries()) {
    if (walk.gaveWay) throw gaveWay();
    walk.reached = index + 1;
    const step = walk.accepted.map((write) => ({
      ...forInstance(write, before[index]),
      intent: notedIntent.at(write.intent, before[index]?.[write.flag.name]?.version),
    }));
    const fault = await stepFault(store, step);
    if (fault === undefined) continue;
    if (walk.gaveWay) throw gaveWay();
    // A conflict wrote nothing there; after a fault nobody knows.
    const left = await bringBack(stores, walk, fault === "conflict" ? index : index + 1);
    if (fault === "conflict" && left.length === 0) return results("conflict");
    throw stepFailed(stores, store, fault, left);
  }
  return results("written");
}

/** The writes with intents that tell, on each instance, which version of all of them the operation began at. */
function noted(
  stores: readonly EnvInstance[],
  before: readonly InstanceReadings[],
  accepted: readonly FlagWrite[],
): readonly FlagWrite[] {
  return accepted.map((write) => ({
    ...write,
    intent: notedIntent.from(write.intent, versionOver(namesOf(stores), before, write.flag) ?? ""),
  }));
}

function refuseAbsent(
  stores: readonly EnvInstance[],
  before: readonly InstanceReadings[],
  accepted: readonly FlagWrite[],
): void {
  for (const { flag } of accepted) {
    const without = stores.filter((_, index) => before[index]?.[flag.name] === undefined);
    if (without.length === 0) continue;
    throw new OutsideFault(
      `${flag.key} is not in ${namesOf(without).join(", ")}; add it there as ${flag.key}=${flag.off}. Nothing was changed`,
      { recoverable: false },
    );
  }
}

/** Why this instance did not take the writes; undefined when it did. */
async function stepFault(
  { flags }: EnvInstance,
  step: readonly FlagWrite[],
): Promise<OutsideFault | "conflict" | undefined> {
  try {
    const results = Object.values(await flags.write(step));
    return results.find((result) => result !== "written");
  } catch (error) {
    if (error instanceof OutsideFault) return error;
    throw error;
  }
}

function gaveWay(): OutsideFault {
  return new OutsideFault("stopped half-way: a rollback came in between and took back what was written", {
    recoverable: true,
  });
}

function stepFailed(
  stores: readonly EnvInstance[],
  failed: EnvInstance,
  fault: OutsideFault | "conflict",
  left: readonly string[],
): OutsideFault {
  const earlier = namesOf(stores.slice(0, stores.indexOf(failed)));
  const why =
    fault === "conflict"
      ? `${failed.name} was changed by somebody meanwhile`
      : messageOfFault(named(failed, fault));
  const back = earlier.length === 0 ? "no other instance was changed" : `${earlier.join(", ")} as before`;
  const told = left.length === 0 ? back : `not brought back: ${left.join("; ")}`;
  const { recoverable, retryAfterMs } =
    fault === "conflict" ? { recoverable: true, retryAfterMs: undefined } : fault;
  return new OutsideFault(`${why}; ${told}`, { recoverable, retryAfterMs, cause: fault });
}

/**
 * Brings the first `reached` instances back as they were, the newest first and one after the other, so that the others go on serving. Returns why some
 * are not, each with its name.
 */
async function bringBack(
  stores: readonly EnvInstance[],
  walk: Walk,
  reached: number,
): Promise<readonly string[]> {
  const left: string[] = [];
  for (let index = reached - 1; index >= 0 && !walk.gaveWay; index--) {
    const store = stores[index];
    if (store === undefined) continue;
    try {
      const now = await store.flags.read(flagsOf(walk.accepted));
      // What reads otherwise was brought back already, or is somebody's own doing.
      const ours = priorWrites(walk, index).filter(({ flag, intent }) => now[flag.name]?.intent === intent);
      if (ours.length > 0) await store.flags.write(ours);
    } catch (error) {
      if (!(error instanceof OutsideFault)) throw error;
      left.push(messageOfFault(named(store, error)));
    }
  }
  return left;
}

/** What takes one instance back to what it said before the operation, whatever becomes of its restart. */
function priorWrites(walk: Walk, index: number): readonly FlagWrite[] {
  return walk.accepted.flatMap(({ flag, intent }) => {
    const prior = walk.before[index]?.[flag.name];
    if (prior === undefined) return [];
    return [{ flag, setting: prior.setting, intent: notedIntent.at(intent, prior.version) }];
  });
}

/** By instance: what a forward operation under way had written to it and this way back does not write itself. One restart does for both. */
function takenAlong(walk: Walk | undefined, writes: readonly FlagWrite[]): readonly (readonly FlagWrite[])[] {
  if (walk === undefined || walk.gaveWay) return [];
  const asked = new Set(writes.map(({ flag }) => flag.name));
  return Array.from({ length: walk.reached }, (_, index) =>
    priorWrites(walk, index).filter(({ flag }) => !asked.has(flag.name)),
  );
}

/** Writes to all instances at once, each by itself. Rejects when some are left, naming them and telling that the others are done. */
async function atOnce(
  stores: readonly EnvInstance[],
  writesOf: (store: EnvInstance, index: number) => readonly FlagWrite[],
): Promise<void> {
  const outcomes = await Promise.all(
    stores.map(async (store, index) => {
      const writes = writesOf(store, index);
      const fault = writes.length === 0 ? undefined : await stepFault(store, writes);
      return { store, fault };
    }),
  );
  const failed = outcomes.filter(({ fault }) => fault !== undefined);
  const [first] = failed;
  if (first?.fault === undefined) return;
  const whys = failed.map(({ store, fault }) =>
    fault instanceof OutsideFault
      ? messageOfFault(named(store, fault))
      : `${store.name} was changed by somebody meanwhile`,
  );
  const faults = failed.flatMap(({ fault }) => (fault instanceof OutsideFault ? [fault] : []));
  const waits = faults.flatMap(({ retryAfterMs }) => (retryAfterMs === undefined ? [] : [retryAfterMs]));
  throw new OutsideFault(
    `${failed.length} of ${stores.length} instances left: ${[...new Set(whys)].join("; ")}`,
    {
      // What one instance refuses for good does not end the tries of another.
      recoverable: faults.length < failed.length || faults.some(({ recoverable }) => recoverable),
      retryAfterMs: waits.length === 0 ? undefined : Math.min(...waits),
      cause: first.fault,
    },
  );
}

async function rehearseAll(stores: readonly EnvInstance[], flag: FlagDef): Promise<FlagRehearsal> {
  const all = await Promise.all(
    stores.map(async (store) => ({ store, result: await store.flags.rehearse(flag) })),
  );
  const tell = (of: (result: FlagRehearsal) => readonly string[]): readonly string[] => [
    ...new Set(
      all.flatMap(({ store, result }) =>
        of(result).map((text) => (text.includes(store.name) ? text : `${store.name}: ${text}`)),
      ),
    ),
  ];
  const problems = [...tell((result) => result.problems)];
  if (problems.length === 0) {
    const odd = await disagreementOf(stores, flag).catch((error: unknown) => messageOfFault(error));
    if (odd !== undefined) problems.push(odd);
  }
  const writeTimes = all.flatMap(({ result }) => (result.writeMs === undefined ? [] : [result.writeMs]));
  return {
    readMs: Math.max(0, ...all.map(({ result }) => result.readMs)),
    writeMs: writeTimes.length < all.length ? undefined : Math.max(0, ...writeTimes),
    problems,
    warnings: tell((result) => result.warnings),
  };
}

/** Where the instances do not agree nobody can say what a rollback leads back to. */
async function disagreementOf(stores: readonly EnvInstance[], flag: FlagDef): Promise<string | undefined> {
  const reading = merged(namesOf(stores), await readEach(stores, [flag]), [flag])[flag.name];
  if (reading?.setting.kind !== "value" || !isDisagreement(reading.setting.value)) return undefined;
  return `the instances do not agree: ${flag.key} is ${reading.setting.value}; set it the same everywhere first`;
}
