/** What can be done to the import from outside: what goes wrong in large batches. Kept over restarts, since a restart mends no bug. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";

/**
 * What large batches do wrong. `slow`: they lock the readers of the database out while they run; `errors`: one record in twenty fails at first;
 * `corrupt`: one record in a thousand is stored with another amount.
 */
export const MISBEHAVIOURS = ["none", "slow", "errors", "corrupt"] as const;
export type Misbehaviour = (typeof MISBEHAVIOURS)[number];

/** The body of POST /control, and what is kept. */
export const controlSchema = z.strictObject({ misbehave: z.enum(MISBEHAVIOURS) });

export interface Control {
  readonly misbehaviour: () => Misbehaviour;
  /** Keeps it for the next start first; throws when that cannot be written. */
  readonly set: (misbehaviour: Misbehaviour) => void;
}

/** Begins with what the file says, else with none. */
export function createControl(path: string): Control {
  let now = read(path);
  return {
    misbehaviour: () => now,
    set: (misbehave) => {
      writeFileSync(`${path}.new`, JSON.stringify({ misbehave }), { mode: 0o600 });
      renameSync(`${path}.new`, path);
      now = misbehave;
    },
  };
}

function read(path: string): Misbehaviour {
  try {
    return controlSchema.parse(JSON.parse(readFileSync(path, "utf8"))).misbehave;
  } catch {
    // Missing before the first change; a broken one is worth no crash of its own.
    return "none";
  }
}
