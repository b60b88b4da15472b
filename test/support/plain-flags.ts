/** A flag system in memory, made from its reads and writes: it keeps no history and is always fit to go back. */
import type { FlagAbilities, Flags } from "../../src/engine/ports.ts";

const CAN: FlagAbilities = {
  percent: true,
  values: true,
  creates: true,
  together: true,
  compareAndSet: true,
  keepsIntent: true,
  history: false,
  restarts: false,
};

export function plainFlags(calls: Pick<Flags, "read" | "write">): Flags {
  return {
    can: CAN,
    history: async () => [],
    rehearse: async () => ({ readMs: 1, writeMs: 1, problems: [], warnings: [] }),
    reach: async () => [],
    ...calls,
  };
}
