/** The shape of `schedules/*.yaml`: the timeline of a rollout. */
import { z } from "zod";
import { duration, name, zone } from "./flags-file.ts";

const settingText = z
  .union([z.string(), z.number(), z.boolean()], { error: "expected on, off, a percentage or a value" })
  .transform(String);

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
});

export const scheduleSchema = z.strictObject({
  rollout: name,
  flags: name.optional(),
  channel: z
    .string()
    .regex(/^(#[a-z0-9_-]{1,80}|C[A-Z0-9]{6,})$/, "expected a channel such as #ingestion-ops")
    .optional(),
  stages: z.array(stage).min(1, "expected at least one stage").max(100),
  unwind: z
    .enum(["newest", "gradual", "all"], { error: "expected unwind: newest, gradual or all" })
    .optional(),
  on_blind: z.enum(["hold", "rollback"], { error: "expected on_blind: hold or rollback" }).optional(),
  blind_after: duration.optional(),
  forward: z.strictObject({ only: z.string(), zone }).optional(),
  runbook: z.string().max(200).optional(),
  accept_bound: duration.optional(),
  because: z.string().min(1).optional(),
});

export type ScheduleFile = z.output<typeof scheduleSchema>;
export type StageEntry = ScheduleFile["stages"][number];
