/** The row of a probe's newest checks: how many were bad or good one after the other. Not journaled; it begins anew with each start of Belay. */

/** One check. `began` and `at` (its end) are steady ms. */
export interface Checked {
  readonly kind: "ok" | "bad" | "unknown";
  readonly began: number;
  readonly at: number;
  readonly detail: string;
  readonly value?: number;
}

/** `bad` and `good` count checks one after the other; one of them is always 0. */
export interface Row {
  readonly bad: number;
  readonly good: number;
  /** Steady ms at which the first of the bad checks began. */
  readonly firstBadAt?: number;
  /** Steady ms at which the first of the newest unknown checks began. */
  readonly unknownSince?: number;
  readonly last?: Checked;
}

export const NO_CHECKS: Row = { bad: 0, good: 0 };

/** Which checks count now: those that began at or after these instants (steady ms; infinite: none). A restart under way, or just done, is no downtime. */
export interface Counting {
  readonly badFrom: number;
  /** Before it, what is being replaced may still have answered. */
  readonly goodFrom: number;
}

export const ALL_COUNT: Counting = {
  badFrom: Number.NEGATIVE_INFINITY,
  goodFrom: Number.NEGATIVE_INFINITY,
};

/** Whether this check counts. */
export function counts(checked: Checked, counting: Counting): boolean {
  switch (checked.kind) {
    case "ok":
      return checked.began >= counting.goodFrom;
    case "bad":
      return checked.began >= counting.badFrom;
    case "unknown":
      return false;
  }
}

/** The row with one more check. An unknown one neither counts nor resets. */
export function rowAfter(row: Row, checked: Checked, counting: Counting): Row {
  const { unknownSince, ...known } = row;
  if (checked.kind === "unknown")
    return { ...row, unknownSince: unknownSince ?? checked.began, last: checked };
  if (!counts(checked, counting)) return { ...known, last: checked };
  if (checked.kind === "ok") return { bad: 0, good: row.good + 1, last: checked };
  return { bad: row.bad + 1, good: 0, firstBadAt: row.firstBadAt ?? checked.began, last: checked };
}

/** The row once a restart has begun: what was counted before says nothing of what comes up. */
export function rowAfterRestart(row: Row): Row {
  const { firstBadAt: _, ...rest } = row;
  return { ...rest, bad: 0, good: 0 };
}
