/** Who changed a flag that is not as it should be: asked of the flag system's own history, once for each change. */
import type { FlagDef, Plan } from "../core/plan.ts";
import type { Reading } from "../core/rollout/desired.ts";
import type { State } from "../core/rollout/state.ts";
import { expectedOf } from "../core/rollout/world.ts";
import { sameSetting } from "../core/setting.ts";
import { HOUR } from "../core/time.ts";
import { withDeadline } from "./concurrency.ts";
import { type Clock, type Flags, type Log, messageOfFault } from "./ports.ts";

/** A name is worth waiting for this long; then the change is told without one. */
const NAME_WITHIN_MS = 1_500;
/** How far back a change is looked for. */
const LOOK_BACK_MS = HOUR;

export interface AttributionDeps {
  readonly clock: Clock;
  readonly flags: Flags;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
}

type Readings = Readonly<Record<string, Omit<Reading, "at">>>;

export class Attribution {
  readonly #deps: AttributionDeps;
  /** By flag: the version that was asked about, and who made it. */
  readonly #known = new Map<string, { readonly version: string; readonly by: string | undefined }>();

  constructor(deps: AttributionDeps) {
    this.#deps = deps;
  }

  /** Names by flag for every flag that is not as expected, as far as they are known. */
  names(): Readonly<Record<string, string | undefined>> {
    return Object.fromEntries([...this.#known].map(([flag, { by }]) => [flag, by]));
  }

  /** Finds out who made the unexpected changes in these readings. Never rejects, and takes a moment at most. */
  async look(readings: Readings): Promise<void> {
    const { clock, flags, log, plan, state } = this.#deps;
    const unexpected: FlagDef[] = [];
    for (const [flag, reading] of Object.entries(readings)) {
      const def = plan.flags[flag];
      const expected = expectedOf(state(), flag);
      const isFine =
        expected === undefined ||
        sameSetting(expected, reading.setting) ||
        isOnItsWay(state(), flag, reading);
      if (isFine) this.#known.delete(flag);
      if (isFine || def === undefined || this.#known.get(flag)?.version === reading.version) continue;
      // What this run wrote itself is nobody's drift.
      if (reading.intent !== undefined) continue;
      if (reading.by?.own === false && reading.by.name !== undefined)
        this.#known.set(flag, { version: reading.version, by: reading.by.name });
      else unexpected.push(def);
    }
    if (unexpected.length === 0 || !flags.can.history) return;
    try {
      const since = clock.now().wall - LOOK_BACK_MS;
      const asked = flags.history(unexpected, since);
      const changes = await withDeadline(clock, NAME_WITHIN_MS, "the history of flags", asked);
      for (const { name } of unexpected) {
        const newest = changes.findLast((change) => change.flag === name);
        const version = readings[name]?.version;
        if (version === undefined || newest === undefined) continue;
        this.#known.set(name, { version, by: newest.own ? undefined : newest.by });
      }
    } catch (error) {
      log.warn("who changed a flag could not be found out", {
        rollout: plan.rollout,
        error: messageOfFault(error),
      });
    }
  }
}

/** Whether the flag is still as it was when Belay decided its flip: nobody's drift, and a rollback's reads are not to wait for a history. */
function isOnItsWay({ flips }: State, flag: string, { setting }: Omit<Reading, "at">): boolean {
  const known = flips[flag];
  return (
    known !== undefined &&
    known.verifiedAt === undefined &&
    known.asked !== true &&
    sameSetting(setting, known.flip.from)
  );
}
