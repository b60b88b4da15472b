/** A rehearsal of the way back: what was found when each flag's rollback was tried without effect, whether a rollout may start on it, and how it is told. */
import { z } from "zod";
import type { FlagDef, Plan } from "./plan.ts";
import { flagsOfStage } from "./plan.ts";
import type { Reading } from "./rollout/desired.ts";
import { leverPlace } from "./rollout/lever.ts";
import { viewAgrees } from "./rollout/world.ts";
import { formatSetting } from "./setting.ts";
import { formatDuration, MINUTE, type Now } from "./time.ts";

/** A start needs a good rehearsal that is at most this old, ms. */
export const FRESH_MS = 10 * MINUTE;
/** Problems and warnings that an answer tells; a flag system that is gone would otherwise be told once for each flag. */
const MOST_TOLD = 5;

const flagSchema = z.object({
  flag: z.string(),
  key: z.string(),
  /** ms to read the flag; undefined when that failed. */
  readMs: z.number().optional(),
  /** ms to write the value that was there; undefined when that failed or would not have been harmless. */
  writeMs: z.number().optional(),
  /** ms until the service said how it works with its flags; undefined where it was not asked. */
  viewMs: z.number().optional(),
  service: z.enum(["agrees", "differs", "silent", "unasked"]),
  /** The flag system did not say how it is. */
  unread: z.literal(true).optional(),
  /** What tells the flag from another one of the same key. */
  id: z.string().optional(),
  /** Why a rollback of this flag would fail. */
  problems: z.array(z.string()).readonly(),
  /** Why nobody could tell that a rollback of this flag took effect. */
  unseen: z.array(z.string()).readonly(),
  warnings: z.array(z.string()).readonly(),
});

const schema = z.object({
  rollout: z.string(),
  /** Of the plan that was rehearsed; of another plan it says nothing. */
  planHash: z.string(),
  /** Steady ms of its end. */
  at: z.number(),
  /** Unix ms of its end. */
  wall: z.number(),
  tookMs: z.number(),
  /** Nothing was written, because Belay only observes. */
  observed: z.boolean(),
  flags: z.array(flagSchema).readonly(),
  /** What is wrong with all of it. */
  problems: z.array(z.string()).readonly(),
  warnings: z.array(z.string()).readonly(),
  /** The slowest flag: to write, to read back, and to see at the service, ms; undefined when one of them was not measured. */
  flipMs: z.number().optional(),
  /** Steady ms since which rehearsals of this plan have found that a rollback would fail. */
  badSince: z.number().optional(),
});

export type RehearsedFlag = Readonly<z.output<typeof flagSchema>>;
export type Rehearsal = Readonly<z.output<typeof schema>>;

/** A rehearsal as it was written down; undefined when it is none. */
export function parseRehearsal(found: unknown): Rehearsal | undefined {
  const parsed = schema.safeParse(found);
  return parsed.success ? parsed.data : undefined;
}

