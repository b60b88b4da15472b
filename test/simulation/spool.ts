/** A spool in memory that survives crashes: backward decisions, until the journal takes them. */
import type { Spool } from "../../src/engine/ports.ts";

/** An empty spool. */
export function createSpool(): Spool {
  let entries: ReturnType<Spool["read"]> = [];
  return {
    append(decision) {
      entries = [...entries, decision];
    },
    read: () => entries,
    clear(run) {
      entries = entries.filter((one) => one.run !== run);
    },
  };
}
