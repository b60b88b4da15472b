/** The shape of `flags/*.yaml`: the catalogue of what may change and the guards that must hold meanwhile. */
import { z } from "zod";
import { parseQuantity } from "../quantity.ts";
import { DAY, isZone, MINUTE, parseDuration, SECOND } from "../time.ts";
import { secretInUrl } from "./secret.ts";

const NAME = /^[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*$/;

/** Words that commands and stages read as something else: `rollback all`, `rollback to STAGE`, `set: { all: off }`. */
const RESERVED: readonly string[] = ["all", "to"];

export const name = z
  .string()
  .regex(NAME, "expected a name of lower-case letters, digits and dashes")
  .max(60, "expected at most 60 characters")
  .refine((text) => !(text in {}) && !RESERVED.includes(text), "expected a name that is not a reserved word");

/** A flag's name in the store and in the service: one word, as an environment variable or flag key allows. */
const key = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/, "expected a flag key of letters, digits, `_`, `.` and `-`")
  .refine((text) => !(text in {}) && text !== "prototype", "expected a flag key that is not a reserved word");

export const duration = z
  .union([z.string(), z.literal(0)], { error: "expected a duration such as 30s, 15m or 2h" })
  .transform((text, context) => {
    const ms = parseDuration(String(text));
    if (ms !== undefined) return ms;
    context.addIssue({ code: "custom", message: "expected a duration such as 30s, 15m or 2h" });
    return z.NEVER;
  });

export const positive = duration.refine((ms) => ms > 0, "expected a duration longer than 0");

/** Polls closer than this would load Prometheus without telling more. */
export const interval = duration.refine((ms) => ms >= 200, "expected an interval of at least 200ms");

export const quantity = z
  .union([z.string(), z.number()], { error: "expected a number such as 2%, 250ms, 1GiB or 20" })
  .transform((input, context) => {
    const parsed = parseQuantity(input);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: "custom", message: "expected a number such as 2%, 250ms, 1GiB or 20" });
    return z.NEVER;
  });

const breach = z.string({ error: "expected `k of n` such as 2 of 3" }).transform((text, context) => {
  const match = /^(\d{1,2}) of (\d{1,2})$/.exec(text.trim());
  const k = Number(match?.[1]);
  const n = Number(match?.[2]);
  if (match !== null && k >= 1 && n >= k && n <= 30) return { k, n };
  context.addIssue({ code: "custom", message: "expected `k of n` with 1 <= k <= n <= 30, such as 2 of 3" });
  return z.NEVER;
});

export const zone = z.string().refine(isZone, "expected a time zone such as Europe/Berlin");

/** An http(s) URL without anything in it that reads as a secret. */
export const webUrl = z
  .url({ protocol: /^https?$/, error: "expected an http(s) URL" })
  .refine(
    (text) => secretInUrl(text) === undefined,
    "expected a URL without user and password, token or key (secrets never stand in files)",
  );

/** `on`, `off`, a percentage such as `25%`, or the literal value the service reads. */
const settingText = z
  .union([z.string(), z.number(), z.boolean()], { error: "expected on, off, a percentage or a value" })
  .transform(String);

/** What the service reads for on or off; YAML may have taken it for a number or a truth value. */
const literal = z
  .union([z.string().min(1), z.number(), z.boolean()], {
    error: 'expected the text that the service reads, such as "true"',
  })
  .transform(String);

/** From SIGTERM to SIGKILL of a process that names no `stop_timeout`, ms. */
export const DEFAULT_STOP_TIMEOUT_MS = 10 * SECOND;

/** What is restarted: a unit or a process. `time`: a duration as people write it, or ms as a plan keeps it. */
export function restartShape<T extends z.ZodType<number>>(time: T) {
  const processTarget = z.strictObject({
    command: z.array(z.string().min(1)).min(1, "expected a command: a list of words"),
    pidfile: z.string().min(1),
    cwd: z.string().min(1).optional(),
    log: z.string().min(1).optional(),
    stop_timeout: time.optional(),
  });
  return z.union(
    [
      z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9@._-]*\.service$/, "expected a systemd unit such as ingestion.service"),
      z.strictObject({ process: processTarget }),
    ],
    { error: "expected a systemd unit such as ingestion.service, or { process: { command, pidfile } }" },
  );
}

export const restart = restartShape(positive);

/** Empty when it is missing: who knows the kinds says which there are. */
const providerKind = z
  .string()
  .nullish()
  .transform((kind) => kind ?? "");

/** A flag system; what stands beside `kind` is checked by that kind. */
export const provider = z.looseObject({ kind: providerKind });

/** Where OFFs go as well when the flag system cannot be reached for `after`: a provider of its own. */
export const lever = z.looseObject({
  kind: providerKind,
  after: positive.optional(),
});

