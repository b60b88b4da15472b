/** The five feature flags of the ingestion service: their settings, and the rule that decides one flag for one file. */
import { createHash } from "node:crypto";

/** The flag keys the service reads, in the order in which they are rolled out; FEATURE_METRICS stays on. */
export const FEATURE_KEYS = [
  "FEATURE_PARSE_CACHE",
  "FEATURE_BATCHING",
  "FEATURE_NEO4J_BATCH",
  "FEATURE_PARALLEL",
  "FEATURE_METRICS",
] as const;

export type FeatureKey = (typeof FEATURE_KEYS)[number];

/** One flag as its source gave it: the same value for every file, or a share of the files (percent: 0..100). */
export type FlagSetting =
  | { readonly kind: "value"; readonly value: string }
  | { readonly kind: "percent"; readonly percent: number; readonly on: string; readonly off: string };

export type FlagSettings = Readonly<Record<FeatureKey, FlagSetting>>;
/** What one source knows; a flag it does not name keeps its last setting. */
export type PartialFlagSettings = Readonly<Partial<Record<FeatureKey, FlagSetting>>>;
/** A file's bucket for each flag, computed once when the file arrives. */
export type Buckets = Readonly<Record<FeatureKey, number>>;

const BUCKETS = 10_000;
const ON = "true";

/** The stable bucket, 0..9999: the first four bytes of sha256("flag:targetingKey"), big-endian, modulo 10,000. */
export function bucketOf(flagKey: string, targetingKey: string): number {
  return createHash("sha256").update(`${flagKey}:${targetingKey}`).digest().readUInt32BE(0) % BUCKETS;
}

/** The buckets of one file for all flags; its name is the targeting key. */
export function bucketsOf(fileName: string): Buckets {
  return recordOf((key) => bucketOf(key, fileName));
}

/** The value a file in this bucket gets. */
function valueFor(setting: FlagSetting, bucket: number): string {
  switch (setting.kind) {
    case "value":
      return setting.value;
    case "percent":
      return bucket < setting.percent * 100 ? setting.on : setting.off;
  }
}

/** Whether a file in this bucket has the feature: only the value "true" means ON. */
export function isOn(setting: FlagSetting, bucket: number): boolean {
  return valueFor(setting, bucket) === ON;
}

/** The share of files that have the feature, 0..1. */
export function shareOn(setting: FlagSetting): number {
  switch (setting.kind) {
    case "value":
      return setting.value === ON ? 1 : 0;
    case "percent": {
      const share = setting.percent / 100;
      return (setting.on === ON ? share : 0) + (setting.off === ON ? 1 - share : 0);
    }
  }
}

/** The setting in one word, for people and for a read-back: its value, or "25%" while only some files have it. */
export function settingText(setting: FlagSetting): string {
  switch (setting.kind) {
    case "value":
      return setting.value;
    case "percent":
      if (setting.percent >= 100) return setting.on;
      return setting.percent <= 0 ? setting.off : `${setting.percent}%`;
  }
}

/** How many of the four optimisations every file has (0..4); FEATURE_METRICS is not one, a partial share does not count. */
export function optimisationLevel(settings: FlagSettings): number {
  return FEATURE_KEYS.filter((key) => key !== "FEATURE_METRICS" && shareOn(settings[key]) === 1).length;
}

/** Builds a record with one entry for each flag. */
export function recordOf<T>(make: (key: FeatureKey) => T): Record<FeatureKey, T> {
  return {
    FEATURE_PARSE_CACHE: make("FEATURE_PARSE_CACHE"),
    FEATURE_BATCHING: make("FEATURE_BATCHING"),
    FEATURE_NEO4J_BATCH: make("FEATURE_NEO4J_BATCH"),
    FEATURE_PARALLEL: make("FEATURE_PARALLEL"),
    FEATURE_METRICS: make("FEATURE_METRICS"),
  };
}
