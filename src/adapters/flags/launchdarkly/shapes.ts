/** LaunchDarkly's answers as far as Belay reads them, parsed at the door. */
import { z } from "zod";

const index = z.number().int().min(0);

const rolloutSchema = z.object({
  variations: z.array(z.object({ variation: index, weight: z.number() })),
  bucketBy: z.string().optional(),
  contextKind: z.string().optional(),
  experimentAllocation: z.unknown().optional(),
});

const configSchema = z.object({
  on: z.boolean(),
  version: z.number(),
  lastModified: z.number(),
  fallthrough: z.object({ variation: index.optional(), rollout: rolloutSchema.optional() }).optional(),
  offVariation: index.nullish(),
  targets: z.array(z.unknown()).nullish(),
  contextTargets: z.array(z.unknown()).nullish(),
  rules: z.array(z.unknown()).nullish(),
  prerequisites: z.array(z.object({ key: z.string() })).nullish(),
});

const flagSchema = z.object({
  kind: z.string(),
  creationDate: z.number(),
  _id: z.string().optional(),
  archived: z.boolean(),
  variations: z.array(z.object({ _id: z.string(), value: z.unknown() })),
  /** Each environment is looked at only when it is ours. */
  environments: z.record(z.string(), z.unknown()).optional(),
});

export type Rollout = z.output<typeof rolloutSchema>;

/** A flag in our environment. */
export interface FlagShape {
  readonly kind: string;
  /** Tells it from another flag of the same key. */
  readonly id: string;
  readonly archived: boolean;
  readonly variations: readonly { readonly id: string; readonly value: unknown }[];
  readonly on: boolean;
  /** Counts the changes in our environment. */
  readonly version: number;
  /** Wall ms. */
  readonly lastModified: number;
  readonly fallthrough: { readonly variation?: number | undefined; readonly rollout?: Rollout | undefined };
  readonly offVariation: number | undefined;
  readonly rules: number;
  readonly targets: number;
  readonly prerequisites: readonly string[];
}

export type FlagParsed =
  | { readonly kind: "flag"; readonly flag: FlagShape }
  | { readonly kind: "no_environment"; readonly there: readonly string[] }
  | { readonly kind: "unreadable"; readonly where: string };

/** A flag as `GET` and `PATCH` of it answer. */
export function parseFlag(body: unknown, environment: string): FlagParsed {
  const flag = flagSchema.safeParse(body);
  if (!flag.success) return unreadable(flag.error);
  const { kind, creationDate, _id, archived, variations, environments = {} } = flag.data;
  const found = Object.hasOwn(environments, environment) ? environments[environment] : undefined;
  if (found === undefined) return { kind: "no_environment", there: Object.keys(environments) };
  const config = configSchema.safeParse(found);
  if (!config.success) return unreadable(config.error);
  const { on, version, lastModified, fallthrough, offVariation, rules, targets } = config.data;
  return {
    kind: "flag",
    flag: {
      kind,
      id: `created ${instant(creationDate)}${_id === undefined ? "" : `, ${_id}`}`,
      archived,
      variations: variations.map(({ _id: id, value }) => ({ id, value })),
      on,
      version,
      lastModified,
      fallthrough: fallthrough ?? {},
      offVariation: offVariation ?? undefined,
      rules: rules?.length ?? 0,
      targets: (targets?.length ?? 0) + (config.data.contextTargets?.length ?? 0),
      prerequisites: (config.data.prerequisites ?? []).map(({ key }) => key),
    },
  };
}

/** What a reading has as its version: a flag made anew never has one of its predecessor. */
export function versionOf(flag: FlagShape): string {
  return `${flag.version} (${flag.id})`;
}

function unreadable(error: z.ZodError): FlagParsed {
  return { kind: "unreadable", where: error.issues[0]?.path.join(".") ?? "" };
}

/** As people write it; LaunchDarkly's ms are kept whole. */
function instant(wallMs: number): string {
  const date = new Date(wallMs);
  return Number.isNaN(date.getTime()) ? String(wallMs) : date.toISOString();
}

const personSchema = z.object({
  firstName: z.string().optional(),
  lastName: z.string().optional(),
  email: z.string().optional(),
});

export const auditSchema = z.object({
  items: z.array(
    z.object({
      date: z.number(),
      accesses: z
        .array(z.object({ action: z.string().optional(), resource: z.string().optional() }))
        .nullish(),
      comment: z.string().nullish(),
      titleVerb: z.string().nullish(),
      member: personSchema.nullish(),
      token: z
        .object({ _id: z.string().optional(), name: z.string().optional(), ending: z.string().optional() })
        .nullish(),
      app: z.object({ name: z.string().optional() }).nullish(),
    }),
  ),
});

export type AuditItem = z.output<typeof auditSchema>["items"][number];

export const identitySchema = z.object({
  tokenId: z.string().optional(),
  tokenName: z.string().optional(),
});

const statementSchema = z.object({
  effect: z.string(),
  actions: z.array(z.string()).nullish(),
  notActions: z.array(z.string()).nullish(),
  resources: z.array(z.string()).nullish(),
  notResources: z.array(z.string()).nullish(),
});

export type Statement = z.output<typeof statementSchema>;

export const tokenSchema = z.object({
  name: z.string().optional(),
  role: z.string().nullish(),
  customRoleIds: z.array(z.string()).nullish(),
  inlineRole: z.array(statementSchema).nullish(),
});

export type TokenShape = z.output<typeof tokenSchema>;

/** Only the keys are taken over: the answer also holds the SDK keys of all environments. */
export const projectSchema = z.object({
  environments: z.object({ items: z.array(z.object({ key: z.string() })) }).optional(),
});
