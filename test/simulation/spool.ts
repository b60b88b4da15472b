/** A spool in memory that survives crashes: the events of backward decisions, until the journal takes them. */
import type { Spool } from "../../src/engine/ports.ts";

/** An empty spool. */
export function createSpool(): Spool {
  let entries: ReturnType<Spool["read"]> = [];
  return {
    append(run, events) {
      entries = [...entries, { run, events }];
    },
    read: () => entries,
    clear(run) {
      entries = entries.filter((one) => one.run !== run);
    },
  };
}
