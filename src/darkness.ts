/** Notices that Slack takes no urgent message while a rollout is live, and has on-call told another way. */
import type { PageRequest } from "./core/oncall/page.ts";
import type { Plan } from "./core/plan.ts";
import { isOpenRun, type State } from "./core/rollout/state.ts";
import { formatDuration, MINUTE } from "./core/time.ts";
import type { Log } from "./engine/ports.ts";

/** An urgent message that waits longer than this in a live rollout is paged, ms. */
const DARK_MS = 2 * MINUTE;

export interface DarknessDeps {
  readonly log: Log;
  readonly runs: () => readonly { readonly plan: Plan; readonly state: State }[];
  readonly page: (page: PageRequest) => void;
  readonly resolvePage: (key: string, because: string) => Promise<void>;
}

export class Darkness {
  readonly #deps: DarknessDeps;
  /** The instant (wall ms) since which the darkness lasts that was paged. */
  #paged: number | undefined;

  constructor(deps: DarknessDeps) {
    this.#deps = deps;
  }

  /** To be called every few seconds. `since`: wall ms since which the oldest urgent message has waited; undefined when none waits. */
  look(since: number | undefined, wall: number): void {
    const { log, page, resolvePage, runs } = this.#deps;
    const paged = this.#paged;
    if (paged !== undefined && paged !== since) {
      this.#paged = undefined;
      void resolvePage(keyOf(paged), "Slack takes urgent messages again").catch(() => undefined);
    }
    if (since === undefined || wall - since <= DARK_MS) return;
    const live = runs().find(({ state }) => isOpenRun(state));
    if (live === undefined) return;
    const forHowLong = formatDuration(wall - since);
    log.error("an urgent message is not being delivered", { for: forHowLong });
    if (this.#paged === since) return;
    this.#paged = since;
    const { service, environment } = live.plan;
    const summary = `An urgent message has not reached Slack for ${forHowLong} while ${live.state.rollout} (${live.state.run}) is live. \`belay do "rollout status"\` shows it; rollbacks work without Slack.`;
    page({ key: keyOf(since), severity: "P1", summary, service, environment, source: "rollout", wall });
  }
}

function keyOf(since: number): string {
  return `belay.slack_dark.${Math.round(since)}`;
}
