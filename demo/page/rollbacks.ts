/** The rollbacks of all runs so far, read out of Belay's journal. */
import { z } from "zod";
import type { Told } from "../world/loopback.ts";

const KEPT = 20;

export interface Rollback {
  readonly run: string;
  readonly seq: number;
  /** Flag names, and the keys under which the service knows them. */
  readonly flags: readonly string[];
  readonly keys: readonly string[];
  readonly why: string;
  readonly decidedWall: number;
  /** The first bad measurement; undefined when a person asked for it. */
  readonly breachWall: number | undefined;
  readonly offWall: number | undefined;
  readonly recoveredWall: number | undefined;
  /** Why it did not help, if it did not. */
  readonly failed: string | undefined;
}

const startedSchema = z.looseObject({
  kind: z.literal("rollback_started"),
  flips: z.array(z.looseObject({ flag: z.string() })),
  by: z.looseObject({ name: z.string().optional() }),
  cause: z.looseObject({
    kind: z.string(),
    guard: z.string().optional(),
    detail: z.string().optional(),
    because: z.string().optional(),
    breachAt: z.number().optional(),
  }),
});
type Started = z.output<typeof startedSchema>;

/** The list after one more event of a run; `keyOf` gives a flag's key. Newest first, bounded. */
export function withEvent(
  list: readonly Rollback[],
  run: string,
  told: Told,
  keyOf: (flag: string) => string,
): readonly Rollback[] {
  const started = startedSchema.safeParse(told.event);
  if (started.success) return [fromStart(run, told, started.data, keyOf), ...list].slice(0, KEPT);
  const [newest, ...older] = list;
  if (newest === undefined || newest.run !== run || newest.seq >= told.seq) return list;
  switch (told.event.kind) {
    case "rollback_off":
      return [{ ...newest, offWall: newest.offWall ?? told.wall }, ...older];
    case "recovered":
      return [{ ...newest, recoveredWall: newest.recoveredWall ?? told.wall }, ...older];
    case "look_failed":
      return [{ ...newest, failed: String(told.event["detail"] ?? "still breaching") }, ...older];
    default:
      return list;
  }
}

function fromStart(run: string, told: Told, started: Started, keyOf: (flag: string) => string): Rollback {
  const { cause, flips } = started;
  const flags = flips.map((flip) => flip.flag);
  return {
    run,
    seq: told.seq,
    flags,
    keys: flags.map(keyOf),
    why: whyOf(started),
    decidedWall: told.wall,
    breachWall: cause.breachAt === undefined ? undefined : told.wall - (told.at - cause.breachAt),
    offWall: undefined,
    recoveredWall: undefined,
    failed: undefined,
  };
}

function whyOf({ cause, by }: Started): string {
  if (cause.kind === "person")
    return `@${by.name ?? "somebody"} asked${cause.because === undefined ? "" : `: ${cause.because}`}`;
  const detail = cause.detail ?? cause.kind;
  return cause.guard === undefined ? detail : `${cause.guard}: ${detail}`;
}
