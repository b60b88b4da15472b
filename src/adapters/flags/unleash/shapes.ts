/** What Unleash answers, checked: only what Belay uses of it; the rest is left alone. */
import { z } from "zod";

const payload = z.object({ type: z.string(), value: z.string() });

const variant = z.object({
  name: z.string(),
  /** 0 to 1000. */
  weight: z.number(),
  weightType: z.string().default("variable"),
  stickiness: z.string().default("default"),
  payload: payload.optional(),
});
export type Variant = Readonly<z.output<typeof variant>>;

/** Segments are ids in the Admin API; the client API puts their constraints in their place. */
export const strategyShape = z.object({
  id: z.string().optional(),
  name: z.string(),
  title: z.string().nullish(),
  disabled: z.boolean().nullish(),
  sortOrder: z.number().nullish(),
  constraints: z.array(z.unknown()).nullish(),
  segments: z.array(z.unknown()).nullish(),
  parameters: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)).nullish(),
  variants: z.array(variant).nullish(),
});
export type Strategy = Readonly<z.output<typeof strategyShape>>;

/** A flag that this one depends on: its name in the Admin API, an object in the client API. */
const parent = z.looseObject({ feature: z.string() });

const environment = z.object({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(strategyShape).default([]),
});
export type Environment = Readonly<z.output<typeof environment>>;

export const featureShape = z.object({
  name: z.string(),
  createdAt: z.string(),
  archived: z.boolean().default(false),
  environments: z.array(environment),
  dependencies: z.array(parent).default([]),
});
export type Feature = Readonly<z.output<typeof featureShape>>;

export const clientFeaturesShape = z.object({
  features: z.array(
    z.object({
      name: z.string(),
      enabled: z.boolean(),
      strategies: z.array(strategyShape).default([]),
      dependencies: z.array(parent).default([]),
    }),
  ),
});

const event = z.object({
  id: z.number(),
  type: z.string(),
  createdBy: z.string().nullish(),
  createdByUserId: z.number().nullish(),
  createdAt: z.string(),
  environment: z.string().nullish(),
  featureName: z.string().nullish(),
  data: z.unknown(),
});
export type UnleashEvent = Readonly<z.output<typeof event>>;

/** Newest first. `total`: how many there are in all. */
export const eventsShape = z.object({ events: z.array(event), total: z.number().default(0) });

const permission = z.object({
  permission: z.string(),
  project: z.string().nullish(),
  environment: z.string().nullish(),
});
export type Permission = Readonly<z.output<typeof permission>>;

/** Who the token is. Unleash repeats the secret of an admin token here: it is not taken over. */
export const meShape = z.object({
  user: z.object({
    id: z.number().nullish(),
    internalAdminTokenUserId: z.number().nullish(),
    email: z.string().nullish(),
    username: z.string().nullish(),
  }),
  permissions: z.array(permission),
});
export type Me = Readonly<z.output<typeof meShape>>;

/** What Unleash says when it refuses. */
export const refusalShape = z.looseObject({
  name: z.string().optional(),
  message: z.string().default(""),
  details: z.array(z.looseObject({ message: z.string().default("") })).default([]),
});
