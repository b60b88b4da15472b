/** What the contract suite of `Flags` asks of whoever wants to pass it: the flags it plays with, and what stands outside of the adapter. */

import type { FlagDef } from "../../src/core/plan.ts";
import type { Setting } from "../../src/core/setting.ts";
import {
  type FlagAbilities,
  type Flags,
  type FlagWrite,
  OutsideFault,
  type WriteResult,
} from "../../src/engine/ports.ts";
import type { FaultProxy } from "./fault-proxy.ts";
import { shapesOf } from "./faults.ts";

export const PARALLEL: FlagDef = flagDef("parallel", "FEATURE_PARALLEL");
export const BATCHING: FlagDef = flagDef("batching", "FEATURE_BATCHING");
/** Its values in a system that lists them: 10, 1000 and 500000. */
export const LIMIT: FlagDef = flagDef("limit", "BATCH_LIMIT", { on: "500000", off: "10" });
export const LIMIT_VALUES: readonly string[] = ["10", "1000", "500000"];
export const ALL: readonly FlagDef[] = [PARALLEL, BATCHING, LIMIT];

export function flagDef(name: string, key: string, more: Partial<FlagDef> = {}): FlagDef {
  return { name, key, on: "true", off: "false", requires: [], undo: "flip", ...more };
}

/**
 * One flag system with its adapter, made anew (or put back) for each test: FEATURE_PARALLEL and FEATURE_BATCHING exist and are off; BATCH_LIMIT has
 * the values 10, 1000 and 500000 to choose from and is at 10, except where `can.creates`: there it is absent.
 *
 * Literals here are what is served to everybody: `true`, `500000`; for a share of the users, `12.5 %`.
 */
export interface FlagsUnderTest {
  /** Another client of the same flags, through `proxy` where there is one. */
  readonly open: () => Flags;
  /** What a person does in the flag system itself: gives this key this literal. Another author than Belay. */
  readonly person: (key: string, literal: string) => Promise<void>;
  /** What the system serves to everybody, read around the adapter and the proxy; undefined for a flag that is not there. */
  readonly literal: (key: string) => Promise<string | undefined>;
  /** Tokens that may appear in no fault. */
  readonly secrets?: readonly string[];
  /** Between the adapter and its server. */
  readonly proxy?: FaultProxy;
  /** Archives the flag, as a person does. */
  readonly archive?: (key: string) => Promise<void>;
  /** Deletes the flag and makes another one of the same key, which is off. */
  readonly recreate?: (key: string) => Promise<void>;
  /** A client that points to an environment that is not there. */
  readonly elsewhere?: () => Flags;
  /** Protects the environment: from now on a change needs somebody's approval. `allow` ends it. */
  readonly protect?: () => Promise<void>;
  /** Takes the token's rights away. `allow` gives them back. */
  readonly revoke?: () => Promise<void>;
  /** Ends what `protect` and `revoke` began. */
  readonly allow?: () => Promise<void>;
  /** A flag that is there, whose literals do not fit its type there. */
  readonly mistyped?: FlagDef;
  /** What an SDK of the system sees. */
  readonly seen?: (key: string) => Promise<string | undefined>;
  readonly close: () => Promise<void>;
}

/** What a flag system may lack. */
export type Extra =
  | "proxy"
  | "archive"
  | "recreate"
  | "elsewhere"
  | "protect"
  | "revoke"
  | "mistyped"
  | "seen";

export interface FlagsKind {
  /** What the adapter can; the suite checks that `open().can` says the same, and tests each ability or its refusal. */
  readonly can: FlagAbilities;
  /**
   * Why something of `FlagsUnderTest` is not there, as the end of "because ...": `{ archive: "a file has no archive" }`. It stands in the titles of the
   * tests; what is not named here must be there.
   */
  readonly lacks: Readonly<Partial<Record<Extra, string>>>;
}

/** What no flags on a disk have. */
export const ON_DISK_LACKS: FlagsKind["lacks"] = {
  proxy: "it is a file on this disk",
  archive: "a file has no archive",
  recreate: "a file keeps no date or id of a flag",
  elsewhere: "a file has no environments",
  protect: "a file asks nobody for approval",
  revoke: "a file takes no token",
  mistyped: "a file holds any text",
  seen: "a file has no SDK",
};

/** What each group of the suite works with; the functions speak of the test that runs. */
export interface Ground {
  readonly kind: FlagsKind;
  readonly under: () => FlagsUnderTest;
  readonly flags: () => Flags;
}

let intents = 0;

/** A write under an intent of its own. */
export function put(flag: FlagDef, setting: Setting, ifVersion?: string): FlagWrite {
  intents++;
  const write = { flag, setting, intent: `r7.${intents}.${flag.name}` };
  return ifVersion === undefined ? write : { ...write, ifVersion };
}

/** What became of each write, by flag name; a rejection is the fault of all of them. */
export async function outcomes(
  flags: Flags,
  writes: readonly FlagWrite[],
): Promise<Readonly<Record<string, WriteResult>>> {
  try {
    return await flags.write(writes);
  } catch (error) {
    if (!(error instanceof OutsideFault)) throw error;
    return Object.fromEntries(writes.map((write) => [write.flag.name, error]));
  }
}

/** The fault among the outcomes; throws, saying what there was, when it is none. */
export function faultIn(results: Readonly<Record<string, WriteResult>>, flag: FlagDef): OutsideFault {
  const result = results[flag.name];
  if (result instanceof OutsideFault) return result;
  throw new Error(`expected a fault of ${flag.name}, found ${JSON.stringify(result)}`);
}

/** Which of the secrets a careless log of this fault would show. */
export function leaked(fault: Error, secrets: readonly string[]): readonly string[] {
  const shapes = shapesOf(fault);
  return secrets.filter((secret) => shapes.includes(secret));
}
