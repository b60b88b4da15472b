/** Settings to semantic patches and back: what a flag serves by default, and the instructions that make it serve something else. */
import type { FlagDef } from "../../../core/plan.ts";
import { fromWire, percentSetting, type Setting } from "../../../core/setting.ts";
import { isLiteralOf, literalFor, literalOf } from "./literals.ts";
import type { FlagShape, Rollout } from "./shapes.ts";

/** Weights are thousandths of a percent and add up to this. */
const WHOLE = 100_000;
const PER_PERCENT = WHOLE / 100;
/** A literal longer than this is cut where values are listed. */
const SHOWN_CHARS = 40;

export type Instruction =
  | { readonly kind: "turnFlagOn" | "turnFlagOff" }
  | { readonly kind: "updateOffVariation"; readonly variationId: string }
  | { readonly kind: "updateFallthroughVariationOrRollout"; readonly variationId: string }
  | {
      readonly kind: "updateFallthroughVariationOrRollout";
      readonly rolloutWeights: Readonly<Record<string, number>>;
      readonly rolloutBucketBy?: string;
      readonly rolloutContextKind?: string;
    };

/** How users are told apart in a percentage; what the flag has already, then LaunchDarkly's own default, where nothing is said. */
export interface Bucketing {
  readonly bucketBy?: string | undefined;
  readonly contextKind?: string | undefined;
}

/** `refused`: why this flag cannot be set so, ever, as a clause. */
export type Instructions =
  | { readonly kind: "instructions"; readonly instructions: readonly Instruction[] }
  | { readonly kind: "refused"; readonly why: string };

/**
 * What is served to everybody whom no rule or target concerns. What no setting says (several values, an experiment, nothing at all) is a value in
 * words, which no plan asks for and so counts as somebody's change.
 */
export function settingOf(def: FlagDef, flag: FlagShape): Setting {
  if (!flag.on) return settingServed(def, flag, flag.offVariation);
  const { rollout, variation } = flag.fallthrough;
  return rollout === undefined ? settingServed(def, flag, variation) : settingRolledOut(def, flag, rollout);
}

function settingServed(def: FlagDef, flag: FlagShape, variation: number | undefined): Setting {
  const found = variation === undefined ? undefined : flag.variations[variation];
  if (found === undefined) return { kind: "value", value: "nothing (the code's own default)" };
  return fromWire(def, { value: literalFor(def, found.value) });
}

function settingRolledOut(def: FlagDef, flag: FlagShape, rollout: Rollout): Setting {
  const shares = new Map<string, number>();
  for (const { variation, weight } of rollout.variations) {
    if (weight <= 0) continue;
    const literal = literalFor(def, flag.variations[variation]?.value);
    shares.set(literal, (shares.get(literal) ?? 0) + weight);
  }
  const words = [...shares]
    .map(([literal, weight]) => `${weight / PER_PERCENT} % ${shown(literal)}`)
    .join(", ");
  if (rollout.experimentAllocation !== undefined && rollout.experimentAllocation !== null)
    return { kind: "value", value: `an experiment: ${words}` };
  const [only] = shares.keys();
  if (shares.size === 1 && only !== undefined) return fromWire(def, { value: only });
  const isOnOrOff = [...shares.keys()].every((literal) => literal === def.on || literal === def.off);
  if (!isOnOrOff || shares.size !== 2) return { kind: "value", value: words };
  return percentSetting((shares.get(def.on) ?? 0) / PER_PERCENT);
}

/**
 * Off turns targeting off, which is one instruction that needs no other right, works whatever rules and targets there are and leaves them as they
 * are. Where the variation served then is not the off literal, it is made so: a rule would go on serving ON if off only meant another default.
 */
export function instructionsFor(
  def: FlagDef,
  wanted: Setting,
  flag: FlagShape,
  bucketing: Bucketing,
): Instructions {
  const setting = wanted.kind === "percent" ? percentSetting(wanted.percent) : wanted;
  switch (setting.kind) {
    case "off":
      return offInstructions(def, flag);
    case "on":
      return serve(flag, def.on);
    case "percent":
      return percentInstructions(def, setting.percent, flag, bucketing);
    case "value":
      return valueInstructions(def, setting.value, flag);
  }
}

