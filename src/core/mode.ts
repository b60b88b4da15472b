/** Who flips from the start of Belay on: people or Belay itself, out of what was set, what people said last, and whether this installation is new. */
import { z } from "zod";
import type { Actor, Mode } from "./event.ts";

export interface ModeWords {
  /** `belay start --observe`. */
  readonly flag?: "observe" | undefined;
  /** `BELAY_MODE`. */
  readonly setting?: Mode | undefined;
  /** What `/belay observe` said last. */
  readonly said?: Mode | undefined;
  /** What a first start without any of these came to. */
  readonly first?: Mode | undefined;
  /** Nothing has ever been journaled. */
  readonly isNew: boolean;
}

/** The mode, and why, as a clause for the log. What observes wins: nobody is to find out by a flip that a word of theirs was lost in a restart. */
export function modeAtStart({ flag, setting, said, first, isNew }: ModeWords): {
  readonly mode: Mode;
  readonly why: string;
} {
  if (flag !== undefined) return { mode: flag, why: "started with --observe" };
  if (setting === "observe") return { mode: "observe", why: "BELAY_MODE=observe" };
  if (said === "observe") return { mode: "observe", why: "`/belay observe on` was said last" };
  if (setting === "act") return { mode: "act", why: "BELAY_MODE=act" };
  if (said === "act") return { mode: "act", why: "`/belay observe off` was said last" };
  if (first !== undefined) return { mode: first, why: "as at the first start" };
  return isNew
    ? { mode: "observe", why: "a new installation" }
    : { mode: "act", why: "this installation acted before" };
}

const actorSchema: z.ZodType<Actor> = z.union([
  z.object({ kind: z.literal("belay") }),
  z.object({
    kind: z.literal("person"),
    id: z.string(),
    name: z.string(),
    via: z.enum(["slack", "cli", "pagerduty"]),
  }),
]);

const keptSchema = z.object({
  first: z.enum(["act", "observe"]).optional(),
  said: z
    .object({ mode: z.enum(["act", "observe"]), by: actorSchema, because: z.string().optional() })
    .optional(),
});

/** What the journal keeps about the mode. */
export type KeptMode = z.infer<typeof keptSchema>;

/** What is kept; nothing when there is nothing, or nothing that can be read. */
export function readKeptMode(text: string | undefined): KeptMode {
  if (text === undefined) return {};
  try {
    const parsed = keptSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : {};
  } catch {
    return {};
  }
}
