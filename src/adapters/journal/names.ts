/** Names that the journal gives out: short, random, and never the same one twice. */
import { randomInt } from "node:crypto";
import type { Statements } from "./connection.ts";

/** Digits and letters that are not taken for one another (Crockford's base 32). */
const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SHORTEST_NAME = 3;
const TRIES_PER_LENGTH = 8;

/**
 * Takes a name such as `r-7Q2` for a run or `i-7Q2` for an incident, inside a transaction. Names are random, so that after the loss of a
 * journal the next one does not give out the same names again; one given out is kept, so that it is never given out twice.
 */
export function takeName(db: Statements, prefix: "r" | "i"): string {
  for (let tries = 0; ; tries++) {
    const length = SHORTEST_NAME + Math.floor(tries / TRIES_PER_LENGTH);
    const letters = Array.from({ length }, () => LETTERS.charAt(randomInt(LETTERS.length)));
    const name = `${prefix}-${letters.join("")}`;
    // The table has its name from the time when only runs had names.
    if (db.run("INSERT INTO run_ids (id) VALUES (?) ON CONFLICT (id) DO NOTHING", name) === 1) return name;
  }
}
