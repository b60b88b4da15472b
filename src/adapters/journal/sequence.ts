/** The numbers of a commit's events: without gaps from the revision that it was decided on to that of its state. */
import type { RecordedOf } from "../../core/event.ts";

interface Sequence {
  /** The run or subject that is committed to. */
  readonly id: string;
  readonly expected: number;
  readonly events: readonly RecordedOf<unknown>[];
  /** What the state of the commit says of itself. */
  readonly stateOf: string;
  readonly revision: number;
}

/** Throws for a gap: it would be a bug that no later reader could put right. */
export function checkSequence({ id, expected, events, stateOf, revision }: Sequence): void {
  const gap = events.findIndex((recorded, index) => recorded.seq !== expected + 1 + index);
  if (gap >= 0)
    throw new Error(
      `event ${gap} of a commit to ${id} has number ${events[gap]?.seq}, expected ${expected + 1 + gap}`,
    );
  if (stateOf !== id) throw new Error(`a commit to ${id} carries the state of ${stateOf}`);
  if (revision !== expected + events.length)
    throw new Error(
      `a commit to ${id} carries the state of revision ${revision}, expected ${expected + events.length}`,
    );
}
