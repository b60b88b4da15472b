/** The flag store that is an environment file: one write and one restart for all flags of an operation. */
import { dirname } from "node:path";
import type { FlagDef } from "../../core/plan.ts";
import type { Reading } from "../../core/rollout/desired.ts";
import { fromWire } from "../../core/setting.ts";
import {
  createTurns,
  type FlagAbilities,
  type FlagRehearsal,
  type Flags,
  messageOfFault,
  type Target,
} from "../../engine/ports.ts";
import { within } from "./deadline.ts";
import { type Found, readFound, replaceFile } from "./disk.ts";
import { createMemoStore, type Memo } from "./env-memo.ts";
import {
  EMPTY,
  type EnvFile,
  isEffective,
  lateFault,
  refuseImpossible,
  versionOf,
  writeAhead,
  writeAndRestart,
} from "./env-operation.ts";
import { variablesOf } from "./env-text.ts";

const DEFAULT_TIMEOUT_MS = 2_000;

export interface EnvFileStoreOptions {
  readonly path: string;
  readonly target: Target;
  /** How long one restart may take before the last working file comes back, ms. */
  readonly restartWithinMs: number;
  /** Folder for the last working file and for what Belay remembers of the file; the file's own folder when not given. */
  readonly stateDir?: string;
  /** Total deadline of one read, and of each piece of file work of a write, ms; 2 s when not given. */
  readonly timeoutMs?: number;
}

const ENV_CAN: FlagAbilities = {
  percent: false,
  values: true,
  creates: true,
  together: true,
  compareAndSet: true,
  keepsIntent: true,
  history: false,
  restarts: true,
};

/** Reads the file, makes a new one beside it that would fit in its place and removes that, and asks for the unit; a write would restart the service. */
async function rehearseEnv(env: EnvFile, flag: FlagDef): Promise<FlagRehearsal> {
  const problems: string[] = [];
  const began = performance.now();
  try {
    const found = await readFound(env.path);
    if (found.bytes === undefined) problems.push(`${env.path} does not exist`);
    else if (!variablesOf(found.bytes).has(flag.key)) problems.push(`${flag.key} is not in ${env.path}`);
    const { bytes = EMPTY, owner } = found;
    await within(env.timeoutMs, lateFault(env, "trying to write beside"), (signal) =>
      replaceFile(found.path, { bytes, expected: found.bytes, owner, signal, isTrial: true }),
    );
    if (!(await env.target.status()).running) problems.push(`what reads ${env.path} does not run`);
  } catch (error) {
    const why = messageOfFault(error);
    problems.push(why.includes(env.path) ? why : `${env.path}: ${why}`);
  }
  return { readMs: performance.now() - began, writeMs: undefined, problems, warnings: [] };
}

/**
 * Writes are taken one after the other; each may need two restarts of `restartWithinMs`. A write without `ifVersion` goes back: its values hold even
 * when the target does not come up, and a failing operation before it hurries. Percentages are refused. A key that the file does not name is absent.
 */
export function createEnvFileStore(options: EnvFileStoreOptions): Flags {
  const { path, target, restartWithinMs, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const memos = createMemoStore(options.stateDir ?? dirname(path), path);
  const turns = createTurns();
  let backwardWaiting = 0;
  let underWay = 0;
  const env: EnvFile = {
    path,
    target,
    memos,
    restartWithinMs,
    timeoutMs,
    backwardWaits: () => backwardWaiting > 0,
    restarts: { underWay: 0 },
  };

  async function readAll(flags: readonly FlagDef[]): Promise<Readonly<Record<string, Omit<Reading, "at">>>> {
    const [status, memo] = await Promise.all([target.status(), memos.read()]);
    // The file is read last: a process seen before that cannot have read a newer one.
    const found = await readFound(path);
    return readingsOf(found, flags, isEffective(found, status, memo, env.restarts.underWay), memo);
  }

  return {
    can: ENV_CAN,
    async history() {
      return [];
    },
    rehearse: (flag) => rehearseEnv(env, flag),
    async reach() {
      return [];
    },
    read: (flags) => within(timeoutMs, lateFault(env, "reading"), () => readAll(flags)),
    async write(writes) {
      refuseImpossible(path, writes);
      const waits = writes.some((write) => write.ifVersion === undefined) ? 1 : 0;
      backwardWaiting += waits;
      const backward = writes.filter((write) => write.ifVersion === undefined);
      const ahead = underWay > 0 && backward.length > 0 ? writeAhead(env, backward) : undefined;
      return turns(async () => {
        await ahead;
        backwardWaiting -= waits;
        underWay++;
        try {
          return await writeAndRestart(env, writes);
        } finally {
          underWay--;
        }
      });
    },
  };
}

function readingsOf(
  found: Found,
  flags: readonly FlagDef[],
  effective: boolean,
  memo: Memo,
): Readonly<Record<string, Omit<Reading, "at">>> {
  const version = versionOf(found);
  if (found.bytes === undefined || version === undefined) return {};
  const variables = variablesOf(found.bytes);
  const readings: Record<string, Omit<Reading, "at">> = {};
  for (const flag of flags) {
    const value = variables.get(flag.key);
    if (value === undefined) continue;
    const noted = Object.hasOwn(memo.intents, flag.key) ? memo.intents[flag.key] : undefined;
    const reading = { setting: fromWire(flag, { value }), version, effective };
    readings[flag.name] = noted?.wrote === value ? { ...reading, intent: noted.intent } : reading;
  }
  return readings;
}

/** The variables of an environment file, for a process that is started with them; none when the file is missing. Rejects with an `OutsideFault`. */
export async function readEnvironment(path: string): Promise<Readonly<Record<string, string>>> {
  const found = await readFound(path);
  return Object.fromEntries(variablesOf(found.bytes ?? EMPTY));
}
