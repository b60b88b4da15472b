/** How far the work is that a rollout of values lets through, and what of it stays when a value goes back. */
import type { RolloutEvent } from "../event.ts";
import type { Plan } from "../plan.ts";
import { formatCount } from "../quantity.ts";

/** `41,200 of 500,000 records (8 %)`; undefined when the plan counts nothing. */
export function workInWords({ progress }: Plan, done: number): string | undefined {
  if (progress === undefined) return undefined;
  const { of, unit } = progress;
  if (of === undefined) return `${formatCount(done)} ${unit}`;
  return `${formatCount(done)} of ${formatCount(of)} ${unit} (${Math.floor((done / of) * 100)} %)`;
}

/** What came in while the stages that went back were on: a rollback writes the value of the stage before and removes nothing. */
export interface Remains {
  readonly count: number;
  /** `8,942 records of this stage remain`. */
  readonly text: string;
}

/**
 * What a rollback leaves behind, from the figures journaled when its lowest stage began and when it was taken back (`after`: at the end of its
 * look, where there is one). Undefined without both figures.
 */
export function remainsOf(
  { progress }: Plan,
  { began, progress: decided, stages }: Extract<RolloutEvent, { kind: "rollback_started" }>,
  after: { readonly progress?: number } | undefined,
): Remains | undefined {
  const done = after?.progress ?? decided;
  if (progress === undefined || began === undefined || done === undefined) return undefined;
  const count = Math.max(0, Math.round(done - began));
  const whose = stages.length === 1 ? "this stage" : "these stages";
  const text =
    count === 0
      ? `no ${progress.unit} of ${whose} remain`
      : `${formatCount(count)} ${progress.unit} of ${whose} remain`;
  return { count, text };
}
