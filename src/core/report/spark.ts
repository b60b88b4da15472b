/** A small chart as text: one block character for each value. */

const BLOCKS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
const GAP = "·";

/** One block per value, from the lowest to the highest of them; a dot where there is none, the middle block where all are the same. */
export function spark(values: readonly (number | undefined)[]): string {
  const known = values.flatMap((value) => (value !== undefined && Number.isFinite(value) ? [value] : []));
  const low = known.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = known.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  return values
    .map((value) => {
      if (value === undefined || !Number.isFinite(value)) return GAP;
      // Shares first: the difference of two huge values may not be a number.
      const share = high > low ? (value / 2 - low / 2) / (high / 2 - low / 2) : 0.5;
      return BLOCKS[Math.min(BLOCKS.length - 1, Math.floor(share * BLOCKS.length))] ?? GAP;
    })
    .join("");
}
