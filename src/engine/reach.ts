/** What the tokens of flag systems may do besides flipping: asked when files are loaded, told as warnings; nothing waits for it. */
import type { Plan } from "../core/plan.ts";
import { withDeadline } from "./concurrency.ts";
import { type Clock, type Flags, type Log, messageOfFault, type Service } from "./ports.ts";

const DEADLINE_MS = 15_000;

export interface ReachDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly connect: (plan: Plan) => Pick<Service, "flags" | "lever">;
}

export class Reach {
  readonly #deps: ReachDeps;
  #warnings: readonly string[] = [];
  /** Which asking is the newest: files may be loaded again before all have answered. */
  #turn = 0;

  constructor(deps: ReachDeps) {
    this.#deps = deps;
  }

  /** What the tokens may do that they need not, each with the flags file that it is for; what is known so far. */
  readonly warnings = (): readonly string[] => this.#warnings;

  /** Asks the flag systems of these plans; resolves when all have answered or given up, and never rejects. */
  async ask(plans: Iterable<Plan>): Promise<void> {
    this.#turn++;
    const turn = this.#turn;
    const told = await Promise.all(
      [...this.#systems(plans)].map(([flags, sources]) => this.#askOne(flags, [...sources].join(", "))),
    );
    if (turn !== this.#turn) return;
    const before = new Set(this.#warnings);
    this.#warnings = told.flat();
    for (const warning of this.#warnings) if (!before.has(warning)) this.#deps.log.warn(warning);
  }

  /** Each flag system once, with the flags files that name it. */
  #systems(plans: Iterable<Plan>): ReadonlyMap<Flags, ReadonlySet<string>> {
    const systems = new Map<Flags, Set<string>>();
    for (const plan of plans) {
      try {
        const { flags, lever } = this.#deps.connect(plan);
        for (const system of lever === undefined ? [flags] : [flags, lever])
          systems.set(system, (systems.get(system) ?? new Set()).add(plan.source));
      } catch (error) {
        // Its rehearsal refuses the start; here it is only named.
        this.#deps.log.warn("a flag system cannot be asked what its token may do", {
          rollout: plan.rollout,
          error: messageOfFault(error),
        });
      }
    }
    return systems;
  }

  async #askOne(flags: Flags, sources: string): Promise<readonly string[]> {
    const { clock, log } = this.#deps;
    try {
      const sentences = await withDeadline(clock, DEADLINE_MS, "what the token may do", flags.reach());
      return sentences.map((text) => `flags/${sources}: ${text}`);
    } catch (error) {
      log.warn("it is not known what a flag system's token may do", {
        flags: sources,
        error: messageOfFault(error),
      });
      return [];
    }
  }
}
