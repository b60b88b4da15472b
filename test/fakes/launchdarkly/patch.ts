/** Semantic patches of a flag in one environment: each instruction checked, and all of them applied or none. */
import { isList, isObject, type JsonObject } from "../slack/json.ts";
import type { Config, Flag, Rollout, Served } from "./model.ts";

const WEIGHTS_SUM = 100_000;

/** Why a patch is refused. */
export interface PatchRefusal {
  readonly status: 400;
  readonly message: string;
}

export interface Patched {
  readonly config: Config;
  /** Actions that the instructions need the right to, each once. */
  readonly actions: readonly string[];
  /** Whether anything is different; version and time are not yet. */
  readonly changed: boolean;
}

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  turnFlagOn: [],
  turnFlagOff: [],
  updateOffVariation: ["variationId"],
  updateFallthroughVariationOrRollout: [
    "variationId",
    "rolloutWeights",
    "rolloutBucketBy",
    "rolloutContextKind",
  ],
};

const ACTIONS: Readonly<Record<string, string>> = {
  turnFlagOn: "updateOn",
  turnFlagOff: "updateOn",
  updateOffVariation: "updateOffVariation",
  updateFallthroughVariationOrRollout: "updateFallthrough",
};

export function patchConfig(flag: Flag, config: Config, instructions: unknown): Patched | PatchRefusal {
  if (!isList(instructions) || instructions.length === 0) return refused("instructions must not be empty");
  let after = config;
  const actions = new Set<string>();
  for (const instruction of instructions) {
    const kind = isObject(instruction) ? instruction["kind"] : undefined;
    if (!isObject(instruction) || typeof kind !== "string") return refused("an instruction must have a kind");
    const fields = FIELDS[kind];
    if (fields === undefined) return refused(`unknown instruction kind ${kind}`);
    const odd = Object.keys(instruction).find((name) => name !== "kind" && !fields.includes(name));
    if (odd !== undefined) return refused(`${kind} has no parameter ${odd}`);
    const next = applied(flag, after, kind, instruction);
    if ("message" in next) return next;
    after = next;
    actions.add(ACTIONS[kind] ?? kind);
  }
  const changed = JSON.stringify(after) !== JSON.stringify(config);
  return { config: after, actions: [...actions], changed };
}

function applied(flag: Flag, config: Config, kind: string, instruction: JsonObject): Config | PatchRefusal {
  if (kind === "turnFlagOn") return { ...config, on: true };
  if (kind === "turnFlagOff") return { ...config, on: false };
  if (kind === "updateOffVariation") {
    const variation = indexOf(flag, instruction["variationId"]);
    return variation < 0
      ? unknownVariation(instruction["variationId"])
      : { ...config, offVariation: variation };
  }
  const fallthrough = servedFrom(flag, instruction);
  return "message" in fallthrough ? fallthrough : { ...config, fallthrough };
}

function servedFrom(flag: Flag, instruction: JsonObject): Served | PatchRefusal {
  const { variationId, rolloutWeights, rolloutBucketBy, rolloutContextKind } = instruction;
  if ((variationId === undefined) === (rolloutWeights === undefined))
    return refused("expected either variationId or rolloutWeights");
  if (rolloutWeights === undefined) {
    if (rolloutBucketBy !== undefined || rolloutContextKind !== undefined)
      return refused("rolloutBucketBy and rolloutContextKind belong to rolloutWeights");
    const variation = indexOf(flag, variationId);
    return variation < 0 ? unknownVariation(variationId) : { variation };
  }
  if (!isObject(rolloutWeights)) return refused("rolloutWeights must be a map of variation to weight");
  const weighted = [];
  for (const [id, weight] of Object.entries(rolloutWeights)) {
    const variation = indexOf(flag, id);
    if (variation < 0) return unknownVariation(id);
    if (typeof weight !== "number" || !Number.isInteger(weight) || weight < 0 || weight > WEIGHTS_SUM)
      return refused(`the weight of ${id} must be a whole number from 0 to ${WEIGHTS_SUM}`);
    weighted.push({ variation, weight });
  }
  const sum = weighted.reduce((total, { weight }) => total + weight, 0);
  if (sum !== WEIGHTS_SUM) return refused(`the weights must add up to ${WEIGHTS_SUM}, found ${sum}`);
  for (const text of [rolloutBucketBy, rolloutContextKind])
    if (text !== undefined && (typeof text !== "string" || text === ""))
      return refused("rolloutBucketBy and rolloutContextKind must be text");
  const rollout: Rollout = {
    variations: weighted.toSorted((a, b) => a.variation - b.variation),
    contextKind: typeof rolloutContextKind === "string" ? rolloutContextKind : "user",
    ...(typeof rolloutBucketBy === "string" ? { bucketBy: rolloutBucketBy } : {}),
  };
  return { rollout };
}

function indexOf(flag: Flag, id: unknown): number {
  return flag.variations.findIndex((variation) => variation.id === id);
}

function unknownVariation(id: unknown): PatchRefusal {
  return refused(`the flag has no variation ${String(id)}`);
}

function refused(message: string): PatchRefusal {
  return { status: 400, message };
}
