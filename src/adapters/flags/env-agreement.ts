/** What several instances that each have a flag file say together: what all agree on, or how they differ. */
import { createHash } from "node:crypto";
import type { FlagDef } from "../../core/plan.ts";
import type { Reading } from "../../core/rollout/desired.ts";
import { type Setting, sameSetting } from "../../core/setting.ts";

/** What one instance says of its flags, by flag name. */
export type InstanceReadings = Readonly<Record<string, Omit<Reading, "at"> | undefined>>;

const MOST_NAMED = 3;
const DISAGREEMENT = /^.+ at \d+ of \d+ \(.+\)$/s;

/**
 * The intent as the instances keep it during an operation that goes to one after the other: with the version over all at which it began, and the
 * instance's own version then. So a half-finished operation of ours is told from what people do.
 */
export const notedIntent = {
  from: (intent: string, versionOverAll: string): string => `${intent} of ${versionOverAll}`,
  at: (noted: string, ownVersion: string | undefined): string => `${noted} at ${ownVersion ?? ""}`,
};

interface Noted {
  readonly intent: string;
  readonly of?: string;
  readonly at?: string;
}

function notedOf(text: string): Noted {
  const [, intent, of, at] = /^(.*) of (\S+) at (\S*)$/s.exec(text) ?? [];
  return intent === undefined || of === undefined || at === undefined ? { intent: text } : { intent, of, at };
}

/** Whether a value is how instances differ, as `merged` says it. */
export function isDisagreement(value: string): boolean {
  return DISAGREEMENT.test(value);
}

/** Version of a flag over all instances: it changes whenever one of them does. Undefined when none of them has the flag. */
export function versionOver(
  names: readonly string[],
  readings: readonly InstanceReadings[],
  flag: FlagDef,
): string | undefined {
  const versions = readings.map((instance) => instance[flag.name]?.version);
  return versions.every((version) => version === undefined) ? undefined : digest(names, versions);
}

function digest(names: readonly string[], versions: readonly (string | undefined)[]): string {
  const text = names.map((name, index) => `${name}\n${versions[index] ?? ""}\n`).join("");
  return createHash("sha256").update(text).digest("hex").slice(0, 24);
}

/** A flag that no instance has is absent. Where they differ the setting is a value that says so, `on at 2 of 3 (off at c)`, and never effective. */
export function merged(
  names: readonly string[],
  readings: readonly InstanceReadings[],
  flags: readonly FlagDef[],
): Readonly<Record<string, Omit<Reading, "at">>> {
  const all: Record<string, Omit<Reading, "at">> = {};
  for (const flag of flags) {
    const version = versionOver(names, readings, flag);
    if (version === undefined) continue;
    const own = readings.map((instance) => instance[flag.name]);
    const setting = agreed(own);
    const intent = intentOf(names, own);
    all[flag.name] = {
      setting: setting ?? { kind: "value", value: disagreement(names, own) },
      version,
      effective: setting !== undefined && own.every((reading) => reading?.effective === true),
      ...(intent === undefined ? {} : { intent }),
    };
  }
  return all;
}

type Own = readonly (Omit<Reading, "at"> | undefined)[];

function agreed(own: Own): Setting | undefined {
  const first = own[0]?.setting;
  if (first === undefined) return undefined;
  return own.every((reading) => reading !== undefined && sameSetting(reading.setting, first))
    ? first
    : undefined;
}

/** The most frequent first, then who says what else. */
function disagreement(names: readonly string[], own: Own): string {
  const groups = new Map<string, string[]>();
  for (const [index, reading] of own.entries()) {
    const said = reading === undefined ? "absent" : wordOf(reading.setting);
    groups.set(said, [...(groups.get(said) ?? []), names[index] ?? ""]);
  }
  const [most, ...others] = [...groups].sort(([, a], [, b]) => b.length - a.length);
  if (most === undefined) return "absent";
  const rest = others.map(([said, who]) => `${said} at ${listed(who)}`).join(", ");
  return `${most[0]} at ${most[1].length} of ${names.length} (${rest})`;
}

function wordOf(setting: Setting): string {
  switch (setting.kind) {
    case "on":
    case "off":
      return setting.kind;
    case "percent":
      return `${setting.percent} %`;
    case "value":
      return setting.value;
  }
}

function listed(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  const shown = names.slice(0, MOST_NAMED).join(" and ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/**
 * The intent that wrote last: the one that all instances name; or the one of a forward operation that is half done, when everything that it has not
 * reached is still as it was when it began.
 */
function intentOf(names: readonly string[], own: Own): string | undefined {
  const notes = own.map((reading) => (reading?.intent === undefined ? undefined : notedOf(reading.intent)));
  const [first] = notes;
  if (first !== undefined && notes.every((note) => note?.intent === first.intent)) return first.intent;
  for (const note of notes) {
    if (note?.of === undefined) continue;
    const began = own.map((reading, index) => {
      const other = notes[index];
      return other?.intent === note.intent && other.of === note.of ? other.at : reading?.version;
    });
    if (digest(names, began) === note.of) return note.intent;
  }
  return undefined;
}
