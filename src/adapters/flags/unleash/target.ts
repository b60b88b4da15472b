/** What Unleash has to be told for a setting, and which calls make it so without losing what people made; pure. */
import type { FlagDef } from "../../../core/plan.ts";
import { type Setting, sameSetting, toWire } from "../../../core/setting.ts";
import {
  activeOf,
  describeStrategies,
  distinct,
  isMarked,
  isOnOff,
  type Place,
  ROLLOUT,
  servedOf,
  settingOf,
  shareOf,
  UNSERVED,
  WHOLE_WEIGHT,
} from "./served.ts";
import type { Strategy, Variant } from "./shapes.ts";

/** Longest title of a strategy that Belay writes. */
const MOST_TITLE = 200;
const TITLE = "Belay";

interface Part {
  readonly value: string;
  /** 1 to 1000. */
  readonly weight: number;
}

/** What is to be served. `parts`: payloads and their weights, 1000 in all; none for a flag that is only on or off. */
export type Target =
  | { readonly kind: "disabled" }
  | { readonly kind: "enabled"; readonly percent: number; readonly parts: readonly Part[] };

/** A refusal before anything is sent, as the end of a sentence about the flag. */
export interface Refused {
  readonly kind: "refused";
  readonly why: string;
}

/** What a setting means in Unleash. */
export function targetOf(flag: FlagDef, setting: Setting): Target | Refused {
  if (setting.kind === "percent") return shareTarget(flag, setting.percent);
  const { value } = toWire(flag, setting);
  if (value === UNSERVED) return { kind: "disabled" };
  if (isMarked(value))
    return refused(`was ${value} before, which Belay cannot bring back: set it by hand in Unleash`);
  if (isOnOff(flag) && value === "false") return { kind: "disabled" };
  if (isOnOff(flag) && value === "true") return { kind: "enabled", percent: 100, parts: [] };
  return { kind: "enabled", percent: 100, parts: [{ value, weight: WHOLE_WEIGHT }] };
}

function shareTarget(flag: FlagDef, percent: number): Target | Refused {
  if (!isOnOff(flag)) {
    const weight = percent * 10;
    if (Math.abs(weight - Math.round(weight)) > 1e-9)
      return refused(`cannot be at ${percent} %: Unleash splits values in steps of 0.1 %`);
    const on = Math.round(weight);
    const parts = [
      { value: flag.on, weight: on },
      { value: flag.off, weight: WHOLE_WEIGHT - on },
    ];
    return { kind: "enabled", percent: 100, parts };
  }
  if (!Number.isInteger(percent))
    return refused(`cannot be at ${percent} %: Unleash knows whole percentages only`);
  return { kind: "enabled", percent: flag.on === "true" ? percent : 100 - percent, parts: [] };
}

function refused(why: string): Refused {
  return { kind: "refused", why };
}

/** The body of a strategy, as it is created and updated: always whole, because an update empties what it does not name. */
export interface StrategyBody {
  readonly name: string;
  readonly title: string | null;
  readonly disabled: false;
  readonly constraints: readonly unknown[];
  readonly segments: readonly unknown[];
  readonly parameters: Readonly<Record<string, string>>;
  readonly variants: readonly Variant[];
  readonly sortOrder?: number;
}

/** Calls in the order in which each half is safe: what is served is set up before the environment is turned on. */
export type Call =
  | { readonly kind: "create"; readonly body: StrategyBody }
  | { readonly kind: "update"; readonly id: string; readonly body: StrategyBody }
  | { readonly kind: "on" }
  | { readonly kind: "off" };

export interface Wish {
  readonly flag: FlagDef;
  readonly setting: Setting;
  readonly direction: "forward" | "backward";
  readonly note?: string | undefined;
  /** Field of the context that decides who is among a share; for strategies that Belay creates. */
  readonly stickiness: string;
}

/**
 * The calls that make `wish` true at this place. Strategies that people made are never changed for it: a single `flexibleRollout` for everybody gets
 * another share or value; of anything else the wish is refused, except that a backward ON adds a strategy for everybody beside them.
 */
