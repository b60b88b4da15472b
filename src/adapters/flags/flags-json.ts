/** The text of `flags.json`: parsed leniently where a person's hand shows, printed so that what it does not know is kept. */

import { createHash } from "node:crypto";
import { z } from "zod";
import type { FlagDef } from "../../core/plan.ts";
import { fromWire, type Setting, toWire } from "../../core/setting.ts";
import { messageOfFault } from "../../engine/ports.ts";

const MOST_TEXT = 200;
const DEFAULT_ON = "true";
const DEFAULT_OFF = "false";

/** People write `true` and `25` without quotes; a flag's value is text all the same. */
const literal = z.union([z.string(), z.boolean(), z.number()]).transform(String);

const entrySchema = z.looseObject({
  value: literal,
  percent: z.number().min(0).max(100).optional(),
  on: literal.optional(),
  off: literal.optional(),
  rev: z.number().int().nonnegative().optional(),
  intent: z.string().optional(),
  wrote: z.string().optional(),
});

const fileSchema = z.looseObject({
  version: z.number().int().nonnegative().optional(),
  written: z.number().optional().catch(undefined),
  edited: z.string().optional().catch(undefined),
  flags: z.record(z.string(), z.unknown()),
});

/** What one flag serves. With a `percent` (0-100), that share of targeting keys gets `on` and the rest `off`; else everybody gets `value`. */
export interface Served {
  readonly value: string;
  readonly percent?: number;
  readonly on: string;
  readonly off: string;
}

/** One entry of the file. `raw` is what stood there; an `odd` entry is one that makes no sense as a flag. */
export type Entry =
  | {
      readonly kind: "flag";
      readonly served: Served;
      readonly rev: number;
      readonly intent: string | undefined;
      readonly wrote: string | undefined;
      readonly raw: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "odd"; readonly raw: unknown };

export interface FlagsJson {
  /** Raised by one with each write. */
  readonly version: number;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Unix ms of Belay's last write, which is also the time that the file then bears: another time shows that somebody else saved it since. */
  readonly written?: number | undefined;
  /** A mark of the last time that somebody else saved the file; empty when nobody did. */
  readonly edited: string;
  /** Other top-level fields. */
  readonly others: Readonly<Record<string, unknown>>;
}

export const EMPTY: FlagsJson = { version: 0, entries: new Map(), edited: "", others: {} };

/** Why a text is no flags.json. `line` and `column` count from 1, where the place is known. */
export interface Broken {
  readonly kind: "broken";
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

export function parseFlagsJson(text: string): FlagsJson | Broken {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return locate(text, messageOfFault(error));
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    return {
      kind: "broken",
      message: 'expected an object with "flags", an object of flag keys',
      line: 1,
      column: 1,
    };
  }
  const { version = 0, written, edited = "", flags, ...others } = parsed.data;
  const entries = new Map(Object.entries(flags).map(([key, raw]) => [key, entryFrom(raw)] as const));
  return { version, entries, written, edited, others };
}

function entryFrom(raw: unknown): Entry {
  const parsed = entrySchema.safeParse(raw);
  if (!parsed.success) return { kind: "odd", raw };
  const { value, percent, on = DEFAULT_ON, off = DEFAULT_OFF, rev = 0, intent, wrote, ...rest } = parsed.data;
  const served = { value, on, off, ...(percent === undefined ? {} : { percent }) };
  return { kind: "flag", served, rev, intent, wrote, raw: rest };
}

/** Finds the place of a JSON mistake: V8 names it in most messages; for an unexpected token it is the end of the longest sound beginning. */
function locate(text: string, message: string): Broken {
  const named = /\(line (\d+) column (\d+)\)/.exec(message);
  if (named !== null) {
    const plain = message.replace(/( in JSON)? at position.*$/, "");
    return { kind: "broken", message: plain, line: Number(named[1]), column: Number(named[2]) };
  }
  if (!message.startsWith("Unexpected token"))
    return { kind: "broken", message, ...placeOf(text, text.length) };
  let sound = 0;
  let unsound = text.length;
  while (unsound - sound > 1) {
    const middle = Math.floor((sound + unsound) / 2);
    if (meetsBadToken(text.slice(0, middle))) unsound = middle;
    else sound = middle;
  }
  return { kind: "broken", message: message.replace(/, .*$/s, ""), ...placeOf(text, sound) };
}

function meetsBadToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return error instanceof Error && error.message.startsWith("Unexpected token");
  }
}

function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** A digest of what an entry serves; what wrote it and when does not count. */
export function digestOf(entry: Entry): string {
  const content =
    entry.kind === "odd"
      ? ["odd", entry.raw]
      : [entry.served.value, entry.served.percent ?? null, entry.served.on, entry.served.off];
  return createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);
}

/** The file as it stands when it bears this time (Unix ms): marked when somebody else than Belay saved it last. */
export function markedBy(file: FlagsJson, mtimeMs: number): FlagsJson {
  return file.written === mtimeMs ? file : { ...file, edited: mtimeMs.toString(36) };
}

/**
 * Changes with every write of Belay (`rev`), with every edit that changes what is served (the digest), and with every other save of the file: somebody
 * who turned a flag on and off again left the same digest behind.
 */
export function versionOf(file: FlagsJson, entry: Entry): string {
  return [
    entry.kind === "odd" ? 0 : entry.rev,
    digestOf(entry),
    ...(file.edited === "" ? [] : [file.edited]),
  ].join(".");
}

/** The intent of the last write, while the flag still serves what that intent wrote. */
export function intentOf(entry: Entry): string | undefined {
  return entry.kind === "flag" && entry.wrote === digestOf(entry) ? entry.intent : undefined;
}

/** The setting of a flag as its catalogue names it. What cannot be that flag's on, off or share is shown as a value, so that it is noticed. */
export function settingOf(flag: FlagDef, entry: Entry): Setting {
  if (entry.kind === "odd") return { kind: "value", value: JSON.stringify(entry.raw).slice(0, MOST_TEXT) };
  const { value, percent, on, off } = entry.served;
  if (percent === undefined) return fromWire(flag, { value });
  if (on === flag.on && off === flag.off) return fromWire(flag, { value: on, percent });
  return { kind: "value", value: `${percent}% ${on}, else ${off}`.slice(0, MOST_TEXT) };
}

/** The entry that says `setting`, written under `intent`, in place of `before`. */
export function entryOf(
  flag: FlagDef,
  setting: Setting,
  intent: string | undefined,
  before: Entry | undefined,
): Entry {
  const served: Served = { ...toWire(flag, setting), on: flag.on, off: flag.off };
  const known = before?.kind === "flag" ? before : undefined;
  const bare = { kind: "flag", served, rev: (known?.rev ?? 0) + 1, intent, raw: known?.raw ?? {} } as const;
  return { ...bare, wrote: intent === undefined ? undefined : digestOf({ ...bare, wrote: undefined }) };
}

export function printFlagsJson(file: FlagsJson): string {
  const flags = Object.fromEntries([...file.entries].map(([key, entry]) => [key, rawOf(entry)]));
  const edited = file.edited === "" ? undefined : file.edited;
  const whole = { version: file.version, written: file.written, edited, flags, ...file.others };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

function rawOf(entry: Entry): unknown {
  if (entry.kind === "odd") return entry.raw;
  const { served, rev, intent, wrote, raw } = entry;
  const { value, percent, on, off } = served;
  const usual = percent === undefined && on === DEFAULT_ON && off === DEFAULT_OFF;
  return {
    value,
    ...(percent === undefined ? {} : { percent }),
    ...(usual ? {} : { on, off }),
    rev,
    ...(intent === undefined ? {} : { intent }),
    ...(wrote === undefined ? {} : { wrote }),
    ...raw,
  };
}
