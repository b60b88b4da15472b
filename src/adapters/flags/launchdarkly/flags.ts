/** LaunchDarkly as a flag system: flags read one by one, each written with one semantic patch that is applied whole or not at all. */
import type { FlagDef } from "../../../core/plan.ts";
import type { Reading } from "../../../core/rollout/desired.ts";
import { sameSetting } from "../../../core/setting.ts";
import {
  type FlagAbilities,
  type Flags,
  type FlagWrite,
  type Log,
  OutsideFault,
  type WriteResult,
} from "../../../engine/ports.ts";
import { type Api, type ApiOptions, createApi } from "./api.ts";
import { commentOf } from "./comment.ts";
import { reachOf } from "./reach.ts";
import { flagPage } from "./refusals.ts";
import { rehearseFlag } from "./rehearsal.ts";
import { type Bucketing, type Instruction, instructionsFor, settingOf } from "./settings.ts";
import { type FlagShape, versionOf } from "./shapes.ts";
import { createWriters, type Writers } from "./writers.ts";

/** What LaunchDarkly can. A semantic patch carries no precondition, so between the check of a version and the write somebody may get in. */
export const LAUNCHDARKLY_CAN: FlagAbilities = {
  percent: true,
  values: "listed",
  creates: false,
  together: false,
  compareAndSet: false,
  keepsIntent: true,
  history: true,
  restarts: false,
};

export interface LaunchDarklyOptions extends ApiOptions {
  readonly bucketing: Bucketing;
  readonly log: Log;
  /** Total deadline of each call, ms. */
  readonly callMs: number;
}

export interface LaunchDarklyFlags extends Flags {
  /** Ends what is under way; later calls are refused. */
  close(): void;
}

/** Everything that the calls share. */
interface Inside {
  readonly api: Api;
  readonly writers: Writers;
  readonly bucketing: Bucketing;
  readonly log: Log;
  /** Flags by key as last seen: an OFF is sent at once, without asking first how the flag is made. */
  readonly shapes: Map<string, FlagShape>;
  /** How many writes that go back have begun, by key: a forward one that began before gives way. */
  readonly backs: Map<string, number>;
  /** Archived flags that were told of. */
  readonly told: Set<string>;
}

export function createLaunchDarklyFlags(options: LaunchDarklyOptions): LaunchDarklyFlags {
  const { bucketing, log, callMs } = options;
  const api = createApi(options);
  let closed = false;
  const writers = createWriters(api, log, () => closed);
  const inside: Inside = {
    api,
    writers,
    bucketing,
    log,
    shapes: new Map(),
    backs: new Map(),
    told: new Set(),
  };

  /** Steady ms by which a call that begins now has ended. */
  function deadline(): number {
    if (closed)
      throw new OutsideFault("the connection to LaunchDarkly is closed; nothing was tried", {
        recoverable: false,
      });
    return performance.now() + callMs;
  }

  return {
    can: LAUNCHDARKLY_CAN,
    read: async (flags) => readAll(inside, flags, deadline()),
    write: async (writes) => writeAll(inside, writes, deadline()),
    history: async (flags, sinceWall) => writers.changes(flags, sinceWall, deadline()),
    async rehearse(flag) {
      if (!closed) return rehearseFlag(api, flag, bucketing, deadline());
      const problems = ["The connection to LaunchDarkly is closed."];
      return { readMs: 0, writeMs: undefined, problems, warnings: [] };
    },
    reach: async () => reachOf(api, writers, deadline()),
    close() {
      closed = true;
      api.close();
    },
  };
}

async function readAll(
  inside: Inside,
  flags: readonly FlagDef[],
  until: number,
): Promise<Readonly<Record<string, Omit<Reading, "at">>>> {
  const { api } = inside;
  const shapes = await Promise.all(flags.map(({ key }) => api.flag("read", key, until)));
  if (flags.length > 0 && shapes.every((shape) => shape === undefined)) await needProject(api, until);
  const readings = await Promise.all(
    flags.map(async (flag, index) => {
      const shape = shapes[index];
      return shape === undefined || isGone(inside, flag, shape)
        ? undefined
        : ([flag.name, await readingOf(inside, flag, shape, until)] as const);
    }),
  );
  return Object.fromEntries(readings.filter((reading) => reading !== undefined));
}

/** No flag at all was found: it may be the project that is not there. */
async function needProject(api: Api, until: number): Promise<void> {
  const { project, environment } = api.place;
  const environments = await api.environments(until);
  if (environments === undefined)
    throw new OutsideFault(
      `there is no project ${project} in LaunchDarkly, or Belay's token may not see it: check project in the provider of the flags file`,
      { recoverable: false },
    );
  if (environments.length > 0 && !environments.includes(environment))
    throw new OutsideFault(
      `the project ${project} of LaunchDarkly has no environment ${environment}; there are ${environments.join(", ")}: check environment in the provider of the flags file`,
      { recoverable: false },
    );
}

/** An archived flag is served to nobody: services fall back to their own default, as if there were none. */
function isGone({ api, log, told }: Inside, { key }: FlagDef, { archived, id }: FlagShape): boolean {
  if (!archived) {
    told.delete(key);
    return false;
  }
  if (!told.has(key))
    log.warn(`${key} is archived in LaunchDarkly, so services use their own default: restore it`, {
      flag: key,
      id,
      page: flagPage(api.place, key),
    });
  told.add(key);
  return true;
}

