/** How the flags should be: the level that the engine makes true, whatever happened before. */
import { flagsOfStage, type Plan } from "../plan.ts";
import { type Setting, sameSetting } from "../setting.ts";
import type { FlipState, State } from "./state.ts";

/** What Belay wants of one flag. Backward wishes are enforced for ever; a forward wish is written once, by `writeBy`, over `version` only. */
export interface Wish {
  readonly flag: string;
  readonly setting: Setting;
  readonly intent: string;
  readonly direction: "forward" | "backward";
  readonly verified: boolean;
  /** Steady ms of the decision. */
  readonly at: number;
  readonly writeBy?: number;
  readonly version?: string;
  readonly careful?: true;
}

/**
 * The wishes of a rollout, in the order in which flags are to be taken back (newest stage first). Flags it never wrote, that people took over, or
 * that people were asked to set, have none; while it is held or going back, neither has an ON that was decided before and is not yet read back.
 */
export function desired(plan: Plan, state: State): readonly Wish[] {
  const flags = new Set(plan.stages.flatMap(flagsOfStage).reverse());
  const standsStill = state.phase !== "walking" || state.holds.length > 0;
  return [...flags].flatMap((flag) => {
    const flip = state.flips[flag];
    if (flip === undefined || flip.asked === true || state.overridden[flag] !== undefined) return [];
    return flip.direction === "forward" && flip.verifiedAt === undefined && standsStill
      ? []
      : [toWish(flag, flip)];
  });
}

function toWish(flag: string, flip: FlipState): Wish {
  const { careful, writeBy } = flip;
  const { version } = flip.flip;
  return {
    flag,
    setting: flip.flip.to,
    intent: flip.flip.intent,
    direction: flip.direction,
    verified: flip.verifiedAt !== undefined,
    at: flip.at,
    ...(careful === undefined ? {} : { careful }),
    ...(writeBy === undefined ? {} : { writeBy }),
    ...(version === undefined ? {} : { version }),
  };
}

/** What the service itself says of one flag: the literal it works with, and the steady instant (ms) at which it was asked. */
export interface ServiceView {
  readonly literal: string;
  readonly at: number;
}

/** A flag as its store shows it. `version` changes with every write; `intent` is the key of the last write, where the store keeps it. */
export interface Reading {
  readonly setting: Setting;
  readonly version: string;
  readonly intent?: string;
  /** False while the service still runs on an older value (env-file before its restart). */
  readonly effective: boolean;
  /** What tells this flag from another one of the same key: its creation date or id, where the store has one. */
  readonly id?: string;
  /** Who wrote it last, where the store says so; `own`: with the token that Belay uses. */
  readonly by?: { readonly name: string | undefined; readonly own: boolean };
  /** Steady ms at which the read began. */
  readonly at: number;
}

/** A write that would make the world match. `ifVersion` must still hold for a forward write. */
export interface Write {
  readonly flag: string;
  readonly setting: Setting;
  readonly intent: string;
  readonly direction: "forward" | "backward";
  readonly ifVersion?: string;
}

/** Whether somebody else turned off what was to go back to a setting that is not off: that is a decision. */
export function isOverruled(
  { intent, setting }: Pick<Wish, "intent" | "setting">,
  reading: Reading,
): boolean {
  const [run] = intent.split(".");
  const isOwn =
    reading.intent === undefined ? reading.by?.own === true : reading.intent.startsWith(`${run}.`);
  return setting.kind !== "off" && reading.setting.kind === "off" && !isOwn;
}

/**
 * The writes needed now; a wish that was read back needs none (what changes later is judged by `decide`, not fought here). A backward wish is
 * written until it is read back, also blindly when the flag cannot be read: a reading from before the decision proves nothing then. A forward wish is written only before its `writeBy`, on a reading
 * that is still at the version on which it was decided.
 */
export function neededWrites(
  wishes: readonly Wish[],
  readings: Readonly<Record<string, Reading | undefined>>,
  now: number,
  isReadable = true,
): readonly Write[] {
  const writes: Write[] = [];
  for (const wish of wishes) {
    const reading = readings[wish.flag];
    const { flag, setting, intent, direction } = wish;
    if (wish.verified) continue;
    if (wish.careful === true) {
      const isNew = reading !== undefined && reading.at >= wish.at;
      if (!isNew || isOverruled(wish, reading)) continue;
      if (!sameSetting(reading.setting, setting) || !reading.effective)
        writes.push({ flag, setting, intent, direction, ifVersion: reading.version });
      continue;
    }
    if (direction === "backward") {
      const isOld = reading !== undefined && reading.at < wish.at && !isReadable;
      if (reading === undefined || isOld || !sameSetting(reading.setting, setting) || !reading.effective)
        writes.push({ flag, setting, intent, direction });
      continue;
    }
    if (reading === undefined || wish.version === undefined) continue;
    if (wish.writeBy === undefined || now > wish.writeBy) continue;
    const landed = sameSetting(reading.setting, setting);
    if (landed ? reading.effective : reading.version !== wish.version) continue;
    writes.push({ flag, setting, intent, direction, ifVersion: landed ? reading.version : wish.version });
  }
  return writes;
}
