/** What an environment of Unleash serves to everybody, and what that is as a setting; pure. */
import type { FlagDef } from "../../../core/plan.ts";
import { fromWire, percentSetting, type Setting, toWire } from "../../../core/setting.ts";
import type { Environment, Strategy, Variant } from "./shapes.ts";

const MOST_TEXT = 200;
/** All of a variant's weight. */
export const WHOLE_WEIGHT = 1_000;
export const ROLLOUT = "flexibleRollout";

/** Begins what is shown in place of a value where there is no one value: no payload can be mistaken for it. */
const MARK = "(in Unleash: ";
/** How a flag of values is shown while its environment is off. */
export const UNSERVED = marked("off, so the service uses its own default");

function marked(text: string): string {
  return `${MARK}${text.slice(0, MOST_TEXT)})`;
}

/** Whether this value is only how something else is shown. */
export function isMarked(value: string): boolean {
  return value.startsWith(MARK);
}

/** `share`: this percentage of the users, 0 to 100, gets the flag, with one of these variants where there are any. `odd`: nothing that is the same for everybody. */
export type Served =
  | { readonly kind: "disabled" }
  | { readonly kind: "share"; readonly percent: number; readonly variants: readonly Variant[] }
  | { readonly kind: "odd"; readonly text: string };

/** An environment of one flag, with the names of the flags that it depends on. */
export interface Place {
  readonly environment: Pick<Environment, "enabled" | "strategies">;
  readonly parents: readonly string[];
}

/** Unleash evaluates neither disabled strategies nor shows them to SDKs. */
export function activeOf({ strategies }: Pick<Environment, "strategies">): readonly Strategy[] {
  return strategies.filter((strategy) => strategy.disabled !== true);
}

/** Strategies that say the same, as a call that arrived twice leaves them: users fall into the same groups in each, so they count as one. */
export function distinct(strategies: readonly Strategy[]): readonly Strategy[] {
  return [...new Map(strategies.map((strategy) => [contentOf(strategy), strategy] as const)).values()];
}

function contentOf({ name, parameters, constraints, segments, variants }: Strategy): string {
  const sorted = Object.entries(parameters ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, sorted, constraints ?? [], segments ?? [], variants ?? []]);
}

/** The percentage that a strategy gives to everybody alike; undefined where it looks at who asks, or at something that is not known here. */
export function shareOf(strategy: Strategy): number | undefined {
  if ((strategy.constraints ?? []).length > 0 || (strategy.segments ?? []).length > 0) return undefined;
  if (strategy.name === "default") return 100;
  if (strategy.name !== ROLLOUT) return undefined;
  const text = strategy.parameters?.["rollout"] ?? "100";
  const share = Number(text);
  if (text.trim() === "" || !Number.isFinite(share)) return undefined;
  // SDKs sort users into 100 groups.
  return Math.min(100, Math.max(0, Math.floor(share)));
}

export function servedOf({ environment, parents }: Place): Served {
  if (!environment.enabled) return { kind: "disabled" };
  if (parents.length > 0) return odd(`on only where ${parents.join(" and ")} is on`);
  const active = activeOf(environment);
  // SDKs take an enabled flag without strategies for on.
  if (active.length === 0) return { kind: "share", percent: 100, variants: [] };
  const telling = distinct(active.filter((strategy) => shareOf(strategy) !== 0));
  const [only] = telling;
  if (only === undefined) return { kind: "share", percent: 0, variants: [] };
  if (telling.length === 1) {
    const percent = shareOf(only);
    if (percent !== undefined) return { kind: "share", percent, variants: only.variants ?? [] };
  }
  const isForAll = telling.some((strategy) => shareOf(strategy) === 100);
  const hasVariants = telling.some((strategy) => (strategy.variants ?? []).length > 0);
  // Strategies are an "or": one for everybody makes the others meaningless, except for the variants that they may give first.
  if (isForAll && !hasVariants) return { kind: "share", percent: 100, variants: [] };
  return odd(describeStrategies(telling));
}

function odd(text: string): Served {
  return { kind: "odd", text };
}

/** Strategies in words: `flexibleRollout 25 %, flexibleRollout 100 % with 2 constraints, userWithId`. */
export function describeStrategies(strategies: readonly Strategy[]): string {
  return strategies.map(describeStrategy).join(", ");
}

function describeStrategy({ name, parameters, constraints, segments, variants }: Strategy): string {
  const rollout = name === ROLLOUT ? ` ${parameters?.["rollout"] ?? "100"} %` : "";
  const extras = [
    counted((constraints ?? []).length, "constraint"),
    counted((segments ?? []).length, "segment"),
    counted((variants ?? []).length, "variant"),
  ].filter((extra) => extra !== "");
  return `${name}${rollout}${extras.length === 0 ? "" : ` with ${extras.join(" and ")}`}`;
}

function counted(count: number, noun: string): string {
  return count === 0 ? "" : `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Whether the service asks Unleash only whether the flag is on, and for no value. */
export function isOnOff({ on, off }: FlagDef): boolean {
  return (on === "true" && off === "false") || (on === "false" && off === "true");
}

/** The setting of a flag as its catalogue names it. What is neither on, off, a share nor one value for everybody is shown as a value, so that it is noticed. */
export function settingOf(flag: FlagDef, served: Served): Setting {
  switch (served.kind) {
    case "odd":
      return { kind: "value", value: marked(served.text) };
    case "disabled":
      return isOnOff(flag) ? fromWire(flag, { value: "false" }) : { kind: "value", value: UNSERVED };
    case "share":
      return isOnOff(flag) ? onOffSetting(flag, served) : valueSetting(flag, served);
  }
}

type Share = Extract<Served, { kind: "share" }>;

function onOffSetting(flag: FlagDef, { percent, variants }: Share): Setting {
  if (percent === 0) return fromWire(flag, { value: "false" });
  const [only] = variants;
  const payloads = variants.filter((variant) => variant.payload !== undefined);
  if (payloads.length === 0) return percentSetting(flag.on === "true" ? percent : 100 - percent);
  if (variants.length === 1 && only?.payload !== undefined && percent === 100)
    return fromWire(flag, { value: only.payload.value });
  return oddVariants(percent, variants);
}

function valueSetting(flag: FlagDef, { percent, variants }: Share): Setting {
  const parts = variants.filter(({ weight }) => weight > 0);
  const [first, second] = parts;
  if (percent === 0) return { kind: "value", value: UNSERVED };
  if (percent < 100 || first?.payload === undefined) return oddVariants(percent, variants);
  if (parts.length === 1) return fromWire(flag, { value: first.payload.value });
  const on = parts.find(({ payload }) => payload?.value === flag.on);
  const off = parts.find(({ payload }) => payload?.value === flag.off);
  if (parts.length === 2 && second !== undefined && on !== undefined && off !== undefined)
    return percentSetting(on.weight / 10);
  return oddVariants(percent, variants);
}

/** `25 % of users: "a" 50 %, "b" 50 %` */
function oddVariants(percent: number, variants: readonly Variant[]): Setting {
  const share = percent === 100 ? "" : `${percent} % of users: `;
  const parts = variants.map(
    ({ name, payload, weight }) =>
      `${payload === undefined ? name : JSON.stringify(payload.value)} ${weight / 10} %`,
  );
  const text = parts.length === 0 ? "on without a value" : parts.join(", ");
  return { kind: "value", value: marked(`${share}${text}`) };
}

/** The literal that an SDK hands to the service; for a share of the users the one of those who have it. */
export function literalOf(flag: FlagDef, served: Served): string {
  return toWire(flag, settingOf(flag, served)).value;
}