/** Whether the flag serves its off literal when it is turned off. */
export function isOffServed(def: FlagDef, flag: FlagShape): boolean {
  const served = flag.offVariation === undefined ? undefined : flag.variations[flag.offVariation];
  return served !== undefined && isLiteralOf(def.off, served.value);
}

function offInstructions(def: FlagDef, flag: FlagShape): Instructions {
  if (isOffServed(def, flag)) return { kind: "instructions", instructions: [{ kind: "turnFlagOff" }] };
  const off = variationOf(flag, def.off);
  if (off === undefined) return noVariation(flag, def.off);
  return {
    kind: "instructions",
    instructions: [{ kind: "updateOffVariation", variationId: off.id }, { kind: "turnFlagOff" }],
  };
}

/** The default first and then on: all of a patch is applied or none of it, and it reads in that order in the flag's history. */
function serve(flag: FlagShape, literal: string): Instructions {
  const variation = variationOf(flag, literal);
  if (variation === undefined) return noVariation(flag, literal);
  return {
    kind: "instructions",
    instructions: [
      { kind: "updateFallthroughVariationOrRollout", variationId: variation.id },
      { kind: "turnFlagOn" },
    ],
  };
}

/** A value that the reading would write in another way is refused: it could never be read back as it was asked for. */
function valueInstructions(def: FlagDef, literal: string, flag: FlagShape): Instructions {
  const variation = variationOf(flag, literal);
  if (variation === undefined) return noVariation(flag, literal);
  const written = literalFor(def, variation.value);
  if (written !== literal)
    return { kind: "refused", why: `${shown(literal)} must be written as ${shown(written)}` };
  return literal === def.off ? offInstructions(def, flag) : serve(flag, literal);
}

function percentInstructions(
  def: FlagDef,
  percent: number,
  flag: FlagShape,
  { bucketBy, contextKind }: Bucketing,
): Instructions {
  const [on, off] = [variationOf(flag, def.on), variationOf(flag, def.off)];
  if (on === undefined) return noVariation(flag, def.on);
  if (off === undefined) return noVariation(flag, def.off);
  const weight = Math.round(percent * PER_PERCENT);
  if (weight <= 0 || weight >= WHOLE || weight / PER_PERCENT !== percent)
    return {
      kind: "refused",
      why: `LaunchDarkly splits users by thousandths of a percent, and ${percent} % is finer than that`,
    };
  // Whoever has the feature at 5 % must be among those who have it at 25 %: people's own way of telling users apart is kept.
  const { rollout } = flag.fallthrough;
  const rolloutBucketBy = bucketBy ?? rollout?.bucketBy;
  const rolloutContextKind = contextKind ?? rollout?.contextKind;
  return {
    kind: "instructions",
    instructions: [
      {
        kind: "updateFallthroughVariationOrRollout",
        rolloutWeights: { [on.id]: weight, [off.id]: WHOLE - weight },
        ...(rolloutBucketBy === undefined ? {} : { rolloutBucketBy }),
        ...(rolloutContextKind === undefined ? {} : { rolloutContextKind }),
      },
      { kind: "turnFlagOn" },
    ],
  };
}

function variationOf(flag: FlagShape, literal: string): FlagShape["variations"][number] | undefined {
  return flag.variations.find(({ value }) => isLiteralOf(literal, value));
}

function noVariation(flag: FlagShape, literal: string): Instructions {
  const values = flag.variations.map(({ value }) => shown(literalOf(value))).join(", ");
  const kind = flag.kind === "boolean" ? "a boolean flag" : "a flag of several values";
  return {
    kind: "refused",
    why: `it is ${kind} with ${values}, and none of them is ${shown(literal)}`,
  };
}

function shown(literal: string): string {
  return literal.length <= SHOWN_CHARS ? literal : `${literal.slice(0, SHOWN_CHARS)}...`;
}
