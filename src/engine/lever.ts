/** The second lever: writes the OFFs that the flag system does not take to where the service looks besides, and reads back what it holds. */
import type { Plan } from "../core/plan.ts";
import { isPulled } from "../core/rollout/lever.ts";
import type { State } from "../core/rollout/state.ts";
import { sameSetting } from "../core/setting.ts";
import { type Bell, createBell } from "./concurrency.ts";
import { type Clock, type Flags, type FlagWrite, type Log, messageOfFault } from "./ports.ts";

const RETRY_MS = 1_000;
/** What the lever holds is read again this often while it is pulled: a person releases it there. */
const READ_EVERY_MS = 5_000;

export interface LeverDeps {
  readonly clock: Clock;
  readonly lever: Flags;
  readonly log: Log;
  readonly plan: Plan;
  readonly state: () => State;
  /** Called after each look at the lever. */
  readonly onSeen: () => void;
}

export class Lever {
  readonly #deps: LeverDeps;
  readonly #bell: Bell;
  #holds: readonly string[] | undefined;
  #stopped = false;

  constructor(deps: LeverDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Flags that the lever holds where a rollback set them; undefined while it is not pulled or cannot be read. */
  holds(): readonly string[] | undefined {
    return this.#holds;
  }

  ring(): void {
    this.#bell.ring();
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const pulled = this.#deps.state().lever !== undefined;
      const ok = !pulled || (await this.#settle());
      await this.#bell.wait(ok ? READ_EVERY_MS : RETRY_MS);
    }
  }

  /** Writes what is owed, and reads the lever. */
  async #settle(): Promise<boolean> {
    const { lever, log, plan, onSeen } = this.#deps;
    try {
      await this.#read();
      const owed = this.#owed();
      if (owed.length > 0) {
        await lever.write(owed);
        await this.#read();
      }
      onSeen();
      return true;
    } catch (error) {
      this.#holds = undefined;
      log.error("the second lever could not be pulled or read", {
        rollout: plan.rollout,
        error: messageOfFault(error),
      });
      onSeen();
      return false;
    }
  }

  async #read(): Promise<void> {
    const { lever, plan, state } = this.#deps;
    const flags = (state().lever?.flags ?? []).flatMap((flag) => plan.flags[flag] ?? []);
    const found = await lever.read(flags);
    this.#holds = flags
      .map(({ name }) => name)
      .filter((name) => {
        const reading = found[name];
        const flip = state().flips[name];
        const goal = flip?.direction === "backward" ? flip.flip.to : undefined;
        return reading?.effective === true && goal !== undefined && sameSetting(reading.setting, goal);
      });
  }

  /** OFFs that the flag system still owes and the lever does not hold. What the flag system has taken is not pulled again, so that a person can release it. */
  #owed(): readonly FlagWrite[] {
    const { plan, state } = this.#deps;
    const { flips, lever } = state();
    return (lever?.flags ?? []).flatMap((name): FlagWrite[] => {
      const flip = flips[name];
      const flag = plan.flags[name];
      if (flag === undefined || flip?.direction !== "backward" || flip.verifiedAt !== undefined) return [];
      // It was pulled for an OFF of before: this one has to be decided, and journaled, anew.
      if (!isPulled(state(), flip)) return [];
      if (this.#holds?.includes(name) === true) return [];
      const { to: setting, intent } = flip.flip;
      return [{ flag, setting, intent: `${intent}.lever` }];
    });
  }
}