async function readingOf(
  inside: Inside,
  def: FlagDef,
  shape: FlagShape,
  until: number,
): Promise<Omit<Reading, "at">> {
  inside.shapes.set(def.key, shape);
  const { by, intent } = await inside.writers.of(def.key, shape, until);
  const setting = settingOf(def, shape);
  return {
    setting,
    version: versionOf(shape),
    // Rules and targets may serve it on while its default is off: it is off for everybody only when it is turned off.
    effective: setting.kind !== "off" || !shape.on || shape.rules + shape.targets === 0,
    id: shape.id,
    ...(intent === undefined ? {} : { intent }),
    ...(by === undefined ? {} : { by }),
  };
}

async function writeAll(
  inside: Inside,
  writes: readonly FlagWrite[],
  until: number,
): Promise<Readonly<Record<string, WriteResult>>> {
  const results = await Promise.all(
    writes.map((write) => {
      const job =
        write.ifVersion === undefined
          ? writeBackward(inside, write, until)
          : writeForward(inside, write, write.ifVersion, until);
      return job.catch((error: unknown): WriteResult => {
        if (error instanceof OutsideFault) return error;
        throw error;
      });
    }),
  );
  const [first] = results;
  const isOneCause = results.every(
    (result) =>
      result instanceof OutsideFault && first instanceof OutsideFault && result.message === first.message,
  );
  if (first instanceof OutsideFault && isOneCause) throw first;
  return Object.fromEntries(writes.map(({ flag }, index) => [flag.name, results[index] ?? "conflict"]));
}

async function writeForward(
  inside: Inside,
  write: FlagWrite,
  ifVersion: string,
  until: number,
): Promise<WriteResult> {
  const { api, backs } = inside;
  const { key } = write.flag;
  const before = backs.get(key);
  const shape = await api.flag("forward", key, until);
  // An OFF over a flag that is off is no new version; what was sent after it would win all the same.
  if (backs.get(key) !== before) return "conflict";
  if (shape?.archived === true) throw archivedFault(api, key);
  if (shape === undefined || versionOf(shape) !== ifVersion) return "conflict";
  const instructions = instructionsOf(inside, write, shape);
  const patch = { instructions, comment: commentOf(write) };
  took(inside, write, shape, await api.patch("forward", key, patch, until));
  return "written";
}

/**
 * Sent at once by what was last seen of the flag, and an OFF even of a flag that was never seen: turning off needs to know nothing of it. What cannot
 * be right any more is looked at anew, once.
 */
async function writeBackward(inside: Inside, write: FlagWrite, until: number): Promise<WriteResult> {
  const { api, backs, shapes } = inside;
  const { key } = write.flag;
  backs.set(key, (backs.get(key) ?? 0) + 1);
  const comment = commentOf(write);
  const send = (instructions: readonly Instruction[]): Promise<FlagShape> =>
    api.patch("backward", key, { instructions, comment, ignoreConflicts: true }, until);
  const known = shapes.get(key);
  const first = firstTry(inside, write, known);
  let refused: OutsideFault | undefined;
  if (first !== undefined) {
    try {
      const after = await send(first);
      took(inside, write, known, after);
      if (known !== undefined || sameSetting(settingOf(write.flag, after), write.setting)) return "written";
    } catch (error) {
      if (!(error instanceof OutsideFault) || error.recoverable) throw error;
      refused = error;
    }
  }
  const shape = await freshShape(inside, key, until, refused);
  const instructions = instructionsOf(inside, write, shape);
  if (refused !== undefined && JSON.stringify(instructions) === JSON.stringify(first)) throw refused;
  took(inside, write, shape, await send(instructions));
  return "written";
}

/** Undefined: the flag must be looked at first. */
function firstTry(
  { bucketing }: Inside,
  { flag, setting }: FlagWrite,
  known: FlagShape | undefined,
): readonly Instruction[] | undefined {
  if (known === undefined) return setting.kind === "off" ? [{ kind: "turnFlagOff" }] : undefined;
  const made = instructionsFor(flag, setting, known, bucketing);
  return made.kind === "instructions" ? made.instructions : undefined;
}

/** `otherwise`: what is thrown in place of the reading's own fault, because it says more. */
async function freshShape(
  { api, shapes }: Inside,
  key: string,
  until: number,
  otherwise: OutsideFault | undefined,
): Promise<FlagShape> {
  shapes.delete(key);
  const shape = await api.flag("backward", key, until).catch((error: unknown) => {
    throw otherwise ?? error;
  });
  if (shape === undefined)
    throw new OutsideFault(
      `there is no flag ${key} in the project ${api.place.project} of LaunchDarkly, so it cannot be changed: make it again, or turn the feature off in the service itself`,
      { recoverable: false },
    );
  if (shape.archived) throw archivedFault(api, key);
  return shape;
}

function instructionsOf({ bucketing }: Inside, write: FlagWrite, shape: FlagShape): readonly Instruction[] {
  const instructions = instructionsFor(write.flag, write.setting, shape, bucketing);
  if (instructions.kind === "instructions") return instructions.instructions;
  throw new OutsideFault(
    `${write.flag.key} in LaunchDarkly cannot be changed so, and nothing was: ${instructions.why}`,
    { recoverable: false },
  );
}

/** Remembers what a patch made of the flag. One that is not as asked for is looked at anew before the next write. */
function took(
  { shapes, writers }: Inside,
  write: FlagWrite,
  before: FlagShape | undefined,
  after: FlagShape,
): void {
  const { key } = write.flag;
  // Over a flag that was not seen nobody knows whether anything was changed: the log will say.
  if (before !== undefined) writers.wrote(key, after, write.intent, versionOf(before));
  if (sameSetting(settingOf(write.flag, after), write.setting)) shapes.set(key, after);
  else shapes.delete(key);
}

function archivedFault(api: Api, key: string): OutsideFault {
  return new OutsideFault(
    `${key} is archived in LaunchDarkly and nothing was changed: services use their own default for it; restore it (${flagPage(api.place, key)})`,
    { recoverable: false },
  );
}
