/** What can be done to the bots from outside: how many users chat, how large the pool is, and what goes wrong. Kept over restarts, since a restart mends no bug. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";

/** What the new model does wrong: `errors`: its name is one that the model server does not have; `slow`: it makes ten times as many words. */
const MISBEHAVIOURS = ["none", "errors", "slow"] as const;

/** More would only show how many users one small process can pretend to be. */
const MOST_USERS = 150;
const MOST_CONNECTIONS = 100;

const controlSchema = z.strictObject({
  misbehave: z.enum(MISBEHAVIOURS),
  /** Whether conversations are kept in memory for good. */
  leak: z.boolean(),
  users: z.int().min(0).max(MOST_USERS),
  pool: z.int().min(1).max(MOST_CONNECTIONS),
});
/** The body of POST /control: what is to change. */
export const changeSchema = controlSchema.partial();

export type Settings = Readonly<z.output<typeof controlSchema>>;
export type Change = Readonly<z.output<typeof changeSchema>>;
/** Reads the answer of GET and POST /control. */
export const settingsSchema = controlSchema.readonly();

export interface Control {
  readonly now: () => Settings;
  /** Keeps the change for the next start first; throws when that cannot be written. */
  readonly change: (change: Change) => Settings;
  /** Calls back after every change. */
  readonly onChange: (listener: (now: Settings) => void) => void;
}

/** Begins with what the file says, else with `initial`. */
export function createControl(path: string | undefined, initial: Settings): Control {
  let now = (path === undefined ? undefined : read(path)) ?? initial;
  const listeners: ((now: Settings) => void)[] = [];
  return {
    now: () => now,
    change: (change) => {
      const next = controlSchema.parse({ ...now, ...change });
      if (path !== undefined) {
        writeFileSync(`${path}.new`, JSON.stringify(next), { mode: 0o600 });
        renameSync(`${path}.new`, path);
      }
      now = next;
      for (const listener of listeners) listener(now);
      return now;
    },
    onChange: (listener) => void listeners.push(listener),
  };
}

function read(path: string): Settings | undefined {
  try {
    return controlSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    // Missing before the first change; a broken one is worth no crash of its own.
    return undefined;
  }
}