export function callsFor(wish: Wish, place: Place): readonly Call[] | Refused {
  const { environment, parents } = place;
  const on: readonly Call[] = environment.enabled ? [] : [{ kind: "on" }];
  const when = servedOf({ environment: { ...environment, enabled: true }, parents });
  const active = activeOf(environment);
  const target = targetOf(wish.flag, wish.setting);
  if (target.kind === "disabled") return [{ kind: "off" }];
  // What people made serves what is wanted, or did when it was read: an odd shape comes back as it was.
  const isThere = active.length > 0 && sameSetting(settingOf(wish.flag, when), wish.setting);
  if (isThere) return on;
  if (target.kind === "refused") return target;
  if (parents.length > 0 && wish.direction === "forward")
    return refused(
      `depends on ${parents.join(" and ")} in Unleash, so it cannot be set for everybody by itself: remove the dependency there`,
    );
  if (active.length === 0) return [withCreated(wish, target), ...on];
  if (isForBelay(active)) return withUpdated(wish, target, active, on);
  // Beside what people made, one for everybody takes nothing away.
  const isPlainOn = target.percent === 100 && target.parts.length === 0 && parents.length === 0;
  if (wish.direction === "backward" && isPlainOn) return [withCreated(wish, target), ...on];
  return refused(
    `has strategies that people made in Unleash (${describeStrategies(active)}), and Belay does not overwrite them: leave one ${ROLLOUT} without constraints and segments there, or none`,
  );
}

/** Whether these are one rollout for everybody, maybe made several times by calls that arrived twice. */
function isForBelay(active: readonly Strategy[]): boolean {
  const isPlain = ({ id, ...strategy }: Strategy): boolean =>
    id !== undefined && strategy.name === ROLLOUT && shareOf(strategy) !== undefined;
  const isOurs = ({ title }: Strategy): boolean => title?.startsWith(TITLE) === true;
  return active.every(isPlain) && (distinct(active).length === 1 || active.every(isOurs));
}

type Enabled = Extract<Target, { kind: "enabled" }>;

function withCreated(wish: Wish, target: Enabled): Call {
  const { flag, stickiness, note } = wish;
  const body: StrategyBody = {
    name: ROLLOUT,
    title: titleOf(note),
    disabled: false,
    constraints: [],
    segments: [],
    parameters: { rollout: String(target.percent), stickiness, groupId: flag.key },
    variants: variantsOf(target, [], stickiness),
  };
  return { kind: "create", body };
}

function withUpdated(
  wish: Wish,
  target: Enabled,
  active: readonly Strategy[],
  on: readonly Call[],
): readonly Call[] | Refused {
  const variants = active.flatMap((strategy) => strategy.variants ?? []);
  const isNumber = variants.some(({ payload }) => payload?.type === "number");
  const wrong = target.parts.find(({ value }) => isNumber && !isNumeric(value));
  if (wrong !== undefined)
    return refused(`holds numbers in Unleash, and ${JSON.stringify(wrong.value)} is none`);
  const updates = active.flatMap((strategy): readonly Call[] =>
    strategy.id === undefined
      ? []
      : [{ kind: "update", id: strategy.id, body: updatedBody(wish, target, strategy) }],
  );
  return [...updates, ...on];
}

function updatedBody({ flag, stickiness, note }: Wish, target: Enabled, before: Strategy): StrategyBody {
  const known = before.parameters ?? {};
  const isOurs = (before.title ?? "") === "" || before.title?.startsWith(TITLE) === true;
  return {
    name: ROLLOUT,
    title: isOurs ? titleOf(note) : (before.title ?? null),
    disabled: false,
    constraints: [],
    segments: [],
    // Another group or stickiness would sort all users anew.
    parameters: { stickiness, groupId: flag.key, ...known, rollout: String(target.percent) },
    variants: variantsOf(target, before.variants ?? [], known["stickiness"] ?? stickiness),
    ...(typeof before.sortOrder === "number" ? { sortOrder: before.sortOrder } : {}),
  };
}

function isNumeric(text: string): boolean {
  return text.trim() !== "" && Number.isFinite(Number(text));
}

function titleOf(note: string | undefined): string {
  if (note === undefined || note === "") return TITLE;
  return (note.startsWith(TITLE) ? note : `${TITLE}: ${note}`).slice(0, MOST_TITLE);
}

/** Variants that hold these parts. Names, types and stickiness of those that are there are kept; variants without a payload mean nothing to a flag that is only on or off. */
function variantsOf(target: Enabled, before: readonly Variant[], stickiness: string): readonly Variant[] {
  if (target.parts.length === 0) return before.filter(({ payload }) => payload === undefined);
  const known = before.filter(({ payload }) => payload !== undefined);
  const isOne = known.length === 1 && target.parts.length === 1;
  return target.parts.map(({ value, weight }, index) => ({
    name: (isOne ? known[0]?.name : undefined) ?? (index === 0 ? "belay" : `belay-${index + 1}`),
    weight,
    // Unleash wants one whose weight is what remains.
    weightType: index === target.parts.length - 1 ? "variable" : "fix",
    stickiness: known[0]?.stickiness ?? stickiness,
    payload: { type: known[0]?.payload?.type ?? "string", value },
  }));
}
