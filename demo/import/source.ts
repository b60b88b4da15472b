/** The records that are imported: each is a pure function of its number, so that what was stored can be compared with where it came from. */

/** One customer record. */
export interface ImportRecord {
  /** 1, 2, 3 ... in the order of the source. */
  readonly id: number;
  readonly name: string;
  readonly amount: number;
}

/** Record number `id` of the source. */
export function recordOf(id: number): ImportRecord {
  const mixed = Math.imul(id ^ (id >>> 15), 0x2c1b3c6d) >>> 0;
  return { id, name: `customer-${mixed.toString(36)}`, amount: mixed % 1_000_000 };
}