/** A try of the way back on one flag, as the flag system's adapter has it. Times in ms. */
export interface Tried {
  readonly readMs: number;
  readonly writeMs: number | undefined;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** What the engine found; by flag name. A `string` in place of something is why it could not be had. */
export interface Findings {
  readonly readings: Readonly<Record<string, Omit<Reading, "at"> | undefined>> | string;
  /** Empty when nothing was tried because Belay only observes. */
  readonly tried: Readonly<Record<string, Tried | undefined>>;
  /** Undefined without a second lever. */
  readonly lever: Readonly<Record<string, Tried | undefined>> | undefined;
  /** Flags that the second lever holds off now. */
  readonly leverHolds: readonly string[];
  /** Undefined where the service has no view of its own. */
  readonly view:
    | { readonly ms: number; readonly literals: Readonly<Record<string, string>> }
    | string
    | undefined;
  /** Why Prometheus does not answer; undefined when it does. */
  readonly metricsFault: string | undefined;
  readonly observed: boolean;
  readonly tookMs: number;
}

/** The flags that a plan's stages set, each once. */
export function rehearsedFlags(plan: Plan): readonly FlagDef[] {
  const names = new Set(plan.stages.flatMap(flagsOfStage));
  return [...names].flatMap((name) => plan.flags[name] ?? []);
}

/** Judges what was found. `before`: the newest rehearsal of this rollout until now. */
export function judgeRehearsal(
  plan: Plan,
  planHash: string,
  found: Findings,
  before: Rehearsal | undefined,
  now: Now,
): Rehearsal {
  const flags = rehearsedFlags(plan).map((flag) => judgeFlag(plan, flag, found, before));
  const flipMs = slowest(flags, found);
  const isBad = flags.some(({ problems }) => problems.length > 0);
  const badSince = before?.planHash === planHash ? (before.badSince ?? now.steady) : now.steady;
  return {
    rollout: plan.rollout,
    planHash,
    at: now.steady,
    wall: now.wall,
    tookMs: found.tookMs,
    observed: found.observed,
    flags,
    problems: wholeProblems(plan, found),
    warnings: leverWarnings(found),
    ...(flipMs === undefined ? {} : { flipMs }),
    ...(isBad ? { badSince } : {}),
  };
}

function judgeFlag(
  plan: Plan,
  { name, key, undo }: FlagDef,
  found: Findings,
  before: Rehearsal | undefined,
): RehearsedFlag {
  const tried = found.tried[name];
  const reading = typeof found.readings === "string" ? undefined : found.readings[name];
  const isUnread = typeof found.readings === "string" && tried?.problems.length !== 0;
  // Who was asked about this very flag knows best why it is not there: archived, say.
  const isToldOf = tried?.problems.some((text) => isNamed(key, text)) === true;
  const isMissing = typeof found.readings !== "string" && reading === undefined && !isToldOf;
  const seen = seenBy(plan, name, reading, found.view);
  const id = reading?.id;
  const known = before?.flags.find((one) => one.key === key)?.id;
  const isAnother = id !== undefined && known !== undefined && id !== known;
  const problems = [
    ...(isMissing
      ? [`${key} is not in the flag system: create it there, or correct \`key\` of ${name} in the flags file`]
      : []),
    ...(tried === undefined && !found.observed ? ["it was not tried"] : (tried?.problems ?? [])),
  ];
  return {
    flag: name,
    key,
    ...(tried === undefined || tried.problems.length > 0 ? {} : { readMs: tried.readMs }),
    ...(tried?.writeMs === undefined ? {} : { writeMs: tried.writeMs }),
    ...(typeof found.view === "object" ? { viewMs: found.view.ms } : {}),
    service: seen.service,
    ...(isUnread ? { unread: true as const } : {}),
    ...(id === undefined ? {} : { id }),
    problems: [...new Set(problems)],
    unseen: seen.unseen,
    warnings: [
      ...seen.warnings,
      ...(isAnother ? [`${key} is not the flag it was at the last rehearsal: it was made anew since`] : []),
      ...(undo === "data" || undo === "none"
        ? [`${key} can only be taken back by a person (undo: ${undo})`]
        : []),
      ...(tried?.warnings ?? []),
    ],
  };
}

/** Whether the text names the key as a word of its own. */
function isNamed(key: string, text: string): boolean {
  return text.split(/[^A-Za-z0-9_.-]+/).some((word) => word === key || word.replace(/\.+$/, "") === key);
}

type Seen = Pick<RehearsedFlag, "service" | "unseen" | "warnings">;

/** Whether the service works with what the flag system says. Only what was asked and answered can disagree. */
function seenBy(
  plan: Plan,
  flag: string,
  reading: Omit<Reading, "at"> | undefined,
  view: Findings["view"],
): Seen {
  if (view === undefined || typeof view === "string" || reading === undefined)
    return { service: "unasked", unseen: [], warnings: [] };
  const key = plan.flags[flag]?.key ?? flag;
  const { setting, effective } = reading;
  const says = formatSetting(setting);
  const literal = view.literals[flag];
  if (!effective)
    return {
      service: "unasked",
      unseen: [],
      warnings: [
        `${key} is ${says} where it is written, and the service still runs on what was there before: it has not been restarted since`,
      ],
    };
  if (literal === undefined) {
    const text = `the service does not mention ${key}`;
    return setting.kind === "off"
      ? {
          service: "silent",
          unseen: [],
          warnings: [`${text}: that a flip of it took effect may not be seen there`],
        }
      : { service: "silent", unseen: [`${text}, which is ${says}`], warnings: [] };
  }
  if (viewAgrees(plan, flag, setting, { literal, at: 0 }))
    return { service: "agrees", unseen: [], warnings: [] };
  return {
    service: "differs",
    unseen: [
      `the service works with ${key} = ${literal} while the flag system says ${says}: a rollback might not reach it`,
    ],
    warnings: [],
  };
}

function wholeProblems(
  plan: Plan,
  { leverHolds, readings, view, metricsFault }: Findings,
): readonly string[] {
  const held = leverHolds.map((flag) => plan.flags[flag]?.key ?? flag);
  return [
    ...(held.length === 0
      ? []
      : [`the second lever (${leverPlace(plan)}) holds ${listed(held)} off: set it on there first`]),
    ...(typeof readings === "string" ? [`the flag system cannot be read: ${readings}`] : []),
    ...(typeof view === "string"
      ? [`${plan.service} does not say how its flags are, so no flip could be confirmed: ${view}`]
      : []),
    ...(metricsFault === undefined
      ? []
      : [`Prometheus does not answer, so no guard could judge: ${metricsFault}`]),
  ];
}

/** The second lever is for when the flag system is gone: what is wrong with it is told, and stops no start. */
function leverWarnings({ lever }: Findings): readonly string[] {
  const wrong = Object.values(lever ?? {}).flatMap((tried) => tried?.problems ?? []);
  return [...new Set(wrong)].map((text) => `the second lever would not work: ${text}`);
}

/** What the slowest flag's flip needs: its write, its reading back, and the service's word. Undefined unless all were measured. */
function slowest(flags: readonly RehearsedFlag[], { view }: Findings): number | undefined {
  let most: number | undefined;
  for (const { readMs, writeMs, viewMs = 0 } of flags) {
    if (readMs === undefined || writeMs === undefined || typeof view === "string") return undefined;
    most = Math.max(most ?? 0, readMs + writeMs + viewMs);
  }
  return most;
}

/** Why a rollback would fail, each a clause that names its flags; none when it would not. */
export function backProblems(rehearsal: Pick<Rehearsal, "flags" | "problems">): readonly string[] {
  return together(rehearsal.flags, ({ problems }) => problems).map(
    ({ keys, text }) => `a rollback of ${keys} would fail: ${text}`,
  );
}

/** Everything that keeps a rollout from starting, the way back first. */
export function problemsOf(rehearsal: Pick<Rehearsal, "flags" | "problems">): readonly string[] {
  const unseen = together(rehearsal.flags, ({ unseen }) => unseen).map(({ text }) => text);
  const { problems } = rehearsal;
  const [unreadable] = problems;
  // Without a flag system every flag fails for the same reason: it is said once.
  const back =
    rehearsal.flags.every((flag) => flag.problems.length > 0) && unreadable?.startsWith("the flag system");
  return back === true ? [...problems] : [...backProblems(rehearsal), ...problems, ...unseen];
}

function warningsOf({ flags, warnings }: Rehearsal): readonly string[] {
  return [...together(flags, (flag) => flag.warnings).map(({ text }) => text), ...warnings];
}

/** The same text for several flags once, with their keys. */
function together(
  flags: readonly RehearsedFlag[],
  textsOf: (flag: RehearsedFlag) => readonly string[],
): readonly { readonly keys: string; readonly text: string }[] {
  const found = new Map<string, string[]>();
  for (const flag of flags)
    for (const text of textsOf(flag)) found.set(text, [...(found.get(text) ?? []), flag.key]);
  return [...found].map(([text, keys]) => ({ text: text.replace(/\.$/, ""), keys: listed(keys) }));
}

function listed(keys: readonly string[]): string {
  const last = keys.at(-1) ?? "";
  return keys.length < 2 ? last : `${keys.slice(0, -1).join(", ")} and ${last}`;
}

export function isGood(rehearsal: Rehearsal): boolean {
  return problemsOf(rehearsal).length === 0;
}

/**
 * Whether a start of this plan may rest on it: good, of this very plan, at most ten minutes old, and of the flags that are there now. One in which
 * nothing was written is enough only for a Belay that `observes`.
 */
export function isFresh(
  rehearsal: Rehearsal,
  planHash: string,
  readings: Readonly<Record<string, Pick<Reading, "id"> | undefined>>,
  now: Now,
  observes = false,
): boolean {
  const ageMs = now.steady - rehearsal.at;
  if (rehearsal.observed && !observes) return false;
  return (
    rehearsal.planHash === planHash &&
    ageMs >= 0 &&
    ageMs <= FRESH_MS &&
    isGood(rehearsal) &&
    rehearsal.flags.every(({ flag, id }) => readings[flag]?.id === id)
  );
}

/** How fast a flip was when it was measured last: `flipMs` of the slowest flag, and when (Unix ms). */
export interface Measured {
  readonly flipMs: number;
  readonly wall: number;
}

/** What a bound may count with; undefined when there is no good rehearsal of this very plan in which every flip was measured. */
export function measuredIn(rehearsal: Rehearsal | undefined, planHash: string): Measured | undefined {
  if (rehearsal?.flipMs === undefined || rehearsal.planHash !== planHash || !isGood(rehearsal))
    return undefined;
  return { flipMs: rehearsal.flipMs, wall: rehearsal.wall };
}

/** The first sentence of the answer to a rehearsal: whether the way back works, and what to do if not. */
export function rehearsalTitle(rehearsal: Rehearsal): string {
  const { rollout, flags, tookMs, observed } = rehearsal;
  const count = problemsOf(rehearsal).length;
  const all = flags.length === 1 ? "1 flag" : `${flags.length} flags`;
  if (count > 0)
    return `${rollout} cannot go back as things stand: ${count} problem${count === 1 ? "" : "s"}. Rehearsing changed nothing. Mend ${count === 1 ? "it" : "them"} and \`/rollout rehearse ${rollout}\` again; until then \`start\` is refused.`;
  const how = observed ? "read, not written, because Belay only observes" : "the way back works";
  return `${rollout} is rehearsed: ${all} in ${formatDuration(tookMs)}, ${how}. Nothing was changed.`;
}

/** Problems first, then one line a flag, then what is worth knowing. */
export function rehearsalLines(rehearsal: Rehearsal): readonly string[] {
  return [
    ...cut(problemsOf(rehearsal)).map((text) => `problem: ${text}`),
    ...rehearsal.flags.map(flagLine),
    ...warningLines(rehearsal),
  ];
}

/** What is worth knowing about the way back although it works. */
export function warningLines(rehearsal: Rehearsal): readonly string[] {
  return cut(warningsOf(rehearsal)).map((text) => `worth knowing: ${text}`);
}

function cut(texts: readonly string[]): readonly string[] {
  const more = texts.length - MOST_TOLD;
  return more > 0 ? [...texts.slice(0, MOST_TOLD), `and ${more} more`] : texts;
}

function flagLine({ flag, readMs, writeMs, service, problems, unread }: RehearsedFlag): string {
  if (unread === true) return `${flag}: could not be read`;
  if (problems.length > 0) return `${flag}: a rollback of it would fail`;
  const read = readMs === undefined ? "read" : `read ${shown(readMs)}`;
  const write = writeMs === undefined ? "not written" : `write ${shown(writeMs)}`;
  const says: Readonly<Record<RehearsedFlag["service"], string>> = {
    agrees: ", the service agrees",
    differs: ", the service does not agree",
    silent: ", the service does not mention it",
    unasked: "",
  };
  return `${flag}: ${read}, ${write}${says[service]}`;
}

function shown(ms: number): string {
  return ms < 1 ? "under 1 ms" : formatDuration(ms);
}

/** Why a start is refused, in one or two sentences. */
export function rehearsalRefusal(rehearsal: Rehearsal): string {
  const [first = "", second, ...rest] = problemsOf(rehearsal);
  const others =
    rest.length === 0 ? "" : ` ${rest.length} more: \`/rollout rehearse ${rehearsal.rollout}\` tells all.`;
  return `the way back was rehearsed before the start, and ${first}.${second === undefined ? "" : ` Also: ${second}.`}${others} Mend that and start again.`;
}
