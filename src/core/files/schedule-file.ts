/** The shape of `schedules/*.yaml`: the timeline of a rollout. */
import { z } from "zod";
import { duration, name, zone } from "./flags-file.ts";

const OWN_LABELS: ReadonlySet<string> = new Set(["service", "environment", "env"]);

const settingText = z
  .union([z.string(), z.number(), z.boolean()], { error: "expected on, off, a percentage or a value" })
  .transform(String);

export const channel = z
  .string()
  .regex(/^(#[a-z0-9_-]{1,80}|C[A-Z0-9]{6,})$/, "expected a channel such as #ingestion-ops");

/** A label of an alert; its service and environment are never a choice, because an alert must always name those of the rollout. */
const label = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of a label")
  .refine((text) => !OWN_LABELS.has(text), "an alert must always name this service and environment");

const labelValue = z.string().min(1, "expected a label's value").max(200, "expected at most 200 characters");
const labelValues = z
  .array(labelValue)
  .min(1, "expected at least one value")
  .max(50, "expected at most 50 values");

const matcher = z
  .record(
    label,
    z.union([labelValue, labelValues], {
      error: "expected a label's value or a list of values, as texts",
    }),
  )
  .refine((labels) => Object.keys(labels).length > 0, "expected at least one label");

const stage = z.strictObject({
  at: duration,
  name,
  set: z.record(z.string(), settingText).optional(),
  enable: z
    .union([name, z.array(name).min(1), z.record(name, z.array(settingText).min(1).max(20))], {
      error: "expected a flag, a list of flags, or { flag: [5%, 25%, 100%] }",
    })
    .optional(),
  every: duration.optional(),
  soak: duration.optional(),
  approval: z.strictObject({ from: name }).optional(),
  review: z.string().optional(),
  /** Forward steps of this stage only in these hours. */
  window: z.strictObject({ only: z.string(), zone }).optional(),
});

/** How far the work is that a rollout of values lets through. */
const progress = z.strictObject({
  query: z.string().min(1).max(4000),
  /** What is counted, such as `records`. */
  unit: z.string().regex(/^[a-z][a-z -]{0,39}$/, "expected what is counted, such as records"),
  of: z.number().positive().optional(),
});

export const scheduleSchema = z.strictObject({
  rollout: name,
  flags: name.optional(),
  channel: channel.optional(),
  stages: z.array(stage).min(1, "expected at least one stage").max(100),
  unwind: z
    .enum(["newest", "gradual", "all"], { error: "expected unwind: newest, gradual or all" })
    .optional(),
  on_blind: z.enum(["hold", "rollback"], { error: "expected on_blind: hold or rollback" }).optional(),
  blind_after: duration.optional(),
  rollback_on: z
    .array(matcher)
    .min(1, "expected at least one matcher")
    .max(50, "expected at most 50 matchers")
    .optional(),
  forward: z.strictObject({ only: z.string(), zone }).optional(),
  progress: progress.optional(),
  runbook: z.string().max(200).optional(),
  accept_bound: duration.optional(),
  because: z.string().min(1).optional(),
});

export type ScheduleFile = z.output<typeof scheduleSchema>;
export type ProgressEntry = z.output<typeof progress>;
export type StageEntry = ScheduleFile["stages"][number];
