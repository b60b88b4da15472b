/** Notices that Slack takes no urgent message while a rollout is live, and has on-call told another way. */
import type { PageRequest } from "./core/oncall/page.ts";
import type { Plan } from "./core/plan.ts";
import { isOpenRun, type State } from "./core/rollout/state.ts";
import { formatDuration, MINUTE } from "./core/time.ts";
import { type Log, messageOfFault } from "./engine/ports.ts";

/** An urgent message that waits longer than this in a live rollout is paged, ms. */
const DARK_MS = 2 * MINUTE;
const KEY = "belay.slack_dark.";

export interface DarknessDeps {
  readonly log: Log;
  readonly runs: () => readonly { readonly plan: Plan; readonly state: State }[];
  readonly page: (page: PageRequest) => void;
  /** Keys of the pages that nobody has resolved. */
  readonly openPages: () => readonly string[];
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
    const { log, openPages, page, resolvePage, runs } = this.#deps;
    // Level, not edge: a page from before a restart ends as well.
    for (const key of openPages()) {
      if (!key.startsWith(KEY) || (since !== undefined && key === keyOf(since))) continue;
      void resolvePage(key, "Slack takes urgent messages again").catch((error: unknown) =>
        log.error("a page could not be resolved", { key, error: messageOfFault(error) }),
      );
    }
    if (this.#paged !== since) this.#paged = undefined;
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
  return `${KEY}${Math.round(since)}`;
}