/** How the service's own metrics tell of deploys and restarts. */
export const deploys = z.strictObject({
  /** PromQL whose series carry the version of the service in `label`. */
  version: z.string().min(1).max(4000).optional(),
  label: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of a label")
    .optional(),
  /** PromQL of start times (Unix seconds), one series a process. */
  started: z.string().min(1).max(4000).optional(),
});

export const view = z.union(
  [
    z.strictObject({
      http: webUrl,
      pointer: z.string().regex(/^(\/[^/]+)*$/, "expected a JSON pointer such as /flags"),
    }),
    z.strictObject({ metric: z.string().min(1) }),
    z.strictObject({ ofrep: webUrl, targeting_key: z.string().min(1).max(200).optional() }),
    z.strictObject({ sdk: z.strictObject({ targeting_key: z.string().min(1).max(200).optional() }) }),
  ],
  {
    error:
      "expected { http: URL, pointer: /path/to/flags }, { metric: QUERY }, { ofrep: URL } or { sdk: {} }",
  },
);

export const prometheus = z.strictObject({
  url: webUrl,
  scrape_interval: positive,
  timeout: positive.optional(),
});

/** Where alerts are asked for besides the webhook; `watchdog` is the alert that always fires while alerting works. */
export const alertmanager = z.strictObject({
  url: webUrl,
  watchdog: z
    .string()
    .min(1, "expected the name of an alert")
    .max(200, "expected at most 200 characters")
    .optional(),
  interval: interval.optional(),
});

const flag = z.strictObject({
  key,
  owner: z.string().max(100).optional(),
  description: z.string().max(500).optional(),
  on: literal.optional(),
  off: literal.optional(),
  safe: settingText.optional(),
  pinned: settingText.optional(),
  requires: z.array(name).optional(),
  undo: z
    .enum(["flip", "restart", "data", "none"], { error: "expected undo: flip, restart, data or none" })
    .optional(),
});

const judged = {
  interval: interval.optional(),
  breach: breach.optional(),
  stages: z.array(z.string()).min(1).optional(),
  // biome-ignore lint/suspicious/noThenProperty: `then` is the word in the file format; the object is never awaited.
  then: z
    .enum(["rollback", "emergency", "hold", "page"], {
      error: "expected then: rollback, emergency, hold or page",
    })
    .optional(),
};

export const query = z.string().min(1, "expected a PromQL query").max(4000);
const worst = z.enum(["max", "min"], { error: "expected worst: max or min" }).optional();

const trend = z.strictObject({
  kind: z.literal("trend"),
  query,
  limit: quantity,
  horizon: positive.refine(
    (ms) => ms <= 7 * DAY,
    "expected a horizon of at most 7d: it is drawn from 3 hours",
  ),
  worst: z
    .literal("max", { error: "expected worst: max (of several series the one that reaches the limit first)" })
    .optional(),
  interval: duration
    .refine((ms) => ms >= MINUTE, "expected an interval of at least 1m: each poll reads 3 hours")
    .optional(),
  stages: judged.stages,
  // biome-ignore lint/suspicious/noThenProperty: `then` is the word in the file format; the object is never awaited.
  then: z
    .enum(["hold", "page"], {
      error:
        "expected then: page or hold (a trend is a heuristic: it plans restarts and pages, it takes nothing back)",
    })
    .optional(),
});

export const guard = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("threshold"),
      query,
      max: quantity.optional(),
      min: quantity.optional(),
      worst,
      min_samples: z.number().int().positive().optional(),
      min_total: z.number().positive().optional(),
      total: query.optional(),
      ...judged,
    }),
    z.strictObject({ kind: z.literal("alive"), up: query.optional(), ...judged }),
    z.strictObject({
      kind: z.literal("expect"),
      query,
      max: quantity.optional(),
      min: quantity.optional(),
      within: positive,
      worst,
      interval: interval.optional(),
      stages: z.array(z.string()).min(1).optional(),
    }),
    trend,
  ],
  {
    error:
      "expected guard kind threshold, alive, expect or trend (other kinds are not available in this version)",
  },
);

export const flagsFileSchema = z.strictObject({
  service: name,
  environment: name,
  provider,
  view: view.optional(),
  second_lever: lever.optional(),
  prometheus,
  alertmanager: alertmanager.optional(),
  deploys: deploys.optional(),
  flags: z.record(name, flag).refine((flags) => Object.keys(flags).length > 0, "expected at least one flag"),
  guards: z.record(name, guard).optional(),
});

export type FlagsFile = z.output<typeof flagsFileSchema>;
export type FlagEntry = FlagsFile["flags"][string];
export type GuardEntry = z.output<typeof guard>;
export type ProviderEntry = z.output<typeof provider>;
export type LeverEntry = z.output<typeof lever>;
export type DeploysEntry = z.output<typeof deploys>;
export type ViewEntry = z.output<typeof view>;
export type PrometheusEntry = z.output<typeof prometheus>;
export type AlertmanagerEntry = z.output<typeof alertmanager>;
export type RestartEntry = z.output<typeof restart>;
