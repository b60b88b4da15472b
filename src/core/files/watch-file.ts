/** The shape of a watch in `schedules/*.yaml`: probes, what they may restart, jobs by the clock, and blackouts. */
import { z } from "zod";
import { duration, name, positive, quantity, query, restart, webUrl, zone } from "./flags-file.ts";
import { channel } from "./schedule-file.ts";

const MOST_COUNT = 20;
/** Entries of one kind in one file. */
const MOST = 200;

const atMost = (characters: number): string => `expected at most ${characters} characters`;

/** Probes closer than this would be load on what they ask. */
export const checkInterval = duration.refine((ms) => ms >= 1_000, "expected an interval of at least 1s");

/** Bad or good checks in a row. */
export const count = z
  .number()
  .refine(
    (n) => Number.isInteger(n) && n >= 1 && n <= MOST_COUNT,
    `expected a number from 1 to ${MOST_COUNT}`,
  );

/** `HOST:PORT` or `[IPv6]:PORT`. */
export const address = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251})?)):(\d{1,5})$/.exec(
    text.trim(),
  );
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  context.addIssue({ code: "custom", message: "expected HOST:PORT such as 127.0.0.1:5432" });
  return z.NEVER;
});

const word = z
  .string()
  .min(1, "expected a word")
  .max(1_000, atMost(1_000))
  .refine((text) => !text.includes("\0"), "expected a word without a zero byte");

/** A program with its arguments: never a shell's line. */
const argv = z
  .array(word)
  .min(1, "expected a program and its arguments")
  .max(50, "expected at most 50 words");

/** How one replica is restarted: exactly one of `restart`, `http` and `exec`. */
const ways = {
  restart: restart.optional(),
  http: z.strictObject({ post: webUrl, up: webUrl.optional() }).optional(),
  exec: argv.optional(),
  up: webUrl.optional(),
};

const replica = z.strictObject(ways);

export const target = z.strictObject({
  ...ways,
  replicas: z
    .array(replica)
    .min(1, "expected at least one replica")
    .max(50, "expected at most 50 replicas")
    .optional(),
  up_within: positive.optional(),
});

/** `200`, or a range such as `200-299`. */
const status = z
  .union([z.number(), z.string()], { error: "expected a status such as 200 or 200-299" })
  .transform((input, context) => {
    const match = /^([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?$/.exec(String(input).trim());
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (match !== null && from <= to) return { from, to };
    context.addIssue({ code: "custom", message: "expected a status such as 200 or 200-299" });
    return z.NEVER;
  });

const severity = z.enum(["P0", "P1", "P2"], { error: "expected page: P0, P1 or P2" });

const probe = z.strictObject({
  http: webUrl.optional(),
  expect: status.optional(),
  contains: z.string().min(1, "expected a text").max(200, atMost(200)).optional(),
  tcp: address.optional(),
  promql: query.optional(),
  max: quantity.optional(),
  min: quantity.optional(),
  interval: checkInterval.optional(),
  timeout: positive.optional(),
  fail: count.optional(),
  ok: count.optional(),
  restart: name.optional(),
  page: severity.optional(),
  degraded: z.string().min(1, "expected a sentence for the users").max(500, atMost(500)).optional(),
  recover_within: positive.optional(),
  runbook: z.string().max(200, atMost(200)).optional(),
});

const job = z.strictObject({
  cron: z.string().max(200, atMost(200)),
  zone: zone.optional(),
  restart: name.optional(),
  only_if: name.optional(),
  post: z
    .enum(["health", "handover", "first-week-review"], {
      error: "expected post: health, handover or first-week-review",
    })
    .optional(),
  drill: z.literal("page", { error: "expected drill: page" }).optional(),
  missed: z
    .enum(["run-once", "skip", "report"], { error: "expected missed: run-once, skip or report" })
    .optional(),
  grace: positive.optional(),
  overlap: z.enum(["skip", "queue"], { error: "expected overlap: skip or queue" }).optional(),
  jitter: duration.optional(),
  until: z.string().optional(),
});

const because = z.string().min(1, "expected a reason").max(200, atMost(200));

const blackout = z.strictObject({
  hours: z.string().optional(),
  zone: zone.optional(),
  from: z.string().optional(),
  to: z.string().optional(),
  because,
});

const few = (entries: Readonly<Record<string, unknown>>): boolean => Object.keys(entries).length <= MOST;

export const watchSchema = z.strictObject({
  watch: name,
  flags: name.optional(),
  channel: channel.optional(),
  users_channel: channel.optional(),
  zone,
  restart_budget: z.strictObject({ most: count, within: positive }).optional(),
  targets: z.record(name, target).refine(few, `expected at most ${MOST} targets`).optional(),
  probes: z.record(name, probe).refine(few, `expected at most ${MOST} probes`).optional(),
  jobs: z.record(name, job).refine(few, `expected at most ${MOST} jobs`).optional(),
  blackouts: z.array(blackout).max(100, "expected at most 100 blackouts").optional(),
});

export type WatchFile = z.output<typeof watchSchema>;
export type TargetFile = z.output<typeof target>;
export type ReplicaFile = z.output<typeof replica>;
export type ProbeFile = z.output<typeof probe>;
export type JobFile = z.output<typeof job>;
export type BlackoutFile = z.output<typeof blackout>;
